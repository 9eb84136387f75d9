"""Writes autoround.safetensors beside this file: `pip install auto-round`, then `python make_autoround.py`.

Small layers as auto-round 0.16 packs them for its own layers of plain torch, and under "expected." what these make of
them. Committed, so that the tests need no such package.
"""

from __future__ import annotations

from pathlib import Path

import torch
from auto_round_extension.torch.qlinear_torch import QuantLinear as Plain
from auto_round_extension.torch.qlinear_torch_zp import QuantLinear as OneLess
from safetensors.torch import save_file

LAYOUTS = {"plain": Plain, "gptq": OneLess}
CASES = {  # name: bits, block
    "int2": (2, 32),
    "int4": (4, 32),
    "int4 rows": (4, 64),
    "int8": (8, 16),
}


def layer(layout: type, bits: int, block: int) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    linear = torch.nn.Linear(64, 32)
    blocks = linear.weight.data.reshape(32, -1, block)
    low, high = blocks.amin(-1), blocks.amax(-1)
    scales = ((high - low) / (2**bits - 1)).half().float()
    # The layout whose zero points are one less has none of 0.
    zeros = (-low / scales).round().clamp(1, 2**bits - 1)
    made = layout(bits, block, 64, 32, bias=True)
    made.device = torch.device("cpu")
    made.pack(linear, scales, zeros, device="cpu")
    state = {key: tensor for key, tensor in made.state_dict().items() if key != "bias"}
    made.bias = None
    return state, made(torch.eye(64)).t()  # a matrix of ones and zeros leaves the weight as it is


def main() -> None:
    torch.manual_seed(0)
    out = {}
    for kind, layout in LAYOUTS.items():
        for name, (bits, block) in CASES.items():
            state, expected = layer(layout, bits, block)
            out |= {f"{kind} {name}.{key}": tensor.clone() for key, tensor in state.items()}
            assert torch.equal(expected, expected.half().float())
            out[f"expected.{kind} {name}"] = expected.half().contiguous()
    save_file(out, Path(__file__).with_name("autoround.safetensors"))


if __name__ == "__main__":
    main()
