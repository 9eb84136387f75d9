"""Plans on drawn scenes and real photos: what a designer would insist on, measured."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
import torch
from storefront.studio import contrast, examples
from storefront.studio.canvas import FORMATS, NOTHING, SAFE_AREAS
from storefront.studio.errors import InputError
from storefront.studio.layout.analysis import analyse
from storefront.studio.layout.layout import parse
from storefront.studio.layout.options import AS_PICTURE, TOGETHER, LayoutOptions
from storefront.studio.layout.plan import plan, plan_pictures
from storefront.studio.layout.preview import preview

HEADLINE = "갓 내린 한 잔의 여유"


def table(width: int = 320, height: int = 320, horizon: float = 0.55, tint: float = 0.9) -> np.ndarray:
    """A wall and a table."""
    y = np.linspace(0, 1, height)[:, None, None]
    wall, wood = np.array([0.93, 0.9, 0.84]) * tint, np.array([0.55, 0.36, 0.22]) * tint
    return np.broadcast_to(np.where(y < horizon, wall, wood), (height, width, 3)).copy()


def photo(name: str) -> np.ndarray:
    from skimage import data

    return getattr(data, name)()[..., :3].astype(np.float64) / 255


def mask(width: int, height: int) -> np.ndarray:
    out = np.zeros((height + 20, width + 20), np.float32)
    out[10:-10, 10:-10] = 1
    return out


MUG, BOTTLE = mask(120, 100), mask(60, 180)
SCENES = {
    "table": table(),
    "dark table": table(tint=0.25),
    "low table": table(horizon=0.75),
    "wide": table(640, 240),
    "tall": table(240, 426),
    "plain": np.full((300, 300, 3), 0.6),
    "coffee": photo("coffee"),
    "astronaut": photo("astronaut"),
    "cat": photo("chelsea"),
    "rocket": photo("rocket"),
}


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("masks", [[], [MUG], [BOTTLE]], ids=["words", "mug", "bottle"])
def test_what_every_plan_keeps(name, masks):
    picture = SCENES[name]
    height, width = picture.shape[:2]
    layout = plan(picture, masks, HEADLINE, LayoutOptions())
    text, margin = layout.text, min(width, height) * 0.05 - 1
    assert text.x >= margin
    assert text.y >= margin
    assert text.right <= width - margin
    assert text.bottom <= height - margin
    assert len(layout.products) == len(masks)
    for box, matte in zip(layout.products, masks):
        assert box.x >= margin
        assert box.right <= width - margin
        assert box.y >= 0
        assert box.bottom == layout.ground <= height - margin
        assert text.right <= box.x or box.right <= text.x or text.bottom <= box.y or box.bottom <= text.y
        proportion = (matte.shape[1] - 20) / (matte.shape[0] - 20)
        assert abs(box.width / box.height / proportion - 1) < 0.05
        assert 0.15 < max(box.height / height, box.width / width) <= 0.93
    assert parse(layout.to_json()) == layout
    assert len(layout.reason_en) > 20
    assert any("가" <= c <= "힣" for c in layout.reason_ko)
    assert any("ぁ" <= c <= "ん" for c in layout.reason_ja)
    assert "的" in layout.reason_zh


@pytest.mark.parametrize("name", SCENES)
def test_the_words_can_be_read(name):
    """4.5 to 1 against all but a twentieth of the pixels under them, the veil counted in where there is one."""
    picture = SCENES[name]
    layout = plan(picture, [], HEADLINE, LayoutOptions())
    part = picture[layout.text.y : layout.text.bottom, layout.text.x : layout.text.right].reshape(-1, 3)
    if layout.scrim is not None:
        assert contrast.best_color(part)[1] < contrast.READABLE  # no veil without need
        part = part * (1 - layout.scrim.opacity) + contrast.rgb_of(layout.scrim.color) * layout.scrim.opacity
    assert contrast.worst_contrast(layout.text_color, part) >= contrast.READABLE * 0.99


@pytest.mark.parametrize(
    ("name", "horizon"), [("table", 0.55), ("dark table", 0.55), ("low table", 0.75), ("wide", 0.55)]
)
def test_the_ground_is_found_and_stood_on(name, horizon):
    picture = SCENES[name]
    assert abs(analyse(picture, subject=False).horizon - horizon) < 0.04
    layout = plan(picture, [MUG], HEADLINE, LayoutOptions())
    assert layout.ground > picture.shape[0] * (horizon + 0.04)
    assert f"begins at {analyse(picture, subject=False).horizon:.0%}" in layout.reason_en


def test_no_ground_is_claimed_where_there_is_none():
    blotchy = np.random.default_rng(1).random((8, 8, 3)).repeat(40, 0).repeat(40, 1)
    for picture in (SCENES["plain"], blotchy):
        assert analyse(picture, subject=False).horizon is None
        assert "no ground line" in plan(picture, [MUG], HEADLINE, LayoutOptions()).reason_en


def podium(width: int, height: int, left: float, right: float) -> np.ndarray:
    """A pale disc on a darker block before a wall, the disc from 0.76 to 0.88 of the height."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    middle, half = (left + right) / 2, (right - left) / 2
    picture = np.full((height, width, 3), [0.78, 0.55, 0.58])
    picture[(abs(x - middle) < half) & (y > 0.82)] = [0.68, 0.45, 0.48]
    picture[((x - middle) / half) ** 2 + ((y - 0.82) / 0.06) ** 2 < 1] = [0.97, 0.85, 0.87]
    return picture


