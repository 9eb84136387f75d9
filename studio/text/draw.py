"""Letters on a picture: fill, outline, shadow, glow, box, scrim; colours that can be read."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ..errors import InputError, require_number
from ..images import require_picture
from ..layout import contrast
from ..layout.layout import Box, Layout, require_color
from . import fonts
from .typeset import Block, Glyphs, Setting, Typesetter

if TYPE_CHECKING:
    import numpy as np
    import torch

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
SCRIMS = (AUTO, "on", "off")
SCRIM_COLORS = ("#000000", "#ffffff")


class Preset(NamedTuple):
    """What a role asks for, where the user leaves a value at 0 or auto."""

    weight: int
    leading: float  # em
    tracking: float  # em
    largest: float  # times the picture's height: how big "the largest that fits" may become; 0: no limit
    shadow: float  # opacity


PRESETS = {
    "headline": Preset(800, 1.2, 0.0, 0.0, 0.35),
    "price": Preset(900, 1.1, 0.0, 0.0, 0.35),
    "caption": Preset(500, 1.45, 0.0, 0.045, 0.25),
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
    image: torch.Tensor, texts: list[str], design: Design, typeface: fonts.Typeface, layout: Layout | None = None
) -> Lettered:
    """Each picture of IMAGE [B, H, W, 3 or 4] with its text; one text is written on all.

    Raises InputError for a text that does not fit, for characters without a font, and for counts that differ.
    """
    import torch

    pictures = require_picture("image", image)
    if len(texts) not in (1, len(pictures)):
        raise InputError("text", f"{len(texts)} texts", f"one text, or one for each of {len(pictures)} pictures")
    height, width = pictures.shape[1:3]
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
    )
    blocks = [Typesetter(text, typeface, setting).fit(*_room(design, box)) for text in texts]
    out = pictures.clone() if pictures.data_ptr() == image.data_ptr() else pictures.contiguous()
    masks, layers = torch.zeros(out.shape[:3]), torch.zeros(*out.shape[:3], 4)
    notes: list[str] = []
    for index, (picture, mask, layer) in enumerate(zip(out.numpy(), masks.numpy(), layers.numpy(), strict=True)):
        block = blocks[index if len(blocks) > 1 else 0]
        note = _draw(picture, mask, layer, block, box, design, preset, layout)
        notes += [note] if note and note not in notes else []
    return Lettered(out, masks, layers, notes)


def text_box(design: Design, layout: Layout | None, width: int, height: int) -> Box:
    """Where the words go: the layout's box, or one of the nine anchors inside the margin. Clipped to the picture."""
    if design.anchor == AUTO and layout is not None:
        box = layout.text
        x, y = box.x + width * design.offset_x / 100, box.y + height * design.offset_y / 100
        wide, high = float(box.width), float(box.height)
    else:
        name = "top center" if design.anchor == AUTO else design.anchor
        edge = min(width, height) * design.margin / 100
        wide, high = (
            min(width * design.width / 100, width - 2 * edge),
            min(height * design.height / 100, height - 2 * edge),
        )
        across = 0.0 if "left" in name else 1.0 if "right" in name else 0.5
        down = 0.0 if "top" in name else 1.0 if "bottom" in name else 0.5
        x = edge + (width - 2 * edge - wide) * across + width * design.offset_x / 100
        y = edge + (height - 2 * edge - high) * down + height * design.offset_y / 100
    left, top = max(0, round(x)), max(0, round(y))
    right, bottom = min(width, round(x + wide)), min(height, round(y + high))
    if right - left < 1 or bottom - top < 1:
        raise InputError("offset_x, offset_y", (design.offset_x, design.offset_y), "a box that lies on the picture")
    return Box(left, top, right - left, bottom - top)


