"""GGUF's blocks, the kinds that diffusers can expand."""

from __future__ import annotations

from typing import Any

import torch

from .format import Format, Header
from .layers import PLAIN, Layer, unreadable
from .stored import GgufBlocks, Stored, gguf_kinds


def _layer(name: str, header: Header) -> Layer:
    entry = header.entries[name]
    kinds = gguf_kinds()
    if entry.kind not in kinds:
        return unreadable(
            f"{entry.kind} blocks, which diffusers cannot read (it reads {', '.join(sorted(kinds))})", entry
        )
    stored = GgufBlocks(int(kinds[entry.kind]))

    whole = len(entry.shape) == 2 and entry.row * entry.shape[0] == entry.size

    def pack(tensors: list[Any]) -> tuple[Any, Stored | None]:
        raw = tensors[0].view(torch.int8)
        return (raw, stored) if whole else (stored.expand(raw, torch.float32), None)

    return Layer(entry.kind, entry.shape, (name,), pack, as_is=whole)


FORMAT = Format(
    "GGUF",
    lambda name, header: header.entries[name].kind not in PLAIN,
    lambda name, header: {name: _layer(name, header)},
)
