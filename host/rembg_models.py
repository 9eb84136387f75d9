"""rembg's networks as files that ComfyUI knows, run beside whatever else is on the GPU."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import comfy.model_management as mm
import comfy.model_patcher
import folder_paths
import torch

from ..studio.errors import InputError
from ..studio.layout.subject import SaliencyCache
from ..studio.packages import PackageError
from ..studio.product import networks, rembg_mattes
from . import out_of_memory
from .progress import check_cancel

if TYPE_CHECKING:
    from ..studio.product import cutout

BUNDLED = "u2netp"
CPU = "CPUExecutionProvider"
BUILT_IN = rembg_mattes.BUILT_IN
_BUNDLED_FOLDER = Path(__file__).parent.parent / "models" / "rembg"


class RembgNetwork(torch.nn.Module):
    """What ComfyUI's log calls such a network. Its weights are onnxruntime's, while there is a session."""

    session: Any = None


class NetworkPatcher(comfy.model_patcher.ModelPatcher):
    """A session among ComfyUI's loaded models: loading opens it, and unloading, for whatever reason, lets go of it."""

    def __init__(self, name: str, path: Path, providers: list[Any], device: torch.device, size: int):
        super().__init__(RembgNetwork(), device, torch.device("cpu"), size)
        self.name, self.path, self.providers = name, path, providers

    def loaded_size(self) -> int:
        return self.size if self.model.session is not None else 0

    def current_loaded_device(self) -> torch.device:
        return self.load_device if self.model.session is not None else self.offload_device

    def partially_load(self, device_to: Any, extra_memory: float = 0, force_patch_weights: bool = False) -> int:
        if self.model.session is not None:
            return 0
        self.model.session = networks.open_session(self.name, self.path, self.providers)
        logging.info("Storefront: opened %s", self.path.name)
        return self.size

    def partially_unload(self, device_to: Any, memory_to_free: float = 0, force_patch_weights: bool = False) -> int:
        return 0  # there is no half of a session; ComfyUI then detaches it whole

    def unpatch_model(self, device_to: Any = None, unpatch_weights: bool = True) -> None:
        if self.model.session is not None:
            self.model.session = None
            logging.info("Storefront: released %s", self.path.name)


# The one network that its user asked to keep, by what it was made from. ComfyUI may have emptied it meanwhile.
_KEPT: dict[tuple[str, int, str], NetworkPatcher] = {}


def files() -> dict[str, Path]:
    """Name -> file of every network in ComfyUI's `rembg` paths that rembg can run here, and the bundled one first."""
    found = _onnx_files()
    known = [name for name in networks.NETWORKS if name in found]
    others = [name for name in sorted(found) if name not in known and not name.startswith(rembg_mattes.VITMATTE)]
    if others:  # only then, since it takes a second: names that rembg may know and the table does not
        try:
            known += [name for name in others if name in networks.session_classes()]
        except PackageError as error:
            logging.warning("Storefront: %s", error)
    return {BUNDLED: _BUNDLED_FOLDER / f"{BUNDLED}.onnx", **{name: found[name] for name in known}}


def _onnx_files() -> dict[str, Path]:
    """Name without .onnx -> file; of two of a name the first."""
    folder_paths.add_model_folder_path("rembg", str(Path(folder_paths.models_dir) / "rembg"))
    found: dict[str, Path] = {}
    for root in folder_paths.get_folder_paths("rembg"):
        for file in sorted(Path(root).glob("*.onnx")):
            if file.is_file():
                found.setdefault(file.stem, file)
    found.pop(BUNDLED, None)
    return found


def find(name: str) -> Path:
    """The file of a listed network. Only names of the list are opened, so no path can be smuggled in."""
    known = files()
    if isinstance(name, str) and name in known:
        return known[name]
    if isinstance(name, str) and name in networks.NETWORKS:
        raise InputError("model", name, f"{name}.onnx (from rembg's releases on GitHub) in ComfyUI's models/rembg")
    raise InputError("model", name, "one of: " + ", ".join(known))


def mattes() -> list[str]:
    """What refines the edge: ours, and what rembg has for it where that is installed."""
    return rembg_mattes.offered(sorted(_onnx_files()))


