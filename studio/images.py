"""IMAGE and MASK tensors <-> channel-first tensors <-> Pillow: the only conversions in the pack.

`IMAGE` is float32 [B, H, W, 3] in 0..1, as ComfyUI has it; channel-first pictures are float [B, 3, H, W] in -1..1, as
diffusers' VAEs have them; `MASK` is float32 [B, H, W] in 0..1.
"""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING

from .cancelling import strips
from .errors import InputError
from .profiles import to_srgb

if TYPE_CHECKING:
    from typing import TypeAlias

    import numpy as np
    import torch
    from PIL import Image

    # What the Python API takes for a picture.
    Picture: TypeAlias = "str | Path | Image.Image | np.ndarray | torch.Tensor"


log = logging.getLogger(__name__)

# Bits of a picture for each bit of its file, at most. PNG: deflate makes 258 bytes of two bits. JPEG: a bit at least for
# each 8 x 8 pixels; libjpeg makes grey of what is missing. GIF: a code of 12 bits is 4,096 pixels at most.
DENSEST = {"PNG": 1032, "JPEG": 64 * 8, "MPO": 64 * 8, "GIF": 4096 * 8 / 12}
PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by IHDR's colour type
RUN_BY_OTHERS = ("EPS", "WMF")  # programs, which Pillow gives to Ghostscript or to Windows


