"""Settings for what is new, in a real browser: nodes that are added get them, graphs that are opened do not."""

from __future__ import annotations

import json
import shutil

import pytest
from comfyui import ROOT
from editors import EDITORS, open_settings, running
from test_editor import browser, open_template, show, until

__all__ = ["browser"]  # the fixture
CHOSEN = {
    "Storefront.Model": "own",
    "Storefront.Trade": "bakery",
    "Storefront.Style": "watercolour",
    "Storefront.Font": "ShopHand",
    "Storefront.OutputName": "shop/%date:yyyy%_%counter%",
}
INPUTS = {
    "StorefrontLoadModel": {"model": "own"},
    "StorefrontAdPrompt": {"trade": "bakery", "style": "watercolour"},
    "StorefrontScene": {"trade": "bakery"},
    "StorefrontTextOverlay": {"font": "ShopHand"},
    "StorefrontSaveImage": {"filename": "shop/%date:yyyy%_%counter%"},
}
ADD = """
    const graph = window.app.graph
    return Object.fromEntries(arguments[0].map(type => {
      const node = window.LiteGraph.createNode(type)
      graph.add(node)
      return [type, Object.fromEntries(node.widgets.map(w => [w.name, w.value]))]
    }))
    """
VALUES = """
    return Object.fromEntries(window.app.graph._nodes.map(n => [n.type, Object.fromEntries((n.widgets ?? [])
      .map(w => [w.name, w.value]))]))
    """
TOASTS = "return [...document.querySelectorAll('.p-toast, [data-toast-kind]')].map(e => e.innerText).join('\\n')"
NOTES = "return window.app.graph._nodes.filter(n => n.type === 'MarkdownNote').map(n => [n.title, n.widgets[0].value])"


@pytest.fixture(scope="module", params=EDITORS)
def editor(request, tmp_path_factory):
    base = tmp_path_factory.mktemp("defaults")
    shutil.copytree(ROOT / "models" / "flux-micro", base / "models" / "diffusers" / "own")
    (base / "models" / "fonts").mkdir(parents=True)
    shutil.copy(ROOT / "fonts" / "Pretendard-Regular.otf", base / "models" / "fonts" / "ShopHand-Regular.otf")
    with running(request.param, base) as comfyui:
        yield comfyui


@pytest.fixture
def choose(editor):
    """Settings as the dialog writes them; gone again at the end."""
    written = []

    def write(**values):
        for name, value in values.items():
            editor.get(f"/api/settings/Storefront.{name}", value)
            written.append(name)

    yield write
    for name in written:
        editor.get(f"/api/settings/Storefront.{name}", "" if name == "OutputName" else "(the node's own)")
    editor.get("/api/settings/Comfy.Locale", "en")


def test_new_nodes_begin_with_the_chosen_values_and_opened_graphs_keep_theirs(editor, browser, choose):
    open_template(browser, editor, "poster_from_photo")
    own = browser.execute_script(ADD, list(INPUTS))
    choose(**{name.removeprefix("Storefront."): value for name, value in CHOSEN.items()})

    open_template(browser, editor, "ad_from_photo")
    shown = browser.execute_script(VALUES)  # a template: whatever is in its file
    assert shown["StorefrontScene"]["trade"] == "auto"
    assert shown["StorefrontTextOverlay"]["font"] == "Pretendard"
    added = browser.execute_script(ADD, list(INPUTS))
    for type, values in INPUTS.items():
        assert added[type] == own[type] | values, type
        assert own[type] != added[type]

    # A graph of somebody whose release had fewer inputs: what it does not hold is the node's default, not the user's.
    (short,) = [{"id": 1, "type": "StorefrontAdPrompt", "pos": [0, 0], "size": [300, 200], "widgets_values": ["커피"]}]
    graph = {"last_node_id": 1, "last_link_id": 0, "nodes": [short], "links": [], "groups": [], "version": 0.4}
    show(browser, graph)
    read = browser.execute_script(VALUES)["StorefrontAdPrompt"]
    assert (read["trade"], read["style"]) == ("auto", "realistic")

    # A prompt in API format, whose nodes the editor adds one by one.
    api = {"1": {"class_type": "StorefrontAdPrompt", "inputs": {"text": "커피"}}}
    browser.execute_async_script(
        "Promise.resolve(window.app.loadApiJson(arguments[0], 'x.json')).then(() => arguments[1]())", api
    )
    read = browser.execute_script(VALUES)["StorefrontAdPrompt"]
    assert (read["text"], read["trade"], read["style"]) == ("커피", "auto", "realistic")

    # What a person has set in a node goes along when it is copied, and comes back by undo.
    browser.execute_script(
        """
        const node = window.app.graph._nodes[0]
        node.widgets.find(w => w.name === 'trade').value = 'bar'
        const copy = node.clone()
        window.app.graph.add(copy)
        """
    )
    trades = "return window.app.graph._nodes.map(n => n.widgets.find(w => w.name === 'trade').value)"
    assert browser.execute_script(trades) == ["bar", "bar"]
    assert browser.execute_script(ADD, ["StorefrontAdPrompt"])["StorefrontAdPrompt"]["trade"] == "bakery"


