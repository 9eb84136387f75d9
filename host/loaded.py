"""What ComfyUI has in memory for its next run, under the names that its users know, with the licence."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import comfy.model_management as mm
import torch

from ..studio.kinds import table
from ..studio.kinds.facts import Licence
from ..studio.opening.models import Description
from . import languages

_FILES = {".safetensors", ".sft", ".gguf"}
# What a patcher holds -> (names, part, licence, what it allows). Weak: who asks for the list keeps no model alive.
_known: weakref.WeakKeyDictionary[Any, tuple[str, str, str, str]] = weakref.WeakKeyDictionary()


def remember(described: Description, sockets: tuple[Any, Any, Any]) -> None:
    """Names for the MODEL, CLIP and VAE that were made of a description; None where there is none."""
    model, clip, vae = sockets
    encoders = [encoder.name for encoder in described.encoders]
    _name(model and model.model, described, "transformer", [described.name])
    _name(clip and clip.cond_stage_model, described, "text encoder", encoders)
    _name(vae and vae.first_stage_model, described, "VAE", [described.vae.name] if described.vae else [])


def remember_served(name: str, licence: Licence, sockets: tuple[Any, Any, Any]) -> None:
    """The same of MODEL, CLIP and VAE whose modules are on a server."""
    model, clip, vae = sockets
    held = {"transformer": model.model, "text encoder": clip.cond_stage_model, "VAE": vae.first_stage_model}
    for part, module in held.items():
        _known[module] = (name, part, licence.name, licence.commercial)


def _name(held: Any, described: Description, part: str, names: list[str]) -> None:
    """The licence is that of the file or folder: what comes from another file than the transformer has its own."""
    if held is None:
        return
    whole = len(described.paths) == 1
    by_file = not whole and part != "transformer"
    licences = [_licence_of(name) for name in names] if by_file else [described.licence]
    text = "; ".join(dict.fromkeys(licence.name for licence in licences))
    allows = "; ".join(dict.fromkeys(licence.commercial for licence in licences))
    _known[held] = (described.name if whole else ", ".join(names), part, text, allows)


def _licence_of(name: str) -> Licence:
    path = Path(name)
    return table.licence_of(path.stem if path.suffix.lower() in _FILES else path.parts[0])


def models(language: str) -> list[dict[str, Any]]:
    """Each one: name, part, bytes on its device, licence and what it allows in `language`; of others' models the class alone."""
    patchers = [loaded.model for loaded in list(mm.current_loaded_models)]
    return [_shown(patcher, language) for patcher in patchers if patcher is not None]


def _shown(patcher: Any, language: str) -> dict[str, Any]:
    held: torch.nn.Module = patcher.model
    size = int(patcher.loaded_size())
    if held not in _known:
        return {"name": type(held).__name__, "bytes": size}
    name, part, licence, allows = _known[held]
    shown = {"licence": languages.translated(licence, language), "allows": languages.translated(allows, language)}
    return {"name": name, "part": part, "bytes": size, **shown}
