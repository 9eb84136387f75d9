"""Transformers, text encoders and VAEs chosen apart, from single files and from diffusers folders, and what fits what."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ModelFilesError
from ..kinds.families import FLUX1, FLUX2_DEV, FLUX2_KLEIN, FLUX3, PIPELINES, Family, is_quick
from . import checkpoints, single_files, tokenizers
from .single_files import ROLES, TRANSFORMERS, Described
from .weight_files import bytes_of, open_file, read_vocabulary

if TYPE_CHECKING:
    import torch

Load = Callable[["torch.dtype", bool], Any]


@dataclass(frozen=True)
class Component:
    """One model that can be loaded, of which no weight is in memory yet."""

    name: str  # as its user knows it: a file, or FOLDER/COMPONENT
    role: str  # a key of single_files.ROLES
    load: Load  # (dtype, keep) -> module; `keep` as in single_files.load_part
    config: Mapping[str, Any]  # the widths and channels below
    tokenizer: Path | None = None  # the folder of an encoder's own
    own_tokenizer: Callable[[], Any] | None = None  # reads the one that a Mistral's file carries
    described: Described | None = None  # of a transformer

    @property
    def width(self) -> int:
        """Of a text encoder: of its hidden states. Of a transformer: of the text it takes."""
        return int(self.config["width"])


@dataclass(frozen=True)
class Source:
    """A file or a folder that components are chosen from."""

    path: Path
    components: Mapping[str, Component]  # by role

    def find(self, roles: tuple[str, ...]) -> Component | None:
        return next((self.components[role] for role in roles if role in self.components), None)


def open_source(path: Path) -> Source:
    """What a file or a diffusers folder holds. Raises ModelFilesError where it is broken or of a foreign format."""
    return _open_folder(path) if path.is_dir() else _open_file(path)


def require(source: Source, roles: tuple[str, ...], wanted: str) -> Component:
    """The component of these roles. Raises ModelFilesError that says what is there instead."""
    found = source.find(roles)
    if found is None:
        if source.path.is_file():
            single_files.find_part(open_file(source.path), roles, wanted)  # raises, and knows more
        holds = ", ".join(ROLES[role] for role in source.components) or "nothing that this pack knows"
        raise ModelFilesError("model", source.path.name, f"{wanted}; the folder holds {holds}")
    return found


# --- single files -------------------------------------------------------------------------------------------------------


def _open_file(path: Path) -> Source:
    file = open_file(path)
    single_files.require_known_format(file)
    components = {}
    for role, part in single_files.parts_of(file).items():
        components[role] = Component(
            path.name,
            role,
            functools.partial(single_files.load_part, part),
            _facts_of_part(part),
            own_tokenizer=_tokenizer_reader(part) if role == "mistral" else None,
            described=single_files.describe_part(part) if role in TRANSFORMERS else None,
        )
    return Source(path, components)


def _tokenizer_reader(part: single_files.Part) -> Callable[[], Any] | None:
    """Among the weights, as ComfyUI's files have it, or in a GGUF's header."""
    path = part.file.path
    name = next((name for name in part.file.entries if name.endswith("tekken_model")), None)
    if name is None and not part.file.is_gguf:
        return None

    def read() -> Any:
        if name is None:
            tokenizer = tokenizers.from_gguf(read_vocabulary(path), path.name)
        else:
            ((_, (tensor,)),) = part.file.read([name], release=False)
            tokenizer = tokenizers.from_tekken(bytes_of(tensor), path.name)
        rows = part.length("embed_tokens.weight", 0)
        if len(tokenizer) > rows:
            raise ModelFilesError(
                "text_encoder", path.name, f"at most {rows} tokens; its tokenizer has {len(tokenizer)}"
            )
        return tokenizer

    return read


def _facts_of_part(part: single_files.Part) -> dict[str, int]:
    if part.role == "flux1":
        pooled = part.length("time_text_embed.text_embedder.linear_1.weight", 1)
        return {"width": part.length("context_embedder.weight", 1), "pooled": pooled}
    if part.role in ("flux2", "flux3"):
        return {"width": part.length("context_embedder.weight", 1)}
    if part.role == "z_image":
        return {"width": part.length("cap_embedder.1.weight", 1)}
    if part.role == "vae":
        return {"packed": single_files.is_flux2_vae(part), "channels": part.length("decoder.conv_in.weight", 1)}
    return {"width": part.text_width}


# --- folders ------------------------------------------------------------------------------------------------------------

_CLASSES = {  # what a config.json calls itself -> role, library, class to load
    "FluxTransformer2DModel": ("flux1", "diffusers", "FluxTransformer2DModel"),
    "Flux2Transformer2DModel": ("flux2", "diffusers", "Flux2Transformer2DModel"),
    "Flux3Transformer2DModel": ("flux3", "diffusers", "Flux3Transformer2DModel"),
    "ZImageTransformer2DModel": ("z_image", "diffusers", "ZImageTransformer2DModel"),
    "AutoencoderKL": ("vae", "diffusers", "AutoencoderKL"),
    "AutoencoderKLFlux2": ("vae", "diffusers", "AutoencoderKLFlux2"),
    "CLIPTextModel": ("clip", "transformers", "CLIPTextModel"),
    "T5EncoderModel": ("t5", "transformers", "T5EncoderModel"),
    "Qwen3ForCausalLM": ("qwen3", "transformers", "Qwen3ForCausalLM"),
    "Qwen3Model": ("qwen3", "transformers", "Qwen3ForCausalLM"),
    "Qwen3VLForConditionalGeneration": ("qwen3_vl", "transformers", "Qwen3VLForConditionalGeneration"),
    "Mistral3ForConditionalGeneration": ("mistral", "transformers", "Mistral3ForConditionalGeneration"),
}
_PARTS = {"transformer": None, "text_encoder": "tokenizer", "text_encoder_2": "tokenizer_2", "vae": None}


def holds(folder: Path, kind: str) -> bool:
    """Whether a component of the folder whose name begins with `kind` is of a class that is opened here.

    One whose config.json is broken counts too: opening it says what is wrong.
    """
    for config in folder.glob(f"{kind}*/config.json"):
        try:
            if _class_in(checkpoints.read_json(config)) in _CLASSES:
                return True
        except ModelFilesError:
            return True
    return False


def _class_in(config: Mapping[str, Any]) -> str:
    architectures = config.get("architectures")
    first = architectures[0] if isinstance(architectures, list) and architectures else ""
    return str(config.get("_class_name") or first)


def _open_folder(folder: Path) -> Source:
    components: dict[str, Component] = {}
    for part, tokenizer in _PARTS.items():
        if not (folder / part / "config.json").is_file():
            continue
        config = checkpoints.read_json(folder / part / "config.json")
        named = _class_in(config)
        if named not in _CLASSES:
            continue
        role, library, cls = _CLASSES[named]
        described = _describe_folder(folder, role, config) if role in TRANSFORMERS else None
        settings = {}
        if role == "vae" and cls == "AutoencoderKL":
            settings = checkpoints.config_gaps(folder / part, FLUX1)
        components[role] = Component(
            f"{folder.name}/{part}",
            role,
            _folder_loader(folder, part, library, cls, settings),
            _facts_of_config(role, config, f"{folder.name}/{part}"),
            tokenizer=folder / tokenizer if tokenizer and (folder / tokenizer).is_dir() else None,
            described=described,
        )
    return Source(folder, components)


def _folder_loader(folder: Path, part: str, library: str, cls: str, settings: Mapping[str, Any]) -> Load:
    def load(dtype: torch.dtype, keep: bool) -> Any:
        checkpoints.check_weights(folder, part)
        return checkpoints.load_module(folder / part, library, cls, dtype, settings, keep)

    return load


def _describe_folder(folder: Path, role: str, config: Mapping[str, Any]) -> Described:
    """From the index and the scheduler where they are there, else from the transformer's config alone."""
    guidance = bool(config.get("guidance_embeds", role == "flux2"))
    name, channels = f"{folder.name}/transformer", config.get("in_channels", 64)
    if type(channels) is not int:
        raise ModelFilesError("model", name, f"a whole number for in_channels in its config.json; it has {channels!r}")
    marked = bool(config.get("siglip_feat_dim") or config.get("flow_map"))
    described = single_files.describe(role, guidance, channels, name, marked)
    index_file = next((folder / name for name in checkpoints.INDEX_FILES if (folder / name).is_file()), None)
    index = checkpoints.read_json(index_file) if index_file else {}
    edition = PIPELINES.get(str(index.get("_class_name")))
    if edition is None or edition.family is not described.family or not (folder / "scheduler").is_dir():
        return described
    scheduler = checkpoints.read_scheduler(folder, edition.family)
    quick = edition.quick if edition.quick and is_quick(edition, index, config, scheduler) else None
    return Described(edition, quick or edition.defaults, scheduler, "")


