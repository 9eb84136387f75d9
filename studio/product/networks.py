"""The networks that find a product: rembg's own sessions over files of this machine, and on what terms each comes."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import importlib.util
import math
import sys
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..cancelling import apart
from ..errors import InputError, ModelFilesError
from ..out_of_memory import ran_out
from ..packages import PackageError, command, not_installed

if TYPE_CHECKING:
    import torch

APACHE_2 = "Apache-2.0"
FREE = "free for commercial use"
PRIVATE = "_storefront_rembg"
DEFAULT_SIDE = 1024  # pixels of the square that a network sees which does not say its own
NEED_MORE = ("sam",)  # sessions that ask for points or boxes beside the picture


class Network(NamedTuple):
    """What rembg does not say of a network."""

    room: float  # GiB that a run takes on a GPU, weights included
    licence: str
    commercial: str = FREE

    @property
    def terms(self) -> str:
        """Licence and what it says about commercial use, in one line."""
        return f"licence {self.licence}; {self.commercial}"


_BIREFNET = Network(8, "MIT")
_U2NET = Network(1, APACHE_2)
# By rembg's names; the file of each is NAME.onnx.
NETWORKS: dict[str, Network] = {
    "u2netp": _U2NET,
    "u2net": _U2NET,
    "u2net_human_seg": _U2NET,
    "u2net_cloth_seg": Network(3, "MIT"),
    "silueta": _U2NET,
    "isnet-general-use": Network(3, APACHE_2),
    "isnet-anime": Network(3, APACHE_2),
    "birefnet-general": _BIREFNET,
    "birefnet-general-lite": Network(5, "MIT"),
    "birefnet-general-fp16": _BIREFNET,
    "birefnet-portrait": _BIREFNET,
    "birefnet-dis": _BIREFNET,
    "birefnet-hrsod": _BIREFNET,
    "birefnet-cod": _BIREFNET,
    "birefnet-massive": _BIREFNET,
    "ben_custom": Network(6, APACHE_2),
    "bria-rmbg": Network(6, "BRIA RMBG-2.0 (CC BY-NC 4.0)", "NOT for commercial use without a paid licence from BRIA"),
}
UNKNOWN = Network(8, "unknown", "ask its author whether an ad may be made with it")


def network(name: str) -> Network:
    """The facts about a network; UNKNOWN for one that rembg knows and the table does not."""
    return NETWORKS.get(name, UNKNOWN)


# --- rembg ------------------------------------------------------------------------------------------------------------


def has_module(name: str) -> bool:
    """Whether the installed rembg has a module; runs nothing."""
    spec = importlib.util.find_spec("rembg")
    folders = spec.submodule_search_locations if spec else None
    return any((Path(folder) / f"{name}.py").is_file() for folder in folders or ())


def rembg_module(name: str) -> Any:
    """A module of rembg without rembg's own `__init__`, which compiles numba code for minutes in a fresh environment.

    It gets a private name, so that another pack's `import rembg` finds rembg itself. Raises PackageError.
    """
    spec = importlib.util.find_spec("rembg")  # runs nothing
    if spec is None or not spec.submodule_search_locations:
        raise PackageError(not_installed(["rembg"]))
    if PRIVATE not in sys.modules:
        package = types.ModuleType(PRIVATE)
        package.__path__ = list(spec.submodule_search_locations)
        sys.modules[PRIVATE] = package
    try:
        return importlib.import_module(f"{PRIVATE}.{name}")
    except ImportError as error:
        if (error.name or "").startswith(PRIVATE):
            raise moved(f"has no module {name}") from error
        raise


def moved(what: str) -> PackageError:
    """The error for a release of rembg that is built otherwise than those that this pack knows."""
    version = importlib.metadata.version("rembg")
    return PackageError(f"rembg {version} {what}: this pack does not know that release. Run: {command('rembg')}")


@functools.cache
def session_classes() -> dict[str, type]:
    """rembg's session classes by name, without those that send the picture away or ask for more than a picture.

    Raises PackageError.
    """
    sessions = getattr(rembg_module("sessions"), "sessions", None)
    if not isinstance(sessions, dict) or not hasattr(sessions.get("u2netp"), "predict"):
        raise moved("has no table of sessions with u2netp in it")
    return {name: one for name, one in sessions.items() if name not in NEED_MORE and _runs_here(one)}


def _runs_here(session: Any) -> bool:
    """Releases before 2.0.77 have no sessions that upload, and do not ask."""
    is_local = getattr(session, "is_local", lambda: True)()
    return is_local and not getattr(session, "requires_credentials", lambda: False)()


class _Watched:
    """An onnxruntime session that remembers how sure its last answer was: rembg stretches every answer to 0..1, noise too."""

    def __init__(self, session: Any):
        self._session = session
        self.surest = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run(self, *arguments: Any, **options: Any) -> Any:
        answers = self._session.run(*arguments, **options)
        low, high = float(answers[0].min()), float(answers[0].max())
        # Networks answer in probabilities or, where any value is below 0, in logits.
        self.surest = 1 / (1 + math.exp(-high)) if low < 0 else high
        return answers


def open_session(name: str, path: Path, providers: list[Any]) -> Any:
    """rembg's session of the network `name` over a file; nothing is downloaded.

    Raises ModelFilesError for a file that is no network, PackageError where rembg cannot be used.
    """
    import onnxruntime

    theirs = session_classes().get(name)
    if theirs is None:
        version = importlib.metadata.version("rembg")
        raise ModelFilesError("model", name, f"a network that rembg {version} knows; a newer rembg may know this one")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # Its threads would keep both cores busy for a while after each run, just when the edge is refined on them.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        opened = onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # onnxruntime's own errors share no other base
        if ran_out(error):
            raise
        raise ModelFilesError("model", path.name, f"an ONNX file that onnxruntime can read ({error})") from error

    class Local(theirs):  # type: ignore[misc,valid-type]
        """Theirs, without the `__init__` that looks for its file in rembg's own folder and downloads it."""

        def __init__(self) -> None:
            self.model_name, self.inner_session = name, _Watched(opened)

    return Local()


