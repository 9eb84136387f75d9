"""The bundled scenes: complete, as their truth says, and enough for every trade."""

from __future__ import annotations

import ast
import itertools
import json

import numpy as np
import pytest
import torch
from PIL import Image
from storefront.studio.canvas import FORMATS
from storefront.studio.layout.options import AS_PICTURE, LayoutOptions
from storefront.studio.layout.plan import plan
from storefront.studio.layout.products import inside
from storefront.studio.product.place import place
from storefront.studio.product.placement import Placement
from storefront.studio.prompt import presets
from storefront.studio.scenes import bank, choose, picture

BANK = bank.read_bank(bank.BUNDLED)


def test_the_lists_have_what_the_whole_bank_has():
    wanted = {name: (scene.setting, scene.palette) for name, scene in BANK.scenes.items()}
    assert list(bank.labels(bank.BUNDLED).items()) == list(wanted.items())


SCENES = list(BANK.scenes.values())
RENDERED = {"1:1", "4:5", "9:16", "16:9", "3:1"}
MOST = 14_000_000  # bytes of all pictures
EACH_TRADE = 3  # scenes that suit it
LEAST = 72  # scenes


def test_nothing_is_broken():
    assert BANK.problems == ()
    assert len(SCENES) >= LEAST
    assert sum(file.stat().st_size for file in bank.BUNDLED.rglob("*.webp")) <= MOST
    named = {shot.file for scene in SCENES for shot in scene.shots}
    assert named == set(bank.BUNDLED.rglob("*.webp"))


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.id)
def test_a_scene_is_complete_and_its_truth_holds_together(scene):
    record = json.loads((bank.BUNDLED / scene.id / bank.FILE).read_text("utf-8"))
    assert set(record["formats"]) == RENDERED
    assert record["licence"] == "Apache-2.0"
    assert scene.setting in choose.SETTINGS
    assert scene.palette in choose.PALETTES
    for shot in scene.shots:
        with Image.open(shot.file) as opened:
            assert max(opened.size) >= 1024
            assert opened.width / opened.height == pytest.approx(shot.aspect, rel=0.01)
        x, y = np.array([shot.ground.stand[0]]), np.array([shot.ground.stand[1]])
        assert inside(shot.ground.support, x, y).all()
        assert shot.ground.horizon < shot.ground.stand[1]


def test_the_docs_say_how_many_there_are():
    root = bank.BUNDLED.parents[1]
    for page in ("docs/nodes.md", "CHANGELOG.md"):
        assert f"bank of {len(SCENES)}" in (root / page).read_text("utf-8"), page


def test_every_trade_has_scenes_that_suit_it():
    trades = presets.read_library().trades
    count = {trade: sum(trade in scene.trades for scene in SCENES) for trade in trades}
    assert {trade: number for trade, number in count.items() if number < EACH_TRADE} == {}
    assert {trade for scene in SCENES for trade in scene.trades} <= set(trades)


def trades_of_the_recipes():
    """Setting -> trades, of tools/scenes/recipes.py, which is read and not imported: its neighbours import Blender."""
    body = ast.parse((bank.BUNDLED.parents[1] / "tools" / "scenes" / "recipes.py").read_text("utf-8")).body
    table = next(node.value for node in body if isinstance(node, ast.Assign) and node.targets[0].id == "SETTINGS")
    return {key.value: value.args[2].value.split() for key, value in zip(table.keys, table.values, strict=True)}


def test_scenes_suit_the_trades_of_the_recipes_that_render_them():
    """A new trade goes into both: else it is gone when the scenes are rendered anew."""
    recipes = trades_of_the_recipes()
    assert {scene.id: sorted(scene.trades) for scene in SCENES} == {
        scene.id: sorted(recipes[scene.setting]) for scene in SCENES
    }


