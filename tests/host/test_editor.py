"""The graph editor in a real browser: templates open, help shows, Korean names show, Run draws."""

from __future__ import annotations

import itertools
import json
import shutil
import time

import pytest
from comfyui import ROOT, until, without_older_names

pytestmark = pytest.mark.usefixtures("no_traceback")

GRAPHS = sorted(path.stem for path in (ROOT / "workflows").glob("*.json"))
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--enable-unsafe-swiftshader",  # WebGL, which the layer editor draws with
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1366,900",
]
# What a browser's own bars leave of 1366 x 768, the smallest screen that many laptops have.
SCREEN = {
    "width": 1366,
    "height": 625,
    "deviceScaleFactor": 1,
    "mobile": False,
}  # a laptop's, less the browser's own bars
FULL_SCREEN = {**SCREEN, "height": 768}
READABLE = 0.58  # the classic renderer draws no text below 0.571: 8 px of the 14 that it has at 1


@pytest.fixture(scope="module")
def browser():
    chromium, driver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("!!! NO CHROMIUM AND CHROMEDRIVER ON THIS MACHINE: THE EDITOR WAS NOT TESTED !!!")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in FLAGS:
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(driver))
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", SCREEN)
    yield driver
    driver.quit()


APP_SHOWS = "return !!document.querySelector('[data-testid=linear-widgets]')"


def open_template(browser, comfyui, name: str, as_app: bool = False) -> list[dict]:
    """The graph's nodes, once the editor has read the template in the place of the graph it had open before.

    A template that opens as an app is turned to its graph, unless it is wanted `as_app`.
    """
    wanted = json.loads((ROOT / "workflows" / f"{name}.json").read_text("utf-8"))["nodes"]
    # From a page of the same origin without an editor, which would save its open graphs, to restore them beside this one.
    browser.get(f"{comfyui.url}/system_stats")
    browser.execute_script("localStorage.clear(); sessionStorage.clear()")
    browser.get(f"{comfyui.url}/?template={name}&source=storefront")
    look = (
        "return (window.app?.graph?._nodes ?? []).map(n => ({type: n.type, title: n.title, bad: n.has_errors,"
        " first: n.widgets?.[0]?.value}))"
    )

    def known_by(type: str, first: object) -> tuple[str, object]:  # graphs may differ in nothing but their model
        return type, first if type == "StorefrontLoadModel" else None

    there = sorted(known_by(node["type"], *node.get("widgets_values", [])[:1] or [None]) for node in wanted)

    def whole() -> list[dict] | None:
        nodes = browser.execute_script(look)
        return nodes if sorted(known_by(n["type"], n.get("first")) for n in nodes) == there else None

    opened = until(whole)
    if not as_app and browser.execute_script("return !!window.app.graph.extra.linearMode"):
        # The graph says that it is an app before the editor shows it as one; a toggle in between would show the app.
        until(lambda: browser.execute_script(APP_SHOWS))
        browser.execute_script("window.app.extensionManager.command.execute('Comfy.ToggleLinear')")
        until(lambda: not browser.execute_script(APP_SHOWS))
    return opened


# node id -> left, top, width, height in the graph's pixels
CLASSIC_PLACES = """
    return Object.fromEntries(window.app.graph._nodes.map(n => [n.id, [n.pos[0], n.pos[1] - 30,
      n.flags.collapsed ? n._collapsed_width : n.size[0], n.flags.collapsed ? 30 : n.size[1] + 30]]))
    """
NODES_2_PLACES = """
    const scale = window.app.canvas.ds.scale
    return Object.fromEntries([...document.querySelectorAll("[data-node-id]")].map(e => {
      const r = e.getBoundingClientRect()
      return [e.dataset.nodeId, [r.left / scale, r.top / scale, r.width / scale, r.height / scale]]
    }))
    """
PREVIEWS = {"PreviewImage", "MaskPreview", "PreviewAny"}


def overlapping(places: dict[str, list[float]]) -> list[tuple[str, str]]:
    """Pairs of nodes that cover each other by more than two pixels both ways."""

    def shared(a: list[float], b: list[float], axis: int) -> float:
        return min(a[axis] + a[axis + 2], b[axis] + b[axis + 2]) - max(a[axis], b[axis])

    pairs = itertools.combinations(places.items(), 2)
    return [(m, n) for (m, a), (n, b) in pairs if min(shared(a, b, 0), shared(a, b, 1)) > 2]


