"""Our sockets and stock ones exchanged, inside a ComfyUI process: `python tests/host/inside_exchange.py COMFYUI_FOLDER`.

Run by test_exchange.py; prints JSON. Stock models are ComfyUI's own classes with the same random weights as ours, which have
those of the published proportions that ComfyUI's classes leave no choice of.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import comfy_process

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "studio" / "opening"))

import comfy.clip_vision
import comfy.latent_formats
import comfy.model_patcher
import comfy.sd
import comfy.supported_models
import nodes
import torch
import writers
from comfy_extras.nodes_custom_sampler import BasicGuider, KSamplerSelect, RandomNoise, SamplerCustomAdvanced
from comfy_extras.nodes_edit_model import ReferenceLatent
from comfy_extras.nodes_flux import Flux2Scheduler
from comfy_extras.nodes_model_advanced import ModelSamplingAuraFlow
from diffusers import (
    AutoencoderKLFlux2,
    Flux2Transformer2DModel,
    FluxPipeline,
    FluxPriorReduxPipeline,
    ZImageTransformer2DModel,
)
from diffusers.pipelines.flux.modeling_flux import ReduxImageEncoder
from safetensors.torch import save_file
from storefront.host import model_files, opening, prompt_encoding, sampling, vae_socket
from storefront.host.model_socket import facts_of
from storefront.studio import images
from storefront.studio.errors import InputError
from storefront.studio.sampling import noise
from storefront.studio.kinds.flux1 import unpack
from transformers import SiglipImageProcessor, SiglipVisionConfig, SiglipVisionModel

MODELS = comfy_process.BASE / "models"
CPU = torch.device("cpu")
PROMPT, SEED, STEPS = "서울의 밤, a blue lamp", 7, 3
SEEN = 112  # pixels a side


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max())


def build(name: str):
    """A folder whose transformer has what ComfyUI's classes take for granted: heads of 128, the ways of the layers."""
    folder = MODELS / "diffusers" / name
    writers.tiny.BUILDERS[name](folder)
    torch.manual_seed(1)
    if name.startswith("FLUX.2"):
        transformer = Flux2Transformer2DModel(
            in_channels=128,
            num_layers=1,
            num_single_layers=2,
            attention_head_dim=128,
            num_attention_heads=1,
            joint_attention_dim=48,
            timestep_guidance_channels=256,
            axes_dims_rope=(32, 32, 32, 32),
            guidance_embeds=name == "FLUX.2 dev",
        )
    else:
        transformer = ZImageTransformer2DModel(
            in_channels=16,
            dim=288,
            n_layers=2,
            n_refiner_layers=1,
            n_heads=6,
            n_kv_heads=6,
            cap_feat_dim=16,
            axes_dims=[16, 16, 16],
            axes_lens=[1536, 512, 512],
        )
        for token in ("x_pad_token", "cap_pad_token"):
            torch.nn.init.normal_(getattr(transformer, token), std=0.02)
    transformer.save_pretrained(folder / "transformer")
    loaded = opening.load_model(name, "fp32")
    return loaded, writers.original(name, writers.weights_of(folder, "transformer"))


def stock_flux2(name: str, weights):
    path = MODELS / "diffusion_models" / f"{name}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: value.contiguous() for key, value in weights.items()}, path)
    return nodes.UNETLoader().load_unet(path.name, "default")[0]


def stock_z_image(weights):
    """ComfyUI reads the layout from the published width alone: UNETLoader opens no smaller file."""
    from comfy.ldm.lumina.model import TimestepEmbedder

    config = comfy.supported_models.ZImage(
        {
            "image_model": "lumina2",
            "patch_size": 2,
            "in_channels": 16,
            "dim": 288,
            "cap_feat_dim": 16,
            "n_layers": 2,
            "n_refiner_layers": 1,
            "qk_norm": True,
            "n_heads": 6,
            "n_kv_heads": 6,
            "axes_dims": [16, 16, 16],
            "axes_lens": [1536, 512, 512],
            "rope_theta": 256.0,
            "ffn_dim_multiplier": 8.0 / 3.0,
            "z_image_modulation": True,
            "time_scale": 1000.0,
            "pad_tokens_multiple": 32,
            "dtype": torch.float32,
        }
    )
    config.set_inference_dtype(torch.float32, None)
    model = config.get_model({}, "", device=CPU)
    inner = model.diffusion_model
    inner.t_embedder = TimestepEmbedder(1024, output_size=256, operations=comfy.ops.disable_weight_init)
    missing, unexpected = inner.load_state_dict(weights, strict=False)
    assert not missing, missing
    assert not unexpected, unexpected
    return comfy.model_patcher.CoreModelPatcher(model.eval(), CPU, CPU)


