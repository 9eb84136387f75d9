"""Pictures brought to another size, and softened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .canvas import Size
from .errors import InputError

if TYPE_CHECKING:
    import torch


def covering(image: torch.Tensor, size: Size) -> torch.Tensor:
    """IMAGE [B, H, W, C] scaled by Lanczos until it covers `size`, the rest cut off at both sides alike.

    In 8 bits a channel, as ComfyUI's own ImageScale does it (crop: center). The same picture where it has that size.
    """
    import numpy as np
    import torch
    from PIL import Image

    height, width = image.shape[1:3]
    if (width, height) == size:
        return image
    spare_x, spare_y = (
        max(0.0, width - height * size.width / size.height),
        max(0.0, height - width * size.height / size.width),
    )
    left, top = round(spare_x / 2), round(spare_y / 2)
    levels = (image[:, top : height - top, left : width - left] * 255).clamp(0, 255).byte().cpu().numpy()
    resized = [
        np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS), np.float32) for picture in levels
    ]
    return torch.from_numpy(np.stack(resized) / 255)


def stretched(image: torch.Tensor, size: Size) -> torch.Tensor:
    """IMAGE [B, H, W, C] at `size` by bicubic interpolation in floats, whatever its proportions; not clamped."""
    import torch

    if (image.shape[2], image.shape[1]) == size:
        return image
    return torch.nn.functional.interpolate(
        image.movedim(-1, 1), size=(size.height, size.width), mode="bicubic"
    ).movedim(1, -1)


def shrunk(image: torch.Tensor, side: int) -> torch.Tensor:
    """IMAGE [B, H, W, C] by area averages, so that its longer side has `side` pixels; the same picture if it has no more."""
    import torch

    height, width = image.shape[1:3]
    scale = side / max(width, height)
    if scale >= 1:
        return image
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    return torch.nn.functional.interpolate(image.movedim(-1, 1).float(), size, mode="area").movedim(1, -1)


def softened(image: torch.Tensor, radius: int, sigma: float) -> torch.Tensor:
    """IMAGE [B, H, W, C] under a Gaussian of `sigma` pixels, cut off at `radius` pixels; edges are mirrored.

    Raises InputError where the picture is not larger than the radius.
    """
    import torch

    if radius == 0:
        return image
    if min(image.shape[1:3]) <= radius:
        raise InputError("image", f"{image.shape[2]} x {image.shape[1]} pixels", f"more than {radius} pixels a side")
    channels = image.shape[-1]
    falloff = torch.exp(-(torch.arange(-radius, radius + 1).float() ** 2) / (2 * sigma**2))
    kernel = torch.outer(falloff, falloff)
    kernel = (kernel / kernel.sum()).expand(channels, 1, -1, -1).to(image)
    padded = torch.nn.functional.pad(image.movedim(-1, 1), (radius,) * 4, "reflect")
    return torch.nn.functional.conv2d(padded, kernel, groups=channels).movedim(1, -1)
