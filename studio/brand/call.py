"""A call to action: what the reader is to do next, as a button."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..canvas import Box
from ..contrast import LIGHT
from ..layout.layout import CALL_TO_ACTION, Layout, Overlay
from ..layout.room import pixels_in
from ..layout.spots import Ask, find_spot
from ..text import fonts
from ..text.design import AUTO
from ..text.estimate import HeadlineText
from ..text.layers import Area, Canvas, canvas_around, mask_of
from ..text.typeset import Setting, Typesetter
from .brand import Brand, BrandColors
from .designs import BAR, CallToAction
from .laid import Laid, LaidPiece, lay, letters_on, outline_of, own_layout, pictures_of, shadow_of, visible_color
from .shapes import fineness, shape_mask

if TYPE_CHECKING:
    import numpy as np
    import torch

CALL_HEIGHT = 0.078  # of the square root of the picture's area
CALL_LETTERS = 0.46  # em of a button's height
CALL_SIDES = 0.62  # of the height, left and right of the words
CHEVRON = (0.26, 0.36)  # em: the arrow's height, and the space before it
CALL_CLEAR = 0.022  # of the picture's shorter side
WIDEST_CALL = 0.9  # of the picture's width


def call_ask(call: CallToAction, width: int, height: int) -> Ask:
    """How much room a call to action takes in a picture of that size, about: its font is not known yet."""
    high = call.size / 100 * min(width, height) if call.size else CALL_HEIGHT * (width * height) ** 0.5
    em = CALL_LETTERS * high
    words = HeadlineText(call.text, False)
    wide = em * words.sentence_length + 2 * CALL_SIDES * high + (em * sum(CHEVRON) if call.arrow else 0)
    most = WIDEST_CALL * width
    if call.shape == BAR:
        wide = most
    elif wide > most:
        high, wide = high * most / wide, most
    clear = round(CALL_CLEAR * min(width, height))
    return Ask(CALL_TO_ACTION, max(8, round(wide)), max(8, round(high)), clear, call.anchor)


def put_call(
    image: torch.Tensor,
    call: CallToAction,
    typeface: fonts.Typeface,
    layout: Layout | None = None,
    brand: Brand | None = None,
    product_mask: torch.Tensor | None = None,
) -> Laid:
    """A call to action on each picture of IMAGE [B, H, W, 3], in the place that suits the first one.

    Raises InputError for characters without a font.
    """
    pictures = pictures_of(image)
    height, width = pictures.shape[1:3]
    first = pictures[0].numpy()
    outline = outline_of(product_mask, width, height)
    spot = find_spot(call_ask(call, width, height), first, own_layout(layout, width, height), outline)
    colors = BrandColors() if brand is None else brand.colors
    fill = call.color
    if fill == AUTO:
        fill = visible_color(
            (colors.primary, colors.paper, colors.ink, colors.accent), pixels_in(first, spot.box), spot.is_by_hand
        )
    ink, notes = letters_on(fill, call.text_color, (colors.paper, colors.ink, LIGHT))
    canvas, mask = _button(call, spot.box, typeface, fill, ink)
    piece = LaidPiece(canvas, shadow_of(mask, spot.box.height), spot.box)
    return lay(pictures, piece, mask, spot.layout, Overlay(CALL_TO_ACTION, spot.box), (*spot.notes, *notes))


def _button(call: CallToAction, box: Box, typeface: fonts.Typeface, fill: str, ink: str) -> tuple[Canvas, np.ndarray]:
    """The button in its box on a canvas with room for its shadow, and its mask."""
    import numpy as np

    canvas = canvas_around(Area(box.x, box.y, box.right, box.bottom), 0.3 * box.height, None, None)
    x, y = box.x - canvas.left, box.y - canvas.top
    mask: np.ndarray = np.zeros((canvas.height, canvas.width), np.float32)
    kind = "rounded" if call.shape == BAR else call.shape
    mask[y : y + box.height, x : x + box.width] = shape_mask(kind, box.width, box.height)
    canvas.put(mask, fill)
    em = CALL_LETTERS * box.height
    arrow = em * sum(CHEVRON) if call.arrow else 0.0
    room = box.width - 2 * 0.42 * box.height - arrow
    setting = Setting(weight=700, largest=em)
    block = Typesetter(call.text, typeface, setting).fit(room, 0.72 * box.height)
    arrow = arrow * block.size / em
    wide = block.right - block.left
    left = x + (box.width - wide - arrow) / 2
    top = y + (box.height - (block.bottom - block.top)) / 2
    glyphs = [glyph._replace(x=glyph.x + left - block.left, y=glyph.y + top - block.top) for glyph in block.glyphs]
    canvas.put(mask_of(canvas, glyphs), ink)
    if call.arrow:
        canvas.put(_chevron(canvas, left + wide + CHEVRON[1] * block.size, y + box.height / 2, block.size), ink)
    return canvas, mask


def _chevron(canvas: Canvas, left: float, middle: float, em: float) -> np.ndarray:
    """[H, W] in 0..1: a ">" from `left`, its point at the height `middle`."""
    import numpy as np
    from PIL import Image, ImageDraw

    finer = fineness(canvas.width, canvas.height)
    picture = Image.new("L", (canvas.width * finer, canvas.height * finer))
    high, thick = CHEVRON[0] * em, max(1.0, 0.085 * em)
    points = [(left, middle - high), (left + high, middle), (left, middle + high)]
    ends = [(px * finer, py * finer) for px, py in points]
    draw = ImageDraw.Draw(picture)
    draw.line(ends, 255, round(thick * finer), joint="curve")
    reach = math.floor(thick * finer / 2)
    for px, py in ends:
        draw.ellipse((px - reach, py - reach, px + reach, py + reach), 255)
    return np.asarray(picture.reduce(finer), np.float32) / 255
