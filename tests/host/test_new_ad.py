"""The command "New advertisement…" in a real browser: a photo and a sentence in, the template filled in."""

from __future__ import annotations

import json
import shutil

import pytest
from comfyui import ROOT
from test_editor import browser, open_template, until

__all__ = ["browser"]  # the fixture
pytestmark = pytest.mark.usefixtures("no_traceback")
COMMAND = "window.app.extensionManager.command.execute('Storefront.NewAdvertisement')"
FORM = "return document.querySelectorAll('dialog.storefront-new option').length > 20"
LOADED = "return performance.getEntriesByType('resource').some(entry => entry.name.includes('new_ad_form'))"
MARKUP = "<img src=x onerror=window.harmed=1>"


def exported(browser) -> dict:
    return browser.execute_async_script("window.app.graphToPrompt().then(arguments[0])")["output"]


def test_a_photo_and_a_sentence_open_the_template_filled_in(comfyui, browser, tmp_path):
    from selenium.webdriver.common.by import By

    open_template(browser, comfyui, "poster_from_photo")
    before = exported(browser)
    assert not browser.execute_script(LOADED)  # who never asks for it never loads it
    browser.execute_script(COMMAND)
    until(lambda: browser.execute_script(FORM))
    dialog = browser.find_element(By.CSS_SELECTOR, "dialog.storefront-new")
    dialog.find_element(By.CSS_SELECTOR, "button[type=button]").click()
    until(lambda: not browser.find_elements(By.CSS_SELECTOR, "dialog.storefront-new"))
    assert exported(browser) == before  # cancelled

    browser.execute_script(COMMAND)
    until(lambda: browser.execute_script(FORM))
    dialog = browser.find_element(By.CSS_SELECTOR, "dialog.storefront-new")
    photo = dialog.find_element(By.NAME, "photo")
    (tmp_path / f"{MARKUP.replace('/', '')}.txt").write_text("no picture", "utf-8")
    photo.send_keys(str(next(tmp_path.glob("*.txt"))))
    assert "is no picture" in dialog.text
    assert photo.get_attribute("value") == ""
    shutil.copyfile(ROOT / "workflows" / "assets" / "coffee.jpg", tmp_path / "내 컵.jpg")
    photo.send_keys(str(tmp_path / "내 컵.jpg"))
    dialog.find_element(By.NAME, "sentence").send_keys(f"수제 쿠키 {MARKUP}")
    for name, value in {"trade": "bakery", "format": "9:16 story, reel"}.items():
        dialog.find_element(By.CSS_SELECTOR, f"select[name={name}] option[value='{value}']").click()
    dialog.find_element(By.CSS_SELECTOR, "button[type=submit]").click()
    until(lambda: not browser.find_elements(By.CSS_SELECTOR, "dialog.storefront-new"))
    assert not browser.execute_script("return window.harmed")
    assert (comfyui.base / "input" / "내 컵.jpg").is_file()
    wanted = json.loads((ROOT / "workflows" / "api" / "ad_from_photo.json").read_text("utf-8"))
    now = exported(browser)
    kinds = {entry["class_type"]: entry["inputs"] for entry in now.values()}
    assert {entry["class_type"] for entry in wanted.values()} <= set(kinds)
    assert kinds["StorefrontExamplePhoto"]["image"] == "내 컵.jpg"
    assert kinds["PrimitiveStringMultiline"]["value"] == f"수제 쿠키 {MARKUP}"
    assert (kinds["StorefrontScene"]["trade"], kinds["StorefrontScene"]["format"]) == ("bakery", "9:16 story, reel")
    (comfyui.base / "input" / "내 컵.jpg").unlink()  # other tests compare the list of photos


def test_the_command_has_a_name_in_every_language(comfyui):
    sent = comfyui.get("/i18n")
    labels = [sent[one]["commands"]["Storefront_NewAdvertisement"]["label"] for one in ("ko", "ja", "zh")]
    assert labels == ["새 광고…", "新しい広告…", "新建广告…"]
