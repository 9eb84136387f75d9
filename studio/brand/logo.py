"""A logo on an advertisement: with its clear space, where its variant for that ground can be seen."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .. import contrast
from ..canvas import LEAST_ALPHA, Box
from ..errors import InputError, require_one_of
from ..images import read_picture, require_mask, require_pixels
from ..layout.layout import LOGO, Layout, Overlay
from ..layout.room import pixels_in
from ..layout.spots import Ask, find_spot
from ..text.design import AUTO
from ..text.layers import Area, Canvas, canvas_around, round_box
from .brand import Brand
from .designs import LOGO_VARIANTS, ON_DARK, LogoDesign
from .laid import Laid, LaidPiece, lay, outline_of, own_layout, pictures_of
from .svg import require_drawable

if TYPE_CHECKING:
    import numpy as np
    import torch

LOGO_SIDE = 0.105  # of the square root of the picture's area: the side of a square as large as the logo
TALLEST_LOGO = 0.16  # of the picture's height
WIDEST_LOGO = 0.34  # of its width
LARGEST_SVG = 2 * 1024 * 1024  # bytes
SVG_PIXELS = 1600  # of the width at which an SVG is drawn
SEEN = 3.0  # contrast; WCAG 2.2, success criterion 1.4.11, for what is no text
BARELY_SEEN = 2.0  # below it a plate comes behind the logo
UNSEEN = 1.2  # what a place costs on which a logo cannot be seen
EDGE_SAMPLES = 400  # of a logo's edge pixels are compared with its ground
PLATE = 0.3  # of the logo's height: what a plate behind it shows around it
# A picture or a shape of another file; and entities, which can spell one.
LINKED = re.compile(
    r"href\s*=\s*[\"']\s*(?!\s|#|data:|https?:)|<(?:[\w.-]+:)?(?:image|use|feImage)\b[^>]{0,4096}?href\s*=\s*[\"']\s*http|<!ENTITY",
    re.IGNORECASE,
)


class LogoPicture(NamedTuple):
    """A logo, cropped to what is not transparent."""

    rgb: np.ndarray  # [h, w, 3] sRGB in 0..1, straight
    alpha: np.ndarray  # [h, w] in 0..1

    @property
    def aspect(self) -> float:
        """Width over height."""
        return self.alpha.shape[1] / self.alpha.shape[0]


def read_logo(path: Path) -> LogoPicture:
    """A logo from its file: PNG, WebP, JPEG, or SVG where resvg-py is installed. Raises InputError."""
    if path.suffix.lower() == ".svg":
        from PIL import Image

        image, alpha = read_picture("logo", Image.open(io.BytesIO(_svg(path))))
    else:
        image, alpha = read_picture("logo", path)
    return _cropped(image[0].numpy(), None if alpha is None else alpha[0].numpy())


def _svg(path: Path) -> bytes:
    """An SVG drawn as a PNG."""
    try:
        import resvg_py
    except ImportError:
        raise InputError(
            "logo", path.name, cure="SVG needs a package: pip install resvg-py, then restart. Or save the logo as PNG."
        ) from None
    if path.stat().st_size > LARGEST_SVG:
        raise InputError("logo", f"{path.name}: {path.stat().st_size} bytes", f"an SVG of at most {LARGEST_SVG}")
    text = path.read_text("utf-8", "replace")
    if LINKED.search(text):
        raise InputError("logo", path.name, "an SVG whose pictures are embedded, not linked")
    require_drawable(path.name, text)
    try:
        return bytes(resvg_py.svg_to_bytes(svg_string=text, width=SVG_PIXELS))
    except (ValueError, RuntimeError) as error:
        raise InputError("logo", path.name, f"an SVG that can be drawn; {error}") from None


def logo_from(image: torch.Tensor, mask: torch.Tensor | None) -> LogoPicture:
    """A logo from IMAGE [1, h, w, 3 or 4] and MASK [1, h, w], 1 = logo. Raises InputError for sizes that differ."""
    pixels = require_pixels("logo", image).numpy()
    if len(pixels) > 1:
        raise InputError("logo", f"{len(pixels)} pictures", "one picture")
    alpha = pixels[0, ..., 3] if pixels.shape[-1] == 4 else None
    if mask is not None:
        alpha = require_mask("logo_mask", mask)[0]
        if alpha.shape != pixels.shape[1:3]:
            raise InputError("logo_mask", f"{alpha.shape[1]}x{alpha.shape[0]}", "a mask as large as the logo")
    return _cropped(pixels[0, ..., :3], alpha)


def _cropped(rgb: np.ndarray, alpha: np.ndarray | None) -> LogoPicture:
    import numpy as np

    if alpha is None:
        return LogoPicture(rgb, np.ones(rgb.shape[:2], np.float32))
    rows, columns = np.flatnonzero((alpha > LEAST_ALPHA).any(1)), np.flatnonzero((alpha > LEAST_ALPHA).any(0))
    if not len(rows):
        raise InputError("logo", "empty", "a logo that is not all transparent (mask: 1 = logo)")
    part: tuple[slice, slice] = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    return LogoPicture(rgb[part], alpha[part])


def brand_logos(brand: Brand) -> tuple[LogoPicture, ...]:
    """Its logos for light and for dark grounds. Raises InputError where it has none."""
    if brand.on_light is None or brand.on_dark is None:
        raise InputError("brand", brand.title, cure="Add a logo to its brand.yaml, or connect `logo`.")
    if brand.on_light == brand.on_dark:
        return (read_logo(brand.on_light),)
    return read_logo(brand.on_light), read_logo(brand.on_dark)


def chosen_logos(brand: Brand | None, image: torch.Tensor | None, mask: torch.Tensor | None) -> tuple[LogoPicture, ...]:
    """The logo that was given, else the brand's. Raises InputError where there is neither."""
    if image is not None:
        return (logo_from(image, mask),)
    if brand is None:
        raise InputError("brand", None, cure="Connect Brand, or connect a picture to `logo`.")
    return brand_logos(brand)


