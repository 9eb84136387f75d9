"""How far a photo looks down, by outlines whose angle is known."""

import math

import numpy as np
import pytest
from storefront.studio.prompt import presets
from storefront.studio.scenes.bank import BUNDLED, read_bank
from storefront.studio.scenes.choose import ABOVE, AUTO, LEVEL, SceneQuery, choose
from storefront.studio.scenes.viewpoint import as_photographed, camera_down

SIDE = 400


def cylinder(down: float, half: float = 120, tall: float = 150, base: float = 320) -> np.ndarray:
    """The outline of an upright cylinder whose foot's middle is at y = base, seen from `down` degrees above."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(float)
    x -= SIDE / 2
    sine, cosine = math.sin(math.radians(down)), math.cos(math.radians(down))
    top = base - tall * cosine
    wall = (abs(x) <= half) & (y >= top) & (y <= base)
    ends = [(x / half) ** 2 + ((y - middle) / max(half * sine, 0.5)) ** 2 <= 1 for middle in (top, base)]
    return (wall | ends[0] | ends[1]).astype(np.float32)


@pytest.mark.parametrize("down", [0, 5, 12, 20, 30, 38])
def test_the_angle_of_a_cylinder_is_found(down):
    assert camera_down(cylinder(down)) == pytest.approx(down, abs=3)


@pytest.mark.parametrize("down", [0, 15, 35])
def test_a_handle_on_one_side_changes_little(down):
    mug = cylinder(down)
    mug[200:290, 320:380] = 1
    assert camera_down(mug) == pytest.approx(down, abs=4)


def test_a_slanted_sole_is_level():
    y, x = np.mgrid[:SIDE, :SIDE]
    shoe = (x > 80) & (x < 330) & (y > 200) & (y < 300 - (x - 80) * 0.12)
    assert camera_down(shoe.astype(np.float32)) < 10


def test_a_bowl_on_a_small_foot_is_measured_at_its_foot():
    glass = np.zeros((SIDE, SIDE), np.float32)
    glass[40:160, 100:300] = 1  # the bowl
    glass[160:340, 195:205] = 1  # the stem
    glass = np.maximum(glass, cylinder(14, half=60, tall=4, base=340))
    assert camera_down(glass) == pytest.approx(14, abs=4)


def test_rounded_corners_are_level():
    y, x = np.mgrid[:SIDE, :SIDE]
    bag = ((x > 100) & (x < 300) & (y > 100) & (y < 350)).astype(np.float32)
    for corner in (120, 280):
        outer = ((x < 120) | (x > 280)) & (y > 330) & (abs(x - corner) < 21)
        bag[outer & ((x - corner) ** 2 + (y - 330) ** 2 > 400)] = 0
    assert camera_down(bag) == 0


@pytest.mark.parametrize("mask", [np.zeros((64, 64)), np.pad(np.ones((3, 3)), 30)])
def test_too_little_product_leaves_the_view_open(mask):
    assert camera_down(mask) is None
    assert as_photographed(SceneQuery(), mask).view == AUTO


def test_a_wish_takes_the_photos_view_where_it_is_open():
    assert as_photographed(SceneQuery(), cylinder(35)).view == ABOVE
    assert as_photographed(SceneQuery(), cylinder(10)).view == LEVEL
    assert as_photographed(SceneQuery(view=LEVEL), cylinder(35)).view == LEVEL


@pytest.mark.parametrize(("words", "setting"), [("대리석 상판 위의 비누", "marble counter"), ("해변의 음료", "beach")])
@pytest.mark.parametrize("down", [8, 36])
def test_a_setting_that_was_asked_for_counts_more_than_the_photo(words, setting, down):
    query = as_photographed(SceneQuery(words), cylinder(down))
    assert query.view_guessed
    assert choose(read_bank(BUNDLED), query, presets.read_library()).scene.setting == setting
