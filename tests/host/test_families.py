"""Every family on ComfyUI's sockets, measured inside a ComfyUI process (inside_families.py)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FAMILIES = ["FLUX.1", "FLUX.1 Kontext", "FLUX.1 Fill", "FLUX.1 Control", "FLUX.2 dev", "FLUX.2 klein"]
FAMILIES += ["FLUX.3 distilled", "Z-Image Turbo", "Z-Image Omni"]
PACKED = ("FLUX.2 dev", "FLUX.2 klein", "FLUX.3 distilled")


@pytest.fixture(scope="session")
def families(comfyui_folder):
    script = Path(__file__).with_name("inside_families.py")
    done = subprocess.run([sys.executable, str(script), str(comfyui_folder)], capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("FIGURES ")]
    assert lines, done.stderr[-3000:]
    figures = json.loads(lines[0].removeprefix("FIGURES "))
    assert sorted(figures) == sorted([*FAMILIES, "ControlNet"])
    return figures


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("task", ["text", "strength", "mask", "cfg", "references", "references and cfg", "decode"])
def test_comfyui_s_sampler_ends_where_the_loop_ends(families, family, task):
    equality = families[family]["equality"]
    sees_references = family in ("FLUX.1 Kontext", "Z-Image Omni", *PACKED)
    if task == "references":
        assert ("references" in equality) == sees_references
    if task in equality:
        assert equality[task] <= 1e-5
    if sees_references:
        assert equality["references are seen"] > 1e-3


@pytest.mark.parametrize("family", FAMILIES)
def test_stock_nodes_work_on_every_family(families, family):
    stock = families[family]["stock"]
    assert stock["text"] == 0
    assert stock["encoded"] == 0
    assert stock["finite"]
    assert stock["picture"] == stock["tiled"] == [1, 64, 96, 3]
    assert stock["canvas"] == ([1, 128, 4, 6] if family in PACKED else [1, 16, 8, 12])


@pytest.mark.parametrize("family", FAMILIES)
def test_each_prompt_of_a_batch_draws_what_it_draws_alone(families, family):
    assert families[family]["batch"]["difference"] <= 1e-5


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_partly_on_another_device_compute_the_same(families, family):
    memory = families[family]["memory"]
    sight = {"sight": 0} if family == "Z-Image Omni" else {}
    assert memory["half"] == {"MODEL": 0, "CLIP": 0, "VAE": 0, **sight}
    assert memory["streamed"] == {"vae": "cuda", "transformer": "cuda"}


@pytest.mark.parametrize("family", FAMILIES)
def test_what_does_not_fit_is_refused_by_name(families, family):
    refusals = families[family]["refusals"]
    assert "width" in refusals["width"]
    assert "channels" in refusals["channels"]
    assert refusals["nothing beside"]
    assert refusals["another picture beside"] == "not asked" or "[1, 4, " in refusals["another picture beside"]
    assert "reference" in refusals["references"] or "picture" in refusals["references"]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_language_model_encoder_writes_and_clip_refuses(families, family):
    writing = families[family]["writing"]
    if family in (*PACKED, "Z-Image Turbo", "Z-Image Omni"):
        assert writing.pop("cancelled") == "InterruptProcessingException"
        assert isinstance(writing.pop("text"), str)
        assert writing == {"equal": True, "same seed": True, "other seed": True}
    else:
        assert "cannot write" in writing["refused"]


@pytest.mark.parametrize(
    ("family", "size"),
    [("FLUX.1 Kontext", [944, 1104]), *((family, [928, 1104]) for family in (*PACKED, "Z-Image Omni"))],
)
def test_a_reference_is_shown_at_the_size_of_the_model_s_training(families, family, size):
    shown = families[family]["shown"]
    assert shown["size"] == size
    assert shown["difference"] < 5e-3  # two pictures in one batch round differently from each alone
    assert shown["before"] == 0  # the conditioning that came in is as it was


def test_stock_omni_node_works_on_our_sockets_and_half_a_reference_is_refused(families):
    omni = families["Z-Image Omni"]["omni"]
    assert omni["difference"] <= 1e-5
    assert "1 reference latents and 0 texts" in omni["latents alone"]
    assert omni["no clip"].startswith("`clip` is missing")


def test_a_stock_control_net_on_our_model_equals_flux_control_net_pipeline(families):
    assert families["ControlNet"]["difference"] < 1e-3  # ComfyUI computes the ControlNet with its own layers
    assert families["ControlNet"]["added"] > 0.05