def logo_ask(aspect: float, design: LogoDesign, width: int, height: int) -> Ask:
    """How much room a logo of `aspect` (width over height) takes in a picture of that size."""
    side = LOGO_SIDE * (width * height) ** 0.5
    wide = side * aspect**0.5
    wide = design.size / 100 * width if design.size else min(wide, WIDEST_LOGO * width, TALLEST_LOGO * height * aspect)
    high = wide / aspect
    clear = round(design.clear_space / 100 * high)
    return Ask(LOGO, max(4, round(wide)), max(4, round(high)), clear, design.anchor)


def put_logo(
    image: torch.Tensor,
    logos: tuple[LogoPicture, ...],
    design: LogoDesign,
    layout: Layout | None = None,
    product_mask: torch.Tensor | None = None,
    brand: Brand | None = None,
) -> Laid:
    """A logo (for light grounds; and for dark ones, where there are two) on each picture of IMAGE [B, H, W, 3].

    The place suits the first picture. A plate in the brand's colour comes behind a logo that cannot be seen anywhere.
    """
    require_one_of("variant", design.variant, LOGO_VARIANTS)
    pictures = pictures_of(image)
    height, width = pictures.shape[1:3]
    first = pictures[0].numpy()
    if design.variant != AUTO and len(logos) > 1:
        logos = (logos[design.variant == ON_DARK],)
    edges = [_edge_luminances(logo) for logo in logos]

    def unseen(box: Box) -> float:
        seen = max(_contrast(edge, pixels_in(first, box)) for edge in edges)
        return UNSEEN * max(0.0, 1 - seen / SEEN)

    ask = logo_ask(logos[0].aspect, design, width, height)
    spot = find_spot(ask, first, own_layout(layout, width, height), outline_of(product_mask, width, height), unseen)
    under = pixels_in(first, spot.box)
    ratios = [_contrast(edge, under) for edge in edges]
    chosen = max(range(len(logos)), key=lambda index: ratios[index])
    plate, notes = None, spot.notes
    if ratios[chosen] < BARELY_SEEN:
        plate, chosen = _plate(edges, brand)
        notes = (*notes, "the logo cannot be seen well here: a plate was put behind it")
    canvas, alpha = _drawn(logos[chosen], spot.box, plate)
    margin = ask.clear * spot.box.height // max(1, ask.height)
    overlay = Overlay(LOGO, with_clear_space(spot.box, margin, width, height))
    return lay(pictures, LaidPiece(canvas, None, spot.box), alpha, spot.layout, overlay, notes)


