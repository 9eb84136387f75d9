"""What a kind of model must answer. The rest of the pack asks, and does not know which kind it is."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import ModelFilesError
from .facts import Edition, Family, KnownModel, ModelFacts, Traits, Widths
from .names import LoraNames, Naming
from .part import Part

if TYPE_CHECKING:
    import torch

    from .original_names import Names
    from .velocity import Velocity

Config = Mapping[str, Any]  # a config.json


class Kind(Protocol):
    """A model that is a component of others: a transformer, a text encoder, a VAE."""

    role: str  # its short name inside the pack
    label: str  # what a person calls it, with an article where it wants one
    library: str  # "diffusers" or "transformers"
    classes: Mapping[str, str]  # what its config.json calls itself -> the class of the library that is loaded
    namings: tuple[Naming, ...] = ()  # its weights in single files, asked in this order

    @abstractmethod
    def config(self, part: Part) -> dict[str, Any]:
        """The configuration of its class, from the shapes of a file's weights. Raises ModelFilesError."""

    def class_of(self, part: Part) -> str:
        """The class of the library that a file's weights belong to."""
        return next(iter(self.classes.values()))

    def required_config(self) -> Config:
        """Settings that a config.json must not leave to the class's defaults, because those are another model's."""
        return {}

    def words_alone(self, cls: Any, config: Any, has_head: bool) -> tuple[Any, Any]:
        """Class and config of the part that reads words, of a model that also sees."""
        return cls, config


class TransformerKind(Kind, Protocol):
    """A transformer that predicts the flow's velocity."""

    editions: Mapping[str, Edition]  # by diffusers' pipeline class
    # Members whose files look like another member's, by what their user calls them.
    named_editions: Mapping[str, ModelFacts] = MappingProxyType({})
    models: tuple[KnownModel, ...] = ()
    lora: LoraNames = LoraNames()
    original_roots: frozenset[str] = frozenset()  # the first words of its weights' names in ComfyUI's own model
    stock: tuple[str, ...] = ()  # ComfyUI's own classes of such a model, MODULE.CLASS of its model or of its config

    @abstractmethod
    def widths(self, part: Part) -> Widths:
        """Widths of the texts it reads, from the shapes of a file's weights."""

    @abstractmethod
    def widths_in(self, config: Config, name: str) -> Widths:
        """The same from a config.json. Raises ModelFilesError, naming `name`, where it has none."""

    @abstractmethod
    def traits(self, part: Part) -> Traits:
        """What tells its editions apart, from the shapes of a file's weights."""

    @abstractmethod
    def traits_in(self, config: Config, name: str) -> Traits:
        """The same from a config.json. Raises ModelFilesError, naming `name`, where it has none."""

    @abstractmethod
    def describe(self, traits: Traits, name: str) -> ModelFacts:
        """Edition and defaults. Raises ModelFilesError, naming `name`, for traits that no edition has."""

    def may_be(self, described: ModelFacts, edition: ModelFacts) -> bool:
        """Whether what looks like `described` may be the one of `named_editions`."""
        same = edition.family is described.family
        return same and edition.edition.beside_noise == described.edition.beside_noise

    def is_distilled(self, index: Config, transformer: Config, scheduler: Config) -> bool:
        """Whether it was distilled to a few steps, from what its makers changed with it in a folder's configs."""
        return False

    def originals(self, names: set[str], norms: str) -> Names:
        """Its makers' name -> ours, of the weights of those names; {} where diffusers' names are all there are.

        norms: what the norms of queries and keys end with: "scale" in the makers' files, "weight" in ComfyUI's own models.
        """
        return {}

    @abstractmethod
    def velocity(self, transformer: torch.nn.Module, dtype: torch.dtype, edition: Edition) -> Velocity:
        """The module that calls `transformer` as its kind is called, computing in `dtype`."""


class TextEncoderKind(Kind, Protocol):
    """What reads words, or looks at pictures beside them: a part of ComfyUI's CLIP."""

    reader: str  # class of transformers that prepares its input
    reads_text: bool = True  # False: pictures
    comfyui_names: tuple[str, ...]  # ComfyUI's names of such a part of a CLIP
    vocabulary: tuple[str, ...] = ()  # where ComfyUI's package keeps the published tokenizer; (): nowhere
    # For a file that brings none.
    where_readers_are: str = "a diffusers folder with its tokenizer; in Python, ModelParts(tokenizers=FOLDER) names one"

    @abstractmethod
    def width(self, part: Part) -> int:
        """Of its hidden states."""

    @abstractmethod
    def width_in(self, config: Config, name: str) -> int:
        """The same from a config.json. Raises ModelFilesError, naming `name`, where it has none."""

    def wanted_width(self, widths: Widths, family: Family) -> int:
        """Its width in a family whose transformer reads texts of these widths."""
        return widths.sequence // (len(family.text.layers) if family.text else 1)

    def size(self, width: int) -> str:
        """What a person calls the published size of this width; "" where there is one size."""
        return ""

    def reader_folder(self, name: str) -> str:
        """The folder with its tokenizer, beside that of component `name`."""
        return name.replace("text_encoder", "tokenizer")

    def finish_reader(self, reader: Any) -> Any:
        """A tokenizer of the published vocabulary, with what only this model has of it."""
        return reader

    def own_reader(self, part: Part) -> Any | None:
        """The tokenizer that a file carries; None where it carries none. Raises ModelFilesError for a broken one."""
        return None


class VaeKind(Kind, Protocol):
    """What turns pictures into latents and back."""

    @abstractmethod
    def originals(self, names: set[str]) -> Names:
        """Its makers' name -> ours, of the weights of those names."""

    def channels(self, part: Part) -> int:
        """Of its own latents."""
        return part.length("decoder.conv_in.weight", 1)

    def channels_in(self, config: Config, name: str) -> int:
        """The same from a config.json. Raises ModelFilesError, naming `name`, where it has none."""
        return whole_number(config, "latent_channels", name)


def whole_number(config: Config, key: str, name: str) -> int:
    """A number of a config.json. Raises ModelFilesError, naming `name`, where it is missing or none above 0."""
    value = config.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ModelFilesError("model", name, f"a whole number for {key} in its config.json; it has {value!r}")
    return value
