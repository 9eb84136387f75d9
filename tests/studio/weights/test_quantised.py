"""Layers that quantisers wrote become, bit for bit, the numbers that their own packages make of them."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from storefront.studio.errors import ModelFilesError
from storefront.studio.opening import filling, folders, models, parts, weight_files
from storefront.studio.weights import sdnq as sdnq_layers
from storefront.studio.weights.stored import ScaledBlocks, ShiftedBlocks, TabledBlocks, hadamard

_spec = importlib.util.spec_from_file_location("writers", Path(__file__).parents[1] / "opening" / "writers.py")
writers = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(writers)

MADE = Path(__file__).with_name("bitsandbytes.safetensors")  # by make_bitsandbytes.py
SDNQ = Path(__file__).with_name("sdnq.safetensors")  # by make_sdnq.py
QUANTO = Path(__file__).with_name("quanto.safetensors")  # by make_quanto.py
DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def packed(path: Path, name: str, shape: tuple[int, ...] = ()):
    """A layer of a file: its bytes and what expands them."""
    return packed_of(weight_files.open_file(path), name, shape)


def packed_of(file: weight_files.WeightFile, name: str, shape: tuple[int, ...]):
    ((_, tensors),) = file.read([name], release=False)
    layer = file.layers[name]
    return (layer.of_shape(shape) if layer.of_shape else layer).pack(tensors)


def assert_rows_stand_alone(raw: torch.Tensor, stored, dtype: torch.dtype) -> None:
    """A layer that is several of the model's is cut into rows."""
    whole = stored.expand(raw, dtype)
    part = stored.rows(2, 5).expand(raw[2:5].contiguous(), dtype)
    assert part.shape == whole[2:5].shape
    # A matrix product of fewer rows, or on another number of threads, adds in another order.
    allowed = 8 * torch.finfo(dtype).eps * whole.abs().max() if getattr(stored, "rotated", 0) else 0
    assert (part.float() - whole[2:5].float()).abs().max() <= allowed
    assert stored.columns(raw) == whole.shape[1]


