"""A low-strength pass of a FLUX model over the surroundings of a placed product."""

from __future__ import annotations

from typing import Any

import torch

from ..studio.images import require_mask, require_one_each, require_picture
from ..studio.product import blend
from . import sampling, vae_socket


def into_scene(
    image: torch.Tensor,
    product_mask: torch.Tensor,
    shadow: torch.Tensor | None,
    model: Any,
    positive: list,
    vae: Any,
    *,
    reach: float,
    seed: int,
    steps: int,
    guidance: float,
    strength: float,
) -> tuple[torch.Tensor, torch.Tensor, list[str]]:
    """IMAGE [B, H, W, 3], the MASK [B, H, W] of what was repainted, and notes on what was done otherwise than asked.

    Picture i has the seed `seed + i`, and prompt i where there are several. Raises InputError for masks of another size
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
    # The model wants multiples of 16; the edge is repeated and cut off again.
    spare = (0, -width % 16, 0, -height % 16)
    padded = torch.nn.functional.pad(pictures.movedim(-1, 1), spare, mode="replicate").movedim(1, -1)
    results, repainted = [], []
    notes: list[str] = []
    for index, picture in enumerate(pictures):
        matte = mattes[index if len(mattes) > 1 else 0]
        dark = None if shadows is None else shadows[index if len(shadows) > 1 else 0]
        mask = blend.repaint_mask(matte, dark, reach)
        noise_mask = torch.nn.functional.pad(torch.from_numpy(mask)[None], spare)
        latent = {"samples": vae.encode(padded[index : index + 1]), "noise_mask": noise_mask}
        out, _ = sampling.sample(
            model,
            prompts[index],
            None,
            latent,
            seed=seed + index,
            steps=steps,
            guidance=guidance,
            cfg=1.0,
            strength=strength,
            time_limit=0,
        )
        edited, note = vae_socket.decode(vae, out["samples"], "auto")
        notes += [note] if note and note not in notes else []
        edited = edited[0, :height, :width].float().clamp(0, 1).cpu().numpy()
        results.append(torch.from_numpy(blend.give_back(picture.numpy(), edited, matte, mask)))
        repainted.append(torch.from_numpy(mask))
    return torch.stack(results), torch.stack(repainted), notes
