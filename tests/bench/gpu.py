"""Full-size models on a real card: `python tests/bench/gpu.py COMFYUI_FOLDER` prints markdown tables.

Seconds a step of diffusers, of ComfyUI's own model, of ours and of ours accelerated, in one run and with the same random weights,
which are made here: nothing is downloaded. Then the peak memory under caps of 12, 16 and 24 GB. Sizes are those of the published
configurations. `--tiny` runs the same code with small models, on a CPU too: a test of this file, no measurement.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch

ROOT = Path(__file__).resolve().parents[2]
CAPS = (12, 16, 24)  # GB
ROOMY = 64  # GB; on smaller cards the weights are made beside them
# Dense bf16 with fp32 sums, TFLOP/s, from NVIDIA's data sheets; the first name that a card's name contains.
PEAKS = {
    "H200": 989,
    "H100 PCIe": 756,
    "H100": 989,
    "B200": 2250,
    "A100": 312,
    "L40S": 362,
    "L4": 121,
    "RTX 6000 Ada": 364,
    "RTX 5090": 209,
    "RTX 4090": 165,
    "RTX 4080": 97,
    "RTX 3090": 71,
    "A10": 125,
}


class Model(NamedTuple):
    """A family at its published size, and small; `native`: ComfyUI's class of it, and what its detection cannot see."""

    transformer: str
    pipeline: str
    config: dict[str, Any]
    tiny: dict[str, Any]
    native: str
    native_tiny: dict[str, Any]
    text_width: str  # of the configuration
    steps: int


