"""What only a ComfyUI process can measure of itself: `python tests/host/inside.py COMFYUI_FOLDER` prints JSON.

Run by test_inside.py. Every figure is the outcome of the real classes of that ComfyUI, on the CPU.
"""

from __future__ import annotations

import contextlib
import json

import comfy_process  # noqa: F401, first: it makes this process a ComfyUI

import comfy.model_base
import comfy.model_management as mm
import comfy.model_patcher
import comfy.samplers
import comfy.sd
import comfy.supported_models
import starved
import torch
from storefront.host import blending, model_files, opening, prompt_encoding, sampling, vae_socket
from storefront.studio import examples
from storefront.studio.errors import InputError

CPU = torch.device("cpu")
SETTINGS = {"seed": 0, "steps": 2, "guidance": 3.5, "cfg": 1.0, "strength": 1.0, "time_limit": 0}
LATENT = torch.randn(1, 16, 8, 8, generator=torch.Generator().manual_seed(0))


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max())


def half_resident(patcher, compute) -> dict:
    """How far a module with half of its weights resident computes from the whole one, and how much was resident."""
    mm.load_models_gpu([patcher])
    whole = compute()
    mm.unload_all_models()
    patcher.load(device_to=CPU, lowvram_model_memory=patcher.model_size() // 2)
    resident = patcher.loaded_size() / patcher.model_size()
    half = compute()
    patcher.unpatch_model(CPU)
    return {"difference": difference(whole, half), "resident": resident}


@torch.no_grad()
def partial_loading(loaded) -> dict:
    (conditioning,) = prompt_encoding.encode_prompts(loaded.clip, [("a red mug", "a red mug")], 0)[0]
    model = loaded.model.model

    def velocity() -> torch.Tensor:
        cross, pooled = conditioning[0], conditioning[1]["pooled_output"]
        return model.apply_model(LATENT, torch.tensor([0.7]), c_crossattn=cross, y=pooled, guidance=torch.tensor([3.5]))

    tokens = loaded.clip.tokenize("a red mug")
    encoders = loaded.clip.cond_stage_model
    return {
        "MODEL": half_resident(loaded.model, velocity),
        "CLIP": half_resident(loaded.clip.patcher, lambda: encoders.encode_token_weights(tokens)[0]),
        "VAE": half_resident(loaded.vae.patcher, lambda: loaded.vae.first_stage_model.decode(LATENT)),
    }


def stock_flux_clip():
    """ComfyUI's own FLUX text encoders with few layers and random weights."""
    import comfy.text_encoders.flux as flux
    from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

    torch.manual_seed(0)
    clip = CLIPTextModel(
        CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_attention_heads=12, num_hidden_layers=2)
    )
    t5 = T5EncoderModel(
        T5Config(d_model=64, num_layers=2, d_ff=128, num_heads=4, d_kv=16, feed_forward_proj="gated-gelu")
    )
    layers = {"num_hidden_layers": 2, "num_layers": 2}
    small = {"d_model": 64, "num_layers": 2, "d_ff": 128, "num_heads": 4, "d_kv": 16}
    target = type("Target", (), {"params": {}, "clip": flux.flux_clip(), "tokenizer": flux.FluxTokenizer})
    stock = comfy.sd.CLIP(
        target, model_options={"clip_l_model_config": layers, "t5xxl_model_config": small, "dtype": torch.float32}
    )
    # transformers 5 dropped the "text_model." in front of the names; ComfyUI wants it.
    names = {f"text_model.{key.removeprefix('text_model.')}": value for key, value in clip.state_dict().items()}
    stock.cond_stage_model.load_sd(names)
    stock.cond_stage_model.load_sd(t5.state_dict())
    return stock


def stock_clip() -> dict:
    clip = stock_flux_clip()
    (ours,), _ = prompt_encoding.encode_prompts(clip, [("a red mug", "on marble")], 0)
    tokens = clip.tokenize("a red mug")
    tokens["t5xxl"] = clip.tokenize("on marble")["t5xxl"]
    sequence, pooled = clip.encode_from_tokens(tokens, return_pooled=True)
    (batch,), _ = prompt_encoding.encode_prompts(
        clip, [("a red mug", "a red mug"), ("a box " * 300, "a box " * 300)], 0
    )
    refused = ""
    try:
        prompt_encoding.encode_prompts(clip, [("a", "a")], 100)
    except InputError as error:
        refused = str(error)
    return {
        "sequence": difference(ours[0], sequence),
        "pooled": difference(ours[1]["pooled_output"], pooled),
        "spread": float(sequence.std()),
        "batch": list(batch[0].shape),
        "refused": refused,
    }


