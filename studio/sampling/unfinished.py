"""A picture that is not finished: what a sampler needs to go on with it, and whether it is still the same picture."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from .. import atomic
from ..errors import Bare, InputError

_SAMPLED = 64  # numbers of each tensor that are compared
_LIKE = 1e-3  # relative; the same words encoded twice on a GPU may differ in their last bits
_FORMAT = "storefront unfinished picture 1"


class Trace(NamedTuple):
    """By what a value is known again without keeping it: its structure, and some of its numbers."""

    text: str
    numbers: torch.Tensor  # float32 [n]

    def like(self, other: Trace) -> bool:
        """Whether it is of the same value, but for the last bits of its numbers."""
        same = self.text == other.text and self.numbers.shape == other.numbers.shape
        return same and bool(torch.allclose(self.numbers, other.numbers, rtol=_LIKE, atol=_LIKE, equal_nan=True))


def trace(*values: Any) -> Trace:
    """The trace of tensors, numbers and texts, also in lists and dicts. Of everything else its class counts."""
    words, numbers = [], []
    for part in _parts(values):
        if isinstance(part, torch.Tensor):
            words.append(f"{part.dtype} {list(part.shape)}")
            numbers.append(_some(part))
        else:
            words.append(part)
    digest = hashlib.sha256("\n".join(words).encode("utf-8", "surrogatepass")).hexdigest()
    return Trace(digest, torch.cat(numbers) if numbers else torch.zeros(0))


def _parts(value: Any) -> Iterator[torch.Tensor | str]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        for name, one in sorted(((_name(key), one) for key, one in value.items()), key=lambda pair: pair[0]):
            yield name
            yield from _parts(one)
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        yield f"{len(value)} of"
        for one in value:
            yield from _parts(one)
    elif value is None or isinstance(value, str | bytes | int | float):
        yield repr(value)
    else:
        yield type(value).__name__


def _name(key: Any) -> str:
    """Without an object's address, which the next process has not."""
    return repr(key) if isinstance(key, str | int | tuple) else type(key).__name__


def _some(tensor: torch.Tensor) -> torch.Tensor:
    """Numbers from all over a tensor, float32 [at most _SAMPLED], on the CPU."""
    flat = tensor.detach().reshape(-1)
    return flat[:: max(math.ceil(flat.numel() / _SAMPLED), 1)].to("cpu", torch.float32)


@dataclass(frozen=True, eq=False)
class Unfinished:
    """A run of a sampler after some of its steps."""

    x: torch.Tensor  # float32 [B, C, H, W] in model space, as noisy as levels[step]
    step: int  # steps done, 1 .. len(levels) - 2
    levels: torch.Tensor  # float32 [steps + 1], the sigmas of the whole run
    start: torch.Tensor  # [B, C, H, W], the latents that the run began with
    traces: Mapping[str, Trace]  # by the name of the input that is to be the same

    def require_same(self, levels: torch.Tensor, traces: Mapping[str, Trace]) -> None:
        """Raise InputError naming what is not as it was."""
        other = self.first_difference(levels, traces)
        if other is not None:
            cure = (
                "Give the sampler what that picture was begun with, or set `resume` to off to draw over what it shows."
            )
            raise InputError("latent", Bare(f"an unfinished picture with another {NAMES.get(other, other)}"), cure=cure)

    def first_difference(self, levels: torch.Tensor, traces: Mapping[str, Trace]) -> str | None:
        """The name of what has changed; None where it is the same picture."""
        for name, now in traces.items():
            then = self.traces.get(name)
            if then is None or not then.like(now):
                return name
        alike = levels.shape == self.levels.shape and torch.allclose(levels.float(), self.levels.float(), atol=1e-6)
        return None if alike else "steps"

    def to_bytes(self) -> bytes:
        """A safetensors file."""
        from safetensors.torch import save

        tensors = {"x": self.x, "levels": self.levels, "start": self.start}
        tensors |= {f"trace {name}": one.numbers for name, one in self.traces.items()}
        texts = {f"trace {name}": one.text for name, one in self.traces.items()}
        metadata = {"format": _FORMAT, "step": str(self.step), **texts}
        # safetensors before 0.5 cannot read a tensor without numbers: what has none is left out, and read as empty.
        kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items() if tensor.numel()}
        return save(kept, metadata)

    def save(self, path: str | Path) -> Path:
        """A file that `resume` of the Python API takes: whole, or not there at all. Raises InputError for a folder that is missing."""
        target = Path(path)
        if not target.parent.is_dir():
            raise InputError("path", str(path), "a file in a folder that exists")
        atomic.write(target, self.to_bytes(), 0o644)
        return target

    @classmethod
    def from_bytes(cls, data: bytes) -> Unfinished:
        """Raises InputError for a file that is none of ours, or damaged."""
        from safetensors import SafetensorError
        from safetensors.torch import load

        try:
            length = int.from_bytes(data[:8], "little")
            metadata = _metadata(data[8 : 8 + length]) if length <= _LONGEST_HEADER else {}
            tensors = load(data)
            names = [name.removeprefix("trace ") for name in metadata if name.startswith("trace ")]
            found: Mapping[str, torch.Tensor] = defaultdict(lambda: torch.empty(0), tensors)
            traces = {name: Trace(metadata[f"trace {name}"], found[f"trace {name}"]) for name in names}
            read = cls(found["x"], int(metadata["step"]), found["levels"], found["start"], traces)
        except (SafetensorError, KeyError, ValueError, TypeError) as error:
            raise InputError(
                "state", Bare(f"a file of {len(data)} bytes"), "an unfinished picture that this pack wrote"
            ) from error
        if metadata.get("format") != _FORMAT or not read._is_sound():
            raise InputError(
                "state", Bare(f"a file of {len(data)} bytes"), "an unfinished picture that this pack wrote, whole"
            )
        return read

    def _is_sound(self) -> bool:
        """Whether it can be gone on with."""
        shapes = self.x.ndim == 4 and self.start.shape == self.x.shape and self.levels.ndim == 1
        numbers = all(tensor.is_floating_point() and torch.isfinite(tensor).all() for tensor in (self.x, self.levels))
        return bool(shapes and numbers and 0 < self.step < len(self.levels) - 1)


# What the inputs are called in an error, where their own name says too little.
NAMES = {"positive": "prompt", "negative": "negative prompt", "latent": "picture to begin with", "steps": "schedule"}
_LONGEST_HEADER = 2**16


def _metadata(header: bytes) -> dict[str, str]:
    import json

    read = json.loads(header)
    return read.get("__metadata__", {}) if isinstance(read, dict) else {}
