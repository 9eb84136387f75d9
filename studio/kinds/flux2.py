"""FLUX.2: dev, which Mistral reads for; klein, which Qwen3 reads for, also with references kept (KV)."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import torch

from . import blocks, original_names, places
from .facts import (
    APACHE,
    ChatText,
    ComfyFacts,
    Defaults,
    Edition,
    Family,
    KnownModel,
    Licence,
    ModelFacts,
    Traits,
    Widths,
)
from .flux1 import DEV_SCHEDULER
from .flux_names import DOUBLE, SHIFT_FIRST, SINGLE_NORMS, Originals, flux_config, flux_names, lora_table
from .kind import Config, TransformerKind, whole_number
from .names import LoraNames, Naming, same
from .part import Part
from .velocity import Conditions, Velocity, for_all, grid_ids, patchify, text_ids, unpatchify

# --- facts ------------------------------------------------------------------------------------------------------------

REFERENCE_SPACING = 10  # references are at 10, 20, ... on the time axis
FLUX2_DEV_LICENCE = Licence(
    "FLUX [dev] Non-Commercial License",
    "the model may not be used commercially without a licence from Black Forest Labs; read its terms on outputs",
)
_SYSTEM = (
    "You are an AI that reasons about image descriptions. You give structured responses focusing on object"
    " relationships, object\nattribution and actions without speculation."
)


def memory(velocity: Velocity) -> float:
    """As ComfyUI's own Flux2 counts it, by the transformer's width."""
    width = velocity.config.num_attention_heads * velocity.config.attention_head_dim
    return 3.1 * 4 * width / 2604


LATENTS: dict[str, Any] = {  # of the VAE that FLUX.2 and FLUX.3 share
    "latent_channels": 128,
    "pixels_per_cell": 16,
    "cells_per_token": 1,
    "scaling_factor": 1.0,  # the VAE's own batch norm has normalised them
    "shift_factor": 0.0,
    "mask_resize": "bilinear",
    "vae": "FLUX.2",
    "vae_channels": 32,
}
_FLUX2: dict[str, Any] = {
    **LATENTS,
    "max_tokens": 512,
    "timeshift": "empirical",
    "cfg_around": "negative",
    "comfyui": ComfyFacts(
        "Flux2",
        "FLUX",
        "ModelSamplingFlux",
        "ModelSamplingFlux",
        lambda scheduler: 2.02,
        memory,
        stock_length=512,
    ),
}
FLUX2_DEV = Family(
    name="FLUX.2 dev",
    since="0.36",
    parts=MappingProxyType({"text_encoder": "mistral", "transformer": "flux2", "vae": "flux2_vae"}),
    text=ChatText("mistral3_24b", (10, 20, 30), 512, system=_SYSTEM, forbidden="[IMG]"),
    **_FLUX2,
)
FLUX2_KLEIN = Family(
    name="FLUX.2 klein",
    since="0.37",
    parts=MappingProxyType({"text_encoder": "qwen3", "transformer": "flux2", "vae": "flux2_vae"}),
    text=ChatText("qwen3_4b", (9, 18, 27), 512, thinking=False),
    **_FLUX2,
)
_DEV = Edition(FLUX2_DEV, Defaults(50, 4.0, 1.0), takes_references=True)
_KLEIN = Edition(FLUX2_KLEIN, Defaults(50, 0.0, 4.0), quick=Defaults(4, 0.0, 1.0), takes_references=True)
_KLEIN_KV = Edition(FLUX2_KLEIN, Defaults(4, 0.0, 1.0), takes_references=True, keeps_references=True, since="0.38")
_BFL = "black-forest-labs/"


def _klein(name: str, licence: Licence, *variants: str) -> KnownModel:
    stem = name.lower().replace(".", "-", 1)
    return KnownModel(name, _BFL + name, licence, (stem, *(f"{stem}-{variant}" for variant in variants)))


MODELS = (
    KnownModel("FLUX.2-dev", _BFL + "FLUX.2-dev", FLUX2_DEV_LICENCE, ("flux2-dev", "flux2_dev_fp8mixed")),
    _klein("FLUX.2-klein-4B", APACHE, "fp8", "nvfp4"),
    _klein("FLUX.2-klein-base-4B", APACHE, "fp8", "nvfp4"),
    _klein("FLUX.2-klein-9B", FLUX2_DEV_LICENCE, "fp8", "nvfp4"),
    _klein("FLUX.2-klein-9b-kv", FLUX2_DEV_LICENCE, "fp8"),
    KnownModel("FLUX.2-klein-9b-kv-fp8", _BFL + "FLUX.2-klein-9b-kv-fp8", FLUX2_DEV_LICENCE),
    _klein("FLUX.2-klein-base-9B", FLUX2_DEV_LICENCE, "fp8", "nvfp4"),
)

# --- names of weights -------------------------------------------------------------------------------------------------

_OUTER = {
    "time_in.in_layer": "time_guidance_embed.timestep_embedder.linear_1",
    "time_in.out_layer": "time_guidance_embed.timestep_embedder.linear_2",
    "guidance_in.in_layer": "time_guidance_embed.guidance_embedder.linear_1",
    "guidance_in.out_layer": "time_guidance_embed.guidance_embedder.linear_2",
    "txt_in": "context_embedder",
    "img_in": "x_embedder",
    "double_stream_modulation_img.lin": "double_stream_modulation_img.linear",
    "double_stream_modulation_txt.lin": "double_stream_modulation_txt.linear",
    "single_stream_modulation.lin": "single_stream_modulation.linear",
    "final_layer.linear": "proj_out",
    SHIFT_FIRST: "norm_out.linear",
}
_DOUBLE = {
    **DOUBLE,
    "img_mlp.0": ("ff.linear_in",),
    "img_mlp.2": ("ff.linear_out",),
    "txt_mlp.0": ("ff_context.linear_in",),
    "txt_mlp.2": ("ff_context.linear_out",),
}
_SINGLE = {**SINGLE_NORMS, "linear1": ("attn.to_qkv_mlp_proj",), "linear2": ("attn.to_out",)}
ORIGINALS = Originals(_OUTER, _DOUBLE, _SINGLE)


class Flux2(TransformerKind):
    """FLUX.2's transformer: dev and klein."""

    role = "flux2"
    label = "a FLUX.2 transformer"
    library = "diffusers"
    classes = MappingProxyType({"Flux2Transformer2DModel": "Flux2Transformer2DModel"})
    namings = (
        Naming(
            "double_blocks.0.img_attn.qkv.weight",
            lambda shapes: flux_names(shapes, ORIGINALS),
            also=("double_stream_modulation_img.lin.weight",),
        ),
        Naming(
            "transformer_blocks.0.attn.add_q_proj.weight", same, also=("double_stream_modulation_img.linear.weight",)
        ),
    )
    editions = MappingProxyType(
        {
            "Flux2Pipeline": _DEV,
            **dict.fromkeys(("Flux2KleinPipeline", "Flux2KleinInpaintPipeline"), _KLEIN),
            "Flux2KleinKVPipeline": _KLEIN_KV,
        }
    )
    named_editions = MappingProxyType(
        {
            "FLUX.2 klein base": ModelFacts(_KLEIN, _KLEIN.defaults, DEV_SCHEDULER),
            "FLUX.2 klein KV": ModelFacts(_KLEIN_KV, _KLEIN_KV.defaults, DEV_SCHEDULER),
        }
    )
    models = MODELS
    lora = LoraNames("Flux2LoraLoaderMixin", lora_table(ORIGINALS))
    original_roots = original_names.roots_of_flux(ORIGINALS)
    stock = ("comfy.model_base.Flux2",)

    def config(self, part: Part) -> dict[str, Any]:
        width = part.length("x_embedder.weight", 0)
        return flux_config(part, (32, 32, 32, 32)) | {
            "timestep_guidance_channels": part.length("time_guidance_embed.timestep_embedder.linear_1.weight", 1),
            "mlp_ratio": part.length("transformer_blocks.0.ff.linear_out.weight", 1) / width,
            "guidance_embeds": part.has("time_guidance_embed.guidance_embedder.linear_1.weight"),
        }

    def widths(self, part: Part) -> Widths:
        return Widths(part.length("context_embedder.weight", 1))

    def widths_in(self, config: Config, name: str) -> Widths:
        return Widths(whole_number(config, "joint_attention_dim", name))

    def traits(self, part: Part) -> Traits:
        guidance = any("guidance_embedder" in name for name in part.sources)
        return Traits(guidance, part.length("x_embedder.weight", 1))

    def traits_in(self, config: Config, name: str) -> Traits:
        channels = whole_number({"in_channels": 128, **config}, "in_channels", name)
        return Traits(bool(config.get("guidance_embeds", True)), channels)

    def describe(self, traits: Traits, name: str) -> ModelFacts:
        if traits.guidance:
            return ModelFacts(_DEV, _DEV.defaults, DEV_SCHEDULER)
        note = "taken for the distilled klein (4 steps); the base model needs 50 steps and cfg 4"
        return ModelFacts(_KLEIN, _KLEIN.quick or _KLEIN.defaults, DEV_SCHEDULER, note)

    def is_distilled(self, index: Config, transformer: Config, scheduler: Config) -> bool:
        return bool(index.get("is_distilled", False))

    def originals(self, names: set[str], norms: str) -> original_names.Names:
        return original_names.of_flux(names, ORIGINALS, norms)

    def velocity(self, transformer: torch.nn.Module, dtype: torch.dtype, edition: Edition) -> Velocity:
        return (Flux2KVVelocity if edition.keeps_references else Flux2Velocity)(transformer, dtype)


