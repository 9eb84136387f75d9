"""What is true of each model family and of each known model, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any


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
    padding_position: int | None = None  # where padding stands on the position axis; None: the model decides


@dataclass(frozen=True)
class Family:
    name: str
    since: str  # first diffusers release that has its classes
    latent_channels: int  # of ComfyUI's LATENT
    pixels_per_cell: int  # pixels a latent cell covers on each side
    cells_per_token: int  # latent cells a transformer token covers on each side
    scaling_factor: float  # normalised latent = (raw - shift_factor) * scaling_factor
    shift_factor: float
    components: Mapping[str, tuple[str, str]]  # with weights, in the order they are loaded: name -> library, class
    tokenizers: Mapping[str, tuple[str, str]]
    max_tokens: int  # longest text the sequence encoder was trained with
    text: ChatText | None  # None: CLIP and T5
    timeshift: str  # how mu of the time shift follows from the size: a name in studio/sampling/schedule.py
    mask_resize: str  # how the reference brings a mask to the size of the latents
    cfg_around: str  # "negative": neg + cfg (pos - neg); "positive": pos + (cfg - 1)(pos - neg): equal but for rounding
    # Settings that a shipped config must not leave to the class's defaults, because those are another model's.
    required_config: Mapping[str, Mapping[str, object]]
    scheduler_config: Mapping[str, object] | None = None  # of folders that have no scheduler/; None: they must have one
    image_processors: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # they prepare pictures for encoders

    @property
    def encoders(self) -> tuple[str, ...]:
        """The components that read words and look at pictures: ComfyUI's CLIP."""
        return tuple(name for name in self.components if name.startswith(("text_encoder", "siglip")))


_VAE_16 = MappingProxyType(
    {"scaling_factor": 0.3611, "shift_factor": 0.1159, "use_quant_conv": False, "use_post_quant_conv": False}
)
FLUX2_SYSTEM = (
    "You are an AI that reasons about image descriptions. You give structured responses focusing on object"
    " relationships, object\nattribution and actions without speculation."
)

FLUX1 = Family(
    name="FLUX.1",
    since="0.35",
    latent_channels=16,
    pixels_per_cell=8,
    cells_per_token=2,
    scaling_factor=0.3611,
    shift_factor=0.1159,
    components=MappingProxyType(
        {
            "text_encoder": ("transformers", "CLIPTextModel"),
            "text_encoder_2": ("transformers", "T5EncoderModel"),
            "transformer": ("diffusers", "FluxTransformer2DModel"),
            "vae": ("diffusers", "AutoencoderKL"),
        }
    ),
    tokenizers=MappingProxyType(
        {"tokenizer": ("transformers", "CLIPTokenizer"), "tokenizer_2": ("transformers", "T5TokenizerFast")}
    ),
    max_tokens=512,
    text=None,
    timeshift="linear",
    mask_resize="nearest",
    cfg_around="negative",
    required_config=MappingProxyType({"vae": _VAE_16}),
)

