"""References as ComfyUI has them: latents in the conditioning, which ours and stock samplers read."""

from __future__ import annotations

from typing import Any

import node_helpers
import torch

from ..studio.errors import InputError
from ..studio.flux import references
from ..studio.flux.families import FLUX1, FLUX2_DEV
from ..studio.images import require_picture

MOST_REFERENCES = 10  # FLUX.2 was trained with as many


def add(conditioning: list, vae: Any, image: torch.Tensor, size: str) -> list:
    """CONDITIONING that also looks at each picture of IMAGE [B, H, W, 3], after those it looks at already."""
    picture = require_picture("image", image)
    channels = {FLUX1.latent_channels: False, FLUX2_DEV.latent_channels: True}
    if vae.latent_channels not in channels:
        raise InputError("vae", f"{vae.latent_channels} latent channels", "the VAE of FLUX.1 Kontext or of FLUX.2")
    before = max((len(options.get("reference_latents", ())) for _, options in conditioning), default=0)
    if before + len(picture) > MOST_REFERENCES:
        raise InputError("image", f"{before + len(picture)} references in all", f"at most {MOST_REFERENCES}")
    fitted = references.fit(picture, channels[vae.latent_channels], size)
    latents = [vae.encode(one[None]) for one in fitted]
    return node_helpers.conditioning_set_values(conditioning, {"reference_latents": latents}, append=True)
