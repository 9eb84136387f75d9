"""Models in ComfyUI's folders, by the names that nodes show. Only names of these lists are opened."""

from __future__ import annotations

import difflib
import functools
import itertools
from pathlib import Path

import folder_paths

from ..studio.errors import InputError, ModelFilesError, require_one_of
from ..studio.kinds.table import named_editions
from ..studio.opening import sources
from ..studio.opening.models import AUTO
from ..studio.opening.weight_files import GGUF, PICKLES, SUFFIXES, header_length

BUNDLED = "flux-micro"
_BUNDLED_FOLDER = Path(__file__).parent.parent / "models" / BUNDLED
NONE = "none"
LARGEST_LISTED = 4 * 2**20  # bytes of a header that is read while ComfyUI starts; whole checkpoints have less than 1 MB
EDITIONS = [AUTO, *named_editions()]
# Where ComfyUI keeps what. "clip" and "unet" are older names of folders on the same lists.
FOLDERS = {
    "transformer": ("diffusion_models", "checkpoints"),
    "text_encoder": ("text_encoders", "checkpoints"),
    "vae": ("vae", "checkpoints"),
}


def folders() -> dict[str, Path]:
    """Name -> folder of every diffusers folder in ComfyUI's `diffusers` paths, and the bundled flux-micro first."""
    found = {BUNDLED: _BUNDLED_FOLDER}
    for root in folder_paths.get_folder_paths("diffusers"):
        for depth in ("*", "*/*"):  # NAME or OWNER/NAME; deeper would read whole disks at every /object_info
            for index in sorted(Path(root).glob(f"{depth}/*model_index.json")):
                name = index.parent.relative_to(root).as_posix()
                if name.isprintable():  # a name that is no text (Linux allows it) cannot travel in a prompt
                    found.setdefault(name, index.parent)
    return found


def _files(kind: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for root in folder_paths.get_folder_paths(kind):
        for relative in sorted(folder_paths.recursive_search(root, [".git"])[0]):
            name = f"{kind}/{Path(relative).as_posix()}"
            path = Path(root) / relative
            if name.lower().endswith(SUFFIXES) and name.isprintable() and path.is_file():
                found.setdefault(name, path)
    return found


def _component_folders() -> dict[str, Path]:
    """Diffusers folders of components, each alone or with a model_index.json."""
    found = {f"diffusers/{name}": folder for name, folder in folders().items()}
    for root in folder_paths.get_folder_paths("diffusers"):
        for depth in ("*", "*/*"):
            for config in sorted(Path(root).glob(f"{depth}/*/config.json")):
                name = f"diffusers/{config.parent.parent.relative_to(root).as_posix()}"
                if config.parent.name.startswith(tuple(FOLDERS)) and name.isprintable():
                    found.setdefault(name, config.parent.parent)
    return found


def choices() -> dict[str, dict[str, Path]]:
    """What can be chosen as transformer, text_encoder and vae: name -> file or folder to take it from."""
    files = {kind: _files(kind) for kind in dict.fromkeys(itertools.chain(*FOLDERS.values()))}
    in_folders = _component_folders()
    out: dict[str, dict[str, Path]] = {}
    for part, kinds in FOLDERS.items():
        out[part] = {name: path for kind in kinds for name, path in files[kind].items()}
        out[part] |= {name: folder for name, folder in in_folders.items() if sources.holds(folder, part)}
    return out


def whole_files() -> dict[str, Path]:
    """Name -> single file in `checkpoints` that holds a transformer, its text encoders and a VAE."""
    found = {}
    for name, path in _files("checkpoints").items():
        now = path.stat()
        if _is_whole(path, now.st_size, now.st_mtime_ns):
            found[name] = path
    return found


@functools.lru_cache(maxsize=4096)
def _is_whole(path: Path, _size: int, _changed: int) -> bool:
    if path.suffix.lower() == GGUF:
        return False  # one model a file
    try:
        return header_length(path) <= LARGEST_LISTED and sources.open_source(path).is_whole
    except (ModelFilesError, OSError):
        return False  # broken, or of another kind: the list of what can be opened is not the place to say so


def find(name: str) -> Path:
    """The folder, or the file in `checkpoints`, of a listed whole model."""
    known = {**folders(), **(whole_files() if name.startswith("checkpoints/") else {})}
    require_one_of("model", name, known)
    return known[name]


def find_part(name: str, value: str, known: dict[str, Path], also: tuple[str, ...] = ()) -> Path:
    """The file or folder of a listed part. `name`: of the input; `also`: other values that it has."""
    if value in known:
        return known[value]
    if value.lower().endswith(PICKLES):
        raise InputError(name, value, "a .safetensors or .gguf file; a pickle can run code and is never opened")
    close = difflib.get_close_matches(value, known, 3, 0.3) or list(known)[:3]
    raise InputError(name, value, "a file or folder of the list: " + ", ".join([*also, *close]) + ", ...")
