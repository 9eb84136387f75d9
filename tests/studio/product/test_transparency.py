"""What transparency is a cut-out, and what only looks like one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from storefront.studio.images import read_opaque, require_colors, require_picture
from storefront.studio.product.transparency import is_cut_out


def alpha_of(kind: str, side: int = 200) -> np.ndarray:
    alpha = Image.new("L", (side, side), 0 if kind in ("product", "rounded", "cropped") else 255)
    pen = ImageDraw.Draw(alpha)
    if kind == "product":
        pen.rectangle((80, 60, 120, 160), fill=255)
    elif kind == "cropped":  # a bottle, cropped to its edges
        pen.rectangle((0, 60, 199, 199), fill=255)
        pen.rectangle((80, 0, 120, 60), fill=255)
    elif kind == "rounded":
        pen.rounded_rectangle((0, 0, side - 1, side - 1), side // 6, fill=255)
    elif kind == "one pixel":
        alpha.putpixel((7, 7), 0)
    elif kind == "254":
        alpha = alpha.point(lambda _: 254)
    return np.asarray(alpha, np.float32) / 255


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("product", True), ("cropped", True), ("rounded", False), ("one pixel", False), ("254", False), ("opaque", False)],
)
def test_a_cut_out_has_a_transparent_background(kind, expected):
    assert is_cut_out(alpha_of(kind)) is expected


def test_hidden_colours_never_come_out():
    rgba = torch.zeros(1, 4, 4, 4)
    rgba[..., 1] = 1  # green, transparent
    rgba[0, 0, 0, 3] = 1
    for picture in (require_picture("image", rgba), read_opaque("photo", rgba)):
        assert picture[0, 0, 0].tolist() == [0, 1, 0]
        assert (picture[0, 1:] == 1).all()
    assert (require_colors("product", rgba)[..., 1] == 1).all()
