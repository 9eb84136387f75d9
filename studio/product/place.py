"""A cut-out product on a background: shadowed, in the scene's light, without a halo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from ..cancelling import check_cancel
from ..canvas import Box
from ..errors import InputError
from ..images import require_mask, require_picture
from ..layout.drawing import DrawnPart, continued, first
from . import color, shadow
from .beside import notes_on
from .placement import Placement, light_of, posed, poses_of
from .sprite import Product, Sprite, cut_outs, overlap, sprite_of
from .standing import target_boxes
from .transparency import marks_background

if TYPE_CHECKING:
    import numpy as np
    import torch

    from ..layout.layout import Layout, Light

BACKGROUND_MARKED = (
    "product_mask seems to mark the background, as Load Image's MASK does: connect Invert Mask before it (1 = product)"
)
SOFT_FROM = 1.5  # times: a product enlarged by more looks soft


class Placed(NamedTuple):
    """Products on their background."""

    image: torch.Tensor  # IMAGE [B, H, W, 3]
    mask: torch.Tensor  # MASK [B, H, W], the products' alpha
    shadow: torch.Tensor  # MASK [B, H, W], the shadows' opacity
    layout: Layout  # of the first picture: where the products really stand
    notes: tuple[str, ...] = ()  # sentences for the user


def place(
    background: torch.Tensor,
    product: torch.Tensor,
    mask: torch.Tensor,
    placement: Placement,
    layout: Layout | None = None,
    together: bool = False,
) -> Placed:
    """Products [P, h, w, 3] with mattes [P or 1, h, w] on backgrounds [B, H, W, 3].

    One by one: P and B are equal, or one of them is 1. Together: all of them on every background, side by side or in
    the layout's boxes. Raises InputError for counts and sizes that do not go together, and for an empty matte.
    """
    import numpy as np
    import torch

    scenes = require_picture("background", background)
    backgrounds = scenes.numpy()
    products = cut_outs(product, mask)
    if together:
        jobs = [(index, products) for index in range(len(backgrounds))]
    elif 1 in (len(backgrounds), len(products)) or len(backgrounds) == len(products):
        count = max(len(backgrounds), len(products))
        jobs = [
            (index if len(backgrounds) > 1 else 0, [products[index if len(products) > 1 else 0]])
            for index in range(count)
        ]
    else:
        raise InputError(
            "product", f"{len(products)} products on {len(backgrounds)} backgrounds", "as many, or one of either"
        )
    height, width = backgrounds.shape[1:3]
    layout = None if layout is None else layout.on(width, height)
    done = [_compose(backgrounds[index], group, placement, layout) for index, group in jobs]
    pictures, mattes, shadows, layouts, parts = zip(*done)
    image, matte, dark = (torch.from_numpy(np.stack(part)) for part in (pictures, mattes, shadows))
    notes = []
    if any(marks_background(alpha) for alpha in require_mask("product_mask", mask)):
        notes.append(BACKGROUND_MARKED)
    for (_, group), one in zip(jobs, layouts):
        found = notes_on(one.products[one.placed - len(group) : one.placed], layout, height)
        notes += [note for note in found if note not in notes]
    enlarged = max(_enlargement(group, one) for (_, group), one in zip(jobs, layouts))
    if enlarged > SOFT_FROM:
        notes.append(
            f"the product is {enlarged:.1f} times as large as in its photo and looks soft: take a larger photo"
        )
    known = None if layout is None else layout.drawing
    drawing = continued(known, first(scenes)).with_parts(parts[0], first(image))
    return Placed(image, matte, dark, replace(layouts[0], drawing=drawing), tuple(notes))


def _enlargement(group: Sequence[Product], layout: Layout) -> float:
    """How many times as high as in its photo the most enlarged product of a picture is."""
    boxes = layout.products[layout.placed - len(group) : layout.placed]
    return max(box.height / len(product.alpha) for product, box in zip(group, boxes))


def _compose(
    background: np.ndarray, products: Sequence[Product], placement: Placement, layout: Layout | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, Layout, tuple[DrawnPart, ...]]:
    import numpy as np

    from ..layout.adjusted import adjusted

    height, width = background.shape[:2]
    light = light_of(background, placement, layout)
    boxes = target_boxes(products, placement, layout, width, height)
    out = color.to_linear(background)
    matte = np.zeros((height, width), np.float32)
    dark = np.zeros((height, width), np.float32)
    touched = np.zeros((height, width), bool)
    exact: list[Sprite] = []
    stands = []
    parts: list[DrawnPart] = []
    poses = poses_of(layout, len(products))
    sprites = [sprite_of(p, box, background, posed(placement, pose)) for p, box, pose in zip(products, boxes, poses)]
    in_front = sorted(range(len(sprites)), key=lambda i: (poses[i].front, sprites[i].y + sprites[i].alpha.shape[0]))
    placed_before = 0 if layout is None else layout.placed
    for index in in_front:  # the nearer one stands in front
        sprite = sprites[index]
        own = [*_ground(out, dark, touched, sprite, light, placement), _part(sprite)]
        parts += [part._replace(name=f"{part.name} {placed_before + index + 1}") for part in own]
        here, inner = overlap(sprite.alpha.shape, sprite.x, sprite.y, height, width)
        check_cancel()
        rest: np.ndarray = 1 - sprite.alpha[inner]
        out[here] = out[here] * rest[..., None] + sprite.light[inner]
        matte[here] = matte[here] * rest + sprite.alpha[inner]
        touched[here] |= sprite.alpha[inner] > 0
        exact = [*exact, sprite] if sprite.exact is not None else exact
    picture = np.where(touched[..., None], color.to_srgb(out), background).astype(np.float32)
    if len(exact) == len(sprites) == 1:
        (sprite,) = exact
        here, inner = overlap(sprite.alpha.shape, sprite.x, sprite.y, height, width)
        assert sprite.exact is not None
        solid = sprite.alpha[inner] >= 1
        picture[here][solid] = sprite.exact[inner][solid]
    check_cancel()
    for sprite in sprites:
        stands.append(_clipped(Box(sprite.x, sprite.y, sprite.alpha.shape[1], sprite.alpha.shape[0]), width, height))
    after = adjusted(tuple(stands), light, layout, width, height, picture)
    return picture, matte, dark, after, tuple(parts)


def _ground(
    out: np.ndarray, dark: np.ndarray, touched: np.ndarray, sprite: Sprite, light: Light, placement: Placement
) -> list[DrawnPart]:
    """Reflection and shadow under one product, in place; and as parts."""
    import numpy as np

    if not (placement.reflection or (placement.shadow != shadow.NONE and placement.shadow_opacity)):
        return []
    parts = []
    height, width = out.shape[:2]
    pad = shadow.reach(sprite.alpha.shape[0])
    # The product, and of the picture around it what the shadow can reach.
    tall, wide = sprite.alpha.shape
    left, top = min(0, max(-pad, -sprite.x)), min(0, max(-pad, -sprite.y))
    right, bottom = max(wide, min(wide + pad, width - sprite.x)), max(tall, min(tall + pad, height - sprite.y))
    room = np.zeros((bottom - top, right - left), np.float32)
    inside = (slice(-top, -top + tall), slice(-left, -left + wide))
    room[inside] = sprite.alpha
    here, inner = overlap(room.shape, sprite.x + left, sprite.y + top, height, width)
    check_cancel()
    if placement.reflection:
        strength, base = shadow.reflection(room)
        whole = np.zeros((*room.shape, 3), np.float32)
        whole[inside] = sprite.light
        seen = strength[inner][..., None] * placement.reflection
        check_cancel()
        mirrored = shadow.mirror(whole, base)[inner] / np.maximum(shadow.mirror(room, base)[inner], 1e-3)[..., None]
        check_cancel()
        reflected = np.clip(mirrored, 0, 1) * seen
        check_cancel()
        out[here] = out[here] * (1 - seen) + reflected
        parts.append(DrawnPart("reflection", here[1].start, here[0].start, seen[..., 0], reflected))
        touched[here] |= seen[..., 0] > 0
    kind, softness = placement.shadow, placement.shadow_softness
    check_cancel()
    opacity = shadow.shadow(room, kind, light, softness, placement.shadow_opacity)[inner]
    check_cancel()
    opacity[opacity < 0.5 / 255] = 0
    dyed = color.to_linear(np.asarray(shadow.COLOR, np.float32))
    out[here] = out[here] * (1 - opacity[..., None]) + dyed * opacity[..., None]
    dark[here] = 1 - (1 - dark[here]) * (1 - opacity)
    touched[here] |= opacity > 0
    thrown = dyed * opacity[..., None] if dyed.any() else None
    return [*parts, DrawnPart("shadow", here[1].start, here[0].start, opacity, thrown)]


def _part(sprite: Sprite) -> DrawnPart:
    return DrawnPart("product", sprite.x, sprite.y, sprite.alpha, sprite.light)


def _clipped(box: Box, width: int, height: int) -> Box:
    x, y = max(0, box.x), max(0, box.y)
    return Box(x, y, min(width, box.right) - x, min(height, box.bottom) - y)
