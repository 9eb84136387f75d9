"""Tensors between processes of one machine: in anonymous memory of the client, which a stage reads and writes by itself.

Nothing is registered with Triton: its shared-memory requests name files of /dev/shm by a key that every user of the machine
could read in the list of processes, and stay refused. A region has no file, so none can be left, whatever kills the client.
The kernel lets processes of the client's own user open it, and no others; a secret in it keeps strangers from naming it to a
stage of that user. Where it cannot be opened (another machine, container or user), tensors travel in the request.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import math
import os
import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..studio.errors import Bare, InputError
from .errors import RETRIED
from .wire import ITEM_BYTES, Value

if sys.platform == "linux":
    import fcntl
    import mmap

REGION_NAME = "storefront-tensors"
LARGEST_REGION = 1 << 30  # bytes
MOST_FREE = 8  # regions that a client keeps for its next calls
LARGEST_NOTE = 1 << 16  # characters of what names a region
_SECRET = 32  # bytes, at its beginning
_ALIGNED = 64
_GRAIN = 1 << 20
CANNOT = "cannot be reached from the server"  # what the client then does: send the tensors themselves


def available() -> bool:
    """Whether this system has such memory."""
    return sys.platform == "linux" and hasattr(os, "memfd_create")


def _aligned(size: int) -> int:
    return -(-size // _ALIGNED) * _ALIGNED


class SharedRegion:
    """The client's side. One call at a time. Raises OSError where the system gives no memory."""

    def __init__(self, size: int):
        self.size = -(-max(size, 1) // _GRAIN) * _GRAIN
        self._file = os.memfd_create(REGION_NAME, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(self._file, self.size)
            # A stage that reads what becomes shorter meanwhile would be killed by the kernel.
            fcntl.fcntl(self._file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
            self._memory = mmap.mmap(self._file, self.size)
        except BaseException:
            os.close(self._file)
            raise

    def put(self, inputs: Mapping[str, Value], answer: int) -> str:
        """Write tensors, with room for an answer of so many bytes behind them; what names them to a stage."""
        secret = secrets.token_bytes(_SECRET)  # of this call: a stage that is late with an earlier one is refused
        self._memory[:_SECRET] = secret
        at, places = _aligned(_SECRET), {}
        for name, value in inputs.items():
            self._memory[at : at + len(value.data)] = value.data
            places[name] = [value.dtype, list(value.shape), at]
            at += _aligned(len(value.data))
        self._answer = (at, answer)
        note = {"pid": os.getpid(), "fd": self._file, "secret": secret.hex(), "inputs": places, "answer": at}
        return json.dumps(note)

    def answer(self) -> bytearray:
        """What the stage has written."""
        at, size = self._answer
        return bytearray(memoryview(self._memory)[at : at + size])

    def close(self) -> None:
        """Give the memory back."""
        self._memory.close()
        with contextlib.suppress(OSError):
            os.close(self._file)


def room(inputs: Mapping[str, Value], answer: int) -> int:
    """Bytes that a region needs for a call."""
    return _aligned(_SECRET) + sum(_aligned(len(value.data)) for value in inputs.values()) + answer


class Regions:
    """Those of a client: as many as it has calls at the same time, used again. All is done in the thread of its loop."""

    def __init__(self) -> None:
        self._free: list[SharedRegion] = []

    @contextlib.contextmanager
    def taken(self, size: int, answered: type[Exception]) -> Iterator[SharedRegion | None]:
        """A region of at least so many bytes; None where the system has no more. Where its call ends with another error than
        `answered`, or with that of a proxy, it is given back: a stage may still write to it.
        """
        region = self._found(size)
        try:
            yield region
        except answered as error:
            if region is not None and getattr(error, "status", 0) in RETRIED:
                region.close()
            else:
                self._keep(region)
            raise
        except BaseException:
            if region is not None:
                region.close()
            raise
        self._keep(region)

    def _found(self, size: int) -> SharedRegion | None:
        region = self._free.pop() if self._free else None
        if region is not None and region.size >= size:
            return region
        if region is not None:
            region.close()
        with contextlib.suppress(OSError):  # no memory, or as many files as a process may open
            return SharedRegion(size)
        return None

    def _keep(self, region: SharedRegion | None) -> None:
        if region is not None and len(self._free) < MOST_FREE:
            self._free.append(region)
        elif region is not None:
            region.close()

    def close(self) -> None:
        """Give all back."""
        while self._free:
            self._free.pop().close()


class _Place(NamedTuple):
    """Where an input is, by a client's words."""

    dtype: str
    shape: tuple[int, ...]
    at: int

    @property
    def size(self) -> int:
        return math.prod(self.shape) * ITEM_BYTES[self.dtype]


class Opened:
    """The stage's side: a client's region, for one call. Raises InputError for one that is none, or that nobody may open."""

    def __init__(self, text: str):
        try:
            note: Any = json.loads(text) if len(text) <= LARGEST_NOTE else None
            pid, file, self.answer_at = (int(note[key]) for key in ("pid", "fd", "answer"))
            secret = bytes.fromhex(note["secret"])
            self.places = {str(name): _place(*place) for name, place in note["inputs"].items()}
            if min(pid, file, self.answer_at) < 0:
                raise ValueError
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError) as error:
            raise InputError("region", "not readable", "what a client of this version writes") from error
        self._file = _opened(pid, file)
        try:
            self._size = os.fstat(self._file).st_size
            sealed = fcntl.fcntl(self._file, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK
            told = os.pread(self._file, _SECRET, 0)
            if not sealed or self._size > LARGEST_REGION or not hmac.compare_digest(told, secret):
                raise InputError("region", Bare("not the client's own"), CANNOT)
        except OSError as error:
            self.close()
            raise _out_of_reach() from error
        except InputError:
            self.close()
            raise

    def read(self, name: str) -> tuple[str, tuple[int, ...], bytearray]:
        """(dtype, shape, bytes) of an input, copied: the client may change it meanwhile."""
        place = self.places[name]
        if place.at + place.size > self._size:
            raise InputError(name, Bare(f"{place.size} bytes at {place.at}"), "within the region")
        content = bytearray(place.size)
        if place.size and os.preadv(self._file, [content], place.at) != place.size:
            raise InputError("region", Bare("cut short"), CANNOT)
        return place.dtype, place.shape, content

    def write(self, content: memoryview) -> None:
        """The answer."""
        if self.answer_at + len(content) > self._size or os.pwrite(self._file, content, self.answer_at) != len(content):
            raise InputError("region", Bare("too small"), f"{len(content)} bytes for the answer")

    def close(self) -> None:
        """Nothing of it is held afterwards."""
        os.close(self._file)

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _place(dtype: Any, shape: Sequence[Any], at: Any) -> _Place:
    sizes = tuple(shape)
    if dtype not in ITEM_BYTES or not all(type(size) is int and 0 <= size <= LARGEST_REGION for size in (*sizes, at)):
        raise ValueError(dtype)
    if len(sizes) > 8 or math.prod(sizes) > LARGEST_REGION:
        raise ValueError(sizes)
    return _Place(dtype, sizes, at)


def _out_of_reach() -> InputError:
    return InputError("region", Bare("out of reach"), CANNOT)


def _opened(pid: int, file: int) -> int:
    """Its descriptor. Only memory of this name is opened: no file of the server's user by a stranger's word."""
    path = f"/proc/{pid}/fd/{file}"
    try:
        if not available() or str(Path(path).readlink()) != f"/memfd:{REGION_NAME} (deleted)":
            raise _out_of_reach()
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except (OSError, ValueError, OverflowError) as error:
        raise _out_of_reach() from error
