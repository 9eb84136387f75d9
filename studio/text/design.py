"""How words look, as a user asks for it, and the box of the picture that they get."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ..canvas import ALIGNED, ANCHORS, SAFE_AREAS, Box, anchor_shares
from ..contrast import Scrim, require_color
from ..errors import InputError, require_fields

if TYPE_CHECKING:
    from .typeset import Block

AUTO = "auto"
BLENDS = ("normal", "multiply", "screen", "overlay", "soft light")
NO_SAFE_AREA = "none"
SCRIMS = (AUTO, "on", "off")


class HandWords(NamedTuple):
    """What a person chose for the words in the layout, in place of a Design's."""

    words: str = ""  # empty: those of the node
    color: str = ""  # "#rrggbb"; empty: the Design's
    weight: int = 0  # 100..900; 0: the Design's
    align: str = ""  # left, center, right; empty: the Design's
    font: str = ""  # a family; empty: that of the node


class TextPlan(NamedTuple):
    """Where a layout puts the words, and how they look there."""

    box: Box
    color: str  # "#rrggbb"
    align: str  # left, center, right
    scrim: Scrim | None
    down: float = 0.5  # where the words lie in the box: 0 at its top, 1 at its bottom
    is_by_hand: bool = False  # a person put the box there: offsets of a Design move it no further
    hand: HandWords = HandWords()


class Planned(Protocol):
    """What plans words for pictures of a size: a Layout."""

    def text_on(self, width: int, height: int) -> TextPlan:
        """The plan for a picture of `width` x `height` pixels. Raises InputError where it was made for another shape."""


class Preset(NamedTuple):
    """What a role asks for, where the user leaves a value at 0 or auto."""

    weight: int
    leading: float  # em
    tracking: float  # em
    largest: float  # times the picture's height: how big "the largest that fits" may become; 0: no limit
    shadow: float  # opacity
    emphasis: bool  # numbers large, the words around them small


PRESETS = {
    "headline": Preset(800, 1.2, 0.0, 0.0, 0.35, False),
    "price": Preset(900, 1.1, 0.0, 0.0, 0.35, True),
    "caption": Preset(500, 1.45, 0.0, 0.045, 0.5, False),
}


@dataclass(frozen=True)
class Design:
    """How the words look. Lengths called em are times the text's size, so that effects grow with it."""

    preset: str = "headline"
    weight: int = 0  # 100..900; 0: the preset's
    size: float = 0.0  # pixels an em; 0: the largest that fits
    leading: float = 0.0  # em; 0: the preset's
    tracking: float = 0.0  # em
    align: str = AUTO  # auto, left, center, right
    vertical: bool = False
    anchor: str = AUTO  # auto: the layout's box, else top center; or one of ANCHORS
    width: float = 80.0  # % of the picture, of a box that is placed by its anchor
    height: float = 30.0
    box_width: float = 0.0  # % of the picture, in place of `width`; 0: as `width` says
    box_height: float = 0.0
    offset_x: float = 0.0  # % of the picture
    offset_y: float = 0.0
    margin: float = 5.0  # % of the picture's shorter side, kept free
    safe_area: str = NO_SAFE_AREA  # or a format of SAFE_AREAS; where it asks for more than the margin, it rules
    color: str = AUTO
    opacity: float = 1.0
    outline: float = 0.0  # em
    outline_color: str = AUTO
    shadow: float = -1.0  # opacity 0..1; below 0: the preset's
    shadow_color: str = "#000000"
    glow: float = 0.0  # opacity 0..1
    glow_color: str = AUTO
    box_opacity: float = 0.0
    box_color: str = AUTO
    box_padding: float = 0.35  # em
    box_radius: float = 0.25  # em
    scrim: str = AUTO
    rotation: float = 0.0  # degrees, counter-clockwise
    blend: str = "normal"
    palette: tuple[str, ...] = ()  # a brand's colours, the first that reads is taken where `color` is automatic

    def __post_init__(self) -> None:
        choices = {
            "preset": tuple(PRESETS),
            "align": (AUTO, "left", "center", "right"),
            "anchor": (AUTO, *ANCHORS),
            "safe_area": (NO_SAFE_AREA, *SAFE_AREAS),
            "scrim": SCRIMS,
            "blend": BLENDS,
        }
        require_fields(self, choices, RANGES)
        for name in ("color", "outline_color", "shadow_color", "glow_color", "box_color"):
            if getattr(self, name) != AUTO or name == "shadow_color":
                object.__setattr__(self, name, require_color(name, getattr(self, name)))
        object.__setattr__(self, "palette", tuple(require_color("palette", color) for color in self.palette))
        if 0 < self.weight < 100:
            raise InputError("weight", self.weight, "0 (the preset's) or 100 to 900")


def follows(design: Design, plan: TextPlan | None) -> bool:
    """Whether the words go where the plan has them: an anchor of their own leaves it."""
    return plan is not None and design.anchor == AUTO


