"""What a designer does to a cut-out's edge: drop specks, straighten, grow, feather. Alphas are float32 [H, W] in 0..1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..images import every_nth

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import torch

LARGEST_PART, ALL_PARTS = "the largest", "all"
KEPT_PARTS = (LARGEST_PART, ALL_PARTS)
SPECK = 0.01  # of the largest part's area
PARTS_SIDE = 512  # pixels in which objects are told apart
THIN = 0.012  # of the picture's side: what is nowhere farther than this from its own edge is a strap or a strand
STRIP_PIXELS = 1 << 24  # pixels; a larger picture is worked on in strips, as its edge maps would take 20 GB
SOFT_EDGE = 256  # pixels; farther from its middle no edge is soft


def without_specks(alpha: torch.Tensor) -> torch.Tensor:
    """`alpha` itself, without the parts that are smaller than a hundredth of the largest one."""
    import numpy as np
    from scipy import ndimage

    product = alpha.numpy() > 0.1
    rows, columns = (product.any(axis).nonzero()[0] for axis in (1, 0))
    if not len(rows):
        return alpha.zero_()
    # Only where something is and as far as its faint end may reach, from an even row and column on.
    top, left = (max(0, int(found[0]) - 4) // 2 * 2 for found in (rows, columns))
    bottom, right = int(rows[-1]) + 6, int(columns[-1]) + 6
    for beyond in (alpha[:top], alpha[bottom:], alpha[:, :left], alpha[:, right:]):
        beyond.zero_()
    values = alpha[top:bottom, left:right].numpy()
    there = np.pad(product[top:bottom, left:right], ((0, values.shape[0] % 2), (0, values.shape[1] % 2)))
    pairs = there[::2] | there[1::2]
    parts, count = ndimage.label(pairs[:, ::2] | pairs[:, 1::2])
    kept = parts > 0
    if count > 1:
        areas = np.bincount(parts.ravel())[1:]
        kept = np.concatenate([[False], areas >= SPECK * areas.max()])[parts]
    for _ in range(2):  # the faint end of a soft edge belongs to its part
        wider = kept.copy()
        wider[1:] |= kept[:-1]
        wider[:-1] |= kept[1:]
        wider[:, 1:] |= kept[:, :-1]
        wider[:, :-1] |= kept[:, 1:]
        kept = wider
    whole = np.repeat(kept, 2, 1)[:, : values.shape[1]]
    for row in (0, 1):
        values[row::2] *= whole[: len(values[row::2])]
    return alpha


def at_the_border(parts: np.ndarray) -> np.ndarray:
    """Bool [h, w]: where those of the labelled parts [h, w] lie that reach the picture's border."""
    import numpy as np

    return np.isin(parts, np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]])) & (parts > 0)


def smaller(alpha: torch.Tensor, side: int) -> np.ndarray:
    """Every n-th pixel of `alpha`, so that its longer side has `side` pixels or a little more."""
    return every_nth(alpha.numpy(), side)


