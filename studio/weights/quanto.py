"""optimum-quanto's layers: int8 and float8 by rows, int4 and int2 in blocks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from .format import Format
from .layers import PLAIN, Entry, Layer, in_rows, unreadable
from .stored import FP8_DTYPES, ScaledFp8, ScaledInt8, ShiftedBlocks, Stored

FEW, EIGHT = ".weight._data._data", ".weight._data"  # codes of 2 or 4 bits, and of 8


def _eight_bit(name: str, entry: Entry, entries: Mapping[str, Entry]) -> Layer:
    """int8 and float8 with a scale of each row, multiplied in the dtype of the scales."""
    scale = name.removesuffix("_data") + "_scale"
    fits = len(entry.shape) == 2 and scale in entries and entries[scale].shape == (entry.shape[0], 1)
    if not fits or entries[scale].kind not in PLAIN or entry.kind not in ("I8", *FP8_DTYPES):
        return unreadable("optimum-quanto weights of another layout", entry, (name,))

    def pack(tensors: list[Any]) -> tuple[Any, Stored]:
        raw, scale = tensors
        numbers = scale.float().clone()
        if entry.kind == "I8":
            return raw.contiguous(), ScaledInt8(numbers, rounded=scale.dtype)
        return raw.contiguous().view(torch.int8), ScaledFp8(FP8_DTYPES[entry.kind], numbers, scale.dtype)

    return Layer("optimum-quanto 8-bit", entry.shape, (name, scale), pack, as_is=True)


def _few_bits(name: str, entry: Entry, entries: Mapping[str, Entry]) -> Layer:
    """int4 and int2: blocks of the whole weight, one a row; the halves or quarters of all blocks lie in the same bytes."""
    stem = name.removesuffix("_data._data")
    names = (name, stem + "_scale", stem + "_shift")
    kind = "optimum-quanto weights of another layout"

    def of_shape(shape: tuple[int, ...]) -> Layer:
        length, block = (*entry.shape, 0, 0)[:2]
        count = math.prod(shape) // max(block, 1)
        bits = [bits for bits in (2, 4) if -(-count * bits // 8) == length]
        sound = (
            len(shape) == 2
            and entry.kind == "U8"
            and len(bits) == 1
            and count * block == math.prod(shape)
            and shape[1] % block == 0
            and all(part in entries and entries[part].shape == (count, 1) for part in names[1:])
            and entries[names[1]].kind == entries[names[2]].kind
            and entries[names[1]].kind in ("F32", "F16", "BF16")
        )
        if not sound:
            return unreadable(kind, entry, names)

        def pack(tensors: list[Any]) -> tuple[Any, Stored]:
            packed, scales, shifts = tensors
            blocks = [(packed >> shift) & ((1 << bits[0]) - 1) for shift in range(0, 8, bits[0])]
            codes = torch.cat(blocks)[:count].reshape(shape)
            scales, zeros = scales.reshape(shape[0], -1), -shifts.reshape(shape[0], -1)
            own = bits[0] if block * bits[0] % 8 == 0 else 8
            codes = sum(codes[:, i :: 8 // own] << (i * own) for i in range(8 // own))
            stored = ShiftedBlocks(own, block, scales.dtype, 0, True, zeros="added")
            return in_rows(codes, lambda: [scales, zeros], stored)

        return Layer("optimum-quanto 4-bit or 2-bit", shape, names, pack)

    return Layer(kind, entry.shape, names, None, of_shape=of_shape)


EIGHT_BIT = Format(
    "optimum-quanto 8-bit",
    lambda name, header: name.endswith(EIGHT),
    lambda name, header: {name.removesuffix("._data"): _eight_bit(name, header.entries[name], header.entries)},
    "quanto",
)
FEW_BITS = Format(
    "optimum-quanto 4-bit or 2-bit",
    lambda name, header: name.endswith(FEW),
    lambda name, header: {name.removesuffix("._data._data"): _few_bits(name, header.entries[name], header.entries)},
    "quanto",
)
