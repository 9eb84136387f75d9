"""Where products may stand and how large: sizes x ground lines x positions across, each with a score."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..canvas import Box, Safe
from ..errors import InputError
from .scene import EYE, BoxMeans, Scene, share_hidden
from .wishes import Wishes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from .layout import KnownGround

GAP = 0.06  # between products, times the tallest one's height
BEST = 350  # of each kind are paired
KNOWN_SHARE = 0.17  # of the picture: how large a product is on a ground that is known


class Shape(NamedTuple):
    """What is known of a product from its mask, or of several together, in pixels of the mask."""

    width: float
    height: float
    foot: tuple[float, float]  # where it touches the ground: from, to in 0..1 of the width (a mug's handle does not)


class ProductPlaces(NamedTuple):
    """Places where the products may stand, and how good each is. One empty box where there is no product."""

    boxes: np.ndarray  # [N, 4] left, top, right, bottom in 0..1 of the picture
    score: np.ndarray  # [N]
    hidden: np.ndarray  # [N] 0..1, how much of what catches the eye they hide
    platform: np.ndarray  # [N] 0..1, how much the ground under them is set off: a podium, a pool of light


def shape_of(mask: np.ndarray, index: int) -> Shape:
    import numpy as np

    rows, columns = np.flatnonzero((mask > 0.5).any(1)), np.flatnonzero((mask > 0.5).any(0))
    if not len(rows):
        raise InputError("product_mask", f"empty (picture {index})", "a mask with a product in it (1 = product)")
    wide, tall = int(columns[-1] - columns[0] + 1), int(rows[-1] - rows[0] + 1)
    low = mask[rows[-1] - tall // 20 : rows[-1] + 1, columns[0] : columns[-1] + 1] > 0.5
    foot = np.flatnonzero(low.any(0))
    return Shape(wide, tall, (float(foot[0]) / wide, float(foot[-1] + 1) / wide))


def group_of(shapes: list[Shape]) -> Shape:
    """All products side by side on one ground line. Photos are taken to be of one scale: nothing else is known."""
    if len(shapes) == 1:
        return shapes[0]
    tallest = max(shape.height for shape in shapes)
    return Shape(sum(shape.width for shape in shapes) + GAP * tallest * (len(shapes) - 1), tallest, (0, 1))


def product_places(
    shapes: list[Shape], scene: Scene, width: int, height: int, wishes: Wishes, safe: Safe, free: Safe
) -> ProductPlaces:
    """Sizes x ground lines x positions across, scored by size, thirds, what they hide and what they stand on."""
    import numpy as np

    if not shapes:
        return ProductPlaces(np.zeros((1, 4)), np.zeros(1), np.zeros(1), np.zeros(1))
    group = group_of(shapes)
    if scene.known is not None:
        return _known_places(scene.known, group, scene, width / height, wishes, free)
    shape = group.width / group.height * height / width  # width for a height of 1, both as shares of the picture
    tallest = min(1 - free.top - free.bottom, (1 - 2 * free.left) / shape)
    heights = [wishes.product_scale / 100] if wishes.product_scale else np.linspace(0.2, 0.76, 13)
    heights = np.unique(np.minimum(heights, tallest).round(4))
    bases = _ground_lines(scene, safe, free)
    grid = np.stack(np.meshgrid(heights, bases, np.linspace(0, 1, 17), indexing="ij"), -1).reshape(-1, 3)
    grid = grid[grid[:, 1] - grid[:, 0] >= min(free.top, 1 - free.bottom - grid[:, 0].min())]
    if not len(grid):  # a size was wished that leaves no choice of ground lines
        grid = np.array([(heights[0], max(heights[0], 1 - free.bottom), across) for across in np.linspace(0, 1, 17)])
    tall, base = grid[:, 0], grid[:, 1]
    wide = tall * shape
    left = free.left + (1 - 2 * free.left - wide) * grid[:, 2]
    boxes = np.stack([left, base - tall, left + wide, base], -1)

    # A sixth of the picture, more for several, less for a long thin one: its length already makes it large.
    long = max(max(shape.width / shape.height, shape.height / shape.width) for shape in shapes)
    size = -0.8 * np.abs(np.log(tall * wide / (0.165 * long**-0.4 * min(2.2, 1 + 0.4 * (len(shapes) - 1)))))
    middle = left + wide / 2
    spot = -1.5 * np.min([np.abs(middle - third) for third in (1 / 3, 0.5, 2 / 3)], 0)
    straddles, platform = _footing(boxes, group.foot, scene, width / height)
    if scene.horizon is None:
        depth = np.abs(base - 0.86) * 4
    else:
        depth = np.abs((base - scene.horizon) / (1 - scene.horizon) - 0.6)
    behind = boxes - [[0, 0, 0, 1]] * (0.25 * tall[:, None])  # what lies under its foot is the ground, not hidden
    hidden = share_hidden(scene, behind)
    covered = BoxMeans(scene.saliency).over(behind)
    score = size + spot - depth * (1 - platform) + platform - 1.3 * straddles - 1.4 * covered - 1.8 * hidden
    best = np.argsort(-score, kind="stable")[:BEST]
    return ProductPlaces(boxes[best], score[best], hidden[best], platform[best])


def _known_places(
    ground: KnownGround, group: Shape, scene: Scene, aspect: float, wishes: Wishes, free: Safe
) -> ProductPlaces:
    """Sizes x places around where a product stands best, scored by size and by how much of its foot is supported."""
    import numpy as np

    shape = group.width / group.height / aspect
    x, y = ground.stand
    tallest = min(y - free.top, (1 - 2 * free.left) / shape)
    heights = [wishes.product_scale / 100] if wishes.product_scale else np.linspace(0.2, 0.76, 15)
    heights = np.unique(np.clip(heights, 0.02, max(0.02, tallest)).round(4))
    rows = [y + (edge - y) * part for edge, part in ((_nearest(ground, -1), 0.35), (y, 0), (_nearest(ground, 1), 0.25))]
    grid = np.stack(np.meshgrid(heights, rows, np.linspace(-0.12, 0.12, 7), indexing="ij"), -1).reshape(-1, 3)
    tall, base = grid[:, 0], np.minimum(grid[:, 1], 1 - free.bottom / 2)
    wide = tall * shape
    middle = np.clip(x + grid[:, 2], free.left + wide / 2, np.maximum(free.left + wide / 2, 1 - free.right - wide / 2))
    boxes = np.stack([middle - wide / 2, base - tall, middle + wide / 2, base], -1)
    feet = boxes[:, :1] + wide[:, None] * np.array(group.foot)
    apart = np.hypot((middle - x) * aspect, base - y)
    size = -0.8 * np.abs(np.log(tall * wide / KNOWN_SHARE))
    lost = np.mean([~inside(ground.support, feet[:, end], base) for end in (0, 1)], 0)
    hidden = share_hidden(scene, boxes - [[0, 0, 0, 1]] * (0.25 * tall[:, None]))
    score = 2 + size - 3.0 * apart - 3.0 * lost - 0.6 * hidden
    best = np.argsort(-score, kind="stable")[:BEST]
    return ProductPlaces(boxes[best], score[best], hidden[best], np.zeros(len(best)))


def _nearest(ground: KnownGround, side: int) -> float:
    """The support's furthest (-1) or nearest (1) edge; where a product stands if it has none."""
    ys = [y for _, y in ground.support] or [ground.stand[1]]
    return min(ys) if side < 0 else max(ys)


