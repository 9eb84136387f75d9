"""What is true of each model family and of each known model, as data."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Family:
    name: str
    pipelines: tuple[str, ...]  # `_class_name` in model_index.json
    latent_channels: int
    pixels_per_cell: int  # pixels a latent cell covers on each side
    cells_per_token: int  # latent cells a transformer token covers on each side
    scaling_factor: float  # normalised latent = (raw - shift_factor) * scaling_factor
    shift_factor: float
    components: tuple[str, ...]  # model components that need weights, in the order they are loaded
    tokenizers: tuple[str, ...]
    max_tokens: int  # longest text the sequence encoder was trained with
    # Settings that a shipped config must not leave to the class's defaults, because those are another model's.
    required_config: MappingProxyType[str, MappingProxyType[str, object]]


FLUX1 = Family(
    name="FLUX.1",
    pipelines=("FluxPipeline", "FluxImg2ImgPipeline", "FluxInpaintPipeline"),
    latent_channels=16,
    pixels_per_cell=8,
    cells_per_token=2,
    scaling_factor=0.3611,
    shift_factor=0.1159,
    components=("text_encoder", "text_encoder_2", "transformer", "vae"),
    tokenizers=("tokenizer", "tokenizer_2"),
    max_tokens=512,
    required_config=MappingProxyType(
        {
            "vae": MappingProxyType(
                {
                    "scaling_factor": 0.3611,
                    "shift_factor": 0.1159,
                    "use_quant_conv": False,
                    "use_post_quant_conv": False,
                }
            ),
        }
    ),
)

FAMILIES = (FLUX1,)

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


@dataclass(frozen=True)
class Licence:
    name: str
    commercial: str  # what it says about advertisements, in one sentence


APACHE = Licence("Apache-2.0", "commercial use is allowed")
FLUX_DEV = Licence(
    "FLUX.1 [dev] Non-Commercial License",
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
    "flux-micro": ("", APACHE),
}


def _known(folder_name: str) -> tuple[str, Licence] | None:
    """The entry of a folder called NAME, OWNER--NAME, in any case, with `_` or `-`."""
    name = folder_name.rsplit("--", 1)[-1].lower().replace("_", "-")
    return next((entry for known, entry in KNOWN_MODELS.items() if known.lower() == name), None)


def licence_of(folder_name: str) -> Licence:
    """The licence of a known model by its folder's whole name, or UNKNOWN_LICENCE."""
    known = _known(folder_name)
    return known[1] if known else UNKNOWN_LICENCE


def repository_of(folder_name: str) -> str:
    """OWNER/NAME to download a folder's model from; OWNER stands for what its name does not tell."""
    known = _known(folder_name)
    if known and known[0]:
        return known[0]
    return folder_name.replace("--", "/", 1) if "--" in folder_name else f"OWNER/{folder_name}"
