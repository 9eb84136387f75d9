"""What is done to a cut-out's edge: it moves by what was asked, and nothing else moves."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from storefront.studio.product import outline

Y, X = np.mgrid[0:200, 0:200].astype(np.float32)


def disc(radius: float, softness: float = 1.0) -> torch.Tensor:
    distance = radius - np.hypot(Y - 99.5, X - 99.5)
    return torch.from_numpy((distance / softness + 0.5).clip(0, 1).astype(np.float32))


def radius_of(alpha: torch.Tensor) -> float:
    return float((alpha.sum() / np.pi).sqrt())


@pytest.mark.parametrize("pixels", [-20, -3, -0.5, 0.5, 1, 6, 30])
def test_growing_moves_the_edge_by_so_many_pixels_and_keeps_its_softness(pixels):
    before = disc(50, 3)
    after = outline.grown(before, pixels)
    assert radius_of(after) == pytest.approx(50 + pixels, abs=0.3)
    edge = ((after > 0.05) & (after < 0.95)).sum() / radius_of(after)
    assert edge == pytest.approx(float(((before > 0.05) & (before < 0.95)).sum()) / 50, rel=0.25)


@pytest.mark.parametrize(
    "change", [lambda a: outline.grown(a, 15), lambda a: outline.grown(a, -9), lambda a: outline.straightened(a, 8)]
)
def test_a_picture_worked_on_in_strips_is_the_same(change, monkeypatch):
    tall = np.hypot((Y[:, :80] - 100) / 5, X[:, :80] - 40)  # an ellipse, five times as high as it is wide
    tall = np.repeat((30 - tall).clip(0, 1).astype(np.float32), 5, 0)
    alpha = torch.from_numpy(gaussian_filter(tall, 1.5))
    alpha[300:600, 60:75] = 1  # and a corner
    whole = change(alpha)
    monkeypatch.setattr(outline, "STRIP_PIXELS", 80 * 200)
    assert float((change(alpha) - whole).abs().max()) < 1e-4
    assert float((whole - alpha).abs().max()) > 0.02


def test_growing_and_shrinking_meet():
    before = disc(50, 3)
    assert (outline.grown(outline.grown(before, 4), -4) - before).abs().max() < 0.15


@pytest.mark.parametrize("alpha", [torch.zeros(20, 30), torch.ones(20, 30)])
def test_what_has_no_edge_stays(alpha):
    for change in (
        lambda a: outline.grown(a, 5),
        lambda a: outline.straightened(a, 8),
        lambda a: outline.feathered(a, 8),
        outline.without_specks,
    ):
        assert torch.allclose(change(alpha.clone()), alpha)


def test_feathering_fades_over_so_many_pixels_and_keeps_the_area():
    after = outline.feathered(disc(50), 20)
    assert radius_of(after) == pytest.approx(50, abs=0.6)
    row = after[100, 100:]
    assert 14 < ((row > 0.02) & (row < 0.98)).sum() < 26
    assert after[100, 100] == pytest.approx(1)


def test_specks_go_and_a_second_product_and_holes_stay():
    alpha = disc(50)
    alpha[90:110, 90:110] = 0  # a hole
    alpha[5:8, 5:8] = 1  # a speck
    alpha[170:190, 170:190] = 1  # a second, smaller product
    after = outline.without_specks(alpha.clone())
    assert after[:20, :20].max() == 0
    assert after[100, 100] == 0
    assert after[180, 180] == 1
    assert torch.equal(after[20:], alpha[20:])


def test_the_largest_object_stays_alone_and_a_broken_strap_with_it():
    alpha = disc(50)
    alpha[2:30, 99:102] = 1  # a strap, of which a piece is missing
    alpha[170:190, 170:190] = 1  # a second object, with a soft edge
    alpha[165:195, 165:170] = 0.3
    after, others = outline.largest(alpha.clone())
    assert others == 1
    assert after[160:, 160:].max() == 0
    assert torch.equal(after[:150], alpha[:150])
    assert outline.largest(after) == (after, 0)


def straight_and_rough(angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Alpha of a half plane, and of the same with an edge as uneven as an enlarged mask's."""
    distance = np.cos(angle) * (Y - 99.5) + np.sin(angle) * (X - 99.5)
    wobble = gaussian_filter(np.random.default_rng(3).normal(0, 1, (200, 200)), 2)
    wobble *= 0.6 / wobble.std()
    return (distance + 0.5).clip(0, 1), (distance + wobble + 0.5).clip(0, 1).astype(np.float32)


@pytest.mark.parametrize("angle", [0, 0.1, 0.7, 2.0])
def test_a_rough_straight_edge_becomes_straight(angle):
    truth, rough = straight_and_rough(angle)
    after = outline.straightened(torch.from_numpy(rough), 24).numpy()
    inner = (slice(30, -30), slice(30, -30))
    assert np.abs(after - truth)[inner].mean() < 0.5 * np.abs(rough - truth)[inner].mean()


def test_corners_and_curves_stay():
    box = torch.zeros(200, 200)
    box[50:150, 40:160] = 1
    assert (outline.straightened(box, 16) - box).abs().mean() < 0.001
    assert (outline.straightened(box, 16) - box)[45:56, 35:46].abs().max() < 0.25
    for radius in (15, 30, 80):
        before = disc(radius, 2)
        assert radius_of(outline.straightened(before, 16)) == pytest.approx(radius, abs=0.3)