_FLUX2 = {
    "latent_channels": 128,
    "pixels_per_cell": 16,
    "cells_per_token": 1,
    "scaling_factor": 1.0,  # the VAE's own batch norm has normalised them
    "shift_factor": 0.0,
    "max_tokens": 512,
    "timeshift": "empirical",
    "mask_resize": "bilinear",
    "cfg_around": "negative",
    "required_config": MappingProxyType({}),
}
FLUX2_DEV = Family(
    name="FLUX.2 dev",
    since="0.36",
    components=MappingProxyType(
        {
            "text_encoder": ("transformers", "Mistral3ForConditionalGeneration"),
            "transformer": ("diffusers", "Flux2Transformer2DModel"),
            "vae": ("diffusers", "AutoencoderKLFlux2"),
        }
    ),
    tokenizers=MappingProxyType({"tokenizer": ("transformers", "PixtralProcessor")}),
    text=ChatText("mistral3_24b", (10, 20, 30), 512, system=FLUX2_SYSTEM, forbidden="[IMG]"),
    **_FLUX2,  # type: ignore[arg-type]
)
FLUX2_KLEIN = Family(
    name="FLUX.2 klein",
    since="0.37",
    components=MappingProxyType(
        {
            "text_encoder": ("transformers", "Qwen3ForCausalLM"),
            "transformer": ("diffusers", "Flux2Transformer2DModel"),
            "vae": ("diffusers", "AutoencoderKLFlux2"),
        }
    ),
    tokenizers=MappingProxyType({"tokenizer": ("transformers", "Qwen2TokenizerFast")}),
    text=ChatText("qwen3_4b", (9, 18, 27), 512, thinking=False),
    **_FLUX2,  # type: ignore[arg-type]
)
Z_IMAGE = Family(
    name="Z-Image",
    since="0.36",
    latent_channels=16,
    pixels_per_cell=8,
    cells_per_token=2,
    scaling_factor=0.3611,
    shift_factor=0.1159,
    components=MappingProxyType(
        {
            "text_encoder": ("transformers", "Qwen3ForCausalLM"),
            "transformer": ("diffusers", "ZImageTransformer2DModel"),
            "vae": ("diffusers", "AutoencoderKL"),
        }
    ),
    tokenizers=MappingProxyType({"tokenizer": ("transformers", "Qwen2TokenizerFast")}),
    max_tokens=512,
    text=ChatText("qwen3_4b", (-2,), 512, thinking=True, keeps_padding=False),
    timeshift="linear",
    mask_resize="nearest",
    cfg_around="positive",
    required_config=MappingProxyType({"vae": _VAE_16}),
)

Z_IMAGE_OMNI = replace(
    Z_IMAGE,
    name="Z-Image Omni",
    since="0.37",
    components=MappingProxyType({**Z_IMAGE.components, "siglip": ("transformers", "Siglip2VisionModel")}),
    image_processors=MappingProxyType({"siglip_processor": ("transformers", "Siglip2ImageProcessor")}),
)

FLUX3 = Family(
    name="FLUX.3",
    since="0.42",
    components=MappingProxyType(
        {
            "text_encoder": ("transformers", "Qwen3VLForConditionalGeneration"),
            "transformer": ("diffusers", "Flux3Transformer2DModel"),
            "vae": ("diffusers", "AutoencoderKLFlux2"),
        }
    ),
    tokenizers=MappingProxyType({"tokenizer": ("transformers", "Qwen3VLProcessor")}),
    # transformers 4.57, with which FLUX.3 was trained, put padding at position 1.
    text=ChatText("qwen3_vl", (4, 8, 12, 16, 20, 24, 28, 32), 8192, window=80, padding_position=1),
    scheduler_config=MappingProxyType({"num_train_timesteps": 1000, "shift": 6.93, "use_dynamic_shifting": False}),
    **{**_FLUX2, "timeshift": "linear"},  # type: ignore[arg-type]
)

FAMILIES = (FLUX1, FLUX2_DEV, FLUX2_KLEIN, FLUX3, Z_IMAGE, Z_IMAGE_OMNI)
Z_IMAGES = (Z_IMAGE, Z_IMAGE_OMNI)


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
    # Its references look at themselves alone, as clean pictures: what it knows of them is the same at every noise level.
    keeps_references: bool = False
    since: str = ""  # first diffusers release that draws with it, where that is younger than its family
    beside_noise: int = 0  # latent channels that come beside the noise: a picture (16), or a picture and a mask (80)


