"""FLUX.3, step-distilled (a flow map) or not."""

from __future__ import annotations

import math
import re
from types import MappingProxyType
from typing import Any

import torch

from .facts import ChatText, ComfyFacts, Defaults, Edition, Family, ModelFacts, Traits, Widths
from .flux2 import LATENTS, memory
from .flux_names import PARAMETER_KINDS
from .kind import Config, TransformerKind, whole_number
from .names import LoraNames, Naming, Rows, Shapes, renamed, same
from .part import Part, axes_of
from .velocity import Conditions, Velocity, for_all, grid_ids, patchify, unpatchify

SCHEDULER = MappingProxyType({"num_train_timesteps": 1000, "shift": 6.93, "use_dynamic_shifting": False})
FLUX3 = Family(
    name="FLUX.3",
    since="0.42",
    parts=MappingProxyType({"text_encoder": "qwen3_vl", "transformer": "flux3", "vae": "flux2_vae"}),
    # transformers 4.57, with which FLUX.3 was trained, put padding at position 1.
    text=ChatText("qwen3_vl", (4, 8, 12, 16, 20, 24, 28, 32), 8192, window=80, padding_position=1),
    scheduler_config=SCHEDULER,
    max_tokens=512,
    timeshift="linear",
    cfg_around="negative",
    comfyui=ComfyFacts(
        "Flux2",
        "FLUX",
        "ModelSamplingFlux",
        "ModelSamplingFlux",
        # Not known to ComfyUI: the shift is its makers', which ModelSamplingFlux takes as ln.
        lambda scheduler: math.log(float(scheduler.get("shift", 6.93))),
        memory,
    ),
    **LATENTS,
)
_BASE = Edition(FLUX3, Defaults(50, 0.0, 3.5), takes_references=True)
_DISTILLED = Edition(FLUX3, Defaults(16, 0.0, 1.0), takes_references=True)
_ENDS_KNOWN = "target_timestep_embedder.linear_1.weight"  # the distilled model's: it is given the level a step ends at

_ORIGINALS = (  # of stems: a name without its last part
    (re.compile(r"^time_in\.in_layer$"), "timestep_embedder.linear_1"),
    (re.compile(r"^time_in\.out_layer$"), "timestep_embedder.linear_2"),
    (re.compile(r"^ref_time_in\.in_layer$"), "target_timestep_embedder.linear_1"),
    (re.compile(r"^ref_time_in\.out_layer$"), "target_timestep_embedder.linear_2"),
    (re.compile(r"^final_layer\.image\.linear$"), "proj_out"),
    (re.compile(r"^final_layer\.image\.adaLN_modulation\.1$"), "norm_out.linear"),
    (re.compile(r"^emb_in\."), "x_embedders."),
    (re.compile(r"^txt_in$"), "context_embedder"),
    (re.compile(r"^content_mode_blocks\."), "mode_blocks."),
    (re.compile(r"^single_blocks\."), "single_transformer_blocks."),
    (re.compile(r"\.lin$"), ".linear"),
    (re.compile(r"\.([qkv])_proj$"), r".attn.to_\1"),
    (re.compile(r"\.attn_out$"), ".attn.to_out.0"),
    (re.compile(r"\.norm\.query_norm$"), ".attn.norm_q"),
    (re.compile(r"\.norm\.key_norm$"), ".attn.norm_k"),
    (re.compile(r"\.mlp_(in|out)$"), r".ff.linear_\1"),
)


def _rename(shapes: Shapes) -> dict[str, Rows]:
    out = {}
    for name in shapes:
        stem, _, kind = name.rpartition(".")
        if kind not in PARAMETER_KINDS or stem.startswith("repa_projectors."):  # those were for training alone
            continue
        target = renamed(stem, _ORIGINALS)
        # BFL keeps (shift, scale), diffusers (scale, shift).
        out[f"{target}.{PARAMETER_KINDS[kind]}"] = Rows(name, swap=target == "norm_out.linear")
    return out