def all_places(browser, count: int) -> dict[str, list[float]]:
    """Of every node in Nodes 2.0, once `count` of them are drawn."""
    return until(lambda: len(p := browser.execute_script(NODES_2_PLACES)) == count and p)


# The minimap's top left corner in the page, and what brings a place of the classic renderer there: scale and offset.
MINIMAP = """
    const {left, top} = document.querySelector(".minimap-main-container").getBoundingClientRect()
    const {scale, offset} = window.app.canvas.ds, page = window.app.canvas.canvas.getBoundingClientRect()
    return [left, top, scale, offset[0] + page.left / scale, offset[1] + page.top / scale]
    """


def under_the_minimap(browser, places: dict[str, list[float]], in_nodes_2: bool = False) -> list[str]:
    """The nodes that the minimap, which is open at first, hides a part of."""
    left, top, scale, x, y = until(lambda: browser.execute_script(MINIMAP))
    x, y = (0, 0) if in_nodes_2 else (x, y)
    return [
        node
        for node, (a, b, w, h) in places.items()
        if (a + w + x) * scale > left + 2 and (b + h + y) * scale > top + 2
    ]


def test_no_node_covers_another_in_nodes_2(comfyui, browser):
    comfyui.get("/api/settings/Comfy.VueNodes.Enabled", True)
    try:
        for name in GRAPHS:
            places = all_places(browser, len(open_template(browser, comfyui, name)))
            assert overlapping(places) == [], name
            assert under_the_minimap(browser, places, in_nodes_2=True) == [], name
            assert browser.execute_script("return window.app.canvas.ds.scale") >= READABLE, name
    finally:
        comfyui.get("/api/settings/Comfy.VueNodes.Enabled", False)


@pytest.mark.parametrize("name", GRAPHS)
def test_a_template_opens_whole_and_exports_its_twin(comfyui, browser, name):
    nodes = open_template(browser, comfyui, name)
    assert not any(node["bad"] for node in nodes)
    assert until(lambda: browser.execute_script("return window.app.canvas.ds.scale") >= READABLE)
    places = browser.execute_script(CLASSIC_PLACES)
    assert overlapping(places) == []
    assert under_the_minimap(browser, places) == []
    exported = browser.execute_async_script("window.app.graphToPrompt().then(arguments[0])")["output"]
    twin = json.loads((ROOT / "workflows" / "api" / f"{name}.json").read_text("utf-8"))
    shown = {
        k: (v["class_type"], without_older_names(v)) for k, v in exported.items() if v["class_type"] not in PREVIEWS
    }
    assert shown == {k: (v["class_type"], v["inputs"]) for k, v in twin.items()}


def test_a_full_screen_hides_no_part_of_a_template_either(comfyui, browser):
    """The editor fits a graph to the window: in a higher one it is larger, and nearer to the minimap."""
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", FULL_SCREEN)
    try:
        hidden = {}
        for name in GRAPHS:
            open_template(browser, comfyui, name)
            hidden[name] = under_the_minimap(browser, browser.execute_script(CLASSIC_PLACES))
        assert hidden == {name: [] for name in GRAPHS}
    finally:
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", SCREEN)


SAVED = ROOT / "tests" / "host" / "saved"


def show(browser, graph: dict) -> None:
    """A graph in the place of the one that the editor has open."""
    browser.execute_async_script("window.app.loadGraphData(arguments[0]).then(() => arguments[1]())", graph)


def test_graphs_saved_by_an_earlier_release_open_with_the_same_values(comfyui, browser):
    open_template(browser, comfyui, "poster_from_photo")  # from here on the editor loads nothing by itself
    for path in sorted((SAVED / "prompts").glob("*.json")):
        show(browser, json.loads((SAVED / "graphs" / path.name).read_text("utf-8")))
        exported = browser.execute_async_script("window.app.graphToPrompt().then(arguments[0])")["output"]
        for node_id, saved in json.loads(path.read_text("utf-8")).items():
            now = exported[node_id]["inputs"]
            assert {name: now.get(name) for name in saved["inputs"]} == saved["inputs"], (path.stem, node_id)


