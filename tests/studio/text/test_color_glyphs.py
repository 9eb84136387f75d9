"""Emoji in their own colours, from fonts made here: of bitmaps (sbix), of layers (COLR), and of layers over nothing."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import newTable
from fontTools.ttLib.tables.sbixGlyph import Glyph
from fontTools.ttLib.tables.sbixStrike import Strike
from PIL import Image
from storefront.studio.text import draw, font_files, fonts
from storefront.studio.text.design import Design

RED, GREEN = (230, 20, 40), (20, 180, 60)
NAMES = [".notdef", "berry", "zero"]


def builder(with_outline: bool) -> FontBuilder:
    """A strawberry, 0.8 em wide and high, and a figure, as emoji's fonts have them."""
    made = FontBuilder(1000, isTTF=True)
    made.setupGlyphOrder(NAMES)
    made.setupCharacterMap({0x1F353: "berry", 0x30: "zero"})
    empty, pen = TTGlyphPen(None).glyph(), TTGlyphPen(None)
    if with_outline:
        pen.moveTo((0, 0))
        for point in ((0, 800), (800, 800), (800, 0)):
            pen.lineTo(point)
        pen.closePath()
    made.setupGlyf({".notdef": empty, "berry": pen.glyph(), "zero": empty})
    made.setupHorizontalMetrics({name: (1000, 0) for name in NAMES})
    made.setupHorizontalHeader(ascent=800, descent=-200)
    made.setupNameTable({"familyName": "Berry", "styleName": "Regular"})
    made.setupOS2(sTypoAscender=800, sTypoDescender=-200)
    made.setupPost()
    return made


def bitmaps(path, strike: int = 64) -> None:
    """Red above, green below, half of its right side see-through."""
    made = builder(with_outline=False)
    picture = Image.new("RGBA", (strike, strike), (*RED, 255))
    picture.paste((*GREEN, 255), (0, strike // 2, strike, strike))
    picture.putalpha(Image.linear_gradient("L").rotate(90).resize(picture.size).point(lambda level: max(level, 128)))
    file = io.BytesIO()
    picture.save(file, "PNG")
    table = newTable("sbix")
    table.version, table.flags = 1, 1
    strikes = Strike(ppem=strike, resolution=72)
    for name in NAMES:
        data = file.getvalue() if name != ".notdef" else None
        strikes.glyphs[name] = Glyph(glyphName=name, graphicType="png " if data else None, imageData=data)
    table.strikes = {strike: strikes}
    made.font["sbix"] = table
    made.save(path)


def layers(path, with_outline: bool = True) -> None:
    made = builder(with_outline)
    made.setupCOLR({"berry": [("berry", 0)]})
    made.setupCPAL([[(RED[0] / 255, RED[1] / 255, RED[2] / 255, 1)]])
    made.save(path)


def written(folder, text: str, font: str = fonts.BUNDLED, **design):
    ground = torch.full((1, 480, 640, 3), 0.9)
    typeface = fonts.Typeface(fonts.all_families([folder]), font)
    return draw.overlay(ground, [text], Design(color="#000000", **design), typeface)


def share_of(done, color: tuple[int, int, int]) -> float:
    """Of the picture, in the words' layer."""
    return float(of(done, color).mean())


def of(done, color: tuple[int, int, int]) -> np.ndarray:
    layer = done.layer[0].numpy()
    return (np.abs(layer[..., :3] * 255 - color).max(-1) < 16) & (layer[..., 3] > 0.1)


@pytest.fixture(params=[bitmaps, layers])
def folder(request, tmp_path):
    request.param(tmp_path / "BerryEmoji.ttf")
    return tmp_path


def test_emoji_of_a_font_in_comfyuis_folder_keep_their_colours(folder):
    plain, done = written(folder, "딸기"), written(folder, "딸기 🍓")
    assert share_of(plain, RED) == 0
    assert share_of(done, RED) > 0.002
    assert share_of(done, (0, 0, 0)) > 0.002  # the letters
    mask, layer = done.mask[0].numpy(), done.layer[0].numpy()
    assert mask[of(done, RED) & (layer[..., 3] > 0.9)].min() > 0.9
    left, right = np.flatnonzero(mask.any(0))[[0, -1]]
    assert done.ink.x <= left
    assert right <= done.ink.right


def test_only_pictures_come_from_it(folder):
    done = written(folder, "딸기 500원 🍓", "BerryEmoji")
    assert done.blocks[0].size > 20
    typeface = fonts.Typeface(fonts.all_families([folder]), "BerryEmoji")
    assert typeface.file_for("🍓", 700).path.name == "BerryEmoji.ttf"
    assert typeface.file_for("🍓\ufe0f", 700).path.name == "BerryEmoji.ttf"
    assert typeface.file_for("0", 700).path.name.startswith("Pretendard")
    assert typeface.file_for("☕", 700).path.name == "NotoEmoji-Bold.ttf"


def test_bitmaps_are_scaled_to_the_letters(tmp_path):
    bitmaps(tmp_path / "BerryEmoji.ttf")
    for size in (24.0, 96.0):
        done = written(tmp_path, "🍓", size=size)
        rows = np.flatnonzero(done.mask[0].numpy().any(1))
        assert len(rows) == pytest.approx(size, abs=2)
        assert share_of(done, RED) > 0
        assert share_of(done, GREEN) > 0


def test_half_transparent_pixels_let_the_ground_through(tmp_path):
    bitmaps(tmp_path / "BerryEmoji.ttf")
    done = written(tmp_path, "🍓", size=96.0)
    layer = done.layer[0].numpy()
    seen = layer[..., 3] > 0.1
    faint = seen & (layer[..., 3] < 0.7)
    assert faint.any()
    assert (np.abs(layer[..., :3][faint] * 255 - RED).max(-1) < 16).any()  # straight colours, not mixed with a ground
    expected = 0.9 * (1 - layer[..., 3:]) + layer[..., :3] * layer[..., 3:]
    assert np.abs(done.image[0].numpy() - expected)[seen].max() < 1e-3


def test_an_outline_goes_around_them(folder):
    bare, done = (written(folder, "🍓", size=80.0, outline=width, outline_color="#0000ff") for width in (0.0, 0.05))
    blue = (0, 0, 255)
    assert share_of(bare, blue) == 0
    rows = np.flatnonzero(of(done, blue).any(1))
    inner = np.flatnonzero(bare.mask[0].numpy().any(1))
    assert rows[0] == pytest.approx(inner[0] - 4 + (done.blocks[0].ink.top - bare.blocks[0].ink.top), abs=2)
    assert share_of(done, RED) > 0


def test_turned_and_downwards(folder):
    for design in ({"rotation": 30.0}, {"vertical": True, "tracking": 0.1}):
        assert share_of(written(folder, "딸기🍓", **design), RED) > 0.001


def test_layers_over_empty_outlines_are_passed_over(tmp_path):
    layers(tmp_path / "EmptyEmoji.ttf", with_outline=False)
    typeface = fonts.Typeface(fonts.all_families([tmp_path]), fonts.BUNDLED)
    assert typeface.file_for("🍓", 700).path.name == "NotoEmoji-Bold.ttf"
    assert share_of(written(tmp_path, "🍓"), RED) == 0


def test_a_strike_of_thousands_of_pixels_is_not_taken(tmp_path):
    bitmaps(tmp_path / "HugeEmoji.ttf", strike=600)
    assert font_files.opened(tmp_path / "HugeEmoji.ttf", 0).strike is None
