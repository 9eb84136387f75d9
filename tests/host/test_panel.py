"""The side bar "Storefront" in a real browser: the last run's figures, and nothing of it as markup."""

from __future__ import annotations

import pytest
from comfyui import node, text_to_image
from test_editor import browser, open_template, until

__all__ = ["browser"]  # the fixture
pytestmark = pytest.mark.usefixtures("no_traceback")
MARKUP = "<img src=x onerror=window.harmed=1>"
OPEN = "window.app.extensionManager.sidebarTab.toggleSidebarTab('storefront')"
TEXT = "return document.querySelector('.storefront-panel')?.innerText ?? ''"
LOADED = "return performance.getEntriesByType('resource').some(entry => entry.name.includes('panel_view'))"
RUN = text_to_image(
    {
        MARKUP: node("StorefrontTextOverlay", image=["5", 0], text="가", color="#fefefe"),
        "21": node("StorefrontReport", value=[MARKUP, 0]),
    },
    Sample={"steps": 2},
)


def summary(totals: dict) -> str:
    """Other programs' runs before this one may have left nodes to be reused."""
    return f"{totals['nodes']} nodes, {totals['cached_nodes']} reused"


def test_the_side_bar_shows_the_last_run_and_what_is_loaded(comfyui, browser):
    open_template(browser, comfyui, "poster_from_photo")
    assert not browser.execute_script(LOADED)  # who never opens it never loads it
    assert comfyui.run(RUN).ok
    browser.execute_script(OPEN)
    until(lambda: "Text Overlay" in browser.execute_script(TEXT))
    shown = browser.execute_script(TEXT)
    assert not browser.execute_script("return window.harmed")
    now = comfyui.get("/storefront/runs")
    totals = now["runs"][0]["totals"]
    assert totals["nodes"] == len(now["runs"][0]["nodes"])
    assert summary(totals) in shown
    assert now["models"]
    assert all(model["name"] in shown for model in now["models"])
    assert all(name in shown for name in comfyui.get("/storefront/connections")["names"] or ["No connection yet."])
    rows = browser.execute_script(
        "return [...document.querySelector('.storefront-panel details').querySelectorAll('tbody tr')]"
        ".map(row => [row.cells[0].innerText.trim().split('\\n')[0], Number(row.cells[1].innerText)])"
    )
    nodes = now["runs"][0]["nodes"]
    seconds = {entry["type"]: entry["seconds"] for entry in nodes}
    assert len(rows) == len(nodes)
    assert dict(rows)["Text Overlay (Storefront)"] == pytest.approx(seconds["StorefrontTextOverlay"], abs=0.006)
    assert dict(rows)["FLUX Sampler (Storefront)"] == pytest.approx(seconds["StorefrontSample"], abs=0.006)

    assert comfyui.run(RUN).ok  # nothing but the report runs again
    again = comfyui.get("/storefront/runs")["runs"][0]["totals"]
    assert again["cached_nodes"] > totals["cached_nodes"]
    browser.execute_script("document.querySelector('.storefront-panel header button').click()")
    until(lambda: summary(again) in browser.execute_script(TEXT))
    browser.execute_script("document.querySelectorAll('.storefront-panel header button')[1].click()")
    until(lambda: "ComfyUI frees the memory" in browser.execute_script(TEXT))
    until(lambda: comfyui.get("/storefront/runs")["models"] == [], 20)
    until(lambda: "Nothing is loaded." in browser.execute_script(TEXT), 20)


def test_the_side_bar_speaks_the_editors_language(comfyui, browser):
    comfyui.get("/api/settings/Comfy.Locale", "ja")
    try:
        open_template(browser, comfyui, "poster_from_photo")
        browser.execute_script(OPEN)
        until(lambda: "最近の実行" in browser.execute_script(TEXT))
    finally:
        comfyui.get("/api/settings/Comfy.Locale", "en")
