"""Single files on ComfyUI's sockets: measured inside a ComfyUI process (inside_files.py), and queued on a running one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from comfyui import node, text_to_image

FAMILIES = ["FLUX.1", "FLUX.2 klein", "Z-Image Turbo"]


@pytest.fixture(scope="session")
def figures(comfyui_folder):
    script = Path(__file__).with_name("inside_files.py")
    done = subprocess.run([sys.executable, str(script), str(comfyui_folder)], capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("FIGURES ")]
    assert lines, done.stderr[-3000:]
    return json.loads(lines[0].removeprefix("FIGURES "))


@pytest.mark.parametrize("chosen", ["file", "folder"])
@pytest.mark.parametrize(("model", "steps"), [("omni", 50), ("flux3", 16)])
def test_parts_draw_and_look_as_the_whole_folder_does(figures, model, steps, chosen):
    assert figures[model]["references matter"] > 0.01
    found = figures[model][chosen]
    assert max(found["off"]) <= 1e-5
    assert found["steps"] == steps


@pytest.mark.parametrize("chosen", ["file", "folder"])
def test_parts_of_zimage_omni_say_how_it_can_see(figures, chosen):
    assert figures["flux3"][chosen]["our reference"] == ""
    found = figures["omni"][chosen]
    assert "1 reference latents and 0 texts" in found["our reference"]
    assert "TextEncodeZImageOmni" in found["our reference"]
    assert ("shift of 6" in found["says"]) == (chosen == "file")


# kind of file -> how far its latents may be from the folder's, in standard deviations; how large it is in memory
KINDS = {
    "diffusers": (1e-5, 1.0),
    "original": (1e-5, 1.0),
    "fp8": (0.1, 0.8),
    "scaled fp8": (0.1, 0.8),
    "Q8_0": (0.02, 0.8),
}


CASES = [(family, kind) for family in FAMILIES for kind in KINDS]


@pytest.mark.parametrize(("family", "kind"), [*CASES, ("FLUX.2 klein", "nf4"), ("FLUX.2 klein", "nvfp4")])
def test_a_file_draws_what_its_folder_draws(figures, family, kind):
    if kind == "Q8_0":
        pytest.importorskip("gguf")
    found = figures["namings"][family]["files"][kind]
    error, size = KINDS.get(kind, (0.5, 0.7))
    assert found["latents"] <= error
    assert found["picture"] <= 1e-6
    assert found["bytes"] <= size
    assert (found["stored"] > 10) == (size < 1)
    assert found["kept against expanded"] <= 1e-5
    assert found["family"] == family.removesuffix(" Turbo")


@pytest.mark.parametrize("family", FAMILIES)
def test_small_weights_stream_and_take_a_lora(figures, family):
    measured = figures["namings"][family]
    assert set(measured["half"].values()) == {0}
    assert 0 < measured["fp8 storage"] < 0.1
    for kind, lora in measured["lora"].items():
        assert lora["moves"] > 1e-3, kind
        assert lora["streamed"] <= 1e-5, kind
        for place in ("resident", "moved"):
            assert lora[place] <= (0.06 if "fp8" in kind else 1e-5), (kind, place)  # 8-bit floats are rounded again
        assert lora["grown"] == 0, kind  # ComfyUI counts the bytes
        assert lora["restored"] == 0, kind


def test_a_quantised_folder_stays_small_and_draws_what_its_numbers_draw(figures):
    found = figures["quantised"]
    assert max(found["sequence"], found["latents"], found["components"]) <= 1e-5
    assert min(found["stored"]) >= 10
    assert found["bytes"] < 0.7


def test_one_file_that_holds_everything(figures):
    whole = figures["whole"]
    assert whole["listed"] == ["checkpoints/everything.safetensors"]
    assert whole["clip ids"]
    assert whole["t5 ids"]
    assert whole["sequence"] == whole["pooled"] == whole["same"] == 0
    assert 0 < whole["fp8"] < 0.3
    assert whole["fp8 stored"] >= 14
    assert whole["finite"]
    assert whole["shared"]
    assert whole["none beside auto"]
    assert whole["FLUX.3"] == ["transformer", "text_encoder", "vae"]
    taught = whole["text LoRA"]
    assert taught["layers"] == 1
    assert taught["difference"] < 0.3 * taught["moves"]  # the changed weights are fp8 again


@pytest.mark.parametrize("family", FAMILIES[1:])
def test_qwen3_reads_comfyui_s_tokens(figures, family):
    qwen = figures["qwen"][family]
    assert qwen["ids"]
    assert qwen["sequence"] == 0
    assert qwen.get("gguf", 0) == 0


def test_mistral_from_a_gguf(figures):
    pytest.importorskip("gguf")
    mistral = figures["mistral"]
    assert "hello hello" in mistral["words"]
    assert mistral["kept against expanded"] <= 1e-5
    assert mistral["stored"] >= 50
    assert mistral["width"] == 48


def test_a_lora_on_a_text_encoder_from_a_gguf_says_what_it_says_under_peft(figures):
    pytest.importorskip("gguf")
    taught = figures["mistral"]["LoRA"]
    assert taught["layers"] == [7, 7]  # of one block, the reordered queries and keys among them
    assert any(taught["stored"])  # the model is narrow: its other layers have no whole blocks of a GGUF in a row
    assert taught["moves"] > 0.01
    assert taught["streamed"] <= 1e-5
    assert taught["resident"] <= 1e-5
    assert taught["taken off"] == 0


REFUSED = {
    "not listed": "of the list",
    "pickle": "never opened",
    "truncated": "broken.safetensors",
    "another model": "other.safetensors",
    "no text encoder": "text_encoder",
    "t5 missing": "T5 is missing",
    "wrong encoder": "Qwen3 for FLUX.2 klein original.safetensors",
    "wrong width": "Qwen3",
    "wrong vae": "FLUX.2 klein.safetensors",
    "vae as transformer": "holds a VAE",
    "nothing left": "text_encoder_2",
    "no vae": "choose one in `vae`",
    "dtype": "weight_dtype",
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_by_name(figures, case):
    assert REFUSED[case] in figures["refusals"][case]


def test_our_node_and_the_stock_loader_open_the_same_file_alike(comfyui, no_traceback):
    """flux-micro under BFL's names, through the stock UNETLoader and through ours, on our sampler."""
    save = {"7": node("SaveLatent", samples=["4", 0], filename_prefix="latent")}
    stock = {"10": node("UNETLoader", unet_name="micro.safetensors", weight_dtype="default")}
    ours = {
        "10": node(
            "StorefrontLoadComponents",
            transformer="diffusion_models/micro.safetensors",
            text_encoder="diffusers/flux-micro",
            text_encoder_2="auto",
            vae="diffusers/flux-micro",
            weight_dtype="auto",
        )
    }
    settings = {"model": ["10", 0], "steps": 4, "guidance": 3.5, "cfg": 1.0}
    theirs = comfyui.run(text_to_image(save | stock, Sample=settings)).latent()
    changes = {"Encode": {"clip": ["10", 1]}, "Decode": {"vae": ["10", 2]}}
    result = comfyui.run(text_to_image(save | ours, Sample=settings, **changes))
    assert (result.latent() - theirs).abs().max() <= 1e-4
    folder = comfyui.run(text_to_image(save, Sample={**settings, "model": ["1", 0]})).latent()
    assert (result.latent() - folder).abs().max() <= 1e-5
    assert "licence" in comfyui.log()
