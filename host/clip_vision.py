"""Reference pictures through the SigLIP 2 of a CLIP (Z-Image Omni), as CLIP_VISION_OUTPUT."""

from __future__ import annotations

from typing import Any

import comfy.clip_vision
import torch

from ..studio.errors import InputError

SIGLIP_PATCH = 16  # pixels a side, by which ComfyUI counts a picture's patches


def vision_features(clip: Any, picture: torch.Tensor) -> comfy.clip_vision.Output:
    """What a CLIP that `has_vision` makes of an IMAGE [1, H, W, 3], as stock CLIPVisionEncode hands it on."""
    clip.load_model()
    features = clip.cond_stage_model.studio.vision.features(picture, clip.patcher.load_device).float().cpu()
    rows, columns = features.shape[1:3]
    output = comfy.clip_vision.Output()
    output["last_hidden_state"] = features.flatten(1, 2)
    output["image_sizes"] = [(3, rows * SIGLIP_PATCH, columns * SIGLIP_PATCH)]
    return output


def features_of(output: Any) -> torch.Tensor:
    """[1, rows, columns, C] of a CLIP_VISION_OUTPUT of NaFlex SigLIP 2, ours or stock."""
    features, (_, height, width) = output["last_hidden_state"], output["image_sizes"][0]
    rows, columns = height // SIGLIP_PATCH, width // SIGLIP_PATCH
    if features.ndim != 3 or features.shape[1] != rows * columns:
        raise InputError(
            "conditioning", f"clip_vision_outputs of shape {list(features.shape)}", "those of a SigLIP 2 NaFlex model"
        )
    return features.reshape(len(features), rows, columns, -1)
