"""The one way to open a model: a path or several -> a description -> modules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import InputError, ModelFilesError
from ..kinds import table
from ..kinds.facts import Defaults, Edition, Family, Licence, ModelFacts
from ..kinds.kind import TextEncoderKind
from . import folders
from .releases import require_release
from .sources import (
    Component,
    Source,
    TextEncoderComponent,
    TransformerComponent,
    VaeComponent,
    open_source,
    open_whole_folder,
)

AUTO = "auto"


@dataclass(frozen=True)
class ModelFiles:
    """Where a model's parts are: files (safetensors, GGUF, whole checkpoints) and diffusers folders.

    A text encoder or VAE that comes with the transformer has the transformer's path; None: it is not wanted.
    """

    transformer: Path
    text_encoders: tuple[Path | None, ...]  # in any order
    vae: Path | None
    edition: str = AUTO  # one of table.named_editions(); "auto": what the weights say
    is_whole: bool = False  # all of it is in one place

    @classmethod
    def whole(cls, path: Path) -> ModelFiles:
        """A model whose transformer, text encoders and VAE are in one folder or file."""
        return cls(path, (path,), path, is_whole=True)


@dataclass(frozen=True)
class Description:
    """One model, of which no weight is in memory yet."""

    name: str
    facts: ModelFacts
    transformer: TransformerComponent
    encoders: tuple[TextEncoderComponent, ...]  # in the family's order; empty where none is wanted
    vae: VaeComponent | None
    paths: tuple[Path, ...]  # that it is opened from, the transformer's first

    @property
    def edition(self) -> Edition:
        """The model's edition."""
        return self.facts.edition

    @property
    def family(self) -> Family:
        """The model's family."""
        return self.facts.family

    @property
    def defaults(self) -> Defaults:
        """Steps, guidance and cfg that its makers advise."""
        return self.facts.defaults

    @property
    def scheduler_config(self) -> Mapping[str, Any]:
        """Settings of diffusers' FlowMatchEulerDiscreteScheduler."""
        return self.facts.scheduler_config

    @property
    def licence(self) -> Licence:
        """By the name of its file or folder; unknown for one that is no published name."""
        path = self.paths[0]
        return table.licence_of(path.stem if path.is_file() else path.name)

    @property
    def notes(self) -> list[str]:
        """Lines for the report: name, family, licence, and what is unusual about it."""
        licence = self.licence
        notes = [f"{self.name}: {self.family.name}; licence {licence.name}; {licence.commercial}"]
        return [*notes, f"{self.name}: {self.facts.note}"] if self.facts.note else notes

    def component(self, name: str) -> Component:
        """By its name in the family's folders: "transformer", "text_encoder", "vae". Raises KeyError for another."""
        role = self.family.parts[name]
        every: dict[str, Component] = {encoder.kind.role: encoder for encoder in self.encoders}
        every[self.transformer.kind.role] = self.transformer
        if self.vae is not None:
            every[self.vae.kind.role] = self.vae
        return every[role]

    def preview_factors(self) -> dict[str, Any] | None:
        """The folder's own linear map from latents to RGB, where it has one."""
        return folders.preview_factors(self.paths[0]) if self.paths[0].is_dir() else None


def describe(files: ModelFiles) -> Description:
    """What is in the files, and that it fits together. Reads headers and configs only, no weights.

    Raises ModelFilesError or InputError, naming the file, where something is broken, missing, another family's, or of no
    use.
    """
    source = _open_first(files)
    opened = {files.transformer: source}
    for path in (*files.text_encoders, files.vae):
        if path is not None and path not in opened:
            opened[path] = open_source(path)
    transformer = source.transformer
    if transformer is None:
        raise _missing(source, f"the transformer of {table.family_names()}")
    if files.edition != AUTO:
        transformer = _of_edition(transformer, files.edition)
    texts = [None if path is None else opened[path] for path in files.text_encoders]
    encoders = _encoders(transformer, texts, source)
    if files.is_whole:
        encoders += _vision(transformer, source)
    vae = None if files.vae is None else _vae(transformer, opened[files.vae], source)
    name = source.path.name if files.is_whole else transformer.name
    return Description(name, transformer.facts, transformer, encoders, vae, tuple(opened))


def _open_first(files: ModelFiles) -> Source:
    if files.is_whole and files.transformer.is_dir():
        return open_whole_folder(files.transformer)
    return open_source(files.transformer)


def _missing(source: Source, wanted: str) -> ModelFilesError:
    return ModelFilesError("model", source.path.name, f"{wanted}; {source.holds}")


