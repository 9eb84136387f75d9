"""Picture files that are damaged, or are none of pixels."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from storefront.studio.errors import InputError, require_number
from storefront.studio.images import read_opaque

RGB = Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8))


def saved(form: str, **settings) -> bytes:
    out = io.BytesIO()
    RGB.save(out, form, **settings)
    return out.getvalue()


@pytest.mark.parametrize("form", ["DDS", "AVIF", "PNG", "TIFF", "JPEG2000", "WEBP"])
def test_every_cut_and_changed_file_is_read_or_refused_by_name(tmp_path, form):
    """DDS raised NotImplementedError, AVIF RuntimeError."""
    good, path = saved(form), tmp_path / "broken.png"
    said = []
    for place in range(4, len(good), max(1, len(good) // 120)):
        for content in (good[:place], good[:place] + bytes([good[place] ^ 0xFF]) + good[place + 1 :]):
            path.write_bytes(content)
            said.append(refusal(path))
    assert any(said)
    assert all(not text or "broken.png" in text for text in said)


def refusal(path: Path) -> str:
    try:
        read_opaque("image", path)
    except InputError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("exif", [b"Exif\0\0LM\0*", b"Ex\0\0\0\0MM", b"", b"\xff" * 40])
def test_a_picture_of_damaged_exif_is_read_as_it_is(tmp_path, exif):
    (tmp_path / "a.png").write_bytes(saved("PNG", exif=exif))
    assert (read_opaque("image", tmp_path / "a.png")[0].numpy() * 255 == np.asarray(RGB)).all()


def test_what_is_drawn_by_another_program_is_refused(tmp_path):
    """Pillow gives it to Ghostscript, whatever its name ends in."""
    (tmp_path / "photo.png").write_bytes(saved("EPS"))
    with pytest.raises(InputError, match=r"photo\.png.*pixels"):
        read_opaque("image", tmp_path / "photo.png")


@pytest.mark.parametrize("value", [1e30, np.nan, -np.inf])
def test_numbers_of_no_picture_are_refused_by_the_files_name(tmp_path, value):
    levels = np.zeros((4, 4), np.float32)
    levels[1, 1] = value
    Image.fromarray(levels).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match=r"a\.tif with numbers"):
        read_opaque("image", tmp_path / "a.tif")


def test_an_error_shows_what_python_cannot_write():
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    for value, shown in ((16**9000, "an int that"), (deep, "a list that")):
        with pytest.raises(InputError, match=shown):
            require_number("seed", value, 0, 1)
