"""Advertisement formats: a name for a size in pixels that a FLUX model draws well."""

from __future__ import annotations

from typing import NamedTuple

from .errors import InputError

MULTIPLE = 16  # 8 px a latent cell, 2 x 2 cells a transformer token
SMALLEST, LARGEST = 16, 16384
CUSTOM = "custom (width x height)"


class Size(NamedTuple):
    width: int  # pixels, a multiple of 16
    height: int  # pixels, a multiple of 16


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
    if format not in FORMATS:
        raise InputError("format", format, "one of: " + ", ".join([CUSTOM, *FORMATS]))
    return FORMATS[format]
