"""Products on backgrounds: pixels kept, no halo, shadows where they belong, colours that stay."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from storefront.studio import canvas, contrast
from storefront.studio.canvas import Box, Safe
from storefront.studio.errors import InputError
from storefront.studio.layout.layout import Layout, Light
from storefront.studio.layout.light import STUDIO, estimate_light
from storefront.studio.product import color, pieces, place, shadow
from storefront.studio.product.placement import OF_PHOTO, Placement
from storefront.studio.product.sprite import cut_outs

BARE = Placement(shadow="none", color_match=0)


def ground(level: float = 0.5, width: int = 200, height: int = 160, count: int = 1) -> torch.Tensor:
    return torch.full((count, height, width, 3), level)


def block(rgb=(0.8, 0.1, 0.1), width: int = 40, height: int = 60, edge: int = 10, count: int = 1):
    """A solid box on a photo with another, garish background, and its matte."""
    picture = torch.zeros(count, height + 2 * edge, width + 2 * edge, 3)
    picture[...] = torch.tensor([0.0, 1.0, 0.0])
    matte = torch.zeros(count, height + 2 * edge, width + 2 * edge)
    picture[:, edge:-edge, edge:-edge] = torch.tensor(rgb)
    matte[:, edge:-edge, edge:-edge] = 1
    return picture, matte


def disc(side: int = 120):
    """A disc with a soft edge over green, the green still in the transparent pixels."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    distance = ((x - side / 2) ** 2 + (y - side / 2) ** 2).sqrt()
    alpha = (side * 0.4 - distance + 0.5).clamp(0, 1)
    picture = torch.where(alpha[..., None] > 0, torch.tensor([0.9, 0.2, 0.1]), torch.tensor([0.0, 1.0, 0.0]))
    return picture[None], alpha[None]


def test_at_its_own_size_every_solid_pixel_is_the_photo_s():
    product, matte = block()
    product[:, 10:-10, 10:-10] = torch.rand(1, 60, 40, 3, generator=torch.Generator().manual_seed(0))
    options = Placement(scale=100, scale_of=OF_PHOTO, shadow="contact", color_match=0, anchor="center")
    out = place.place(ground(), product, matte, options)
    box = out.layout.products[0]
    assert (box.width, box.height) == (40, 60)
    assert (out.image[0, box.y : box.bottom, box.x : box.right] == product[0, 10:-10, 10:-10]).all()


def test_what_is_not_touched_is_the_background_exactly():
    background = torch.rand(1, 160, 200, 3, generator=torch.Generator().manual_seed(1))
    out = place.place(background, *block(), Placement())
    untouched = (out.mask == 0) & (out.shadow == 0)
    assert untouched.float().mean() > 0.3
    assert (out.image[untouched] == background[untouched]).all()


@pytest.mark.parametrize("scale", [15, 43, 90])
@pytest.mark.parametrize("rotation", [0, 30])
def test_no_halo(scale, rotation):
    """Nothing of the photo's green background shows at the edge, and nothing is brighter or darker than its parts."""
    out = place.place(
        ground(0.5), *disc(), Placement(scale=scale, rotation=rotation, shadow="none", color_match=0, anchor="center")
    )
    low = torch.tensor([0.5, 0.2, 0.1]) - 0.004
    high = torch.tensor([0.9, 0.5, 0.5]) + 0.004
    assert (out.image >= low).all()
    assert (out.image <= high).all()


def test_half_covered_pixels_are_mixed_in_linear_light():
    product, matte = block((1.0, 1.0, 1.0))
    matte *= 0.5
    out = place.place(
        ground(0.0), product, matte, Placement(scale=100, scale_of=OF_PHOTO, shadow="none", color_match=0)
    )
    inside = out.image[out.mask > 0.4]
    assert torch.allclose(inside, torch.tensor(float(color.to_srgb(np.array(0.5)))), atol=1e-3)


@pytest.mark.parametrize("anchor", canvas.ANCHORS)
def test_anchors(anchor):
    box = place.place(ground(), *block(), Placement(anchor=anchor, scale=30, shadow="none")).layout.products[0]
    if "left" in anchor:
        assert box.x == 0
    if "right" in anchor:
        assert box.right == 200
    if "top" in anchor:
        assert box.y == 0
    if "bottom" in anchor:
        assert box.bottom == 160
    assert box.height == 48


