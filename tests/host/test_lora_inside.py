"""LoRAs of every trainer's format on our MODEL and CLIP, measured inside a ComfyUI process (inside_lora.py)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import lora_files
import pytest

FORMATS = [*lora_files.FORMATS, "XLabs", "diffusers, alpha in metadata"]
NOT_BY_COMFYUI = {  # what stock LoraLoader does not read on any model of this size
    "XLabs": "ComfyUI knows the format by the number of blocks of the real FLUX.1",
    "diffusers, alpha in metadata": "ComfyUI reads no metadata",
}
DTYPES = ["fp32", "bf16", "fp8 storage"]


@pytest.fixture(scope="session")
def figures(comfyui_folder):
    script = Path(__file__).with_name("inside_lora.py")
    done = subprocess.run([sys.executable, str(script), str(comfyui_folder)], capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("FIGURES ")]
    assert lines, done.stderr[-3000:]
    return json.loads(lines[0].removeprefix("FIGURES "))


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_draws_what_diffusers_draws(figures, name):
    assert figures["formats"][name]["ours"] <= 1e-5
    assert figures["formats"][name]["unmatched"] == []
    assert figures["formats"]["spread"] > 0.05  # the LoRA is no small thing


@pytest.mark.parametrize("name", FORMATS)
def test_the_stock_loader_draws_the_same(figures, name):
    assert (figures["formats"][name]["stock"] <= 1e-5) == (name not in NOT_BY_COMFYUI)


@pytest.mark.parametrize("name", ["diffusers", "network alphas", "kohya", "XLabs"])
def test_the_same_file_read_by_diffusers_itself(figures, name):
    assert figures["read by diffusers"][name] <= 1e-5


@pytest.mark.parametrize("kind", ["diffusers", "original", "kohya", "LoKr"])
@pytest.mark.parametrize("family", ["FLUX.2 dev", "FLUX.2 klein", "Z-Image"])
def test_the_other_families(figures, family, kind):
    """The weights that sampling uses are those with the difference added, and those that diffusers' fuse_lora makes."""
    outcome = figures["families"][family]
    assert outcome[kind]["by_our_node"] <= 1e-6
    assert outcome[kind]["by_stock_loader"] <= 1e-6
    assert outcome[kind]["unmatched"] == []
    assert outcome[kind].get("by diffusers", 0) <= 1e-6
    assert outcome[kind]["spread"] > 1e-3
    assert outcome["taken off"]


@pytest.mark.parametrize("trainer", ["kohya", "SimpleTuner"])
@pytest.mark.parametrize("kind", ["loha", "lokr"])
def test_hadamard_and_kronecker_products(figures, kind, trainer):
    outcome = figures["products"][f"{kind}, {trainer}"]
    assert outcome["ours"] <= 1e-5
    assert outcome["stock"] <= 1e-5
    assert outcome["spread"] > 0.05
    assert outcome["unmatched"] == []


@pytest.mark.parametrize("name", list(lora_files.TEXT_FORMATS))
def test_text_encoders(figures, name):
    outcome = figures["text encoders"][name]
    assert max(outcome["by_our_node"]) <= 1e-5
    assert outcome["unmatched"] == []
    # The names of transformers 5, and of a T5 beside CLIP-L, are not in ComfyUI's table.
    assert (max(outcome["by_stock_loader"]) <= 1e-5) == (name != "diffusers")
    assert min(figures["text encoders"]["spread"]) > 0.05
    assert max(figures["text encoders"]["taken off"]) == 0


LANGUAGE_MODELS = ["FLUX.2 dev", "FLUX.2 klein", "Z-Image"]


@pytest.mark.parametrize("name", list(lora_files.LANGUAGE_MODEL_FORMATS))
def test_every_spelling_of_a_language_models_layers(figures, name):
    """On the weights that the encoder then computes with."""
    for family in LANGUAGE_MODELS if name.startswith(("ComfyUI", "diffusers, ")) else ["Z-Image"]:
        outcome = figures["language models"][family][name]
        assert outcome["by_our_node"] <= 1e-6
        assert outcome["unmatched"] == []
        if name == "ComfyUI":
            assert outcome["by_stock_loader"] <= 1e-6
    assert figures["language models"]["Z-Image"]["diffusers"]["by_stock_loader"] > 0.05  # the LoRA is no small thing


