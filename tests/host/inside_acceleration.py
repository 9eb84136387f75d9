"""Accelerated MODELs inside a ComfyUI process: `python tests/host/inside_acceleration.py COMFYUI_FOLDER` prints JSON.

Run by test_acceleration.py, on flux-micro and on the tiny random pipelines of tests/studio/tiny.py. The references are
diffusers' pipelines with `enable_cache` on their own transformer.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator

from comfy_process import BASE

import comfy.model_management as mm
import comfy.sample
import comfy.samplers
import comfy.sd
import diffusers
import nodes
import tiny
import torch
import torch._inductor.config
from diffusers import FirstBlockCacheConfig, MagCacheConfig, TaylorSeerCacheConfig
from diffusers.hooks.mag_cache import FLUX_MAG_RATIOS
from original_layout import to_original
from safetensors.torch import load_file, save_file
from storefront.host import (
    acceleration,
    fp8_matmul,
    kernels,
    lora,
    model_files,
    opening,
    prompt_encoding,
    sampling,
    vae_socket,
)
from storefront.studio.errors import InputError
from storefront.studio.sampling import acceleration as studio_acceleration
from storefront.studio.sampling import fp8, noise
from storefront.studio.sampling.acceleration import KERNELS, AccelerationSettings
from storefront.studio.kinds.flux1 import unpack

PROMPT, OTHER, SEED, STEPS = "a red mug on a wooden table", "a blue lamp at the beach", 7, 20
FIRST_BLOCK = AccelerationSettings("first block", threshold=0.1)
TAYLORSEER = AccelerationSettings("taylorseer", interval=2)
MAGCACHE = AccelerationSettings("magcache", threshold=0.1)
CACHES = {"first block": FIRST_BLOCK, "taylorseer": TAYLORSEER, "magcache": MAGCACHE}
REPORTED = re.compile(r"(\d+) of (\d+) calls of the model computed, (\d+) skipped")


class Lines(logging.Handler):
    """What the nodes tell their users."""

    def __init__(self):
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())

    def counts(self) -> list[int]:
        """[computed, all, skipped] of the last run."""
        found = REPORTED.search(self.lines[-1]) if self.lines else None
        return [int(number) for number in found.groups()] if found else []


SAID = Lines()


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max())


def refusal(call, *arguments, **options) -> str:
    """The message of the InputError that is expected."""
    try:
        call(*arguments, **options)
    except InputError as error:
        return str(error)
    raise AssertionError("nothing was refused")


class Micro:
    """A model, its prompts, and pictures of it as normalised latents."""

    def __init__(self, name: str = model_files.BUNDLED):
        self.loaded = opening.load_model(name, "fp32")
        self.model, self.family = self.loaded.model, self.loaded.description.family
        self.folder = model_files.find(name)
        self.prompts = {text: self.encode(text) for text in (PROMPT, OTHER, "")}

    def encode(self, text: str) -> list:
        return prompt_encoding.encode_prompts(self.loaded.clip, [(text, text)], 0)[0][0]

    def draw(self, model=None, prompt: str = PROMPT, steps: int = STEPS, cfg: float = 1.0, seed: int = SEED, **options):
        SAID.lines.clear()
        cells = 64 // self.family.pixels_per_cell
        empty = {"samples": torch.zeros(1, self.family.latent_channels, cells, cells)}
        settings = {"seed": seed, "steps": steps, "guidance": 3.5, "cfg": cfg, "strength": 1.0, "time_limit": 0}
        conditioning = options.pop("conditioning", [self.prompts[prompt]])
        out, _ = sampling.sample(
            model or self.model,
            conditioning,
            [self.prompts[""]],
            empty,
            sampling.SamplerSettings(**{**settings, **options}),
        )
        return (out["samples"] - self.family.shift_factor) * self.family.scaling_factor

    def accelerated(self, settings: AccelerationSettings):
        return acceleration.accelerate(self.model, settings)

    def reference(self, config, pipeline_class: str, cfg: float) -> torch.Tensor:
        """The same by diffusers' own pipeline and its own cache contexts."""
        pipeline = getattr(diffusers, pipeline_class).from_pretrained(
            self.folder, local_files_only=True, torch_dtype=torch.float32
        )
        pipeline.set_progress_bar_config(disable=True)
        pipeline.transformer.enable_cache(config)
        options = {"guidance_scale": cfg}
        if pipeline_class == "FluxPipeline":
            options = {"guidance_scale": 3.5, "true_cfg_scale": cfg, "negative_prompt": "", "max_sequence_length": 64}
        last = {}
        pipeline(
            prompt=PROMPT,
            width=64,
            height=64,
            num_inference_steps=STEPS,
            generator=noise.picture_generators(SEED, [0]),
            output_type="latent",
            callback_on_step_end=lambda p, i, t, values: last.update(values) or values,
            **options,
        )
        cells = 64 // self.family.pixels_per_cell
        if pipeline_class == "FluxPipeline":
            return unpack(last["latents"], cells, cells)
        return last["latents"].transpose(1, 2).reshape(1, -1, cells, cells)