def test_offset_flip_and_scale():
    box = place.place(
        ground(), *block(), Placement(anchor="top left", scale=30, offset_x=10, offset_y=20)
    ).layout.products
    assert box[0][:2] == (20, 32)
    product, matte = block()
    product[:, 10:-10, 10:30] = torch.tensor([0.0, 0.0, 1.0])
    flipped = place.place(ground(), product, matte, Placement(flip=True, shadow="none", color_match=0))
    box = flipped.layout.products[0]
    assert flipped.image[0, box.y + 20, box.right - 3, 2] > 0.9


def test_larger_than_the_background_shrinks_to_fit():
    box = place.place(ground(width=64, height=48), *block(), Placement(scale=1000)).layout.products[0]
    assert box.height == 48
    own = place.place(ground(width=30, height=30), *block(), Placement(scale=100, scale_of=OF_PHOTO)).layout.products[0]
    assert own.height == 30


def test_the_layout_s_box_is_taken_from_the_ground_up():
    plan = Layout(200, 160, (Box(20, 30, 100, 90),), 120, Box(0, 0, 50, 20), "#ffffff", "left", None, Light(0, 45))
    out = place.place(ground(), *block(), BARE, plan)
    box = out.layout.products[0]
    assert (box.bottom, box.height) == (120, 90)
    assert abs(box.x + box.width / 2 - 70) <= 1
    assert out.layout.text == plan.text
    with pytest.raises(InputError, match="layout"):
        place.place(ground(width=160, height=200), *block(), BARE, plan)
    with pytest.raises(InputError, match="1 product boxes"):
        place.place(ground(), *block(count=2), BARE, plan, together=True)


@pytest.mark.parametrize("x", [5, 155])
def test_a_size_of_one_s_own_stays_in_the_picture(x):
    """A planned box near an edge leaves a larger product no room on that side; a box that is edited to cross it may."""
    plan = Layout(200, 160, (Box(x, 30, 40, 60),), 90, Box(60, 100, 80, 20), "#ffffff", "left", None, Light(0, 45))
    (box,) = place.place(ground(), *block(), dataclasses.replace(BARE, scale=80), plan).layout.products
    assert (box.width, box.height) == (85, 128)
    assert (box.x, box.y) == (0 if x == 5 else 115, 0)
    cut = dataclasses.replace(plan, products=(Box(-20, 30, 40, 60),))
    (box,) = place.place(ground(), *block(), BARE, cut).layout.products
    assert (box.x, box.right) == (0, 20)


def test_without_a_layout_the_words_get_a_band_without_products():
    text = place.place(ground(), *block(), Placement(anchor="bottom right", scale=50)).layout.text
    box = place.place(ground(), *block(), Placement(anchor="bottom right", scale=50)).layout.products[0]
    assert text.bottom <= box.y or text.right <= box.x


def test_batches():
    product, matte = block(count=3)
    catalogue = place.place(ground(), product, matte, BARE)
    assert catalogue.image.shape[0] == 3
    scenes = place.place(ground(count=2), product[:1], matte[:1], BARE)
    assert scenes.image.shape[0] == 2
    together = place.place(ground(), product, matte[:1], BARE, together=True)
    assert together.image.shape[0] == 1
    boxes = together.layout.products
    assert len(boxes) == 3
    assert all(a.right <= b.x for a, b in itertools.pairwise(boxes))
    with pytest.raises(InputError, match="3 products on 2"):
        place.place(ground(count=2), product, matte, BARE)


@pytest.mark.parametrize("scale", [0, 40, 1000])
def test_products_side_by_side_keep_their_proportions(scale):
    product, matte = block(height=100, count=2)
    matte[1, :60] = 0  # half as tall
    boxes = place.place(ground(), product, matte, Placement(scale=scale), together=True).layout.products
    assert boxes[0].width == boxes[1].width
    assert abs(boxes[0].height / boxes[1].height - 2) < 0.1
    assert boxes[0].right <= boxes[1].x


