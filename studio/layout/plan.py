"""Where the product stands, how large, and where the words go: every sensible pair of boxes is scored, the best taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..canvas import FORMATS, Box, Safe
from ..errors import InputError
from ..images import require_mask, require_picture
from .layout import Layout, parse
from .lettering import LEAST_VEIL, alignment, readable
from .light import estimate_light
from .pairing import Choice, best_pair
from .products import Shape, product_places, shape_of, shared_out
from .reasons import reasons
from .scene import Scene, look_at
from .wishes import AS_PICTURE, EACH, Wishes, margin_edges, safe_edges
from .words import word_places

if TYPE_CHECKING:
    import numpy as np
    import torch

SMALLEST = 32  # pixels a side
MOST = 64  # products, as a layout may hold


def plan_pictures(
    background: torch.Tensor,
    mask: torch.Tensor | None,
    headline: str,
    wishes: Wishes,
    scene_layout: Layout | Mapping[str, Any] | str | None = None,
) -> Layout:
    """`plan` for the first picture of IMAGE [B, H, W, 3] and each product of MASK [P, h, w]."""
    import torch

    first = background[:1] if isinstance(background, torch.Tensor) else background
    pictures = require_picture("background", first).numpy()
    masks = [] if mask is None else list(require_mask("product_mask", mask))
    return plan(pictures[0], masks, headline, wishes, scene_layout)


def plan(
    background: np.ndarray,
    masks: list[np.ndarray],
    headline: str,
    wishes: Wishes,
    scene_layout: Layout | Mapping[str, Any] | str | None = None,
) -> Layout:
    """The layout for a picture [H, W, 3] in 0..1, the products' masks [h, w], and the words.

    `scene_layout`: the layout of a scene from the bank, whose ground and light are known and are not guessed then.

    Without a mask the picture is taken to hold its product already, and only the words are placed. Raises InputError
    for an empty mask, more than 64 of them, a picture of less than 32 pixels, and one that has not the format's shape.
    """
    height, width = background.shape[:2]
    if min(height, width) < SMALLEST:
        raise InputError("background", f"{width}x{height}", f"at least {SMALLEST} pixels on each side")
    if wishes.format != AS_PICTURE:
        size = FORMATS[wishes.format]
        if abs(width / height * size.height / size.width - 1) > 0.02:
            raise InputError(
                "background", f"{width}x{height}", f"the shape of {wishes.format!r}, such as {size.width}x{size.height}"
            )
    if len(masks) > MOST:
        raise InputError("product_mask", f"{len(masks)} masks", f"at most {MOST}")
    shapes = [shape_of(mask, index) for index, mask in enumerate(masks)]
    if shapes and wishes.batch == EACH:  # one box that holds each of them
        shapes = [Shape(max(one.width for one in shapes), max(one.height for one in shapes), shapes[0].foot)]
    scene = look_at(background, subject=not shapes)
    given = None if scene_layout is None else _known_layout(scene_layout, width, height)
    if given is not None and given.known is not None:
        scene = scene._replace(horizon=given.known.horizon, known=given.known)
        if wishes.format == AS_PICTURE:  # a scene has the size of its format
            named = next((name for name, size in FORMATS.items() if size == (width, height)), AS_PICTURE)
            wishes = replace(wishes, format=named)
    free, safe = margin_edges(wishes, width, height), safe_edges(wishes, width, height)
    products = product_places(shapes, scene, width, height, wishes, safe, free)
    words = word_places(scene, headline, width, height, wishes, safe)
    choice = best_pair(products, words, scene, width, height, wishes.vertical)
    layout = _finished(background, choice, shapes, scene, width, height, safe)
    return layout if given is None else replace(layout, light=given.light, known=given.known)


def _known_layout(value: Layout | Mapping[str, Any] | str, width: int, height: int) -> Layout:
    """A scene's layout for a picture of this size. Raises InputError for one that knows no ground."""
    layout = parse(value).on(width, height)
    if layout.known is None:
        raise InputError("scene_layout", "a layout without a known ground", "the layout of Scene, or none")
    return layout


def _finished(
    background: np.ndarray, choice: Choice, shapes: list[Shape], scene: Scene, width: int, height: int, safe: Safe
) -> Layout:
    left, top, right, bottom = (choice.words.boxes * [width, height, width, height]).round().astype(int).tolist()
    text = Box(left, top, max(1, right - left), max(1, bottom - top))
    products = shared_out(choice.products.boxes, shapes, width, height)
    veiled = bool(choice.words.veiled)
    color, scrim, ratio = readable(background[text.y : text.bottom, text.x : text.right], LEAST_VEIL if veiled else 0.0)
    align = alignment(float(choice.words.boxes[0] + choice.words.boxes[2]) / 2)
    ground = products[0].bottom if products else round((scene.horizon or 0.9) * height)
    english, korean = reasons(choice, products, scene, width, color, ratio, scrim)
    light = estimate_light(background)
    return Layout(width, height, products, ground, text, color, align, scrim, light, english, korean, safe)
