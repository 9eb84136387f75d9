"""Connections on ComfyUI's settings page, in a real browser: the form writes, and shows no key again."""

from __future__ import annotations

import json
import time

import pytest
from test_editor import browser, open_template, until  # noqa: F401, a fixture

pytestmark = pytest.mark.usefixtures("no_traceback")
KEY = "sk-page-never-seen-again"


def form(browser):  # noqa: F811
    return browser.execute_script("return document.querySelector('form.storefront-connections')")


def settled(browser) -> bool:  # noqa: F811
    """Whether the dialog has opened: the form's place is the same twice, and the names have been asked for."""
    look = """
      const form = document.querySelector('form.storefront-connections');
      const said = form?.firstChild?.textContent ?? '';
      return form && said ? JSON.stringify(form.getBoundingClientRect()) : ''"""
    before = browser.execute_script(look)
    time.sleep(1)
    return bool(before) and 'width":0' not in before and browser.execute_script(look) == before


def test_a_connection_is_set_up_on_the_settings_page(comfyui, browser):  # noqa: F811
    from selenium.webdriver.common.by import By

    open_template(browser, comfyui, "text_to_image")  # on a bare first visit a dialog of templates takes the keys
    browser.execute_script("window.app.extensionManager.command.execute('Comfy.ShowSettingsDialog')")
    pick = """
      const found = [...document.querySelectorAll('[role=dialog] *, .p-dialog *')]
        .filter((e) => e.children.length === 0 && e.textContent.trim() === 'Storefront');
      found.at(0)?.click(); return found.length"""
    until(lambda: browser.execute_script(pick))
    until(lambda: settled(browser))
    page = form(browser)
    for name, value in {
        "name": "from page",
        "base_url": "https://api.example.com/v1",
        "model": "gpt",
        "key": KEY,
    }.items():
        page.find_element(By.NAME, name).send_keys(value)
    page.find_element(By.CSS_SELECTOR, "button[type=submit]").click()
    until(lambda: "Saved" in page.text)
    assert "from page" in page.text
    assert page.find_element(By.NAME, "key").get_attribute("value") == ""
    stored = json.loads((comfyui.base / "user" / "__storefront" / "connections.json").read_text("utf-8"))
    assert stored["from page"] == {
        "base_url": "https://api.example.com/v1",
        "model": "gpt",
        "key": KEY,
        "allow_private": False,
        "seconds": 120,
        "kind": "chat",
    }
    browser.save_screenshot(str(comfyui.base / "settings.png"))
    kept = "return JSON.stringify(localStorage) + JSON.stringify(sessionStorage) + document.documentElement.outerHTML"
    assert KEY not in browser.execute_script(kept)
    assert KEY not in json.dumps(comfyui.get("/settings"))
    remove = page.find_element(By.CSS_SELECTOR, "button[type=button]")
    remove.click()
    until(lambda: "Removed" in page.text)
    page.find_element(By.NAME, "name").clear()
    told = page.text
    remove.click()  # the browser asks for the name; the server is not
    time.sleep(1)
    assert page.text == told
    assert "from page" not in comfyui.get("/storefront/connections")["names"]
