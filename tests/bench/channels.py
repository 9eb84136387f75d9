"""Decoding with the channels last in memory beside decoding as it is: `python tests/bench/channels.py [PIXELS]`.

FLUX.1's AutoencoderKL at full size with random weights, on a GPU in bf16 where there is one, else on one CPU core in fp32, whose
own time is counted, as other programs' share of it is not. Both in turn, the first pair left out.
"""

from __future__ import annotations

import statistics
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import torch
from diffusers import AutoencoderKL

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
from pack import import_pack

FLUX = {
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "layers_per_block": 2,
    "latent_channels": 16,
    "use_quant_conv": False,
    "use_post_quant_conv": False,
}
ROUNDS = 6


def main(pixels: int) -> None:
    import_pack()
    from storefront.studio.sampling.latents import channels_last as turning

    on_gpu = torch.cuda.is_available()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    vae = AutoencoderKL(**FLUX).eval().to("cuda" if on_gpu else "cpu", torch.bfloat16 if on_gpu else torch.float32)
    latents = torch.randn(1, 16, pixels // 8, pixels // 8, device=vae.device, dtype=vae.dtype)
    seconds: dict[bool, list[float]] = {False: [], True: []}
    pictures = {}
    for _ in range(ROUNDS):
        for turned, spent in seconds.items():
            start = _now(on_gpu)
            with torch.no_grad(), turning(vae) if turned else nullcontext():
                pictures[turned] = vae.decode(latents).sample
            spent.append(_now(on_gpu) - start)
    ratios = [last / plain for plain, last in zip(*(spent[1:] for spent in seconds.values()))]
    spread = pictures[False].float().std()
    off = (pictures[False] - pictures[True]).abs().max() / spread
    print(f"{pixels} px, {vae.device.type}, {vae.dtype}: as it is {statistics.median(seconds[False][1:]):.3f} s")
    print(f"channels last: {statistics.median(ratios):.2f} of it ({min(ratios):.2f} to {max(ratios):.2f});", end=" ")
    print(f"largest difference {off:.0e} of the picture's standard deviation")


def _now(on_gpu: bool) -> float:
    if not on_gpu:
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 192)
