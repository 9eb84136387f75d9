"""The layout editor as a page: accessible, by finger, before a run, beside other graphs, in its user's language."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import NEWEST
from devtools.environment import npm_packages
from test_arrange import (
    ARRANGEMENT,
    CLOSE,
    IS_OPEN,
    OPEN,
    SIDE,
    apart,
    branded,
    drawn,
    graph,
    load,
    open_editor,
    queue,
    seen,
)
from test_editor import browser, open_template, until

__all__ = ["browser"]  # the fixture

pytestmark = pytest.mark.usefixtures("no_traceback")
# What is the same in every ComfyUI's editor is tried in one.
in_the_newest = pytest.mark.parametrize("comfyui_folder", [NEWEST], ids=["newest"], indirect=True)

DONE = "document.querySelector('.storefront-arrange .done').click()"
FAULTS = """
    const done = arguments[arguments.length - 1]
    axe.run(".storefront-arrange", {resultTypes: ["violations"]}).then(
      found => done(found.violations.map(one => [one.id, one.nodes.map(node => node.html)])), error => done(String(error)))
    """


@in_the_newest
def test_axe_finds_nothing(comfyui, browser):
    axe = (npm_packages(Path(__file__).parent / "axe") / "axe-core" / "axe.min.js").read_text("utf-8")
    load(browser, comfyui, branded("접근성"))
    browser.execute_script(axe)
    browser.execute_script(OPEN)
    # The graph has no name of a template: the example is another one of ours.
    until(lambda: browser.execute_script("return document.querySelector('.example img')?.naturalWidth"))
    assert browser.execute_async_script(FAULTS) == []
    browser.execute_script("document.querySelector('.example img').removeAttribute('alt')")
    assert [name for name, _ in browser.execute_async_script(FAULTS)] == ["image-alt"]  # it would
    queue(browser, comfyui)
    until(lambda: browser.execute_script(IS_OPEN))  # the run takes the example's place
    assert browser.execute_script("return document.querySelector('.example')") is None
    for role in ("product 1", "headline", "badge", "light"):
        browser.execute_script("document.querySelector(`.grip[data-role='${arguments[0]}']`).focus()", role)
        assert browser.execute_async_script(FAULTS) == [], role
    browser.execute_script(DONE)


def touch(browser, kind: str, x: float | None = None, y: float | None = None) -> None:
    points = [] if x is None else [{"x": x, "y": y}]
    browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def swipe(browser, selector: str, x: int, y: int) -> None:
    """A finger from the middle of an element, without snapping: it ends far from every line."""
    middle = "const r = document.querySelector(arguments[0]).getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]"
    left, top = browser.execute_script(middle, selector)
    touch(browser, "touchStart", left, top)
    for step in (0.3, 0.7, 1):
        touch(browser, "touchMove", left + x * step, top + y * step)
    touch(browser, "touchEnd")


TAP_AT = """
    const node = window.app.graph._nodes.find(n => n.type === "StorefrontPlanLayout")
    window.app.canvas.ds.scale = arguments[0]
    window.app.canvas.centerOnNode(node)
    window.app.canvas.setDirty(true, true)
    """
BUTTON = """
    const r = document.querySelector(".storefront_arrange input[type=button]").getBoundingClientRect()
    return [r.x + r.width / 2, r.y + r.height / 2, r.width]
    """


def tap_button(browser, scale: float) -> None:
    """The node's button by finger, with the graph at a zoom; the dialog is open then."""
    wide = browser.execute_script("return document.querySelector('.storefront_arrange input').offsetWidth")
    browser.execute_script(TAP_AT, scale)
    x, y, _ = until(lambda: abs((now := browser.execute_script(BUTTON))[2] - scale * wide) < 2 and now)
    touch(browser, "touchStart", x, y)
    touch(browser, "touchEnd")
    until(lambda: browser.execute_script(IS_OPEN))


@in_the_newest
def test_a_finger_moves_and_resizes_at_any_zoom_of_the_graph(comfyui, browser):
    load(browser, comfyui, graph("손가락"))
    queue(browser, comfyui)
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    try:
        tap_button(browser, 0.25)
        browser.execute_script(DONE)
        tap_button(browser, 2.0)
        first = seen(browser)
        swipe(browser, ".item.product .grip", 33, 21)
        swipe(browser, ".handle.se", -17, -19)
        moved = seen(browser)
    finally:
        browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
    assert np.abs(np.subtract(moved["product 1"], first["product 1"])).min() > 0.01
    assert set(json.loads(browser.execute_script(ARRANGEMENT))) == {"version", "product 1"}
    result = queue(browser, comfyui, "document.querySelector('.storefront-arrange .primary').click()")
    assert apart(np.multiply(moved["product 1"], SIDE), drawn(result)["product 1"]) <= CLOSE
    browser.execute_script(DONE)


@in_the_newest
def test_before_a_run_it_shows_the_template_s_picture_and_says_so(comfyui, browser):
    open_template(browser, comfyui, "ad_with_brand")
    browser.execute_script(OPEN)
    shown = "const e = document.querySelector('.example'); return e && !e.hidden && [e.querySelector('img').src, e.textContent]"
    address, told = until(lambda: browser.execute_script(shown))
    assert address.endswith("/ad_with_brand.jpg")
    assert "example" in told
    browser.execute_script(DONE)


def test_a_run_is_shown_in_its_own_graph_alone(comfyui, browser):
    load(browser, comfyui, graph("먼저 연 그래프"))
    queue(browser, comfyui)
    browser.execute_script("window.first = window.app.graph.id")
    browser.execute_script("window.app.loadApiJson(arguments[0], 'second')", graph("다른 그래프"))
    until(lambda: browser.execute_script("return window.app.graph.id") != browser.execute_script("return window.first"))
    # Both have a node 10; the first one is open again before the second one's outputs come.
    swap = """
        window.app.graph.id = crypto.randomUUID()
        window.app.queuePrompt(0, 1).then(() => (window.app.graph.id = window.first))
        """
    queue(browser, comfyui, swap)
    open_editor(browser)
    browser.execute_script("document.querySelector('.item.text .grip').focus()")
    assert (
        browser.execute_script("return document.querySelector('.storefront-arrange textarea').value")
        == "먼저 연 그래프"
    )
    browser.execute_script(DONE)