def draw(model, conditioning, **changes) -> torch.Tensor:
    channels, rows, columns = (128, 4, 6) if conditioning[0][0].shape[-1] == 48 else (16, 8, 12)
    settings = {"seed": SEED, "steps": STEPS, "guidance": 4.0, "cfg": 1.0, "strength": 1.0, "time_limit": 0} | changes
    empty = {"samples": torch.zeros(1, channels, rows, columns)}
    return sampling.sample(
        model, conditioning, settings.pop("negative", None), empty, sampling.SamplerSettings(**settings)
    )[0]["samples"]


def ksampler(model, positive, negative, latent, cfg: float) -> torch.Tensor:
    arguments = (model, SEED, STEPS, cfg, "euler", "simple", positive, negative, {"samples": latent})
    return nodes.KSampler().sample(*arguments)[0]["samples"]


def custom(model, positive, latent) -> torch.Tensor:
    """The way of ComfyUI's own FLUX.2 templates."""
    guider = BasicGuider.execute(model, positive).result[0]
    sigmas = Flux2Scheduler.execute(STEPS, 96, 64).result[0]
    euler = KSamplerSelect.execute("euler").result[0]
    noise = RandomNoise.execute(SEED).result[0]
    return SamplerCustomAdvanced.execute(noise, guider, euler, sigmas, {"samples": latent}).result[0]["samples"]


def alike(ours, stock, conditioning, negative, latent) -> dict:
    """The same prompt on both, by our sampler and by stock ones."""
    return {
        "ours": difference(draw(ours, conditioning), draw(stock, conditioning)),
        "spread": float(draw(ours, conditioning).std()),
        "cfg": difference(
            draw(ours, conditioning, cfg=4.0, negative=negative), draw(stock, conditioning, cfg=4.0, negative=negative)
        ),
        "KSampler": difference(
            ksampler(ours, conditioning, negative, latent, 4.0), ksampler(stock, conditioning, negative, latent, 4.0)
        ),
    }


def flux2(name: str) -> dict:
    loaded, weights = build(name)
    stock = stock_flux2(name, weights)
    conditioning, _ = prompt_encoding.encode_prompts(loaded.clip, [(PROMPT, PROMPT)], 0)
    negative, _ = prompt_encoding.encode_prompts(loaded.clip, [("", "")], 0)
    latent = loaded.vae.encode(torch.rand(1, 64, 96, 3, generator=torch.Generator().manual_seed(1)))
    other = loaded.vae.encode(torch.rand(1, 80, 112, 3, generator=torch.Generator().manual_seed(2)))
    looking = conditioning
    for reference in (latent, other):
        looking = ReferenceLatent.execute(looking, {"samples": reference}).result[0]
    short = [[conditioning[0][0][:, -90:], {}]]  # as long as the words, as stock Mistral makes it
    out = alike(loaded.model, stock, conditioning, negative, latent)
    out["references"] = difference(draw(loaded.model, looking), draw(stock, looking))
    out["references are seen"] = difference(draw(stock, looking), draw(stock, conditioning))
    out["custom"] = difference(custom(loaded.model, looking, latent), custom(stock, looking, latent))
    out["short"] = difference(draw(loaded.model, short), draw(stock, short))
    return out


