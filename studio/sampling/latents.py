"""Pixels and LATENTs: what each family's VAE makes, as ComfyUI's LATENT has it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from einops import rearrange

# FLUX.1, Z-Image: raw latents of the VAE, [B, 16, H/8, W/8]. FLUX.2: 2 x 2 cells of 32 channels laid on top of each
# other and normalised by the VAE's own running statistics, [B, 128, H/16, W/16].


def is_packed(vae: torch.nn.Module) -> bool:
    """Whether the VAE's latents are packed and normalised by its batch norm (FLUX.2)."""
    return getattr(vae, "bn", None) is not None


def channels(vae: torch.nn.Module) -> int:
    """Channels of a LATENT of this VAE."""
    return int(vae.config.latent_channels) * (4 if is_packed(vae) else 1)  # type: ignore[union-attr]


def _statistics(vae: torch.nn.Module, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation [1, 128, 1, 1] of the packed latents, where `like` is."""
    norm = vae.bn
    mean = norm.running_mean.to(like).view(1, -1, 1, 1)  # type: ignore[union-attr,operator]
    variance = norm.running_var.to(like).view(1, -1, 1, 1)  # type: ignore[union-attr,operator]
    return mean, torch.sqrt(variance + vae.config.batch_norm_eps)  # type: ignore[union-attr]


def encode(vae: torch.nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    """Pixels [B, 3, H, W] in -1..1, sides multiples of a cell -> LATENT: the mean, no random draw."""
    latents = vae.encode(pixels).latent_dist.mode()  # type: ignore[operator]
    if not is_packed(vae):
        return latents
    packed = rearrange(latents, "b c (h p) (w q) -> b (c p q) h w", p=2, q=2)
    mean, deviation = _statistics(vae, packed)
    return (packed - mean) / deviation


def decode(vae: torch.nn.Module, latents: torch.Tensor) -> torch.Tensor:
    """LATENT -> pixels [B, 3, H, W] in about -1..1."""
    if is_packed(vae):
        mean, deviation = _statistics(vae, latents)
        latents = rearrange(latents * deviation + mean, "b (c p q) h w -> b c (h p) (w q)", p=2, q=2)
    return vae.decode(latents, return_dict=False)[0]  # type: ignore[operator]


def has_convolutions(module: torch.nn.Module) -> bool:
    """Whether `channels_last` changes anything here."""
    return any(isinstance(part, torch.nn.Conv2d) for part in module.modules())


@contextlib.contextmanager
def channels_last(module: torch.nn.Module) -> Iterator[None]:
    """2-D convolutions get their inputs with the channels last in memory; the same numbers but for rounding.

    The weights stay as they are: they may be shared, and lie wherever a memory manager holds them.
    """
    with contextlib.ExitStack() as undo:
        for part in module.modules():
            if isinstance(part, torch.nn.Conv2d):
                undo.callback(part.register_forward_pre_hook(_channels_last_inputs).remove)
        yield


def _channels_last_inputs(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return inputs[0].contiguous(memory_format=torch.channels_last), *inputs[1:]
