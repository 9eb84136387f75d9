"""FLUX.1 in all editions: dev, schnell, Krea, Kontext, Fill, Control."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from einops import rearrange

from ..errors import ModelFilesError
from . import blocks, original_names, places
from .facts import (
    APACHE,
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
from .flux_names import DOUBLE, QKV, SHIFT_FIRST, SINGLE_NORMS, Originals, flux_config, flux_names, lora_table
from .kind import Config, TransformerKind, whole_number
from .names import LoraNames, Naming, same
from .part import Part
from .velocity import Conditions, Velocity, even, for_all

# --- facts ------------------------------------------------------------------------------------------------------------

FLUX_DEV = Licence(
    "FLUX.1 [dev] Non-Commercial License",
    "the model may not be used commercially without a licence from Black Forest Labs; read its terms on outputs",
)
# FLUX.1-dev's scheduler settings, for a MODEL that comes without a scheduler of its own (a stock loader's).
DEV_SCHEDULER = MappingProxyType(
    {
        "num_train_timesteps": 1000,
        "shift": 3.0,
        "use_dynamic_shifting": True,
        "base_shift": 0.5,
        "max_shift": 1.15,
        "base_image_seq_len": 256,
        "max_image_seq_len": 4096,
    }
)
SCHNELL_SCHEDULER = MappingProxyType({**DEV_SCHEDULER, "shift": 1.0, "use_dynamic_shifting": False})


def _shift(scheduler: Mapping[str, Any]) -> float:
    if scheduler.get("use_dynamic_shifting", False):
        return float(scheduler.get("max_shift", 1.15))
    return math.log(float(scheduler.get("shift", 1.0)))  # ComfyUI's ModelSamplingFlux takes it so


FLUX1 = Family(
    name="FLUX.1",
    since="0.35",
    latent_channels=16,
    pixels_per_cell=8,
    cells_per_token=2,
    scaling_factor=0.3611,
    shift_factor=0.1159,
    parts=MappingProxyType({"text_encoder": "clip", "text_encoder_2": "t5", "transformer": "flux1", "vae": "vae"}),
    max_tokens=512,
    text=None,
    timeshift="linear",
    mask_resize="nearest",
    cfg_around="negative",
    vae="FLUX.1 (ae.safetensors)",
    vae_channels=16,
    comfyui=ComfyFacts("Flux", "FLUX", "ModelSamplingFlux", "ModelSamplingFlux", _shift, lambda velocity: 3.1),
    seeing="FLUX.1 Kontext",
)
_DEV = Edition(FLUX1, Defaults(28, 3.5, 1.0), quick=Defaults(4, 0.0, 1.0))
_KONTEXT = Edition(FLUX1, Defaults(28, 2.5, 1.0), takes_references=True)
_DEV_OR_KONTEXT = dataclasses.replace(_DEV, takes_references=True)
_CONTROL = Edition(FLUX1, Defaults(28, 10.0, 1.0), beside_noise=16)
EDITIONS = MappingProxyType(
    {
        **dict.fromkeys(("FluxPipeline", "FluxImg2ImgPipeline", "FluxInpaintPipeline"), _DEV),
        **dict.fromkeys(("FluxKontextPipeline", "FluxKontextInpaintPipeline"), _KONTEXT),
        "FluxFillPipeline": Edition(FLUX1, Defaults(50, 30.0, 1.0), beside_noise=80),
        **dict.fromkeys(("FluxControlPipeline", "FluxControlImg2ImgPipeline", "FluxControlInpaintPipeline"), _CONTROL),
    }
)
_BY_CHANNELS = {64: "FluxPipeline", 384: "FluxFillPipeline", 128: "FluxControlPipeline"}
_BFL = "black-forest-labs/"
MODELS = (
    KnownModel("FLUX.1-schnell", _BFL + "FLUX.1-schnell", APACHE, ("flux1-schnell", "flux1-schnell-fp8")),
    KnownModel("FLUX.1-dev", _BFL + "FLUX.1-dev", FLUX_DEV, ("flux1-dev", "flux1-dev-fp8")),
    KnownModel("FLUX.1-Krea-dev", _BFL + "FLUX.1-Krea-dev", FLUX_DEV, ("flux1-krea-dev", "flux1-krea-dev_fp8_scaled")),
    KnownModel("FLUX.1-Fill-dev", _BFL + "FLUX.1-Fill-dev", FLUX_DEV, ("flux1-fill-dev",)),
    KnownModel(
        "FLUX.1-Kontext-dev",
        _BFL + "FLUX.1-Kontext-dev",
        FLUX_DEV,
        ("flux1-kontext-dev", "flux1-dev-kontext_fp8_scaled"),
    ),
    KnownModel("FLUX.1-Canny-dev", _BFL + "FLUX.1-Canny-dev", FLUX_DEV, ("flux1-canny-dev",)),
    KnownModel("FLUX.1-Depth-dev", _BFL + "FLUX.1-Depth-dev", FLUX_DEV, ("flux1-depth-dev",)),
    KnownModel("flux-micro", "", APACHE),
)

# --- names of weights -------------------------------------------------------------------------------------------------

_OUTER = {
    "time_in.in_layer": "time_text_embed.timestep_embedder.linear_1",
    "time_in.out_layer": "time_text_embed.timestep_embedder.linear_2",
    "vector_in.in_layer": "time_text_embed.text_embedder.linear_1",
    "vector_in.out_layer": "time_text_embed.text_embedder.linear_2",
    "guidance_in.in_layer": "time_text_embed.guidance_embedder.linear_1",
    "guidance_in.out_layer": "time_text_embed.guidance_embedder.linear_2",
    "txt_in": "context_embedder",
    "img_in": "x_embedder",
    "final_layer.linear": "proj_out",
    SHIFT_FIRST: "norm_out.linear",
}
_DOUBLE = {
    **DOUBLE,
    "img_mod.lin": ("norm1.linear",),
    "txt_mod.lin": ("norm1_context.linear",),
    "img_mlp.0": ("ff.net.0.proj",),
    "img_mlp.2": ("ff.net.2",),
    "txt_mlp.0": ("ff_context.net.0.proj",),
    "txt_mlp.2": ("ff_context.net.2",),
}
_SINGLE = {
    **SINGLE_NORMS,
    "modulation.lin": ("norm.linear",),
    "linear1": (*QKV, "proj_mlp"),
    "linear2": ("proj_out",),
}
ORIGINALS = Originals(_OUTER, _DOUBLE, _SINGLE)
_LORA = lora_table(ORIGINALS)
_LORA["single_blocks.{}.linear1_qkv"] = _LORA["single_blocks.{}.linear1"][:3]  # XLabs trains these rows alone


class Flux1(TransformerKind):
    """FLUX.1's transformer: dev, schnell, Kontext, Fill, Control and their relatives."""

    role = "flux1"
    label = "a FLUX.1 transformer"
    library = "diffusers"
    classes = MappingProxyType({"FluxTransformer2DModel": "FluxTransformer2DModel"})
    namings = (
        Naming(
            "double_blocks.0.img_attn.qkv.weight",
            lambda shapes: flux_names(shapes, ORIGINALS),
            also=("vector_in.in_layer.weight",),
        ),
        Naming(
            "transformer_blocks.0.attn.add_q_proj.weight",
            same,
            also=("time_text_embed.text_embedder.linear_1.weight",),
            unless="pos_embed.proj.weight",  # Stable Diffusion 3's, which has the others too
        ),
    )
    editions = EDITIONS
    named_editions = MappingProxyType({"FLUX.1 Kontext": ModelFacts(_KONTEXT, _KONTEXT.defaults, DEV_SCHEDULER)})
    models = MODELS
    lora = LoraNames("FluxLoraLoaderMixin", _LORA)
    original_roots = original_names.roots_of_flux(ORIGINALS)
    stock = ("comfy.model_base.Flux",)

    def config(self, part: Part) -> dict[str, Any]:
        return flux_config(part, (16, 56, 56)) | {
            "pooled_projection_dim": part.length("time_text_embed.text_embedder.linear_1.weight", 1),
            "guidance_embeds": part.has("time_text_embed.guidance_embedder.linear_1.weight"),
        }

    def widths(self, part: Part) -> Widths:
        pooled = part.length("time_text_embed.text_embedder.linear_1.weight", 1)
        return Widths(part.length("context_embedder.weight", 1), pooled)

    def widths_in(self, config: Config, name: str) -> Widths:
        return Widths(
            whole_number(config, "joint_attention_dim", name), whole_number(config, "pooled_projection_dim", name)
        )

    def traits(self, part: Part) -> Traits:
        guidance = any("guidance_embedder" in name for name in part.sources)
        return Traits(guidance, part.length("x_embedder.weight", 1))

    def traits_in(self, config: Config, name: str) -> Traits:
        channels = whole_number({"in_channels": 64, **config}, "in_channels", name)
        return Traits(bool(config.get("guidance_embeds", False)), channels)

    def describe(self, traits: Traits, name: str) -> ModelFacts:
        if traits.channels not in _BY_CHANNELS:
            wanted = f"a FLUX.1 of {', '.join(map(str, _BY_CHANNELS))} channels; it has {traits.channels}"
            raise ModelFilesError("model", name, wanted)
        edition = EDITIONS[_BY_CHANNELS[traits.channels]]
        if not traits.guidance:
            return ModelFacts(edition, edition.quick or edition.defaults, SCHNELL_SCHEDULER)
        if edition is _DEV:  # Kontext's weights have dev's names and shapes
            edition = _DEV_OR_KONTEXT
            return ModelFacts(edition, edition.defaults, DEV_SCHEDULER, "FLUX.1 dev or Kontext: references are allowed")
        return ModelFacts(edition, edition.defaults, DEV_SCHEDULER)

    def may_be(self, described: ModelFacts, edition: ModelFacts) -> bool:
        # Kontext embeds guidance as dev does; schnell, which wants none, is not it.
        return super().may_be(described, edition) and bool(described.defaults.guidance)

    def is_distilled(self, index: Config, transformer: Config, scheduler: Config) -> bool:
        return not transformer.get("guidance_embeds", False)  # schnell

    def originals(self, names: set[str], norms: str) -> original_names.Names:
        return original_names.of_flux(names, ORIGINALS, norms)

    def velocity(self, transformer: torch.nn.Module, dtype: torch.dtype, edition: Edition) -> Velocity:
        return FluxVelocity(transformer, dtype)


