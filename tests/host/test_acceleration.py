"""Step caches, attention kernels and compiled blocks on our MODEL, measured inside a ComfyUI (inside_acceleration.py)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from comfyui import node, text_to_image

CACHES = ["first block", "taylorseer", "magcache"]


@pytest.fixture(scope="session")
def figures(comfyui_folder):
    script = Path(__file__).with_name("inside_acceleration.py")
    done = subprocess.run([sys.executable, str(script), str(comfyui_folder)], capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("FIGURES ")]
    assert lines, done.stderr[-3000:]
    return json.loads(lines[0].removeprefix("FIGURES "))


def test_settings_that_skip_nothing_change_nothing(figures):
    without_effect = figures["without_effect"]
    assert without_effect["off"] == without_effect["SDPA"] == [0, 0]
    assert without_effect["magcache, 0"] == without_effect["first block, 0"] == [0, 0]
    for name in ("first block, next to 0", "taylorseer, 1"):
        plain, guided = without_effect[name]
        assert plain == 0
        assert guided <= 1e-5  # the two prompts go through the model one by one, which rounds otherwise


def test_fp8_products(figures):
    """flux-micro's velocity is off by 6 % of its norm, and nothing stays on the model."""
    outcome = figures["fp8_products"]
    assert outcome["layers"] > 50
    for name in ("alone", "LoRA", "LoRA, streamed"):
        off, afterwards = outcome[name]
        assert 0.01 < off < 0.1
        assert afterwards == 0
    assert outcome["LoRA, streamed"] != outcome["LoRA"]  # the layers with a LoRA stay in full there
    assert outcome["patched on their way"] == 2
    assert outcome["traced"] == {"plain": 0, "fp8": 0, "plain again": 0}
    assert outcome["traces"] == []


def test_fp8_products_are_not_offered_on_a_cpu(figures):
    assert figures["fp8_products"]["offered"] == ["auto"]
    assert figures["fp8_products"]["refused"] == "`matmul` is 'fp8'. Expected: one of auto, which this machine has."


def test_channels_last(figures):
    channels = figures["channels"]
    assert channels["seen"] == [False, True, False]
    assert channels["off"] < 1e-5
    assert channels["encoded"] < 1e-4
    assert channels["ours"] < 1e-5
    assert channels["tiles"] < 0.5  # tiles of a latent normalise otherwise than the whole
    assert channels["afterwards"] == channels["hooks"] == 0
    assert channels["same patcher"]
    assert channels["again"]
    assert channels["auto"]
    nowhere, word = channels["refused"]
    assert (
        nowhere == "`vae` is missing. Expected: the VAE whose channels are to come last: a MODEL has no convolutions."
    )
    assert "`channels` is 'first'" in word


@pytest.mark.parametrize("cache", CACHES)
def test_a_step_cache_skips_and_stays_close(figures, cache):
    skipping = figures["skipping"]
    computed, calls, skipped = skipping[cache]["counts"]
    assert calls == 20
    assert computed + skipped == calls
    assert skipped >= 5
    assert 0 < skipping[cache]["picture"] < skipping["another seed"] / 3


@pytest.mark.parametrize("cache", CACHES)
def test_nothing_leaks_from_a_run_to_the_next_or_to_the_plain_model(figures, cache):
    leaks = figures["leaks"][cache]
    assert leaks["cancelled"] == "InterruptProcessingException"
    assert leaks["stopped early"]
    assert leaks["one after another"] == leaks["after a cancelled run"] == leaks["after a stopped run"] == 0
    assert leaks["plain model"] == 0
    assert leaks["traces"] == []
    assert leaks["incoming model"] == 0


@pytest.mark.parametrize("case", [*CACHES, "FLUX.2 klein base"])
def test_it_ends_where_diffusers_own_cache_ends_with_true_cfg(figures, case):
    parity = figures["parity"][case]
    assert parity["difference"] <= 1e-5
    assert parity["effect"] > 1e-3
    assert parity["counts"][1] == 40
    assert parity["counts"][2] > 0


def test_what_diffusers_cannot_cache_is_refused_by_name(figures):
    refusals = figures["parity"]["refusals"]
    assert "taylorseer for Flux2Transformer2DModel" in refusals["first block"]
    assert "taylorseer for Flux2Transformer2DModel" in refusals["magcache"]
    assert "none for ZImageTransformer2DModel" in refusals["Z-Image"]
    assert figures["parity"]["Z-Image, SDPA"] == 0


