"""Writes sdnq.safetensors beside this file: `pip install sdnq`, then `python make_sdnq.py`.

Small layers as SDNQ 0.2.8 saves them, and under "expected." what it makes of them itself, with factors of an SVD in the float32
that it reads them in. Committed, so that the tests need no such package.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from sdnq.common import dtype_dict
from sdnq.packed_float import unpack_float
from sdnq.packed_int import pack_int
from sdnq.quantizer import sdnq_post_load_quant

FEW = ("uint2", "uint3", "uint5", "uint6", "uint7", "int2", "int3", "int4", "int5", "int6", "int7")
FLOATS = (
    *("float2_e1m0fn", "float3_e2m0fn", "float4_e2m1fn", "float6_e3m2fn", "float7_e4m2fn", "float8_e3m4fn"),
    *("float4_e2m2fnu", "float8_e4m4fnu"),
)
BOOK = {"use_codebook": True}
CASES = {  # name: rows, columns, dtype, settings
    **{kind: (4, 64, {"weights_dtype": kind, "group_size": 32}) for kind in FEW},
    "uint4": (8, 128, {"weights_dtype": "uint4", "group_size": 32}),
    "uint4 rows": (6, 40, {"weights_dtype": "uint4"}),
    "uint5 odd": (8, 60, {"weights_dtype": "uint5", "group_size": 15}),
    "uint4 half": (6, 64, {"weights_dtype": "uint4", "group_size": 32, "dequantize_fp32": False}),
    "uint8": (6, 64, {"weights_dtype": "uint8", "group_size": 32}),
    "int8": (6, 64, {"weights_dtype": "int8", "group_size": 32}),
    "int8 rows": (6, 64, {"weights_dtype": "int8", "group_size": -1}),
    "int8 turned": (32, 48, {"weights_dtype": "int8", "group_size": -1, "use_quantized_matmul": True}),
    "float8": (6, 64, {"weights_dtype": "float8_e4m3fn", "group_size": 32}),
    "svd": (16, 64, {"weights_dtype": "uint4", "group_size": 32, "use_svd": True, "svd_rank": 4}),
    "svd int8": (16, 64, {"weights_dtype": "int8", "group_size": 32, "use_svd": True, "svd_rank": 4}),
    **{kind: (4, 64, {"weights_dtype": kind, "group_size": 32}) for kind in FLOATS},
    "fp4 rows": (6, 40, {"weights_dtype": "float4_e2m1fn", "group_size": -1}),
    "fp5 odd": (8, 60, {"weights_dtype": "float5_e2m2fn", "group_size": 15}),
    "svd float8": (16, 64, {"weights_dtype": "float8_e4m3fn", "group_size": 32, "use_svd": True, "svd_rank": 4}),
    "codebook": (6, 128, {"weights_dtype": "uint4", "group_size": 64, **BOOK}),
    "codebook rows": (6, 40, {"weights_dtype": "uint3", "group_size": -1, **BOOK}),
    "codebook half": (6, 64, {"weights_dtype": "uint2", "group_size": 32, "dequantize_fp32": False, **BOOK}),
    "codebook svd": (16, 64, {"weights_dtype": "uint4", "group_size": 32, "use_svd": True, "svd_rank": 4, **BOOK}),
    "turned 16": (6, 48, {"weights_dtype": "uint4", "group_size": 16, "use_hadamard": True}),
    "turned 32": (6, 96, {"weights_dtype": "int8", "group_size": 32, "use_hadamard": True}),
    "turned 8": (
        6,
        64,
        {"weights_dtype": "float4_e2m1fn", "group_size": 32, "use_hadamard": True, "hadamard_group_size": 8},
    ),
    "turned svd": (16, 64, {"weights_dtype": "uint4", "use_svd": True, "svd_rank": 4, "use_hadamard": True}),
    "not turned": (6, 34, {"weights_dtype": "int8", "use_hadamard": True}),  # no power of two above 2 divides it
}


def tables() -> dict[str, torch.Tensor]:
    """What SDNQ makes of every code of its small floats."""
    out = {}
    for kind, said in dtype_dict.items():
        if kind.startswith("float") and said["is_packed"] and 2 <= said["num_bits"] <= 8:
            bits = said["num_bits"]
            codes = torch.arange(2**bits).repeat(8).to(torch.uint8)
            packed = codes if bits == 8 else pack_int(codes, f"uint{bits}")
            out[f"table.{kind}"] = unpack_float(packed, kind, codes.shape)[: 2**bits].contiguous()
    return out


def main() -> None:
    torch.manual_seed(0)
    out = {}
    for name, (rows, columns, settings) in CASES.items():
        model = torch.nn.Sequential(torch.nn.Linear(columns, rows, bias=False)).bfloat16()
        own = {"minimum_allowed_numel": 0, "minimum_allowed_channel_size": 0}
        layer = sdnq_post_load_quant(model, torch_dtype=torch.bfloat16, **own, **settings)[0]
        state = {key: tensor.detach() for key, tensor in layer.state_dict().items()}
        out |= {f"{name}.{key}": tensor.clone().contiguous() for key, tensor in state.items()}
        read = {key: tensor.float() if key.startswith("svd") else tensor for key, tensor in state.items()}
        turned = layer.sdnq_dequantizer.use_quantized_matmul
        result = layer.sdnq_dequantizer(**read, skip_quantized_matmul=turned, skip_compile=True, dtype=torch.float32)
        out[f"expected.{name}"] = result.contiguous()
    out |= tables()
    save_file(out, Path(__file__).with_name("sdnq.safetensors"))


if __name__ == "__main__":
    main()
