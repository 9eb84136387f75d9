"""Connections on ComfyUI's settings page, in a real browser: listed, set up, checked, changed, deleted, and no key shown again."""

from __future__ import annotations

import json
import sys

import pytest
from comfyui import ROOT
from editors import EDITORS, open_settings, running
from test_editor import browser, open_template, until

sys.path.insert(0, str(ROOT / "tests" / "studio" / "prompt"))

from chat_server import chat_server

__all__ = ["browser"]  # the fixture
KEY = "sk-page-never-seen-again"
PAGE = ".storefront-page"


@pytest.fixture(scope="module", params=EDITORS)
def editor(request, tmp_path_factory):
    with running(request.param, tmp_path_factory.mktemp("settings")) as comfyui:
        yield comfyui
        assert "Traceback" not in comfyui.log()


@pytest.fixture(scope="module")
def server():
    """It counts every request: nothing may be asked before a person presses Check."""
    with chat_server() as running:
        yield running


def stored(editor) -> dict:
    return json.loads((editor.base / "user" / "__storefront" / "connections.json").read_text("utf-8"))


def open_page(browser, editor):
    """The page of connections, once it has asked for those there are."""
    from selenium.webdriver.common.by import By

    open_template(browser, editor, "text_to_image")  # on a bare first visit a dialog of templates takes the keys
    open_settings(browser)
    until(lambda: browser.find_elements(By.CSS_SELECTOR, f"{PAGE} li"))
    still = "return JSON.stringify(document.querySelector(arguments[0]).getBoundingClientRect())"
    places: list[str] = []
    until(
        lambda: places.append(browser.execute_script(still, PAGE)) or places[-2:] == [places[-1]] * 2
    )  # it has opened
    return browser.find_element(By.CSS_SELECTOR, PAGE)


def button(page, name: str):
    from selenium.webdriver.common.by import By

    return page.find_element(By.CSS_SELECTOR, f"button[aria-label='{name}']")


def fill(page, **values: str) -> None:
    from selenium.webdriver.common.by import By

    for name, value in values.items():
        field = page.find_element(By.NAME, name)
        field.clear()
        field.send_keys(value)


def send(page) -> None:
    from selenium.webdriver.common.by import By

    page.find_element(By.CSS_SELECTOR, "button[type=submit]").click()


def test_a_connection_is_set_up_checked_changed_and_deleted(editor, browser, server):
    from selenium.webdriver.common.by import By

    server.requests.clear()
    page = open_page(browser, editor)
    assert "No connection yet." in page.text
    fill(page, name="from page", base_url=server.url, model="latte-1", key=KEY)
    page.find_element(By.NAME, "allow_private").click()
    send(page)
    until(lambda: "Saved" in page.text)
    entry = {
        "base_url": server.url,
        "model": "latte-1",
        "key": KEY,
        "allow_private": True,
        "seconds": 120,
        "kind": "chat",
    }
    assert stored(editor) == {"from page": entry}
    assert page.find_element(By.NAME, "key").get_attribute("value") == ""
    (row,) = page.find_elements(By.TAG_NAME, "li")
    assert f"latte-1 · {server.url} · with a key\nnot checked" in row.text
    assert server.requests == []

    button(page, "Check from page").click()
    until(lambda: "answers and has the model" in row.text)
    assert [(path, headers["Authorization"]) for path, headers, _ in server.requests] == [
        ("/v1/models", f"Bearer {KEY}")
    ]
    browser.save_screenshot(str(editor.base / "connections.png"))

    button(page, "Edit from page").click()
    assert page.find_element(By.NAME, "name").get_attribute("readonly")
    shown = {name: page.find_element(By.NAME, name).get_attribute("value") for name in ("base_url", "model", "key")}
    assert shown == {"base_url": server.url, "model": "latte-1", "key": ""}
    assert page.find_element(By.NAME, "allow_private").is_selected()
    fill(page, model="other", seconds="30")
    browser.save_screenshot(str(editor.base / "edit.png"))
    send(page)
    until(lambda: f"other · {server.url} · with a key" in page.text)
    assert stored(editor) == {"from page": entry | {"model": "other", "seconds": 30}}  # the key is as it was
    assert not page.find_element(By.NAME, "name").get_attribute("readonly")
    button(page, "Check from page").click()
    until(lambda: "does not list this model" in page.text)

    kept = "return JSON.stringify(localStorage) + JSON.stringify(sessionStorage) + document.documentElement.outerHTML"
    assert KEY not in browser.execute_script(kept)
    assert KEY not in json.dumps([editor.get("/settings"), editor.get("/storefront/connections")])
    # Deleting takes two presses, and the first one counts for some seconds.
    button(page, "Delete from page").click()
    until(lambda: "Delete for good?" in page.text)
    assert list(stored(editor)) == ["from page"]

    def pressed_again() -> bool:
        for name in ("Delete for good?", "Delete"):
            for found in page.find_elements(By.CSS_SELECTOR, f"button[aria-label='{name} from page']"):
                found.click()
        return "Removed" in page.text

    until(pressed_again)
    assert stored(editor) == {}
    assert "No connection yet." in page.text


def test_a_server_that_does_not_answer_is_named_so(editor, browser):
    from selenium.webdriver.common.by import By

    page = open_page(browser, editor)
    fill(page, name="away", base_url="http://127.0.0.1:9/v1", model="m")
    page.find_element(By.NAME, "allow_private").click()
    send(page)
    until(lambda: "Saved" in page.text)
    fill(page, name="strict", base_url="http://127.0.0.1:9/v1", model="<img src=x onerror=window.harmed=1>")
    send(page)
    until(lambda: "`model`" in page.text)  # refused by the server, in its words
    fill(page, model="m")
    send(page)
    until(lambda: "Check strict" in page.get_attribute("innerHTML"))
    button(page, "Check away").click()
    until(lambda: "cannot be reached" in page.text)
    button(page, "Check strict").click()
    until(lambda: "not asked: its address is private" in page.text)
    assert not browser.execute_script("return window.harmed")
    browser.save_screenshot(str(editor.base / "states.png"))


def test_a_triton_server_has_no_name_of_a_model(editor, browser, server):
    from selenium.webdriver.common.by import By

    page = open_page(browser, editor)
    page.find_element(By.CSS_SELECTOR, "select[name=kind] option[value=triton]").click()
    assert not page.find_element(By.NAME, "model").is_displayed()
    url = server.url.removesuffix("/v1")
    fill(page, name="pictures", base_url=f"{url}\nhttp://127.0.0.1:9")  # two lines
    page.find_element(By.NAME, "allow_private").click()
    send(page)
    until(lambda: "Saved" in page.text)
    assert stored(editor)["pictures"]["kind"] == "triton"
    assert page.find_element(By.NAME, "model").is_displayed()  # of the next one
    button(page, "Check pictures").click()
    until(lambda: "some of its servers answer, not all" in page.text)
    button(page, "Edit pictures").click()
    assert page.find_element(By.NAME, "base_url").get_attribute("value").split() == [url, "http://127.0.0.1:9"]
    assert page.find_element(By.NAME, "kind").get_attribute("value") == "triton"
    browser.save_screenshot(str(editor.base / "triton.png"))


def test_the_page_is_in_the_editors_language(editor, browser):
    editor.get("/api/settings/Comfy.Locale", "ko")
    try:
        text = open_page(browser, editor).text
        assert "새 연결" in text
        assert "응답을 기다리는 시간(초)" in text
    finally:
        editor.get("/api/settings/Comfy.Locale", "en")
