"""Free room in a picture: the rectangles that nothing in them lies in."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import TYPE_CHECKING

from ..canvas import Box, Safe
from ..images import some_pixels

if TYPE_CHECKING:
    import numpy as np

DEFAULT_MARGIN = 0.05  # of the shorter side, free at the edges where no plan says otherwise
MOST_RECTANGLES = 160  # of one search are followed, the largest ones
PARTS = 14  # rows of boxes that stand for a product's outline


def writable(safe: Safe | None, width: int, height: int) -> Box:
    """What a plan leaves for words; inside DEFAULT_MARGIN where none says."""
    if safe is None:
        edge = DEFAULT_MARGIN * min(width, height)
        safe = Safe(edge / height, edge / width, edge / height, edge / width)
    x, y = round(safe.left * width), round(safe.top * height)
    return Box(x, y, max(1, round((1 - safe.right) * width) - x), max(1, round((1 - safe.bottom) * height) - y))


def meet(one: Box, other: Box, gap: int = 0) -> bool:
    """Whether there are fewer than `gap` pixels between two boxes; with 0 whether they overlap."""
    across = max(one.x - other.right, other.x - one.right)
    down = max(one.y - other.bottom, other.y - one.bottom)
    return max(across, down) < gap


def free_boxes(area: Box, taken: Iterable[Box], gap: int = 0) -> list[Box]:
    """The largest rectangles of `area` that keep `gap` pixels from each box of `taken`, the largest first.

    No two of them hold one another; they may overlap. Empty where nothing is free.
    """
    free = [area]
    for box in taken:
        pieces: list[Box] = []
        for one in free:
            pieces += [one] if not meet(one, box, gap) else _around(one, box, gap)
        pieces = sorted(set(pieces), key=lambda b: (-b.width * b.height, b))[:MOST_RECTANGLES]
        free = [one for index, one in enumerate(pieces) if not any(_holds(other, one) for other in pieces[:index])]
    return free


def _around(one: Box, box: Box, gap: int) -> list[Box]:
    """What is left of `one` above, below, left and right of `box`."""
    left, top, right, bottom = box.x - gap, box.y - gap, box.right + gap, box.bottom + gap
    parts = (
        (one.x, one.y, min(one.right, left), one.bottom),
        (max(one.x, right), one.y, one.right, one.bottom),
        (one.x, one.y, one.right, min(one.bottom, top)),
        (one.x, max(one.y, bottom), one.right, one.bottom),
    )
    return [Box(x, y, x2 - x, y2 - y) for x, y, x2, y2 in parts if x2 > x and y2 > y]


def _holds(outer: Box, inner: Box) -> bool:
    return outer.x <= inner.x and outer.y <= inner.y and outer.right >= inner.right and outer.bottom >= inner.bottom


def outline_boxes(mask: np.ndarray) -> list[Box]:
    """Boxes that cover a product's mask [H, W] row by row: what is free beside a bottle's neck is then free."""
    import numpy as np

    solid = mask > 0.1
    rows = np.flatnonzero(solid.any(1))
    if not len(rows):
        return []
    edges = np.linspace(rows[0], rows[-1] + 1, PARTS + 1).round().astype(int)
    boxes = []
    for top, bottom in pairwise(edges):
        columns = np.flatnonzero(solid[top:bottom].any(0))
        if len(columns):
            boxes.append(Box(int(columns[0]), int(top), int(columns[-1] + 1 - columns[0]), int(bottom - top)))
    return boxes


def pixels_in(picture: np.ndarray, box: Box) -> np.ndarray:
    """[N, 3] of the picture [H, W, 3] in a box, thinned to some thousand; the box is cut to the picture."""
    rows, columns = slice(max(0, box.y), max(0, box.bottom)), slice(max(0, box.x), max(0, box.right))
    return some_pixels(picture[rows, columns], 4096)
