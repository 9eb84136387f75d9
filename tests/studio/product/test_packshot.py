"""A product on white: pure white, in the middle, as large as the marketplace asks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from storefront.studio.errors import InputError
from storefront.studio.images import to_pil
from storefront.studio.product import shadow
from storefront.studio.product.packshot import MARKETPLACES, PackshotWish
from storefront.studio.product.packshot import packshots as of_wish

EACH = list(MARKETPLACES)


def packshots(product: torch.Tensor, mask: torch.Tensor, names: list[str], **wish):
    return of_wish(product, mask, PackshotWish(tuple(names), **wish))


def photo(width: int, height: int, box: tuple[int, int, int, int], haze: float = 0.0):
    """A dark red product in a grey photo, with its matte; `haze` is what the matte has everywhere else."""
    left, top, right, bottom = box
    picture = torch.full((1, height, width, 3), 0.6)
    picture[:, top:bottom, left:right] = torch.tensor([0.6, 0.1, 0.1])
    mask = torch.full((1, height, width), haze)
    mask[:, top:bottom, left:right] = 1
    return picture, mask


def extent(image: torch.Tensor) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what is not white in the saved picture."""
    seen = (np.asarray(to_pil(image)[0]) < 255).any(-1)
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


@pytest.mark.parametrize(("width", "height"), [(200, 700), (700, 200), (400, 400)])
def test_size_share_and_place_are_the_marketplaces(width, height):
    picture, mask = photo(1000, 1000, (60, 40, 60 + width, 40 + height))
    shots = packshots(picture, mask, EACH)
    assert shots.names == EACH
    for image, market in zip(shots.images, MARKETPLACES.values()):
        assert image.shape == (1, market.side, market.side, 3)
        left, top, right, bottom = extent(image)
        longer, shorter = sorted((right - left, bottom - top), reverse=True)
        assert longer / market.side * 100 == pytest.approx(market.fill, abs=0.5)
        assert shorter / longer == pytest.approx(min(width, height) / max(width, height), abs=0.01)
        assert left + right == pytest.approx(market.side, abs=2)
        assert top + bottom == pytest.approx(market.side, abs=2)


def test_the_haze_of_a_matte_is_no_grey_on_the_white():
    picture, mask = photo(1000, 1000, (300, 300, 700, 700), haze=2 / 255)
    mask[:, 300:500, 500:700] = 2 / 255  # beside the product, in its box
    (image,) = packshots(picture, mask, ["Shopify"]).images
    left, top, right, bottom = extent(image)
    assert (right - left) / 2048 == pytest.approx(0.8, abs=0.005)
    assert (bottom - top) / 2048 == pytest.approx(0.8, abs=0.005)
    assert (np.asarray(to_pil(image)[0])[300:900, 1100:1800] == 255).all()


def test_colours_of_the_product_stay():
    picture, mask = photo(2400, 2400, (400, 400, 2000, 2000))
    (image,) = packshots(picture, mask, ["Amazon"]).images
    assert image[0, 1000, 1000].numpy() == pytest.approx([0.6, 0.1, 0.1], abs=1 / 255)


@pytest.mark.parametrize(
    ("box", "side"),
    [
        ((300, 500, 700, 1000), "bottom"),
        ((300, 0, 700, 500), "top"),
        ((0, 300, 500, 700), "left"),
        ((500, 300, 1000, 700), "right"),
    ],
)
def test_a_product_that_the_photo_cuts_off_ends_at_the_frame_and_says_so(box, side):
    shots = packshots(*photo(1000, 1000, box), ["Amazon"])
    left, top, right, bottom = extent(shots.images[0])
    flush = {"left": left == 0, "top": top == 0, "right": right == 2000, "bottom": bottom == 2000}
    assert flush == {name: name == side for name in flush}
    assert any(f"cuts the product off at the {side}" in note for note in shots.notes)


def test_a_shadow_is_left_out_where_the_marketplace_allows_none():
    picture, mask = photo(1000, 1000, (300, 200, 700, 800))
    plain = packshots(picture, mask, ["Etsy", "Coupang"])
    shaded = packshots(picture, mask, ["Etsy", "Coupang"], shadow=shadow.CONTACT)
    assert (shaded.images[0] < plain.images[0] - 0.05).any()
    assert torch.equal(shaded.images[1], plain.images[1])
    assert [note for note in shaded.notes if note not in plain.notes] == ["Coupang allows no shadow: none is drawn."]


def test_a_fill_of_ones_own_counts_and_products_of_a_batch_each_have_a_picture():
    first, second = photo(600, 600, (100, 100, 500, 300)), photo(600, 600, (200, 50, 300, 550))
    product, mask = (torch.cat(parts) for parts in zip(first, second))
    (images,) = packshots(product, mask, ["11st"], fill=50).images
    assert images.shape == (2, 1000, 1000, 3)
    for image in images:
        left, top, right, bottom = extent(image[None])
        assert max(right - left, bottom - top) == pytest.approx(500, abs=3)


def test_one_that_is_chosen_twice_counts_once():
    assert packshots(*photo(99, 99, (9, 9, 80, 80)), ["none", "11st", "Etsy", "11st"]).names == ["11st", "Etsy"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"names": ["Temu"]}, "marketplace.*Temu.*Amazon"),
        ({"names": ["none", "none"]}, "marketplace_1.*none.*Amazon"),
        ({"names": []}, "marketplace_1"),
        ({"fill": 101.0}, "fill.*101"),
        ({"fill": -1.0}, "fill.*-1"),
        ({"fill": float("nan")}, "fill.*nan"),
        ({"fill": "x"}, "fill.*x"),
        ({"shadow": "cast"}, "shadow.*cast.*contact"),
        ({"mask": torch.zeros(1, 50, 50)}, "product_mask.*empty"),
        ({"mask": torch.zeros(1, 50, 40)}, "product_mask"),
    ],
)
def test_what_is_wrong_is_named(change, named):
    product, mask = photo(50, 50, (10, 10, 40, 40))
    with pytest.raises(InputError, match=named):
        packshots(**{"product": product, "mask": mask, "names": ["Amazon"], **change})


def test_each_says_where_its_rules_are_written():
    assert all(len(market.source) > 10 and 0 < market.fill <= 100 for market in MARKETPLACES.values())
