"""Layers of letters and their effects: premultiplied, over one another, masks in 0..1."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from .. import contrast
from ..cancelling import check_cancel
from .color_glyphs import ColorFont, stroked
from .typeset import Glyphs

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

LEAST_FADE = 0.11  # of the picture's shorter side: the least over which a scrim fades


class Area(NamedTuple):
    """The box around the ink of a block, in pixels of the picture."""

    left: float
    top: float
    right: float
    bottom: float

    def grown(self, by: float) -> Area:
        """Larger by so many pixels at each side."""
        return Area(self.left - by, self.top - by, self.right + by, self.bottom + by)


@dataclass
class Canvas:
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
        check_cancel()
        rest: np.ndarray = 1 - mask
        self.alpha *= rest
        self.alpha += mask
        for plane, level in zip(self.rgb, contrast.rgb_of(color).astype(mask.dtype)):
            plane *= rest
            if level == 1:
                plane += mask
            elif level:
                plane += mask * level


class Veil(NamedTuple):
    """A scrim's full part, and how far it takes to fade out beyond it."""

    full: Area
    fade: float  # pixels


def veil_for(ink: Area, size: float, width: int, height: int, may_span: bool) -> Veil:
    """A cloud around the ink; a gradient from the edge of the picture for wide words that lie near one.

    An edge-to-edge gradient is what photographers' titles have: it darkens a photo as a vignette does, where a cloud
    in the middle of nothing looks like a smudge.
    """
    # Around small print a fade of its own size would have an edge that shows.
    around, fade = ink.grown(size * 0.35), max(size * 1.1, LEAST_FADE * min(width, height))
    if may_span and ink.right - ink.left >= 0.4 * width:
        far = 4 * max(width, height)
        if (ink.top + ink.bottom) / 2 > 0.6 * height:
            return Veil(Area(-far, around.top, far, far), fade * 1.6)
        if (ink.top + ink.bottom) / 2 < 0.4 * height:
            return Veil(Area(-far, -far, far, around.bottom), fade * 1.6)
    return Veil(around, fade)


def canvas_around(ink: Area, reach: float, veil: Veil | None, limits: tuple[int, int] | None) -> Canvas:
    """Large enough for the ink and its effects; within `limits` (height, width), if there are any.

    Whole pixels, so that nothing is resampled; the fraction stays in the glyphs' origins.
    """
    area = ink.grown(reach)
    if veil is not None:
        veiled = veil.full.grown(veil.fade)
        area = Area(*map(min, area[:2], veiled[:2]), *map(max, area[2:], veiled[2:]))
    left, top, right, bottom = (
        math.floor(area.left),
        math.floor(area.top),
        math.ceil(area.right),
        math.ceil(area.bottom),
    )
    if limits is not None:
        left, top, right, bottom = max(left, 0), max(top, 0), min(right, limits[1]), min(bottom, limits[0])
    return Canvas(left, top, max(1, right - left), max(1, bottom - top))


def mask_of(canvas: Canvas, glyphs: list[Glyphs], stroke: float = 0.0) -> np.ndarray:
    """[H, W] in 0..1: the glyphs, or with `stroke` pixels around them (round joins)."""
    from PIL import Image, ImageChops, ImageDraw

    picture = Image.new("L", (canvas.width, canvas.height))
    draw = ImageDraw.Draw(picture)
    for glyph in glyphs:
        check_cancel()
        if isinstance(glyph.font, ColorFont):
            _put_shape(picture, glyph, glyph.font, stroke)
            continue
        if not glyph.rotated:
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


def _put_shape(picture: Image.Image, glyph: Glyphs, font: ColorFont, stroke: float) -> None:
    """The outline of a coloured letter, filled, on a mask, in place."""
    import numpy as np
    from PIL import Image, ImageChops

    drawn = font.drawn(glyph.text)
    if drawn is None:
        return
    alpha = np.asarray(drawn.picture)[..., 3]
    reach = math.ceil(stroke)
    shape = Image.fromarray(stroked(alpha, stroke) if stroke else alpha)
    left, top = round(glyph.x + drawn.left) - reach, round(glyph.y + drawn.top) - reach
    place = (left, top, left + shape.width, top + shape.height)
    picture.paste(ImageChops.lighter(picture.crop(place), shape), place[:2])


