"""What a picture's transparency, or a mask that came with it, means: a cut-out, nothing of note, or the background."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

TRANSPARENT = 0.1  # alpha below which a pixel counts as transparent
CUT_OUT = 0.05  # share of transparent pixels of a cut-out; round corners of a fifth of the side take 0.034
FRAME = 0.9  # share of a mask's border that is solid where the mask marks the background
OPENING = 0.01  # share of such a mask that the product leaves free


def is_cut_out(alpha: np.ndarray) -> bool:
    """Whether an alpha [H, W] in 0..1 shows a product without its background.

    A pixel that was erased, rounded corners and an alpha a little below 1 all over do not.
    """
    return float((alpha < TRANSPARENT).mean()) >= CUT_OUT


def marks_background(mask: np.ndarray) -> bool:
    """Whether a mask [H, W] in 0..1 is likely to be 1 where the product is not: solid along the picture's border, free
    within. So is the MASK of stock Load Image, which marks what is transparent."""
    import numpy as np

    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    return float((border > 0.5).mean()) > FRAME and float((mask < TRANSPARENT).mean()) > OPENING
