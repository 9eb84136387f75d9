"""IMAGE and MASK tensors <-> channel-first tensors <-> Pillow: the only conversions in the pack.

`IMAGE` is float32 [B, H, W, 3] in 0..1, as ComfyUI has it; channel-first pictures are float [B, 3, H, W] in -1..1, as
diffusers' VAEs have them; `MASK` is float32 [B, H, W] in 0..1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from PIL import Image


def to_channel_first(image: torch.Tensor) -> torch.Tensor:
    """IMAGE [B, H, W, 3] in 0..1 -> [B, 3, H, W] in -1..1."""
    return image.movedim(-1, 1) * 2 - 1


def from_channel_first(pixels: torch.Tensor) -> torch.Tensor:
    """[B, 3, H, W] in -1..1 -> IMAGE [B, H, W, 3], clamped to 0..1, on the CPU."""
    return (pixels.float() / 2 + 0.5).clamp(0, 1).movedim(1, -1).cpu()


def to_pil(image: torch.Tensor) -> list[Image.Image]:
    """IMAGE [B, H, W, 3] in 0..1 -> B Pillow pictures, each level rounded to the nearest."""
    from PIL import Image

    levels = (image.clamp(0, 1) * 255).round().byte().cpu().numpy()
    return [Image.fromarray(picture) for picture in levels]


def from_pil(picture: Image.Image) -> torch.Tensor:
    """A Pillow picture of any mode -> IMAGE [1, H, W, 3] in 0..1 (transparency is dropped)."""
    import numpy as np
    import torch

    return torch.from_numpy(np.asarray(picture.convert("RGB"), dtype=np.float32) / 255)[None]
