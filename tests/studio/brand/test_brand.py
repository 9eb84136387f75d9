"""A brand's folder, and its logo, badge and call to action on pictures."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from storefront.studio import contrast, examples
from storefront.studio.brand import badge, brand, call, designs, logo, rooms, shapes
from storefront.studio.canvas import FORMATS, Box
from storefront.studio.errors import InputError
from storefront.studio.layout.layout import Layout, Light, Overlay
from storefront.studio.layout.room import meet
from storefront.studio.text import fonts
from storefront.studio.text.design import Design

EXAMPLE = brand.read_brand(brand.BUNDLED / brand.EXAMPLE_BRAND)


@pytest.fixture(scope="module")
def typeface():
    return fonts.Typeface(fonts.all_families(), fonts.BUNDLED)


def written(folder: Path, text: str, name: str = "shop") -> Path:
    home = folder / name
    home.mkdir()
    (home / "brand.yaml").write_text(text, "utf-8")
    Image.new("RGBA", (40, 10), "red").save(home / "logo.png")
    return home


@pytest.mark.parametrize(("side", "times"), [(1, 4), (4096, 4), (4097, 3), (8000, 2), (9000, 1), (20_000, 1)])
def test_a_huge_badge_is_drawn_no_finer_than_can_be_seen(side, times):
    assert shapes.fineness(side, side // 2 + 1) == times


def test_a_circle_has_a_circle_s_area_however_fine_it_is_drawn():
    for side in (40, 4200, 8200):
        assert shapes.shape_mask("circle", side, side).mean() == pytest.approx(np.pi / 4, rel=0.01)


def test_the_example_has_all_of_a_brand():
    assert EXAMPLE.on_light != EXAMPLE.on_dark
    assert EXAMPLE.contact
    assert EXAMPLE.glossary.splitlines() == list(EXAMPLE.keep)
    light, dark = logo.brand_logos(EXAMPLE)
    assert light.alpha.shape == dark.alpha.shape
    assert light.rgb.mean() < dark.rgb.mean()


def test_a_brand_may_be_its_title_alone(tmp_path):
    found = brand.read_brand(written(tmp_path, "title: 모리\n"))
    assert found == brand.Brand("shop", "모리")
    with pytest.raises(InputError, match="logo"):
        logo.brand_logos(found)


def test_brands_are_read_once_until_a_file_changes(tmp_path):
    shop = written(tmp_path, "title: MORI\nlogo: late.png\n")
    known = brand.known_brands(tmp_path)
    assert "late.png" in known.problems[0]
    assert brand.known_brands(tmp_path) is known
    Image.new("RGB", (8, 8)).save(shop / "late.png")
    with_logo = brand.known_brands(tmp_path).brands["shop"]
    assert with_logo.on_light == shop / "late.png"
    for number in range(brand.MOST_FILES_OF_BRAND + 1):  # more files than are looked at, and before brand.yaml
        (shop / f"a{number}.png").touch()
    brand.known_brands(tmp_path)
    (shop / brand.BRAND_FILE).write_text("title: MORI and more\n", "utf-8")
    assert brand.known_brands(tmp_path).brands["shop"].title == "MORI and more"
    shutil.rmtree(shop)
    assert not brand.known_brands(tmp_path).brands


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("logo: logo.png", "title"),
        ("title: a\nlogo: ../other.png", "logo.on_light"),
        ("title: a\nlogo: {on_light: gone.png}", "logo.on_light"),
        ("title: a\nlogo: {light: logo.png}", "logo"),
        ("title: a\ncolors: {primary: red}", "colors.primary"),
        ("title: a\ncolors: {red: '#f00'}", "colors"),
        ("title: a\nkeep: MORI", "keep"),
        ("title: a\ncolour: '#f00'", "colour"),
        ("title: &a b\nfont: *a", "alias"),
        ("- a", "brand.yaml"),
        ("title: [", "brand.yaml"),
        ("title: " + "a" * 300, "title"),
    ],
)
def test_a_wrong_field_is_named_and_stops_no_other_brand(tmp_path, text, named):
    with pytest.raises(brand.BrandError, match=named):
        brand.read_brand(written(tmp_path, text))
    found = brand.read_brands(brand.BUNDLED, tmp_path)
    assert set(found.brands) == {"example"}
    assert "brand shop" in found.problems[0]


def test_an_svg_names_the_package_that_draws_it_or_is_drawn(tmp_path):
    path = tmp_path / "logo.svg"
    path.write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="20" height="10"><circle cx="5" cy="5" r="5" fill="#f00"/></svg>'
    )
    if "resvg_py" not in sys.modules and not _has_resvg():
        with pytest.raises(InputError, match="pip install resvg-py"):
            logo.read_logo(path)
        return
    drawn = logo.read_logo(path)
    assert abs(drawn.aspect - 1) < 0.02
    assert drawn.rgb[drawn.alpha.shape[0] // 2, drawn.alpha.shape[1] // 2].round(1).tolist() == [1, 0, 0]
    for part in (
        '<image href="/etc/passwd.png"/>',
        '<image id=">" href="/etc/passwd.png"/>',
        '<s:image xmlns:s="http://www.w3.org/2000/svg" href="other.svg"/>',
        '<image href="https://example.org/a.png"/>',
        '<!DOCTYPE svg [<!ENTITY e SYSTEM "file:///etc/passwd">]>',
    ):
        path.write_text(f'<svg xmlns="http://www.w3.org/2000/svg">{part}</svg>')
        with pytest.raises(InputError, match="embedded"):
            logo.read_logo(path)


def _has_resvg() -> bool:
    from importlib.util import find_spec

    return find_spec("resvg_py") is not None


def plain(level: float, width: int = 800, height: int = 800) -> torch.Tensor:
    return torch.full((1, height, width, 3), level)


def plan(width: int = 800, height: int = 800, **more) -> Layout:
    values = {
        "products": (Box(width // 3, height * 2 // 5, width // 3, height // 2),),
        "text": Box(width // 20, height // 20, width * 9 // 10, height * 3 // 10),
    }
    return Layout(
        width,
        height,
        ground=height * 9 // 10,
        text_color="#ffffff",
        text_align="center",
        scrim=None,
        light=Light(0, 45),
        **(values | more),
    )


@pytest.mark.parametrize(("level", "variant"), [(0.95, 0), (0.05, 1)])
def test_the_variant_that_is_seen_is_taken(level, variant):
    logos = logo.brand_logos(EXAMPLE)
    laid = logo.put_logo(plain(level), logos, designs.LogoDesign(), plan())
    solid = laid.mask[0] > 0.99
    color = logos[variant].rgb[logos[variant].alpha > 0.9].mean(0)
    assert laid.image[0][solid].mean(0) == pytest.approx(torch.tensor(color), abs=0.02)
    assert laid.notes == ()


def test_a_logo_that_cannot_be_seen_gets_a_plate():
    grey = logo.LogoPicture(np.full((20, 60, 3), 0.5, np.float32), np.ones((20, 60), np.float32))
    laid = logo.put_logo(plain(0.5), (grey,), designs.LogoDesign(), plan())
    assert any("plate" in note for note in laid.notes)
    box = laid.layout.overlays[-1].box
    around = laid.image[0, box.y : box.bottom, box.x : box.right]
    assert float((around - 0.5).abs().max()) > 0.4


@pytest.mark.parametrize("format", FORMATS)
def test_logo_badge_and_call_lie_over_nothing_in_any_format(format, typeface):
    from storefront.studio.layout import written as words

    size = FORMATS[format]
    coffee = examples.photo("coffee").movedim(-1, 1)
    image = torch.nn.functional.interpolate(coffee, (size.height, size.width), mode="bilinear").movedim(1, -1)
    layout = plan(size.width, size.height)
    extras = rooms.Extras(EXAMPLE, designs.Badge("50%"), designs.CallToAction("주문하기"))
    layout = rooms.with_rooms(layout, image, [], extras)
    lettered, layout = words.write(image, ["봄 할인"], Design(), typeface, layout)
    first = logo.put_logo(lettered.image, logo.brand_logos(EXAMPLE), extras.logo, layout, None, EXAMPLE)
    second = badge.put_badge(first.image, extras.badge, typeface, first.layout, EXAMPLE)
    third = call.put_call(second.image, extras.call, typeface, second.layout, EXAMPLE)
    assert [note for laid in (first, second, third) for note in laid.notes if "lies over" in note] == []
    boxes = {one.kind: one.box for one in third.layout.overlays}
    assert set(boxes) == {"words", "logo", "badge", "call to action"}
    smoothed = -2  # pixels
    for kind, box in boxes.items():
        assert 0 <= box.x < box.right <= size.width
        assert 0 <= box.y < box.bottom <= size.height
        others = [theirs for other, theirs in boxes.items() if other != kind]
        assert not any(meet(box, theirs, smoothed) for theirs in others)
        if kind != "words":
            assert not any(meet(box, product, smoothed) for product in layout.products)


def test_an_anchor_is_kept_and_what_it_covers_is_told(typeface):
    drawn = plan().with_overlay(Overlay("words", Box(50, 50, 700, 200)))
    laid = badge.put_badge(plain(0.5), designs.Badge(anchor="top left"), typeface, drawn)
    assert "the badge lies over the words" in laid.notes
    laid = badge.put_badge(plain(0.5), designs.Badge(anchor="bottom right"), typeface, drawn)
    assert laid.notes == ()
    assert laid.layout.overlays[-1].box.right == 760


@pytest.mark.parametrize(("kind", "place"), [("badge", Box(30, 40, 300, 300)), ("logo", Box(500, 20, 400, 40))])
def test_what_a_person_moved_is_drawn_there_whatever_its_anchor(kind, place, typeface):
    begun = plan().with_overlay(Overlay(kind, place, False, kind))
    if kind == "badge":
        first = badge.put_badge(plain(0.5), designs.Badge(anchor="bottom right"), typeface, begun)
        second = badge.put_badge(first.image, designs.Badge(), typeface, first.layout)
        assert not meet(second.piece.box, place)  # another badge is placed as ever, around the first
    else:
        light = logo.brand_logos(EXAMPLE)
        first = logo.put_logo(plain(0.9), light, designs.LogoDesign("bottom right"), begun)
    assert first.layout.overlays[-1] == Overlay(kind, place, True, kind)
    rows, columns = np.nonzero(first.mask[0].numpy() > 0.5)
    assert first.piece.box.y <= rows.min() <= rows.max() < first.piece.box.bottom
    left, right = columns.min(), columns.max() + 1
    assert abs(left + right - place.x - place.right) <= 2  # in the middle of its place,
    if kind == "badge":
        assert abs(right - left - place.width) <= 2  # which it fills
    else:
        assert abs(rows.max() + 1 - rows.min() - place.height) <= 2


@pytest.mark.parametrize("shape", shapes.SHAPES)
@pytest.mark.parametrize("words", ["50%", "1+1", "오늘만\n반값", "무료 배송"])
def test_letters_stay_on_their_shape_and_read(shape, words, typeface):
    laid = badge.put_badge(plain(0.5), designs.Badge(words, shape=shape, color="#1f4d3a"), typeface, plan())
    box = laid.layout.overlays[-1].box
    part = laid.image[0, box.y : box.bottom, box.x : box.right]
    mask = torch.from_numpy(shapes.shape_mask(shape, box.width, box.height).copy())
    letters = (part > 0.9).all(-1)
    assert letters.sum() > 50
    assert (mask[letters] > 0.99).all()
    fill = contrast.rgb_of("#1f4d3a")
    ratio = contrast.contrast_ratio(contrast.relative_luminance(fill), contrast.relative_luminance(np.ones(3)))
    assert ratio >= contrast.READABLE


def test_an_old_price_is_crossed_out_above_the_new_one(typeface):
    with_old = badge.put_badge(plain(0.5), designs.Badge("39,000원", old_price="59,000원"), typeface, plan())
    without = badge.put_badge(plain(0.5), designs.Badge("39,000원"), typeface, plan())
    assert with_old.layout.overlays[-1].box.height > without.layout.overlays[-1].box.height
    box = with_old.layout.overlays[-1].box
    part = with_old.image[0, box.y : box.bottom, box.x : box.right]
    letters = (part > 0.9).all(-1).float()
    longest = max(
        max((len(run) for run in "".join(str(int(v)) for v in row).split("0")), default=0)
        for row in letters[: box.height // 2]
    )
    assert longest > 0.35 * box.width  # the line


@pytest.mark.parametrize("shape", designs.CALL_SHAPES)
def test_a_call_stands_under_its_words(shape, typeface):
    layout = rooms.with_rooms(
        plan(), plain(0.6), [], rooms.Extras(None, None, designs.CallToAction("주문하기", shape=shape))
    )
    laid = call.put_call(plain(0.6), designs.CallToAction("주문하기", shape=shape), typeface, layout)
    box = laid.layout.overlays[-1].box
    if shape != call.BAR:
        assert layout.text.bottom <= box.y <= layout.text.bottom + box.height
    assert not meet(box, laid.layout.text)
    assert laid.layout.room_for("call to action") is None


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: designs.Badge(""), "text"),
        (lambda: designs.Badge(shape="heart"), "shape"),
        (lambda: designs.Badge(size=float("nan")), "size"),
        (lambda: designs.Badge(color="red"), "color"),
        (lambda: designs.Badge(old_price=5), "old_price"),
        (lambda: designs.Badge(old_price="9\n8"), "old_price"),
        (lambda: designs.Badge(old_price="[b]"), "old_price"),
        (lambda: designs.Badge(old_price="9" * 999), "old_price"),
        (lambda: logo.logo_from(torch.full((1, 4, 4, 4), float("nan")), None), "logo"),
        (lambda: logo.logo_from(torch.ones(2, 4, 4, 3), None), "logo"),
        (lambda: designs.CallToAction("a\nb"), "text"),
        (lambda: designs.CallToAction("가" * 61), "text"),
        (lambda: designs.CallToAction(arrow=1), "arrow"),
        (lambda: designs.CallToAction(anchor="left"), "anchor"),
        (lambda: designs.LogoDesign(variant="white"), "variant"),
        (lambda: designs.LogoDesign(clear_space=-1), "clear_space"),
        (lambda: brand.require_brand("brand", {"title": "x"}), "brand"),
    ],
)
def test_a_wrong_value_is_named(make, named):
    with pytest.raises(InputError, match=f"`{named}`"):
        make()


def test_words_take_the_brand_s_colour_where_it_reads(typeface):
    from storefront.studio.text import draw

    own = brand.branded_design(Design(), EXAMPLE)
    for level, color in ((0.95, EXAMPLE.colors.primary), (0.02, EXAMPLE.colors.paper)):
        lettered = draw.overlay(plain(level), ["봄"], own, typeface)
        inked = lettered.image[0][lettered.mask[0] > 0.99].mean(0)
        assert inked.tolist() == pytest.approx(contrast.rgb_of(color).tolist(), abs=0.02)
    assert brand.branded_design(Design(color="#ff0000"), EXAMPLE).palette == ()
    assert brand.branded_font("Pretendard", brand.Brand("a", "a", font="Gone"), {})[1]
