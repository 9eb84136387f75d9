"""nvfp4 as Black Forest Labs and ModelOpt write it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from .format import Format, Header, weight_of
from .layers import E2M1, Entry, Layer, in_rows, swapped, unreadable
from .stored import ScaledBlocks, Stored


def _recognises(name: str, header: Header) -> bool:
    stem = weight_of(name)
    return stem is not None and stem + "weight_scale_2" in header.entries and header.entries[name].kind == "U8"


def _layer(name: str, entry: Entry, entries: Mapping[str, Entry]) -> Layer:
    """The low half of a byte first, a scale of each block in its place, all in float32."""
    scale, scale_2 = (name.removesuffix("weight") + ending for ending in ("weight_scale", "weight_scale_2"))
    rows, columns = (*entry.shape, 0, 0)[:2]
    if scale not in entries or (entries[scale].kind, entries[scale].shape) != ("F8_E4M3", (rows, columns // 8)):
        return unreadable("nvfp4 weights without a description (comfy_quant) of their layout", entry)

    def pack(tensors: list[Any]) -> tuple[Any, Stored]:
        codes, scales, scale = tensors
        stored = ScaledBlocks(E2M1, 16, torch.float8_e4m3fn, scale.float().reshape(()).clone())
        return in_rows(codes, lambda: [scales], stored, swapped)

    return Layer("nvfp4", (rows, columns * 2), (name, scale, scale_2), pack)


FORMAT = Format(
    "Black Forest Labs' nvfp4",
    _recognises,
    lambda name, header: {name: _layer(name, header.entries[name], header.entries)},
)
