"""Letters that bring their own colours: emoji of bitmaps (CBDT, sbix) or of coloured layers (COLR version 0)."""

from __future__ import annotations

import math
import re
import struct
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..cancelling import check_cancel

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image, ImageFont

LARGEST_STRIKE = 512  # pixels an em of a bitmap; Apple's largest has 160
LARGEST_SIDE = 1024  # pixels of a bitmap: FreeType takes 32,767, which are 4 GB
_PNG = re.compile(rb"\x89PNG\r\n\x1a\n....IHDR(.{8})", re.DOTALL)
WIDEST = 8  # em that a sequence may take: a flag and its flagpole are below 2


class ColorPicture(NamedTuple):
    """A sequence of characters as it is drawn."""

    picture: Image.Image  # RGBA, straight
    left: float  # pixels from the origin on the baseline to its left edge,
    top: float  # and downwards to its top; negative above the baseline


class ColorFont:
    """A face of coloured pictures at `size` pixels an em. It answers what the typesetter asks Pillow's FreeTypeFont.

    strike: pixels an em at which its bitmaps lie in the file, from which others are scaled; 0: of layers, drawn at any size.
    changed: of the file, as FontFile has it.
    """

    def __init__(self, path: Path, face: int, size: float, strike: int, changed: int = 0):
        self.size = size
        self._strike = strike or max(1, round(size))
        self._drawn_from = path, face, self._strike, changed
        self._scale = size / self._strike

    def getlength(self, text: str) -> float:
        """Pixels from this text to the next."""
        return _font(*self._drawn_from).getlength(text) * self._scale

    def getbbox(self, text: str, anchor: str = "ls") -> tuple[float, float, float, float]:
        """Left, top, right, bottom of what is drawn, from the origin on the baseline; zeros where that is nothing."""
        drawn = self.drawn(text)
        if drawn is None:
            return 0.0, 0.0, 0.0, 0.0
        return drawn.left, drawn.top, drawn.left + drawn.picture.width, drawn.top + drawn.picture.height

    def drawn(self, text: str) -> ColorPicture | None:
        """The text in its colours; None where nothing is seen. Raises OSError for a font that FreeType cannot draw."""
        found = _drawn(*self._drawn_from, text)
        if found is None or self._scale == 1:
            return found
        wide, high = (max(1, round(side * self._scale)) for side in found.picture.size)
        return ColorPicture(found.picture.resize((wide, high)), found.left * self._scale, found.top * self._scale)


@lru_cache(maxsize=16)
def _font(path: Path, face: int, size: int, changed: int) -> ImageFont.FreeTypeFont:
    from PIL import ImageFont

    return ImageFont.truetype(path, size, face)


@lru_cache(maxsize=256)
def _drawn(path: Path, face: int, size: int, changed: int, text: str) -> ColorPicture | None:
    """Drawn on black and on white: what both have in common is the colour, in which they differ the opacity."""
    import numpy as np
    from PIL import Image, ImageDraw

    font = _font(path, face, size, changed)
    length = font.getlength(text)
    left, top, right, bottom = font.getbbox(text, mode="RGBA", anchor="ls")
    if max(length, right - left, bottom - top) > WIDEST * size * len(text):
        raise OSError(f"a letter of {max(length, right - left, bottom - top) / size:.0f} em")
    room, base = size, 2 * size  # pixels beside and above the origin
    planes = []
    for ground in (0, 255):
        picture = Image.new("RGB", (math.ceil(length) + 2 * room, 3 * size), (ground,) * 3)
        ImageDraw.Draw(picture).text((room, base), text, (0, 0, 0), font, anchor="ls", embedded_color=True)
        planes.append(np.asarray(picture, np.float32) / 255)
    on_black, on_white = planes
    alpha = np.clip(1 - (on_white - on_black).mean(-1), 0, 1)
    rows, columns = np.flatnonzero(alpha.any(1)), np.flatnonzero(alpha.any(0))
    if not len(rows):
        return None
    seen: tuple[slice, slice] = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    color = on_black[seen] / np.maximum(alpha[seen], 1 / 255)[..., None]
    straight = np.concatenate([np.clip(color, 0, 1), alpha[seen][..., None]], -1)
    return ColorPicture(
        Image.fromarray(np.rint(straight * 255).astype(np.uint8)), float(columns[0] - room), float(rows[0] - base)
    )


def strike_of(font: object) -> int | None:
    """How a font of fontTools is drawn in colours: the strike's pixels an em, 0 of layers, None where FreeType cannot.

    Raises ValueError for a bitmap that is far larger than any letter.
    """
    tables = set(font.keys())  # type: ignore[attr-defined]
    if {"CBDT", "CBLC"} <= tables:
        _require_small(font.reader["CBDT"])  # type: ignore[attr-defined]
        sizes = [strike.bitmapSizeTable.ppemY for strike in font["CBLC"].strikes]  # type: ignore[index]
    elif "sbix" in tables:
        _require_small(font.reader["sbix"])  # type: ignore[attr-defined]
        sizes = list(font["sbix"].strikes)  # type: ignore[index]
    elif "COLR" in tables and font["COLR"].version == 0 and "CPAL" in tables:  # type: ignore[index]
        return 0
    else:
        return None
    return max((size for size in sizes if 0 < size <= LARGEST_STRIKE), default=None)


def _require_small(table: bytes) -> None:
    for found in _PNG.finditer(table):
        width, height = struct.unpack(">II", found[1])
        if max(width, height) > LARGEST_SIDE:
            raise ValueError(f"a letter of {width} x {height} pixels; at most {LARGEST_SIDE} are drawn")


def stroked(alpha: np.ndarray, width: float) -> np.ndarray:
    """The opacity [H, W] of a picture with `width` pixels around it, larger by them at each side."""
    import numpy as np

    reach = math.ceil(width)
    around = np.pad(alpha, reach)
    grown = around.copy()
    for step in range(turns := max(8, 4 * reach)):
        check_cancel()  # a line of large emoji with a wide outline takes seconds
        angle = 2 * math.pi * step / turns
        down, right = round(width * math.sin(angle)), round(width * math.cos(angle))
        np.maximum(grown, np.roll(around, (down, right), (0, 1)), out=grown)
    return grown