def test_every_widget_of_an_earlier_release_keeps_its_place(comfyui, browser):
    """A graph's widgets are saved by position: one node of each kind, each value another than the default."""
    open_template(browser, comfyui, "poster_from_photo")
    show(browser, json.loads((SAVED / "graphs" / "every_node.json").read_text("utf-8")))
    look = """
        return Object.fromEntries(window.app.graph._nodes.map(n => [n.id, Object.fromEntries((n.widgets ?? [])
          .map(w => [w.name, w.value]))]))
        """
    now = browser.execute_script(look)
    for node_id, saved in json.loads((SAVED / "every_node_values.json").read_text("utf-8")).items():
        assert {name: now[node_id].get(name) for name in saved["values"]} == saved["values"], saved["type"]


BLUEPRINTS = sorted((ROOT / "subgraphs").glob("*.json"))


def test_blueprints_are_listed_and_open_as_one_node(comfyui, browser):
    listed = [entry for entry in comfyui.get("/global_subgraphs").values() if entry["source"] == "custom_node"]
    assert sorted(entry["name"] for entry in listed) == [path.stem for path in BLUEPRINTS]
    open_template(browser, comfyui, "poster_from_photo")
    for path in BLUEPRINTS:
        blueprint = json.loads(path.read_text("utf-8"))
        show(browser, blueprint)
        (node,) = blueprint["nodes"]
        look = (
            "return window.app.graph._nodes.map(n => Object.fromEntries((n.widgets ?? []).map(w => [w.name, w.value])))"
        )
        (shown,) = browser.execute_script(look)
        names = [entry["name"] for entry in node["inputs"] if "widget" in entry]
        assert {name: shown[name] for name in names} == dict(zip(names, node["widgets_values"], strict=True))
        exported = browser.execute_async_script("window.app.graphToPrompt().then(arguments[0])")["output"]
        inside = blueprint["definitions"]["subgraphs"][0]["nodes"]
        assert sorted(n["class_type"] for n in exported.values()) == sorted(n["type"] for n in inside)


def test_run_draws_the_picture(comfyui, browser):
    open_template(browser, comfyui, "text_to_image")
    before = len(comfyui.get("/history"))
    browser.execute_async_script("window.app.queuePrompt(0, 1).then(arguments[0])")
    until(lambda: len(comfyui.get("/history")) > before)
    assert until(lambda: browser.execute_script("return window.app.graph._nodes.some(n => n.imgs?.length)"))


def test_korean_names(comfyui, browser):
    comfyui.get("/api/settings/Comfy.Locale", "ko")
    try:
        nodes = open_template(browser, comfyui, "text_to_image")
        assert "FLUX 샘플러 (Storefront)" in [node["title"] for node in nodes]
    finally:
        comfyui.get("/api/settings/Comfy.Locale", "en")


def test_the_scripts_use_the_editor_as_it_is_offered(browser, comfyui):
    """None of them imports a module that the editor calls internal."""
    browser.get(comfyui.url)
    until(lambda: browser.execute_script("return !!window.app?.graph"))
    loaded = "return performance.getEntriesByType('resource').map(entry => new URL(entry.name).pathname)"
    scripts = [path for path in browser.execute_script(loaded) if path.startswith("/scripts/")]
    assert set(scripts) == {"/scripts/app.js", "/scripts/api.js"}


@pytest.mark.parametrize("page", ["StorefrontSample/en.md", "StorefrontSample/ko.md", "StorefrontSample.md"])
def test_the_help_is_served(comfyui, page):
    from urllib.request import urlopen

    with urlopen(f"{comfyui.url}/extensions/storefront/docs/{page}") as answer:
        assert "`strength`" in answer.read().decode()


SAVED_FORMATS = ["PNG", "WebP", "AVIF"]