def largest(alpha: torch.Tensor) -> tuple[torch.Tensor, int]:
    """`alpha` without the objects beside the largest one, and how many these were.

    An object is solid and neither small nor thin: what breaks a strap in pieces, or hair in strands, leaves the product
    whole. What is fainter goes with the object that it is nearest to.
    """
    import numpy as np
    import torch
    from scipy import ndimage

    small = smaller(alpha, PARTS_SIDE)
    step = max(1, max(alpha.shape) // PARTS_SIDE)
    parts, count = ndimage.label(small > 0.5)
    if count < 2:
        return alpha, 0
    numbers = np.arange(1, count + 1)
    areas = np.bincount(parts.ravel())[1:]
    thick = ndimage.maximum(ndimage.distance_transform_edt(np.pad(parts > 0, 1))[1:-1, 1:-1], parts, numbers)
    others = (areas >= SPECK * areas.max()) & (thick >= THIN * max(small.shape))
    others[areas.argmax()] = False
    if not others.any():
        return alpha, 0
    nearest = ndimage.distance_transform_edt(parts == 0, return_distances=False, return_indices=True)
    belongs = parts[tuple(nearest)]
    kept = np.concatenate([[False], ~others])[belongs]
    whole = kept.repeat(step, 0).repeat(step, 1)[: alpha.shape[0], : alpha.shape[1]]
    return alpha * torch.from_numpy(whole), int(others.sum())


def _in_strips(change: Callable[[torch.Tensor], torch.Tensor], alpha: torch.Tensor, reach: int) -> torch.Tensor:
    """`change` of all of `alpha`, where each pixel's answer depends on no rows farther away than `reach`."""
    import torch

    if alpha.numel() <= STRIP_PIXELS:
        return change(alpha)
    out = torch.empty_like(alpha)
    height = max(reach, STRIP_PIXELS // alpha.shape[1])
    for top in range(0, len(alpha), height):
        first = max(0, top - reach)
        changed = change(alpha[first : top + height + reach])
        out[top : top + height] = changed[top - first : top - first + height]
    return out


def grown(alpha: torch.Tensor, pixels: float) -> torch.Tensor:
    """The edge moved outwards (inwards where `pixels` is negative), as soft as it was."""
    return _in_strips(lambda part: _grown(part, pixels), alpha, round(abs(pixels)) + SOFT_EDGE)


def _grown(alpha: torch.Tensor, pixels: float) -> torch.Tensor:
    """Every pixel takes the alpha found `pixels` nearer to (farther from) the product, along the shortest way to its edge."""
    import numpy as np
    import torch
    from scipy import ndimage

    solid = alpha.numpy() >= 0.5
    if solid.all() or not solid.any():
        return alpha
    distance = ndimage.distance_transform_edt(~solid) - ndimage.distance_transform_edt(solid)
    down, right = np.gradient(ndimage.gaussian_filter(distance.astype(np.float32), 1))
    length = np.maximum(np.hypot(down, right), 1e-6)
    y, x = np.mgrid[0 : alpha.shape[0], 0 : alpha.shape[1]].astype(np.float32)
    where = [y - pixels * down / length, x - pixels * right / length]
    moved = ndimage.map_coordinates(alpha.numpy(), where, order=1, mode="nearest")
    return torch.from_numpy(moved.clip(0, 1))


def feathered(alpha: torch.Tensor, pixels: float) -> torch.Tensor:
    """The edge faded over about `pixels`, half to either side."""
    import torch
    from scipy import ndimage

    return torch.from_numpy(ndimage.gaussian_filter(alpha.numpy(), pixels / 4, mode="nearest").clip(0, 1))


def straightened(alpha: torch.Tensor, pixels: int) -> torch.Tensor:
    """Edges that are nearly straight over `pixels` to either side made straight there; corners and curves stay."""
    return _in_strips(lambda part: _straightened(part, pixels), alpha, 2 * pixels + 4)


def _straightened(alpha: torch.Tensor, pixels: int) -> torch.Tensor:
    """In a window around each edge pixel a line is fitted to the edge (its points weighted by the alpha's gradient, total
    least squares). Where the points lie within half a pixel of it, as the softness of the edge allows, alpha becomes
    the logistic profile of the window's own softness across that line.
    """
    import numpy as np
    from scipy import ndimage

    edge = np.hypot(*np.gradient(alpha.numpy()))
    if not edge.any():
        return alpha
    rows, columns = ndimage.find_objects((edge > 0).astype(np.int8))[0]
    window = (
        slice(max(0, rows.start - pixels), rows.stop + pixels),
        slice(max(0, columns.start - pixels), columns.stop + pixels),
    )
    soft = alpha.numpy()[window].astype(np.float64)
    down, right = np.gradient(soft)
    edge = np.hypot(down, right)

    def mean(values: np.ndarray) -> np.ndarray:
        return ndimage.uniform_filter(values, 2 * pixels + 1, mode="constant")

    y, x = (axis - axis.mean() for axis in np.mgrid[0 : soft.shape[0], 0 : soft.shape[1]].astype(np.float64))
    weight = np.maximum(mean(edge), 1e-9)
    center_y, center_x = mean(edge * y) / weight, mean(edge * x) / weight
    yy = mean(edge * y * y) / weight - center_y**2
    xx = mean(edge * x * x) / weight - center_x**2
    xy = mean(edge * x * y) / weight - center_x * center_y
    along = 0.5 * np.arctan2(2 * xy, xx - yy)  # the fitted line's angle
    across = (xx + yy) / 2 - np.hypot((xx - yy) / 2, xy)  # variance of the points across it
    normal_y, normal_x = np.cos(along), -np.sin(along)
    inwards = np.sign(normal_y * mean(down) + normal_x * mean(right))
    distance = inwards * (normal_y * (y - center_y) + normal_x * (x - center_x))

    scale = np.clip(mean(soft * (1 - soft)) / weight, 0.1, None)  # of a logistic profile: its integral of a * (1 - a)
    # What a straight edge of that softness has by itself: the logistic's variance, and a central difference's.
    rough = np.sqrt(np.maximum(across - (np.pi * scale) ** 2 / 3 - 1 / 3, 0))
    straight = np.clip(2 - 2 * rough, 0, 1) * (weight * (2 * pixels + 1) ** 2 > pixels)
    straight *= np.abs(distance) < 3 + 5 * scale

    def profile(distance: np.ndarray) -> np.ndarray:
        return np.clip((1 / (1 + np.exp(-np.clip(distance / scale, -30, 30))) - 0.02) / 0.96, 0, 1)

    # A line through a curve lies inside it: moved back, so that the product keeps its area.
    distance += mean((straight > 0) * (soft - profile(distance))) / weight
    out = alpha.clone()
    out.numpy()[window] = soft + straight * (profile(distance) - soft)
    return out
