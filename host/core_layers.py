"""ComfyUI's own layers: the type LAYERS of its newer versions, which Create Layered Image takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..studio.errors import Bare, InputError

if TYPE_CHECKING:
    from ..studio.output.layers import AdLayer

DOCUMENT_VERSION = 1  # of the document; ComfyUI refuses others


def require(name: str = "layers") -> None:
    """Raise InputError where this ComfyUI has no layers."""
    from comfy_api.latest import io
    from comfyui_version import __version__

    if not hasattr(io, "Layers"):
        raise InputError(
            name,
            Bare(f"unknown to ComfyUI {__version__}"),
            cure="Update ComfyUI to 0.33 or newer, which has Create Layered Image.",
        )


def document(layers: Sequence[AdLayer]) -> dict[str, Any]:
    """The layers as ComfyUI's document, lowest first. Its masks mark what is transparent with 1."""
    import torch

    return {
        "version": DOCUMENT_VERSION,
        "canvas": (layers[0].alpha.shape[1], layers[0].alpha.shape[0]),
        "layers": [
            {
                "type": "raster",
                "name": one.name,
                "image": torch.from_numpy(one.rgb)[None],
                "mask": torch.from_numpy(1 - one.alpha)[None],
                "x": one.x,
                "y": one.y,
                "z_index": 0,  # in the list's order, and what a user adds comes on top
            }
            for one in layers
        ],
    }
