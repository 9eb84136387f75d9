"""The templates that a shop owner uses, as apps: photo in, Run, the picture is saved."""

from __future__ import annotations

import json

import numpy as np
import pytest
from comfyui import ROOT
from PIL import Image
from test_editor import APP_SHOWS, browser, open_template, until
from test_newest_editor import newest

__all__ = ["browser", "newest"]  # the fixtures

GRAPHS = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted((ROOT / "workflows").glob("*.json"))}
APPS = [name for name, graph in GRAPHS.items() if graph["extra"].get("linearMode")]
PHOTO_NODE, DROP = "StorefrontExamplePhoto", "storefront_drop"
PLAN_NODE, ARRANGE = "StorefrontPlanLayout", "storefront_arrange"
# Drops a file that the page draws itself: a green box on white.
DROP_PHOTO = """
    const canvas = Object.assign(document.createElement("canvas"), {width: 300, height: 400}), pen = canvas.getContext("2d")
    for (const [color, ...box] of [["#fff", 0, 0, 300, 400], ["#0a7", 70, 60, 160, 280]]) {
      pen.fillStyle = color
      pen.fillRect(...box)
    }
    canvas.toBlob((blob) => {
      const dataTransfer = new DataTransfer()
      dataTransfer.items.add(new File([blob], arguments[0], {type: "image/png"}))
      document.querySelector(".storefront_drop").dispatchEvent(new DragEvent("drop", {dataTransfer, bubbles: true}))
    })
    """
SHOWN = """
    return [...document.querySelectorAll("[data-testid=linear-widgets] *")].filter(e => e.offsetWidth && !e.children.length)
      .map(e => e.textContent.trim()).filter(Boolean)
    """


def test_what_a_shop_owner_uses_is_an_app():
    assert set(APPS) == {
        "ad_from_photo",
        "ad_of_a_set",
        "ad_with_brand",
        "product_composite",
        "sentence_to_ad",
        "poster_from_photo",
        "catalogue",
        "product_on_white",
    }


@pytest.mark.parametrize("name", APPS)
def test_the_fields_of_an_app_are_there_and_have_names(name):
    nodes = {node["id"]: node for node in GRAPHS[name]["nodes"]}
    fields = GRAPHS[name]["extra"]["linearData"]["inputs"]
    for node_id, widget in fields:
        if widget == DROP:
            assert nodes[node_id]["type"] == PHOTO_NODE
            continue
        if widget == ARRANGE:
            assert nodes[node_id]["type"] == PLAN_NODE
            continue
        (slot,) = [entry for entry in nodes[node_id]["inputs"] if entry["name"] == widget]
        assert slot["link"] is None
        assert " · " in slot["label"]  # in English and Korean
    (result,) = GRAPHS[name]["extra"]["linearData"]["outputs"]
    assert nodes[result]["type"] == "SaveImage"
    photos = [node["id"] for node in nodes.values() if node["type"] == PHOTO_NODE]
    assert [node_id for node_id, widget in fields if widget == DROP] == photos
    plans = [node["id"] for node in nodes.values() if node["type"] == PLAN_NODE]
    assert [node_id for node_id, widget in fields if widget == ARRANGE] == plans


