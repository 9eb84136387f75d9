"""Free rectangles, and words that keep out of what is drawn already."""

from __future__ import annotations

import dataclasses
import random

import numpy as np
import pytest
import torch
from storefront.studio.canvas import Box
from storefront.studio.errors import InputError
from storefront.studio.layout import room, written
from storefront.studio.layout.arrangement import arranged, parse_arrangement
from storefront.studio.layout.layout import WORDS, Layout, Light, Overlay
from storefront.studio.text import fonts
from storefront.studio.text.design import Design

AREA = Box(10, 10, 180, 130)


@pytest.fixture(scope="module")
def typeface():
    return fonts.Typeface(fonts.all_families(), fonts.BUNDLED)


def boxes(count: int, seed: int) -> list[Box]:
    numbers = random.Random(seed)
    return [
        Box(numbers.randint(-20, 180), numbers.randint(-20, 130), numbers.randint(1, 70), numbers.randint(1, 70))
        for _ in range(count)
    ]


@pytest.mark.parametrize("seed", range(20))
def test_free_rectangles_are_free_and_none_can_grow(seed):
    taken = boxes(6, seed)
    full = np.ones((150, 200), bool)
    full[AREA.y : AREA.bottom, AREA.x : AREA.right] = False
    for box in taken:
        full[max(0, box.y) : max(0, box.bottom), max(0, box.x) : max(0, box.right)] = True
    found = room.free_boxes(AREA, taken)
    seen = np.zeros_like(full)
    for box in found:
        assert not full[box.y : box.bottom, box.x : box.right].any()
        for edge in (
            full[box.y - 1, box.x : box.right],
            full[box.bottom, box.x : box.right],
            full[box.y : box.bottom, box.x - 1],
            full[box.y : box.bottom, box.right],
        ):
            assert edge.any()
        seen[box.y : box.bottom, box.x : box.right] = True
    assert (seen == ~full).all()


def test_a_gap_is_kept_and_a_full_picture_has_no_room():
    (left,) = room.free_boxes(Box(0, 0, 100, 50), [Box(60, 0, 40, 50)], gap=10)
    assert left == Box(0, 0, 50, 50)
    assert room.free_boxes(AREA, [Box(0, 0, 300, 300)]) == []


def test_an_outline_leaves_the_room_beside_a_bottle_s_neck():
    mask = np.zeros((200, 100))
    mask[80:, 10:90] = 1
    mask[:80, 40:60] = 1
    parts = room.outline_boxes(mask)
    assert not any(room.meet(part, Box(0, 0, 30, 60)) for part in parts)
    assert any(room.meet(part, Box(0, 90, 30, 60)) for part in parts)
    covered = np.zeros_like(mask)
    for part in parts:
        covered[part.y : part.bottom, part.x : part.right] = 1
    assert (covered >= mask).all()
    assert room.outline_boxes(np.zeros((5, 5))) == []


def picture(width: int = 400, height: int = 400) -> torch.Tensor:
    return torch.full((1, height, width, 3), 0.4)


def plan(**more) -> Layout:
    values = {"products": (Box(150, 160, 100, 200),), "text": Box(20, 20, 360, 100)} | more
    return Layout(
        400, 400, ground=360, text_color="#ffffff", text_align="center", scrim=None, light=Light(0, 45), **values
    )


def test_words_stand_in_the_layout_that_comes_back(typeface):
    lettered, after = written.write(picture(), ["봄 할인"], Design(), typeface, plan())
    assert [one.kind for one in after.overlays] == [WORDS]
    rows, columns = (torch.nonzero(lettered.mask[0].amax(axis)).flatten() for axis in (1, 0))
    ink = after.overlays[0].box
    assert ink.x <= int(columns[0]) < int(columns[-1]) < ink.right
    assert ink.y <= int(rows[0]) < int(rows[-1]) < ink.bottom


@pytest.mark.parametrize("times", [1, 2, 3])
def test_words_after_words_lie_over_nothing(typeface, times):
    after, image = plan(), picture()
    for number in range(times + 1):
        lettered, after = written.write(
            image, [f"문구 {number}"], Design(preset="caption" if number else "headline"), typeface, after
        )
        image = lettered.image
        assert lettered.notes == [] or all("lie over" not in note for note in lettered.notes)
    drawn = [one.box for one in after.overlays]
    assert len(drawn) == times + 1
    for index, one in enumerate(drawn):
        assert not any(room.meet(one, other) for other in (*drawn[:index], *after.products))


def test_further_words_go_where_a_person_put_them_and_say_what_is_their_own(typeface):
    value = {
        "headline": {"words": "제목"},
        "words 2": {"box": {"x": 0.1, "y": 0.85, "width": 0.5, "height": 0.1}, "color": "#ff0000"},
    }
    begun = arranged(plan(), parse_arrangement(value))
    first, after = written.write(picture(), ["봄 할인"], Design(), typeface, begun)
    for anchor in ("auto", "top center"):  # a place by hand counts more than an anchor
        lettered, done = written.write(first.image, ["문의"], Design(anchor=anchor, scrim="off"), typeface, after)
        rows, columns = (torch.nonzero(lettered.mask[0].amax(axis)).flatten() for axis in (1, 0))
        assert (int(columns[0]), int(rows[0])) > (40, 340)
        assert int(columns[-1]) < 240
        assert int(rows[-1]) < 380
        assert lettered.blocks[0].color == "#ff0000"
        assert done.overlays[-1] == Overlay(WORDS, Box(40, 340, 200, 40), True, "words 2")
    assert done.text == begun.text  # the headline's, for whoever uses this layout for another picture
    assert done.next_role(WORDS) == "words 3"


def test_words_that_an_anchor_puts_over_something_are_noted(typeface):
    _, after = written.write(picture(), ["봄 할인"], Design(), typeface, plan(placed=1))
    lettered, _ = written.write(picture(), ["또 할인"], Design(anchor="top center"), typeface, after)
    assert any("over the words" in note for note in lettered.notes)
    lettered, _ = written.write(picture(), ["또 할인"], Design(anchor="bottom center"), typeface, after)
    assert any("over the product" in note for note in lettered.notes)


def test_words_without_a_layout_begin_one(typeface):
    _, after = written.write(picture(), ["봄 할인"], Design(anchor="top left"), typeface)
    assert (after.width, after.height, after.words_drawn) == (400, 400, True)


def test_words_that_shrinking_pushed_off_the_picture_touch_it_again(typeface):
    """A place at the last column of a large layout lies behind the last one of a smaller picture."""
    edge = Overlay(WORDS, Box(1023, 500, 400, 100), False, "words 2")
    layout = Layout(1024, 1024, (), 1024, Box(100, 100, 400, 100), "#ffffff", "center", None, Light(0, 45))
    layout = dataclasses.replace(layout, overlays=(Overlay(WORDS, layout.text), edge))
    image = torch.full((1, 256, 256, 3), 0.5)
    planned, _ = written.planned_for(layout.on(256, 256), Design(), image)
    assert planned.text.x <= 255
    with pytest.raises(InputError, match=r"text.*1 x 25 pixels"):
        written.write(image, ["가"], Design(), typeface, layout)