# --- the call ---------------------------------------------------------------------------------------------------------


def pack(latents: torch.Tensor) -> torch.Tensor:
    """[B, C, H, W] -> tokens [B, H/2 * W/2, C * 4]: FLUX.1's 2 x 2 patches."""
    return rearrange(latents, "b c (h p) (w q) -> b (h w) (c p q)", p=2, q=2)


def unpack(tokens: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """tokens [B, height/2 * width/2, C * 4] -> [B, C, height, width]."""
    return rearrange(tokens, "b (h w) (c p q) -> b c (h p) (w q)", h=height // 2, w=width // 2, p=2, q=2)


class FluxVelocity(Velocity):
    """A `FluxTransformer2DModel`."""

    takes_control = takes_patches = True
    step_caches = ("first block", "taylorseer", "magcache")

    @property
    def channels(self) -> int:
        return self.config.in_channels // 4

    @property
    def pooled_width(self) -> int:
        return int(self.config.pooled_projection_dim)

    def predict(self, x: torch.Tensor, timestep: torch.Tensor, given: Conditions) -> torch.Tensor:
        """Velocity [B, 16, H, W], in the dtype of `x`.

        x: normalised latents [B, 16, H, W]; Fill and Control editions take their picture and mask as channels after
        them. An odd side is padded by one cell.
        """
        height, width = x.shape[-2:]
        grids = [even(x), *(for_all(even(latent), len(x)).to(x) for latent in given.ref_latents)]
        rows, columns = grids[0].shape[-2:]
        tokens = torch.cat([pack(g) for g in grids], dim=1)
        with (
            self._embedded(given.guidance, timestep) as guidance,
            blocks.patched(self.transformer, given.context.shape[1], given.transformer_options),
        ):
            tokens = self.transformer(
                hidden_states=tokens,
                timestep=timestep,
                guidance=guidance,
                pooled_projections=given.y,
                encoder_hidden_states=given.context,
                txt_ids=torch.zeros(given.context.shape[1], 3, device=x.device),
                img_ids=torch.cat(self._ids((height, width), grids, given)),
                controlnet_block_samples=self._residuals(given.control, "input", "transformer_blocks", tokens),
                controlnet_single_block_samples=self._residuals(
                    given.control, "output", "single_transformer_blocks", tokens
                ),
                return_dict=False,
            )[0]
        return unpack(tokens[:, : rows * columns // 4], rows, columns)[..., :height, :width]

    @staticmethod
    def _ids(drawn: tuple[int, int], grids: Sequence[torch.Tensor], given: Conditions) -> list[torch.Tensor]:
        """Of what is drawn and of its references, each [H/2 * W/2, 3]."""
        sizes, rope = [latent.shape[-2:] for latent in given.ref_latents], places.Rope.of(given.transformer_options)
        begun = places.references(drawn, sizes, given.ref_latents_method or places.OFFSET, 2)
        return [
            places.grid(g.shape[-2] // 2, g.shape[-1] // 2, g.device, place, rope)
            for g, place in zip(grids, [places.ORIGIN_PLACE, *begun], strict=True)
        ]

    @contextlib.contextmanager
    def _embedded(self, guidance: torch.Tensor | None, timestep: torch.Tensor) -> Iterator[torch.Tensor | None]:
        """What to say of guidance. Where it is None to a model that embeds it, nothing is added to the time's embedding (stock
        FluxDisableGuidance); diffusers' class knows no such call.
        """
        if guidance is not None or not self.embeds_guidance:
            yield guidance if self.embeds_guidance else None
            return
        embedder: Any = self.transformer.time_text_embed.guidance_embedder  # type: ignore[union-attr]
        hook = embedder.register_forward_hook(lambda _module, _inputs, out: torch.zeros_like(out))
        try:
            yield torch.zeros_like(timestep)
        finally:
            hook.remove()

    def _residuals(
        self, control: Mapping[str, Sequence[torch.Tensor | None]] | None, name: str, blocks: str, tokens: torch.Tensor
    ) -> list[torch.Tensor] | None:
        """What a ControlNet adds after each block, [B, tokens, D]; zeros where it says nothing, and on references."""
        given = [residual for residual in (control or {}).get(name, ()) if residual is not None]
        if not given:
            return None
        by_index = dict(enumerate((control or {})[name]))
        rows = []
        for index in range(len(getattr(self.transformer, blocks))):
            residual = by_index.get(index)
            residual = torch.zeros_like(given[0]) if residual is None else residual
            rows.append(torch.nn.functional.pad(residual.to(tokens), (0, 0, 0, tokens.shape[1] - residual.shape[1])))
        return rows


KIND = Flux1()
