"""Stock models, VAEs and Redux beside ours, measured inside a ComfyUI process (inside_exchange.py)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FLUX2 = ["FLUX.2 klein", "FLUX.2 dev"]


@pytest.fixture(scope="session")
def figures(newest_folder):
    script = Path(__file__).with_name("inside_exchange.py")
    done = subprocess.run([sys.executable, str(script), str(newest_folder)], capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("FIGURES ")]
    assert lines, done.stderr[-3000:]
    return json.loads(lines[0].removeprefix("FIGURES "))


@pytest.mark.parametrize("family", [*FLUX2, "Z-Image Turbo"])
@pytest.mark.parametrize("way", ["ours", "cfg", "KSampler"])
def test_a_stock_model_draws_what_ours_draws(figures, family, way):
    drawn = figures[family]
    assert drawn["spread"] > 1
    assert drawn[way] <= 1e-3


@pytest.mark.parametrize("family", FLUX2)
def test_references_and_stock_sampler_nodes_too(figures, family):
    drawn = figures[family]
    assert drawn["references are seen"] > 1e-2
    assert drawn["references"] <= 1e-4
    assert drawn["custom"] <= 1e-4


@pytest.mark.parametrize("family", FLUX2)
def test_a_stock_encoder_s_short_text_is_padded_as_comfyui_pads_it(figures, family):
    assert figures[family]["short"] <= 1e-4


def test_a_stock_fill_and_control_want_what_ours_want(figures):
    assert figures["wider"] == {"dev": [28, 3.5], "Control": [28, 10.0], "Fill": [50, 30.0]}


def test_a_shift_of_z_image_means_the_same_to_both(figures):
    assert figures["Z-Image Turbo"]["shifted"] <= 1e-3


def test_prompts_that_a_stock_z_image_would_misread_are_refused(figures):
    assert "different lengths" in figures["Z-Image Turbo"]["two prompts"]


def test_latents_of_flux2_pass_between_our_vae_and_the_stock_one(figures):
    vae = figures["FLUX.2 VAE"]
    assert vae["shape"] == [1, 128, 4, 6]
    assert vae["encode"] <= 1e-4
    assert vae["decode"] <= 1e-4
    assert vae["memory"][0] == vae["memory"][1]  # ComfyUI makes as much room for it
    assert vae["spread"] > 0.01


@pytest.mark.parametrize("case", ["no words", "words", "strength"])
def test_redux_by_stock_nodes_equals_diffusers(figures, case):
    redux = figures["Redux"]
    assert redux["spread"] > 0.1
    assert redux["seen"] > 0.01
    assert redux[case]["embedding"] <= 1e-4
    assert redux[case]["pooled"] <= 1e-6
    assert redux[case].get("latents", 0) <= 1e-4


@pytest.mark.parametrize("case", ["not square", "two"])
def test_redux_of_a_picture_that_is_resized_differs_by_the_resizing(figures, case):
    assert figures["Redux"][case]["embedding"] <= 0.05  # a level of 255 in an eighth of the pixels
    assert figures["Redux"][case]["pooled"] <= 1e-6


def test_a_bias_that_diffusers_does_not_know_is_refused(figures):
    assert "multiply" in figures["Redux"]["bias"]
