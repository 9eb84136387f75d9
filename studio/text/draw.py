"""Letters on a picture: fill, outline, shadow, glow, box, scrim; colours that can be read."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from .. import contrast
from ..cancelling import check_cancel
from ..canvas import Box
from ..contrast import Scrim
from ..errors import InputError
from ..images import require_picture, some_pixels
from . import fonts, markup
from .color_glyphs import ColorFont
from .colors import colors_for, opposite
from .design import (
    AUTO,
    PRESETS,
    Design,
    Planned,
    TextPlan,
    alignment,
    by_hand,
    follows,
    is_rotated,
    position,
    room_in,
    text_box,
)
from .layers import (
    Area,
    Canvas,
    blended,
    blurred,
    canvas_around,
    mask_of,
    moved_by,
    put_pictures,
    rotated,
    round_box,
    soft_box,
    veil_for,
)
from .typeset import SMALLEST_SIZE, Block, Setting, Typesetter

if TYPE_CHECKING:
    import numpy as np
    import torch

LARGE_LETTER = 0.045  # letters are large from here on, as WCAG means it: those of more than this share of the picture's shorter side, however many pixels that has


class Lettered(NamedTuple):
    """Pictures with words on them."""

    image: torch.Tensor  # IMAGE [B, H, W, 3]
    mask: torch.Tensor  # MASK [B, H, W], 1 = letter
    layer: torch.Tensor  # [B, H, W, 4], straight alpha
    notes: list[str]
    ink: Box  # around the words of all pictures, with the box behind them
    blocks: list[DrawnBlock]  # of each picture


class DrawnBlock(NamedTuple):
    """How the words of one picture came out."""

    box: Box  # that they were fitted into
    ink: Area  # around their letters, before any rotation
    size: float  # pixels an em
    color: str  # "#rrggbb", of letters without a colour of their own
    scrim: Scrim  # under them; opacity 0: none
    note: str = ""


def overlay(
    image: torch.Tensor,
    texts: list[str],
    design: Design,
    typeface: fonts.Typeface,
    layout: Planned | None = None,
) -> Lettered:
    """Each picture of IMAGE [B, H, W, 1, 3 or 4] with its text; transparency is left away.

    One text is written on all pictures, several texts on a picture each; one picture is repeated for several texts.
    Raises InputError for a text that does not fit, for characters without a font, and for counts that differ.
    """
    import numpy as np
    import torch

    pictures = require_picture("image", image)
    if not texts or (len(texts) > 1 and len(pictures) not in (1, len(texts))):
        raise InputError("text", f"{len(texts)} texts", f"one text, or one for each of {len(pictures)} pictures")
    if len(pictures) < len(texts):
        pictures = pictures.expand(len(texts), -1, -1, -1)
    height, width = pictures.shape[1:3]
    if min(width, height) < SMALLEST_SIZE:
        raise InputError(
            "image", f"{width} x {height} pixels", f"at least {SMALLEST_SIZE:g} pixels a side, for one letter"
        )
    plan = None if layout is None else layout.text_on(width, height)
    if plan is not None and follows(design, plan) and plan.hand.words and len(texts) == 1:
        texts = [plan.hand.words]
    design = by_hand(design, plan)
    preset = PRESETS[design.preset]
    box = text_box(design, plan, width, height)
    setting = Setting(
        weight=design.weight or preset.weight,
        size=design.size,
        largest=preset.largest * height,
        leading=design.leading or preset.leading,
        tracking=design.tracking or preset.tracking,
        align=alignment(design, plan),
        vertical=design.vertical,
        padding=max(design.outline, design.box_padding if design.box_opacity else 0.0),
        emphasis=preset.emphasis,
    )
    blocks = [Typesetter(text, typeface, setting).fit(*room_in(design, box)) for text in texts]
    out = np.array(pictures.numpy(), order="C")  # a copy: the input may be in use elsewhere
    # numpy's zeros take no memory where nothing is written, torch's do.
    masks, layers = np.zeros(out.shape[:3], np.float32), np.zeros((*out.shape[:3], 4), np.float32)
    drawn: list[DrawnBlock] = []
    inks: list[Area] = []
    for index, (picture, mask, layer) in enumerate(zip(out, masks, layers)):
        check_cancel()
        block = blocks[index if len(blocks) > 1 else 0]
        inks.append(_area_of(block, box, design, plan))
        drawn.append(_draw(picture, mask, layer, block, box, design, plan))
    notes = list(dict.fromkeys(one.note for one in drawn if one.note))
    ink = _around(inks, width, height)
    return Lettered(torch.from_numpy(out), torch.from_numpy(masks), torch.from_numpy(layers), notes, ink, drawn)


def _area_of(block: Block, box: Box, design: Design, plan: TextPlan | None) -> Area:
    """Where a block's ink lies on the picture, a box behind it included; the whole box of words that are turned."""
    if is_rotated(design):
        return Area(box.x, box.y, box.right, box.bottom)
    x, y = position(design, plan, box, block)
    ink = Area(x, y, x + block.right - block.left, y + block.bottom - block.top)
    return ink.grown(block.padding + 1)  # letters are smoothed over a pixel


def _around(inks: list[Area], width: int, height: int) -> Box:
    """The box around areas, inside the picture."""
    left, top = max(0, math.floor(min(one.left for one in inks))), max(0, math.floor(min(one.top for one in inks)))
    right = min(width, math.ceil(max(one.right for one in inks)))
    bottom = min(height, math.ceil(max(one.bottom for one in inks)))
    return Box(left, top, max(1, right - left), max(1, bottom - top))


