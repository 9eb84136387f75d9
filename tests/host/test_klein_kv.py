"""FLUX.2 klein KV on ComfyUI's sockets, measured inside a ComfyUI process (inside_klein_kv.py)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ONCE, EACH = 83, 24  # tokens of a call that looks at the references, and of one that knows them


@pytest.fixture(scope="session")
def figures(newest_folder):
    script = Path(__file__).with_name("inside_klein_kv.py")
    done = subprocess.run([sys.executable, str(script), str(newest_folder)], capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("FIGURES ")]
    assert lines, done.stderr[-3000:]
    return json.loads(lines[0].removeprefix("FIGURES "))


def test_comfyui_s_sampler_ends_where_the_loop_ends(figures):
    equality = figures["equality"]
    assert equality.pop("references are seen") > 1e-3
    assert equality.pop("tokens") == [ONCE, EACH, EACH]
    assert sorted(equality) == ["cfg", "references", "text", "three pictures"]
    assert max(equality.values()) <= 1e-5


@pytest.mark.parametrize(("sampler", "calls"), [("euler", 3), ("heun", 5), ("dpmpp_2m", 3), ("uni_pc", 3)])
def test_stock_ksampler_looks_at_the_references_once(figures, sampler, calls):
    drawn = figures["stock_samplers"][sampler]
    assert drawn["tokens"] == [ONCE] + [EACH] * (calls - 1)
    assert drawn["difference"] <= 1e-6


@pytest.mark.parametrize(
    ("case", "tokens"),
    [
        ("others, together", [ONCE, EACH, EACH]),
        ("others, apart", [ONCE, ONCE, EACH, EACH, EACH, EACH]),
        ("none, together", [ONCE, EACH, EACH, EACH, EACH, EACH]),  # ComfyUI does not put these two into one call
        ("none, apart", [ONCE, EACH, EACH, EACH, EACH, EACH]),
        ("same, together", [ONCE, EACH, EACH]),
        ("same, apart", [ONCE, EACH, EACH, EACH, EACH, EACH]),
    ],
)
def test_positive_and_negative_keep_their_own(figures, case, tokens):
    drawn = figures["conditionings"][case]
    assert sorted(drawn["tokens"]) == sorted(tokens)
    assert drawn["difference"] <= 1e-5


def test_no_run_knows_of_another_cancelled_or_not(figures):
    runs = figures["runs"]
    assert runs["differ"] > 1e-3
    assert runs["first"] == runs["others"] == runs["after cancel"] == 0
    assert runs["cancelled"] == ["InterruptProcessingException", 2]
    assert runs["left"] == 0


def test_other_weights_look_for_themselves(figures):
    changed = figures["changed_weights"]
    assert changed["effect"] > 1e-3
    assert changed["hook's effect"] > 1e-3
    assert changed["lora"] == changed["without again"] == changed["hook"] == 0


@pytest.mark.parametrize("settings", ["SDPA", "taylorseer"])
def test_an_accelerated_model_keeps_them_too(figures, settings):
    accelerated = figures["accelerated"]
    assert accelerated[settings]["tokens"] == [ONCE] + [EACH] * 5
    assert accelerated[settings]["difference"] <= 1e-6
    assert accelerated["plain again"] == 0


def test_half_of_the_weights_resident_computes_the_same_bits(figures):
    memory = figures["memory"]
    assert memory["half"] == 0
    assert 0.3 < memory["resident"] < 0.6
    assert memory["told"] >= 1  # of what is kept; ComfyUI counts it before it loads


def test_a_single_file_is_what_its_user_says(figures):
    file = figures["single_file"]
    assert file["said"] == 0
    assert file["looks"] > 1e-4
    assert "FLUX.2 klein KV" in file["refused"]["FLUX.1 Kontext"]
    assert "one of: auto" in file["refused"]["FLUX.9"]


def test_the_stock_cache_node_is_refused_with_what_to_do(figures):
    assert "FluxKVCache" in figures["refusals"]["stock node"]
