"""Colour profiles of picture files: everything becomes sRGB, by LittleCMS as Pillow brings it."""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image, ImageCms

log = logging.getLogger(__name__)

MODES = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK"}  # Pillow's mode for the colour space of a profile
SAMPLES = 6  # of each channel: colours by which a profile is compared with sRGB
SAME = 1  # level of 255; a profile that is no farther from sRGB changes nothing


def to_srgb(picture: Image.Image) -> Image.Image:
    """A picture in the colours of its embedded ICC profile -> the same in sRGB, its transparency kept.

    Relative colorimetric with black point compensation. Without a profile, with that of sRGB, and in 16 bits of grey the
    picture is returned as it is. So it is, with a warning in the log, where its profile is broken or of another colour
    space, as browsers do.
    """
    data = picture.info.get("icc_profile")
    if picture.mode == "LAB":
        return _from_lab(picture)
    if not data or picture.mode.startswith(("I", "F")):
        return picture
    from PIL import ImageCms

    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        mode = MODES[profile.profile.xcolor_space.strip()]
        if (mode == "CMYK") != (picture.mode == "CMYK"):
            raise ValueError(f"a profile of {mode} in a picture of {picture.mode}")
        transform = _transform(profile, mode)
        return picture if mode == "RGB" and _is_srgb(transform) else _converted(picture, transform, mode)
    except (ImageCms.PyCMSError, OSError, KeyError, ValueError) as error:
        log.warning("Storefront: a picture's colour profile is left out, since it cannot be read (%s)", error)
        return picture


def _transform(profile: ImageCms.ImageCmsProfile, mode: str) -> ImageCms.ImageCmsTransform:
    from PIL import ImageCms

    return ImageCms.buildTransform(
        profile,
        ImageCms.createProfile("sRGB"),
        mode,
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )


def _is_srgb(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether a transform from RGB leaves all colours where they are, give or take rounding."""
    import numpy as np
    from PIL import Image

    steps = np.linspace(0, 255, SAMPLES).astype(np.uint8)
    colors = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(1, -1, 3)
    found = np.asarray(transform.apply(Image.fromarray(colors)), np.int16)
    return bool(np.abs(found - colors).max() <= SAME)


def _converted(picture: Image.Image, transform: ImageCms.ImageCmsTransform, mode: str) -> Image.Image:
    alpha = picture.convert("RGBA").getchannel("A") if picture.has_transparency_data else None
    colors = picture if picture.mode == mode else picture.convert("RGB" if mode == "RGB" else mode)
    converted = transform.apply(colors)
    if alpha is not None:
        converted.putalpha(alpha)
    return converted


def _from_lab(picture: Image.Image) -> Image.Image:
    from PIL import ImageCms

    return ImageCms.profileToProfile(
        picture, ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), outputMode="RGB"
    )