@pytest.mark.parametrize(("left", "right"), [(0.3, 0.7), (0.08, 0.56), (0.44, 0.92)])
@pytest.mark.parametrize("matte", [MUG, BOTTLE], ids=["mug", "bottle"])
def test_a_podium_is_stood_on(left, right, matte):
    layout = plan(podium(480, 480, left, right), [matte], HEADLINE, LayoutOptions())
    box = layout.products[0]
    assert 0.76 * 480 < layout.ground < 0.89 * 480
    assert left * 480 - 5 <= box.x
    assert box.right <= right * 480 + 5
    assert "set off" in layout.reason_en


def test_a_handle_may_overhang_what_a_foot_may_not():
    """The ground under a product is judged where it touches it: a mug's handle is in the air."""
    mug = np.zeros((120, 200), np.float32)
    mug[10:110, 10:130] = 1
    mug[30:80, 130:190] = 1
    box = plan(podium(480, 480, 0.3, 0.7), [mug], HEADLINE, LayoutOptions(product_scale=30)).products[0]
    foot = (box.x, box.x + box.width * 120 / 180)
    assert foot[0] >= 0.3 * 480 - 5
    assert foot[1] <= 0.7 * 480 + 5


# Left, top, right, bottom in 0..1 of what no designer would write over, marked by hand.
SUBJECTS = {
    "astronaut": (0.36, 0.06, 0.54, 0.33),
    "coffee": (0.3, 0.05, 0.66, 0.5),
    "rocket": (0.47, 0.3, 0.53, 0.95),
    "cat": (0.32, 0.3, 0.72, 0.75),
}


@pytest.mark.parametrize("name", SUBJECTS)
@pytest.mark.parametrize("words", ["세일", HEADLINE, "Fly with us this summer"])
def test_the_words_stay_off_the_subject(name, words):
    height, width = SCENES[name].shape[:2]
    text = plan(SCENES[name], [], words, LayoutOptions()).text
    left, top, right, bottom = SUBJECTS[name]
    wide = min(text.right / width, right) - max(text.x / width, left)
    tall = min(text.bottom / height, bottom) - max(text.y / height, top)
    assert max(wide, 0) * max(tall, 0) <= 0.1 * (right - left) * (bottom - top)


def test_a_face_is_found_where_it_is():
    faces = analyse(SCENES["astronaut"], subject=True).faces
    assert len(faces) == 1
    left, top, right, bottom = faces[0]
    assert left < 0.44 < right
    assert top < 0.2 < bottom
    assert right - left < 0.3
    for name in ("coffee", "rocket", "table"):
        assert not len(analyse(SCENES[name], subject=True).faces)