@pytest.mark.parametrize("family", LANGUAGE_MODELS)
def test_a_language_model_says_what_it_says_under_peft(figures, family):
    """DoRA of PEFT, with alpha in the metadata, against the pipeline's own embedding of the prompt."""
    outcome = figures["language models"][family]
    assert outcome["PEFT's forward"] <= 1e-6
    assert outcome["spread"] > 0.03
    assert outcome["taken off"] <= 1e-6
    assert outcome["unmatched"] == []


@pytest.mark.parametrize("name", ["PEFT", "kohya", "columns", "LoKr"])
def test_magnitudes_turn_weights_as_peft_and_the_paper_say(figures, name):
    outcome = figures["magnitudes"]
    assert outcome[name]["ours"] <= 1e-5
    assert outcome[name]["unmatched"] == []
    assert outcome["spread"] > 1


def test_magnitudes_elsewhere(figures):
    outcome = figures["magnitudes"]
    assert outcome["kohya"]["stock"] <= 1e-5  # the stock loader on our model
    assert outcome["stock model"] <= 1e-6  # our node on a stock model
    assert outcome["half"] <= 1e-5  # half of the way
    assert outcome["columns of a fused layer"] == [
        f"lora_unet_double_blocks_0_img_attn_qkv.{kind}"
        for kind in ("dora_scale", "lora_down.weight", "lora_up.weight")
    ]


@pytest.mark.parametrize("dtype", DTYPES)
def test_taking_it_off_restores_every_bit(figures, dtype):
    outcome = figures["taken off"][dtype]
    assert outcome["changed"] > 0.05
    assert outcome["patched weights"] > 50
    assert outcome["restored"]
    assert outcome["restored after half"]
    assert outcome["same picture"] == 0


@pytest.mark.parametrize(("dtype", "share"), [("fp32", 1e-6), ("bf16", 0.05), ("fp8 storage", 0.15)])
def test_half_of_the_weights_resident_draws_the_same_but_for_rounding(figures, dtype, share):
    """A resident weight is rounded to its storage with the LoRA in it, a streamed one is patched after it was widened."""
    outcome = figures["taken off"][dtype]
    assert 0.3 < outcome["half resident"] < 0.6
    assert outcome["half differs"] <= share * outcome["size"]


def test_changing_or_swapping_it_reads_nothing_of_the_base_model(figures):
    """Its folder was deleted before the first LoRA: there was nothing to read."""
    outcome = figures["base model"]
    assert outcome["bytes read from disk"] == 0
    assert outcome["all differ"] > 0.01
    assert outcome["taken off"] == 0
    assert outcome["weights copied"] == 0


@pytest.mark.parametrize(
    ("case", "named"),
    [
        ("other model", "lora_unet_down_blocks_0_attn"),
        ("other width", "none of its 124 keys fits"),
        ("flat", "none of its 124 keys fits"),
        ("NaN", "finite numbers"),
        ("half a pair", "none of its 62 keys fits"),
        ("cut short", "a whole file of"),
        ("noise", "a whole safetensors file"),
        ("pickle", ".safetensors in models/loras"),
        ("path", ".safetensors in models/loras"),
        ("text alone", "connect the CLIP"),
        ("LoRA of rank 0", "none of its 3 keys fits"),
        ("LoHa", "none of its 4 keys fits"),
        ("LoKr", "none of its 3 keys fits"),
        ("LoKr, second", "none of its 3 keys fits"),
        ("LoKr of three axes", "none of its 2 keys fits"),
        ("LoKr of a fused layer", "none of its 3 keys fits"),
        ("OFT", "none of its 1 keys fits"),
        ("difference", "none of its 1 keys fits"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(figures, case, named):
    assert figures["refusals"][case].startswith("`lora_3` is ")
    assert named in figures["refusals"][case]


@pytest.mark.parametrize("strength", ["nan", "inf", "11.0"])
def test_strengths_out_of_range_are_refused(figures, strength):
    assert figures["refusals"][f"strength {strength}"].startswith(f"`strength_3` is {strength}")


def test_unmatched_keys_are_listed_each(figures):
    mixed = figures["refusals"]["mixed"]
    assert mixed["layers"] == 61
    assert mixed["unmatched"] == [
        "odd",
        "transformer.no_such_layer.lora_A.weight",
        "transformer.proj_out.lora_A.default.weight",
        "transformer.x_embedder.lora_B.weight",
    ]


def test_a_file_with_one_lora_in_two_formats_is_applied_once(figures):
    assert figures["refusals"]["twice"] == {"difference": 0, "unmatched": True}
