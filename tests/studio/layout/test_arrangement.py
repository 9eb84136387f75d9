"""What a person moved stays where it was put, and the rest is planned around it; a stranger's arrangement is refused by name."""

from __future__ import annotations

import dataclasses
import itertools
import json
import time

import numpy as np
import pytest
import torch
from storefront.studio.brand import rooms
from storefront.studio.canvas import Box
from storefront.studio.errors import InputError
from storefront.studio.layout.arrangement import LONGEST, HandBox, arranged, misfits, parse_arrangement
from storefront.studio.layout.layout import CALL_TO_ACTION, MOST_PRODUCTS, Layout, Light, Overlay, Pose, parse
from storefront.studio.layout.options import TOGETHER, LayoutOptions
from storefront.studio.layout.plan import plan
from storefront.studio.text.design import HandWords

HEADLINE = "갓 내린 한 잔의 여유"
SIDES = ("x", "y", "width", "height")


def table(width: int = 320, height: int = 320, horizon: float = 0.55, tint: float = 0.9) -> np.ndarray:
    """A wall and a table."""
    y = np.linspace(0, 1, height)[:, None, None]
    wall, wood = np.array([0.93, 0.9, 0.84]) * tint, np.array([0.55, 0.36, 0.22]) * tint
    return np.broadcast_to(np.where(y < horizon, wall, wood), (height, width, 3)).copy()


def mask(width: int, height: int) -> np.ndarray:
    return np.pad(np.ones((height, width), np.float32), 10)


MUG, BOTTLE = mask(120, 100), mask(60, 180)


def box(x: float, y: float, width: float, height: float) -> dict[str, float]:
    return dict(zip(SIDES, (x, y, width, height)))


def moved(**parts) -> str:
    return json.dumps({role.replace("_", " "): part for role, part in parts.items()})


LEFT_MUG = moved(product_1={"box": box(0.06, 0.5, 0.3, 0.3)})
LOW_WORDS = moved(headline={"box": box(0.1, 0.75, 0.8, 0.2)})


def apart(one: Box, other: Box) -> bool:
    return one.right <= other.x or other.right <= one.x or one.bottom <= other.y or other.bottom <= one.y


@pytest.mark.parametrize("nothing", ["", "  ", "{}", '{"version": 1}', {}])
def test_nothing_moved_is_the_automatic_plan(nothing):
    hand = parse_arrangement(nothing)
    assert not hand
    layout = plan(table(), [MUG], HEADLINE, LayoutOptions())
    assert arranged(layout, hand) is layout
    assert plan(table(), [MUG], HEADLINE, LayoutOptions(), hand=hand) == layout