def traces(model) -> list[str]:
    """What a run may have left on the modules."""
    found = []
    for name, module in model.model.named_modules():
        found += [f"{name}.{key}" for key in ("forward", "_diffusers_hook") if key in module.__dict__]
        if getattr(module, "_cache_config", None) is not None:
            found.append(f"{name}._cache_config")
    return found


def without_effect(micro: Micro) -> dict:
    """Settings that may change nothing: the largest difference, with one prompt and with true CFG."""
    plain, guided = micro.draw(), micro.draw(cfg=3.0)
    cases = {
        "off": AccelerationSettings(),
        "SDPA": AccelerationSettings(attention="SDPA"),
        "first block, 0": AccelerationSettings("first block", threshold=0),
        "first block, next to 0": AccelerationSettings("first block", threshold=1e-9),
        "magcache, 0": AccelerationSettings("magcache", threshold=0),
        "taylorseer, 1": AccelerationSettings("taylorseer", interval=1),
    }
    out = {}
    for name, settings in cases.items():
        model = micro.accelerated(settings)
        out[name] = [difference(micro.draw(model), plain), difference(micro.draw(model, cfg=3.0), guided)]
    return out


def skipping(micro: Micro) -> dict:
    """Per cache: calls skipped, and how far latents and picture are from those of all steps."""
    plain = micro.draw()
    picture = micro.loaded.vae.decode(plain / micro.family.scaling_factor + micro.family.shift_factor)
    out = {}
    for name, settings in CACHES.items():
        drawn = micro.draw(micro.accelerated(settings))
        counts = SAID.counts()
        shown = micro.loaded.vae.decode(drawn / micro.family.scaling_factor + micro.family.shift_factor)
        distance = float((shown - picture).abs().mean())
        out[name] = {"counts": counts, "latents": float((drawn - plain).abs().mean()), "picture": distance}
    other = micro.loaded.vae.decode(micro.draw(seed=SEED + 1) / micro.family.scaling_factor + micro.family.shift_factor)
    return {**out, "another seed": float((other - picture).abs().mean())}


def leaks(micro: Micro) -> dict:
    """Runs one after another, one cancelled between them: each must draw what it draws alone."""
    plain = micro.draw()
    out = {}
    for name, settings in CACHES.items():
        model = micro.accelerated(settings)
        alone = {p: micro.draw(micro.accelerated(settings), prompt=p) for p in (PROMPT, OTHER)}
        first, second = micro.draw(model), micro.draw(model, prompt=OTHER)
        cancelled = cancel_at(micro, model, 9)
        again = micro.draw(model, prompt=OTHER)
        timed = micro.draw(model, time_limit=1e-6)
        after = micro.draw(model)
        out[name] = {
            "one after another": max(difference(first, alone[PROMPT]), difference(second, alone[OTHER])),
            "cancelled": cancelled,
            "after a cancelled run": difference(again, alone[OTHER]),
            "stopped early": difference(timed, alone[PROMPT]) > 0,
            "after a stopped run": difference(after, alone[PROMPT]),
            "plain model": difference(micro.draw(), plain),
            "traces": traces(micro.model),
            "incoming model": len(micro.model.wrappers),
        }
    return out


def cancel_at(micro: Micro, model, step: int) -> str:
    """Cancel as ComfyUI's progress bar does, from inside the loop: the name of what comes out."""

    def stop(index, *_):
        if index == step:
            raise mm.InterruptProcessingException

    positive = [micro.prompts[PROMPT]]
    empty = torch.zeros(1, 16, 8, 8)
    sampler, sigmas = comfy.samplers.ksampler("euler"), torch.linspace(1, 0, STEPS + 1)
    try:
        comfy.sample.sample_custom(
            model,
            torch.randn(1, 16, 8, 8),
            1.0,
            sampler,
            sigmas,
            positive,
            positive,
            empty,
            callback=stop,
            disable_pbar=True,
        )
    except BaseException as error:
        return type(error).__name__
    return "nothing"


