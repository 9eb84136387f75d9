"""The Python API of the core: pictures without ComfyUI, equal to diffusers' pipelines to the last bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from .. import images
from ..errors import InputError, require_number
from ..kinds import omni
from ..kinds.facts import Defaults, Edition, Family
from ..kinds.reference_cache import ReferenceCache
from ..kinds.table import make_velocity
from ..kinds.velocity import Velocity
from ..opening.models import Description, ModelFiles, describe
from ..opening.sources import Published
from ..weights.linear import expand_at_use
from . import latents as codec
from . import noise, schedule
from .encode import ChatEncoder, ChatTokenizer, PairEncoders, PairTokenizer, Text, make_encoders, make_tokenizer

Progress = Callable[[int, int], None]  # step just finished (1..n), n


class Order(NamedTuple):
    """What `FluxStudio.sample` is asked for."""

    positive: Text
    seed: int
    steps: int
    guidance: float = 3.5
    cfg: float = 1.0
    negative: Text | None = None
    strength: float = 1.0
    mask: torch.Tensor | None = None
    references: Sequence[torch.Tensor] = ()
    beside: torch.Tensor | None = None
    begun: tuple[int, torch.Tensor] | None = None  # steps done, and x after them


class Now(NamedTuple):
    """After a step."""

    done: int  # 1 .. total
    total: int
    x: torch.Tensor  # [B, C, H, W], as noisy as levels[done]
    prediction: torch.Tensor  # [B, C, H, W], the clean picture as far as it can be told
    levels: torch.Tensor  # [total + 1], the sigmas


@dataclass
class FluxStudio:
    """A model whose modules all stand on one device."""

    family: Family
    tokenizer: PairTokenizer | ChatTokenizer
    encoders: PairEncoders | ChatEncoder
    velocity: Velocity
    vae: torch.nn.Module
    scheduler_config: dict[str, Any]
    defaults: Defaults
    device: torch.device
    edition: Edition | None = None  # None: not known, so nothing is refused for its sake

    @classmethod
    def load(cls, folder: str | Path, dtype: torch.dtype = torch.float32, device: str = "cpu") -> FluxStudio:
        """Open a whole model, a folder or a file. Raises ModelFilesError where something is missing or broken."""
        return cls.open(describe(ModelFiles.whole(Path(folder))), dtype, device)

    @classmethod
    def open(
        cls,
        described: Description,
        dtype: torch.dtype,
        device: str,
        published: Published | None = None,
        keep_stored: bool = False,
    ) -> FluxStudio:
        """The model of a description, with text encoders and VAE. `published`: as in TextEncoderComponent.read.

        keep_stored: GGUF and quantised weights stay as they are in memory and are expanded for each use, which draws the
        same pictures, slower.
        """
        if not described.encoders or described.vae is None:
            raise InputError("model", described.name, "a model with its text encoders and its VAE")
        parts = [*described.encoders, described.transformer, described.vae]
        *texts, transformer, vae = [expand_at_use(part.load(dtype, keep_stored)).to(device) for part in parts]
        readers = [(encoder.kind.reads_text, encoder.read(published)) for encoder in described.encoders]
        return cls(
            described.family,
            make_tokenizer(described.family, [reader for reads_text, reader in readers if reads_text]),
            make_encoders(described.family, texts, [reader for reads_text, reader in readers if not reads_text]),
            make_velocity(transformer, dtype, described.edition),
            vae,
            dict(described.scheduler_config),
            described.defaults,
            torch.device(device),
            described.edition,
        )

    @torch.no_grad()
    def encode(self, prompts: list[str], prompts_2: list[str] | None = None, max_tokens: int = 0) -> Text:
        """`max_tokens` is the sequence encoder's length; 0 is the model's own."""
        return self.encoders.embed(self.tokenizer.tokenize(prompts, prompts_2, max_tokens), self.device)

    @torch.no_grad()
    def encode_with_pictures(self, prompts: list[str], pictures: Sequence[torch.Tensor]) -> Text:
        """What Z-Image Omni makes of prompts and of the IMAGEs [1, H, W, 3] whose latents are `references` of `sample`.

        Raises InputError for another family, which sees the latents alone.
        """
        if not isinstance(self.encoders, ChatEncoder) or self.encoders.vision is None:
            raise InputError("pictures", self.family.name, "Z-Image Omni: other families want references alone")
        assert isinstance(self.tokenizer, ChatTokenizer)
        template = omni.PROMPT if pictures else ""
        text = self.encoders.embed(self.tokenizer.tokenize(prompts, template=template), self.device)
        around = [
            self.encoders.embed(self.tokenizer.tokenize([""], template=words), self.device).sequence
            for words in omni.texts_around(len(pictures))
        ]
        seen = [self.encoders.vision.features(picture, self.device) for picture in pictures]
        return replace(text, around=tuple(around), seen=tuple(seen))

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
        references: Sequence[torch.Tensor] = (),
        beside: torch.Tensor | None = None,
        progress: Progress | None = None,
    ) -> torch.Tensor:
        """Normalised latents [B, C, H, W] of B pictures, B = the texts' batch.

        latents: normalised [B, C, H, W] to start from (their values count where strength < 1 or a mask is given).
        mask: [B, 1, H, W], 1 = paint anew. references: normalised latents [1 or B, C, h, w] of pictures to look at.
        beside: [B, 16 or 80, H, W], what Control and Fill editions see beside the noise. Equal to the family's pipelines
        in diffusers.
        """
        order = Order(positive, seed, steps, guidance, cfg, negative, strength, mask, references, beside)
        x = latents
        for now in self.steps(latents, order):
            x = now.x
            if progress:
                progress(now.done, now.total)
        return x

    @torch.no_grad()
    def steps(self, latents: torch.Tensor, order: Order) -> Iterator[Now]:
        """The run of `sample`, one step at a time, from where `order.begun` ended if it is given."""
        require_number("guidance", order.guidance, 0, 100)
        require_number("cfg", order.cfg, 1, 100)
        if order.cfg > 1 and order.negative is None:
            raise InputError("negative", None, "a text to steer away from, because cfg is more than 1")
        count, _, height, width = latents.shape
        scheduler = schedule.set_steps(
            self.scheduler_config, order.steps, order.strength, height, width, family=self.family
        )
        first = schedule.first_step(order.steps, order.strength)
        timesteps = scheduler.timesteps[first:].to(self.device)
        levels = scheduler.sigmas[first:]
        start = latents.to(self.device)
        fresh = noise.picture_noise(latents.shape[1:], order.seed, range(count)).to(start)
        done = 0 if order.begun is None else order.begun[0]
        x = scheduler.scale_noise(start, timesteps[:1], fresh) if order.begun is None else order.begun[1].to(start)
        scheduler.set_begin_index(first + done)
        strengths = torch.full([1], order.guidance, device=self.device).expand(count)
        kept = ReferenceCache()
        for i, timestep in enumerate(timesteps[done:], done):
            level = (timestep.expand(count) / 1000).to(x.dtype)
            flow = self._guided_flow(x, level, levels[i + 1].expand(count).to(level), order, strengths, kept)
            prediction = x - levels[i].to(x) * flow
            x = scheduler.step(flow, timestep, x, return_dict=False)[0]
            if order.mask is not None:
                untouched = start
                if i + 1 < len(timesteps):
                    untouched = scheduler.scale_noise(start, timesteps[i + 1 : i + 2], fresh)
                repaint = order.mask.to(x)
                x = (1 - repaint) * untouched + repaint * x
                prediction = (1 - repaint) * start + repaint * prediction
            yield Now(i + 1, len(timesteps), x, prediction, levels)

    def _guided_flow(self, x, level, target, order: Order, strengths, kept: ReferenceCache) -> torch.Tensor:
        seen = x.to(self.velocity.dtype)
        if order.beside is not None:
            seen = torch.cat([seen, order.beside.to(seen)], dim=1)
        flow = self._flow(seen, level, target, order.positive, strengths, order.references, kept)
        if order.cfg > 1 and order.negative is not None:
            away = self._flow(seen, level, target, order.negative, strengths, order.references, kept)
            flow = _guided(flow, away, order.cfg, self.family)
        return flow

    def _flow(self, x, level, target, text: Text, strengths, references, kept: ReferenceCache) -> torch.Tensor:
        latents_of_references = [reference.to(x) for reference in references]
        return self.velocity(
            x,
            level,
            context=text.sequence,
            y=text.pooled,
            guidance=strengths,
            attention_mask=text.mask,
            ref_latents=latents_of_references,
            ref_contexts=text.around,
            siglip_feats=text.seen,
            kept=kept,
            target=target,
        )

    @torch.no_grad()
    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Normalised latents [B, C, H, W] -> IMAGE [B, cell * H, cell * W, 3] in 0..1."""
        raw = latents / self.family.scaling_factor + self.family.shift_factor
        return images.from_channel_first(codec.decode(self.vae, raw.to(self.vae.dtype)))  # type: ignore[arg-type]

    @torch.no_grad()
    def encode_image(self, image: torch.Tensor) -> torch.Tensor:
        """IMAGE [B, H, W, 3], sides multiples of 16 -> normalised latents (the mean, no random draw)."""
        pixels = images.to_channel_first(image).to(self.device, self.vae.dtype)  # type: ignore[call-overload]
        return (codec.encode(self.vae, pixels) - self.family.shift_factor) * self.family.scaling_factor

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
        cell = self.family.pixels_per_cell
        empty = torch.zeros(1, self.family.latent_channels, height // cell, width // cell)
        latents = self.sample(
            self.encode([prompt]), empty, seed=seed, steps=steps, guidance=guidance, progress=progress
        )
        return self.decode(latents)


def _guided(flow: torch.Tensor, away: torch.Tensor, cfg: float, family: Family) -> torch.Tensor:
    """Classifier-free guidance, rounded as the family's reference rounds it."""
    if family.cfg_around == "positive":
        return flow + (cfg - 1) * (flow - away)
    return away + cfg * (flow - away)
