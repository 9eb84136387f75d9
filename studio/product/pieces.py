"""Placed products as pieces that can be moved: each with its shadow apart, before a person rotated or mirrored it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..canvas import Box
from ..images import require_picture
from ..layout.layout import Layout, Light, Pose
from ..scale import shrunk
from . import color, shadow
from .placement import Placement, light_of, posed, poses_of
from .sprite import Product, rotated_size, sprite_of
from .standing import target_boxes

if TYPE_CHECKING:
    import numpy as np
    import torch

LEAST_SHOWN = 1.5 / 255  # of a shadow's opacity


class FloatBox(NamedTuple):
    """A box in pixels of a picture, not rounded."""

    x: float
    y: float
    width: float
    height: float


class MovableProduct(NamedTuple):
    """A product to be moved."""

    region: FloatBox  # of the product before its pose, in pixels of the whole picture
    pose: Pose
    picture: torch.Tensor  # [h, w, 4] in 0..1, straight alpha
    shade: torch.Tensor  # [h, w, 4], the shadow's colour in its opacity
    shade_region: FloatBox  # of the shadow, as `region`


def pieces(
    background: torch.Tensor,
    products: Sequence[Product],
    placement: Placement,
    layout: Layout | None,
    side: int,
) -> list[MovableProduct]:
    """The products on the first of IMAGE [B, H, W, 3] as `place` puts them there, in pictures of at most `side` pixels for the
    whole picture's longer side."""
    picture = require_picture("background", background[:1])
    height, width = picture.shape[1:3]
    layout = None if layout is None else layout.on(width, height)
    boxes = target_boxes(products, placement, layout, width, height)
    scale = min(1.0, side / max(width, height))
    small = shrunk(picture, side)[0].numpy()
    light = light_of(small, placement, layout)
    poses = poses_of(layout, len(products))
    return [_piece(*each, small, placement, light, scale) for each in zip(products, boxes, poses)]


def _piece(
    product: Product,
    box: Box,
    pose: Pose,
    scene: np.ndarray,
    placement: Placement,
    light: Light,
    scale: float,
) -> MovableProduct:
    import numpy as np
    import torch

    wide, high = rotated_size(product.alpha.shape, posed(placement, pose).rotation)
    factor = min(box.width / wide, box.height / high)
    own_wide, own_high = (side * factor for side in rotated_size(product.alpha.shape, placement.rotation))
    middle = (box.x + box.width / 2, box.y + box.height / 2)
    region = FloatBox(middle[0] - own_wide / 2, middle[1] - own_high / 2, own_wide, own_high)
    plain = sprite_of(product, _box(region, scale), scene, placement)
    rgb = color.to_srgb(plain.light / np.maximum(plain.alpha, 1e-4)[..., None])
    picture = np.concatenate([rgb, plain.alpha[..., None]], -1)

    stood = sprite_of(product, _box(FloatBox(*box), scale), scene, posed(placement, pose))
    pad = shadow.reach(stood.alpha.shape[0])
    room = np.pad(stood.alpha, pad)
    shade = shadow.shadow(room, placement.shadow, light, placement.shadow_softness, placement.shadow_opacity)
    shade[shade < LEAST_SHOWN] = 0
    seen_rows, seen_columns = (np.flatnonzero((shade > 0).any(axis)) for axis in (1, 0))
    top, bottom = (int(seen_rows[0]), int(seen_rows[-1]) + 1) if len(seen_rows) else (0, 1)
    left, right = (int(seen_columns[0]), int(seen_columns[-1]) + 1) if len(seen_columns) else (0, 1)
    part = shade[top:bottom, left:right]
    dyed = np.broadcast_to(np.asarray(shadow.COLOR, np.float32), (*part.shape, 3))
    shaded = np.concatenate([dyed, part[..., None]], -1)
    corner = (stood.x - pad + left, stood.y - pad + top)
    shade_region = FloatBox(*(side / scale for side in (*corner, part.shape[1], part.shape[0])))
    return MovableProduct(region, pose, torch.from_numpy(picture), torch.from_numpy(shaded), shade_region)


def _box(region: FloatBox, scale: float) -> Box:
    x, y, wide, high = (side * scale for side in region)
    return Box(round(x), round(y), max(1, round(wide)), max(1, round(high)))
