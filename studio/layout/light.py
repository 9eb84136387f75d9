"""Where the main light of a picture comes from: a lamp, a window or a sun in it, else how its brightness falls off."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..contrast import relative_luminance
from ..images import every_nth
from .layout import Light

if TYPE_CHECKING:
    import numpy as np

STUDIO = Light(330.0, 55.0)  # from the upper left, as product photographers set it: where a picture does not tell
FLAT = 0.04  # rise of the square root of luminance across the picture, by its mean; less is a vignette or noise
GROUND_FROM = 0.65  # of the height: below, nearly every scene shows its ground
DEPTH = 2.3  # times the rise over that part of the height: as if over most of it
GLARE = 0.9  # luminance of a lamp or a window; a lit wall and a lampshade stay below
GRID_SIDE = 32  # cells; only the large forms count, not what is drawn on them
LARGEST_LAMP, LARGEST_WINDOW = 0.15, 0.3  # share of the picture that a lamp, and a window at the side, may take
SPREAD = 0.16  # standard deviation of a light's cells, in pictures, to each direction
EDGE_STEP = 0.05  # a larger step from cell to cell is the edge of a thing, not a slope of light


def estimate_light(image: np.ndarray) -> Light:
    """Light of a picture [H, W, 3] in 0..1. A steep slope means a low, hard light; a flat picture gets STUDIO.

    A small glaring spot in the upper part is the light itself. Otherwise the light comes from where brightness rises
    gently: sums of the small differences from cell to cell, since large ones are edges between things (Land and
    McCann 1971, "Lightness and retinex theory"). Across, the whole picture tells; whether it comes from the front or
    from behind, the ground alone does: it is brightest where it is nearest to the light, and walls and skies have
    slopes of their own.
    """
    import numpy as np

    cells = relative_luminance(_cells(image))
    source = _source(cells)
    if source is not None:
        return source
    roots = np.sqrt(cells)
    ground = roots[round(GROUND_FROM * len(roots)) :]
    across, towards = _slope(roots, 1) / _usual(roots), DEPTH * _slope(ground, 0) / _usual(ground)
    steep = math.hypot(across, towards)
    if steep < FLAT:
        return STUDIO
    azimuth = math.degrees(math.atan2(across, -towards)) % 360
    return Light(round(azimuth, 1), round(min(70.0, max(30.0, 70.0 - 60.0 * _usual(roots) * steep)), 1))


def _usual(roots: np.ndarray) -> float:
    """What slopes are measured by; a little more than 0 in a black picture."""
    return float(roots.mean()) + 0.05 if roots.size else 1.0


def _source(cells: np.ndarray) -> Light | None:
    """The light that is in the picture: far brighter than the rest, small, in the upper two thirds, in one place."""
    import numpy as np

    if min(cells.shape) < 8:
        return None
    glare = cells > max(GLARE, 1.7 * float(np.median(cells)))
    glare[cells.shape[0] * 2 // 3 :] = False
    share = glare.mean()
    if not 0.002 < share < LARGEST_WINDOW:
        return None
    rows, columns = np.nonzero(glare)
    down, across = rows / cells.shape[0] - 0.5, columns / cells.shape[1] - 0.5
    # A window at the side may be large; in the middle it is a wall, or the sky.
    beside = abs(float(across.mean())) > 0.2
    if share > LARGEST_LAMP and not beside:
        return None
    if across.std() > SPREAD or down.std() > (1.4 * SPREAD if beside else SPREAD):
        return None  # several, as lamps in the background: no one direction
    azimuth = math.degrees(math.atan2(across.mean(), 0.3))  # the source stands behind, to one side
    return Light(round(azimuth % 360, 1), round(45.0 - 40.0 * float(down.mean()), 1))


def _slope(roots: np.ndarray, axis: int) -> float:
    """Rise over the whole picture along an axis, edges left out. 0 for a picture of one cell in that direction."""
    import numpy as np

    steps = np.diff(roots, axis=axis)
    if not steps.size:
        return 0.0
    gentle = np.abs(steps) < EDGE_STEP
    return float(steps[gentle].sum() / max(1, gentle.sum()) * (roots.shape[axis] - 1))


def _cells(image: np.ndarray) -> np.ndarray:
    """sRGB means of at most SIDE x SIDE parts; of large pictures only some of the pixels are looked at."""
    import numpy as np
    from PIL import Image

    pixels = Image.fromarray((np.clip(every_nth(image, 1280), 0, 1) * 255).astype(np.uint8))
    size = (min(GRID_SIDE, pixels.width), min(GRID_SIDE, pixels.height))
    return np.asarray(pixels.resize(size, Image.Resampling.BOX), np.float64) / 255
