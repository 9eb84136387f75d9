"""A cut-out product on a background: sized, rotated, shadowed, in the scene's light, without a halo."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ..canvas import ANCHORS, LEAST_ALPHA, Box, Size, anchor_shares, cut_sides
from ..errors import InputError, require_fields
from ..images import require_colors, require_mask, require_one_each, require_picture
from . import color, shadow
from .beside import in_lane, lanes_beside, notes_on
from .transparency import marks_background

if TYPE_CHECKING:
    import numpy as np
    import torch

    from ..layout.layout import Layout, Light

AUTO = "auto"
OF_PICTURE, OF_PHOTO = "% of the picture", "% of the photo's own pixels"
LIGHTS = {  # the azimuth of Light
    "from the layout or the picture": None,
    "top left": 315.0,
    "top": 0.0,
    "top right": 45.0,
    "left": 270.0,
    "right": 90.0,
    "front left": 225.0,
    "front right": 135.0,
}
BACKGROUND_MARKED = (
    "product_mask seems to mark the background, as Load Image's MASK does: connect Invert Mask before it (1 = product)"
)


@dataclass(frozen=True)
class Placement:
    """The inputs of Place Product that are no pictures. Raises InputError for what is none of its choices or out of
    range.
    """

    anchor: str = AUTO  # auto: the layout's box, else bottom center; or one of ANCHORS
    scale: float = 0.0  # %; 0: the layout's box, else 60 % of the picture
    scale_of: str = OF_PICTURE
    offset_x: float = 0.0  # % of the picture, to the right
    offset_y: float = 0.0  # downwards
    rotation: float = 0.0  # degrees, counter-clockwise
    flip: bool = False
    shadow: str = shadow.BOTH
    shadow_opacity: float = 0.6
    shadow_softness: float = 0.5
    light: str = next(iter(LIGHTS))
    light_height: float = 0.0  # degrees above the ground; 0: the layout's, else the picture's
    reflection: float = 0.0  # opacity
    color_match: float = 0.4

    def __post_init__(self) -> None:
        choices = {
            "anchor": (AUTO, *ANCHORS),
            "scale_of": (OF_PICTURE, OF_PHOTO),
            "shadow": shadow.SHADOW_KINDS,
            "light": tuple(LIGHTS),
        }
        require_fields(self, choices, RANGES)


RANGES: dict[str, tuple[float, float]] = {
    "scale": (0, 1000),
    "offset_x": (-100, 100),
    "offset_y": (-100, 100),
    "rotation": (-360, 360),
    "shadow_opacity": (0, 1),
    "shadow_softness": (0, 1),
    "light_height": (0, 90),
    "reflection": (0, 1),
    "color_match": (0, 1),
}

SOFT_FROM = 1.5  # times: a product enlarged by more looks soft


class Placed(NamedTuple):
    """Products on their background."""

    image: torch.Tensor  # IMAGE [B, H, W, 3]
    mask: torch.Tensor  # MASK [B, H, W], the products' alpha
    shadow: torch.Tensor  # MASK [B, H, W], the shadows' opacity
    layout: Layout  # of the first picture: where the products really stand
    notes: tuple[str, ...] = ()  # sentences for the user


class Product(NamedTuple):
    """A cut-out, cropped to its matte."""

    rgb: np.ndarray  # [h, w, 3] sRGB in 0..1, straight
    alpha: np.ndarray  # [h, w] in 0..1
    cut: frozenset[str] = (
        frozenset()
    )  # sides at which its photo cuts it off: flush with the frame where nobody asks otherwise


class _Sprite(NamedTuple):
    """A product at its final size, in linear light and premultiplied, and where its corner stands in the picture."""

    light: np.ndarray  # [h, w, 3]
    alpha: np.ndarray  # [h, w]
    x: int
    y: int
    exact: np.ndarray | None  # [h, w, 3] sRGB, where nothing was resampled or recoloured


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

    backgrounds = require_picture("background", background).numpy()
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
    pictures, mattes, shadows, layouts = zip(*done)
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
    return Placed(image, matte, dark, layouts[0], tuple(notes))


def _enlargement(group: Sequence[Product], layout: Layout) -> float:
    """How many times as high as in its photo the most enlarged product of a picture is."""
    boxes = layout.products[layout.placed - len(group) : layout.placed]
    return max(box.height / len(product.alpha) for product, box in zip(group, boxes))


def cut_outs(product: torch.Tensor, mask: torch.Tensor) -> list[Product]:
    """Products with their mattes, each cropped to what is not transparent. Raises InputError where they do not match."""
    import numpy as np

    pictures = require_colors("product", product).numpy()
    mattes = require_mask("product_mask", mask)
    count, height, width = pictures.shape[:3]
    require_one_each("product_mask", mattes, count, width, height, "product")
    products = []
    for index, picture in enumerate(pictures):
        alpha = mattes[index if len(mattes) > 1 else 0]
        rows, columns = np.flatnonzero((alpha > LEAST_ALPHA).any(1)), np.flatnonzero((alpha > LEAST_ALPHA).any(0))
        if not len(rows):
            raise InputError("product_mask", f"empty (picture {index})", "a mask with a product in it (1 = product)")
        part: tuple[slice, slice] = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        products.append(Product(picture[part], alpha[part], cut_sides(alpha)))
    return products


def _compose(
    background: np.ndarray, products: Sequence[Product], placement: Placement, layout: Layout | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, Layout]:
    import numpy as np

    from ..layout.adjusted import adjusted

    height, width = background.shape[:2]
    light = _light(background, placement, layout)
    boxes = target_boxes(products, placement, layout, width, height)
    out = color.to_linear(background)
    matte = np.zeros((height, width), np.float32)
    dark = np.zeros((height, width), np.float32)
    touched = np.zeros((height, width), bool)
    exact: list[_Sprite] = []
    stands = []
    sprites = [_sprite(p, box, background, placement) for p, box in zip(products, boxes)]
    for sprite in sorted(sprites, key=lambda s: s.y + s.alpha.shape[0]):  # the nearer one stands in front
        _ground(out, dark, touched, sprite, light, placement)
        here, inner = _overlap(sprite.alpha.shape, sprite.x, sprite.y, height, width)
        rest: np.ndarray = 1 - sprite.alpha[inner]
        out[here] = out[here] * rest[..., None] + sprite.light[inner]
        matte[here] = matte[here] * rest + sprite.alpha[inner]
        touched[here] |= sprite.alpha[inner] > 0
        exact = [*exact, sprite] if sprite.exact is not None else exact
    picture = np.where(touched[..., None], color.to_srgb(out), background).astype(np.float32)
    if len(exact) == len(sprites) == 1:
        (sprite,) = exact
        here, inner = _overlap(sprite.alpha.shape, sprite.x, sprite.y, height, width)
        assert sprite.exact is not None
        solid = sprite.alpha[inner] >= 1
        picture[here][solid] = sprite.exact[inner][solid]
    for sprite in sprites:
        stands.append(_clipped(Box(sprite.x, sprite.y, sprite.alpha.shape[1], sprite.alpha.shape[0]), width, height))
    return picture, matte, dark, adjusted(tuple(stands), light, layout, width, height, picture)


def _light(background: np.ndarray, placement: Placement, layout: Layout | None) -> Light:
    from ..layout.layout import Light
    from ..layout.light import estimate_light

    found = layout.light if layout is not None else estimate_light(background)
    azimuth = LIGHTS[placement.light]
    return Light(found.azimuth if azimuth is None else azimuth, placement.light_height or found.elevation)


def target_boxes(
    products: Sequence[Product], placement: Placement, layout: Layout | None, width: int, height: int
) -> list[Box]:
    """Where each product (after its rotation) stands. Larger than the picture shrinks to fit.

    A product that its photo cuts off ends at the frame there, unless an anchor, a rotation or an offset says otherwise.
    """
    sizes = [_rotated_size(product.alpha.shape, placement.rotation) for product in products]
    rest = () if layout is None else layout.products[layout.placed :]  # those before stand already
    planned = bool(rest) and placement.anchor == AUTO
    if planned and len(rest) < len(products):
        raise InputError("layout", f"{len(rest)} product boxes", f"a plan for {len(products)} products")
    is_later = layout is not None and bool(layout.placed) and not rest and placement.anchor == AUTO
    lanes = lanes_beside(layout, sizes, width, height) if layout is not None and is_later else []
    share = 1 / len(products)  # of the picture's width, where no layout gives each its box
    percent = (placement.scale or 60) / 100
    # One for all: photos are taken to be of one scale, as a plan takes them.
    alike = min(
        min(width * share * percent / wide, height * percent / high, width * share / wide, height / high)
        for wide, high in sizes
    )
    boxes = []
    for index, (wide, high) in enumerate(sizes):
        own = min(placement.scale / 100, width / wide, height / high) if placement.scale_of == OF_PHOTO else alike
        if layout is not None and lanes:
            box = in_lane(lanes[index], (wide, high), own if placement.scale else 0.0, layout)
        elif layout is not None and planned:
            cut = layout.cut_of(layout.placed + index) if placement.rotation % 360 == 0 else frozenset()
            box = _in_box(rest[index], wide, high, own if placement.scale else 0.0, cut, Size(width, height))
            if placement.flip and len(cut & {"left", "right"}) == 1:
                box = box._replace(x=width - box.right)
        else:
            factor = own if placement.scale else alike
            size = Size(max(1, round(wide * factor)), max(1, round(high * factor)))
            box = _at_anchor(placement, size, width * share * index, Size(round(width * share), height))
            if placement.anchor == AUTO and placement.rotation % 360 == 0:
                box = _flush(box, _mirrored(products[index].cut, placement.flip), width, height)
        x, y = box.x + width * placement.offset_x / 100, box.y + height * placement.offset_y / 100
        boxes.append(box._replace(x=round(x), y=round(y)))
    for box in boxes:
        if box.x >= width or box.y >= height or box.right <= 0 or box.bottom <= 0:
            raise InputError(
                "offset_x, offset_y",
                (placement.offset_x, placement.offset_y),
                "an offset that leaves the product in sight",
            )
    return boxes


def _in_box(box: Box, wide: float, high: float, scale: float, cut: frozenset[str], size: Size) -> Box:
    """A product of `wide` x `high` pixels in its planned box: as large as that, or `scale` times itself; on its ground, in
    its middle, and at its edges on the sides at which the product's photo cut it off."""
    factors = (box.width / wide, box.height / high)
    factor = scale or (
        factors[0] if {"left", "right"} <= cut else factors[1] if {"top", "bottom"} <= cut else min(factors)
    )
    w, h = max(1, round(wide * factor)), max(1, round(high * factor))
    x, y = box.x + (box.width - w) / 2, float(box.bottom - h)
    if "left" in cut:
        x = float(box.x)
    elif "right" in cut:
        x = float(box.right - w)
    if "top" in cut and "bottom" not in cut:
        y = float(box.y)
    # A size of one's own may be larger than the box: it stays in the picture as far as the box lies in it.
    x = min(max(x, min(0, box.x)), max(size.width, box.right) - w)
    y = max(y, min(0, box.y))
    return Box(round(x), round(y), w, h)


