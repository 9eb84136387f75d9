"""A plan after its products were placed: where the words go where a product now stands in their box."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .. import contrast
from ..canvas import Box
from .layout import HEADLINE, Layout, Light
from .lettering import lettering
from .room import DEFAULT_MARGIN, meet, writable

if TYPE_CHECKING:
    import numpy as np

SHORT_WORD = 4  # em: what a band must have room for in one line,
LEAST_LETTER = 0.05  # with letters of this share of the shorter side
LEAST_ROOM_LEFT = 0.35  # of a text box that a product has come to stand in: with less left, the words go elsewhere


def adjusted(
    stands: tuple[Box, ...], light: Light, layout: Layout | None, width: int, height: int, picture: np.ndarray
) -> Layout:
    """The plan that came in with the boxes that were taken, behind those of products placed before; without one, words
    in the largest band that is free.

    Words that the plan had beside its products stay beside them where they were placed otherwise, by a size or an offset.
    """
    if layout is not None:
        done = layout.placed + len(stands)
        products = (*layout.products[: layout.placed], *stands, *layout.products[done:])
        ground = min(height, max(box.bottom for box in (*layout.products[: layout.placed], *stands)))
        placed = replace(layout, products=products, ground=ground, light=light, placed=done)
        text = layout.text
        if HEADLINE in layout.by_hand:
            return placed
        gap = round(min(width, height) * 0.03)
        planned_over = any(meet(box, text, gap) for box in layout.products)
        if layout.words_drawn or planned_over or not any(meet(box, text, gap) for box in stands):
            return placed
        taken = (*products, *(one.box for one in layout.overlays))
        area = writable(layout.safe, width, height)
        text = rest_of(text, taken, gap) or _near(text, _free_band(taken, area), height)
        shade, align, scrim = lettering(picture, text)
        return replace(placed, text=text, text_color=shade, text_align=align, scrim=scrim)
    ground = min(height, max(box.bottom for box in stands))
    text = _free_band(stands, writable(None, width, height))
    under = picture[text.y : text.bottom, text.x : text.right].reshape(-1, 3)
    shade, _ = contrast.best_color(under[:: max(1, len(under) // 4096)])
    return Layout(width, height, stands, ground, text, shade, "center", None, light, placed=len(stands))


def rest_of(text: Box, stands: tuple[Box, ...], gap: int) -> Box | None:
    """The largest part of a box beside, above or below the products that meet it; None where little is left."""
    met = [box for box in stands if meet(box, text, gap)]
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
