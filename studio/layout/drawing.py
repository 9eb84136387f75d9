"""What nodes have drawn on a picture, part by part: a layout carries it, so that the finished ad can be taken apart again.

Parts are kept as they were drawn, without a copy; `studio.output.layers` makes layers of them, where somebody asks for some.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import torch

SAME_PIXEL = 0.6 / 255  # two pixels that differ by less are the same in a file
ANOTHER = 0.9  # of a picture's pixels: where more have changed, nothing drawn before is left in it
CHANGES = "changes"  # the part that a node of somebody else drew


class DrawnPart(NamedTuple):
    """One thing that lies over what was drawn before it."""

    name: str
    x: int  # of its top left corner in the picture; may be outside
    y: int
    alpha: np.ndarray  # [h, w] in 0..1
    light: np.ndarray | None = None  # [h, w, 3], premultiplied linear light; None: black
    color: np.ndarray | None = None  # [h, w, 3], straight sRGB, where it was not mixed in linear light,
    after: np.ndarray | None = None  # and what the picture is there since, [h, w, 3] sRGB


@dataclass(frozen=True)
class DrawnPicture:
    """A picture as a ground and what lies on it."""

    background: np.ndarray  # [H, W, 3] sRGB
    parts: tuple[DrawnPart, ...]
    picture: np.ndarray  # [H, W, 3]: all of it together

    def with_parts(self, parts: tuple[DrawnPart, ...], picture: np.ndarray) -> DrawnPicture:
        """The drawing with more on top; `picture` is what it is then."""
        return replace(self, parts=(*self.parts, *parts), picture=picture)


def first(image: torch.Tensor) -> np.ndarray:
    """The first picture of [B, H, W, C] as an array; of several a copy, which does not keep the others in memory."""
    picture: np.ndarray = image[0].numpy()
    return picture if len(image) == 1 else picture.copy()


def continued(drawing: DrawnPicture | None, picture: np.ndarray) -> DrawnPicture:
    """The drawing that a node draws on: what other nodes changed in `picture` [H, W, 3] since is a part of its own. A
    picture without a drawing, of another size, or changed all over, is the ground of a new one."""
    import numpy as np

    if drawing is None or drawing.picture.shape != picture.shape:
        return DrawnPicture(picture, (), picture)
    if np.array_equal(drawing.picture, picture):
        return drawing
    changed = (np.abs(drawing.picture - picture) > SAME_PIXEL).any(-1)
    if changed.mean() > ANOTHER:
        return DrawnPicture(picture, (), picture)
    if not changed.any():
        return drawing
    return drawing.with_parts((DrawnPart(CHANGES, 0, 0, changed.astype(np.float32), None, picture, picture),), picture)
