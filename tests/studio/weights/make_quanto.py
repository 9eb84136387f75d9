"""Writes quanto.safetensors beside this file: `pip install optimum-quanto`, then `python make_quanto.py`.

Small layers as optimum-quanto 0.2.7 saves them, and under "expected." what it makes of them itself. Committed, so that the
tests need no package that compiles its kernels.
"""

from __future__ import annotations

from pathlib import Path

import torch
from optimum.quanto import QLinear, qfloat8, qint2, qint4, qint8
from safetensors.torch import save_file

KINDS = {"int8": qint8, "float8": qfloat8, "int4": qint4, "int2": qint2}
SHAPES = {  # rows, columns, dtype
    "blocks": (6, 320, torch.bfloat16),  # of 64
    "rows": (10, 24, torch.float32),  # too narrow for blocks
    "odd": (5, 27, torch.float16),  # rows that end inside a byte
}


def main() -> None:
    torch.manual_seed(0)
    out = {}
    for shape, (rows, columns, dtype) in SHAPES.items():
        weight = torch.randn(rows, columns, dtype=dtype)
        for kind, qtype in KINDS.items():
            plain = torch.nn.Linear(columns, rows, bias=False, dtype=dtype)
            plain.weight = torch.nn.Parameter(weight)
            layer = QLinear.from_module(plain, weights=qtype)
            layer.freeze()
            out |= {f"{kind} {shape}.{key}": tensor.detach().clone() for key, tensor in layer.state_dict().items()}
            out[f"expected.{kind} {shape}"] = layer.weight.dequantize().detach()
    save_file(out, Path(__file__).with_name("quanto.safetensors"))


if __name__ == "__main__":
    main()
