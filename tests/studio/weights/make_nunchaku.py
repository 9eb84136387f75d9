"""Writes nunchaku.safetensors beside this file: `PYTHONPATH=wheel python make_nunchaku.py`, where `wheel` holds the folder
deepcompressor/backend of the wheel of deepcompressor-toolkit 0.1.

Small layers as DeepCompressor packs them for nunchaku's kernels, under the names that diffusers has for them, and under
"source." what was packed, in its own order. Committed, so that the tests need no such package.
"""

from __future__ import annotations

from pathlib import Path

import torch
from deepcompressor.backend.nunchaku.utils import (
    convert_to_nunchaku_w4x4y16_linear_weight,
    convert_to_nunchaku_w4x16_linear_weight,
)
from safetensors.torch import save_file

E2M1 = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0])
ROWS, COLUMNS = 256, 128

Tensors = dict[str, torch.Tensor]


def two_a_byte(codes: torch.Tensor) -> torch.Tensor:
    codes = codes.to(torch.uint8) & 15
    return codes[:, ::2] | codes[:, 1::2] << 4


def svdquant(float_point: bool) -> tuple[Tensors, Tensors]:
    """int4 in blocks of 64, or nvfp4 in blocks of 16 with a scale for each row."""
    block, rank = (16, 16) if float_point else (64, 32)
    source = {
        "scales": torch.rand(ROWS, COLUMNS // block).add(0.5).to(torch.float8_e4m3fn).bfloat16(),
        "rows": torch.rand(ROWS, 1).add(0.5).bfloat16() if float_point else torch.ones(1),
        "smooth": torch.rand(COLUMNS).add(0.5).bfloat16(),
        "bias": torch.randn(ROWS).bfloat16(),
        "down": torch.randn(rank, COLUMNS).bfloat16(),
        "up": torch.randn(ROWS, rank).bfloat16(),
    }
    codes = torch.randint(16, (ROWS, COLUMNS)) if float_point else torch.randint(-8, 8, (ROWS, COLUMNS))
    if float_point:
        codes[codes == 8] = 0  # the packer has no use for a negative zero
    blocks = (E2M1[codes] if float_point else codes.float()).reshape(ROWS, -1, block)
    # Rounded to bfloat16, of which the packer finds the codes again.
    weight = (blocks * source["scales"].float()[..., None]).reshape(ROWS, COLUMNS)
    by_block, by_row = source["scales"].reshape(ROWS, 1, -1, 1), source["rows"].reshape(-1, 1, 1, 1)
    packed, first, bias, smooth, (down, up), second = convert_to_nunchaku_w4x4y16_linear_weight(
        (weight * source["rows"].float()).bfloat16() if float_point else weight.bfloat16(),
        scale=by_row if float_point else by_block,
        bias=source["bias"],
        smooth=source["smooth"],
        lora=(source["down"], source["up"]),
        float_point=float_point,
        subscale=by_block if float_point else None,
    )
    made = {"qweight": packed, "bias": bias.reshape(-1), "smooth_factor": smooth.reshape(-1)}
    made |= {"proj_down": down, "proj_up": up, "wscales": second if float_point else first}
    if float_point:
        made |= {"wcscales": first.reshape(-1), "wtscale": torch.tensor([0.5]).bfloat16()}
    return made, {**source, "codes": two_a_byte(codes)}


def awq() -> tuple[Tensors, Tensors]:
    codes, scales = torch.randint(16, (8, 1024)), torch.rand(8, 16).add(0.5).bfloat16()
    weight = ((codes.float() - 7).reshape(8, 16, 64) * scales.float()[..., None]).reshape(8, 1024)
    packed, by_block, zeros, bias = convert_to_nunchaku_w4x16_linear_weight(
        weight.bfloat16(), scale=scales.reshape(8, 1, 16, 1), bias=torch.randn(8).bfloat16()
    )
    made = {"qweight": packed, "wscales": by_block, "wzeros": zeros, "bias": bias}
    return made, {"codes": two_a_byte(codes), "scales": scales, "bias": bias}


def main() -> None:
    torch.manual_seed(0)
    out = {}
    for name, (made, source) in {"int4": svdquant(False), "nvfp4": svdquant(True), "awq": awq()}.items():
        out |= {f"{name}.{key}": tensor.clone().contiguous() for key, tensor in made.items()}
        out |= {f"source.{name}.{key}": tensor.clone().contiguous() for key, tensor in source.items()}
    save_file(out, Path(__file__).with_name("nunchaku.safetensors"))


if __name__ == "__main__":
    main()
