"""Another node pack, as rude as one can be: any value over a link, and a look at the server from inside."""

from __future__ import annotations

import ctypes
import functools
import gc
import importlib
import math
import os
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import torch
from aiohttp import web
from PIL import Image
from server import PromptServer


def _conditioning(width: int, **options) -> list:
    return [[torch.zeros(1, 8, width), options]]


VALUES = {
    "none": lambda: None,
    "minus one": lambda: -1,
    "zero": lambda: 0,
    "one": lambda: 1,
    "twenty thousand": lambda: 20_000,
    "largest": lambda: 2**63 - 1,
    "beyond": lambda: 2**64,
    "astronomic": lambda: 10**400,
    "half": lambda: 0.5,
    "minus half": lambda: -0.5,
    "nan": lambda: math.nan,
    "infinity": lambda: math.inf,
    "true": lambda: True,
    "empty text": lambda: "",
    "half a pair": lambda: "\ud83d",
    "null character": lambda: "a\0b",
    "long text": lambda: "x" * 2_000_000,
    "path": lambda: "../../../../etc/passwd",
    "open tag": lambda: "[b][size=99999]",
    "bytes": lambda: b"\xff\x00",
    "empty list": list,
    "list": lambda: [1, "2", None],
    "empty dictionary": dict,
    "dictionary": lambda: {"samples": 5, "canvas": 1, "products": "x"},
    "set": lambda: {1, 2},
    "object": object,
    "function": lambda: len,
    "scalar tensor": lambda: torch.tensor(3.0),
    "empty tensor": lambda: torch.zeros(0),
    "picture": lambda: torch.full((1, 32, 32, 3), 0.5),
    "one pixel": lambda: torch.zeros(1, 1, 1, 3),
    "no batch": lambda: torch.zeros(0, 32, 32, 3),
    "flat picture": lambda: torch.zeros(32, 32, 3),
    "two channels": lambda: torch.zeros(1, 32, 32, 2),
    "grey": lambda: torch.zeros(1, 32, 32, 1),
    "whole numbers": lambda: torch.zeros(1, 32, 32, 3, dtype=torch.uint8),
    "not a number": lambda: torch.full((1, 32, 32, 3), math.nan),
    "thin": lambda: torch.zeros(1, 1, 3000, 3),
    "film": lambda: torch.zeros(9, 16, 16, 3),
    "mask": lambda: torch.ones(1, 32, 32),
    "mask of nan": lambda: torch.full((1, 32, 32), math.nan),
    "masks": lambda: torch.zeros(3, 16, 16),
    "empty latent": lambda: {"samples": torch.zeros(1, 16, 0, 0)},
    "latent of nan": lambda: {"samples": torch.full((1, 16, 8, 8), math.nan)},
    "latent of 5 channels": lambda: {"samples": torch.zeros(1, 5, 8, 8)},
    "film latent": lambda: {"samples": torch.zeros(1, 16, 3, 8, 8)},
    "latent with odd mask": lambda: {"samples": torch.zeros(1, 16, 8, 8), "noise_mask": "x"},
    "latent with odd index": lambda: {"samples": torch.zeros(1, 16, 8, 8), "batch_index": ["a"]},
    "latent with odd count": lambda: {
        "samples": torch.zeros(1, 16, 8, 8),
        "batch_index": [0],
        "storefront_pictures": "x",
    },
    "samples alone": lambda: torch.zeros(1, 16, 8, 8),
    "empty conditioning": list,
    "conditioning of nothing": lambda: [[None, {}]],
    "narrow conditioning": lambda: _conditioning(7),
    "conditioning without pooled": lambda: _conditioning(4096),
    "conditioning with junk": lambda: _conditioning(32, pooled_output="x", guidance="y", attention_mask=3),
}


class HoldSay:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": (list(VALUES),)}}

    RETURN_TYPES = ("*",)
    FUNCTION = "say"
    CATEGORY = "hold"

    def say(self, value):
        return (VALUES[value](),)


NODE_CLASS_MAPPINGS = {"HoldSay": HoldSay}


class _Malloc(ctypes.Structure):
    """glibc's struct mallinfo2."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in ["arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks"]
    ]
    _fields_ += [(name, ctypes.c_size_t) for name in ("fordblks", "keepcost")]


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _allocator() -> dict[str, int]:
    """Bytes that glibc's malloc has handed out ("used") and those that it keeps though nobody uses them ("kept")."""
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallinfo2"):  # musl, macOS, a glibc before 2.33
        return {}
    libc.mallinfo2.restype = _Malloc
    info = libc.mallinfo2()
    return {"used": info.uordblks + info.hblkhd, "kept": info.fordblks}


@PromptServer.instance.routes.get("/hold/self")
async def _self(request: web.Request) -> web.Response:
    """What the process has: bytes of memory, threads, open files, objects, after the garbage is gone.

    With ?trim=1 glibc gives back first what it keeps: what is left is what somebody uses.
    """
    gc.collect()
    if "trim" in request.query and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)
    return web.json_response(
        {
            "rss": _resident(),
            "threads": threading.active_count(),
            "handles": len(os.listdir("/proc/self/fd")),
            "objects": len(gc.get_objects()),
            "pid": os.getpid(),
            **_allocator(),
        }
    )


STARVED: list[tuple[Any, str, Any]] = []  # owner, name, what it was


def _errors() -> dict[str, BaseException]:
    """As each kind of allocator says that it has nothing left; numpy's and Pillow's are raised by themselves."""
    found: dict[str, BaseException] = {
        "CUDA": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
        "CPU": RuntimeError("[enforce fail at alloc_cpu.cpp:121] data. DefaultCPUAllocator: can't allocate memory"),
        "Python": MemoryError(),
    }
    try:
        np.empty(2**46, np.uint8)[:] = 1
    except MemoryError as error:
        found["numpy"] = error
    try:
        Image.core.new("L", (2**31 - 1, 2**17))
    except MemoryError as error:
        found["Pillow"] = error
    return found


def _owner(place: str) -> Any:
    """The module or class of the pack that `place` names, such as studio.opening.folders or host.vae_socket:DiffusersVae."""
    module, _, inner = place.partition(":")
    (root,) = [name for name in list(sys.modules) if name.endswith(".studio.errors")]
    found = importlib.import_module(f"{root.removesuffix('.studio.errors')}.{module}")
    return getattr(found, inner) if inner else found


@PromptServer.instance.routes.post("/hold/starve")
async def _starve(request: web.Request) -> web.Response:
    """{"place": ..., "name": ..., "error": ..., "times": 1}: that function runs out of memory so often; {} ends it.

    Returns the kinds of error.
    """
    asked, errors = await request.json(), _errors()
    while STARVED:
        owner, name, inner = STARVED.pop()
        setattr(owner, name, inner)
    if "place" in asked:
        owner, name, left = _owner(asked["place"]), asked["name"], [asked["times"]]
        inner = getattr(owner, name)

        @functools.wraps(inner)
        def starved(*arguments: Any, **options: Any) -> Any:
            if left[0]:
                left[0] -= 1
                raise errors[asked["error"]]
            return inner(*arguments, **options)

        STARVED.append((owner, name, inner))
        setattr(owner, name, starved)
    return web.json_response(sorted(errors))