def test_a_busy_side_sends_the_words_to_the_other():
    random = np.random.default_rng(0)
    for side in (0, 1):
        picture = np.full((300, 300, 3), 0.8)
        half = slice(0, 150) if side == 0 else slice(150, 300)
        picture[half] = random.random((150, 300, 3))
        text = plan(picture, [], HEADLINE, LayoutOptions()).text
        assert (text.y + text.height / 2 > 150) == (side == 0)


def subject_at(left: float, top: float, right: float, bottom: float):
    """What a salient-object network answers for a picture of one thing, which it is sure of."""
    y, x = np.mgrid[0 : 1 : 320 * 1j, 0 : 1 : 320 * 1j]
    salience = ((x > left) & (x < right) & (y > top) & (y < bottom)).astype(np.float32)
    return lambda _: torch.from_numpy(salience)


def share_under(box, picture: np.ndarray, left: float, top: float, right: float, bottom: float) -> float:
    """Of an area in 0..1 of the picture, how much lies under a box."""
    height, width = picture.shape[:2]
    wide = min(box.right / width, right) - max(box.x / width, left)
    tall = min(box.bottom / height, bottom) - max(box.y / height, top)
    return max(wide, 0) * max(tall, 0) / ((right - left) * (bottom - top))


@pytest.mark.parametrize("area", [(0.1, 0.3, 0.4, 0.85), (0.6, 0.4, 0.95, 0.9), (0.42, 0.35, 0.6, 0.9)])
@pytest.mark.parametrize(
    ("size", "matte"),
    [((400, 400), MUG), ((400, 400), BOTTLE), ((640, 360), MUG), ((640, 360), BOTTLE), ((270, 480), BOTTLE)],
)
def test_a_product_stands_beside_the_scene_s_subject_and_is_seen(area, size, matte):
    picture = table(*size, horizon=0.6)
    layout = plan(picture, [matte], HEADLINE, LayoutOptions(), find=subject_at(*area))
    box = layout.products[0]
    assert share_under(box, picture, *area) < 0.15
    assert share_under(layout.text, picture, *area) < 0.15
    assert box.height >= 0.25 * picture.shape[0]
    assert "beside what the picture shows" in layout.reason_en


@pytest.mark.parametrize("matte", [MUG, BOTTLE], ids=["mug", "bottle"])
@pytest.mark.parametrize("size", [(400, 400), (640, 360), (270, 480), (456, 568), (888, 296)])
def test_in_an_empty_scene_the_product_is_a_hero(matte, size):
    """Half as high as the picture, or three fifths as wide, near its lower edge, in the middle or at a third."""
    picture = np.full((size[1], size[0], 3), 0.8)
    box = plan(picture, [matte], HEADLINE, LayoutOptions()).products[0]
    assert 0.85 < max(box.height / size[1] / 0.55, box.width / size[0] / 0.6) < 1.2
    assert abs(box.bottom / size[1] - 0.88) < 0.04
    off = min(abs((box.x + box.width / 2) / size[0] - spot) for spot in (1 / 3, 0.5, 2 / 3))
    assert off < (0.2 if size[0] > 2 * size[1] else 0.05)  # in a banner the words take more than a half


def test_a_sofa_is_stood_before_and_a_subject_that_the_network_doubts_is_none():
    picture = table(400, 400)
    sofa = plan(picture, [BOTTLE], HEADLINE, LayoutOptions(), find=subject_at(0.1, 0.5, 0.9, 0.75)).products[0]
    assert sofa.height > 0.4 * 400
    doubtful = torch.full((320, 320), 0.5) * subject_at(0.3, 0.2, 0.7, 0.9)(None)
    plain = plan(picture, [BOTTLE], HEADLINE, LayoutOptions())
    assert plan(picture, [BOTTLE], HEADLINE, LayoutOptions(), find=lambda _: doubtful).products == plain.products


