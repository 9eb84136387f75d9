"""The model's own encoder writes prompts, and prompts fit FLUX's tokenizers; inside a ComfyUI process (inside_writing.py)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def figures(comfyui_folder):
    script = Path(__file__).with_name("inside_writing.py")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, str(script), str(comfyui_folder)], capture_output=True, text=True, env=environment
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("FIGURES ")]
    assert lines, done.stderr[-3000:]
    return json.loads(lines[0].removeprefix("FIGURES "))


def test_a_stock_language_model_encoder_writes_under_comfyuis_memory_management(figures):
    encoder = figures["encoder"]
    assert encoder["written by"] == "model's own encoder", encoder["attempts"]
    assert encoder["starts as recited"]
    assert encoder["loaded by ComfyUI"]
    assert encoder["reads korean"]


def test_what_it_forgets_the_presets_keep(figures):
    assert figures["encoder"]["kept"] == [True, True, True]


def test_it_hears_cancel(figures):
    assert figures["encoder"]["cancelled"] == "InterruptProcessingException"


def test_where_the_memory_runs_out_others_write_and_the_report_says_so(figures):
    outcome = figures["memory runs out"]
    assert outcome["writers"] == ["there was not enough memory for it to write"] * 2
    assert outcome["score"] == ["no CLIP score: there was not enough memory for it"]


def test_flux3_s_upsampler_writes_in_part_loaded_and_hears_cancel(figures):
    upsampler = figures["upsampler"]
    assert upsampler["written"]
    assert 0 < upsampler["resident"] < 1
    assert upsampler["half as whole"]
    assert upsampler["cancelled"] == "InterruptProcessingException"


def test_prompts_fit_flux(figures):
    assert figures["tokens"]["T5"] <= 512
    assert figures["tokens"]["subject ends at CLIP's"] <= 77
    assert figures["tokens"]["estimate to count"] >= 1


def test_who_reads_korean(figures):
    assert figures["korean"] == {"flux-micro": True, "FLUX.1": False}
