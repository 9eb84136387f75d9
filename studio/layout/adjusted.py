"""A plan after its products were placed: where the words go where a product now stands in their box."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .. import contrast
from ..canvas import Box, Safe
from .layout import Layout, Light
from .lettering import lettering

if TYPE_CHECKING:
    import numpy as np

DEFAULT_MARGIN = 0.05  # of the shorter side, free at the edges and beside a product where no plan says otherwise
SHORT_WORD = 4  # em: what a band must have room for in one line,
LEAST_LETTER = 0.05  # with letters of this share of the shorter side
LEAST_ROOM_LEFT = 0.35  # of a text box that a product has come to stand in: with less left, the words go elsewhere


def adjusted(
    stands: tuple[Box, ...], light: Light, layout: Layout | None, width: int, height: int, picture: np.ndarray
) -> Layout:
    """The plan that came in with the boxes that were taken; without one, words in the largest band that is free.

    Words that the plan had beside its products stay beside them where they were placed otherwise, by a size or an offset.
    """
    ground = min(height, max(box.bottom for box in stands))
    if layout is not None:
        placed = replace(layout, products=stands, ground=ground, light=light)
        text = layout.text
        gap = round(min(width, height) * 0.03)
        if any(_meet(box, text, gap) for box in layout.products) or not any(_meet(box, text, gap) for box in stands):
            return placed
        area = _writable(layout.safe, width, height)
        text = _rest(text, stands, gap) or _near(text, _free_band(stands, area), height)
        shade, align, scrim = lettering(picture, text)
        return replace(placed, text=text, text_color=shade, text_align=align, scrim=scrim)
    text = _free_band(stands, _writable(None, width, height))
    under = picture[text.y : text.bottom, text.x : text.right].reshape(-1, 3)
    shade, _ = contrast.best_color(under[:: max(1, len(under) // 4096)])
    return Layout(width, height, stands, ground, text, shade, "center", None, light)


def _writable(safe: Safe | None, width: int, height: int) -> Box:
    """What a plan leaves for words; inside MARGIN where none says."""
    if safe is None:
        edge = DEFAULT_MARGIN * min(width, height)
        safe = Safe(edge / height, edge / width, edge / height, edge / width)
    x, y = round(safe.left * width), round(safe.top * height)
    return Box(x, y, max(1, round((1 - safe.right) * width) - x), max(1, round((1 - safe.bottom) * height) - y))


def _meet(product: Box, text: Box, gap: int) -> bool:
    """Whether there are fewer than `gap` pixels between two boxes."""
    across = max(product.x - text.right, text.x - product.right)
    down = max(product.y - text.bottom, text.y - product.bottom)
    return max(across, down) < gap


def _rest(text: Box, stands: tuple[Box, ...], gap: int) -> Box | None:
    """The largest part of a box beside, above or below the products that meet it; None where little is left."""
    met = [box for box in stands if _meet(box, text, gap)]
    left, top = min(box.x for box in met) - gap, min(box.y for box in met) - gap
    right, bottom = max(box.right for box in met) + gap, max(box.bottom for box in met) + gap
    parts = [
        (text.x, text.y, min(text.right, left), text.bottom),
        (max(text.x, right), text.y, text.right, text.bottom),
        (text.x, text.y, text.right, min(text.bottom, top)),
        (text.x, max(text.y, bottom), text.right, text.bottom),
    ]
    x, y, x2, y2 = max(parts, key=lambda part: max(0, part[2] - part[0]) * max(0, part[3] - part[1]))
    if max(0, x2 - x) * max(0, y2 - y) < LEAST_ROOM_LEFT * text.width * text.height:
        return None
    return Box(x, y, x2 - x, y2 - y)


def _near(text: Box, band: Box, height: int) -> Box:
    """The part of a free band, about as high as the words' box, that lies nearest to it."""
    high = min(band.height, max(text.height, height // 3))
    y = min(max(text.y + text.height // 2 - high // 2, band.y), band.bottom - high)
    return Box(band.x, y, band.width, high)


def _free_band(stands: tuple[Box, ...], area: Box) -> Box:
    """The roomiest of the bands of `area` above, below and beside all products; its upper part where none has room."""
    edge = round(min(area.width, area.height) * DEFAULT_MARGIN)
    left, top = min(box.x for box in stands) - edge, min(box.y for box in stands) - edge
    right, bottom = max(box.right for box in stands) + edge, max(box.bottom for box in stands) + edge
    bands = [
        (area.x, area.y, area.right, min(area.bottom, top)),
        (area.x, max(area.y, bottom), area.right, area.bottom),
        (area.x, area.y, min(area.right, left), area.bottom),
        (max(area.x, right), area.y, area.right, area.bottom),
    ]

    def room(band: tuple[int, int, int, int]) -> float:
        """Pixels an em of a short word: a high strip beside a product has less of them than a flat one above it."""
        return min((band[2] - band[0]) / SHORT_WORD, band[3] - band[1])

    x, y, x2, y2 = best = max(bands, key=room)
    if room(best) < LEAST_LETTER * min(area.width, area.height):
        return Box(area.x, area.y, area.width, max(1, area.height // 4))
    return Box(x, y, x2 - x, y2 - y)
