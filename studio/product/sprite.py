"""A product cut out of its photo, and as it stands in the picture: sized, rotated, in the scene's light."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from ..cancelling import check_cancel
from ..canvas import LEAST_ALPHA, Box, cut_sides
from ..errors import InputError
from ..images import require_colors, require_mask, require_one_each
from . import color

if TYPE_CHECKING:
    import numpy as np
    import torch

    from .placement import Placement


class Product(NamedTuple):
    """A cut-out, cropped to its matte."""

    rgb: np.ndarray  # [h, w, 3] sRGB in 0..1, straight
    alpha: np.ndarray  # [h, w] in 0..1
    cut: frozenset[str] = (
        frozenset()
    )  # sides at which its photo cuts it off: flush with the frame where nobody asks otherwise


class Sprite(NamedTuple):
    """A product at its final size, in linear light and premultiplied, and where its corner stands in the picture."""

    light: np.ndarray  # [h, w, 3]
    alpha: np.ndarray  # [h, w]
    x: int
    y: int
    exact: np.ndarray | None  # [h, w, 3] sRGB, where nothing was resampled or recoloured


def cut_outs(product: torch.Tensor, mask: torch.Tensor) -> list[Product]:
    """Products with their mattes, each cropped to what is not transparent. Raises InputError where they do not match."""
    import numpy as np

    pictures = require_colors("product", product).numpy()
    mattes = require_mask("product_mask", mask)
    count, height, width = pictures.shape[:3]
    require_one_each("product_mask", mattes, count, width, height, "product")
    products = []
    for index, picture in enumerate(pictures):
        check_cancel()
        alpha = mattes[index if len(mattes) > 1 else 0]
        rows, columns = np.flatnonzero((alpha > LEAST_ALPHA).any(1)), np.flatnonzero((alpha > LEAST_ALPHA).any(0))
        if not len(rows):
            raise InputError("product_mask", f"empty (picture {index})", "a mask with a product in it (1 = product)")
        part: tuple[slice, slice] = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        products.append(Product(picture[part], alpha[part], cut_sides(alpha)))
    return products


def rotated_size(shape: tuple[int, ...], degrees: float) -> tuple[float, float]:
    """Width and height of what a picture of shape [h, w] takes when it is rotated."""
    turn = math.radians(degrees)
    c, s = abs(math.cos(turn)), abs(math.sin(turn))
    return shape[1] * c + shape[0] * s, shape[1] * s + shape[0] * c


def sprite_of(product: Product, box: Box, background: np.ndarray, placement: Placement) -> Sprite:
    """The product resampled premultiplied, in linear light: colours of transparent pixels never bleed in."""
    import numpy as np

    rgb, alpha, _ = product
    if placement.flip:
        rgb, alpha = rgb[:, ::-1], alpha[:, ::-1]
    part, _ = overlap(alpha.shape, box.x, box.y, *background.shape[:2])
    scene = background[_grown(part, box, background.shape)]
    matched = color.match_light(rgb, alpha, scene, placement.color_match)
    light = color.to_linear(matched) * alpha[..., None]
    same = abs(placement.rotation) % 360 < 1e-6 and alpha.shape == (box.height, box.width)
    if same:
        exact = rgb if placement.color_match == 0 else None
        return Sprite(np.ascontiguousarray(light), np.ascontiguousarray(alpha), box.x, box.y, exact)
    planes = [resampled(plane, box, placement.rotation) for plane in (*np.moveaxis(light, -1, 0), alpha)]
    alpha = np.clip(planes[3], 0, 1)
    check_cancel()
    # Lanczos overshoots at an edge, colour and alpha alike: what alpha loses by clipping, colour loses too.
    kept = alpha / np.maximum(planes[3], 1e-6)
    light = np.clip(np.stack(planes[:3], -1) * kept[..., None], 0, alpha[..., None])
    return Sprite(light, alpha, box.x, box.y, None)


def _grown(part: tuple[slice, slice], box: Box, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """The scene around a box, half of its size to each side: what lights the product."""
    rows, columns = part
    return (
        slice(max(0, rows.start - box.height // 2), min(shape[0], rows.stop + box.height // 2)),
        slice(max(0, columns.start - box.width // 2), min(shape[1], columns.stop + box.width // 2)),
    )


def resampled(plane: np.ndarray, box: Box, rotation: float = 0.0) -> np.ndarray:
    """Turned, then Lanczos to the box's size, with area averaging when it shrinks."""
    import numpy as np
    from PIL import Image

    check_cancel()
    picture = Image.fromarray(np.ascontiguousarray(plane, np.float32))
    if abs(rotation) % 360 > 1e-6:
        picture = picture.rotate(rotation, Image.Resampling.BICUBIC, expand=True)
        check_cancel()
    return np.asarray(picture.resize((box.width, box.height), Image.Resampling.LANCZOS), np.float32)


def overlap(
    shape: tuple[int, ...], x: int, y: int, height: int, width: int
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """What a piece at (x, y) covers of the picture, and which part of the piece that is."""
    rows = slice(max(0, y), max(0, min(height, y + shape[0])))
    columns = slice(max(0, x), max(0, min(width, x + shape[1])))
    return (rows, columns), (slice(rows.start - y, rows.stop - y), slice(columns.start - x, columns.stop - x))
