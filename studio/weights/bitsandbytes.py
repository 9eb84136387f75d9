"""bitsandbytes' layers: nf4 and fp4, and 8-bit integers."""

from __future__ import annotations

import json
import math
from typing import Any

import torch

from .format import Format, Header, weight_of
from .layers import Layer, in_rows, unreadable
from .stored import ScaledBlocks, ScaledInt8, Stored

DESCRIPTION_SUFFIX = ".quant_state.bitsandbytes__"  # + nf4 or fp4: a JSON text beside a layer


def _descriptions(header: Header) -> dict[str, str]:
    """Weight -> name of its description."""
    return {text.partition(DESCRIPTION_SUFFIX)[0]: text for text in header.texts if DESCRIPTION_SUFFIX in text}


def _four_bit(name: str, header: Header) -> Layer:
    """nf4 and fp4: blocks of the whole weight in one line, whose largest numbers may themselves be 8-bit codes."""
    entries, text = header.entries, header.texts[header.once(_descriptions)[name]]
    try:
        state = json.loads(text)
        shape = tuple(int(side) for side in state["shape"])
        block, nested = int(state["blocksize"]), "nested_offset" in state
        dtype, offset = _dtype(state["dtype"]), float(state.get("nested_offset", 0))
        nested_block = int(state.get("nested_blocksize", 256))
        wanted = [".absmax", ".quant_map", *([".nested_absmax", ".nested_quant_map"] if nested else [])]
        names = (name, *(name + ending for ending in wanted))
        sizes = [math.prod(entries[part].shape) for part in names[1:]]
        count = -(-math.prod(shape) // max(block, 1))
        sound = (
            len(shape) == 2
            and min(*shape, block, nested_block) > 0
            and block % 2 == 0
            and entries[name].size == -(-math.prod(shape) // 2)
            and sizes == [count, 16, *([-(-count // nested_block), 256] if nested else [])]
            and entries[names[1]].kind == ("U8" if nested else "F32")
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        sound = False
    if not sound:
        return unreadable("bitsandbytes weights whose description cannot be read", entries[name])

    def pack(tensors: list[Any]) -> tuple[Any, Stored | None]:
        codes, largest, table = tensors[0].reshape(-1).view(torch.uint8), tensors[1].reshape(-1), tensors[2]
        if nested:
            outer, outer_table = tensors[3].reshape(-1), tensors[4].reshape(-1)
            largest = outer_table[largest.int()] * outer.repeat_interleave(nested_block)[:count] + offset
        largest = largest.float().contiguous()
        stored = ScaledBlocks(tuple(table.reshape(-1).tolist()), block, torch.float32, rounded=dtype)
        if shape[1] % block == 0:
            return in_rows(codes.reshape(shape[0], -1), lambda: [largest.reshape(shape[0], -1)], stored)
        # Blocks that reach over the end of a row: as one line, filled up to whole blocks.
        line = torch.zeros(count * block // 2, dtype=torch.uint8)
        line[: len(codes)] = codes
        line = torch.cat([line.view(torch.int8), largest.view(torch.int8)])[None]
        return stored.expand(line, torch.float32)[0, : math.prod(shape)].reshape(shape), None

    return Layer("bitsandbytes 4-bit", shape, names, pack)


def _dtype(name: str) -> Any:
    return {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}[name]


def _eight_bit(name: str, header: Header) -> Layer:
    entry, scales = header.entries[name], name.removesuffix("weight") + "SCB"
    if entry.kind != "I8" or len(entry.shape) != 2 or math.prod(header.entries[scales].shape) != entry.shape[0]:
        return unreadable("bitsandbytes weights of another layout", entry)

    def pack(tensors: list[Any]) -> tuple[Any, Stored]:
        raw, scale = tensors
        # bitsandbytes writes 1/127 so, and multiplies by it last.
        return raw.contiguous(), ScaledInt8(scale.float().clone().reshape(-1, 1), 7.874015718698502e-3)

    return Layer("bitsandbytes 8-bit", entry.shape, (name, scales), pack, as_is=True)


FOUR_BIT = Format(
    "bitsandbytes 4-bit",
    lambda name, header: weight_of(name) is not None and name in header.once(_descriptions),
    lambda name, header: {name: _four_bit(name, header)},
    "bitsandbytes",
)
EIGHT_BIT = Format(
    "bitsandbytes 8-bit",
    lambda name, header: (stem := weight_of(name)) is not None and stem + "SCB" in header.entries,
    lambda name, header: {name: _eight_bit(name, header)},
    "bitsandbytes",
)
