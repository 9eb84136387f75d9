"""Advertisement formats and boxes on them: sizes that a FLUX model draws well, safe areas, the nine anchors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from .errors import InputError, require_number, require_one_of

if TYPE_CHECKING:
    import numpy as np

MULTIPLE = 16  # 8 px a latent cell, 2 x 2 cells a transformer token
SMALLEST, LARGEST = 16, 16384
CUSTOM = "custom (width x height)"
AS_PICTURE = "as the picture"


class Size(NamedTuple):
    """A picture's width and height."""

    width: int  # pixels, a multiple of 16
    height: int  # pixels, a multiple of 16


class Box(NamedTuple):
    """Pixels of the canvas, from its top left corner."""

    x: int
    y: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """x of the first column behind the box."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """y of the first row below the box."""
        return self.y + self.height

    def touching(self, width: int, height: int) -> Box:
        """Moved until a pixel of it lies on a picture of that size: rounding may have pushed the last one out."""
        x = min(max(self.x, 1 - self.width), width - 1)
        return self._replace(x=x, y=min(max(self.y, 1 - self.height), height - 1))


class Safe(NamedTuple):
    """Shares of the picture at its edges where no word may stand."""

    top: float
    right: float
    bottom: float
    left: float


# About one megapixel each (FLUX.1 was trained around it), sides the multiples of 16 nearest to the format's proportions.
FORMATS: dict[str, Size] = {
    "1:1 feed": Size(1024, 1024),
    "4:5 feed portrait": Size(912, 1136),
    "9:16 story, reel": Size(768, 1360),
    "16:9 video, slide": Size(1360, 768),
    "3:2 photo": Size(1248, 832),
    "2:3 poster": Size(832, 1248),
    "1.91:1 link preview": Size(1408, 736),
    "2:1 banner": Size(1440, 720),
    "3:1 banner": Size(1776, 592),
    "4:1 leaderboard": Size(2048, 512),
    "A-series print, portrait": Size(864, 1216),
    "A-series print, landscape": Size(1216, 864),
    "9:5 name card": Size(1376, 768),
}

A_SERIES = 2**0.5  # ISO 216: half of a sheet has the shape of the whole

# Width over height, exactly, for pictures that are cut rather than drawn.
PROPORTIONS: dict[str, float] = {
    "1:1 feed": 1,
    "4:5 feed portrait": 4 / 5,
    "9:16 story, reel": 9 / 16,
    "16:9 video, slide": 16 / 9,
    "3:2 photo": 3 / 2,
    "2:3 poster": 2 / 3,
    "1.91:1 link preview": 1.91,
    "2:1 banner": 2,
    "3:1 banner": 3,
    "4:1 leaderboard": 4,
    "A-series print, portrait": 1 / A_SERIES,
    "A-series print, landscape": A_SERIES,
    "9:5 name card": 9 / 5,
}

NOTHING = Safe(0, 0, 0, 0)
# What a format's own buttons, crops and trimming take, where it is more than the margin that was asked for.
SAFE_AREAS: dict[str, Safe] = {
    # Name above, buttons and caption below. Meta's ads guide: 14 % and 20 % free in stories; reels 14 %, 35 %, sides 6 %.
    "9:16 story, reel": Safe(0.14, 0.06, 0.35, 0.06),
    # Profile grids cut it to a square (older apps) or to 3:4.
    "4:5 feed portrait": Safe(0.10, 0.05, 0.10, 0.05),
    # Title-safe area of television, 5 % all around (SMPTE ST 2046-1, EBU R 95); players lay their bar over the lower tenth.
    "16:9 video, slide": Safe(0.05, 0.05, 0.10, 0.05),
    # Messengers round and cut link previews each in their own way; some to 2:1, some to a square in the middle.
    "1.91:1 link preview": Safe(0.08, 0.08, 0.08, 0.08),
    # Trimming may be 3 mm off, and binding and hands take a centimetre: 6 % of A4's shorter side is 12.6 mm.
    "A-series print, portrait": Safe(0.045, 0.06, 0.045, 0.06),
    "A-series print, landscape": Safe(0.06, 0.045, 0.06, 0.045),
    # 5 mm of 90 x 50 mm, the usual quiet zone of printers beyond 2 to 3 mm of trim.
    "9:5 name card": Safe(0.10, 0.056, 0.10, 0.056),
}

ALIGNED = {"left": 0.0, "center": 0.5, "right": 1.0}  # of the free width before the words; in columns of the height
ANCHORS = (
    "top left",
    "top center",
    "top right",
    "middle left",
    "center",
    "middle right",
    "bottom left",
    "bottom center",
    "bottom right",
)


def anchor_shares(anchor: str) -> tuple[float, float]:
    """How far across and down its room something lies by the name of its anchor: 0 at the left or top, 1 at the right or
    bottom, else one half."""
    across = 0.0 if "left" in anchor else 1.0 if "right" in anchor else 0.5
    return across, 0.0 if "top" in anchor else 1.0 if "bottom" in anchor else 0.5


SIDES = ("top", "right", "bottom", "left")
CUT_SHARE = 0.03  # of a side of a photo: where more of it is product, the photo cuts the product off


LEAST_ALPHA = 0.02  # less is no part of a product's box


def cut_sides(mask: np.ndarray) -> frozenset[str]:
    """The sides at which a photo ends before its product does, by the product's mask [h, w] over the whole photo.

    None where the mask reaches all four: it was then trimmed to the product, and nobody can tell.
    """
    edges = dict(zip(SIDES, (mask[0], mask[:, -1], mask[-1], mask[:, 0])))
    if all((edge > 0.5).any() for edge in edges.values()):
        return frozenset()
    return frozenset(side for side, edge in edges.items() if (edge > 0.5).mean() > CUT_SHARE)


def nearest_multiple(pixels: int) -> int:
    """The multiple of 16 nearest to `pixels`, halves upwards, at least 16."""
    return max(MULTIPLE, (pixels + MULTIPLE // 2) // MULTIPLE * MULTIPLE)


def canvas_size(format: str, width: int, height: int) -> Size:
    """The size of a format by name, or of `width` x `height` (16..16384) rounded to the nearest multiples of 16.

    Raises InputError for an unknown format and for a side out of range.
    """
    if format == CUSTOM:
        for name, pixels in (("width", width), ("height", height)):
            if not SMALLEST <= pixels <= LARGEST:
                raise InputError(name, pixels, f"{SMALLEST} to {LARGEST} pixels")
        return Size(nearest_multiple(width), nearest_multiple(height))
    require_one_of("format", format, [CUSTOM, *FORMATS])
    return FORMATS[format]


NO_FORMAT = "none"


def chosen_formats(names: Sequence[str]) -> list[str]:
    """The formats of a campaign in their order, each once, NO_FORMAT left out. Raises InputError where none is left."""
    chosen = [name for name in dict.fromkeys(names) if name != NO_FORMAT]
    for name in chosen:
        if name not in FORMATS:
            raise InputError("format", name, "one of: " + ", ".join(FORMATS))
    if not chosen:
        raise InputError("format_1", NO_FORMAT, "at least one format")
    return chosen


def size_like(wanted: Size, side: int) -> Size:
    """The size of `wanted`'s proportions that has about side x side pixels, in multiples of 16."""
    factor = side / (wanted.width * wanted.height) ** 0.5
    return Size(nearest_multiple(round(wanted.width * factor)), nearest_multiple(round(wanted.height * factor)))


def wished_size(format: str, width: int, height: int, own: Size) -> Size:
    """`width` x `height` where both are given (not 0), else the format's size, else a picture's `own`.

    Raises InputError for one side without the other, for a side out of range and for an unknown format.
    """
    if width or height:
        for name, pixels in (("width", width), ("height", height)):
            if not SMALLEST <= pixels <= LARGEST:
                raise InputError(name, pixels, f"{SMALLEST} to {LARGEST} pixels, or 0 for both")
        return Size(width, height)
    return own if format == AS_PICTURE else canvas_size(format, 0, 0)


def drawn_size(size: Size, side: int) -> Size:
    """What a model draws for a picture of `size`: about `side` x `side` pixels, in multiples of 16; 0: `size` itself."""
    require_number("draw_side", side, 0, LARGEST)
    return size_like(size, side) if side else size
