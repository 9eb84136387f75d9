"""Products of several photos as one batch: whole, in proportion, of one size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from storefront.studio.canvas import cut_sides
from storefront.studio.errors import InputError
from storefront.studio.product.gather import (
    AS_PHOTOGRAPHED,
    LONGEST_CANVAS_SIDE,
    MOST_CANVAS_PIXELS,
    SAME_HEIGHT,
    gather,
    heights_of,
)


def cut_out(width: int, height: int, box: tuple[int, int, int, int], color=(0.2, 0.4, 0.8)):
    left, top, right, bottom = box
    picture = torch.rand(1, height, width, 3, generator=torch.Generator().manual_seed(width))
    picture[:, top:bottom, left:right] = torch.tensor(color)
    mask = torch.zeros(1, height, width)
    mask[:, top:bottom, left:right] = 1
    return picture, mask


TALL = cut_out(300, 500, (100, 50, 200, 450))  # 100 x 400
WIDE = cut_out(800, 300, (100, 100, 700, 250), (0.9, 0.1, 0.1))  # 600 x 150


def sizes(mask: torch.Tensor) -> list[tuple[int, int]]:
    return [(int((m > 0.5).any(0).sum()), int((m > 0.5).any(1).sum())) for m in mask]


def both(**options):
    return gather([TALL[0], WIDE[0]], [TALL[1], WIDE[1]], **options)


def test_as_photographed_keeps_every_pixel():
    gathered = both(sizes=AS_PHOTOGRAPHED)
    assert sizes(gathered.mask) == [(100, 400), (600, 150)]
    for picture, mask, color in zip(gathered.product, gathered.mask, ((0.2, 0.4, 0.8), (0.9, 0.1, 0.1))):
        assert picture[mask == 1].numpy() == pytest.approx(np.tile(color, (int((mask == 1).sum()), 1)), abs=1e-6)


def test_the_same_height_and_real_heights():
    assert sizes(both(sizes=SAME_HEIGHT).mask) == [(100, 400), (1600, 400)]
    tall, wide = sizes(both(heights="20\n 10,0").mask)
    assert tall[1] / wide[1] == pytest.approx(2, rel=0.01)
    assert wide[0] / wide[1] == pytest.approx(4, rel=0.02)


def test_a_finer_photo_of_a_small_product_enlarges_no_other_for_nothing():
    """A jar of 6.5 cm in 585 pixels would make 1,620 of an 18 cm bottle in 660: more than an advertisement shows."""
    jar, bottle = cut_out(700, 700, (50, 50, 650, 635)), cut_out(400, 700, (100, 20, 300, 680))
    gathered = gather([bottle[0], jar[0]], [bottle[1], jar[1]], heights="18\n6.5")
    assert [height for _, height in sizes(gathered.mask)] == [1280, pytest.approx(1280 * 6.5 / 18, abs=1)]
    assert gathered.notes == ()
    fine = cut_out(700, 1600, (100, 50, 600, 1550))
    gathered = gather([fine[0], jar[0]], [fine[1], jar[1]], heights="18\n6.5")
    assert sizes(gathered.mask)[0][1] == 1500  # the coarsest photo keeps all of its pixels


def test_no_color_from_behind_the_matte_comes_out():
    ground, mask = torch.ones(1, 300, 300, 3), torch.zeros(1, 300, 300)
    y, x = torch.meshgrid(torch.arange(300), torch.arange(300), indexing="ij")
    disc = (y - 150) ** 2 + (x - 150) ** 2 < 90**2
    ground[0][disc], mask[0][disc] = torch.tensor([0.2, 0.4, 0.8]), 1.0
    gathered = gather([ground, TALL[0]], [mask, TALL[1]])
    assert sizes(gathered.mask)[0][1] == 400  # enlarged, so that pixels behind the matte are mixed in where they count
    seen = gathered.product[0][gathered.mask[0] > 0.05]
    assert (seen - torch.tensor([0.2, 0.4, 0.8])).abs().max() < 0.02


def test_a_whole_product_is_whole_and_a_cut_one_is_still_cut():
    bottom = cut_out(300, 300, (100, 100, 200, 300))
    side = cut_out(300, 300, (0, 100, 200, 200))
    parts = [TALL, bottom, side]
    gathered = gather([p for p, _ in parts], [m for _, m in parts])
    assert [cut_sides(mask.numpy()) for mask in gathered.mask] == [frozenset(), {"bottom"}, {"left"}]


def test_batches_in_the_list_count_one_by_one():
    batch = torch.cat([TALL[0], TALL[0]]), torch.cat([TALL[1], TALL[1]])
    assert len(gather([batch[0], WIDE[0]], [batch[1], WIDE[1]]).product) == 3


def test_large_photos_are_bounded_and_small_ones_named():
    large = torch.zeros(1, 4500, 3000, 3), torch.ones(1, 4500, 3000)
    gathered = gather([large[0]] * 2 + [WIDE[0]] * 20, [large[1]] * 2 + [WIDE[1]] * 20)
    count, height, width = gathered.mask.shape
    assert max(height, width) <= LONGEST_CANVAS_SIDE + 10
    assert count * height * width <= MOST_CANVAS_PIXELS * 1.05
    assert gather([large[0], WIDE[0]], [large[1], WIDE[1]]).notes[0].startswith("a photo is enlarged")


@pytest.mark.parametrize(("text", "numbers"), [("", None), (" \n ", None), ("1\n2.5", [1, 2.5]), ("1;2,5", [1, 2.5])])
def test_heights_are_a_number_a_line(text, numbers):
    assert heights_of(text, 2) == numbers


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"masks": [TALL[1]]}, "product_mask.*1 masks.*2"),
        ({"masks": [TALL[1], TALL[1]]}, "product_mask"),
        ({"masks": [TALL[1], WIDE[1] * 0]}, "product_mask.*empty"),
        ({"products": [], "masks": []}, "product.*0 pictures"),
        ({"products": [TALL[0]] * 65, "masks": [TALL[1]] * 65}, "product.*65"),
        ({"sizes": "huge"}, "sizes.*huge"),
        ({"heights": "1"}, "heights.*1 lines.*2"),
        ({"heights": "1\nx"}, "heights.*x"),
        ({"heights": "1\n0"}, "heights.*0"),
        ({"heights": "1\nnan"}, "heights.*nan"),
        ({"heights": "1\ninf"}, "heights.*inf"),
        ({"heights": "1\n1000"}, "heights.*100"),
    ],
)
def test_what_is_wrong_is_named(change, named):
    with pytest.raises(InputError, match=named):
        gather(**{"products": [TALL[0], WIDE[0]], "masks": [TALL[1], WIDE[1]], **change})
