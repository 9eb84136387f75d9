"""What a picture is like, cell by cell: what catches the eye, where it is busy, where the ground begins."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..contrast import relative_luminance
from ..images import every_nth
from .subject import is_backdrop, subject_of

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from .layout import KnownGround
    from .subject import Salience

LONG_SIDE = 160  # cells: enough to place boxes by, few enough to look at all of them
PATH_SIDE = 96  # cells of the saliency by paths, which walks row by row
# Pixels in which faces are looked for: those of a tenth of the picture and more; where all of it is of the colour of
# skin (wood, bricks) only those of an eighth, since then every part of it has to be looked at.
FACE_SIDE, COARSE_FACE_SIDE = 288, 208
HORIZONS = (0.3, 0.85)  # of the height: where a ground line is looked for
BUSY = 0.3  # a cell with more edge than this is busy
EYE = 0.55  # a cell that stands out more than this catches the eye
ROOM = 0.6  # what our own saliency is worth in a scene without a subject
BUSIEST = 0.12  # a change of 12 % from pixel to pixel (of 320) all over is as busy as it gets


class PictureAnalysis(NamedTuple):
    """Arrays over cells [h, w]; a cell is `cell` pixels of the picture wide and high."""

    color: np.ndarray  # [h, w, 3] sRGB in 0..1
    saliency: np.ndarray  # 0..1, what stands out of its surroundings
    busyness: np.ndarray  # 0..1, how much edge there is: what words drown in
    faces: np.ndarray  # [F, 4] left, top, right, bottom in 0..1 of the picture
    horizon: float | None  # y in 0..1 of the line where a ground begins, if there is one
    cell: float
    known: KnownGround | None = None  # where the picture is a scene from the bank
    subject: np.ndarray | None = None  # 0..1, what the picture is of, where a network was asked and found one thing


def analyse(image: np.ndarray, subject: bool, find: Salience | None = None) -> PictureAnalysis:
    """A picture [H, W, 3] in 0..1. Deterministic; 40 to 80 ms on two cores, whatever its size, beside `find`.

    `subject`: the picture holds what it shows already (a portrait, a product), rather than being an empty scene. What
    is cut by the lower edge then counts as part of it, as people are. `find` is a network that finds a subject in any
    picture; where it says that an empty scene has none, what is salient there counts less: a room has much of that.
    """
    import numpy as np
    from PIL import Image

    height, width = image.shape[:2]
    cell = max(1.0, max(height, width) / LONG_SIDE)
    size = (max(1, round(width / cell)), max(1, round(height / cell)))
    # Larger pictures are sampled: cells are averages anyway.
    picture = Image.fromarray((every_nth(image, 1280) * 255).astype(np.uint8))
    medium = picture.resize((size[0] * 2, size[1] * 2), Image.Resampling.BOX)
    small = np.asarray(medium.resize(size, Image.Resampling.BOX), np.float32) / 255
    edges = _edges(np.asarray(medium.convert("L"), np.float32) / 255)
    busyness = _shrunk(np.clip(edges / BUSIEST, 0, 1), size)
    skin = _skin(small)
    side = FACE_SIDE if skin.mean() < 0.5 else COARSE_FACE_SIDE
    faces = _faces(picture, side) if skin.mean() > 0.004 else np.zeros((0, 4))
    faces = faces[BoxMeans(skin).over(faces) > 0.3]
    saliency = _saliency(small, busyness, subject)
    if subject:  # in an empty scene what looks like skin is wood, and the middle is as empty as the rest
        saliency = np.clip(saliency * (1 + 0.6 * skin) + 0.3 * _middle(saliency.shape), 0, 1)
    for left, top, right, bottom in (faces * [*size, *size]).round().astype(int):
        saliency[top:bottom, left:right] = 1
    found = subject_of(image, find)
    if found is not None:
        found = _shrunk(found, size).clip(0, 1)
    if find is not None and not subject and (found is None or is_backdrop(found)):
        saliency = saliency * ROOM
    if found is not None:
        saliency = np.maximum(saliency, found)
    return PictureAnalysis(small, saliency, busyness, faces, _horizon(small), cell, None, found)


def _saliency(small: np.ndarray, busyness: np.ndarray, subject: bool) -> np.ndarray:
    """What is apart from the frame by paths, from its surroundings by colour, and in focus: three views, added.

    Zhang et al. 2015, "Minimum barrier salient object detection at 80 FPS"; Achanta et al. 2009 for the colours.
    """
    import numpy as np

    opponent = np.stack(
        [
            np.sqrt(relative_luminance(small)),
            small[..., 0] - small[..., 1],
            (small[..., 0] + small[..., 1]) / 2 - small[..., 2],
        ],
        -1,
    )
    if not subject:  # in an empty scene a wall and a floor are no things; what differs from the rest of its row is one
        opponent -= np.median(opponent, 1, keepdims=True)
    short = min(small.shape[:2])
    near, wide = (box_mean(opponent, max(radius, short // part)) for radius, part in ((1, 24), (2, 4)))
    apart = _barrier(opponent, subject)
    focus = box_mean(busyness[..., None], max(1, short // 20))[..., 0]
    contrast = np.linalg.norm(near - wide, axis=-1)
    return _unit(0.5 * _unit(apart, 0.3) + 0.3 * _unit(contrast, 0.2) + 0.2 * _unit(focus, 0.3), 0.6)


def _barrier(opponent: np.ndarray, subject: bool) -> np.ndarray:
    """How much the colour must change at least, on any way from the picture's frame to each cell.

    The sweeps go a whole row or column at a time, so that numpy does the work; two rounds of four come close.
    """
    import numpy as np

    height, width = opponent.shape[:2]
    scale = min(1.0, PATH_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    planes = np.stack([_shrunk(plane, size) for plane in np.moveaxis(opponent, -1, 0)], -1)
    low, high = planes.copy(), planes.copy()
    cost = np.full(planes.shape, np.inf, np.float32)
    cost[0] = cost[:, 0] = cost[:, -1] = 0
    if not subject:
        cost[-1] = 0

    def sweep(arrays: list[np.ndarray], rows: range, back: int) -> None:
        value, low, high, cost = arrays
        for row in rows:
            lowest = np.minimum(low[row - back], value[row])
            highest = np.maximum(high[row - back], value[row])
            way = highest - lowest
            better = way < cost[row]
            np.copyto(cost[row], way, where=better)
            np.copyto(low[row], lowest, where=better)
            np.copyto(high[row], highest, where=better)

    down = [planes, low, high, cost]
    across = [array.swapaxes(0, 1) for array in down]
    for _ in range(2):
        for arrays, count in ((down, size[1]), (across, size[0])):
            sweep(arrays, range(1, count), 1)
            sweep(arrays, range(count - 2, -1, -1), -1)
    return _shrunk(cost.sum(-1), (width, height))


def _middle(shape: tuple[int, ...]) -> np.ndarray:
    """1 in the middle, where photographers put what they show, falling to 0.14 half-way up the sides."""
    import numpy as np

    rows, columns = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    return np.exp(-(rows**2 + columns**2) / 0.5)


def _skin(small: np.ndarray) -> np.ndarray:
    """1 where a colour may be skin (Chai and Ngan 1999: 77 <= Cb <= 127, 133 <= Cr <= 173). Wood passes too."""
    import numpy as np

    red, green, blue = np.moveaxis(small * 255, -1, 0)
    cb = 128 - 0.169 * red - 0.331 * green + 0.5 * blue
    cr = 128 + 0.5 * red - 0.419 * green - 0.081 * blue
    skin = ((cb >= 77) & (cb <= 127) & (cr >= 133) & (cr <= 173) & (red > 60)).astype(np.float64)
    return box_mean(skin[..., None], max(1, min(skin.shape) // 40))[..., 0]


def _faces(picture: Image.Image, side: int) -> np.ndarray:
    """[F, 4] boxes of faces seen from the front, hair and chin included, in 0..1 of the picture.

    By the cascade of local binary patterns that comes with scikit-image.
    """
    import numpy as np
    from PIL import Image
    from skimage import data
    from skimage.feature import Cascade

    scale = min(1.0, side / max(picture.size))
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    if min(size) < 32:
        return np.zeros((0, 4))
    pixels = np.asarray(picture.resize(size, Image.Resampling.BOX))
    found = Cascade(data.lbp_frontal_face_cascade_filename()).detect_multi_scale(
        pixels,
        scale_factor=1.25,
        step_ratio=1.5,
        min_size=(24, 24),
        max_size=(min(size), min(size)),
        min_neighbor_number=2,
    )
    boxes = np.array(
        [
            (
                one["c"] - 0.1 * one["width"],
                one["r"] - 0.35 * one["height"],
                one["c"] + 1.1 * one["width"],
                one["r"] + 1.15 * one["height"],
            )
            for one in found
        ]
    ).reshape(-1, 4)
    return np.clip(boxes / [*size, *size], 0, 1)


def _edges(grey: np.ndarray) -> np.ndarray:
    import numpy as np

    edges = np.zeros_like(grey)
    edges[:, 1:] += np.abs(np.diff(grey, axis=1))
    edges[1:] += np.abs(np.diff(grey, axis=0))
    return edges


def _shrunk(plane: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    import numpy as np
    from PIL import Image

    bilinear = Image.Resampling.BILINEAR  # averages as a box does where it shrinks, and smooth where it enlarges
    return np.array(Image.fromarray(plane.astype(np.float32)).resize(size, bilinear))


def _horizon(small: np.ndarray) -> float | None:
    """The row across which most columns change the same way: a table's edge, a floor, the sea."""
    import numpy as np

    height = small.shape[0]
    if height < 12:
        return None
    step = max(1, height // 40)
    change = small[2 * step :] - small[: -2 * step]  # of row `i + step` over its neighbourhood
    together = np.abs(np.median(change, 1)).sum(-1)
    usual = np.median(together) + 1e-3
    first, last = (max(0, round(height * share) - step) for share in HORIZONS)
    part = together[first:last]
    if not len(part) or part.max() < 0.12 or part.max() < 3 * usual:
        return None
    row = first + int(part.argmax())
    way = np.median(change[row], 0)
    # A blotch is no line: it must run through most of the picture.
    if ((change[row] @ way) / (way @ way) > 0.4).mean() < 0.7:
        return None
    return float((row + step) / height)


def box_mean(planes: np.ndarray, radius: int) -> np.ndarray:
    """Mean of [h, w, C] over (2 radius + 1)² cells, the edge repeated, by integral images."""
    import numpy as np

    padded = np.pad(planes, ((radius + 1, radius), (radius + 1, radius), (0, 0)), mode="edge")
    total = padded.cumsum(0, dtype=np.float64).cumsum(1)
    side = 2 * radius + 1
    return (total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]) / side**2