@pytest.mark.parametrize(
    "change",
    [{"scale": 80}, {"offset_y": -35}, {"anchor": "top center", "scale": 50}, {"anchor": "top left", "scale": 50}],
)
def test_words_stay_beside_a_product_that_is_placed_otherwise(change):
    plan = Layout(200, 160, (Box(80, 90, 40, 60),), 150, Box(10, 10, 180, 50), "#ffffff", "center", None, Light(0, 45))
    as_planned = place.place(ground(0.2), *block(), BARE, plan)
    assert as_planned.layout.text == plan.text
    changed = place.place(ground(0.2), *block(), dataclasses.replace(BARE, **change), plan).layout
    (box,), text = changed.products, changed.text
    assert text.right <= box.x or text.x >= box.right or text.bottom <= box.y or text.y >= box.bottom
    assert text.width * text.height > 0.2 * plan.text.width * plan.text.height
    assert text.x >= 0
    assert text.right <= 200


def test_words_that_a_plan_has_over_its_product_stay_there():
    plan = Layout(200, 160, (Box(80, 20, 40, 60),), 150, Box(10, 10, 180, 50), "#ffffff", "center", None, Light(0, 45))
    assert place.place(ground(0.2), *block(), Placement(scale=70), plan).layout.text == plan.text


def test_words_that_have_to_move_stay_in_the_safe_area():
    """A story's own buttons lie where the margin of a feed would let them stand."""
    safe = Safe(0.14, 0.06, 0.35, 0.06)
    plan = Layout(90, 160, (Box(25, 75, 40, 40),), 115, Box(6, 23, 78, 30), "#ffffff", "center", None, Light(0, 45))
    plan = dataclasses.replace(plan, safe=safe)
    moved = dataclasses.replace(BARE, anchor="top center", scale=40, offset_y=15)
    layout = place.place(ground(0.2, 90, 160), *block(), moved, plan).layout
    assert layout.safe == safe
    assert layout.text != plan.text
    assert layout.text.y >= layout.products[0].bottom
    assert layout.text.bottom <= 0.65 * 160 + 1
    assert layout.text.x >= 0.06 * 90 - 1
    assert layout.text.right <= 0.94 * 90 + 1


@pytest.mark.parametrize("scale", [88, 100])
@pytest.mark.parametrize("plan", [True, False])
def test_a_product_that_fills_the_picture_leaves_room_for_words_over_it(scale, plan):
    """Not a strip of a few pixels beside it, in which no letter can be set, nor the picture's very edge."""
    made = Layout(200, 160, (Box(80, 90, 40, 60),), 150, Box(10, 10, 180, 50), "#ffffff", "center", None, Light(0, 45))
    filling = dataclasses.replace(BARE, anchor="bottom center", scale=scale)
    text = place.place(ground(0.2), *block(width=50, height=40), filling, made if plan else None).layout.text
    assert text.height >= 30
    assert text.width >= 160
    assert text.x >= 7
    assert text.y >= 7


def test_words_that_had_to_move_get_a_colour_that_reads_there():
    scene = ground(0.05)
    scene[:, :, 120:] = 0.95
    plan = Layout(200, 160, (Box(20, 90, 30, 60),), 150, Box(10, 10, 90, 60), "#ffffff", "left", None, Light(0, 45))
    changed = place.place(scene, *block(), Placement(anchor="top left", scale=95, shadow="none"), plan).layout
    assert changed.text.x >= changed.products[0].right
    under = scene[0, changed.text.y : changed.text.bottom, changed.text.x : changed.text.right].reshape(-1, 3).numpy()
    if changed.scrim is None:
        assert contrast.worst_contrast(changed.text_color, under) >= contrast.READABLE


# --- shadow -----------------------------------------------------------------------------------------------------------


def weight(opacity: torch.Tensor) -> tuple[float, float]:
    """Centre of a shadow: x, y."""
    y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float32) for n in opacity.shape), indexing="ij")
    total = opacity.sum()
    return float((x * opacity).sum() / total), float((y * opacity).sum() / total)


@pytest.mark.parametrize(("light", "side"), [("left", 1), ("right", -1), ("top left", 1), ("front right", -1)])
def test_the_cast_shadow_falls_away_from_the_light(light, side):
    out = place.place(ground(width=400), *block(), Placement(shadow="cast", light=light, light_height=40))
    box = out.layout.products[0]
    x, _ = weight(out.shadow[0])
    assert (x - (box.x + box.width / 2)) * side > 5


