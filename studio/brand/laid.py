"""What badge, call to action and logo have in common: a canvas of layers laid on pictures, and colours that can be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from .. import contrast
from ..canvas import Box
from ..images import require_mask, require_picture
from ..layout.drawing import DrawnPart, continued, first
from ..layout.layout import Layout, Light, Overlay
from ..layout.options import AUTO as BY_SHAPE
from ..layout.options import LayoutOptions, frame_of
from ..layout.room import outline_boxes, writable
from ..text.colors import LARGE_TEXT
from ..text.design import AUTO
from ..text.layers import Canvas, blurred, moved_by

if TYPE_CHECKING:
    import numpy as np
    import torch

APART_BY_HAND = 0.12  # of what a person moved, whose colour is not to change while it goes over one thing and another
APART = 0.3  # of the way from black to white, or of a channel: a shape is seen on its ground from here on
SHADOW_OPACITY = 0.22
SHADOW_BLUR, SHADOW_DROP = 0.05, 0.035  # of the shape's height


class LaidPiece(NamedTuple):
    """An overlay by itself."""

    canvas: Canvas
    shadow: np.ndarray | None  # [h, w] under it, as large as the canvas
    box: Box  # that it was drawn for: what a person moves

    def pixels(self) -> np.ndarray:
        """[h, w, 4] in 0..1, straight: the canvas with its shadow."""
        import numpy as np

        shadow = np.zeros_like(self.canvas.alpha) if self.shadow is None else self.shadow
        alpha = self.canvas.alpha + shadow * (1 - self.canvas.alpha)
        rgb = self.canvas.rgb / np.maximum(alpha, 1e-6)
        return np.concatenate([np.moveaxis(rgb, 0, -1), alpha[..., None]], -1).clip(0, 1)


class Laid(NamedTuple):
    """Pictures with an overlay on them."""

    image: torch.Tensor  # IMAGE [B, H, W, 3]
    mask: torch.Tensor  # MASK [B, H, W], the overlay's alpha, its shadow left out
    layout: Layout
    notes: tuple[str, ...]
    piece: LaidPiece


def own_layout(layout: Layout | None, width: int, height: int) -> Layout:
    """The layout for pictures of that size; without one a layout in which words may go anywhere inside the safe area of the
    format that has the picture's shape."""
    if layout is not None:
        return layout.on(width, height)
    safe = frame_of(LayoutOptions(format=BY_SHAPE), width, height).safe
    text = writable(safe, width, height)
    return Layout(width, height, (), height, text, contrast.LIGHT, "center", None, Light(330, 55), safe=safe)


def outline_of(mask: torch.Tensor | None, width: int, height: int) -> list[Box]:
    """Boxes over the products of a MASK as large as the picture; none without one. Raises InputError for another size."""
    from ..errors import InputError

    if mask is None:
        return []
    products = require_mask("product_mask", mask)[0]
    if products.shape != (height, width):
        shown = f"{products.shape[1]}x{products.shape[0]}"
        raise InputError("product_mask", shown, f"the MASK of Place Product, {width}x{height} as the picture")
    return outline_boxes(products)


def pictures_of(image: torch.Tensor) -> torch.Tensor:
    """IMAGE [B, H, W, 3], checked."""
    return require_picture("image", image)


def lay(
    pictures: torch.Tensor,
    piece: LaidPiece,
    alpha: np.ndarray,
    layout: Layout,
    overlay: Overlay,
    notes: tuple[str, ...],
) -> Laid:
    """The piece on every picture over its shadow, with the MASK of `alpha` [h, w] and the layout with this overlay in it."""
    import numpy as np
    import torch

    canvas, shadow = piece.canvas, piece.shadow

    out = np.array(pictures.numpy(), order="C")
    masks = np.zeros(out.shape[:3], np.float32)
    rows = slice(max(0, canvas.top), max(0, min(out.shape[1], canvas.top + canvas.height)))
    columns = slice(max(0, canvas.left), max(0, min(out.shape[2], canvas.left + canvas.width)))
    inner = (
        slice(rows.start - canvas.top, rows.stop - canvas.top),
        slice(columns.start - canvas.left, columns.stop - canvas.left),
    )
    if shadow is not None:
        out[:, rows, columns] *= (1 - shadow[inner])[..., None]
    rest: np.ndarray = 1 - canvas.alpha[inner]
    out[:, rows, columns] = out[:, rows, columns] * rest[..., None] + np.moveaxis(
        canvas.rgb[(slice(None), *inner)], 0, -1
    )
    masks[:, rows, columns] = alpha[inner]
    done = torch.from_numpy(out.clip(0, 1))
    part = _part(overlay.kind, piece, first(done)[rows, columns], inner)
    drawing = continued(layout.drawing, first(pictures)).with_parts((part,), first(done))
    return Laid(done, torch.from_numpy(masks), replace(layout, drawing=drawing).with_overlay(overlay), notes, piece)


def _part(name: str, piece: LaidPiece, after: np.ndarray, inner: tuple[slice, slice]) -> DrawnPart:
    """Canvas and shadow as one part of a drawing; `after`: the picture there now."""
    pixels = piece.pixels()[inner]
    x, y = piece.canvas.left + inner[1].start, piece.canvas.top + inner[0].start
    return DrawnPart(name, x, y, pixels[..., 3], color=pixels[..., :3], after=after)


def shadow_of(mask: np.ndarray, height: float) -> np.ndarray:
    """A soft shadow [h, w] under a shape's mask of that height."""
    soft = blurred(mask, SHADOW_BLUR * height)
    shadow: np.ndarray = moved_by(soft, 0, round(SHADOW_DROP * height)) * SHADOW_OPACITY
    return shadow


def visible_color(palette: Sequence[str], under: np.ndarray, is_by_hand: bool = False) -> str:
    """The first colour of the palette that stands out from the pixels [N, 3] under it; the one that does most, if none
    does enough."""
    import numpy as np

    middle = np.median(under, 0)

    def apart(color: str) -> float:
        return float(np.abs(contrast.rgb_of(color) - middle).max())

    least = APART_BY_HAND if is_by_hand else APART
    return next((color for color in palette if apart(color) >= least), max(palette, key=apart))


def letters_on(fill: str, wished: str, palette: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """The colour of letters on a shape and a note: `wished`, or the first of the palette that reads there as large text
    must, else white or near-black, of which one always does."""
    ground = contrast.rgb_of(fill)[None]
    if wished != AUTO:
        color = contrast.require_color("text_color", wished)
        if contrast.worst_contrast(color, ground) < LARGE_TEXT:
            return color, (f"{color} is hard to read on {fill}: leave text_color at auto",)
        return color, ()
    reading = [color for color in palette if contrast.worst_contrast(color, ground) >= LARGE_TEXT]
    return (reading[0] if reading else contrast.best_color(ground)[0]), ()
