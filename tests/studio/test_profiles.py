"""Pictures in other colour spaces than sRGB."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageCms
from storefront.studio.images import read_picture
from storefront.studio.product.color import to_lab
from storefront.studio.profiles import to_srgb

RED = (199, 29, 39)


def srgb_with(gamma: float) -> bytes:
    """A small valid ICC profile: sRGB's own, with the tone curve replaced by a power of `gamma`."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = int.from_bytes(data[128:132], "big")
    curve = b"curv" + bytes(4) + (1).to_bytes(4, "big") + round(gamma * 256).to_bytes(2, "big") + bytes(2)
    at = len(data)
    data += curve
    for entry in range(count):
        place = 132 + 12 * entry
        if data[place : place + 4] in (b"rTRC", b"gTRC", b"bTRC"):
            data[place + 4 : place + 12] = at.to_bytes(4, "big") + (14).to_bytes(4, "big")
    data[0:4] = len(data).to_bytes(4, "big")
    return bytes(data)


def cmyk() -> bytes:
    """A valid ICC profile of inks (ICC.1:2001, lut8Type): each full ink takes all of its primary away, but cyan is weak."""
    inks = np.stack(np.meshgrid(*[[0, 1]] * 4, indexing="ij"), -1).reshape(-1, 4)
    rgb = (1 - inks[:, :3] * [0.5, 1, 1]) * (1 - inks[:, 3:])
    lab = to_lab(rgb)
    table = np.stack([lab[:, 0] * 2.55, lab[:, 1] + 128, lab[:, 2] + 128], -1).round().clip(0, 255).astype(np.uint8)
    one = (1 << 16).to_bytes(4, "big")
    matrix = b"".join(one if row == column else bytes(4) for row in range(3) for column in range(3))
    lut = (
        b"mft1"
        + bytes(4)
        + bytes([4, 3, 2, 0])
        + matrix
        + bytes(range(256)) * 4
        + table.tobytes()
        + bytes(range(256)) * 3
    )
    header = bytearray(128)
    header[8:12], header[12:24], header[36:40] = b"\x02\x10\0\0", b"prtrCMYKLab ", b"acsp"
    header[68:80] = bytes.fromhex("0000f6d6000100000000d32d")  # D50
    data = header + (1).to_bytes(4, "big") + b"A2B0" + (144).to_bytes(4, "big") + len(lut).to_bytes(4, "big") + lut
    data[0:4] = len(data).to_bytes(4, "big")
    return bytes(data)


def shown(level: int, gamma: float) -> int:
    """The sRGB level that is as bright as `level` under a power of `gamma`."""
    light = (level / 255) ** gamma
    return round(255 * (12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055))


def levels(picture: Image.Image) -> list[int]:
    image, _ = read_picture("photo", picture)
    return (image[0, 0, 0] * 255).round().int().tolist()


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_profile_is_brought_to_srgb_and_transparency_stays(mode):
    picture = Image.new("RGB", (4, 4), RED).convert(mode)
    if mode == "RGBA":
        picture.putalpha(100)
    picture.info["icc_profile"] = srgb_with(1.8)
    assert levels(picture) == pytest.approx([shown(level, 1.8) for level in RED], abs=2)
    assert picture.getpixel((0, 0))[:3] == RED  # the caller's own picture is as it was
    if mode == "RGBA":
        _, alpha = read_picture("photo", picture)
        assert alpha is not None
        assert float(alpha[0, 0, 0]) == pytest.approx(100 / 255)


def test_inks_are_those_of_the_profile(tmp_path):
    file = tmp_path / "photo.jpg"
    Image.new("CMYK", (16, 16), (255, 0, 0, 0)).save(file, quality=100, icc_profile=cmyk())
    image, _ = read_picture("photo", file)
    assert (image[0, 8, 8] * 255).tolist() == pytest.approx([132, 255, 255], abs=8)  # without it: 0, 255, 255


def test_a_file_s_profile_counts(tmp_path):
    file = tmp_path / "photo.png"
    Image.new("RGB", (4, 4), RED).save(file, icc_profile=srgb_with(1.8))
    image, _ = read_picture("photo", file)
    assert (image[0, 0, 0] * 255).tolist() == pytest.approx([shown(level, 1.8) for level in RED], abs=2)


def test_srgb_changes_nothing():
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    picture = Image.fromarray(noise)
    picture.info["icc_profile"] = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert to_srgb(picture) is picture


@pytest.mark.parametrize("data", [b"no profile", b"\0" * 200])
def test_a_broken_profile_is_left_out_and_logged(data, caplog):
    picture = Image.new("RGB", (4, 4), RED)
    picture.info["icc_profile"] = data
    assert levels(picture) == list(RED)
    assert "colour profile is left out" in caplog.text


def test_a_profile_of_another_colour_space_is_left_out(caplog):
    picture = Image.new("CMYK", (4, 4), (0, 255, 255, 0))
    picture.info["icc_profile"] = srgb_with(1.8)
    assert levels(picture)[0] > 200
    assert "profile of RGB in a picture of CMYK" in caplog.text


def test_lab_and_16_bits_of_grey_are_read():
    lab = ImageCms.profileToProfile(
        Image.new("RGB", (4, 4), RED), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert levels(lab) == pytest.approx(list(RED), abs=3)
    deep = Image.fromarray(np.full((4, 4), 12345, np.uint16))
    deep.info["icc_profile"] = srgb_with(1.8)
    image, _ = read_picture("photo", deep)
    assert float(image[0, 0, 0, 0]) == np.float32(12345 / 65535)
