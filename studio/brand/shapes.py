"""Shapes that words stand on: circle, burst, pill, rounded, ribbon, tag."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from ..canvas import Box

if TYPE_CHECKING:
    import numpy as np
    from PIL import ImageDraw

FINER = 4  # times: drawn so much larger and averaged, for smooth edges
LONGEST_DRAWN = 16_384  # pixels: a larger shape is drawn less fine, and its pixels are too small to be seen
BURST_POINTS = 20
BURST_DEPTH = 0.1  # of the radius
ROUNDED_CORNER = 0.24  # of the height
NOTCH = 0.32  # of a ribbon's height: how deep its ends are cut in
POINT = 0.42  # of a tag's height: how far its pointed end reaches
TAG_HOLE = 0.085  # of a tag's height: the radius of its hole


class BadgeShape(NamedTuple):
    """A shape's proportions."""

    aspect: float  # width over height; 0: as wide as its words
    inner: tuple[
        float, float, float, float
    ]  # left, top, right, bottom of what words may fill, in shares of the HEIGHT from each side
    draw: Callable[[ImageDraw.ImageDraw, int, int], None]


def _circle(draw: ImageDraw.ImageDraw, wide: int, high: int) -> None:
    draw.ellipse((0, 0, wide - 1, high - 1), fill=255)


def _burst(draw: ImageDraw.ImageDraw, wide: int, high: int) -> None:
    points = []
    for step in range(2 * BURST_POINTS):
        reach = 1 - BURST_DEPTH * (step % 2)
        turn = math.pi * step / BURST_POINTS
        points.append((wide / 2 * (1 + reach * math.sin(turn)), high / 2 * (1 - reach * math.cos(turn))))
    draw.polygon(points, fill=255)


def _pill(draw: ImageDraw.ImageDraw, wide: int, high: int) -> None:
    draw.rounded_rectangle((0, 0, wide - 1, high - 1), min(wide, high) / 2, fill=255)


def _rounded(draw: ImageDraw.ImageDraw, wide: int, high: int) -> None:
    draw.rounded_rectangle((0, 0, wide - 1, high - 1), ROUNDED_CORNER * high, fill=255)


def _ribbon(draw: ImageDraw.ImageDraw, wide: int, high: int) -> None:
    notch = NOTCH * high
    right, low = wide - 1, high - 1
    draw.polygon(
        [(0, 0), (right, 0), (right - notch, high / 2), (right, low), (0, low), (notch, high / 2)],
        fill=255,
    )


def _tag(draw: ImageDraw.ImageDraw, wide: int, high: int) -> None:
    point, corner = POINT * high, 0.1 * high
    draw.rounded_rectangle((point - corner, 0, wide - 1, high - 1), corner, fill=255)
    draw.polygon(
        [(0, high * 0.5), (point, 0), (point + corner, 0), (point + corner, high - 1), (point, high - 1)], fill=255
    )
    hole, x = TAG_HOLE * high, point * 0.72
    draw.ellipse((x - hole, high / 2 - hole, x + hole, high / 2 + hole), fill=0)


SHAPES = {
    "circle": BadgeShape(1.0, (0.11, 0.22, 0.11, 0.22), _circle),
    "burst": BadgeShape(1.0, (0.15, 0.25, 0.15, 0.25), _burst),
    "pill": BadgeShape(0, (0.42, 0.22, 0.42, 0.22), _pill),
    "rounded": BadgeShape(0, (0.34, 0.2, 0.34, 0.2), _rounded),
    "ribbon": BadgeShape(0, (NOTCH + 0.22, 0.2, NOTCH + 0.22, 0.2), _ribbon),
    "tag": BadgeShape(0, (POINT + 0.22, 0.2, 0.3, 0.2), _tag),
}


def fineness(width: int, height: int) -> int:
    """How many times larger a shape of that size is drawn, so that a badge on a huge picture takes no gigabytes."""
    return max(1, min(FINER, LONGEST_DRAWN // max(width, height)))


def shape_mask(shape: str, width: int, height: int) -> np.ndarray:
    """[height, width] in 0..1 of one of SHAPES, its edge smooth."""
    import numpy as np
    from PIL import Image, ImageDraw

    finer = fineness(width, height)
    picture = Image.new("L", (width * finer, height * finer))
    SHAPES[shape].draw(ImageDraw.Draw(picture), picture.width, picture.height)
    return np.asarray(picture.reduce(finer), np.float32) / 255


def words_box(shape: str, width: int, height: int) -> Box:
    """What words may fill of a shape of that size."""
    left, top, right, bottom = (round(share * height) for share in SHAPES[shape].inner)
    return Box(left, top, max(1, width - left - right), max(1, height - top - bottom))