def wider() -> dict:
    """What the sampler takes stock-loaded FLUX.1 editions for: flux-micro under BFL's names with their channels going in."""
    folder = model_files.find(model_files.BUNDLED)
    weights = writers.original("FLUX.1", writers.weights_of(folder, "transformer"))
    out = {}
    for name, times in (("dev", 1), ("Control", 2), ("Fill", 6)):
        model = stock_flux2(name, {**weights, "img_in.weight": weights["img_in.weight"].repeat(1, times)})
        defaults = facts_of(model).defaults
        out[name] = [defaults.steps, defaults.guidance]
    return out


def z_image() -> dict:
    name = "Z-Image Turbo"
    loaded, weights = build(name)
    stock = stock_z_image(weights)
    conditioning, _ = prompt_encoding.encode_prompts(loaded.clip, [(PROMPT, PROMPT)], 0)
    negative, _ = prompt_encoding.encode_prompts(loaded.clip, [("", "")], 0)
    latent = loaded.vae.encode(torch.rand(1, 64, 96, 3, generator=torch.Generator().manual_seed(1)))
    out = alike(loaded.model, stock, conditioning, negative, latent)
    shifted = [ModelSamplingAuraFlow().patch_aura(model, 5.0)[0] for model in (loaded.model, stock)]
    out["shifted"] = difference(*(draw(model, conditioning) for model in shifted))
    both, _ = prompt_encoding.encode_prompts(loaded.clip, [("a mug", "a mug"), (PROMPT, PROMPT)], 0)
    try:
        draw(stock, both)
    except InputError as error:
        out["two prompts"] = str(error)
    return out


@torch.no_grad()
def redux() -> dict:
    """FLUX.1 Redux by stock nodes on our CONDITIONING and MODEL, against FluxPriorReduxPipeline and FluxPipeline.

    Of the published widths, which ComfyUI's classes leave no choice of, with two layers of SigLIP for pictures of 112
    pixels: CLIPVisionLoader tells SigLIP by its 23rd layer, so that the class that it makes is made here.
    """
    folder = MODELS / "diffusers" / "redux"
    writers.tiny.build(folder, pooled_width=768, text_width=4096)
    loaded = opening.load_model("redux", "fp32")
    torch.manual_seed(3)
    published = json.loads((Path(comfy.clip_vision.__file__).parent / "clip_vision_siglip_384.json").read_text())
    config = published | {"num_hidden_layers": 2, "image_size": SEEN}
    siglip = SiglipVisionModel(SiglipVisionConfig(**config, vision_use_head=False)).eval()
    siglip = siglip.half().float()  # as the published file has it, and as ComfyUI keeps it on a CPU
    embedder = ReduxImageEncoder().to(torch.bfloat16)
    path = MODELS / "style_models" / "redux.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(embedder.state_dict(), path)
    (style,) = nodes.StyleModelLoader().load_style_model(path.name)
    path.unlink()  # 130 MB
    vision = comfy.clip_vision.ClipVisionModel(config)
    names = {f"vision_model.{key.removeprefix('vision_model.')}": value for key, value in siglip.state_dict().items()}
    missing, unexpected = vision.load_sd(names)
    assert not missing, missing
    assert not unexpected, unexpected

    base = FluxPipeline.from_pretrained(folder, local_files_only=True, torch_dtype=torch.float32)
    base.set_progress_bar_config(disable=True)
    processor = SiglipImageProcessor(size={"height": SEEN, "width": SEEN}, resample=3)
    parts = {"image_encoder": siglip, "feature_extractor": processor, "image_embedder": embedder.float()}
    texts = ("text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2")
    prior = FluxPriorReduxPipeline(**parts)
    reading = FluxPriorReduxPipeline(**parts, **{part: getattr(base, part) for part in texts})

    def shown(seed: int, width: int, height: int) -> torch.Tensor:
        levels = torch.randint(0, 256, (1, 3, 6, 6), generator=torch.Generator().manual_seed(seed)).float()
        smooth = torch.nn.functional.interpolate(levels, size=(height, width), mode="bicubic").clamp(0, 255)
        return (smooth.round() / 255).movedim(1, -1)

    def styled(conditioning: list, image: torch.Tensor, strength: float = 1.0, way: str = "multiply") -> list:
        (seen,) = nodes.CLIPVisionEncode().encode(vision, image, "none")
        return nodes.StyleModelApply().apply_stylemodel(conditioning, style, seen, strength, way)[0]

    def theirs(**options) -> torch.Tensor:
        last = {}
        base(
            **options,
            width=96,
            height=64,
            num_inference_steps=STEPS,
            guidance_scale=4.0,
            generator=noise.picture_generators(SEED, [0]),
            output_type="latent",
            callback_on_step_end=lambda p, i, t, values: last.update(values) or values,
        )
        return unpack(last["latents"], 8, 12) / 0.3611 + 0.1159

    prompt, _ = prompt_encoding.encode_prompts(loaded.clip, [(PROMPT, PROMPT)], 512)
    (nothing,) = nodes.ConditioningZeroOut().zero_out(prompt)
    square, wide = shown(1, SEEN, SEEN), shown(2, 150, 90)
    half = nodes.ConditioningAverage().addWeighted(styled(nothing, square), styled(nothing, wide), 0.25)[0]
    cases = {
        "no words": (styled(nothing, square), prior(images.to_pil(square)[0])),
        "not square": (styled(nothing, wide), prior(images.to_pil(wide)[0])),
        "words": (styled(prompt, square), reading(images.to_pil(square)[0], prompt=PROMPT)),
        "strength": (styled(nothing, square, 0.4), prior(images.to_pil(square)[0], prompt_embeds_scale=0.4)),
        "two": (
            half,
            prior([images.to_pil(square)[0], images.to_pil(wide)[0]], prompt_embeds_scale=[0.25, 0.75]),
        ),
    }
    out = {}
    for name, (ours, reference) in cases.items():
        out[name] = {
            "embedding": difference(ours[0][0], reference.prompt_embeds),
            "pooled": difference(ours[0][1]["pooled_output"], reference.pooled_prompt_embeds),
        }
        if name in ("no words", "words"):
            out[name]["latents"] = difference(
                draw(loaded.model, ours),
                theirs(prompt_embeds=reference.prompt_embeds, pooled_prompt_embeds=reference.pooled_prompt_embeds),
            )
    out["spread"] = float(cases["no words"][0][0][0][:, 512:].std())
    try:
        draw(loaded.model, styled(prompt, square, 0.4, "attn_bias"))
    except InputError as error:
        out["bias"] = str(error)
    out["seen"] = difference(draw(loaded.model, cases["words"][0]), draw(loaded.model, prompt))
    return out