def test_the_bundled_network_finds_the_cup_and_the_product_leaves_it_free():
    from storefront.studio.api.load import load_cutter

    picture = filled("coffee", 512, 512)
    box = plan(picture, [BOTTLE], "매일 아침", LayoutOptions(), find=load_cutter().find).products[0]
    assert share_under(box, picture, 0.2, 0.0, 0.75, 0.55) < 0.15


def test_nothing_lies_over_a_face():
    picture = filled("astronaut", 512, 512)
    for words in (HEADLINE, "세일"):
        layout = plan(picture, [MUG], words, LayoutOptions())
        for box in (layout.text, *layout.products):
            assert share_under(box, picture, 0.36, 0.08, 0.54, 0.33) < 0.03


@pytest.mark.parametrize("sides", [("bottom",), ("left",), ("right", "bottom"), ("top",)])
@pytest.mark.parametrize("size", [(400, 400), (640, 360), (270, 480)])
def test_what_its_photo_cuts_off_ends_at_the_frame(sides, size):
    cut = np.zeros((200, 160), np.float32)
    rows, columns = (
        slice(0 if "top" in sides else 30, 200 if "bottom" in sides else 170),
        slice(0 if "left" in sides else 30, 160 if "right" in sides else 130),
    )
    cut[rows, columns] = 1
    layout = plan(table(*size), [cut], HEADLINE, LayoutOptions())
    box = layout.products[0]
    ends = {"left": box.x, "top": box.y, "right": size[0] - box.right, "bottom": size[1] - box.bottom}
    assert all(abs(ends[side]) <= 1 for side in sides)
    assert all(ends[side] > 5 for side in ends if side not in sides)
    assert layout.cuts == (frozenset(sides),)
    assert "where its photo cuts it off" in layout.reason_en
    assert parse(layout.to_json()) == layout


def test_a_cut_that_cannot_reach_the_frame_is_said():
    strip = np.zeros((200, 200), np.float32)
    strip[90:110] = 1  # from edge to edge, and a tenth as high
    layout = plan(table(400, 400), [strip], HEADLINE, LayoutOptions())
    assert "flat cut of its photo in sight" in layout.reason_en
    assert "잘린" in layout.reason_ko
    assert layout.cuts == ()


def test_a_trimmed_cut_out_is_not_taken_for_one_that_is_cut_off():
    layout = plan(table(400, 400), [np.ones((120, 60), np.float32)], HEADLINE, LayoutOptions())
    assert layout.cuts == ()
    assert layout.products[0].bottom < 390


def test_a_scene_s_subject_is_looked_for_once():
    from storefront.studio.layout.subject import SaliencyCache

    asked = []

    def find(picture: torch.Tensor) -> torch.Tensor:
        asked.append(picture)
        return subject_at(0.1, 0.3, 0.4, 0.9)(picture)

    remembered = SaliencyCache(find)
    for words in ("세일", HEADLINE):
        plan(table(400, 400), [MUG], words, LayoutOptions(), find=remembered)
    assert len(asked) == 1
    plan(table(400, 500), [MUG], HEADLINE, LayoutOptions(), find=remembered)
    assert len(asked) == 2


def test_several_products_stand_apart_on_one_line_in_proportion():
    layout = plan(table(600, 320), [MUG, BOTTLE, BOTTLE], HEADLINE, LayoutOptions(batch=TOGETHER))
    boxes = layout.products
    assert all(a.right < b.x for a, b in itertools.pairwise(boxes))
    assert len({box.bottom for box in boxes}) == 1
    assert abs(boxes[0].height / boxes[1].height - 100 / 180) < 0.03
    each = plan(table(600, 320), [MUG, BOTTLE], HEADLINE, LayoutOptions())
    assert len(each.products) == 1


