"""What is done where memory runs out: fewer rows at a time, weights offloaded further, then an error that says what would fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import comfy.model_management as mm
import torch

from ..studio.out_of_memory import OutOfMemory, at_second_try, ran_out
from . import progress

__all__ = ["Chunks", "OutOfMemory", "divisible", "ran_out", "retried", "rows_of"]

T = TypeVar("T")
TRIES = 3  # of offloading weights for one row
ONCE_MORE = "out of memory, done again with no other model in memory"
CLOSED = "storefront acceleration"  # wrappers that count the calls of a run (acceleration.py)


def retried(call: Callable[[], T], name: str, value: str, wanted: str) -> T:
    """What `call` gives, at the second try with nothing else in memory, which a note says. Raises OutOfMemory."""
    failures = 0

    def empty() -> None:
        nonlocal failures
        failures += 1
        mm.unload_all_models()
        mm.soft_empty_cache()

    result = at_second_try(call, OutOfMemory(name, value, wanted), empty)
    if failures:
        progress.say_here(ONCE_MORE)
    return result


class Chunks:
    """How many rows of a batch a model is given at a time, found out in the course of a run."""

    def __init__(self) -> None:
        self.most: int | None = None

    def begin(self) -> None:
        """A new run."""
        self.most = None

    def run(self, count: int, call: Callable[[slice], torch.Tensor], patcher: Any, divisible: bool) -> torch.Tensor:
        """`call` for all rows, or for some at a time, put together. Raises OutOfMemory."""
        tries = 0
        while True:
            size = min(self.most or count, count) if divisible else count
            try:
                parts = [call(slice(start, start + size)) for start in range(0, count, size)]
                return parts[0] if len(parts) == 1 else torch.cat(parts)
            except Exception as error:
                if not ran_out(error):
                    raise
            parts = []
            mm.soft_empty_cache()
            if divisible and size > 1:
                self.most = -(-size // 2)
                progress.say_here(f"out of memory, drawn {self.most} of {count} rows at a time")
            elif tries < TRIES and _offload(patcher):
                tries += 1
            else:
                raise OutOfMemory(
                    "latent",
                    "a picture that does not fit into memory, with the model's weights offloaded as far as they can be",
                    "a smaller canvas, or a model of smaller weights (fp8 storage, GGUF); close what else uses the memory",
                )


def _offload(patcher: Any) -> bool:
    """Move half of the weights that are resident away. Not under hooks, which ComfyUI would take off."""
    if patcher is None or getattr(patcher, "current_hooks", None) is not None:
        return False
    freed = patcher.partially_unload(patcher.offload_device, max(patcher.loaded_size() // 2, 1))
    if freed:
        progress.say_here("out of memory, weights offloaded further")
    return bool(freed)


def divisible(options: Mapping[str, Any]) -> bool:
    """Whether rows may be drawn apart: not where a node looks at the whole batch, or keeps what it saw between calls."""
    if options.get("patches") or options.get("patches_replace"):
        return False
    wrappers = options.get("wrappers", {})
    return not wrappers.get("diffusion_model") and CLOSED not in wrappers.get("apply_model", {})


def rows_of(value: Any, count: int, rows: slice) -> Any:
    """Some rows of a tensor of `count`, and of those in lists and dicts; everything else as it is."""
    if isinstance(value, torch.Tensor):
        return value[rows] if value.ndim and value.shape[0] == count else value
    if isinstance(value, list):
        return [rows_of(one, count, rows) for one in value]
    if isinstance(value, dict):
        return {name: rows_of(one, count, rows) for name, one in value.items()}
    return value
