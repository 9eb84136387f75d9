"""Noise: from the CPU and from each picture's own seed, so that it is the same on every machine and in every batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..canvas import Size
from ..kinds.facts import Family
from ..kinds.table import DEFAULT_FAMILY

SEED_COUNT = 2**64


def picture_generators(seed: int, indexes: Sequence[int]) -> list[torch.Generator]:
    """One generator for each index, seeded with seed + index (mod 2^64)."""
    return [torch.Generator("cpu").manual_seed((seed + index) % SEED_COUNT) for index in indexes]


def picture_noise(shape: Sequence[int], seed: int, indexes: Sequence[int]) -> torch.Tensor:
    """Float32 standard normal [len(indexes), *shape]; row i depends on seed + indexes[i] alone."""
    return torch.cat([torch.randn(1, *shape, generator=generator) for generator in picture_generators(seed, indexes)])


def latent_mask(mask: torch.Tensor, height: int, width: int, family: Family = DEFAULT_FAMILY) -> torch.Tensor:
    """A mask [B, H, W] or [B, 1, H, W] of any size -> [B, 1, height, width] cells, as the family's reference does it.

    FLUX.1 and Z-Image take each cell's nearest pixel: ComfyUI's own bilinear resize would paint a soft rim around it.
    """
    pixels = mask.reshape(-1, 1, *mask.shape[-2:]).float()
    return torch.nn.functional.interpolate(pixels, size=(height, width), mode=family.mask_resize)


def empty_latent(size: Size, batch_size: int, family: Family = DEFAULT_FAMILY) -> torch.Tensor:
    """Zeros [batch_size, C, height / cell, width / cell]: a canvas to start from, for FLUX.1 16 channels and cells of 8."""
    cell = family.pixels_per_cell
    return torch.zeros(batch_size, family.latent_channels, size.height // cell, size.width // cell)
