"""Linear light, CIELAB, CIEDE2000, and a product's light brought to that of a scene."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..cancelling import check_cancel, strips

if TYPE_CHECKING:
    import numpy as np

BRAND_SHARE = 0.25  # how much of the match a saturated colour takes: brand colours stay
EXPOSURE_LIMITS = (0.6, 1.5)  # limits of the change in brightness
CAST_LIMITS = (0.75, 1.33)  # limits of the change of a channel
# CIEDE2000 that a grey may move at an amount of 1: at the default of 0.4 a white moves less than 5, which still looks white.
LARGEST_GREY_SHIFT = 11.0
GREYS = (0.25, 0.5, 0.75, 0.97)  # those for which that is checked, sRGB
# Standard deviations of a scene's Lab chroma and lightness: of a backdrop, of a photograph
VARIED = (2.0, 8.0), (3.0, 12.0)


def to_linear(srgb: np.ndarray) -> np.ndarray:
    """sRGB in 0..1 -> linear light (IEC 61966-2-1)."""
    import numpy as np

    return _in_strips(
        srgb, lambda part: np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4).astype(np.float32)
    )


def to_srgb(linear: np.ndarray) -> np.ndarray:
    """Linear light -> sRGB in 0..1 (IEC 61966-2-1); clipped."""
    import numpy as np

    def curve(part: np.ndarray) -> np.ndarray:
        part = np.clip(part, 0, 1)
        return np.where(part <= 0.0031308, part * 12.92, 1.055 * part ** (1 / 2.4) - 0.055).astype(np.float32)

    return _in_strips(linear, curve)


def _in_strips(values: np.ndarray, curve: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """`curve`, which takes each number by itself, of an array of any shape, as float32."""
    import numpy as np

    if not np.ndim(values):
        return curve(values)
    out: np.ndarray = np.empty(values.shape, np.float32)
    for part in strips(values):
        out[part] = curve(values[part])
    return out


def to_lab(srgb: np.ndarray) -> np.ndarray:
    """sRGB [..., 3] -> CIELAB under D65 (CIE 15:2004)."""
    import numpy as np

    matrix = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    )
    ratio = to_linear(srgb) @ matrix.T / np.array([0.95047, 1.0, 1.08883])
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1)


def delta_e_2000(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """CIEDE2000 of two CIELAB arrays [..., 3] (CIE 142-2001; after Sharma, Wu and Dalal 2005, equations 2 to 22)."""
    import numpy as np

    l1, a1, b1 = np.moveaxis(first, -1, 0)
    l2, a2, b2 = np.moveaxis(second, -1, 0)
    chroma = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    g = 0.5 * (1 - np.sqrt(chroma**7 / (chroma**7 + 25.0**7)))
    a1, a2 = a1 * (1 + g), a2 * (1 + g)
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = np.degrees(np.arctan2(b1, a1)) % 360, np.degrees(np.arctan2(b2, a2)) % 360
    both = c1 * c2 != 0
    turn = np.where(both, (h2 - h1 + 180) % 360 - 180, 0.0)
    dl, dc, dh = l2 - l1, c2 - c1, 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn) / 2)
    lm, cm = (l1 + l2) / 2, (c1 + c2) / 2
    hm = np.where(
        both,
        np.where(np.abs(h1 - h2) <= 180, (h1 + h2) / 2, (h1 + h2 + np.where(h1 + h2 < 360, 360, -360)) / 2),
        h1 + h2,
    )
    t = (
        1
        - 0.17 * np.cos(np.radians(hm - 30))
        + 0.24 * np.cos(np.radians(2 * hm))
        + 0.32 * np.cos(np.radians(3 * hm + 6))
        - 0.20 * np.cos(np.radians(4 * hm - 63))
    )
    sl = 1 + 0.015 * (lm - 50) ** 2 / np.sqrt(20 + (lm - 50) ** 2)
    sc, sh = 1 + 0.045 * cm, 1 + 0.015 * cm * t
    rotation = -2 * np.sqrt(cm**7 / (cm**7 + 25.0**7)) * np.sin(np.radians(60 * np.exp(-(((hm - 275) / 25) ** 2))))
    return np.sqrt((dl / sl) ** 2 + (dc / sc) ** 2 + (dh / sh) ** 2 + rotation * (dc / sc) * (dh / sh))


def saturation(rgb: np.ndarray) -> np.ndarray:
    """HSV saturation [...] of [..., 3] in 0..1."""
    import numpy as np

    high = rgb.max(-1)
    return np.where(high > 1e-6, (high - rgb.min(-1)) / np.maximum(high, 1e-6), 0.0)


def match_light(product: np.ndarray, alpha: np.ndarray, scene: np.ndarray, amount: float) -> np.ndarray:
    """A product [H, W, 3] (sRGB, straight) in the light of a scene [N, 3]; amount 0 (unchanged) to 1.

    Its greys take the scene's cast (grey world, von Kries gains in linear light) and part of the scene's brightness, and
    move no farther than `LARGEST_GREY_SHIFT` CIEDE2000 at an amount of 1; saturated colours, which are the brand's, only a
    quarter of that. Where a scene is of one material, its colour is that material's, not the light's: nothing changes.
    """
    import numpy as np

    if amount == 0:
        return product
    scene = scene.reshape(-1, 3)
    linear, around = to_linear(product), to_linear(scene).mean(0)
    check_cancel()
    solid = alpha > 0.9
    grey = solid & (saturation(product) < 0.35)
    seen = linear[grey if grey.sum() > 64 else solid]
    if not len(seen):
        return product
    check_cancel()
    weights = np.array([0.2126, 0.7152, 0.0722])
    cast = around / max(1e-4, float(around @ weights))
    own = seen.mean(0) / max(1e-4, float(seen.mean(0) @ weights))
    gains = np.clip((cast / np.maximum(own, 1e-3)) ** 0.5, *CAST_LIMITS)
    exposure = np.clip((float(around @ weights) / max(1e-4, float(seen.mean(0) @ weights))) ** 0.4, *EXPOSURE_LIMITS)
    of_color, of_brightness = _variety(scene)
    gains = _bounded(gains**of_color * exposure**of_brightness)
    check_cancel()
    # Smooth in saturation, so that no edge appears where a colour fades into grey.
    kept = np.clip((saturation(product) - 0.2) / 0.35, 0, 1)
    kept = kept * kept * (3 - 2 * kept)
    share = amount * (1 - (1 - BRAND_SHARE) * kept)
    check_cancel()
    return to_srgb(linear * gains.astype(np.float32) ** share[..., None].astype(np.float32))


def _variety(scene: np.ndarray) -> tuple[float, float]:
    """How many colours, and how many brightnesses, a scene [N, 3] has: 0 for a plain backdrop, 1 for a photograph."""
    import numpy as np

    spread = to_lab(scene[:: max(1, len(scene) // 20_000)]).std(0)
    color, brightness = float(np.hypot(spread[1], spread[2])), float(spread[0])
    found = [np.clip((x - low) / (high - low), 0, 1) for x, (low, high) in zip((color, brightness), VARIED)]
    return float(found[0]), float(found[1])


def _bounded(gains: np.ndarray) -> np.ndarray:
    """Gains [3] of linear light, so much nearer to 1 that no grey moves farther than FARTHEST."""
    import numpy as np

    greys = np.repeat(to_linear(np.array(GREYS))[:, None], 3, 1)
    before = to_lab(to_srgb(greys))
    for share in np.linspace(1, 0, 21):
        moved = delta_e_2000(before, to_lab(to_srgb(greys * gains**share)))
        if moved.max() <= LARGEST_GREY_SHIFT:
            return gains**share
    return np.ones(3)