def parity(micro: Micro) -> dict:
    """Against diffusers' pipelines with the same cache, at cfg 3: each of both prompts has a context of its own."""
    configs = {
        "first block": FirstBlockCacheConfig(threshold=0.1),
        "taylorseer": TaylorSeerCacheConfig(cache_interval=2, taylor_factors_dtype=torch.float32, use_lite_mode=True),
        "magcache": MagCacheConfig(threshold=0.1, mag_ratios=FLUX_MAG_RATIOS, num_inference_steps=STEPS),
    }
    plain = micro.draw(cfg=3.0)
    out = {}
    for name, config in configs.items():
        ours = micro.draw(micro.accelerated(CACHES[name]), cfg=3.0)
        theirs = micro.reference(config, "FluxPipeline", 3.0)
        out[name] = {"difference": difference(ours, theirs), "effect": difference(ours, plain), "counts": SAID.counts()}
    base = "FLUX.2 klein base"
    tiny.BUILDERS[base](BASE / "models" / "diffusers" / base)
    klein = Micro(base)
    ours = klein.draw(klein.accelerated(TAYLORSEER), cfg=4.0)
    counts = SAID.counts()
    theirs = klein.reference(configs["taylorseer"], "Flux2KleinPipeline", 4.0)
    effect = difference(ours, klein.draw(cfg=4.0))
    out[base] = {"difference": difference(ours, theirs), "effect": effect, "counts": counts}
    out["refusals"] = {
        name: refusal(acceleration.accelerate, klein.model, CACHES[name]) for name in ("first block", "magcache")
    }
    tiny.BUILDERS["Z-Image Turbo"](BASE / "models" / "diffusers" / "Z-Image Turbo")
    z_image = Micro("Z-Image Turbo")
    out["refusals"]["Z-Image"] = refusal(acceleration.accelerate, z_image.model, FIRST_BLOCK)
    sdpa = z_image.draw(z_image.accelerated(AccelerationSettings(attention="SDPA")), steps=3)
    out["Z-Image, SDPA"] = difference(sdpa, z_image.draw(steps=3))
    return out


def stock_sampler(micro: Micro) -> dict:
    def sample(model, sampler: str, cfg: float = 3.0):
        SAID.lines.clear()
        empty = {"samples": torch.zeros(1, 16, 8, 8)}
        prompts = [micro.prompts[PROMPT]], [micro.prompts[""]]
        drawn = nodes.KSampler().sample(model, SEED, 8, cfg, sampler, "simple", *prompts, empty)[0]["samples"]
        return drawn * micro.family.scaling_factor

    out: dict = {}
    never, cached = (
        micro.accelerated(AccelerationSettings("first block", threshold=1e-9)),
        micro.accelerated(AccelerationSettings("first block", threshold=0.3)),
    )
    for sampler in ("euler", "heun"):
        out[sampler] = {"never": difference(sample(never, sampler), sample(micro.model, sampler))}
        out[sampler] |= {"finite": bool(torch.isfinite(sample(cached, sampler)).all()), "counts": SAID.counts()}
    out["taylorseer with heun"] = refusal(sample, micro.accelerated(TAYLORSEER), "heun")
    out["traces"] = traces(micro.model)
    return out


def refusals(micro: Micro) -> dict:
    weights = load_file(next((micro.folder / "transformer").glob("*.safetensors")))
    save_file(to_original(weights), BASE / "micro.safetensors")
    stock = comfy.sd.load_diffusion_model(str(BASE / "micro.safetensors"))
    missing = [name for name in KERNELS if name not in kernels.kernels()]
    accelerate = acceleration.accelerate
    return {
        "stock model": refusal(accelerate, stock, FIRST_BLOCK),
        "warm-up of a stock model": refusal(acceleration.warm_up, stock, 64, 64, 1, 0),
        "size": refusal(acceleration.warm_up, micro.model, 65, 64, 1, 0),
        "cache": refusal(accelerate, micro.model, AccelerationSettings("teacache")),
        "threshold": refusal(accelerate, micro.model, AccelerationSettings("first block", threshold=-0.5)),
        "nan": refusal(accelerate, micro.model, AccelerationSettings("first block", threshold=float("nan"))),
        "interval": refusal(accelerate, micro.model, AccelerationSettings("taylorseer", interval=0)),
        "compile": refusal(accelerate, micro.model, AccelerationSettings(compile="everything")),
        "kernels": {name: refusal(accelerate, micro.model, AccelerationSettings(attention=name)) for name in missing},
        "ControlNet": refusal(micro.draw, micro.accelerated(FIRST_BLOCK), conditioning=with_control_net(micro)),
        "ControlNet without a cache": bool(
            torch.isfinite(
                micro.draw(
                    micro.accelerated(AccelerationSettings(attention="SDPA")), conditioning=with_control_net(micro)
                )
            ).all()
        ),
        "traces": traces(micro.model),
    }


