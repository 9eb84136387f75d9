"""rembg's networks as files that ComfyUI knows, run beside whatever else is on the GPU."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import Any

import comfy.model_management as mm
import comfy.model_patcher
import folder_paths
import torch

from ..studio.errors import InputError
from ..studio.product import cutout
from .progress import check_cancel

BUNDLED = "u2netp"
_BUNDLED_FOLDER = Path(__file__).parent.parent / "models" / "rembg"


class RembgNetwork(torch.nn.Module):
    """What ComfyUI's log calls such a network. Its weights are onnxruntime's, while there is a session."""

    session: Any = None


class NetworkPatcher(comfy.model_patcher.ModelPatcher):
    """A session among ComfyUI's loaded models: loading opens it, and unloading, for whatever reason, lets go of it."""

    def __init__(self, path: Path, providers: list[Any], device: torch.device, size: int):
        super().__init__(RembgNetwork(), device, torch.device("cpu"), size)
        self.path, self.providers = path, providers

    def loaded_size(self) -> int:
        return self.size if self.model.session is not None else 0

    def current_loaded_device(self) -> torch.device:
        return self.load_device if self.model.session is not None else self.offload_device

    def partially_load(self, device_to: Any, extra_memory: float = 0, force_patch_weights: bool = False) -> int:
        if self.model.session is not None:
            return 0
        self.model.session = cutout.open_session(self.path, self.providers)
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
    """Name -> file of every known network in ComfyUI's `rembg` paths, and the bundled one first."""
    folder_paths.add_model_folder_path("rembg", str(Path(folder_paths.models_dir) / "rembg"))
    found = {BUNDLED: _BUNDLED_FOLDER / f"{BUNDLED}.onnx"}
    for root in folder_paths.get_folder_paths("rembg"):
        for name in cutout.NETWORKS:
            if (Path(root) / f"{name}.onnx").is_file():
                found.setdefault(name, Path(root) / f"{name}.onnx")
    return found


def find(name: str) -> Path:
    """The file of a known network. Only names of the table are looked for, so no path can be smuggled in."""
    known = files()
    if not isinstance(name, str) or name not in cutout.NETWORKS:
        raise InputError("model", name, "one of: " + ", ".join(known))
    if name not in known:
        folder = Path("models") / "rembg"
        raise InputError(
            "model", name, f"{name}.onnx (from rembg's releases on GitHub) in ComfyUI's {folder.as_posix()}"
        )
    return known[name]


def cut_out(images: Any, name: str, edges: cutout.Edges, keep_loaded: bool) -> cutout.Cutout:
    """`cutout.cut_out` with a session of the network `name`, which is gone afterwards unless it is to be kept.

    On a GPU ComfyUI makes the room first, and has it back at the end. A kept session goes when ComfyUI unloads its
    models or needs the room. Listens for Cancel before each picture.
    """
    path = find(name)
    network = cutout.NETWORKS[name]
    device = mm.get_torch_device()
    key = (str(path), path.stat().st_mtime_ns, str(device))
    loaded = _KEPT.pop(key, None)
    while _KEPT:
        _KEPT.popitem()[1].detach()
    if loaded is None:
        providers = _providers(device)
        # A session in main memory stands among the models of ComfyUI's device too, so that it is unloaded with them.
        size = int(network.room * 1024**3) if len(providers) > 1 else 1
        loaded = NetworkPatcher(path, providers, device, size)
    mm.load_models_gpu([loaded])
    if keep_loaded:
        _KEPT[key] = loaded
    try:
        return cutout.cut_out(images, partial(cutout.saliency, loaded.model.session, network), edges, check_cancel)
    finally:
        if not keep_loaded:
            loaded.detach()
            del loaded  # and with it its entry in ComfyUI's list
            mm.soft_empty_cache()


def _providers(device: Any) -> list[Any]:
    """onnxruntime's execution providers for ComfyUI's device, the CPU last."""
    import onnxruntime

    providers: list[Any] = ["CPUExecutionProvider"]
    if device.type == "cuda" and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        # Take what is needed and no more: by default its arena doubles, beside a resident FLUX.
        options = {"device_id": device.index or 0, "arena_extend_strategy": "kSameAsRequested"}
        providers.insert(0, ("CUDAExecutionProvider", options))
    return providers
