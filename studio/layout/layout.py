"""The plan of an advertisement: a value that travels between nodes and is written as JSON a person can edit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from ..canvas import SIDES, Box, Safe
from ..contrast import Scrim, require_color
from ..errors import InputError, require_number, require_unicode
from ..text.design import HandWords, TextPlan
from .reason_words import REASON_LANGUAGES

if TYPE_CHECKING:
    from .drawing import DrawnPicture

LARGEST_COORDINATE = 100_000  # pixels; far above any picture, far below what breaks arithmetic
WIDEST_SAFE = 0.49  # of the picture: something is left between two edges
MOST_CORNERS = 64  # of a support
MOST_OVERLAYS = 64
ALIGNMENTS = ("left", "center", "right")
WORDS, LOGO, BADGE, CALL_TO_ACTION = "words", "logo", "badge", "call to action"
OVERLAYS = (WORDS, LOGO, BADGE, CALL_TO_ACTION)
HEADLINE, LIGHT_ROLE = "headline", "light"  # roles of what a person moves, beside those of `product_role`
MOST_PRODUCTS = 64
WIDEST_BY_HAND = 2.0  # pictures: the sides of what a person moved
MOST_ALIKE = 8  # overlays of one kind that have a role: "badge", "badge 2" ...
FURTHEST_FRONT = 1000
LONGEST_FONT = 200  # characters of its name
LONGEST_HAND_WORDS = 2000  # characters that a person writes into an arrangement


def product_role(index: int) -> str:
    """The role of product `index`, counted from 0: "product 1" is the first."""
    return f"product {index + 1}"


def overlay_role(kind: str, index: int) -> str:
    """The role of the overlay drawn after `index` others of its kind: "badge", "badge 2"; the first words: the headline."""
    return (HEADLINE if kind == WORDS else kind) if index == 0 else f"{kind} {index + 1}"


OVERLAY_KINDS = {overlay_role(kind, index): kind for kind in OVERLAYS for index in range(MOST_ALIKE)}
del OVERLAY_KINDS[HEADLINE]
ROLES = frozenset([HEADLINE, LIGHT_ROLE, *OVERLAY_KINDS, *map(product_role, range(MOST_PRODUCTS))])


class Light(NamedTuple):
    """Where the main light of a scene comes from."""

    azimuth: float  # degrees clockwise as seen in the picture: 0 from the top (behind), 90 right, 180 front, 270 left
    elevation: float  # degrees above the ground, 0 (grazing, long shadows) to 90 (overhead)


class Pose(NamedTuple):
    """How a person turned a product."""

    rotation: float = 0.0  # degrees, counter-clockwise, about the middle of its box
    flip: bool = False  # mirrored left and right, before it is rotated
    front: int = 0  # products with a larger one stand before those with a smaller one


class KnownGround(NamedTuple):
    """What is known of a scene's ground because it was built, in shares of the picture's width and height."""

    support: tuple[tuple[float, float], ...]  # corners of what a product may stand on
    stand: tuple[float, float]  # where it stands best
    horizon: float  # y of the line where the ground begins; may lie outside the picture


class Overlay(NamedTuple):
    """What lies, or is going to lie, on the picture beside products and the planned words."""

    kind: str  # one of OVERLAYS
    box: Box  # around its ink, with what it keeps free around itself
    drawn: bool = True  # False: room that a plan keeps for it
    role: str = ""  # one of OVERLAY_KINDS where a person put it there: it fills this very box; empty: automatic


@dataclass(frozen=True)
class Layout:
    """Where products and words go in a picture, and why: one value, which JSON carries between nodes."""

    width: int  # pixels of the picture that the plan was made for
    height: int
    products: tuple[Box, ...]  # each the box around a product's mask, largest role first
    ground: int  # y of the line on which the products stand
    text: Box
    text_color: str  # "#rrggbb"
    text_align: str  # one of ALIGNMENTS
    scrim: Scrim | None
    light: Light
    reason_en: str = ""
    reason_ko: str = ""
    reason_ja: str = field(default="", kw_only=True)
    reason_zh: str = field(default="", kw_only=True)
    safe: Safe | None = None  # what the plan kept free of words, for whoever moves them later; None: not known
    known: KnownGround | None = None  # of a scene from the bank; None: the ground is guessed from the picture
    # For each product the sides at which its photo cuts it off and its box ends at the frame; empty: none at any.
    cuts: tuple[frozenset[str], ...] = ()
    placed: int = 0  # how many of `products`, the first ones, are in the picture already
    overlays: tuple[Overlay, ...] = ()
    by_hand: frozenset[str] = frozenset()  # roles that a person placed: nothing after the plan moves them
    poses: tuple[Pose, ...] = ()  # of each product; empty: as they are
    hand_words: HandWords | None = None  # of the headline
    further_words: tuple[tuple[str, HandWords], ...] = ()  # of other words, by their role
    low_words: bool = False  # at the lower end of their box, although a person moved what was to follow
    drawing: DrawnPicture | None = field(default=None, compare=False, repr=False)  # how it came to be; not in JSON

    @property
    def words_drawn(self) -> bool:
        """Whether the planned words are in the picture already."""
        return any(one.kind == WORDS and one.drawn for one in self.overlays)

    @property
    def words_stay(self) -> bool:
        """Whether the words' box is settled: they are in the picture already, or a person put them there."""
        return self.words_drawn or HEADLINE in self.by_hand

    def undrawn(self) -> Layout:
        """The same places in another picture, in which nothing of them is drawn yet."""
        rooms = tuple(one._replace(drawn=False) for one in self.overlays if one.kind != WORDS or one.role)
        return replace(self, placed=0, overlays=rooms, drawing=None)

    def room_for(self, kind: str) -> Box | None:
        """The room that the plan keeps for the next overlay of this kind; None where it keeps none."""
        room = self._room(kind)
        return None if room is None else room.box

    def _room(self, kind: str) -> Overlay | None:
        role, kept = self.next_role(kind), [one for one in self.overlays if one.kind == kind and not one.drawn]
        by_hand = [one for one in kept if one.role == role]
        return next(iter(by_hand or [one for one in kept if not one.role]), None)

    def next_role(self, kind: str) -> str:
        """The role of the overlay of this kind that is drawn next."""
        return overlay_role(kind, sum(one.kind == kind and one.drawn for one in self.overlays))

    def place_by_hand(self, kind: str) -> Box | None:
        """Where a person put the overlay of this kind that is drawn next; None where nobody did."""
        room = self._room(kind)
        return room.box if room is not None and room.role else None

    def taken(self) -> tuple[Box, ...]:
        """What nothing may lie over: products, words drawn or planned, overlays drawn or planned."""
        words = () if self.words_drawn else (self.text,)
        return (*self.products, *words, *(one.box for one in self.overlays))

    def with_overlay(self, overlay: Overlay) -> Layout:
        """The layout with one more overlay; a drawn one takes the place of the room for it, and fills one given by hand."""
        kept = list(self.overlays)
        room = self._room(overlay.kind)
        if overlay.drawn and room is not None:
            kept.remove(room)
            overlay = overlay._replace(box=room.box, role=room.role) if room.role else overlay
        return replace(self, overlays=(*kept, overlay))

    def pose_of(self, index: int) -> Pose:
        """How product `index` is turned."""
        return self.poses[index] if index < len(self.poses) else Pose()

    def cut_of(self, index: int) -> frozenset[str]:
        """The sides of product `index` at which it must meet its box's edge."""
        return self.cuts[index] if index < len(self.cuts) else frozenset()

    def to_json(self) -> str:
        """What `parse` reads; a person may edit it."""
        scrim, safe = (None if part is None else part._asdict() for part in (self.scrim, self.safe))
        return json.dumps(
            {
                "canvas": {"width": self.width, "height": self.height},
                "products": [_product(box, self.cut_of(index)) for index, box in enumerate(self.products)],
                "ground": self.ground,
                "text": {
                    "box": self.text._asdict(),
                    "color": self.text_color,
                    "align": self.text_align,
                    "scrim": scrim,
                },
                "light": self.light._asdict(),
                "safe": safe,
                **({} if self.known is None else {"known": self.known._asdict()}),
                **({"placed": self.placed} if self.placed else {}),
                **({"overlays": [_written(one) for one in self.overlays]} if self.overlays else {}),
                **self._hand_as_json(),
                "reasons": {language: getattr(self, f"reason_{language}") for language in REASON_LANGUAGES},
            },
            indent=2,
            ensure_ascii=False,
        )

    def _hand_as_json(self) -> dict[str, Any]:
        parts = {
            "by_hand": sorted(self.by_hand),
            "poses": [pose._asdict() for pose in self.poses],
            "hand_words": None if self.hand_words is None else self.hand_words._asdict(),
            "further_words": {role: words._asdict() for role, words in self.further_words},
            "low_words": self.low_words,
        }
        return {name: part for name, part in parts.items() if part}

    def on(self, width: int, height: int) -> Layout:
        """The same plan for a picture of another size and the same shape.

        Raises InputError where the shapes differ by more than 2 %: what is well placed in one is not in the other.
        """
        if (width, height) == (self.width, self.height):
            return self
        if abs(width / height * self.height / self.width - 1) > 0.02:
            raise InputError(
                "layout", f"a plan for {self.width}x{self.height}", f"a plan for a picture shaped like {width}x{height}"
            )
        across, down = width / self.width, height / self.height

        def scaled(box: Box) -> Box:
            x, y = round(box.x * across), round(box.y * down)
            return Box(x, y, max(1, round(box.right * across) - x), max(1, round(box.bottom * down) - y))

        return replace(
            self,
            width=width,
            height=height,
            products=tuple(scaled(box) for box in self.products),
            ground=round(self.ground * down),
            text=scaled(self.text),
            overlays=tuple(one._replace(box=scaled(one.box)) for one in self.overlays),
        )

    def text_on(self, width: int, height: int) -> TextPlan:
        """Where the words go on a picture of that size, and how; as `on`."""
        scaled = self.on(width, height)
        return TextPlan(
            scaled.text,
            scaled.text_color,
            scaled.text_align,
            scaled.scrim,
            scaled.lean(),
            HEADLINE in self.by_hand,
            self.hand_words or HandWords(),
        )

    def lean(self) -> float:
        """Where the words lie in their box, 0 at its top, 1 at its bottom, next to a call to action; in the middle by hand."""
        if HEADLINE in self.by_hand:
            return 0.5
        if self.low_words:
            return 1.0
        for kind, box, _, role in self.overlays:
            beside = box.x >= self.text.right or self.text.x >= box.right
            below = 0 <= box.y - self.text.bottom < self.text.height / 2
            if kind == CALL_TO_ACTION and not role and not beside and below:
                return 1.0
        return 0.5


