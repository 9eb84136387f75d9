"""A real ComfyUI under attack. `python dev.py hold` runs the attacks at full size; the test command a small part."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "host")]

from comfyui import ComfyUI
from devtools import comfyui as dev

FULL = os.environ.get("STOREFRONT_HOLD") == "full"


@pytest.fixture(scope="session")
def size():
    """`size(small, full)`: how many attacks this run makes."""
    return lambda small, full: int(os.environ.get("STOREFRONT_HOLD_COUNT", 0)) or (full if FULL else small)


@pytest.fixture(scope="session")
def comfyui_folder():
    folder = dev.find_comfyui(fetch=False) or dev.CACHE / "ComfyUI"
    if not (folder / "main.py").is_file():
        pytest.skip(f"!!! NO COMFYUI IN {folder}: NOTHING WAS HELD !!!")
    return folder


@pytest.fixture(scope="module")
def server(comfyui_folder, tmp_path_factory):
    """ComfyUI with this pack and hostile_pack, which sends anything over a link."""
    base = tmp_path_factory.mktemp("hold")
    (base / "custom_nodes").mkdir()
    (base / "custom_nodes" / "hostile_pack").symlink_to(HERE / "hostile_pack")
    with dev.running_comfyui(comfyui_folder, base) as url:
        yield ComfyUI(url, base)