def by_hand(design: Design, plan: TextPlan | None) -> Design:
    """The design with what a person chose in the layout in its place, where its words follow that."""
    if plan is None or not follows(design, plan):
        return design
    own = plan.hand
    return replace(
        design,
        color=own.color or design.color,
        weight=own.weight or design.weight,
        align=own.align or design.align,
        offset_x=0.0 if plan.is_by_hand else design.offset_x,
        offset_y=0.0 if plan.is_by_hand else design.offset_y,
    )


def require_color_or_auto(name: str, value: str) -> str:
    """A colour as `require_color` has it, or "auto"."""
    return value if value == AUTO else require_color(name, value)


RANGES: dict[str, tuple[float, float]] = {
    "weight": (0, 900),
    "size": (0, 4096),
    "leading": (0, 4),
    "tracking": (-0.2, 2),
    "width": (1, 100),
    "height": (1, 100),
    "box_width": (0, 100),
    "box_height": (0, 100),
    "offset_x": (-100, 100),
    "offset_y": (-100, 100),
    "margin": (0, 45),
    "opacity": (0, 1),
    "outline": (0, 0.3),
    "shadow": (-1, 1),
    "glow": (0, 1),
    "box_opacity": (0, 1),
    "box_padding": (0, 3),
    "box_radius": (0, 3),
    "rotation": (-360, 360),
}


def text_box(design: Design, plan: TextPlan | None, width: int, height: int) -> Box:
    """Where the words go: the layout's box, or one of the nine anchors inside margin and safe area. Clipped to the
    picture."""
    if design.anchor == AUTO and plan is not None:
        x, y, wide, high = map(float, plan.box)
    else:
        name = "top center" if design.anchor == AUTO else design.anchor
        left = top = right = bottom = min(width, height) * design.margin / 100
        if safe := SAFE_AREAS.get(design.safe_area):
            left, right = max(left, width * safe.left), max(right, width * safe.right)
            top, bottom = max(top, height * safe.top), max(bottom, height * safe.bottom)
        free_width, free_height = width - left - right, height - top - bottom
        wide = min(width * (design.box_width or design.width) / 100, free_width)
        high = min(height * (design.box_height or design.height) / 100, free_height)
        across, down = anchor_shares(name)
        x, y = left + (free_width - wide) * across, top + (free_height - high) * down
    x, y = x + width * design.offset_x / 100, y + height * design.offset_y / 100
    box_left, box_top = max(0, round(x)), max(0, round(y))
    box_right, box_bottom = min(width, round(x + wide)), min(height, round(y + high))
    if box_right - box_left < 1 or box_bottom - box_top < 1:
        raise InputError("offset_x, offset_y", (design.offset_x, design.offset_y), "a box that lies on the picture")
    return Box(box_left, box_top, box_right - box_left, box_bottom - box_top)


def alignment(design: Design, plan: TextPlan | None) -> str:
    """ "left", "center" or "right": as asked for, else as the plan or the anchor has it."""
    if design.align != AUTO:
        return design.align
    if design.vertical:
        return "left"  # columns hang from the top
    if design.anchor == AUTO:
        return "center" if plan is None else plan.align
    return "left" if "left" in design.anchor else "right" if "right" in design.anchor else "center"


def room_in(design: Design, box: Box) -> tuple[float, float]:
    """What the box leaves for letters: a rotated block must lie inside it as a whole."""
    turn = math.radians(design.rotation)
    c, s = abs(math.cos(turn)), abs(math.sin(turn))
    if s < 1e-6:
        return box.width, box.height
    scale = min(box.width / (box.width * c + box.height * s), box.height / (box.width * s + box.height * c))
    return (box.width * scale, box.height * scale) if c > 1e-6 else (box.height, box.width)


def position(design: Design, plan: TextPlan | None, box: Box, block: Block) -> tuple[float, float]:
    """The top left corner of the ink in its box: as it is anchored and aligned, in the middle of it where turned."""
    pad = block.padding
    across, down = anchor_shares("top center" if design.anchor == AUTO and plan is None else design.anchor)
    if design.anchor == AUTO and plan is not None:
        down = plan.down
    align = alignment(design, plan)
    if not block.vertical:
        across = ALIGNED[align]
    elif design.align != AUTO:
        down = ALIGNED[align]
    if is_rotated(design):
        across = down = 0.5
    free_width = box.width - (block.right - block.left) - 2 * pad
    free_height = box.height - (block.bottom - block.top) - 2 * pad
    return box.x + pad + free_width * across, box.y + pad + free_height * down


def is_rotated(design: Design) -> bool:
    """Whether the block is at an angle, full turns aside."""
    return abs(math.sin(math.radians(design.rotation))) > 1e-6 or math.cos(math.radians(design.rotation)) < 0
