"""Fonts that are damaged, or made to be: none breaks words that are set in another, none hangs."""

from __future__ import annotations

import os
import random
import struct
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import torch
from storefront.studio.errors import InputError
from storefront.studio.text import design, draw, font_files, fonts

sys.path.insert(0, str(Path(__file__).parents[1] / "studio" / "text"))

import color_fonts

LONGEST = 5.0  # seconds of processor time for a text; a good font takes tenths
PICTURE = torch.full((1, 96, 256, 3), 0.5)


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> list[Path]:
    """A TrueType, an OpenType and a variable-length excerpt of what is bundled, small enough for thousands of copies."""
    from fontTools import subset
    from fontTools.ttLib import TTFont

    folder = tmp_path_factory.mktemp("small")
    made = []
    for name, letters in (("NotoEmoji-Regular.ttf", "☕🍓1"), ("Pretendard-Regular.otf", "가나A1")):
        font = TTFont(fonts.BUNDLED_FOLDER / name)
        subsetter = subset.Subsetter()
        subsetter.populate(text=letters)
        subsetter.subset(font)
        made.append(folder / name)
        font.save(made[-1])
    return made


def damaged(good: bytes, chance: random.Random) -> bytes:
    """Bytes changed, cut off, doubled or zeroed: in the tables' list, in a table's head or anywhere."""
    data = bytearray(good)
    tables = [struct.unpack_from(">4sIII", data, 12 + 16 * n) for n in range(struct.unpack_from(">H", data, 4)[0])]
    _, _, place, length = chance.choice(tables)
    reach = chance.choice([(0, 12 + 16 * len(tables)), (place, place + min(length, 64)), (place, place + length)])
    for _ in range(chance.choice([1, 1, 2, 8, 64])):
        where = min(chance.randrange(*reach), len(data) - 1)
        data[where] = chance.choice([0, 1, 127, 128, 255, chance.randrange(256)])
    return bytes(data[: chance.randrange(len(data))]) if chance.random() < 0.1 else bytes(data)


def outcome(face: fonts.Typeface, text: str) -> str:
    try:
        draw.overlay(PICTURE, [text], design.Design(preset="caption", width=100, height=100), face)
    except InputError:
        return "named"
    return "drawn"


def test_damaged_fonts(tmp_path, small, size):
    chance = random.Random(20261128)
    found, slowest, spoilt = Counter(), 0.0, []
    count = size(60, 1500)
    for number in range(count):
        source = small[number % len(small)]
        name = f"Damaged{number}"  # each another: a font is kept by its path
        path = tmp_path / f"{name}{source.suffix}"
        path.write_bytes(damaged(source.read_bytes(), chance))
        families = fonts.families_in([fonts.BUNDLED_FOLDER, tmp_path])
        start = time.process_time()
        chosen = outcome(fonts.Typeface({name: families[name]}, name), "1")
        behind = outcome(
            fonts.Typeface({fonts.BUNDLED: families[fonts.BUNDLED], name: families[name]}, fonts.BUNDLED),
            "가 1",
        )
        slowest = max(slowest, time.process_time() - start)
        found[chosen] += 1
        if behind != "drawn":
            spoilt.append(number)
        path.unlink()
    print(
        f"\ndamaged fonts: {count}, {dict(found)}, slowest {slowest:.2f} s, words of another font spoilt {len(spoilt)}"
    )
    assert not spoilt
    assert slowest < LONGEST


@pytest.mark.parametrize("made", [color_fonts.bitmaps, color_fonts.layers], ids=["bitmaps", "layers"])
def test_damaged_coloured_fonts_never_spoil_the_words(tmp_path, made, size):
    """They come first for emoji; where one cannot be drawn, the bundled face does it."""
    chance, spoilt, slowest = random.Random(20261130), [], 0.0
    made(tmp_path / "Whole.ttf")
    good, folder = (tmp_path / "Whole.ttf").read_bytes(), tmp_path / "fonts"
    folder.mkdir()
    for number in range(count := size(60, 1500)):
        path = folder / f"Emoji{number}x.ttf"  # each another: a font is kept by its path
        path.write_bytes(damaged(good, chance))
        families = fonts.families_in([fonts.BUNDLED_FOLDER, folder])
        start = time.process_time()
        if outcome(fonts.Typeface(families, fonts.BUNDLED), "가 🍓") != "drawn":
            spoilt.append(number)
        slowest = max(slowest, time.process_time() - start)
        path.unlink()
    print(f"\ndamaged coloured fonts: {count}, slowest {slowest:.2f} s, words spoilt {len(spoilt)}")
    assert not spoilt
    assert slowest < LONGEST


def with_cmap(source: Path, table: bytes) -> bytes:
    """The font with another table of characters."""
    data = bytearray(source.read_bytes())
    for number in range(struct.unpack_from(">H", data, 4)[0]):
        place = 12 + 16 * number
        if data[place : place + 4] == b"cmap":
            struct.pack_into(">II", data, place + 8, len(data), len(table))
    return bytes(data) + table


HEAD = struct.pack(">HHHHI", 0, 1, 3, 10, 12)
BOMBS = {
    "one group of all numbers": HEAD + struct.pack(">HHIII", 12, 0, 28, 0, 1) + struct.pack(">III", 0, 0xFFFFFFFF, 1),
    "thousands of groups": HEAD
    + struct.pack(">HHIII", 12, 0, 16 + 12 * 9000, 0, 9000)
    + struct.pack(">III", 0, 0xFFFF, 1) * 9000,
    "more groups than bytes": HEAD + struct.pack(">HHIII", 12, 0, 16, 0, 0xFFFFFFF),
    "thousands of segments": HEAD
    + struct.pack(">HHHHHHH", 4, 0xFFFF, 0, 2 * 8000, 0, 0, 0)
    + struct.pack(">H", 0xFFFE) * 8000
    + b"\0\0"
    + struct.pack(">H", 0) * 8000
    + b"\0" * 4 * 8000,
    "thousands of tables": struct.pack(">HH", 0, 60_000) + struct.pack(">HHI", 3, 10, 4) * 60_000,
    "nothing": b"",
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_table_that_claims_too_much_is_set_aside_at_once(tmp_path, small, bomb):
    path = tmp_path / "Bomb.ttf"
    path.write_bytes(with_cmap(small[0], BOMBS[bomb]))
    start = time.process_time()
    assert font_files.opened(path, 0).fault
    assert time.process_time() - start < 1
    families = fonts.families_in([fonts.BUNDLED_FOLDER, tmp_path])
    assert fonts.Typeface(families, fonts.BUNDLED).file_for("가", 400).path.name == "Pretendard-Regular.otf"


def test_a_font_that_is_mended_is_read_again(tmp_path, small):
    path = tmp_path / "Cup.ttf"
    path.write_bytes(b"no font")
    assert font_files.opened(path, 0).fault
    stamp = path.stat().st_mtime
    path.write_bytes(small[0].read_bytes())
    os.utime(path, (stamp - 86_400,) * 2)  # from a backup, or the clock was set back
    assert font_files.opened(path, 0).points


@pytest.mark.parametrize("signature", [b"wOFF", b"wOF2", b"%!PS", b"\x1f\x8b\x08\0"])
def test_compressed_fonts_and_what_is_none_are_not_opened(tmp_path, signature):
    path = tmp_path / "Packed.ttf"
    path.write_bytes(signature + b"\0" * 100)
    assert "no TrueType" in font_files.opened(path, 0).fault
