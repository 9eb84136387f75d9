"""The measurements: what the pack adds to ComfyUI's start; on a card, with small models, that every row is there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import NEWEST, ROOT

sys.path.insert(0, str(ROOT / "tests" / "bench"))

import start_up

BENCH = ROOT / "tests" / "bench" / "gpu.py"
MODELS = ["FLUX.1 dev, 12B", "FLUX.2 klein, 4B", "Z-Image, 6B"]
# What no schema needs: imported when a node runs.
LATE = {
    "host.acceleration",
    "host.sampling",
    "host.clip_socket",
    "host.prompt_encoding",
    "host.prompt_writers",
    "studio.output.score",
    "studio.product.matting",
    "studio.prompt.advert",
    "studio.prompt.reading",
    "studio.sampling.encode",
    "studio.text.typeset",
    "studio.weights.formats",
    "studio.weights.stored",
}
WAYS = ["diffusers, eager", "ComfyUI's own model, KSampler", "ours, eager", "ours, accelerated"]


def bench(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(BENCH), str(folder), *arguments], capture_output=True, text=True)


def test_comfyui_starts_about_as_fast_with_the_pack_as_without(newest_folder):
    """0.1 s on an idle machine; twice that is left to a busy one. What it imports decides, so that is held exactly."""
    _, start = start_up.measure(newest_folder, 1)
    assert start.of_processor < 0.2
    assert set(start.imported) <= {"storefront", "PIL", "yaml"}
    assert LATE.isdisjoint(start.modules)


def test_every_row_is_there():
    if not (Path(NEWEST) / "main.py").is_file():
        pytest.skip(f"!!! NO COMFYUI IN {NEWEST}: THE MEASUREMENTS ON A CARD WERE NOT TESTED !!!")
    done = bench(Path(NEWEST), "--tiny", "--caps", "12")
    assert done.returncode == 0, done.stderr
    assert "64 px, tiny models" in done.stdout
    for model in MODELS:
        for way in WAYS:
            assert re.search(rf"\| {re.escape(model)} \| {re.escape(way)} \| [0-9.]+ \| [0-9.]+ \| ", done.stdout), way
        assert re.search(rf"\| {re.escape(model)} \| 12 \| (not on a CPU|[0-9.]+) \| [0-9.]+ \|", done.stdout)
    assert "failed" not in done.stdout


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card here")
def test_without_a_card_it_says_so(tmp_path):
    done = bench(tmp_path)
    assert done.returncode == 1
    assert "There is no GPU here, so nothing was measured" in done.stderr
