"""Single files and folders of components in ComfyUI's model folders, listed, opened and put on sockets."""

from __future__ import annotations

import difflib
import functools
import itertools
from pathlib import Path
from typing import Any, NamedTuple

import comfy
import folder_paths

from ..studio.errors import InputError, ModelFilesError
from ..studio.kinds.families import licence_of
from ..studio.opening import components, tokenizers
from ..studio.opening.checkpoints import load_tokenizer, preview_factors
from ..studio.opening.components import Component, Source
from ..studio.opening.single_files import LOOKALIKES, ROLES, TRANSFORMERS, as_lookalike
from ..studio.opening.weight_files import GGUF, PICKLES, SUFFIXES
from . import memory, model_files
from .model_socket import Nature
from .progress import Stages
from .vae_socket import make_vae

AUTO, NONE = "auto", "none"
# Where ComfyUI keeps what. "clip" and "unet" are older names of folders on the same lists.
FOLDERS = {
    "transformer": ("diffusion_models", "checkpoints"),
    "text_encoder": ("text_encoders", "checkpoints"),
    "vae": ("vae", "checkpoints"),
}
EDITIONS = [AUTO, *LOOKALIKES]
_COMFY = Path(next(iter(comfy.__path__)))
TOKENIZERS = {  # ComfyUI brings the published vocabularies
    "clip": _COMFY / "sd1_tokenizer",
    "t5": _COMFY / "text_encoders" / "t5_tokenizer",
    "qwen3": _COMFY / "text_encoders" / "qwen25_tokenizer",
}


class Opened(NamedTuple):
    model: Any
    clip: Any  # None where no text encoder was asked for
    vae: Any
    notes: list[str]


