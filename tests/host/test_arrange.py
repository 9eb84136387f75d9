"""The layout editor in a real browser: what is moved there is what the saved picture has."""

from __future__ import annotations

import json

import numpy as np
import pytest
from comfyui import ComfyUI, node
from PIL import Image
from test_editor import browser, open_template, show, until
from test_newest_editor import newest

__all__ = ["browser", "newest"]  # the fixtures

SIDE = 1024
WALL = (0xE8, 0xE0, 0xD0)
HEADLINE = "갓 내린 커피"
CLOSE = 2.0  # pixels of the picture
CONTROL, DELETE, RIGHT, UP, ENTER, TAB = "\ue009", "\ue017", "\ue014", "\ue013", "\ue007", "\ue004"

ARRANGEMENT = """
    return window.app.graph._nodes.find(n => n.type === "StorefrontPlanLayout").widgets.find(w => w.name === "arrangement").value
    """
OPEN = "document.querySelector('.storefront_arrange input[type=button]').click()"
IS_OPEN = "return document.querySelectorAll('dialog.storefront-arrange .item').length"
# Of every item, and of the letters: left, top, width, height in shares of the picture, as they are seen.
SEEN = """
    const paper = document.querySelector(".paper").getBoundingClientRect()
    const shares = (element) => {
      const box = element.getBoundingClientRect()
      return [(box.left - paper.left) / paper.width, (box.top - paper.top) / paper.height, box.width / paper.width, box.height / paper.height]
    }
    const seen = Object.fromEntries([...document.querySelectorAll(".item .grip")].map((grip) => [grip.dataset.role, shares(grip.parentElement)]))
    const letters = document.querySelector(".view .picture[data-role=headline]")
    return {...seen, letters: shares(letters), anew: letters.src.startsWith("data:"), whole: letters.complete}
    """


def graph(headline: str = HEADLINE, **plan) -> dict[str, dict]:
    """A red box on a plain wall with words over it, of which every pixel can be told."""
    return {
        "1": node("EmptyImage", width=SIDE, height=SIDE, batch_size=1, color=0xE8E0D0),
        "4": node("SolidMask", value=0.0, width=400, height=400),
        "5": node("SolidMask", value=1.0, width=200, height=300),
        "6": node("MaskComposite", destination=["4", 0], source=["5", 0], x=100, y=50, operation="add"),
        "7": node("EmptyImage", width=400, height=400, batch_size=1, color=0xCC2211),
        "10": node("StorefrontPlanLayout", background=["1", 0], product_mask=["6", 0], headline=headline, **plan),
        "13": node(
            "StorefrontPlaceProduct",
            background=["1", 0],
            product=["7", 0],
            product_mask=["6", 0],
            layout=["10", 0],
            shadow="none",
            color_match=0.0,
        ),
        "15": node("StorefrontTextOverlay", image=["13", 0], layout=["13", 2], text=headline),
        "14": node("SaveImage", images=["15", 0], filename_prefix="arranged"),
    }


def load(browser, comfyui: ComfyUI, prompt: dict) -> None:
    """The graph of a prompt in the editor, in the place of the one that it had open."""
    open_template(browser, comfyui, "poster_from_photo")
    browser.execute_script("window.app.loadApiJson(arguments[0], 'arranged')", prompt)
    until(lambda: browser.execute_script("return window.app.graph._nodes.length") == len(prompt))
    browser.execute_script("window.app.graph.id = crypto.randomUUID()")  # as a graph that was saved has one


def queue(browser, comfyui: ComfyUI, press: str = "window.app.queuePrompt(0, 1)"):
    before = set(comfyui.get("/history"))
    browser.execute_script(press)
    (prompt_id,) = until(lambda: set(comfyui.get("/history")) - before)
    result = comfyui.wait(prompt_id)
    assert result.ok, result.error
    return result


def ran(result) -> set[str]:
    """The nodes that were not taken from ComfyUI's cache."""
    (cached,) = [body["nodes"] for kind, body in result.history["status"]["messages"] if kind == "execution_cached"]
    return set(result.history["prompt"][2]) - set(cached)


def open_editor(browser) -> dict:
    browser.execute_script(OPEN)
    until(lambda: browser.execute_script(IS_OPEN))
    return seen(browser)