@pytest.mark.parametrize("format", SAVED_FORMATS)
def test_a_saved_picture_opens_as_the_graph_it_was_made_by(comfyui, browser, format):
    """The editor fills the tokens, runs, shows the picture; the file dropped on an empty editor brings the graph back."""
    open_template(browser, comfyui, "poster_from_photo")
    before = set(comfyui.get("/history"))
    browser.execute_script(
        """
        const graph = window.app.graph
        const letters = graph._nodes.find(n => n.type === "StorefrontTextOverlay")
        const save = window.LiteGraph.createNode("StorefrontSaveImage")
        graph.add(save)
        letters.connect(0, save, 0)
        const set = (name, value) => { save.widgets.find(w => w.name === name).value = value }
        set("format", arguments[0])
        set("filename", "editor/%date:yyyy%_%StorefrontTextOverlay.align%_%width%_" + arguments[0])
        """,
        format,
    )
    graph = (
        "const {nodes, links} = window.app.graph.serialize(); return nodes.map(n => [n.id, n.type, n.widgets_values])"
    )
    drawn = sorted(browser.execute_script(graph))
    browser.execute_async_script("window.app.queuePrompt(0, 1).then(arguments[0])")
    (prompt_id,) = until(lambda: set(comfyui.get("/history")) - before)
    result = comfyui.wait(prompt_id)
    (file,) = [path for path in result.files() if path.parent.name == "editor"]
    assert file.name.startswith(f"{time.localtime().tm_year}_")
    assert "%" not in file.name
    look = "return window.app.graph._nodes.some(n => n.type === 'StorefrontSaveImage' && n.imgs?.length)"
    assert until(lambda: browser.execute_script(look))
    browser.execute_script("window.app.graph.clear()")
    browser.execute_async_script(
        """
        const done = arguments[arguments.length - 1]
        fetch(arguments[0]).then(r => r.blob())
          .then(blob => window.app.handleFile(new File([blob], arguments[1], {type: arguments[2]}))).then(() => done())
        """,
        f"{comfyui.url}/view?subfolder=editor&filename={file.name}",
        file.name,
        f"image/{format.lower()}",
    )
    assert until(lambda: sorted(browser.execute_script(graph)) == drawn)


def test_words_under_a_node_are_shown_as_they_are_and_never_run(comfyui, browser):
    """The editor takes a note for HTML; in a stranger's workflow anything may stand in it."""
    words = "<img src=x onerror=window.stranger=1> A&B &lt;b&gt; 커피"
    open_template(browser, comfyui, "poster_from_photo")
    browser.execute_script(
        """
        const graph = window.app.graph
        graph.clear()
        const prompt = window.LiteGraph.createNode("StorefrontAdPrompt")
        graph.add(prompt)
        prompt.widgets.find(w => w.name === "text").value = `“${arguments[0]}”`
        const shown = window.LiteGraph.createNode("PreviewAny")
        graph.add(shown)
        prompt.connect(0, shown, 0)
        """,
        words,
    )
    browser.execute_async_script("window.app.queuePrompt(0, 1).then(arguments[0])")
    look = "return [...document.querySelectorAll('[role=status]')].map(line => line.textContent).filter(t => t.includes('A&B'))"
    shown = until(lambda: browser.execute_script(look))
    assert shown[0].startswith(words)
    assert browser.execute_script("return window.stranger ?? null") is None


def test_the_report_shows_under_its_node(comfyui, browser):
    open_template(browser, comfyui, "poster_from_photo")
    browser.execute_script(
        """
        const graph = window.app.graph
        const report = window.LiteGraph.createNode("StorefrontReport")
        graph.add(report)
        graph._nodes.find(n => n.type === "StorefrontTextOverlay").connect(0, report, 0)
        """
    )
    browser.execute_async_script("window.app.queuePrompt(0, 1).then(arguments[0])")
    look = """
        const report = window.app.graph._nodes.find(n => n.type === 'StorefrontReport')
        return report.widgets.find(w => w.name === 'shown').value
        """
    summary = json.loads(until(lambda: browser.execute_script(look)))
    assert "StorefrontTextOverlay" in {node["type"] for node in summary["nodes"]}
    exported = browser.execute_async_script("window.app.graphToPrompt().then(arguments[0])")
    (inputs,) = [n["inputs"] for n in exported["output"].values() if n["class_type"] == "StorefrontReport"]
    assert set(inputs) == {"value", "format", "prompt"}
    (saved,) = [n for n in exported["workflow"]["nodes"] if n["type"] == "StorefrontReport"]
    assert saved["widgets_values"] == ["JSON", ""]
