"""Pictures to look at, brought to the sizes that each family was trained to see."""

from __future__ import annotations

import math

import torch

from .. import images
from ..errors import InputError, require_one_of

MULTIPLE = 16  # pixels a transformer token covers on each side
FLUX2_AREA = 1024 * 1024  # pixels: a larger reference is made smaller, as Flux2Pipeline does
OWN_SIZE, AS_IT_IS = "the model's own", "as it is"
SIZES = [OWN_SIZE, AS_IT_IS]


def fit(image: torch.Tensor, for_flux2: bool, size: str) -> torch.Tensor:
    """IMAGE [B, H, W, 3] -> one that the model can look at, sides multiples of 16.

    FLUX.2 and Z-Image Omni: at most a megapixel (Lanczos), then cut to whole tokens around the middle. FLUX.1
    Kontext: stretched to that of its training's sizes whose proportions are nearest. "as it is": cut to whole tokens only.
    Raises InputError for pictures smaller than a token and for an unknown `size`.
    """
    require_one_of("size", size, SIZES)
    height, width = image.shape[1:3]
    if min(height, width) < MULTIPLE:
        raise InputError("image", f"{width}x{height} pixels", f"at least {MULTIPLE} on each side")
    if size == AS_IT_IS:
        return _whole_tokens(image)
    if not for_flux2:
        return _resize(image, *kontext_size(width, height))
    return _whole_tokens(at_most_a_megapixel(image))


def at_most_a_megapixel(image: torch.Tensor) -> torch.Tensor:
    """IMAGE [B, H, W, 3], made smaller (Lanczos) where it has more pixels: what FLUX.2 is then shown the middle of."""
    height, width = image.shape[1:3]
    if width * height <= FLUX2_AREA:
        return image
    scale = math.sqrt(FLUX2_AREA / (width * height))
    return _resize(image, int(width * scale), int(height * scale))


def kontext_size(width: int, height: int) -> tuple[int, int]:
    """Width and height, of the sizes FLUX.1 Kontext was trained on, whose proportions are nearest.

    Measured in whole tokens, as FluxKontextPipeline does.
    """
    from diffusers.pipelines.flux.pipeline_flux_kontext import PREFERRED_KONTEXT_RESOLUTIONS

    ratio = (width // MULTIPLE) / (height // MULTIPLE)
    _, w, h = min((abs(ratio - w / h), w, h) for w, h in PREFERRED_KONTEXT_RESOLUTIONS)
    return w, h


def _resize(image: torch.Tensor, width: int, height: int) -> torch.Tensor:
    from PIL import Image

    lanczos = Image.Resampling.LANCZOS
    pictures = [picture.resize((width, height), lanczos) for picture in images.to_pil(image)]
    return torch.cat([images.from_pil(picture) for picture in pictures])


def _whole_tokens(image: torch.Tensor) -> torch.Tensor:
    height, width = image.shape[1:3]
    rows, columns = height // MULTIPLE * MULTIPLE, width // MULTIPLE * MULTIPLE
    top, left = (height - rows) // 2, (width - columns) // 2
    return image[:, top : top + rows, left : left + columns]