PIPELINES: Mapping[str, Edition] = MappingProxyType(
    {
        **dict.fromkeys(
            ("FluxPipeline", "FluxImg2ImgPipeline", "FluxInpaintPipeline"),
            Edition(FLUX1, Defaults(28, 3.5, 1.0), quick=Defaults(4, 0.0, 1.0)),
        ),
        **dict.fromkeys(
            ("FluxKontextPipeline", "FluxKontextInpaintPipeline"),
            Edition(FLUX1, Defaults(28, 2.5, 1.0), takes_references=True),
        ),
        "FluxFillPipeline": Edition(FLUX1, Defaults(50, 30.0, 1.0), beside_noise=80),
        **dict.fromkeys(
            ("FluxControlPipeline", "FluxControlImg2ImgPipeline", "FluxControlInpaintPipeline"),
            Edition(FLUX1, Defaults(28, 10.0, 1.0), beside_noise=16),
        ),
        "Flux2Pipeline": Edition(FLUX2_DEV, Defaults(50, 4.0, 1.0), takes_references=True),
        **dict.fromkeys(
            ("Flux2KleinPipeline", "Flux2KleinInpaintPipeline"),
            Edition(FLUX2_KLEIN, Defaults(50, 0.0, 4.0), quick=Defaults(4, 0.0, 1.0), takes_references=True),
        ),
        "Flux2KleinKVPipeline": Edition(
            FLUX2_KLEIN, Defaults(4, 0.0, 1.0), takes_references=True, keeps_references=True, since="0.38"
        ),
        "Flux3ModularPipeline": Edition(FLUX3, Defaults(50, 0.0, 3.5), takes_references=True),
        "Flux3DistilledModularPipeline": Edition(FLUX3, Defaults(16, 0.0, 1.0), takes_references=True),
        **dict.fromkeys(
            ("ZImagePipeline", "ZImageImg2ImgPipeline", "ZImageInpaintPipeline"),
            Edition(Z_IMAGE, Defaults(50, 0.0, 5.0), quick=Defaults(8, 0.0, 1.0)),
        ),
        "ZImageOmniPipeline": Edition(Z_IMAGE_OMNI, Defaults(50, 0.0, 6.0), takes_references=True),
    }
)


def is_quick(edition: Edition, index: Mapping[str, Any], transformer: Mapping[str, Any], scheduler: Mapping[str, Any]):
    """Whether the model of these configs was distilled to a few steps. Read from what its makers changed with it."""
    if edition.family is FLUX1:
        return not transformer.get("guidance_embeds", False)  # schnell
    if edition.family is FLUX2_KLEIN:
        return bool(index.get("is_distilled", False))
    if edition.family is Z_IMAGE:
        return float(scheduler.get("shift", 3.0)) <= 3.0  # Turbo; the base model's is 6
    return False


# FLUX.1-dev's scheduler settings, for a MODEL that comes without a scheduler of its own (a stock loader's).
DEV_SCHEDULER = MappingProxyType(
    {
        "num_train_timesteps": 1000,
        "shift": 3.0,
        "use_dynamic_shifting": True,
        "base_shift": 0.5,
        "max_shift": 1.15,
        "base_image_seq_len": 256,
        "max_image_seq_len": 4096,
    }
)
SCHNELL_SCHEDULER = MappingProxyType({**DEV_SCHEDULER, "shift": 1.0, "use_dynamic_shifting": False})
Z_IMAGE_SCHEDULER = MappingProxyType({"num_train_timesteps": 1000, "shift": 3.0, "use_dynamic_shifting": False})


@dataclass(frozen=True)
class Licence:
    name: str
    commercial: str  # what it says about advertisements, in one sentence


APACHE = Licence("Apache-2.0", "commercial use is allowed")
FLUX_DEV = Licence(
    "FLUX.1 [dev] Non-Commercial License",
    "the model may not be used commercially without a licence from Black Forest Labs; read its terms on outputs",
)
FLUX2_DEV_LICENCE = Licence(
    "FLUX [dev] Non-Commercial License",
    "the model may not be used commercially without a licence from Black Forest Labs; read its terms on outputs",
)
UNKNOWN_LICENCE = Licence("not known to this pack", "read the model's own licence before advertising with its pictures")