def with_control_net(micro: Micro) -> list:
    from comfy_extras.nodes_sd3 import ControlNetApplySD3

    pipeline = diffusers.FluxPipeline.from_pretrained(micro.folder, local_files_only=True, torch_dtype=torch.float32)
    net = diffusers.FluxControlNetModel.from_transformer(
        pipeline.transformer, num_layers=1, num_single_layers=1, attention_head_dim=128, num_attention_heads=1
    )
    path = BASE / "models" / "controlnet" / "net.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous() for name, value in net.state_dict().items()}, path)
    control = nodes.ControlNetLoader().load_controlnet("net.safetensors")[0]
    prompt = [micro.prompts[PROMPT]]
    image = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(4))
    return ControlNetApplySD3().apply_controlnet(prompt, prompt, control, image, 0.8, 0.0, 1.0, vae=micro.loaded.vae)[0]


def write_lora() -> str:
    random = torch.Generator().manual_seed(0)
    weights = {}
    for layer, rows, columns in (
        ("transformer_blocks.0.attn.to_q", 128, 128),
        ("single_transformer_blocks.1.proj_out", 128, 640),
    ):
        weights[f"transformer.{layer}.lora_A.weight"] = torch.randn(4, columns, generator=random) * 0.3
        weights[f"transformer.{layer}.lora_B.weight"] = torch.randn(rows, 4, generator=random) * 0.3
    (BASE / "models" / "loras").mkdir(parents=True, exist_ok=True)
    save_file(weights, BASE / "models" / "loras" / "tried.safetensors")
    return "tried.safetensors"


def fp8_products(_: Micro) -> dict:
    """flux-micro in fp8 storage, its layers multiplied in 8 bits as on a card that can: CPUs can too, if slowly."""
    loaded = opening.load_model(model_files.BUNDLED, "fp8 storage")
    velocity = loaded.model.model.diffusion_model
    prompt, _ = prompt_encoding.encode_prompts(loaded.clip, [(PROMPT, PROMPT)], 0)
    (sequence, options), x = prompt[0], torch.randn(1, 16, 8, 8, generator=torch.Generator().manual_seed(0))
    text = {"c_crossattn": sequence, "y": options["pooled_output"], "guidance": torch.tensor([3.5])}

    @torch.no_grad()
    def flow(model) -> torch.Tensor:
        return model.model.apply_model(x, torch.tensor([0.7]), **text)

    def both(model) -> list[float]:
        """How far 8 bits are from the same weights in full products, relative to the size; and what stays behind."""
        plain = flow(model)
        with fp8_matmul.multiplying(velocity):
            drawn = flow(model)
        return [float((drawn - plain).norm() / plain.norm()), difference(flow(model), plain)]

    mm.load_models_gpu([loaded.model])
    out: dict = {
        "layers": len(fp8.layers(velocity)),
        "alone": both(loaded.model),
        "traced": traced(velocity, flow, loaded),
    }
    changed = with_lora(loaded.model, 0.7)
    mm.load_models_gpu([changed])
    out["LoRA"] = both(changed)
    mm.unload_all_models()
    changed.load(device_to=torch.device("cpu"), lowvram_model_memory=1)
    out["patched on their way"] = sum(bool(layer.weight_function) for layer in fp8.layers(velocity))
    out["LoRA, streamed"] = both(changed)
    changed.unpatch_model(torch.device("cpu"))
    mm.unload_all_models()
    out["offered"] = kernels.matmuls()
    out["refused"] = refusal(acceleration.accelerate, loaded.model, AccelerationSettings(matmul="fp8"))
    out["traces"] = traces(loaded.model)
    return out


def traced(velocity, flow, loaded) -> dict:
    """A block as torch.compile sees it, first without and then with 8-bit products: each must be itself."""
    plain = flow(loaded.model)
    with fp8_matmul.multiplying(velocity):
        small = flow(loaded.model)
    blocks = studio_acceleration.blocks_of(velocity.transformer)[-1:]
    for block in blocks:
        block.forward = torch.compile(block.forward, backend="eager")
    out = {"plain": difference(flow(loaded.model), plain)}
    with fp8_matmul.multiplying(velocity):
        out["fp8"] = difference(flow(loaded.model), small)
    out["plain again"] = difference(flow(loaded.model), plain)
    for block in blocks:
        del block.forward
    torch._dynamo.reset()
    return out