def _at_anchor(placement: Placement, size: Size, left: float, lane: Size) -> Box:
    """A product of `size` in its lane of the picture, which begins at `left`."""
    across, down = anchor_shares("bottom center" if placement.anchor == AUTO else placement.anchor)
    x, y = left + (lane.width - size.width) * across, (lane.height - size.height) * down
    if placement.anchor == AUTO:
        y -= min(y, lane.height * 0.08)  # the ground in front of it
    return Box(round(x), round(y), size.width, size.height)


def _flush(box: Box, cut: frozenset[str], width: int, height: int) -> Box:
    """The box moved to the frame at the sides of `cut`, where it is not two that face each other."""
    if "bottom" in cut and "top" not in cut:
        box = box._replace(y=height - box.height)
    elif "top" in cut and "bottom" not in cut:
        box = box._replace(y=0)
    if "left" in cut and "right" not in cut:
        box = box._replace(x=0)
    elif "right" in cut and "left" not in cut:
        box = box._replace(x=width - box.width)
    return box


def _mirrored(cut: frozenset[str], flip: bool) -> frozenset[str]:
    return frozenset({"left": "right", "right": "left"}.get(side, side) for side in cut) if flip else cut


def _rotated_size(shape: tuple[int, ...], degrees: float) -> tuple[float, float]:
    turn = math.radians(degrees)
    c, s = abs(math.cos(turn)), abs(math.sin(turn))
    return shape[1] * c + shape[0] * s, shape[1] * s + shape[0] * c