def saliency(session: Any, picture: torch.Tensor) -> torch.Tensor:
    """How much of a product every spot of `picture` uint8 [H, W, 3] is: float32 [side, side] in 0..1.

    What rembg's session answers for the picture at the network's own size. Raises InputError where the network sees
    nothing that stands out, ModelFilesError where the file is another network's than its name says.
    """
    import numpy as np
    import torch
    import torch.nn.functional as F
    from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument
    from PIL import Image

    side = _side(session)
    # rembg takes Pillow's Lanczos filter: ten times the time for a picture that differs by a fifth of a level.
    square = F.interpolate(picture.movedim(-1, 0)[None], size=(side, side), mode="bicubic", antialias=True)
    image = Image.fromarray(square[0].movedim(0, -1).contiguous().numpy())
    try:
        masks = apart(lambda: session.predict(image))
    except AttributeError as error:
        raise moved(f"asks its session for what this pack does not give it ({error})") from error
    except InvalidArgument as error:
        raise ModelFilesError(
            "model", session.model_name, f"the network of that name from rembg's releases ({error})"
        ) from error
    found = np.max([np.asarray(mask.convert("L")) for mask in masks], axis=0)  # clothes come in several
    if session.inner_session.surest < 0.5 or not found.any():
        raise InputError(
            "image",
            f"{picture.shape[1]} x {picture.shape[0]} pixels in which the network finds no object",
            "a picture with a product in it; crop closer, or try another model",
        )
    return torch.from_numpy(found).float().mul_(1 / 255)


def _side(session: Any) -> int:
    """Pixels of the square that a session's network sees, as its file says."""
    side = session.inner_session.get_inputs()[0].shape[-1]
    return side if isinstance(side, int) else DEFAULT_SIDE
