"""Figures of the core, measured side by side in one run: `python tests/bench/core.py COMFYUI_FOLDER`.

Ratios are medians over interleaved pairs, since the machine's speed drifts. A benchmark, not a test: it judges nothing.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))


def median_ratio(first, second, pairs: int) -> tuple[float, float, float]:
    """Median seconds of each and the median of first / second, taken pair by pair."""
    times = []
    for _ in range(pairs):
        row = []
        for call in (first, second):
            start = time.perf_counter()
            call()
            row.append(time.perf_counter() - start)
        times.append(row)
    return (
        statistics.median(a for a, _ in times),
        statistics.median(b for _, b in times),
        statistics.median(a / b for a, b in times),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("comfyui", type=Path)
    parser.add_argument("--side", type=int, default=512, help="pixels; 512 gives steps of more than 50 ms on two cores")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--pairs", type=int, default=5)
    args = parser.parse_args()
    sys.path.insert(0, str(args.comfyui))
    sys.argv = ["bench", "--cpu", "--base-directory", tempfile.mkdtemp()]
    import comfy.options

    comfy.options.enable_args_parsing()
    import server  # noqa: F401, before the pack, as ComfyUI does
    import torch
    from pack import import_pack

    import_pack()
    import comfy.model_management as mm
    from diffusers import FluxPipeline
    from storefront.host import opening, prompt_encoding, sampling, vae_socket
    from storefront.studio.canvas import Size
    from storefront.studio.sampling.noise import empty_latent

    loaded = opening.load_model("flux-micro", "fp32")
    velocity = loaded.model.model.diffusion_model
    encoders = loaded.clip.cond_stage_model
    from storefront.studio.opening.models import ModelFiles, describe
    from storefront.studio.sampling.schedule import make_scheduler

    checkpoint = describe(ModelFiles.whole(ROOT / "models" / "flux-micro"))
    tokenizers = [encoder.read(None) for encoder in checkpoint.encoders]
    reference = FluxPipeline(
        scheduler=make_scheduler(checkpoint.scheduler_config),
        text_encoder=encoders.studio.clip_l,
        tokenizer=tokenizers[0],
        text_encoder_2=encoders.studio.t5xxl,
        tokenizer_2=tokenizers[1],
        transformer=velocity.transformer,
        vae=loaded.vae.first_stage_model.vae,
    )
    reference.set_progress_bar_config(disable=True)
    size = Size(args.side, args.side)
    prompts = iter(f"a red mug on a wooden table {i}" for i in range(10_000))

    def ours() -> None:
        conditioning, _ = prompt_encoding.encode_prompts(loaded.clip, [(text := next(prompts), text)], 0)
        latent, _ = sampling.sample(
            loaded.model,
            conditioning,
            None,
            {"samples": empty_latent(size, 1)},
            sampling.SamplerSettings(1, args.steps, 3.5, 1.0, 1.0),
        )
        vae_socket.decode(loaded.vae, latent["samples"], "auto")

    def theirs() -> None:
        reference(
            next(prompts),
            width=size.width,
            height=size.height,
            num_inference_steps=args.steps,
            max_sequence_length=64,
            generator=torch.Generator().manual_seed(1),
        )

    with torch.no_grad():
        ours()
        theirs()
        mine, other, ratio = median_ratio(ours, theirs, args.pairs)
    print(
        f"{args.side} px, {args.steps} steps ({1000 * other / args.steps:.0f} ms a step, encode and decode included): "
        f"ours {mine:.2f} s, FluxPipeline on the same modules {other:.2f} s, ratio {ratio:.3f}"
    )

    loads = []
    original = mm.LoadedModel.model_load

    def counted(self, *arguments, **options):
        before = self.model_loaded_memory()
        result = original(self, *arguments, **options)
        loads.append(self.model_loaded_memory() - before)
        return result

    mm.LoadedModel.model_load = counted
    with torch.no_grad():
        ours()
    print(f"a second prompt: {sum(loads)} bytes of weights loaded again")
    loads.clear()
    pixels = torch.rand(1, args.side, args.side, 3)
    with torch.no_grad():
        conditioning, _ = prompt_encoding.encode_prompts(loaded.clip, [("a blue mug", "a blue mug")], 0)
        sampling.sample(
            loaded.model,
            conditioning,
            None,
            {"samples": loaded.vae.encode(pixels)},
            sampling.SamplerSettings(1, args.steps, 3.5, 1.0, 0.6),
        )
    print(f"from text-to-image to image-to-image: {sum(loads)} bytes of weights loaded again")
    print(f"peak memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")


if __name__ == "__main__":
    main()
