"""Models opened once and used for many pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import torch

from ..backdrop import FREE_GROUND, WHOLE, Backdrop
from ..errors import InputError, ModelFilesError, require_one_of
from ..kinds.facts import UNKNOWN_LICENCE, Licence
from ..opening import merging
from ..opening.models import Description, ModelFiles, describe
from ..opening.sources import Published, readers_of_comfyui, readers_of_folder
from ..product import networks
from ..sampling.pipeline import FluxStudio

_MODELS = Path(__file__).parent.parent.parent / "models"
BUNDLED = _MODELS / "flux-micro"
BUNDLED_NETWORK = _MODELS / "rembg" / "u2netp.onnx"
AUTO = "auto"
# fp16 is not among them: FLUX.1's VAE overflows in it.
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


BACKDROPS = {"flux-micro": FREE_GROUND}


@dataclass(frozen=True, eq=False)
class Model:
    """A FLUX model in memory. `load_model` makes one."""

    studio: FluxStudio
    name: str = "a model"
    licence: Licence = UNKNOWN_LICENCE
    notes: tuple[str, ...] = ()  # on its LoRAs

    @property
    def side(self) -> int:
        """Pixels: the model draws best at about this number squared."""
        return int(getattr(self.studio.vae.config, "sample_size", None) or 1024)

    @property
    def backdrop(self) -> Backdrop:
        """The part of its pictures that is free for a product; of a real model the whole picture."""
        return BACKDROPS.get(self.name, WHOLE)


@dataclass(frozen=True)
class ModelParts:
    """A model whose parts are files and folders chosen apart, as in Load FLUX Components.

    transformer: a .safetensors or .gguf file, or a diffusers folder. text_encoders: the same, in any order; empty: with the
    transformer. vae: the same; None: with the transformer. edition: what the weights cannot tell ("FLUX.1 Kontext").
    tokenizers: for text encoders that are single files: a diffusers folder of the model, whose weights need not be there,
    or ComfyUI's folder `comfy`.
    """

    transformer: str | Path
    text_encoders: Sequence[str | Path] = ()
    vae: str | Path | None = None
    edition: str = AUTO
    tokenizers: str | Path | None = None

    def __post_init__(self) -> None:
        if isinstance(self.text_encoders, str | Path):
            raise InputError(
                "text_encoders", str(self.text_encoders), "a list of files or folders, also where it is one"
            )

    def describe(self) -> Description:
        """Raises ModelFilesError or InputError where the parts are broken or do not fit together."""
        transformer = Path(self.transformer)
        texts = tuple(Path(text) for text in self.text_encoders) or (transformer,)
        return describe(ModelFiles(transformer, texts, Path(self.vae) if self.vae else transformer, self.edition))

    def published(self, described: Description) -> Published | None:
        """The tokenizers in the folder that was named for them."""
        if self.tokenizers is None:
            return None
        folder = Path(self.tokenizers)
        if any((folder / name).is_dir() for name in ("sd1_tokenizer", "text_encoders")):
            return readers_of_comfyui(folder)
        return readers_of_folder(folder, described.family)


ModelChoice: TypeAlias = "Model | FluxStudio | ModelParts | str | Path | None"
_WANTED = "a folder or file, ModelParts, or what load_model returns"


def load_model(
    folder: str | Path | ModelParts | None = None,
    *,
    device: str = AUTO,
    dtype: str = AUTO,
    loras: Mapping[str | Path, float] | None = None,
) -> Model:
    """A model in diffusers layout, a single file that holds everything, or parts chosen apart (ModelParts); None is the
    bundled flux-micro.

    device: "auto" (a GPU where there is one), or torch's name for one. dtype: what is computed in: "fp32", "bf16", or
    "auto" (bf16 on a CUDA device that is good at it, else fp32). With "auto", GGUF and quantised weights stay small in
    memory and are expanded for each use; with the others they are expanded once. The whole model must fit the device.
    loras: file -> strength, added to the weights one after the other (LoRA, LoHa, LoKr, in every trainer's names); quantised
    weights are then expanded once. What of a file belongs to no layer is a note of every picture's report.
    Raises ModelFilesError for a model that is not whole, InputError for a device that is not there.
    """
    place = device_of(device)
    require_one_of("dtype", dtype, (AUTO, *DTYPES))
    described = _described(folder)
    published = folder.published(described) if isinstance(folder, ModelParts) else None
    own = _best_dtype(place) if dtype == AUTO else DTYPES[dtype]
    studio = FluxStudio.open(described, own, str(place), published, keep_stored=dtype == AUTO and not loras)
    return Model(studio, described.name, described.licence, _merged(studio, loras or {}))


def _merged(studio: FluxStudio, loras: Mapping[str | Path, float]) -> tuple[str, ...]:
    """Notes on what was not matched."""
    if not isinstance(loras, Mapping):
        raise InputError("loras", type(loras).__name__, "a dict, file -> strength")
    texts = {name: getattr(studio.encoders, name) for name in ("clip_l", "t5xxl") if hasattr(studio.encoders, name)}
    names = merging.names_of(studio.velocity.transformer, texts) if loras else {}
    notes = []
    for file, strength in loras.items():
        done = merging.merge(file, strength, names)
        if done.unmatched:
            shown = ", ".join(done.unmatched[:3])
            notes.append(
                f"{Path(file).name}: {done.layers} layers matched, {len(done.unmatched)} keys not ({shown} ...)"
            )
    return tuple(notes)


def _described(model: str | Path | ModelParts | None) -> Description:
    if isinstance(model, ModelParts):
        return model.describe()
    return describe(ModelFiles.whole(BUNDLED if model is None else Path(model)))


def _best_dtype(place: torch.device) -> torch.dtype:
    """bf16 where the device itself computes in it. Older GPUs emulate it, which is slower than fp32."""
    if place.type != "cuda":
        return DTYPES["fp32"]
    with torch.cuda.device(place):
        return DTYPES["bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"]


def as_model(model: ModelChoice) -> Model:
    """What a function was given for its model, loaded where it is not yet."""
    if isinstance(model, Model):
        return model
    if isinstance(model, FluxStudio):
        return Model(model)
    if model is None or isinstance(model, str | Path | ModelParts):
        return load_model(model)
    raise InputError("model", type(model).__name__, _WANTED)


def check_model(model: ModelChoice) -> None:
    """Raise what `as_model` would, without reading weights."""
    if isinstance(model, str | Path | ModelParts):
        _described(model)
    elif model is not None and not isinstance(model, Model | FluxStudio):
        raise InputError("model", type(model).__name__, _WANTED)


def device_of(name: str) -> torch.device:
    """A device that is there. Raises InputError for another."""
    if name == AUTO:
        return torch.device(
            "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        )
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise InputError("device", name, "auto, cpu, or a GPU that is there such as cuda:0") from error
    return device


@dataclass(frozen=True, eq=False)
class Cutter:
    """A network that finds products. `load_cutter` makes one."""

    name: str
    session: Any  # rembg's session

    def find(self, picture: torch.Tensor) -> torch.Tensor:
        """How much of a product every spot of a picture, uint8 [H, W, 3], is: [side, side] in 0..1."""
        return networks.saliency(self.session, picture)

    @property
    def terms(self) -> str:
        """The network's licence and what it says about commercial use, in one line."""
        return networks.network(self.name).terms


def load_cutter(file: str | Path | None = None, *, device: str = "cpu") -> Cutter:
    """One of rembg's networks from its file NAME.onnx; None is the bundled u2netp.

    device: "cpu", or "cuda" with onnxruntime-gpu installed. Raises ModelFilesError for a file that is none of them,
    PackageError where rembg is missing.
    """
    import onnxruntime

    path = BUNDLED_NETWORK if file is None else Path(file)
    if path.suffix != ".onnx" or not path.is_file() or path.stem not in networks.session_classes():
        known = ", ".join(f"{name}.onnx" for name in networks.session_classes())
        raise ModelFilesError("cutter", str(path), f"a file with the name of one of rembg's networks: {known}")
    providers = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
    if providers.get(device) not in onnxruntime.get_available_providers():
        raise InputError("device", device, "cpu, or cuda with onnxruntime-gpu installed")
    return Cutter(
        path.stem, networks.open_session(path.stem, path, list(dict.fromkeys([providers[device], providers["cpu"]])))
    )


def as_cutter(cutter: Cutter | str | Path | None) -> Cutter:
    """What a function was given for its cutter, loaded where it is not yet."""
    if isinstance(cutter, Cutter):
        return cutter
    if cutter is None or isinstance(cutter, str | Path):
        return load_cutter(cutter)
    raise InputError("cutter", type(cutter).__name__, "a file NAME.onnx, or what load_cutter returns")


def subject_finder(cutter: Cutter | None = None) -> Cutter:
    """The bundled network, which tells whether a scene has a subject: `cutter` where it is that one, else loaded once."""
    return cutter if cutter is not None and cutter.name == BUNDLED_NETWORK.stem else _bundled_cutter()


@lru_cache(maxsize=1)
def _bundled_cutter() -> Cutter:
    return load_cutter()