def test_every_setting_and_palette_is_there_and_light_from_each_direction():
    assert {scene.setting for scene in SCENES} == set(choose.SETTINGS)
    assert {scene.palette for scene in SCENES} == set(choose.PALETTES)
    assert {choose.light_name(scene.light) for scene in SCENES} == set(choose.LIGHT_AZIMUTHS)


@pytest.mark.parametrize("format", FORMATS)
def test_each_format_has_its_size_and_keeps_the_ground_in_sight(format):
    scene = SCENES[len(format) % len(SCENES)]
    made = picture.frame(scene, format)
    assert made.image.shape == (1, FORMATS[format].height, FORMATS[format].width, 3)
    assert float(made.image.std()) > 0.02
    x, y = made.layout.known.stand
    assert 0.05 < x < 0.95
    assert 0.4 < y < 0.97


def test_a_mirrored_picture_is_the_mirror_of_the_other():
    scene = SCENES[0]
    plain, turned = (picture.frame(one, "16:9 video, slide") for one in (scene, bank.mirrored(scene)))
    assert float((plain.image.flip(2) - turned.image).abs().max()) <= 0.02  # two resamplings
    assert turned.layout.known.stand[0] == pytest.approx(1 - plain.layout.known.stand[0])
    assert turned.layout.light.azimuth == pytest.approx((360 - plain.layout.light.azimuth) % 360)


SHAPES = {"bottle": (60, 200), "mug": (120, 110), "box": (200, 130)}


@pytest.mark.parametrize(
    ("scene", "shape"),
    itertools.islice(itertools.product(SCENES, SHAPES), 0, None, 4),
    ids=lambda value: value if isinstance(value, str) else value.id,
)
def test_a_planned_product_stands_on_the_ground_and_in_the_light_that_are_known(scene, shape):
    wide, tall = SHAPES[shape]
    mask = np.zeros((tall + 20, wide + 20), np.float32)
    mask[10:-10, 10:-10] = 1
    for format in ("1:1 feed", "9:16 story, reel", "3:1 banner"):
        made = picture.frame(scene, format)
        layout = plan(made.image[0].numpy(), [mask], "오늘의 커피", LayoutOptions(format=AS_PICTURE), made.layout)
        (box,) = layout.products
        x = np.array([box.x, box.right]) / layout.width
        y = np.array([box.bottom, box.bottom]) / layout.height
        assert inside(made.layout.known.support, (x * 0.9 + x.mean() * 0.1), y).all(), format
        assert layout.light == scene.light
        assert layout.safe != (0.05, 0.05, 0.05, 0.05) or format == "1:1 feed"  # the format's own safe area


@pytest.mark.parametrize("name", ["window-1", "marble-1"])
def test_a_narrow_product_is_a_hero_by_its_height(name):
    """As on a ground that is not known: not by the share of the picture that it covers."""
    made = picture.frame(BANK.scenes[name], "1:1 feed")
    tube = np.zeros((400, 300), np.float32)
    tube[30:370, 120:180] = 1
    layout = plan(made.image[0].numpy(), [tube], "손 세정제 9,900원", LayoutOptions(format="1:1 feed"), made.layout)
    assert 0.38 <= layout.products[0].height / layout.height <= 0.6


def test_faint_edges_are_planned_for_as_they_are_placed():
    """Glass is faint at its sides: the plan's box is that of all that is placed, so that nothing shrinks."""
    made = picture.frame(BANK.scenes["marble-1"], "1:1 feed")
    glass = np.zeros((400, 300), np.float32)
    glass[40:360, 70:230], glass[40:360, 110:190] = 0.2, 1.0
    layout = plan(made.image[0].numpy(), [glass], "", LayoutOptions(format="1:1 feed"), made.layout)
    photo = torch.full((1, 400, 300, 3), 0.5)
    placed = place(made.image, photo, torch.from_numpy(glass)[None], Placement(shadow="none"), layout).layout
    assert placed.products[0].height == pytest.approx(layout.products[0].height, abs=2)
