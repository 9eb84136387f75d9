"""What the orchestrator is asked and answers, as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..studio.errors import InputError, require_number, require_unicode
from . import stages, wire

if TYPE_CHECKING:
    import torch

    from ..studio.images import Picture

LARGEST_EVENT = 1 << 30  # bytes of one event: a batch of pictures
DRAWN_PIXELS = LARGEST_EVENT // 12  # of a picture in float32
_LARGEST_FLOAT = 3e38


@dataclass(frozen=True, eq=False)
class Drawn:
    """An answer of the orchestrator."""

    images: torch.Tensor  # IMAGE [B, H, W, 3] in 0..1
    status: str  # "finished", or "time limit"
    steps_done: int
    steps: int
    notes: tuple[str, ...]
    unfinished: str | None = None  # what `resume` takes, where a time limit cut one prompt's drawing off


def order(prompt: str | Sequence[str], image: Picture | None, mask: Picture | None, options: dict[str, Any]) -> bytes:
    """The JSON of a request to the orchestrator."""
    known = {tensor.name for tensor in stages.ORDERS.inputs} - {"prompt", "image", "mask", "progress", "output"}
    unknown = sorted(set(options) - known)
    if unknown:
        raise InputError(unknown[0], options[unknown[0]], f"one of the options {', '.join(sorted(known))}")
    body: dict[str, Any] = {"prompt": [prompt] if isinstance(prompt, str) else prompt}
    body |= {name: value for name, value in options.items() if value is not None and value != ""}
    for name, value in body.items():
        require_type(name, value)
    for name, picture in (("image", image), ("mask", mask)):
        if picture is not None:
            body[name] = _picture(name, picture)
    # Steps are told also where nobody asks for them: only where it writes does Triton notice that a client has gone.
    body |= {"progress": True, "output": "npy"}
    return json.dumps(body, allow_nan=False).encode()


def require_type(name: str, value: object) -> None:
    """Raise InputError for what cannot travel, or what Triton would refuse without the input's name."""
    dtype = next(tensor.dtype for tensor in stages.ORDERS.inputs if tensor.name == name)
    if dtype == "STRING":
        texts = value if name == "prompt" and isinstance(value, list | tuple) else [value]
        for text in texts:
            if not isinstance(text, str):
                raise InputError(name, value, "a text, or a list of texts" if name == "prompt" else "a text")
            require_unicode(name, text)
    elif dtype == "FP32":
        require_number(name, value, -_LARGEST_FLOAT, _LARGEST_FLOAT)  # type: ignore[arg-type]
    else:
        low, high = (0, 2**64 - 1) if dtype == "UINT64" else (-(2**31), 2**31 - 1)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise InputError(name, value, f"a whole number from {low} to {high}")


def _picture(name: str, picture: Picture) -> str:
    from ..studio.images import read_opaque, require_picture
    from .pictures import to_text

    if getattr(picture, "ndim", 0) == 4:
        return to_text(require_picture(name, picture), "npy")[0]  # type: ignore[arg-type]
    return to_text(read_opaque(name, picture), "npy")[0]


def read_drawn(event: Mapping[str, Any]) -> Drawn:
    """What the last event of a drawing holds. Raises WireError for anything else."""
    from .pictures import from_text

    try:
        files, notes = event["files"], event.get("notes", ())
        images = from_text("files", files[0] if isinstance(files, list) else files, DRAWN_PIXELS)
        told = tuple(map(str, notes)) if isinstance(notes, list) else (str(notes),)
        unfinished = event.get("unfinished")
        return Drawn(images, str(event["status"]), int(event["steps_done"]), int(event["steps"]), told, unfinished)
    except (KeyError, InputError, ValueError, TypeError, IndexError, OverflowError) as error:
        raise wire.WireError("the answer is no picture of this project") from error


def read_tokens(event: Mapping[str, Any]) -> dict[str, Any]:
    """What `Client.tokens` gives, of an event. Raises WireError for anything else."""
    try:
        encoders = json.loads(event["tokens"])
        return {name: {part: encoders[name][part] for part in ("ids", "counts", "cut")} for name in ("l", "t5xxl")}
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        raise wire.WireError("the answer holds no tokens of this project") from error
