"""ComfyUI's save and merge nodes on our sockets: `python tests/host/inside_saving_models.py COMFYUI_FOLDER` prints JSON.

Run by test_saving_models_inside.py. What is saved is opened again, by stock loaders and by ours.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

from comfy_process import BASE, ROOT  # first: it makes this process a ComfyUI

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "studio" / "opening"))

import comfy.model_management as mm
import comfy.sd
import folder_paths
import lora_files
import nodes
import torch
import writers
from comfy_extras.nodes_model_merging import CheckpointSave, CLIPSave, ModelMergeSimple, ModelSave, VAESave
from comfy_extras.nodes_model_merging_model_specific import ModelMergeFlux1
from diffusers import AutoencoderKL
from original_layout import to_original
from safetensors.torch import load_file, save_file
from storefront.host import model_files, opening, prompt_encoding, sampling, vae_socket
from storefront.studio.errors import InputError
from storefront.studio.sampling import encode as encoding

torch.set_num_threads(1)
MODELS, OUT = BASE / "models", Path(folder_paths.get_output_directory())
MICRO = ROOT / "models" / "flux-micro"
SETTINGS = {"seed": 7, "steps": 2, "guidance": 3.5, "cfg": 1.0, "strength": 1.0, "time_limit": 0}
STORED = ("fp8", "scaled fp8", "Q8_0", "Q4_0", "nvfp4")
FOLDERS = ("nf4", "int8", "int4", "uint4")  # of diffusers


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a.float() - b.float()).abs().max())


def draw(model, text) -> torch.Tensor:
    return sampling.sample(
        model, text, None, {"samples": torch.zeros(1, 16, 8, 8)}, sampling.SamplerSettings(**SETTINGS)
    )[0]["samples"]


def encode(clip) -> list:
    return prompt_encoding.encode_prompts(clip, [("a red mug", "a red mug")], 0)[0]


@torch.no_grad()
def embedded(clip) -> tuple[torch.Tensor, torch.Tensor]:
    """What both encoders make of some ids: a file of an encoder alone is read with the published vocabularies."""
    mm.load_models_gpu([clip.patcher])
    studio, ids = clip.cond_stage_model.studio, torch.arange(8)[None]
    return encoding.sequence_embedding(studio.t5xxl, ids), encoding.pooled_embedding(studio.clip_l, ids)


def saved(kind: str, before: set[Path]) -> list[str]:
    """Files that a save node has just written, moved to where loaders look for them."""
    folder = MODELS / kind
    folder.mkdir(parents=True, exist_ok=True)
    made = sorted(set(OUT.rglob("*.safetensors")) - before)
    return [path.rename(folder / path.name.replace("_00001_", "")).name for path in made]


def save(node, kind: str, **inputs) -> list[str]:
    before = set(OUT.rglob("*.safetensors"))
    node().save(**inputs)
    return saved(kind, before)


def with_lora(model):
    numbers = opening.load_model(model_files.BUNDLED, "fp32").model.model
    shapes = lora_files.linear_shapes(numbers.diffusion_model.transformer)
    whole = lora_files.random_lora({name: shape for name, shape in shapes.items() if ".0." in name}, size=0.15)
    clone = model.clone()
    prefix = "diffusion_model.transformer."
    assert clone.add_patches({f"{prefix}{k}.weight": ("diff", (whole.up[k] @ whole.down[k],)) for k in whole.up}, 1.0)
    return clone


def transformers(loaded, text, kinds) -> dict:
    """ModelSave, with a LoRA: what stock UNETLoader and our loader draw with the file, against what was saved."""
    out = {}
    for kind, model in kinds.items():
        patched = with_lora(model)
        expected = draw(patched, text)
        (name,) = save(ModelSave, "diffusion_models", model=patched, filename_prefix=kind)
        ours = opening.load(f"diffusion_models/{name}", "none", "none", "none", "fp32").model
        stock = nodes.UNETLoader().load_unet(name, "default")[0]
        file = load_file(MODELS / "diffusion_models" / name)
        out[kind] = {
            "ours": difference(draw(ours, text), expected) / float(expected.std()),
            "stock": difference(draw(stock, text), expected) / float(expected.std()),
            "lora": difference(draw(model, text), expected),
            "dtypes": sorted({str(tensor.dtype) for tensor in file.values()}),
            "original names": all(key.startswith("model.diffusion_model.") for key in file)
            and "model.diffusion_model.double_blocks.0.img_attn.qkv.weight" in file,
        }
    return out


def checkpoint(loaded, text) -> dict:
    """CheckpointSave: the one file opened as a whole model, and its transformer and VAE by stock loaders."""
    inputs = {"model": loaded.model, "clip": loaded.clip, "vae": loaded.vae}
    (name,) = save(CheckpointSave, "checkpoints", filename_prefix="whole", **inputs)
    again = opening.load_model(f"checkpoints/{name}", "fp32")
    file = {
        key.removeprefix("model.diffusion_model."): w for key, w in load_file(MODELS / "checkpoints" / name).items()
    }
    stock = comfy.sd.load_diffusion_model_state_dict(
        {k: w for k, w in file.items() if not k.startswith(("text", "vae"))}
    )
    picture = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(0))
    latent = loaded.vae.encode(picture)
    return {
        "text": max(difference(a, b) for a, b in zip(embedded(again.clip), embedded(loaded.clip), strict=True)),
        "drawn": difference(draw(again.model, text), draw(loaded.model, text)),
        "vae": difference(again.vae.encode(picture), latent),
        "stock model": difference(draw(stock, text), draw(loaded.model, text)),
        "prefixes": sorted({key.partition(".")[0] for key in load_file(MODELS / "checkpoints" / name)}),
    }


def text_encoders(loaded) -> dict:
    """CLIPSave of our encoders, T5 as numbers and stored as bytes, opened by our loader."""
    out = {}
    writers.quantised_folder(MICRO, MODELS / "diffusers" / "nf4", {"text_encoder_2": "nf4"}, 1)
    small = opening.load_model("nf4", "auto")
    for kind, clip in {"fp32": loaded.clip, "nf4": small.clip}.items():
        clip = clip.clone()
        key = "t5xxl.transformer.encoder.block.0.layer.0.SelfAttention.q"
        layer = clip.cond_stage_model.get_submodule(key)
        change = torch.randn(layer.out_features, layer.in_features, generator=torch.Generator().manual_seed(1)) * 0.1
        assert clip.add_patches({f"{key}.weight": ("diff", (change,))}, 1.0)
        expected = embedded(clip)
        names = save(CLIPSave, "text_encoders", clip=clip, filename_prefix=f"text {kind}")
        again = opening.load("diffusers/flux-micro", *(f"text_encoders/{name}" for name in names), "none", "fp32").clip
        file = load_file(MODELS / "text_encoders" / names[-1])
        seen = embedded(again)
        out[kind] = {
            "files": names,
            "text": max(difference(a, b) for a, b in zip(seen, expected, strict=True)),
            "lora": difference(expected[0], embedded(loaded.clip)[0]),
            "dtypes": sorted({str(tensor.dtype) for tensor in file.values()}),
        }
    return out


def published_vae():
    """Ours, of the published shape, which is the only one that ComfyUI's class has."""
    torch.manual_seed(0)
    module = AutoencoderKL(
        block_out_channels=(128, 256, 512, 512),
        layers_per_block=2,
        latent_channels=16,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        use_quant_conv=False,
        use_post_quant_conv=False,
    ).eval()
    return vae_socket.make_vae(module, torch.float32)


