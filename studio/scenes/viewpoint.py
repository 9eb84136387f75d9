"""How far a product photo looks down, by the outline of the product's foot."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from .choose import ABOVE, AUTO, LEVEL, STEEP, SceneQuery

if TYPE_CHECKING:
    import numpy as np

FOOT_REACH = 0.35  # of the width: how far above the lowest point an outline still belongs to the foot
OUT = (0.5, 0.65, 0.8)  # of the foot's half width: where the outline's rise is measured
LEAN = 0.25  # of the foot's width: nearer to an end, the lowest point is no middle
LEAST = 16  # pixels: of a smaller product the outline says nothing


def camera_down(mask: np.ndarray) -> float | None:
    """Degrees, 0..90, that the camera looks down on the product of a mask [h, w]; None where the mask has too little of it.

    A round foot seen from d degrees above is an ellipse whose half axes are r and r sin(d): at x from its middle its lower
    edge has risen by r sin(d) (1 - sqrt(1 - (x / r)^2)). The smallest answer of six places counts: one side alone rises
    under a handle or a slanted sole, the ends alone at rounded corners. A straight foot, as of a box or a tube, gives 0.
    """
    import numpy as np

    solid = mask > 0.5
    columns = np.flatnonzero(solid.any(0))
    if len(columns) < LEAST:
        return None
    lowest = solid.shape[0] - 1 - solid[::-1, columns].argmax(0)
    width = len(columns)
    for _ in range(2):  # a bowl on a small foot is wider than what it stands on
        foot = np.flatnonzero(lowest >= lowest.max() - FOOT_REACH * width)
        width = int(foot[-1] - foot[0] + 1)
    if width < LEAST:
        return None
    bottom = float(lowest.max())
    middle = float(np.flatnonzero(lowest >= bottom - 0.01 * width).mean())
    half = min(middle - foot[0], foot[-1] - middle) + 0.5  # of the side without a handle
    if half < LEAN * width:  # it stands on a heel
        middle, half = (foot[0] + foot[-1]) / 2, width / 2
    sines = []
    for out in OUT:
        rise = min(bottom - float(lowest[round(middle + side * out * half)]) for side in (-1, 1))
        sines.append(rise / half / (1 - math.sqrt(1 - out**2)))
    return math.degrees(math.asin(min(1.0, *sines)))


def as_photographed(query: SceneQuery, mask: np.ndarray) -> SceneQuery:
    """The query with `view` as the photo of the mask [h, w] was taken, where it is open and the mask shows it."""
    down = camera_down(mask) if query.view == AUTO else None
    return query if down is None else replace(query, view=ABOVE if down > STEEP else LEVEL, view_guessed=True)
