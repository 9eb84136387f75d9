"""Picture files that are damaged, or are none of pixels."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
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


def claiming(content: bytes, form: str, width: int, height: int) -> bytes:
    """A picture file whose header says another size."""
    data = bytearray(content)
    if form == "PNG":
        data[16:24] = struct.pack(">II", width, height)
        data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    elif form == "GIF":
        data[6:10] = struct.pack("<HH", width, height)
        place = data.index(b",\0\0\0\0")
        data[place + 5 : place + 9] = struct.pack("<HH", width, height)
    else:
        place = next(found for mark in (b"\xff\xc0", b"\xff\xc2") if (found := data.find(mark)) > 0)
        data[place + 5 : place + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def written(form: str, mode: str, size: tuple[int, int], **options) -> bytes:
    out = io.BytesIO()
    Image.new(mode, size).save(out, form, **options)
    return out.getvalue()


CLAIMS = {
    "PNG of 4 channels": ("PNG", "RGBA", {}),
    "PNG of a bit": ("PNG", "1", {}),
    "JPEG": ("JPEG", "RGB", {}),
    "progressive JPEG": ("JPEG", "L", {"progressive": True}),
    "GIF": ("GIF", "P", {}),
}


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_file_too_small_for_its_header_is_refused_before_its_pixels_are_made(tmp_path, claim):
    """Pillow allows 178 million pixels: a JPEG of 693 bytes became a grey picture of 5 GiB."""
    form, mode, options = CLAIMS[claim]
    path = tmp_path / "small.bin"
    path.write_bytes(claiming(written(form, mode, (64, 64), **options), form, 13_000, 13_000))
    tracemalloc.start()
    with (
        pytest.warns(Image.DecompressionBombWarning),
        pytest.raises(InputError, match=r"small\.bin, 13000x13000 .*bytes"),
    ):
        read_opaque("image", path)
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


@pytest.mark.parametrize("claim", CLAIMS)
@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (2000, 2000)])
def test_the_emptiest_whole_picture_is_read(tmp_path, claim, size):
    """One colour, packed as tightly as the format can."""
    form, mode, options = CLAIMS[claim]
    options = {**options, **({"compress_level": 9, "optimize": True} if form == "PNG" else {"optimize": True})}
    path = tmp_path / "empty.bin"
    path.write_bytes(written(form, mode, size, **options))
    assert read_opaque("image", path).shape == (1, size[1], size[0], 3)
