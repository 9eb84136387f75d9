"""Places for what is laid on a finished picture: a logo, a badge, a call to action. Over nothing, in reach of what they belong to."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from ..canvas import ALIGNED, ANCHORS, Box, anchor_shares
from ..errors import require_one_of
from .adjusted import rest_of
from .analysis import BoxMeans, analyse
from .layout import BADGE, CALL_TO_ACTION, LOGO, WORDS, Layout, Overlay
from .room import free_boxes, meet, writable

if TYPE_CHECKING:
    import numpy as np

AUTO = "auto"
SHRINKS = (1.0, 0.9, 0.8, 0.7, 0.6)  # sizes tried where there is too little room
SMALLER = 1.2  # what each share of the size that is given up costs; 1 is a difference that anybody sees
BUSY_UNDER, SALIENT_UNDER = 0.4, 0.8  # times how busy the ground is, and how much it catches the eye
INTO_WORDS, WORDS_LOST = 0.35, 1.2  # what it costs that planned words give up a part of their box, and each share of it
OFF_AXIS = 0.9  # and that centred words move to one side, off the product's axis
PULL = {
    LOGO: 7.0,
    BADGE: 3.0,
    CALL_TO_ACTION: 3.0,
}  # times the distance from where it is best, in diagonals: a logo belongs in a corner
LOOKED_AT = 60  # of the best places by distance are looked at more closely
LOGO_CORNERS = (
    (0, 0, 0.0),
    (1, 0, 0.03),
    (1, 1, 0.06),
    (0, 1, 0.08),
)  # across, down, cost: a logo is looked for at the top left
SLICE = 0.55  # of the words' box, which is left to them above a call to action
CALL_DROP = 0.3  # of a call to action's height, between it and the words above it


class Ask(NamedTuple):
    """What is to be placed."""

    kind: str  # LOGO, BADGE or CALL_TO_ACTION
    width: int  # pixels at full size
    height: int
    clear: int  # pixels that stay free around it
    anchor: str = AUTO  # or one of ANCHORS


class Spot(NamedTuple):
    """Where it goes."""

    box: Box  # of the thing itself, smaller than asked for where there is little room
    layout: Layout  # planned words that are not drawn yet may have become less room
    notes: tuple[str, ...] = ()
    is_by_hand: bool = False


Cost = Callable[[Box], float]


def find_spot(
    ask: Ask, picture: np.ndarray, layout: Layout, outline: Sequence[Box] = (), cost: Cost = lambda box: 0.0
) -> Spot:
    """The best place in a picture [H, W, 3] in 0..1 of the layout's size.

    Where a person put it, the room that the plan kept for it, else a free place near a corner (logo), at a shoulder of the product (badge) or
    under the words (call to action). `outline`: boxes of the products' real outline, in place of the layout's boxes.
    `cost` adds to the score of a place, such as a contrast that is missing. Where nothing is free it lies over
    something, which the notes say; an anchor of the user's own is kept and may do so too. Raises InputError for an
    unknown anchor.
    """
    require_one_of("anchor", ask.anchor, (AUTO, *ANCHORS))
    height, width = picture.shape[:2]
    layout = layout.on(width, height)
    area = writable(layout.safe, width, height)
    if (place := layout.place_by_hand(ask.kind)) is not None:
        return Spot(_inside(ask, place), layout, is_by_hand=True)
    taken = _taken(ask, layout, outline)
    if ask.anchor != AUTO:
        return _over(_anchored(ask, area), ask, layout, taken)
    room = layout.room_for(ask.kind)
    drawn = [box for what, box in taken if what != "planned words"]
    if room is not None and not any(meet(room, box) for box in drawn):
        return Spot(_in_room(ask, room, area, layout), layout)
    scene = analyse(picture, True)
    ground = BoxMeans(_stacked(scene.busyness, scene.saliency))
    for left, top, right, bottom in scene.faces * [width, height, width, height]:
        taken.append(("face", Box(int(left), int(top), max(1, int(right - left)), max(1, int(bottom - top)))))

    def under(box: Box) -> float:
        import numpy as np

        shares = np.array([[box.x / width, box.y / height, box.right / width, box.bottom / height]])
        busy, salient = ground.over(shares)[0]
        return float(BUSY_UNDER * busy + SALIENT_UNDER * salient) + cost(box)

    best = _best(ask, area, layout, taken, under)
    if best is not None:
        return best
    small = ask._replace(width=round(ask.width * SHRINKS[-1]), height=round(ask.height * SHRINKS[-1]))
    places = [_anchored(small._replace(anchor=anchor), area) for anchor in ANCHORS]
    return _over(min(places, key=lambda box: sum(_shared(box, other) for _, other in taken)), ask, layout, taken)


def _stacked(*planes: np.ndarray) -> np.ndarray:
    import numpy as np

    return np.stack(planes, -1, dtype=np.float64)


def _taken(ask: Ask, layout: Layout, outline: Sequence[Box]) -> list[tuple[str, Box]]:
    """What a place must keep away from, by what it is."""
    products = outline or layout.products
    words = [] if layout.words_drawn else [("planned words", layout.text)]
    others = [(one.kind, one.box) for one in layout.overlays if one.drawn or one.kind != ask.kind]
    return [*(("product", box) for box in products), *words, *others]


def _over(box: Box, ask: Ask, layout: Layout, taken: Sequence[tuple[str, Box]]) -> Spot:
    """The place as it is, with a note on what it covers; planned words give way where they can."""
    planned = not layout.words_stay and meet(box, layout.text)
    if planned and (rest := rest_of(layout.text, (box,), ask.clear)) is not None:
        layout = replace(layout, text=rest)
        taken = [one for one in taken if one[0] != "planned words"]
    covered = sorted({what for what, other in taken if meet(box, other)})
    return Spot(box, layout, tuple(f"the {ask.kind} lies over the {what}" for what in covered))


def _anchored(ask: Ask, area: Box) -> Box:
    """At one of the nine anchors of the writable area, not larger than that."""
    shrink = min(1.0, area.width / ask.width, area.height / ask.height)
    wide, high = max(1, round(ask.width * shrink)), max(1, round(ask.height * shrink))
    across, down = anchor_shares(ask.anchor)
    return Box(round(area.x + (area.width - wide) * across), round(area.y + (area.height - high) * down), wide, high)


def _inside(ask: Ask, place: Box) -> Box:
    """In the middle of a place, as large as it allows."""
    scale = min(place.width / ask.width, place.height / ask.height)
    wide, high = max(1, round(ask.width * scale)), max(1, round(ask.height * scale))
    return Box(round(place.x + (place.width - wide) / 2), round(place.y + (place.height - high) / 2), wide, high)


def _in_room(ask: Ask, room: Box, area: Box, layout: Layout) -> Box:
    """In the room that was kept: a call to action as its words are aligned, close to them; others at its outer corner."""
    shrink = min(1.0, room.width / ask.width, room.height / ask.height)
    wide, high = max(1, round(ask.width * shrink)), max(1, round(ask.height * shrink))
    across = 0.0 if room.x + room.width / 2 < area.x + area.width / 2 else 1.0
    down = 0.0 if room.y + room.height / 2 < area.y + area.height / 2 else 1.0
    if ask.kind == CALL_TO_ACTION:
        across, down = ALIGNED[layout.text_align], 0.0
    elif ask.kind == BADGE:
        across = down = 0.5
    return Box(round(room.x + (room.width - wide) * across), round(room.y + (room.height - high) * down), wide, high)


def _best(ask: Ask, area: Box, layout: Layout, taken: Sequence[tuple[str, Box]], under: Cost) -> Spot | None:
    """The best free place; with planned words that give way, where that is better by far or nothing else is free."""
    found: list[tuple[float, Box, Layout]] = []
    diagonal = math.hypot(layout.width, layout.height)
    for gives_way in (False, True):
        if gives_way and layout.words_stay:
            break
        fixed = [box for what, box in taken if not (gives_way and what == "planned words")]
        rooms = free_boxes(area, fixed, ask.clear)
        for shrink in SHRINKS:
            wide, high = max(1, round(ask.width * shrink)), max(1, round(ask.height * shrink))
            for box in _places(rooms, wide, high, _targets(ask.kind, area, layout, (wide, high), ask.clear)):
                score = (
                    SMALLER * (1 - shrink) + PULL[ask.kind] * _away(ask.kind, box, area, layout, ask.clear) / diagonal
                )
                own = layout
                if gives_way and meet(box, layout.text, ask.clear):
                    rest = rest_of(layout.text, (box,), ask.clear)
                    if rest is None:
                        continue
                    lost = 1 - rest.width * rest.height / (layout.text.width * layout.text.height)
                    moved = OFF_AXIS * (layout.text_align == "center" and rest.width < layout.text.width)
                    score, own = score + INTO_WORDS + WORDS_LOST * lost + moved, replace(layout, text=rest)
                found.append((score, box, own))
    nearest = sorted(found, key=lambda one: (one[0], one[1]))[:LOOKED_AT]
    if not nearest:
        return None
    _, box, own = min(nearest, key=lambda one: (one[0] + under(one[1]), one[1]))
    return Spot(box, own)


def _places(rooms: Sequence[Box], wide: int, high: int, targets: Sequence[tuple[float, float]]) -> Iterator[Box]:
    """In each room that is large enough: its corners and middles, and as near to each target as it allows."""
    seen = set()
    for room in rooms:
        free_x, free_y = room.width - wide, room.height - high
        if free_x < 0 or free_y < 0:
            continue
        grid = [(room.x + free_x * i / 2, room.y + free_y * j / 2) for i in range(3) for j in range(3)]
        near = [(min(max(x, room.x), room.x + free_x), min(max(y, room.y), room.y + free_y)) for x, y in targets]
        for x, y in (*grid, *near):
            box = Box(round(x), round(y), wide, high)
            if box not in seen:
                seen.add(box)
                yield box


def _targets(kind: str, area: Box, layout: Layout, size: tuple[int, int], clear: int) -> list[tuple[float, float]]:
    """Top left corners where it would be best."""
    wide, high = size
    if kind == CALL_TO_ACTION:
        words = _words(layout)
        share = ALIGNED[layout.text_align]
        return [(words.x + (words.width - wide) * share, words.bottom + clear)]
    if kind == BADGE and layout.products:
        product = max(layout.products, key=lambda box: box.width * box.height)
        return [
            (product.right - wide * 0.25, product.y - high * 0.25),
            (product.x - wide * 0.75, product.y - high * 0.25),
        ]
    return [(area.x + (area.width - wide) * x, area.y + (area.height - high) * y) for x, y, _ in LOGO_CORNERS]


def _away(kind: str, box: Box, area: Box, layout: Layout, clear: int) -> float:
    """Pixels from where it would be best; what a corner costs is counted in."""
    targets = _targets(kind, area, layout, (box.width, box.height), clear)
    distances = [math.hypot(box.x - x, box.y - y) for x, y in targets]
    if kind == LOGO:
        unit = math.hypot(layout.width, layout.height)
        return min(distance + cost * unit for distance, (_, _, cost) in zip(distances, LOGO_CORNERS))
    return min(distances)


def _words(layout: Layout) -> Box:
    """The words that a call to action belongs to: those drawn first, else the planned ones."""
    return next((one.box for one in layout.overlays if one.kind == WORDS and one.drawn), layout.text)


def _shared(one: Box, other: Box) -> int:
    """Pixels that two boxes share."""
    wide = min(one.right, other.right) - max(one.x, other.x)
    high = min(one.bottom, other.bottom) - max(one.y, other.y)
    return max(0, wide) * max(0, high)


def reserve(layout: Layout, picture: np.ndarray, asks: Sequence[Ask], outline: Sequence[Box] = ()) -> Layout:
    """The layout with room for what is to come, the planned words made smaller where they must: a call to action under
    them, then a logo and a badge where they lie best."""
    for ask in sorted(asks, key=lambda one: (CALL_TO_ACTION, LOGO, BADGE).index(one.kind)):
        sliced = _sliced(layout, ask) if ask.kind == CALL_TO_ACTION and not layout.words_stay else None
        if layout.place_by_hand(ask.kind) is not None:
            # Words that a button was to follow stay as they were before a person took it away.
            layout = layout if sliced is None else replace(layout, text=sliced.text, low_words=True)
            continue
        if sliced is None:
            spot = find_spot(ask, picture, layout, outline)
            if spot.notes:
                continue  # no room: its node finds a place, or says over what it lies
            sliced = replace(spot.layout, overlays=(*spot.layout.overlays, Overlay(ask.kind, spot.box, False)))
        layout = sliced
    return layout


def _sliced(layout: Layout, ask: Ask) -> Layout | None:
    """A call to action at the lower end of the words' box; None where too little would be left of that."""
    text, drop = layout.text, round(CALL_DROP * ask.height)
    rest = text.height - ask.height - drop
    if rest < SLICE * text.height or ask.width > text.width:
        return None
    share = ALIGNED[layout.text_align]
    box = Box(round(text.x + (text.width - ask.width) * share), text.bottom - ask.height, ask.width, ask.height)
    overlay = Overlay(CALL_TO_ACTION, box, False)
    return replace(layout, text=text._replace(height=rest), overlays=(*layout.overlays, overlay))
