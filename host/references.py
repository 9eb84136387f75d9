"""References as ComfyUI has them: latents in the conditioning, which ours and stock samplers read."""

from __future__ import annotations

from typing import Any

import node_helpers
import torch

from ..studio.errors import InputError
from ..studio.images import require_picture
from ..studio.kinds import omni
from ..studio.kinds.table import families
from ..studio.sampling import references
from . import clip_socket, clip_vision, vae_socket

MOST_REFERENCES = 10  # FLUX.2 was trained with as many


def add(conditioning: list, vae: Any, image: torch.Tensor, size: str, clip: Any = None) -> list:
    """CONDITIONING that also looks at each picture of IMAGE [B, H, W, 3], after those it looks at already.

    clip: Z-Image Omni's, which reads the prompt anew and sees the pictures; no other model asks for it.
    """
    vae_socket.require_vae(vae)
    picture = require_picture("image", image)
    packed = {family.latent_channels: family.packed for family in families()}
    if vae.latent_channels not in packed:
        raise InputError("vae", f"{vae.latent_channels} latent channels", "the VAE of the model that shall look")
    before = max((_count(options) for _, options in conditioning), default=0)
    if before + len(picture) > MOST_REFERENCES:
        raise InputError("image", f"{before + len(picture)} references in all", f"at most {MOST_REFERENCES}")
    read_by_omni = any(clip_socket.PROMPTS in options for _, options in conditioning)
    if read_by_omni and (clip is None or not clip_socket.has_vision(clip.cond_stage_model)):
        raise InputError("clip", None if clip is None else "another model's", "the CLIP of Z-Image Omni, which sees")
    fitted = references.fit(picture, packed[vae.latent_channels] or read_by_omni, size)
    latents = {"reference_latents": [vae.encode(one[None]) for one in fitted]}
    if read_by_omni:
        shown = picture if size == references.AS_IT_IS else references.at_most_a_megapixel(picture)
        latents["clip_vision_outputs"] = [clip_vision.vision_features(clip, one[None]) for one in shown]
        conditioning = [_read_beside_pictures(entry, clip, len(picture)) for entry in conditioning]
    return node_helpers.conditioning_set_values(conditioning, latents, append=True)


def _count(options: dict[str, Any]) -> int:
    return len(options.get("reference_latents", ()))


def _read_beside_pictures(entry: list, clip: Any, more: int) -> list:
    """An entry of a CONDITIONING as Z-Image Omni reads it with so many pictures more."""
    sequence, options = entry
    if clip_socket.PROMPTS not in options:
        raise InputError("conditioning", "prompts of different models", "those that the clip itself has encoded")
    before = _count(options)
    options = {**options, "reference_latents_text_embeds": _around(clip, before + more)}
    if not before:
        beside = clip.tokenize(options[clip_socket.PROMPTS], llama_template=omni.PROMPT)
        read = clip.encode_from_tokens(beside, return_dict=True)
        sequence, options["attention_mask"] = read["cond"], read["attention_mask"]
    return [sequence, options]


def _around(clip: Any, pictures: int) -> list[torch.Tensor]:
    texts = omni.texts_around(pictures)
    read = {
        text: clip.encode_from_tokens(clip.tokenize("", llama_template=text), return_dict=True)["cond"]
        for text in dict.fromkeys(texts)
    }
    return [read[text] for text in texts]
