"""Emoji in their own colours, from fonts made here: of bitmaps (sbix), of layers (COLR), and of layers over nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

from color_fonts import GREEN, RED, bitmaps, layers
from storefront.studio.cancelling import cancelled_by
from storefront.studio.text import draw, font_files, fonts
from storefront.studio.text.color_glyphs import stroked
from storefront.studio.text.design import Design


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


def test_a_replaced_font_of_pictures_is_drawn_anew(tmp_path):
    layers(tmp_path / "BerryEmoji.ttf")
    assert share_of(written(tmp_path, "🍓"), GREEN) == 0
    layers(tmp_path / "new.ttf", color=GREEN)
    (tmp_path / "new.ttf").replace(tmp_path / "BerryEmoji.ttf")
    assert share_of(written(tmp_path, "🍓"), GREEN) > 0.002


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


@pytest.mark.parametrize(("side", "fault"), [(1200, "1200 x 1200 pixels"), (900, "")])
def test_a_bitmap_far_larger_than_its_letters_is_not_drawn(tmp_path, side, fault):
    """FreeType takes 32,767 pixels a side, which are 4 GB: the font is set aside before; and no letter has 14 em."""
    bitmaps(tmp_path / "BerryEmoji.ttf", side=side)
    assert fault in font_files.opened(tmp_path / "BerryEmoji.ttf", 0).fault
    typeface = fonts.Typeface(fonts.all_families([tmp_path]), fonts.BUNDLED)
    assert typeface.file_for("🍓", 700).path.name == "NotoEmoji-Bold.ttf"


def test_cancel_is_heard_while_an_outline_is_drawn():
    asked: list[None] = []
    with cancelled_by(lambda: asked.append(None)):
        grown = stroked(np.full((9, 9), 255, np.uint8), 2.0)
    assert grown.shape == (13, 13)
    assert len(asked) >= 8
