"""Shadows and reflections of a product that stands on the ground, as opacities to darken a scene with."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..cancelling import check_cancel
from ..layout.layout import Light

if TYPE_CHECKING:
    import numpy as np

NONE, DROP, CONTACT, CAST, BOTH = "none", "drop", "contact", "cast", "contact + cast"
COLOR = (0.0, 0.0, 0.0)  # of a shadow, sRGB
SHADOW_KINDS = (NONE, DROP, CONTACT, CAST, BOTH)

# How far the ground is foreshortened: the usual product photo looks down at about 20 degrees
GROUND_FORESHORTENING = 0.38
LONGEST_SHADOW = 1.1  # of the product's height: a low light would throw the shadow out of the picture
RIM = 6  # pixels from column to column that an edge may rise and still be the rim on which the product stands
# Rise for each column of a base that is level to the other side of its lowest point,
STEEPEST = 1.15 * GROUND_FORESHORTENING
ONE_SIDED = 0.1  # and how far it may rise at all, of the product's height
MOST_LOPSIDED = 1.3  # how much farther from its lowest point a round base may reach to one side than to the other
CORNER = 0.15  # share of a base's width to either side of the corner over which a box is seen
SLOPES = 0.36  # product of the slopes of its two edges: the squared sine of the camera's height, up to 37 degrees
STEPS = 4
THINNEST = 0.1  # of the product's height: light from exactly the side still leaves a shadow as deep as the product


def shadow(alpha: np.ndarray, kind: str, light: Light, softness: float, opacity: float = 1.0) -> np.ndarray:
    """Opacity [H, W] in 0..1 of the shadow of a product whose matte `alpha` [H, W] stands at its place in the picture.

    `softness` 0 (hard sun) to 1 (overcast). `opacity` 0 to 1 is the cast shadow's; where the product touches the ground
    hardly any light comes in, so that contact is twice as deep: 1 - (1 - opacity)². The ground line is the lowest solid row of the matte.
    """
    import numpy as np

    rows = np.flatnonzero((alpha > 0.5).any(1))
    if kind == NONE or not len(rows):
        return np.zeros_like(alpha)
    base, tall = int(rows[-1]) + 1, int(rows[-1] - rows[0]) + 1
    if kind == DROP:
        return _drop(alpha, tall, light, softness) * np.float32(opacity)
    ground = _footprint(alpha, base)
    contact = _contact(alpha, ground, tall, softness) if kind in (CONTACT, BOTH) else 0.0
    cast = _cast(alpha, ground, tall, light, softness) if kind in (CAST, BOTH) else 0.0
    deep = 0.95 * (1 - (1 - opacity) ** 2) * np.asarray(contact)
    return np.clip(1 - (1 - deep) * (1 - 0.75 * opacity * np.asarray(cast)), 0, 1).astype(np.float32)


def reach(tall: int) -> int:
    """Pixels beyond a product of height `tall` that its shadow may darken."""
    return math.ceil(tall * (LONGEST_SHADOW + 0.35))


def _drop(alpha: np.ndarray, tall: int, light: Light, softness: float) -> np.ndarray:
    """The matte moved away from the light and blurred, as paper on a wall."""
    away = math.radians(light.azimuth)
    far = tall * 0.045
    moved = _shifted(alpha, round(-math.sin(away) * far), round(math.cos(away) * far))
    return _blurred(moved, max(1.0, tall * (0.01 + 0.05 * softness)))


def _footprint(alpha: np.ndarray, base: int) -> np.ndarray:
    """The row of the ground under each column: one below the matte's lowest edge, as far as that edge runs on smoothly
    from the lowest point and no steeper than a base that lies on the ground.

    A base seen from above rises to both sides of its lowest point (the rim of a saucer), or by less than the ground's
    foreshortening (the corner of a box). An edge that rises faster, to one side alone, has left the ground, as a slanted
    sole has, and so has what lies beyond a jump (a handle in the air): the ground stays level there.
    """
    import numpy as np

    solid = alpha > 0.5
    there = solid.any(0)
    lowest = alpha.shape[0] - np.argmax(solid[::-1], 0)
    columns = np.flatnonzero(there)
    feet = columns[lowest[columns] >= base - 1]
    start = int(feet[np.abs(feet - np.median(feet)).argmin()])
    right = _rise(there, lowest, base, range(start, columns[-1] + 1))
    left = _rise(there, lowest, base, range(start, columns[0] - 1, -1))
    ground = np.full(alpha.shape[1], base)
    tall = base - int(np.flatnonzero(solid.any(1))[0])
    for way, own, other in ((1, right, left), (-1, left, right)):
        steps = np.arange(len(own))
        off = np.flatnonzero(own > _may_rise(steps, other, tall))
        if len(off):
            own = np.minimum(own, own[max(0, off[0] - 1)])
        ground[start + way * steps] = base - own
        beyond = slice(start + len(own), None) if way > 0 else slice(None, start - len(own) + 1)
        ground[beyond] = base - own[-1]
    return ground


def _may_rise(steps: np.ndarray, other: np.ndarray, tall: int) -> np.ndarray:
    """How far above its lowest point a base may be, `steps` columns to one side of it, given its rises to the other."""
    import numpy as np

    one_sided = np.minimum(STEEPEST * steps, ONE_SIDED * tall) + 2
    opposite = other[np.minimum(steps, len(other) - 1)] + RIM
    allowed = np.maximum(one_sided, np.where(steps <= MOST_LOPSIDED * len(other), opposite, 0))
    slope = other[-1] / len(other)
    if slope > 0.1 and len(other) > CORNER * (len(steps) + len(other)):
        allowed = np.maximum(allowed, SLOPES / slope * steps + 2)
    return allowed


def _rise(there: np.ndarray, lowest: np.ndarray, base: int, way: range) -> np.ndarray:
    """How many pixels above `base` the lowest edge is in each column of `way`; level where it jumps or is missing."""
    import numpy as np

    rises: np.ndarray = np.zeros(len(way), int)
    level = base
    for step, column in enumerate(way):
        if there[column] and abs(int(lowest[column]) - level) <= RIM:
            level = int(lowest[column])
        rises[step] = base - level
    return rises


def _contact(alpha: np.ndarray, ground: np.ndarray, tall: int, softness: float) -> np.ndarray:
    """Dark where the product meets the ground: along its lowest edge, less where that edge rises from the ground."""
    import numpy as np

    height = alpha.shape[0]
    near = np.where((alpha > 0.5).any(0), np.clip(1 - (ground.max() - ground) / (0.3 * tall), 0, 1), 0.0)
    lowest = height - np.argmax(alpha[::-1] > 0.5, 0)
    near = np.where(np.abs(lowest - ground) <= 2, near, 0.0)  # nothing touches the ground under a handle
    check_cancel()
    rows = np.arange(height)[:, None]
    thick = max(1.5, tall * 0.026)
    line = (np.exp(-(((rows - ground) / thick) ** 2)) * near).astype(np.float32)
    tight = _blurred(line, max(0.7, tall * 0.006))
    wide = _blurred(line, max(2.0, tall * (0.035 + 0.05 * softness)))
    return np.clip(0.85 * tight + 1.7 * wide, 0, 1)


def _cast(alpha: np.ndarray, ground: np.ndarray, tall: int, light: Light, softness: float) -> np.ndarray:
    """The matte laid on the ground, away from the light; softer the farther from where it stands."""
    import numpy as np

    azimuth = math.radians(light.azimuth)
    length = min(LONGEST_SHADOW, 1 / max(0.2, math.tan(math.radians(max(5.0, light.elevation)))))
    across = -math.sin(azimuth) * length
    down = math.cos(azimuth) * length * GROUND_FORESHORTENING
    if abs(down) < THINNEST:
        down = math.copysign(THINNEST, down)
    height, width = alpha.shape
    rows, columns = np.nonzero(alpha > 0.5)
    feet = ground[columns].astype(np.float64)
    # Where the ground rises steeply (a round rim), neighbouring columns fall far apart: more are laid between them.
    rise = np.append(np.diff(ground), 0)[columns]
    steep = np.abs(rise) > 1
    between = np.arange(1, STEPS) / STEPS
    check_cancel()
    rows = np.concatenate([rows, *[rows[steep]] * len(between)])
    feet = np.concatenate([feet, *(feet[steep] + share * rise[steep] for share in between)])
    columns = np.concatenate([columns, *(columns[steep] + share for share in between)])
    lift = np.maximum(feet - rows, 0)  # a point so high above its ground falls there:
    x = np.rint(columns + across * lift).astype(np.int64)
    y = np.rint(feet - 1 + down * lift).astype(np.int64)
    seen = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    spot = y[seen] * width + x[seen]
    check_cancel()
    hits = np.bincount(spot, minlength=height * width)
    # What was thrown from how high: the mean, in heights of the product, where several points fall on one.
    high = np.bincount(spot, lift[seen] / tall, minlength=height * width) / np.maximum(hits, 1)
    # Columns on a slanting ground leave gaps between each other: each spot fills its neighbours.
    laid = _widened((hits > 0).reshape(height, width).astype(np.float32))
    high = _widened(high.reshape(height, width).astype(np.float32))
    # The part of each level of blur, by that height. Blurring it with the shadow carries it beyond the shadow's edge.
    levels = [max(0.8, tall * share * (0.25 + softness)) for share in (0.006, 0.035, 0.09)]
    near, middle, far = (_blurred(laid, radius) for radius in levels)
    check_cancel()
    spread = _blurred(high, levels[1]) / np.maximum(_blurred(laid, levels[1]), 1e-2)
    first, second = np.clip(spread / 0.4, 0, 1), np.clip((spread - 0.4) / 0.6, 0, 1)
    check_cancel()
    soft = (near * (1 - first) + middle * first) * (1 - second) + far * second
    return soft * (1 - 0.55 * np.clip(spread, 0, 1))  # light from the sky fills it towards the tip


def _widened(plane: np.ndarray) -> np.ndarray:
    """The largest value of each 3 x 3 spots."""
    import numpy as np

    check_cancel()
    padded = np.pad(plane, 1)
    rows = np.maximum(np.maximum(padded[:-2], padded[1:-1]), padded[2:])
    return np.maximum(np.maximum(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:])


def reflection(alpha: np.ndarray) -> tuple[np.ndarray, int]:
    """Opacity [H, W] of the mirror image below the base, and the row about which the picture is mirrored."""
    import numpy as np

    rows = np.flatnonzero((alpha > 0.5).any(1))
    if not len(rows):
        return np.zeros_like(alpha), 0
    base, tall = int(rows[-1]) + 1, int(rows[-1] - rows[0]) + 1
    mirrored = mirror(alpha, base)
    check_cancel()
    depth = (np.arange(alpha.shape[0])[:, None] - base) / (0.45 * tall)
    return mirrored * np.where(depth >= 0, np.clip(1 - depth, 0, 1) ** 1.5, 0).astype(np.float32), base


def mirror(picture: np.ndarray, base: int) -> np.ndarray:
    """Rows below `base` show those above it, upside down; nothing above."""
    import numpy as np

    check_cancel()
    out = np.zeros_like(picture)
    count = min(base, picture.shape[0] - base)
    out[base : base + count] = picture[base - count : base][::-1]
    return out


def _shifted(mask: np.ndarray, right: int, down: int) -> np.ndarray:
    import numpy as np

    height, width = mask.shape
    out = np.zeros_like(mask)
    if abs(right) < width and abs(down) < height:
        out[max(0, down) : height + min(0, down), max(0, right) : width + min(0, right)] = mask[
            max(0, -down) : height - max(0, down), max(0, -right) : width - max(0, right)
        ]
    return out


def _blurred(mask: np.ndarray, radius: float) -> np.ndarray:
    """Gaussian blur; a wide one at a lower resolution, where nobody sees the difference."""
    import numpy as np
    from PIL import Image, ImageFilter

    check_cancel()
    factor = max(1, int(radius // 4))
    picture = Image.fromarray((np.clip(mask, 0, 1) * 255).round().astype(np.uint8))
    if factor > 1:
        picture = picture.resize(
            (max(1, picture.width // factor), max(1, picture.height // factor)), Image.Resampling.BOX
        )
    picture = picture.filter(ImageFilter.GaussianBlur(radius / factor))
    if factor > 1:
        picture = picture.resize((mask.shape[1], mask.shape[0]), Image.Resampling.BICUBIC)
    return np.asarray(picture, np.float32) / 255
