"""A layout survives being written, edited and read; what is wrong with an edited one is named."""

from __future__ import annotations

import dataclasses
import json

import pytest
from storefront.studio.canvas import Box, Safe
from storefront.studio.contrast import Scrim, require_color
from storefront.studio.errors import InputError
from storefront.studio.layout.layout import Layout, Light, Overlay, parse

PLAN = Layout(
    1000,
    800,
    (Box(100, 200, 300, 400), Box(500, 350, 200, 250)),
    600,
    Box(40, 40, 600, 120),
    "#ffffff",
    "left",
    Scrim("#000000", 0.4),
    Light(300, 45),
    "Free space on the left.",
    "왼쪽이 비어 있어요.",
    Safe(0.14, 0.06, 0.35, 0.06),
)


def edited(path: str, value) -> dict:
    whole = json.loads(PLAN.to_json())
    *parents, last = path.split(".")
    part = whole
    for name in parents:
        part = part[int(name) if name.isdigit() else name]
    part[last] = value
    return whole


def test_json_and_back():
    assert parse(PLAN.to_json()) == PLAN
    assert parse(json.loads(PLAN.to_json())) == PLAN
    assert "왼쪽" in PLAN.to_json()


def test_a_plan_from_before_safe_areas_were_kept_is_read():
    older = json.loads(PLAN.to_json())
    del older["safe"]
    assert parse(older) == dataclasses.replace(PLAN, safe=None) == parse(edited("safe", None))


def test_scaling_keeps_proportions_and_refuses_another_shape():
    double = PLAN.on(2000, 1600)
    assert double.products[0] == Box(200, 400, 600, 800)
    assert (double.ground, double.text) == (1200, Box(80, 80, 1200, 240))
    assert double.safe == PLAN.safe
    assert PLAN.on(1000, 800) is PLAN
    with pytest.raises(InputError, match="800x1000"):
        PLAN.on(800, 1000)


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("canvas.width", 0, "canvas.width"),
        ("canvas.height", 10**9, "canvas.height"),
        ("canvas.width", None, "canvas.width"),
        ("canvas", [1, 2], "canvas"),
        ("products", "many", "products"),
        ("products.0.x", float("nan"), r"products\[0\].x"),
        ("products.0.width", -5, r"products\[0\].width"),
        ("products.1.x", 5000, r"products\[1\]"),
        ("products.1.y", "12", r"products\[1\].y"),
        ("text.box", None, "text.box"),
        ("text.color", "red; rm", "text.color"),
        ("text.align", "top", "text.align"),
        ("text.scrim", 7, "text.scrim"),
        ("text.scrim.opacity", 2, "opacity"),
        ("ground", True, "ground"),
        ("light.elevation", float("inf"), "light.elevation"),
        ("safe", "wide", "safe"),
        ("safe.top", 0.5, "safe.top"),
        ("safe.left", None, "safe.left"),
    ],
)
def test_a_wrong_field_is_named(path, value, named):
    with pytest.raises(InputError, match=named):
        parse(edited(path, value))


@pytest.mark.parametrize("value", ["", "[1]", "{", None, 5, "[" * 100_000, "{}"])
def test_what_is_no_layout_is_refused(value):
    with pytest.raises(InputError, match="layout"):
        parse(value)


def test_colours():
    assert require_color("c", "#AbC") == "#aabbcc"
    assert require_color("c", " #012345 ") == "#012345"
    for wrong in ("red", "#12345", "", None, "#gggggg"):
        with pytest.raises(InputError, match="`c` is"):
            require_color("c", wrong)


DRAWN = dataclasses.replace(
    PLAN,
    placed=1,
    overlays=(Overlay("words", Box(40, 40, 500, 100)), Overlay("logo", Box(700, 40, 200, 80), drawn=False)),
)


def test_what_is_drawn_travels_with_the_layout_and_scales():
    assert parse(DRAWN.to_json()) == DRAWN
    assert DRAWN.on(2000, 1600).overlays[1] == Overlay("logo", Box(1400, 80, 400, 160), drawn=False)
    assert DRAWN.words_drawn
    assert not PLAN.words_drawn
    assert PLAN.text in PLAN.taken()
    assert PLAN.text not in DRAWN.taken()


def test_a_drawn_overlay_takes_the_place_of_its_room():
    drawn = DRAWN.with_overlay(Overlay("logo", Box(710, 50, 180, 60)))
    assert drawn.room_for("logo") is None
    assert [one.kind for one in drawn.overlays] == ["words", "logo"]


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("placed", 3, "layout: placed"),
        ("placed", True, "layout: placed"),
        ("overlays", "logo", "layout: overlays"),
        ("overlays.0.kind", "hat", r"layout: overlays\[0\].kind"),
        ("overlays.0.drawn", 1, r"layout: overlays\[0\].drawn"),
        ("overlays.1.width", 0, r"layout: overlays\[1\].width"),
        ("overlays.1", None, r"layout: overlays\[1\]"),
    ],
)
def test_a_wrong_overlay_is_named(path, value, named):
    whole = json.loads(DRAWN.to_json())
    *parents, last = path.split(".")
    part = whole
    for name in parents:
        part = part[int(name) if name.isdigit() else name]
    part[int(last) if last.isdigit() else last] = value
    with pytest.raises(InputError, match=named):
        parse(whole)


SIDE_OF_100_000 = {"x": 0, "y": 0, "width": 100_000, "height": 100_000}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (
            {"overlays": [{"kind": "badge", "role": "badge", "drawn": False, **SIDE_OF_100_000}]},
            r"overlays\[0\].*at most 2 pictures",
        ),
        ({"low_words": "yes"}, "low_words.*yes"),
        ({"low_words": 1}, "low_words.*1"),
        ({"further_words": 0}, "further_words.*0"),
    ],
)
def test_what_a_stranger_writes_of_overlays_is_refused_by_name(change, named):
    with pytest.raises(InputError, match=named):
        parse(json.loads(DRAWN.to_json()) | change)
