"""Colours, and how well one can be read on what is under it, after WCAG 2.2 (relative luminance, contrast ratio)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import InputError

if TYPE_CHECKING:
    import numpy as np

READABLE = 4.5  # WCAG 2.2, success criterion 1.4.3, for text of any size
WORST_SHARE = 5.0  # per cent: a few sparkling pixels under a letter do not make it unreadable
LIGHT, DARK = "#ffffff", "#111111"


class Scrim(NamedTuple):
    """A veil under the words, where no text colour alone is readable."""

    color: str  # "#rrggbb"
    opacity: float  # 0 to 1


def require_color(name: str, value: Any) -> str:
    """A colour as "#rrggbb" in lower case. Raises InputError for anything but #rgb and #rrggbb."""
    if not isinstance(value, str) or not re.fullmatch(r"#(?:[0-9a-fA-F]{3}){1,2}", value.strip()):
        raise InputError(name, value, "a colour such as #1a2b3c")
    digits = value.strip()[1:].lower()
    return "#" + (digits if len(digits) == 6 else "".join(digit * 2 for digit in digits))


def relative_luminance(rgb: np.ndarray) -> np.ndarray:
    """sRGB [..., 3] in 0..1 -> luminance [...] in 0..1 (WCAG 2.2, "relative luminance")."""
    import numpy as np

    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return linear @ np.array([0.2126, 0.7152, 0.0722])


def contrast_ratio(a: np.ndarray | float, b: np.ndarray | float) -> np.ndarray:
    """Ratio 1..21 of two luminances (WCAG 2.2, "contrast ratio")."""
    import numpy as np

    return (np.maximum(a, b) + 0.05) / (np.minimum(a, b) + 0.05)


def rgb_of(color: str) -> np.ndarray:
    """ "#rrggbb" -> [3] in 0..1."""
    import numpy as np

    return np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255


def worst_contrast(color: str, under: np.ndarray) -> float:
    """The contrast that all but WORST_SHARE per cent of the pixels `under` [N, 3] in 0..1 reach or pass."""
    import numpy as np

    ratios = contrast_ratio(float(relative_luminance(rgb_of(color))), relative_luminance(under))
    return float(np.percentile(ratios, WORST_SHARE))


def best_color(under: np.ndarray, candidates: tuple[str, ...] = (LIGHT, DARK)) -> tuple[str, float]:
    """The candidate that reads best on the pixels [N, 3], and its contrast; the first one where they are equal."""
    return max(((color, worst_contrast(color, under)) for color in candidates), key=lambda pair: pair[1])


def scrim_opacity(color: str, scrim: str, under: np.ndarray, wanted: float = READABLE, least: float = 0.0) -> float:
    """The least opacity 0..1 (in steps of 0.05, from `least` up) of a veil of colour `scrim` that makes `color` readable
    on `under`."""
    veil = rgb_of(scrim)
    for step in range(round(least * 20), 21):
        opacity = step / 20
        if worst_contrast(color, under * (1 - opacity) + veil * opacity) >= wanted:
            return opacity
    return 1.0
