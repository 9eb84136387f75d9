"""ComfyUI's MODEL around a diffusers transformer: KSampler, guiders, LoRA loaders, masks and previews work on it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import comfy.conds
import comfy.latent_formats
import comfy.model_base
import comfy.supported_models
import comfy.supported_models_base
import comfy.utils
import torch

from ..studio.errors import InputError
from ..studio.kinds.families import FLUX1, FLUX2_DEV, FLUX2_KLEIN, FLUX3, Z_IMAGES, Defaults, Edition, Family
from ..studio.kinds.velocity import (
    Flux2KVVelocity,
    Flux2Velocity,
    FluxVelocity,
    Velocity,
    ZImageOmniVelocity,
    ZImageVelocity,
    channels_of,
)
from ..studio.opening import single_files
from . import clip_socket, kept_references
from .lora_patches import FusedLayerNames


class Nature(NamedTuple):
    """What a sampler has to know of a MODEL."""

    family: Family
    defaults: Defaults
    scheduler_config: Mapping[str, Any]


class DiffusersModel(FusedLayerNames, comfy.model_base.QwenImage):
    """A BaseModel whose `diffusion_model` is a Velocity.

    It derives from QwenImage for one thing only: `comfy.lora.model_lora_keys_unet` asks for the class, and QwenImage's
    answer (a LoRA's keys are the diffusers names of the layers) is the right one here. Nothing else is inherited.
    """

    def __init__(
        self,
        velocity: Velocity,
        edition: Edition,
        nature: Nature,
        preview: Mapping[str, Any] | None,
        manual_cast: torch.dtype | None,
        device: torch.device,
    ):
        kind, shift, memory = _stock_facts(velocity, nature)
        config = comfy.supported_models_base.BASE({"disable_unet_model_creation": True})
        config.unet_config["disable_unet_model_creation"] = True
        config.latent_format = _latent_format(nature.family, preview)
        config.sampling_settings = {"shift": shift, "multiplier": 1.0}
        config.manual_cast_dtype = manual_cast
        config.memory_usage_factor = memory
        comfy.model_base.BaseModel.__init__(self, config, model_type=kind, device=device)
        self.diffusion_model = velocity
        self.nature = nature
        self.takes_references = edition.takes_references
        self.memory_usage_factor_conds = ("ref_latents",)

    def _apply_model(
        self, x, t, c_concat=None, c_crossattn=None, control=None, transformer_options=None, **kwargs: Any
    ) -> Any:
        options = transformer_options or {}
        if control is not None and not isinstance(self.diffusion_model, FluxVelocity):
            raise InputError(
                "positive", "conditioning with a ControlNet", f"one without: {self.nature.family.name} takes none here"
            )
        if options.get("patches") or options.get("patches_replace"):
            raise InputError(
                "model",
                "patched in its attention",
                "a model without attention patches, or a stock loader's; what FluxKVCache is for, FLUX.2 klein KV does here"
                " without it",
            )
        kept = kept_references.of_this_run(options, self)
        return super()._apply_model(x, t, c_concat, c_crossattn, control, options, kept=kept, **kwargs)

    def get_dtype(self) -> torch.dtype:
        return self.diffusion_model.dtype

    def encode_adm(self, **kwargs: Any) -> Any:
        return kwargs.get("pooled_output")

    def concat_cond(self, **kwargs: Any) -> torch.Tensor | None:
        """What Fill and Control editions see beside the noise: the picture's latents, and the mask by pixels."""
        family = self.nature.family
        beside = channels_of(self.diffusion_model) - family.latent_channels
        if beside <= 0:
            return None
        noise, picture, mask = kwargs["noise"], kwargs.get("concat_latent_image"), kwargs.get("concat_mask")
        if picture is None:
            what = (
                "a picture and a mask (InpaintModelConditioning)" if beside > 16 else "a picture (InstructPixToPix...)"
            )
            raise InputError("positive", "conditioning without a picture", f"conditioning that carries {what}")
        if picture.ndim != 4 or picture.shape[1] != family.latent_channels:
            raise InputError(
                "positive",
                f"a picture of latents of shape {list(picture.shape)}",
                f"[batch, {family.latent_channels}, height, width], from the VAE of {family.name}",
            )
        rows, columns = noise.shape[-2:]
        if picture.shape[-2:] != noise.shape[-2:]:
            raise InputError(
                "positive",
                f"a picture of {list(picture.shape[-2:])} latent cells",
                f"{[rows, columns]}, the size of the latent",
            )
        shown = comfy.utils.resize_to_batch_size(self.process_latent_in(picture.to(noise)), len(noise))
        if beside == family.latent_channels:
            return shown
        cell = family.pixels_per_cell
        if mask is None:
            mask = kwargs.get("denoise_mask")
        mask = torch.ones_like(noise[:, :1]) if mask is None else mask.to(noise).mean(dim=1, keepdim=True)
        pixels = torch.nn.functional.interpolate(mask, size=(rows * cell, columns * cell))
        cells = pixels.reshape(len(mask), rows, cell, columns, cell).permute(0, 2, 4, 1, 3).flatten(1, 2)
        return torch.cat([shown, comfy.utils.resize_to_batch_size(cells, len(noise))], dim=1)

    def extra_conds_shapes(self, **kwargs: Any) -> dict[str, Any]:
        references = kwargs.get("reference_latents")
        if not references:
            return {}
        cells = sum(math.prod(latent.shape[2:]) for latent in references)
        if isinstance(self.diffusion_model, Flux2KVVelocity):
            # ComfyUI counts what a token weighs while a layer works on it; kept are its keys and values of every layer.
            config = self.diffusion_model.config
            layers = config.num_layers + config.num_single_layers
            width = config.num_attention_heads * config.attention_head_dim
            cells += round(cells * 2 * layers * width / (0.01 * self.memory_usage_factor * 2**20))
        return {"ref_latents": [1, 16, cells]}

    def extra_conds(self, **kwargs: Any) -> dict[str, Any]:
        sequence: Any = kwargs.get("cross_attn")
        mask = kwargs.get("attention_mask")
        self._require_width("sequence", sequence, self._text_width())
        if isinstance(self.diffusion_model, Flux2Velocity) and not kwargs.get(clip_socket.OWN_LENGTH):
            # As ComfyUI's own FLUX.2 does with the texts of its encoders.
            lacking = max(self.nature.family.max_tokens - sequence.shape[1], 0)
            sequence = torch.nn.functional.pad(sequence, (0, 0, lacking, 0))
        out = comfy.model_base.BaseModel.extra_conds(self, **kwargs)
        out["c_crossattn"] = comfy.conds.CONDRegular(sequence)
        if isinstance(self.diffusion_model, FluxVelocity):
            pooled = kwargs.get("pooled_output")
            self._require_width("pooled_output", pooled, self.diffusion_model.config.pooled_projection_dim)
            out["y"] = comfy.conds.CONDRegular(pooled)
            if kwargs.get("attention_mask_img_shape") is not None:
                raise InputError(
                    "conditioning", "an attention bias (attn_bias of StyleModelApply)", "strength_type multiply"
                )
        elif isinstance(self.diffusion_model, ZImageVelocity) and mask is not None and mask.shape == sequence.shape[:2]:
            out["attention_mask"] = comfy.conds.CONDRegular(mask)
        if self.diffusion_model.embeds_guidance:
            out["guidance"] = comfy.conds.CONDRegular(torch.FloatTensor([kwargs.get("guidance", 3.5)]))
        if references := kwargs.get("reference_latents"):
            out["ref_latents"] = comfy.conds.CONDList([self._reference(latent) for latent in references])
        if isinstance(self.diffusion_model, ZImageOmniVelocity):
            texts, features = kwargs.get("reference_latents_text_embeds"), kwargs.get("clip_vision_outputs")
            out |= self._around_references(len(references or ()), texts or [], features or [])
        return out

    def _around_references(self, pictures: int, texts: list[torch.Tensor], outputs: list) -> dict[str, Any]:
        """What Z-Image Omni reads and sees of its references, under the keys of stock TextEncodeZImageOmni."""
        wanted = (
            "references from StorefrontReference with the clip of the model's whole folder, or all of"
            " TextEncodeZImageOmni's inputs"
        )
        if len(texts) != (pictures + 1 if pictures else 0):
            raise InputError("conditioning", f"{pictures} reference latents and {len(texts)} texts around them", wanted)
        if len(outputs) not in (0, pictures):
            raise InputError("conditioning", f"{pictures} reference latents, {len(outputs)} of them seen", wanted)
        for text in texts:
            self._require_width("reference_latents_text_embeds", text, self._text_width())
        features = [clip_socket.features_of(output) for output in outputs]
        for feature in features:
            self._require_width("clip_vision_outputs", feature, self.diffusion_model.config.siglip_feat_dim)
        out = {}
        if texts:
            out["ref_contexts"] = comfy.conds.CONDList(texts)
        if features:
            out["siglip_feats"] = comfy.conds.CONDList(features)
        return out

    def _reference(self, latent: torch.Tensor) -> torch.Tensor:
        name, wanted = self.nature.family.name, self.nature.family.latent_channels
        if not self.takes_references:
            raise InputError(
                "conditioning",
                "reference latents",
                f"none: this {name} model cannot see them (FLUX.1 Kontext, FLUX.2 and Z-Image Omni can)",
            )
        if latent.ndim != 4 or latent.shape[1] != wanted:
            raise InputError(
                "conditioning",
                f"reference latents of shape {list(latent.shape)}",
                f"[batch, {wanted}, height, width], from the VAE of {name}",
            )
        return self.process_latent_in(latent)

    def blank_prompt(self, tokens: int, latent: torch.Tensor) -> list:
        """CONDITIONING of zeros of the shapes that a prompt has, and what the edition sees beside `latent`."""
        options: dict[str, Any] = {clip_socket.OWN_LENGTH: True}
        if isinstance(self.diffusion_model, FluxVelocity):
            options["pooled_output"] = torch.zeros(1, self.diffusion_model.config.pooled_projection_dim)
        if channels_of(self.diffusion_model) > self.nature.family.latent_channels:
            options["concat_latent_image"] = torch.zeros_like(latent)
        return [[torch.zeros(1, tokens, self._text_width()), options]]

    def _text_width(self) -> int:
        config = self.diffusion_model.config
        return int(
            config.cap_feat_dim if isinstance(self.diffusion_model, ZImageVelocity) else config.joint_attention_dim
        )

    def _require_width(self, name: str, tensor: Any, width: int) -> None:
        have = None if tensor is None else tensor.shape[-1]
        if have != width:
            raise InputError(
                "conditioning",
                f"{name} of width {have}",
                f"width {width}: encode the prompt with the CLIP of this model",
            )


def _stock_facts(velocity: Velocity, nature: Nature) -> tuple[comfy.model_base.ModelType, float, float]:
    """What ComfyUI itself says of the family: how stock samplers space its noise levels, and how much memory it takes.

    The shift is that of samplers which know no size. The activations are those of ComfyUI's own models.
    """
    config = nature.scheduler_config
    if nature.family in Z_IMAGES:
        return comfy.model_base.ModelType.FLOW, float(config.get("shift", 3.0)), 2.8
    if nature.family in (FLUX2_DEV, FLUX2_KLEIN, FLUX3):
        width = velocity.config.num_attention_heads * velocity.config.attention_head_dim
        # FLUX.3 is not known to ComfyUI: its shift is that of its makers, which ModelSamplingFlux wants as ln.
        shift = math.log(float(config.get("shift", 6.93))) if nature.family is FLUX3 else 2.02
        return comfy.model_base.ModelType.FLUX, shift, 3.1 * 4 * width / 2604
    if config.get("use_dynamic_shifting", False):
        return comfy.model_base.ModelType.FLUX, float(config.get("max_shift", 1.15)), 3.1
    return comfy.model_base.ModelType.FLUX, math.log(float(config.get("shift", 1.0))), 3.1


def _latent_format(family: Family, preview: Mapping[str, Any] | None) -> comfy.latent_formats.LatentFormat:
    if family.latent_channels != FLUX1.latent_channels:
        return comfy.latent_formats.Flux2()
    latent_format = comfy.latent_formats.Flux()
    if preview:
        latent_format.latent_rgb_factors = preview["latent_rgb_factors"]
        latent_format.latent_rgb_factors_bias = preview["latent_rgb_factors_bias"]
        latent_format.taesd_decoder_name = None  # TAEF1 knows FLUX.1's own latents, not these
    return latent_format


def nature_of(model: Any) -> Nature:
    """What a sampler has to know of a MODEL, ours or a stock loader's. Raises InputError where no family is known."""
    inner = model.model
    if isinstance(inner, DiffusersModel):
        return inner.nature
    config = inner.model_config.unet_config
    role = {comfy.model_base.Flux: "flux1", comfy.model_base.Flux2: "flux2"}.get(type(inner))
    if type(inner.model_config) is comfy.supported_models.ZImage:  # Lumina and the pixel-space Z-Image are others
        role = "z_image"
    if role is not None:
        # ComfyUI counts channels of the latent, the weights those of a token's four cells.
        channels = 4 * int(config.get("in_channels", FLUX1.latent_channels))
        said = single_files.describe(role, bool(config.get("guidance_embed", True)), channels, type(inner).__name__)
        return Nature(said.family, said.defaults, said.scheduler_config)
    known = "FLUX.1, FLUX.2 or Z-Image"
    raise InputError("model", type(inner).__name__, f"a {known} model, from StorefrontLoadModel or a stock loader")
