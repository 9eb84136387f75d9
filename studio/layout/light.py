"""Where the main light of a picture comes from, from how its brightness falls off."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

from .contrast import relative_luminance
from .layout import Light

if TYPE_CHECKING:
    import numpy as np

STUDIO = Light(330.0, 55.0)  # from the upper left, as product photographers set it: where a picture does not tell
FLAT = 0.04  # luminance across the picture; less slope than this is noise
SIDE = 32  # cells; only the large forms count, not what is drawn on them


def estimate_light(image: np.ndarray) -> Light:
    """Light of a picture [H, W, 3] in 0..1: it comes from where a plane through the luminance rises.

    A least-squares plane over 32 x 32 medians. A steep slope means a low, hard light; a flat picture gets STUDIO.
    """
    import numpy as np

    cells = _cells(relative_luminance(image), SIDE)
    rows, columns = np.mgrid[0 : 1 : cells.shape[0] * 1j, 0 : 1 : cells.shape[1] * 1j] - 0.5
    design = np.stack([columns.ravel(), rows.ravel(), np.ones(cells.size)], -1)
    across, down, _ = np.linalg.lstsq(design, np.sqrt(cells).ravel(), rcond=None)[0]
    slope = math.hypot(across, down)
    if slope < FLAT:
        return STUDIO
    azimuth = math.degrees(math.atan2(across, -down)) % 360
    return Light(round(azimuth, 1), round(min(70.0, max(30.0, 70.0 - 60.0 * slope)), 1))


def _cells(luminance: np.ndarray, side: int) -> np.ndarray:
    """Medians of at most side x side parts: a lamp or a sparkle in one part does not tilt the plane."""
    import numpy as np

    rows = np.linspace(0, luminance.shape[0], min(side, luminance.shape[0]) + 1).astype(int)
    columns = np.linspace(0, luminance.shape[1], min(side, luminance.shape[1]) + 1).astype(int)
    step = max(1, max(luminance.shape) // 512)
    return np.array(
        [
            [np.median(luminance[top:bottom:step, left:right:step]) for left, right in itertools.pairwise(columns)]
            for top, bottom in itertools.pairwise(rows)
        ]
    )
