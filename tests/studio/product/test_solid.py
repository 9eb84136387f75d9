"""A solid product stays solid: what refinement may not thin, and when an unsure network is asked again."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from storefront.studio.errors import InputError
from storefront.studio.product import cutout, matting, solid
from storefront.studio.product.cutout import Edges


def photo(side: int = 400) -> tuple[torch.Tensor, torch.Tensor]:
    """A red box on grey, with a label of the grey in its middle, and a network's mask that dips there to 0.6."""
    picture = torch.full((side, side, 3), 0.6)
    mask = torch.zeros(320, 320)
    picture[80:320, 80:320] = torch.tensor([0.7, 0.1, 0.1])
    picture[160:240, 140:260] = 0.6
    mask[64:256, 64:256] = 1
    mask[128:192, 112:208] = 0.6
    return picture, mask


def levels_of(picture: torch.Tensor) -> torch.Tensor:
    return (picture * 255).round().byte()


def test_a_label_of_the_background_s_colour_is_not_see_through():
    picture, mask = photo()
    alpha = matting.refine(picture, levels_of(picture), mask).alpha
    assert (alpha[100:300, 100:300] == 1).all()
    assert alpha[:60].max() == 0


@pytest.mark.parametrize("value", [0.2, 0.45])
def test_a_dip_in_the_midst_of_the_product_is_filled(value):
    picture, mask = photo()
    mask[128:192, 112:208] = value
    assert (matting.refine(picture, levels_of(picture), mask).alpha[100:300, 100:300] == 1).all()


def test_what_the_network_sees_as_a_hole_is_one_where_the_background_shows_through_it():
    picture, mask = photo()
    mask[128:192, 112:208] = 0
    alpha = matting.refine(picture, levels_of(picture), mask).alpha
    assert alpha[180:220, 160:240].max() == 0
    picture[160:240, 140:260] = torch.tensor([0.1, 0.2, 0.9])  # blue is nowhere around: a label
    assert (matting.refine(picture, levels_of(picture), mask).alpha[100:300, 100:300] == 1).all()


def test_an_unsure_network_is_shown_the_picture_mirrored_and_upside_down():
    left, top = torch.zeros(64, 64), torch.zeros(64, 64)
    left[16:48, 8:32], left[16:48, 32:56] = 1, 0.4
    top[16:48, 8:56] = 1
    levels = torch.zeros(64, 64, 3, dtype=torch.uint8)
    levels[:, :32] = 255
    seen = []

    def find(picture: torch.Tensor) -> torch.Tensor:
        seen.append(picture)
        if len(seen) == 3:
            raise InputError("image", "upside down", "a picture in which the network sees something")
        return left if len(seen) == 1 else top.flip(1)

    assert torch.equal(solid.found_in_three_views(find, levels), top)
    assert torch.equal(seen[1], levels.flip(1))
    assert torch.equal(seen[2], levels.flip(0))
    seen.clear()
    assert torch.equal(solid.found_in_three_views(lambda picture: seen.append(picture) or top, levels), top)
    assert len(seen) == 1


def test_only_areas_too_broad_for_an_edge_count_as_unsure():
    mask = np.zeros((320, 320), np.float32)
    mask[100:200, 100:200] = 1
    mask[100:200, 96:100] = 0.5  # a soft edge
    assert solid.unsure_share(mask) == 0
    mask[150:200, 100:200] = 0.5
    assert solid.unsure_share(mask) == pytest.approx(0.5, abs=0.03)


def test_what_is_uncertain_and_what_was_left_out_is_said():
    picture, mask = photo()
    mask[150:256, 64:256] = 0.45
    mask[:20, :20] = 1
    cut = cutout.cut_out(picture[None], lambda _: mask, Edges(refine=False), lambda: None)
    assert cut.alpha[0, :20, :20].max() == 0
    left_out, uncertain = cut.notes
    assert left_out == "1 object beside the largest was left out; parts = all keeps them"
    assert uncertain.endswith("% of the product is uncertain: crop closer, or try isnet-general-use")
    both = cutout.cut_out(picture[None], lambda _: mask, Edges(refine=False, parts="all"), lambda: None)
    assert both.alpha[0, :20, :20].min() > 0.5
    assert len(both.notes) == 1
    with pytest.raises(InputError, match=r"^`parts` is 'some'"):
        Edges(parts="some")