def _files(kind: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for root in folder_paths.get_folder_paths(kind):
        for relative in sorted(folder_paths.recursive_search(root, [".git"])[0]):
            name = f"{kind}/{Path(relative).as_posix()}"
            path = Path(root) / relative
            if name.lower().endswith(SUFFIXES) and name.isprintable() and path.is_file():
                found.setdefault(name, path)
    return found


def _folders() -> dict[str, Path]:
    """Diffusers folders of components, each alone or with a model_index.json."""
    found = {f"diffusers/{name}": folder for name, folder in model_files.folders().items()}
    for root in folder_paths.get_folder_paths("diffusers"):
        for depth in ("*", "*/*"):
            for config in sorted(Path(root).glob(f"{depth}/*/config.json")):
                name = f"diffusers/{config.parent.parent.relative_to(root).as_posix()}"
                if config.parent.name.startswith(tuple(FOLDERS)) and name.isprintable():
                    found.setdefault(name, config.parent.parent)
    return found


def choices() -> dict[str, dict[str, Path]]:
    """What can be chosen as transformer, text_encoder and vae: name -> file or folder to take it from."""
    files = {kind: _files(kind) for kind in dict.fromkeys(itertools.chain(*FOLDERS.values()))}
    folders = _folders()
    out: dict[str, dict[str, Path]] = {}
    for part, kinds in FOLDERS.items():
        out[part] = {name: path for kind in kinds for name, path in files[kind].items()}
        out[part] |= {name: folder for name, folder in folders.items() if components.holds(folder, part)}
    return out


def whole_files() -> dict[str, Path]:
    """Name -> single file in `checkpoints` that holds a transformer, its text encoders and a VAE."""
    return {name: path for name, path in _files("checkpoints").items() if _is_whole(path, path.stat().st_mtime_ns)}


@functools.lru_cache(maxsize=4096)
def _is_whole(path: Path, _changed: int) -> bool:
    if path.suffix.lower() == GGUF:
        return False  # one model a file
    try:
        source = components.open_source(path)
    except ModelFilesError:
        return False  # broken, or of another kind: the list of what can be opened is not the place to say so
    transformer = source.find(TRANSFORMERS)
    if transformer is None or transformer.described is None or "vae" not in source.components:
        return False
    return all(role in source.components for role in components.roles_of_texts(transformer.described.family))


def _path(name: str, value: str, known: dict[str, Path], also: tuple[str, ...] = ()) -> Path:
    """Only names of the list are opened, so no path can be smuggled in."""
    if value in known:
        return known[value]
    if value.lower().endswith(PICKLES):
        raise InputError(name, value, "a .safetensors or .gguf file; a pickle can run code and is never opened")
    close = difflib.get_close_matches(value, known, 3, 0.3) or list(known)[:3]
    raise InputError(name, value, "a file or folder of the list: " + ", ".join([*also, *close]) + ", ...")


def load(
    transformer: str, text_encoder: str, text_encoder_2: str, vae: str, weight_dtype: str, edition: str = AUTO
) -> Opened:
    """MODEL, CLIP and VAE from files and folders chosen apart.

    auto: from where the transformer is; of `edition`: as the weights say. none: not at all; text_encoder_2's auto is none
    where text_encoder is. The text encoders may stand in any order. Raises ModelFilesError or InputError, naming the file,
    where something is broken, missing, another family's, or of no use.
    """
    if text_encoder == NONE and text_encoder_2 == AUTO:
        text_encoder_2 = NONE
    known = choices()
    path = _path("transformer", transformer, known["transformer"])
    source = components.open_source(path)
    chosen = [
        _chosen("text_encoder", text_encoder, source, known["text_encoder"]),
        _chosen("text_encoder_2", text_encoder_2, source, known["text_encoder"]),
        _chosen("vae", vae, source, known["vae"]),
    ]
    return _open(source, chosen[:2], chosen[2], weight_dtype, edition)


def load_model(name: str, weight_dtype: str) -> Opened:
    """MODEL, CLIP and VAE of a whole model: a diffusers folder, or a single file that holds everything."""
    whole = whole_files() if name.startswith("checkpoints/") else {}
    if name in whole:
        source = components.open_source(whole[name])
        return _open(source, [source, source], source, weight_dtype, AUTO)
    loaded, checkpoint = model_files.load(name, weight_dtype)
    licence = checkpoint.licence
    return Opened(*loaded, [f"{name}: licence {licence.name}; {licence.commercial}."])


def _chosen(name: str, value: str, beside: Source, known: dict[str, Path]) -> Source | None:
    if value == NONE:
        return None
    if value == AUTO:
        return beside
    return components.open_source(_path(name, value, known, (AUTO, NONE)))


def _open(
    source: Source, texts: list[Source | None], vae_source: Source | None, weight_dtype: str, edition: str
) -> Opened:
    transformer = components.require(source, TRANSFORMERS, "the transformer of a FLUX.1, FLUX.2, FLUX.3 or Z-Image")
    described = transformer.described
    assert described is not None
    if edition != AUTO:
        described = as_lookalike(described, edition, transformer.name)
    family = described.family
    encoders = _encoders(transformer, texts, source)
    vae = None
    if vae_source is not None:
        hint = "a VAE; choose one in `vae`" if vae_source is source else "a VAE"
        vae = components.require(vae_source, ("vae",), hint)
        components.require_vae_fits(family, vae, transformer.name)

    sources = [source, *(text for text in texts if text), *([vae_source] if vae_source else [])]
    key = (*((str(s.path), _changed(s.path)) for s in sources), *sorted(encoders), vae is None, weight_dtype, edition)

    def make() -> tuple[Any, ...]:
        stages = Stages(len(encoders) + 3)

        def module(component: Component, dtype: Any) -> Any:
            stages.next()
            return component.load(dtype, memory.keeps_stored(weight_dtype))

        made = []
        if encoders:
            dtype = model_files.text_encoder_dtype(weight_dtype)
            modules = [module(encoders[role], dtype) for role in encoders]
            readers = [_tokenizer(encoders[role]) for role in encoders]
            made.append(model_files.clip_of(family, modules, readers, dtype))
        loaded = module(transformer, model_files.transformer_dtype(weight_dtype))
        nature = Nature(family, described.defaults, described.scheduler_config)
        preview = preview_factors(source.path) if source.path.is_dir() else None
        model = model_files.model_of(loaded, described.edition, nature, preview, weight_dtype)
        if vae is not None:
            dtype = model_files.vae_dtype(weight_dtype)
            made.append(make_vae(module(vae, dtype), dtype))
        stages.next()
        return (model, *made)

    model, *others = model_files.shared(key, weight_dtype, make)
    licence = licence_of(source.path.stem if source.path.is_file() else source.path.name)
    notes = [f"{transformer.name}: {family.name}; licence {licence.name}; {licence.commercial}"]
    notes += [f"{transformer.name}: {described.note}"] if described.note else []
    clip = others.pop(0) if encoders else None
    return Opened(model, clip, others[0] if others else None, notes)


def _encoders(transformer: Component, texts: list[Source | None], beside: Source) -> dict[str, Component]:
    """Role -> text encoder, in the family's order; empty where none was asked for."""
    assert transformer.described is not None
    family = transformer.described.family
    wanted = components.roles_of_texts(family)
    named = [text for text in texts if text is not None and text is not beside]
    sources = [*named, *(text for text in texts if text is beside and text is not None)]
    if not sources:
        return {}
    names = " and ".join(ROLES[role] for role in wanted)
    for source in named:
        if source.find(wanted) is None:
            components.require(source, wanted, f"{names} for {transformer.name} ({family.name})")
    found: dict[str, Component] = {}
    givers: list[Source] = []
    for role in wanted:
        holder = next((source for source in sources if role in source.components), None)
        if holder is None:
            raise ModelFilesError(
                "text_encoder",
                ", ".join(dict.fromkeys(source.path.name for source in sources)),
                f"{names} for {transformer.name} ({family.name}); {ROLES[role]} is missing,"
                " choose a file or folder that holds it in text_encoder or text_encoder_2",
            )
        found[role] = holder.components[role]
        givers.append(holder)
    for name, text in zip(("text_encoder", "text_encoder_2"), texts, strict=True):
        if text is not None and text is not beside and text.path not in [giver.path for giver in givers]:
            taken = ", ".join(dict.fromkeys(giver.path.name for giver in givers))
            raise ModelFilesError(
                name,
                text.path.name,
                f"{AUTO} or {NONE}: {taken} comes first and has all of {names} for {transformer.name}",
            )
    components.require_texts_fit(transformer, found)
    return found


def _tokenizer(encoder: Component) -> Any:
    if encoder.tokenizer is not None:
        return load_tokenizer(encoder.tokenizer, "transformers", tokenizers.CLASSES[encoder.role])
    if encoder.role in TOKENIZERS:
        return tokenizers.from_folder(encoder.role, TOKENIZERS[encoder.role])
    if encoder.own_tokenizer is None:
        raise ModelFilesError(
            "text_encoder",
            encoder.name,
            "a diffusers folder with its tokenizer"
            if encoder.role == "qwen3_vl"
            else "a file that carries its tokenizer: ComfyUI's mistral_3_small_flux2 files do (tekken_model), and GGUF files",
        )
    return encoder.own_tokenizer()


def _changed(path: Path) -> int:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return max(file.stat().st_mtime_ns for file in files)
