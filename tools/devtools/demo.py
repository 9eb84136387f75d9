"""`python dev.py demo`: the first advertisement. `python dev.py run`: the editor with this pack."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

from . import PYTHON, ROOT, say
from .comfyui import find_comfyui, queue_and_wait, running_comfyui
from .environment import set_up

API = ROOT / "workflows" / "api"
AD_WORKFLOW = API / "ad_from_photo.json"  # what the pack is for: no model draws in it
DEMO_WORKFLOW = API / "text_to_image.json"  # that FLUX runs too: by flux-micro, a toy of 64 pixels
BASE = ROOT / ".demo"


def draw_in_comfyui(comfyui: Path, *workflows: Path) -> list[Path]:
    """The picture of each workflow, by one server."""
    say(f"Starting ComfyUI in {comfyui} ...")
    pictures = []
    with running_comfyui(comfyui, BASE) as url:
        for workflow in workflows:
            outputs = queue_and_wait(url, json.loads(workflow.read_text("utf-8")))
            saved = next(image for output in outputs.values() for image in output.get("images", ()))
            pictures.append(BASE / "output" / saved["subfolder"] / saved["filename"])
    return pictures


def draw_in_python(*workflows: Path) -> list[Path]:
    """The same pictures where there is no ComfyUI."""
    say("Drawing the same pictures through the Python API instead.")
    pictures = []
    tool = ROOT / "tools" / "draw_without_comfyui.py"
    for workflow in workflows:
        picture = BASE / "output" / f"{workflow.stem}_by_python.png"
        picture.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([str(PYTHON), str(tool), str(workflow), str(picture)], check=True)
        pictures.append(picture)
    return pictures


def demo() -> int:
    comfyui = find_comfyui()
    set_up(comfyui, test=False)
    workflows = (AD_WORKFLOW, DEMO_WORKFLOW)
    ad, drawn = draw_in_comfyui(comfyui, *workflows) if comfyui else draw_in_python(*workflows)
    say(f"FLUX runs: {drawn} (by the bundled toy model of 64 pixels, which is for tests).")
    say(f"Your first advertisement: {ad}")
    if comfyui:
        say("Open the editor with this pack: python dev.py run")
    return 0


def run(port: int = 8188) -> int:
    """ComfyUI with this pack alone until Ctrl+C; its output folder is that of the demo."""
    comfyui = find_comfyui()
    if comfyui is None:
        return 1
    set_up(comfyui, test=False)
    with running_comfyui(comfyui, BASE, port=port) as url:
        say(
            f"The editor: {url} (the ComfyUI mark at the top left > Browse Templates > Extensions). Files: {BASE}. Ctrl+C stops it."
        )
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            say("")
    return 0