@pytest.mark.parametrize("kind", ["nf4", "nf4 nested", "fp4", "fp4 nested", "int8"])
@pytest.mark.parametrize("shape", ["wide", "narrow"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_bitsandbytes(kind, shape, dtype):
    name = f"{kind} {shape}"
    expected = load_file(MADE)[f"expected.{name}"].to(dtype)
    raw, stored = packed(MADE, f"{name}.weight")
    if stored is None:
        assert (shape, kind[:2]) in (("narrow", "nf"), ("narrow", "fp"))
        assert torch.equal(raw.to(dtype), expected)
        return
    assert raw.dtype == torch.int8
    assert torch.equal(stored.expand(raw, dtype), expected)
    assert_rows_stand_alone(raw, stored, dtype)


@pytest.mark.parametrize("kind", ["int8", "float8", "int4", "int2"])
@pytest.mark.parametrize("shape", ["blocks", "rows", "odd"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_optimum_quanto(kind, shape, dtype):
    name = f"{kind} {shape}"
    expected = load_file(QUANTO)[f"expected.{name}"]
    raw, stored = packed(QUANTO, f"{name}.weight", tuple(expected.shape))
    assert raw.dtype == torch.int8
    assert torch.equal(stored.expand(raw, dtype), expected.to(dtype))
    assert_rows_stand_alone(raw, stored, dtype)
    if (kind, shape) == ("int4", "blocks"):
        assert raw.nbytes == expected.numel() / 2 + 30 * 2 * 2


AUTOROUND = Path(__file__).with_name("autoround.safetensors")  # by make_autoround.py
GPTQ = {"quant_method": "auto-round", "packing_format": "auto_round:auto_gptq"}


def autoround(name: str, said: dict, shape: tuple[int, ...] = (32, 64)):
    return weight_files.open_shards(AUTOROUND, [AUTOROUND], said).layers[f"{name}.weight"].of_shape(shape)


@pytest.mark.parametrize("name", ["int2", "int4", "int4 rows", "int8"])
@pytest.mark.parametrize("layout", ["plain", "gptq"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_autoround(name, layout, dtype):
    said = GPTQ if layout == "gptq" else {**GPTQ, "packing_format": "auto_round"}
    file = weight_files.open_shards(AUTOROUND, [AUTOROUND], said)
    raw, stored = packed_of(file, f"{layout} {name}.weight", (32, 64))
    expected = load_file(AUTOROUND)[f"expected.{layout} {name}"]
    assert torch.equal(stored.expand(raw, dtype), expected.to(dtype))
    assert_rows_stand_alone(raw, stored, dtype)


@pytest.mark.parametrize("shape", [(32, 63), (64, 64), (32, 32), (32,), (0, 64), (31, 64)])
def test_codes_of_autoround_that_do_not_fit_a_weight_are_refused(shape):
    assert autoround("gptq int4", GPTQ, shape).pack is None


@pytest.mark.parametrize(
    ("said", "changed", "named"),
    [
        ({"packing_format": "auto_round:auto_awq"}, {}, "auto_awq"),
        ({"packing_format": ["auto_round"]}, {}, "layout"),
        ({"packing_format": {"x": 1}}, {}, "layout"),
        ({}, {"g_idx": torch.zeros(64, dtype=torch.int32)}, "g_idx"),
        ({}, {"qzeros": None}, "another layout"),
        ({}, {"scales": None}, "another layout"),
        ({}, {"scales": torch.zeros(2, 32)}, "another layout"),
        ({}, {"scales": torch.zeros(32, dtype=torch.float16)}, "another layout"),
        ({}, {"scales": torch.zeros(0, 32, dtype=torch.float16)}, "another layout"),
        ({}, {"scales": torch.zeros(3, 32, dtype=torch.float16)}, "another layout"),
        ({}, {"qweight": torch.zeros(8, dtype=torch.int32)}, "another layout"),
        ({}, {"qweight": torch.zeros(8, 32, dtype=torch.int8)}, "another layout"),
    ],
)
def test_what_is_no_layer_of_autoround_is_refused(tmp_path, said, changed, named):
    tensors = {key: t for key, t in load_file(AUTOROUND).items() if key.startswith("gptq int4.")}
    tensors |= {f"gptq int4.{key}": tensor for key, tensor in changed.items()}
    path = writers.write(tmp_path / "x.safetensors", {key: t for key, t in tensors.items() if t is not None})
    layer = weight_files.open_shards(path, [path], {**GPTQ, **said}).layers["gptq int4.weight"]
    layer = layer.of_shape((32, 64)) if layer.of_shape else layer
    assert layer.pack is None
    assert named in layer.kind


SIGNED, UNSIGNED = (
    ("int2", "int3", "int4", "int5", "int6", "int7"),
    ("uint2", "uint3", "uint5", "uint6", "uint7"),
)
BLOCKS = (*SIGNED, *UNSIGNED, "uint4", "uint5 odd", "uint4 half", "uint8", "int8", "float8")
ROWS = ("uint4 rows", "int8 rows", "int8 turned")


def sdnq(name: str, said: dict):
    shape = tuple(load_file(SDNQ)[f"expected.{name}"].shape)
    return packed_of(weight_files.open_shards(SDNQ, [SDNQ], {"quant_method": "sdnq", **said}), f"{name}.weight", shape)


@pytest.mark.parametrize("name", [*BLOCKS, *ROWS])
@pytest.mark.parametrize("dtype", DTYPES)
def test_sdnq(name, dtype):
    raw, stored = sdnq(name, {"dequantize_fp32": name != "uint4 half"})
    assert raw.dtype == torch.int8
    expected = load_file(SDNQ)[f"expected.{name}"]
    assert torch.equal(stored.expand(raw, dtype), expected.to(dtype))
    assert_rows_stand_alone(raw, stored, dtype) if len(raw) > 4 else None


BOOK, TURNED = {"use_codebook": True}, {"use_hadamard": True}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("svd", {}),
        ("svd int8", {}),
        ("svd float8", {}),
        ("codebook svd", BOOK),
        ("turned 16", TURNED),
        ("turned 32", TURNED),
        ("turned 8", {**TURNED, "hadamard_group_size": 8, "weights_dtype": "fp4"}),
        ("turned svd", TURNED),
    ],
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_sdnq_with_matrix_products(name, said, dtype):
    raw, stored = sdnq(name, said)
    expected = load_file(SDNQ)[f"expected.{name}"]
    # A product of other sizes, on another machine or number of threads, adds in another order.
    allowed = max(torch.finfo(dtype).eps, 1e-6) * expected.abs().max()
    assert (stored.expand(raw, dtype).float() - expected).abs().max() <= allowed
    part = stored.rows(2, 5).expand(raw[2:5].contiguous(), dtype)
    assert (part.float() - expected[2:5]).abs().max() <= allowed


FLOATS = (
    *("float2_e1m0fn", "float3_e2m0fn", "float4_e2m1fn", "float6_e3m2fn", "float7_e4m2fn", "float8_e3m4fn"),
    *("float4_e2m2fnu", "float8_e4m4fnu"),
)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        *((kind, {"weights_dtype": kind}) for kind in FLOATS),
        ("float4_e2m1fn", {"weights_dtype": "uint4", "modules_dtype_dict": {"fp4": ["x"], "float6_e3m2fn": ["y"]}}),
        ("int6", {"weights_dtype": "int6", "modules_dtype_dict": {"float4_e2m1fn": ["x"], "minimum_5bit": ["y"]}}),
        ("uint4", {"weights_dtype": "float4_e2m1fn", "modules_quant_config": {"x": {"weights_dtype": "uint4"}}}),
        ("fp4 rows", {"weights_dtype": "float4_e2m1fn"}),
        ("fp5 odd", {"weights_dtype": "fp5"}),
        ("codebook", BOOK),
        ("codebook rows", BOOK),
        ("codebook half", {**BOOK, "dequantize_fp32": False}),
        ("not turned", TURNED),
    ],
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_sdnq_s_floats_and_codebooks(name, said, dtype):
    raw, stored = sdnq(name, said)
    expected = load_file(SDNQ)[f"expected.{name}"]
    assert raw.dtype == torch.int8
    assert torch.equal(stored.expand(raw, dtype), expected.to(dtype))
    assert_rows_stand_alone(raw, stored, dtype) if len(raw) > 4 else None


def test_every_code_of_every_small_float_is_what_sdnq_makes_of_it():
    tables = {name.removeprefix("table."): t for name, t in load_file(SDNQ).items() if name.startswith("table.")}
    assert len(tables) > 50
    for kind, table in tables.items():
        assert sdnq_layers.small_float(kind).numbers() == tuple(table.tolist()), kind


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ({"modules_quant_config": {"x": {"use_hadamard": True}}}, "Hadamard"),
        ({"modules_quant_config": {"x": {"use_codebook": True}}}, "codebook"),
        ({**TURNED, "modules_quant_config": {"x": {"hadamard_group_size": 64}}}, "several sizes"),
        ({**TURNED, "hadamard_group_size": 2**40}, "4096"),
        ({**TURNED, "hadamard_group_size": -1}, "4096"),
        ({**TURNED, "hadamard_group_size": [4]}, "4096"),
        ({"modules_dtype_dict": {"float9_e4m4fn": ["x"]}}, "float9_e4m4fn"),
        ({"weights_dtype": "float8_e4m3fnuz"}, "float8_e4m3fnuz"),
        ({"weights_dtype": "float4_e7m7fn"}, "float4_e7m7fn"),
        ({"weights_dtype": "float4_e" + "1" * 9999}, "numbers"),
        ({"modules_quant_config": {"x": 3}}, "cannot be read"),
        ({"modules_quant_config": {"x": {"dequantize_fp32": False}}}, "layer by layer"),
    ],
)
def test_what_no_tensor_of_sdnq_tells_is_refused_by_name(said, named):
    layer = weight_files.open_shards(SDNQ, [SDNQ], {"quant_method": "sdnq", **said}).layers["uint4.weight"]
    assert layer.pack is None
    assert layer.of_shape is None
    assert named in layer.kind


def test_a_gpu_expands_in_few_steps_and_a_cpu_in_little_memory(monkeypatch):
    """On `meta`, which is no CPU and computes nothing."""
    from storefront.studio.weights import stored

    steps, ints = [], stored.ScaledInt8(torch.ones(()), rotated=16)
    for device, count in (("cpu", 37), ("meta", 3)):
        steps.clear()
        turn = torch.zeros(16, 16, device=device)
        monkeypatch.setattr(stored, "hadamard", lambda size, turn=turn: steps.append(size) or turn)
        raw = torch.zeros(12288, 3072, dtype=torch.int8, device=device)
        assert ints.expand(raw, torch.bfloat16).shape == raw.shape
        assert len(steps) == count


def test_the_read_config_sdnq_are_read_once(monkeypatch):
    """They list layers, and there are as many layers."""
    read, read_config = [], sdnq_layers.read_config
    monkeypatch.setattr(sdnq_layers, "read_config", lambda said: read.append(said) or read_config(said))
    assert len(weight_files.open_shards(SDNQ, [SDNQ], {"quant_method": "sdnq"}).layers) > 1
    assert len(read) == 1


@pytest.mark.parametrize("part", ["scale", "zero_point", "svd_up", "svd_down"])
@pytest.mark.parametrize("shape", [(), (4,), (0, 4), (4, 0), (16, 4, 64), (5, 5)])
@pytest.mark.parametrize("said", [{}, BOOK, TURNED])
def test_parts_of_sdnq_that_do_not_belong_together_are_refused(tmp_path, part, shape, said):
    tensors = {key: t for key, t in load_file(SDNQ).items() if key.startswith("svd.")}
    path = writers.write(tmp_path / "x.safetensors", {**tensors, f"svd.{part}": torch.ones(shape)})
    layer = weight_files.open_shards(path, [path], {"quant_method": "sdnq", **said}).layers["svd.weight"]
    assert layer.of_shape((16, 64)).pack is None


@pytest.mark.parametrize(
    "said",
    [
        {"weights_dtype": "float4_e2m2fnu", "modules_dtype_dict": {"uint4": ["x"]}},
        {"weights_dtype": "float4_e2m2fnu", "modules_dtype_dict": {"minimum_4bit": ["x"]}},
        {"weights_dtype": "float4_e2m2fnu", "modules_quant_config": {"x": {"weights_dtype": "float4_e1m3fnu"}}},
    ],
)
def test_kinds_of_numbers_that_no_tensor_tells_apart_are_refused(said):
    with pytest.raises(TypeError):
        sdnq("uint4", said)
    layer = weight_files.open_shards(SDNQ, [SDNQ], {"quant_method": "sdnq", **said}).layers["uint4.weight"]
    assert "float4_e2m2fnu" in layer.of_shape((8, 128)).kind


@pytest.mark.parametrize("shape", [(8, 127), (4, 128), (128, 8), (8,), (8, 16, 8), (0, 128), (16, 64)])
def test_codes_that_do_not_fit_a_weight_are_refused(shape):
    sdnq_file = weight_files.open_shards(SDNQ, [SDNQ], {"quant_method": "sdnq"})
    quanto_file = weight_files.open_file(QUANTO)
    for layer in (sdnq_file.layers["uint4.weight"], quanto_file.layers["int4 blocks.weight"]):
        assert layer.of_shape(shape).pack is None


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("described", ["layer", "metadata"])
@pytest.mark.parametrize("kind", ["nvfp4", "mxfp8", "int8", "int8 rows", "int8 turned"])
def test_comfyui_s_own(tmp_path, kind, described, dtype):
    weight = torch.randn(160, 320 if kind != "int8 turned" else 512, generator=torch.Generator().manual_seed(0))
    tensors, conf, expected = writers.comfy_layer(weight, kind, dtype)
    metadata = {}
    if described == "layer":
        tensors["x.comfy_quant"] = torch.tensor(list(json.dumps(conf).encode()), dtype=torch.uint8)
    else:
        metadata["_quantization_metadata"] = json.dumps({"layers": {"x": conf}})
    raw, stored = packed(writers.write(tmp_path / "x.safetensors", tensors, metadata), "x.weight")
    assert torch.equal(stored.expand(raw, dtype), expected)
    assert raw.nbytes <= weight.numel() * 1.07 * (0.54 if kind == "nvfp4" else 1)
    assert_rows_stand_alone(raw, stored, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_bfl_s_own(tmp_path, dtype):
    from diffusers.quantizers.bfl import utils as bfl

    weight = torch.randn(48, 256, generator=torch.Generator().manual_seed(0))
    codes, scales, scale = bfl.quantize_nvfp4(weight)
    eight, rows = bfl.quantize_fp8r(weight)
    made = {"x.weight": codes, "x.weight_scale": scales, "x.weight_scale_2": scale, "x.input_scale": torch.ones(())}
    path = writers.write(tmp_path / "x.safetensors", {**made, "y.weight": eight, "y.weight_scale": rows})
    for name, expected in (
        ("x.weight", bfl.dequantize_nvfp4(codes, scales, scale)),
        ("y.weight", bfl.dequantize_fp8r(eight, rows)),
    ):
        raw, stored = packed(path, name)
        assert torch.equal(stored.expand(raw, dtype), expected.to(dtype)), name
        assert_rows_stand_alone(raw, stored, dtype)


def test_the_hadamard_matrix_turns_back():
    for size in (4, 8, 16, 32, 64, 256):
        assert torch.allclose(hadamard(size) @ hadamard(size).T, torch.eye(size), atol=1e-6)


@pytest.mark.parametrize(
    "stored",
    [
        ScaledBlocks((0.5,) * 16, 2, torch.float32),
        ShiftedBlocks(3, 8, torch.bfloat16, -4, True),
        TabledBlocks(3, 8, torch.float32, 8),
    ],
)
def test_a_row_by_itself_may_begin_at_any_byte(stored):
    """Torch reads numbers of several bytes at multiples of these alone, and calls a single row contiguous where it is."""
    count = 3
    numbers = torch.rand(4, count * (stored.block_bytes - stored.code_bytes) // stored.scales.itemsize)
    scales = numbers.to(stored.scales).view(torch.int8)
    raw = torch.cat([torch.ones(4, count * stored.code_bytes, dtype=torch.int8), scales], 1)
    assert count * stored.code_bytes % 2 == 1
    whole = stored.expand(raw, torch.float32)
    for row in range(4):
        assert torch.equal(stored.expand(raw[row : row + 1], torch.float32), whole[row : row + 1])


# --- whole models -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def klein(tmp_path_factory):
    return writers.build("FLUX.2 klein", tmp_path_factory.mktemp("quantised") / "klein")


@pytest.mark.parametrize("component", ["transformer", "text_encoder"])
@pytest.mark.parametrize("kind", ["nf4", "int8", "int4", "uint4"])
def test_a_quantised_folder_is_small_in_memory_and_equals_its_numbers(klein, tmp_path, component, kind):
    folder = writers.quantised_folder(klein, tmp_path / kind, {component: kind}, shards=2)
    checkpoint = models.describe(models.ModelFiles.whole(folder))
    plain = models.describe(models.ModelFiles.whole(klein)).component(component).load(torch.float32, False)
    kept = checkpoint.component(component).load(torch.float32, True)
    dense = checkpoint.component(component).load(torch.float32, False)
    small = {name: leaf for name, leaf in kept.named_modules() if hasattr(leaf, "stored")}
    assert len(small) >= 10
    for name, leaf in small.items():
        assert torch.equal(leaf.stored.expand(leaf.weight, torch.float32), dense.get_submodule(name).weight)
    # half of the widest step, of a block's or a row's largest number
    error = {"nf4": 0.16, "int8": 0.005, "int4": 0.07, "uint4": 0.07}[kind]
    for name, value in plain.state_dict().items():
        assert (dense.state_dict()[name] - value).abs().max() <= error * value.abs().max(), name
    if kind == "int4":  # the package's own save_pretrained says so in another file
        assert folders.quantisation(folder / component)["quant_method"] == "quanto"
        config = folder / component / "config.json"
        config.write_text(json.dumps({k: v for k, v in json.loads(config.read_text()).items() if "quanti" not in k}))
        (folder / component / "quanto_qmap.json").write_text("{}")
        assert folders.quantisation(folder / component) == {"quant_method": "quanto"}
        again = models.describe(models.ModelFiles.whole(folder)).component(component).load(torch.float32, False)
        assert all(torch.equal(value, dense.state_dict()[name]) for name, value in again.state_dict().items())
    sizes = [sum(weight.nbytes for weight in model.parameters()) for model in (kept, plain)]
    assert sizes[0] < 0.8 * sizes[1]


@pytest.mark.parametrize("layout", ["model.", "language_model.", "tied"])
def test_a_quantised_mistral_of_every_release_of_transformers(tmp_path, layout):
    """Where the language model stands in one that also sees, and its head: inside, beside it, or nowhere."""
    source = writers.build("FLUX.2 dev", tmp_path / "plain")
    folder = writers.quantised_folder(source, tmp_path / "nf4", {"text_encoder": "nf4"}, shards=1)
    (path,) = (folder / "text_encoder").glob("*.safetensors")
    weights = load_file(path)
    head = torch.randn_like(weights["language_model.model.embed_tokens.weight"])
    if layout != "tied":
        weights["language_model.lm_head.weight"] = head
    if layout == "model.":
        weights = {
            name.replace("language_model.model.", "model.language_model.").replace("language_model.lm", "lm"): tensor
            for name, tensor in weights.items()
        }
    writers.write(path, weights, {"format": "pt"})
    module = models.describe(models.ModelFiles.whole(folder)).component("text_encoder").load(torch.float32, True)
    assert sum(hasattr(leaf, "stored") for leaf in module.modules()) >= 10
    expected = module.model.embed_tokens.weight if layout == "tied" else head
    assert torch.equal(module.lm_head.weight, expected)


def test_a_fused_single_file_of_nf4(klein, tmp_path):
    """BFL's names: queries, keys and values are rows of one tensor."""
    weights = writers.weights_of(klein, "transformer")
    path = writers.write(
        tmp_path / "x.safetensors", writers.bitsandbytes(writers.original("FLUX.2 klein", weights), "nf4")
    )
    (part,) = parts.parts_of(weight_files.open_file(path)).values()
    kept = filling.load_part(part, torch.float32, keep=True)
    folder = writers.quantised_folder(klein, tmp_path / "nf4", {"transformer": "nf4"}, shards=1)
    dense = models.describe(models.ModelFiles.whole(folder)).component("transformer").load(torch.float32, False)
    small = {name: leaf for name, leaf in kept.named_modules() if hasattr(leaf, "stored")}
    assert len(small) >= 10
    for name, leaf in small.items():
        assert torch.equal(leaf.stored.expand(leaf.weight, torch.float32), dense.get_submodule(name).weight)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"shape": [64, 10**9]}, "cannot be read"),
        ({"blocksize": 0}, "cannot be read"),
        ({"dtype": "object"}, "cannot be read"),
        ({"shape": "x"}, "cannot be read"),
        ({"nested_offset": 1.0}, "cannot be read"),
    ],
)
def test_a_description_that_does_not_fit_its_layer_is_refused(klein, tmp_path, change, said):
    tensors = writers.bitsandbytes(writers.weights_of(klein, "transformer"), "nf4")
    name = next(name for name in tensors if "quant_state" in name)
    state = {**json.loads(tensors[name].numpy().tobytes()), **change}
    tensors[name] = torch.tensor(list(json.dumps(state).encode()), dtype=torch.uint8)
    path = writers.write(tmp_path / "x.safetensors", tensors)
    found = parts.parts_of(weight_files.open_file(path))
    with pytest.raises(ModelFilesError, match=said):
        filling.load_part(next(iter(found.values())), torch.float32, keep=True)
