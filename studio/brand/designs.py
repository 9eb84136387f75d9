"""What a user asks of a logo, a badge and a call to action. Light: the nodes' schemas read it when ComfyUI starts."""

from __future__ import annotations

from dataclasses import dataclass

from ..canvas import ANCHORS
from ..contrast import require_color
from ..errors import Bare, InputError, require_fields
from ..text import markup
from ..text.design import AUTO
from .shapes import SHAPES

ON_LIGHT, ON_DARK = "for light grounds", "for dark grounds"
LOGO_VARIANTS = (AUTO, ON_LIGHT, ON_DARK)
LOGO_RANGES: dict[str, tuple[float, float]] = {"size": (0, 100), "clear_space": (0, 200)}
EXAMPLE_BADGE = "50%"
BADGE_SHAPES = (AUTO, *SHAPES)
BADGE_RANGES: dict[str, tuple[float, float]] = {"size": (0, 60), "rotation": (-180, 180)}
EXAMPLE_CALL = "지금 주문하기"
BAR = "bar"  # from margin to margin
CALL_SHAPES = ("pill", "rounded", BAR)
CALL_RANGES: dict[str, tuple[float, float]] = {"size": (0, 40)}
LONGEST_CALL = 60  # characters


@dataclass(frozen=True)
class LogoDesign:
    """How a logo is put. Raises InputError for what is none of its choices or out of range."""

    anchor: str = AUTO
    size: float = 0.0  # its width in % of the picture's; 0: chosen
    clear_space: float = 50.0  # % of its height, free on all sides
    variant: str = AUTO

    def __post_init__(self) -> None:
        require_fields(self, {"anchor": (AUTO, *ANCHORS), "variant": LOGO_VARIANTS}, LOGO_RANGES)


@dataclass(frozen=True)
class Badge:
    """What a badge says and how it looks. Raises InputError for what is none of its choices or out of range."""

    text: str = EXAMPLE_BADGE
    old_price: str = ""
    shape: str = AUTO
    size: float = 0.0  # its height in % of the picture's shorter side; 0: chosen
    color: str = AUTO
    text_color: str = AUTO
    rotation: float = 0.0  # degrees, counter-clockwise
    anchor: str = AUTO

    def __post_init__(self) -> None:
        choices = {"shape": BADGE_SHAPES, "anchor": (AUTO, *ANCHORS)}
        require_fields(self, choices, BADGE_RANGES)
        markup.require_words(self.text)
        if not isinstance(self.old_price, str) or len(self.old_price) > LONGEST_CALL or "\n" in self.old_price.strip():
            raise InputError("old_price", self.old_price, f"one line of at most {LONGEST_CALL} characters, or nothing")
        if self.old_price.strip():
            try:
                markup.require_words(self.old_price)
            except InputError as error:
                raise InputError("old_price", Bare(error.shown), error.wanted, cure=error.cure) from None
        _check_colors(self)


@dataclass(frozen=True)
class CallToAction:
    """What a button says and how it looks. Raises InputError for what is none of its choices or out of range."""

    text: str = EXAMPLE_CALL
    shape: str = CALL_SHAPES[0]
    arrow: bool = True
    size: float = 0.0  # its height in % of the picture's shorter side; 0: chosen
    color: str = AUTO
    text_color: str = AUTO
    anchor: str = AUTO

    def __post_init__(self) -> None:
        choices = {"shape": CALL_SHAPES, "anchor": (AUTO, *ANCHORS)}
        require_fields(self, choices, CALL_RANGES)
        markup.require_words("" if not isinstance(self.text, str) else self.text)
        if len(self.text) > LONGEST_CALL or "\n" in markup.clean(self.text):
            raise InputError("text", self.text, f"one line of at most {LONGEST_CALL} characters")
        _check_colors(self)


def _check_colors(design: Badge | CallToAction) -> None:
    """Colours in one spelling. Raises InputError for what is no colour."""
    for name in ("color", "text_color"):
        if getattr(design, name) != AUTO:
            object.__setattr__(design, name, require_color(name, getattr(design, name)))
