"""Noise: from the CPU and from each picture's own seed, so that it is the same on every machine and in every batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..canvas import Size
from .families import FLUX1

SEEDS = 2**64


def picture_generators(seed: int, indexes: Sequence[int]) -> list[torch.Generator]:
    """One generator for each index, seeded with seed + index (mod 2^64)."""
    return [torch.Generator("cpu").manual_seed((seed + index) % SEEDS) for index in indexes]


def picture_noise(shape: Sequence[int], seed: int, indexes: Sequence[int]) -> torch.Tensor:
    """Float32 standard normal [len(indexes), *shape]; row i depends on seed + indexes[i] alone."""
    return torch.cat([torch.randn(1, *shape, generator=generator) for generator in picture_generators(seed, indexes)])


def latent_mask(mask: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """A mask [B, H, W] or [B, 1, H, W] of any size -> [B, 1, height, width] cells, each its nearest pixel.

    Nearest, as FluxInpaintPipeline has it: ComfyUI's own bilinear resize would paint a soft rim around the mask.
    """
    return torch.nn.functional.interpolate(mask.reshape(-1, 1, *mask.shape[-2:]).float(), size=(height, width))


def empty_latent(size: Size, batch_size: int) -> torch.Tensor:
    """Zeros [batch_size, 16, height / 8, width / 8]: a canvas to start from."""
    cell = FLUX1.pixels_per_cell
    return torch.zeros(batch_size, FLUX1.latent_channels, size.height // cell, size.width // cell)
