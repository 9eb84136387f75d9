"""A placed product melted into its scene: what a model may repaint, and the product's own pixels back afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..errors import InputError, require_number

if TYPE_CHECKING:
    import numpy as np

REACH = (0.0, 50.0)  # % of the picture's shorter side
LARGEST_SHIFT = 16  # pixels; a model that draws anew what it is given moves it by less
LEAST_SIDE, MOST_DRAWN_PIXELS = 64, 2 * 2**20  # of what a model draws: above two megapixels FLUX repeats itself


class Shift(NamedTuple):
    """How far an edit lies from its source, in pixels to the right and down."""

    x: float
    y: float


def repaint_mask(matte: np.ndarray, shadow: np.ndarray | None, reach: float) -> np.ndarray:
    """[H, W] in 0..1, 1 = paint anew: the surroundings of the product up to `reach` % of the shorter side, its shadow, and
    a third of that inwards, where the ground's light falls on it. The rest of the product and of the scene is kept.

    Raises InputError for an empty matte and for a reach out of range.
    """
    import numpy as np
    from scipy.ndimage import distance_transform_edt, gaussian_filter

    require_number("reach", reach, *REACH)
    solid = matte > 0.5
    if not solid.any():
        raise InputError("product_mask", "empty", "a mask with a product in it (1 = product)")
    far = max(1.0, reach / 100 * min(matte.shape))
    outside = distance_transform_edt(~solid)
    inside = distance_transform_edt(np.pad(solid, 1))[1:-1, 1:-1]  # the picture's edge is no edge of the product
    mask = np.where(solid, np.clip(1 - inside / (far / 3), 0, 1), np.clip(2 - 2 * outside / far, 0, 1))
    if shadow is not None:
        mask = np.maximum(mask, np.where(solid, 0, np.clip(shadow * 4, 0, 1)))
    return np.clip(gaussian_filter(mask.astype(np.float32), far / 8), 0, 1)


def drawn_size(width: int, height: int, longest_side: int) -> tuple[int, int]:
    """Width and height at which the model draws a picture: its own, or with a `longest_side` that is shorter, in steps of 16.

    0: its own, or two megapixels where that is more. Raises InputError for a side out of range.
    """
    if longest_side and not (isinstance(longest_side, int) and longest_side >= LEAST_SIDE):
        raise InputError("longest_side", longest_side, f"a whole number from {LEAST_SIDE} pixels up, or 0")
    scale = longest_side / max(width, height) if longest_side else (MOST_DRAWN_PIXELS / (width * height)) ** 0.5
    if scale >= 1:
        return width, height
    return max(16, round(width * scale / 16) * 16), max(16, round(height * scale / 16) * 16)


def resized(values: np.ndarray, width: int, height: int) -> np.ndarray:
    """Float [H, W] or [H, W, C] at another size."""
    import torch
    import torch.nn.functional as F

    planes = torch.from_numpy(values).reshape(*values.shape[:2], -1).movedim(-1, 0)[None].float()
    planes = F.interpolate(planes, (height, width), mode="bicubic", antialias=True)
    return planes[0].movedim(0, -1).reshape(height, width, *values.shape[2:]).numpy()


def at_full_size(
    picture: np.ndarray, drawn: np.ndarray, blended: np.ndarray, mask: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """`picture` [H, W, 3] with what became of `drawn`, the same at a smaller size, in `blended`; and `mask` [H, W] of it.

    The difference is enlarged and added, so that the picture keeps its own details, the product's and the scene's.
    """
    import numpy as np

    height, width = picture.shape[:2]
    mask = resized(mask, width, height).clip(0, 1)
    changed = np.clip(picture + resized(blended - drawn, width, height), 0, 1)
    return np.where(mask[..., None] > 1 / 512, changed, picture).astype(np.float32), mask


def find_shift(source: np.ndarray, edited: np.ndarray, trust: np.ndarray) -> Shift:
    """How far `edited` [H, W, 3] was moved from `source`, by phase correlation (Kuglin and Hines 1975) of where `trust`
    [H, W] is high; to a part of a pixel by the parabola through the peak. (0, 0) where nothing clear is found.
    """
    import numpy as np

    height, width = trust.shape
    window = np.outer(np.hanning(height), np.hanning(width)) * trust
    grey = np.array([0.2126, 0.7152, 0.0722])
    one, two = (
        (p @ grey - (p @ grey)[trust > 0.5].mean() if (trust > 0.5).any() else p @ grey) for p in (source, edited)
    )
    cross = np.fft.rfft2(two * window) * np.conj(np.fft.rfft2(one * window))
    strength = np.abs(cross)
    plane = np.fft.irfft2(cross / np.maximum(strength, 1e-3 * strength.max() + 1e-12), (height, width))
    rows = [row % height for row in range(-LARGEST_SHIFT, LARGEST_SHIFT + 1)]
    columns = [column % width for column in range(-LARGEST_SHIFT, LARGEST_SHIFT + 1)]
    near = plane[np.ix_(rows, columns)]
    peak = np.unravel_index(int(near.argmax()), near.shape)
    if near[peak] < 4 * near.std() or 0 in peak or 2 * LARGEST_SHIFT in peak:
        return Shift(0.0, 0.0)
    down = _top(near[peak[0] - 1 : peak[0] + 2, peak[1]])
    across = _top(near[peak[0], peak[1] - 1 : peak[1] + 2])
    return Shift(float(peak[1] - LARGEST_SHIFT + across), float(peak[0] - LARGEST_SHIFT + down))


def _top(values: np.ndarray) -> float:
    """Where the parabola through three values has its top, -0.5..0.5 from the middle one."""
    bend = values[0] - 2 * values[1] + values[2]
    return 0.0 if bend >= 0 else float(max(-0.5, min(0.5, (values[0] - values[2]) / (2 * bend))))


def give_back(source: np.ndarray, edited: np.ndarray, matte: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """[H, W, 3]: the edit where it was asked for (`mask`), moved back to where the source is; the product's details.

    Outside of the mask every pixel is the source's. On the product the edit gives its light (low frequencies) only, and
    the photo keeps its details; where the mask does not reach, the product is the photo's exactly.
    """
    import numpy as np
    from scipy.ndimage import gaussian_filter, shift

    moved = find_shift(source, edited, 1 - mask * 0.9)
    if max(abs(moved.x), abs(moved.y)) > 0.1:
        edited = np.clip(shift(edited, (-moved.y, -moved.x, 0), order=3, mode="nearest"), 0, 1)
    sigma = max(2.0, min(matte.shape) / 64)
    light = gaussian_filter(edited, (sigma, sigma, 0)) - gaussian_filter(source, (sigma, sigma, 0))
    relit = np.clip(source + light, 0, 1)
    wanted = edited + (relit - edited) * matte[..., None]
    out = source + (wanted - source) * mask[..., None]
    return np.where(mask[..., None] > 1 / 512, np.clip(out, 0, 1), source).astype(np.float32)