def parse(value: Layout | Mapping[str, Any] | str) -> Layout:
    """A Layout from what `to_json` writes, as text or already read (a prompt may bring either instead of a link). `safe`,
    `known`, `placed`, `overlays`, a product's `cut`, and what a person did by hand may be absent.

    Raises InputError that names the field.
    """
    if isinstance(value, Layout):
        return value
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise InputError("layout", value, "JSON as StorefrontPlanLayout writes it") from None
    if not isinstance(value, Mapping):
        raise InputError("layout", value, "a layout of StorefrontPlanLayout, or its JSON")
    canvas, text, light = (_mapping(value, part) for part in ("canvas", "text", "light"))
    width = _number(canvas, "canvas.width", 1, LARGEST_COORDINATE)
    height = _number(canvas, "canvas.height", 1, LARGEST_COORDINATE)
    products = value.get("products")
    if not isinstance(products, (list, tuple)) or len(products) > MOST_PRODUCTS:
        raise InputError("layout: products", products, f"a list of at most {MOST_PRODUCTS} boxes")
    cuts = tuple(_cut(box, f"products[{index}].cut") for index, box in enumerate(products))
    align = text.get("align")
    if align not in ALIGNMENTS:
        raise InputError("layout: text.align", align, "one of: " + ", ".join(ALIGNMENTS))
    scrim = text.get("scrim")
    if scrim is not None:
        scrim = _mapping(text, "text.scrim")
        scrim = Scrim(require_color("layout: text.scrim.color", scrim.get("color")), _number(scrim, "opacity", 0, 1))
    part = None if value.get("safe") is None else _mapping(value, "safe")
    safe = None if part is None else Safe(*(_number(part, f"safe.{edge}", 0, WIDEST_SAFE) for edge in Safe._fields))
    reasons = value["reasons"] if isinstance(value.get("reasons"), Mapping) else {}
    return Layout(
        int(width),
        int(height),
        tuple(_box(box, f"products[{index}]", width, height) for index, box in enumerate(products)),
        int(_number(value, "ground", 0, height)),
        _box(text.get("box"), "text.box", width, height),
        require_color("layout: text.color", text.get("color")),
        str(align),
        scrim,
        Light(_number(light, "light.azimuth", -360, 360), _number(light, "light.elevation", 0, 90)),
        str(reasons.get("en", "")),
        str(reasons.get("ko", "")),
        safe,
        _known(value),
        cuts if any(cuts) else (),
        _placed(value, len(products)),
        _overlays(value, width, height),
        *_by_hand(value),
        reason_ja=str(reasons.get("ja", "")),
        reason_zh=str(reasons.get("zh", "")),
    )


