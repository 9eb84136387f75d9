"""The look of words in a box of a picture: white or dark letters, a veil where neither reads, the side they are flush with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import contrast
from ..canvas import Box
from ..contrast import Scrim
from ..images import some_pixels

if TYPE_CHECKING:
    import numpy as np

FLUSH_LEFT = 0.4  # of the width: words in the middle of a box before this are flush left, and the same from the right
LEAST_VEIL = 0.4  # opacity of a veil over things: less would only dirty them


def alignment(centre: float) -> str:
    """The side that words are flush with, by the middle of their box in 0..1 of the picture's width."""
    return "left" if centre < FLUSH_LEFT else "right" if centre > 1 - FLUSH_LEFT else "center"


def alignments(centre: np.ndarray) -> np.ndarray:
    """`alignment` of many, as the share of a box's free width that lies before a line."""
    import numpy as np

    return np.where(centre < FLUSH_LEFT, 0.0, np.where(centre > 1 - FLUSH_LEFT, 1.0, 0.5))


def lettering(background: np.ndarray, text: Box) -> tuple[str, str, Scrim | None]:
    """Colour, alignment and veil for words in a box of a picture [H, W, 3], as a plan gives them."""
    color, scrim, _ = readable(background[text.y : text.bottom, text.x : text.right])
    return color, alignment((text.x + text.right) / 2 / background.shape[1]), scrim


def readable(part: np.ndarray, least: float = 0.0) -> tuple[str, Scrim | None, float]:
    """White or near-black for words on a part [h, w, 3] of the picture, a veil where neither reaches 4.5:1 or one of
    opacity `least` is wanted, and the contrast that is reached."""
    under = some_pixels(part, 96 * 96)
    color, ratio = contrast.best_color(under)
    if ratio >= contrast.READABLE and not least:
        return color, None, ratio
    veils = {
        ink: Scrim(veil, contrast.scrim_opacity(ink, veil, under, least=least))
        for ink, veil in ((contrast.LIGHT, contrast.DARK), (contrast.DARK, contrast.LIGHT))
    }
    # White on a dark veil looks deliberate, dark on a white one like fog: only where much less of it does.
    color = min(veils, key=lambda ink: veils[ink].opacity - (0.4 if ink == contrast.LIGHT else 0))
    veil = veils[color]
    veiled = under * (1 - veil.opacity) + contrast.rgb_of(veil.color) * veil.opacity
    return color, veil, contrast.worst_contrast(color, veiled)