def _alignment(design: Design, layout: Layout | None) -> str:
    if design.align != AUTO:
        return design.align
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

    height: int
    width: int
    rgb: np.ndarray = field(init=False)
    alpha: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        import numpy as np

        self.rgb = np.zeros((3, self.height, self.width), np.float32)
        self.alpha = np.zeros((self.height, self.width), np.float32)

    def put(self, mask: np.ndarray, color: str) -> None:
        """`color` over what is there, where `mask` [H, W] in 0..1 is."""
        rest: np.ndarray = 1 - mask
        self.alpha *= rest
        self.alpha += mask
        for plane, level in zip(self.rgb, contrast.rgb_of(color)):
            plane *= rest
            if level:
                plane += mask * level.astype(mask.dtype)


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
    import numpy as np

    size, turned = block.size, abs(math.sin(math.radians(design.rotation))) > 1e-6
    wide, high = block.right - block.left, block.bottom - block.top
    x, y = _position(design, box, wide, high)
    under = _pixels_under(picture, x, y, wide, high)

    color, scrim_color, scrim, note = _colors(design, layout, under)
    shadow = design.shadow
    if shadow < 0:  # a dark shadow lifts light letters and muddies dark ones
        shadow = preset.shadow if _opposite(color) == contrast.DARK else 0.0
    padding = design.box_padding * size if design.box_opacity else 0.0
    reach = math.ceil(
        max(padding, design.outline * size, shadow and size * 0.35, design.glow and size * 0.6, scrim and size * 2) + 3
    )
    # Whole pixels, so that nothing is resampled; the fraction stays in the glyphs' origin.
    left, top = math.floor(x) - reach, math.floor(y) - reach
    canvas = _Canvas(math.ceil(high) + 2 * reach + 2, math.ceil(wide) + 2 * reach + 2)
    shift_x, shift_y = x - left - block.left, y - top - block.top
    glyphs = [glyph._replace(x=glyph.x + shift_x, y=glyph.y + shift_y) for glyph in block.glyphs]
    ink = (x - left, y - top, x - left + wide, y - top + high)

    letters = _mask(canvas, glyphs)
    stroked = _mask(canvas, glyphs, design.outline * size) if design.outline else letters
    if scrim:
        canvas.put(_soft_box(canvas, ink, size * 0.9, size * 0.5) * scrim, scrim_color)
    if design.box_opacity:
        fill = design.box_color if design.box_color != AUTO else _opposite(color)
        canvas.put(_round_box(canvas, ink, padding, design.box_radius * size) * design.box_opacity, fill)
    if shadow:
        soft = _blurred(stroked, size * 0.06)
        canvas.put(_moved(soft, round(size * 0.025), round(size * 0.045)) * shadow, design.shadow_color)
    if design.glow:
        wide_glow = np.minimum(_blurred(stroked, size * 0.14) * 2.2, 1)
        canvas.put(wide_glow * design.glow, design.glow_color if design.glow_color != AUTO else _opposite(color))
    if design.outline:
        canvas.put(stroked, design.outline_color if design.outline_color != AUTO else _opposite(color))
    colors = list(dict.fromkeys(glyph.color for glyph in glyphs))
    for own in colors:
        part = letters if len(colors) == 1 else _mask(canvas, [glyph for glyph in glyphs if glyph.color == own])
        canvas.put(part, own or color)

    rgb, alpha = canvas.rgb, canvas.alpha
    if turned:
        rgb, alpha, letters, left, top = _rotated(rgb, alpha, letters, left, top, design.rotation)
    rows = slice(max(0, top), max(0, min(picture.shape[0], top + alpha.shape[0])))
    columns = slice(max(0, left), max(0, min(picture.shape[1], left + alpha.shape[1])))
    inner = (slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left))
    here = (rows, columns)
    part = alpha[inner]
    straight = np.clip(np.moveaxis(rgb[(slice(None), *inner)], 0, -1) / np.maximum(part, 1e-6)[..., None], 0, 1)
    mask[here] = letters[inner]
    layer[(*here, slice(3))] = straight
    layer[(*here, 3)] = part * design.opacity
    picture[here] = _blended(picture[here], straight, (part * design.opacity)[..., None], design.blend)
    return note


def _position(design: Design, box: Box, wide: float, high: float) -> tuple[float, float]:
    """The top left corner of the ink in its box, by the anchor; centred where the layout says, or if rotated."""
    name = design.anchor if design.anchor != AUTO else ("" if abs(design.rotation) > 1e-6 else "middle")
    align = design.align
    across = 0.0 if align == "left" or "left" in name else 1.0 if align == "right" or "right" in name else 0.5
    down = 0.0 if "top" in name else 1.0 if "bottom" in name else 0.5
    if abs(design.rotation) > 1e-6:
        across = down = 0.5
    return box.x + (box.width - wide) * across, box.y + (box.height - high) * down


