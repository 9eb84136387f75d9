"""Files and folders that torchao wrote become, bit for bit, the numbers that it makes of them itself."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from storefront.studio.errors import ModelFilesError
from storefront.studio.kinds import flux1
from storefront.studio.opening import filling, folders, parts, weight_files

_spec = importlib.util.spec_from_file_location("writers", Path(__file__).parents[1] / "opening" / "writers.py")
writers = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(writers)

HERE = Path(__file__).parent
MADE, FOLDER = HERE / "torchao.safetensors", HERE / "torchao"  # by make_torchao.py
EXACT = (
    *("int8 rows", "int8 tensor", "int8 blocks", "int8 rows shifted", "int8 blocks shifted"),
    *("float8 rows", "float8 tensor", "float8 blocks", "intx rows", "intx blocks"),
    *("nvfp4", "nvfp4 scaled", "nvfp4 tiled", "mxfp8", "mxfp8 wide", "mxfp4", "mxfp4 tiled"),
)
DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def packed(name: str, path: Path = MADE):
    file = weight_files.open_file(path)
    ((_, tensors),) = file.read([f"{name}.weight"], release=False)
    return file.layers[f"{name}.weight"].pack(tensors)


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_layer_is_what_torchao_makes_of_it(name, dtype):
    raw, stored = packed(name)
    expected = load_file(MADE)[f"expected.{name}"].to(dtype)
    assert raw.dtype == torch.int8
    assert torch.equal(stored.expand(raw, dtype), expected)
    assert stored.columns(raw) == expected.shape[1]
    assert torch.equal(stored.rows(2, 5).expand(raw[2:5].contiguous(), dtype), expected[2:5])


def test_int4_in_one_block_a_row(tmp_path):
    codes, scales = torch.randint(-128, 128, (4, 8), dtype=torch.int8), torch.rand(1, 4).bfloat16()
    made = {"x._weight_qdata": codes, "x._weight_scale": scales, "x._weight_zero_point": scales + 1}
    text = json.dumps({"_type": "Int4Tensor", "_data": {"block_size": [1, 16], "shape": [4, 16]}})
    raw, stored = packed("x", writers.write(tmp_path / "x.safetensors", made, {"x.weight": text}))
    numbers = torch.stack([codes << 4 >> 4, codes >> 4], -1).reshape(4, 16).float()
    assert torch.equal(stored.expand(raw, torch.float32), numbers * scales.t().float() + (scales + 1).t().float())


@pytest.mark.parametrize("name", ["int4", "int4 centred"])
def test_int4_is_within_half_a_step_of_its_source(name):
    """torchao multiplies these by MSLK's kernels alone and expands them nowhere."""
    raw, stored = packed(name)
    source = load_file(MADE)[f"expected.{name}"]
    blocks = source.reshape(10, -1, 16)
    low, high = blocks.amin(-1, keepdim=True), blocks.amax(-1, keepdim=True)
    step = (high - low) / 15 if name == "int4" else blocks.abs().amax(-1, keepdim=True) / 8
    error = (stored.expand(raw, torch.float32).reshape(blocks.shape) - blocks).abs()
    # The largest number of a centred block would be code 8, which there is not. Scales and zero points are in bfloat16.
    allowed = (0.5 if name == "int4" else 1) * step + 16 * step * 2**-8
    assert (error <= allowed).all()
    assert (error.mean((1, 2)) < 0.35 * step.mean((1, 2))).all()
    assert raw.shape == (10, 32 + 4 * (2 + 2))


def test_a_folder_as_diffusers_writes_it():
    said = folders.quantisation(FOLDER)
    assert said["quant_method"] == "torchao"
    expected = load_file(FOLDER / "expected.safetensors")
    settings = (flux1.KIND, "FluxTransformer2DModel", torch.bfloat16)
    dense = folders.load_module(FOLDER, *settings, keep=False)
    kept = folders.load_module(FOLDER, *settings, keep=True)
    state = dense.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in state.items())
    small = {name: leaf for name, leaf in kept.named_modules() if hasattr(leaf, "stored")}
    assert {type(leaf.stored).__name__ for leaf in small.values()} == {"ScaledInt8", "ScaledFp8"}
    assert not {"x_embedder", "proj_out"} & small.keys()
    for name, leaf in small.items():
        assert torch.equal(leaf.stored.expand(leaf.weight, torch.bfloat16), expected[f"{name}.weight"])


def test_a_single_file_of_the_same(tmp_path):
    tensors, metadata = {}, {}
    for path in sorted(FOLDER.glob("diffusion*.safetensors")):
        tensors |= load_file(path)
        with safe_open(path, "pt") as file:
            metadata |= file.metadata()
    writers.write(tmp_path / "x.safetensors", tensors, metadata)
    part = parts.parts_of(weight_files.open_file(tmp_path / "x.safetensors"))["flux1"]
    state = filling.load_part(part, torch.bfloat16, keep=False).state_dict()
    expected = load_file(FOLDER / "expected.safetensors")
    assert all(torch.equal(value, expected[name]) for name, value in state.items())


