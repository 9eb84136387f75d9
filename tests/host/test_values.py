"""Lists show their values in the interface's language, in every editor and both renderers; what is stored stays."""

from __future__ import annotations

import json

import pytest
from comfyui import ROOT
from editors import EDITORS, running
from test_editor import browser, open_template, until

__all__ = ["browser"]  # the fixture

LANGUAGES = ("ko", "ja", "zh")
CHOSEN = {"trade": "cafe", "format": "9:16 story, reel", "setting": "marble counter"}
CHOOSE = """
    const scene = window.app.graph._nodes.find(n => n.type === "StorefrontScene")
    for (const [name, value] of Object.entries(arguments[0])) scene.widgets.find(w => w.name === name).value = value
    """
DRAWN = """
    const texts = [], pen = CanvasRenderingContext2D.prototype, { fillText } = pen
    pen.fillText = function (text, ...rest) { texts.push(text); return fillText.call(this, text, ...rest) }
    window.app.canvas.draw(true, true)
    pen.fillText = fillText
    return texts
    """
# Presses the list of trades in the middle, as the canvas does for a click there.
MENU = """
    document.querySelectorAll(".litecontextmenu").forEach(menu => menu.remove())
    const canvas = window.app.canvas, node = window.app.graph._nodes.find(n => n.type === "StorefrontScene")
    const widget = node.widgets.find(w => w.name === "trade")
    canvas.graph_mouse = [node.pos[0] + node.size[0] / 2, node.pos[1] + widget.y + 8]
    const e = new MouseEvent("pointerup", {clientX: 500, clientY: 200})
    Object.assign(e, {canvasX: canvas.graph_mouse[0], canvasY: canvas.graph_mouse[1]})
    widget.onClick({e, node, canvas})
    return [...document.querySelectorAll(".litecontextmenu .litemenu-entry")].map(entry => entry.textContent.trim())
    """
PICK = """
    [...document.querySelectorAll(".litecontextmenu .litemenu-entry")].find(e => e.textContent.trim() === arguments[0]).click()
    """
IN_NODES_2 = """
    return [...document.querySelectorAll("[data-node-id] :is(button, [role=combobox])")].map(e => e.textContent.trim())
    """


@pytest.fixture(scope="module", params=EDITORS)
def editor(request, tmp_path_factory):
    with running(request.param, tmp_path_factory.mktemp("values")) as server:
        yield server


def words(language: str) -> dict[str, dict[str, str]]:
    """Of the node Scene: input -> value -> what is shown."""
    table = json.loads((ROOT / "locales" / language / "nodeDefs.json").read_text("utf-8"))
    return {name: entry.get("options", {}) for name, entry in table["StorefrontScene"]["inputs"].items()}


def sent(browser) -> dict[str, str]:
    exported = browser.execute_async_script("window.app.graphToPrompt().then(arguments[0])")["output"].values()
    (scene,) = [entry["inputs"] for entry in exported if entry["class_type"] == "StorefrontScene"]
    return {name: scene[name] for name in CHOSEN}


def chosen_in(editor, browser, language: str) -> tuple[dict[str, dict[str, str]], set[str]]:
    """Words of the language, and those of the values that are chosen now in the template's scene."""
    open_template(browser, editor, "ad_from_photo")
    browser.execute_script(CHOOSE, CHOSEN)
    own = words(language)
    return own, {own[name][value] for name, value in CHOSEN.items()}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_canvas_shows_the_values_in_the_interfaces_language(editor, browser, language):
    editor.get("/api/settings/Comfy.Locale", language)
    try:
        own, shown = chosen_in(editor, browser, language)
        assert len(shown & set(CHOSEN.values())) == 0
        assert until(lambda: shown <= set(browser.execute_script(DRAWN)))
        entries = browser.execute_script(MENU)
        assert entries == list(own["trade"].values())
        browser.save_screenshot(str(editor.base / f"values-{language}.png"))
        browser.execute_script(PICK, own["trade"]["bakery"])
        assert until(lambda: sent(browser)["trade"] == "bakery")
        assert sent(browser) == CHOSEN | {"trade": "bakery"}
    finally:
        editor.get("/api/settings/Comfy.Locale", "en")


@pytest.mark.parametrize("language", LANGUAGES)
def test_nodes_2_shows_the_values_in_the_interfaces_language(editor, browser, language):
    editor.get("/api/settings/Comfy.Locale", language)
    editor.get("/api/settings/Comfy.VueNodes.Enabled", True)
    try:
        _, shown = chosen_in(editor, browser, language)
        assert until(lambda: shown <= set(browser.execute_script(IN_NODES_2)))
        browser.save_screenshot(str(editor.base / f"values-{language}-nodes-2.png"))
        assert sent(browser) == CHOSEN
    finally:
        editor.get("/api/settings/Comfy.VueNodes.Enabled", False)
        editor.get("/api/settings/Comfy.Locale", "en")


def test_in_english_a_list_keeps_the_editors_own_menu(editor, browser):
    """Which can be searched; a list with words of ours cannot in the canvas of any editor so far."""
    open_template(browser, editor, "ad_from_photo")
    assert "cafe" in browser.execute_script(MENU)
    search = "return document.querySelectorAll('.litecontextmenu .comfy-context-menu-filter').length"
    assert browser.execute_script(search) == 1