def _placed(value: Mapping[str, Any], products: int) -> int:
    placed = value.get("placed", 0)
    if isinstance(placed, bool) or not isinstance(placed, int) or not 0 <= placed <= products:
        raise InputError("layout: placed", placed, f"a whole number from 0 to {products}, the number of products")
    return placed


def _overlays(value: Mapping[str, Any], width: float, height: float) -> tuple[Overlay, ...]:
    overlays = value.get("overlays") or ()
    if not isinstance(overlays, (list, tuple)) or len(overlays) > MOST_OVERLAYS:
        raise InputError("layout: overlays", overlays, f"a list of at most {MOST_OVERLAYS} overlays")
    found = []
    for index, one in enumerate(overlays):
        box = _box(one, f"overlays[{index}]", width, height)
        kind, drawn, role = one.get("kind"), one.get("drawn", True), one.get("role", "")
        if kind not in OVERLAYS:
            raise InputError(f"layout: overlays[{index}].kind", kind, "one of: " + ", ".join(OVERLAYS))
        if role and max(box.width / width, box.height / height) > WIDEST_BY_HAND:
            raise InputError(f"layout: overlays[{index}]", tuple(box), f"at most {WIDEST_BY_HAND:g} pictures a side")
        if not isinstance(drawn, bool):
            raise InputError(f"layout: overlays[{index}].drawn", drawn, "true or false")
        if role != "" and (not isinstance(role, str) or OVERLAY_KINDS.get(role) != kind):
            raise InputError(f"layout: overlays[{index}].role", role, f"a role of its kind, such as {kind} 2")
        found.append(Overlay(kind, box, drawn, role))
    return tuple(found)


