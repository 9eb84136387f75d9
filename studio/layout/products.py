"""Where products may stand and how large: sizes x ground lines x positions across, each with a score."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..canvas import LEAST_ALPHA, Box, cut_sides
from ..errors import InputError
from .analysis import EYE, BoxMeans, PictureAnalysis, face_cover, share_hidden
from .criteria import PRODUCT_CRITERIA
from .options import Frame, LayoutOptions
from .subject import is_backdrop

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from .layout import KnownGround

GAP = 0.06  # between products, times the tallest one's height
MOST_CANDIDATES = 350  # of each kind are paired
HIGHEST = 0.62  # of the height, where no ground is seen: no base is above this
SIZES_TRIED, LINES_TRIED, ACROSS_TRIED = 14, 8, 17  # how many sizes, ground lines and positions across are tried


class Shape(NamedTuple):
    """What is known of a product from its mask, or of several together, in pixels of the mask."""

    width: float
    height: float
    foot: tuple[float, float]  # where it touches the ground: from, to in 0..1 of the width (a mug's handle does not)
    cut: frozenset[str] = frozenset()  # sides at which its photo cuts it off: it must end at the frame there


class ProductPlaces(NamedTuple):
    """Places where the products may stand, and how good each is. One empty box where there is no product."""

    boxes: np.ndarray  # [N, 4] left, top, right, bottom in 0..1 of the picture
    score: np.ndarray  # [N]
    covered: np.ndarray  # [N] 0..1, how much of the scene's subject they cover
    platform: np.ndarray  # [N] 0..1, how much the ground under them is set off: a podium, a pool of light


def shape_of(mask: np.ndarray, index: int) -> Shape:
    """The product's box and foot in its mask [h, w]. Raises InputError, naming `index`, for an empty one."""
    import numpy as np

    solid, whole = mask > 0.5, mask > LEAST_ALPHA  # the faint parts of glass and hair are placed with the rest
    if not solid.any():
        raise InputError("product_mask", f"empty (picture {index})", "a mask with a product in it (1 = product)")
    rows, columns = np.flatnonzero(whole.any(1)), np.flatnonzero(whole.any(0))
    wide, tall = int(columns[-1] - columns[0] + 1), int(rows[-1] - rows[0] + 1)
    base = int(np.flatnonzero(solid.any(1))[-1])
    low = solid[max(0, base - tall // 20) : base + 1, columns[0] : columns[-1] + 1]
    foot = np.flatnonzero(low.any(0))
    return Shape(wide, tall, (float(foot[0]) / wide, float(foot[-1] + 1) / wide), cut_sides(mask))


def one_for_each(shapes: list[Shape]) -> Shape:
    """A shape that holds each of several products, which take its place one after the other."""
    cut = frozenset.intersection(*(shape.cut for shape in shapes))
    return Shape(max(one.width for one in shapes), max(one.height for one in shapes), shapes[0].foot, cut)


def group_of(shapes: list[Shape]) -> Shape:
    """All products side by side on one ground line. Photos are taken to be of one scale: nothing else is known."""
    if len(shapes) == 1:
        return shapes[0]
    tallest = max(shape.height for shape in shapes)
    wide = sum(shape.width for shape in shapes) + GAP * tallest * (len(shapes) - 1)
    return Shape(wide, tallest, (0, 1), frozenset.intersection(*(shape.cut for shape in shapes)) & {"bottom"})


def product_places(
    shapes: list[Shape], scene: PictureAnalysis, frame: Frame, options: LayoutOptions
) -> tuple[ProductPlaces, frozenset[str]]:
    """The best places, best first, and the sides at which the products end at the frame because their photo cuts them off.

    A side is left out of these where the product would become too large or too small for it.
    """
    import numpy as np

    if not shapes:
        return ProductPlaces(np.zeros((1, 4)), np.zeros(1), np.zeros(1), np.zeros(1)), frozenset()
    group = group_of(shapes)
    if scene.known is not None:
        return _known_places(scene.known, group, scene, frame, options), frozenset()
    proportion = (
        group.width / group.height * frame.height / frame.width
    )  # width for a height of 1, as shares of the picture
    flush = _flush_sides(group, proportion, options)
    boxes = _boxes(proportion, flush, scene, frame, options)
    straddles, platform = _footing(boxes, group.foot, scene, frame.aspect)
    covered, score = _score(boxes, straddles, platform, scene, frame, flush, len(shapes))
    best = np.argsort(-score, kind="stable")[:MOST_CANDIDATES]
    return ProductPlaces(boxes[best], score[best], covered[best], platform[best]), flush


def _flush_sides(group: Shape, proportion: float, options: LayoutOptions) -> frozenset[str]:
    """The sides of `group.cut` that can lie on the frame all at once. A product cut at both ends has one size alone."""
    flush = set(group.cut)
    for pair, high in (({"left", "right"}, 1 / proportion), ({"top", "bottom"}, 1.0)):
        fits = PRODUCT_CRITERIA.smallest <= high <= 1 and high * proportion <= 1
        if pair <= flush and (options.product_scale or not fits):
            flush -= pair
    if len(flush) == 4:
        flush -= {"left", "right"}
    return frozenset(flush)


def _boxes(
    proportion: float, flush: frozenset[str], scene: PictureAnalysis, frame: Frame, options: LayoutOptions
) -> np.ndarray:
    """[N, 4] every size on every ground line at every position across, as far as the frame's margins allow."""
    import numpy as np

    free = frame.free
    top, right, bottom, left = (0.0 if side in flush else edge for side, edge in zip(free._fields, free))
    tallest = min(1 - top - bottom, (1 - left - right) / proportion)
    hero = min(PRODUCT_CRITERIA.hero_height, PRODUCT_CRITERIA.hero_width / proportion)
    heights = (
        np.array([options.product_scale / 100])
        if options.product_scale
        else np.append(np.linspace(0.2, 0.8, SIZES_TRIED), hero)
    )
    if {"left", "right"} <= flush:
        heights = np.array([1 / proportion])
    if {"top", "bottom"} <= flush:
        heights = np.array([1.0])
    heights = np.unique(np.minimum(heights, tallest).round(4))
    lowest = 1 - bottom
    bases = np.array([1.0]) if "bottom" in flush else _ground_lines(scene, lowest)
    across = (
        np.array([0.0 if "left" in flush else 1.0]) if flush & {"left", "right"} else np.linspace(0, 1, ACROSS_TRIED)
    )
    grid = np.stack(np.meshgrid(heights, bases, across, indexing="ij"), -1).reshape(-1, 3)
    if "top" in flush:
        grid[:, 1] = grid[:, 0]
    inside = grid[:, 1] - grid[:, 0] >= min(top, lowest - grid[:, 0].min()) - 1e-6
    if not inside.any():  # a size was wished that leaves no choice of ground lines
        grid[:, 1], inside = np.maximum(grid[:, 0], lowest), np.ones(len(grid), bool)
    tall, base, share = grid[inside].T
    wide = tall * proportion
    start = left + (1 - left - right - wide) * share
    return np.unique(np.stack([start, base - tall, start + wide, base], -1), axis=0)


def _known_places(
    ground: KnownGround, group: Shape, scene: PictureAnalysis, frame: Frame, options: LayoutOptions
) -> ProductPlaces:
    """Sizes x places around where a product stands best, scored by size and by how much of its foot is supported."""
    import numpy as np

    aspect, free = frame.aspect, frame.free
    shape = group.width / group.height / aspect
    x, y = ground.stand
    tallest = min(y - free.top, (1 - 2 * free.left) / shape)
    heights = [options.product_scale / 100] if options.product_scale else np.linspace(0.2, 0.76, 15)
    heights = np.unique(np.clip(heights, 0.02, max(0.02, tallest)).round(4))
    rows = [y + (edge - y) * part for edge, part in ((_nearest(ground, -1), 0.35), (y, 0), (_nearest(ground, 1), 0.25))]
    grid = np.stack(np.meshgrid(heights, rows, np.linspace(-0.12, 0.12, 7), indexing="ij"), -1).reshape(-1, 3)
    tall, base = grid[:, 0], np.minimum(grid[:, 1], 1 - free.bottom / 2)
    wide = tall * shape
    middle = np.clip(x + grid[:, 2], free.left + wide / 2, np.maximum(free.left + wide / 2, 1 - free.right - wide / 2))
    boxes = np.stack([middle - wide / 2, base - tall, middle + wide / 2, base], -1)
    feet = boxes[:, :1] + wide[:, None] * np.array(group.foot)
    apart = np.hypot((middle - x) * aspect, base - y)
    hero = np.maximum(tall / PRODUCT_CRITERIA.hero_height, wide / PRODUCT_CRITERIA.hero_width)
    size = PRODUCT_CRITERIA.size * np.abs(np.log(hero))
    size += PRODUCT_CRITERIA.tiny_on_ground * np.clip(
        PRODUCT_CRITERIA.smallest - hero * PRODUCT_CRITERIA.hero_height, 0, 1
    )
    lost = np.mean([~inside(ground.support, feet[:, end], base) for end in (0, 1)], 0)
    hidden = share_hidden(scene, boxes - [[0, 0, 0, 1]] * (0.25 * tall[:, None]))
    score = 2 - size - 3.0 * apart - 3.0 * lost - 0.6 * hidden
    best = np.argsort(-score, kind="stable")[:MOST_CANDIDATES]
    return ProductPlaces(boxes[best], score[best], np.zeros(len(best)), np.zeros(len(best)))


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


def _ground_lines(scene: PictureAnalysis, lowest: float) -> np.ndarray:
    """Where a product's base may stand: below the horizon, if there is one, and down to `lowest`."""
    import numpy as np

    highest = HIGHEST if scene.horizon is None else scene.horizon + PRODUCT_CRITERIA.horizon * (1 - scene.horizon)
    lines: np.ndarray = np.append(np.linspace(min(highest, lowest), lowest, LINES_TRIED), PRODUCT_CRITERIA.base)
    return np.unique(lines[(lines >= min(highest, lowest)) & (lines <= lowest)])


def _score(
    boxes: np.ndarray,
    straddles: np.ndarray,
    platform: np.ndarray,
    scene: PictureAnalysis,
    frame: Frame,
    flush: frozenset[str],
    count: int,
) -> tuple[np.ndarray, np.ndarray]:
    """[N] twice: the share of the subject that each box covers, and the score."""
    import numpy as np

    left, _, right, base = boxes.T
    tall, wide, middle = base - boxes[:, 1], right - left, (left + right) / 2
    widest = min(0.9, PRODUCT_CRITERIA.hero_width + 0.1 * (count - 1))
    score = -PRODUCT_CRITERIA.size * np.abs(np.log(np.maximum(tall / PRODUCT_CRITERIA.hero_height, wide / widest)))
    if not flush & {"left", "right"}:
        third = 0.0 if frame.is_wide else PRODUCT_CRITERIA.third
        spots = [
            np.abs(middle - 0.5),
            *(np.abs(middle - x) + third / PRODUCT_CRITERIA.off_middle for x in (1 / 3, 2 / 3)),
        ]
        score -= PRODUCT_CRITERIA.off_middle * np.min(spots, 0)
        score -= PRODUCT_CRITERIA.nearly_middle * ((spots[0] > 0.01) & (spots[0] < PRODUCT_CRITERIA.nearly))
    if not flush & {"top", "bottom"}:
        counts = platform * (base > PRODUCT_CRITERIA.platform_from)
        score -= (
            PRODUCT_CRITERIA.off_base
            * np.abs(base - PRODUCT_CRITERIA.base)
            * (1 - PRODUCT_CRITERIA.platform_depth * counts)
        )
        score += PRODUCT_CRITERIA.platform * counts - PRODUCT_CRITERIA.straddle * np.minimum(
            straddles, PRODUCT_CRITERIA.straddle_most
        )
    behind = boxes - [[0, 0, 0, 1]] * (0.25 * tall[:, None])  # what lies under its foot is the ground, not hidden
    score -= PRODUCT_CRITERIA.busy * np.minimum(BoxMeans(scene.saliency).over(behind), PRODUCT_CRITERIA.busy_most)
    score -= PRODUCT_CRITERIA.face * (face_cover(scene.faces, boxes) > 0.02)
    covered = np.zeros(len(boxes))
    if scene.subject is not None:
        covered, ends = _cover(scene.subject, boxes)
        much = PRODUCT_CRITERIA.backdrop if is_backdrop(scene.subject) else 1.0
        score -= much * (PRODUCT_CRITERIA.subject * covered + PRODUCT_CRITERIA.subject_ends * ends)
        score -= PRODUCT_CRITERIA.tiny * np.clip(PRODUCT_CRITERIA.smallest - tall, 0, 1)
    return covered, score


def _cover(subject: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[N] twice: the share of a subject [h, w] that lies under each box; the smaller of the shares that stick out left and
    right of it where it lies across."""
    import numpy as np

    means, whole = BoxMeans(subject), max(float(subject.mean()), 1e-6)

    def share(
        x0: np.ndarray | float, y0: np.ndarray | float, x1: np.ndarray | float, y1: np.ndarray | float
    ) -> np.ndarray:
        sides = np.broadcast_arrays(boxes[:, 0], x0, y0, x1, y1)[1:]
        parts = np.stack(sides, -1).astype(np.float64)
        area = np.maximum(parts[:, 2] - parts[:, 0], 0) * np.maximum(parts[:, 3] - parts[:, 1], 0)
        return means.over(parts) * area / whole

    left, top, right, base = boxes.T
    covered = share(left, top, right, base)
    return np.minimum(covered, 1), np.minimum(share(0, top, left, base), share(right, top, 1, base)) * (covered > 0.05)


def _footing(
    boxes: np.ndarray, foot: tuple[float, float], scene: PictureAnalysis, aspect: float
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