def test_the_shadow_stands_on_the_base_line_and_darkens():
    out = place.place(ground(), *block(), Placement(shadow="contact", color_match=0))
    box = out.layout.products[0]
    _, y = weight(out.shadow[0])
    assert abs(y - box.bottom) < box.height * 0.12
    outside = out.mask[0] == 0
    assert (out.image[0][outside] <= 0.5 + 1e-6).all()
    assert out.image[0][outside].min() < 0.4


def test_the_cast_shadow_is_softer_the_farther_it_is():
    alpha = np.zeros((300, 600), np.float32)
    alpha[100:250, 280:320] = 1
    opacity = shadow.shadow(alpha, shadow.CAST, Light(270, 45), 0.5)
    near, far = (np.abs(np.diff(opacity[:, x])).max() for x in (335, 435))
    assert far < near * 0.6
    assert opacity[:, 500:].max() < 0.35


@pytest.mark.parametrize("azimuth", [315, 45, 270])
def test_the_shadow_of_a_round_rim_has_no_streaks(azimuth):
    _, alpha = disc(400)
    room = np.pad(alpha[0].numpy(), 200)
    cast = shadow.shadow(room, shadow.CAST, Light(azimuth, 50), 0.3)
    valley = np.minimum(cast[:-8], cast[8:]) - cast[4:-4]  # darker above and below than in between
    assert cast.max() > 0.4
    assert valley.max() < 0.05


def test_a_low_light_throws_a_longer_shadow():
    def length(height: float) -> float:
        out = place.place(ground(width=400), *block(), Placement(shadow="cast", light="left", light_height=height))
        return float(torch.nonzero(out.shadow[0].amax(0) > 0.02).max())

    assert length(35) > length(60) > length(85)


def test_kinds_and_opacity():
    sums = {}
    for kind in shadow.SHADOW_KINDS:
        sums[kind] = float(place.place(ground(), *block(), Placement(shadow=kind)).shadow.sum())
    assert sums["none"] == 0
    assert min(sums[kind] for kind in shadow.SHADOW_KINDS if kind != "none") > 10
    assert sums["contact + cast"] > max(sums["contact"], sums["cast"]) * 0.99
    assert float(place.place(ground(), *block(), Placement(shadow_opacity=0)).shadow.sum()) == 0


def test_a_handle_in_the_air_has_no_contact():
    alpha = np.zeros((200, 300), np.float32)
    alpha[50:180, 80:160] = 1
    alpha[90:100, 160:200] = 1
    opacity = shadow.shadow(alpha, shadow.CONTACT, STUDIO, 0.0)
    assert opacity[178:186, 100:140].mean() > 0.3
    assert opacity[:, 185:].max() < 0.05