def _facts_of_config(role: str, config: Mapping[str, Any], name: str) -> dict[str, int]:
    keys = {
        "flux1": {"width": "joint_attention_dim", "pooled": "pooled_projection_dim"},
        "flux2": {"width": "joint_attention_dim"},
        "flux3": {"width": "joint_attention_dim"},
        "z_image": {"width": "cap_feat_dim"},
        "clip": {"width": "hidden_size"},
        "t5": {"width": "d_model"},
        "qwen3": {"width": "hidden_size"},
        "mistral": {"width": "hidden_size"},
        "qwen3_vl": {"width": "hidden_size"},
        "vae": {"channels": "latent_channels"},
    }[role]
    if role in ("mistral", "qwen3_vl"):
        config = config.get("text_config") or config
    facts = {}
    for fact, key in keys.items():
        value = config.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ModelFilesError("model", name, f"a whole number for {key} in its config.json; it has {value!r}")
        facts[fact] = value
    if role == "vae":
        facts["packed"] = config.get("_class_name") == "AutoencoderKLFlux2"
    return facts


# --- what fits what -----------------------------------------------------------------------------------------------------


def roles_of_texts(family: Family) -> tuple[str, ...]:
    """The text encoders of a family, in the order of its components."""
    if family is FLUX1:
        return ("clip", "t5")
    if family is FLUX3:
        return ("qwen3_vl",)
    return ("mistral",) if family is FLUX2_DEV else ("qwen3",)