def _sprite(product: Product, box: Box, background: np.ndarray, placement: Placement) -> _Sprite:
    """The product resampled premultiplied, in linear light: colours of transparent pixels never bleed in."""
    import numpy as np

    rgb, alpha, _ = product
    if placement.flip:
        rgb, alpha = rgb[:, ::-1], alpha[:, ::-1]
    part, _ = _overlap(alpha.shape, box.x, box.y, *background.shape[:2])
    scene = background[_grown(part, box, background.shape)]
    matched = color.match_light(rgb, alpha, scene, placement.color_match)
    light = color.to_linear(matched) * alpha[..., None]
    same = abs(placement.rotation) % 360 < 1e-6 and alpha.shape == (box.height, box.width)
    if same:
        exact = rgb if placement.color_match == 0 else None
        return _Sprite(np.ascontiguousarray(light), np.ascontiguousarray(alpha), box.x, box.y, exact)
    planes = [_resampled(plane, box, placement.rotation) for plane in (*np.moveaxis(light, -1, 0), alpha)]
    alpha = np.clip(planes[3], 0, 1)
    # Lanczos overshoots at an edge, colour and alpha alike: what alpha loses by clipping, colour loses too.
    kept = alpha / np.maximum(planes[3], 1e-6)
    light = np.clip(np.stack(planes[:3], -1) * kept[..., None], 0, alpha[..., None])
    return _Sprite(light, alpha, box.x, box.y, None)


