"""`python dev.py demo`: the first picture. `python dev.py run`: the editor with this pack."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

from . import PYTHON, ROOT, say
from .comfyui import find_comfyui, queue_and_wait, running_comfyui
from .environment import set_up

DEMO_WORKFLOW = ROOT / "workflows" / "api" / "text_to_image.json"
BASE = ROOT / ".demo"


def draw_in_comfyui(comfyui: Path) -> Path:
    workflow = json.loads(DEMO_WORKFLOW.read_text("utf-8"))
    say(f"Starting ComfyUI in {comfyui} ...")
    with running_comfyui(comfyui, BASE) as url:
        outputs = queue_and_wait(url, workflow)
    saved = next(image for output in outputs.values() for image in output.get("images", ()))
    return BASE / "output" / saved["subfolder"] / saved["filename"]


def draw_in_python() -> Path:
    say("Drawing the same picture through the Python API instead.")
    picture = BASE / "output" / "storefront_python_api.png"
    picture.parent.mkdir(parents=True, exist_ok=True)
    tool = ROOT / "tools" / "draw_without_comfyui.py"
    subprocess.run([str(PYTHON), str(tool), str(DEMO_WORKFLOW), str(picture)], check=True)
    return picture


def demo() -> int:
    comfyui = find_comfyui()
    set_up(comfyui, test=False)
    picture = draw_in_comfyui(comfyui) if comfyui else draw_in_python()
    say(f"The picture: {picture}")
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
        say(f"The editor: {url} (Workflow > Browse Templates > storefront). Files: {BASE}. Ctrl+C stops it.")
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            say("")
    return 0
