"""Writes sdnq.safetensors beside this file: `pip install sdnq`, then `python make_sdnq.py`.

Small layers as SDNQ 0.2.8 saves them, and under "expected." what it makes of them itself, with factors of an SVD in the float32
that it reads them in. Committed, so that the tests need no such package.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from sdnq.quantizer import sdnq_post_load_quant

FEW = ("uint2", "uint3", "uint5", "uint6", "uint7", "int2", "int3", "int4", "int5", "int6", "int7")
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
}


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
    save_file(out, Path(__file__).with_name("sdnq.safetensors"))


if __name__ == "__main__":
    main()
