"""A price badge: words on a shape, an old price crossed out above them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..canvas import Box
from ..contrast import LIGHT
from ..layout.layout import BADGE, Layout, Overlay
from ..layout.room import pixels_in
from ..layout.spots import Ask, find_spot
from ..text import fonts, markup
from ..text.design import AUTO
from ..text.estimate import HeadlineText
from ..text.layers import Area, Canvas, canvas_around, mask_of, rotated
from ..text.typeset import Block, Setting, Typesetter
from .brand import Brand, BrandColors
from .designs import Badge
from .laid import Laid, LaidPiece, lay, letters_on, outline_of, own_layout, pictures_of, shadow_of, visible_color
from .shapes import SHAPES, shape_mask, words_box

if TYPE_CHECKING:
    import numpy as np
    import torch

BADGE_SIDE = 0.215  # of the square root of the picture's area: the height of a circle
WIDE_HEIGHT = 0.09  # the same, the height of a shape that is as wide as its words
WIDEST_BADGE = 0.4  # of the picture's width
LONG_BADGE = 4.6  # em: longer words on one line get a pill
OLD_PRICE = 0.3  # of the words' height, for a price that is crossed out
OLD_PRICE_GROWS = 1.15  # times: a circle with two lines
BADGE_CLEAR = 0.02  # of the picture's shorter side
STRIKE = 0.075  # em: the line through an old price


def _shape_of(badge: Badge) -> str:
    """The shape, chosen by the words' length where it is automatic."""
    if badge.shape != AUTO:
        return badge.shape
    lines = _lines(badge)
    longest = max(HeadlineText(line, False).length(line) for line in lines)
    return "circle" if badge.old_price or len(lines) > 1 or longest <= LONG_BADGE else "pill"


def _lines(badge: Badge) -> list[str]:
    """The lines that are seen, without markup."""
    return [line for line in markup.TAG.sub("", markup.clean(badge.text)).splitlines() if line.strip()]


def badge_ask(badge: Badge, width: int, height: int) -> Ask:
    """How much room a badge takes in a picture of that size."""
    shape = _shape_of(badge)
    kind = SHAPES[shape]
    area = (width * height) ** 0.5
    chosen = (BADGE_SIDE if kind.aspect else WIDE_HEIGHT) * area
    if badge.old_price:
        chosen *= OLD_PRICE_GROWS if kind.aspect else 1 + OLD_PRICE
    high = badge.size / 100 * min(width, height) if badge.size else min(chosen, 0.45 * min(width, height))
    wide = high * kind.aspect
    if not kind.aspect:
        lines = _lines(badge)
        inner = high * (1 - kind.inner[1] - kind.inner[3]) * (1 - OLD_PRICE if badge.old_price else 1)
        em = 1.15 * inner / len(lines)
        longest = max(HeadlineText(line, False).length(line) for line in (*lines, badge.old_price or "x"))
        wide = high * (kind.inner[0] + kind.inner[2]) + em * longest
        if wide > WIDEST_BADGE * width:
            high, wide = high * WIDEST_BADGE * width / wide, WIDEST_BADGE * width
    clear = round(BADGE_CLEAR * min(width, height))
    return Ask(BADGE, max(8, round(wide)), max(8, round(high)), clear, badge.anchor)


def put_badge(
    image: torch.Tensor,
    badge: Badge,
    typeface: fonts.Typeface,
    layout: Layout | None = None,
    brand: Brand | None = None,
    product_mask: torch.Tensor | None = None,
) -> Laid:
    """A badge on each picture of IMAGE [B, H, W, 3], in the place that suits the first one.

    Raises InputError for words that do not fit and characters without a font.
    """
    pictures = pictures_of(image)
    height, width = pictures.shape[1:3]
    first = pictures[0].numpy()
    spot = find_spot(
        badge_ask(badge, width, height),
        first,
        own_layout(layout, width, height),
        outline_of(product_mask, width, height),
    )
    colors = BrandColors() if brand is None else brand.colors
    fill = badge.color
    if fill == AUTO:
        fill = visible_color(
            (colors.accent, colors.primary, colors.ink, colors.paper), pixels_in(first, spot.box), spot.is_by_hand
        )
    ink, notes = letters_on(fill, badge.text_color, (colors.paper, colors.ink, LIGHT))
    canvas, mask = _drawn(badge, spot.box, typeface, fill, ink)
    piece = LaidPiece(canvas, shadow_of(mask, spot.box.height), spot.box)
    return lay(pictures, piece, mask, spot.layout, Overlay(BADGE, spot.box), (*spot.notes, *notes))


def _drawn(badge: Badge, box: Box, typeface: fonts.Typeface, fill: str, ink: str) -> tuple[Canvas, np.ndarray]:
    """The badge in its box on a canvas with room for its shadow, and its mask."""
    shape = _shape_of(badge)
    area = Area(box.x, box.y, box.right, box.bottom)
    canvas = canvas_around(area, 0.2 * box.height, None, None)
    x, y = box.x - canvas.left, box.y - canvas.top
    mask = _zeros(canvas)
    mask[y : y + box.height, x : x + box.width] = shape_mask(shape, box.width, box.height)
    canvas.put(mask, fill)
    inner = words_box(shape, box.width, box.height)
    for letters in _letters(badge, inner._replace(x=x + inner.x, y=y + inner.y), typeface, canvas):
        canvas.put(letters, ink)
    if badge.rotation % 360:
        return rotated(canvas, mask, badge.rotation)
    return canvas, mask


def _zeros(canvas: Canvas) -> np.ndarray:
    import numpy as np

    return np.zeros((canvas.height, canvas.width), np.float32)


def _letters(badge: Badge, inner: Box, typeface: fonts.Typeface, canvas: Canvas) -> list[np.ndarray]:
    """Masks of the words, and of an old price above them with the line through it, in the middle of `inner`."""
    setting = Setting(weight=900, leading=1.12, align="center", emphasis=True)
    if not badge.old_price.strip():
        block = Typesetter(badge.text, typeface, setting).fit(inner.width, inner.height)
        top = inner.y + (inner.height - (block.bottom - block.top)) / 2
        return [_at(block, canvas, inner, top)]
    small = round(OLD_PRICE * inner.height)
    gap = 0.09 * inner.height
    block = Typesetter(badge.text, typeface, setting).fit(inner.width, inner.height - small - gap)
    plain = Setting(weight=600, align="center")
    old = Typesetter(badge.old_price, typeface, plain).fit(0.86 * inner.width, small * 0.8)
    tall = (old.bottom - old.top) + gap + (block.bottom - block.top)
    top = inner.y + (inner.height - tall) / 2
    struck = _at(old, canvas, inner, top)
    middle = inner.x + inner.width / 2
    half = (old.right - old.left) / 2 + 0.12 * old.size
    line = _zeros(canvas)
    y, thick = top + (old.bottom - old.top) / 2, max(1.5, STRIKE * old.size)
    line[round(y - thick / 2) : round(y + thick / 2), round(middle - half) : round(middle + half)] = 1
    return [struck, line, _at(block, canvas, inner, top + (old.bottom - old.top) + gap)]


def _at(block: Block, canvas: Canvas, inner: Box, top: float) -> np.ndarray:
    """A block's mask, its ink in the middle of `inner` from `top` down."""
    left = inner.x + (inner.width - (block.right - block.left)) / 2
    glyphs = [glyph._replace(x=glyph.x + left - block.left, y=glyph.y + top - block.top) for glyph in block.glyphs]
    return mask_of(canvas, glyphs)
