"""Model folders that ComfyUI knows, and models opened from them: each once, however often it is asked for."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any, NamedTuple

import comfy.model_management as mm
import folder_paths
import torch

from ..studio.errors import InputError
from ..studio.flux.checkpoints import Checkpoint, inspect, load_component, preview_factors
from ..studio.flux.encode import make_encoders, make_tokenizer
from ..studio.flux.velocity import make_velocity
from . import lora_patches, memory, report
from .clip_socket import TextEncoders, Tokenizer, make_clip
from .model_socket import DiffusersModel, Nature
from .progress import Stages
from .vae_socket import make_vae

BUNDLED = "flux-micro"
_BUNDLED_FOLDER = Path(__file__).parent.parent / "models" / BUNDLED


class Loaded(NamedTuple):
    model: Any  # comfy.model_patcher.ModelPatcher
    clip: Any  # comfy.sd.CLIP
    vae: Any  # comfy.sd.VAE


# Sockets in use somewhere, by folder and dtype. Weak: ComfyUI's cache decides how long a model lives, not we.
_OPEN: dict[tuple[str, str, int], tuple[weakref.ref[Any], ...]] = {}


def folders() -> dict[str, Path]:
    """Name -> folder of every diffusers folder in ComfyUI's `diffusers` paths, and the bundled flux-micro first."""
    found = {BUNDLED: _BUNDLED_FOLDER}
    for root in folder_paths.get_folder_paths("diffusers"):
        for depth in ("*", "*/*"):  # NAME or OWNER/NAME; deeper would read whole disks at every /object_info
            for index in sorted(Path(root).glob(f"{depth}/*model_index.json")):
                name = index.parent.relative_to(root).as_posix()
                if name.isprintable():  # a name that is no text (Linux allows it) cannot travel in a prompt
                    found.setdefault(name, index.parent)
    return found


def find(name: str) -> Path:
    """The folder of a listed model. Only names of the list are opened, so no path can be smuggled in."""
    known = folders()
    if name not in known:
        raise InputError("model", name, "one of: " + ", ".join(known))
    return known[name]


def load(name: str, weight_dtype: str) -> tuple[Loaded, Checkpoint]:
    """MODEL, CLIP and VAE of a listed model. A model already open elsewhere shares its weights.

    Raises ModelFilesError where the folder is broken; listens for Cancel between components.
    """
    if weight_dtype not in memory.WEIGHT_DTYPES:
        raise InputError("weight_dtype", weight_dtype, "one of: " + ", ".join(memory.WEIGHT_DTYPES))
    folder = find(name)
    checkpoint = inspect(folder)
    newest = max(file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file())
    key = (str(folder), weight_dtype, newest)
    shared: tuple[Any, ...] = tuple(ref() for ref in _OPEN.get(key, ()))
    if shared and all(part is not None for part in shared):
        report.count("models shared")
        return Loaded(*shared), checkpoint  # no clones: the references would die with the first node's outputs
    report.count("models opened")
    loaded = _open(checkpoint, weight_dtype)
    _OPEN[key] = tuple(weakref.ref(part) for part in loaded)
    return loaded, checkpoint


def _open(checkpoint: Checkpoint, weight_dtype: str) -> Loaded:
    stages = Stages(len(checkpoint.family.components) + 1)

    def component(part: str, dtype: torch.dtype) -> Any:
        stages.next()
        with report.stage(f"read {part}"):
            return load_component(checkpoint, part, dtype)

    text_device, text_offload = mm.text_encoder_device(), mm.text_encoder_offload_device()
    text_dtype = memory.compute_dtype(weight_dtype, text_device)
    family = checkpoint.family
    texts = [memory.adopt(component(part, text_dtype)) for part in family.components if part.startswith("text_encoder")]
    encoders = TextEncoders(make_encoders(family, texts), text_dtype, text_offload)
    tokenizers = [load_component(checkpoint, part, text_dtype) for part in family.tokenizers]
    clip = make_clip(encoders, Tokenizer(make_tokenizer(family, tokenizers)), text_device, text_offload)

    device, offload = mm.get_torch_device(), mm.unet_offload_device()
    dtype = memory.compute_dtype(weight_dtype, device)
    velocity = make_velocity(memory.adopt(component("transformer", dtype)), dtype)
    if weight_dtype == memory.FP8:
        memory.store_as_fp8(velocity)
    model = DiffusersModel(
        velocity,
        checkpoint.edition,
        Nature(family, checkpoint.defaults, checkpoint.scheduler_config),
        preview_factors(checkpoint.folder),
        None,
        offload,
    )
    patcher = lora_patches.patcher(model, device, offload)

    # FLUX.1's VAE overflows in fp16; ComfyUI never uses that for it either.
    asked = memory.DTYPES.get(weight_dtype, torch.float16)
    vae_dtype = asked if asked != torch.float16 else mm.vae_dtype(mm.vae_device(), [torch.bfloat16, torch.float32])
    vae = make_vae(component("vae", vae_dtype), vae_dtype)
    stages.next()
    return Loaded(patcher, clip, vae)