@torch.no_grad()
def flux2_vae() -> dict:
    """ComfyUI's own FLUX.2 VAE, of its only shape with random weights, on our nodes; LATENTs in both directions."""
    from storefront.host.vae_socket import make_vae

    torch.manual_seed(0)
    reference = AutoencoderKLFlux2(
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4
    ).eval()
    reference.bn.running_mean.normal_()
    reference.bn.running_var.uniform_(0.5, 2.0)
    stock = comfy.sd.VAE(sd=writers.original_vae(reference.state_dict()), dtype=torch.float32)
    ours = make_vae(reference, torch.float32)
    photo = torch.rand(1, 64, 96, 3, generator=torch.Generator().manual_seed(1))
    latents = ours.encode(photo), stock.encode(photo)
    decoded = [vae_socket.decode(vae, latents[0], "off")[0] for vae in (ours, stock)]
    return {
        "encode": difference(*latents),
        "decode": difference(*decoded),
        "shape": list(latents[1].shape),
        "memory": [vae.memory_used_decode(latents[0].shape, torch.float32) for vae in (ours, stock)],
        "spread": float(decoded[0].std()),
    }


if __name__ == "__main__":
    figures = {"FLUX.2 klein": flux2("FLUX.2 klein"), "FLUX.2 dev": flux2("FLUX.2 dev"), "Z-Image Turbo": z_image()}
    print("FIGURES " + json.dumps({**figures, "FLUX.2 VAE": flux2_vae(), "Redux": redux(), "wider": wider()}))
