"""What the pack has to know of a model, as values. The kinds fill them in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple


@dataclass(frozen=True)
class ChatText:
    """How a language model reads a prompt: through its chat template, and which hidden states are the embedding."""

    part: str  # ComfyUI's name of the encoder
    layers: tuple[int, ...]  # indices of the hidden states, laid side by side along the width
    length: int  # tokens that a text is cut to, and padded to unless `window` says otherwise
    window: int = 0  # pad to the next multiple of this instead; 0 = to `length`
    thinking: bool | None = None  # the template's `enable_thinking`; None: the template has none
    system: str = ""  # system message before the user's
    forbidden: str = ""  # a mark that the template gives a meaning to, taken out of the text
    keeps_padding: bool = True  # False: the transformer sees the text's own tokens alone
    padding_position: int | None = None  # of padding on the position axis; None: the model decides


@dataclass(frozen=True)
class ComfyFacts:
    """What ComfyUI says of a family in its own words."""

    latent_format: str  # class in comfy.latent_formats
    model_type: str  # member of comfy.model_base.ModelType: how stock samplers space noise levels
    model_sampling: str  # class in comfy.model_sampling whose patch sets the time shift
    sampling_node: str  # the stock node that makes such a patch
    shift: Callable[[Mapping[str, Any]], float]  # scheduler's settings -> shift of samplers that know no size
    memory: Callable[[Any], float]  # transformer's config -> memory_usage_factor, as ComfyUI's own model has it
    patch_is_mu: bool = True  # whether such a patch's shift is mu of the time shift; False: the scheduler's own shift
    stock_reads_mask: bool = True  # False: ComfyUI's own model takes padding of a text for words
    stock_length: int = 0  # tokens that ComfyUI's own model pads its texts to, from the left; 0: it does not


@dataclass(frozen=True)
class Family:
    """Models of one architecture that share latents, text encoders and a VAE."""

    name: str
    since: str  # first diffusers release that has its classes
    latent_channels: int  # of ComfyUI's LATENT
    pixels_per_cell: int  # pixels a latent cell covers on each side
    cells_per_token: int  # latent cells a transformer token covers on each side
    scaling_factor: float  # normalised latent = (raw - shift_factor) * scaling_factor
    shift_factor: float
    parts: Mapping[str, str]  # components with weights, in the order they are loaded: name in a folder -> role
    max_tokens: int  # longest text the sequence encoder was trained with
    text: ChatText | None  # None: CLIP and T5
    timeshift: str  # how mu of the time shift follows from the size: a name in studio/sampling/schedule.py
    mask_resize: str  # how the reference brings a mask to the size of the latents
    cfg_around: str  # "negative": neg + cfg (pos - neg); "positive": pos + (cfg - 1)(pos - neg): equal but for rounding
    vae: str  # what a person calls its VAE
    comfyui: ComfyFacts
    vae_channels: int  # of the VAE's own latents; fewer than `latent_channels` where those are packed
    scheduler_config: Mapping[str, object] | None = None  # of folders that have no scheduler/; None: they must have one
    seeing: str = ""  # what a person calls its members that take references; "": the family's name

    @property
    def packed(self) -> bool:
        """Whether a cell of a LATENT is 2 x 2 cells of the VAE, laid on top of each other and normalised."""
        return self.vae_channels != self.latent_channels


@dataclass(frozen=True)
class Defaults:
    """What a model wants where its user says nothing."""

    steps: int
    guidance: float  # embedded in the model; of no effect on a model that embeds none
    cfg: float  # ComfyUI's meaning: 1 = off


@dataclass(frozen=True)
class Edition:
    """A pipeline class of diffusers: a family, and what this member of it wants to see beside the noise."""

    family: Family
    defaults: Defaults
    quick: Defaults | None = None  # of the member that was distilled to a few steps
    takes_references: bool = False
    # Its references attend to themselves alone, as clean pictures: their keys and values are the same at every noise level.
    keeps_references: bool = False
    since: str = ""  # first diffusers release that draws with it, where that is younger than its family
    beside_noise: int = 0  # latent channels that come beside the noise: a picture (16), or a picture and a mask (80)

    @property
    def in_channels(self) -> int:
        """Numbers of a token that the transformer takes in."""
        return (self.family.latent_channels + self.beside_noise) * self.family.cells_per_token**2


@dataclass(frozen=True)
class ModelFacts:
    """What a sampler has to know of one model."""

    edition: Edition
    defaults: Defaults
    scheduler_config: Mapping[str, Any]
    note: str = ""  # what its weights cannot tell

    @property
    def family(self) -> Family:
        """The family of its edition."""
        return self.edition.family


class Traits(NamedTuple):
    """What tells the members of a family apart, as far as weights and configs do."""

    guidance: bool  # whether guidance is embedded
    channels: int  # that go into the first layer
    marked: bool = False  # whether it has what only one member of its family has


class Widths(NamedTuple):
    """Of the texts that a transformer reads."""

    sequence: int  # of its embeddings
    pooled: int = 0  # of CLIP's pooled output; 0: it takes none


@dataclass(frozen=True)
class Licence:
    """A model's licence, for reports. It is quoted, not judged."""

    name: str
    commercial: str  # what it says about advertisements, in one sentence


APACHE = Licence("Apache-2.0", "commercial use is allowed")
UNKNOWN_LICENCE = Licence("not known to this pack", "read the model's own licence before advertising with its pictures")


class KnownModel(NamedTuple):
    """A published model, by the whole name of its folder: a name that only contains it may be a merge with other terms."""

    name: str
    repository: str  # OWNER/NAME; "": it comes with the pack
    licence: Licence
    files: tuple[str, ...] = ()  # single files that its makers, and ComfyUI's, publish: whole names without the ending