CHANGES = {
    "headline": {"headline": "여름 한정 복숭아 에이드, 오늘만 반값"},
    "product": {"masks": [BOTTLE]},
    "scene": {"picture": table(horizon=0.7, tint=0.4)},
    "format": {"picture": table(426, 240)},
    "size": {"picture": table(640, 640)},
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("arrangement", [LEFT_MUG, LOW_WORDS], ids=["product", "words"])
def test_what_was_moved_stays_and_the_rest_keeps_clear_of_it(arrangement, change):
    asked = {"picture": table(), "masks": [MUG], "headline": HEADLINE} | CHANGES[change]
    picture, hand = asked["picture"], parse_arrangement(arrangement)
    height, width = picture.shape[:2]
    layout = plan(picture, asked["masks"], asked["headline"], LayoutOptions(), hand=hand)
    (product,) = layout.products
    if hand.headline is None:
        assert product == hand.products[0].place.on(width, height)
        assert layout.by_hand == {"product 1"}
        assert not layout.text.x < 0
        assert layout.text.bottom <= height
    else:
        assert layout.text == hand.headline.on(width, height)
        assert layout.by_hand == {"headline"}
        assert 0 <= product.x < product.right <= width
    # Words that a person put on all of a scene's ground leave a product no place: then they are told.
    assert apart(product, layout.text) or misfits(layout, hand) == ["the words, moved by hand, lie over product 1"]
    assert apart(product, layout.text) or change == "scene"
    assert parse(layout.to_json()) == layout


def test_words_are_planned_anew_only_where_what_was_moved_needs_their_place():
    automatic = plan(table(), [MUG], HEADLINE, LayoutOptions())
    was = automatic.products[0]
    beside = moved(product_1={"box": box(*(side / 320 for side in (was.x + 4, was.y + 2, was.width, was.height)))})
    assert plan(table(), [MUG], HEADLINE, LayoutOptions(), hand=parse_arrangement(beside)).text == automatic.text
    onto = moved(product_1={"box": box(*(side / 320 for side in automatic.text))})
    assert plan(table(), [MUG], HEADLINE, LayoutOptions(), hand=parse_arrangement(onto)).text != automatic.text


def test_of_several_products_the_others_keep_their_boxes():
    options = LayoutOptions(batch=TOGETHER)
    automatic = plan(table(), [MUG, BOTTLE], HEADLINE, options)
    hand = parse_arrangement(moved(product_2={"box": box(0.7, 0.4, 0.2, 0.5), "front": 3}))
    layout = plan(table(), [MUG, BOTTLE], HEADLINE, options, hand=hand)
    assert layout.products == (automatic.products[0], Box(224, 128, 64, 160))
    assert layout.poses == (Pose(), Pose(front=3))


def test_logo_badge_and_call_to_action_take_nothing_from_words_that_were_moved():
    extras = rooms.extras_of(None, "50%", "지금 주문")
    background = torch.from_numpy(table(512, 512)).float()[None]
    mattes = [torch.from_numpy(MUG)[None]]
    for arrangement in (LEFT_MUG, moved(headline={"box": box(0.08, 0.08, 0.8, 0.3)})):
        planned = plan(table(512, 512), [MUG], HEADLINE, LayoutOptions(), hand=parse_arrangement(arrangement))
        layout = rooms.with_rooms(planned, background, mattes, extras)
        assert {one.kind for one in layout.overlays} == {"badge", "call to action"}
        assert layout.products == planned.products
        assert (layout.text == planned.text) == ("headline" in planned.by_hand)
        taken = [layout.text, *(one.box for one in layout.overlays)]
        assert all(apart(one, other) for one, other in itertools.combinations(taken, 2))


BADGE = moved(badge={"box": box(0.1, 0.1, 0.2, 0.2)})


def test_an_overlay_stays_where_it_was_put_and_words_go_around_it():
    automatic = plan(table(), [MUG], HEADLINE, LayoutOptions())
    onto = box(*(side / 320 for side in automatic.text))
    hand = parse_arrangement(moved(badge={"box": onto}))
    layout = plan(table(), [MUG], HEADLINE, LayoutOptions(), hand=hand)
    assert layout.place_by_hand("badge") == automatic.text
    assert layout.products == automatic.products  # what nobody touched does not jump
    assert apart(layout.text, automatic.text)
    assert layout.by_hand == {"badge"}
    assert parse(layout.to_json()) == layout
    without = plan(table(), [], HEADLINE, LayoutOptions(), hand=hand)
    assert apart(without.text, without.place_by_hand("badge"))


@pytest.mark.parametrize("size", [(320, 320), (320, 568), (568, 320)])
def test_an_overlay_keeps_its_place_in_another_format_and_no_second_room_is_kept(size):
    hand = parse_arrangement(BADGE)
    planned = plan(table(*size), [MUG], "다른 문구", LayoutOptions(), hand=hand)
    mattes = [torch.from_numpy(MUG)[None]]
    background = torch.from_numpy(table(*size)).float()[None]
    layout = rooms.with_rooms(planned, background, mattes, rooms.extras_of(None, "50%", "지금 주문"))
    (badge,) = [one for one in layout.overlays if one.kind == "badge"]
    assert badge == Overlay("badge", hand.overlays["badge"].on(*size), False, "badge")
    taken = [layout.text, *(one.box for one in layout.overlays)]
    assert all(apart(one, other) for one, other in itertools.combinations(taken, 2))
    assert layout.undrawn() == layout
    drawn = layout.with_overlay(Overlay("badge", Box(5, 5, 9, 9)))
    assert drawn.overlays[-1] == badge._replace(drawn=True)
    assert drawn.next_role("badge") == "badge 2"
    assert drawn.place_by_hand("badge") is None
    assert drawn.undrawn().place_by_hand("badge") == badge.box


def test_words_stay_as_they_are_when_the_button_under_them_is_moved():
    background, mattes = torch.from_numpy(table(512, 512)).float()[None], [torch.from_numpy(MUG)[None]]
    extras = rooms.extras_of(None, "", "지금 주문")

    def made(hand: str) -> Layout:
        planned = plan(table(512, 512), [MUG], f"{HEADLINE}\n지금 주문", LayoutOptions(), hand=parse_arrangement(hand))
        return rooms.with_rooms(planned, background, mattes, extras)

    automatic, moved_away = made(""), made(moved(**{"call to action": {"box": box(0.7, 0.88, 0.2, 0.06)}}))
    assert automatic.room_for(CALL_TO_ACTION).y >= automatic.text.bottom
    assert (moved_away.text, moved_away.products) == (automatic.text, automatic.products)
    assert moved_away.text_on(512, 512).down == automatic.text_on(512, 512).down == 1
    assert parse(moved_away.to_json()) == moved_away
    later = arranged(automatic, parse_arrangement(moved(**{"call to action": {"box": box(0.7, 0.88, 0.2, 0.06)}})))
    assert (later.text, later.lean()) == (automatic.text, 1)
    low = parse_arrangement(moved(headline={"box": box(0.1, 0.75, 0.8, 0.2)}))
    assert arranged(moved_away, low).text_on(512, 512).down == 0.5


def test_an_overlay_that_no_longer_fits_is_named():
    value = moved(
        badge={"box": box(0.8, 0.2, 0.6, 0.2)},
        logo={"box": box(0, 0, 0.3, 0.1)},
        **{
            "call to action": {"box": box(0.2, 0.02, 0.3, 0.1)},
            "words 2": {"box": box(0.1, 0.8, 0.5, 0.1), "words": "문의"},
        },
    )
    hand = parse_arrangement(value)
    layout = plan(table(), [MUG], HEADLINE, LayoutOptions(), hand=hand)
    assert misfits(layout, hand) == [
        "logo, moved by hand, lies partly outside the safe area of this format",
        "badge, moved by hand, lies mostly outside the picture",
        "call to action, moved by hand, lies partly outside the safe area of this format",
        "call to action, moved by hand, lies over logo",
    ]
    assert layout.further_words == (("words 2", HandWords("문의")),)
    assert parse(layout.to_json()) == layout
    assert hand.placed() == {"badge", "logo", "call to action", "words 2"}


def test_words_lie_in_the_middle_of_a_box_that_a_person_gave_them():
    layout = plan(table(), [MUG], HEADLINE, LayoutOptions(), hand=parse_arrangement(LOW_WORDS))
    box = layout.text._replace(y=layout.text.bottom + 2, height=20)
    under = layout.with_overlay(Overlay(CALL_TO_ACTION, box))
    assert under.text_on(320, 320).down == 0.5
    assert dataclasses.replace(under, by_hand=frozenset()).text_on(320, 320).down == 1


def test_a_rotated_box_is_the_one_around_the_product():
    assert HandBox(0.25, 0.4, 0.5, 0.2).on(1000, 1000, 90) == Box(400, 250, 200, 500)
    assert HandBox(0.25, 0.4, 0.5, 0.2).on(1000, 1000, -360) == Box(250, 400, 500, 200)


def test_words_color_and_light_of_a_persons_own():
    hand = parse_arrangement(
        moved(headline={"words": "다른 말", "color": "#ff0000"}, light={"azimuth": -90, "elevation": 20})
    )
    layout = plan(table(), [MUG], HEADLINE, LayoutOptions(), hand=hand)
    assert layout.light == Light(270, 20)
    own = layout.text_on(640, 640).hand
    assert (own.words, own.color, own.weight, own.align) == ("다른 말", "#ff0000", 0, "")
    assert not layout.text_on(640, 640).is_by_hand
    assert parse(layout.to_json()) == layout


def test_what_is_left_out_stays_as_a_node_before_has_it():
    first = parse_arrangement(moved(headline={"words": "다른 말", "color": "#ff0000"}))
    layout = plan(table(), [MUG], HEADLINE, LayoutOptions(), hand=first)
    second = parse_arrangement(moved(headline={"align": "right", "color": "#00ff00"}))
    assert arranged(layout, second).hand_words == HandWords("다른 말", "#00ff00", 0, "right")
    assert arranged(layout, parse_arrangement(LOW_WORDS)).hand_words == HandWords("다른 말", "#ff0000")


def test_what_no_longer_fits_is_named():
    hand = parse_arrangement(
        moved(
            product_1={"box": box(0.8, 0.2, 0.6, 0.6)},
            product_3={"box": box(0, 0, 0.2, 0.2)},
            headline={"box": box(0.1, -0.1, 0.85, 0.6)},
        )
    )
    layout = plan(table(), [MUG], HEADLINE, LayoutOptions(), hand=hand)
    assert layout.products[0].x == round(0.8 * 320)
    assert misfits(layout, hand) == [
        "product 3 was moved by hand, but is not in this picture",
        "the words, moved by hand, lie partly outside the safe area of this format",
        "the words, moved by hand, lie over product 1",
        "product 1, moved by hand, lies mostly outside the picture",
    ]
    assert misfits(plan(table(), [MUG], HEADLINE, LayoutOptions(), hand=parse_arrangement(LEFT_MUG)), hand) != []
    fits = parse_arrangement(LEFT_MUG)
    assert misfits(plan(table(), [MUG], HEADLINE, LayoutOptions(), hand=fits), fits) == []


def test_a_box_at_the_very_edge_still_touches_every_picture():
    hand = parse_arrangement(moved(product_1={"box": box(0.99999, 0.99999, 0.5, 0.5)}))
    for side in (33, 320, 511):
        (product,) = plan(table(side, side), [MUG], HEADLINE, LayoutOptions(), hand=hand).products
        assert product.x == product.y == side - 1


DEEP = "[" * 100_000
NAN, INFINITE = float("nan"), float("inf")
HOSTILE = {
    "deep": (DEEP, "arrangement"),
    "deep and closed": ('{"headline":' * 9000 + "0" + "}" * 9000, "arrangement"),
    "long": (" " * (LONGEST + 1), "arrangement"),
    "no JSON": ("{'headline': 1}", "arrangement"),
    "a list": ("[1, 2]", "arrangement"),
    "a number": ("7", "arrangement"),
    "null": ("null", "arrangement"),
    "not text": (7, "arrangement"),
    "true": (True, "arrangement"),
    "a later version": ('{"version": 2}', "version"),
    "a version that is no number": ('{"version": [1]}', "version"),
    "an unknown role": ('{"__proto__": {}}', "arrangement"),
    "product 0": ('{"product 0": {}}', "arrangement"),
    "product 65": ('{"product 65": {}}', "arrangement"),
    "product of other digits": ('{"product ١": {}}', "arrangement"),
    "product of mixed digits": ('{"product 1١": {}}', "arrangement"),
    "a role that is no text": ({7: {}}, "arrangement"),
    "10,000 products": (json.dumps({f"product {n}": {} for n in range(1, 10_001)}), "arrangement"),
    "a part that is no object": (moved(headline=[]), "headline"),
    "a part that is null": (moved(product_1=None), "product 1"),
    "a box that is no object": (moved(headline={"box": [0, 0, 1, 1]}), "headline.box"),
    "a side that is missing": (moved(headline={"box": {"x": 0, "y": 0, "width": 0.5}}), "headline.box.height"),
    "a side that is text": (moved(headline={"box": box(0, 0, "1", 1)}), "headline.box.width"),
    "a side that is true": (moved(headline={"box": box(True, 0, 1, 1)}), "headline.box.x"),
    "a side that is NaN": (moved(headline={"box": box(NAN, 0, 1, 1)}), "headline.box.x"),
    "a side that is infinite": (moved(product_2={"box": box(0, 0, INFINITE, 1)}), "product 2.box.width"),
    "a side of a thousand digits": ('{"headline": {"box": {"x": 1' + "0" * 1000 + "}}}", "headline.box.x"),
    "a side of 1e999": ('{"headline": {"box": {"x": 1e999}}}', "headline.box.x"),
    "a width of nothing": (moved(headline={"box": box(0, 0, 0, 1)}), "headline.box.width"),
    "a negative width": (moved(headline={"box": box(0, 0, -1, 1)}), "headline.box.width"),
    "a box out of sight": (moved(headline={"box": box(1.5, 0, 0.2, 0.2)}), "headline.box"),
    "a box above": (moved(product_1={"box": box(0, -0.5, 0.2, 0.5)}), "product 1.box"),
    "a rotation of a million": (moved(product_1={"rotation": 1e6}), "product 1.rotation"),
    "a rotation that is text": (moved(product_1={"rotation": "90"}), "product 1.rotation"),
    "a flip that is a number": (moved(product_1={"flip": 1}), "product 1.flip"),
    "a front of a million": (moved(product_1={"front": 10**6}), "product 1.front"),
    "words that are a list": (moved(headline={"words": ["a"]}), "headline.words"),
    "words without end": (moved(headline={"words": "a" * 3000}), "headline.words"),
    "half of a surrogate pair": ('{"headline": {"words": "\\ud800"}}', "headline.words"),
    "a color that is script": (moved(headline={"color": "url(javascript:alert(1))"}), "headline.color"),
    "a color that is a number": (moved(headline={"color": 7}), "headline.color"),
    "a weight of 5000": (moved(headline={"weight": 5000}), "headline.weight"),
    "a weight that is text": (moved(headline={"weight": "700"}), "headline.weight"),
    "an unknown alignment": (moved(headline={"align": "justify"}), "headline.align"),
    "an alignment that is a list": (moved(headline={"align": ["left"]}), "headline.align"),
    "a font that is a number": (moved(headline={"font": 7}), "headline.font"),
    "a font without end": (moved(**{"words 2": {"font": "a" * 300}}), "words 2.font"),
    "a badge that is a list": (moved(badge=[1]), "badge"),
    "a logo of NaN": (moved(logo={"box": box(NAN, 0, 0.1, 0.1)}), "logo.box.x"),
    "a ninth badge": (moved(**{"badge 9": {"box": box(0, 0, 0.1, 0.1)}}), "arrangement"),
    "first words": (moved(words={"words": "a"}), "arrangement"),
    "an elevation below ground": (moved(light={"elevation": -5}), "light.elevation"),
    "an azimuth that is NaN": (moved(light={"azimuth": NAN}), "light.azimuth"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_strangers_arrangement_is_refused_by_name_and_at_once(what):
    value, name = HOSTILE[what]
    start = time.process_time()
    with pytest.raises(InputError) as refused:
        parse_arrangement(value)
    assert time.process_time() - start < 1
    assert refused.value.name.startswith("arrangement")
    assert refused.value.name.endswith(name)
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("by_hand", ["headline", "door"]),
        ("by_hand", "headline"),
        ("by_hand", [["headline"]]),
        ("poses", [{"rotation": 1e9}]),
        ("poses", {}),
        ("poses", [{}] * (MOST_PRODUCTS + 1)),
        ("hand_words", []),
        ("hand_words", {"color": "red"}),
        ("further_words", {"words 1": {}}),
        ("further_words", {"words 2": []}),
        ("further_words", [1]),
        ("overlays", [{"kind": "badge", "role": "logo", "x": 1, "y": 1, "width": 9, "height": 9}]),
        ("overlays", [{"kind": "badge", "role": [], "x": 1, "y": 1, "width": 9, "height": 9}]),
    ],
)
def test_a_strangers_layout_cannot_bring_it_either(field, value):
    layout = json.loads(plan(table(), [MUG], HEADLINE, LayoutOptions()).to_json()) | {field: value}
    with pytest.raises(InputError, match=field):
        parse(layout)


def test_the_longest_arrangement_is_read_at_once():
    whole = {"headline": {"words": "가" * 2000, "box": box(0.123456, 0.123456, 0.5, 0.5)}}
    whole |= {
        f"product {n}": {"box": box(0.123456, 0.1, 0.2, 0.2), "rotation": -12.5, "flip": True, "front": 9}
        for n in range(1, MOST_PRODUCTS + 1)
    }
    text = json.dumps(whole, ensure_ascii=False)
    assert len(text) < LONGEST
    start = time.process_time()
    hand = parse_arrangement(text)
    assert time.process_time() - start < 1
    assert len(hand.products) == MOST_PRODUCTS


def test_a_picture_without_products_keeps_moved_words():
    layout = plan(np.full((300, 400, 3), 0.6), [], HEADLINE, LayoutOptions(), hand=parse_arrangement(LOW_WORDS))
    assert layout.text == Box(40, 225, 320, 60)
    assert isinstance(layout, Layout)
    assert dataclasses.replace(layout, by_hand=frozenset()).to_json() != layout.to_json()