@torch.no_grad()
def stock_vae() -> dict:
    """A stock VAE of FLUX.1's real shape with random weights, against diffusers."""
    from diffusers import AutoencoderKL

    torch.manual_seed(0)
    kind = {"block_out_channels": (128, 256, 512, 512), "layers_per_block": 2, "latent_channels": 16}
    reference = AutoencoderKL(
        **kind,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        use_quant_conv=False,
        use_post_quant_conv=False,
    ).eval()
    vae = comfy.sd.VAE(sd=reference.state_dict(), dtype=torch.float32)
    image, note = vae_socket.decode(vae, LATENT, "auto")
    expected = (reference.decode(LATENT).sample / 2 + 0.5).clamp(0, 1).movedim(1, -1)
    wrong = ""
    try:
        vae_socket.decode(vae, torch.zeros(1, 4, 8, 8), "auto")
    except InputError as error:
        wrong = str(error)
    return {
        "difference": difference(image, expected),
        "spread": float(expected.std()),
        "note": note,
        "wrong": wrong,
    }


def other_model(loaded) -> str:
    """The refusal that a MODEL of another family gets."""
    unet = {
        "image_size": 32,
        "in_channels": 4,
        "out_channels": 4,
        "model_channels": 32,
        "num_res_blocks": [1, 1],
        "channel_mult": [1, 2],
        "transformer_depth": [0, 0],
        "transformer_depth_output": [0, 0, 0, 0],
        "transformer_depth_middle": 0,
        "context_dim": 32,
        "num_heads": 4,
        "use_spatial_transformer": True,
        "dtype": torch.float32,
    }
    model = comfy.model_base.BaseModel(comfy.supported_models.SD15(unet), device=CPU)
    patcher = comfy.model_patcher.ModelPatcher(model, CPU, CPU)
    conditioning, _ = prompt_encoding.encode_prompts(loaded.clip, [("a", "a")], 0)
    try:
        sampling.sample(
            patcher, conditioning, None, {"samples": torch.zeros(1, 4, 8, 8)}, sampling.SamplerSettings(**SETTINGS)
        )
    except InputError as error:
        return str(error)
    return ""


@contextlib.contextmanager
def small_device(vae, cells: int):
    """Decodes no more than cells x cells at once."""
    decoder = vae.first_stage_model
    decode = decoder.decode

    def guarded(latents: torch.Tensor, **options) -> torch.Tensor:
        if latents.shape[-1] > cells or latents.shape[-2] > cells:
            raise mm.OOM_EXCEPTION("no room")
        return decode(latents, **options)

    decoder.decode = guarded
    try:
        yield
    finally:
        del decoder.decode


def memory_runs_out(loaded) -> dict:
    """Decoding with a VAE whose device holds no more than 40 x 40 cells: in tiles, and the same picture but for seams."""
    photo = torch.nn.functional.interpolate(examples.photo("coffee").movedim(-1, 1), (576, 576)).movedim(1, -1)
    latent = loaded.vae.encode(photo)
    whole, _ = vae_socket.decode(loaded.vae, latent, "off")
    with small_device(loaded.vae, 40):
        tiled, note = vae_socket.decode(loaded.vae, latent, "auto")
        try:
            vae_socket.decode(loaded.vae, latent, "off")
            refused = False
        except mm.OOM_EXCEPTION:
            refused = True
    return {"note": note, "mean difference": float((whole - tiled).abs().mean()), "off raises": refused}


def cancel_while_loading() -> str:
    mm.interrupt_current_processing(True)
    try:
        opening.load_model(model_files.BUNDLED, "fp16")
    except BaseException as error:
        return type(error).__name__
    finally:
        mm.interrupt_current_processing(False)
    return ""


