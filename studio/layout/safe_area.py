"""What a format's own buttons and trimming cover: parts of a picture where no words belong."""

from __future__ import annotations

from typing import NamedTuple


class Insets(NamedTuple):
    """% of the picture's width (left, right) and height (top, bottom) that stay free."""

    left: float
    top: float
    right: float
    bottom: float


# Story and reel: Meta, "About text overlays and the safe zones for ads in stories and reels". Title safe: SMPTE ST 2046-1.
SAFE_AREAS = {
    "none": Insets(0, 0, 0, 0),
    "story": Insets(6, 14, 6, 20),
    "reel": Insets(6, 14, 6, 35),
    "video title safe": Insets(5, 5, 5, 5),
}
