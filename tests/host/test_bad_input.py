"""Whatever a stranger sends: an error that names the input, and a server that draws the next picture."""

from __future__ import annotations

import math

import pytest
from comfyui import node, text_to_image

FULL = {"prompt_2": "", "max_tokens": 0, "one_prompt_per_line": False}
NO_CLIP_NO_VAE = {
    "10": node(
        "StorefrontLoadComponents",
        transformer="diffusers/flux-micro",
        text_encoder="none",
        text_encoder_2="auto",
        vae="none",
        weight_dtype="auto",
    )
}
LORA_ALONE = {"10": node("StorefrontLoadLora", model=["1", 0], lora_1="micro.safetensors")}


def over_link(number: int, **inputs: str) -> dict:
    """The workflow with a whole number wired to one input."""
    ((name, entry),) = inputs.items()
    return text_to_image({"30": node("PrimitiveInt", value=number)}, **{name: {entry: ["30", 0]}})


@pytest.fixture(scope="module", autouse=True)
def the_next_prompt_works(comfyui):
    yield
    assert comfyui.run(text_to_image(Sample={"seed": 12345})).ok


REFUSED = [
    ("width", text_to_image(Canvas={"width": 0})),
    ("width", text_to_image(Canvas={"width": 15})),
    ("height", text_to_image(Canvas={"height": 100_000})),
    ("batch_size", text_to_image(Canvas={"batch_size": 0})),
    ("format", text_to_image(Canvas={"format": "A4"})),
    ("steps", text_to_image(Sample={"steps": -1})),
    ("steps", text_to_image(Sample={"steps": 10_001})),
    ("seed", text_to_image(Sample={"seed": -1})),
    ("seed", text_to_image(Sample={"seed": 2**64})),
    ("guidance", text_to_image(Sample={"guidance": math.nan})),
    ("guidance", text_to_image(Sample={"guidance": math.inf})),
    ("cfg", text_to_image(Sample={"cfg": math.nan})),
    ("cfg", text_to_image(Sample={"cfg": -math.inf})),
    ("negative", text_to_image(Sample={"cfg": 3.0})),
    ("strength", text_to_image(Sample={"strength": math.nan})),
    ("strength", text_to_image(Sample={"strength": 0.0})),
    ("strength", text_to_image(Sample={"strength": 1.01})),
    ("time_limit", text_to_image(Sample={"time_limit": math.nan})),
    ("time_limit", text_to_image(Sample={"time_limit": -1})),
    ("tiling", text_to_image(Decode={"tiling": "maybe"})),
    ("max_tokens", text_to_image(Encode={"max_tokens": -5})),
    ("max_tokens", text_to_image(Encode={"max_tokens": 100_000})),
    ("`prompt` is", text_to_image(Encode={"prompt": "half a pair: \ud83d"})),
    ("`prompt` is '1000000 characters'", text_to_image(Encode={"prompt": "cup " * 250_000})),
    (
        "`text` is '\\ud83d'",
        text_to_image({"10": node("CLIPTextEncode", clip=["1", 1], text="\ud83d")}, Sample={"positive": ["10", 0]}),
    ),
    ("`clip` is missing", text_to_image(NO_CLIP_NO_VAE, Encode={"clip": ["10", 1]})),
    ("`vae` is missing", text_to_image(NO_CLIP_NO_VAE, Decode={"vae": ["10", 2]})),
    (
        "`vae` is missing",
        text_to_image(
            NO_CLIP_NO_VAE
            | {
                "11": node("EmptyImage", width=64, height=64, batch_size=1, color=0),
                "12": node(
                    "StorefrontReference", conditioning=["2", 0], vae=["10", 2], image=["11", 0], size="as it is"
                ),
            },
            Sample={"positive": ["12", 0]},
        ),
    ),
    ("`clip` is missing", text_to_image(LORA_ALONE, Encode={"clip": ["10", 1]})),
    ("prompt", text_to_image(Encode={"prompt": "\n\n", "one_prompt_per_line": True})),
    # Over a link, where ComfyUI checks neither minimum nor maximum, and sockets that are no links
    ("`max_tokens` is 20000. Use a whole number from 0 to ", over_link(20_000, Encode="max_tokens")),
    ("`max_tokens` is 9223372036854775807. Use a whole", over_link(2**63 - 1, Encode="max_tokens")),
    ("`max_tokens` is -1. Use a whole number", over_link(-1, Encode="max_tokens")),
    ("`batch_size` is 65. Use a whole number from 1 to 64.", over_link(65, Canvas="batch_size")),
    ("`steps` is 10001. Use a whole number", over_link(10_001, Sample="steps")),
    ("`vae` is 0. Connect the VAE of a loader", text_to_image(Decode={"vae": 0})),
    ("`latent` is a dict of 1. Connect a LATENT", text_to_image(Decode={"latent": {"samples": 5}})),
    ("`model` is 'x'. Connect the MODEL", text_to_image(Sample={"model": "x"})),
    ("`positive` is 1. Connect a CONDITIONING", text_to_image(Sample={"positive": 1})),
    ("prompt_2", text_to_image(Encode={"prompt": "a\nb\nc", "prompt_2": "d\ne", "one_prompt_per_line": True})),
    ("model", text_to_image(LoadModel={"model": "../flux-micro"})),
    ("model", text_to_image(LoadModel={"model": "/etc"})),
    ("weight_dtype", text_to_image(LoadModel={"weight_dtype": "int3"})),
    ("is a pickle", text_to_image(LoadModel={"model": "pickled"})),
    ("a whole file of", text_to_image(LoadModel={"model": "truncated"})),
    ("text_encoder/config.json", text_to_image(LoadModel={"model": "headless"})),
    (
        "latent",
        text_to_image(
            {
                "10": node("EmptyImage", width=64, height=64, batch_size=1, color=0x808080),
                "11": node("VAELoader", vae_name="pixel_space"),
                "12": node("VAEEncode", vae=["11", 0], pixels=["10", 0]),
            },
            Sample={"latent": ["12", 0]},
        ),
    ),
]


@pytest.mark.parametrize(("named", "workflow"), REFUSED, ids=[f"{i}-{name}" for i, (name, _) in enumerate(REFUSED)])
def test_bad_input_is_refused_by_name(comfyui, named, workflow):
    result = comfyui.run(workflow)
    assert not result.ok
    assert named in result.error


WORKS = {
    "empty prompt": text_to_image(Encode={"prompt": ""}),
    "long prompt": text_to_image(Encode={"prompt": "빨간 머그컵 " * 14_300}),
    "scripts": text_to_image(Encode={"prompt": "머그컵 マグ 马克杯 кружка كوب ספל แก้ว मग 👩‍👩‍👧‍👦🏺 \u202e\x00"}),
    "17 px": text_to_image(Canvas={"width": 17}),
    "lowest seed": text_to_image(Sample={"seed": 0}),
    "highest seed": text_to_image(Sample={"seed": 2**64 - 1}, Canvas={"batch_size": 2}),
    "odd latent": text_to_image(
        {"10": node("EmptySD3LatentImage", width=72, height=88, batch_size=1)}, Sample={"latent": ["10", 0]}
    ),
    "latent of 4 channels, empty": text_to_image(
        {"10": node("EmptyLatentImage", width=64, height=64, batch_size=1)}, Sample={"latent": ["10", 0]}
    ),
}


@pytest.mark.parametrize("name", WORKS)
def test_unusual_input_works(comfyui, name):
    result = comfyui.run(WORKS[name])
    assert result.ok, result.error
