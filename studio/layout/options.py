"""What a user may ask of a plan, and what of the picture that leaves free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ..canvas import AS_PICTURE, FORMATS, NOTHING, SAFE_AREAS, Safe, Size
from ..errors import InputError, require_fields

AUTO = "auto"  # the format that has the picture's shape, as the picture where none has it
EACH, TOGETHER = "each on its own background", "all in one picture"
BATCHES = (EACH, TOGETHER)
TEXT_SIDES = ("auto", "top", "bottom", "left", "right")
SHAPE = 0.02  # how far a picture's proportions may be from a format's
WIDE = 1.45  # width over height: from here on a product may leave the middle to the words
RANGES: dict[str, tuple[float, float]] = {"product_scale": (0, 100), "margin": (0, 25)}


@dataclass(frozen=True)
class LayoutOptions:
    """The inputs of Plan Layout that are no pictures. Raises InputError for a value that is none of its choices or out
    of range.
    """

    format: str = AS_PICTURE
    batch: str = EACH
    product_scale: float = 0.0  # % of the picture's height (or width, if that is met first); 0: chosen
    text_side: str = "auto"  # which side of the picture the words take
    margin: float = 5.0  # % of the shorter side that stays free all around
    vertical: bool = False  # the words run downwards, in columns from right to left

    def __post_init__(self) -> None:
        choices = {"format": (AUTO, AS_PICTURE, *FORMATS), "text_side": TEXT_SIDES, "batch": BATCHES}
        require_fields(self, choices, RANGES)


def require_shape(name: str, format: str, width: int, height: int) -> None:
    """Raise InputError where a picture of `width` x `height` pixels has not the shape of a named format."""
    if format in FORMATS and not _is_shaped(FORMATS[format], width, height):
        size, own = FORMATS[format], format_of(width, height)
        fits = "" if own == AS_PICTURE else f", or format {own!r}"
        raise InputError(
            name,
            f"{width}x{height}",
            f"the shape of format {format!r}, such as {size.width}x{size.height}{fits}, or {AUTO!r}",
        )


def format_of(width: int, height: int) -> str:
    """The format whose shape is nearest to a picture's, within 2 %; AS_PICTURE where none is."""
    near = [format for format, size in FORMATS.items() if _is_shaped(size, width, height)]
    return min(near, key=lambda format: _off(FORMATS[format], width, height), default=AS_PICTURE)


def _is_shaped(size: Size, width: int, height: int) -> bool:
    return _off(size, width, height) <= SHAPE


def _off(size: Size, width: int, height: int) -> float:
    return abs(width / height * size.height / size.width - 1)


class Frame(NamedTuple):
    """The picture that is planned for."""

    width: int  # pixels
    height: int
    free: Safe  # the margin that was asked for
    safe: Safe  # where no word may stand: that margin, or the format's safe area where it is wider

    @property
    def aspect(self) -> float:
        """Width over height."""
        return self.width / self.height

    @property
    def is_wide(self) -> bool:
        """Whether a product may leave the middle to the words."""
        return self.aspect >= WIDE


def frame_of(options: LayoutOptions, width: int, height: int) -> Frame:
    """The frame of a picture of `width` x `height` pixels, with the margin of `options` and its format's safe area."""
    edge = options.margin / 100 * min(width, height)
    free = Safe(edge / height, edge / width, edge / height, edge / width)
    format = format_of(width, height) if options.format == AUTO else options.format
    return Frame(width, height, free, Safe(*map(max, zip(free, SAFE_AREAS.get(format, NOTHING)))))