def _grown(part: tuple[slice, slice], box: Box, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """The scene around a box, half of its size to each side: what lights the product."""
    rows, columns = part
    return (
        slice(max(0, rows.start - box.height // 2), min(shape[0], rows.stop + box.height // 2)),
        slice(max(0, columns.start - box.width // 2), min(shape[1], columns.stop + box.width // 2)),
    )


def _resampled(plane: np.ndarray, box: Box, rotation: float) -> np.ndarray:
    """Turned, then Lanczos to the box's size, with area averaging when it shrinks."""
    import numpy as np
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(plane, np.float32))
    if abs(rotation) % 360 > 1e-6:
        picture = picture.rotate(rotation, Image.Resampling.BICUBIC, expand=True)
    return np.asarray(picture.resize((box.width, box.height), Image.Resampling.LANCZOS), np.float32)


def _overlap(
    shape: tuple[int, ...], x: int, y: int, height: int, width: int
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """What a piece at (x, y) covers of the picture, and which part of the piece that is."""
    rows = slice(max(0, y), max(0, min(height, y + shape[0])))
    columns = slice(max(0, x), max(0, min(width, x + shape[1])))
    return (rows, columns), (slice(rows.start - y, rows.stop - y), slice(columns.start - x, columns.stop - x))


def _ground(
    out: np.ndarray, dark: np.ndarray, touched: np.ndarray, sprite: _Sprite, light: Light, placement: Placement
) -> None:
    """Reflection and shadow under one product, in place."""
    import numpy as np

    if not (placement.reflection or (placement.shadow != shadow.NONE and placement.shadow_opacity)):
        return
    height, width = out.shape[:2]
    pad = shadow.reach(sprite.alpha.shape[0])
    # The product, and of the picture around it what the shadow can reach.
    tall, wide = sprite.alpha.shape
    left, top = min(0, max(-pad, -sprite.x)), min(0, max(-pad, -sprite.y))
    right, bottom = max(wide, min(wide + pad, width - sprite.x)), max(tall, min(tall + pad, height - sprite.y))
    room = np.zeros((bottom - top, right - left), np.float32)
    inside = (slice(-top, -top + tall), slice(-left, -left + wide))
    room[inside] = sprite.alpha
    here, inner = _overlap(room.shape, sprite.x + left, sprite.y + top, height, width)
    if placement.reflection:
        strength, base = shadow.reflection(room)
        whole = np.zeros((*room.shape, 3), np.float32)
        whole[inside] = sprite.light
        seen = strength[inner][..., None] * placement.reflection
        mirrored = shadow.mirror(whole, base)[inner] / np.maximum(shadow.mirror(room, base)[inner], 1e-3)[..., None]
        out[here] = out[here] * (1 - seen) + np.clip(mirrored, 0, 1) * seen
        touched[here] |= seen[..., 0] > 0
    kind, softness = placement.shadow, placement.shadow_softness
    opacity = shadow.shadow(room, kind, light, softness, placement.shadow_opacity)[inner]
    opacity[opacity < 0.5 / 255] = 0
    out[here] *= 1 - opacity[..., None]
    dark[here] = 1 - (1 - dark[here]) * (1 - opacity)
    touched[here] |= opacity > 0


def _clipped(box: Box, width: int, height: int) -> Box:
    x, y = max(0, box.x), max(0, box.y)
    return Box(x, y, min(width, box.right) - x, min(height, box.bottom) - y)
