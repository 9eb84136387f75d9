"""Products from several photos as one batch: each whole, in proportion to the others, on canvases of one size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..cancelling import check_cancel
from ..canvas import Box
from ..errors import InputError, require_one_of
from ..layout.layout import MOST_PRODUCTS
from .sprite import Product, cut_outs, resampled

if TYPE_CHECKING:
    import numpy as np
    import torch

SAME_HEIGHT, AS_PHOTOGRAPHED = "same height", "as in the photos"
PROPORTIONS_OF_PRODUCTS = (SAME_HEIGHT, AS_PHOTOGRAPHED)
LONGEST_CANVAS_SIDE, MOST_CANVAS_PIXELS = 2048, 64_000_000  # of a canvas; of all together
ENOUGH = 1280  # pixels of the tallest product, for an advertisement of a format
CANVAS_MARGIN = 4  # pixels, on sides at which no photo cuts the product off
TALLEST_OF_SMALLEST = 100.0  # a real height may be so many times another


class Gathered(NamedTuple):
    """Products of one size of canvas."""

    product: torch.Tensor  # IMAGE [P, H, W, 3], straight colours
    mask: torch.Tensor  # MASK [P, H, W]
    notes: tuple[str, ...] = ()  # sentences for the user


def heights_of(text: str, count: int) -> list[float] | None:
    """One number a line, or None of an empty text. Raises InputError unless there are `count` of them, above 0."""
    lines = [line.strip() for line in text.replace(";", "\n").splitlines() if line.strip()]
    if not lines:
        return None
    numbers = []
    for line in lines:
        try:
            number = float(line.replace(",", "."))
        except ValueError:
            raise InputError("heights", line, "a number in each line, such as 22.5") from None
        if not (math.isfinite(number) and number > 0):
            raise InputError("heights", line, "a height above 0")
        numbers.append(number)
    if len(numbers) != count:
        raise InputError("heights", f"{len(numbers)} lines", f"{count}, one for each product, or none")
    if max(numbers) > TALLEST_OF_SMALLEST * min(numbers):
        raise InputError(
            "heights", f"{min(numbers):g} and {max(numbers):g}", f"at most {TALLEST_OF_SMALLEST:g} times the smallest"
        )
    return numbers


def gather(
    products: Sequence[torch.Tensor],
    masks: Sequence[torch.Tensor],
    sizes: str = SAME_HEIGHT,
    heights: str = "",
) -> Gathered:
    """Cut-outs [B, h, w, 3] with their mattes [B or 1, h, w], of any sizes -> one batch, cropped to the products.

    sizes: one of PROPORTIONS_OF_PRODUCTS; heights, a number a line in any unit, count instead where there are any. A
    product that its photo cuts off ends at the canvas there, so that it is still known to be cut. Raises InputError
    where lists, masks or heights do not go together, and for more than MOST_PRODUCTS.
    """
    import numpy as np
    import torch

    if len(products) != len(masks):
        raise InputError("product_mask", f"{len(masks)} masks", f"{len(products)}, one for each picture of `product`")
    require_one_of("sizes", sizes, PROPORTIONS_OF_PRODUCTS)
    cuts = [cut for product, mask in zip(products, masks) for cut in cut_outs(product, mask)]
    if not 1 <= len(cuts) <= MOST_PRODUCTS:
        raise InputError("product", f"{len(cuts)} pictures", f"1 to {MOST_PRODUCTS}")
    wanted = _sizes(cuts, sizes, heights_of(heights, len(cuts)))
    width, height = (max(size[axis] for size in wanted) + 2 * CANVAS_MARGIN for axis in (0, 1))
    pictures: np.ndarray = np.zeros((len(cuts), height, width, 3), np.float32)
    mattes: np.ndarray = np.zeros((len(cuts), height, width), np.float32)
    for index, (cut, (wide, high)) in enumerate(zip(cuts, wanted)):
        rgb, alpha = _resized(cut, wide, high)
        x, y = _corner(cut.cut, width - wide, height - high)
        pictures[index, y : y + high, x : x + wide] = rgb
        mattes[index, y : y + high, x : x + wide] = alpha
    largest = max(high / len(cut.alpha) for cut, (_, high) in zip(cuts, wanted))
    notes = (f"a photo is enlarged {largest:.1f} times: take a larger one",) if largest > 2 else ()
    return Gathered(torch.from_numpy(pictures), torch.from_numpy(mattes), notes)


def _sizes(cuts: Sequence[Product], sizes: str, heights: list[float] | None) -> list[tuple[int, int]]:
    """Width and height of each in pixels. The coarsest photo keeps its pixels; finer ones lose what no advertisement shows."""
    shapes = [cut.alpha.shape for cut in cuts]
    if heights is None and sizes == SAME_HEIGHT:
        heights = [1.0] * len(cuts)
    if heights is None:
        factors = [1.0] * len(cuts)
    else:
        fine = [shape[0] / own for shape, own in zip(shapes, heights)]  # pixels a unit of height
        unit = min(max(fine), max(min(fine), ENOUGH / max(heights)))
        factors = [unit * own / shape[0] for shape, own in zip(shapes, heights)]
    wide, high = (max(shape[axis] * factor for shape, factor in zip(shapes, factors)) for axis in (1, 0))
    scale = min(1.0, LONGEST_CANVAS_SIDE / max(wide, high), math.sqrt(MOST_CANVAS_PIXELS / (len(cuts) * wide * high)))
    return [
        (max(1, round(shape[1] * factor * scale)), max(1, round(shape[0] * factor * scale)))
        for shape, factor in zip(shapes, factors)
    ]


def _resized(cut: Product, wide: int, high: int) -> tuple[np.ndarray, np.ndarray]:
    """Colours and alpha in another size: resampled premultiplied, so that no hidden colour comes out."""
    import numpy as np

    if cut.alpha.shape == (high, wide):
        return cut.rgb, cut.alpha
    check_cancel()
    planes = (*np.moveaxis(cut.rgb * cut.alpha[..., None], -1, 0), cut.alpha)
    small = [resampled(plane, Box(0, 0, wide, high)) for plane in planes]
    check_cancel()
    alpha = np.clip(small[3], 0, 1)
    return np.clip(np.stack(small[:3], -1) / np.maximum(small[3], 1e-4)[..., None], 0, 1), alpha


def _corner(cut: frozenset[str], right: int, down: int) -> tuple[int, int]:
    """Where a product begins: on the ground and in the middle; at the canvas where its photo cuts it off."""
    x = 0 if "left" in cut else right if "right" in cut else right // 2
    y = 0 if "top" in cut and "bottom" not in cut else down if "bottom" in cut else down - CANVAS_MARGIN
    return x, y