def test_stock_samplers_draw_with_it(figures):
    stock = figures["stock_sampler"]
    for sampler in ("euler", "heun"):
        assert stock[sampler]["never"] <= 1e-5
        assert stock[sampler]["finite"]
        assert stock[sampler]["counts"][2] > 0
    assert "once a step" in stock["taylorseer with heun"]
    assert stock["traces"] == []


@pytest.mark.parametrize(
    ("case", "word"),
    [
        ("stock model", "StorefrontLoadModel"),
        ("warm-up of a stock model", "StorefrontLoadModel"),
        ("size", "multiple of 16"),
        ("cache", "first block"),
        ("threshold", "from 0 to 1"),
        ("nan", "finite"),
        ("interval", "from 1 to 20"),
        ("compile", "regional"),
        ("ControlNet", "step_cache none"),
    ],
)
def test_what_cannot_be_is_refused_by_name(figures, case, word):
    assert word in figures["refusals"][case]


def test_kernels_that_are_not_installed_are_neither_listed_nor_taken(figures):
    kernels = figures["refusals"]["kernels"]
    assert kernels
    for name, message in kernels.items():
        assert message.startswith("`attention` is ")
        assert name not in message.split("Expected:")[1]


def test_a_control_net_works_where_nothing_is_cached(figures):
    assert figures["refusals"]["ControlNet without a cache"]
    assert figures["refusals"]["traces"] == []


def test_lora_before_and_after_the_node_is_the_same_compiled_or_not(figures):
    order = figures["order"]
    for name in ("cache", "cache and compile"):
        assert order[name] == {"before and after": 0, "traces": []}
    assert order["LoRA's effect"] > 0.05
    for difference in order["compiled"].values():
        assert difference <= 1e-4


def test_compiled_blocks_draw_the_same_and_warm_up_compiles_them_all(figures):
    compiling = figures["compiling"]
    assert compiling["warm-up"].startswith("warmed up for 64 x 64 in ")
    assert compiling["graphs"] == compiling["graphs after"] > 0
    assert compiling["difference"] <= 1e-4
    assert not any("uncompiled" in line for line in compiling["said"])


def test_where_nothing_can_be_compiled_the_run_goes_on_and_says_so(figures):
    compiling = figures["compiling"]
    assert compiling["without a compiler"] == compiling["again"] == 0
    assert any("ran uncompiled" in line and "compiler" in line.lower() for line in compiling["told"])
    assert compiling["traces"] == []


@pytest.mark.usefixtures("no_traceback")
def test_a_queued_workflow_is_warmed_up_once_and_reports_what_it_skipped(comfyui):
    def run(prompt: str, **accelerate) -> dict[str, dict]:
        added = {
            "20": node("StorefrontAccelerate", model=["1", 0], **accelerate),
            "21": node("StorefrontWarmUp", model=["20", 0], width=64, height=64),
            "22": node("StorefrontReport", value=["5", 0], format="JSON"),
        }
        result = comfyui.run(
            text_to_image(added, Sample={"model": ["21", 0], "steps": 20, "seed": 41}, Encode={"prompt": prompt})
        )
        assert result.ok, result.error
        return {entry["id"]: entry for entry in json.loads(result.history["outputs"]["22"]["text"][0])["nodes"]}

    first = run("a red mug", step_cache="first block", cache_threshold=0.1)
    second = run("a blue lamp", step_cache="first block", cache_threshold=0.1)
    counts = first["4"]["counts"]
    assert counts["model calls computed"] + counts["model calls skipped"] == 20
    assert counts["model calls skipped"] > 0
    assert any("step cache first block" in line for line in first["4"]["notes"])
    assert any("warmed up for 64 x 64" in line for line in first["21"]["notes"])
    assert (first["21"]["status"], second["21"]["status"]) == ("done", "cached")
    assert second["4"]["counts"]["model calls skipped"] > 0


@pytest.mark.parametrize(
    ("accelerate", "word"),
    [
        ({"step_cache": "teacache"}, "step_cache"),
        ({"cache_threshold": float("nan"), "step_cache": "first block"}, "cache_threshold"),
        ({"cache_threshold": -0.5}, "cache_threshold"),
        ({"cache_interval": 1000}, "cache_interval"),
        ({"attention": "flash_hub"}, "attention"),
        ({"compile": "max-autotune"}, "compile"),
        ({"channels": "last"}, "vae"),
    ],
)
def test_bad_input_over_the_network_is_refused_by_name(comfyui, accelerate, word):
    added = {"20": node("StorefrontAccelerate", model=["1", 0], **accelerate)}
    result = comfyui.run(text_to_image(added, Sample={"model": ["20", 0]}))
    assert not result.ok
    assert word in result.error
