"""A picture as the bytes of a file: PNG, JPEG, WebP, AVIF, PDF for print."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from ..cancelling import apart, check_cancel
from ..errors import InputError, require_fields

if TYPE_CHECKING:
    from PIL import Image

MILLIMETRES = 25.4  # an inch
RANGES: dict[str, tuple[int, int]] = {"quality": (1, 100), "dpi": (1, 2400), "bleed_mm": (0, 50)}
LONGEST_PAGE = 14_400  # points a side: PDF 1.7, annex C
STRIP = 256  # rows that are hashed at once
LOSSLESS = 100  # the quality at which WebP and PDF lose nothing
# EXIF (Exif 2.32, 4.6.4): resolution, and where ComfyUI keeps prompt (Model) and workflow (Make, and tags below it).
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT, INCHES = 0x011A, 0x011B, 0x0128, 2
PROMPT_TAG, FIRST_EXTRA_TAG, MOST_EXTRAS = 0x0110, 0x010F, 8


class FileFormat(NamedTuple):
    """What a file format can hold."""

    suffix: str
    alpha: bool
    longest: int  # pixels a side
    carries_workflow: bool  # where ComfyUI's editor finds it again


FILE_FORMATS = {
    "PNG": FileFormat(".png", True, 2**31 - 1, True),
    "JPEG": FileFormat(".jpg", False, 65_500, False),
    "WebP": FileFormat(".webp", True, 16_383, True),
    "AVIF": FileFormat(".avif", True, 65_536, True),
    "PDF": FileFormat(".pdf", False, 65_500, False),
}


def available() -> list[str]:
    """The formats that this Pillow can write."""
    from PIL import features

    def is_known(
        module: str,
    ) -> bool:  # Pillow before 11.3 knows no AVIF, and `check_module` refuses what it does not know
        return module in features.modules and features.check_module(module)

    return [name for name in FILE_FORMATS if name not in ("WebP", "AVIF") or is_known(name.lower())]


class EncodingError(RuntimeError):
    """A picture that a format's own encoder refused, or had no memory for: which format, and its reason."""


@dataclass(frozen=True)
class Encoding:
    """How a picture becomes a file. Raises InputError for a value out of range, and for a format that Pillow lacks
    here.
    """

    format: str = "PNG"
    quality: int = 92  # 1 to 100, for all but PNG
    dpi: int = 300
    bleed_mm: float = 0.0  # added at every edge, beyond the picture

    def __post_init__(self) -> None:
        require_fields(self, {"format": available()}, RANGES)

    @property
    def bleed(self) -> int:
        """Pixels at every edge."""
        return round(self.bleed_mm / MILLIMETRES * self.dpi)

    @property
    def label(self) -> str:
        """What distinguishes files of the same pixels, as a part of a name: "q92-300dpi-bleed3"."""
        quality = "" if self.format == "PNG" else f"q{self.quality:g}-"
        bleed = f"-bleed{self.bleed_mm:g}".replace(".", "_") if self.bleed_mm else ""
        return f"{quality}{self.dpi:g}dpi{bleed}"


def digest(picture: Image.Image) -> str:
    """SHA-256 of size, channels and pixels, in hex: what names a picture by its content."""
    sha = hashlib.sha256(f"{picture.mode} {picture.size} ".encode())
    for top in range(0, picture.height, STRIP):  # never the whole picture a second time
        check_cancel()
        sha.update(picture.crop((0, top, picture.width, min(top + STRIP, picture.height))).tobytes())
    return sha.hexdigest()