def with_lora(model, strength: float):
    return lora.apply_rows(model, None, [lora.Row("lora_1", write_lora(), strength, 0.0)])[0]


def order(micro: Micro) -> dict:
    """LoRA before and after the node; compiled and not."""
    everything = AccelerationSettings("first block", threshold=0.1, compile="regional")
    out = {}
    for name, settings in (("cache", FIRST_BLOCK), ("cache and compile", everything)):
        before = micro.draw(acceleration.accelerate(with_lora(micro.model, 1.0), settings))
        after = micro.draw(with_lora(micro.accelerated(settings), 1.0))
        weaker = micro.draw(with_lora(micro.accelerated(settings), 0.4))
        without = micro.draw(micro.accelerated(settings))
        out[name] = {"before and after": difference(before, after), "traces": traces(micro.model)}
        drawn = {"LoRA": after, "weaker": weaker, "none": without}
        if name == "cache":
            uncompiled = drawn
        else:
            out["compiled"] = {key: difference(value, uncompiled[key]) for key, value in drawn.items()}
    out["LoRA's effect"] = difference(uncompiled["LoRA"], uncompiled["none"])
    return out


def graphs() -> int:
    return torch._dynamo.utils.counters["stats"]["unique_graphs"]


def compiling(micro: Micro) -> dict:
    plain = micro.draw()
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    model = micro.accelerated(AccelerationSettings(compile="regional"))
    out = {"warm-up": acceleration.warm_up(model, 64, 64, 1, 64), "graphs": graphs()}
    out["difference"] = difference(micro.draw(model), plain)
    out["graphs after"] = graphs()
    out["said"] = list(SAID.lines)
    torch._dynamo.reset()
    with torch._inductor.config.patch({"cpp.cxx": ("no-such-compiler",), "force_disable_caches": True}):
        model = micro.accelerated(AccelerationSettings(compile="regional"))
        out["without a compiler"] = difference(micro.draw(model), plain)
        out["told"] = list(SAID.lines)
        out["again"] = difference(micro.draw(model), plain)
    torch._dynamo.reset()
    out["traces"] = traces(micro.model)
    return out


def channels(micro: Micro) -> dict:
    """The VAE with its channels last: the same pictures, the plain one beside it as it was."""
    vae, samples = micro.loaded.vae, torch.randn(2, 16, 8, 12, generator=torch.Generator().manual_seed(SEED))
    turned = acceleration.turn_channels(vae, "last")
    seen: list[bool] = []

    def look(_, inputs, output):
        seen.append(inputs[0].is_contiguous(memory_format=torch.channels_last) and not inputs[0].is_contiguous())

    convolution = vae.first_stage_model.vae.decoder.up_blocks[0].resnets[0].conv2
    watching = convolution.register_forward_hook(look)
    plain = vae.decode(samples)
    last, afterwards = turned.decode(samples), vae.decode(samples)
    watching.remove()
    pixels = plain[..., :3]
    out = {
        "seen": seen,
        "off": difference(last, plain),
        "tiles": difference(turned.decode_tiled(samples, tile_x=8, tile_y=8, overlap=2), last),
        "encoded": difference(turned.encode(pixels), vae.encode(pixels)),
        "afterwards": difference(afterwards, plain),
        "same patcher": turned.patcher is vae.patcher,
        "again": acceleration.turn_channels(turned, "last") is turned,
        "auto": acceleration.turn_channels(vae, "auto") is vae,
        "ours": difference(vae_socket.decode(turned, samples, "auto")[0], plain),
    }
    try:
        turned.first_stage_model.decode(torch.zeros(1, 5, 8, 8))
    except RuntimeError:
        out["hooks"] = sum(len(part._forward_pre_hooks) for part in vae.first_stage_model.modules())
    out["refused"] = [
        refusal(acceleration.turn_channels, None, "last"),
        refusal(acceleration.turn_channels, vae, "first"),
    ]
    return out


def measurements() -> Iterator[tuple[str, dict]]:
    logging.getLogger().addHandler(SAID)
    logging.getLogger().setLevel(logging.INFO)
    micro = Micro()
    for measure in (
        without_effect,
        skipping,
        leaks,
        parity,
        stock_sampler,
        refusals,
        order,
        fp8_products,
        channels,
        compiling,
    ):
        yield measure.__name__, measure(micro)


print("FIGURES " + json.dumps(dict(measurements())))