def _matte(name: str, providers: list[Any]) -> Any:
    """The function of one of `mattes`. Raises InputError for another name."""
    if name not in (known := mattes()):
        wanted = "one of: " + ", ".join(known)
        if isinstance(name, str) and name.startswith(rembg_mattes.VITMATTE):
            wanted += f"; or {name}.onnx (from rembg's releases on GitHub) in ComfyUI's models/rembg"
        raise InputError("matting", name, wanted)
    if name == rembg_mattes.BUILT_IN:
        from ..studio.product import matting

        return matting.refine
    if name == rembg_mattes.CLOSED_FORM:
        return rembg_mattes.closed_form
    return rembg_mattes.vitmatte(_onnx_files()[name], providers)


def cut_out(images: Any, name: str, edges: cutout.Edges, keep_loaded: bool, matte: str) -> cutout.Cutout:
    """`cutout.cut_out` with a session of the network `name`, which is gone afterwards unless it is to be kept.

    On a GPU ComfyUI makes the room first, and has it back at the end. A kept session goes when ComfyUI unloads its
    models or needs the room. Listens for Cancel before each picture. Where memory runs out, it is tried again with no other
    model in memory, then on the CPU, which a note says. Raises OutOfMemory where that does not help.
    """
    path = find(name)
    providers = _providers(mm.get_torch_device())
    tries = [providers, providers, [CPU]] if len(providers) > 1 else [providers, providers]
    for number, chosen in enumerate(tries):
        try:
            cut = _cut_out(images, path, edges, keep_loaded and not number, matte, chosen)
            fallback = "out of memory, cut out on the CPU" if chosen != providers else out_of_memory.ONCE_MORE
            return cut._replace(notes=(*cut.notes, fallback)) if number else cut
        except Exception as error:
            if not out_of_memory.ran_out(error):
                raise
        # Outside of the handler: the exception holds what filled the memory.
        mm.unload_all_models()
        mm.soft_empty_cache()
    shape = "x".join(str(side) for side in getattr(images, "shape", ())[1:3][::-1])
    smaller = "a smaller picture" if name == BUNDLED else f"a smaller picture, or model {BUNDLED}"
    raise out_of_memory.OutOfMemory("image", f"a picture of {shape} pixels that does not fit into memory", smaller)


def _cut_out(
    images: Any, path: Path, edges: cutout.Edges, keep_loaded: bool, matte: str, providers: list[Any]
) -> cutout.Cutout:
    from ..studio.product import cutout, matting

    name, device = path.stem, mm.get_torch_device()
    refine = _matte(matte, providers) if edges.refine else matting.refine
    key = (str(path), path.stat().st_mtime_ns, str(device))
    loaded = _KEPT.pop(key, None)
    while _KEPT:
        _KEPT.popitem()[1].detach()
    if loaded is None or loaded.providers != providers:
        # A session in main memory stands among the models of ComfyUI's device too, so that it is unloaded with them.
        size = int(networks.network(name).room * 1024**3) if len(providers) > 1 else 1
        loaded = NetworkPatcher(name, path, providers, device, size)
    mm.load_models_gpu([loaded])
    if keep_loaded:
        _KEPT[key] = loaded
    try:
        return cutout.cut_out(images, partial(networks.saliency, loaded.model.session), edges, check_cancel, refine)
    finally:
        if not keep_loaded:
            loaded.detach()
            del loaded  # and with it its entry in ComfyUI's list
            mm.soft_empty_cache()


def find_subject(picture: torch.Tensor) -> torch.Tensor:
    """How salient each spot of a scene, uint8 [H, W, 3], is, by the bundled network: [side, side] in 0..1.

    On the CPU, where it takes a fifth of a second, so that no model leaves the GPU for it; asked once about each scene.
    Raises InputError where nothing stands out.
    """
    return _SUBJECTS(picture)


def _ask_bundled(picture: torch.Tensor) -> torch.Tensor:
    session = networks.open_session(BUNDLED, files()[BUNDLED], [CPU])
    return networks.saliency(session, picture)


_SUBJECTS = SaliencyCache(_ask_bundled)


def _providers(device: Any) -> list[Any]:
    """onnxruntime's execution providers for ComfyUI's device, the CPU last."""
    import onnxruntime

    providers: list[Any] = [CPU]
    if device.type == "cuda" and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        # Take what is needed and no more: by default its arena doubles, beside a resident FLUX.
        options = {"device_id": device.index or 0, "arena_extend_strategy": "kSameAsRequested"}
        providers.insert(0, ("CUDAExecutionProvider", options))
    return providers
