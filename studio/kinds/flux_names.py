"""The names of the layers that FLUX.1 and FLUX.2 share: Black Forest Labs' blocks, in diffusers' layers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from .names import Rows, Shapes, Share, count_rows
from .part import Part, axes_of

PARAMETER_KINDS = {"weight": "weight", "bias": "bias", "scale": "weight"}


LoraTable = dict[str, "tuple[str | Share, ...]"]


class Originals(NamedTuple):
    """BFL's layers of a FLUX and the layers of diffusers that hold their rows, in their order."""

    outer: Mapping[str, str]
    double: Mapping[str, tuple[str, ...]]  # within `double_blocks.N` and `transformer_blocks.N`
    single: Mapping[str, tuple[str, ...]]  # within `single_blocks.N` and `single_transformer_blocks.N`


SHIFT_FIRST = "final_layer.adaLN_modulation.1"  # BFL keeps (shift, scale) there, diffusers (scale, shift)
QKV = ("attn.to_q", "attn.to_k", "attn.to_v")
_ADDED_QKV = ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj")

DOUBLE = {
    "img_attn.qkv": QKV,
    "txt_attn.qkv": _ADDED_QKV,
    "img_attn.proj": ("attn.to_out.0",),
    "txt_attn.proj": ("attn.to_add_out",),
    "img_attn.norm.query_norm": ("attn.norm_q",),
    "img_attn.norm.key_norm": ("attn.norm_k",),
    "txt_attn.norm.query_norm": ("attn.norm_added_q",),
    "txt_attn.norm.key_norm": ("attn.norm_added_k",),
}
SINGLE_NORMS = {"norm.query_norm": ("attn.norm_q",), "norm.key_norm": ("attn.norm_k",)}
_BLOCK = re.compile(r"(double|single)_blocks\.(\d+)\.(.+)")


def flux_names(shapes: Shapes, originals: Originals) -> dict[str, Rows]:
    """diffusers' name -> the rows of a weight in an original FLUX file, for every weight that `originals` names."""
    out = {}
    for name, shape in shapes.items():
        stem, _, kind = name.rpartition(".")
        kind = PARAMETER_KINDS.get(kind, "")
        if not kind:
            continue
        block = _BLOCK.fullmatch(stem)
        if block is None:
            if stem in originals.outer:
                out[f"{originals.outer[stem]}.{kind}"] = Rows(name, swap=stem == SHIFT_FIRST)
            continue
        stream, index, layer = block.groups()
        targets = (originals.double if stream == "double" else originals.single).get(layer, ())
        prefix = f"{'' if stream == 'double' else 'single_'}transformer_blocks.{index}"
        if len(targets) == 1:
            out[f"{prefix}.{targets[0]}.{kind}"] = Rows(name)
            continue
        # Queries, keys and values on top of each other, of the model's width each; in `linear1` the rest is the MLP's.
        rows = count_rows(shape)
        width = rows // 3
        if len(targets) == 4:
            width = count_rows(shapes.get(f"{stream}_blocks.{index}.linear2.weight", ()))
        for row, target in enumerate(targets):
            stop = (row + 1) * width if row < 3 else rows
            out[f"{prefix}.{target}.{kind}"] = Rows(name, row * width, stop)
    return out


def lora_table(originals: Originals) -> LoraTable:
    """Original name of a layer -> diffusers' layers that it is made of, for LoRA files. "{}" is a block's number."""
    out: LoraTable = {name: (layer,) for name, layer in originals.outer.items()}
    last = originals.outer[SHIFT_FIRST]
    out[SHIFT_FIRST] = (Share(last, 1, 2), Share(last, 0, 2))
    for stream, block, layers in (
        ("double_blocks", "transformer_blocks", originals.double),
        ("single_blocks", "single_transformer_blocks", originals.single),
    ):
        for name, targets in layers.items():
            out[f"{stream}.{{}}.{name}"] = tuple(f"{block}.{{}}.{target}" for target in targets)
    return out


def flux_config(part: Part, axes: tuple[int, ...]) -> dict[str, Any]:
    """What FLUX.1 and FLUX.2 say in the same words; `axes`: of the published model's heads."""
    head = part.length("transformer_blocks.0.attn.norm_q.weight", 0)
    width, channels = part.shape("x_embedder.weight")
    return {
        "in_channels": channels,
        "out_channels": part.length("proj_out.weight", 0),
        "num_layers": part.count("transformer_blocks"),
        "num_single_layers": part.count("single_transformer_blocks"),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "joint_attention_dim": part.length("context_embedder.weight", 1),
        "axes_dims_rope": axes_of(head, axes),
    }
