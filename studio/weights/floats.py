"""8-bit floats with a scale or none: ComfyUI's `fp8_scaled`, Black Forest Labs' `fp8r`, plain fp8."""

from __future__ import annotations

import math
from typing import Any

import torch

from . import comfyui
from .format import Format, Header, weight_of
from .layers import PLAIN, Layer, unreadable
from .stored import FP8_DTYPES, ScaledFp8, Stored

SCALES = ("scale_weight", "weight_scale")  # ComfyUI's older and newer name


def _recognises(name: str, header: Header) -> bool:
    return weight_of(name) is not None and header.entries[name].kind not in PLAIN


def _reads(name: str, header: Header) -> dict[str, Layer]:
    return {name: _layer(name, header)}


def _layer(name: str, header: Header) -> Layer:
    entry, entries, stem = header.entries[name], header.entries, name.removesuffix("weight")
    if entry.kind not in FP8_DTYPES:
        return unreadable(f"{entry.kind} weights", entry)
    scale = next((stem + ending for ending in SCALES if stem + ending in entries), "")
    count = math.prod(entries[scale].shape) if scale else 1
    if count not in (1, entry.shape[0] if entry.shape else 1):
        return unreadable(f"{entry.kind} weights with {count} scales each", entry)
    # BFL's fp8r has a scale for each row and multiplies in float32; ComfyUI in the dtype of the result.
    by_row = scale and len(entries[scale].shape) == 1 and count > 1
    arithmetic = torch.float32 if by_row and not comfyui.describes(name, header) else None
    whole = len(entry.shape) == 2  # a linear layer's, as far as the file tells

    def pack(tensors: list[Any]) -> tuple[Any, Stored | None]:
        raw, *scales = tensors
        numbers = scales[0].float().clone() if scales else None
        if numbers is not None:
            numbers = numbers.reshape(-1, *[1] * (raw.ndim - 1)) if numbers.numel() > 1 else numbers.reshape(())
        stored, raw = ScaledFp8(FP8_DTYPES[entry.kind], numbers, arithmetic), raw.contiguous().view(torch.int8)
        return (raw, stored) if whole else (stored.expand(raw, torch.float32), None)

    return Layer("fp8", entry.shape, (name, scale) if scale else (name,), pack, as_is=whole)


FORMAT = Format("fp8", _recognises, _reads)
