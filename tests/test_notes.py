"""The sentences of locales/LANGUAGE/notes.json are those that the code says."""

from __future__ import annotations

import ast
import itertools
import json
import re
from pathlib import Path

import pytest
from storefront.studio.scenes.choose import PALETTES, SETTINGS

ROOT = Path(__file__).parents[1]
TABLES = sorted((ROOT / "locales").glob("*/notes.json"))
PLACE = re.compile(r"\{\d\}")


def texts() -> str:
    """Every text of the code, one a line; the values in an f-string as {}."""
    found = []
    for folder in ("studio", "host", "nodes"):
        for path in (ROOT / folder).rglob("*.py"):
            for part in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    found.append(part.value)
                elif isinstance(part, ast.JoinedStr):
                    found.append("".join(v.value if isinstance(v, ast.Constant) else "{}" for v in part.values))
    return "\n".join(found)


PLAIN = re.sub(r"[^\w\s'=.()+-]", "", texts())
ENOUGH = 0.5  # of a sentence's pairs of words: some sentences are put together from two texts


def shared(english: str) -> float:
    """The share of the neighbouring words in a sentence that are neighbours in the code's texts too."""
    pieces = [re.findall(r"[\w'=.()+-]+", piece) for piece in PLACE.split(english)]
    pairs = [" ".join(pair) for words in pieces for pair in itertools.pairwise(words)]
    return sum(pair in PLAIN for pair in pairs) / len(pairs) if pairs else 1.0


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.parent.name)
def test_no_sentence_is_of_yesterday(path):
    table = json.loads(path.read_text("utf-8"))
    gone = [english for english in table if shared(english) < ENOUGH]
    assert not gone


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.parent.name)
def test_what_changes_is_in_both_sentences(path):
    for english, own in json.loads(path.read_text("utf-8")).items():
        assert set(PLACE.findall(own)) <= set(PLACE.findall(english)), english
        assert own.strip()


def test_every_language_has_the_same_sentences():
    ko, *others = [
        json.loads(path.read_text("utf-8")) for path in sorted(TABLES, key=lambda path: path.parent.name != "ko")
    ]
    assert len(others) == 2
    for table in others:
        assert list(table) == list(ko)
        assert {
            text: PLACE.findall(text)
            for text in table
            if set(PLACE.findall(table[text])) != set(PLACE.findall(ko[text]))
        } == {}


def test_the_layout_editor_has_the_same_words_in_every_language():
    source = (ROOT / "js" / "layout_words.mjs").read_text("utf-8")
    tables = re.findall(r"^  (\w\w): \{\n(.*?)^  \},$", source, re.DOTALL | re.MULTILINE)
    words = {language: re.findall(r'^    (?:"([^"]+)"|(\w+)):', body, re.MULTILINE) for language, body in tables}
    assert sorted(words) == ["ja", "ko", "zh"]
    assert words["ja"] == words["zh"] == words["ko"]
    assert len(words["ko"]) > 50


def test_settings_and_palettes_have_one_korean_name():
    table = json.loads((ROOT / "locales" / "ko" / "notes.json").read_text("utf-8"))
    for key, named in {**SETTINGS, **PALETTES}.items():
        assert table[key] == named.ko
