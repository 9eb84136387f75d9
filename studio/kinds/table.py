"""Every kind of model that the pack opens. A new one is a module beside these and a row here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, TypeVar

from . import flux1, flux2, flux3, text_encoders, vaes, z_image
from .facts import UNKNOWN_LICENCE, Edition, Family, KnownModel, Licence, ModelFacts
from .kind import Kind, TextEncoderKind, TransformerKind, VaeKind
from .names import LoraNames

if TYPE_CHECKING:
    import torch

    from .velocity import Velocity

TRANSFORMERS: tuple[TransformerKind, ...] = (flux1.KIND, flux2.KIND, flux3.KIND, z_image.KIND)
TEXT_ENCODERS: tuple[TextEncoderKind, ...] = text_encoders.KINDS
VAES: tuple[VaeKind, ...] = vaes.KINDS
DEFAULT_FAMILY = flux1.FLUX1  # of an empty canvas, until a model says its own

_AnyKind = TypeVar("_AnyKind", bound=Kind)


def kinds() -> tuple[Kind, ...]:
    """Every kind of model: transformers, text encoders, VAEs."""
    return (*TRANSFORMERS, *TEXT_ENCODERS, *VAES)


def kind_of(role: str) -> Kind:
    """The kind with this role. Raises StopIteration for another."""
    return next(kind for kind in kinds() if kind.role == role)


def among(kinds: Mapping[str, Kind], some: tuple[_AnyKind, ...]) -> dict[str, _AnyKind]:
    """Those of `kinds` that are of one sort, such as VAES."""
    known = {kind.role: kind for kind in some}
    return {name: known[kind.role] for name, kind in kinds.items() if kind.role in known}


def of_class(name: str, some: Iterable[_AnyKind]) -> _AnyKind | None:
    """The kind whose config.json calls itself so."""
    return next((kind for kind in some if name in kind.classes), None)


def editions() -> dict[str, Edition]:
    """By diffusers' pipeline class."""
    return {name: edition for kind in TRANSFORMERS for name, edition in kind.editions.items()}


def families() -> tuple[Family, ...]:
    """Every family, once, in the order of the table."""
    return tuple({edition.family.name: edition.family for edition in editions().values()}.values())


def family_names() -> str:
    """The families, for a message: "FLUX.1, FLUX.2 dev ... or Z-Image"."""
    return _either([family.name for family in families()])


def names_that_take_references() -> str:
    """What takes reference pictures, for a message: "FLUX.1 Kontext, FLUX.2 dev ... or Z-Image Omni"."""
    seeing = [edition.family for edition in editions().values() if edition.takes_references]
    return _either(list(dict.fromkeys(family.seeing or family.name for family in seeing)))


def _either(names: list[str]) -> str:
    *more, last = names
    return f"{', '.join(more)} or {last}" if more else last


def longest_text() -> int:
    """Tokens of the longest text that any family reads."""
    return max(family.max_tokens for family in families())


def part_names() -> tuple[str, ...]:
    """The folders that components have in diffusers' layout."""
    return tuple(dict.fromkeys(name for family in families() for name in family.parts))


def named_editions() -> dict[str, ModelFacts]:
    """The members of families whose files look like another member's, by what their user calls them."""
    return {name: facts for kind in TRANSFORMERS for name, facts in kind.named_editions.items()}


def encoders_of(family: Family) -> dict[str, TextEncoderKind]:
    """Name of the component -> its kind, of what a family's texts and references are read with."""
    known = {kind.role: kind for kind in TEXT_ENCODERS}
    return {name: known[role] for name, role in family.parts.items() if role in known}


def label_of_encoder(comfyui_name: str) -> str:
    """What a person calls a part of a CLIP."""
    known = {name: kind.label for kind in TEXT_ENCODERS for name in kind.comfyui_names}
    return known.get(comfyui_name, comfyui_name)


def make_velocity(transformer: torch.nn.Module, dtype: torch.dtype, edition: Edition) -> Velocity:
    """The Velocity of a diffusers transformer of one of the families. Raises ValueError for another."""
    kind = of_class(type(transformer).__name__, TRANSFORMERS)
    if kind is None:
        raise ValueError(f"no kind has the transformer {type(transformer).__name__}")
    return kind.velocity(transformer, dtype, edition)


def lora_names(transformer: str) -> LoraNames:
    """How LoRA files may name the layers of a transformer's class; empty for one that no kind has."""
    kind = of_class(transformer, TRANSFORMERS)
    return kind.lora if kind else LoraNames()


# --- known models -----------------------------------------------------------------------------------------------------


def _spelt(name: str) -> str:
    return name.lower().replace("_", "-")


def _known(name: str) -> KnownModel | None:
    """The model of a folder called NAME, OWNER--NAME, or of a file's stem, in any case, with `_` or `-`."""
    wanted = _spelt(name.rsplit("--", 1)[-1])
    models = (model for kind in TRANSFORMERS for model in kind.models)
    return next((model for model in models if wanted in map(_spelt, (model.name, *model.files))), None)


def licence_of(name: str) -> Licence:
    """The licence of a known model by the whole name of its folder or of its file without the ending, or UNKNOWN_LICENCE."""
    known = _known(name)
    return known.licence if known else UNKNOWN_LICENCE


def repository_of(folder_name: str) -> str:
    """OWNER/NAME to download a folder's model from; OWNER stands for what its name does not tell."""
    known = _known(folder_name)
    if known and known.repository:
        return known.repository
    return folder_name.replace("--", "/", 1) if "--" in folder_name else f"OWNER/{folder_name}"