def require_texts_fit(transformer: Component, encoders: Mapping[str, Component]) -> None:
    """Raise ModelFilesError, naming both, where an encoder's width is not what the transformer reads."""
    assert transformer.described is not None
    family = transformer.described.family
    layers = len(family.text.layers) if family.text else 1
    for role, encoder in encoders.items():
        wanted = int(transformer.config["pooled"]) if role == "clip" else transformer.width // layers
        if encoder.width != wanted:
            other = {2560: "4B", 4096: "8B"}.get(wanted, "") if role == "qwen3" else ""
            raise ModelFilesError(
                "text_encoder",
                encoder.name,
                f"a {ROLES[role]} {other}".rstrip() + f" of width {wanted} for {transformer.name} ({family.name});"
                f" this one's is {encoder.width}",
            )


def require_vae_fits(family: Family, vae: Component, transformer_name: str) -> None:
    """Raise ModelFilesError, naming both, where the VAE is another family's."""
    packed = family in (FLUX2_DEV, FLUX2_KLEIN, FLUX3)
    channels = family.latent_channels // 4 if packed else family.latent_channels
    if bool(vae.config["packed"]) != packed or vae.config["channels"] != channels:
        whose = "FLUX.2" if packed else "FLUX.1 (ae.safetensors)"
        raise ModelFilesError(
            "vae",
            vae.name,
            f"the VAE of {whose}, of {channels} channels, for {transformer_name} ({family.name});"
            f" this one has {vae.config['channels']}",
        )