def _unit(plane: np.ndarray, least: float) -> np.ndarray:
    """From its usual low to its usual high as 0..1; a range below `least` is stretched no further than that."""
    import numpy as np

    low, high = np.percentile(plane, (5, 99))
    return np.clip((plane - low) / max(float(high - low), least), 0, 1)


class BoxMeans:
    """Means of planes [h, w] or [h, w, C] over many boxes at once, by an integral image."""

    def __init__(self, plane: np.ndarray):
        import numpy as np

        edge = ((1, 0), (1, 0)) + ((0, 0),) * (plane.ndim - 2)
        self._total = np.pad(plane, edge).cumsum(0, dtype=np.float64).cumsum(1)

    def over(self, boxes: np.ndarray) -> np.ndarray:
        """[N] or [N, C] means for boxes [N, 4] of left, top, right, bottom in 0..1 of the plane."""
        import numpy as np

        rows, columns = self._total.shape[0] - 1, self._total.shape[1] - 1
        left = np.clip(np.rint(boxes[:, 0] * columns), 0, columns - 1).astype(int)
        top = np.clip(np.rint(boxes[:, 1] * rows), 0, rows - 1).astype(int)
        right = np.maximum(np.clip(np.rint(boxes[:, 2] * columns), 0, columns).astype(int), left + 1)
        bottom = np.maximum(np.clip(np.rint(boxes[:, 3] * rows), 0, rows).astype(int), top + 1)
        total = self._total
        sums = total[bottom, right] - total[top, right] - total[bottom, left] + total[top, left]
        area = (right - left) * (bottom - top)
        return sums / (area if sums.ndim == 1 else area[:, None])


def share_hidden(scene: PictureAnalysis, boxes: np.ndarray) -> np.ndarray:
    """[N] 0..1: the share of what catches the eye that lies under each box."""
    import numpy as np

    strong = (scene.saliency > EYE).astype(np.float64)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    # A speck is not worth as much as a picture's subject, even where it is all that catches the eye.
    return np.minimum(BoxMeans(strong).over(boxes) * area / max(strong.mean(), 0.05), 1)


def face_cover(faces: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """[N] 0..1: the largest share of one of the faces [F, 4] that lies under each box [N, 4]."""
    import numpy as np

    cover = np.zeros(len(boxes))
    for face in faces:
        wide = np.minimum(boxes[:, 2], face[2]) - np.maximum(boxes[:, 0], face[0])
        tall = np.minimum(boxes[:, 3], face[3]) - np.maximum(boxes[:, 1], face[1])
        over = np.maximum(wide, 0) * np.maximum(tall, 0) / max((face[2] - face[0]) * (face[3] - face[1]), 1e-6)
        cover = np.maximum(cover, over)
    return cover