def encode(picture: Image.Image, encoding: Encoding, metadata: Mapping[str, Any]) -> tuple[bytes, list[str]]:
    """The file's bytes, with an sRGB profile, and notes on what the format could not keep.

    `picture` is RGB or RGBA in sRGB. `metadata` ("prompt", "workflow") goes in as ComfyUI's own nodes write it, where
    its editor finds it again: PNG, WebP, AVIF. The same arguments give the same bytes. Raises InputError for a picture
    too large for the format, and for a bleed wider than the picture; EncodingError where the encoder itself fails.
    """
    format, notes = FILE_FORMATS[encoding.format], []
    if picture.mode == "RGBA" and not format.alpha:
        picture = on_white(picture)
        notes.append(f"{encoding.format} holds no transparency: the picture is saved on white")
    if metadata and not format.carries_workflow:
        metadata = {}
        notes.append(f"the editor reads no workflow from a {encoding.format}: none was embedded")
    sheet = with_bleed(picture, encoding.bleed)
    if max(sheet.size) > format.longest:
        raise InputError("format", encoding.format, f"a format for {sheet.width}x{sheet.height}, such as PNG")
    write = {"PNG": _png, "JPEG": _jpeg, "WebP": _webp, "AVIF": _avif, "PDF": _pdf}[encoding.format]
    try:
        return apart(functools.partial(write, sheet, encoding, metadata)), notes
    except InputError:
        raise
    except (OSError, ValueError, RuntimeError, MemoryError) as error:  # Pillow raises any of these for its codecs
        reason = str(error) or type(error).__name__
        raise EncodingError(
            f"{encoding.format} could not be written at {sheet.width}x{sheet.height}: {reason}"
        ) from error


def with_bleed(picture: Image.Image, pixels: int) -> Image.Image:
    """The picture and its mirrored continuation beyond every edge, which the printer cuts off."""
    import numpy as np
    from PIL import Image

    if not pixels:
        return picture
    if pixels > min(picture.size):
        raise InputError("bleed_mm", f"{pixels} px", f"a bleed no wider than the picture, {min(picture.size)} px")
    return Image.fromarray(np.pad(np.asarray(picture), ((pixels, pixels), (pixels, pixels), (0, 0)), mode="symmetric"))


def on_white(picture: Image.Image) -> Image.Image:
    """An RGBA picture on white paper, RGB."""
    from PIL import Image

    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("RGB")


@functools.lru_cache(maxsize=1)
def srgb_profile() -> bytes:
    """An ICC profile of sRGB. LittleCMS writes the time into it (bytes 24 to 35); a fixed one keeps files equal."""
    from PIL import ImageCms

    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = b"".join(part.to_bytes(2, "big") for part in (2000, 1, 1, 0, 0, 0))
    return bytes(profile)


