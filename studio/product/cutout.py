"""A product out of its photograph: which pixels are it, how much of each, and in what colour."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ..errors import InputError, require_fields
from ..images import require_colors, to_levels
from . import matting, outline, overlooked, solid

if TYPE_CHECKING:
    import numpy as np
    import torch

TELL_UNSURE = 0.03  # of the product's area
MISSING = "part of the product may be missing: photograph it on a darker background, or try isnet-general-use"

RANGES: dict[str, tuple[float, float]] = {
    "threshold": (0.01, 0.99),
    "grow": (-100, 100),
    "feather": (0, 200),
    "straight_edges": (0, 200),
}


@dataclass(frozen=True)
class Edges:
    """What to do with the network's soft mask. Raises InputError for a value out of range."""

    refine: bool = True  # False: the network's mask as it is, the photo's colours as they are
    threshold: float = 0.5  # 0.01..0.99: what the network believes less than this is background
    grow: float = 0.0  # pixels outwards, negative: inwards; -100..100
    feather: float = 0.0  # pixels over which the edge fades; 0..200
    straight_edges: int = 0  # pixels along an edge over which it is made straight where it nearly is; 0..200
    parts: str = outline.LARGEST_PART  # or ALL: separate objects beside the largest one are kept too

    def __post_init__(self) -> None:
        require_fields(self, {"parts": outline.KEPT_PARTS}, RANGES)
        if not isinstance(self.straight_edges, int):
            raise InputError("straight_edges", self.straight_edges, "a whole number of pixels")


class Cutout(NamedTuple):
    """A product without its background."""

    foreground: torch.Tensor  # IMAGE [B, H, W, 3], straight colours: the product's own, continued beyond its edge
    alpha: torch.Tensor  # MASK [B, H, W], 1 = product
    notes: tuple[str, ...] = ()  # what was left out, what is uncertain: sentences for the user


def cut_out(
    images: torch.Tensor,
    find: Callable[[torch.Tensor], torch.Tensor],
    edges: Edges,
    between: Callable[[], None],
    matte: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], matting.Matte] = matting.refine,
) -> Cutout:
    """Every picture of a batch cut out by itself.

    `find` is `networks.saliency` with a session; `between` is called before each picture, so that a user can cancel;
    `matte` refines the edge: `matting.refine`, or one of `rembg_mattes`. Raises InputError for what is no picture and
    where no product is found.
    """
    import torch

    pictures = require_colors("image", images)
    done: list[Cutout] = []
    for index, picture in enumerate(pictures):
        between()
        levels = torch.from_numpy(to_levels(picture[None])[0])
        mask = solid.found_in_three_views(find, levels) if edges.refine else find(levels)
        if edges.threshold != 0.5:
            mask = _around_half(mask, edges.threshold)
        found = matte(picture, levels, mask) if edges.refine else matting.unrefined(picture, mask)
        edge, others = outline.largest(found.alpha) if edges.parts == outline.LARGEST_PART else (found.alpha, 0)
        edge = outline.without_specks(edge)
        unsure = solid.unsure_share(outline.smaller(edge, max(mask.shape)))
        missing = not others and overlooked.share(picture, edge) >= overlooked.TELL_MISSING
        if edges.straight_edges:
            edge = outline.straightened(edge, edges.straight_edges)
        if edges.grow:
            edge = outline.grown(edge, edges.grow)
        if edges.feather:
            edge = outline.feathered(edge, edges.feather)
        if not edge.numpy().any():
            raise InputError("image", f"picture {index + 1} of {len(pictures)}", "edges that leave some of the product")
        which = f"picture {index + 1}: " if len(pictures) > 1 else ""
        done.append(
            Cutout(found.foreground[None], edge[None], tuple(which + note for note in _notes(others, unsure, missing)))
        )
    if len(done) == 1:  # no copy of a large picture
        return done[0]
    notes = tuple(note for one in done for note in one.notes)
    return Cutout(torch.cat([one.foreground for one in done]), torch.cat([one.alpha for one in done]), notes)


def _notes(others: int, unsure: float, missing: bool) -> list[str]:
    """Sentences on objects that were left out, on the share of the product that is uncertain, and on what was passed over."""
    notes = []
    if others:
        what = "1 object beside the largest was" if others == 1 else f"{others} objects beside the largest were"
        notes.append(f"{what} left out; parts = {outline.ALL_PARTS} keeps them")
    if unsure >= TELL_UNSURE:
        notes.append(f"{unsure:.0%} of the product is uncertain: crop closer, or try isnet-general-use")
    if missing:
        notes.append(MISSING)
    return notes


def _around_half(mask: torch.Tensor, threshold: float) -> torch.Tensor:
    """`mask` bent so that `threshold` comes to lie at one half; 0 and 1 stay."""
    import math

    return mask ** (math.log(0.5) / math.log(threshold))


def on_checkerboard(cutout: Cutout) -> torch.Tensor:
    """IMAGE [B, H, W, 3]: the products before light grey squares."""
    import numpy as np
    import torch

    height, width = cutout.alpha.shape[1:]
    side = max(4, min(height, width) // 32)
    squares = np.arange(width) // side % 2
    boards: list[np.ndarray] = [np.repeat(np.where(squares ^ odd, 0.8, 1.0), 3) for odd in (0, 1)]
    preview = np.empty((len(cutout.alpha), height, width * 3), np.float32)
    for out, alpha, foreground in zip(preview, cutout.alpha.numpy(), cutout.foreground.numpy()):
        for top in range(0, height, side):  # a row of squares, which a cache holds
            part = slice(top, top + side)
            used = np.flatnonzero(alpha[part].any(0))
            out[part] = boards[top // side % 2]
            if len(used):
                left, right = int(used[0]), int(used[-1]) + 1
                share = np.repeat(alpha[part, left:right], 3, 1)
                over = out[part, left * 3 : right * 3]
                over *= 1 - share
                over += foreground[part, left:right].reshape(share.shape) * share
    return torch.from_numpy(preview.reshape(cutout.foreground.shape))
