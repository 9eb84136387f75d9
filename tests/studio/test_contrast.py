"""Contrast after WCAG, against numbers that others published, and what is built on it."""

from __future__ import annotations

import numpy as np
import pytest
from storefront.studio import contrast


@pytest.mark.parametrize(
    ("first", "second", "ratio"),
    [
        ("#000000", "#ffffff", 21.0),
        ("#777777", "#ffffff", 4.48),  # the well-known grey that just fails on white, and the one that passes
        ("#767676", "#ffffff", 4.54),
        ("#ff0000", "#ffffff", 4.0),
        ("#0000ff", "#ffffff", 8.59),
        ("#00ff00", "#ffffff", 1.37),
    ],
)
def test_published_ratios(first, second, ratio):
    a, b = (contrast.relative_luminance(contrast.rgb_of(color)) for color in (first, second))
    assert abs(float(contrast.contrast_ratio(a, b)) - ratio) < 0.01
    assert contrast.contrast_ratio(a, b) == contrast.contrast_ratio(b, a)


def test_one_pixel_in_twenty_may_be_worse_and_no_more():
    under = np.zeros((1000, 3))
    under[:40] = 1  # white under white letters
    assert contrast.worst_contrast("#ffffff", under) > 20
    under[:60] = 1
    assert contrast.worst_contrast("#ffffff", under) == 1


@pytest.mark.parametrize("level", np.linspace(0, 1, 11))
def test_a_veil_is_as_thin_as_will_do(level):
    under = np.full((100, 3), level)
    opacity = contrast.scrim_opacity("#ffffff", "#111111", under)

    def reached(share: float) -> float:
        return contrast.worst_contrast("#ffffff", under * (1 - share) + contrast.rgb_of("#111111") * share)

    assert reached(opacity) >= contrast.READABLE
    assert opacity == 0 or reached(opacity - 0.05) < contrast.READABLE
