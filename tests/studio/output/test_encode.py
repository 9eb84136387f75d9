"""What stands in the files: pixels, transparency, profile, resolution, workflow; and nothing of it where it must not."""

from __future__ import annotations

import io
import json

import numpy as np
import pypdfium2
import pytest
from PIL import Image, ImageCms
from storefront.studio import examples
from storefront.studio.errors import InputError
from storefront.studio.images import to_pil
from storefront.studio.output.encode import FILE_FORMATS, Encoding, available, digest, encode, with_bleed

METADATA = {"prompt": {"1": {"class_type": "X", "inputs": {"t": "머그컵"}}}, "workflow": {"nodes": [1, 2]}}
RASTER = [name for name in available() if name != "PDF"]


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return to_pil(examples.photo("coffee"))[0].crop((100, 50, 400, 250))


@pytest.fixture(scope="module")
def cutout(photo) -> Image.Image:
    alpha = np.tile(np.linspace(0, 255, photo.width).astype(np.uint8), (photo.height, 1))
    picture = photo.convert("RGBA")
    picture.putalpha(Image.fromarray(alpha))
    return picture


def opened(data: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture


def page(data: bytes, dpi: int):
    document = pypdfium2.PdfDocument(data)
    assert len(document) == 1
    return document[0], np.asarray(document[0].render(scale=dpi / 72).to_pil().convert("RGB"), float)


def difference(a, b) -> float:
    return float(np.abs(np.asarray(a, float) - np.asarray(b, float)).mean())


@pytest.mark.parametrize("format", RASTER)
def test_pixels_profile_and_resolution(photo, format):
    data, notes = encode(photo, Encoding(format, 95, 254), {})
    picture = opened(data)
    assert not notes
    assert picture.format == format.upper()
    assert picture.mode == "RGB"
    assert difference(picture, photo) <= (0 if format == "PNG" else 2.5)
    profile = ImageCms.ImageCmsProfile(io.BytesIO(picture.info["icc_profile"]))
    assert "sRGB" in ImageCms.getProfileDescription(profile)
    dpi = picture.info["dpi"][0] if "dpi" in picture.info else picture.getexif()[0x011A]
    assert float(dpi) == pytest.approx(254, abs=0.1)


@pytest.mark.parametrize("format", available())
def test_the_same_picture_gives_the_same_bytes(photo, format):
    assert encode(photo, Encoding(format), METADATA) == encode(photo, Encoding(format), METADATA)


def test_lossless_where_it_is_promised(photo, cutout):
    assert difference(opened(encode(photo, Encoding("WebP", 100), {})[0]), photo) == 0
    assert difference(opened(encode(cutout, Encoding("WebP", 100), {})[0]), cutout) == 0
    assert difference(opened(encode(cutout, Encoding("PNG"), {})[0]), cutout) == 0
    _, pixels = page(encode(photo, Encoding("PDF", 100, 72), {})[0], 72)
    assert difference(pixels, photo) < 0.5


@pytest.mark.parametrize("format", available())
def test_transparency_is_kept_or_said_to_be_lost(cutout, format):
    data, notes = encode(cutout, Encoding(format, 95), {})
    if FILE_FORMATS[format].alpha:
        assert not notes
        assert difference(opened(data).getchannel("A"), cutout.getchannel("A")) < 1.5
    else:
        assert "transparency" in notes[0]
        pixels = page(data, 300)[1] if format == "PDF" else np.asarray(opened(data), float)
        assert pixels[:, 0].min() > 245


@pytest.mark.parametrize("format", available())
def test_the_workflow_is_embedded_as_comfyui_does_or_nothing_is(photo, format):
    data, notes = encode(photo, Encoding(format), METADATA)
    clean, _ = encode(photo, Encoding(format), {})
    if format == "PNG":
        assert {key: json.loads(value) for key, value in opened(data).text.items()} == METADATA
    elif FILE_FORMATS[format].carries_workflow:
        exif = opened(data).getexif()
        assert exif[0x0110] == "prompt:" + json.dumps(METADATA["prompt"])
        assert exif[0x010F] == "workflow:" + json.dumps(METADATA["workflow"])
    else:
        assert "workflow" in notes[0]
        assert data == clean
    for word in (b"class_type", b"workflow", b"prompt", b"Storefront", b"ComfyUI"):
        assert word not in clean


@pytest.mark.parametrize("metadata", [{"k" * 80: 1}, {"": 1}, {"ключ": 1}, {5: 1}, dict.fromkeys(map(str, range(9)))])
@pytest.mark.parametrize("format", ["PNG", "WebP"])
def test_keys_that_no_file_can_hold_are_refused(photo, format, metadata):
    with pytest.raises(InputError, match="extra_pnginfo"):
        encode(photo, Encoding(format), metadata)


def test_bleed_goes_on_beyond_every_edge(photo):
    encoding = Encoding("PNG", dpi=254, bleed_mm=3)
    assert encoding.bleed == 30
    sheet = np.asarray(opened(encode(photo, encoding, {})[0]))
    picture = np.asarray(photo)
    assert sheet.shape == (260, 360, 3)
    assert (sheet[30:-30, 30:-30] == picture).all()
    assert (sheet[30:-30, 29::-1] == picture[:, :30]).all()
    assert (sheet[29::-1, 30:-30] == picture[:30]).all()
    with pytest.raises(InputError, match="bleed_mm"):
        with_bleed(photo, 201)


@pytest.mark.parametrize("quality", [90, 100])
def test_a_pdf_is_cut_where_the_picture_ends(photo, quality):
    data, _ = encode(photo, Encoding("PDF", quality, 150, 3), {})
    sheet, pixels = page(data, 150)
    bleed = 18 * 72 / 150
    assert sheet.get_size() == pytest.approx((336 * 72 / 150, 236 * 72 / 150), abs=1e-3)
    assert sheet.get_mediabox() == pytest.approx(sheet.get_bleedbox())
    left, bottom, right, top = sheet.get_trimbox()
    assert (left, bottom) == pytest.approx((bleed, bleed), abs=1e-3)
    assert (right - left, top - bottom) == pytest.approx((300 * 72 / 150, 200 * 72 / 150), abs=1e-3)
    assert difference(pixels[18:218, 18:318], photo) < 3


@pytest.mark.parametrize(
    ("named", "settings"),
    [
        ("format", {"format": "GIF"}),
        ("quality", {"quality": 0}),
        ("quality", {"quality": float("nan")}),
        ("dpi", {"dpi": 10_000}),
        ("dpi", {"dpi": -1}),
        ("bleed_mm", {"bleed_mm": float("inf")}),
        ("bleed_mm", {"bleed_mm": 51}),
    ],
)
def test_settings_out_of_range_are_refused_by_name(named, settings):
    with pytest.raises(InputError, match=named):
        Encoding(**settings)


def test_a_picture_too_large_for_webp_is_refused():
    with pytest.raises(InputError, match="such as PNG"):
        encode(Image.new("RGB", (17_000, 8)), Encoding("WebP"), {})


def test_a_pdf_page_of_more_than_five_metres_is_refused():
    picture = Image.new("RGB", (1000, 10))
    encode(picture, Encoding("PDF", dpi=5), {})
    with pytest.raises(InputError, match=r"`dpi` is 4\. Expected: at least 6"):
        encode(picture, Encoding("PDF", dpi=4), {})


def test_the_digest_is_of_the_pixels(photo):
    other = photo.copy()
    other.putpixel((3, 3), (1, 2, 3))
    turned = Image.frombytes("RGB", photo.size[::-1], photo.tobytes())
    assert digest(photo) == digest(photo.copy())
    assert len({digest(photo), digest(other), digest(turned), digest(photo.convert("RGBA"))}) == 4
