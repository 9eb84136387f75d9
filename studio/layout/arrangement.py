"""What a person moved by hand: positions by role, in fractions of the picture. A plan keeps them and plans the rest around."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from ..canvas import Box
from ..errors import InputError, require_number
from ..text.design import HandWords
from .layout import (
    CALL_TO_ACTION,
    HEADLINE,
    LIGHT_ROLE,
    MOST_PRODUCTS,
    OVERLAY_KINDS,
    WIDEST_BY_HAND,
    WORDS,
    Layout,
    Light,
    Overlay,
    Pose,
    pose_by_hand,
    product_role,
    words_by_hand,
)

NAME = "arrangement"  # the input, in errors
LONGEST = 100_000  # characters: 64 products and the longest words take a fifth of it
OUTSIDE = 1.0  # pictures: how far beyond the frame a box may begin or reach
NARROWEST = 0.001  # pictures: the least side of a box
VERSION = 1
PRODUCTS = {product_role(index): index for index in range(MOST_PRODUCTS)}  # looked up: other scripts have digits too


class HandBox(NamedTuple):
    """A box in fractions of the picture's width and height, from its top left corner; for a product before its rotation."""

    x: float
    y: float
    width: float
    height: float

    def on(self, width: int, height: int, rotation: float = 0.0) -> Box:
        """The box in a picture of `width` x `height` pixels: around the place rotated about its middle."""
        wide, high = self.width * width, self.height * height
        turn = math.radians(rotation)
        c, s = abs(math.cos(turn)), abs(math.sin(turn))
        across, down = wide * c + high * s, wide * s + high * c
        x, y = (self.x + self.width / 2) * width - across / 2, (self.y + self.height / 2) * height - down / 2
        return Box(round(x), round(y), max(1, round(across)), max(1, round(down)))


class HandProduct(NamedTuple):
    """Where a person put a product, and how they turned it."""

    place: HandBox | None  # None: where the plan has it
    pose: Pose = Pose()


@dataclass(frozen=True)
class Arrangement:
    """Items that were moved by hand; what is not named here is planned."""

    products: Mapping[int, HandProduct] = field(default_factory=dict)  # by index, counted from 0
    headline: HandBox | None = None
    words: HandWords | None = None
    light: Light | None = None
    overlays: Mapping[str, HandBox] = field(default_factory=dict)  # logo, badge, button, further words, by role
    further_words: Mapping[str, HandWords] = field(default_factory=dict)  # by role

    def __bool__(self) -> bool:
        parts = (self.products, self.headline, self.words, self.light, self.overlays, self.further_words)
        return any(parts)

    def placed(self) -> frozenset[str]:
        """The roles that have a place of their own, or a light."""
        roles = {product_role(index) for index, product in self.products.items() if product.place is not None}
        roles |= self.overlays.keys()
        roles |= {HEADLINE} if self.headline is not None else set()
        return frozenset(roles | ({LIGHT_ROLE} if self.light is not None else set()))


def parse_arrangement(value: Any) -> Arrangement:
    """An Arrangement from JSON text, or from what that reads as; "" and {} move nothing.

    {"version": 1, "product 1": {"box": {"x": 0.1, "y": 0.3, "width": 0.4, "height": 0.5}, "rotation": 0, "flip": false,
    "front": 0}, "headline": {"box": {...}, "words": "", "color": "#ffffff", "weight": 700, "align": "left", "font": ""},
    "badge": {"box": {...}}, "words 2": {... as headline}, "light": {"azimuth": 45, "elevation": 30}}; every part may be
    absent. Raises InputError that names the field.
    """
    if isinstance(value, Arrangement):
        return value
    if isinstance(value, str):
        value = _read(value)
    if not isinstance(value, Mapping):
        raise InputError(NAME, value, "a JSON object with the parts that were moved, or nothing")
    if value.get("version", VERSION) != VERSION:
        raise InputError(f"{NAME}: version", value["version"], cure="Update Storefront, or empty `arrangement`.")
    products: dict[int, HandProduct] = {}
    for role, part in value.items():
        if role in PRODUCTS:
            products[PRODUCTS[role]] = _product(f"{NAME}: {role}", part)
        elif role not in ("version", HEADLINE, LIGHT_ROLE, *OVERLAY_KINDS):
            roles = (
                f"product 1 to product {MOST_PRODUCTS}, {HEADLINE}, words 2, logo, badge, call to action, {LIGHT_ROLE}"
            )
            raise InputError(NAME, role, f"roles: {roles}")
    headline, words, light = None, None, None
    if HEADLINE in value:
        part = _object(f"{NAME}: {HEADLINE}", value[HEADLINE])
        headline = _place(f"{NAME}: {HEADLINE}", part)
        words = words_by_hand(f"{NAME}: {HEADLINE}", part)
    if LIGHT_ROLE in value:
        part = _object(f"{NAME}: {LIGHT_ROLE}", value[LIGHT_ROLE])
        azimuth = require_number(f"{NAME}: light.azimuth", part.get("azimuth", 0), -360, 360)
        light = Light(azimuth % 360, require_number(f"{NAME}: light.elevation", part.get("elevation", 45), 0, 90))
    words = words if words != HandWords() else None
    return Arrangement(products, headline, words, light, *_overlays(value))