def require_metadata(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Values as JSON, by keys that PNG and EXIF can hold. Raises InputError: a prompt may bring keys of its own."""
    if not isinstance(metadata, Mapping) or len(metadata) > MOST_EXTRAS:
        raise InputError("extra_pnginfo", metadata, f"at most {MOST_EXTRAS} entries")
    for key in metadata:
        if not isinstance(key, str) or not (key.isascii() and key.isprintable() and 1 <= len(key) <= 79):
            raise InputError("extra_pnginfo", key, "keys of 1 to 79 ASCII characters")
    return {key: json.dumps(value) for key, value in metadata.items()}


def _png(sheet: Image.Image, encoding: Encoding, metadata: Mapping[str, Any]) -> bytes:
    from PIL.PngImagePlugin import PngInfo

    texts = PngInfo()
    for key, value in require_metadata(metadata).items():
        texts.add_text(key, value)
    dpi = (encoding.dpi, encoding.dpi)
    return _saved(sheet, "PNG", pnginfo=texts, icc_profile=srgb_profile(), dpi=dpi, compress_level=4)


def _jpeg(sheet: Image.Image, encoding: Encoding, metadata: Mapping[str, Any]) -> bytes:
    # 4:4:4: colour at half the resolution frays red letters.
    options = {"quality": encoding.quality, "subsampling": 0, "icc_profile": srgb_profile()}
    options["dpi"] = (encoding.dpi, encoding.dpi)
    try:
        return _saved(sheet, "JPEG", optimize=True, **options)
    except OSError:
        # Optimised Huffman tables need the whole file in one buffer, which Pillow makes too small for grain. Without
        # them the file is a few per cent larger and has the same pixels.
        return _saved(sheet, "JPEG", optimize=False, **options)


def _webp(sheet: Image.Image, encoding: Encoding, metadata: Mapping[str, Any]) -> bytes:
    lossless = encoding.quality == LOSSLESS
    options = {"quality": encoding.quality, "lossless": lossless, "exact": lossless, "icc_profile": srgb_profile()}
    return _saved(sheet, "WEBP", exif=_exif(encoding, metadata), **options)


def _avif(sheet: Image.Image, encoding: Encoding, metadata: Mapping[str, Any]) -> bytes:
    options = {"quality": encoding.quality, "subsampling": "4:4:4", "icc_profile": srgb_profile()}
    return _saved(sheet, "AVIF", exif=_exif(encoding, metadata), **options)


def _saved(sheet: Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    sheet.save(buffer, format, **options)
    return buffer.getvalue()


def _exif(encoding: Encoding, metadata: Mapping[str, Any]) -> bytes:
    from PIL import Image

    exif = Image.Exif()
    exif[X_RESOLUTION] = exif[Y_RESOLUTION] = float(encoding.dpi)
    exif[RESOLUTION_UNIT] = INCHES
    tag = FIRST_EXTRA_TAG
    for key, value in require_metadata(metadata).items():
        if key == "prompt":
            exif[PROMPT_TAG] = f"{key}:{value}"
        else:
            exif[tag] = f"{key}:{value}"
            tag -= 1
    return exif.tobytes()


def _pdf(sheet: Image.Image, encoding: Encoding, metadata: Mapping[str, Any]) -> bytes:
    """One page that is the picture; TrimBox is where the printer cuts, BleedBox and MediaBox reach beyond (PDF 1.7,
    14.11.2). Pillow's own PDF has neither boxes nor a colour profile.
    """
    points = 72 / encoding.dpi  # of a pixel
    if max(sheet.size) * points > LONGEST_PAGE:
        raise InputError(
            "dpi", encoding.dpi, f"at least {max(sheet.size) * 72 // LONGEST_PAGE + 1} for a PDF of this picture"
        )
    width, height, bleed = (side * points for side in (*sheet.size, encoding.bleed))
    page_box = f"[0 0 {width:.4f} {height:.4f}]"
    trim = f"[{bleed:.4f} {bleed:.4f} {width - bleed:.4f} {height - bleed:.4f}]"
    if encoding.quality == LOSSLESS:
        pixels, packing = zlib.compress(sheet.tobytes(), 6), "FlateDecode"
    else:
        pixels, packing = _jpeg(sheet, encoding, {}), "DCTDecode"
    picture = f"/Type /XObject /Subtype /Image /Width {sheet.width} /Height {sheet.height} /BitsPerComponent 8"
    draw = f"q {width:.4f} 0 0 {height:.4f} 0 0 cm /Picture Do Q".encode()
    boxes = f"/MediaBox {page_box} /BleedBox {page_box} /TrimBox {trim}"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 2 0 R {boxes} /Contents 4 0 R /Resources << /XObject << /Picture 5 0 R >> >> >>".encode(),
        _stream("", draw),
        _stream(f"{picture} /ColorSpace [/ICCBased 6 0 R] /Filter /{packing}", pixels),
        _stream("/N 3 /Alternate /DeviceRGB", srgb_profile()),
    ]
    out = io.BytesIO()
    out.write(b"%PDF-1.6\n%\xe2\xe3\xcf\xd3\n")
    places = []
    for number, body in enumerate(objects, 1):
        places.append(out.tell())
        out.write(b"%d 0 obj\n%b\nendobj\n" % (number, body))
    table = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    out.writelines(b"%010d 00000 n \n" % place for place in places)
    out.write(b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, table))
    return out.getvalue()


def _stream(entries: str, body: bytes) -> bytes:
    return f"<< {entries} /Length {len(body)} >>\nstream\n".encode() + body + b"\nendstream"
