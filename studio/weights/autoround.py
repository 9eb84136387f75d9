"""AutoRound's layers, in the layouts that GPTQ's kernels take: codes of 2, 4 or 8 bits along the columns, in words of 32 bits.

Which layout it is, and so whether a zero point is written one smaller than it is, stands in the folder's config alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .format import Format, Header
from .layers import Entry, Layer, in_rows, unreadable
from .stored import ShiftedBlocks, Stored, unpack

CODES_SUFFIX = ".qweight"  # behind the layer's name
LESS = {  # packing_format -> what a zero point is less than it is
    "auto_round:auto_gptq": 1,
    "auto_round:gptq": 1,
    "auto_round": 0,
    "auto_round:gptqmodel": 0,
}


def layer(name: str, entries: Mapping[str, Entry], config: Mapping[str, Any]) -> Layer:
    """The weight whose codes are called `name`. `config`: the quantization_config."""
    entry, stem = entries[name], name.removesuffix("qweight")
    names = (name, stem + "scales", stem + "qzeros")
    form = config.get("packing_format", "auto_round:auto_gptq")
    if not isinstance(form, str) or form not in LESS:
        return unreadable(f"AutoRound weights in the layout {str(form)[:40]}", entry, names[:1])
    if stem + "g_idx" in entries:
        return unreadable("AutoRound weights in another order (g_idx)", entry, names[:1])
    if not all(part in entries for part in names):
        return unreadable("AutoRound weights of another layout", entry, names[:1])
    scales, zeros = entries[names[1]], entries[names[2]]

    def of_shape(shape: tuple[int, ...]) -> Layer:
        other = unreadable("AutoRound weights of another layout", entry, names)
        if len(shape) != 2 or min(shape) < 1 or len(scales.shape) != 2:
            return other
        (rows, columns), count = shape, scales.shape[0]
        bits = math.prod(entry.shape) * 32 // (rows * columns)
        sound = (
            bits in (2, 4, 8)
            and (entry.kind, scales.kind, zeros.kind) == ("I32", "F16", "I32")
            and entry.shape == (columns * bits // 32, rows)
            and count > 0
            and scales.shape == (count, rows)
            and zeros.shape == (count, rows * bits // 32)
            and not (columns % count or columns * bits % 32 or rows * bits % 32)
            and columns // count * bits % 8 == 0
        )
        if not sound:
            return other

        def pack(tensors: list[Any]) -> tuple[Any, Stored]:
            import torch

            codes, scales, packed = tensors
            zeros = unpack(packed.view(torch.uint8), bits).to(torch.int16) + LESS[form]
            blocks = ShiftedBlocks(bits, columns // count, torch.float16, 0, True, "taken")
            return in_rows(codes.t(), lambda: [scales.t(), zeros.t().half()], blocks)

        return Layer(f"AutoRound {bits}-bit", shape, names, pack)

    return Layer("AutoRound", entry.shape, names, None, of_shape=of_shape)


def _reads(name: str, header: Header) -> dict[str, Layer]:
    return {name.removesuffix("qweight") + "weight": layer(name, header.entries, header.quantisation)}


FORMAT = Format(
    "AutoRound",
    lambda name, header: name.endswith(CODES_SUFFIX) and header.method == "auto-round",
    _reads,
    "auto-round",
)
