"""The panel "Storefront" in a real browser: runs, models with their licence, connections, and nothing of them as markup."""

from __future__ import annotations

import re
import sys
import time

import pytest
from comfyui import ROOT, node, text_to_image
from connection_routes import ask
from editors import EDITORS, running
from test_editor import SCREEN, browser, open_template, until

sys.path.insert(0, str(ROOT / "tests" / "studio" / "prompt"))

from chat_server import chat_server

__all__ = ["browser"]  # the fixture
MARKUP = "<img src=x onerror=window.harmed=1>"
OPEN = "window.app.extensionManager.command.execute('Storefront.Panel')"
TEXT = "return document.querySelector('.storefront-panel')?.innerText ?? ''"
SAID = "return document.querySelector('.storefront-panel header [role=status]').innerText"
PRESS = "[...document.querySelectorAll('.storefront-panel button')].find(b => b.textContent === arguments[0]).click()"
LOADED = "return performance.getEntriesByType('resource').some(entry => entry.name.includes('panel_view'))"
RUN = text_to_image(
    {
        MARKUP: node("StorefrontTextOverlay", image=["5", 0], text="가", color="#fefefe"),
        "21": node("StorefrontReport", value=[MARKUP, 0]),
    },
    Sample={"steps": 2},
)


@pytest.fixture(scope="module", params=EDITORS)
def editor(request, tmp_path_factory):
    with running(request.param, tmp_path_factory.mktemp("panel")) as comfyui:
        yield comfyui
        assert "Traceback" not in comfyui.log()


def summary(totals: dict) -> str:
    return f"{totals['nodes']} nodes, {totals['cached_nodes']} reused"


def test_the_panel_shows_the_last_run_and_what_is_loaded(editor, browser):
    open_template(browser, editor, "poster_from_photo")
    assert not browser.execute_script(LOADED)  # who never opens it never loads it
    assert editor.run(RUN).ok
    browser.execute_script(OPEN)
    until(lambda: "Text Overlay" in browser.execute_script(TEXT))
    shown = browser.execute_script(TEXT)
    assert not browser.execute_script("return window.harmed")
    now = editor.get("/storefront/runs")
    totals = now["runs"][0]["totals"]
    assert totals["nodes"] == len(now["runs"][0]["nodes"])
    assert summary(totals) in shown
    parts = {model["part"]: model for model in now["models"]}
    assert "transformer" in parts
    for part, model in parts.items():
        assert (model["name"], model["licence"]) == ("flux-micro", "Apache-2.0"), part
        assert f"flux-micro · {part} · " in shown
    assert "Apache-2.0: commercial use is allowed" in shown
    assert editor.get("/storefront/runs?language=ko")["models"][0]["allows"] == "상업적으로 써도 됩니다"
    rows = browser.execute_script(
        "return [...document.querySelector('.storefront-panel details').querySelectorAll('tbody tr')]"
        ".map(row => [row.cells[0].innerText.trim().split('\\n')[0], Number(row.cells[1].innerText)])"
    )
    nodes = now["runs"][0]["nodes"]
    seconds = {entry["type"]: entry["seconds"] for entry in nodes}
    assert len(rows) == len(nodes)
    assert dict(rows)["Text Overlay (Storefront)"] == pytest.approx(seconds["StorefrontTextOverlay"], abs=0.006)
    assert dict(rows)["FLUX Sampler (Storefront)"] == pytest.approx(seconds["StorefrontSample"], abs=0.006)
    browser.save_screenshot(str(editor.base / "panel.png"))

    assert editor.run(RUN).ok  # nothing but the report runs again
    again = editor.get("/storefront/runs")["runs"][0]["totals"]
    assert again["cached_nodes"] > totals["cached_nodes"]
    browser.execute_script(PRESS, "Refresh")
    until(lambda: summary(again) in browser.execute_script(TEXT))
    browser.execute_script(PRESS, "Free memory")
    until(lambda: "ComfyUI frees the memory" in browser.execute_script(TEXT))
    until(lambda: editor.get("/storefront/runs")["models"] == [])
    until(lambda: "Nothing is loaded." in browser.execute_script(TEXT))


def test_runs_of_this_page_need_no_report(editor, browser):
    """Times by ComfyUI's own messages: those of its history, which has them to the millisecond."""
    open_template(browser, editor, "text_to_image")
    before = set(editor.get("/history"))
    browser.execute_script(
        "window.app.graph._nodes.find(n => n.type === 'StorefrontSample').widgets.find(w => w.name === 'seed').value"
        " = arguments[0]",
        time.time_ns() % 2**31,
    )
    begun = time.monotonic()
    browser.execute_async_script("window.app.queuePrompt(0, 1).then(arguments[0])")
    (prompt_id,) = until(lambda: set(editor.get("/history")) - before)
    browser.execute_script(OPEN)
    first = "return document.querySelector('.storefront-panel details')?.innerText ?? ''"
    shown = until(lambda: "FLUX Sampler" in (text := browser.execute_script(first)) and text)
    waited = time.monotonic() - begun
    entry = editor.get(f"/history/{prompt_id}")[prompt_id]
    assert prompt_id not in [run["run"] for run in editor.get("/storefront/runs")["runs"]]
    told = {kind: body for kind, body in entry["status"]["messages"]}
    cached = told.get("execution_cached", {"nodes": []})["nodes"]
    seconds = (told["execution_success"]["timestamp"] - told["execution_start"]["timestamp"]) / 1000
    total, nodes, reused = map(float, re.match(r"([\d.]+) s · (\d+) nodes, (\d+) reused", shown).groups())
    assert (nodes, reused) == (len(entry["prompt"][2]), len(cached))
    assert total == pytest.approx(seconds, abs=0.06)  # shown to a tenth
    rows = browser.execute_script(
        "return [...document.querySelector('.storefront-panel details').querySelectorAll('tbody tr')]"
        ".map(row => row.cells[1].innerText)"
    )
    times = [float(text) for text in rows if text != "reused"]
    assert rows.count("reused") == reused
    assert 0 < sum(times) <= waited + 0.01 * len(times)  # by when their messages come; each is shown to a hundredth
    browser.save_screenshot(str(editor.base / "plain.png"))