def lines_of(text: str) -> list[str]:
    """A text's lines that have words, each for a picture of its own. Raises InputError where there is none."""
    lines = [line for line in markup.clean(text).split("\n") if line.strip()]
    if not lines:
        raise InputError("text", text, "a line of words for each picture")
    return lines


def _draw(
    picture: np.ndarray,
    mask: np.ndarray,
    layer: np.ndarray,
    block: Block,
    box: Box,
    design: Design,
    plan: TextPlan | None,
) -> DrawnBlock:
    """Write the block on `picture` [H, W, 3], into `mask` [H, W] and `layer` [H, W, 4], in place."""
    size, is_at_angle = block.size, is_rotated(design)
    wide, high = block.right - block.left, block.bottom - block.top
    x, y = position(design, plan, box, block)
    ink = Area(x, y, x + wide, y + high)
    inks = [glyph.color for glyph in block.glyphs if glyph.color]
    large = size > LARGE_LETTER * min(picture.shape[:2])
    color, scrim, note = colors_for(design, plan, inks, _pixels_under(picture, ink), large)
    shadow = design.shadow
    if shadow < 0:  # a dark shadow lifts light letters and muddies dark ones
        shadow = PRESETS[design.preset].shadow if opposite(color) == contrast.DARK else 0.0
    padding = design.box_padding * size if design.box_opacity else 0.0

    reach = math.ceil(max(padding, design.outline * size, shadow and size * 0.35, design.glow and size * 0.6) + 3)
    veil = veil_for(ink, size, picture.shape[1], picture.shape[0], not is_at_angle) if scrim.opacity else None
    canvas = canvas_around(ink, reach, veil, None if is_at_angle else picture.shape[:2])
    shift_x, shift_y = x - block.left - canvas.left, y - block.top - canvas.top
    glyphs = [glyph._replace(x=glyph.x + shift_x, y=glyph.y + shift_y) for glyph in block.glyphs]

    letters = mask_of(canvas, glyphs)
    stroked = mask_of(canvas, glyphs, design.outline * size) if design.outline else letters
    if veil is not None:
        canvas.put(soft_box(canvas, veil) * scrim.opacity, scrim.color)
    if design.box_opacity:
        fill = design.box_color if design.box_color != AUTO else opposite(color)
        canvas.put(round_box(canvas, ink, padding, design.box_radius * size) * design.box_opacity, fill)
    if shadow:
        soft = blurred(stroked, size * 0.06)
        canvas.put(moved_by(soft, round(size * 0.025), round(size * 0.045)) * shadow, design.shadow_color)
    if design.glow:
        wide_glow = (blurred(stroked, size * 0.14) * 2.2).clip(0, 1)
        canvas.put(wide_glow * design.glow, design.glow_color if design.glow_color != AUTO else opposite(color))
    if design.outline:
        canvas.put(stroked, design.outline_color if design.outline_color != AUTO else opposite(color))
    plain = [glyph for glyph in glyphs if not isinstance(glyph.font, ColorFont)]
    own_colors = list(dict.fromkeys(glyph.color for glyph in plain))
    for own in own_colors:
        part = [glyph for glyph in plain if glyph.color == own]
        canvas.put(letters if len(part) == len(glyphs) else mask_of(canvas, part), own or color)
    put_pictures(canvas, glyphs)

    if is_at_angle:
        canvas, letters = rotated(canvas, letters, design.rotation)
    _lay_down(canvas, letters, design, picture, mask, layer)
    return DrawnBlock(box, ink, size, color, scrim, note)


def _lay_down(
    canvas: Canvas, letters: np.ndarray, design: Design, picture: np.ndarray, mask: np.ndarray, layer: np.ndarray
) -> None:
    """The canvas on its place of picture, mask and layer, in place."""
    import numpy as np

    left, top = canvas.left, canvas.top
    rows = slice(max(0, top), max(0, min(picture.shape[0], top + canvas.height)))
    columns = slice(max(0, left), max(0, min(picture.shape[1], left + canvas.width)))
    inner = (slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left))
    mask[rows, columns] = letters[inner]
    base, own = picture[rows, columns], layer[rows, columns]
    alpha = canvas.alpha[inner]
    own[..., 3] = alpha * design.opacity
    rest: np.ndarray = 1 - own[..., 3]
    divisor = np.maximum(alpha, 1e-6)
    check_cancel()
    for channel, plane in enumerate(canvas.rgb[(slice(None), *inner)]):
        np.minimum(plane / divisor, 1, out=own[..., channel])
        if design.blend == "normal":
            base[..., channel] *= rest
            base[..., channel] += plane * design.opacity
    if design.blend != "normal":
        base[...] = blended(base, own[..., :3], own[..., 3:], design.blend)
    np.clip(base, 0, 1, out=base)  # rounding may leave 1.0000001


def _pixels_under(picture: np.ndarray, ink: Area) -> np.ndarray:
    """[N, 3] of the picture under the ink's box, thinned to some thousand."""
    height, width = picture.shape[:2]
    rows = slice(max(0, math.floor(ink.top)), min(height, math.ceil(ink.bottom)))
    columns = slice(max(0, math.floor(ink.left)), min(width, math.ceil(ink.right)))
    return some_pixels(picture[rows, columns], 8192)
