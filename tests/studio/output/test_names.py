"""Templates filled as ComfyUI fills them, and every path attack refused by name."""

from __future__ import annotations

import unicodedata
from datetime import datetime

import pytest
from storefront.studio.errors import InputError
from storefront.studio.output import names

WHEN = datetime(2026, 3, 4, 5, 6, 7)
VALUES = {"width": "640", "height": "480", "batch_num": "2", "seed": "42", "format": "full"}
WIDGETS = {("Empty Latent Image", "width"): "512", ("Prompt", "text"): "../a/b:c", ("v1.5 model", "ckpt"): "x"}


def fill(template: str) -> str:
    return names.fill(template, VALUES, WHEN, lambda node, name: WIDGETS.get((node, name)))


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("plain", "plain"),
        ("%date:yyyy-MM-dd%/cup", "2026-03-04/cup"),
        ("%date:yy.M.d hh-mm-ss%", "26.3.4 05-06-07"),
        ("%year%%month%%day%_%hour%%minute%%second%", "20260304_050607"),
        ("%width%x%height%_%batch_num%_%seed%_%counter%", "640x480_2_42_%counter%"),
        ("%Empty Latent Image.width%", "512"),
        ("%v1.5 model.ckpt%", "x"),
        ("%Prompt.text%", ".._a_b_c"),
        ("100%", "100%"),
        ("50% to 70% off", "50% to 70% off"),
        ("빵집 ☕ %seed%", "빵집 ☕ 42"),
    ],
)
def test_tokens(template, expected):
    assert fill(template) == expected


@pytest.mark.parametrize(
    "template", ["%sead%", "%No such node.width%", "%Prompt.nothing%", "%%unknown%%", "a" * 3000, 5]
)
def test_a_token_nobody_knows_is_named(template):
    with pytest.raises(InputError, match="filename"):
        fill(template)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("cup", ("cup",)),
        ("ads/summer/cup", ("ads", "summer", "cup")),
        ("ads\\summer\\cup", ("ads", "summer", "cup")),
        ("ads//cup", ("ads", "cup")),
        ("여름 세일 50%", ("여름 세일 50%",)),
        (unicodedata.normalize("NFD", "여름"), ("여름",)),
        ("👩‍👩‍👧‍👦☕", ("👩‍👩‍👧‍👦☕",)),
        ("console", ("console",)),
        ("com10", ("com10",)),
        ("a..b", ("a..b",)),
    ],
)
def test_what_every_system_can_store(name, parts):
    assert names.split(name) == parts


ATTACKS = [
    "", "..", ".", "../x", "a/../../x", "..\\x", "/etc/passwd", "\\\\server\\share\\x", "//server/share", "C:\\x", "C:x",
    "a\x00b", "a\nb", "a\x7f", "a\u202egpj", "half \ud83d", "CON", "con.png", "aux/x", "LPT1", "com¹", "NUL .txt", "conin$",
    "x.", "x ", " x", "x/ y", "x./y", ".hidden", "a/.ssh/b", "a<b", "a>b", 'a"b', "a|b", "a?b", "a*b", "x/", "~/.ssh/x",
    "a" * 300, "가" * 100, "/".join("abcdefghijklmnopqrst"), "file:///etc/passwd", "x:stream", "%counter%/x",
]  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_what_leaves_the_folder_or_cannot_be_stored_is_refused_by_name(name):
    with pytest.raises(InputError, match="filename"):
        names.split(name)


def test_a_widget_cannot_smuggle_a_path():
    with pytest.raises(InputError, match="starts or ends with a dot"):
        names.split(fill("%Prompt.text%"))


def test_the_whole_name_must_fit():
    assert names.require_length("a" * 255)
    with pytest.raises(InputError, match="255"):
        names.require_length("가" * 86)
