"""Pictures as text, since what streams over Triton's HTTP is JSON: base64 of a picture file, or of a .npy file."""

from __future__ import annotations

import base64
import binascii
import io
import math
import tokenize
from typing import TYPE_CHECKING, Any

from ..studio.errors import Bare, InputError

if TYPE_CHECKING:
    import torch

_NPY = b"\x93NUMPY"


def to_text(image: torch.Tensor, kind: str) -> list[str]:
    """IMAGE [B, H, W, 3]: "npy", one text with every bit of it; "png", a text a picture in 8 bits a channel."""
    import numpy as np

    from ..studio.images import to_pil

    if kind == "npy":
        buffer = io.BytesIO()
        np.save(buffer, image.float().cpu().contiguous().numpy(), allow_pickle=False)
        return [_text(buffer)]
    texts = []
    for picture in to_pil(image):
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        texts.append(_text(buffer))
    return texts


def _text(buffer: io.BytesIO) -> str:
    return base64.b64encode(buffer.getbuffer()).decode("ascii")


def _array(data: bytes) -> Any:
    """float32 of a .npy file. What its header promises must be there: numpy would take that memory first."""
    import numpy as np

    file = io.BytesIO(data)
    read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        shape, by_columns, dtype = read_header[np.lib.format.read_magic(file)](file)
    except (tokenize.TokenError, MemoryError, RecursionError) as error:  # a header is Python's own notation
        raise ValueError("no header of numpy's") from error
    if by_columns or dtype != np.dtype("<f4") or 4 * math.prod(shape) != len(data) - file.tell():
        raise ValueError("not float32 by rows, or cut short")
    return np.frombuffer(data, "<f4", offset=file.tell()).reshape(shape).copy()


def from_text(name: str, text: str | bytes, most_pixels: int) -> torch.Tensor:
    """IMAGE [B, H, W, 3] of base64 of a PNG, JPEG, WebP or .npy file. Raises InputError that names the input.

    most_pixels: of one picture. A small file may hold a very large one, so they are counted before it is decoded.
    """
    import torch
    from PIL import Image

    from ..studio.images import read_opaque, require_picture

    wanted = "base64 of a PNG, JPEG or WebP file, or of a .npy file of float32 [batch, height, width, 3]"
    try:
        data = base64.b64decode(text, validate=True)
        if data.startswith(_NPY):
            array = _array(data)
            if array.ndim == 4:  # of others `require_picture` says what they are
                _require_size(name, array.shape[2], array.shape[1], most_pixels)
            return require_picture(name, torch.from_numpy(array))
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP")) as picture:
            _require_size(name, picture.width, picture.height, most_pixels)
            picture.load()
            return read_opaque(name, picture)
    except InputError:
        raise
    except (
        binascii.Error,
        ValueError,
        TypeError,
        KeyError,
        OSError,
        SyntaxError,
        EOFError,
        Image.DecompressionBombError,
    ) as error:
        raise InputError(name, Bare(f"a text of {len(text)} characters"), wanted) from error


def _require_size(name: str, width: int, height: int, most_pixels: int) -> None:
    if width * height > most_pixels:
        raise InputError(name, Bare(f"{width} x {height} pixels"), f"at most {most_pixels:,} pixels of a picture")
