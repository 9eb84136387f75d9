"""The editors that users have: that of ComfyUI 0.33.0, the newest on the registry, and that of the oldest ComfyUI."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from comfyui import ComfyUI, until
from conftest import NEWEST, OLDEST, dev
from devtools.environment import FRONT_END_NEWEST, front_end

_PRESS = """
    const found = [...document.querySelectorAll('[role=dialog] *, .p-dialog *')]
      .filter((e) => e.children.length === 0 && e.textContent.trim() === 'Storefront')
    found.at(0)?.click()
    return found.length
    """
EDITORS = ["0.33.0", "0.33.0, newest editor", "0.20.1"]


def own_editor(comfyui: Path) -> str:
    """The version of the editor that a ComfyUI asks for."""
    found = re.search(r"comfyui-frontend-package==([\d.]+)", (comfyui / "requirements.txt").read_text("utf-8"))
    assert found
    return found[1]


@contextlib.contextmanager
def running(editor: str, base: Path) -> Iterator[ComfyUI]:
    folder = Path(OLDEST if editor == "0.20.1" else NEWEST)
    version = FRONT_END_NEWEST if "newest" in editor else own_editor(folder)
    with dev.running_comfyui(folder, base, "--front-end-root", str(front_end(version))) as url:
        yield ComfyUI(url, base)


def open_settings(browser) -> None:
    """ComfyUI's settings, at this pack's page."""
    browser.execute_script("window.app.extensionManager.command.execute('Comfy.ShowSettingsDialog')")
    until(lambda: browser.execute_script(_PRESS))