class Flux3(TransformerKind):
    """FLUX.3's transformer, base and distilled."""

    role = "flux3"
    label = "a FLUX.3 transformer"
    library = "diffusers"
    classes = MappingProxyType({"Flux3Transformer2DModel": "Flux3Transformer2DModel"})
    namings = (
        Naming("emb_in.image.weight", _rename, also=("early_stream_modulations.image.lin.weight",)),
        Naming("x_embedders.image.weight", same, also=("early_stream_modulations.image.linear.weight",)),
    )
    editions = MappingProxyType({"Flux3ModularPipeline": _BASE, "Flux3DistilledModularPipeline": _DISTILLED})
    lora = LoraNames("Flux3LoraLoaderMixin")

    def config(self, part: Part) -> dict[str, Any]:
        head = part.length("mode_blocks.image.0.attn.norm_q.weight", 0)
        width, channels = part.shape("x_embedders.image.weight")
        return {
            "in_channels": channels,
            "cond_in_channels": part.length("x_embedders.image_cond.weight", 1),
            "num_layers": part.count("mode_blocks.image"),
            "num_single_layers": part.count("single_transformer_blocks"),
            "attention_head_dim": head,
            "num_attention_heads": width // head,
            "joint_attention_dim": part.length("context_embedder.weight", 1),
            "timestep_channels": part.length("timestep_embedder.linear_1.weight", 1),
            "mlp_ratio": part.length("mode_blocks.image.0.ff.linear_out.weight", 1) / width,
            "axes_dims_rope": axes_of(head, (32, 32, 32, 32)),
            "flow_map": part.has(_ENDS_KNOWN),
        }

    def widths(self, part: Part) -> Widths:
        return Widths(part.length("context_embedder.weight", 1))

    def widths_in(self, config: Config, name: str) -> Widths:
        return Widths(whole_number(config, "joint_attention_dim", name))

    def traits(self, part: Part) -> Traits:
        return Traits(False, 0, part.has(_ENDS_KNOWN))

    def traits_in(self, config: Config, name: str) -> Traits:
        channels = whole_number({"in_channels": 128, **config}, "in_channels", name)
        return Traits(False, channels, bool(config.get("flow_map")))

    def describe(self, traits: Traits, name: str) -> ModelFacts:
        edition = _DISTILLED if traits.marked else _BASE
        return ModelFacts(edition, edition.defaults, dict(SCHEDULER))

    def velocity(self, transformer: torch.nn.Module, dtype: torch.dtype, edition: Edition) -> Velocity:
        return Flux3Velocity(transformer, dtype)


class Flux3Velocity(Velocity):
    """A `Flux3Transformer2DModel`."""

    def predict(self, x: torch.Tensor, timestep: torch.Tensor, given: Conditions) -> torch.Tensor:
        """Velocity [B, 128, H, W], in the dtype of `x` [B, 128, H, W].

        A flow map also reads the level that the step ends at: `target`, or that of the run's "sample_sigmas".
        """
        length = given.context.shape[1]
        text = torch.zeros(length, 4, device=x.device)
        text[:, 3] = torch.arange(length, device=x.device)
        references = {}
        if given.ref_latents:
            shown = [for_all(latent, len(x)).to(x) for latent in given.ref_latents]
            references = {
                "image_cond_hidden_states": torch.cat([patchify(r) for r in shown], dim=1),
                "image_cond_ids": torch.cat([half_grid_ids(r, -1 - index) for index, r in enumerate(shown)]),
            }
        target = given.target
        if self.config.flow_map and target is None:
            target = next_level((given.transformer_options or {}).get("sample_sigmas"), timestep)
        tokens = self.transformer(
            hidden_states=patchify(x),
            encoder_hidden_states=given.context,
            timestep=timestep,
            img_ids=half_grid_ids(x, 0),
            txt_ids=text,
            target_timestep=target if self.config.flow_map else None,
            return_dict=False,
            **references,
        )[0]
        return unpatchify(tokens, x.shape[-2])


def half_grid_ids(latents: torch.Tensor, index: int) -> torch.Tensor:
    """Float32 [H * W, 4]: (0, row / 2, column / 2, index) of each cell of [B, C, H, W], as FLUX.3 was trained."""
    ids = grid_ids(latents)
    ids[:, 1:3] *= 0.5
    ids[:, 3] = index
    return ids


def next_level(levels: torch.Tensor | None, timestep: torch.Tensor) -> torch.Tensor:
    """[B]: the noise level after `timestep` [B] in a run's falling `levels` [n + 1]; 0 where nothing is known of it."""
    if levels is None:
        return torch.zeros_like(timestep)
    levels = levels.to(timestep)
    here = (levels[None] - timestep[:, None]).abs().argmin(1)
    return levels[(here + 1).clamp(max=len(levels) - 1)]


KIND = Flux3()