@torch.no_grad()
def streaming(loaded) -> dict:
    """Inputs on a GPU, weights on the CPU, as partial loading leaves them: which device the results are on, or the error.

    On torch's fake tensors, which know devices and no values: no GPU is needed to see that every weight is brought over.
    """
    from storefront.studio.sampling import encode
    from torch._subclasses.fake_tensor import FakeTensorMode

    (sequence, options), *_ = prompt_encoding.encode_prompts(loaded.clip, [("a", "a")], 0)[0]
    encoders, ids = loaded.clip.cond_stage_model, torch.arange(8)[None]
    velocity, decoder = loaded.model.model.diffusion_model, loaded.vae.first_stage_model
    inputs = (LATENT, torch.tensor([0.7]), sequence, options["pooled_output"], torch.tensor([3.5]))
    calls = {
        "T5": (lambda *a: encode.sequence_embedding(encoders.studio.t5xxl, *a), (ids,)),
        "CLIP": (lambda *a: encode.pooled_embedding(encoders.studio.clip_l, *a), (ids,)),
        "transformer": (lambda x, t, c, y, g: velocity(x, t, c, y=y, guidance=g), inputs),
        "VAE": (decoder.decode, (LATENT,)),
    }
    outcome = {}
    for name, (call, arguments) in calls.items():
        with FakeTensorMode(allow_non_fake_inputs=True):
            moved = [torch.zeros(a.shape, dtype=a.dtype, device="cuda") for a in arguments]
            try:
                outcome[name] = call(*moved).device.type
            except Exception as error:
                outcome[name] = f"{type(error).__name__}: {error}"[-300:]
    return outcome


def masks_and_prompts(loaded) -> dict:
    """Two pictures with masks of their own and two prompts: how much each half of each of the four was repainted."""
    conditioning, _ = prompt_encoding.encode_prompts(loaded.clip, [("a red mug", "a red mug"), ("a box", "a box")], 0)
    masks = torch.zeros(2, 64, 64)
    masks[0, :, :32], masks[1, :, 32:] = 1, 1
    start = loaded.vae.encode(torch.rand(2, 64, 64, 3, generator=torch.Generator().manual_seed(0)))
    out, _ = sampling.sample(
        loaded.model, conditioning, None, {"samples": start, "noise_mask": masks}, sampling.SamplerSettings(**SETTINGS)
    )
    moved = (out["samples"] - start.repeat(2, 1, 1, 1)).abs()
    return {
        "left": [float(x) for x in moved[..., :4].amax((1, 2, 3))],
        "right": [float(x) for x in moved[..., 4:].amax((1, 2, 3))],
    }


def blending_batches(loaded) -> dict:
    """Two pictures blended, with a prompt each: as each by itself with its own prompt, and no prompt left over."""
    words = [("a red mug", "a red mug"), ("a blue box", "a blue box"), ("a vase", "a vase")]
    pictures = torch.rand(2, 64, 64, 3, generator=torch.Generator().manual_seed(0))
    masks = torch.zeros(2, 64, 64)
    masks[:, 20:44, 20:44] = 1

    def blended(pictures, masks, words, seed=0, against=None):
        positive, _ = prompt_encoding.encode_prompts(loaded.clip, words, 0)
        negative = prompt_encoding.encode_prompts(loaded.clip, against, 0)[0] if against else None
        inputs = blending.ModelInputs(loaded.model, positive, negative, loaded.vae)
        settings = sampling.SamplerSettings(seed, 2, 3.5, 3.0 if against else 1.0)
        return blending.into_scene(pictures, masks, None, inputs, settings, reach=20.0, longest_side=0)

    together = blended(pictures, masks, words[:2])[0]
    alone = [blended(pictures[i : i + 1], masks[i : i + 1], [words[i]], seed=i)[0][0] for i in range(2)]
    first_words = blended(pictures, masks, words[:1])[0]
    steered = blended(pictures, masks, words[:2], against=words[1:])[0]
    steered_alone = blended(pictures[1:], masks[1:], words[1:2], seed=1, against=words[2:])[0][0]
    with small_device(loaded.vae, 40):
        *_, notes = blended(
            torch.rand(1, 336, 336, 3), torch.nn.functional.interpolate(masks[None, :1], (336, 336))[0], words[:1]
        )
    try:
        refused = f"not at all: {blended(pictures, masks, words)[0].shape}"
    except InputError as error:
        refused = str(error)
    return {
        "difference": max(difference(a, b) for a, b in zip(together, alone)),
        "the second prompt counts": difference(together[1], first_words[1]),
        "steered away": difference(together[1], steered[1]),
        "each from its own": difference(steered[1], steered_alone),
        "notes": notes,
        "refused": refused,
    }