def test_what_is_no_longer_on_the_server_is_named_and_not_used(editor, browser, choose):
    choose(Model="gone <img src=x onerror=window.harmed=1>", Trade="closed")
    editor.get("/api/settings/Comfy.Locale", "ko")
    open_template(browser, editor, "poster_from_photo")
    added = browser.execute_script(ADD, ["StorefrontLoadModel", "StorefrontAdPrompt"])
    assert added["StorefrontLoadModel"]["model"] == "flux-micro"
    assert (added["StorefrontAdPrompt"]["trade"], added["StorefrontAdPrompt"]["style"]) == ("auto", "realistic")
    said = until(lambda: (text := browser.execute_script(TOASTS)).count("이 서버에 없습니다") == 2 and text)
    assert "gone <img src=x onerror=window.harmed=1>" in said
    assert "flux-micro" in said
    assert "closed" in said
    assert not browser.execute_script("return window.harmed")
    browser.save_screenshot(str(editor.base / "gone.png"))


def test_a_new_advertisement_begins_with_them(editor, browser, choose):
    from selenium.webdriver.common.by import By

    choose(**{name.removeprefix("Storefront."): value for name, value in CHOSEN.items()})
    open_template(browser, editor, "poster_from_photo")
    browser.execute_script("window.app.extensionManager.command.execute('Storefront.NewAdvertisement')")
    options = "return document.querySelectorAll('dialog.storefront-new option').length > 20"
    until(lambda: browser.execute_script(options))
    dialog = browser.find_element(By.CSS_SELECTOR, "dialog.storefront-new")
    assert dialog.find_element(By.NAME, "trade").get_attribute("value") == "bakery"
    dialog.find_element(By.NAME, "photo").send_keys(str(ROOT / "workflows" / "assets" / "coffee.jpg"))
    dialog.find_element(By.NAME, "sentence").send_keys("수제 쿠키")
    dialog.find_element(By.CSS_SELECTOR, "button[type=submit]").click()
    until(lambda: not browser.find_elements(By.CSS_SELECTOR, "dialog.storefront-new"))
    prompt = browser.execute_async_script("window.app.graphToPrompt().then(arguments[0])")["output"]
    kinds = {entry["class_type"]: entry["inputs"] for entry in prompt.values()}
    assert kinds["StorefrontScene"]["trade"] == "bakery"
    assert kinds["StorefrontTextOverlay"]["font"] == "ShopHand"
    assert kinds["SaveImage"]["filename_prefix"].startswith("shop/")
    assert "%counter%" not in kinds["SaveImage"]["filename_prefix"]
    result = editor.run(prompt)
    assert [path.parent.name for path in result.files()] == ["shop"]


TITLES = "return window.app.graph._nodes.map(n => n.title)"
LABELS = "return window.app.graph._nodes.flatMap(n => (n.widgets ?? []).map(w => w.label)).filter(Boolean)"


