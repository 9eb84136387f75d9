"""rembg's networks as files that ComfyUI knows, run beside whatever else is on the GPU."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import comfy.model_management as mm
import folder_paths

from ..studio.errors import InputError
from ..studio.product import cutout
from .progress import check_cancel

BUNDLED = "u2netp"
_BUNDLED_FOLDER = Path(__file__).parent.parent / "models" / "rembg"

# The one session that its user asked to keep, by what it was made from.
_KEPT: dict[tuple[str, int, str], Any] = {}


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
    if name in known:
        return known[name]
    if name in cutout.NETWORKS:
        folder = Path("models") / "rembg"
        raise InputError(
            "model", name, f"{name}.onnx (from rembg's releases on GitHub) in ComfyUI's {folder.as_posix()}"
        )
    raise InputError("model", name, "one of: " + ", ".join(known))


def cut_out(images: Any, name: str, edges: cutout.Edges, keep_loaded: bool) -> cutout.Cutout:
    """`cutout.cut_out` with a session of the network `name`, which is gone afterwards unless it is to be kept.

    On a GPU ComfyUI is asked for the room first, and has it back at the end. Listens for Cancel before each picture.
    """
    path = find(name)
    network = cutout.NETWORKS[name]
    device = mm.get_torch_device()
    providers = _providers(device)
    key = (str(path), path.stat().st_mtime_ns, str(device))
    session = _KEPT.get(key)
    _KEPT.clear()  # of another network, or no longer wanted
    on_gpu = len(providers) > 1
    if session is None:
        if on_gpu:
            mm.free_memory(network.room * 1024**3, device)
        session = cutout.open_session(path, providers)
    if keep_loaded:
        _KEPT[key] = session
    try:
        return cutout.cut_out(images, partial(cutout.saliency, session, network), edges, check_cancel)
    finally:
        del session
        if on_gpu and not keep_loaded:
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
