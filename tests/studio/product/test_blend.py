"""What may be repainted, how a shift is found, and that the product gets its own pixels back."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, shift
from storefront.studio import examples
from storefront.studio.errors import InputError
from storefront.studio.product import blend


def photo() -> np.ndarray:
    return examples.photo("coffee")[0, 40:360, 100:460].numpy().astype(np.float64)


def matte() -> np.ndarray:
    y, x = np.mgrid[:320, :360]
    return (((x - 180) ** 2 + (y - 150) ** 2) < 80**2).astype(np.float32)


def test_the_mask_covers_the_surroundings_and_neither_the_product_s_heart_nor_the_far_scene():
    mask = blend.repaint_mask(matte(), None, 8)
    assert mask[150, 180] == 0
    assert mask[:10].max() == 0
    assert mask[150, 180 + 84] > 0.8
    dark = np.zeros((320, 360), np.float32)
    dark[280:300, 100:200] = 0.5
    assert blend.repaint_mask(matte(), dark, 8)[290, 150] > 0.8
    assert mask[290, 150] < 0.05


@pytest.mark.parametrize("moved", [(0, 0), (3, -2), (-5, 4), (0.5, 1.25), (8, 8)])
def test_a_shift_is_found_and_undone(moved):
    source = gaussian_filter(photo(), (0.7, 0.7, 0))
    edited = shift(source, (moved[1], moved[0], 0), order=3, mode="nearest")
    found = blend.find_shift(source, edited, np.ones(source.shape[:2]))
    assert abs(found.x - moved[0]) < 0.3
    assert abs(found.y - moved[1]) < 0.3


def test_no_shift_is_claimed_between_strangers():
    random = np.random.default_rng(0)
    found = blend.find_shift(photo(), random.random((320, 360, 3)), np.ones((320, 360)))
    assert found == (0, 0)


def test_the_product_s_heart_and_the_far_scene_are_the_source_s_exactly():
    source = photo().astype(np.float32)
    mask = blend.repaint_mask(matte(), None, 8)
    out = blend.give_back(source, 1 - source, matte(), mask)
    assert (out[mask <= 1 / 512] == source[mask <= 1 / 512]).all()
    assert np.abs(out - source)[mask > 0.9].mean() > 0.1


def test_details_of_the_product_survive_a_blurred_edit():
    """An edit that loses all detail and brightens: the product keeps its fine structure and takes the light."""
    source = photo().astype(np.float32)
    edited = np.clip(gaussian_filter(source, (4, 4, 0)) + 0.1, 0, 1)
    mask = np.ones((320, 360), np.float32)
    out = blend.give_back(source, edited, matte(), mask)
    inside = matte() > 0
    fine = [picture - gaussian_filter(picture, (1.5, 1.5, 0)) for picture in (source, out, edited)]
    assert np.corrcoef(fine[0][inside].ravel(), fine[1][inside].ravel())[0, 1] > 0.95
    assert fine[2][inside].std() < 0.5 * fine[0][inside].std()
    assert out[inside].mean() > source[inside].mean() + 0.05


@pytest.mark.parametrize(
    ("named", "values"), [("product_mask", (0.0, 8)), ("reach", (1.0, float("nan"))), ("reach", (1.0, 99))]
)
def test_bad_input_is_named(named, values):
    with pytest.raises(InputError, match=f"^`{named}` is"):
        blend.repaint_mask(np.full((40, 40), values[0], np.float32), None, values[1])


def test_a_product_that_fills_the_picture():
    mask = blend.repaint_mask(np.ones((64, 64), np.float32), None, 8)
    assert mask.max() <= 1
    assert np.isfinite(mask).all()


@pytest.mark.parametrize(
    ("picture", "longest", "drawn"),
    [
        ((1000, 700), 0, (1000, 700)),
        ((4096, 2048), 0, (2048, 1024)),
        ((1024, 512), 64, (64, 32)),
        ((512, 512), 1024, (512, 512)),
        ((8000, 100), 320, (320, 16)),
    ],
)
def test_the_size_at_which_the_model_draws(picture, longest, drawn):
    assert blend.drawn_size(*picture, longest) == drawn


@pytest.mark.parametrize("side", [1, 63, -64, 100.5])
def test_a_side_that_cannot_be_drawn_is_named(side):
    with pytest.raises(InputError, match=r"^`longest_side` is"):
        blend.drawn_size(512, 512, side)


def test_a_change_drawn_small_leaves_a_large_picture_its_details():
    """The ground becomes darker by a tenth, at an eighth of the size; no detail of the scene is lost, none is made up."""
    source = photo().astype(np.float32)[:, :320]
    small = blend.resized(source, 40, 40)
    mask = np.zeros((40, 40), np.float32)
    mask[20:] = 1
    out, covered = blend.at_full_size(source, small, small - 0.1 * mask[..., None], mask)
    assert (out[:140] == source[:140]).all()
    assert covered[:140].max() == 0
    lower = source[180:] > 0.15
    assert np.abs(source[180:] - out[180:] - 0.1)[lower].max() < 0.01
