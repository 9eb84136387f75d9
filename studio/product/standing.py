"""Where products stand in a picture: in the boxes of a plan, beside others, or at an anchor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..canvas import Box, Size, anchor_shares
from ..errors import InputError
from ..layout.layout import product_role
from .beside import in_lane, lanes_beside
from .placement import AUTO, OF_PHOTO, Placement, posed, poses_of
from .sprite import Product, rotated_size

if TYPE_CHECKING:
    from ..layout.layout import Layout


def target_boxes(
    products: Sequence[Product], placement: Placement, layout: Layout | None, width: int, height: int
) -> list[Box]:
    """Where each product (after its rotation) stands. Larger than the picture shrinks to fit.

    A product that its photo cuts off ends at the frame there, unless an anchor, a rotation or an offset says otherwise.
    """
    first = 0 if layout is None else layout.placed  # those before stand already
    turns = [posed(placement, pose).rotation for pose in poses_of(layout, len(products))]
    sizes = [rotated_size(one.alpha.shape, turn) for one, turn in zip(products, turns)]
    rest = () if layout is None else layout.products[first:]
    planned = bool(rest) and placement.anchor == AUTO
    if planned and len(rest) < len(products):
        raise InputError("layout", f"{len(rest)} product boxes", f"a plan for {len(products)} products")
    is_later = layout is not None and bool(layout.placed) and not rest and placement.anchor == AUTO
    lanes = lanes_beside(layout, sizes, width, height) if layout is not None and is_later else []
    share = 1 / len(products)  # of the picture's width, where no layout gives each its box
    percent = (placement.scale or 60) / 100
    # One for all: photos are taken to be of one scale, as a plan takes them.
    alike = min(
        min(width * share * percent / wide, height * percent / high, width * share / wide, height / high)
        for wide, high in sizes
    )
    boxes = []
    for index, (wide, high) in enumerate(sizes):
        own = min(placement.scale / 100, width / wide, height / high) if placement.scale_of == OF_PHOTO else alike
        if layout is not None and planned and product_role(first + index) in layout.by_hand:
            boxes.append(_in_box(rest[index], wide, high, 0.0, frozenset(), Size(width, height)))
            continue
        if layout is not None and lanes:
            box = in_lane(lanes[index], (wide, high), own if placement.scale else 0.0, layout)
        elif layout is not None and planned:
            cut = layout.cut_of(first + index) if placement.rotation % 360 == 0 else frozenset()
            box = _in_box(rest[index], wide, high, own if placement.scale else 0.0, cut, Size(width, height))
            if placement.flip and len(cut & {"left", "right"}) == 1:
                box = box._replace(x=width - box.right)
        else:
            factor = own if placement.scale else alike
            size = Size(max(1, round(wide * factor)), max(1, round(high * factor)))
            box = _at_anchor(placement, size, width * share * index, Size(round(width * share), height))
            if placement.anchor == AUTO and placement.rotation % 360 == 0:
                box = _flush(box, _mirrored(products[index].cut, placement.flip), width, height)
        x, y = box.x + width * placement.offset_x / 100, box.y + height * placement.offset_y / 100
        boxes.append(box._replace(x=round(x), y=round(y)))
    for box in boxes:
        if box.x >= width or box.y >= height or box.right <= 0 or box.bottom <= 0:
            raise InputError(
                "offset_x, offset_y",
                (placement.offset_x, placement.offset_y),
                "an offset that leaves the product in sight",
            )
    return boxes


def _in_box(box: Box, wide: float, high: float, scale: float, cut: frozenset[str], size: Size) -> Box:
    """A product of `wide` x `high` pixels in its planned box: as large as that, or `scale` times itself; on its ground, in
    its middle, and at its edges on the sides at which the product's photo cut it off."""
    factors = (box.width / wide, box.height / high)
    factor = scale or (
        factors[0] if {"left", "right"} <= cut else factors[1] if {"top", "bottom"} <= cut else min(factors)
    )
    w, h = max(1, round(wide * factor)), max(1, round(high * factor))
    x, y = box.x + (box.width - w) / 2, float(box.bottom - h)
    if "left" in cut:
        x = float(box.x)
    elif "right" in cut:
        x = float(box.right - w)
    if "top" in cut and "bottom" not in cut:
        y = float(box.y)
    # A size of one's own may be larger than the box: it stays in the picture as far as the box lies in it.
    x = min(max(x, min(0, box.x)), max(size.width, box.right) - w)
    y = max(y, min(0, box.y))
    return Box(round(x), round(y), w, h)


def _at_anchor(placement: Placement, size: Size, left: float, lane: Size) -> Box:
    """A product of `size` in its lane of the picture, which begins at `left`."""
    across, down = anchor_shares("bottom center" if placement.anchor == AUTO else placement.anchor)
    x, y = left + (lane.width - size.width) * across, (lane.height - size.height) * down
    if placement.anchor == AUTO:
        y -= min(y, lane.height * 0.08)  # the ground in front of it
    return Box(round(x), round(y), size.width, size.height)


def _flush(box: Box, cut: frozenset[str], width: int, height: int) -> Box:
    """The box moved to the frame at the sides of `cut`, where it is not two that face each other."""
    if "bottom" in cut and "top" not in cut:
        box = box._replace(y=height - box.height)
    elif "top" in cut and "bottom" not in cut:
        box = box._replace(y=0)
    if "left" in cut and "right" not in cut:
        box = box._replace(x=0)
    elif "right" in cut and "left" not in cut:
        box = box._replace(x=width - box.width)
    return box


def _mirrored(cut: frozenset[str], flip: bool) -> frozenset[str]:
    return frozenset({"left": "right", "right": "left"}.get(side, side) for side in cut) if flip else cut
