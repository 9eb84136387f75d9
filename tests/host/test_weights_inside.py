"""Whatever ComfyUI does to weights, on every stored format, in every order (inside_weights.py)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

# Formats that take a patch up by rounding to what they are stored in; all others are equal to the same model as numbers.
ROUNDED = {"bf16": 0.5, "fp8 storage": 1, "fp8": 0.5, "scaled fp8": 0.5}
STORED = ("fp8", "scaled fp8", "Q8_0", "Q4_0", "nvfp4", "nf4", "int8", "int4", "uint4")


@pytest.fixture(scope="session")
def figures(comfyui_folder):
    script = Path(__file__).with_name("inside_weights.py")
    done = subprocess.run([sys.executable, str(script), str(comfyui_folder)], capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("FIGURES ")]
    assert lines, done.stderr[-3000:]
    return json.loads(lines[0].removeprefix("FIGURES "))


@pytest.mark.parametrize("kind", ["bf16", "fp8 storage", *STORED])
def test_a_random_way_of_patches_hooks_merges_and_breaks(figures, kind):
    """Against the same model as numbers on the same way; in the end every weight is the bits it was."""
    way = figures["walks"][kind]
    assert (way["stored"] > 0) == (kind in STORED)
    assert way["apart"] <= ROUNDED.get(kind, 1e-5), way["way"]
    assert way["moved"] > 0.05, way["way"]
    assert way["taken off"] == 0, way["way"]
    assert way["same bits"], way["way"]
    assert way["left on"] == 0


@pytest.mark.parametrize("kind", ["nf4", "uint4"])
def test_a_text_encoder_under_a_lora_a_hook_and_a_merge(figures, kind):
    seen = figures["text encoders"][kind]
    assert seen["stored"] > 0
    assert max(seen["apart"]) <= 1e-5
    assert min(seen["moves"]) > 0.05
    assert seen["taken off"] == 0
    assert seen["same bits"]
