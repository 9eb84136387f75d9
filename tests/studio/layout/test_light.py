"""Where the light comes from, and what must not be taken for light."""

from __future__ import annotations

import numpy as np
import pytest
from storefront.studio.layout.light import STUDIO, estimate_light


def turned(found: float, wanted: float) -> float:
    """Degrees between two directions."""
    return abs((found - wanted + 180) % 360 - 180)


def scene(width: int = 320, height: int = 240) -> np.ndarray:
    """A wall over a darker table, evenly lit."""
    y = np.linspace(0, 1, height)[:, None, None]
    return np.broadcast_to(np.where(y < 0.6, [0.5, 0.48, 0.45], [0.3, 0.2, 0.12]), (height, width, 3)).copy()


def test_a_dark_floor_is_no_light_from_above():
    for picture in (scene(), scene()[::-1]):
        assert estimate_light(picture) == STUDIO


def test_black_and_white_halves_are_no_light():
    picture = np.zeros((200, 200, 3))
    picture[:, 100:] = 0.6
    assert estimate_light(picture) == STUDIO


@pytest.mark.parametrize(("middle", "azimuth"), [(0.15, 310), (0.5, 0), (0.85, 50)])
def test_a_window_is_the_light(middle, azimuth):
    picture = scene()
    left = round(320 * middle - 30)
    picture[20:80, left : left + 60] = 1
    found = estimate_light(picture)
    assert turned(found.azimuth, azimuth) < 12
    assert 30 <= found.elevation <= 70


@pytest.mark.parametrize(("side", "azimuth"), [("left", 300), ("right", 60)])
def test_a_large_window_at_the_side_is_no_light_from_the_front(side, azimuth):
    """It lights the floor before it, which brightens towards the camera."""
    picture = scene()
    picture[150:] *= np.linspace(1, 1.8, 90)[:, None, None]
    picture[10:155, :100] = 1
    found = estimate_light(picture if side == "left" else picture[:, ::-1])
    assert turned(found.azimuth, azimuth) < 25


@pytest.mark.parametrize("ground", [0.1, 0.35])
def test_a_sky_that_brightens_towards_the_horizon_is_no_light_from_the_front(ground):
    sky = np.linspace(0.35, 0.85, 130)[:, None, None] * [0.7, 0.85, 1]
    land = np.linspace(ground, 0.8 * ground, 110)[:, None, None] * [1.0, 0.9, 0.7]
    picture = np.broadcast_to(np.concatenate([sky, land]), (240, 320, 3))
    assert turned(estimate_light(picture).azimuth, 180) > 90


def test_a_higher_lamp_lights_from_higher():
    heights = []
    for top in (10, 90):
        picture = scene()
        picture[top : top + 40, 60:100] = 1
        heights.append(estimate_light(picture).elevation)
    assert heights[0] > heights[1]


def test_many_lamps_are_no_one_light():
    picture = scene()
    for left in range(10, 310, 50):
        for top in (10, 60, 110):
            picture[top : top + 12, left : left + 12] = 1
    assert estimate_light(picture) == STUDIO


def test_a_white_product_at_the_bottom_is_no_lamp():
    picture = scene()
    picture[180:230, 20:80] = 1
    assert estimate_light(picture) == STUDIO


@pytest.mark.parametrize("side", [1, -1])
def test_light_across_a_wall_over_a_table(side):
    picture = scene() * (1 + 0.5 * side * np.linspace(-0.5, 0.5, 320)[:, None])
    found = estimate_light(picture)
    assert turned(found.azimuth, 90 if side > 0 else 270) < 25


@pytest.mark.parametrize("shape", [(1, 1), (1, 400), (400, 1), (5, 3000)])
def test_odd_shapes(shape):
    assert estimate_light(np.full((*shape, 3), 0.5)) == STUDIO