def refusals(loaded) -> dict:
    """What cannot be honoured is refused by name, never ignored."""
    import comfy.model_sampling

    plain, _ = prompt_encoding.encode_prompts(loaded.clip, [("a", "a")], 0)

    def outcome(model=loaded.model, positive=plain, negative=None, count=1, **changes) -> str:
        latent = {"samples": torch.zeros(count, 16, 8, 8)}
        try:
            sampling.sample(model, positive, negative, latent, sampling.SamplerSettings(**{**SETTINGS, **changes}))
        except InputError as error:
            return str(error)
        return "no error"

    shifted = loaded.model.clone()
    sampler = type("Other", (comfy.model_sampling.ModelSamplingDiscreteFlow, comfy.model_sampling.CONST), {})
    thousand = sampler(loaded.model.model.model_config)
    thousand.set_parameters(shift=3.0, multiplier=1000)
    shifted.add_object_patch("model_sampling", thousand)
    patched = loaded.model.clone()
    patched.set_model_attn1_patch(lambda *a: a)
    three, _ = prompt_encoding.encode_prompts(loaded.clip, [("a", "a")] * 3, 0)
    return {
        "shift": outcome(shifted),
        "attention": outcome(patched),
        "reference": outcome(positive=[[plain[0][0], {**plain[0][1], "reference_latents": [LATENT]}]]),
        "cfg below 1": outcome(cfg=0.5),
        "negative": outcome(negative=three, cfg=2.0, count=2),
    }


def stock_schedule_of_schnell() -> float:
    """How far stock samplers' sigmas on our MODEL with schnell's scheduler are from those of a stock schnell."""
    from storefront.host.model_socket import DiffusersModel
    from storefront.studio.kinds.facts import ModelFacts
    from storefront.studio.kinds.flux1 import EDITIONS, SCHNELL_SCHEDULER

    edition = EDITIONS["FluxPipeline"]
    facts = ModelFacts(edition, edition.quick, SCHNELL_SCHEDULER)
    ours = DiffusersModel(torch.nn.Identity(), facts, None, None, CPU)
    config = comfy.supported_models.FluxSchnell({"image_model": "flux", "guidance_embed": False})
    stock = comfy.model_base.model_sampling(config, comfy.model_base.ModelType.FLOW)
    simple = [comfy.samplers.calculate_sigmas(sampling, "simple", 4) for sampling in (ours.model_sampling, stock)]
    return difference(*simple)


def sharing(loaded) -> dict:
    def fresh():
        return opening.load_model(model_files.BUNDLED, "fp16")

    first = fresh()
    second = fresh()
    inner = second.model.model
    del first
    third = fresh()
    again = opening.load_model(model_files.BUNDLED, "fp32")
    other = opening.load_model(model_files.BUNDLED, "bf16")
    return {
        "same weights": again.model.model is loaded.model.model
        and again.clip.cond_stage_model is loaded.clip.cond_stage_model
        and again.vae is loaded.vae,
        "outlives the first": third.model.model is inner,
        "other dtype apart": other.model.model is not loaded.model.model,
    }


def main() -> None:
    loaded = opening.load_model(model_files.BUNDLED, "fp32")
    figures = {
        "partial loading": partial_loading(loaded),
        "streaming": streaming(loaded),
        "masks and prompts": masks_and_prompts(loaded),
        "blending": blending_batches(loaded),
        "refusals": refusals(loaded),
        "schnell": stock_schedule_of_schnell(),
        "stock CLIP": stock_clip(),
        "stock VAE": stock_vae(),
        "other model": other_model(loaded),
        "memory runs out": memory_runs_out(loaded),
        "starved": starved.starved(loaded),
        "cancel while loading": cancel_while_loading(),
        "sharing": sharing(loaded),
    }
    print("FIGURES " + json.dumps(figures))


main()
