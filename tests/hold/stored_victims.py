"""Good model files in every stored format, and LoRAs, for test_damaged_files.py."""

from __future__ import annotations

import functools
import importlib.util
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import damage
import lora_files
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from storefront.studio.kinds import flux1
from storefront.studio.kinds.names import Rows
from storefront.studio.opening import filling, folders, merging, models, sources, weight_files
from victims import Victim

STUDIO = Path(__file__).resolve().parents[1] / "studio"


def _module(name: str, path: Path):
    spec = importlib.util.spec_from_file_location(name, path)
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


writers = _module("writers", STUDIO / "opening" / "writers.py")
nunchaku = _module("made_nunchaku", STUDIO / "weights" / "test_nunchaku.py")


def stored(folder: Path) -> list[Victim]:
    """Whole models, layers as each quantiser's own package wrote them, and LoRAs."""
    flux = writers.build("FLUX.1", folder / "FLUX.1")
    files = [*_files(folder, flux), *_ggufs(folder, flux)]
    made = [
        Victim(f"model {path.name}", path, way, lambda path=path: _opened(path), (path.name,)) for path, way in files
    ]
    return [*made, *_layers(folder / "layers"), *_folders(folder, flux), *_loras(folder, flux)]


def _expanded(module: torch.nn.Module) -> None:
    """What a run does first with each layer."""
    for leaf in module.modules():
        if hasattr(leaf, "stored"):
            weight = leaf.stored.expand(leaf.weight, torch.bfloat16)
            assert weight.shape == (leaf.out_features, leaf.in_features)


def _opened(path: Path) -> None:
    source = sources.open_source(path)
    found = [source.transformer, *source.encoders.values(), source.vae]
    for component in found:
        if component is not None:
            _expanded(component.load(torch.bfloat16, True))
    if not any(found):
        raise models._missing(source, "a transformer")  # as `describe` does for whatever is chosen


def _files(folder: Path, flux: Path) -> Iterator[tuple[Path, damage.Damage]]:
    """safetensors: whole weights in each naming, and what is quantised in a single file."""
    klein, z_image = (writers.build(name, folder / name) for name in ("FLUX.2 klein", "Z-Image Turbo"))
    own = writers.weights_of(flux, "transformer")
    original = writers.original("FLUX.1", own)
    files = {
        "original": (original, {}),
        "diffusers": (own, {}),
        "klein": (writers.original("FLUX.2 klein", writers.weights_of(klein, "transformer")), {}),
        "z image": (writers.original("Z-Image Turbo", writers.weights_of(z_image, "transformer")), {}),
        "clip": (writers.weights_of(flux, "text_encoder"), {}),
        "t5": (writers.weights_of(flux, "text_encoder_2"), {}),
        "qwen": (writers.weights_of(klein, "text_encoder"), {}),
        "vae": (writers.original_vae(writers.weights_of(flux, "vae")), {}),
        "vae of flux 2": (writers.weights_of(klein, "vae"), {}),
        "fp8": (writers.fp8(original), {}),
        "nvfp4": (writers.nvfp4(original), {}),
        **{f"scaled fp8, {layout}": writers.scaled_fp8(original, layout) for layout in ("old", "new", "metadata")},
        **{kind: (writers.bitsandbytes(own, kind), {}) for kind in ("nf4", "int8")},
        "quanto int4": (writers.quanto(own, "int4"), {}),
    }
    for name, (weights, metadata) in files.items():
        yield writers.write(folder / f"{name}.safetensors", weights, metadata), damage.safetensors_changed


def _ggufs(folder: Path, flux: Path) -> Iterator[tuple[Path, damage.Damage]]:
    weights = writers.weights_of(flux, "transformer")
    for kind in ("Q8_0", "Q5_1", "F16"):
        yield writers.gguf(folder / f"{kind}.gguf", weights, kind), damage.bytes_changed
    for kind in ("Q4_K", "Q6_K"):
        yield _k_blocks(folder / f"{kind}.gguf", weights, kind), damage.bytes_changed
    dev = writers.build("FLUX.2 dev", folder / "FLUX.2 dev")
    fields = {"llama.attention.key_length": 128, "llama.attention.head_count": 1, "llama.rope.freq_base": 1e9}
    mistral = writers.llama_cpp_mistral(writers.weights_of(dev, "text_encoder"))
    yield writers.gguf(folder / "mistral.gguf", mistral, "Q8_0", "llama", fields), damage.bytes_changed


