"""ComfyUI's MODEL around a diffusers transformer: KSampler, guiders, LoRA loaders, masks and previews work on it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import comfy.conds
import comfy.latent_formats
import comfy.model_base
import comfy.supported_models_base
import torch

from ..studio.errors import InputError
from ..studio.flux.families import DEV_SCHEDULER, SCHNELL_SCHEDULER
from ..studio.flux.velocity import FluxVelocity, channels_of
from .lora_patches import FusedLayerNames


class DiffusersFlux(FusedLayerNames, comfy.model_base.QwenImage):
    """A BaseModel whose `diffusion_model` is a FluxVelocity.

    It derives from QwenImage for one thing only: `comfy.lora.model_lora_keys_unet` asks for the class, and QwenImage's
    answer (a LoRA's keys are the diffusers names of the layers) is the right one here. Nothing else is inherited.
    """

    def __init__(
        self,
        velocity: FluxVelocity,
        scheduler_config: Mapping[str, Any],
        preview: Mapping[str, Any] | None,
        manual_cast: torch.dtype | None,
        device: torch.device,
    ):
        config = comfy.supported_models_base.BASE({"disable_unet_model_creation": True})
        config.unet_config["disable_unet_model_creation"] = True
        config.latent_format = _latent_format(preview)
        config.sampling_settings = {"shift": _shift(scheduler_config)}
        config.manual_cast_dtype = manual_cast
        config.memory_usage_factor = 3.1  # stock Flux's: the activations are the same
        comfy.model_base.BaseModel.__init__(self, config, model_type=comfy.model_base.ModelType.FLUX, device=device)
        self.diffusion_model = velocity
        self.scheduler_config = dict(scheduler_config)

    def _apply_model(
        self, x, t, c_concat=None, c_crossattn=None, control=None, transformer_options=None, **kwargs: Any
    ) -> Any:
        options = transformer_options or {}
        if control is not None:
            raise InputError(
                "positive", "conditioning with a ControlNet", "one without: diffusers' FLUX.1 takes none here"
            )
        if options.get("patches") or options.get("patches_replace"):
            raise InputError(
                "model", "patched in its attention", "a model without attention patches, or a stock loader's"
            )
        return super()._apply_model(x, t, c_concat, c_crossattn, None, options, **kwargs)

    def get_dtype(self) -> torch.dtype:
        return self.diffusion_model.dtype

    def encode_adm(self, **kwargs: Any) -> Any:
        return kwargs.get("pooled_output")

    def extra_conds_shapes(self, **kwargs: Any) -> dict[str, Any]:
        return {}

    def extra_conds(self, **kwargs: Any) -> dict[str, Any]:
        pooled, sequence = kwargs.get("pooled_output"), kwargs.get("cross_attn")
        if kwargs.get("reference_latents"):
            raise InputError(
                "conditioning", "reference latents", "none: this model cannot see them (FLUX.1 Kontext can)"
            )
        config = self.diffusion_model.transformer.config
        _require_width("pooled_output", pooled, config.pooled_projection_dim)
        _require_width("sequence", sequence, config.joint_attention_dim)
        out = comfy.model_base.BaseModel.extra_conds(self, **kwargs)
        out["y"] = comfy.conds.CONDRegular(pooled)
        out["c_crossattn"] = comfy.conds.CONDRegular(sequence)
        out["guidance"] = comfy.conds.CONDRegular(torch.FloatTensor([kwargs.get("guidance", 3.5)]))
        return out


def _shift(scheduler_config: Mapping[str, Any]) -> float:
    """mu of the time shift that stock samplers use, which know no size: the largest, or ln of a static shift."""
    if scheduler_config.get("use_dynamic_shifting", False):
        return float(scheduler_config.get("max_shift", 1.15))
    return math.log(float(scheduler_config.get("shift", 1.0)))


def _require_width(name: str, tensor: Any, width: int) -> None:
    have = None if tensor is None else tensor.shape[-1]
    if have != width:
        raise InputError(
            "conditioning", f"{name} of width {have}", f"width {width}: encode the prompt with the CLIP of this model"
        )


def _latent_format(preview: Mapping[str, Any] | None) -> comfy.latent_formats.LatentFormat:
    latent_format = comfy.latent_formats.Flux()
    if preview:
        latent_format.latent_rgb_factors = preview["latent_rgb_factors"]
        latent_format.latent_rgb_factors_bias = preview["latent_rgb_factors_bias"]
        latent_format.taesd_decoder_name = None  # TAEF1 knows FLUX.1's own latents, not these
    return latent_format


def scheduler_config_of(model: Any) -> Mapping[str, Any]:
    """The scheduler settings that came with a MODEL, or FLUX.1's for a stock one.

    Raises InputError for a MODEL that is no FLUX.1.
    """
    inner = model.model
    if isinstance(inner, DiffusersFlux):
        return inner.scheduler_config
    if isinstance(inner, comfy.model_base.Flux) and type(inner) is comfy.model_base.Flux:
        return DEV_SCHEDULER if inner.model_config.unet_config.get("guidance_embed", True) else SCHNELL_SCHEDULER
    raise InputError("model", type(inner).__name__, "a FLUX.1 model, from StorefrontLoadModel or a stock loader")


def takes_plain_latents(model: Any) -> bool:
    """False for Fill and Control editions, which want a picture or mask beside the noise."""
    inner = model.model
    return not isinstance(inner, DiffusersFlux) or channels_of(inner.diffusion_model) == 16
