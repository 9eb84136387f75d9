"""Stock nodes on our MODEL do what they do on ComfyUI's own FLUX, or are refused before the first step (inside_graphs.py)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SAMPLERS = ["ours, ours", "ours, stock", "stock, ours", "stock, stock"]
EFFECTS = [
    "EasyCache",
    "SkipLayerGuidanceDiT",
    "SkipLayerGuidanceDiTSimple",
    "ScaleROPE",
    "FluxDisableGuidance",
    "FluxDisableGuidance, our sampler",
    "odd references",
    "method index",
    "method uxo",
    "NAGuidance",
]


@pytest.fixture(scope="session")
def figures(comfyui_folder):
    script = Path(__file__).with_name("inside_graphs.py")
    done = subprocess.run([sys.executable, str(script), str(comfyui_folder)], capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("FIGURES ")]
    assert lines, done.stderr[-3000:]
    return json.loads(lines[0].removeprefix("FIGURES "))


@pytest.mark.parametrize("samplers", SAMPLERS)
def test_a_second_pass_knows_which_picture_it_is(figures, samplers):
    assert figures["second pass"][samplers] <= 1e-4


def test_any_picture_of_any_prompt_can_be_picked(figures):
    drawn = figures["prompts and pictures"]
    assert drawn["picked"] <= 1e-4
    assert drawn["spread"] > 1
    assert drawn["second pass"] == [6, 16, 8, 8]  # a row for each, not for each under each prompt
    assert drawn["second pass of one"] <= 1e-4


@pytest.mark.parametrize("node", EFFECTS)
def test_a_stock_node_changes_on_ours_what_it_changes_on_a_stock_model(figures, node):
    seen = figures["effects"][node]
    assert seen["apart"] <= 1e-3
    assert min(seen["ours"], seen["stock"]) > 0.1


def test_odd_sides_are_padded_as_comfyui_pads_them(figures):
    assert figures["effects"]["odd sides"]["apart"] <= 1e-3


@pytest.mark.parametrize(
    ("case", "named"),
    [
        ("post_input", "post_input"),
        ("post_input, ours", "post_input"),
        ("index_timestep_zero", "index_timestep_zero"),
        ("PerturbedAttentionGuidance", "attn1"),
    ],
)
def test_what_the_model_would_not_do_is_refused_by_name(figures, case, named):
    assert named in figures["refusals"][case]


@pytest.mark.parametrize("trainer", ["PEFT", "kohya"])
def test_a_lora_in_bypass_mode_draws_what_it_draws_in_the_weights(figures, trainer):
    drawn = figures["bypassed"][trainer]
    assert drawn["ours"] <= 1e-3
    if trainer == "kohya":  # ComfyUI's own bypass leaves out what it has to cut
        assert drawn["stock"] <= 1e-3
    assert drawn["moves"] > 0.1
    assert drawn["taken off"] == 0


@pytest.mark.parametrize("sampler", ["ours", "KSampler"])
@pytest.mark.parametrize("memory", ["CUDA", "CPU", "Python"])
def test_a_batch_that_does_not_fit_is_drawn_in_parts_and_said_so(figures, memory, sampler):
    outcome = figures["out of memory"]
    assert outcome["halved"][f"{memory}, {sampler}"] <= 1e-4
    assert "out of memory, drawn 2 of 4 rows at a time" in outcome["notes"]


def test_where_not_one_row_fits_the_error_says_what_would_and_the_next_prompt_is_right(figures):
    outcome = figures["out of memory"]
    assert "does not fit into memory" in outcome["never"]
    assert "smaller canvas" in outcome["never"]
    assert outcome["next"] == 0
    assert outcome["other errors"] == "another fault"


STARTS = ["canvas", "2 prompts x 2", "mask, cfg"]


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("ended_by", ["time limit", "Cancel"])
def test_a_picture_that_was_cut_off_is_gone_on_with_and_ends_equal(figures, ended_by, start):
    assert figures["resumed"][ended_by][start] <= 1e-6


def test_a_stock_model_goes_on_too(figures):
    assert figures["resumed"]["stock model"] <= 1e-6


def test_going_on_draws_the_missing_steps_alone(figures):
    assert figures["resumed"]["calls"] == 3  # of 8, after 5


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ("model", "another model"),
        ("LoRA", "another model"),
        ("prompt", "another prompt"),
        ("seed", "another seed"),
        ("steps", "another schedule"),
        ("size", "resized"),
    ],
)
def test_another_picture_is_not_gone_on_with(figures, changed, named):
    assert named in figures["resumed"]["refused"][changed]
    assert "resume" in figures["resumed"]["refused"][changed]


def test_kept_files_are_few_and_damaged_ones_cost_nothing(figures):
    assert figures["resumed"]["files"] == {"beside a damaged one": 0.0, "left": 8}


FLAGS = [
    "fp8_e4m3fn_unet",
    "fp8_e5m2_unet",
    "bf16_unet",
    "fp16_unet",
    "fp32_unet",
    "fp8_e4m3fn_text_enc",
    "bf16_text_enc",
]


@pytest.mark.parametrize("flag", FLAGS)
def test_weight_dtype_auto_follows_comfyui_s_flags(figures, flag):
    seen = figures["asked"]["flags"][flag]
    assert seen["dtypes"] == [seen["wanted"]]
    assert seen["finite"]
    assert f"--{flag.replace('_unet', '-unet').replace('_text_enc', '-text-enc')} is set aside" in seen["aside"]


def test_a_flag_that_cannot_be_followed_is_named(figures):
    flags = figures["asked"]["flags"]
    assert "--fp64-unet is set aside" in flags["fp64"]
    assert "--bf16-vae is set aside, since weight_dtype is fp32" in flags["bf16_vae"]
    assert "--force-fp16 is set aside" in flags["force_fp16"]
    assert "--force-fp32 is set aside, since weight_dtype is bf16" in flags["force_fp32"]


@pytest.mark.parametrize(
    ("case", "note"),
    [
        ("6 for 2", "6 masks for 2 pictures: the first"),
        ("2 for 3", "2 masks for 3 pictures: repeated"),
        ("1 for 2", ""),
    ],
)
def test_masks_are_cut_and_repeated_as_ksampler_does_it(figures, case, note):
    seen = figures["asked"]["masks"][case]
    assert seen["apart"] == 0
    assert seen["note"].startswith(note)
    assert bool(seen["note"]) == bool(note)


def test_auraflow_s_shift_counts_as_in_stock_samplers(figures):
    seen = figures["asked"]["AuraFlow"]
    assert seen["apart"] <= 1e-5
    assert seen["moves"] > 0.1
    assert "ModelSamplingFlux" in seen["times of a thousand"]


def test_a_second_pass_of_fill_at_another_size_repaints_the_same_picture(figures):
    assert figures["asked"]["Fill"]["apart"] == 0
    assert figures["asked"]["Fill"]["spread"] > 0.1