def _k_blocks(path: Path, weights: writers.Weights, kind: str) -> Path:
    """The `gguf` package cannot write these blocks: matrices of 256 columns are random ones, as any are sound."""
    import gguf as library
    import numpy as np
    from diffusers import FluxTransformer2DModel

    options = {"num_layers": 1, "num_single_layers": 1, "attention_head_dim": 128, "num_attention_heads": 2}
    model = FluxTransformer2DModel(in_channels=64, joint_attention_dim=256, pooled_projection_dim=64, **options)
    quantised = library.GGMLQuantizationType[kind]
    _, size = library.GGML_QUANT_SIZES[quantised]
    writer, chance = library.GGUFWriter(path, "flux"), np.random.default_rng(0)
    for name, tensor in model.state_dict().items():
        if writers.is_matrix(name, tensor) and tensor.shape[1] % 256 == 0:
            blocks = chance.integers(0, 256, (tensor.shape[0], tensor.shape[1] // 256 * size), np.uint8)
            writer.add_tensor(name, blocks, raw_dtype=quantised)
        else:
            writer.add_tensor(name, tensor.half().numpy(), raw_dtype=library.GGMLQuantizationType.F16)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


# --- layers that the quantisers' own packages wrote ---------------------------------------------------------------------

SDNQ = {"quant_method": "sdnq"}
BOOK, TURNED = {**SDNQ, "use_codebook": True}, {**SDNQ, "use_hadamard": True}
GPTQ = {"quant_method": "auto-round", "packing_format": "auto_round:auto_gptq"}
PLAIN: dict = {}
TORCHAO = ("int8 rows", "int8 blocks shifted", "float8 rows", "float8 blocks", "intx blocks", "int4")
TORCHAO += ("nvfp4 scaled", "nvfp4 tiled", "mxfp8", "mxfp4 tiled")
LAYERS = {  # file -> layer -> what the folder's config says
    "bitsandbytes": dict.fromkeys(
        ("nf4 wide", "nf4 nested narrow", "fp4 nested wide", "fp4 narrow", "int8 wide"), PLAIN
    ),
    "quanto": dict.fromkeys(("int8 blocks", "float8 rows", "int4 blocks", "int4 odd", "int2 rows"), PLAIN),
    "autoround": {name: GPTQ for name in ("gptq int2", "gptq int4", "gptq int4 rows", "gptq int8")},
    "torchao": dict.fromkeys(TORCHAO, PLAIN),
    "nunchaku": dict.fromkeys(["int4", "nvfp4", "awq"], nunchaku.SAID),
    "sdnq": {
        **dict.fromkeys(["uint4", "int3", "uint5 odd", "int8 turned", "float8", "uint4 rows", "svd", "svd int8"], SDNQ),
        **dict.fromkeys(["codebook", "codebook svd", "codebook rows"], BOOK),
        **dict.fromkeys(["turned 16", "turned svd"], TURNED),
        **{name: {**SDNQ, "weights_dtype": name} for name in ("float4_e2m1fn", "float6_e3m2fn", "float4_e2m2fnu")},
    },
}
SHAPES = {"int4": (256, 128), "nvfp4": (256, 128), "awq": (8, 1024)}  # of nunchaku's, which have no expected numbers


def _layers(folder: Path) -> Iterator[Victim]:
    for maker, layers in LAYERS.items():
        source = STUDIO / "weights" / f"{maker}.safetensors"
        tensors = load_file(source)
        with safe_open(source, "pt") as file:
            metadata = file.metadata() or {}
        for name, said in layers.items():
            own = {key: tensor for key, tensor in tensors.items() if key.startswith(f"{name}.")}
            texts = {key: text for key, text in metadata.items() if key.startswith(f"{name}.")}
            shape = SHAPES[name] if maker == "nunchaku" else tuple(tensors[f"expected.{name}"].shape)
            path = writers.write(folder / maker / f"{name}.safetensors", own, texts)
            yield _layer(f"{maker} {name}", path, name, shape, said)
            config = folder / maker / f"{name}.json"
            if said:
                config.write_text(json.dumps(said))
                yield _layer(f"{maker} {name}'s config", path, name, shape, said)._replace(
                    path=config, damage=damage.json_changed
                )
    weight = torch.randn(160, 512, generator=torch.Generator().manual_seed(0))
    for kind in ("nvfp4", "mxfp8", "int8", "int8 rows", "int8 turned"):
        own, conf, _ = writers.comfy_layer(weight, kind, torch.float32)
        metadata = {"_quantization_metadata": json.dumps({"layers": {"x": conf}})}
        path = writers.write(folder / "comfyui" / f"{kind}.safetensors", own, metadata)
        yield _layer(f"ComfyUI {kind}", path, "x", (160, 512), {})


def _layer(title: str, path: Path, name: str, shape: tuple[int, int], said: dict) -> Victim:
    def filled() -> None:
        config = path.with_suffix(".json")
        read = folders.read_json(config) if config.is_file() else said
        file = weight_files.open_shards(path, [path], read)
        module = torch.nn.Module()
        module.add_module(name, torch.nn.Linear(shape[1], shape[0], bias=False, device="meta"))
        weight = f"{name}.weight"
        found = {weight: Rows(weight)} if weight in file.entries or weight in file.layers else {}
        filling.fill(module, file, found, torch.bfloat16, True)
        _expanded(module)

    return Victim(title, path, damage.safetensors_changed, filled, (path.name, f"{path.stem}.json"))


# --- folders ------------------------------------------------------------------------------------------------------------


def _folders(folder: Path, flux: Path) -> Iterator[Victim]:
    """Whole folders, each with another quantiser's transformer; a file of it is damaged, whichever."""
    made = {
        "nf4 folder": {"transformer": "nf4", "text_encoder_2": "int8"},
        "int4 folder": {"transformer": "int4"},
        "uint4 folder": {"transformer": "uint4"},
    }
    for name, kinds in made.items():
        yield from _of_folder(name, writers.quantised_folder(flux, folder / name, kinds, 2), only=set(kinds))
    for name, source in (("torchao", STUDIO / "weights" / "torchao"), ("nunchaku", _nunchaku(folder))):
        whole = folder / f"{name} folder"
        shutil.copytree(source, whole / "transformer")
        (whole / "transformer" / "expected.safetensors").unlink(missing_ok=True)
        opened = functools.partial(_opened if name == "nunchaku" else _taken, whole)
        for file in sorted((whole / "transformer").iterdir()):
            yield _victim(f"{name} folder", whole, file, opened)


def _taken(whole: Path) -> None:
    """Of 4 channels, which no FLUX.1 has; opened as the transformer that a folder's index says it is."""
    folders.weight_paths(whole, "transformer")
    _expanded(folders.load_module(whole / "transformer", flux1.KIND, "FluxTransformer2DModel", torch.bfloat16, True))


def _nunchaku(folder: Path) -> Path:
    from diffusers import FluxTransformer2DModel

    options = {"num_layers": 1, "num_single_layers": 1, "attention_head_dim": 128, "num_attention_heads": 1}
    plain = FluxTransformer2DModel(in_channels=64, joint_attention_dim=16, pooled_projection_dim=16, **options)
    path = folder / "made nunchaku"
    writers.write(path / "diffusion_pytorch_model.safetensors", nunchaku.nunchaku_lite(plain.state_dict()))
    svdq = {"precision": "int4", "group_size": 64, "rank": 16, "targets": ["transformer_blocks.0.attn.to_q"]}
    said = {**nunchaku.SAID, "compute_dtype": "bfloat16", "svdq_w4a4": svdq}
    config = {**plain.config, "_class_name": "FluxTransformer2DModel", "quantization_config": said}
    (path / "config.json").write_text(json.dumps(config))
    return path


def _of_folder(name: str, whole: Path, only: set[str]) -> Iterator[Victim]:
    def opened() -> None:
        found = models.describe(models.ModelFiles.whole(whole))
        for component in (found.transformer, *found.encoders, found.vae):
            _expanded(component.load(torch.bfloat16, True))
        for encoder in found.encoders:
            encoder.read(None)

    for file in sorted(path for path in whole.rglob("*") if path.is_file()):
        if len(only) > 1 or file.parent.name in only:  # of the first folder every file, tokenizers and all
            yield _victim(name, whole, file, opened)


def _victim(name: str, whole: Path, file: Path, opened) -> Victim:
    ways = {".json": damage.json_changed, ".safetensors": damage.safetensors_changed}
    named = (whole.name, file.name, file.parent.name)
    return Victim(
        f"{name}: {file.relative_to(whole)}", file, ways.get(file.suffix, damage.bytes_changed), opened, named
    )


def written_loras(folder: Path, module: torch.nn.Module) -> Iterator[Path]:
    """One LoRA of every layer of a FLUX.1 transformer, as trainers write it: plain, LoHa, LoKr, DoRA, differences."""
    shapes = lora_files.linear_shapes(module)
    lora = lora_files.random_lora(shapes)
    magnitudes = {name: torch.rand(rows, 1) + 0.5 for name, (rows, _) in shapes.items()}
    made = {
        "peft": lora_files.peft(lora),
        "peft named": lora_files.peft_adapter_name(lora),
        "kohya": lora_files.kohya(lora),
        "loha": lora_files.lycoris(lora_files.loha, shapes, "SimpleTuner")[0],
        "loha fused": lora_files.lycoris(lora_files.loha, shapes, "kohya")[0],
        "lokr": lora_files.lycoris(lora_files.lokr, shapes, "SimpleTuner")[0],
        "dora": lora_files.with_magnitudes(lora_files.peft(lora), "transformer.{}".format, magnitudes),
        "diff": {f"diffusion_model.{name}.diff": torch.randn(shape) * 0.01 for name, shape in shapes.items()},
    }
    for name, weights in made.items():
        said = {"lora_adapter_metadata": json.dumps({"transformer.lora_alpha": 4, "transformer.r": 2})}
        yield writers.write(folder / f"{name}.safetensors", weights, said)


def _loras(folder: Path, flux: Path) -> Iterator[Victim]:
    module = models.describe(models.ModelFiles.whole(flux)).transformer.load(torch.float32, False)
    for path in written_loras(folder / "loras", module):
        if path.stem == "dora":  # ComfyUI alone computes it: test_damaged_loras.py
            continue

        def merged(path: Path = path) -> None:
            merging.merge(path, 1e-6, merging.names_of(module, {}))

        yield Victim(f"LoRA {path.stem}", path, damage.safetensors_changed, merged, (path.name,))
