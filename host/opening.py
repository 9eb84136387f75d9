"""Models opened from ComfyUI's folders and put on its sockets: each once, however often it is asked for."""

from __future__ import annotations

import weakref
from collections.abc import Hashable
from pathlib import Path
from typing import Any, NamedTuple

import comfy
import comfy.model_management as mm
import torch

from ..studio.errors import require_one_of
from ..studio.kinds.facts import ModelFacts
from ..studio.kinds.table import make_velocity
from ..studio.opening.models import AUTO, Description, ModelFiles, describe
from ..studio.opening.sources import Component, readers_of_comfyui
from ..studio.sampling.encode import make_encoders, make_tokenizer
from . import flags, kept_references, loaded, lora_patches, memory, model_files, report
from .clip_socket import TextEncoders, Tokenizer, make_clip
from .model_files import NONE
from .model_socket import DiffusersModel
from .progress import Stages
from .vae_socket import make_vae

_PUBLISHED = readers_of_comfyui(Path(next(iter(comfy.__path__))))


class OpenedModel(NamedTuple):
    """`clip` and `vae` are None where none was asked for."""

    model: Any  # comfy.model_patcher.ModelPatcher
    clip: Any  # comfy.sd.CLIP
    vae: Any  # comfy.sd.VAE
    description: Description

    flags_set_aside: tuple[str, ...] = ()

    @property
    def notes(self) -> list[str]:
        return [*self.description.notes, *self.flags_set_aside]


# Sockets in use somewhere, by what they were made of. Weak: ComfyUI's cache decides how long a model lives, not we.
_OPEN: dict[Hashable, tuple[weakref.ref[Any] | None, ...]] = {}


def load_model(name: str, weight_dtype: str) -> OpenedModel:
    """MODEL, CLIP and VAE of a listed whole model: a diffusers folder, or a single file that holds everything.

    Raises ModelFilesError where it is broken; listens for Cancel between components.
    """
    return _open(ModelFiles.whole(model_files.find(name)), weight_dtype)


def load(
    transformer: str, text_encoder: str, text_encoder_2: str, vae: str, weight_dtype: str, edition: str = AUTO
) -> OpenedModel:
    """MODEL, CLIP and VAE from files and folders chosen apart.

    auto: from where the transformer is; of `edition`: as the weights say. none: not at all; text_encoder_2's auto is none
    where text_encoder is. The text encoders may come in any order. Raises ModelFilesError or InputError, naming the file,
    where something is broken, missing, another family's, or of no use.
    """
    if text_encoder == NONE and text_encoder_2 == AUTO:
        text_encoder_2 = NONE
    known = model_files.choices()
    own = model_files.find_part("transformer", transformer, known["transformer"])

    def chosen(name: str, value: str, of: str) -> Path | None:
        if value in (AUTO, NONE):
            return own if value == AUTO else None
        return model_files.find_part(name, value, known[of], (AUTO, NONE))

    texts = (
        chosen("text_encoder", text_encoder, "text_encoder"),
        chosen("text_encoder_2", text_encoder_2, "text_encoder"),
    )
    return _open(ModelFiles(own, texts, chosen("vae", vae, "vae"), edition), weight_dtype)


def _open(files: ModelFiles, weight_dtype: str) -> OpenedModel:
    """The sockets of a model, or the same ones where they are in use somewhere: a model is in memory once."""
    described = describe(files)
    require_one_of("weight_dtype", weight_dtype, memory.WEIGHT_DTYPES)
    paths = [(path, _changed(path)) for path in described.paths]
    roles = [encoder.kind.role for encoder in described.encoders]
    key = (*paths, *roles, described.vae is None, weight_dtype, files.edition)
    known = _in_use(_OPEN.get(key, ()), described)
    aside = tuple(flags.set_aside(weight_dtype))
    if known is not None:
        report.count("models shared")
        return known._replace(
            flags_set_aside=aside
        )  # no clones: the references would die with the first node's outputs
    report.count("models opened")
    made = _make(described, weight_dtype)
    _OPEN[key] = tuple(None if socket is None else weakref.ref(socket) for socket in made[:3])
    return made._replace(flags_set_aside=aside)