@torch.no_grad()
def autoencoder(vae) -> dict:
    picture = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(0))
    latent = vae.encode(picture)
    wanted = vae_socket.decode(vae, latent, "off")[0]
    (name,) = save(VAESave, "vae", vae=vae, filename_prefix="vae")
    stock = nodes.VAELoader().load_vae(name)[0]
    ours = opening.load("diffusers/flux-micro", "none", "none", f"vae/{name}", "fp32").vae
    return {
        "original names": "decoder.up.3.block.0.conv1.weight" in load_file(MODELS / "vae" / name),
        "stock": difference(stock.encode(picture), latent),
        "stock decodes": difference(stock.decode(latent), wanted),
        "ours": difference(ours.encode(picture), latent),
    }


def failing(loaded, vae) -> dict[str, list]:
    """Each save node where no file may grow beyond 100 kB, as on a full disk: the error, and the files that it left."""
    inputs = {
        "ModelSave": (ModelSave, {"model": loaded.model}),
        "CLIPSave": (CLIPSave, {"clip": loaded.clip}),
        "VAESave": (VAESave, {"vae": vae}),
        "CheckpointSave": (CheckpointSave, {"model": loaded.model, "clip": loaded.clip, "vae": vae}),
    }
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    out = {}
    for name, (node, given) in inputs.items():
        before, error = set(OUT.rglob("*")), ""
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        try:
            node().save(filename_prefix=f"full {name}", **given)
        except Exception as raised:
            error = str(raised)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        out[name] = [error, sorted(path.name for path in set(OUT.rglob("*")) - before)]
    return out


