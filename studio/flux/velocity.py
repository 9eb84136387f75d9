"""The one call of the model: latents and a noise level in, the flow's velocity out."""

from __future__ import annotations

import torch
from einops import rearrange

from .families import FLUX1


def pack(latents: torch.Tensor) -> torch.Tensor:
    """[B, C, H, W] -> tokens [B, H/2 * W/2, C * 4]: FLUX.1's 2 x 2 patches."""
    return rearrange(latents, "b c (h p) (w q) -> b (h w) (c p q)", p=2, q=2)


def unpack(tokens: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """tokens [B, height/2 * width/2, C * 4] -> [B, C, height, width]."""
    return rearrange(tokens, "b (h w) (c p q) -> b c (h p) (w q)", h=height // 2, w=width // 2, p=2, q=2)


def position_ids(height: int, width: int, device: torch.device) -> torch.Tensor:
    """Float32 [height/2 * width/2, 3]: (0, row, column) of each token."""
    ids = torch.zeros(height // 2, width // 2, 3, device=device)
    ids[..., 1] = torch.arange(height // 2, device=device)[:, None]
    ids[..., 2] = torch.arange(width // 2, device=device)[None]
    return ids.reshape(-1, 3)


class FluxVelocity(torch.nn.Module):
    """A diffusers `FluxTransformer2DModel` called with latents instead of tokens.

    Its sub-modules are the transformer's own, under the transformer's own names, so that a LoRA's keys fit.
    """

    def __init__(self, transformer: torch.nn.Module, dtype: torch.dtype):
        super().__init__()
        self.transformer = transformer
        self.dtype = dtype  # of the computation; the weights may be stored in a smaller one
        self.embeds_guidance = bool(transformer.config.guidance_embeds)  # type: ignore[union-attr]

    def forward(
        self,
        x: torch.Tensor,
        timestep: torch.Tensor,
        context: torch.Tensor,
        y: torch.Tensor,
        guidance: torch.Tensor | None = None,
        **_: object,
    ) -> torch.Tensor:
        """Velocity [B, 16, H, W] = noise - picture, in the dtype of `x`.

        x: normalised latents [B, 16, H, W], an odd side is padded by one cell. timestep: [B], the noise level 0..1.
        context: sequence embeddings [B, S, D]. y: pooled embedding [B, P]. guidance: [B] or None.
        """
        height, width = x.shape[-2:]
        padded = (
            torch.nn.functional.pad(x, (0, width % 2, 0, height % 2), mode="replicate") if (height | width) & 1 else x
        )
        rows, columns = padded.shape[-2:]
        tokens = self.transformer(
            hidden_states=pack(padded),
            timestep=timestep,
            guidance=guidance if self.embeds_guidance else None,
            pooled_projections=y,
            encoder_hidden_states=context,
            txt_ids=torch.zeros(context.shape[1], 3, device=x.device),
            img_ids=position_ids(rows, columns, x.device),
            return_dict=False,
        )[0]
        return unpack(tokens, rows, columns)[..., :height, :width]


def channels_of(velocity: FluxVelocity) -> int:
    """Latent channels that the transformer takes: 16 for FLUX.1, more for its Fill and Control editions."""
    return velocity.transformer.config.in_channels // FLUX1.cells_per_token**2  # type: ignore[union-attr]
