"""The one call of the model: latents and a noise level in, the flow's velocity out. Each kind has its own."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange

from . import places
from .reference_cache import ReferenceCache


@dataclass(frozen=True)
class Conditions:
    """What steers a picture, under the names that ComfyUI has for it. A kind reads of it what it was trained with."""

    context: torch.Tensor  # embeddings of the text [B, S, D]
    y: torch.Tensor | None = None  # pooled embedding [B, P]
    attention_mask: torch.Tensor | None = None  # [B, S], 1 = the text's own tokens; None: all of them
    guidance: torch.Tensor | None = None  # [B]; read by transformers that embed it
    ref_latents: Sequence[torch.Tensor] = ()  # pictures to look at: normalised latents, each [1 or B, C, h, w]
    ref_latents_method: str = ""  # where they are: one of places.METHODS; "": the kind's own
    ref_contexts: Sequence[torch.Tensor] = ()  # texts around n of them, n + 1, each [1 or B, S, D]
    siglip_feats: Sequence[torch.Tensor] = ()  # features of them, each [1 or B, rows, columns, C], or none
    control: Mapping[str, Sequence[torch.Tensor | None]] | None = None  # a ControlNet's "input" and "output"
    kept: ReferenceCache | None = (
        None  # of a run with these weights; None: references are computed anew, which is the same
    )
    target: torch.Tensor | None = None  # [B], the noise level that the step ends at
    transformer_options: Mapping[str, Any] | None = (
        None  # ComfyUI's; "sample_sigmas" are the levels of the whole run; rope_options, patches
    )


class Velocity(torch.nn.Module, ABC):
    """A diffusers transformer called with latents instead of tokens.

    Its sub-modules are the transformer's own, under the transformer's own names, so that a LoRA's keys fit.
    """

    takes_control = False  # whether it reads Conditions.control
    takes_mask = False  # whether it reads Conditions.attention_mask, so that its attention is masked
    takes_patches = False  # whether it does what blocks.py knows, and scales its positions
    reads_around_references = False  # whether it reads ref_contexts and siglip_feats
    # Names in studio/sampling/acceleration.py of diffusers' caches that work on it. First block fails on FLUX.2, whose last
    # block returns text and picture in one tensor; magcache wants ratios measured on the model, and FLUX.1's alone are known.
    step_caches: tuple[str, ...] = ()

    def __init__(self, transformer: torch.nn.Module, dtype: torch.dtype):
        super().__init__()
        self.transformer = transformer
        self.dtype = dtype  # of the computation; the weights may be stored in a smaller one

    @property
    def config(self) -> Any:
        """The transformer's configuration."""
        return self.transformer.config

    @property
    def embeds_guidance(self) -> bool:
        """Whether the transformer was distilled to read the guidance scale as a number."""
        return bool(getattr(self.config, "guidance_embeds", False))

    @property
    def channels(self) -> int:
        """Latent channels that go in: a family's own, more for editions that see a picture beside the noise."""
        return self.config.in_channels

    @property
    def text_width(self) -> int:
        """Width of the text sequence it reads."""
        return int(self.config.joint_attention_dim)

    @property
    def pooled_width(self) -> int:
        """Of Conditions.y; 0: it takes none."""
        return 0

    @property
    def kept_numbers(self) -> int:
        """Numbers that are kept of each reference token while a run lasts."""
        return 0

    def forward(self, x: torch.Tensor, timestep: torch.Tensor, context: torch.Tensor, **given: Any) -> torch.Tensor:
        """Velocity [B, C, H, W] = noise - picture, of `x` [B, C, H, W] at the noise levels `timestep` [B], 0..1.

        x: normalised latents. context and the others: the fields of Conditions. Raises TypeError for another name.
        """
        return self.predict(x, timestep, Conditions(context, **given))

    @abstractmethod
    def predict(self, x: torch.Tensor, timestep: torch.Tensor, given: Conditions) -> torch.Tensor:
        """The velocity [B, C, H, W], noise minus data, for latents `x` at a noise level `timestep` [B] in 0..1."""


def even(latents: torch.Tensor) -> torch.Tensor:
    """[B, C, H, W] with odd sides made even by the first row or column, as ComfyUI's own FLUX has it.

    diffusers' pipelines have no odd sides: they round the picture's to 16 pixels.
    """
    height, width = latents.shape[-2:]
    if not (height | width) & 1:
        return latents
    return torch.nn.functional.pad(latents, (0, width % 2, 0, height % 2), mode="circular")


def for_all(latents: torch.Tensor, count: int) -> torch.Tensor:
    """One row for each of `count` pictures; a batch of another size repeats."""
    return latents.repeat(math.ceil(count / latents.shape[0]), 1, 1, 1)[:count]


def patchify(latents: torch.Tensor) -> torch.Tensor:
    """[B, C, H, W] -> tokens [B, H * W, C]: patches of 1 x 1."""
    return rearrange(latents, "b c h w -> b (h w) c")


def unpatchify(tokens: torch.Tensor, height: int) -> torch.Tensor:
    """Tokens [B, height * W, C] -> [B, C, height, W]."""
    return rearrange(tokens, "b (h w) c -> b c h w", h=height)


def text_ids(context: torch.Tensor) -> torch.Tensor:
    """Int64 [S, 4]: (0, 0, 0, place) of each token of a text [B, S, D]."""
    ids = torch.zeros(context.shape[1], 4, device=context.device, dtype=torch.int64)
    ids[:, 3] = torch.arange(context.shape[1], device=context.device)
    return ids


def grid_ids(
    latents: torch.Tensor, place: places.Place = places.ORIGIN_PLACE, rope: places.Rope = places.PLAIN_ROPE
) -> torch.Tensor:
    """Float32 [H * W, 4]: (time, row, column, 0) of each cell of [B, C, H, W]."""
    height, width = latents.shape[-2:]
    return torch.nn.functional.pad(places.grid(height, width, latents.device, place, rope), (0, 1))