def run_as_app(browser, server, name: str) -> None:
    # The page of a run is not shown where dozens of programs' prompts, which have no time of their own, are in the history.
    server.get("/history", {"clear": True})
    open_template(browser, server, name, as_app=True)
    labels = [entry["label"] for node in GRAPHS[name]["nodes"] for entry in node.get("inputs", ()) if "label" in entry]
    labels = [label.split(" · ")[0] for label in labels]  # the interface is English
    until(lambda: set(labels) <= set(browser.execute_script(SHOWN)))
    has_photo = any(node["type"] == PHOTO_NODE for node in GRAPHS[name]["nodes"])
    if has_photo:
        look = f"return window.app.graph._nodes.find(n => n.type === '{PHOTO_NODE}').widgets.find(w => w.name === 'image').value"
        until(lambda: browser.execute_script("return document.querySelector('.storefront_drop img')?.naturalWidth"))
        browser.execute_script(DROP_PHOTO, f"{name}.png")
        until(lambda: name in browser.execute_script(look))
        shown = "const i = document.querySelector('.storefront_drop img'); return [i.naturalWidth, i.offsetWidth > 0]"
        assert until(lambda: (now := browser.execute_script(shown))[0] == 300 and now)[1]
    before = set(server.get("/history"))
    browser.execute_script("[...document.querySelectorAll('[data-testid=linear-run-button] button')].at(-1).click()")
    (prompt_id,) = until(lambda: set(server.get("/history")) - before)
    result = server.wait(prompt_id)
    for path in result.files():
        assert np.asarray(Image.open(path)).std() > 20
    photos = [n["inputs"]["image"] for n in result.history["prompt"][2].values() if n["class_type"] == PHOTO_NODE]
    assert [name in photo for photo in photos] == [True] * has_photo
    picture = (
        "return [...document.querySelectorAll('[data-testid=linear-outputs] img')].some(i => i.naturalWidth > 256)"
    )
    assert until(lambda: browser.execute_script(picture))
    if any(widget == ARRANGE for _, widget in GRAPHS[name]["extra"]["linearData"]["inputs"]):
        arrange_in_app(browser)
    for photo in (server.base / "input").glob(f"**/{name}*.png"):  # other tests compare the list of photos
        photo.unlink()


def arrange_in_app(browser) -> None:
    """The button under the fields opens the layout editor on what the run made; an arrow key there is a value of the graph."""
    browser.execute_script("document.querySelector('[data-testid=linear-widgets] .storefront_arrange input').click()")
    assert until(lambda: browser.execute_script("return document.querySelectorAll('.storefront-arrange .item').length"))
    browser.execute_script("document.querySelector('.item.text .grip').focus()")
    press = "document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowDown', bubbles: true}))"
    browser.execute_script(press)
    value = f"""
        return window.app.graph._nodes.find(n => n.type === '{PLAN_NODE}').widgets.find(w => w.name === 'arrangement').value
        """
    assert set(json.loads(browser.execute_script(value))) == {"version", "headline"}
    browser.execute_script("document.querySelector('.storefront-arrange .done').click()")


@pytest.mark.usefixtures("no_traceback")
@pytest.mark.parametrize("name", APPS)
def test_an_app_makes_its_picture(comfyui, browser, name):
    run_as_app(browser, comfyui, name)


@pytest.mark.parametrize("name", ["ad_from_photo", "product_composite"])
def test_an_app_makes_its_picture_in_the_newest_editor(newest, browser, name):
    run_as_app(browser, newest, name)


@pytest.mark.usefixtures("no_traceback")
def test_a_second_app_turns_to_a_graph_that_is_in_sight(comfyui, browser):
    """The editor fits a template to a canvas that the app hides: its scale was 0, and the graph could not be seen."""
    open_template(browser, comfyui, "poster_from_photo", as_app=True)
    until(lambda: browser.execute_script(APP_SHOWS))
    browser.execute_async_script(
        """
        const done = arguments[arguments.length - 1]
        fetch("/api/workflow_templates/storefront/ad_from_photo.json").then((answer) => answer.json())
          .then((graph) => window.app.loadGraphData(graph, true, true, "ad_from_photo", { openSource: "template" })).then(done)
        """
    )
    until(lambda: browser.execute_script("return window.app.graph._nodes.some(n => n.type === 'StorefrontScene')"))
    until(lambda: browser.execute_script(APP_SHOWS))
    browser.execute_script("window.app.extensionManager.command.execute('Comfy.ToggleLinear')")
    until(lambda: not browser.execute_script(APP_SHOWS))
    assert until(lambda: browser.execute_script("return window.app.canvas.ds.scale") > 0.4)
