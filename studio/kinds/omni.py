"""What Z-Image Omni reads and sees of reference pictures: words around each, and SigLIP's features."""

from __future__ import annotations

from typing import Any

import torch

from .. import images

# ZImageOmniPipeline's chat template, in the pieces that it encodes one by one; a picture stands between two of them.
PROMPT_START = "<|im_start|>user\n<|vision_start|>"
BETWEEN = "<|vision_end|><|vision_start|>"
PROMPT = "<|vision_end|>{}<|im_end|>\n<|im_start|>assistant\n<|vision_start|>"
LAST = "<|vision_end|><|im_end|>"


def texts_around(pictures: int) -> list[str]:
    """What is read before each of `pictures` pictures, and after the prompt: pictures + 1 texts, none of no picture."""
    return [PROMPT_START, *[BETWEEN] * (pictures - 1), LAST] if pictures else []


class Vision(torch.nn.Module):
    """SigLIP 2, and what cuts a picture into the patches that it sees."""

    def __init__(self, siglip: torch.nn.Module, processor: Any):
        super().__init__()
        self.siglip = siglip
        self._processor = processor
        vision: Any = getattr(siglip, "vision_model", siglip)  # transformers 4 has one model inside the other
        vision.use_head, vision.head = False, None  # it pools all patches into one vector, which nobody asks for

    @torch.no_grad()
    def features(self, picture: torch.Tensor, device: torch.device) -> torch.Tensor:
        """Features [1, rows, columns, C] of one IMAGE [1, H, W, 3], whose proportions they keep."""
        seen = self._processor(images=images.to_pil(picture), return_tensors="pt").to(device)
        # Read as a table, not called as a layer, so that partial loading may have left it elsewhere.
        positions = {
            name: weight.to(device)
            for name, weight in self.siglip.named_parameters()
            if name.endswith("position_embedding.weight")
        }
        features = torch.func.functional_call(self.siglip, positions, kwargs=dict(seen)).last_hidden_state
        rows, columns = seen["spatial_shapes"][0].tolist()
        return features[:, : rows * columns].reshape(1, rows, columns, -1)
