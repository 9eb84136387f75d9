"""What the orchestrator takes for an order, and pictures as text. Needs no tritonserver."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image
from storefront.serving.pictures import from_text
from storefront.serving.triton.orders import MOST_PIXELS, Limits, Orders
from storefront.studio.errors import InputError

MOST = Limits(side=256, own=64, tokens=64)


def file_of(picture: Image.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    return buffer.getvalue()


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def npy(header: str, data: bytes = b"") -> bytes:
    """A .npy file with a header of one's own."""
    padded = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded + data


def orders(most: Limits = MOST, **inputs: object) -> Orders:
    """As Triton gives them: arrays, of bytes where they are words."""
    inputs = {"prompt": "a mug", **inputs}
    return Orders({n: np.array([v.encode() if isinstance(v, str) else v]) for n, v in inputs.items()}, most)


def test_pixels_are_counted_before_a_picture_is_decoded():
    header = file_of(Image.effect_noise((100, 100), 50))[:60]  # not enough to be decoded
    with pytest.raises(InputError, match=r"`mask` is 100 x 100 pixels.*at most 9,999 pixels"):
        from_text("mask", text(header), 9_999)
    array = io.BytesIO()
    np.save(array, np.zeros((2, 100, 100, 3), "f4"))
    with pytest.raises(InputError, match="`image` is 100 x 100 pixels"):
        from_text("image", text(array.getvalue()), 9_999)
    assert from_text("image", text(array.getvalue()), 10_000).shape == (2, 100, 100, 3)


@pytest.mark.parametrize("name", ["image", "mask"])
def test_a_small_file_of_a_very_large_picture_is_refused(name):
    side = int(MOST_PIXELS**0.5) + 1
    bomb = text(file_of(Image.new("1", (side, side))))
    assert len(bomb) < 20_000
    small = text(file_of(Image.new("RGB", (64, 64))))
    with pytest.raises(InputError, match=f"`{name}` is {side} x {side} pixels"):
        orders(**{"image": small, "mask": small, name: bomb})


HEADERS = {
    "an open bracket": "(",
    "many brackets": "(" * 9000,
    "many signs": "-" * 9000 + "1",
    "many lists": "[" * 90 + "]" * 90,
    "many names": "a." * 4000 + "a",
    "an open text": "'''",
    "a type in types": "{'descr': " + "[('a', " * 80 + "'<f4'" + ")]" * 80 + ", 'fortran_order': False, 'shape': (1,)}",
    "no pixel, very wide": f"{{'descr': '<f4', 'fortran_order': False, 'shape': (0, {10**30}, 1, 3)}}",
}


@pytest.mark.parametrize("case", HEADERS)
def test_a_header_that_cannot_be_read_is_an_error_of_the_input(case):
    with pytest.raises(InputError, match=r"`image` is a text of .* base64 of a PNG"):
        from_text("image", text(npy(HEADERS[case])), MOST_PIXELS)


def test_a_long_thin_picture_is_drawn_no_longer_than_the_limit():
    thin = text(file_of(Image.new("RGB", (10, 1000))))
    with pytest.raises(
        InputError, match=r"`image` is 10 x 1000 pixels.*`width` and `height` of at most 256.* 16 x 640"
    ):
        orders(image=thin).options()
    assert orders(image=thin, width=32, height=256).options()["height"] == 256
    assert orders(image=text(file_of(Image.new("RGB", (1000, 100))))).options()["width"] is None  # 208 x 16
    with pytest.raises(InputError, match=r"`width` is missing.*at most 48"):
        orders(MOST._replace(side=48)).options()


def test_one_picture_goes_on_where_it_was_cut_off():
    two = io.BytesIO()
    np.save(two, np.zeros((2, 64, 64, 3), "f4"))
    with pytest.raises(InputError, match="`resume` is 'with 2 pictures'"):
        orders(image=text(two.getvalue()), resume="x").options()
