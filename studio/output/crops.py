"""One picture in several advertisement formats: cut where nothing that matters is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..canvas import PROPORTIONS
from ..errors import InputError
from ..layout.layout import Box
from ..layout.scene import look_at

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

BACKDROP_BLUR = 0.04  # of the longer side: nothing of it can be read any more
MARGIN = 1.04  # what must stay does not touch the edge of a crop made for it
MASK_EDGE = 0.1  # what of a mask counts as the thing itself


class Crop(NamedTuple):
    """What is taken of a picture, in its pixels. `sheet` is larger where the format cannot hold all that must stay."""

    box: Box
    sheet: tuple[int, int]  # width, height

    @property
    def extended(self) -> bool:
        return self.sheet != (self.box.width, self.box.height)


def require_formats(names: tuple[str, ...]) -> tuple[str, ...]:
    """Each once. Raises InputError for a name that is not in canvas.FORMATS."""
    for name in names:
        if name not in PROPORTIONS:
            raise InputError("also_formats", name, "names, one a line, of: " + ", ".join(PROPORTIONS))
    return tuple(dict.fromkeys(names))


def label(format: str) -> str:
    """A format's name as a part of a file's: "9:16 story, reel" -> "9x16-story-reel"."""
    return "-".join("".join(c if c.isalnum() or c == "." else " " for c in format.replace(":", "x")).split())


def choose(saliency: np.ndarray, size: tuple[int, int], keep: list[Box], format: str) -> Crop:
    """The largest crop of the format's proportions that holds the boxes of `keep` and most of what catches the eye.

    `saliency` is [h, w] over the picture of `size` (width, height). Where the boxes need more of the picture than the
    format has, the crop is as narrow as they allow, and `sheet` is wider or higher than it.
    """
    import numpy as np

    width, height = size
    proportion = PROPORTIONS[format]
    across = width > height * proportion  # the crop slides along x, else along y
    length = width if across else height
    window = max(1, round(height * proportion if across else width / proportion))
    window = min(window, length)
    spans = [(box.x, box.right) if across else (box.y, box.bottom) for box in keep]
    first = max(0, min((start for start, _ in spans), default=length))
    last = min(length, max((end for _, end in spans), default=0))
    profile = np.interp(
        np.arange(length) + 0.5,
        (np.arange(saliency.shape[1 if across else 0]) + 0.5) * length / saliency.shape[1 if across else 0],
        saliency.mean(0 if across else 1),
    )
    total = np.concatenate([[0], profile.cumsum()])
    extended = last - first > window
    span = min(length, round((last - first) * MARGIN)) if extended else window
    lowest, highest = (max(0, last - span), min(first, length - span)) if spans else (0, length - span)
    starts = np.arange(lowest, highest + 1)
    caught = total[starts + span] - total[starts]
    middle = 1 - np.abs(starts + span / 2 - length / 2) / length
    start = int(starts[np.argmax(caught / max(total[-1], 1e-6) + 0.02 * middle)])
    box = Box(start, 0, span, height) if across else Box(0, start, width, span)
    sheet = (box.width, box.height)
    if extended:
        sheet = (
            (span, max(height, round(span / proportion))) if across else (max(width, round(span * proportion)), span)
        )
    return Crop(box, sheet)


def cut(picture: Image.Image, crop: Crop) -> Image.Image:
    """The crop; where it does not fill its sheet, in the middle of a blurred continuation of itself."""
    from PIL import Image, ImageFilter, ImageOps

    part = picture.crop((crop.box.x, crop.box.y, crop.box.right, crop.box.bottom))
    if not crop.extended:
        return part
    opaque = part.convert("RGB")
    small = (max(1, crop.sheet[0] // 8), max(1, crop.sheet[1] // 8))  # it is blurred anyway
    backdrop = ImageOps.fit(opaque, small).filter(ImageFilter.GaussianBlur(BACKDROP_BLUR * max(small)))
    backdrop = backdrop.resize(crop.sheet, Image.Resampling.BICUBIC).convert(part.mode)
    if part.mode == "RGBA":  # a cut-out stays one: what is added is transparent
        backdrop = Image.new("RGBA", crop.sheet, (0, 0, 0, 0))
    backdrop.paste(part, ((crop.sheet[0] - part.width) // 2, (crop.sheet[1] - part.height) // 2))
    return backdrop


def saliency_of(picture: Image.Image) -> np.ndarray:
    """[h, w] in 0..1, what catches the eye; what is transparent does not."""
    import numpy as np

    seen = look_at(np.asarray(picture.convert("RGB"), np.float32) / 255, subject=True).saliency
    if picture.mode == "RGBA":
        alpha = picture.getchannel("A").resize(seen.shape[::-1])
        seen = seen * np.asarray(alpha, np.float32) / 255
    return seen


def mask_box(mask: np.ndarray) -> Box | None:
    """The box around what a mask [H, W] covers; None where that is nothing."""
    rows, columns = (mask > MASK_EDGE).any(1).nonzero()[0], (mask > MASK_EDGE).any(0).nonzero()[0]
    if not len(rows):
        return None
    return Box(int(columns[0]), int(rows[0]), int(columns[-1] - columns[0]) + 1, int(rows[-1] - rows[0]) + 1)
