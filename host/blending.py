"""A low-strength pass of a FLUX model over the surroundings of a placed product."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from ..studio.images import require_mask, require_one_each, require_picture
from ..studio.product import blend
from . import sampling, vae_socket

if TYPE_CHECKING:
    import numpy as np


class ModelInputs(NamedTuple):
    """A model, what it is asked for, and its VAE, as they come from a graph."""

    model: Any
    positive: list
    negative: list | None
    vae: Any

    def for_picture(self, index: int, count: int) -> ModelInputs:
        """With the prompt of picture `index` of `count` alone. Raises InputError for another number of prompts."""
        positive = sampling.for_picture("positive", self.positive, index, count)
        negative = self.negative and sampling.for_picture("negative", self.negative, index, count)
        return self._replace(positive=positive, negative=negative)


def into_scene(
    image: torch.Tensor,
    product_mask: torch.Tensor,
    shadow: torch.Tensor | None,
    inputs: ModelInputs,
    settings: sampling.SamplerSettings,
    *,
    reach: float,
    longest_side: int,
) -> tuple[torch.Tensor, torch.Tensor, list[str]]:
    """IMAGE [B, H, W, 3], the MASK [B, H, W] of what was repainted, and notes on what was done otherwise than asked.

    The model draws at most `longest_side` pixels, see `blend.drawn_size`. Picture i has the seed `seed + i`, and prompt
    i where there are several. Raises InputError for masks of another size and for as many prompts as there are neither
    pictures nor one.
    """
    vae_socket.require_vae(inputs.vae)
    pictures = require_picture("image", image)
    mattes = require_mask("product_mask", product_mask)
    shadows = None if shadow is None else require_mask("shadow", shadow)
    count, height, width = pictures.shape[:3]
    require_one_each("product_mask", mattes, count, width, height, "image")
    if shadows is not None:
        require_one_each("shadow", shadows, count, width, height, "image")
    each = [inputs.for_picture(index, count) for index in range(count)]
    repaint = _Repaint(blend.drawn_size(width, height, longest_side), reach)
    blended, masks = [], []
    for index, picture in enumerate(pictures.numpy()):
        matte = mattes[index % len(mattes)]
        dark = None if shadows is None else shadows[index % len(shadows)]
        own = settings._replace(seed=settings.seed + index)
        one, mask = repaint.one(picture, matte, dark, each[index], own)
        blended.append(torch.from_numpy(one))
        masks.append(torch.from_numpy(mask))
    return torch.stack(blended), torch.stack(masks), repaint.notes


class _Repaint:
    """Pictures of one size repainted, and what the decoder had to do otherwise than asked."""

    def __init__(self, size: tuple[int, int], reach: float):
        self._size, self._reach = size, reach  # width and height at which the model draws
        self.notes: list[str] = []

    def one(
        self,
        picture: np.ndarray,
        matte: np.ndarray,
        shadow: np.ndarray | None,
        inputs: ModelInputs,
        settings: sampling.SamplerSettings,
    ) -> tuple[np.ndarray, np.ndarray]:
        """A picture [H, W, 3] with its surroundings repainted, and the mask [H, W] of those."""
        height, width = picture.shape[:2]
        if self._size == (width, height):
            mask = blend.repaint_mask(matte, shadow, self._reach)
            _, after = self._latents(picture, mask, inputs, settings)
            return blend.give_back(picture, self._decoded(inputs.vae, after), matte, mask), mask
        drawn, matte = (blend.resized(part, *self._size).clip(0, 1) for part in (picture, matte))
        shadow = None if shadow is None else blend.resized(shadow, *self._size).clip(0, 1)
        mask = blend.repaint_mask(matte, shadow, self._reach)
        before, after = self._latents(drawn, mask, inputs, settings)
        edited = self._decoded(inputs.vae, after)
        seen = self._decoded(inputs.vae, before)  # what the VAE alone makes of it is no change of the model's
        return blend.at_full_size(picture, seen, blend.give_back(seen, edited, matte, mask), mask)

    def _latents(
        self, drawn: np.ndarray, mask: np.ndarray, inputs: ModelInputs, settings: sampling.SamplerSettings
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Latents before and after the model's pass."""
        width, height = self._size
        # The model needs multiples of 16; the edge is repeated and cut off again.
        spare = (0, -width % 16, 0, -height % 16)
        padded = torch.nn.functional.pad(torch.from_numpy(drawn).movedim(-1, 0)[None], spare, mode="replicate")
        before = inputs.vae.encode(padded.movedim(1, -1))
        latent = {"samples": before, "noise_mask": torch.nn.functional.pad(torch.from_numpy(mask)[None], spare)}
        out, _ = sampling.sample(inputs.model, inputs.positive, inputs.negative, latent, settings)
        return before, out["samples"]

    def _decoded(self, vae: Any, samples: torch.Tensor) -> np.ndarray:
        pixels, note = vae_socket.decode(vae, samples, "auto")
        self.notes.extend([note] if note and note not in self.notes else [])
        width, height = self._size
        return pixels[0, :height, :width].float().clamp(0, 1).cpu().numpy()