def every_nth(picture: np.ndarray, side: int) -> np.ndarray:
    """Every n-th row and column of [H, W, ...], a view whose longer side has `side` pixels or up to twice as many."""
    step = max(1, max(picture.shape[:2]) // side)
    return picture[::step, ::step]


def some_pixels(picture: np.ndarray, count: int) -> np.ndarray:
    """[N, C] of [H, W, C], about `count` of them from all over."""
    step = (
        math.isqrt(picture.shape[0] * picture.shape[1] // count) | 1
    )  # odd: an even one would see half of a fine stripe
    return picture[::step, ::step].reshape(-1, picture.shape[-1])


def require_mask(name: str, mask: torch.Tensor) -> np.ndarray:
    """MASK [B, H, W] or [H, W] as an array [B, H, W] in 0..1, clipped. Raises InputError that names the input."""
    import torch

    mask = mask[None] if isinstance(mask, torch.Tensor) and mask.ndim == 2 else mask
    if not isinstance(mask, torch.Tensor) or mask.ndim != 3 or 0 in mask.shape or not torch.isfinite(mask.sum()):
        shape = list(mask.shape) if isinstance(mask, torch.Tensor) else type(mask).__name__
        raise InputError(name, f"shape {shape}", "finite numbers of shape [batch, height, width]")
    return mask.float().clamp(0, 1).cpu().numpy()


def require_one_each(name: str, masks: np.ndarray, count: int, width: int, height: int, like: str) -> None:
    """Raise InputError unless masks [B, H, W] are one, or `count`, of width x height pixels, as `like` has them."""
    if masks.shape[1:] != (height, width) or len(masks) not in (1, count):
        several = "one mask" if count == 1 else f"{count} masks, or one,"
        raise InputError(
            name,
            f"{len(masks)} {'mask' if len(masks) == 1 else 'masks'} of {masks.shape[2]}x{masks.shape[1]}",
            f"{several} of {width}x{height}, as the {like}",
        )


def to_channel_first(image: torch.Tensor) -> torch.Tensor:
    """IMAGE [B, H, W, 3] in 0..1 -> [B, 3, H, W] in -1..1."""
    return image.movedim(-1, 1) * 2 - 1


def from_channel_first(pixels: torch.Tensor) -> torch.Tensor:
    """[B, 3, H, W] in -1..1 -> IMAGE [B, H, W, 3], clamped to 0..1, on the CPU."""
    return (pixels.float() / 2 + 0.5).clamp(0, 1).movedim(1, -1).cpu()


def to_levels(image: torch.Tensor) -> np.ndarray:
    """IMAGE [B, H, W, C] in 0..1 -> uint8 [B, H, W, C] in 0..255, rounded to the nearest."""
    import numpy as np

    values = image.detach().float().cpu().numpy()
    levels = np.empty(values.shape, np.uint8)
    for picture, out in zip(values, levels):
        for rows in strips(picture):  # three times as fast as all rows at once
            part = picture[rows].clip(0, 1)
            part *= 255
            out[rows] = np.rint(part, out=part)
    return levels


def to_pil(image: torch.Tensor) -> list[Image.Image]:
    """IMAGE [B, H, W, 3 or 4] in 0..1 -> B Pillow pictures (RGB or RGBA), each level rounded to the nearest."""
    from PIL import Image

    return [Image.fromarray(picture) for picture in to_levels(image)]


def from_pil(picture: Image.Image) -> torch.Tensor:
    """A Pillow picture of any mode but F -> IMAGE [1, H, W, 3] in 0..1 (transparency is dropped).

    Grey of 16 bits (I;16, or I where it holds no more) keeps them all.
    """
    import numpy as np
    import torch

    if picture.mode.startswith("I"):  # Pillow's own conversion makes white of everything above 255
        grey = torch.from_numpy(np.asarray(picture).astype(np.float32) / 65535)
        return grey[None, ..., None].repeat(1, 1, 1, 3)
    return torch.from_numpy(_in_one(picture.convert("RGB")))[None]


def _in_one(picture: Image.Image) -> np.ndarray:
    """8-bit levels as float32 in 0..1, without a second array of them."""
    import numpy as np

    return np.divide(np.asarray(picture), np.float32(255), dtype=np.float32)


def require_pixels(name: str, image: torch.Tensor) -> torch.Tensor:
    """IMAGE [B, H, W, 3] or, with straight alpha, [B, H, W, 4] in 0..1 from one of 1, 3 or 4 channels: grey is made three.

    Raises InputError for an empty one, one of another shape and one whose pixels are not all finite. Values beyond 0..1
    become 0 and 1.
    """
    import torch

    if not isinstance(image, torch.Tensor) or image.ndim != 4 or image.shape[-1] not in (1, 3, 4):
        shape = list(image.shape) if isinstance(image, torch.Tensor) else type(image).__name__
        raise InputError(name, shape, "a picture [batch, height, width, 3 channels]")
    if 0 in image.shape:
        raise InputError(name, list(image.shape), "at least one picture of at least one pixel")
    image = image.expand(*image.shape[:3], 3) if image.shape[-1] == 1 else image
    image = image.float().cpu()
    darkest, brightest = map(float, torch.aminmax(image))  # one pass; NaN is passed on
    if not (math.isfinite(darkest) and math.isfinite(brightest)):
        raise InputError(name, "NaN or infinity", "pixels that are numbers from 0 to 1")
    return image if darkest >= 0 and brightest <= 1 else image.clamp(0, 1)


def require_picture(name: str, image: torch.Tensor) -> torch.Tensor:
    """`require_pixels` without alpha: IMAGE [B, H, W, 3] in 0..1; what is transparent is white."""
    pixels = require_pixels(name, image)
    return on_white(pixels[..., :3], pixels[..., 3]) if pixels.shape[-1] == 4 else pixels


def require_colors(name: str, image: torch.Tensor) -> torch.Tensor:
    """`require_pixels` without alpha: straight colours [B, H, W, 3] in 0..1, those of transparent pixels too."""
    import torch

    has_alpha = isinstance(image, torch.Tensor) and image.ndim == 4 and image.shape[-1] == 4
    return require_pixels(name, image[..., :3] if has_alpha else image)


def on_white(image: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    """Straight colours [B, H, W, 3] with their alpha [B, H, W] before white, mixed in sRGB as browsers do."""
    return image * alpha[..., None] + (1 - alpha[..., None])


def read_opaque(name: str, picture: Picture) -> torch.Tensor:
    """`read_picture` as IMAGE [1, H, W, 3]: what is transparent is white, so that no hidden colour comes out."""
    image, alpha = read_picture(name, picture)
    return image if alpha is None else on_white(image, alpha)


def read_picture(name: str, picture: Picture) -> tuple[torch.Tensor, torch.Tensor | None]:
    """One picture of any of the kinds of `Picture` -> IMAGE [1, H, W, 3] and its transparency as MASK [1, H, W].

    A string or Path is a file that Pillow reads, turned as its EXIF says and brought from its colour profile to sRGB, as
    Pillow pictures are. Arrays and tensors are [H, W], [H, W, C] or
    [1, H, W, C] with 1, 3 or 4 channels: uint8, bool, or floats in 0..1; floats beyond by up to a half, as a filter
    leaves them, become 0 and 1. The mask is 1 where the picture is opaque; None where it is opaque everywhere. Raises
    InputError that names the input.
    """
    import numpy as np
    import torch
    from PIL import Image

    whose = ""
    if isinstance(picture, str | Path):
        picture, whose = _open(name, Path(picture)), f"{Path(picture).name} with "
    if isinstance(picture, Image.Image):
        upright = to_srgb(_upright(picture))
        if upright.mode == "F":
            values = _in_unit(name, torch.from_numpy(np.array(upright)), whose)
        elif upright.mode.startswith("I") or not upright.has_transparency_data:
            return _in_unit(name, from_pil(upright), whose), None
        else:
            values = torch.from_numpy(_in_one(upright.convert("RGBA")))
    elif isinstance(picture, np.ndarray | torch.Tensor):
        values = _numbers(name, picture)
    else:
        raise InputError(name, type(picture).__name__, "a file, a Pillow picture, an array or an IMAGE tensor")
    if values.ndim == 2:
        values = values[..., None]
    if values.ndim == 3:
        values = values[None]
    image = require_colors(name, values)
    if len(image) != 1:
        raise InputError(name, f"a batch of {len(image)}", "one picture")
    transparent = values.shape[-1] == 4 and bool((values[..., 3] < 1).any())
    return image, values[..., 3].float().cpu().clamp(0, 1) if transparent else None


def _numbers(name: str, picture: np.ndarray | torch.Tensor) -> torch.Tensor:
    """The values of an array or tensor in 0..1. Raises InputError for another type or range of them."""
    import numpy as np
    import torch

    wanted = "uint8 in 0..255, floats in 0..1, or bool"
    try:
        values = torch.as_tensor(np.array(picture) if isinstance(picture, np.ndarray) else picture)
    except TypeError:  # texts, objects
        raise InputError(name, f"an array of type {picture.dtype}", wanted) from None
    if values.dtype == torch.uint8:
        return values.float() / 255
    if values.dtype == torch.bool:
        return values.float()
    if not values.is_floating_point():
        raise InputError(name, f"numbers of type {values.dtype}", wanted)
    return _in_unit(name, values)


def _in_unit(name: str, values: torch.Tensor, whose: str = "") -> torch.Tensor:
    """Values in about 0..1. Raises InputError for other ranges, such as 0..255, which would become white, and for NaN."""
    if values.numel() and not (float(values.min()) >= -0.5 and float(values.max()) <= 1.5):
        shown = f"{whose}numbers from {float(values.min()):g} to {float(values.max()):g}"
        raise InputError(name, shown, "numbers from 0 to 1")
    return values


def _upright(picture: Image.Image) -> Image.Image:
    """Turned as its EXIF says; as it is, with a warning in the log, where that is damaged, as browsers do."""
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(picture)
    except MemoryError:
        raise
    except (
        Exception
    ) as error:  # Pillow reads and writes all of it anew, and raises whatever the first wrong byte leads to
        log.warning("Storefront: a picture is not turned, since its EXIF cannot be read (%s)", error)
        return picture


def _open(name: str, path: Path) -> Image.Image:
    from PIL import Image

    try:
        with Image.open(path) as picture:
            if picture.format in RUN_BY_OTHERS:
                raise InputError(name, str(path), "a picture of pixels; save it as PNG")
            _require_content(name, picture, path)
            picture.load()
            return picture
    except FileNotFoundError:
        raise InputError(name, str(path), "a file that exists") from None
    except (InputError, MemoryError):
        raise
    except Exception as error:  # a damaged file raises whatever its first wrong byte leads to, of each format another
        raise InputError(name, str(path), f"a picture file that Pillow can read ({error})") from error


def _require_content(name: str, picture: Image.Image, path: Path) -> None:
    """Raise InputError for an opened picture whose file is too small for the size that its header says, before that much
    memory is taken: 700 bytes can ask for 5 GiB."""
    if picture.format not in DENSEST:
        return
    bits = 8
    if picture.format == "PNG":
        with path.open("rb") as file:
            depth, kind = file.read(26)[24:]
        bits = depth * PNG_CHANNELS.get(kind, 1)
    held, least = path.stat().st_size, math.ceil(picture.width * picture.height * bits / 8 / DENSEST[picture.format])
    if held < least:
        shown = f"{path.name}, {picture.width}x{picture.height} pixels in {held:,} bytes"
        raise InputError(name, shown, f"a whole picture file; one of that size has at least {least:,} bytes")
