"""A low-strength pass of a FLUX model over the surroundings of a placed product."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from ..studio.images import require_mask, require_one_each, require_picture
from ..studio.product import blend
from . import sampling, vae_socket

if TYPE_CHECKING:
    import numpy as np


def into_scene(
    image: torch.Tensor,
    product_mask: torch.Tensor,
    shadow: torch.Tensor | None,
    model: Any,
    positive: list,
    negative: list | None,
    vae: Any,
    *,
    reach: float,
    longest_side: int,
    seed: int,
    steps: int,
    guidance: float,
    cfg: float,
    strength: float,
) -> tuple[torch.Tensor, torch.Tensor, list[str]]:
    """IMAGE [B, H, W, 3], the MASK [B, H, W] of what was repainted, and notes on what was done otherwise than asked.

    The model draws at most `longest_side` pixels, see `blend.drawn_size`. Picture i has the seed `seed + i`, and prompt i where there are several. Raises InputError for masks of another size
    and for as many prompts as there are neither pictures nor one.
    """
    vae_socket.require_vae(vae)
    pictures = require_picture("image", image)
    mattes = require_mask("product_mask", product_mask)
    shadows = None if shadow is None else require_mask("shadow", shadow)
    count, height, width = pictures.shape[:3]
    require_one_each("product_mask", mattes, count, width, height, "image")
    if shadows is not None:
        require_one_each("shadow", shadows, count, width, height, "image")
    prompts = [sampling.for_picture("positive", positive, index, count) for index in range(count)]
    size = blend.drawn_size(width, height, longest_side)
    # The model wants multiples of 16; the edge is repeated and cut off again.
    spare = (0, -size[0] % 16, 0, -size[1] % 16)
    against = [negative and sampling.for_picture("negative", negative, index, count) for index in range(count)]
    results, repainted = [], []
    notes: list[str] = []

    def decoded(samples: torch.Tensor) -> np.ndarray:
        pixels, note = vae_socket.decode(vae, samples, "auto")
        notes.extend([note] if note and note not in notes else [])
        return pixels[0, : size[1], : size[0]].float().clamp(0, 1).cpu().numpy()

    for index, picture in enumerate(pictures.numpy()):
        matte = mattes[index if len(mattes) > 1 else 0]
        dark = None if shadows is None else shadows[index if len(shadows) > 1 else 0]
        drawn = picture
        if size != (width, height):
            drawn, matte = (blend.resized(part, *size).clip(0, 1) for part in (picture, matte))
            dark = None if dark is None else blend.resized(dark, *size).clip(0, 1)
        mask = blend.repaint_mask(matte, dark, reach)
        padded = torch.nn.functional.pad(torch.from_numpy(drawn).movedim(-1, 0)[None], spare, mode="replicate")
        noise_mask = torch.nn.functional.pad(torch.from_numpy(mask)[None], spare)
        samples = vae.encode(padded.movedim(1, -1))
        out, _ = sampling.sample(
            model,
            prompts[index],
            against[index],
            {"samples": samples, "noise_mask": noise_mask},
            seed=seed + index,
            steps=steps,
            guidance=guidance,
            cfg=cfg,
            strength=strength,
            time_limit=0,
        )
        edited = decoded(out["samples"])
        if drawn is picture:
            blended = blend.give_back(picture, edited, matte, mask)
        else:  # what the VAE alone makes of it is no change of the model's
            drawn = decoded(samples)
            blended = blend.give_back(drawn, edited, matte, mask)
            blended, mask = blend.at_full_size(picture, drawn, blended, mask)
        results.append(torch.from_numpy(blended))
        repainted.append(torch.from_numpy(mask))
    return torch.stack(results), torch.stack(repainted), notes
