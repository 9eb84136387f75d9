"""rembg's own ways to an edge, beside `matting.refine`: closed-form alpha matting, and ViTMatte over a local file.

Both take minutes the first time in a fresh environment: their foreground colours come from pymatting, whose numba code is
compiled then.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..cancelling import apart
from ..errors import InputError, ModelFilesError
from .networks import has_module, moved, rembg_module

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

    from . import matting

BUILT_IN = "built-in"
CLOSED_FORM = "rembg alpha matting"
VITMATTE = "vitmatte-"  # what the names of its files begin with
SURE, SURELY_NOT, ERODED = 240, 10, 10  # rembg's defaults: levels of the mask, and pixels around its edge
# Pixels. Closed-form matting solves one system for all of them: 0.9 kB of memory for each, 4 GB in all.
LARGEST_PICTURE = 4_000_000


def offered(files: Iterable[str]) -> list[str]:
    """What can be chosen here: `matting.refine`, closed-form matting where pymatting is, and the ViTMatte networks among
    `files` (names without .onnx) where rembg knows them."""
    found = [BUILT_IN]
    if has_module("bg") and importlib.util.find_spec("pymatting"):
        found.append(CLOSED_FORM)
        if has_module("matting"):
            found += [name for name in files if name.startswith(VITMATTE)]
    return found


def closed_form(picture: torch.Tensor, levels: torch.Tensor, mask: torch.Tensor) -> matting.Matte:
    """rembg's alpha matting of `picture` [H, W, 3] in 0..1 (`levels`: the same in uint8) for `mask` [h, w] in 0..1.

    Levin et al., A Closed-Form Solution to Natural Image Matting (2008), on a trimap that rembg makes of the mask. Raises
    InputError for a picture that would fill the memory.
    """
    height, width = picture.shape[:2]
    if height * width > LARGEST_PICTURE:
        raise InputError(
            "image",
            f"{width} x {height} pixels",
            f"at most {LARGEST_PICTURE // 10**6} million pixels for {CLOSED_FORM}; scale it down, or set matting to {BUILT_IN}",
        )
    background = _of(rembg_module("bg"), "alpha_matting_cutout")
    photo, found = _pillow(levels, mask)
    try:
        return _matte(picture, apart(lambda: background(photo, found, SURE, SURELY_NOT, ERODED)))
    except ValueError as error:  # pymatting's, for a mask without sure product or sure background
        raise InputError(
            "matting", CLOSED_FORM, f"a mask with sure product and sure background ({error}); or {BUILT_IN}"
        ) from error


def vitmatte(path: Path, providers: list[Any]) -> Callable[[torch.Tensor, torch.Tensor, torch.Tensor], matting.Matte]:
    """A function like `closed_form` by the ViTMatte network in a file, named as in rembg's releases.

    Raises ModelFilesError for another file, PackageError where rembg has no ViTMatte.
    """
    import onnxruntime

    module, variant = rembg_module("matting"), path.stem.removeprefix(VITMATTE)
    sessions, known = _of(module, "_sessions"), _of(module, "VARIANTS")
    if variant not in known:
        raise ModelFilesError("matting", path.name, "one of: " + ", ".join(f"{VITMATTE}{name}.onnx" for name in known))
    try:
        session = onnxruntime.InferenceSession(str(path), providers=providers)
    except Exception as error:  # onnxruntime's own errors share no other base
        raise ModelFilesError("matting", path.name, f"an ONNX file that onnxruntime can read ({error})") from error

    def matte(picture: torch.Tensor, levels: torch.Tensor, mask: torch.Tensor) -> matting.Matte:
        photo, found = _pillow(levels, mask)
        sessions[variant] = session  # where it would put one that it has downloaded
        try:
            matted = _of(module, "vitmatte_alpha")
            alpha = apart(lambda: matted(photo, found, variant, SURE, SURELY_NOT, ERODED))
        finally:
            del sessions[variant]
        return _matte(picture, _of(rembg_module("bg"), "decontaminate_cutout")(photo, alpha))

    return matte


def _of(module: Any, name: str) -> Any:
    try:
        return getattr(module, name)
    except AttributeError as error:
        raise moved(f"has no {name}") from error


def _pillow(levels: torch.Tensor, mask: torch.Tensor) -> tuple[Image, Image]:
    """The photo, and the mask at its size, as rembg's sessions give it."""
    from PIL import Image

    photo = Image.fromarray(levels.numpy())
    small = Image.fromarray((mask * 255).round().byte().numpy())
    return photo, small.resize(photo.size, Image.Resampling.LANCZOS)


def _matte(picture: torch.Tensor, cutout: Image) -> matting.Matte:
    """Alpha and colours of an RGBA picture; the photo's own where it is all product."""
    import numpy as np
    import torch

    from . import matting

    both = torch.from_numpy(np.array(cutout)).float().mul_(1 / 255)
    alpha = both[..., 3].contiguous()
    return matting.Matte(alpha, torch.where(alpha[..., None] == 1, picture, both[..., :3]))