def put_pictures(canvas: Canvas, glyphs: list[Glyphs]) -> None:
    """Each coloured letter in its colours over what is there."""
    import numpy as np

    for glyph in glyphs:
        check_cancel()
        drawn = glyph.font.drawn(glyph.text) if isinstance(glyph.font, ColorFont) else None
        if drawn is None:
            continue
        left, top = round(glyph.x + drawn.left), round(glyph.y + drawn.top)
        rows = slice(max(0, top), max(0, min(canvas.height, top + drawn.picture.height)))
        columns = slice(max(0, left), max(0, min(canvas.width, left + drawn.picture.width)))
        inner = (slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left))
        seen = np.asarray(drawn.picture, np.float32)[inner] / 255
        alpha = seen[..., 3]
        canvas.alpha[rows, columns] = canvas.alpha[rows, columns] * (1 - alpha) + alpha
        for plane, level in zip(canvas.rgb, seen[..., :3].transpose(2, 0, 1)):
            plane[rows, columns] = plane[rows, columns] * (1 - alpha) + level * alpha


def _levels(picture: Image.Image) -> np.ndarray:
    """An 8-bit picture as [H, W] in 0..1."""
    import numpy as np

    return np.multiply(np.asarray(picture), np.float32(1 / 255), dtype=np.float32)


def blurred(mask: np.ndarray, radius: float) -> np.ndarray:
    """A Gaussian blur of standard deviation `radius` pixels; a wide one at a fraction of the size, where it is cheap."""
    import numpy as np
    from PIL import Image, ImageFilter

    check_cancel()
    factor = max(1, int(radius // 2))
    picture = Image.fromarray((mask * 255).astype(np.uint8))
    small = picture.reduce(factor).filter(ImageFilter.GaussianBlur(radius / factor))
    large = small.resize((small.width * factor, small.height * factor), Image.Resampling.BILINEAR)
    return _levels(large)[: mask.shape[0], : mask.shape[1]]


def moved_by(mask: np.ndarray, right: int, down: int) -> np.ndarray:
    """A mask [H, W] moved by whole pixels, 0 or more; what leaves it is lost."""
    import numpy as np

    moved = np.zeros_like(mask)
    moved[down:, right:] = mask[: mask.shape[0] - down, : mask.shape[1] - right]
    return moved


def round_box(canvas: Canvas, ink: Area, padding: float, radius: float) -> np.ndarray:
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


def soft_box(canvas: Canvas, veil: Veil) -> np.ndarray:
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


def rotated(canvas: Canvas, letters: np.ndarray, degrees: float) -> tuple[Canvas, np.ndarray]:
    """Canvas and letters rotated about their middle, counter-clockwise."""
    import numpy as np
    from PIL import Image

    planes = [
        Image.fromarray(np.ascontiguousarray(plane)).rotate(degrees, Image.Resampling.BICUBIC, expand=True)
        for plane in (*canvas.rgb, canvas.alpha, letters)
    ]
    channels = [np.clip(np.asarray(plane, np.float32), 0, 1) for plane in planes]
    height, width = channels[0].shape
    left = round(canvas.left + (canvas.width - width) / 2)
    top = round(canvas.top + (canvas.height - height) / 2)
    whole = Canvas(left, top, width, height)
    whole.alpha = channels[3]
    whole.rgb = np.minimum(np.stack(channels[:3]), whole.alpha)
    return whole, channels[4]


def blended(base: np.ndarray, top: np.ndarray, alpha: np.ndarray, blend: str) -> np.ndarray:
    """A layer [H, W, 3] of opacity `alpha` [H, W, 1] on `base`. Formulas: W3C Compositing and Blending 1, section 10."""
    import numpy as np

    check_cancel()
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
