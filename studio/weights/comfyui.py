"""Layers as ComfyUI's quant_ops writes them: nvfp4, mxfp8, int8; its description names the format of each."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from typing import Any

import torch

from .format import Format, Header, weight_of
from .layers import E2M1, Entry, Layer, in_rows, powers_of_two, tiled, unreadable, untiled
from .stored import ScaledBlocks, ScaledInt8, Stored

DESCRIPTION_SUFFIX = ".comfy_quant"  # a JSON text beside a layer, or in the file's metadata
_FLOATS = ("float8_e4m3fn", "float8_e5m2")  # floats.py reads them


def describes(name: str, header: Header) -> bool:
    """Whether the file has ComfyUI's description of this weight."""
    return name.removesuffix(".weight") in header.once(_descriptions)


def _descriptions(header: Header) -> dict[str, dict[str, Any]]:
    """Layer's name without ".weight" -> what ComfyUI's description says of it."""
    found: dict[str, Any] = {}
    try:
        layers = json.loads(header.metadata.get("_quantization_metadata", "{}")).get("layers", {})
        found |= layers if isinstance(layers, dict) else {}
    except (ValueError, TypeError, AttributeError, RecursionError):
        pass  # without a description the layers are refused one by one
    for name, text in header.texts.items():
        if name.endswith(DESCRIPTION_SUFFIX):
            try:
                found[name.removesuffix(DESCRIPTION_SUFFIX)] = json.loads(text)
            except (ValueError, RecursionError):
                found[name.removesuffix(DESCRIPTION_SUFFIX)] = {"format": "of an unreadable description"}
    return {stem: dict(form) if isinstance(form, dict) else {} for stem, form in found.items()}


def _layer(name: str, entry: Entry, entries: Mapping[str, Entry], conf: Mapping[str, Any]) -> Layer:
    """A layer as ComfyUI's quant_ops writes it."""
    form = str(conf.get("format", "of an unnamed format"))
    scale, scale_2 = (name.removesuffix("weight") + ending for ending in ("weight_scale", "weight_scale_2"))
    if len(entry.shape) != 2 or scale not in entries:
        return unreadable(f"{form} weights", entry)
    rows, columns, size = *entry.shape, entries[scale].size
    two = entries[scale_2].shape if scale_2 in entries else (0,)
    if form == "nvfp4" and entry.kind == "U8" and math.prod(two) == 1 and size == tiled(rows, columns * 2 // 16):
        return Layer("nvfp4", (rows, columns * 2), (name, scale, scale_2), _pack_nvfp4)
    if form == "mxfp8" and entry.kind == "F8_E4M3" and columns % 32 == 0 and size == tiled(rows, columns // 32):
        return Layer("mxfp8", entry.shape, (name, scale), _pack_mxfp8)
    if form == "int8_tensorwise" and entry.kind == "I8" and entries[scale].kind == "F32" and size in (4, 4 * rows):
        inner = conf.get("params") if isinstance(conf.get("params"), dict) else {}
        both = {**inner, **conf}  # type: ignore[dict-item]
        group = both.get("convrot_groupsize", 256) if both.get("convrot") else 0
        if group == 0 or (group in (4, 16, 64, 256, 1024) and columns % group == 0):
            pack = functools.partial(_pack_int8, rotated=group)
            return Layer("int8", entry.shape, (name, scale), pack, as_is=True)
    return unreadable(f"{form} weights", entry)


def _pack_nvfp4(tensors: list[Any]) -> tuple[Any, Stored]:
    codes, scales, scale = tensors
    stored = ScaledBlocks(E2M1, 16, torch.float8_e4m3fn, scale.float().reshape(()).clone(), arithmetic=None)
    return in_rows(codes, lambda: [untiled(scales, len(codes), codes.shape[1] // 8)], stored)


def _pack_mxfp8(tensors: list[Any]) -> tuple[Any, Stored]:
    numbers, scales = tensors
    rows, columns = numbers.shape
    stored = ScaledBlocks(torch.float8_e4m3fn, 32, torch.bfloat16)
    return in_rows(numbers, lambda: [powers_of_two(untiled(scales, rows, columns // 32))], stored)


def _pack_int8(tensors: list[Any], rotated: int) -> tuple[Any, Stored]:
    raw, scale = tensors
    scale = scale.float().clone()
    return raw.contiguous(), ScaledInt8(
        scale.reshape(-1, 1) if scale.numel() > 1 else scale.reshape(()), rotated=rotated
    )


def _recognises(name: str, header: Header) -> bool:
    return (
        weight_of(name) is not None
        and describes(name, header)
        and _described(name, header).get("format") not in _FLOATS
    )


def _described(name: str, header: Header) -> Mapping[str, Any]:
    return header.once(_descriptions)[name.removesuffix(".weight")]


FORMAT = Format(
    "ComfyUI's int8, nvfp4 and mxfp8",
    _recognises,
    lambda name, header: {name: _layer(name, header.entries[name], header.entries, _described(name, header))},
)
