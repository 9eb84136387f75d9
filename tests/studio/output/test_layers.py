"""An advertisement taken apart and put together again, as ComfyUI's compositor does: in linear light, from 8 bits."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from storefront.studio.brand import badge, brand, call, designs, logo
from storefront.studio.layout import written
from storefront.studio.layout.drawing import CHANGES, continued, first
from storefront.studio.layout.options import EACH, TOGETHER, LayoutOptions
from storefront.studio.layout.plan import plan_pictures
from storefront.studio.output import layers
from storefront.studio.product import place, shadow
from storefront.studio.product.placement import Placement
from storefront.studio.text import fonts
from storefront.studio.text.design import Design

TYPEFACE = fonts.Typeface(fonts.all_families(), fonts.BUNDLED)
PLAIN, DESIGN = Placement(), Design()
WORDS = "여유 한 잔 [size=150]50%[/size]"


def linear(values):
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def srgb(values):
    return np.where(values <= 0.0031308, values * 12.92, 1.055 * np.maximum(values, 0) ** (1 / 2.4) - 0.055)


def put_together(found: list[layers.AdLayer]) -> np.ndarray:
    """Independent of the code under test: each layer on a whole picture, over those before."""
    height, width = found[0].alpha.shape
    canvas = np.zeros((height, width, 3))
    for one in found:
        tall, wide = one.alpha.shape
        whole, cover = np.zeros((height, width, 3)), np.zeros((height, width, 1))
        for y in range(max(0, -one.y), min(tall, height - one.y)):
            left, right = max(0, -one.x), min(wide, width - one.x)
            whole[one.y + y, one.x + left : one.x + right] = one.rgb[y, left:right]
            cover[one.y + y, one.x + left : one.x + right, 0] = one.alpha[y, left:right]
        canvas = canvas * (1 - cover) + linear(whole) * cover
    return srgb(canvas)


def furthest(found: list[layers.AdLayer], picture: np.ndarray) -> float:
    """In levels of 255."""
    return float(np.abs(put_together(found) - picture).max() * 255)


def scene(width: int = 320, height: int = 256) -> torch.Tensor:
    """A photograph's range of tones, black and white among them."""
    down = torch.linspace(0, 1, height)[None, :, None, None]
    across = torch.linspace(0, 1, width)[None, None, :, None]
    noise = torch.rand(1, height, width, 3, generator=torch.Generator().manual_seed(3))
    return (down * across * 0.8 + 0.2 * noise).clamp(0, 1)


def product(width: int = 90, height: int = 110):
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    distance = (((x - width / 2) / width) ** 2 + ((y - height / 2) / height) ** 2).sqrt()
    alpha = ((0.45 - distance) * 40).clamp(0, 1)
    picture = torch.stack([0.9 - 0.5 * y / height, 0.2 + 0.4 * x / width, torch.full_like(alpha, 0.15)], -1)
    return picture[None], alpha[None]


def placed(background: torch.Tensor, placement: Placement = PLAIN, count: int = 1):
    picture, matte = product()
    picture, matte = picture.repeat(count, 1, 1, 1), matte.repeat(count, 1, 1)
    plan = plan_pictures(background, matte, WORDS, LayoutOptions(batch=TOGETHER if count > 1 else EACH))
    return place.place(background, picture, matte, placement, plan, together=count > 1)


def finished(background: torch.Tensor, design: Design = DESIGN, count: int = 1):
    """Products, words, logo, badge and call to action; picture and layout."""
    own = brand.read_brand(brand.BUNDLED / brand.EXAMPLE_BRAND)
    done = placed(background, Placement(reflection=0.3), count)
    lettered, layout = written.write(done.image, [WORDS], design, TYPEFACE, done.layout)
    laid = logo.put_logo(lettered.image, logo.brand_logos(own), designs.LogoDesign(), layout, done.mask, own)
    laid = badge.put_badge(laid.image, designs.Badge("1+1", rotation=12), TYPEFACE, laid.layout, own, done.mask)
    return call.put_call(laid.image, designs.CallToAction("지금 주문"), TYPEFACE, laid.layout, own, done.mask)


def names(found: list[layers.AdLayer]) -> list[str]:
    return [one.name for one in found]


