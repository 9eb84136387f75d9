"""Two ComfyUI servers that save into one output folder at the same time."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from comfyui import ComfyUI, node
from conftest import NEWEST, dev
from PIL import Image

PROMPTS, BATCH = 25, 10  # for each server: 500 pictures in all


@pytest.fixture(scope="module")
def two_servers(tmp_path_factory):
    if not (Path(NEWEST) / "main.py").is_file():
        pytest.skip(f"!!! NO COMFYUI IN {NEWEST}: TWO SERVERS ON ONE FOLDER WERE NOT TESTED !!!")
    shared = tmp_path_factory.mktemp("output")
    with contextlib.ExitStack() as stack:
        servers = []
        for name in ("first", "second"):
            base = tmp_path_factory.mktemp(name)
            (base / "output").symlink_to(shared)
            servers.append(ComfyUI(stack.enter_context(dev.running_comfyui(Path(NEWEST), base)), base))
        yield servers, shared


def pictures(first: int) -> dict:
    """Ten flat pictures that nobody else saves: the colour is the number of the picture."""
    nodes = {str(i): node("EmptyImage", width=32, height=32, batch_size=1, color=first + i) for i in range(BATCH)}
    batch = ["0", 0]
    for i in range(1, BATCH):
        nodes[f"b{i}"] = node("ImageBatch", image1=batch, image2=[str(i), 0])
        batch = [f"b{i}", 0]
    nodes["save"] = node("StorefrontSaveImage", image=batch, kind="final", filename="shared/cup")
    return nodes


def save_all(server: ComfyUI, first: int) -> list[tuple[str, int]]:
    """(path, colour) of every picture that this server has saved."""
    ids = [server.queue(pictures(first + number * BATCH)) for number in range(PROMPTS)]
    saved = []
    for number, prompt_id in enumerate(ids):
        result = server.wait(prompt_id, 300)
        assert result.ok, result.error
        entries = result.history["outputs"]["save"]["images"]
        saved += [(f"{e['subfolder']}/{e['filename']}", first + number * BATCH + i) for i, e in enumerate(entries)]
    return saved


def test_of_500_pictures_none_is_lost_and_none_overwritten(two_servers):
    servers, folder = two_servers
    with ThreadPoolExecutor(2) as pool:
        saved = [entry for part in pool.map(save_all, servers, (0, 100_000)) for entry in part]
    assert len(saved) == len({path for path, _ in saved}) == 2 * PROMPTS * BATCH
    for path, color in saved:
        with Image.open(folder / path) as picture:
            pixels = np.asarray(picture).reshape(-1, 3).astype(int)
        assert (pixels @ [65536, 256, 1] == color).all()
    assert len(list(folder.rglob("*.*"))) == len(saved)