def _overlays(value: Mapping[str, Any]) -> tuple[dict[str, HandBox], dict[str, HandWords]]:
    """Places and words of what is laid over the products, by role."""
    places, further = {}, {}
    for role, kind in OVERLAY_KINDS.items():
        if role not in value:
            continue
        part = _object(f"{NAME}: {role}", value[role])
        place = _place(f"{NAME}: {role}", part)
        if place is not None:
            places[role] = place
        words = words_by_hand(f"{NAME}: {role}", part) if kind == WORDS else HandWords()
        if words != HandWords():
            further[role] = words
    return places, further


def _read(text: str) -> Any:
    if len(text) > LONGEST:
        raise InputError(NAME, f"{len(text)} characters", f"at most {LONGEST}")
    if not text.strip():
        return {}
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise InputError(NAME, text, "JSON as the button Arrange writes it, or nothing") from None


def _object(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InputError(name, value, "an object with its fields")
    return value


def _product(name: str, value: Any) -> HandProduct:
    part = _object(name, value)
    return HandProduct(_place(name, part), pose_by_hand(name, part))


def _place(name: str, part: Mapping[str, Any]) -> HandBox | None:
    if part.get("box") is None:
        return None
    box = _object(f"{name}.box", part["box"])
    x, y = (require_number(f"{name}.box.{side}", box.get(side, 0), -OUTSIDE, 1 + OUTSIDE) for side in ("x", "y"))
    wide, high = (
        require_number(f"{name}.box.{side}", box.get(side, 0), NARROWEST, WIDEST_BY_HAND)
        for side in ("width", "height")
    )
    if not (x < 1 and y < 1 and x + wide > 0 and y + high > 0):
        raise InputError(f"{name}.box", (x, y, wide, high), "a box that touches the picture (from 0 to 1 both ways)")
    return HandBox(x, y, wide, high)


def arranged(layout: Layout, hand: Arrangement) -> Layout:
    """The layout with everything that was moved by hand in its place."""
    if not hand:
        return layout
    boxes, poses = list(layout.products), [layout.pose_of(index) for index in range(len(layout.products))]
    for index, product in hand.products.items():
        if index < len(boxes):
            poses[index] = product.pose
            if product.place is not None:
                boxes[index] = product.place.on(layout.width, layout.height, product.pose.rotation).touching(
                    layout.width, layout.height
                )
    text = layout.text if hand.headline is None else hand.headline.on(layout.width, layout.height)
    known = {HEADLINE, LIGHT_ROLE, *OVERLAY_KINDS, *map(product_role, range(len(boxes)))}
    return replace(
        layout,
        products=tuple(boxes),
        ground=min(layout.height, max((box.bottom for box in boxes), default=layout.ground)),
        text=text.touching(layout.width, layout.height),
        light=hand.light or layout.light,
        by_hand=layout.by_hand | hand.placed() & known,
        poses=tuple(poses) if any(one != Pose() for one in poses) else (),
        hand_words=_merged(hand.words, layout.hand_words),
        overlays=_laid(layout, hand),
        further_words=_further(layout, hand),
        # Words that a button was to follow stay as they were.
        low_words=layout.low_words or (CALL_TO_ACTION in hand.overlays and layout.lean() == 1),
    )


def _laid(layout: Layout, hand: Arrangement) -> tuple[Overlay, ...]:
    """The overlays with room where a person put some, in place of the room that the plan had for them."""
    kept = list(layout.overlays)
    for role, place in hand.overlays.items():
        kind = OVERLAY_KINDS[role]
        rooms = [one for one in kept if one.kind == kind and not one.drawn and one.role in ("", role)]
        before = next((one for one in rooms if one.role == role), None) or next(iter(rooms), None)
        own = Overlay(kind, place.on(layout.width, layout.height).touching(layout.width, layout.height), False, role)
        kept = [one for one in kept if one is not before] + [own]
    return tuple(kept)


def _further(layout: Layout, hand: Arrangement) -> tuple[tuple[str, HandWords], ...]:
    before = dict(layout.further_words)
    merged = {role: _merged(words, before.get(role)) for role, words in hand.further_words.items()}
    return tuple((role, words) for role, words in (before | merged).items() if words is not None)


def _merged(own: HandWords | None, before: HandWords | None) -> HandWords | None:
    """What is chosen now over what an earlier node had: what is left out stays as it was."""
    if own is None or before is None:
        return own or before
    return HandWords(
        own.words or before.words,
        own.color or before.color,
        own.weight or before.weight,
        own.align or before.align,
        own.font or before.font,
    )


def misfits(layout: Layout, hand: Arrangement) -> list[str]:
    """Where what was moved by hand does not fit a layout any more, as sentences for the user."""
    notes = []
    count = len(layout.products)
    for index in sorted(hand.products):
        if index >= count:
            notes.append(f"{product_role(index)} was moved by hand, but is not in this picture")
    if hand.headline is not None:
        box = layout.text
        if _reaches_beyond(box, layout):
            notes.append("the words, moved by hand, lie partly outside the safe area of this format")
        for index, product in enumerate(layout.products):
            if _share_covered(box, product) > TOUCHED:
                notes.append(f"the words, moved by hand, lie over {product_role(index)}")
    places = {product_role(index): box for index, box in enumerate(layout.products) if index in hand.products}
    places |= {one.role: one.box for one in layout.overlays if one.role in hand.overlays}
    for role, box in places.items():
        if _share_outside(box, layout) > CUT_OFF:
            notes.append(f"{role}, moved by hand, lies mostly outside the picture")
        elif role in hand.overlays:
            notes += _badly_laid(role, box, layout, hand)
    return notes


def _badly_laid(role: str, box: Box, layout: Layout, hand: Arrangement) -> list[str]:
    """What does not fit an overlay's place: the safe area, and what was moved by hand as well; the rest makes room. How
    much of their box words fill, a plan does not know: they are noted where they are written."""
    notes = []
    if _reaches_beyond(box, layout):
        notes.append(f"{role}, moved by hand, lies partly outside the safe area of this format")
    others = {HEADLINE: layout.text} if hand.headline is not None else {}
    roles = [name for name in hand.overlays if OVERLAY_KINDS[name] != WORDS]
    if role not in roles:
        return notes
    others |= {one.role: one.box for one in layout.overlays if one.role in roles[: roles.index(role)]}
    notes += [
        f"{role}, moved by hand, lies over {other}"
        for other, its in others.items()
        if _share_covered(box, its) > TOUCHED
    ]
    return notes


TOUCHED = 0.05  # of the words' box: less under a product is a matter of taste
CUT_OFF = 0.5  # of a product's box
ROUNDING = 2  # pixels


def _reaches_beyond(box: Box, layout: Layout) -> bool:
    """Whether a box leaves the safe area, as far as one is known."""
    if layout.safe is None:
        return False
    top, right, bottom, left = layout.safe
    return (
        box.x < left * layout.width - ROUNDING
        or box.y < top * layout.height - ROUNDING
        or box.right > (1 - right) * layout.width + ROUNDING
        or box.bottom > (1 - bottom) * layout.height + ROUNDING
    )


def _share_covered(box: Box, other: Box) -> float:
    across = min(box.right, other.right) - max(box.x, other.x)
    down = min(box.bottom, other.bottom) - max(box.y, other.y)
    return max(0, across) * max(0, down) / (box.width * box.height)


def _share_outside(box: Box, layout: Layout) -> float:
    return 1 - _share_covered(box, Box(0, 0, layout.width, layout.height))
