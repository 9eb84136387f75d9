"""Flags, masks, a second pass of Fill and ModelSamplingAuraFlow on our sampler; used by inside_graphs.py."""

from __future__ import annotations

import comfy.samplers
import comfy.utils
import tiny
import torch
from comfy.cli_args import args
from comfy_extras import nodes_custom_sampler as custom
from comfy_extras.nodes_model_advanced import ModelSamplingAuraFlow, ModelSamplingSD3
from storefront.host import model_files, opening, prompt_encoding, sampling
from storefront.studio.errors import InputError

FLAGS = {
    "fp8_e4m3fn_unet": "float8_e4m3fn",
    "fp8_e5m2_unet": "float8_e5m2",
    "bf16_unet": "bfloat16",
    "fp16_unet": "float16",
    "fp32_unet": "float32",
    "fp8_e4m3fn_text_enc": "float8_e4m3fn",
    "bf16_text_enc": "bfloat16",
}
ASIDE = {
    "bf16_vae": "fp32",
    "force_fp16": "auto",
    "force_fp32": "bf16",
}  # with a weight_dtype that they are set aside for
NAMED = ("SelfAttention.o", "proj_out", "to_q")  # layers that every flag reaches
SETTINGS = {"seed": 7, "steps": 3, "guidance": 3.5, "cfg": 1.0, "strength": 1.0, "time_limit": 0}


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a.float() - b.float()).abs().max())


def drawn(model, text, latent, **changes) -> tuple[dict, list[str]]:
    return sampling.sample(model, text, None, latent, sampling.SamplerSettings(**{**SETTINGS, **changes}))


def asked(models, clip, base) -> dict:
    text, _ = prompt_encoding.encode_prompts(clip, [("a red mug", "a red mug")], 0)
    return {
        "flags": flags(),
        "masks": masks(models["ours"], text),
        "AuraFlow": aura_flow(models["ours"], text),
        "Fill": second_pass_of_fill(base / "models" / "diffusers" / "fill"),
    }


def flags() -> dict:
    """Dtype of a linear layer's weight under each flag, whether the model draws, and what is said where it is set aside."""
    out = {}
    for flag, wanted in FLAGS.items():
        setattr(args, flag, True)
        opening._OPEN.clear()
        try:
            opened = opening.load_model(model_files.BUNDLED, "auto")
            aside = opening.load_model(model_files.BUNDLED, "fp32").notes
        finally:
            setattr(args, flag, False)
        part = opened.clip.cond_stage_model if flag.endswith("enc") else opened.model.model.diffusion_model
        layers = [
            one for name, one in part.named_modules() if isinstance(one, torch.nn.Linear) and name.endswith(NAMED)
        ]
        text, _ = prompt_encoding.encode_prompts(opened.clip, [("a red mug", "a red mug")], 0)
        latents = drawn(opened.model, text, {"samples": torch.zeros(1, 16, 8, 8)})[0]["samples"]
        out[flag] = {
            "wanted": wanted,
            "dtypes": sorted({str(layer.weight.dtype).removeprefix("torch.") for layer in layers}),
            "finite": bool(torch.isfinite(latents).all()),
            "aside": " ".join(aside),
        }
    for flag, weight_dtype in ASIDE.items():
        setattr(args, flag, True)
        out[flag] = " ".join(opening.load_model(model_files.BUNDLED, weight_dtype).notes)
        setattr(args, flag, False)
    setattr(args, "fp64_unet", True)  # noqa: B010, the parser's own names
    out["fp64"] = " ".join(opening.load_model(model_files.BUNDLED, "auto").notes)
    setattr(args, "fp64_unet", False)  # noqa: B010
    opening._OPEN.clear()
    return out


def masks(model, text) -> dict:
    """6 masks for 2 pictures, and 2 for 3: as KSampler cuts and repeats them."""
    random = torch.Generator().manual_seed(0)
    six = (torch.rand(6, 64, 64, generator=random) > 0.5).float()
    out = {}
    for name, count, given, wanted in (
        ("6 for 2", 2, six, six[:2]),
        ("2 for 3", 3, six[:2], six[[0, 1, 0]]),
        ("1 for 2", 2, six[:1], six[[0, 0]]),
    ):
        samples = torch.randn(count, 16, 8, 8, generator=random)
        had, notes = drawn(model, text, {"samples": samples, "noise_mask": given})
        expected, _ = drawn(model, text, {"samples": samples, "noise_mask": wanted})
        out[name] = {"apart": difference(had["samples"], expected["samples"]), "note": "; ".join(notes)}
    return out


def aura_flow(model, text) -> dict:
    """Our sampler behind the node, against SamplerCustom with the levels that its shift makes."""
    shift, steps = 4.0, SETTINGS["steps"]
    (patched,) = ModelSamplingAuraFlow().patch_aura(model, shift)
    had, _ = drawn(patched, text, {"samples": torch.zeros(1, 16, 8, 8)})
    even = torch.linspace(1, 1 / steps, steps)
    levels = torch.cat([shift * even / (1 + (shift - 1) * even), torch.zeros(1)])
    euler = comfy.samplers.ksampler("euler")
    canvas = {"samples": torch.zeros(1, 16, 8, 8)}
    text = [[text[0][0], {**text[0][1], "guidance": SETTINGS["guidance"]}]]
    stock = custom.SamplerCustom.execute(patched, True, SETTINGS["seed"], 1.0, text, text, euler, levels, canvas)
    plain, _ = drawn(model, text, canvas)
    (thousand,) = ModelSamplingSD3().patch(model, shift)
    refused = ""
    try:
        drawn(thousand, text, canvas)
    except InputError as error:
        refused = str(error)
    return {
        "apart": difference(had["samples"], stock.result[0]["samples"]),
        "moves": difference(had["samples"], plain["samples"]),
        "times of a thousand": refused,
    }


def second_pass_of_fill(folder) -> dict:
    """The picture to repaint at another size than the latent: as if it had been brought to that size before."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    tiny.build(folder, edition="FLUX.1 Fill")
    opened = opening.load_model(folder.name, "fp32")
    (sequence, options), *_ = prompt_encoding.encode_prompts(opened.clip, [("a red mug", "a red mug")], 0)[0]
    picture = torch.randn(1, 16, 8, 8, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 32:] = 1
    larger = {"samples": torch.zeros(1, 16, 12, 12)}
    out = []
    for shown in (picture, comfy.utils.common_upscale(picture, 12, 12, "bilinear", "center")):
        text = [[sequence, {**options, "concat_latent_image": shown, "concat_mask": mask}]]
        out.append(drawn(opened.model, text, larger)[0]["samples"])
    return {"apart": difference(*out), "spread": float(out[0].std())}
