"""What a user may ask of a plan, and what of the picture that leaves free."""

from __future__ import annotations

from dataclasses import dataclass

from ..canvas import AS_PICTURE, FORMATS, NOTHING, SAFE_AREAS, Safe
from ..errors import InputError, require_number

EACH, TOGETHER = "each on its own background", "all in one picture"
SIDES = ("auto", "top", "bottom", "left", "right")
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


def margin_edges(wishes: Wishes, width: int, height: int) -> Safe:
    edge = wishes.margin / 100 * min(width, height)
    return Safe(edge / height, edge / width, edge / height, edge / width)


def safe_edges(wishes: Wishes, width: int, height: int) -> Safe:
    """Where no word may stand: the margin wished for, or the format's safe area where that is wider."""
    return Safe(*map(max, zip(margin_edges(wishes, width, height), SAFE_AREAS.get(wishes.format, NOTHING))))