def refusal(folder: Path) -> str:
    with pytest.raises(ModelFilesError) as caught:
        folders.load_module(folder, flux1.KIND, "FluxTransformer2DModel", torch.bfloat16, keep=True)
    return str(caught.value)


LAYER = "transformer_blocks.0.attn.to_q"  # int8 [16, 16]
INT8 = {"block_size": [1, 16], "dtype": {"_type": "torch.dtype", "_data": "bfloat16"}}


@pytest.fixture
def changed(tmp_path):
    """A copy of the folder in one file, with tensors (None: taken out) and the text of one layer changed."""

    def change(tensors=(), text=None) -> Path:
        folder = tmp_path / "x" / "transformer"
        folder.mkdir(parents=True)
        shutil.copy(FOLDER / "config.json", folder)
        weights, metadata = {}, {}
        for path in sorted(FOLDER.glob("diffusion*.safetensors")):
            weights |= load_file(path)
            with safe_open(path, "pt") as file:
                metadata |= file.metadata()
        weights = {name: tensor for name, tensor in {**weights, **dict(tensors)}.items() if tensor is not None}
        if text is not None:
            metadata[f"{LAYER}.weight"] = text
        save_file(weights, folder / "diffusion_pytorch_model.safetensors", metadata)
        return folder

    return change


def test_the_copy_itself_opens(changed):
    folders.load_module(changed(), flux1.KIND, "FluxTransformer2DModel", torch.bfloat16, keep=True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no json", "description"),
        ("[" * 60_000, "description"),
        ('{"a":' * 60_000, "description"),
        ("7", "description"),
        ("null", "description"),
        ('{"_type": "Int8Tensor"}', "description"),
        ('{"_type": "Int8Tensor", "_data": 3}', "description"),
        (json.dumps({"_type": "Int8Tensor", "_data": {"block_size": [-1, 16]}}), "layout"),
        (json.dumps({"_type": "Int8Tensor", "_data": {"block_size": {"a": []}}}), "layout"),
        (json.dumps({"_type": "Float8Tensor", "_data": INT8}), "layout"),
        (json.dumps({"_type": "NVFP4Tensor", "_data": {"block_size": 16}}), "layout"),
        (json.dumps({"_type": "MXTensor", "_data": {"block_size": -32, "elem_dtype": {"_data": "x"}}}), "layout"),
        (json.dumps({"_type": "Int4Tensor", "_data": {"block_size": [1, 0], "shape": [16, -16]}}), "layout"),
        (json.dumps({"_type": "IntxUnpackedToInt8Tensor", "_data": {**INT8, "dtype": {"_data": "float16"}}}), "layout"),
        (json.dumps({"_type": "Int4TilePackedTo4dTensor", "_data": {}}), "tensor cores"),
        (json.dumps({"_type": "Int4PlainInt32Tensor", "_data": {}}), "Intel"),
        (json.dumps({"_type": "os.system" * 999, "_data": {}}), "layout"),
    ],
)
def test_a_stranger_s_description_is_refused(changed, text, said):
    message = refusal(changed(text=text))
    assert "torchao" in message
    assert said in message
    assert len(message) < 800


@pytest.mark.parametrize(
    ("part", "tensor"),
    [
        ("scale", None),
        ("scale", torch.ones(3, 1)),
        ("scale", torch.ones(16, 5)),
        ("scale", torch.ones(0, 1)),
        ("scale", torch.ones(16)),
        ("scale", torch.ones(16, 1, dtype=torch.int32)),
        ("zero_point", torch.ones(8, 1, dtype=torch.int8)),
        ("zero_point", torch.ones(16, 1, dtype=torch.int64)),
        ("qdata", torch.ones(16, 16, dtype=torch.int32)),
        ("qdata", torch.ones(16, dtype=torch.int8)),
        ("qdata", torch.ones(0, 16, dtype=torch.int8)),
        ("act_pre_scale", torch.ones(16)),
    ],
)
def test_tensors_that_do_not_belong_together_are_refused(changed, part, tensor):
    assert "torchao's Int8Tensor" in refusal(changed({f"{LAYER}._weight_{part}": tensor}))


def test_codes_that_are_gone_or_of_another_size_are_refused(changed):
    assert f"{LAYER}.weight" in refusal(changed({f"{LAYER}._weight_qdata": None}))


def test_codes_of_another_model_are_refused(changed):
    wider = {"qdata": torch.ones(16, 32, dtype=torch.int8), "scale": torch.ones(16, 1), "zero_point": None}
    text = json.dumps({"_type": "Int8Tensor", "_data": {"block_size": [1, 32]}})
    message = refusal(changed({f"{LAYER}._weight_{part}": tensor for part, tensor in wider.items()}, text))
    assert "[16, 16]" in message


def test_smoothed_weights_are_refused_by_name():
    layer = weight_files.open_file(MADE).layers["pre-scaled.weight"]
    assert layer.pack is None
    assert "smoothed" in layer.kind
