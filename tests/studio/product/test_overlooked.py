"""A white body before white, of which a network finds the dark lid alone, is said; shadows and busy backdrops are not."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter
from storefront.studio.product import cutout, overlooked
from storefront.studio.product.cutout import Edges

LID, BODY = (140, 110, 500, 270), (140, 190, 500, 390)


def speaker() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A photo IMAGE [H, W, 3] with a soft shadow, and the masks [H, W] of its lid alone and of the whole."""
    shadow = Image.new("L", (640, 512), 0)
    ImageDraw.Draw(shadow).ellipse((150, 340, 500, 440), fill=90)
    backdrop = Image.new("RGB", shadow.size, (247, 248, 250))
    photo = Image.composite(
        Image.new("RGB", shadow.size, (110, 110, 115)), backdrop, shadow.filter(ImageFilter.GaussianBlur(18))
    )
    lid, whole = Image.new("L", shadow.size, 0), Image.new("L", shadow.size, 0)
    for mask, boxes in ((lid, [LID]), (whole, [LID, BODY])):
        for box in boxes:
            ImageDraw.Draw(mask).ellipse(box, fill=255)
    draw = ImageDraw.Draw(photo)
    draw.ellipse(BODY, fill=(250, 251, 252))
    draw.ellipse(LID, fill=(52, 58, 68))
    draw.text((240, 320), "speaker", fill=(90, 94, 102), font_size=38)
    photo = photo.filter(ImageFilter.GaussianBlur(0.7))
    masks = (torch.from_numpy(np.asarray(mask, np.float32) / 255) for mask in (lid, whole))
    return torch.from_numpy(np.asarray(photo, np.float32) / 255), *masks


def test_print_on_a_body_that_was_not_found_is_said():
    photo, lid, whole = speaker()
    for mask, notes in ((lid, (cutout.MISSING,)), (whole, ())):
        found = cutout.cut_out(photo[None], lambda _, mask=mask: mask, Edges(refine=False), lambda: None)
        assert found.notes == notes


def test_where_an_object_was_left_out_its_edges_are_known():
    photo, lid, whole = speaker()
    two = torch.maximum(lid, torch.nn.functional.pad(whole[260:380, 140:500], (140, 140, 384, 8)))
    found = cutout.cut_out(photo[None], lambda _: two, Edges(refine=False), lambda: None)
    assert len(found.notes) == 1
    assert cutout.MISSING not in found.notes


def test_edges_of_a_busy_backdrop_and_those_that_reach_the_border_are_its_own():
    photo, lid, _ = speaker()
    busy = photo.clone()
    for down, right in itertools.product(range(6), repeat=2):  # dots, of which none touches the border
        busy[12 + down :: 24, 12 + right :: 24] *= 0.6
    assert overlooked.share(busy, lid) == 0
    table = photo.clone()
    table[300:] = torch.tensor([0.8, 0.79, 0.78])  # its edge runs from border to border
    assert overlooked.share(table, lid) == 0