def merges(loaded, text, stock, stock_b) -> dict:
    """Every slider of ModelMergeFlux1, and ModelMergeSimple between ours and a stock model, both ways."""
    other = opening.load("diffusion_models/micro b.safetensors", "none", "none", "none", "fp32").model
    sliders = {k: 0.0 for k in ModelMergeFlux1.INPUT_TYPES()["required"] if k not in ("model1", "model2")}
    first = {**sliders, "img_in.": 1.0, "single_blocks.1.": 0.5, "final_layer.": 1.0}
    blocks = {
        "ours": ModelMergeFlux1().merge(loaded.model, other, **first)[0],
        "stock": ModelMergeFlux1().merge(stock, stock_b, **first)[0],
        "into stock": ModelMergeFlux1().merge(stock, other, **first)[0],
        "from stock": ModelMergeFlux1().merge(loaded.model, stock_b, **first)[0],
    }
    drawn = {name: draw(model, text) for name, model in blocks.items()}
    plain = draw(loaded.model, text)
    klein = MODELS / "diffusers" / "klein"
    writers.tiny.build_klein(klein)
    foreign = opening.load_model("klein", "fp32").model
    try:
        ModelMergeSimple().merge(foreign, strange(), 0.5)
        refused = "not refused"
    except InputError as error:
        refused = str(error)
    lora = with_lora(other)
    lora_merged = ModelMergeSimple().merge(loaded.model, lora, 0.0)[0]
    return {
        "moves": difference(drawn["stock"], plain),
        "apart": {name: difference(some, drawn["stock"]) for name, some in drawn.items()},
        "with its LoRA": difference(draw(lora_merged, text), draw(lora, text)),
        "refused": refused,
    }


def strange():
    """A MODEL of another kind: as much of it as a merge asks for."""
    import comfy.model_base
    import comfy.model_patcher
    import comfy.supported_models

    unet = {
        "image_size": 32,
        "in_channels": 4,
        "out_channels": 4,
        "model_channels": 32,
        "num_res_blocks": [1, 1],
        "channel_mult": [1, 2],
        "transformer_depth": [0, 0],
        "transformer_depth_output": [0, 0, 0, 0],
        "transformer_depth_middle": 0,
        "context_dim": 32,
        "num_heads": 4,
        "use_spatial_transformer": True,
        "dtype": torch.float32,
    }
    cpu = torch.device("cpu")
    model = comfy.model_base.BaseModel(comfy.supported_models.SD15(unet), device=cpu)
    return comfy.model_patcher.ModelPatcher(model, cpu, cpu)


def main() -> None:
    weights = to_original(load_file(next((MICRO / "transformer").glob("*.safetensors"))))
    folder = MODELS / "diffusion_models"
    writers.write(folder / "micro.safetensors", weights)
    random = torch.Generator().manual_seed(5)
    moved = {k: v + torch.randn(v.shape, generator=random) * 0.05 * v.std().nan_to_num(0) for k, v in weights.items()}
    save_file(moved, folder / "micro b.safetensors")
    writers.write(folder / "fp8.safetensors", writers.fp8(weights))
    writers.write(folder / "scaled fp8.safetensors", *writers.scaled_fp8(weights, "new"))
    writers.write(folder / "nvfp4.safetensors", writers.nvfp4(weights))
    for kind in ("Q8_0", "Q4_0"):
        writers.gguf(folder / f"{kind}.gguf", weights, kind)
    loaded = opening.load_model(model_files.BUNDLED, "fp32")
    kinds = {"fp32": loaded.model, "bf16": opening.load_model(model_files.BUNDLED, "bf16").model}
    for kind in STORED:
        file = next(path.name for path in folder.iterdir() if path.stem == kind)
        kinds[kind] = opening.load(f"diffusion_models/{file}", "none", "none", "none", "auto").model
    for kind in FOLDERS:
        writers.quantised_folder(MICRO, MODELS / "diffusers" / f"whole {kind}", {"transformer": kind}, 1)
        kinds[kind] = opening.load_model(f"whole {kind}", "auto").model
    text = encode(loaded.clip)
    stock = [nodes.UNETLoader().load_unet(f"{name}.safetensors", "default")[0] for name in ("micro", "micro b")]
    vae = published_vae()
    figures = {
        "merges": merges(loaded, text, *stock),
        "transformers": transformers(loaded, text, kinds),
        "text encoders": text_encoders(loaded),
        "VAE": autoencoder(vae),
        "checkpoint": checkpoint(loaded._replace(vae=vae), text),
        "failing": {} if resource is None else failing(loaded, vae),
    }
    print("FIGURES " + json.dumps(figures))


main()
