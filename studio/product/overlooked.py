"""What a network passed over: a white product before white is found by its dark parts alone, and nothing of its mask is unsure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..scale import shrunk
from . import outline

if TYPE_CHECKING:
    import torch

LOOKED_AT_SIDE = 512  # pixels in which a photo is looked at
BACKDROP_RIM = 0.05  # of the side: where a backdrop shows whether it is plain
UNEVEN, SHARP = 0.06, 0.12  # levels of 0..1 a pixel: what a plain backdrop has not, and what no soft shadow has
MOST_UNEVEN = 0.02  # share of the rim: more of it, and the backdrop is none
OWN_EDGE = 0.02  # of the side: an edge nearer to the product is its own
TELL_MISSING = 0.01  # edges as a share of the product's area: none in 34 product photos cut out whole, 0.06 in one that lost its body


def share(picture: torch.Tensor, alpha: torch.Tensor) -> float:
    """Pixels of sharp edges away from the product and from the photo's border, as a share of the product's area.

    picture float32 [H, W, 3] and alpha [H, W] in 0..1. 0 where the backdrop is not plain: there, edges are its own.
    """
    import numpy as np
    from scipy import ndimage

    planes = np.moveaxis(shrunk(picture[None], LOOKED_AT_SIDE)[0].numpy(), -1, 0)
    product = shrunk(alpha[None, ..., None], LOOKED_AT_SIDE)[0, ..., 0].numpy()
    slope = np.max([np.hypot(ndimage.sobel(plane, 0), ndimage.sobel(plane, 1)) for plane in planes], axis=0) / 4
    away = product <= 0.05
    rim: np.ndarray = np.ones(product.shape, bool)
    width = max(1, round(BACKDROP_RIM * max(product.shape)))
    rim[width:-width, width:-width] = False
    rim &= away
    if not rim.any() or (slope[rim] > UNEVEN).mean() > MOST_UNEVEN:
        return 0.0
    sharp = (slope > SHARP) & ~ndimage.binary_dilation(~away, iterations=max(1, round(OWN_EDGE * max(product.shape))))
    parts, _ = ndimage.label(ndimage.binary_dilation(sharp, iterations=2))
    sharp &= ~outline.at_the_border(parts)
    return float(sharp.sum() / max(1, (product > 0.5).sum()))