def _pixels_under(picture: np.ndarray, x: float, y: float, wide: float, high: float) -> np.ndarray:
    """[N, 3] of the picture under the ink's box, thinned to some thousand."""
    height, width = picture.shape[:2]
    rows = slice(max(0, math.floor(y)), min(height, math.ceil(y + high)))
    columns = slice(max(0, math.floor(x)), min(width, math.ceil(x + wide)))
    part = picture[rows, columns]
    step = math.isqrt(part.shape[0] * part.shape[1] // 8192) | 1  # odd: an even one would see one half of a fine stripe
    return part[::step, ::step].reshape(-1, 3)


def _colors(design: Design, layout: Layout | None, under: np.ndarray) -> tuple[str, str, float, str]:
    """Text colour, scrim colour, scrim opacity, note."""
    planned = layout.text_color if layout is not None and design.anchor == AUTO else None
    if design.box_opacity and design.box_color != AUTO:
        under = under * (1 - design.box_opacity) + contrast.rgb_of(design.box_color) * design.box_opacity
    if design.color != AUTO:
        color = design.color
    elif planned is not None and contrast.worst_contrast(planned, under) >= contrast.READABLE:
        color = planned
    else:
        color, _ = contrast.best_color(under, (*((planned,) if planned else ()), contrast.LIGHT, contrast.DARK))
    veil, _ = contrast.best_color(contrast.rgb_of(color)[None], SCRIM_COLORS)
    framed = design.outline >= 0.03 or design.box_opacity >= 0.5
    if design.scrim == "off" or (design.scrim == AUTO and framed):
        return color, veil, 0.0, ""
    opacity = contrast.scrim_opacity(color, veil, under)
    if design.scrim == "on":
        return color, veil, max(0.35, opacity), ""
    note = f"no colour reads well here; a scrim of {opacity:.0%} was put under the words" if opacity else ""
    return color, veil, opacity, note


def _opposite(color: str) -> str:
    """White for dark colours and nearly black for light ones."""
    return contrast.best_color(contrast.rgb_of(color)[None])[0]


def _mask(canvas: _Canvas, glyphs: list[Glyphs], stroke: float = 0.0) -> np.ndarray:
    """[H, W] in 0..1: the glyphs, or with `stroke` pixels around them (round joins)."""
    import numpy as np
    from PIL import Image, ImageChops, ImageDraw

    picture = Image.new("L", (canvas.width, canvas.height))
    draw = ImageDraw.Draw(picture)
    for glyph in glyphs:
        if glyph.turned:
            em = math.ceil(glyph.font.size * 2)
            single = Image.new("L", (em, em))
            box = glyph.font.getbbox(glyph.text, anchor="ls")
            at = (em / 2 - (box[0] + box[2]) / 2, em / 2 - (box[1] + box[3]) / 2)
            ImageDraw.Draw(single).text(at, glyph.text, 255, glyph.font, anchor="ls", stroke_width=stroke)
            middle = (glyph.x + (box[0] + box[2]) / 2, glyph.y + (box[1] + box[3]) / 2)
            whole = Image.new("L", picture.size)
            whole.paste(single.rotate(-90), (round(middle[0] - em / 2), round(middle[1] - em / 2)))
            picture = ImageChops.lighter(picture, whole)
            draw = ImageDraw.Draw(picture)
        else:
            draw.text((glyph.x, glyph.y), glyph.text, 255, glyph.font, anchor="ls", stroke_width=stroke)
    return np.asarray(picture, np.float32) / 255


def _blurred(mask: np.ndarray, radius: float) -> np.ndarray:
    import numpy as np
    from PIL import Image, ImageFilter

    levels = Image.fromarray((mask * 255).round().astype(np.uint8))
    return np.asarray(levels.filter(ImageFilter.GaussianBlur(radius)), np.float32) / 255


def _moved(mask: np.ndarray, right: int, down: int) -> np.ndarray:
    import numpy as np

    moved = np.zeros_like(mask)
    moved[down:, right:] = mask[: mask.shape[0] - down, : mask.shape[1] - right]
    return moved


def _round_box(canvas: _Canvas, ink: tuple[float, float, float, float], padding: float, radius: float) -> np.ndarray:
    """A rounded rectangle around the ink, smoothed by drawing it at four times the size."""
    import numpy as np
    from PIL import Image, ImageDraw

    picture = Image.new("L", (canvas.width * 4, canvas.height * 4))
    corners = [ink[0] - padding, ink[1] - padding, ink[2] + padding, ink[3] + padding]
    ImageDraw.Draw(picture).rounded_rectangle([round(c * 4) for c in corners], radius * 4, fill=255)
    return np.asarray(picture.reduce(4), np.float32) / 255


def _soft_box(canvas: _Canvas, ink: tuple[float, float, float, float], padding: float, blur: float) -> np.ndarray:
    """A veil around the ink that fades out; drawn at an eighth of the size, since it has no edges."""
    import numpy as np
    from PIL import Image, ImageDraw, ImageFilter

    picture = Image.new("L", (canvas.width // 8 + 1, canvas.height // 8 + 1))
    corners = [ink[0] - padding, ink[1] - padding, ink[2] + padding, ink[3] + padding]
    ImageDraw.Draw(picture).rounded_rectangle([round(c / 8) for c in corners], padding / 8, fill=255)
    soft = picture.filter(ImageFilter.GaussianBlur(blur / 8))
    large = soft.resize((soft.width * 8, soft.height * 8), Image.Resampling.BICUBIC)
    return np.asarray(large, np.float32)[: canvas.height, : canvas.width] / 255


def _rotated(
    rgb: np.ndarray, alpha: np.ndarray, letters: np.ndarray, left: int, top: int, degrees: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int, int]:
    """All layers turned about their middle, counter-clockwise."""
    import numpy as np
    from PIL import Image

    height, width = alpha.shape
    planes = [
        Image.fromarray(np.ascontiguousarray(plane)).rotate(degrees, Image.Resampling.BICUBIC, expand=True)
        for plane in (*rgb, alpha, letters)
    ]
    turned = [np.clip(np.asarray(plane, np.float32), 0, 1) for plane in planes]
    new_height, new_width = turned[0].shape
    left, top = round(left + (width - new_width) / 2), round(top + (height - new_height) / 2)
    new_alpha = turned[3]
    return np.minimum(np.stack(turned[:3]), new_alpha), new_alpha, turned[4], left, top


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
