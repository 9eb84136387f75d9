"""Single files: every naming gives the weights of the diffusers folder; what a file holds; what is refused."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import math
import shutil
from pathlib import Path

import pytest
import torch
from storefront.studio.errors import ModelFilesError
from storefront.studio.kinds import table, tekken
from storefront.studio.kinds.facts import ModelFacts
from storefront.studio.kinds.part import Part
from storefront.studio.opening import filling, gguf_header, models, parts, sources, weight_files

_spec = importlib.util.spec_from_file_location("writers", Path(__file__).parent / "writers.py")
writers = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(writers)

FAMILY = {  # name -> family, edition's channels beside the noise, steps, takes references
    "FLUX.1": ("FLUX.1", 0, 28, True),
    "FLUX.1 Fill": ("FLUX.1", 80, 50, False),
    "FLUX.1 Control": ("FLUX.1", 16, 28, False),
    "FLUX.2 dev": ("FLUX.2 dev", 0, 50, True),
    "FLUX.2 klein": ("FLUX.2 klein", 0, 4, True),
    "FLUX.3": ("FLUX.3", 0, 50, True),
    "FLUX.3 distilled": ("FLUX.3", 0, 16, True),
    "Z-Image Turbo": ("Z-Image", 0, 8, False),
    "Z-Image Omni": ("Z-Image Omni", 0, 50, True),
}


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    made = {}

    def folder(name: str) -> Path:
        if name not in made:
            made[name] = writers.build(name, tmp_path_factory.mktemp("files") / name)
        return made[name]

    return folder


def described(part: Part) -> ModelFacts:
    kind = next(kind for kind in table.TRANSFORMERS if kind.role == part.role)
    return kind.describe(kind.traits(part), part.file.path.name)


def only_part(path: Path) -> Part:
    (part,) = parts.parts_of(weight_files.open_file(path)).values()
    return part


def assert_same(module: torch.nn.Module, reference: torch.nn.Module) -> None:
    ours, theirs = module.state_dict(), reference.state_dict()
    assert ours.keys() == theirs.keys()
    for name in theirs:
        assert ours[name].dtype == theirs[name].dtype, name
        assert torch.equal(ours[name], theirs[name]), name


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("naming", ["diffusers", "original", "comfyui"])
def test_every_naming_gives_the_folder_s_weights_and_config(folders, tmp_path, name, naming):
    folder = folders(name)
    weights = writers.weights_of(folder, "transformer")
    if naming != "diffusers":
        weights = writers.original(name, weights)
    if naming == "comfyui":
        weights = writers.prefixed(weights, "model.diffusion_model.")
    part = only_part(writers.write(tmp_path / "any name.safetensors", weights))
    for dtype in (torch.float32, torch.bfloat16):
        reference = models.describe(models.ModelFiles.whole(folder)).component("transformer").load(dtype, False)
        module = filling.load_part(part, dtype, keep=True)
        assert_same(module, reference)
        for key, value in reference.config.items():
            if not key.startswith("_") and key not in ("axes_lens", "out_channels"):
                assert module.config[key] == value or list(module.config[key]) == list(value), key


@pytest.mark.parametrize("name", FAMILY)
def test_the_weights_tell_family_and_edition(folders, tmp_path, name):
    weights = writers.original(name, writers.weights_of(folders(name), "transformer"))
    facts = described(only_part(writers.write(tmp_path / "x.safetensors", weights)))
    edition = facts.edition
    found = (edition.family.name, edition.beside_noise, facts.defaults.steps, edition.takes_references)
    assert found == FAMILY[name]


def test_schnell_is_told_from_dev_by_its_weights(tmp_path):
    writers.tiny.build(tmp_path / "schnell", guidance=False)
    weights = writers.weights_of(tmp_path / "schnell", "transformer")
    facts = described(only_part(writers.write(tmp_path / "dev.safetensors", weights)))
    assert facts.defaults.steps == 4
    assert facts.scheduler_config["use_dynamic_shifting"] is False
    assert not facts.edition.takes_references


def test_the_tests_own_naming_is_the_one_that_diffusers_reads(folders):
    from diffusers.loaders import single_file_utils as theirs

    for name, convert in (
        ("FLUX.2 dev", theirs.convert_flux2_transformer_checkpoint_to_diffusers),
        ("FLUX.3 distilled", theirs.convert_flux3_transformer_checkpoint_to_diffusers),
        ("Z-Image Turbo", theirs.convert_z_image_transformer_checkpoint_to_diffusers),
    ):
        weights = writers.weights_of(folders(name), "transformer")
        back = convert(writers.original(name, weights))
        assert back.keys() == weights.keys()
        assert all(torch.equal(back[key], weights[key]) for key in weights)
    folder = folders("FLUX.1")
    weights = writers.weights_of(folder, "vae")
    config = json.loads((folder / "vae" / "config.json").read_text())
    back = theirs.convert_ldm_vae_checkpoint(writers.original_vae(weights), config)
    assert all(torch.equal(back[key], weights[key]) for key in weights)


@pytest.mark.parametrize("name", ["FLUX.1", "FLUX.2 klein"])
@pytest.mark.parametrize("naming", ["diffusers", "original"])
def test_vaes(folders, tmp_path, name, naming):
    weights = writers.weights_of(folders(name), "vae")
    weights = weights if naming == "diffusers" else writers.original_vae(weights)
    module = filling.load_part(only_part(writers.write(tmp_path / "v.safetensors", weights)), torch.float32, True)
    assert_same(
        module, models.describe(models.ModelFiles.whole(folders(name))).component("vae").load(torch.float32, False)
    )


@pytest.mark.parametrize("name", ["FLUX.1", "FLUX.2 klein"])
def test_a_vae_of_fp8_is_expanded_but_for_its_matrices(folders, tmp_path, name):
    """Its attention is written as convolutions of one pixel, which no linear layer can multiply."""
    weights = writers.original_vae(writers.weights_of(folders(name), "vae"))
    weights = {key: tensor if "running" in key else tensor.to(torch.float8_e4m3fn) for key, tensor in weights.items()}
    part = only_part(writers.write(tmp_path / "v.safetensors", weights))
    kept, dense = (filling.load_part(part, torch.float32, keep) for keep in (True, False))
    assert not any(hasattr(leaf, "stored") for leaf in kept.modules())
    assert_same(kept, dense)
    assert torch.equal(dense.decoder.conv_in.weight, weights["decoder.conv_in.weight"].float())


@pytest.mark.parametrize(
    ("name", "component"),
    [("FLUX.1", "text_encoder"), ("FLUX.1", "text_encoder_2"), ("FLUX.2 klein", "text_encoder")],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_text_encoders(folders, tmp_path, name, component, dtype):
    """fp16 too: T5 keeps a layer in float32 then."""
    weights = writers.weights_of(folders(name), component)
    module = filling.load_part(only_part(writers.write(tmp_path / "t.safetensors", weights)), dtype, True)
    assert_same(module, models.describe(models.ModelFiles.whole(folders(name))).component(component).load(dtype, False))


def test_mistral_reads_as_it_does_in_the_folder(folders, tmp_path):
    weights = writers.weights_of(folders("FLUX.2 dev"), "text_encoder")
    part = only_part(writers.write(tmp_path / "m.safetensors", weights))
    module = filling.load_part(part, torch.float32, True)
    reference = (
        models.describe(models.ModelFiles.whole(folders("FLUX.2 dev")))
        .component("text_encoder")
        .load(torch.float32, False)
    )
    ids = torch.arange(20)[None]
    with torch.no_grad():
        ours = module.base_model(input_ids=ids, output_hidden_states=True).hidden_states
        theirs = reference.base_model(input_ids=ids, output_hidden_states=True).hidden_states
    for layer in (10, 20, 30):
        assert torch.equal(ours[layer], theirs[layer])


@pytest.mark.parametrize("kind", ["F32", "Q8_0"])
@pytest.mark.parametrize("keep", [True, False])
def test_mistral_of_llama_cpp_reads_as_it_does_in_the_folder(folders, tmp_path, kind, keep):
    """Its rows stand in another order; what remains of Q8_0 is its rounding."""
    pytest.importorskip("gguf")
    weights = writers.llama_cpp_mistral(writers.weights_of(folders("FLUX.2 dev"), "text_encoder"))
    head = {"llama.attention.key_length": 128, "llama.rope.freq_base": 1e9}
    part = only_part(writers.gguf(tmp_path / "m.gguf", weights, kind, "llama", head))
    assert part.role == "mistral"
    module = filling.load_part(part, torch.float32, keep)
    reference = (
        models.describe(models.ModelFiles.whole(folders("FLUX.2 dev")))
        .component("text_encoder")
        .load(torch.float32, False)
    )
    small = {name: leaf for name, leaf in module.named_modules() if hasattr(leaf, "stored")}
    assert bool(small) == (keep and kind == "Q8_0")
    for leaf in small.values():
        leaf.weight = torch.nn.Parameter(leaf.stored.expand(leaf.weight, torch.float32), requires_grad=False)
    ids = torch.arange(20)[None]
    with torch.no_grad():
        ours = module.base_model(input_ids=ids, output_hidden_states=True).hidden_states
        theirs = reference.base_model(input_ids=ids, output_hidden_states=True).hidden_states
    for layer in (10, 20, 30):
        error = (ours[layer] - theirs[layer]).abs().max() / theirs[layer].std()
        assert error <= (0 if kind == "F32" else 0.05)


def test_another_llama_is_no_mistral(folders, tmp_path):
    pytest.importorskip("gguf")
    weights = writers.llama_cpp_mistral(writers.weights_of(folders("FLUX.2 dev"), "text_encoder"))
    part = only_part(writers.gguf(tmp_path / "m.gguf", weights, "F32", "llama", {"llama.attention.key_length": 64}))
    with pytest.raises(ModelFilesError, match="heads are 128 wide"):
        filling.load_part(part, torch.float32, True)


# --- small weights ------------------------------------------------------------------------------------------------------


def expanded(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    out = dict(module.state_dict())
    for name, leaf in module.named_modules():
        if hasattr(leaf, "stored"):
            out[f"{name}.weight"] = leaf.stored.expand(leaf.weight, torch.float32)
    return out


@pytest.mark.parametrize("name", ["FLUX.1", "FLUX.2 klein", "Z-Image Turbo"])
@pytest.mark.parametrize("layout", ["old", "new", "metadata"])
def test_scaled_fp8_keeps_its_size_and_its_values(folders, tmp_path, name, layout):
    weights = writers.weights_of(folders(name), "transformer")
    file = writers.write(tmp_path / "s.safetensors", *writers.scaled_fp8(writers.original(name, weights), layout))
    kept = filling.load_part(only_part(file), torch.float32, keep=True)
    dense = filling.load_part(only_part(file), torch.float32, keep=False)
    assert sum(hasattr(leaf, "stored") for leaf in kept.modules()) >= 10
    assert all(torch.equal(value, dense.state_dict()[key]) for key, value in expanded(kept).items())
    for key, value in weights.items():  # 3 bits of mantissa, of the largest where the scale is shared
        error = (dense.state_dict()[key] - value).abs().max()
        assert error <= value.abs().max() * 2**-4, key


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0", "Q5_1", "BF16", "F16"])
def test_gguf_gives_what_the_gguf_package_gives(folders, tmp_path, kind):
    gguf = pytest.importorskip("gguf")
    weights = writers.weights_of(folders("FLUX.1"), "transformer")
    file = writers.gguf(tmp_path / "x.gguf", weights, kind)
    kept = filling.load_part(only_part(file), torch.float32, keep=True)
    values = expanded(kept)
    for tensor in gguf.GGUFReader(file).tensors:
        expected = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        assert torch.equal(values[tensor.name], torch.from_numpy(expected.copy()).reshape(values[tensor.name].shape))
    if kind.startswith("Q"):
        assert any(hasattr(leaf, "stored") for leaf in kept.modules())


def test_a_gguf_s_header_is_what_the_gguf_package_reads(tmp_path):
    gguf = pytest.importorskip("gguf")
    fields = {"a.text": "서울", "a.number": 7, "a.real": 0.5, "a.words": ["x", "", "딸기"], "a.numbers": [1, -2, 3]}
    weights = {"blk.0.x.weight": torch.randn(3, 64), "b": torch.randn(5)}
    path = writers.gguf(tmp_path / "x.gguf", weights, "Q8_0", "llama", fields)
    header = gguf_header.read(path)
    assert header.fields == {"general.architecture": "llama", **fields}
    reader = gguf.GGUFReader(path)
    end = max(tensor.data_offset + tensor.n_bytes for tensor in reader.tensors)
    for ours, theirs in zip(header.tensors, reader.tensors, strict=True):
        assert (ours.name, ours.kind, ours.place) == (theirs.name, theirs.tensor_type, theirs.data_offset)
        assert list(ours.shape) == theirs.shape.tolist()[::-1]
    content = path.read_bytes()
    for length in range(4, end, 7):  # cut anywhere: an error that says so, no other
        path.write_bytes(content[:length])
        with pytest.raises(ModelFilesError, match=r"whole GGUF"):
            weight_files.open_file(path)
    for place in range(4, header.tensors[0].place):  # any byte changed: read or refused, in no time
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        with contextlib.suppress(ModelFilesError):
            weight_files.open_file(path)


@pytest.mark.parametrize("alignment", [1, 4, 12, [32, 32], "32"])
def test_a_gguf_whose_tensors_are_not_aligned_is_refused(folders, tmp_path, alignment):
    """Numbers of several bytes are read in place."""
    pytest.importorskip("gguf")
    weights = writers.weights_of(folders("FLUX.1"), "transformer")
    file = writers.gguf(tmp_path / "x.gguf", weights, "Q8_0", fields={"general.alignment": alignment})
    assert "alignment" in refusal(file)


# --- refusals -----------------------------------------------------------------------------------------------------------


def load_transformer(path: Path) -> torch.nn.Module:
    return models.describe(models.ModelFiles(path, (), None)).transformer.load(torch.float32, True)


def refusal(path: Path) -> str:
    with pytest.raises(ModelFilesError) as caught:
        load_transformer(path)
    assert path.name in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("suffix", [".ckpt", ".pt", ".bin", ".pth"])
def test_a_pickle_is_never_opened(tmp_path, suffix):
    path = tmp_path / f"flux{suffix}"
    path.write_bytes(b"\x80\x04")
    assert "never opened" in refusal(path)


def test_broken_and_mislabelled_files_are_named(folders, tmp_path):
    whole = writers.write(tmp_path / "w.safetensors", writers.weights_of(folders("FLUX.1"), "transformer"))
    content = whole.read_bytes()
    for length in (0, 5, 100, len(content) - 1):
        path = tmp_path / "cut.safetensors"
        path.write_bytes(content[:length])
        refusal(path)
    path = tmp_path / "really.gguf"
    path.write_bytes(content)
    assert "no GGUF" in refusal(path)
    path = tmp_path / "really.safetensors"
    path.write_bytes(b"GGUF" + content)
    assert "a GGUF" in refusal(path)
    path = tmp_path / "nonsense.gguf"
    path.write_bytes(b"GGUF" + content[:5000])
    refusal(path)


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("axes", [0, 1])
def test_weights_of_too_few_axes_are_refused_by_name_or_left_alone(folders, tmp_path, name, axes):
    """At opening, which lists of files do too: a file that raises anything else would take the whole list away."""
    weights = writers.original(name, writers.weights_of(folders(name), "transformer"))
    weights |= writers.prefixed(writers.original_vae(writers.weights_of(folders(name), "vae")), "vae.")
    weights = {key: torch.zeros([1] * t.ndim) if "block" in key or "layers" in key else t for key, t in weights.items()}
    read = ("_in.weight", "in_layer.weight", "embedder.weight", "embedder.1.weight", ".0.linear2.weight", "qkv.weight")
    refused = []
    for weight in [name for name in weights if name.endswith(read)]:
        path = writers.write(tmp_path / "flat.safetensors", {**weights, weight: torch.zeros([8] * axes)})
        try:
            sources.open_source(path)
        except ModelFilesError as error:
            refused.append(str(error))
    assert refused
    assert all(path.name in text for text in refused)


HEADERS = {
    "an endless axis": {"a": {"dtype": "F32", "shape": [math.inf], "data_offsets": [0, 4]}},
    "an endless offset": {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, math.inf]}},
    "no start": {"a": {"dtype": "F32", "shape": [1], "data_offsets": [math.inf, 4]}},
}


@pytest.mark.parametrize("case", HEADERS)
def test_headers_that_json_reads_and_no_file_has(tmp_path, case):
    header = json.dumps(HEADERS[case]).encode()
    path = tmp_path / "endless.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 4)
    assert "header that can be read" in refusal(path)


@pytest.mark.parametrize("text", [b'{"shape": [Infinity, 8]}', b"[" * 100_000, b"7"])
def test_descriptions_that_json_reads_and_no_layer_has(folders, tmp_path, text):
    weights = writers.original("FLUX.1", writers.weights_of(folders("FLUX.1"), "transformer"))
    name = "double_blocks.0.img_mlp.0.weight"
    described = {f"{name}.quant_state.bitsandbytes__nf4": torch.frombuffer(bytearray(text), dtype=torch.uint8)}
    assert "bitsandbytes" in refusal(writers.write(tmp_path / "described.safetensors", weights | described))


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float8_e4m3fn, torch.bool, torch.complex64])
def test_descriptions_of_another_kind_of_numbers_are_refused(folders, tmp_path, kind):
    weights = writers.original("FLUX.1", writers.weights_of(folders("FLUX.1"), "transformer"))
    described = {"double_blocks.0.img_mlp.0.comfy_quant": torch.zeros((), dtype=kind)}
    assert "unreadable description" in refusal(writers.write(tmp_path / "described.safetensors", weights | described))


def test_foreign_formats_are_named(folders, tmp_path):
    weights = writers.original("FLUX.1", writers.weights_of(folders("FLUX.1"), "transformer"))
    name = "double_blocks.0.img_mlp.0.weight"
    stem = name.removesuffix(".weight")
    half = torch.zeros(weights[name].shape[0], weights[name].shape[1] // 2, dtype=torch.uint8)
    fp8 = torch.zeros(weights[name].shape, dtype=torch.float8_e4m3fn)
    cases = {
        "nunchaku": {**weights, f"{stem}.wscales": torch.ones(1)},
        "bitsandbytes": {**weights, f"{name}.quant_state.bitsandbytes__nf4": torch.ones(1)},
        "nvfp4": {
            **weights,
            name: half,
            f"{stem}.weight_scale": torch.ones(8),
            f"{stem}.weight_scale_2": torch.ones(1),
        },
        "64 scales": {**weights, name: fp8, f"{stem}.weight_scale": torch.ones(8, 8)},
        "Chroma": {**weights, "distilled_guidance_layer.in_proj.weight": torch.ones(1)},
    }
    for named, tensors in cases.items():
        assert named in refusal(writers.write(tmp_path / f"{len(named)}.safetensors", tensors))


@pytest.mark.parametrize(
    ("name", "component", "more", "named"),
    [
        ("FLUX.1", "text_encoder_2", "encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight", "UMT5"),
        ("FLUX.2 klein", "text_encoder", "model.visual.blocks.0.attn.qkv.weight", "Qwen-VL"),
    ],
)
def test_encoders_that_look_like_another_are_refused(folders, tmp_path, name, component, more, named):
    """As wide and of the same names, but for these: a picture would be drawn, and be wrong."""
    weights = writers.weights_of(folders(name), component)
    path = writers.write(tmp_path / "x.safetensors", {**weights, more: torch.zeros(32, 4)})
    (encoder,) = sources.open_source(path).encoders.values()
    with pytest.raises(ModelFilesError, match=rf"^`model` is 'x.safetensors'\. Expected: [^;]*; this is a {named}"):
        encoder.load(torch.float32, True)


def test_weights_that_are_missing_or_of_another_shape_are_named(folders, tmp_path):
    weights = writers.original("FLUX.1", writers.weights_of(folders("FLUX.1"), "transformer"))
    gone = "double_blocks.1.txt_mlp.2.bias"
    path = writers.write(tmp_path / "gone.safetensors", {k: v for k, v in weights.items() if k != gone})
    assert "1 are missing" in refusal(path)
    far = {**weights, "single_blocks.900000.linear2.bias": torch.zeros(3)}
    assert "single_transformer_blocks.2 is missing" in refusal(writers.write(tmp_path / "far.safetensors", far))
    other = {**weights, "single_blocks.0.linear2.bias": torch.zeros(3)}
    assert "[3]" in refusal(writers.write(tmp_path / "shape.safetensors", other))
    for kind in (torch.float32, torch.float8_e4m3fn):
        for axes in (0, 1, 3):
            other = {**weights, "double_blocks.1.txt_attn.qkv.weight": torch.zeros([8] * axes).to(kind)}
            assert "txt_attn.qkv.weight of shape" in refusal(writers.write(tmp_path / "axes.safetensors", other))
    other = {**weights, "img_in.weight": torch.zeros(64, 100), "img_in.bias": torch.zeros(64)}
    assert "channels" in refusal(writers.write(tmp_path / "channels.safetensors", other))


def test_what_no_config_of_the_library_allows_is_named(folders, tmp_path):
    """transformers says so with exceptions of its own."""
    weights = writers.weights_of(folders("FLUX.1"), "text_encoder")
    name = next(name for name in weights if name.endswith("token_embedding.weight"))
    path = writers.write(tmp_path / "odd.safetensors", {**weights, name: torch.zeros(100, 200)})
    with pytest.raises(ModelFilesError, match="shapes of CLIP"):
        sources.open_source(path).encoders["clip"].load(torch.float32, True)
    folder = tmp_path / "odd"
    shutil.copytree(folders("FLUX.1"), folder)
    config = folder / "text_encoder" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "num_attention_heads": 3}))
    with pytest.raises(ModelFilesError, match="odd/text_encoder"):
        models.describe(models.ModelFiles.whole(folder)).component("text_encoder").load(torch.float32, False)


@pytest.mark.parametrize(
    ("method", "file", "said"),
    [
        ("torchao", "diffusion_pytorch_model.bin", "torchao, in pickles.*torchao 0.16"),
        ("modelopt", "more.safetensors", "nvidia-modelopt, whose layers"),
        ("svdquant", "more.safetensors", "nunchaku's own nodes"),
    ],
)
def test_a_quantised_folder_is_named_with_its_package(tmp_path, method, file, said):
    writers.tiny.build(tmp_path / "q")
    path = tmp_path / "q" / "transformer" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "quantization_config": {"quant_method": method}}))
    if file.endswith(".bin"):
        next(path.parent.glob("*.safetensors")).unlink()
    path.with_name(file).write_bytes(b"")
    with pytest.raises(ModelFilesError, match=f"quantised by .*{said}.*fp8 storage.*SDNQ"):
        models.describe(models.ModelFiles.whole(tmp_path / "q"))


@pytest.mark.parametrize("channels", [[], 1e400, "64", None])
def test_a_folder_whose_channels_are_no_number_is_named(tmp_path, channels):
    (tmp_path / "odd" / "transformer").mkdir(parents=True)
    config = {"_class_name": "Flux3Transformer2DModel", "joint_attention_dim": 128, "in_channels": channels}
    (tmp_path / "odd" / "transformer" / "config.json").write_text(json.dumps(config), "utf-8")
    with pytest.raises(ModelFilesError, match=r"in_channels in its config.json"):
        sources.open_source(tmp_path / "odd")


def test_parts_of_different_models_are_told_apart(folders, tmp_path):
    flux, klein = folders("FLUX.1"), folders("FLUX.2 klein")
    with pytest.raises(ModelFilesError, match=r"klein.*FLUX\.1.*16 channels.*has 32"):
        models.describe(models.ModelFiles(flux, (), klein))
    narrow = tmp_path / "narrow"
    writers.tiny.build(narrow)
    with pytest.raises(ModelFilesError, match="CLIP of width 64"):
        models.describe(models.ModelFiles(flux, (narrow, flux), None))


# --- Mistral's tokenizer ------------------------------------------------------------------------------------------------


def test_tekken_merges_by_rank_and_knows_its_marks():
    tokenizer = tekken.from_tekken(writers.tekken(), "x")
    ids = tokenizer("<s>[INST]hello 서[/INST]", add_special_tokens=False).input_ids
    assert ids == [1, 3, 10 + 259, 10 + 32, 10 + 262, 4]
    assert tokenizer.decode(ids[2:-1]) == "hello 서"
    chat = tokenizer.apply_chat_template(
        [
            {"role": "system", "content": [{"type": "text", "text": "be"}]},
            {"role": "user", "content": [{"type": "text", "text": "hello"}]},
        ],
        tokenize=False,
    )
    assert chat == "<s>[SYSTEM_PROMPT]be[/SYSTEM_PROMPT][INST]hello[/INST]"
    with pytest.raises(ModelFilesError, match="tekken"):
        tekken.from_tekken(b"{}", "x")


def test_a_gguf_s_vocabulary_reads_as_the_tekken_it_was_made_of(folders, tmp_path):
    pytest.importorskip("gguf")
    source = tekken.from_tekken(writers.tekken(tekken.TEKKEN), "x")
    fields = writers.vocabulary(source)
    weights = writers.llama_cpp_mistral(writers.weights_of(folders("FLUX.2 dev"), "text_encoder"))
    small = writers.gguf(tmp_path / "s.gguf", weights, "F32", "llama", fields)
    with pytest.raises(ModelFilesError, match="tokens; its tokenizer has 2"):
        sources.open_source(small).encoders["mistral"].own_reader()
    weights["token_embd.weight"] = torch.zeros(300, weights["token_embd.weight"].shape[1])
    file = writers.gguf(tmp_path / "m.gguf", weights, "F32", "llama", fields)
    tokenizer = sources.open_source(file).encoders["mistral"].own_reader()
    text = "<s>[SYSTEM_PROMPT]be[/SYSTEM_PROMPT][INST]hello HELLOhello 서울 12\n\n  서[/INST]"
    assert tokenizer(text).input_ids == source(text).input_ids
    assert tokenizer.decode(tokenizer(text).input_ids) == text
    assert tokenizer.chat_template == source.chat_template
    other = writers.gguf(tmp_path / "o.gguf", weights, "F32", "llama", {**fields, "tokenizer.ggml.pre": "llama-bpe"})
    with pytest.raises(ModelFilesError, match="llama-bpe"):
        sources.open_source(other).encoders["mistral"].own_reader()
