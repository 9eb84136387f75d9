"""The templates in the newest front-end on the registry, which a user may have beside any ComfyUI."""

from __future__ import annotations

import pytest
from comfyui import ComfyUI
from conftest import dev
from devtools.environment import FRONT_END_NEWEST, front_end
from test_editor import (
    CLASSIC_PLACES,
    GRAPHS,
    READABLE,
    all_places,
    browser,
    open_template,
    overlapping,
    under_the_minimap,
    until,
)

__all__ = ["browser"]  # the fixture


@pytest.fixture(scope="module")
def newest(newest_folder, tmp_path_factory):
    base = tmp_path_factory.mktemp("newest")
    with dev.running_comfyui(newest_folder, base, "--front-end-root", str(front_end(FRONT_END_NEWEST))) as url:
        yield ComfyUI(url, base)


@pytest.mark.parametrize("name", GRAPHS)
def test_a_template_can_be_read_and_no_node_covers_another(newest, browser, name):
    assert not any(node["bad"] for node in open_template(browser, newest, name))
    assert until(lambda: browser.execute_script("return window.app.canvas.ds.scale") >= READABLE)
    places = browser.execute_script(CLASSIC_PLACES)
    assert overlapping(places) == []
    assert under_the_minimap(browser, places) == []


def test_rare_widgets_wait_behind_their_button(newest, browser):
    open_template(browser, newest, "product_composite")
    shown = """
        const node = window.app.graph._nodes.find(n => n.type === "StorefrontTextOverlay")
        const names = () => node.widgets.filter(w => node.isWidgetVisible(w)).map(w => w.name)
        const before = names(), button = node.widgets.find(w => w.name === "storefront_advanced")
        button.callback()
        const after = names()
        button.callback()
        return [before, after, names()]
        """
    before, after, again = browser.execute_script(shown)
    assert "shadow_color" in after
    assert "shadow_color" not in before
    assert before == again
    assert {"text", "preset"} - set(before) <= {"text"}  # a wired text is no widget in sight


def test_no_node_covers_another_in_nodes_2(newest, browser):
    newest.get("/api/settings/Comfy.VueNodes.Enabled", True)
    try:
        for name in GRAPHS:
            places = all_places(browser, len(open_template(browser, newest, name)))
            assert overlapping(places) == [], name
            assert under_the_minimap(browser, places, in_nodes_2=True) == [], name
    finally:
        newest.get("/api/settings/Comfy.VueNodes.Enabled", False)
