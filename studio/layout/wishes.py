"""What a user may ask of a plan, and what of the picture that leaves free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ..canvas import FORMATS, NOTHING, SAFE_AREAS, Safe
from ..errors import InputError, require_number

AS_PICTURE = "as the picture"
EACH, TOGETHER = "each on its own background", "all in one picture"
SIDES = ("auto", "top", "bottom", "left", "right")
WIDE = 1.45  # width over height: from here on a product may leave the middle to the words
RANGES: dict[str, tuple[float, float]] = {"product_scale": (0, 100), "margin": (0, 25)}


@dataclass(frozen=True)
class Wishes:
    format: str = AS_PICTURE
    batch: str = EACH
    product_scale: float = 0.0  # % of the picture's height (or width, if that is met first); 0: chosen
    text_side: str = "auto"  # which side of the picture the words take
    margin: float = 5.0  # % of the shorter side that stays free all around
    vertical: bool = False  # the words run downwards, in columns from right to left

    def __post_init__(self) -> None:
        allowed: dict[str, tuple[str, ...]] = {
            "format": (AS_PICTURE, *FORMATS),
            "text_side": SIDES,
            "batch": (EACH, TOGETHER),
        }
        for name, choices in allowed.items():
            if getattr(self, name) not in choices:
                raise InputError(name, getattr(self, name), "one of: " + ", ".join(choices))
        for name, (low, high) in RANGES.items():
            require_number(name, getattr(self, name), low, high)


class Frame(NamedTuple):
    """The picture that is planned for."""

    width: int  # pixels
    height: int
    free: Safe  # the margin that was asked for
    safe: Safe  # where no word may stand: that margin, or the format's safe area where it is wider

    @property
    def aspect(self) -> float:
        return self.width / self.height

    @property
    def is_wide(self) -> bool:
        return self.aspect >= WIDE


def frame_of(wishes: Wishes, width: int, height: int) -> Frame:
    edge = wishes.margin / 100 * min(width, height)
    free = Safe(edge / height, edge / width, edge / height, edge / width)
    return Frame(width, height, free, Safe(*map(max, zip(free, SAFE_AREAS.get(wishes.format, NOTHING)))))
