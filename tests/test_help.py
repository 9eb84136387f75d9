"""Every node that ComfyUI shows has help in English and Korean, and Korean names for its widgets."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NODES = json.loads((ROOT / "tests" / "host" / "object_info.json").read_text("utf-8"))
KOREAN = json.loads((ROOT / "locales" / "ko" / "nodeDefs.json").read_text("utf-8"))


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("node_id", NODES)
def test_the_help_names_every_input(node_id, language):
    text = (ROOT / "js" / "docs" / node_id / f"{language}.md").read_text("utf-8")
    assert [name for name in NODES[node_id]["inputs"] if f"`{name}`" not in text and f"`{name}" not in text] == []


FOREIGN = {"ko": r"[\u3040-\u30ff]", "ja": r"[\uac00-\ud7af]", "zh": r"[\u3040-\u30ff\uac00-\ud7af]"}
OWN = {"ko": r"[\uac00-\ud7af]", "ja": r"[\u3040-\u30ff\u4e00-\u9fff]", "zh": r"[\u4e00-\u9fff]"}
SPECIAL = re.compile(r"[{}|@]")  # the editor's translations read these as a syntax of their own


def table(language: str, name: str) -> dict:
    return json.loads((ROOT / "locales" / language / f"{name}.json").read_text("utf-8"))


@pytest.mark.parametrize("language", OWN)
def test_names_and_tooltips_are_those_of_every_node_input_and_output(language):
    names = table(language, "nodeDefs")
    assert set(names) == set(NODES)
    for node_id, entry in names.items():
        assert entry["display_name"].endswith("(Storefront)")
        assert re.search(OWN[language], entry["description"])
        assert set(entry["inputs"]) == set(NODES[node_id]["inputs"]), node_id
        assert set(entry["outputs"]) == {str(index) for index in range(len(NODES[node_id]["outputs"]))}, node_id
        for name, part in {**entry["inputs"], **entry["outputs"]}.items():
            assert part["name"], (node_id, name)
            assert re.search(OWN[language], part["tooltip"]) or part["tooltip"] == "#rrggbb", (node_id, name)


@pytest.mark.parametrize("language", OWN)
def test_one_name_for_one_thing_in_one_language(language):
    names = table(language, "nodeDefs")
    titles = [entry["display_name"] for entry in names.values()]
    assert len(set(titles)) == len(titles)
    texts = json.dumps(
        [names, table(language, "main"), table(language, "settings"), table(language, "commands")], ensure_ascii=False
    )
    assert re.findall(FOREIGN[language], texts) == []
    parts = [part for entry in names.values() for part in (*entry["inputs"].values(), *entry["outputs"].values())]
    assert [part for part in parts if SPECIAL.search(part["name"] + part["tooltip"])] == []
    for entry in names.values():  # what a node has twice, it can be chosen by
        shown = [part["name"] for part in entry["inputs"].values()]
        assert len(set(shown)) == len(shown), entry["display_name"]
    for name in ("main", "settings", "commands"):
        assert set(table(language, name)) == set(table("ko", name))


@pytest.mark.parametrize("node_id", NODES)
def test_korean_help_calls_inputs_as_the_korean_editor_does(node_id):
    text = (ROOT / "js" / "docs" / node_id / "ko.md").read_text("utf-8")
    names = {name: entry["name"] for name, entry in KOREAN[node_id]["inputs"].items()}
    assert [
        f"{name} {shown}" for name, shown in names.items() if f"`{name}` {shown if shown != name else ''}" not in text
    ] == []


def test_help_and_korean_names_are_those_of_the_snapshots_nodes():
    hint = "A new node? Add it to nodes/__init__.py, then run: python dev.py snapshot"
    pages = (ROOT / "js" / "docs").glob("*/en.md")
    assert {path.parent.name for path in pages} == set(NODES) == set(KOREAN), hint


SEARCHED = {
    "누끼": "StorefrontRemoveBackground",
    "그림자": "StorefrontPlaceProduct",
    "로라": "StorefrontLoadLora",
    "헤드라인": "StorefrontTextOverlay",
    "해상도": "StorefrontCanvas",
    "인쇄": "StorefrontSaveImage",
}


@pytest.mark.parametrize("word", SEARCHED)
def test_everyday_korean_words_find_their_node(word):
    code = "\n".join(path.read_text("utf-8") for path in (ROOT / "nodes").glob("*.py"))
    (schema,) = re.findall(rf'node_id="{SEARCHED[word]}"(.*?)inputs=\[', code, re.DOTALL)
    assert f'"{word}"' in schema.partition("search_aliases=")[2]


# Things do not want, tell, know, speak, believe or stand.
POETRY = re.compile(
    r"\b(?:wants?|wanted|tells?|told|knows?|speaks?|spoken|believes?|stands?|stood|says|said)\b", re.IGNORECASE
)
SHOWN = ("tooltip", "description", "about")


def texts_of_nodes() -> list[str]:
    """What the schemas show: tooltips and descriptions, and what helpers such as `_number` take as their tooltip."""
    found = []
    for path in (ROOT / "nodes").glob("*.py"):
        for call in (one for one in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(one, ast.Call)):
            shown = [one.value for one in call.keywords if one.arg in SHOWN]
            if isinstance(call.func, ast.Name) and call.func.id in ("_number", "_choice", "_color"):
                shown += call.args
            found += [one.value for part in shown for one in ast.walk(part) if isinstance(one, ast.Constant)]
    return [text for text in found if isinstance(text, str)]


def test_other_languages_get_the_english_page():
    """ComfyUI asks for NODE/LANGUAGE.md, then for NODE.md; never for NODE/en.md."""
    done = subprocess.run([sys.executable, str(ROOT / "tools" / "derive_help.py"), "--check"], capture_output=True)
    assert done.returncode == 0, done.stdout.decode()


def test_texts_are_in_plain_english():
    pages = [path.read_text("utf-8") for path in (ROOT / "js" / "docs").glob("*/en.md")]
    prose = [re.sub(r"```.*?```|^ {6}.*?$|`[^`\n]*`", "", page, flags=re.DOTALL | re.MULTILINE) for page in pages]
    parameters = re.findall(
        r'"about": "(.*)"',
        "".join(path.read_text("utf-8") for path in (ROOT / "workflows" / "parameters").glob("*.json")),
    )
    lines = [line for text in (*texts_of_nodes(), *prose, *parameters) for line in text.splitlines()]
    assert len(lines) > 500
    assert [line for line in lines if POETRY.search(line)] == []
