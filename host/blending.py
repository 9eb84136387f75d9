"""A low-strength pass of a FLUX model over the surroundings of a placed product."""

from __future__ import annotations

from typing import Any

import torch

from ..studio.errors import InputError
from ..studio.images import require_mask, require_picture
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
) -> tuple[torch.Tensor, torch.Tensor]:
    """IMAGE [B, H, W, 3] and the MASK [B, H, W] of what was repainted. Raises InputError for masks of another size."""
    vae_socket.require_vae(vae)
    pictures = require_picture("image", image)
    mattes = require_mask("product_mask", product_mask)
    shadows = None if shadow is None else require_mask("shadow", shadow)
    for name, masks in (("product_mask", mattes), ("shadow", shadows)):
        if masks is not None and (masks.shape[1:] != pictures.shape[1:3] or len(masks) not in (1, len(pictures))):
            raise InputError(
                name,
                f"{len(masks)} of {masks.shape[2]}x{masks.shape[1]}",
                f"{len(pictures)} (or 1) of {pictures.shape[2]}x{pictures.shape[1]}, as the image",
            )
    height, width = pictures.shape[1:3]
    # The model wants multiples of 16; the edge is repeated and cut off again.
    spare = (0, -width % 16, 0, -height % 16)
    padded = torch.nn.functional.pad(pictures.movedim(-1, 1), spare, mode="replicate").movedim(1, -1)
    results, repainted = [], []
    for index, picture in enumerate(pictures):
        matte = mattes[index if len(mattes) > 1 else 0]
        dark = None if shadows is None else shadows[index if len(shadows) > 1 else 0]
        mask = blend.repaint_mask(matte, dark, reach)
        noise_mask = torch.nn.functional.pad(torch.from_numpy(mask)[None], spare)
        latent = {"samples": vae.encode(padded[index : index + 1]), "noise_mask": noise_mask}
        out, _ = sampling.sample(
            model,
            positive,
            None,
            latent,
            seed=seed + index,
            steps=steps,
            guidance=guidance,
            cfg=1.0,
            strength=strength,
            time_limit=0,
        )
        edited, _ = vae_socket.decode(vae, out["samples"], "auto")
        edited = edited[0, :height, :width].float().clamp(0, 1).cpu().numpy()
        results.append(torch.from_numpy(blend.give_back(picture.numpy(), edited, matte, mask)))
        repainted.append(torch.from_numpy(mask))
    return torch.stack(results), torch.stack(repainted)
