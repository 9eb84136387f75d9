"""Writes torchao.safetensors and the folder torchao/ beside this file: `pip install torchao`, then
`python make_torchao.py mslk/quantize/shuffle.py`, of the wheel of mslk-cuda, which imports on NVIDIA's cards alone.

Small layers as torchao 0.18 saves them, and under "expected." what it makes of them itself; a tiny FLUX.1 transformer as
diffusers saves it in shards, and in expected.safetensors what diffusers' dequantize() makes of it. Committed, so that the
tests need no such package. torchao makes no numbers of Int4Tensor again, which only MSLK's kernels multiply: its source
stands for what is expected.
"""

from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path

import torch
from diffusers import FluxTransformer2DModel, TorchAoConfig
from safetensors.torch import save_file
from torchao.prototype.mx_formats.mx_tensor import MXTensor
from torchao.prototype.mx_formats.nvfp4_tensor import NVFP4Tensor, per_tensor_amax_to_scale
from torchao.prototype.safetensors.safetensors_support import flatten_tensor_state_dict
from torchao.quantization import (
    Float8Tensor,
    Float8WeightOnlyConfig,
    FqnToConfig,
    Int4Tensor,
    Int8Tensor,
    Int8WeightOnlyConfig,
    IntxUnpackedToInt8Tensor,
    MappingType,
    PerGroup,
    PerRow,
    PerTensor,
)
from torchao.quantization.granularity import PerBlock
from torchao.quantization.quantize_.workflows.int4 import int4_tensor

HERE = Path(__file__).parent
E4M3, E5M2 = torch.float8_e4m3fn, torch.float8_e5m2
DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def with_mslk(shuffle: str) -> None:
    """Let torchao find MSLK's functions for int4, which are plain torch, without its kernels."""
    kernels = types.ModuleType("mslk.quantize.triton.fp8_quantize")
    kernels.quantize_fp8_row = None
    sys.modules[kernels.__name__] = kernels
    spec = importlib.util.spec_from_file_location("shuffle", shuffle)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("int4_row_quantize", "int4_row_quantize_zp", "pack_int4"):
        setattr(int4_tensor, name, getattr(module, name))


def layers() -> dict[str, torch.Tensor]:
    weight, asymmetric = torch.randn(10, 64).bfloat16(), MappingType.ASYMMETRIC
    tall = torch.randn(130, 32).bfloat16()  # more than one of NVIDIA's tiles
    amax = per_tensor_amax_to_scale(weight.abs().amax())
    return {
        "int8 rows": Int8Tensor.from_hp(weight, PerRow()),
        "int8 tensor": Int8Tensor.from_hp(weight.float(), PerTensor()),
        "int8 blocks": Int8Tensor.from_hp(weight.half(), PerGroup(16)),
        "int8 rows shifted": Int8Tensor.from_hp(weight + 1, PerRow(), asymmetric),
        "int8 blocks shifted": Int8Tensor.from_hp(weight + 1, PerGroup(16), asymmetric),
        "float8 rows": Float8Tensor.from_hp(weight, E4M3, PerRow()),
        "float8 tensor": Float8Tensor.from_hp(weight, E5M2, PerTensor()),
        "float8 blocks": Float8Tensor.from_hp(weight, E4M3, PerBlock([2, 16])),
        "intx rows": IntxUnpackedToInt8Tensor.from_hp(weight, (1, 64), torch.int6),
        "intx blocks": IntxUnpackedToInt8Tensor.from_hp(weight + 1, (1, 16), torch.int4, mapping_type=asymmetric),
        "int4": Int4Tensor.from_hp(weight + 1, [1, 16]),
        "int4 centred": Int4Tensor.from_hp(weight, [1, 16], E4M3),
        "nvfp4": NVFP4Tensor.to_nvfp4(weight),
        "nvfp4 scaled": NVFP4Tensor.to_nvfp4(weight, per_tensor_scale=amax),
        "nvfp4 tiled": NVFP4Tensor.to_nvfp4(tall, is_swizzled_scales=True),
        "mxfp8": MXTensor.to_mx(weight, E4M3, 32),
        "mxfp8 wide": MXTensor.to_mx(weight, E5M2, 32),
        "mxfp4": MXTensor.to_mx(weight, torch.float4_e2m1fn_x2, 32),
        "mxfp4 tiled": MXTensor.to_mx(weight, torch.float4_e2m1fn_x2, 16, is_swizzled_scales=True),
        # laid out for kernels, with numbers of no meaning
        "pre-scaled": Int4Tensor(
            torch.zeros(10, 32, dtype=torch.int8),
            *torch.ones(2, 4, 10),
            [1, 16],
            (10, 64),
            act_pre_scale=torch.ones(64),
        ),
    }


def expected(name: str, layer: torch.Tensor) -> torch.Tensor:
    if name.startswith("intx"):
        return layer.dequantize()
    out = layer.dequantize(torch.float32)
    for dtype in DTYPES:  # one stands for all three
        assert torch.equal(layer.dequantize(dtype), out.to(dtype)), (name, dtype)
    return out


def folder(path: Path) -> None:
    model = FluxTransformer2DModel(
        in_channels=4,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=1,
        joint_attention_dim=16,
        pooled_projection_dim=16,
        axes_dims_rope=(4, 6, 6),
    )
    scratch = path / "plain"
    model.to(torch.bfloat16).save_pretrained(scratch)
    rows = {"_default": Int8WeightOnlyConfig(), r"re:single_transformer_blocks\..*": Float8WeightOnlyConfig()}
    quantise = TorchAoConfig(FqnToConfig(rows), modules_to_not_convert=["x_embedder", "proj_out"])
    made = FluxTransformer2DModel.from_pretrained(scratch, quantization_config=quantise, torch_dtype=torch.bfloat16)
    made.save_pretrained(path, max_shard_size="12KB")
    made.dequantize()
    state = {name: tensor.contiguous() for name, tensor in made.state_dict().items()}
    save_file(state, path / "expected.safetensors")
    for file in scratch.iterdir():
        file.unlink()
    scratch.rmdir()


def main() -> None:
    with_mslk(sys.argv[1])
    torch.manual_seed(0)
    made = layers()
    tensors, metadata = flatten_tensor_state_dict({f"{name}.weight": layer for name, layer in made.items()})
    for name, layer in made.items():
        if not name.startswith(("int4", "pre-scaled")):
            tensors[f"expected.{name}"] = expected(name, layer)
    torch.manual_seed(0)
    source = torch.randn(10, 64).bfloat16()
    tensors |= {"expected.int4": (source + 1).float(), "expected.int4 centred": source.float()}
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, HERE / "torchao.safetensors", metadata)
    folder(HERE / "torchao")


if __name__ == "__main__":
    main()