def seen(browser, anew: bool | None = None) -> dict:
    """What is seen once it no longer changes; `anew`: the letters are those that the server set after a change."""

    def still() -> dict | None:
        one, again = browser.execute_script(SEEN), until(lambda: browser.execute_script(SEEN))
        return again if one == again and again["whole"] and anew in (None, again["anew"]) else None

    return until(still)


def drag(browser, selector: str, x: float, y: float) -> None:
    from selenium.webdriver import ActionChains

    grip = browser.find_element("css selector", selector)
    chain = ActionChains(browser).key_down(CONTROL).click_and_hold(grip)  # with Ctrl nothing snaps
    chain.move_by_offset(x // 2, y // 2).move_by_offset(x - x // 2, y - y // 2).release().key_up(CONTROL).perform()


def keys(browser, *pressed: str) -> None:
    from selenium.webdriver import ActionChains

    chain = ActionChains(browser)
    for key in pressed:
        if len(key) == 1:
            chain.send_keys(key)
        else:  # "control z"
            chain.key_down(CONTROL).send_keys(key[-1]).key_up(CONTROL)
    chain.perform()


def bounds(marked: np.ndarray) -> np.ndarray:
    """Left, top, width, height around what is marked, in pixels."""
    rows, columns = np.flatnonzero(marked.any(1)), np.flatnonzero(marked.any(0))
    return np.array([columns[0], rows[0], columns[-1] + 1 - columns[0], rows[-1] + 1 - rows[0]])


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """How far the edges of two boxes are from each other, at most."""
    first, second = (np.concatenate([box[:2], box[:2] + box[2:]]) for box in (one, other))
    return float(np.abs(first - second).max())


def drawn(result) -> dict[str, np.ndarray]:
    """Where the saved picture has the red box, and the letters."""
    (path,) = result.files()
    picture = np.asarray(Image.open(path).convert("RGB")).astype(int)
    red = picture[..., 0] - picture[..., 1] > 30  # also where the tip of a turned corner covers a fifth of a pixel
    letters = (abs(picture - WALL).max(-1) > 3) & (
        picture.max(-1) < 200
    )  # black and its edges; red has a channel above
    return {"product 1": bounds(red), "letters": bounds(letters)}


@pytest.mark.usefixtures("no_traceback")
def test_what_is_moved_is_what_is_saved(comfyui, browser):
    load(browser, comfyui, graph())
    queue(browser, comfyui)
    first = open_editor(browser)
    count = browser.execute_script("return window.app.graph._nodes.length")
    drag(browser, ".item.product .grip", 61, 37)
    drag(browser, ".handle.se", -30, -24)  # of the product, which is selected
    drag(browser, ".item.text .grip", -13, 21)
    drag(browser, ".handle.e", -90, 0)
    keys(browser, RIGHT, UP)  # of the words, on which the focus is
    moved = seen(browser, anew=True)
    for role in ("product 1", "headline"):
        assert np.abs(np.subtract(moved[role], first[role])).max() > 0.02, role
    value = browser.execute_script(ARRANGEMENT)
    assert set(json.loads(value)) == {"version", "product 1", "headline"}

    keys(browser, "control z", "control z")
    assert browser.execute_script(ARRANGEMENT) not in ("", value)
    keys(browser, "control y", "control y")
    assert browser.execute_script(ARRANGEMENT) == value
    keys(browser, DELETE)  # back to automatic, the words alone
    assert set(json.loads(browser.execute_script(ARRANGEMENT))) == {"version", "product 1"}
    keys(browser, "control z")
    assert browser.execute_script(ARRANGEMENT) == value
    assert browser.execute_script("return window.app.graph._nodes.length") == count  # no key reached the graph

    moved = seen(browser, anew=True)
    result = queue(browser, comfyui, "document.querySelector('.storefront-arrange .primary').click()")
    assert ran(result) == {"10", "13", "15", "14"}
    saved = drawn(result)
    for what in ("product 1", "letters"):
        assert apart(np.multiply(moved[what], SIDE), saved[what]) <= CLOSE, what
    after = seen(browser, anew=False)  # what the run left is shown in place of what was set anew
    for what in ("product 1", "headline", "letters"):
        assert np.abs(np.subtract(moved[what], after[what])).max() * SIDE <= CLOSE, what
    assert browser.execute_script(ARRANGEMENT) == value
    assert "moved by hand" in comfyui.log()

    browser.execute_script("document.querySelector('.storefront-arrange .done').click()")
    until(lambda: browser.execute_script(IS_OPEN) == 0)
    reopened = reopen(browser, comfyui, result)
    assert browser.execute_script(ARRANGEMENT) == value
    for what in ("product 1", "headline", "letters"):
        assert np.abs(np.subtract(after[what], reopened[what])).max() * SIDE <= CLOSE, what
    browser.execute_script("document.querySelectorAll('.storefront-arrange header input')[2].click()")
    assert browser.execute_script(ARRANGEMENT) == ""


SHAPES = {"logo": (0x00, 0xC8, 0xD0), "badge": (0x20, 0x20, 0xD0), "call to action": (0x10, 0x90, 0x20)}
FURTHER = (0x60, 0x00, 0x60)  # dark: without a shadow


def branded(headline: str) -> dict[str, dict]:
    """As `graph`, with a logo, a badge, a button and a line of words, each in a colour of its own."""
    hexed = {kind: f"#{bytes(color).hex()}" for kind, color in (SHAPES | {"words": FURTHER}).items()}
    last = {"image": ["15", 0], "layout": ["15", 3]}
    prompt = graph(headline, badge="50%", call_to_action="주문")
    prompt["16"] = node("EmptyImage", width=300, height=100, batch_size=1, color=int(hexed["logo"][1:], 16))
    nodes = {
        "20": node(
            "StorefrontTextOverlay",
            text="매일 9시부터",
            preset="caption",
            color=hexed["words"],
            scrim="off",
            anchor="bottom left",
        ),
        "21": node("StorefrontLogo", logo=["16", 0]),
        "22": node("StorefrontBadge", text="50%", color=hexed["badge"]),
        "23": node("StorefrontCallToAction", text="주문", color=hexed["call to action"]),
    }
    for key, entry in nodes.items():
        entry["inputs"] |= last
        last = {"image": [key, 0], "layout": [key, 3 if key == "20" else 2]}
    prompt["14"]["inputs"]["images"] = ["23", 0]
    return prompt | nodes


PICTURE = """
    const paper = document.querySelector(".paper").getBoundingClientRect()
    const picture = document.querySelector(`.view .picture[data-role="${arguments[0]}"]`)
    const box = picture.getBoundingClientRect()
    return picture.complete && [(box.left - paper.left) / paper.width, (box.top - paper.top) / paper.height, box.width / paper.width, box.height / paper.height]
    """


@pytest.mark.usefixtures("no_traceback")
def test_logo_badge_button_and_further_words_are_moved_and_saved_there(comfyui, browser):
    load(browser, comfyui, branded("모두 옮기기"))
    queue(browser, comfyui)
    first = open_editor(browser)
    roles = [*SHAPES, "words 2"]
    assert set(first) - {"letters", "anew", "whole"} == {"product 1", "headline", *roles}
    for index, role in enumerate(roles):
        drag(browser, f".item .grip[data-role='{role}']", 20 + 6 * index, -25 + 11 * index)
    drag(browser, ".handle.e", 60, 0)  # of the further words, which are set anew
    browser.execute_script("document.querySelector('.item .grip[data-role=badge]').focus()")
    drag(browser, ".handle.nw", -26, -26)
    browser.execute_script("document.querySelector('.item .grip[data-role=\"words 2\"]').focus()")
    source = "return document.querySelector('[data-role=\"words 2\"].picture').src"
    before = until(lambda: (now := browser.execute_script(source)).startswith("data:") and now)
    write = """
        const words = document.querySelector(".storefront-arrange textarea")
        words.value = "call 1234"
        for (const kind of ["input", "change"]) words.dispatchEvent(new Event(kind))
        """
    browser.execute_script(write)  # at once: each letter typed is one more picture to wait for
    value = until(lambda: "1234" in (text := browser.execute_script(ARRANGEMENT)) and json.loads(text))
    assert set(value) - {"version"} == set(roles)
    until(lambda: browser.execute_script(source) != before)
    moved = seen(browser)
    words = until(lambda: browser.execute_script(PICTURE, "words 2"))
    result = queue(browser, comfyui, "document.querySelector('.storefront-arrange .primary').click()")
    (path,) = result.files()
    picture = np.asarray(Image.open(path).convert("RGB")).astype(int)
    for role, color in SHAPES.items():
        saved = bounds(abs(picture - color).max(-1) < 40)
        assert apart(np.multiply(moved[role], SIDE), saved) <= CLOSE, role
    picture[:600] = WALL  # where a badge's edge over the product is as purple as the words
    letters = bounds((picture[..., 0] - picture[..., 1] > 20) & (picture[..., 2] > picture[..., 1]))
    assert apart(np.multiply(words, SIDE), letters) <= CLOSE
    browser.execute_script("document.querySelector('.item .grip[data-role=badge]').focus()")
    keys(browser, DELETE)  # back to automatic, this one alone
    assert set(json.loads(browser.execute_script(ARRANGEMENT))) - {"version"} == set(roles) - {"badge"}
    browser.execute_script("document.querySelector('.storefront-arrange .done').click()")


PRESS = """
    const button = document.querySelector(`.storefront-arrange input[value="${arguments[0]}"]`)
    button.focus()
    return document.activeElement === button
    """


def press(browser, label: str) -> None:
    """A button by the keyboard."""
    assert browser.execute_script(PRESS, label)
    keys(browser, ENTER)


@pytest.mark.usefixtures("no_traceback")
def test_no_key_reaches_the_graph_after_a_button_of_the_panel(comfyui, browser):
    load(browser, comfyui, graph("단추 뒤의 키"))
    queue(browser, comfyui)
    open_editor(browser)
    browser.execute_script("window.app.canvas.selectItems?.(window.app.graph._nodes)")
    count = browser.execute_script("return window.app.graph._nodes.length")
    held = "return document.activeElement.value || document.activeElement.dataset.role"
    browser.execute_script("document.querySelector('.item.product .grip').focus()")
    press(browser, "Flip")
    until(lambda: browser.execute_script(ARRANGEMENT))
    flipped = json.loads(browser.execute_script(ARRANGEMENT))["product 1"]
    assert flipped["flip"] is True
    assert browser.execute_script(held) == "Flip"
    slide = """
        const slider = document.querySelector(".storefront-arrange input[type=range]")
        slider.value = 40
        for (const kind of ["input", "change"]) slider.dispatchEvent(new Event(kind))
        """
    browser.execute_script(slide)
    resized = json.loads(browser.execute_script(ARRANGEMENT))["product 1"]
    assert resized["flip"] is True
    assert resized["box"]["height"] == pytest.approx(0.4)
    keys(browser, DELETE)
    assert browser.execute_script(ARRANGEMENT) == ""
    keys(browser, "control z", DELETE)
    assert browser.execute_script(ARRANGEMENT) == ""
    assert browser.execute_script("return window.app.graph._nodes.length") == count
    press(browser, "Undo")
    until(lambda: browser.execute_script(ARRANGEMENT))
    press(browser, "All back to automatic")  # which switches that button off
    until(lambda: browser.execute_script(held) == "product 1")
    keys(browser, DELETE, "control z")
    assert browser.execute_script("return window.app.graph._nodes.length") == count
    assert json.loads(browser.execute_script(ARRANGEMENT))["product 1"] == resized
    browser.execute_script("document.querySelector('.storefront-arrange .done').click()")


@pytest.mark.usefixtures("no_traceback")
def test_what_is_being_typed_outlives_a_run_and_a_click(comfyui, browser):
    load(browser, comfyui, graph("쓰는 동안"))
    queue(browser, comfyui)
    open_editor(browser)
    browser.execute_script("document.querySelector('.item.text .grip').focus()")
    browser.execute_script("document.querySelector('.storefront-arrange textarea').select()")
    keys(browser, *"typed")
    browser.execute_script("window.paperBefore = document.querySelector('.storefront-arrange .view')")
    queue(
        browser,
        comfyui,
        "window.app.graph._nodes.find(n => n.type === 'EmptyImage').widgets[3].value++; window.app.queuePrompt(0, 1)",
    )
    until(lambda: browser.execute_script("return !window.paperBefore.isConnected"))
    assert browser.execute_script("return document.activeElement.value") == "typed"
    keys(browser, TAB)
    until(lambda: json.loads(browser.execute_script(ARRANGEMENT) or "{}").get("headline") == {"words": "typed"})
    assert browser.execute_script("return document.activeElement.labels[0].textContent") == "Font"
    browser.execute_script("document.querySelector('.storefront-arrange textarea').select()")
    keys(browser, *"anew")
    browser.find_element("xpath", "//dialog//label[text()='right']").click()
    until(lambda: json.loads(browser.execute_script(ARRANGEMENT))["headline"] == {"words": "anew", "align": "right"})
    seen(browser, anew=True)
    browser.execute_script("document.querySelector('.storefront-arrange .done').click()")


COLOR = "return document.querySelector('.storefront-arrange input[type=color]').value"
NUDGE = """
    const grip = document.querySelector(arguments[0])
    grip.focus()
    for (let i = 0; i < arguments[2]; i++) grip.dispatchEvent(new KeyboardEvent("keydown", {key: arguments[1], shiftKey: true, bubbles: true}))
    """


@pytest.mark.usefixtures("no_traceback")
def test_words_over_a_product_are_seen_in_the_color_that_they_are_saved_in(comfyui, browser):
    dark = graph("어두운 상품 위의 글자")
    dark["7"]["inputs"]["color"] = 0x101010
    load(browser, comfyui, dark)
    queue(browser, comfyui)
    open_editor(browser)
    browser.execute_script(NUDGE, ".item.product .grip", "ArrowUp", 1)  # by hand: it makes no room for the words
    browser.execute_script(NUDGE, ".item.text .grip", "ArrowDown", 45)
    seen(browser, anew=True)
    color = until(lambda: (now := browser.execute_script(COLOR)) != "#111111" and now)
    result = queue(browser, comfyui, "document.querySelector('.storefront-arrange .primary').click()")
    letters = json.loads(result.history["outputs"]["15"]["storefront_letters"][0])
    assert letters["color"] == color
    browser.execute_script("document.querySelector('.storefront-arrange .done').click()")


def reopen(browser, comfyui: ComfyUI, result) -> dict:
    """The editor of a page opened anew, with the graph in the saved picture."""
    open_template(browser, comfyui, "poster_from_photo")
    browser.execute_async_script(
        """
        const done = arguments[arguments.length - 1]
        fetch(arguments[0]).then(r => r.blob())
          .then(blob => window.app.handleFile(new File([blob], "arranged.png", {type: "image/png"}))).then(() => done())
        """,
        f"{comfyui.url}/view?filename={result.files()[0].name}",
    )
    until(lambda: browser.execute_script("return window.app.graph._nodes.length") == len(graph()))
    return open_editor(browser)


STRANGE = '<img src=x onerror="window.stranger=1"><b>굵게</b> &amp;'


@pytest.mark.usefixtures("no_traceback")
def test_a_strangers_words_and_numbers_are_shown_and_never_run(comfyui, browser):
    hostile = json.dumps({"headline": {"words": STRANGE, "color": "#aa0000"}, "product 1": {"rotation": 20}})
    load(browser, comfyui, graph(arrangement=hostile))
    queue(browser, comfyui)
    open_editor(browser)
    browser.execute_script("document.querySelector('.item.text .grip').focus()")
    assert browser.execute_script("return document.querySelector('.storefront-arrange textarea').value") == STRANGE
    press(browser, "Back to automatic")
    until(
        lambda: (
            browser.execute_script("return document.querySelector('.storefront-arrange textarea').value") == HEADLINE
        )
    )
    assert browser.execute_script(COLOR) == "#111111"
    assert browser.execute_script("return window.stranger ?? null") is None
    assert browser.execute_script("return document.querySelectorAll('.storefront-arrange b').length") == 0
    put = """
        const node = window.app.graph._nodes.find(n => n.type === "StorefrontPlanLayout")
        node.widgets.find(w => w.name === "arrangement").value = arguments[0]
        """
    for value in ('{"headline": 5, "light": [1], "product 1": {"box": {"x": "a"}}}', "[[[", '{"__proto__": {"x": 1}}'):
        browser.execute_script("document.querySelector('.storefront-arrange .done').click()")
        browser.execute_script(put, value)
        open_editor(browser)
        assert browser.execute_script(IS_OPEN) == 2


@pytest.mark.usefixtures("no_traceback")
def test_before_a_run_it_says_so(comfyui, browser):
    load(browser, comfyui, graph("아직 없는 그림"))
    browser.execute_script(OPEN)
    look = "return document.querySelector('dialog.storefront-arrange aside')?.textContent ?? ''"
    assert until(lambda: "Run the workflow once" in browser.execute_script(look))


@pytest.mark.usefixtures("no_traceback")
def test_a_saved_graph_with_an_arrangement_shows_no_field_for_it(comfyui, browser):
    load(browser, comfyui, graph(arrangement='{"light": {"azimuth": 10, "elevation": 20}}'))
    saved = browser.execute_script("return window.app.graph.serialize()")
    show(browser, saved)
    exported = browser.execute_async_script("window.app.graphToPrompt().then(arguments[0])")["output"]
    (inputs,) = [n["inputs"] for n in exported.values() if n["class_type"] == "StorefrontPlanLayout"]
    assert json.loads(inputs["arrangement"]) == {"light": {"azimuth": 10, "elevation": 20}}
    assert "storefront_arrange" not in inputs
    shown = """
        const node = window.app.graph._nodes.find(n => n.type === "StorefrontPlanLayout")
        return node.widgets.filter(w => !w.hidden && (node.isWidgetVisible?.(w) ?? true)).map(w => w.name)
        """
    names = browser.execute_script(shown)
    assert "arrangement" not in names
    assert "storefront_arrange" in names


def move_and_run(browser, server: ComfyUI, headline: str) -> None:
    """The product rotated and moved; the saved picture has it where it was seen."""
    load(browser, server, graph(headline))
    queue(browser, server)
    open_editor(browser)
    drag(browser, ".item.product .grip", 40, 30)
    drag(browser, ".handle.turn", 50, 30)
    moved = seen(browser)
    (role,) = set(json.loads(browser.execute_script(ARRANGEMENT))) - {"version"}
    assert role == "product 1"
    result = queue(browser, server, "document.querySelector('.storefront-arrange .primary').click()")
    assert apart(np.multiply(moved[role], SIDE), drawn(result)[role]) <= CLOSE
    browser.execute_script("document.querySelector('.storefront-arrange .done').click()")


@pytest.mark.usefixtures("no_traceback")
def test_items_are_moved_in_nodes_2(comfyui, browser):
    comfyui.get("/api/settings/Comfy.VueNodes.Enabled", True)
    try:
        move_and_run(browser, comfyui, "노드 2.0")
    finally:
        comfyui.get("/api/settings/Comfy.VueNodes.Enabled", False)


@pytest.mark.parametrize("nodes_2", [False, True], ids=["classic", "nodes 2"])
def test_items_are_moved_in_the_newest_editor(newest, browser, nodes_2):
    newest.get("/api/settings/Comfy.VueNodes.Enabled", nodes_2)
    try:
        move_and_run(browser, newest, f"새 편집기 {nodes_2}")
    finally:
        newest.get("/api/settings/Comfy.VueNodes.Enabled", False)


@pytest.mark.usefixtures("no_traceback")
@pytest.mark.parametrize(("language", "title"), [("ko", "배치하기"), ("ja", "配置する"), ("zh", "调整布局")])
def test_it_speaks_its_users_language(comfyui, browser, language, title):
    comfyui.get("/api/settings/Comfy.Locale", language)
    try:
        load(browser, comfyui, graph(f"한국어 {language}"))
        queue(browser, comfyui)
        open_editor(browser)
        look = "return document.querySelector('.storefront-arrange header').textContent"
        assert title in browser.execute_script(look)
        untranslated = """
            return [...document.querySelectorAll(".storefront-arrange :is(h2, h3, p, label, legend, input[type=button])")]
              .map(e => e.value || e.textContent).filter(text => /[a-z]{3}/.test(text))
            """
        for role in (".item.product .grip", ".item.text .grip", ".sun"):
            browser.execute_script(f"document.querySelector('{role}').focus()")
            assert browser.execute_script(untranslated) == []
    finally:
        comfyui.get("/api/settings/Comfy.Locale", "en")
