"""The Python API of the core: pictures without ComfyUI, equal to diffusers' pipelines to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from .. import images
from ..errors import InputError, require_number
from . import encode, noise, schedule
from .checkpoints import Checkpoint, inspect, load_component
from .families import FLUX1
from .velocity import FluxVelocity

Progress = Callable[[int, int], None]  # step just finished (1..n), n


@dataclass(frozen=True)
class Text:
    sequence: torch.Tensor  # [B, S, D]
    pooled: torch.Tensor  # [B, P]


@dataclass
class FluxStudio:
    """A FLUX.1 whose modules all stand on one device."""

    clip: torch.nn.Module
    clip_tokenizer: Any
    t5: torch.nn.Module
    t5_tokenizer: Any
    velocity: FluxVelocity
    vae: torch.nn.Module
    scheduler_config: dict[str, Any]
    device: torch.device

    @classmethod
    def load(cls, folder: str | Path, dtype: torch.dtype = torch.float32, device: str = "cpu") -> FluxStudio:
        """Open a diffusers folder. Raises ModelFilesError where it is not whole."""
        checkpoint: Checkpoint = inspect(Path(folder))
        parts = {name: load_component(checkpoint, name, dtype) for name in (*FLUX1.tokenizers, *FLUX1.components)}
        for name in FLUX1.components:
            parts[name].to(device)
        return cls(
            parts["text_encoder"],
            parts["tokenizer"],
            parts["text_encoder_2"],
            parts["tokenizer_2"],
            FluxVelocity(parts["transformer"], dtype),
            parts["vae"],
            checkpoint.scheduler_config,
            torch.device(device),
        )

    @torch.no_grad()
    def encode(self, prompts: list[str], prompts_2: list[str] | None = None, max_tokens: int = 0) -> Text:
        """`max_tokens` is T5's length; 0 is the model's own."""
        length = max_tokens or own_length(self.t5_tokenizer)
        clip_ids = encode.tokenize(self.clip_tokenizer, prompts, self.clip_tokenizer.model_max_length).ids
        t5_ids = encode.tokenize(self.t5_tokenizer, prompts_2 or prompts, length).ids
        return Text(
            encode.sequence_embedding(self.t5, t5_ids.to(self.device)),
            encode.pooled_embedding(self.clip, clip_ids.to(self.device)),
        )

    @torch.no_grad()
    def sample(
        self,
        positive: Text,
        latents: torch.Tensor,
        *,
        seed: int,
        steps: int,
        guidance: float = 3.5,
        cfg: float = 1.0,
        negative: Text | None = None,
        strength: float = 1.0,
        mask: torch.Tensor | None = None,
        progress: Progress | None = None,
    ) -> torch.Tensor:
        """Normalised latents [B, 16, H, W] of B pictures, B = the texts' batch.

        latents: normalised [B, 16, H, W] to start from (their values count where strength < 1 or a mask is given).
        mask: [B, 1, H, W], 1 = paint anew. Equal to FluxPipeline, FluxImg2ImgPipeline, FluxInpaintPipeline.
        """
        require_number("guidance", guidance, 0, 100)
        require_number("cfg", cfg, 1, 100)
        if cfg > 1 and negative is None:
            raise InputError("negative", None, "a text to steer away from, because cfg is more than 1")
        count, _, height, width = latents.shape
        scheduler = schedule.set_steps(self.scheduler_config, steps, strength, height, width)
        timesteps = scheduler.timesteps[schedule.first_step(steps, strength) :].to(self.device)
        start = latents.to(self.device)
        fresh = noise.picture_noise(latents.shape[1:], seed, range(count)).to(start)
        x = scheduler.scale_noise(start, timesteps[:1], fresh)
        strengths = torch.full([1], guidance, device=self.device).expand(count)
        for i, timestep in enumerate(timesteps):
            level = (timestep.expand(count) / 1000).to(x.dtype)
            seen = x.to(self.velocity.dtype)
            flow = self.velocity(seen, level, positive.sequence, positive.pooled, strengths)
            if cfg > 1 and negative is not None:
                away = self.velocity(seen, level, negative.sequence, negative.pooled, strengths)
                flow = away + cfg * (flow - away)
            x = scheduler.step(flow, timestep, x, return_dict=False)[0]
            if mask is not None:
                kept = start
                if i + 1 < len(timesteps):
                    kept = scheduler.scale_noise(start, timesteps[i + 1 : i + 2], fresh)
                repaint = mask.to(x)
                x = (1 - repaint) * kept + repaint * x
            if progress:
                progress(i + 1, len(timesteps))
        return x

    @torch.no_grad()
    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Normalised latents [B, 16, H, W] -> IMAGE [B, 8H, 8W, 3] in 0..1."""
        config = self.vae.config  # type: ignore[union-attr]
        raw = (latents / config.scaling_factor + config.shift_factor).to(self.vae.dtype)  # type: ignore[arg-type]
        return images.from_channel_first(self.vae.decode(raw, return_dict=False)[0])  # type: ignore[operator]

    @torch.no_grad()
    def encode_image(self, image: torch.Tensor) -> torch.Tensor:
        """IMAGE [B, H, W, 3], sides multiples of 16 -> normalised latents (the mean, no random draw)."""
        config = self.vae.config  # type: ignore[union-attr]
        pixels = images.to_channel_first(image).to(self.device, self.vae.dtype)  # type: ignore[call-overload]
        raw = self.vae.encode(pixels).latent_dist.mode()  # type: ignore[operator]
        return (raw - config.shift_factor) * config.scaling_factor

    def text_to_image(
        self,
        prompt: str,
        *,
        width: int,
        height: int,
        seed: int,
        steps: int,
        guidance: float = 3.5,
        progress: Progress | None = None,
    ) -> torch.Tensor:
        """IMAGE [1, height, width, 3] of one prompt. Sides are multiples of 16."""
        for name, side in (("width", width), ("height", height)):
            if side < 16 or side % 16:
                raise InputError(name, side, "a multiple of 16")
        empty = torch.zeros(1, FLUX1.latent_channels, height // 8, width // 8)
        latents = self.sample(
            self.encode([prompt]), empty, seed=seed, steps=steps, guidance=guidance, progress=progress
        )
        return self.decode(latents)


def own_length(t5_tokenizer: Any) -> int:
    """The sequence length a model wants where none is given: its tokenizer's, at most FLUX.1's 512."""
    return min(int(t5_tokenizer.model_max_length), FLUX1.max_tokens)