def outline(points, height=500, width=700) -> np.ndarray:
    """The matte of a polygon."""
    picture = Image.new("L", (width, height))
    ImageDraw.Draw(picture).polygon(points, fill=255)
    return np.asarray(picture, np.float32) / 255


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("drop", [260, 120])
def test_a_slanted_sole_has_its_shadow_on_the_ground(flip, drop):
    """A shoe that stands on its toe: its sole rises steeply, or gently, to one side and is in the air there."""
    shoe = outline(
        [(150, 400), (140, 380), (300, 200 - drop // 2), (520, 400 - drop - 60), (540, 400 - drop), (180, 400)]
    )
    shoe = shoe[:, ::-1] if flip else shoe
    opacity = shadow.shadow(shoe, shadow.BOTH, Light(330, 55), 0.5) * (shoe < 0.5)
    tall = int((shoe > 0.5).any(1).sum())
    assert opacity[: 401 - round(0.15 * tall)].sum() < 0.05 * opacity.sum()
    toe = slice(520, 550) if flip else slice(150, 180)
    assert opacity[401:404, toe].min() > 0.6


def test_a_box_over_its_corner_touches_the_ground_along_both_edges():
    box = outline([(250, 100), (450, 100), (450, 330), (350, 400), (250, 365)])
    opacity = shadow.shadow(box, shadow.CONTACT, STUDIO, 0.0)
    for x, y in ((300, 382), (260, 368), (380, 379), (430, 344)):
        assert opacity[y + 2 : y + 5, x].max() > 0.5


def test_the_ground_is_much_darker_where_the_product_stands():
    """At the defaults; a product that is barely darker there looks pasted."""
    out = place.place(ground(0.6, 400, 320), *block(), Placement(scale=50, color_match=0))
    box = out.layout.products[0]
    under = out.image[0, box.bottom : box.bottom + 2, box.x + 10 : box.right - 10, 0] / 0.6
    assert float(under.median()) < 0.65


def test_the_reflection_mirrors_the_product_and_fades():
    background = ground(0.2, 200, 260)
    product, matte = block((0.9, 0.9, 0.1))
    out = place.place(
        background, product, matte, Placement(anchor="center", shadow="none", color_match=0, reflection=0.5)
    )
    box = out.layout.products[0]
    column = out.image[0, box.bottom + 1 : box.bottom + 30, box.x + box.width // 2, 0]
    assert column[0] > 0.4
    assert (column.diff() <= 1e-3).all()
    assert column[-1] < column[0] - 0.1


# --- light and colour -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("azimuth", [0, 45, 90, 135, 180, 225, 270, 315])
def test_the_light_of_a_gradient_is_found(azimuth):
    y, x = np.mgrid[-1:1:120j, -1:1:160j]
    turn = np.radians(azimuth)
    picture = np.repeat((0.5 + 0.3 * (x * np.sin(turn) - y * np.cos(turn)))[..., None], 3, -1).clip(0, 1)
    found = estimate_light(picture)
    assert abs((found.azimuth - azimuth + 180) % 360 - 180) < 15


def test_a_flat_picture_is_lit_as_in_a_studio():
    assert estimate_light(np.full((64, 64, 3), 0.4)) == STUDIO


def test_ciede2000_against_published_pairs():
    """Sharma, Wu and Dalal 2005, table 1: rows 1, 7, 9, 13, 17, 20, 25, 31."""
    pairs = [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 0, 0), (50, -1, 2), 2.3669),
        ((50, 2.49, -0.001), (50, -2.49, 0.0009), 7.1792),
        ((50, -0.001, 2.49), (50, 0.0009, -2.49), 4.8045),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
        ((50, 2.5, 0), (58, 24, 15), 19.4535),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((22.7233, 20.0904, -46.694), (23.0331, 14.973, -42.5619), 2.0373),
    ]
    for first, second, expected in pairs:
        assert abs(float(color.delta_e_2000(np.array(first, float), np.array(second, float))) - expected) < 1e-4


def surroundings(light) -> np.ndarray:
    """Things of many colours [N, 3] in a light."""
    things = np.random.default_rng(1).uniform(0.1, 0.9, (400, 3))
    return color.to_srgb(color.to_linear(things) * np.array(light)).astype(np.float32)


BRAND_AND_GREYS = np.concatenate(
    [
        np.repeat([[0.85, 0.1, 0.12], [0.05, 0.3, 0.7], [0.95, 0.75, 0.05], [0.1, 0.5, 0.25]], 100, 0),
        np.repeat(np.linspace(0.3, 0.9, 300)[:, None], 3, -1),
        np.full((100, 3), 248 / 255),
    ]
).reshape(20, 40, 3)


def moved_by(scene: np.ndarray, product: np.ndarray = BRAND_AND_GREYS) -> np.ndarray:
    """CIEDE2000 [H, W] of every colour of a product, at the default."""
    product = product.astype(np.float32)
    matched = color.match_light(product, np.ones(product.shape[:2], np.float32), scene, Placement().color_match)
    return color.delta_e_2000(color.to_lab(product), color.to_lab(matched))


@pytest.mark.parametrize("light", [(0.9, 0.75, 0.5), (0.15, 0.18, 0.35), (0.5, 0.6, 0.5), (0.95, 0.95, 0.95)])
def test_brand_colours_stay_while_greys_take_the_scene_s_light(light):
    moved = moved_by(surroundings(light))
    saturated = color.saturation(BRAND_AND_GREYS) > 0.5
    assert moved[saturated].max() <= 5
    assert moved[~saturated].max() <= 5
    if max(light) - min(light) > 0.15:
        assert moved[~saturated].mean() > 1.5 * moved[saturated].mean()
        assert moved[~saturated].mean() > 1.5
    unchanged = color.match_light(BRAND_AND_GREYS, np.ones((20, 40), np.float32), surroundings(light), 0)
    assert (unchanged == BRAND_AND_GREYS).all()


BACKDROPS = ("#d02030", "#808080", "#f8c8d4", "#ffffff", "#000000", "#1040c0", "#20a040", "#ffd020", "#6a4020")


@pytest.mark.parametrize("backdrop", BACKDROPS)
@pytest.mark.parametrize("falloff", [0, 0.15])
def test_a_plain_backdrop_is_no_light(backdrop, falloff):
    """Paper behind a product, with light that falls off on it; three photographs of many colours are tested above."""
    paper = np.array([int(backdrop[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    scene = paper * np.linspace(1 - falloff, 1, 400)[:, None]
    assert moved_by(scene).max() <= (0.01 if not falloff else 2.5)


def test_a_white_product_stays_white_on_red():
    out = place.place(
        torch.tensor([0.816, 0.125, 0.188]).expand(1, 160, 200, 3), *block((248 / 255,) * 3), Placement(shadow="none")
    )
    box = out.layout.products[0]
    middle = out.image[0, box.y + box.height // 2, box.x + box.width // 2]
    assert (middle * 255).round().tolist() == [248, 248, 248]


@pytest.mark.parametrize(("inverted", "count"), [(False, 0), (True, 1)])
def test_a_mask_that_marks_the_background_is_said(inverted, count):
    product, mask = block()
    placed = place.place(ground(), product, 1 - mask if inverted else mask, Placement())
    assert sum("Invert Mask" in note for note in placed.notes) == count
    whole = place.place(ground(), product, torch.ones_like(mask), Placement())
    assert not any("Invert Mask" in note for note in whole.notes)


@pytest.mark.parametrize(("percent", "noted"), [(100, 0), (140, 0), (200, 1)])
def test_a_product_much_larger_than_in_its_photo_looks_soft(percent, noted):
    size = Placement(scale=percent, scale_of=OF_PHOTO)
    placed = place.place(ground(), *block(), size)
    assert sum("looks soft" in note for note in placed.notes) == noted
    if noted:
        assert "2.0 times" in placed.notes[0]


def test_linear_light_and_back():
    values = np.linspace(0, 1, 1001)
    assert np.abs(color.to_srgb(color.to_linear(values)) - values).max() < 1e-6


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("named", "change"),
    [
        ("product_mask", {"mask": torch.zeros(1, 80, 60)}),
        ("product_mask", {"mask": torch.ones(1, 20, 20)}),
        ("product_mask", {"mask": torch.ones(5, 80, 60)}),
        ("product_mask", {"mask": torch.full((1, 80, 60), float("nan"))}),
        ("background", {"background": torch.zeros(0, 8, 8, 3)}),
        ("background", {"background": torch.full((1, 8, 8, 3), float("inf"))}),
        ("product", {"product": torch.zeros(1, 80, 60, 2)}),
        ("product", {"product": torch.full((1, 80, 60, 3), float("nan"))}),
    ],
)
def test_a_picture_or_mask_that_does_not_fit_is_named(named, change):
    product, mask = block()
    arguments = {"background": ground(), "product": product, "mask": mask, "placement": Placement(), **change}
    with pytest.raises(InputError, match=f"^`{named}` is"):
        place.place(**arguments)


def test_a_mask_of_another_size_is_told_in_plain_words():
    with pytest.raises(InputError, match=r"is '1 mask of 20x20'\. Expected: one mask of 60x80, as the product"):
        place.place(ground(), block()[0], torch.ones(1, 20, 20), Placement())
    with pytest.raises(
        InputError, match=r"is '5 masks of 60x80'\. Expected: 2 masks, or one, of 60x80, as the product"
    ):
        place.place(ground(), block(count=2)[0], torch.ones(5, 80, 60), Placement())


@pytest.mark.parametrize(
    ("named", "values"),
    [
        ("scale", {"scale": float("nan")}),
        ("scale", {"scale": -1}),
        ("rotation", {"rotation": float("inf")}),
        ("shadow", {"shadow": "huge"}),
        ("anchor", {"anchor": "here"}),
        ("light", {"light": "inside"}),
        ("color_match", {"color_match": 2}),
    ],
)
def test_a_wrong_setting_is_named(named, values):
    with pytest.raises(InputError, match=f"^`{named}` is"):
        Placement(**values)


def test_out_of_sight_is_refused():
    with pytest.raises(InputError, match="offset_x"):
        place.place(ground(), *block(), Placement(anchor="top left", scale=20, offset_x=100))


def test_extremes_work():
    product, matte = block()
    assert place.place(ground(width=1, height=1), product, matte, Placement()).image.shape == (1, 1, 1, 3)
    assert place.place(ground(), product, torch.ones_like(matte), Placement()).image.isfinite().all()
    grey, alpha = torch.rand(1, 30, 30, 1), torch.ones(1, 30, 30)
    assert place.place(ground(), grey, alpha, Placement()).image.shape == (1, 160, 200, 3)
    wide = torch.rand(1, 100, 8000, 3)
    assert place.place(wide, product, matte, Placement(anchor="bottom left", offset_y=30)).image.isfinite().all()


def apart(one: Box, other: Box) -> bool:
    return one.right <= other.x or other.right <= one.x or one.bottom <= other.y or other.bottom <= one.y


@pytest.mark.parametrize("size", [(200, 160), (160, 280), (480, 160)])
def test_products_placed_one_after_the_other_all_stay(size):
    width, height = size
    first = place.place(ground(width=width, height=height), *block(width=30, height=60), BARE)
    second = place.place(first.image, *block((0.1, 0.1, 0.8), width=50, height=30), BARE, first.layout)
    assert second.layout.placed == len(second.layout.products) == 2
    old, new = second.layout.products
    assert old == first.layout.products[0]
    assert apart(old, new)
    assert apart(new, second.layout.text)
    assert new.bottom == second.layout.ground
    red = second.image[0, old.y + 2 : old.bottom - 2, old.x + 2 : old.right - 2]
    assert torch.allclose(red, first.image[0, old.y + 2 : old.bottom - 2, old.x + 2 : old.right - 2])


def test_products_of_photos_of_different_sizes_take_the_boxes_of_one_plan():
    from storefront.studio.layout.options import LayoutOptions
    from storefront.studio.layout.plan import plan_pictures

    background = torch.full((1, 300, 300, 3), 0.6)
    parts = [block(width=30, height=60), block(width=50, height=30, edge=7), block(width=20, height=40, edge=3)]
    masks = [matte for _, matte in parts]
    layout = plan_pictures(background, masks[0], "봄", LayoutOptions(), further=masks[1:])
    planned = layout.products
    assert len(planned) == 3
    image = background
    for product, matte in parts:
        out = place.place(image, product, matte, BARE, layout)
        image, layout = out.image, out.layout
    assert layout.placed == 3
    for stands, meant in zip(layout.products, planned, strict=True):
        assert abs(stands.x - meant.x) <= 1
        assert abs(stands.bottom - meant.bottom) <= 1


def test_a_product_over_words_that_were_written_before_is_noted():
    from storefront.studio.layout.layout import Overlay

    first = place.place(ground(), *block(), BARE)
    written = first.layout.with_overlay(Overlay("words", Box(0, 0, 200, 160)))
    over = place.place(first.image, *block(), dataclasses.replace(BARE, anchor="center"), written)
    assert any("over the words" in note for note in over.notes)
    with pytest.raises(InputError, match="product_mask_2"):
        place.place(first.image, *block(), BARE, written)


@pytest.mark.parametrize("kind", [shadow.CONTACT, shadow.DROP, shadow.BOTH])
def test_a_shadow_has_its_color_in_the_picture_and_in_the_layout_editor(kind, monkeypatch):
    monkeypatch.setattr(shadow, "COLOR", (0.0, 0.0, 1.0))
    ground, product = torch.full((1, 200, 200, 3), 0.5), torch.full((1, 60, 60, 3), 0.5)
    placed = place.place(ground, product, torch.ones(1, 60, 60), Placement(shadow=kind, shadow_opacity=1.0))
    dark = (placed.shadow[0] > 0.2) & (placed.mask[0] == 0)
    assert dark.any()
    assert (placed.image[0][dark][:, 2] > 0.55).all()
    assert (placed.image[0][dark][:, 0] < 0.49).all()
    (piece,) = pieces.pieces(ground, cut_outs(product, torch.ones(1, 60, 60)), Placement(shadow=kind), None, 200)
    assert piece.shade[..., 2].min() == 1
    assert piece.shade[..., 0].max() == 0