def with_clear_space(box: Box, clear: int, width: int, height: int) -> Box:
    """The box with what stays free around it, inside the picture."""
    x, y = max(0, box.x - clear), max(0, box.y - clear)
    return Box(x, y, min(width, box.right + clear) - x, min(height, box.bottom + clear) - y)


def _edge_luminances(logo: LogoPicture) -> np.ndarray:
    """Luminances of the logo along its outline, which is what its ground must set off; inner parts are set off by itself."""
    import numpy as np

    solid = np.pad(logo.alpha > 0.5, 1)
    inner = solid[:-2, 1:-1] & solid[2:, 1:-1] & solid[1:-1, :-2] & solid[1:-1, 2:]
    edge = logo.rgb[solid[1:-1, 1:-1] & ~inner]
    if not len(edge):
        edge = logo.rgb.reshape(-1, 3)
    return contrast.relative_luminance(edge[:: max(1, len(edge) // EDGE_SAMPLES)])


def _contrast(edge: np.ndarray, under: np.ndarray) -> float:
    """The contrast that three quarters of the outline have on nearly all of their ground."""
    import numpy as np

    ground = np.percentile(contrast.relative_luminance(under), (8, 50, 92))
    worst = contrast.contrast_ratio(edge[:, None], ground[None]).min(1)
    return float(np.percentile(worst, 25))


def _plate(edges: list[np.ndarray], brand: Brand | None) -> tuple[str, int]:
    """A plate's colour and the logo that is seen best on it."""
    colors = (contrast.LIGHT, contrast.DARK) if brand is None else (brand.colors.paper, brand.colors.ink)
    pairs = [(color, index) for color in colors for index in range(len(edges))]

    def seen(pair: tuple[str, int]) -> float:
        return _contrast(edges[pair[1]], contrast.rgb_of(pair[0])[None])

    return next((pair for pair in pairs if seen(pair) >= SEEN), max(pairs, key=seen))


def _drawn(logo: LogoPicture, box: Box, plate: str | None) -> tuple[Canvas, np.ndarray]:
    """The logo at its size on a canvas, on a plate where it has one, and its alpha."""
    import numpy as np
    from PIL import Image

    area = Area(box.x, box.y, box.right, box.bottom)
    padding = PLATE * box.height if plate else 0.0
    canvas = canvas_around(area, padding + 2, None, None)
    if plate:
        canvas.put(round_box(canvas, area, padding, 0.6 * padding).astype(np.float32), plate)
    planes = [logo.rgb[..., channel] * logo.alpha for channel in range(3)]
    small = [
        np.asarray(
            Image.fromarray(plane.astype(np.float32)).resize((box.width, box.height), Image.Resampling.LANCZOS)
        ).clip(0, 1)
        for plane in (*planes, logo.alpha)
    ]
    x, y = box.x - canvas.left, box.y - canvas.top
    here = (slice(y, y + box.height), slice(x, x + box.width))
    alpha: np.ndarray = np.zeros((canvas.height, canvas.width), np.float32)
    alpha[here] = small[3]
    canvas.rgb *= 1 - alpha
    for channel in range(3):
        canvas.rgb[channel][here] += np.minimum(small[channel], small[3])
    canvas.alpha *= 1 - alpha
    canvas.alpha += alpha
    return canvas, np.maximum(alpha, canvas.alpha)