def _written(overlay: Overlay) -> dict[str, Any]:
    role = {"role": overlay.role} if overlay.role else {}
    return {"kind": overlay.kind} | overlay.box._asdict() | {"drawn": overlay.drawn} | role


def _by_hand(value: Mapping[str, Any]) -> tuple[Any, ...]:
    """The last fields of a Layout, in their order."""
    roles, poses = value.get("by_hand", ()), value.get("poses", ())
    if not isinstance(roles, (list, tuple)) or any(not isinstance(role, str) or role not in ROLES for role in roles):
        raise InputError("layout: by_hand", roles, f"a list of roles: {HEADLINE}, {LIGHT_ROLE}, {product_role(0)} ...")
    if not isinstance(poses, (list, tuple)) or len(poses) > MOST_PRODUCTS:
        raise InputError("layout: poses", poses, f"a list of at most {MOST_PRODUCTS} poses")
    own = None
    if value.get("hand_words") is not None:
        own = words_by_hand("layout: hand_words", _mapping(value, "hand_words"))
    more = _mapping(value, "further_words") if value.get("further_words") is not None else {}
    if wrong := [role for role in more if OVERLAY_KINDS.get(role) != WORDS]:
        raise InputError("layout: further_words", wrong[0], f"roles: {WORDS} 2 to {WORDS} {MOST_ALIKE}")
    further = tuple((role, words_by_hand(f"layout: further_words.{role}", part)) for role, part in more.items())
    turned = tuple(pose_by_hand(f"layout: poses[{index}]", one) for index, one in enumerate(poses))
    if not isinstance(low := value.get("low_words", False), bool):
        raise InputError("layout: low_words", low, "true or false")
    return frozenset(roles), turned, own, further, low


