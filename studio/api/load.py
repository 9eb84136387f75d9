"""Models opened once and used for many pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import torch

from ..errors import InputError, ModelFilesError
from ..kinds.families import UNKNOWN_LICENCE, Licence, licence_of
from ..opening.checkpoints import inspect
from ..product import cutout
from ..sampling.pipeline import FluxStudio

_MODELS = Path(__file__).parent.parent.parent / "models"
BUNDLED = _MODELS / "flux-micro"
BUNDLED_NETWORK = _MODELS / "rembg" / "u2netp.onnx"
AUTO = "auto"
# fp16 is not among them: FLUX.1's VAE overflows in it.
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


class Backdrop(NamedTuple):
    """Which part of what a model draws serves as a scene."""

    left: float = 0.0  # shares of the width that are kept
    right: float = 1.0
    blur: int = 0  # pixels: how far the softening reaches
    sigma: float = 1.0  # pixels


WHOLE = Backdrop()
# flux-micro puts a product into every picture; the ground to its left is free.
BACKDROPS = {"flux-micro": Backdrop(0.0, 0.25, 2, 3.0)}


@dataclass(frozen=True, eq=False)
class Model:
    """A FLUX model in memory. `load_model` makes one."""

    studio: FluxStudio
    name: str = "a model"
    licence: Licence = UNKNOWN_LICENCE

    @property
    def side(self) -> int:
        """Pixels: the model draws best at about this number squared."""
        return int(getattr(self.studio.vae.config, "sample_size", None) or 1024)

    @property
    def backdrop(self) -> Backdrop:
        return BACKDROPS.get(self.name, WHOLE)


ModelChoice: TypeAlias = "Model | FluxStudio | str | Path | None"


def load_model(folder: str | Path | None = None, *, device: str = AUTO, dtype: str = AUTO) -> Model:
    """A model folder in diffusers layout; None is the bundled flux-micro.

    device: "auto" (a GPU where there is one), or torch's name for one. dtype: "fp32", "bf16", or "auto" (bf16 on a CUDA
    device that is good at it, else fp32). The whole model must fit the device. Raises ModelFilesError for a folder that is
    not whole, InputError for a device that is not there.
    """
    place = device_of(device)
    if dtype not in (AUTO, *DTYPES):
        raise InputError("dtype", dtype, "one of: " + ", ".join((AUTO, *DTYPES)))
    path = BUNDLED if folder is None else Path(folder)
    studio = FluxStudio.load(path, _best_dtype(place) if dtype == AUTO else DTYPES[dtype], str(place))
    return Model(studio, path.name, licence_of(path.name))


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
    if model is None or isinstance(model, str | Path):
        return load_model(model)
    raise InputError("model", type(model).__name__, "a folder, or what load_model returns")


def check_model(model: ModelChoice) -> None:
    """Raise what `as_model` would, without reading weights."""
    if isinstance(model, str | Path):
        inspect(Path(model))
    elif model is not None and not isinstance(model, Model | FluxStudio):
        raise InputError("model", type(model).__name__, "a folder, or what load_model returns")


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
    session: Any  # onnxruntime.InferenceSession

    def find(self, picture: torch.Tensor) -> torch.Tensor:
        """How much of a product every spot of a picture, uint8 [H, W, 3], is: [side, side] in 0..1."""
        return cutout.saliency(self.session, cutout.NETWORKS[self.name], picture)

    @property
    def terms(self) -> str:
        return cutout.NETWORKS[self.name].terms


def load_cutter(file: str | Path | None = None, *, device: str = "cpu") -> Cutter:
    """One of rembg's networks from its file NAME.onnx; None is the bundled u2netp.

    device: "cpu", or "cuda" with onnxruntime-gpu installed. Raises ModelFilesError for a file that is none of them.
    """
    import onnxruntime

    path = BUNDLED_NETWORK if file is None else Path(file)
    if path.stem not in cutout.NETWORKS or path.suffix != ".onnx" or not path.is_file():
        known = ", ".join(f"{name}.onnx" for name in cutout.NETWORKS)
        raise ModelFilesError("cutter", str(path), f"a file with the name of one of rembg's networks: {known}")
    providers = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
    if providers.get(device) not in onnxruntime.get_available_providers():
        raise InputError("device", device, "cpu, or cuda with onnxruntime-gpu installed")
    return Cutter(path.stem, cutout.open_session(path, list(dict.fromkeys([providers[device], providers["cpu"]]))))


def as_cutter(cutter: Cutter | str | Path | None) -> Cutter:
    """What a function was given for its cutter, loaded where it is not yet."""
    if isinstance(cutter, Cutter):
        return cutter
    if cutter is None or isinstance(cutter, str | Path):
        return load_cutter(cutter)
    raise InputError("cutter", type(cutter).__name__, "a file NAME.onnx, or what load_cutter returns")
