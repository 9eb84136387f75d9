"""Partial loading, stock text encoders and VAE, errors and Cancel, measured inside a ComfyUI process (inside.py)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def figures(comfyui_folder):
    script = Path(__file__).with_name("inside.py")
    done = subprocess.run([sys.executable, str(script), str(comfyui_folder)], capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("FIGURES ")]
    assert lines, done.stderr[-3000:]
    return json.loads(lines[0].removeprefix("FIGURES "))


@pytest.mark.parametrize("socket", ["MODEL", "CLIP", "VAE"])
def test_half_of_the_weights_resident_computes_the_same_bits(figures, socket):
    assert figures["partial loading"][socket]["difference"] == 0
    assert 0.3 < figures["partial loading"][socket]["resident"] < 0.6


def test_our_encoder_on_a_stock_flux_clip(figures):
    stock = figures["stock CLIP"]
    assert stock["sequence"] == 0
    assert stock["pooled"] == 0
    assert stock["spread"] > 0.1
    assert stock["batch"] == [2, 901, 64]  # the longer prompt's 900 words and end mark; the shorter is padded
    assert "max_tokens" in stock["refused"]


def test_our_decoder_on_a_stock_flux_vae_equals_diffusers(figures):
    stock = figures["stock VAE"]
    assert stock["difference"] < 1e-4
    assert stock["spread"] > 0.01
    assert stock["note"] == ""
    assert "16, height, width" in stock["wrong"]


def test_a_model_of_another_family_is_refused_by_name(figures):
    assert figures["other model"].startswith("`model` is 'BaseModel'")
    assert "FLUX.1" in figures["other model"]


def test_decoding_without_room_falls_back_to_tiles_and_says_so(figures):
    outcome = figures["memory runs out"]
    assert outcome["note"] == "out of memory, decoded in tiles of 128 px"
    assert outcome["mean difference"] < 0.05  # the VAE normalises each tile by itself
    assert outcome["off raises"]


@pytest.mark.parametrize("error", ["CUDA", "CPU", "Python"])
@pytest.mark.parametrize(
    ("stage", "named"), [("encode", "`prompt` is"), ("cut out", "`image` is"), ("decode", "`latent` is")]
)
def test_a_stage_that_runs_out_of_memory_is_tried_again_then_named(figures, stage, named, error):
    outcome = figures["starved"][error]
    assert outcome[stage] <= 1e-5
    assert outcome[f"{stage}, never"].startswith(named)
    assert outcome[f"{stage}, next"] == 0
    assert "decoded in tiles" in outcome["decode, note"]


def test_blending_takes_a_prompt_for_each_picture_and_says_where_it_fell_back(figures):
    outcome = figures["blending"]
    assert outcome["difference"] < 1e-5
    assert outcome["the second prompt counts"] > 0.01
    assert outcome["steered away"] > 0.01  # by a negative for each picture
    assert outcome["each from its own"] < 1e-5
    assert outcome["notes"] == ["out of memory, decoded in tiles of 128 px"]
    assert "`positive` is '3 prompts'" in outcome["refused"]


def test_cancel_is_heard_while_loading(figures):
    assert figures["cancel while loading"] == "InterruptProcessingException"


def test_the_same_model_twice_shares_its_weights(figures):
    assert all(figures["sharing"].values()), figures["sharing"]


@pytest.mark.parametrize("module", ["transformer", "T5", "CLIP", "VAE"])
def test_weights_left_on_the_cpu_are_brought_to_the_gpu(figures, module):
    assert figures["streaming"][module] == "cuda"


def test_each_picture_keeps_its_mask_under_every_prompt(figures):
    left, right = figures["masks and prompts"]["left"], figures["masks and prompts"]["right"]
    assert [a > 0.05 for a in left] == [True, False, True, False]
    assert [b > 0.05 for b in right] == [False, True, False, True]


@pytest.mark.parametrize(
    ("case", "named"),
    [
        ("shift", "ModelSamplingFlux"),
        ("attention", "attention"),
        ("reference", "reference latents"),
        ("cfg below 1", "`cfg` is 0.5"),
        ("negative", "`negative` is"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(figures, case, named):
    assert named in figures["refusals"][case]


def test_stock_samplers_use_schnell_s_own_schedule(figures):
    assert figures["schnell"] < 1e-3  # ComfyUI's tables of a thousand levels end at 1 and at 0.999
