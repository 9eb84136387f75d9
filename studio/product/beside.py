"""A product that is placed after others: beside them, on their ground, over nothing that is drawn or planned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..canvas import Box
from ..errors import InputError
from ..layout.room import free_boxes, writable

if TYPE_CHECKING:
    from ..layout.layout import Layout

PRODUCT_GAP = 0.03  # of the shorter side, between products
HARDLY_SEEN = 0.2  # of the picture's height: a product below it hardly counts


def lanes_beside(layout: Layout, sizes: Sequence[tuple[float, float]], width: int, height: int) -> list[Box]:
    """For each product of (width, height) pixels a lane of the free room that shows them largest, standing on the ground.

    Raises InputError where the products placed before leave no room.
    """
    gap = round(PRODUCT_GAP * min(width, height))
    area = writable(None, width, height)
    area = Box(area.x, area.y, area.width, height - area.y)
    wide, high = max(size[0] for size in sizes) * len(sizes), max(size[1] for size in sizes)
    before = layout.products[: layout.placed]

    def fit(room: Box) -> float:
        return min(room.width / wide, room.height / high)

    def grounded(room: Box) -> Box | None:
        return room._replace(height=layout.ground - room.y) if room.y < layout.ground <= room.bottom else None

    free = free_boxes(area, layout.taken(), gap)
    rooms = [room for room in map(grounded, free) if room is not None] or free
    if not rooms:
        raise InputError(
            "layout",
            f"full: {len(before)} products",
            cure="Connect the mask of this product to Plan Layout's product_mask_2 too, or choose an anchor and a scale.",
        )
    room = max(rooms, key=fit)
    share = room.width // len(sizes)
    return [room._replace(x=room.x + share * index, width=share) for index in range(len(sizes))]


def in_lane(lane: Box, size: tuple[float, float], scale: float, layout: Layout) -> Box:
    """A product of `size` pixels in its lane, next to those placed before and no taller than they; `scale` times itself
    where that is given and fits."""
    before = layout.products[: layout.placed]
    wide, high = size
    tallest = max(box.height for box in before)
    factor = min(lane.width / wide, lane.height / high, scale or tallest / high)
    w, h = max(1, round(wide * factor)), max(1, round(high * factor))
    middle = sum(box.x + box.width / 2 for box in before) / len(before)
    x = lane.right - w if lane.x + lane.width / 2 < middle else lane.x
    return Box(x, lane.bottom - h, w, h)


def notes_on(stands: Sequence[Box], layout: Layout | None, height: int) -> list[str]:
    """What a user should know of products that stand in these boxes: that they are small, or over what was drawn before."""
    from ..layout.room import meet

    if layout is None:
        return []
    notes = []
    if (
        layout.placed
        and not layout.products[layout.placed :]
        and max(box.height for box in stands) < HARDLY_SEEN * height
    ):
        notes.append(
            "little room is left beside the products placed before: plan for all of them with Plan Layout's product_mask_2"
        )
    over = {one.kind for one in layout.overlays if one.drawn and any(meet(one.box, box) for box in stands)}
    notes += [f"the product lies over the {kind} drawn before" for kind in sorted(over)]
    return notes
