"""A file or a folder that models are taken from, and the components in it, of which no weight is in memory yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ModelFilesError
from ..kinds import table
from ..kinds.facts import Edition, Family, ModelFacts, Widths
from ..kinds.kind import Kind, TextEncoderKind, TransformerKind, VaeKind
from ..kinds.part import Part
from . import filling, folders
from .parts import parts_of, require_known_format, what_is_in
from .releases import require_classes, require_release
from .weight_files import open_file

if TYPE_CHECKING:
    import torch

Published = Callable[[TextEncoderKind], "Any | None"]  # the tokenizer of a kind of text encoder, for files without one


@dataclass(frozen=True)
class Component:
    """One model that can be loaded."""

    name: str  # as its user knows it: a file, or FOLDER/COMPONENT
    # (dtype, keep) -> module in eval mode, without gradients; `keep` as in filling.fill. Raises ModelFilesError.
    load: Callable[[torch.dtype, bool], torch.nn.Module]


@dataclass(frozen=True)
class TransformerComponent(Component):
    """A transformer that was found, not yet loaded."""

    kind: TransformerKind
    facts: ModelFacts
    widths: Callable[[], Widths]  # of the texts it reads. Raises ModelFilesError


@dataclass(frozen=True)
class TextEncoderComponent(Component):
    """A text encoder that was found, not yet loaded, and its tokenizer where it brings one."""

    kind: TextEncoderKind
    width: Callable[[], int]  # of its hidden states. Raises ModelFilesError
    own_reader: Callable[[], Any | None]  # the tokenizer that comes with it; None where none does

    def read(self, published: Published | None) -> Any:
        """Its tokenizer or image processor: its own, or the published one. Raises ModelFilesError where there is none."""
        reader = self.own_reader()
        if reader is None and published is not None:
            reader = published(self.kind)
        if reader is None:
            raise ModelFilesError("text_encoder", self.name, self.kind.where_readers_are)
        return reader


@dataclass(frozen=True)
class VaeComponent(Component):
    """A VAE that was found, not yet loaded."""

    kind: VaeKind
    channels: Callable[[], int]  # of its own latents. Raises ModelFilesError


@dataclass(frozen=True)
class Source:
    """A file or a folder that components are chosen from."""

    path: Path
    transformer: TransformerComponent | None
    encoders: Mapping[str, TextEncoderComponent]  # by role
    vae: VaeComponent | None
    holds: str  # for an error: what is in it

    @property
    def is_whole(self) -> bool:
        """Whether it has all that its transformer needs to draw."""
        if self.transformer is None or self.vae is None:
            return False
        encoders = table.encoders_of(self.transformer.facts.family).values()
        return all(kind.role in self.encoders for kind in encoders if kind.reads_text)


def open_source(path: Path) -> Source:
    """What a file or a diffusers folder holds. Raises ModelFilesError where it is broken or of a foreign format."""
    return _open_folder(path) if path.is_dir() else _open_file(path)


# --- single files -------------------------------------------------------------------------------------------------------


def _open_file(path: Path) -> Source:
    file = open_file(path)
    require_known_format(file)
    parts = parts_of(file)
    transformers = [_transformer_of(parts[kind.role], kind) for kind in table.TRANSFORMERS if kind.role in parts]
    encoders = {kind.role: _encoder_of(parts[kind.role], kind) for kind in table.TEXT_ENCODERS if kind.role in parts}
    own_vaes = [_vae_of(parts[kind.role], kind) for kind in table.VAES if kind.role in parts]
    return Source(
        path, next(iter(transformers), None), encoders, next(iter(own_vaes), None), f"the file holds {what_is_in(file)}"
    )


def _loader(part: Part) -> Callable[[torch.dtype, bool], torch.nn.Module]:
    return lambda dtype, keep: filling.load_part(part, dtype, keep)


def _transformer_of(part: Part, kind: TransformerKind) -> TransformerComponent:
    # Now: the list of files opens each, and must hear of a broken one.
    name, widths = part.file.path.name, kind.widths(part)
    return TransformerComponent(name, _loader(part), kind, kind.describe(kind.traits(part), name), lambda: widths)


def _encoder_of(part: Part, kind: TextEncoderKind) -> TextEncoderComponent:
    width = kind.width(part)
    return TextEncoderComponent(part.file.path.name, _loader(part), kind, lambda: width, lambda: kind.own_reader(part))


def _vae_of(part: Part, kind: VaeKind) -> VaeComponent:
    channels = kind.channels(part)
    return VaeComponent(part.file.path.name, _loader(part), kind, lambda: channels)


# --- folders ------------------------------------------------------------------------------------------------------------


def holds(folder: Path, kind: str) -> bool:
    """Whether a component of the folder whose name begins with `kind` is of a class that is opened here.

    One whose config.json is broken counts too: opening it says what is wrong.
    """
    for config in folder.glob(f"{kind}*/config.json"):
        try:
            if table.of_class(_class_in(folders.read_json(config)), table.kinds()):
                return True
        except ModelFilesError:
            return True
    return False


def _class_in(config: Mapping[str, Any]) -> str:
    architectures = config.get("architectures")
    first = architectures[0] if isinstance(architectures, list) and architectures else ""
    return str(config.get("_class_name") or first)


def _open_folder(folder: Path) -> Source:
    """What is in a folder of components, by the classes that their configs name."""
    found = {}
    for name in table.part_names():
        if (folder / name / "config.json").is_file():
            kind = table.of_class(_class_in(folders.read_json(folder / name / "config.json")), table.kinds())
            if kind is not None:
                found[name] = kind
    return _source(folder, found, None)


def open_whole_folder(folder: Path) -> Source:
    """A diffusers folder whose index says what it is. Reads headers and configs only, no weights.

    Raises ModelFilesError that names the file, what is wrong with it and how to get a good one.
    """
    index = folders.read_index(folder)
    editions = table.editions()
    edition = editions.get(str(index.get("_class_name")))
    if edition is None:
        where = getattr(folders.index_file(folder), "name", "")
        wanted = f"one of {', '.join(editions)}; its {where} says {index.get('_class_name')!r}"
        raise ModelFilesError("model", folder.name, wanted)
    require_classes(folder.name, edition.family)
    require_release(folder.name, edition)
    for name in edition.family.parts:
        folders.check_weights(folder, name)
    for name, kind in table.encoders_of(edition.family).items():
        folders.check_reader(folder / kind.reader_folder(name), kind)
    return _source(folder, {name: table.kind_of(role) for name, role in edition.family.parts.items()}, edition)


def _source(folder: Path, kinds: Mapping[str, Kind], edition: Edition | None) -> Source:
    """`kinds`: of the components, by their names. `edition`: what the index says of them; None: it says nothing."""
    configs = {name: folders.read_json(folder / name / "config.json") for name in kinds}
    checked = edition is not None
    transformers = [
        _folder_transformer(folder, kind, configs[name], edition)
        for name, kind in table.among(kinds, table.TRANSFORMERS).items()
    ]
    encoders = {
        kind.role: _folder_encoder(folder / name, kind, configs[name], checked)
        for name, kind in table.among(kinds, table.TEXT_ENCODERS).items()
    }
    own_vaes = [
        _folder_vae(folder / name, kind, configs[name], checked)
        for name, kind in table.among(kinds, table.VAES).items()
    ]
    labels = ", ".join(dict.fromkeys(kind.label for kind in kinds.values())) or "nothing that this pack knows"
    return Source(
        folder, next(iter(transformers), None), encoders, next(iter(own_vaes), None), f"the folder holds {labels}"
    )


def _folder_loader(
    part: Path, kind: Kind, config: Mapping[str, Any], checked: bool
) -> Callable[[torch.dtype, bool], torch.nn.Module]:
    """`checked`: whether the headers of its weights were, as those of a whole folder are when it is opened."""
    cls = kind.classes.get(_class_in(config)) or next(iter(kind.classes.values()))

    def load(dtype: torch.dtype, keep: bool) -> torch.nn.Module:
        if not checked:
            folders.check_weights(part.parent, part.name)
        return folders.load_module(part, kind, cls, dtype, keep)

    return load


def _folder_transformer(
    folder: Path, kind: TransformerKind, config: Mapping[str, Any], edition: Edition | None
) -> TransformerComponent:
    part = folder / "transformer"
    name = f"{folder.name}/{part.name}"
    facts = _facts(folder, kind, config, edition)
    return TransformerComponent(
        name, _folder_loader(part, kind, config, edition is not None), kind, facts, lambda: kind.widths_in(config, name)
    )


def _facts(folder: Path, kind: TransformerKind, config: Mapping[str, Any], edition: Edition | None) -> ModelFacts:
    """From the index and the scheduler where they are there, else from the transformer's config alone."""
    index = folders.read_index(folder) if folders.index_file(folder) else {}
    if edition is None:
        described = kind.describe(kind.traits_in(config, f"{folder.name}/transformer"), f"{folder.name}/transformer")
        edition = kind.editions.get(str(index.get("_class_name")))
        if edition is None or edition.family is not described.family or not (folder / "scheduler").is_dir():
            return described
    scheduler = folders.read_scheduler(folder, edition.family)
    quick = edition.quick if edition.quick and kind.is_distilled(index, config, scheduler) else None
    return ModelFacts(edition, quick or edition.defaults, scheduler)


