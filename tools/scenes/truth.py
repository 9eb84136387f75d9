"""What is known of a scene because it was built: where a product stands, the light, the horizon, where words are calm."""

from __future__ import annotations

import itertools

import numpy as np
from PIL import Image

from .camera import Frame, View
from .recipes import PALETTES, Recipe, caption, trades
from .stage import Stage

LICENCE = "Apache-2.0"
CELLS = 28  # a picture's longer side, when calm places are looked for
QUIET = 0.02  # mean change of brightness from one 320th of the longer side to the next that words bear
EDGE, FEW = 0.07, 0.008  # a change that is the outline of a thing; which share of a calm place may be such
ROOM = 1.75  # units around and 2.1 above where a product stands, that its own picture takes
MOST_CALM = 3


def of_scene(recipe: Recipe, stage: Stage, exposure: float) -> dict:
    """The fields of scene.json that all formats share."""
    return {
        "version": 1,
        "id": recipe.id,
        "setting": recipe.setting,
        "palette": recipe.palette,
        "colors": ["#" + PALETTES[recipe.palette].wall, "#" + PALETTES[recipe.palette].accent],
        "trades": trades(recipe),
        "caption": caption(recipe),
        "light": {"azimuth": round(stage.azimuth % 360, 1), "elevation": round(stage.elevation, 1)},
        "down": round(stage.down, 1),
        "exposure": exposure,
        "licence": LICENCE,
        "formats": {},
    }


def of_format(frame: Frame, seen: View, stage: Stage, picture: Image.Image) -> dict:
    """What one format's picture is, in shares of its width and height from the top left."""
    corners = _inside([seen.point(*corner) for corner in stage.support])
    return {
        "file": f"{frame.file}.webp",
        "support": [_rounded(corner) for corner in corners],
        "stand": _rounded(seen.stand),
        "horizon": round(seen.point(0, stage.back, 0)[1], 4),
        "unit": round(1 / seen.tall, 4),
        "calm": calm_places(picture, _product_room(seen)),
    }


def _rounded(values) -> list[float]:
    return [round(float(value), 4) for value in values]


def _inside(corners: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """A polygon cut to the picture (Sutherland and Hodgman 1974)."""
    for axis, limit, sign in ((0, 0.0, 1), (0, 1.0, -1), (1, 0.0, 1), (1, 1.0, -1)):
        kept = []
        for a, b in zip(corners, corners[1:] + corners[:1]):
            in_a, in_b = sign * (a[axis] - limit) >= 0, sign * (b[axis] - limit) >= 0
            if in_a:
                kept.append(a)
            if in_a != in_b:
                share = (limit - a[axis]) / (b[axis] - a[axis])
                kept.append((a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share))
        corners = kept
    return corners


def _product_room(seen: View) -> tuple[float, float, float, float]:
    x, y = seen.stand
    return x - ROOM / 2 / seen.wide, y - 2.1 / seen.tall, x + ROOM / 2 / seen.wide, y + 0.2 / seen.tall


def calm_places(picture: Image.Image, room: tuple[float, float, float, float]) -> list[list[float]]:
    """Up to three large boxes [left, top, right, bottom] without edges in them and apart from the product's room."""
    scale = 320 / max(picture.size)
    grey = (
        np.asarray(
            picture.convert("L").resize([max(8, round(side * scale)) for side in picture.size], Image.Resampling.BOX),
            float,
        )
        / 255
    )
    change = np.abs(np.diff(grey, axis=0, prepend=grey[:1])) + np.abs(np.diff(grey, axis=1, prepend=grey[:, :1]))
    planes = np.stack([change, change > EDGE])
    total = np.pad(planes, ((0, 0), (1, 0), (1, 0))).cumsum(1).cumsum(2)
    rows, columns = change.shape
    cell = max(rows, columns) / CELLS
    ys, xs = (np.linspace(0.04 * n, 0.96 * n, max(4, round(n / cell))).astype(int) for n in (rows, columns))
    found = []
    for (y0, y1), (x0, x1) in itertools.product(itertools.combinations(ys, 2), itertools.combinations(xs, 2)):
        area = (y1 - y0) * (x1 - x0)
        if area < 0.06 * rows * columns or (y1 - y0) < 0.11 * rows or (x1 - x0) < 0.2 * columns:
            continue
        box = (x0 / columns, y0 / rows, x1 / columns, y1 / rows)
        mean, edges = (total[:, y1, x1] - total[:, y0, x1] - total[:, y1, x0] + total[:, y0, x0]) / area
        if mean < QUIET and edges < FEW and not _overlap(box, room):
            found.append((area * (1 - 0.5 * mean / QUIET), box))
    places: list[tuple[float, float, float, float]] = []
    for _, box in sorted(found, reverse=True):
        if len(places) < MOST_CALM and not any(_overlap(box, other) for other in places):
            places.append(box)
    return [_rounded(box) for box in places]


def _overlap(a, b) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
