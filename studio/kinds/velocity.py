"""The one call of the model: latents and a noise level in, the flow's velocity out. A class for each transformer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from einops import rearrange

from .families import Edition
from .reference_cache import ReferenceCache

REFERENCE_SPACING = 10  # FLUX.2: references stand at 10, 20, ... on the time axis


class Velocity(torch.nn.Module):
    """A diffusers transformer called with latents instead of tokens.

    Its sub-modules are the transformer's own, under the transformer's own names, so that a LoRA's keys fit.
    """

    def __init__(self, transformer: torch.nn.Module, dtype: torch.dtype):
        super().__init__()
        self.transformer = transformer
        self.dtype = dtype  # of the computation; the weights may be stored in a smaller one

    @property
    def config(self) -> Any:
        return self.transformer.config


def pack(latents: torch.Tensor) -> torch.Tensor:
    """[B, C, H, W] -> tokens [B, H/2 * W/2, C * 4]: FLUX.1's 2 x 2 patches."""
    return rearrange(latents, "b c (h p) (w q) -> b (h w) (c p q)", p=2, q=2)


def unpack(tokens: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """tokens [B, height/2 * width/2, C * 4] -> [B, C, height, width]."""
    return rearrange(tokens, "b (h w) (c p q) -> b c (h p) (w q)", h=height // 2, w=width // 2, p=2, q=2)


def position_ids(
    height: int, width: int, device: torch.device, index: int = 0, row: int = 0, column: int = 0
) -> torch.Tensor:
    """Float32 [height/2 * width/2, 3]: (index, row, column) of each token, counted from `row` and `column`."""
    ids = torch.full((height // 2, width // 2, 3), float(index), device=device)
    ids[..., 1] = torch.arange(row, row + height // 2, device=device)[:, None]
    ids[..., 2] = torch.arange(column, column + width // 2, device=device)[None]
    return ids.reshape(-1, 3)


def even(latents: torch.Tensor) -> torch.Tensor:
    """[B, C, H, W] with odd sides made even by repeating the last row or column."""
    height, width = latents.shape[-2:]
    if not (height | width) & 1:
        return latents
    return torch.nn.functional.pad(latents, (0, width % 2, 0, height % 2), mode="replicate")


def reference_corners(sizes: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """(row, column) at which each reference of (height, width) tokens begins, so that FLUX.1 Kontext tells them apart.

    The first at (0, 0), as FluxKontextPipeline has it; the others are set side by side or one above the other, whichever
    keeps the whole smaller (ComfyUI's method "offset").
    """
    corners, rows, columns = [], 0, 0
    for height, width in sizes:
        row, column = (0, columns) if height + rows > width + columns else (rows, 0)
        rows, columns = max(rows, row + height), max(columns, column + width)
        corners.append((row, column))
    return corners


def for_all(latents: torch.Tensor, count: int) -> torch.Tensor:
    """One row for each of `count` pictures; a batch of another size repeats."""
    return latents.repeat(math.ceil(count / latents.shape[0]), 1, 1, 1)[:count]


class FluxVelocity(Velocity):
    """FLUX.1 in all editions: a `FluxTransformer2DModel`."""

    def __init__(self, transformer: torch.nn.Module, dtype: torch.dtype):
        super().__init__(transformer, dtype)
        self.embeds_guidance = bool(transformer.config.guidance_embeds)  # type: ignore[union-attr]

    def forward(
        self,
        x: torch.Tensor,
        timestep: torch.Tensor,
        context: torch.Tensor,
        y: torch.Tensor,
        guidance: torch.Tensor | None = None,
        ref_latents: Sequence[torch.Tensor] = (),
        control: Mapping[str, Sequence[torch.Tensor]] | None = None,
        **_: object,
    ) -> torch.Tensor:
        """Velocity [B, 16, H, W] = noise - picture, in the dtype of `x`.

        x: normalised latents [B, 16, H, W]; Fill and Control editions take their picture and mask as channels after
        them. An odd side is padded by one cell. timestep: [B], the noise level 0..1. context: sequence embeddings
        [B, S, D]. y: pooled embedding [B, P]. guidance: [B] or None. ref_latents: pictures to look at, normalised, each
        [1 or B, 16, h, w]. control: what a ControlNet adds after the blocks: "input", "output", as ComfyUI names them.
        """
        height, width = x.shape[-2:]
        padded = even(x)
        rows, columns = padded.shape[-2:]
        tokens = pack(padded)
        ids = [position_ids(rows, columns, x.device)]
        drawn = tokens.shape[1]
        references = [even(latent) for latent in ref_latents]
        corners = reference_corners([(r.shape[-2] // 2, r.shape[-1] // 2) for r in references])
        for reference, (row, column) in zip(references, corners, strict=True):
            tokens = torch.cat([tokens, pack(for_all(reference, len(x)).to(x))], dim=1)
            ids.append(position_ids(reference.shape[-2], reference.shape[-1], x.device, 1, row, column))
        tokens = self.transformer(
            hidden_states=tokens,
            timestep=timestep,
            guidance=guidance if self.embeds_guidance else None,
            pooled_projections=y,
            encoder_hidden_states=context,
            txt_ids=torch.zeros(context.shape[1], 3, device=x.device),
            img_ids=torch.cat(ids),
            controlnet_block_samples=self._residuals(control, "input", "transformer_blocks", tokens),
            controlnet_single_block_samples=self._residuals(control, "output", "single_transformer_blocks", tokens),
            return_dict=False,
        )[0]
        return unpack(tokens[:, :drawn], rows, columns)[..., :height, :width]

    def _residuals(
        self, control: Mapping[str, Sequence[torch.Tensor | None]] | None, name: str, blocks: str, tokens: torch.Tensor
    ) -> list[torch.Tensor] | None:
        """What a ControlNet adds after each block, [B, tokens, D]; zeros where it says nothing, and on references."""
        given = [residual for residual in (control or {}).get(name, ()) if residual is not None]
        if not given:
            return None
        said = dict(enumerate((control or {})[name]))
        rows = []
        for index in range(len(getattr(self.transformer, blocks))):
            residual = said.get(index)
            residual = torch.zeros_like(given[0]) if residual is None else residual
            rows.append(torch.nn.functional.pad(residual.to(tokens), (0, 0, 0, tokens.shape[1] - residual.shape[1])))
        return rows


class Flux2Velocity(Velocity):
    """FLUX.2 dev and klein: a `Flux2Transformer2DModel`."""

    def __init__(self, transformer: torch.nn.Module, dtype: torch.dtype):
        super().__init__(transformer, dtype)
        self.embeds_guidance = bool(transformer.config.guidance_embeds)  # type: ignore[union-attr]

    def forward(
        self,
        x: torch.Tensor,
        timestep: torch.Tensor,
        context: torch.Tensor,
        guidance: torch.Tensor | None = None,
        ref_latents: Sequence[torch.Tensor] = (),
        **_: object,
    ) -> torch.Tensor:
        """Velocity [B, 128, H, W], in the dtype of `x`.

        x: latents [B, 128, H, W]. timestep: [B], the noise level 0..1. context: [B, S, D]. guidance: [B] or None.
        ref_latents: each [1 or B, 128, h, w].
        """
        grids = [x, *(for_all(latent, len(x)).to(x) for latent in ref_latents)]
        ids = [grid_ids(g, REFERENCE_SPACING * index) for index, g in enumerate(grids)]
        tokens = self.transformer(
            hidden_states=torch.cat([cells(g) for g in grids], dim=1),
            timestep=timestep,
            guidance=guidance if self.embeds_guidance else None,
            encoder_hidden_states=context,
            txt_ids=text_ids(context),
            img_ids=torch.cat(ids),
            return_dict=False,
        )[0]
        height, width = x.shape[-2:]
        return rearrange(tokens[:, : height * width], "b (h w) c -> b c h w", h=height)


class Flux2KVVelocity(Flux2Velocity):
    """FLUX.2 klein KV: what it knows of its references is computed once and kept, where there is a place to keep it."""

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

    def forward(  # type: ignore[override]  # every other reading of `**_` is the same
        self,
        x: torch.Tensor,
        timestep: torch.Tensor,
        context: torch.Tensor,
        guidance: torch.Tensor | None = None,
        ref_latents: Sequence[torch.Tensor] = (),
        kept: ReferenceCache | None = None,
        **_: object,
    ) -> torch.Tensor:
        """As Flux2Velocity's. `kept`: of a sampling run with these weights; None: the references are computed anew,
        which gives the same.
        """
        if not ref_latents:
            return super().forward(x, timestep, context, guidance)
        references = [latent.to(x) for latent in ref_latents]
        cache = kept.find(references, len(x)) if kept is not None else None
        grids = [x] if cache is not None else [*(for_all(latent, len(x)) for latent in references), x]
        ids = [grid_ids(g, REFERENCE_SPACING * (index + 1)) for index, g in enumerate(grids[:-1])]
        tokens, *made = self.transformer(
            hidden_states=torch.cat([cells(g) for g in grids], dim=1),
            timestep=timestep,
            guidance=guidance if self.embeds_guidance else None,
            encoder_hidden_states=context,
            txt_ids=text_ids(context),
            img_ids=torch.cat([*ids, grid_ids(x, 0)]),
            return_dict=False,
            kv_cache=cache,
            kv_cache_mode="extract" if cache is None else "cached",
            num_ref_tokens=sum(len(i) for i in ids),
        )
        if kept is not None and cache is None:
            kept.keep(references, len(x), made[0])
        return rearrange(tokens, "b (h w) c -> b c h w", h=x.shape[-2])


def cells(latents: torch.Tensor) -> torch.Tensor:
    """[B, C, H, W] -> tokens [B, H * W, C]."""
    return rearrange(latents, "b c h w -> b (h w) c")


def text_ids(context: torch.Tensor) -> torch.Tensor:
    """Int64 [S, 4]: (0, 0, 0, place) of each token of a text [B, S, D]."""
    ids = torch.zeros(context.shape[1], 4, device=context.device, dtype=torch.int64)
    ids[:, 3] = torch.arange(context.shape[1], device=context.device)
    return ids


def grid_ids(latents: torch.Tensor, time: int) -> torch.Tensor:
    """Int64 [H * W, 4]: (time, row, column, 0) of each cell of [B, C, H, W]."""
    height, width = latents.shape[-2:]
    ids = torch.zeros(height, width, 4, device=latents.device, dtype=torch.int64)
    ids[..., 0] = time
    ids[..., 1] = torch.arange(height, device=latents.device)[:, None]
    ids[..., 2] = torch.arange(width, device=latents.device)[None]
    return ids.reshape(-1, 4)


class Flux3Velocity(Velocity):
    """FLUX.3: a `Flux3Transformer2DModel`, step-distilled (a flow map) or not."""

    embeds_guidance = False

    def forward(
        self,
        x: torch.Tensor,
        timestep: torch.Tensor,
        context: torch.Tensor,
        ref_latents: Sequence[torch.Tensor] = (),
        target: torch.Tensor | None = None,
        transformer_options: Mapping[str, Any] | None = None,
        **_: object,
    ) -> torch.Tensor:
        """Velocity [B, 128, H, W], in the dtype of `x`.

        x: latents [B, 128, H, W]. timestep: [B], the noise level 0..1. context: [B, S, D]. ref_latents: each
        [1 or B, 128, h, w]. A flow map also wants to know the level that the step ends at: `target` [B], or the levels
        of the whole run as ComfyUI's samplers say them ("sample_sigmas").
        """
        length = context.shape[1]
        text = torch.zeros(length, 4, device=x.device)
        text[:, 3] = torch.arange(length, device=x.device)
        references = {}
        if ref_latents:
            shown = [for_all(latent, len(x)).to(x) for latent in ref_latents]
            references = {
                "image_cond_hidden_states": torch.cat([rearrange(r, "b c h w -> b (h w) c") for r in shown], dim=1),
                "image_cond_ids": torch.cat([half_grid_ids(r, -1 - index) for index, r in enumerate(shown)]),
            }
        if self.config.flow_map and target is None:
            target = next_level((transformer_options or {}).get("sample_sigmas"), timestep)
        tokens = self.transformer(
            hidden_states=rearrange(x, "b c h w -> b (h w) c"),
            encoder_hidden_states=context,
            timestep=timestep,
            img_ids=half_grid_ids(x, 0),
            txt_ids=text,
            target_timestep=target if self.config.flow_map else None,
            return_dict=False,
            **references,
        )[0]
        return rearrange(tokens, "b (h w) c -> b c h w", h=x.shape[-2])


def half_grid_ids(latents: torch.Tensor, index: int) -> torch.Tensor:
    """Float32 [H * W, 4]: (0, row / 2, column / 2, index) of each cell of [B, C, H, W], as FLUX.3 was trained."""
    ids = grid_ids(latents, 0).float()
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


class ZImageVelocity(Velocity):
    """Z-Image: a `ZImageTransformer2DModel`, whose time runs the other way and which returns picture - noise."""

    embeds_guidance = False

    def forward(
        self,
        x: torch.Tensor,
        timestep: torch.Tensor,
        context: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        **_: object,
    ) -> torch.Tensor:
        """Velocity [B, 16, H, W], float32.

        x: normalised latents [B, 16, H, W]; an odd side is padded by one cell. timestep: [B], the noise level 0..1.
        context: [B, S, D]. attention_mask: [B, S], 1 = the text's own tokens; None: all of them.
        """
        height, width = x.shape[-2:]
        texts = self._own_tokens(context, attention_mask)
        pictures = self._transformer(list(even(x).unsqueeze(2)), 1 - timestep, texts)
        return -torch.stack([picture.float() for picture in pictures]).squeeze(2)[..., :height, :width]

    @staticmethod
    def _own_tokens(context: torch.Tensor, mask: torch.Tensor | None) -> list[torch.Tensor]:
        return list(context) if mask is None else [row[own.bool()] for row, own in zip(context, mask)]

    def _transformer(self, x: list, time: torch.Tensor, texts: list, **options: Any) -> list[torch.Tensor]:
        # Its padding tokens belong to no layer, so that partial loading may have left them elsewhere.
        own = {name: token.to(time.device) for name, token in self.transformer.named_parameters(recurse=False)}
        options["return_dict"] = False
        return torch.func.functional_call(self.transformer, own, (x, time, texts), options)[0]


class ZImageOmniVelocity(ZImageVelocity):
    """Z-Image Omni: the same transformer, which also looks at pictures: text, latents and SigLIP's features of each."""

    def forward(  # type: ignore[override]  # names what its parent's `**_` takes and leaves
        self,
        x: torch.Tensor,
        timestep: torch.Tensor,
        context: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        ref_latents: Sequence[torch.Tensor] = (),
        ref_contexts: Sequence[torch.Tensor] = (),
        siglip_feats: Sequence[torch.Tensor] = (),
        **_: object,
    ) -> torch.Tensor:
        """Velocity [B, 16, H, W], float32, of the arguments of Z-Image and of n pictures, under ComfyUI's names.

        ref_latents: n normalised latents, each [1 or B, 16, h, w]. ref_contexts: n + 1 texts, each [1 or B, S, D]: one
        before each picture, and the one after the prompt. siglip_feats: n pictures' features, each [1 or B, rows,
        columns, C], or none.
        """
        height, width = x.shape[-2:]
        count, pictures = len(x), len(ref_latents)
        shown = [for_all(even(latent), count).to(x) for latent in ref_latents]
        around = [text.expand(count, -1, -1) for text in ref_contexts]
        features = [feature.expand(count, -1, -1, -1) for feature in siglip_feats]
        targets, texts = even(x), self._own_tokens(context, attention_mask)
        out = self._transformer(
            [[*(latent[row].unsqueeze(1) for latent in shown), targets[row].unsqueeze(1)] for row in range(count)],
            1 - timestep,
            [
                [*(text[row] for text in around[:pictures]), texts[row], *(text[row] for text in around[pictures:])]
                for row in range(count)
            ],
            siglip_feats=[[*(f[row] for f in features), None] if features else None for row in range(count)],
            image_noise_mask=[[0] * pictures + [1]] * count,
        )
        return -torch.stack([picture.float() for picture in out]).squeeze(2)[..., :height, :width]


VELOCITIES: Mapping[str, type[Velocity]] = {
    "FluxTransformer2DModel": FluxVelocity,
    "Flux2Transformer2DModel": Flux2Velocity,
    "Flux3Transformer2DModel": Flux3Velocity,
    "ZImageTransformer2DModel": ZImageVelocity,
}


def make_velocity(transformer: torch.nn.Module, dtype: torch.dtype, edition: Edition) -> Velocity:
    """The Velocity of a diffusers transformer of one of the families."""
    if edition.keeps_references:
        return Flux2KVVelocity(transformer, dtype)
    if getattr(transformer.config, "siglip_feat_dim", None) is not None:
        return ZImageOmniVelocity(transformer, dtype)
    return VELOCITIES[type(transformer).__name__](transformer, dtype)


def channels_of(velocity: Velocity) -> int:
    """Latent channels that the transformer takes: a family's own, more for FLUX.1's Fill and Control editions."""
    per_token = 4 if isinstance(velocity, FluxVelocity) else 1
    return velocity.config.in_channels // per_token
