"""Writes bitsandbytes.safetensors beside this file: `pip install bitsandbytes`, then `python make_bitsandbytes.py`.

Small layers as bitsandbytes 0.50 saves them, and under "expected." what its own functions make of them. Committed, so
that the tests need no package of 125 MB.
"""

from __future__ import annotations

from pathlib import Path

import bitsandbytes as bnb
import torch
from safetensors.torch import save_file

SHAPES = {"wide": (6, 320), "narrow": (10, 24)}  # narrow: blocks of 64 reach over the end of a row


def four_bit(weight: torch.Tensor, kind: str, nested: bool) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    layer = bnb.nn.Linear4bit(*weight.shape[::-1], bias=False, quant_type=kind, compress_statistics=nested)
    layer.weight = bnb.nn.Params4bit(weight, requires_grad=False, quant_type=kind, compress_statistics=nested)
    layer.to("cpu")
    return layer.state_dict(), bnb.functional.dequantize_4bit(layer.weight.data, layer.weight.quant_state)


def eight_bit(weight: torch.Tensor) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    layer = bnb.nn.Linear8bitLt(*weight.shape[::-1], bias=False, has_fp16_weights=False)
    layer.weight = bnb.nn.Int8Params(weight.half(), requires_grad=False, has_fp16_weights=False)
    layer.to("cpu")
    state = layer.state_dict()
    return state, bnb.functional.int8_vectorwise_dequant(state["weight"], state["SCB"])


def main() -> None:
    torch.manual_seed(0)
    out = {}
    for shape, size in SHAPES.items():
        weight = torch.randn(size)
        made = {
            "nf4": four_bit(weight.bfloat16(), "nf4", False),
            "nf4 nested": four_bit(weight.float(), "nf4", True),
            "fp4": four_bit(weight.half(), "fp4", False),
            "fp4 nested": four_bit(weight.bfloat16(), "fp4", True),
            "int8": eight_bit(weight),
        }
        for kind, (state, expected) in made.items():
            out |= {f"{kind} {shape}.{key}": tensor.clone() for key, tensor in state.items()}
            out[f"expected.{kind} {shape}"] = expected
    save_file(out, Path(__file__).with_name("bitsandbytes.safetensors"))


if __name__ == "__main__":
    main()
