"""Layers as torchao writes them to safetensors (torchao.prototype.safetensors, 0.15 and later).

A weight is the class of a tensor: its tensors stand in the file, its settings as JSON in the file's metadata, under the
weight's name. Shapes and blocks are read from the tensors; of the settings only what these do not tell.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from .format import Format, Header
from .layers import E2M1, PLAIN, Entry, Layer, in_rows, powers_of_two, swapped, tiled, unreadable, untiled
from .stored import FP8_DTYPES, ScaledBlocks, ScaledFp8, ScaledInt8, ShiftedBlocks, Stored

CODES_SUFFIX = "._weight_qdata"  # behind the layer's name
# Classes whose numbers lie in the order in which one maker's kernels read them.
FOR_KERNELS = {
    "Int4TilePackedTo4dTensor": "NVIDIA's tensor cores",
    "Int4PlainInt32Tensor": "Intel's or Huawei's cards",
    "Int4PreshuffledTensor": "NVIDIA's tensor cores",
}


def layer(name: str, entries: Mapping[str, Entry], text: Any) -> Layer:
    """The layer whose codes are called `name`; `text`: what the metadata say of its weight, None where nothing."""
    entry, stem = entries[name], name.removesuffix("qdata")
    try:
        described = json.loads(text)
        kind, data = str(described["_type"]), dict(described["_data"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return unreadable(
            "torchao weights without a description in the file's metadata that can be read", entry, (name,)
        )
    if kind in FOR_KERNELS:
        return unreadable(f"torchao's {kind}, laid out for {FOR_KERNELS[kind]}", entry, (name,))
    if stem + "act_pre_scale" in entries:
        return unreadable(f"torchao's {kind[:40]} with smoothed (AWQ, SmoothQuant) weights", entry, (name,))
    make = {
        "Int8Tensor": _int8,
        "IntxUnpackedToInt8Tensor": _intx,
        "Float8Tensor": _float8,
        "Int4Tensor": _int4,
        "NVFP4Tensor": _nvfp4,
        "MXTensor": _mx,
    }.get(kind)
    named = {part: stem + part for part in ("qdata", "scale", "zero_point", "per_tensor_scale")}
    parts = {part: entries[own] for part, own in named.items() if own in entries}
    whole = len(entry.shape) == 2 and min(entry.shape) > 0 and "scale" in parts
    made = make(parts, data) if make and whole else None
    if made is None:
        return unreadable(f"torchao's {kind[:40]} of a layout that this pack does not know", entry, (name,))
    return made._replace(kind=f"torchao {kind}", names=tuple(named[part] for part in made.names))


def _blocks(parts: Mapping[str, Entry], data: Mapping[str, Any]) -> tuple[int, int] | None:
    """Rows and columns that share a scale; None where the tensors and the settings do not agree."""
    (rows, columns), scale = parts["qdata"].shape, parts["scale"].shape
    if math.prod(scale) == 1:
        scale = (1, 1)
    if len(scale) != 2 or min(scale) < 1 or rows % scale[0] or columns % scale[1]:
        return None
    block = (rows // scale[0], columns // scale[1])
    return block if data.get("block_size") in (None, [], list(block)) else None


def _int8(parts: Mapping[str, Entry], data: Mapping[str, Any]) -> Layer | None:
    """(code - zero point) * scale in float32."""
    return _integers(parts, data, "")


def _intx(parts: Mapping[str, Entry], data: Mapping[str, Any]) -> Layer | None:
    """The same in the dtype of the weight, which is that of its scales."""
    own = data.get("dtype")
    dtype_name = str(own.get("_data")) if isinstance(own, dict) else ""
    kinds = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}
    return _integers(parts, data, dtype_name) if kinds.get(dtype_name) == parts["scale"].kind else None


def _integers(parts: Mapping[str, Entry], data: Mapping[str, Any], rounded: str) -> Layer | None:
    block, (rows, columns) = _blocks(parts, data), parts["qdata"].shape
    zero = parts.get("zero_point")
    sound = block is not None and parts["qdata"].kind == "I8" and parts["scale"].kind in PLAIN[1:]
    # Blocks of some of the rows are nobody's.
    if not sound or block is None or (block[0] not in (1, rows)) or (block[0] != 1 and block[1] != columns):
        return None
    if zero is not None and (zero.kind not in ("I8", parts["scale"].kind) or zero.shape != parts["scale"].shape):
        return None

    def pack(tensors: list[Any]) -> tuple[Any, Stored]:
        import torch

        raw, scale, *zeros = tensors
        dtype = getattr(torch, rounded) if rounded else None
        own, shifted = scale.dtype if dtype else torch.float32, any(bool(part.any()) for part in zeros)
        if block[1] == columns:
            shape = () if scale.numel() == 1 else (-1, 1)
            numbers = [part.float().reshape(shape).clone() for part in (scale, *zeros)]
            return raw.contiguous(), ScaledInt8(numbers[0], rounded=dtype, zero=numbers[1] if shifted else None)
        both = (scale, *(zeros if shifted else []))
        stored = ShiftedBlocks(8, block[1], own, -128, shifted, "taken")
        return in_rows(raw, lambda: [part.to(own) for part in both], stored, lambda some: some ^ 0x80)

    names = ("qdata", "scale", *(["zero_point"] if zero is not None else []))
    return Layer("", (rows, columns), names, pack, as_is=block[1] == columns)


def _float8(parts: Mapping[str, Entry], data: Mapping[str, Any]) -> Layer | None:
    """code * scale in float32."""
    block, (rows, columns) = _blocks(parts, data), parts["qdata"].shape
    kind = FP8_DTYPES.get(parts["qdata"].kind)
    if block is None or kind is None or parts["scale"].kind != "F32":
        return None
    by_rows = block[1] == columns and block[0] in (1, rows)

    def pack(tensors: list[Any]) -> tuple[Any, Stored]:
        import torch

        raw, scale = tensors
        raw = raw.contiguous().view(torch.int8)
        if by_rows:
            shape = () if scale.numel() == 1 else (-1, 1)
            return raw, ScaledFp8(kind, scale.reshape(shape).clone(), torch.float32)
        stored = ScaledBlocks(kind, block[1], torch.float32)
        return in_rows(raw, lambda: [scale.repeat_interleave(block[0], 0)], stored)

    return Layer("", (rows, columns), ("qdata", "scale"), pack, as_is=by_rows)


def _int4(parts: Mapping[str, Entry], data: Mapping[str, Any]) -> Layer | None:
    """code * scale + zero point in float32: codes of -8 to 7, two a byte, the first in the low half (MSLK's pack_int4).

    Scales and zero points stand with a block of all rows in a line.
    """
    (rows, half), scale, zero = parts["qdata"].shape, parts["scale"], parts.get("zero_point")
    columns, count = half * 2, scale.shape[0] if scale.shape else 0
    if zero is None or count < 1 or scale.shape != (count, rows) or columns % count or columns // count % 2:
        return None
    block, kinds = columns // count, {scale.kind, zero.kind}
    if zero.shape != scale.shape or parts["qdata"].kind != "I8" or len(kinds) > 1 or not kinds <= {*PLAIN[1:]}:
        return None
    if data.get("block_size") != [1, block] or data.get("shape") not in (None, [rows, columns]):
        return None

    def pack(tensors: list[Any]) -> tuple[Any, Stored]:
        import torch

        codes, scales, zeros = tensors
        stored = ShiftedBlocks(4, block, scales.dtype, -8, True, "added", arithmetic=torch.float32)
        # Codes of two's complement and codes from -8 upwards differ in their highest bit.
        return in_rows(codes, lambda: [scales.t(), zeros.t()], stored, lambda some: some ^ 0x88)

    return Layer("", (rows, columns), ("qdata", "scale", "zero_point"), pack)


def _fits_scales(scale: Entry, data: Mapping[str, Any], rows: int, count: int) -> bool:
    """Whether there is a scale for each of `count` blocks a row, in their places or in NVIDIA's tiles."""
    return (
        math.prod(scale.shape) == tiled(rows, count) if data.get("is_swizzled_scales") else scale.shape == (rows, count)
    )


def _nvfp4(parts: Mapping[str, Entry], data: Mapping[str, Any]) -> Layer | None:
    """code * (scale of the weight * scale of the block) in float32; the low half of a byte first."""
    (rows, half), scale, whole = parts["qdata"].shape, parts["scale"], parts.get("per_tensor_scale")
    fits = half % 8 == 0 and _fits_scales(scale, data, rows, half // 8) and data.get("block_size") == 16
    if not fits or (parts["qdata"].kind, scale.kind) != ("U8", "F8_E4M3"):
        return None
    if whole is not None and (math.prod(whole.shape) != 1 or whole.kind != "F32"):
        return None

    def pack(tensors: list[Any]) -> tuple[Any, Stored]:
        import torch

        codes, scales, *whole = tensors
        number = whole[0].reshape(()).clone() if whole else None
        stored = ScaledBlocks(E2M1, 16, torch.float8_e4m3fn, number)
        in_tiles = data.get("is_swizzled_scales")
        return in_rows(codes, lambda: [untiled(scales, rows, half // 8) if in_tiles else scales], stored, swapped)

    names = ("qdata", "scale", *(["per_tensor_scale"] if whole is not None else []))
    return Layer("", (rows, half * 2), names, pack)


def _mx(parts: Mapping[str, Entry], data: Mapping[str, Any]) -> Layer | None:
    """Floats of 8 or 4 bits times a power of two for each block."""
    elem, entry, scale = data.get("elem_dtype"), parts["qdata"], parts["scale"]
    rows, columns = entry.shape
    dtype_name = str(elem.get("_data")) if isinstance(elem, dict) else ""
    is_fp4 = dtype_name == "float4_e2m1fn_x2" and entry.kind == "U8"
    kind = FP8_DTYPES.get(entry.kind)
    columns, block = columns * (1 + is_fp4), data.get("block_size")
    if not (is_fp4 or (kind is not None and dtype_name == str(kind).rpartition(".")[2])) or scale.kind != "F8_E8M0":
        return None
    if type(block) is not int or block < 2 or block % 2 or columns % block:
        return None
    if not _fits_scales(scale, data, rows, columns // block):
        return None

    def pack(tensors: list[Any]) -> tuple[Any, Stored]:
        import torch

        codes, scales = tensors
        exponents = scales.view(torch.uint8)
        if data.get("is_swizzled_scales"):
            exponents = untiled(exponents, rows, columns // block)
        stored = ScaledBlocks(E2M1 if kind is None else kind, block, torch.bfloat16)
        return in_rows(codes, lambda: [powers_of_two(exponents)], stored, swapped if is_fp4 else None)

    return Layer("", (rows, columns), ("qdata", "scale"), pack)


def _reads(name: str, header: Header) -> dict[str, Layer]:
    weight = name.removesuffix(CODES_SUFFIX) + ".weight"
    return {weight: layer(name, header.entries, header.metadata.get(weight))}


FORMAT = Format("torchao", lambda name, header: name.endswith(CODES_SUFFIX), _reads, "torchao")