# --- the call ---------------------------------------------------------------------------------------------------------


class Flux2Velocity(Velocity):
    """A `Flux2Transformer2DModel`."""

    takes_patches = True
    step_caches = ("taylorseer",)

    def predict(self, x: torch.Tensor, timestep: torch.Tensor, given: Conditions) -> torch.Tensor:
        """Velocity [B, 128, H, W], in the dtype of `x` [B, 128, H, W]."""
        grids = [x, *(for_all(latent, len(x)).to(x) for latent in given.ref_latents)]
        with blocks.patched(self.transformer, given.context.shape[1], given.transformer_options):
            tokens = self.transformer(
                hidden_states=torch.cat([patchify(g) for g in grids], dim=1),
                timestep=timestep,
                guidance=given.guidance if self.embeds_guidance else None,
                encoder_hidden_states=given.context,
                txt_ids=text_ids(given.context),
                img_ids=torch.cat(self._ids(grids, given)),
                return_dict=False,
            )[0]
        height, width = x.shape[-2:]
        return unpatchify(tokens[:, : height * width], height)

    @staticmethod
    def _ids(grids: Sequence[torch.Tensor], given: Conditions) -> list[torch.Tensor]:
        """Of what is drawn and of its references, each [H * W, 4]."""
        sizes, rope = [g.shape[-2:] for g in grids], places.Rope.of(given.transformer_options)
        method = given.ref_latents_method or places.INDEX
        begun = [places.ORIGIN_PLACE, *places.references(sizes[0], sizes[1:], method, 1, REFERENCE_SPACING)]
        return [grid_ids(g, place, rope) for g, place in zip(grids, begun, strict=True)]