def pose_by_hand(name: str, value: Any) -> Pose:
    """A Pose from a mapping whose fields may be absent. Raises InputError that names the field, after `name`."""
    if not isinstance(value, Mapping):
        raise InputError(name, value, "an object with rotation, flip, front")
    rotation = require_number(f"{name}.rotation", value.get("rotation", 0), -360, 360)
    flip, front = value.get("flip", False), value.get("front", 0)
    if not isinstance(flip, bool):
        raise InputError(f"{name}.flip", flip, "true or false")
    require_number(f"{name}.front", front, -FURTHEST_FRONT, FURTHEST_FRONT)
    return Pose(float(rotation), flip, int(front))


def words_by_hand(name: str, value: Any) -> HandWords:
    """HandWords from a mapping whose fields may be absent or empty. Raises InputError as `pose_by_hand`."""
    if not isinstance(value, Mapping):
        raise InputError(name, value, "an object with words, color, weight, align, font")
    words, color, weight = value.get("words") or "", value.get("color") or "", value.get("weight") or 0
    if not isinstance(words, str) or len(words) > LONGEST_HAND_WORDS:
        raise InputError(f"{name}.words", words, f"a text of at most {LONGEST_HAND_WORDS} characters")
    require_unicode(f"{name}.words", words)
    align = value.get("align") or ""
    if align not in ("", *ALIGNMENTS):
        raise InputError(f"{name}.align", align, "one of: " + ", ".join(ALIGNMENTS))
    if weight:
        require_number(f"{name}.weight", weight, 100, 900)
    font = value.get("font") or ""
    if not isinstance(font, str) or len(font) > LONGEST_FONT:
        raise InputError(f"{name}.font", font, f"the name of a font, of at most {LONGEST_FONT} characters")
    require_unicode(f"{name}.font", font)
    return HandWords(words, require_color(f"{name}.color", color) if color else "", int(weight), str(align), font)


def _known(value: Mapping[str, Any]) -> KnownGround | None:
    if value.get("known") is None:
        return None
    part = _mapping(value, "known")
    support = part.get("support")
    if not isinstance(support, (list, tuple)) or len(support) > MOST_CORNERS:
        raise InputError("layout: known.support", support, f"a list of at most {MOST_CORNERS} corners [x, y]")
    corners = tuple(_place("known.support", corner) for corner in support)
    return KnownGround(corners, _place("known.stand", part.get("stand")), _number(part, "known.horizon", -10, 10))


def _place(name: str, value: Any) -> tuple[float, float]:
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise InputError(f"layout: {name}", value, "two numbers from 0 to 1")
    x, y = (_number({"place": part}, f"{name}.place", 0, 1) for part in value)
    return x, y


def _product(box: Box, cut: frozenset[str]) -> dict[str, Any]:
    return box._asdict() | ({"cut": sorted(cut)} if cut else {})


def _cut(product: Any, name: str) -> frozenset[str]:
    sides = product.get("cut", ()) if isinstance(product, Mapping) else ()
    if not isinstance(sides, (list, tuple)) or any(side not in SIDES for side in sides):
        raise InputError(f"layout: {name}", sides, "a list of: " + ", ".join(SIDES))
    return frozenset(sides)


def _mapping(parent: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = parent.get(name.rsplit(".", 1)[-1])
    if not isinstance(value, Mapping):
        raise InputError(f"layout: {name}", value, "an object with its fields")
    return value


def _number(parent: Mapping[str, Any], name: str, low: float, high: float) -> float:
    value = parent.get(name.rsplit(".", 1)[-1])
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise InputError(f"layout: {name}", value, f"a number from {low:g} to {high:g}")
    return value


def _box(value: Any, name: str, width: float, height: float) -> Box:
    if not isinstance(value, Mapping):
        raise InputError(f"layout: {name}", value, "an object with x, y, width, height")
    box = Box(
        *(round(_number(value, f"{name}.{side}", -LARGEST_COORDINATE, LARGEST_COORDINATE)) for side in ("x", "y")),
        *(round(_number(value, f"{name}.{side}", 1, LARGEST_COORDINATE)) for side in ("width", "height")),
    )
    if box.x >= width or box.y >= height or box.right <= 0 or box.bottom <= 0:
        raise InputError(f"layout: {name}", tuple(box), f"a box that touches the canvas of {width:g}x{height:g}")
    return box