@pytest.mark.parametrize("format", FORMATS)
def test_safe_areas_of_each_format(format):
    size = FORMATS[format]
    picture = table(size.width // 2, size.height // 2)
    height, width = picture.shape[:2]
    safe = SAFE_AREAS.get(format, NOTHING)
    layout = plan(picture, [MUG], HEADLINE, LayoutOptions(format=format))
    assert all(kept >= asked for kept, asked in zip(layout.safe, safe, strict=True))
    text = layout.text
    assert text.y >= height * safe.top - 1
    assert text.bottom <= height * (1 - safe.bottom) + 1
    assert text.x >= width * safe.left - 1
    assert text.right <= width * (1 - safe.right) + 1


@pytest.mark.parametrize("format", FORMATS)
def test_auto_takes_the_format_from_the_picture_s_shape(format):
    size = FORMATS[format]
    picture = table(size.width // 2, size.height // 2)
    assert plan(picture, [], HEADLINE, LayoutOptions(format="auto")) == plan(
        picture, [], HEADLINE, LayoutOptions(format=format)
    )


def test_auto_keeps_no_safe_area_where_no_format_has_the_shape():
    assert plan(table(700, 200), [], "세일", LayoutOptions(format="auto")) == plan(
        table(700, 200), [], "세일", LayoutOptions()
    )


def test_another_shape_than_the_format_is_refused_and_the_one_that_fits_is_named():
    with pytest.raises(InputError, match=r"9:16.*format '1:1 feed', or 'auto'"):
        plan(table(320, 320), [], HEADLINE, LayoutOptions(format="9:16 story, reel"))


def test_another_shape_than_the_format_is_refused():
    with pytest.raises(InputError, match="9:16"):
        plan(table(), [], HEADLINE, LayoutOptions(format="9:16 story, reel"))


@pytest.mark.parametrize("side", ["top", "bottom", "left", "right"])
def test_the_side_can_be_chosen(side):
    text = plan(table(400, 400), [BOTTLE], "세일", LayoutOptions(text_side=side)).text
    x, y = (text.x + text.right) / 800, (text.y + text.bottom) / 800
    assert {"top": y < 0.45, "bottom": y > 0.55, "left": x < 0.48, "right": x > 0.52}[side]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("masks", [[], [MUG], [BOTTLE]], ids=["words", "mug", "bottle"])
@pytest.mark.parametrize("size", [(400, 400), (640, 360), (270, 480)])
def test_words_on_a_side_are_flush_with_it(side, masks, size):
    """Centred words a little off the middle are not what somebody asked for who wants them on the left."""
    layout = plan(table(*size), masks, "갓 내린\n한 잔의 여유", LayoutOptions(text_side=side))
    assert layout.text_align == side


@pytest.mark.parametrize("scale", [1, 10, 40, 90])
def test_the_size_can_be_chosen(scale):
    box = plan(table(), [BOTTLE], "세일", LayoutOptions(product_scale=scale)).products[0]
    assert abs(box.height / 320 - scale / 100) < 0.01


@pytest.mark.parametrize("margin", [0, 10, 25])
def test_the_margin_can_be_chosen(margin):
    layout = plan(table(400, 300), [BOTTLE], "세일", LayoutOptions(margin=margin))
    for box in (layout.text, *layout.products):
        assert box.x >= margin * 3 - 1
        assert box.right <= 400 - margin * 3 + 1
        assert box.bottom <= 300 - margin * 3 + 1
    assert layout.text.y >= margin * 3 - 1


@pytest.mark.parametrize("name", SCENES)
def test_a_headline_has_the_size_of_one(name):
    """A letter of at least a twentieth of the picture's side, as the overlay will draw it in this box."""
    from storefront.studio.text import fonts
    from storefront.studio.text.design import Design
    from storefront.studio.text.draw import overlay

    picture = SCENES[name]
    layout = plan(picture, [], HEADLINE, LayoutOptions())
    image = torch.from_numpy(np.ascontiguousarray(picture)).float()[None]
    letters = overlay(image, [HEADLINE], Design(), fonts.Typeface(fonts.all_families(), fonts.BUNDLED), layout).mask[0]
    rows = torch.nonzero(letters.amax(1) > 0.5)
    inked = letters.sum() / ((rows[-1] - rows[0] + 1) * layout.text.width)
    assert inked > 0.1  # the words fill their box
    assert letters.sum() > 0.008 * letters.numel()


def letters_on(picture: np.ndarray, words: str, options: LayoutOptions = LayoutOptions()) -> np.ndarray:  # noqa: B008, frozen
    """[H, W] where letters are, as the overlay draws them by the plan."""
    from storefront.studio.text import fonts
    from storefront.studio.text.design import Design
    from storefront.studio.text.draw import overlay

    image = torch.from_numpy(np.ascontiguousarray(picture)).float()[None]
    face = fonts.Typeface(fonts.all_families(), fonts.BUNDLED)
    return overlay(image, [words], Design(), face, plan(picture, [], words, options)).mask[0].numpy() > 0.1


TWO_LINES = "매일 아침\n갓 볶은 원두"


@pytest.mark.parametrize("words", [TWO_LINES, "Fresh coffee,\nevery morning", "할인", HEADLINE])
def test_no_letter_touches_the_cup(words):
    """Rim and spoon reach far into the side where there is room for words: they must become smaller there."""
    letters = letters_on(examples.photo("coffee")[0].numpy(), words)
    y, x = np.mgrid[:400, :600]
    rim = ((x - 290) / 118) ** 2 + ((y - 112) / 95) ** 2 < 1
    handle = (np.abs(x - 412) < 12) & (y > 66) & (y < 120)
    assert letters.sum() > 0.005 * letters.size
    assert not (letters & (rim | handle)).any()


@pytest.mark.parametrize(
    ("wide", "tall", "across"), [(24, 245, 0.5), (24, 265, 0.5), (60, 280, 0.5), (90, 340, 0.5), (190, 330, 0.6)]
)
@pytest.mark.parametrize("words", [TWO_LINES, "Fresh coffee,\nevery morning"])
def test_no_letter_touches_a_thing(wide, tall, across, words):
    picture = table(400, 400, horizon=0.7)
    left = round(400 * across - wide / 2)
    picture[380 - tall : 380, left : left + wide] = [0.1, 0.35, 0.25]
    letters = letters_on(picture, words)
    assert letters.sum() > 0.005 * letters.size
    assert not letters[378 - tall :, left - 2 : left + wide + 2].any()


def test_no_letter_touches_the_rocket():
    """Letters fill a box to its lower edge: no leading lies below the last line."""
    from PIL import Image

    whole = Image.fromarray((photo("rocket") * 255).astype(np.uint8))
    picture = np.asarray(whole.crop((0, 46, 640, 381)).resize((800, 419), Image.Resampling.BICUBIC)) / 255
    letters = letters_on(picture, "주말 한정\n전 품목 20% 할인", LayoutOptions(format="1.91:1 link preview"))
    assert letters.sum() > 0.005 * letters.size
    assert not letters[105:, 385:425].any()


def filled(name: str, width: int, height: int) -> np.ndarray:
    """The middle of a photo, scaled until it fills the size."""
    from PIL import Image, ImageOps

    whole = Image.fromarray((photo(name) * 255).astype(np.uint8))
    return np.asarray(ImageOps.fit(whole, (width, height), Image.Resampling.BICUBIC)) / 255


@pytest.mark.parametrize("name", ["coffee", "chelsea"])
def test_where_nothing_is_free_the_words_go_over_an_edge_on_a_veil(name):
    """Rather than become small among the things, or stand on the white inside of a cup."""
    picture = filled(name, 384, 680)
    layout = plan(picture, [], "매일 아침 갓 볶은 원두", LayoutOptions(format="9:16 story, reel"))
    assert layout.scrim is not None
    assert layout.scrim.opacity >= 0.4
    assert layout.text.width > 0.85 * 384
    assert layout.text.y < 0.2 * 680
    assert "no part of the picture is free" in layout.reason_en
    assert "비어 있는 곳이 없어" in layout.reason_ko
    assert parse(layout.to_json()) == layout


@pytest.mark.parametrize(
    "words", ["아주아주길고띄어쓰기가전혀없는문장을그대로붙여넣은사장님의광고문구입니다", "x" * 200, "긴 글 " * 60]
)
@pytest.mark.parametrize("masks", [[], [MUG], [BOTTLE]], ids=["words", "mug", "bottle"])
def test_no_veil_where_words_are_small_for_their_length_alone(words, masks):
    assert plan(table(400, 500), masks, words, LayoutOptions()).scrim is None


def test_hangul_without_spaces_gets_room_for_several_lines():
    """Text Overlay breaks it; a place for one line would keep it tiny."""
    from storefront.studio.text import fonts, typeset

    words = "아주아주길고띄어쓰기가전혀없는문장을그대로붙여넣은사장님의광고문구입니다"
    text = plan(table(400, 500), [MUG], words, LayoutOptions()).text
    face = fonts.Typeface(fonts.all_families(), fonts.BUNDLED)
    block = typeset.Typesetter(words, face, typeset.Setting()).fit(text.width, text.height)
    assert block.lines > 1
    assert block.size > 0.045 * (400 * 500) ** 0.5


def test_words_over_a_portrait_leave_the_face_free():
    text = plan(filled("astronaut", 512, 512), [], "우주로 떠나는 여행", LayoutOptions()).text
    assert text.y > 0.7 * 512
    assert text.width > 0.85 * 512


@pytest.mark.parametrize("masks", [[], [MUG], [BOTTLE]], ids=["words", "mug", "bottle"])
@pytest.mark.parametrize("size", [(400, 400), (640, 360), (270, 480)])
@pytest.mark.parametrize("words", ["매일 아침", "約束の輝き", "갓 내린\n한 잔의 여유"])
def test_words_that_run_downwards_get_a_place_for_columns(masks, size, words):
    """Not a headline's flat one, in which each syllable or two begins a new column, or all are small."""
    from storefront.studio.text import fonts, typeset

    layout = plan(table(*size), masks, words, LayoutOptions(vertical=True))
    text = layout.text
    for box in layout.products:
        assert text.right <= box.x or box.right <= text.x or text.bottom <= box.y or box.bottom <= text.y
    face = fonts.Typeface(fonts.all_families(), fonts.BUNDLED)
    block = typeset.Typesetter(words, face, typeset.Setting(vertical=True)).fit(text.width, text.height)
    assert block.lines <= words.count("\n") + 2
    assert block.size > 0.05 * (size[0] * size[1]) ** 0.5


def test_the_writers_lines_stay_whole_where_there_is_room():
    picture = table(400, 400, horizon=0.7, tint=0.15)
    picture[50:370, 230:330] = [0.1, 0.5, 0.3]
    rows = letters_on(picture, TWO_LINES).any(1)
    assert (np.diff(rows.astype(int)) == 1).sum() == 2


@pytest.mark.parametrize("horizon", [0.55, 0.6])
@pytest.mark.parametrize("matte", [MUG, BOTTLE], ids=["mug", "bottle"])
def test_words_above_a_product_share_its_axis_or_stand_well_off_it(matte, horizon):
    """Light from one side pulls a composition to it; a twentieth of the width looks like a mistake."""
    picture = np.clip(table(400, 400, horizon) * np.linspace(1.05, 0.6, 400)[None, :, None], 0, 1)
    layout = plan(picture, [matte], "갓 내린\n한 잔의 여유", LayoutOptions())
    (box,), text = layout.products, layout.text
    off = abs(box.x + box.right - text.x - text.right) / 800
    beside = text.right <= box.x or box.right <= text.x
    assert beside or off <= 0.015 or off >= 0.095


def test_longer_words_get_more_room():
    """One word would be as large in half of the box that a long sentence needs."""

    def area(words: str) -> int:
        text = plan(table(), [], words, LayoutOptions()).text
        return text.width * text.height

    assert area("오늘부터 일주일 동안 모든 원두를 반값에 드립니다 놓치지 마세요") > 1.2 * area("세일")


def test_line_breaks_count():
    """Four short lines want a higher box than the same words in one."""

    def height(words: str) -> int:
        return plan(np.full((400, 400, 3), 0.9), [], words, LayoutOptions()).text.height

    assert height("봄\n여름\n가을\n겨울") > height("봄 여름 가을 겨울")


def test_the_reasons_tell_what_was_measured():
    layout = plan(SCENES["coffee"], [], HEADLINE, LayoutOptions())
    scene = analyse(SCENES["coffee"], subject=True)
    height, width = SCENES["coffee"].shape[:2]
    box = layout.text
    part = scene.busyness[
        round(box.y / height * scene.busyness.shape[0]) : round(box.bottom / height * scene.busyness.shape[0]),
        round(box.x / width * scene.busyness.shape[1]) : round(box.right / width * scene.busyness.shape[1]),
    ]
    said = int(re.search(r"where (\d+)% of the picture is busy", layout.reason_en).group(1))
    assert abs(said - 100 * (part > 0.3).mean()) < 3
    assert all(f"{said}%" in reason for reason in (layout.reason_ko, layout.reason_ja, layout.reason_zh))
    assert ("veil" in layout.reason_en) == (layout.scrim is not None) == ("막" in layout.reason_ko)


def test_the_same_input_gives_the_same_plan():
    assert plan(SCENES["cat"], [MUG], HEADLINE, LayoutOptions()) == plan(
        SCENES["cat"], [MUG], HEADLINE, LayoutOptions()
    )


def test_the_preview_shows_the_plan():
    image = examples.photo("coffee")
    layout = plan_pictures(image, torch.from_numpy(MUG)[None], HEADLINE, LayoutOptions())
    shown = preview(image, layout)
    assert shown.shape == image.shape
    box = layout.products[0]
    frame = shown[0, box.y + box.height // 2, box.x]
    assert frame[1] > 0.6  # the green of a product
    assert (shown != image).any()


@pytest.mark.parametrize(
    ("named", "arguments"),
    [
        ("background", (torch.zeros(0, 64, 64, 3), None)),
        ("background", (torch.zeros(1, 8, 8000, 3), None)),
        ("background", (torch.full((1, 64, 64, 3), float("nan")), None)),
        ("product_mask", (torch.zeros(1, 64, 64, 3), torch.zeros(1, 9, 9))),
        ("product_mask", (torch.zeros(1, 64, 64, 3), torch.full((1, 9, 9), float("nan")))),
        ("product_mask", (torch.zeros(1, 64, 64, 3), torch.zeros(0, 9, 9))),
    ],
)
def test_bad_input_is_named(named, arguments):
    with pytest.raises(InputError, match=f"^`{named}` is"):
        plan_pictures(*arguments, "x", LayoutOptions())


@pytest.mark.parametrize(
    "values",
    [
        {"format": "A4"},
        {"margin": 26},
        {"margin": float("nan")},
        {"product_scale": float("nan")},
        {"text_side": "up"},
        {"batch": "no"},
    ],
)
def test_a_wrong_wish_is_named(values):
    with pytest.raises(InputError, match=next(iter(values))):
        LayoutOptions(**values)


def test_extreme_shapes_and_words():
    for size in ((100, 8000), (8000, 100)):
        picture = np.full((*size, 3), 0.5)
        assert plan(picture, [MUG], "x" * 10_000, LayoutOptions()).text.width > 0
    assert plan(table(), [np.ones((5, 5), np.float32)], "", LayoutOptions(format=AS_PICTURE)).products
    with pytest.raises(InputError, match="at most 64"):
        plan(table(), [MUG] * 65, "x", LayoutOptions(batch=TOGETHER))
    many = plan(table(), [BOTTLE] * 64, "x", LayoutOptions(batch=TOGETHER))
    assert parse(many.to_json()) == many