@pytest.mark.parametrize(
    ("interface", "wanted", "language"),
    [
        ("en", "ko", "ko"),
        ("ko", None, "ko"),
        ("ko", "en", "en"),
        ("ja", None, "ja"),
        ("en", "zh", "zh"),
        ("fr", None, "en"),
    ],
)
def test_a_template_shows_its_notes_and_names_in_one_language(editor, browser, choose, interface, wanted, language):
    if wanted:
        choose(NotesLanguage=wanted)
    editor.get("/api/settings/Comfy.Locale", interface)
    try:
        open_template(browser, editor, "product_composite")
        ((title, text),) = browser.execute_script(NOTES)
        stored = json.loads((ROOT / "workflows" / "product_composite.json").read_text("utf-8"))
        (note,) = [node for node in stored["nodes"] if node["type"] == "MarkdownNote"]
        own = stored["extra"]["storefront_notes"].get(language, {})
        parts = note["widgets_values"][0].split("\n\n")
        assert (
            text == own["notes"][str(note["id"])] if own else "\n\n".join(parts[2:] if language == "ko" else parts[:2])
        )

        def named(both: str) -> str:
            english, korean = both.split(" · ")
            return own["names"][english] if own else korean if language == "ko" else english

        assert title == named(note["title"])
        assert {named(node["title"]) for node in stored["nodes"] if "title" in node} <= set(
            browser.execute_script(TITLES)
        )
        labels = [entry["label"] for node in stored["nodes"] for entry in node.get("inputs", ()) if "label" in entry]
        assert {named(label) for label in labels} <= set(browser.execute_script(LABELS))
        assert not any(" · " in name for name in browser.execute_script(TITLES) + browser.execute_script(LABELS))
        graph = browser.execute_script("return window.app.graph.serialize()")
        assert "storefront_notes" not in graph["extra"]
        browser.save_screenshot(str(editor.base / f"notes-{interface}-{wanted}.png"))
        # Saved and opened again, or somebody else's with both languages: as it is.
        (saved,) = [node for node in graph["nodes"] if node["type"] == "MarkdownNote"]
        saved["widgets_values"] = note["widgets_values"]
        show(browser, graph)
        assert browser.execute_script(NOTES)[0][1] == note["widgets_values"][0]
    finally:
        editor.get("/api/settings/Comfy.Locale", "en")


def test_the_settings_page_offers_what_the_server_has(editor, browser, choose):
    choose(Style="of yesterday")
    open_template(browser, editor, "poster_from_photo")
    open_settings(browser)
    for text in (
        "Default model",
        "Default trade",
        "Default style",
        "Default font",
        "Default output name",
        "Language of notes",
        "missing: of yesterday",
    ):
        shows(browser, text)
    browser.save_screenshot(str(editor.base / "settings.png"))
    chosen = "return window.app.ui.settings.getSettingValue('Storefront.Model')"
    assert pick(browser, "Storefront.Model", "own") > 2
    until(lambda: browser.execute_script(chosen) == "own")
    until(lambda: editor.get("/settings").get("Storefront.Model") == "own")
    choose(Model="own")  # to be undone
    editor.get("/api/settings/Comfy.Locale", "ko")
    open_template(browser, editor, "poster_from_photo")
    open_settings(browser)
    for text in ("새 노드", "기본 모델", "기본 업종", "노드 기본값", "메모 언어", "인터페이스와 같게"):
        shows(browser, text)
    browser.save_screenshot(str(editor.base / "settings-ko.png"))


DIALOG = "return [...document.querySelectorAll('[role=dialog], .p-dialog')].map(e => e.innerText).join('\\n')"


def shows(browser, text: str) -> None:
    """Wait until the dialog has it: its lists come from the server one by one."""
    until(lambda: text in browser.execute_script(DIALOG))


def pick(browser, setting: str, option: str) -> int:
    """Choose an option as a person does; how many there are."""
    from selenium.webdriver.common.by import By

    box = f"[data-setting-id='{setting}'] [role=combobox]"
    until(lambda: browser.find_elements(By.CSS_SELECTOR, box))[-1].click()
    texts = "return [...document.querySelectorAll('[role=option]')].map(e => e.innerText.trim())"
    found = until(lambda: option in (shown := browser.execute_script(texts)) and shown)
    browser.find_elements(By.CSS_SELECTOR, "[role=option]")[found.index(option)].click()
    return len(found)
