"""What a picture is like, cell by cell: what catches the eye, where it is busy, where the ground begins."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .contrast import relative_luminance

if TYPE_CHECKING:
    import numpy as np

LONG_SIDE = 160  # cells: enough to place boxes by, few enough to look at all of them
HORIZONS = (0.3, 0.85)  # of the height: where a ground line is looked for


class Scene(NamedTuple):
    """Arrays over cells [h, w]; a cell is `cell` pixels of the picture wide and high."""

    saliency: np.ndarray  # 0..1, what stands out of its surroundings
    busyness: np.ndarray  # 0..1, how much edge there is: what words drown in
    cell: float
    horizon: float | None  # y in 0..1 of the line where a ground begins, if there is one


def look_at(image: np.ndarray) -> Scene:
    """A picture [H, W, 3] in 0..1. Deterministic; about 20 ms for a megapixel."""
    import numpy as np
    from PIL import Image

    height, width = image.shape[:2]
    cell = max(1.0, max(height, width) / LONG_SIDE)
    size = (max(1, round(width / cell)), max(1, round(height / cell)))
    picture = Image.fromarray((image * 255).astype(np.uint8))
    small = np.asarray(picture.resize(size, Image.Resampling.BOX), np.float32) / 255
    medium = np.asarray(picture.resize((size[0] * 2, size[1] * 2), Image.Resampling.BOX).convert("L"), np.float32) / 255
    saliency = np.maximum(_saliency(small), 0.7 * _skin(small))
    return Scene(saliency, _busyness(medium, size), cell, _horizon(small))


def _saliency(small: np.ndarray) -> np.ndarray:
    """Distance in opponent colours from the surroundings and from the whole (Achanta et al. 2009, and its border)."""
    import numpy as np

    opponent = np.stack(
        [
            np.sqrt(relative_luminance(small)),
            small[..., 0] - small[..., 1],
            (small[..., 0] + small[..., 1]) / 2 - small[..., 2],
        ],
        -1,
    )
    near = _box_mean(opponent, max(1, min(small.shape[:2]) // 24))
    wide = _box_mean(opponent, max(2, min(small.shape[:2]) // 4))
    local = np.linalg.norm(near - wide, axis=-1)
    border = np.concatenate([opponent[0], opponent[-1], opponent[:, 0], opponent[:, -1]])
    apart = np.linalg.norm(near - np.median(border, 0), axis=-1)
    return _unit(local + 0.5 * apart)


def _skin(small: np.ndarray) -> np.ndarray:
    """1 where a colour may be skin, so that faces are kept free (Chai and Ngan 1999: 77 <= Cb <= 127, 133 <= Cr <= 173).

    Wood passes too; where all of a picture does, it makes no difference.
    """
    import numpy as np

    red, green, blue = np.moveaxis(small * 255, -1, 0)
    cb = 128 - 0.169 * red - 0.331 * green + 0.5 * blue
    cr = 128 + 0.5 * red - 0.419 * green - 0.081 * blue
    skin = ((cb >= 77) & (cb <= 127) & (cr >= 133) & (cr <= 173) & (red > 60)).astype(np.float64)
    return _box_mean(skin[..., None], max(1, min(skin.shape) // 40))[..., 0]


def _busyness(medium: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    import numpy as np
    from PIL import Image

    edges = np.zeros_like(medium)
    edges[:, 1:] += np.abs(np.diff(medium, axis=1))
    edges[1:] += np.abs(np.diff(medium, axis=0))
    shrunk = np.asarray(Image.fromarray(edges).resize(size, Image.Resampling.BOX), np.float32)
    return np.clip(shrunk / 0.15, 0, 1)  # an edge of 15 % in every pixel is as busy as it gets


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
    return float((first + int(part.argmax()) + step) / height)


def _box_mean(planes: np.ndarray, radius: int) -> np.ndarray:
    """Mean over (2 radius + 1)² cells, the edge repeated, by integral images."""
    import numpy as np

    padded = np.pad(planes, ((radius + 1, radius), (radius + 1, radius), (0, 0)), mode="edge")
    total = padded.cumsum(0, dtype=np.float64).cumsum(1)
    side = 2 * radius + 1
    return (total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]) / side**2


def _unit(plane: np.ndarray) -> np.ndarray:
    import numpy as np

    low, high = np.percentile(plane, (5, 99))
    return np.clip((plane - low) / max(float(high - low), 0.05), 0, 1)


class BoxMeans:
    """Means of a plane over many boxes at once, by an integral image."""

    def __init__(self, plane: np.ndarray):
        import numpy as np

        self._total = np.pad(plane, ((1, 0), (1, 0))).cumsum(0, dtype=np.float64).cumsum(1)

    def over(self, boxes: np.ndarray) -> np.ndarray:
        """[N] means for boxes [N, 4] of left, top, right, bottom in 0..1 of the plane."""
        import numpy as np

        rows, columns = self._total.shape[0] - 1, self._total.shape[1] - 1
        left = np.clip(np.rint(boxes[:, 0] * columns), 0, columns - 1).astype(int)
        top = np.clip(np.rint(boxes[:, 1] * rows), 0, rows - 1).astype(int)
        right = np.maximum(np.clip(np.rint(boxes[:, 2] * columns), 0, columns).astype(int), left + 1)
        bottom = np.maximum(np.clip(np.rint(boxes[:, 3] * rows), 0, rows).astype(int), top + 1)
        total = self._total
        sums = total[bottom, right] - total[top, right] - total[bottom, left] + total[top, left]
        return sums / ((right - left) * (bottom - top))
