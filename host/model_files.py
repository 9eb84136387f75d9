"""Model folders that ComfyUI knows, and models opened from them: each once, however often it is asked for."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import comfy.model_management as mm
import folder_paths
import torch

from ..studio.errors import InputError
from ..studio.kinds.families import Edition, Family
from ..studio.kinds.velocity import make_velocity
from ..studio.opening.checkpoints import Checkpoint, inspect, load_component, preview_factors
from ..studio.sampling.encode import make_encoders, make_tokenizer
from . import kept_references, lora_patches, memory, report
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
_OPEN: dict[Hashable, tuple[weakref.ref[Any], ...]] = {}


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
    folder = find(name)
    checkpoint = inspect(folder)
    newest = max(file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file())
    loaded = shared((str(folder), weight_dtype, newest), weight_dtype, lambda: _open(checkpoint, weight_dtype))
    return Loaded(*loaded), checkpoint


def shared(key: Hashable, weight_dtype: str, make: Callable[[], tuple[Any, ...]]) -> tuple[Any, ...]:
    """The sockets that `make` makes, or the same ones where they are open somewhere under the same key."""
    if weight_dtype not in memory.WEIGHT_DTYPES:
        raise InputError("weight_dtype", weight_dtype, "one of: " + ", ".join(memory.WEIGHT_DTYPES))
    known = tuple(ref() for ref in _OPEN.get(key, ()))
    if known and all(part is not None for part in known):
        report.count("models shared")
        return known  # no clones: the references would die with the first node's outputs
    report.count("models opened")
    made = make()
    _OPEN[key] = tuple(weakref.ref(part) for part in made)
    return made


def _open(checkpoint: Checkpoint, weight_dtype: str) -> Loaded:
    stages = Stages(len(checkpoint.family.components) + 1)

    def component(part: str, dtype: torch.dtype) -> Any:
        stages.next()
        with report.stage(f"read {part}"):
            return load_component(checkpoint, part, dtype, memory.keeps_stored(weight_dtype))

    family = checkpoint.family
    text_dtype = text_encoder_dtype(weight_dtype)
    texts = [component(part, text_dtype) for part in family.encoders]
    tokenizers = [load_component(checkpoint, part, text_dtype) for part in family.tokenizers]
    processors = [load_component(checkpoint, part, text_dtype) for part in family.image_processors]
    clip = clip_of(family, texts, tokenizers, text_dtype, processors)
    transformer = component("transformer", transformer_dtype(weight_dtype))
    nature = Nature(family, checkpoint.defaults, checkpoint.scheduler_config)
    model = model_of(transformer, checkpoint.edition, nature, preview_factors(checkpoint.folder), weight_dtype)
    vae = make_vae(component("vae", vae_dtype(weight_dtype)), vae_dtype(weight_dtype))
    stages.next()
    return Loaded(model, clip, vae)


# --- one component after the other: its dtype, its socket ---------------------------------------------------------------


def text_encoder_dtype(weight_dtype: str) -> torch.dtype:
    return memory.compute_dtype(weight_dtype, mm.text_encoder_device())


def transformer_dtype(weight_dtype: str) -> torch.dtype:
    return memory.compute_dtype(weight_dtype, mm.get_torch_device())


def vae_dtype(weight_dtype: str) -> torch.dtype:
    # FLUX.1's VAE overflows in fp16; ComfyUI never uses that for it either.
    asked = memory.DTYPES.get(weight_dtype, torch.float16)
    return asked if asked != torch.float16 else mm.vae_dtype(mm.vae_device(), [torch.bfloat16, torch.float32])


def clip_of(
    family: Family, texts: list[Any], tokenizers: list[Any], dtype: torch.dtype, processors: Sequence[Any] = ()
) -> Any:
    """A CLIP from a family's encoders, tokenizers and image processors, in the order of its components."""
    device, offload = mm.text_encoder_device(), mm.text_encoder_offload_device()
    encoders = TextEncoders(make_encoders(family, [memory.adopt(text) for text in texts], processors), dtype, offload)
    return make_clip(encoders, Tokenizer(make_tokenizer(family, tokenizers)), device, offload)


def model_of(
    transformer: Any, edition: Edition, nature: Nature, preview: dict[str, Any] | None, weight_dtype: str
) -> Any:
    device, offload = mm.get_torch_device(), mm.unet_offload_device()
    velocity = make_velocity(memory.adopt(transformer), transformer_dtype(weight_dtype), edition)
    if weight_dtype == memory.FP8:
        memory.store_as_fp8(velocity)
    model = lora_patches.patcher(DiffusersModel(velocity, edition, nature, preview, None, offload), device, offload)
    if edition.keeps_references:
        kept_references.keep_in_runs(model)
    return model