# Repositories by the folder's whole name: a name that only contains a known one may be a merge with other terms.
KNOWN_MODELS = {
    "FLUX.1-schnell": ("black-forest-labs/FLUX.1-schnell", APACHE),
    "FLUX.1-dev": ("black-forest-labs/FLUX.1-dev", FLUX_DEV),
    "FLUX.1-Krea-dev": ("black-forest-labs/FLUX.1-Krea-dev", FLUX_DEV),
    "FLUX.1-Fill-dev": ("black-forest-labs/FLUX.1-Fill-dev", FLUX_DEV),
    "FLUX.1-Kontext-dev": ("black-forest-labs/FLUX.1-Kontext-dev", FLUX_DEV),
    "FLUX.1-Canny-dev": ("black-forest-labs/FLUX.1-Canny-dev", FLUX_DEV),
    "FLUX.1-Depth-dev": ("black-forest-labs/FLUX.1-Depth-dev", FLUX_DEV),
    "FLUX.2-dev": ("black-forest-labs/FLUX.2-dev", FLUX2_DEV_LICENCE),
    "FLUX.2-klein-4B": ("black-forest-labs/FLUX.2-klein-4B", APACHE),
    "FLUX.2-klein-base-4B": ("black-forest-labs/FLUX.2-klein-base-4B", APACHE),
    "FLUX.2-klein-9B": ("black-forest-labs/FLUX.2-klein-9B", FLUX2_DEV_LICENCE),
    "FLUX.2-klein-9b-kv": ("black-forest-labs/FLUX.2-klein-9b-kv", FLUX2_DEV_LICENCE),
    "FLUX.2-klein-9b-kv-fp8": ("black-forest-labs/FLUX.2-klein-9b-kv-fp8", FLUX2_DEV_LICENCE),
    "FLUX.2-klein-base-9B": ("black-forest-labs/FLUX.2-klein-base-9B", FLUX2_DEV_LICENCE),
    "Z-Image-Turbo": ("Tongyi-MAI/Z-Image-Turbo", APACHE),
    "Z-Image": ("Tongyi-MAI/Z-Image", APACHE),
    "flux-micro": ("", APACHE),
}
# The single files that their makers, and ComfyUI's, publish: whole names too, without the ending.
KNOWN_FILES = {
    "FLUX.1-schnell": ("flux1-schnell", "flux1-schnell-fp8"),
    "FLUX.1-dev": ("flux1-dev", "flux1-dev-fp8"),
    "FLUX.1-Krea-dev": ("flux1-krea-dev", "flux1-krea-dev_fp8_scaled"),
    "FLUX.1-Fill-dev": ("flux1-fill-dev",),
    "FLUX.1-Kontext-dev": ("flux1-kontext-dev", "flux1-dev-kontext_fp8_scaled"),
    "FLUX.1-Canny-dev": ("flux1-canny-dev",),
    "FLUX.1-Depth-dev": ("flux1-depth-dev",),
    "FLUX.2-dev": ("flux2-dev", "flux2_dev_fp8mixed"),
    "FLUX.2-klein-4B": ("flux-2-klein-4b", "flux-2-klein-4b-fp8", "flux-2-klein-4b-nvfp4"),
    "FLUX.2-klein-base-4B": ("flux-2-klein-base-4b", "flux-2-klein-base-4b-fp8", "flux-2-klein-base-4b-nvfp4"),
    "FLUX.2-klein-9B": ("flux-2-klein-9b", "flux-2-klein-9b-fp8", "flux-2-klein-9b-nvfp4"),
    "FLUX.2-klein-9b-kv": ("flux-2-klein-9b-kv", "flux-2-klein-9b-kv-fp8"),
    "FLUX.2-klein-base-9B": ("flux-2-klein-base-9b", "flux-2-klein-base-9b-fp8", "flux-2-klein-base-9b-nvfp4"),
    "Z-Image-Turbo": ("z_image_turbo_bf16", "z_image_turbo_nvfp4"),
    "Z-Image": ("z_image_bf16",),
}


def _spelt(name: str) -> str:
    return name.lower().replace("_", "-")


def _known(name: str) -> tuple[str, Licence] | None:
    """The entry of a folder called NAME, OWNER--NAME, or of a file's stem, in any case, with `_` or `-`."""
    wanted = _spelt(name.rsplit("--", 1)[-1])
    for known, entry in KNOWN_MODELS.items():
        if wanted in map(_spelt, (known, *KNOWN_FILES.get(known, ()))):
            return entry
    return None


def licence_of(name: str) -> Licence:
    """The licence of a known model by the whole name of its folder or of its file without the ending, or UNKNOWN_LICENCE."""
    known = _known(name)
    return known[1] if known else UNKNOWN_LICENCE


def repository_of(folder_name: str) -> str:
    """OWNER/NAME to download a folder's model from; OWNER stands for what its name does not tell."""
    known = _known(folder_name)
    if known and known[0]:
        return known[0]
    return folder_name.replace("--", "/", 1) if "--" in folder_name else f"OWNER/{folder_name}"