FLUX1 = Model(
    "FluxTransformer2DModel",
    "FluxPipeline",
    {"guidance_embeds": True, "num_layers": 19, "num_single_layers": 38, "num_attention_heads": 24},
    {"guidance_embeds": True, "num_layers": 1, "num_single_layers": 1, "num_attention_heads": 1,
     "joint_attention_dim": 32, "pooled_projection_dim": 16},
    "Flux",
    {},
    "joint_attention_dim",
    8,
)  # fmt: skip
KLEIN = Model(
    "Flux2Transformer2DModel",
    "Flux2KleinPipeline",
    {"num_layers": 5, "num_single_layers": 20, "num_attention_heads": 24, "joint_attention_dim": 7680,
     "guidance_embeds": False},
    {"num_layers": 1, "num_single_layers": 1, "num_attention_heads": 1, "joint_attention_dim": 48,
     "guidance_embeds": False},
    "Flux2",
    {},
    "joint_attention_dim",
    4,
)  # fmt: skip
Z_IMAGE = Model(
    "ZImageTransformer2DModel",
    "ZImagePipeline",
    {"dim": 3840, "n_layers": 30, "n_refiner_layers": 2, "n_heads": 30, "n_kv_heads": 30, "cap_feat_dim": 2560},
    {"dim": 1152, "n_layers": 1, "n_refiner_layers": 2, "n_heads": 9, "n_kv_heads": 9, "cap_feat_dim": 32},
    "ZImage",
    {"n_heads": 9, "n_kv_heads": 9, "axes_dims": [32, 48, 48], "axes_lens": [1536, 512, 512], "rope_theta": 256.0,
     "ffn_dim_multiplier": 8.0 / 3.0, "z_image_modulation": True, "time_scale": 1000.0, "pad_tokens_multiple": 32,
     "allow_fp16": False},
    "cap_feat_dim",
    8,
)  # fmt: skip
MODELS = {"FLUX.1 dev, 12B": FLUX1, "FLUX.2 klein, 4B": KLEIN, "Z-Image, 6B": Z_IMAGE}
# Qwen3-4B, Z-Image's text encoder and klein's.
QWEN3 = {
    "vocab_size": 151936, "hidden_size": 2560, "intermediate_size": 9728, "num_hidden_layers": 36,
    "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "tie_word_embeddings": True,
}  # fmt: skip
QWEN3_TINY = {**QWEN3, "vocab_size": 512, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 28,
              "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16}  # fmt: skip


# --- one measurement, in a process of its own -------------------------------------------------------------------------


class Bench:
    """A family's random weights, and the ways to sample with them."""

    def __init__(self, name: str, tiny: bool):
        import comfy.model_management as mm
        import diffusers

        self.name, self.tiny, self.model = name, tiny, MODELS[name]
        self.device = mm.get_torch_device()
        self.dtype = torch.float32 if self.device.type == "cpu" else torch.bfloat16
        self.side = 64 if tiny else 1024
        self.tokens = 32 if tiny else 512
        self.steps = 3 if tiny else self.model.steps
        config = self.model.tiny if tiny else self.model.config
        self.transformer = self._random(lambda: getattr(diffusers, self.model.transformer)(**config))
        self.flops = 0

    def _random(self, make: Callable[[], torch.nn.Module]) -> torch.nn.Module:
        """Made where there is room, in the dtype that it is computed in; its own random initialisation."""
        torch.manual_seed(0)
        torch.set_default_dtype(self.dtype)
        is_roomy = self.device.type == "cuda" and card_memory() >= ROOMY
        try:
            with torch.device(self.device if is_roomy else "cpu"):
                module = make()
        finally:
            torch.set_default_dtype(torch.float32)
        for name, weight in module.named_parameters():  # some classes leave pad tokens uninitialised
            if name.endswith("pad_token"):
                torch.nn.init.normal_(weight, std=0.02)
        return module.to(self.dtype).eval().requires_grad_(False)

    @property
    def family(self):
        from storefront.studio.kinds.table import editions

        return editions()[self.model.pipeline].family

    def latent(self) -> torch.Tensor:
        cells = self.side // self.family.pixels_per_cell
        return torch.zeros(1, self.family.latent_channels, cells, cells)

    def text(self) -> torch.Tensor:
        width = self.transformer.config[self.model.text_width]
        return torch.randn(1, self.tokens, width, generator=torch.Generator().manual_seed(1))

    def conditioning(self) -> list:
        options: dict[str, Any] = {"attention_mask": torch.ones(1, self.tokens)}
        if self.model is FLUX1:
            options = {"pooled_output": torch.zeros(1, self.transformer.config.pooled_projection_dim)}
        return [[self.text(), options]]

    # each returns seconds a step

    def diffusers(self) -> float:
        import diffusers
        from storefront.studio.sampling.schedule import make_scheduler

        self.transformer.to(self.device)
        extra: dict[str, Any] = {name: None for name in ("vae", "text_encoder", "tokenizer")}
        text: Any = self.text().to(self.device, self.dtype)
        call: dict[str, Any] = {"prompt_embeds": text, "guidance_scale": 1.0}
        if self.model is FLUX1:
            extra |= {"text_encoder_2": None, "tokenizer_2": None}
            width = self.transformer.config.pooled_projection_dim
            call["pooled_prompt_embeds"] = torch.zeros(1, width, device=self.device, dtype=self.dtype)
        elif (
            self.model is KLEIN
        ):  # whose pipeline asks its VAE for the statistics of latents, even where it decodes none
            extra["vae"] = diffusers.AutoencoderKLFlux2(
                block_out_channels=(8, 8, 8, 8), norm_num_groups=8, layers_per_block=1
            ).to(self.device, self.dtype)
        elif self.model is Z_IMAGE:
            call = {"prompt_embeds": [text[0]], "guidance_scale": 0.0}
        pipeline = getattr(diffusers, self.model.pipeline)(
            scheduler=make_scheduler(self.scheduler()), transformer=self.transformer, **extra
        )
        pipeline.set_progress_bar_config(disable=True)

        def run(step: Callable[[], None]) -> None:
            pipeline(
                **call,
                width=self.side,
                height=self.side,
                num_inference_steps=self.steps,
                output_type="latent",
                callback_on_step_end=lambda pipe, index, time, values: step() or values,
            )

        return self._timed(run)

    def scheduler(self) -> Any:
        from storefront.studio.kinds import flux1, z_image

        return z_image.SCHEDULER if self.model is Z_IMAGE else flux1.DEV_SCHEDULER

    def stock(self) -> float:
        """KSampler's way, on ComfyUI's own model with the same weights under their original names."""
        return self._sampled(self.native())

    def native(self) -> Any:
        import comfy.model_detection
        import comfy.model_management as mm
        import comfy.model_patcher
        import comfy.supported_models

        weights = original_weights(self.transformer)
        config = comfy.model_detection.detect_unet_config(weights, "")
        if self.tiny:
            config |= self.model.native_tiny
        settings = getattr(comfy.supported_models, self.model.native)(config)
        settings.set_inference_dtype(self.dtype, None)
        offload = mm.unet_offload_device()
        made = settings.get_model(weights, "", device=offload)
        patcher = comfy.model_patcher.CoreModelPatcher(made, load_device=self.device, offload_device=offload)
        weights = settings.process_unet_state_dict(weights)
        before = {name for name, _ in made.diffusion_model.named_parameters()}
        assert before <= weights.keys(), f"no weights for {sorted(before - weights.keys())[:5]}"
        made.load_model_weights(weights, "", assign=patcher.is_dynamic() if hasattr(patcher, "is_dynamic") else False)
        return patcher

    def ours(self) -> Any:
        from storefront.host import opening
        from storefront.studio.kinds.facts import ModelFacts
        from storefront.studio.kinds.table import editions

        edition = editions()[self.model.pipeline]
        facts = ModelFacts(edition, edition.defaults, self.scheduler())
        kind = "fp32" if self.dtype == torch.float32 else "bf16"
        return opening.model_of(self.transformer, facts, None, kind)

    def _sampled(self, patcher: Any) -> float:
        import comfy.sample

        latent, prompt = self.latent(), self.conditioning()

        def run(step: Callable[[], None]) -> None:
            noise = comfy.sample.prepare_noise(latent, 0)
            comfy.sample.sample(
                patcher, noise, self.steps, 1.0, "euler", "simple", prompt, prompt, latent,
                callback=lambda *_: step(), disable_pbar=True, seed=0,
            )  # fmt: skip

        return self._timed(run)

    def _timed(self, run: Callable[[Callable[[], None]], None]) -> float:
        """The median of the time from one step to the next, in the second of two runs."""
        for _ in range(2):
            ticks: list[float] = []

            def step(ticks: list[float] = ticks) -> None:
                if self.device.type == "cuda":
                    torch.cuda.synchronize()
                ticks.append(time.perf_counter())

            with torch.no_grad():
                run(step)
        return statistics.median(b - a for a, b in itertools.pairwise(ticks))

    def count_flops(self, patcher: Any) -> int:
        """Floating-point operations of one call of our model, attention included."""
        import comfy.model_management as mm
        from torch.utils.flop_counter import FlopCounterMode

        mm.load_models_gpu([patcher])
        inner = patcher.model
        text = {"c_crossattn": self.text(), **self.conditioning()[0][1], "guidance": torch.tensor([3.5])}
        if "pooled_output" in text:
            text["y"] = text.pop("pooled_output")
        if self.model is not Z_IMAGE:
            text.pop("attention_mask", None)
        inputs = {key: value.to(self.device) for key, value in text.items()}
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            inner.apply_model(self.latent().to(self.device), torch.tensor([0.7], device=self.device), **inputs)
        return counter.get_total_flops()


def card_memory() -> float:
    """GB of the card."""
    return torch.cuda.get_device_properties(0).total_memory / 2**30


def original_weights(transformer: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The weights under the names that ComfyUI's models have: the tables that LoRA files are read by, the other way round."""
    from storefront.studio.opening import lora

    names = lora.file_names(transformer)
    weights = transformer.state_dict()
    own = {name.removesuffix(".weight") for name in weights}
    ours = {name: names[name] for name in names if not name.startswith(("base_model.", "lora_transformer_"))}
    renamed = {part.layer for name, parts in ours.items() if name not in own for part in parts}
    out = {}
    for name, parts in ours.items():
        if name in renamed or name.endswith("linear1_qkv"):  # which is a part of linear1
            continue
        for kind in ("weight", "bias"):
            found = [weights.get(f"{part.layer}.{kind}") for part in parts]
            if all(tensor is not None for tensor in found):
                rows = [tensor[p.offset : p.offset + p.rows] for tensor, p in zip(found, parts, strict=True)]
                out[f"{name}.{kind}"] = torch.cat(rows)
    return {**out, **{name: weight for name, weight in weights.items() if name.endswith("pad_token")}}


def measure_speed(name: str, tiny: bool) -> dict[str, Any]:
    """Way -> seconds a step, or why there are none; and the operations of one."""
    import comfy.model_management as mm
    from storefront.host import acceleration, kernels, memory
    from storefront.studio.sampling.acceleration import FP8_MATMUL, REGIONAL, AccelerationSettings

    bench = Bench(name, tiny)
    seconds: dict[str, Any] = {}
    for way, measure in (("diffusers, eager", bench.diffusers), ("ComfyUI's own model, KSampler", bench.stock)):
        try:
            seconds[way] = measure()
        except torch.cuda.OutOfMemoryError:
            seconds[way] = "does not fit"
        mm.unload_all_models()
        mm.soft_empty_cache()
    patcher = bench.ours()
    flops = bench.count_flops(patcher)
    seconds["ours, eager"] = bench._sampled(patcher)
    kernel = next(name for name in ("cuDNN", "SDPA") if name in kernels.kernels())
    settings = (
        AccelerationSettings(attention=kernel) if tiny else AccelerationSettings(attention=kernel, compile=REGIONAL)
    )
    seconds["ours, accelerated"] = bench._sampled(acceleration.accelerate(patcher, settings))
    seconds["ours, accelerated, fp8"] = "not on this card"
    if FP8_MATMUL in kernels.matmuls() and not tiny:
        mm.unload_all_models()
        memory.store_as_fp8(patcher.model.diffusion_model)
        settings = AccelerationSettings(attention=kernel, compile=REGIONAL, matmul=FP8_MATMUL)
        seconds["ours, accelerated, fp8"] = bench._sampled(acceleration.accelerate(patcher, settings))
    return {"seconds": seconds, "flops": flops, "kernel": kernel}


def measure_memory(name: str, tiny: bool, cap: int) -> dict[str, Any]:
    """The most memory in use while a text is encoded and a picture sampled, in GB; the card gives no more than `cap`."""
    import comfy.model_management as mm
    from storefront.studio.sampling import encode
    from storefront.studio.kinds.z_image import Z_IMAGE as Z_IMAGE_FAMILY

    bench = Bench(name, tiny)
    patcher = bench.ours()
    text = None if bench.model is FLUX1 else bench._random(lambda: make_qwen3(tiny))
    for module in (patcher.model, text):  # to where ComfyUI keeps what it has not loaded
        if module is not None:
            module.to("cpu")
    if bench.device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        torch.cuda.set_per_process_memory_fraction(min(cap / card_memory(), 1.0))
    began = time.perf_counter()
    if text is not None:
        family = Z_IMAGE_FAMILY if bench.model is Z_IMAGE else bench.family
        encoder = encode.make_encoders(family, [text])
        clip = clip_of(encoder, bench.dtype)
        ids = torch.arange(bench.tokens)[None] % 500
        tokens = encode.Tokens(ids, (bench.tokens,), ("",), torch.ones_like(ids))
        clip.encode_from_tokens({encoder.part: tokens})
    seconds = bench._sampled(patcher)
    peak = torch.cuda.max_memory_allocated() / 2**30 if bench.device.type == "cuda" else None
    mm.unload_all_models()
    return {"peak": peak, "seconds": seconds, "whole": time.perf_counter() - began}


def make_qwen3(tiny: bool) -> torch.nn.Module:
    from transformers import Qwen3Config, Qwen3ForCausalLM

    settings = QWEN3_TINY if tiny else QWEN3
    return Qwen3ForCausalLM(Qwen3Config(**settings, max_position_embeddings=40960, rope_theta=1_000_000))


def clip_of(encoder: Any, dtype: torch.dtype) -> Any:
    import comfy.model_management as mm
    from storefront.host import memory
    from storefront.host.clip_socket import TextEncoders, Tokenizer, make_clip

    memory.adopt(encoder.language_model)
    device, offload = mm.text_encoder_device(), mm.text_encoder_offload_device()
    return make_clip(TextEncoders(encoder, dtype, offload), Tokenizer(None), device, offload)  # type: ignore[arg-type]


def become_comfyui(folder: str, reserve: float) -> None:
    """This process as a ComfyUI with the pack; `reserve`: GB of the card that it must leave to others."""
    sys.path[:0] = [folder, str(ROOT / "tools")]
    sys.argv = ["bench", "--base-directory", tempfile.mkdtemp(), "--reserve-vram", str(reserve)]
    if not torch.cuda.is_available():
        sys.argv.append("--cpu")
    import comfy.options

    comfy.options.enable_args_parsing()

    import utils.install_util  # noqa: F401, before nodes.py of ComfyUI 0.20 puts comfy/, which has a utils.py, on the path
    import server  # noqa: F401
    from pack import import_pack

    import_pack()


def work(args: argparse.Namespace) -> None:
    total = card_memory() if torch.cuda.is_available() else args.cap
    # Room for the context and for what torch cannot divide: a card of that size has it to spare as little.
    become_comfyui(args.comfyui, max(total - args.cap, 0) + 1.0 if args.cap else 1.0)
    for name in args.measure:
        outcome = measure_memory(name, args.tiny, args.cap) if args.cap else measure_speed(name, args.tiny)
        print("OUTCOME " + json.dumps([name, outcome]))


# --- the tables -------------------------------------------------------------------------------------------------------


def measured(args: argparse.Namespace, cap: int = 0) -> dict[str, dict[str, Any]]:
    """Name -> measurement; {"error": its last line} where it failed, as it may under a cap.

    A process for each, whose memory is its own; one for all where they are tiny.
    """
    outcomes: dict[str, dict[str, Any]] = {}
    for names in [list(MODELS)] if args.tiny else [[name] for name in MODELS]:
        command = [sys.executable, __file__, args.comfyui, "--cap", str(cap), "--measure", *names]
        done = subprocess.run(command + (["--tiny"] if args.tiny else []), capture_output=True, text=True)
        lines = [line.removeprefix("OUTCOME ") for line in done.stdout.splitlines() if line.startswith("OUTCOME ")]
        last = done.stderr.strip().splitlines()[-1:] or [f"ended with {done.returncode}"]
        outcomes |= {name: {"error": last[0]} for name in names} | dict(map(json.loads, lines))
    return outcomes


def speed_table(args: argparse.Namespace, peak: float | None) -> Iterator[str]:
    yield "| model | way | seconds a step | times diffusers | share of the card's bf16 peak |"
    yield "|---|---|---|---|---|"
    for name, outcome in measured(args).items():
        if "error" in outcome:
            yield f"| {name} | failed: {outcome['error']} | | | |"
            continue
        first = outcome["seconds"]["diffusers, eager"]
        for way, seconds in outcome["seconds"].items():
            if isinstance(seconds, str):
                yield f"| {name} | {way} | {seconds} | | |"
                continue
            ratio = f"{first / seconds:.2f}" if isinstance(first, float) else ""
            share = f"{outcome['flops'] / seconds / peak / 1e10:.0f} %" if peak else "not known"
            yield f"| {name} | {way} | {seconds:.4f} | {ratio} | {share} |"


def memory_table(args: argparse.Namespace) -> Iterator[str]:
    yield "| model | cap, GB | peak, GB | seconds a step |"
    yield "|---|---|---|---|"
    for cap in args.caps:
        for name, outcome in measured(args, cap).items():
            if "error" in outcome:
                yield f"| {name} | {cap} | failed: {outcome['error']} | |"
                continue
            peak = "not on a CPU" if outcome["peak"] is None else f"{outcome['peak']:.1f}"
            yield f"| {name} | {cap} | {peak} | {outcome['seconds']:.4f} |"


def machine() -> tuple[str, float | None]:
    """The name of what computes, and its bf16 peak in TFLOP/s where it is known."""
    if not torch.cuda.is_available():
        return "CPU", None
    name = torch.cuda.get_device_name(0)
    return name, next((peak for part, peak in PEAKS.items() if part in name), None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("comfyui", help="ComfyUI's folder")
    parser.add_argument("--tiny", action="store_true", help="small models, on a CPU too")
    parser.add_argument("--caps", type=int, nargs="+", default=CAPS, help="GB")
    parser.add_argument("--measure", choices=list(MODELS), nargs="+", help="these alone, in this process, as JSON")
    parser.add_argument("--cap", type=int, default=0, help="GB; with --measure: the memory, not the speed")
    args = parser.parse_args()
    if not torch.cuda.is_available() and not args.tiny:
        sys.exit(
            "There is no GPU here, so nothing was measured. --tiny runs the same code with small models on the CPU."
        )
    if args.measure:
        return work(args)
    name, peak = machine()
    size = "64 px, tiny models" if args.tiny else "1024 px"
    print(f"## {name}, {size}, torch {torch.__version__}\n", flush=True)
    for line in [*speed_table(args, peak), "", *memory_table(args)]:
        print(line, flush=True)


if __name__ == "__main__":
    main()