def _in_use(sockets: tuple[weakref.ref[Any] | None, ...], described: Description) -> OpenedModel | None:
    alive = [None if socket is None else socket() for socket in sockets]
    gone = any(now is None and socket is not None for now, socket in zip(alive, sockets, strict=True))
    return None if gone or not sockets else OpenedModel(alive[0], alive[1], alive[2], described)


def _changed(path: Path) -> int:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return max(file.stat().st_mtime_ns for file in files)


def _make(described: Description, weight_dtype: str) -> OpenedModel:
    stages = Stages(len(described.encoders) + 1 + (described.vae is not None) + 1)

    def module(component: Component, dtype: torch.dtype) -> torch.nn.Module:
        stages.next()
        with report.stage(f"read {component.name.rpartition('/')[2]}"):
            return component.load(dtype, memory.keeps_stored(weight_dtype))

    clip = vae = None
    if described.encoders:
        text_dtype = text_encoder_dtype(weight_dtype)
        clip = clip_of(described, [module(encoder, text_dtype) for encoder in described.encoders], text_dtype)
        if storage := flags.of("text-enc", weight_dtype).storage:
            memory.store_as_fp8(clip.cond_stage_model, storage)
    transformer = module(described.transformer, transformer_dtype(weight_dtype))
    model = model_of(transformer, described.facts, described.preview_factors(), weight_dtype)
    if described.vae is not None:
        vae = make_vae(module(described.vae, vae_dtype(weight_dtype)), vae_dtype(weight_dtype))
    stages.next()
    loaded.remember(described, (model, clip, vae))
    return OpenedModel(model, clip, vae, described)


# --- one component after the other: its dtype, its socket ---------------------------------------------------------------


def text_encoder_dtype(weight_dtype: str) -> torch.dtype:
    return flags.of("text-enc", weight_dtype).compute or memory.compute_dtype(weight_dtype, mm.text_encoder_device())


def transformer_dtype(weight_dtype: str) -> torch.dtype:
    return flags.of("unet", weight_dtype).compute or memory.compute_dtype(weight_dtype, mm.get_torch_device())


def vae_dtype(weight_dtype: str) -> torch.dtype:
    # FLUX.1's VAE overflows in fp16; ComfyUI never uses that for it either.
    asked = memory.DTYPES.get(weight_dtype, torch.float16)
    return asked if asked != torch.float16 else mm.vae_dtype(mm.vae_device(), [torch.bfloat16, torch.float32])


def clip_of(described: Description, modules: list[torch.nn.Module], dtype: torch.dtype) -> Any:
    """A CLIP of the modules of `described.encoders`."""
    device, offload = mm.text_encoder_device(), mm.text_encoder_offload_device()
    readers = [(encoder.kind.reads_text, encoder.read(_PUBLISHED)) for encoder in described.encoders]
    tokenizers = [reader for reads_text, reader in readers if reads_text]
    processors = [reader for reads_text, reader in readers if not reads_text]
    studio = make_encoders(described.family, [memory.adopt(module) for module in modules], processors)
    tokenizer = Tokenizer(make_tokenizer(described.family, tokenizers))
    return make_clip(TextEncoders(studio, dtype, offload), tokenizer, device, offload)


def model_of(transformer: Any, facts: ModelFacts, preview: dict[str, Any] | None, weight_dtype: str) -> Any:
    device, offload = mm.get_torch_device(), mm.unet_offload_device()
    velocity = make_velocity(memory.adopt(transformer), transformer_dtype(weight_dtype), facts.edition)
    if storage := memory.STORED_DTYPE if weight_dtype == memory.FP8_STORAGE else flags.of("unet", weight_dtype).storage:
        memory.store_as_fp8(velocity, storage)
    model = lora_patches.patcher(DiffusersModel(velocity, facts, preview, None, offload), device, offload)
    if facts.edition.keeps_references:
        kept_references.keep_in_runs(model)
    return model
