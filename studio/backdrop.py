"""What was drawn, or photographed, becomes the scene of an advertisement: the part that serves, in the size that is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .canvas import Size
from .errors import require_one_of
from .scale import covering, softened, stretched

if TYPE_CHECKING:
    import torch


class Backdrop(NamedTuple):
    """Which part of what a model draws serves as a scene."""

    left: float = 0.0  # shares of the width that are kept
    right: float = 1.0
    blur: int = 0  # pixels: how far the softening reaches
    sigma: float = 1.0  # pixels


WHOLE = Backdrop()
FREE_GROUND = Backdrop(
    0.0, 0.25, 2, 3.0
)  # flux-micro puts a product into every picture; the ground to its left is free
MINIATURE = 128  # pixels: a picture whose shorter side is less is taken for one of flux-micro's
AUTO, WHOLE_PICTURE, GROUND_LEFT = "auto", "whole picture", "ground at the left edge"
BACKDROP_PARTS = (AUTO, WHOLE_PICTURE, GROUND_LEFT)


def backdrop(image: torch.Tensor, part: Backdrop, size: Size) -> torch.Tensor:
    """IMAGE [B, H, W, C] -> [B, size.height, size.width, C] in 0..1: the part, softened, and stretched to the size."""
    width = image.shape[2]
    kept = image[:, :, round(part.left * width) : round(part.right * width)]
    return stretched(softened(kept, part.blur, part.sigma), size).clamp(0, 1)


def to_size(image: torch.Tensor, size: Size, part: str = AUTO) -> torch.Tensor:
    """IMAGE [B, H, W, C] as a scene of `size` pixels.

    "whole picture": scaled until it covers the size, the rest cut off at both sides alike. "ground at the left edge": see
    FREE_GROUND. "auto": that for miniatures, all of the picture for others. Raises InputError for another `part`.
    """
    require_one_of("part", part, BACKDROP_PARTS)
    if part == GROUND_LEFT or (part == AUTO and min(image.shape[1:3]) < MINIATURE):
        return backdrop(image, FREE_GROUND, size)
    return covering(image, size)
