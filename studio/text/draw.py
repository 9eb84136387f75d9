"""Letters on a picture: fill, outline, shadow, glow, box, scrim; colours that can be read."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ..errors import InputError, require_number
from ..images import require_picture
from ..layout import contrast
from ..layout.layout import Box, Layout, Scrim, require_color
from ..layout.plan import SAFE_AREAS
from . import fonts, markup
from .typeset import SMALLEST, Block, Glyphs, Setting, Typesetter

if TYPE_CHECKING:
    import numpy as np
    import torch
    from PIL import Image

AUTO = "auto"
ANCHORS = (
    "top left",
    "top center",
    "top right",
    "middle left",
    "center",
    "middle right",
    "bottom left",
    "bottom center",
    "bottom right",
)
BLENDS = ("normal", "multiply", "screen", "overlay", "soft light")
NO_SAFE_AREA = "none"
SCRIMS = (AUTO, "on", "off")
SCRIM_COLORS = ("#000000", "#ffffff")
LARGE_TEXT = 3.0  # contrast; WCAG 2.2, success criterion 1.4.3, for large letters:
LARGE = 0.045  # here those of more than this share of the picture's shorter side, however many pixels that has
SOFT = 0.11  # of the picture's shorter side: the least over which a scrim fades
FIRM_SCRIM = 0.35  # opacity of one that was asked for
FIRM_OUTLINE, FIRM_BOX = 0.03, 0.5  # em, opacity: from here on letters need no veil
LIGHT_BONUS = 0.3  # opacity; light letters on a darkened photo look cleaner than dark ones on a whitened one


class Preset(NamedTuple):
    """What a role asks for, where the user leaves a value at 0 or auto."""

    weight: int
    leading: float  # em
    tracking: float  # em
    largest: float  # times the picture's height: how big "the largest that fits" may become; 0: no limit
    shadow: float  # opacity
    emphasis: bool  # numbers large, the words around them small


PRESETS = {
    "headline": Preset(800, 1.2, 0.0, 0.0, 0.35, False),
    "price": Preset(900, 1.1, 0.0, 0.0, 0.35, True),
    "caption": Preset(500, 1.45, 0.0, 0.045, 0.5, False),
}


@dataclass(frozen=True)
class Design:
    """How the words look. Lengths called em are times the text's size, so that effects grow with it."""

    preset: str = "headline"
    weight: int = 0  # 100..900; 0: the preset's
    size: float = 0.0  # pixels an em; 0: the largest that fits
    leading: float = 0.0  # em; 0: the preset's
    tracking: float = 0.0  # em
    align: str = AUTO  # auto, left, center, right
    vertical: bool = False
    anchor: str = AUTO  # auto: the layout's box, else top center; or one of ANCHORS
    width: float = 80.0  # % of the picture, of a box that is placed by its anchor
    height: float = 30.0
    offset_x: float = 0.0  # % of the picture
    offset_y: float = 0.0
    margin: float = 5.0  # % of the picture's shorter side, kept free
    safe_area: str = NO_SAFE_AREA  # or a format of SAFE_AREAS; where it asks for more than the margin, it rules
    color: str = AUTO
    opacity: float = 1.0
    outline: float = 0.0  # em
    outline_color: str = AUTO
    shadow: float = -1.0  # opacity 0..1; below 0: the preset's
    shadow_color: str = "#000000"
    glow: float = 0.0  # opacity 0..1
    glow_color: str = AUTO
    box_opacity: float = 0.0
    box_color: str = AUTO
    box_padding: float = 0.35  # em
    box_radius: float = 0.25  # em
    scrim: str = AUTO
    rotation: float = 0.0  # degrees, counter-clockwise
    blend: str = "normal"

    def __post_init__(self) -> None:
        choices = {
            "preset": tuple(PRESETS),
            "align": (AUTO, "left", "center", "right"),
            "anchor": (AUTO, *ANCHORS),
            "safe_area": (NO_SAFE_AREA, *SAFE_AREAS),
            "scrim": SCRIMS,
            "blend": BLENDS,
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise InputError(name, getattr(self, name), "one of: " + ", ".join(allowed))
        for name, (low, high) in RANGES.items():
            require_number(name, getattr(self, name), low, high)
        for name in ("color", "outline_color", "shadow_color", "glow_color", "box_color"):
            if getattr(self, name) != AUTO or name == "shadow_color":
                object.__setattr__(self, name, require_color(name, getattr(self, name)))
        if 0 < self.weight < 100:
            raise InputError("weight", self.weight, "0 (the preset's) or 100 to 900")


RANGES: dict[str, tuple[float, float]] = {
    "weight": (0, 900),
    "size": (0, 4096),
    "leading": (0, 4),
    "tracking": (-0.2, 2),
    "width": (1, 100),
    "height": (1, 100),
    "offset_x": (-100, 100),
    "offset_y": (-100, 100),
    "margin": (0, 45),
    "opacity": (0, 1),
    "outline": (0, 0.3),
    "shadow": (-1, 1),
    "glow": (0, 1),
    "box_opacity": (0, 1),
    "box_padding": (0, 3),
    "box_radius": (0, 3),
    "rotation": (-360, 360),
}


class Lettered(NamedTuple):
    image: torch.Tensor  # IMAGE [B, H, W, 3]
    mask: torch.Tensor  # MASK [B, H, W], 1 = letter
    layer: torch.Tensor  # [B, H, W, 4], straight alpha
    notes: list[str]


def overlay(
    image: torch.Tensor,
    texts: list[str],
    design: Design,
    typeface: fonts.Typeface,
    layout: Layout | None = None,
    between: Callable[[], None] = lambda: None,
) -> Lettered:
    """Each picture of IMAGE [B, H, W, 1, 3 or 4] with its text; transparency is left away.

    One text is written on all pictures, several texts on a picture each; one picture is repeated for several texts.
    `between` is called before each picture. Raises InputError for a text that does not fit, for characters without a
    font, and for counts that differ.
    """
    import numpy as np
    import torch

    pictures = require_picture("image", image)
    if not texts or (len(texts) > 1 and len(pictures) not in (1, len(texts))):
        raise InputError("text", f"{len(texts)} texts", f"one text, or one for each of {len(pictures)} pictures")
    if len(pictures) < len(texts):
        pictures = pictures.expand(len(texts), -1, -1, -1)
    height, width = pictures.shape[1:3]
    if min(width, height) < SMALLEST:
        raise InputError("image", f"{width} x {height} pixels", f"at least {SMALLEST:g} pixels a side, for one letter")
    layout = None if layout is None else layout.on(width, height)
    preset = PRESETS[design.preset]
    box = text_box(design, layout, width, height)
    setting = Setting(
        weight=design.weight or preset.weight,
        size=design.size,
        largest=preset.largest * height,
        leading=design.leading or preset.leading,
        tracking=design.tracking or preset.tracking,
        align=_alignment(design, layout),
        vertical=design.vertical,
        padding=max(design.outline, design.box_padding if design.box_opacity else 0.0),
        emphasis=preset.emphasis,
    )
    blocks = [Typesetter(text, typeface, setting).fit(*_room(design, box)) for text in texts]
    out = np.array(pictures.numpy(), order="C")  # a copy: the input may be in use elsewhere
    # numpy's zeros take no memory where nothing is written, torch's do.
    masks, layers = np.zeros(out.shape[:3], np.float32), np.zeros((*out.shape[:3], 4), np.float32)
    notes: list[str] = []
    for index, (picture, mask, layer) in enumerate(zip(out, masks, layers)):
        between()
        block = blocks[index if len(blocks) > 1 else 0]
        note = _draw(picture, mask, layer, block, box, design, preset, layout)
        notes += [note] if note and note not in notes else []
    return Lettered(torch.from_numpy(out), torch.from_numpy(masks), torch.from_numpy(layers), notes)


def lines_of(text: str) -> list[str]:
    """A text's lines that have words, each for a picture of its own. Raises InputError where there is none."""
    lines = [line for line in markup.clean(text).split("\n") if line.strip()]
    if not lines:
        raise InputError("text", text, "a line of words for each picture")
    return lines


def text_box(design: Design, layout: Layout | None, width: int, height: int) -> Box:
    """Where the words go: the layout's box, or one of the nine anchors inside margin and safe area. Clipped to the
    picture."""
    if design.anchor == AUTO and layout is not None:
        x, y, wide, high = map(float, layout.text)
    else:
        name = "top center" if design.anchor == AUTO else design.anchor
        left = top = right = bottom = min(width, height) * design.margin / 100
        if safe := SAFE_AREAS.get(design.safe_area):
            left, right = max(left, width * safe.left), max(right, width * safe.right)
            top, bottom = max(top, height * safe.top), max(bottom, height * safe.bottom)
        free_width, free_height = width - left - right, height - top - bottom
        wide = min(width * design.width / 100, free_width)
        high = min(height * design.height / 100, free_height)
        x = left + (free_width - wide) * _share(name, "left", "right")
        y = top + (free_height - high) * _share(name, "top", "bottom")
    x, y = x + width * design.offset_x / 100, y + height * design.offset_y / 100
    box_left, box_top = max(0, round(x)), max(0, round(y))
    box_right, box_bottom = min(width, round(x + wide)), min(height, round(y + high))
    if box_right - box_left < 1 or box_bottom - box_top < 1:
        raise InputError("offset_x, offset_y", (design.offset_x, design.offset_y), "a box that lies on the picture")
    return Box(box_left, box_top, box_right - box_left, box_bottom - box_top)


def _share(name: str, start: str, end: str) -> float:
    """How far along its room something lies by its name: 0 at the start, 1 at the end, else the middle."""
    return 0.0 if start in name else 1.0 if end in name else 0.5


def _alignment(design: Design, layout: Layout | None) -> str:
    if design.align != AUTO:
        return design.align
    if design.vertical:
        return "left"  # columns hang from the top
    if design.anchor == AUTO:
        return "center" if layout is None else layout.text_align
    return "left" if "left" in design.anchor else "right" if "right" in design.anchor else "center"


def _room(design: Design, box: Box) -> tuple[float, float]:
    """What the box leaves for letters: a rotated block must lie inside it as a whole."""
    turn = math.radians(design.rotation)
    c, s = abs(math.cos(turn)), abs(math.sin(turn))
    if s < 1e-6:
        return box.width, box.height
    scale = min(box.width / (box.width * c + box.height * s), box.height / (box.width * s + box.height * c))
    return (box.width * scale, box.height * scale) if c > 1e-6 else (box.height, box.width)


@dataclass
class _Canvas:
    """A part of the picture on which layers are put over one another, premultiplied."""

    left: int  # of its top left corner on the picture
    top: int
    width: int
    height: int
    rgb: np.ndarray = field(init=False)  # [3, height, width]
    alpha: np.ndarray = field(init=False)  # [height, width]

    def __post_init__(self) -> None:
        import numpy as np

        self.rgb = np.zeros((3, self.height, self.width), np.float32)
        self.alpha = np.zeros((self.height, self.width), np.float32)

    def put(self, mask: np.ndarray, color: str) -> None:
        """`color` over what is there, where `mask` [H, W] in 0..1 is."""
        rest: np.ndarray = 1 - mask
        self.alpha *= rest
        self.alpha += mask
        for plane, level in zip(self.rgb, contrast.rgb_of(color).astype(mask.dtype)):
            plane *= rest
            if level == 1:
                plane += mask
            elif level:
                plane += mask * level


def _draw(
    picture: np.ndarray,
    mask: np.ndarray,
    layer: np.ndarray,
    block: Block,
    box: Box,
    design: Design,
    preset: Preset,
    layout: Layout | None,
) -> str:
    """Write the block on `picture` [H, W, 3], into `mask` [H, W] and `layer` [H, W, 4], in place; returns a note."""
    size, turned = block.size, _is_turned(design)
    wide, high = block.right - block.left, block.bottom - block.top
    x, y = _position(design, layout, box, block)
    ink = _Ink(x, y, x + wide, y + high)
    inks = [glyph.color for glyph in block.glyphs if glyph.color]
    large = size > LARGE * min(picture.shape[:2])
    color, scrim, note = _colors(design, layout, inks, _pixels_under(picture, ink), large)
    shadow = design.shadow
    if shadow < 0:  # a dark shadow lifts light letters and muddies dark ones
        shadow = preset.shadow if _opposite(color) == contrast.DARK else 0.0
    padding = design.box_padding * size if design.box_opacity else 0.0

    reach = math.ceil(max(padding, design.outline * size, shadow and size * 0.35, design.glow and size * 0.6) + 3)
    veil = _veil(ink, size, picture.shape[1], picture.shape[0], not turned) if scrim.opacity else None
    canvas = _canvas_around(ink, reach, veil, None if turned else picture.shape[:2])
    shift_x, shift_y = x - block.left - canvas.left, y - block.top - canvas.top
    glyphs = [glyph._replace(x=glyph.x + shift_x, y=glyph.y + shift_y) for glyph in block.glyphs]

    letters = _mask(canvas, glyphs)
    stroked = _mask(canvas, glyphs, design.outline * size) if design.outline else letters
    if veil is not None:
        canvas.put(_soft_box(canvas, veil) * scrim.opacity, scrim.color)
    if design.box_opacity:
        fill = design.box_color if design.box_color != AUTO else _opposite(color)
        canvas.put(_round_box(canvas, ink, padding, design.box_radius * size) * design.box_opacity, fill)
    if shadow:
        soft = _blurred(stroked, size * 0.06)
        canvas.put(_moved(soft, round(size * 0.025), round(size * 0.045)) * shadow, design.shadow_color)
    if design.glow:
        wide_glow = (_blurred(stroked, size * 0.14) * 2.2).clip(0, 1)
        canvas.put(wide_glow * design.glow, design.glow_color if design.glow_color != AUTO else _opposite(color))
    if design.outline:
        canvas.put(stroked, design.outline_color if design.outline_color != AUTO else _opposite(color))
    own_colors = list(dict.fromkeys(glyph.color for glyph in glyphs))
    for own in own_colors:
        part = letters if len(own_colors) == 1 else _mask(canvas, [glyph for glyph in glyphs if glyph.color == own])
        canvas.put(part, own or color)

    if turned:
        canvas, letters = _rotated(canvas, letters, design.rotation)
    _lay_down(canvas, letters, design, picture, mask, layer)
    return note


class _Ink(NamedTuple):
    """The box around the ink of a block, in pixels of the picture."""

    left: float
    top: float
    right: float
    bottom: float

    def grown(self, by: float) -> _Ink:
        return _Ink(self.left - by, self.top - by, self.right + by, self.bottom + by)


class _Veil(NamedTuple):
    """A scrim's full part, and how far it takes to fade out beyond it."""

    full: _Ink
    fade: float  # pixels


def _veil(ink: _Ink, size: float, width: int, height: int, may_span: bool) -> _Veil:
    """A cloud around the ink; a gradient from the edge of the picture for wide words that lie near one.

    An edge-to-edge gradient is what photographers' titles have: it darkens a photo as a vignette does, where a cloud
    in the middle of nothing looks like a smudge.
    """
    # Around small print a fade of its own size would have an edge that shows.
    around, fade = ink.grown(size * 0.35), max(size * 1.1, SOFT * min(width, height))
    if may_span and ink.right - ink.left >= 0.4 * width:
        far = 4 * max(width, height)
        if (ink.top + ink.bottom) / 2 > 0.6 * height:
            return _Veil(_Ink(-far, around.top, far, far), fade * 1.6)
        if (ink.top + ink.bottom) / 2 < 0.4 * height:
            return _Veil(_Ink(-far, -far, far, around.bottom), fade * 1.6)
    return _Veil(around, fade)


def _canvas_around(ink: _Ink, reach: float, veil: _Veil | None, limits: tuple[int, int] | None) -> _Canvas:
    """Large enough for the ink and its effects; within `limits` (height, width), if there are any.

    Whole pixels, so that nothing is resampled; the fraction stays in the glyphs' origins.
    """
    area = ink.grown(reach)
    if veil is not None:
        veiled = veil.full.grown(veil.fade)
        area = _Ink(*map(min, area[:2], veiled[:2]), *map(max, area[2:], veiled[2:]))
    left, top, right, bottom = (
        math.floor(area.left),
        math.floor(area.top),
        math.ceil(area.right),
        math.ceil(area.bottom),
    )
    if limits is not None:
        left, top, right, bottom = max(left, 0), max(top, 0), min(right, limits[1]), min(bottom, limits[0])
    return _Canvas(left, top, max(1, right - left), max(1, bottom - top))


def _lay_down(
    canvas: _Canvas, letters: np.ndarray, design: Design, picture: np.ndarray, mask: np.ndarray, layer: np.ndarray
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
    for channel, plane in enumerate(canvas.rgb[(slice(None), *inner)]):
        np.minimum(plane / divisor, 1, out=own[..., channel])
        if design.blend == "normal":
            base[..., channel] *= rest
            base[..., channel] += plane * design.opacity
    if design.blend != "normal":
        base[...] = _blended(base, own[..., :3], own[..., 3:], design.blend)
    np.clip(base, 0, 1, out=base)  # rounding may leave 1.0000001


def _is_turned(design: Design) -> bool:
    return abs(math.sin(math.radians(design.rotation))) > 1e-6 or math.cos(math.radians(design.rotation)) < 0


def _position(design: Design, layout: Layout | None, box: Box, block: Block) -> tuple[float, float]:
    """The top left corner of the ink in its box: as it is anchored and aligned, in the middle of it where turned."""
    pad = block.padding
    across = _share(design.anchor, "left", "right") if design.anchor != AUTO else 0.5
    down = _share(design.anchor, "top", "bottom") if design.anchor != AUTO or layout is not None else 0.0
    align = _alignment(design, layout)
    if block.vertical:
        down = _share(align, "left", "right") if design.align != AUTO else down
    else:
        across = _share(align, "left", "right")
    if _is_turned(design):
        across = down = 0.5
    free_width = box.width - (block.right - block.left) - 2 * pad
    free_height = box.height - (block.bottom - block.top) - 2 * pad
    return box.x + pad + free_width * across, box.y + pad + free_height * down


def _pixels_under(picture: np.ndarray, ink: _Ink) -> np.ndarray:
    """[N, 3] of the picture under the ink's box, thinned to some thousand."""
    height, width = picture.shape[:2]
    rows = slice(max(0, math.floor(ink.top)), min(height, math.ceil(ink.bottom)))
    columns = slice(max(0, math.floor(ink.left)), min(width, math.ceil(ink.right)))
    part = picture[rows, columns]
    step = math.isqrt(part.shape[0] * part.shape[1] // 8192) | 1  # odd: an even one would see one half of a fine stripe
    return part[::step, ::step].reshape(-1, 3)


def _colors(
    design: Design, layout: Layout | None, inks: list[str], under: np.ndarray, large: bool
) -> tuple[str, Scrim, str]:
    """Text colour, scrim (opacity 0: none) and a note. `inks` are the colours of single runs; `large` letters in a colour
    of the user's own need no more contrast than WCAG asks of them, or a brand's red would stand in fog."""
    plan = layout if design.anchor == AUTO else None
    if design.color != AUTO:
        options: tuple[str, ...] = (design.color,)
    else:
        options = (contrast.LIGHT, contrast.DARK) if plan is None else (plan.text_color, contrast.LIGHT, contrast.DARK)
    if design.box_opacity and design.box_color != AUTO:
        under = under * (1 - design.box_opacity) + contrast.rgb_of(design.box_color) * design.box_opacity
    # Letters with a firm edge or ground of their own need no veil.
    framed = design.outline >= FIRM_OUTLINE or design.box_opacity >= FIRM_BOX
    may_veil = design.scrim == "on" or (design.scrim == AUTO and not framed)

    if plan is not None and plan.scrim is not None and may_veil:  # the plan's colour was chosen for the plan's scrim
        veiled = under * (1 - plan.scrim.opacity) + contrast.rgb_of(plan.scrim.color) * plan.scrim.opacity
        if contrast.worst_contrast(options[0], veiled) >= contrast.READABLE:
            return options[0], plan.scrim, ""
    color = options[0]
    if framed and len(options) > 1:
        color = _framed_color(design, plan, options, inks, under)
    elif plan is None or contrast.worst_contrast(color, under) < contrast.READABLE:
        color, ratio = contrast.best_color(under, options)
        if ratio < contrast.READABLE and may_veil:
            color = min(
                options, key=lambda o: _scrim_for(o, [], under).opacity - (LIGHT_BONUS if o == contrast.LIGHT else 0)
            )
    wanted = LARGE_TEXT if large and design.color != AUTO else contrast.READABLE
    scrim = _scrim_for(color, inks, under, wanted) if may_veil else Scrim(SCRIM_COLORS[0], 0.0)
    if design.scrim == "on":
        return color, scrim._replace(opacity=max(FIRM_SCRIM, scrim.opacity)), ""
    what = "no colour reads" if design.color == AUTO else f"{color} does not read"
    note = f"{what} well here; a scrim of {scrim.opacity:.0%} was put under the words" if scrim.opacity else ""
    return color, scrim, note


def _framed_color(
    design: Design, plan: Layout | None, options: tuple[str, ...], inks: list[str], under: np.ndarray
) -> str:
    """The colour of letters that bring an outline or a box: what is under them matters less than what frames them, on
    which they and the runs' own colours must read. The plan's colour, where that will do."""

    def unread(color: str) -> int:
        own = design.outline_color if design.outline >= FIRM_OUTLINE else design.box_color
        frame = contrast.rgb_of(_opposite(color) if own == AUTO else own)[None]
        return sum(contrast.worst_contrast(ink, frame) < LARGE_TEXT for ink in (color, *inks))

    fewest = min(map(unread, options))
    reading = tuple(option for option in options if unread(option) == fewest)
    given = design.box_opacity >= FIRM_BOX and design.box_color != AUTO  # a ground that a plan knows nothing of
    return reading[0] if plan is not None and not given else contrast.best_color(under, reading)[0]


def _scrim_for(color: str, inks: list[str], under: np.ndarray, wanted: float = contrast.READABLE) -> Scrim:
    """The lightest scrim on which `color` has the contrast `wanted`, and the runs' own colours as large text must, where that can be had."""
    veil, _ = contrast.best_color(contrast.rgb_of(color)[None], SCRIM_COLORS)
    opacities = [contrast.scrim_opacity(color, veil, under, wanted)]
    for ink in dict.fromkeys(inks):
        if contrast.worst_contrast(ink, contrast.rgb_of(veil)[None]) >= contrast.READABLE:
            opacities.append(contrast.scrim_opacity(ink, veil, under, LARGE_TEXT))
    return Scrim(veil, max(opacities))


def _opposite(color: str) -> str:
    """White for dark colours and nearly black for light ones."""
    return contrast.best_color(contrast.rgb_of(color)[None])[0]


def _mask(canvas: _Canvas, glyphs: list[Glyphs], stroke: float = 0.0) -> np.ndarray:
    """[H, W] in 0..1: the glyphs, or with `stroke` pixels around them (round joins)."""
    from PIL import Image, ImageChops, ImageDraw

    picture = Image.new("L", (canvas.width, canvas.height))
    draw = ImageDraw.Draw(picture)
    for glyph in glyphs:
        if not glyph.turned:
            draw.text((glyph.x, glyph.y), glyph.text, 255, glyph.font, anchor="ls", stroke_width=stroke)
            continue
        side = math.ceil(glyph.font.size * 2)
        single = Image.new("L", (side, side))
        box = glyph.font.getbbox(glyph.text, anchor="ls")
        middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        at = (side / 2 - middle[0], side / 2 - middle[1])
        ImageDraw.Draw(single).text(at, glyph.text, 255, glyph.font, anchor="ls", stroke_width=stroke)
        corner = (round(glyph.x + middle[0] - side / 2), round(glyph.y + middle[1] - side / 2))
        place = (*corner, corner[0] + side, corner[1] + side)
        picture.paste(ImageChops.lighter(picture.crop(place), single.rotate(-90)), corner)
    return _levels(picture)


def _levels(picture: Image.Image) -> np.ndarray:
    """An 8-bit picture as [H, W] in 0..1."""
    import numpy as np

    return np.multiply(np.asarray(picture), np.float32(1 / 255), dtype=np.float32)


def _blurred(mask: np.ndarray, radius: float) -> np.ndarray:
    """A Gaussian blur of standard deviation `radius` pixels; a wide one at a fraction of the size, where it is cheap."""
    import numpy as np
    from PIL import Image, ImageFilter

    factor = max(1, int(radius // 2))
    picture = Image.fromarray((mask * 255).astype(np.uint8))
    small = picture.reduce(factor).filter(ImageFilter.GaussianBlur(radius / factor))
    large = small.resize((small.width * factor, small.height * factor), Image.Resampling.BILINEAR)
    return _levels(large)[: mask.shape[0], : mask.shape[1]]


def _moved(mask: np.ndarray, right: int, down: int) -> np.ndarray:
    import numpy as np

    moved = np.zeros_like(mask)
    moved[down:, right:] = mask[: mask.shape[0] - down, : mask.shape[1] - right]
    return moved


def _round_box(canvas: _Canvas, ink: _Ink, padding: float, radius: float) -> np.ndarray:
    """A rounded rectangle around the ink, its edge smoothed over a pixel by the distance to it."""
    import numpy as np

    box = ink.grown(padding)
    half_width, half_height = (box.right - box.left) / 2, (box.bottom - box.top) / 2
    radius = min(radius, half_width, half_height)
    x = np.arange(canvas.width, dtype=np.float32) + 0.5 + canvas.left
    y = np.arange(canvas.height, dtype=np.float32) + 0.5 + canvas.top
    across = np.abs(x - (box.left + box.right) / 2) - half_width + radius
    down = np.abs(y - (box.top + box.bottom) / 2) - half_height + radius
    outside = np.hypot(across.clip(0)[None], down.clip(0)[:, None])
    inside = np.minimum(np.maximum(across[None], down[:, None]), 0)
    return np.clip(0.5 + radius - outside - inside, 0, 1)


def _soft_box(canvas: _Canvas, veil: _Veil) -> np.ndarray:
    """1 on the veil's full part, from there smoothly to 0 over its fade."""
    import numpy as np

    def ramp(size: int, start: int, low: float, high: float) -> np.ndarray:
        middle = np.arange(size, dtype=np.float32) + 0.5 + start
        distance = np.maximum(np.maximum(low - middle, middle - high), 0) / veil.fade
        near = np.clip(1 - distance, 0, 1)
        return near * near * (3 - 2 * near)  # smoothstep: no visible beginning

    full = veil.full
    return np.outer(
        ramp(canvas.height, canvas.top, full.top, full.bottom), ramp(canvas.width, canvas.left, full.left, full.right)
    )


def _rotated(canvas: _Canvas, letters: np.ndarray, degrees: float) -> tuple[_Canvas, np.ndarray]:
    """Canvas and letters turned about their middle, counter-clockwise."""
    import numpy as np
    from PIL import Image

    planes = [
        Image.fromarray(np.ascontiguousarray(plane)).rotate(degrees, Image.Resampling.BICUBIC, expand=True)
        for plane in (*canvas.rgb, canvas.alpha, letters)
    ]
    turned = [np.clip(np.asarray(plane, np.float32), 0, 1) for plane in planes]
    height, width = turned[0].shape
    left = round(canvas.left + (canvas.width - width) / 2)
    top = round(canvas.top + (canvas.height - height) / 2)
    whole = _Canvas(left, top, width, height)
    whole.alpha = turned[3]
    whole.rgb = np.minimum(np.stack(turned[:3]), whole.alpha)
    return whole, turned[4]


def _blended(base: np.ndarray, top: np.ndarray, alpha: np.ndarray, blend: str) -> np.ndarray:
    """A layer [H, W, 3] of opacity `alpha` [H, W, 1] on `base`. Formulas: W3C Compositing and Blending 1, section 10."""
    import numpy as np

    if blend == "multiply":
        top = base * top
    elif blend == "screen":
        top = base + top - base * top
    elif blend == "overlay":
        top = np.where(base <= 0.5, 2 * base * top, 1 - 2 * (1 - base) * (1 - top))
    elif blend == "soft light":
        root = np.where(base <= 0.25, ((16 * base - 12) * base + 4) * base, np.sqrt(base))
        top = np.where(top <= 0.5, base - (1 - 2 * top) * base * (1 - base), base + (2 * top - 1) * (root - base))
    return base + (top - base) * alpha
