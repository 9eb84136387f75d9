"""One picture in several advertisement formats: cut where nothing that matters is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..canvas import PROPORTIONS, Box
from ..errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

EDGE_STRIP, EDGE_BLUR = 0.02, 0.03  # of the shorter side
CROP_MARGIN = 1.04  # what must stay does not touch the edge of a crop made for it
MASK_EDGE = 0.1  # what of a mask counts as the thing itself


class Crop(NamedTuple):
    """What is taken of a picture, in its pixels. `sheet` is larger where the format cannot hold all that must stay."""

    box: Box
    sheet: tuple[int, int]  # width, height

    @property
    def extended(self) -> bool:
        """Whether edges are drawn out, because no crop holds all that must stay."""
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


def choose(seen: np.ndarray, faces: list[Box], size: tuple[int, int], keep: list[Box], format: str) -> Crop:
    """The largest crop of the format's proportions that holds the boxes of `keep` and most of what catches the eye.

    `seen` is [h, w] over the picture of `size` (width, height); `faces` stay whole if all of them can. Where `keep`
    needs more of the picture than the format has, the crop is what it needs, and `sheet` is wider or higher than that.
    """
    import numpy as np

    width, height = size
    proportion = PROPORTIONS[format]
    across = width > height * proportion  # the crop slides along x, else along y
    length = width if across else height
    window = min(length, max(1, round(height * proportion if across else width / proportion)))

    def span_of(boxes: list[Box]) -> tuple[int, int]:
        """Where they begin and end, along the way that the crop slides."""
        sides = [(box.x, box.right) if across else (box.y, box.bottom) for box in boxes]
        return max(0, min(start for start, _ in sides)), min(length, max(end for _, end in sides))

    held = [*keep, *faces]
    if held and np.ptp(span_of(held)) > window:
        held = keep
    first, last = span_of(held) if held else (length, 0)
    extended = last - first > window
    span = min(length, round((last - first) * CROP_MARGIN)) if extended else window
    lowest, highest = (max(0, last - span), min(first, length - span)) if held else (0, length - span)
    profile = seen.mean(0 if across else 1)
    total = np.interp(np.linspace(0, len(profile), length + 1), np.arange(len(profile) + 1), [0, *profile.cumsum()])
    starts = np.arange(lowest, highest + 1)
    caught = (total[starts + span] - total[starts]) / max(float(total[-1]), 1e-6)
    off_middle = np.abs(starts + span / 2 - length / 2) / length
    start = int(starts[np.argmax(caught - 0.02 * off_middle)])
    if across:
        box, sheet = Box(start, 0, span, height), (span, max(height, round(span / proportion)))
    else:
        box, sheet = Box(0, start, width, span), (max(width, round(span * proportion)), span)
    return Crop(box, sheet if extended else (box.width, box.height))


def cut(picture: Image.Image, crop: Crop) -> Image.Image:
    """The crop; where it does not fill its sheet, in the middle of it, its edges drawn out and blurred."""
    import numpy as np
    from PIL import Image, ImageFilter

    part = picture.crop((crop.box.x, crop.box.y, crop.box.right, crop.box.bottom))
    if not crop.extended:
        return part
    left, top = (crop.sheet[0] - part.width) // 2, (crop.sheet[1] - part.height) // 2
    if part.mode == "RGBA":  # a cut-out stays one
        ground = Image.new("RGBA", crop.sheet, (0, 0, 0, 0))
    else:
        # What repeats is the mean of a strip, not the last row of pixels, whose grain would become stripes.
        pixels = np.asarray(part, np.float32)
        strip = max(1, round(EDGE_STRIP * min(part.size)))
        drawn: np.ndarray = np.empty((crop.sheet[1], crop.sheet[0], 3), np.float32)
        if top:
            drawn[: top + part.height // 2], drawn[top + part.height // 2 :] = (
                pixels[:strip].mean(0),
                pixels[-strip:].mean(0),
            )
        else:
            middle = left + part.width // 2
            drawn[:, :middle] = pixels[:, :strip].mean(1)[:, None]
            drawn[:, middle:] = pixels[:, -strip:].mean(1)[:, None]
        ground = Image.fromarray(drawn.round().astype(np.uint8))
        ground = ground.filter(ImageFilter.GaussianBlur(EDGE_BLUR * min(part.size)))
    ground.paste(part, (left, top))
    return ground


def saliency_and_faces(picture: Image.Image) -> tuple[np.ndarray, list[Box]]:
    """What catches the eye, [h, w] in 0..1, and the boxes of faces. What is transparent catches none."""
    import numpy as np

    from ..layout.analysis import analyse

    scene = analyse(np.asarray(picture.convert("RGB"), np.float32) / 255, subject=True)
    seen = scene.saliency
    if picture.mode == "RGBA":
        alpha = picture.getchannel("A").resize(seen.shape[::-1])
        seen = seen * np.asarray(alpha, np.float32) / 255
    corners = (scene.faces * [*picture.size, *picture.size]).round().astype(int)
    return seen, [Box(int(x), int(y), int(right - x), int(bottom - y)) for x, y, right, bottom in corners]


def mask_box(mask: np.ndarray) -> Box | None:
    """The box around what a mask [H, W] covers; None where that is nothing."""
    rows, columns = (mask > MASK_EDGE).any(1).nonzero()[0], (mask > MASK_EDGE).any(0).nonzero()[0]
    if not len(rows):
        return None
    return Box(int(columns[0]), int(rows[0]), int(columns[-1] - columns[0]) + 1, int(rows[-1] - rows[0]) + 1)