class Flux2KVVelocity(Flux2Velocity):
    """FLUX.2 klein KV: keys and values of its references are computed once and kept, where there is a place for them."""

    def __init__(self, transformer: torch.nn.Module, dtype: torch.dtype):
        super().__init__(transformer, dtype)
        from diffusers.models.transformers.transformer_flux2 import (
            Flux2KVAttnProcessor,
            Flux2KVParallelSelfAttnProcessor,
        )

        for block in transformer.transformer_blocks:  # type: ignore[union-attr]
            block.attn.set_processor(Flux2KVAttnProcessor())
        for block in transformer.single_transformer_blocks:  # type: ignore[union-attr]
            block.attn.set_processor(Flux2KVParallelSelfAttnProcessor())

    @property
    def kept_numbers(self) -> int:
        """A key and a value of every layer."""
        config = self.config
        layers = config.num_layers + config.num_single_layers
        return 2 * layers * config.num_attention_heads * config.attention_head_dim

    def predict(self, x: torch.Tensor, timestep: torch.Tensor, given: Conditions) -> torch.Tensor:
        if not given.ref_latents:
            return super().predict(x, timestep, given)
        references = [latent.to(x) for latent in given.ref_latents]
        cache = given.kept.find(references, len(x)) if given.kept is not None else None
        grids = [x] if cache is not None else [*(for_all(latent, len(x)) for latent in references), x]
        drawn, *ids = self._ids([x, *grids[:-1]], given)
        with blocks.patched(self.transformer, given.context.shape[1], given.transformer_options):
            tokens, *made = self.transformer(
                hidden_states=torch.cat([patchify(g) for g in grids], dim=1),
                timestep=timestep,
                guidance=given.guidance if self.embeds_guidance else None,
                encoder_hidden_states=given.context,
                txt_ids=text_ids(given.context),
                img_ids=torch.cat([*ids, drawn]),
                return_dict=False,
                kv_cache=cache,
                kv_cache_mode="extract" if cache is None else "cached",
                num_ref_tokens=sum(len(i) for i in ids),
            )
        if given.kept is not None and cache is None:
            given.kept.keep(references, len(x), made[0])
        return unpatchify(tokens, x.shape[-2])


KIND = Flux2()