def _folder_encoder(
    part: Path, kind: TextEncoderKind, config: Mapping[str, Any], checked: bool
) -> TextEncoderComponent:
    name = f"{part.parent.name}/{part.name}"
    reader = part.parent / kind.reader_folder(part.name)
    return TextEncoderComponent(
        name,
        _folder_loader(part, kind, config, checked),
        kind,
        lambda: kind.width_in(config, name),
        lambda: folders.load_reader(reader, kind) if reader.is_dir() else None,
    )


def _folder_vae(part: Path, kind: VaeKind, config: Mapping[str, Any], checked: bool) -> VaeComponent:
    name = f"{part.parent.name}/{part.name}"
    return VaeComponent(name, _folder_loader(part, kind, config, checked), kind, lambda: kind.channels_in(config, name))


# --- published tokenizers -----------------------------------------------------------------------------------------------


def readers_of_comfyui(package: Path) -> Published:
    """The vocabularies that ComfyUI's package `comfy` has beside its code, with the published templates."""

    def read(kind: TextEncoderKind) -> Any | None:
        folder = package.joinpath(*kind.vocabulary)
        return kind.finish_reader(folders.load_reader(folder, kind)) if kind.vocabulary and folder.is_dir() else None

    return read


def readers_of_folder(folder: Path, family: Family) -> Published:
    """The tokenizers of a diffusers folder of a family, whose weights need not be there."""
    names = {kind.role: kind.reader_folder(name) for name, kind in table.encoders_of(family).items()}

    def read(kind: TextEncoderKind) -> Any | None:
        part = folder / names[kind.role]
        return folders.load_reader(part, kind) if part.is_dir() else None

    return read