def _of_edition(transformer: TransformerComponent, edition: str) -> TransformerComponent:
    """What a user says of a transformer that looks like another. Raises InputError where it cannot be that."""
    named = table.named_editions()
    if edition not in named:
        raise InputError("edition", edition, "one of: auto, " + ", ".join(named))
    if not transformer.kind.may_be(transformer.facts, named[edition]):
        family = transformer.facts.family
        looks = [known for known, facts in named.items() if facts.family is family]
        wanted = f"auto, or one that {transformer.name} may be: {', '.join(looks) or 'none is known'}"
        raise InputError("edition", edition, wanted)
    require_release(transformer.name, named[edition].edition)
    return replace(transformer, facts=named[edition])


# --- what fits what -----------------------------------------------------------------------------------------------------


def _encoders(
    transformer: TransformerComponent, texts: list[Source | None], beside: Source
) -> tuple[TextEncoderComponent, ...]:
    """The text encoders in the family's order, from the sources chosen for them before the transformer's own."""
    family = transformer.facts.family
    wanted = [kind for kind in table.encoders_of(family).values() if kind.reads_text]
    named = [text for text in texts if text is not None and text is not beside]
    sources = [*named, *([beside] if beside in texts else [])]
    if not sources:
        return ()
    names = " and ".join(kind.label for kind in wanted)
    whose = f"{transformer.name} ({family.name})"
    for source in named:
        if not any(kind.role in source.encoders for kind in wanted):
            raise _missing(source, f"{names} for {whose}")
    givers = [_giver(kind, sources, names, whose) for kind in wanted]
    _require_all_of_use(texts, [*givers, beside], names, transformer.name)
    encoders = [giver.encoders[kind.role] for giver, kind in zip(givers, wanted, strict=True)]
    for encoder in encoders:
        _require_text_fits(transformer, encoder)
    return tuple(encoders)


def _vision(transformer: TransformerComponent, source: Source) -> tuple[TextEncoderComponent, ...]:
    """What looks at pictures beside a family's words. It comes with a whole model or not at all."""
    kinds = table.encoders_of(transformer.facts.family).values()
    return tuple(source.encoders[kind.role] for kind in kinds if not kind.reads_text and kind.role in source.encoders)


def _giver(kind: TextEncoderKind, sources: list[Source], names: str, whose: str) -> Source:
    """The first source that holds a kind of text encoder."""
    for source in sources:
        if kind.role in source.encoders:
            return source
    raise ModelFilesError(
        "text_encoder",
        ", ".join(dict.fromkeys(source.path.name for source in sources)),
        f"{names} for {whose}; {kind.label} is missing,"
        " choose a file or folder that holds it in text_encoder or text_encoder_2",
    )


def _require_all_of_use(texts: list[Source | None], used: list[Source], names: str, transformer: str) -> None:
    """Raise ModelFilesError, naming the input, for a source that nothing is taken from."""
    for index, text in enumerate(texts):
        if text is not None and text not in used:
            taken = ", ".join(dict.fromkeys(source.path.name for source in used[:-1]))
            raise ModelFilesError(
                "text_encoder" if index == 0 else f"text_encoder_{index + 1}",
                text.path.name,
                f"auto or none: {taken} comes first and has all of {names} for {transformer}",
            )


def _require_text_fits(transformer: TransformerComponent, encoder: TextEncoderComponent) -> None:
    """Raise ModelFilesError, naming both, where an encoder's width is not what the transformer reads."""
    family, kind = transformer.facts.family, encoder.kind
    width, wanted = encoder.width(), kind.wanted_width(transformer.widths(), family)
    if width != wanted:
        raise ModelFilesError(
            "text_encoder",
            encoder.name,
            f"a {kind.label} {kind.size(wanted)}".rstrip()
            + f" of width {wanted} for {transformer.name} ({family.name});"
            f" this one's is {width}",
        )


def _vae(transformer: TransformerComponent, source: Source, beside: Source) -> VaeComponent:
    if source.vae is None:
        raise _missing(source, "a VAE; choose one in `vae`" if source is beside else "a VAE")
    family, vae = transformer.facts.family, source.vae
    if vae.kind.role != family.parts["vae"] or vae.channels() != family.vae_channels:
        raise ModelFilesError(
            "vae",
            vae.name,
            f"the VAE of {family.vae}, of {family.vae_channels} channels, for {transformer.name} ({family.name});"
            f" this one has {vae.channels()}",
        )
    return vae