def test_warm_up_loads_what_the_open_graph_draws_with(editor, browser):
    editor.get("/free", {"unload_models": True, "free_memory": True})
    until(lambda: editor.get("/storefront/runs")["models"] == [])
    open_template(browser, editor, "text_to_image")
    before = browser.execute_async_script("window.app.graphToPrompt().then(arguments[0])")["output"]
    browser.execute_script(OPEN)
    until(lambda: "Warm up" in browser.execute_script(TEXT))
    for _ in range(2):  # the second time too: ComfyUI's cache does not stand in for it
        known = len(editor.get("/history"))
        browser.execute_script(PRESS, "Warm up")
        until(lambda: browser.execute_script(SAID).startswith("warmed up for 64 x 64 in "))
        assert len(editor.get("/history")) == known + 1
        run = editor.get("/storefront/runs")["runs"][0]
        (warm,) = [entry for entry in run["nodes"] if entry["type"] == "StorefrontWarmUp"]
        assert warm["status"] == "done"
        assert not {"StorefrontSample", "StorefrontDecode", "SaveImage"} & {entry["type"] for entry in run["nodes"]}
        until(
            lambda: not browser.execute_script("return !!document.querySelector('.storefront-panel button:disabled')")
        )
        browser.execute_script("document.querySelector('.storefront-panel header [role=status]').textContent = ''")
    assert [model["part"] for model in editor.get("/storefront/runs")["models"]].count("transformer") == 1
    until(lambda: "flux-micro · transformer" in browser.execute_script(TEXT))
    assert browser.execute_async_script("window.app.graphToPrompt().then(arguments[0])")["output"] == before
    browser.save_screenshot(str(editor.base / "warm.png"))


def test_warm_up_says_what_it_cannot_do(editor, browser):
    open_template(browser, editor, "poster_from_photo")
    browser.execute_script(OPEN)
    until(lambda: "Warm up" in browser.execute_script(TEXT))
    browser.execute_script(PRESS, "Warm up")
    until(lambda: "has no FLUX Sampler" in browser.execute_script(SAID))
    editor.get("/api/settings/Storefront.Model", "gone")
    try:
        open_template(browser, editor, "poster_from_photo")
        browser.execute_script(OPEN)
        until(lambda: "Warm up" in browser.execute_script(TEXT))
        browser.execute_script(PRESS, "Warm up")
        until(lambda: "gone" in browser.execute_script(SAID))
    finally:
        editor.get("/api/settings/Storefront.Model", "(the node's own)")


def test_a_connection_is_asked_when_somebody_presses_check(editor, browser):
    with chat_server() as server:
        body = {"base_url": server.url, "model": "latte-1", "allow_private": True}
        assert ask(editor, "PUT", "shop", body)[0] == 200
        open_template(browser, editor, "poster_from_photo")
        browser.execute_script(OPEN)
        until(lambda: "shop · latte-1" in browser.execute_script(TEXT))
        assert "not checked" in browser.execute_script(TEXT)
        time.sleep(1)
        assert server.requests == []
        browser.execute_script(PRESS, "Check")
        until(lambda: "answers and has the model" in browser.execute_script(TEXT))
        browser.execute_script(PRESS, "Refresh")  # asks nobody
        until(lambda: "answers and has the model" in browser.execute_script(TEXT))
        assert len(server.requests) == 1
    browser.execute_script(PRESS, "Check")
    until(lambda: "cannot be reached" in browser.execute_script(TEXT))
    browser.save_screenshot(str(editor.base / "check.png"))
    assert ask(editor, "DELETE", "shop")[0] == 200


def test_the_side_bar_of_a_small_screen_needs_no_scroll_bar(editor, browser):
    scrolling = """
        const bars = document.querySelectorAll(".side-tool-bar-container, .side-tool-bar-container *")
        return [bars.length, [...bars].filter(e => /auto|scroll/.test(getComputedStyle(e).overflowY)
          && e.scrollHeight > e.clientHeight + 1).map(e => e.className)]
        """
    small = {"width": 1366, "height": 768, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", small)
    try:
        open_template(browser, editor, "poster_from_photo")
        time.sleep(1)
        count, found = browser.execute_script(scrolling)
        browser.save_screenshot(str(editor.base / "small.png"))
        assert count > 5
        assert found == []
    finally:
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", SCREEN)


def test_the_panel_speaks_the_editors_language(editor, browser):
    editor.get("/api/settings/Comfy.Locale", "ja")
    try:
        open_template(browser, editor, "poster_from_photo")
        browser.execute_script(OPEN)
        until(lambda: "最近の実行" in browser.execute_script(TEXT))
    finally:
        editor.get("/api/settings/Comfy.Locale", "en")


def test_the_commands_have_a_name_in_every_language(editor):
    sent = editor.get("/i18n")
    for language in ("ko", "ja", "zh"):
        label = sent[language]["commands"]["Storefront_Panel"]["label"]
        assert label.startswith("Storefront")
        assert not label.isascii()