def test_an_advertisement_comes_apart_and_together_again():
    done = finished(scene())
    found = layers.layers_of(done.layout.drawing)
    assert names(found) == [
        "background",
        "reflection",
        "shadow",
        "product",
        "words",
        "logo",
        "badge",
        "call to action",
    ]
    assert furthest(found, done.image[0].numpy()) < 2.5
    # Each is about as large as what is seen of it, and none but the ground hides all of the others.
    assert all(one.alpha.size < done.image[0, ..., 0].numel() / 2 for one in found if one.name in ("product", "logo"))
    product = next(one for one in found if one.name == "product")
    box = done.layout.products[0]
    assert (product.x, product.y, *product.alpha.shape[::-1]) == pytest.approx(tuple(box), abs=2)


def test_products_and_their_shadows_are_layers_each_in_their_order():
    done = finished(scene(), count=2)
    found = layers.layers_of(done.layout.drawing)
    assert {"product 1", "product 2", "shadow 1", "shadow 2"} < set(names(found))
    for number in "12":
        assert names(found).index(f"shadow {number}") < names(found).index(f"product {number}")
    assert furthest(found, done.image[0].numpy()) < 2.5


def test_a_shadow_keeps_its_colour(monkeypatch):
    monkeypatch.setattr(shadow, "COLOR", (0.3, 0.1, 0.5))
    done = placed(scene())
    found = layers.layers_of(done.layout.drawing)
    layer = next(one for one in found if one.name == "shadow")
    deep = layer.alpha > 0.3
    assert np.abs(layer.rgb[deep] - shadow.COLOR).max() < 0.02
    assert furthest(found, done.image[0].numpy()) < 2.5


@pytest.mark.parametrize("level", [0.0, 0.03, 0.5, 1.0])
@pytest.mark.parametrize(
    "design",
    [
        Design(glow=0.8, outline=0.08, shadow=0.9),
        Design(opacity=0.4, box_opacity=0.6),
        Design(blend="multiply"),
        Design(blend="screen", color="#3366cc"),
        Design(rotation=20, color="#777777"),
    ],
)
def test_letters_look_the_same_in_linear_light(design, level):
    ground = torch.full((1, 200, 320, 3), level) * 0.9 + 0.1 * scene(320, 200)
    lettered, layout = written.write(ground, [WORDS], design, TYPEFACE)
    assert layout.drawing is not None
    assert furthest(layers.layers_of(layout.drawing), lettered.image[0].numpy()) < 2.5


def test_what_another_node_changed_is_a_layer_of_its_own():
    done = placed(scene())
    changed = done.image.clone()
    changed[:, :40, :60] = torch.tensor([0.1, 0.6, 0.9])
    lettered, layout = written.write(changed, [WORDS], Design(), TYPEFACE, done.layout)
    found = layers.layers_of(layout.drawing)
    assert names(found) == ["background", "shadow", "product", CHANGES, "words"]
    assert furthest(found, lettered.image[0].numpy()) < 2.5
    own = next(one for one in found if one.name == CHANGES)
    assert (own.x, own.y, *own.alpha.shape) == (0, 0, 40, 60)


def test_a_picture_that_is_another_one_is_the_ground():
    done = placed(scene())
    for other in (1 - done.image, done.image[:, ::2, ::2]):
        assert continued(done.layout.drawing, first(other)).parts == ()
    assert len(continued(done.layout.drawing, first(done.image.clone())).parts) == 2


def test_of_a_batch_the_first_picture_s_layers_keep_no_other_picture():
    background = scene().repeat(3, 1, 1, 1)
    done = place.place(background, *product(), Placement())
    drawing = done.layout.drawing
    assert furthest(layers.layers_of(drawing), done.image[0].numpy()) < 2.5
    for kept in (drawing.background, drawing.picture):
        assert kept.base is None or kept.base.size == kept.size


def test_more_layers_than_a_compositor_takes_become_one_below():
    done = placed(scene())
    part = done.layout.drawing.parts[-1]
    many = tuple(part._replace(name=f"product {n + 2}", x=part.x + n) for n in range(60))
    found = layers.layers_of(dataclasses.replace(done.layout.drawing, parts=many))
    assert len(found) == layers.MOST_LAYERS
    assert names(found)[0] == "background"
    assert names(found)[-1] == "product 61"
    whole = layers.layers_of(dataclasses.replace(done.layout.drawing, parts=many[:49]))
    assert furthest(found[:1], put_together(whole[:12])) < 2.5
