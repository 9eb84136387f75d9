"""Pictures on their way to a server: files, bytes or Pillow pictures, as the bytes of a file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from ..studio.errors import InputError

if TYPE_CHECKING:
    from PIL import Image

    Picture: TypeAlias = "str | Path | bytes | Image.Image"

IN_PNG = ("1", "L", "LA", "I;16", "P", "RGB", "RGBA")  # modes of Pillow that a PNG keeps
SUFFIX_OF = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"RIFF": ".webp", b"GIF8": ".gif", b"BM": ".bmp"}


def file_of(name: str, picture: Picture) -> tuple[bytes, str]:
    """A picture's bytes and the suffix of their format. Raises InputError for a file that cannot be read, or is no picture."""
    content = _content(name, picture)
    suffix = next((suffix for start, suffix in SUFFIX_OF.items() if content.startswith(start)), None)
    if suffix is None:
        shown = str(picture) if isinstance(picture, (str, Path)) else f"{len(content)} bytes"
        raise InputError(name, shown, "a PNG, JPEG, WebP, GIF or BMP picture")
    return content, suffix


def _content(name: str, picture: Picture) -> bytes:
    if isinstance(picture, bytes):
        return picture
    if isinstance(picture, (str, Path)):
        try:
            return Path(picture).read_bytes()
        except (OSError, ValueError) as error:  # ValueError: a name with a null character
            raise InputError(name, str(picture), f"a file that can be read ({error})") from error
    return _as_png(name, picture)


def _as_png(name: str, picture: Image.Image) -> bytes:
    """A Pillow picture, turned as its EXIF says: a PNG carries no EXIF that every reader looks at."""
    from PIL import Image, ImageOps

    if not isinstance(picture, Image.Image):
        raise InputError(name, type(picture).__name__, "a file, bytes, or a Pillow picture")
    if picture.mode in ("I", "F"):
        raise InputError(name, f"a picture of mode {picture.mode}", "one of 8 bits, or of mode I;16")
    try:
        upright = ImageOps.exif_transpose(picture)
        if upright.mode not in IN_PNG:
            upright = upright.convert("RGBA" if upright.has_transparency_data else "RGB")
        buffer = io.BytesIO()
        upright.save(buffer, "PNG")
    except (OSError, ValueError, SyntaxError) as error:  # Pillow reads a file when its pixels are first needed
        raise InputError(name, f"a picture of mode {picture.mode}", f"one that Pillow can read ({error})") from error
    return buffer.getvalue()
