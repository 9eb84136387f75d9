"""The size of a picture before anything has run, as far as the prompt that is being checked tells it."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from server import PromptServer

from ..studio.canvas import Size, canvas_size
from ..studio.errors import InputError

MOST_LINKS = 64  # links; a circle ends here
# Which input's picture or latent a node hands on in the same size.
HANDS_ON = {
    "StorefrontDecode": "latent",
    "StorefrontSample": "latent",
    "VAEDecode": "samples",
    "KSampler": "latent_image",
    "SamplerCustomAdvanced": "latent_image",
    "ImageBlur": "image",
    "ImageSharpen": "image",
}
# Nodes that make a picture or latent of `width` x `height`.
MAKES = {"ImageScale", "EmptyImage", "EmptyLatentImage", "EmptySD3LatentImage", "EmptyFlux2LatentImage"}

# The prompt that is checked in the current task: ComfyUI's check of one node is told of that node alone.
_CHECKED: ContextVar[Mapping[str, Any] | None] = ContextVar("storefront_prompt", default=None)


def watch() -> None:
    """Keep every prompt in sight while it is checked."""
    PromptServer.instance.add_on_prompt_handler(_keep)


def _keep(queued: dict[str, Any]) -> dict[str, Any]:
    prompt = queued.get("prompt")
    _CHECKED.set(prompt if isinstance(prompt, Mapping) else {})
    return queued


def size_behind(node_id: Any, name: str) -> Size | None:
    """The size of what is linked to input `name` of a node of the prompt that is being checked; None: not known yet."""
    prompt = _CHECKED.get() or {}
    inputs = _inputs(prompt, node_id)
    for _ in range(MOST_LINKS):
        link = inputs.get(name)
        if not isinstance(link, list) or not link:
            return None
        kind, inputs = _kind(prompt, link[0]), _inputs(prompt, link[0])
        if kind in MAKES or kind == "StorefrontCanvas":
            return _made(kind, inputs)
        if kind not in HANDS_ON:
            return None
        name = HANDS_ON[kind]
    return None


def _made(kind: str, inputs: Mapping[str, Any]) -> Size | None:
    width, height = (inputs.get(side, 1024 if kind == "StorefrontCanvas" else None) for side in ("width", "height"))
    if kind == "StorefrontCanvas":
        format = inputs.get("format", "1:1 feed")
        try:
            return canvas_size(format, width, height) if isinstance(format, str) else None
        except (InputError, TypeError):  # a link, or a value that the node itself refuses by name
            return None
    whole = isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0
    return Size(width, height) if whole else None


def _kind(prompt: Mapping[str, Any], node_id: Any) -> str:
    node = prompt.get(str(node_id))
    return str(node.get("class_type")) if isinstance(node, Mapping) else ""


def _inputs(prompt: Mapping[str, Any], node_id: Any) -> Mapping[str, Any]:
    node = prompt.get(str(node_id))
    inputs = node.get("inputs") if isinstance(node, Mapping) else None
    return inputs if isinstance(inputs, Mapping) else {}