def inside(corners: Sequence[tuple[float, float]], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """[N] whether points lie in a polygon, by the even-odd rule; everywhere where it has less than three corners."""
    import numpy as np

    within = np.full(x.shape, len(corners) < 3)
    for (x0, y0), (x1, y1) in zip(corners, [*corners[1:], corners[0]] if len(corners) > 2 else ()):
        if y0 != y1:
            crossed = ((y0 > y) != (y1 > y)) & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
            within = within ^ crossed
    return within


def _ground_lines(scene: Scene, safe: Safe, free: Safe) -> np.ndarray:
    """Where a product's base may stand: on the ground that begins at the horizon, else in the lower quarter."""
    import numpy as np

    lowest = 1 - max(free.bottom, safe.bottom * 0.5)  # buttons may lie over its foot, not over its middle
    if scene.horizon is None:
        return np.linspace(min(0.68, lowest - 0.05), lowest, 7)
    deep = 1 - scene.horizon
    return np.linspace(min(scene.horizon + 0.25 * deep, lowest - 0.02), min(scene.horizon + 0.85 * deep, lowest), 9)


def _footing(
    boxes: np.ndarray, foot: tuple[float, float], scene: Scene, aspect: float
) -> tuple[np.ndarray, np.ndarray]:
    """[N] twice, 0..1: does the product stand across an edge, and does it stand on something set off from the sides.

    By the colours around its base line: above against below, its ends against its middle, and against the picture's
    sides.
    """
    import numpy as np

    means = BoxMeans(scene.color)
    wide, base = boxes[:, 2] - boxes[:, 0], boxes[:, 3]
    left, right = boxes[:, 0] + foot[0] * wide, boxes[:, 0] + foot[1] * wide
    wide = right - left
    # As deep as a round product seen from a little above.
    deep = np.clip(0.13 * wide * aspect, 0.012, 0.06)

    def strip(x0: np.ndarray | float, x1: np.ndarray | float, up: float, down: float) -> np.ndarray:
        x0, x1 = np.broadcast_to(x0, base.shape), np.broadcast_to(x1, base.shape)
        return means.over(np.stack([x0, base - up * deep, x1, base + down * deep], -1))

    def unlike(a: np.ndarray, b: np.ndarray, much: float) -> np.ndarray:
        return np.clip(np.linalg.norm(a - b, axis=-1) / much, 0, 1)

    inner = left + 0.25 * wide, right - 0.25 * wide
    above, below = strip(*inner, 0.9, -0.1), strip(*inner, -0.1, 0.7)
    whole = strip(*inner, 1, 0.6)
    ends = [unlike(whole, strip(*end, 0.7, 0.4), 0.45) for end in ((left, inner[0]), (inner[1], right))]
    straddles = np.maximum.reduce([unlike(above, below, 0.25), *ends])
    sides = [unlike(whole, strip(x, x + 0.1, 1, 0.6), 0.3) for x in (0.02, 0.88)]
    # A lake between two trees is set off from them too; but a podium catches the eye, and the wall behind it is another.
    seen = BoxMeans(scene.saliency).over(np.stack([left, base - deep, right, base + 0.6 * deep], -1))
    behind = means.over(np.stack([left, boxes[:, 1], right, (boxes[:, 1] + base) / 2], -1))
    set_off = np.minimum.reduce([*sides, unlike(whole, behind, 0.3), np.clip(seen / EYE, 0, 1)])
    rough = BoxMeans(scene.busyness).over(np.stack([inner[0], base - 0.7 * deep, inner[1], base + 0.4 * deep], -1))
    return straddles, set_off * (1 - straddles) * np.clip(1.2 - 2 * rough, 0, 1)


def shared_out(group: np.ndarray, shapes: list[Shape], width: int, height: int) -> tuple[Box, ...]:
    """The group's box shared out: sizes in proportion, one ground line, gaps between."""
    if not shapes:
        return ()
    x0, y0, x1, y1 = (group * [width, height, width, height]).tolist()
    whole = group_of(shapes)
    scale = min((x1 - x0) / whole.width, (y1 - y0) / whole.height)
    boxes, x = [], (x0 + x1 - whole.width * scale) / 2
    for shape in shapes:
        wide, tall = max(1, int(shape.width * scale)), max(1, int(shape.height * scale))
        boxes.append(Box(round(x), round(y1) - tall, wide, tall))
        x += (shape.width + GAP * whole.height) * scale
    return tuple(boxes)
