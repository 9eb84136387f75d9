"""SVDQuant's layers become the numbers that were packed for nunchaku's kernels."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from storefront.studio.errors import ModelFilesError
from storefront.studio.kinds import flux1
from storefront.studio.opening import folders, weight_files
from storefront.studio.weights import svdquant

MADE = Path(__file__).with_name("nunchaku.safetensors")  # by make_nunchaku.py
SAID = {"quant_method": "nunchaku_lite"}
E2M1 = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0])


def packed(name: str):
    file = weight_files.open_shards(MADE, [MADE], SAID)
    ((_, tensors),) = file.read([name], release=False)
    return file.layers[name].pack(tensors)


def source(name: str) -> dict[str, torch.Tensor]:
    start = f"source.{name}."
    return {key.removeprefix(start): value for key, value in load_file(MADE).items() if key.startswith(start)}


def codes(packed: torch.Tensor) -> torch.Tensor:
    """Of two a byte, the low half first."""
    return torch.stack([packed & 15, packed >> 4], -1).reshape(len(packed), -1).int()


@pytest.mark.parametrize("name", ["int4", "nvfp4"])
def test_a_layer_is_what_was_packed(name):
    raw, stored = packed(f"{name}.weight")
    made = source(name)
    own = codes(made["codes"])
    numbers = E2M1[own] if name == "nvfp4" else (own ^ 8) - 8.0
    block = 16 if name == "nvfp4" else 64
    scales = made["scales"].float() * (0.5 if name == "nvfp4" else 1)  # a scale of the whole weight
    blocks = (numbers.reshape(256, -1, block) * scales[..., None]).reshape(256, 128)
    assert raw.dtype == torch.int8
    assert torch.equal(stored.blocks.expand(raw, torch.float32), blocks)
    assert torch.equal(stored.up, made["up"])
    assert torch.equal(stored.down, made["down"])
    assert torch.equal(stored.smooth, made["smooth"])
    expected = blocks * made["rows"].float() / made["smooth"].float() + made["up"].float() @ made["down"].float()
    # A matrix product adds in an order of its own for each number of rows and threads.
    assert (stored.expand(raw, torch.float32) - expected).abs().max() < 1e-5 * expected.abs().max()
    for dtype in (torch.bfloat16, torch.float16):
        assert torch.equal(stored.expand(raw, dtype), stored.expand(raw, torch.float32).to(dtype))
    some = stored.rows(130, 200).expand(raw[130:200].contiguous(), torch.float32)
    assert (some - expected[130:200]).abs().max() < 1e-5 * expected.abs().max()
    assert stored.columns(raw) == 128
    bias, plain = packed(f"{name}.bias")
    assert plain is None
    assert torch.equal(bias, made["bias"])


def test_a_modulation_is_what_was_packed():
    raw, stored = packed("awq.weight")
    made = source("awq")
    scales = made["scales"].float()[..., None]
    zeros = (scales * -7).bfloat16().float()
    expected = (codes(made["codes"]).reshape(8, 16, 64) * scales + zeros).reshape(8, 1024)
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        assert torch.equal(stored.expand(raw, dtype), expected.to(dtype))
    assert raw.shape == (8, 512 + 16 * 4)
    assert "awq.bias" not in weight_files.open_shards(MADE, [MADE], SAID).layers  # its bias lies in order


# --- a folder -----------------------------------------------------------------------------------------------------------


def in_kernel_order(tensor: torch.Tensor, unpack) -> torch.Tensor:
    """What `unpack`, which the tests above hold to DeepCompressor, puts into this order."""
    place = unpack(torch.arange(tensor.numel()).reshape(tensor.shape)).flatten()
    out = torch.empty_like(tensor).flatten()
    out[place] = tensor.flatten()
    return out.reshape(tensor.shape)


def nunchaku_lite(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """int4 of every layer of the blocks that is wide enough."""
    out = dict(weights)
    for name, weight in weights.items():
        if weight.ndim != 2 or "transformer_blocks" not in name or any(side % 128 for side in weight.shape):
            continue
        (rows, columns), stem = weight.shape, name.removesuffix("weight")
        blocks = weight.reshape(rows, -1, 64)
        scales = (blocks.abs().amax(-1) / 7).bfloat16()
        own = (blocks / scales.float()[..., None]).round().clamp(-8, 7).reshape(rows, columns).to(torch.uint8) & 15
        del out[name]
        two = own[:, ::2] | own[:, 1::2] << 4
        by_block = torch.empty(columns // 64, rows, dtype=torch.bfloat16)
        place = svdquant._in_order(torch.arange(by_block.numel()).reshape(by_block.shape))
        by_block.view(-1)[place] = scales
        bias = weights[stem + "bias"].bfloat16()
        place = svdquant._in_order(torch.arange(rows))[:, 0]
        moved = torch.empty_like(bias)
        moved[place] = bias
        out |= {
            stem + "qweight": in_kernel_order(two, svdquant._codes).view(torch.int8),
            stem + "wscales": by_block,
            stem + "smooth_factor": torch.ones(columns, dtype=torch.bfloat16),
            stem + "proj_down": torch.zeros(columns, 16, dtype=torch.bfloat16),
            stem + "proj_up": torch.zeros(rows, 16, dtype=torch.bfloat16),
            stem + "bias": moved,
        }
    return out


@pytest.fixture(scope="module")
def plain():
    from diffusers import FluxTransformer2DModel

    torch.manual_seed(0)
    return FluxTransformer2DModel(
        in_channels=4,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=128,
        num_attention_heads=1,
        joint_attention_dim=16,
        pooled_projection_dim=16,
    )


@pytest.fixture
def folder(plain, tmp_path):
    """A function that writes the transformer with some tensors changed (None: taken out)."""

    def write(changed=()) -> Path:
        path = tmp_path / "x" / "transformer"
        path.mkdir(parents=True)
        svdq = {"precision": "int4", "group_size": 64, "rank": 16, "targets": ["transformer_blocks.0.attn.to_q"]}
        said = {**SAID, "compute_dtype": "bfloat16", "svdq_w4a4": svdq}
        config = {**plain.config, "_class_name": "FluxTransformer2DModel", "quantization_config": said}
        (path / "config.json").write_text(json.dumps(config))
        tensors = {**nunchaku_lite(plain.state_dict()), **dict(changed)}
        kept = {name: tensor.contiguous() for name, tensor in tensors.items() if tensor is not None}
        save_file(kept, path / "diffusion_pytorch_model.safetensors")
        return path

    return write


def load(path: Path, keep: bool):
    return folders.load_module(path, flux1.KIND, "FluxTransformer2DModel", torch.float32, keep)


def test_a_folder_is_small_in_memory_and_equals_its_numbers(plain, folder):
    path = folder()
    kept, dense = load(path, True), load(path, False)
    small = {name: leaf for name, leaf in kept.named_modules() if hasattr(leaf, "stored")}
    assert len(small) >= 15
    for name, leaf in small.items():
        assert torch.equal(leaf.stored.expand(leaf.weight, torch.float32), dense.get_submodule(name).weight)
    assert dense.state_dict().keys() == plain.state_dict().keys()
    for name, value in plain.state_dict().items():
        allowed = 0.08 if name.endswith("weight") else 2**-8  # half a step of 1/7; biases are in bfloat16
        assert (dense.state_dict()[name] - value).abs().max() <= allowed * value.abs().max(), name


LAYER = "transformer_blocks.0.attn.to_q"


@pytest.mark.parametrize(
    ("part", "tensor"),
    [
        *((part, None) for part in ("wscales", "smooth_factor", "proj_down", "proj_up")),
        ("qweight", torch.zeros(128, dtype=torch.int8)),
        ("qweight", torch.zeros(64, 64, dtype=torch.int8)),
        ("qweight", torch.zeros(128, 32, dtype=torch.int8)),
        ("qweight", torch.zeros(0, 64, dtype=torch.int8)),
        ("qweight", torch.zeros(128, 64, dtype=torch.int32)),
        ("wscales", torch.zeros(128, 2, dtype=torch.bfloat16)),
        ("wscales", torch.zeros(2, 128)),
        ("wscales", torch.zeros(2, 128, dtype=torch.float8_e4m3fn)),
        ("smooth_factor", torch.zeros(64, dtype=torch.bfloat16)),
        ("proj_down", torch.zeros(128, 8, dtype=torch.bfloat16)),
        ("proj_down", torch.zeros(128, dtype=torch.bfloat16)),
        ("proj_up", torch.zeros(128, 15, dtype=torch.bfloat16)),
        ("proj_up", torch.zeros((), dtype=torch.bfloat16)),
        ("wcscales", torch.zeros(128, dtype=torch.bfloat16)),
        ("wzeros", torch.zeros(2, 128, dtype=torch.bfloat16)),
        ("bias", torch.zeros(64)),
        ("bias", torch.zeros(128, dtype=torch.int64)),
    ],
)
def test_tensors_that_do_not_belong_together_are_refused(folder, part, tensor):
    with pytest.raises(ModelFilesError, match="nunchaku"):
        load(folder({f"{LAYER}.{part}": tensor}), keep=True)


def test_a_layer_that_is_gone_is_named(folder):
    with pytest.raises(ModelFilesError, match=r"1 are missing.*to_q\.weight"):
        load(folder({f"{LAYER}.qweight": None}), keep=True)
