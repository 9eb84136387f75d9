"""Running out of memory: how it is known, and a batch drawn in parts where it does not fit whole."""

from __future__ import annotations

import errno
import gc
from collections.abc import Callable
from typing import TypeVar

import torch

from .errors import InputError

T = TypeVar("T")

# Of torch on the CPU and of onnxruntime, which have no class for these; the last is the system's,
# of a thread that there is no room for.
_TEXTS = (
    "DefaultCPUAllocator",
    "can't allocate memory",
    "not enough memory",
    "Failed to allocate memory",
    "bad_alloc",
    "Cannot allocate memory",
)
_OF_ONEDNN = (
    "could not create a primitive",
    "could not execute a primitive",
)  # all that it says where it finds no room


class OutOfMemory(InputError, torch.OutOfMemoryError):
    """Nothing helped. ComfyUI unloads all models at an error of torch's class, so that the next prompt begins with all memory."""


def ran_out(error: BaseException) -> bool:
    """Whether an error says that the memory of a device, or of the machine, did not suffice."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    plain = isinstance(error, RuntimeError) or type(error).__module__.startswith("onnxruntime")
    return plain and (str(error) in _OF_ONEDNN or any(text in str(error) for text in _TEXTS))


def give_back() -> None:
    """What torch holds for later use goes back to the device."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def at_second_try(call: Callable[[], T], failed: OutOfMemory, between: Callable[[], object] = give_back) -> T:
    """What `call` gives, or gives again after `between`, where memory ran out. Raises `failed` where it did twice."""
    for _ in range(2):
        try:
            return call()
        except Exception as error:
            if not ran_out(error):
                raise
        between()  # outside of the handler: the exception holds the tensors that filled the memory
    try:
        raise failed
    finally:
        del failed  # its traceback holds this frame: with the name they would hold each other, and all the tensors


def in_parts(
    count: int, call: Callable[[slice], torch.Tensor], say: Callable[[str], object], failed: OutOfMemory, name: str
) -> torch.Tensor:
    """`call` for all of `count` rows, or for half of them at a time, and so on; put together along the first dimension.

    `say` is given a note ("... `name` 2 of 4 at a time"). Raises `failed` where one row alone does not fit.
    """
    most = count
    while True:
        try:
            parts = [call(slice(start, min(start + most, count))) for start in range(0, count, most)]
            return parts[0] if len(parts) == 1 else torch.cat(parts)
        except Exception as error:
            if not ran_out(error):
                raise
        # Outside of the handler: the exception holds the tensors that filled the memory.
        give_back()
        if most == 1:
            try:
                raise failed
            finally:
                del failed  # as above
        most = -(-most // 2)
        say(f"out of memory, {name} {most} of {count} at a time")
