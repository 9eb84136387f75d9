"""What a user sees: pictures, progress, previews, Cancel; stock nodes on our sockets and ours on stock ones."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from comfyui import node, text_to_image

pytestmark = pytest.mark.usefixtures("no_traceback")

RED, BLUE = "a red mug on a wooden table", "a blue mug on a wooden table"


def test_the_words_arrive(comfyui):
    red = comfyui.run(text_to_image(Encode={"prompt": RED})).pixels()[0, 24:48, 20:44].mean((0, 1))
    blue = comfyui.run(text_to_image(Encode={"prompt": BLUE})).pixels()[0, 24:48, 20:44].mean((0, 1))
    assert red[0] > red[2] + 40
    assert blue[2] > blue[0] + 40


def test_the_saved_picture_equals_flux_pipeline(comfyui, micro_pipeline):
    image = micro_pipeline(
        RED,
        width=64,
        height=64,
        num_inference_steps=8,
        max_sequence_length=64,
        generator=torch.Generator().manual_seed(7),
    ).images[0]
    saved = comfyui.run(text_to_image()).pixels()[0]
    assert abs(saved.astype(int) - np.asarray(image)).max() <= 1


@pytest.mark.parametrize("case", [{"steps": 1}, {"steps": 20, "guidance": 1.5}, {"steps": 4, "cfg": 4.0}])
@pytest.mark.parametrize(("width", "height"), [(64, 64), (96, 64), (48, 112)])
def test_latents_equal_the_reference_loop(comfyui, micro_studio, case, width, height):
    added = {"7": node("SaveLatent", samples=["4", 0], filename_prefix="latent")}
    added["8"] = node(
        "StorefrontEncode", clip=["1", 1], prompt="", prompt_2="", max_tokens=0, one_prompt_per_line=False
    )
    workflow = text_to_image(added, Canvas={"width": width, "height": height}, Sample={**case, "negative": ["8", 0]})
    workflow["8"]["inputs"]["prompt"] = "blurry"
    latent = (comfyui.run(workflow).latent() - 0.1159) * 0.3611
    expected = micro_studio.sample(
        micro_studio.encode([RED]),
        torch.zeros(1, 16, height // 8, width // 8),
        seed=7,
        negative=micro_studio.encode(["blurry"]),
        **case,
    )
    assert (latent - expected).abs().max() <= 1e-5


@pytest.mark.parametrize("strength", [0.3, 0.6, 0.9, 1.0])
@pytest.mark.parametrize("masked", [False, True])
def test_image_to_image_and_inpaint_equal_the_reference_loop(comfyui, micro_studio, strength, masked):
    added = {
        "10": node("EmptyImage", width=64, height=64, batch_size=1, color=0x3366CC),
        "11": node("VAEEncode", vae=["1", 2], pixels=["10", 0]),
        "12": node("SolidMask", value=0.0, width=64, height=64),
        "13": node("SolidMask", value=1.0, width=30, height=24),
        "14": node("MaskComposite", destination=["12", 0], source=["13", 0], x=10, y=20, operation="add"),
        "15": node("SetLatentNoiseMask", samples=["11", 0], mask=["14", 0]),
        "7": node("SaveLatent", samples=["4", 0], filename_prefix="latent"),
    }
    if not masked:
        del added["12"], added["13"], added["14"], added["15"]
    workflow = text_to_image(added, Sample={"latent": ["15" if masked else "11", 0], "strength": strength})
    latent = (comfyui.run(workflow).latent() - 0.1159) * 0.3611
    workflow["7"]["inputs"]["samples"] = ["11", 0]
    image_latents = (comfyui.run(workflow).latent() - 0.1159) * 0.3611  # the same start for both
    from storefront.studio.sampling.noise import latent_mask

    mask = torch.zeros(1, 64, 64)
    mask[:, 20:44, 10:40] = 1
    expected = micro_studio.sample(
        micro_studio.encode([RED]),
        image_latents,
        seed=7,
        steps=8,
        strength=strength,
        mask=latent_mask(mask, 8, 8) if masked else None,
    )
    assert (latent - expected).abs().max() <= 1e-5


def test_each_picture_of_a_batch_equals_the_one_made_alone(comfyui):
    prompts = f"{RED}\n{BLUE}"
    batch = comfyui.run(
        text_to_image(Encode={"prompt": prompts, "one_prompt_per_line": True}, Canvas={"batch_size": 2})
    ).pixels()
    assert len(batch) == 4
    for index, (prompt, offset) in enumerate([(RED, 0), (RED, 1), (BLUE, 1), (BLUE, 2)]):
        alone = comfyui.run(text_to_image(Encode={"prompt": prompt}, Sample={"seed": 7 + offset})).pixels()[0]
        assert abs(alone.astype(int) - batch[index]).max() <= 1


def test_progress_and_previews_reach_the_client(comfyui):
    with comfyui.listening() as (socket, client):
        prompt_id = comfyui.queue(
            text_to_image(Sample={"steps": 9, "seed": 99}),
            client_id=client,
            extra_data={"preview_method": "latent2rgb"},
        )
        seen, previews = [], 0
        while True:
            message = socket.recv()
            if isinstance(message, bytes):
                previews += 1
                continue
            message = json.loads(message)
            if message["type"] == "progress" and message["data"]["node"] == "4":
                seen.append((message["data"]["value"], message["data"]["max"]))
            if message["type"] == "executing" and message["data"]["node"] is None:
                break
    comfyui.wait(prompt_id)
    assert (9, 9) in seen
    assert len(seen) >= 9
    assert previews >= 1


@pytest.mark.parametrize("editor", [True, False])
def test_notes_reach_the_editor_and_only_it(comfyui, editor):
    """Other clients hear nothing that ComfyUI itself does not send, and no binary message, which they take for a picture."""
    with comfyui.listening() as (socket, client):
        if editor:
            socket.send(json.dumps({"type": "feature_flags", "data": {"supports_preview_metadata": True}}))
        prompt = "red " * 200 + str(editor)
        comfyui.queue(text_to_image(Encode={"prompt": prompt}), client_id=client)
        notes = []
        while True:
            message = socket.recv()
            assert not isinstance(message, bytes)
            if (m := json.loads(message))["type"] == "storefront.note":
                notes.append(m["data"])
            elif m["type"] == "executing" and m["data"]["node"] is None:
                break
    assert any(note["node"] == "2" and "cut off" in note["text"] for note in notes) == editor
    assert bool(notes) == editor


def test_cancel_stops_within_a_step_and_the_next_prompt_works(comfyui):
    with comfyui.listening() as (socket, client):
        prompt_id = comfyui.queue(text_to_image(Sample={"steps": 9999, "seed": 5}), client_id=client)
        while True:  # until it draws
            message = socket.recv()
            if isinstance(message, str) and json.loads(message)["type"] == "progress":
                break
        comfyui.get("/interrupt", {})
        result = comfyui.wait(prompt_id, 60)  # all of its steps take longer
    assert not result.ok
    assert "execution_interrupted" in json.dumps(result.history)
    assert comfyui.run(text_to_image(Sample={"seed": 6})).ok


def test_a_time_limit_returns_the_current_prediction_and_says_so(comfyui):
    picture = comfyui.run(text_to_image(Sample={"steps": 9999, "time_limit": 1})).pixels()
    assert picture.std() > 10
    assert "time limit of 1 s reached after" in comfyui.log()


def test_text_that_does_not_fit_is_named(comfyui):
    assert comfyui.run(text_to_image(Encode={"prompt": RED + " word" * 80 + " theend"})).ok
    assert "cut off" in comfyui.log()


def test_a_model_loaded_twice_shares_its_weights(comfyui):
    before = comfyui.log().count("model_type FLUX")
    again = node("StorefrontLoadModel", model="flux-micro", weight_dtype="fp32")
    workflow = text_to_image({"10": again}, LoadModel={"weight_dtype": "fp32"}, Decode={"vae": ["10", 2]})
    assert comfyui.run(workflow).ok
    assert comfyui.log().count("model_type FLUX") == before + 1


@pytest.mark.parametrize("dtype", ["bf16", "fp16", "fp8 storage"])
def test_smaller_weights_draw_nearly_the_same(comfyui, dtype):
    whole = comfyui.run(text_to_image()).pixels().astype(int)
    small = comfyui.run(text_to_image(LoadModel={"weight_dtype": dtype})).pixels()
    assert 0 < abs(whole - small).mean() < 20


# --- stock nodes on our sockets ---------------------------------------------------------------------------------------


def stock_sampling(**changes) -> dict:
    sampler = {
        "model": ["1", 0],
        "positive": ["2", 0],
        "negative": ["2", 0],
        "latent_image": ["3", 0],
        "seed": 1,
        "steps": 8,
        "cfg": 1.0,
        "sampler_name": "euler",
        "scheduler": "simple",
        "denoise": 1.0,
    }
    workflow = text_to_image()
    workflow["2"] = node("CLIPTextEncode", clip=["1", 1], text=BLUE)
    workflow["3"] = node("EmptySD3LatentImage", width=64, height=64, batch_size=2)
    workflow["4"] = node("KSampler", **{**sampler, **changes})
    workflow["5"] = node("VAEDecode", vae=["1", 2], samples=["4", 0])
    return workflow


def is_blue(pixels) -> bool:
    centre = pixels[:, 24:48, 20:44].mean((1, 2))
    return bool((centre[:, 2] > centre[:, 0] + 30).all())


@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m", "heun"])
def test_ksampler_and_stock_text_and_decoder(comfyui, sampler):
    assert is_blue(comfyui.run(stock_sampling(sampler_name=sampler)).pixels())


def test_clip_text_encode_flux_and_tiled_decoder(comfyui):
    workflow = stock_sampling()
    workflow["2"] = node("CLIPTextEncodeFlux", clip=["1", 1], clip_l=BLUE, t5xxl=BLUE, guidance=2.0)
    workflow["5"] = node(
        "VAEDecodeTiled",
        vae=["1", 2],
        samples=["4", 0],
        tile_size=64,
        overlap=16,
        temporal_size=64,
        temporal_overlap=8,
    )
    assert is_blue(comfyui.run(workflow).pixels())


@pytest.mark.parametrize("guider", ["BasicGuider", "CFGGuider"])
def test_sampler_custom_advanced_with_guiders(comfyui, guider):
    text = {"positive": ["11", 0], "negative": ["11", 0], "cfg": 1.0} if guider == "CFGGuider" else {}
    text = text or {"conditioning": ["11", 0]}
    workflow = text_to_image(
        {
            "10": node("ModelSamplingFlux", model=["1", 0], max_shift=1.15, base_shift=0.5, width=64, height=64),
            "11": node("FluxGuidance", conditioning=["2", 0], guidance=3.5),
            "12": node(guider, model=["10", 0], **text),
            "13": node("RandomNoise", noise_seed=7),
            "14": node("KSamplerSelect", sampler_name="euler"),
            "15": node("BasicScheduler", model=["10", 0], scheduler="simple", steps=8, denoise=1.0),
        },
        Encode={"prompt": BLUE},
    )
    workflow["4"] = node(
        "SamplerCustomAdvanced",
        noise=["13", 0],
        guider=["12", 0],
        sampler=["14", 0],
        sigmas=["15", 0],
        latent_image=["3", 0],
    )
    assert is_blue(comfyui.run(workflow).pixels())


def test_model_sampling_flux_shifts_our_sampler_too(comfyui):
    shift = node("ModelSamplingFlux", model=["1", 0], max_shift=1.15, base_shift=0.5, width=1024, height=1024)
    plain = comfyui.run(text_to_image()).pixels()
    shifted = comfyui.run(text_to_image({"10": shift}, Sample={"model": ["10", 0]})).pixels()
    assert (plain != shifted).any()


@pytest.mark.parametrize("loader", ["LoraLoader", "LoraLoaderModelOnly"])
def test_stock_lora_loaders(comfyui, loader):
    def with_lora(strength):
        lora = node(loader, model=["1", 0], lora_name="micro.safetensors", strength_model=strength)
        if loader == "LoraLoader":
            lora["inputs"] |= {"clip": ["1", 1], "strength_clip": 1.0}
        return comfyui.run(text_to_image({"10": lora}, Sample={"model": ["10", 0]})).pixels()

    plain = comfyui.run(text_to_image()).pixels()
    assert (with_lora(1.0) != plain).any()
    assert (with_lora(0.0) == plain).all()
    assert "lora key not loaded" not in comfyui.log()
    assert (comfyui.run(text_to_image(Decode={"tiling": "off"})).pixels() == plain).all()


def test_tiled_decoding_on_request(comfyui):
    plain = comfyui.run(text_to_image()).pixels().astype(int)
    tiled = comfyui.run(text_to_image(Decode={"tiling": "on"})).pixels()
    assert abs(plain - tiled).max() <= 1  # one tile holds it all


# --- ours on stock sockets --------------------------------------------------------------------------------------------


def test_our_sampler_on_a_stock_model_equals_ours(comfyui):
    save = {"7": node("SaveLatent", samples=["4", 0], filename_prefix="latent")}
    stock = {"10": node("UNETLoader", unet_name="micro.safetensors", weight_dtype="default")}
    ours = comfyui.run(text_to_image(save)).latent()
    theirs = comfyui.run(text_to_image(save | stock, Sample={"model": ["10", 0]})).latent()
    assert (ours - theirs).abs().max() < 1e-3


def test_unload_models_frees_ours_and_the_next_prompt_loads_them_again(comfyui):
    def loads() -> int:
        return comfyui.log().count("Requested to load DiffusersModel")

    before, first = comfyui.run(text_to_image()).pixels(), loads()
    comfyui.run(text_to_image(Sample={"seed": 8}))
    assert loads() == first  # still loaded
    for _ in range(5):  # on a busy machine the executor may take the prompt before it looks for the request
        comfyui.get("/free", {"unload_models": True, "free_memory": True})
        time.sleep(2)
        assert (comfyui.run(text_to_image()).pixels() == before).all()
        if loads() > first:
            break
    assert loads() == first + 1


def test_the_log_knows_the_licence(comfyui):
    comfyui.run(text_to_image(LoadModel={"weight_dtype": "fp32"}))
    assert "flux-micro: FLUX.1; licence Apache-2.0" in comfyui.log()
    assert Path(comfyui.base).is_dir()
