"""Numbers and names that the layout editor's scripts share with the planner: written twice, as a page cannot import Python."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from storefront.studio.layout import arrangement, layout
from storefront.studio.layout.criteria import PAIR_CRITERIA

JS = Path(__file__).parents[3] / "js"


def number(script: str, pattern: str) -> float:
    """What stands in a script at the one place that the pattern fits."""
    (found,) = re.findall(pattern, (JS / script).read_text("utf-8"), re.MULTILINE)
    return float(found)


@pytest.mark.parametrize(
    ("script", "name", "value"),
    [
        ("layout_scene.mjs", "GAP", PAIR_CRITERIA.gap),
        ("layout_scene.mjs", "GAP_BESIDE", PAIR_CRITERIA.gap_beside),
        ("layout_fields.mjs", "LONGEST_WORDS", layout.LONGEST_HAND_WORDS),
    ],
)
def test_a_number_is_the_same_on_both_sides(script, name, value):
    assert number(script, rf"^const {name} = ([\d.]+)") == value


def test_what_the_dialog_can_make_is_taken():
    assert number("layout_fields.mjs", r"^const FURTHEST = (\d+)") <= layout.FURTHEST_FRONT
    assert number("layout_editor.mjs", r"^const LEAST_SIDE = ([\d.]+)") >= arrangement.NARROWEST
    assert number("layout_editor.mjs", r"^const MOST_SIDE = ([\d.]+)") <= layout.WIDEST_BY_HAND
    assert number("layout_fields.mjs", r"^const LARGEST = (\d+)") / 100 <= layout.WIDEST_BY_HAND
    assert number("layout_fields.mjs", r"^const WIDEST = ([\d.]+)") <= layout.WIDEST_BY_HAND
    scene = (JS / "layout_scene.mjs").read_text("utf-8")
    assert f'HEADLINE = "{layout.HEADLINE}"' in scene
    assert f'LIGHT = "{layout.LIGHT_ROLE}"' in scene
    assert f"version: {arrangement.VERSION}" in scene
    kinds = re.search(r"^const KINDS = {(.*)}", (JS / "layout_editor.mjs").read_text("utf-8"), re.MULTILINE)
    assert kinds is not None
    assert {name.strip(' "') for name in re.findall(r"([^,{]+):", kinds[1])} == {*layout.OVERLAYS} - {layout.WORDS}
    aligns = re.search(r"const aligns = (\[.*?\])", (JS / "layout_fields.mjs").read_text("utf-8"))
    assert aligns is not None
    assert tuple(json.loads(aligns[1])) == layout.ALIGNMENTS
