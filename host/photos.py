"""Photos in ComfyUI's input folder: listed, found without leaving ComfyUI's folders, read."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import folder_paths

from ..studio import examples
from ..studio.errors import InputError
from ..studio.images import read_opaque
from ..studio.paths import inside

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

MOST_LOOKED_AT = 20_000  # files and folders
# Bundled photos lie in the input folder too, so that every editor and client can show them.
EXAMPLES = "storefront"
EXAMPLE = f"{EXAMPLES}/{examples.DEFAULT_PHOTO}.jpg"


def bundled() -> dict[str, Path]:
    """The pack's own photos, by their names in the input folder."""
    return {f"{EXAMPLES}/{name}": path for name, path in examples.photos().items()}


def put_examples() -> None:
    """The bundled photos in the input folder, where the editor shows pictures from."""
    for name, path in bundled().items():
        copy_to_input(path, name)


def copy_to_input(bundled: Path, name: str) -> None:
    """Copy a bundled file into the input folder, never over a file. A read-only folder does without: the pack's own file is
    read in its place."""
    target = Path(folder_paths.get_input_directory()) / name
    if target.exists():
        return
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(bundled, target)
    except OSError as error:
        log.info("Storefront: %s is not in the input folder (%s)", name, error)


def listed() -> list[str]:
    """The example, then the pictures at the top of the input folder, as Load Image lists them."""
    folder = folder_paths.get_input_directory()
    try:
        names = [entry.name for entry in os.scandir(folder) if entry.is_file()]
    except OSError:
        names = []
    return [EXAMPLE, *sorted(folder_paths.filter_files_content_types(names, ["image"]))]


def input_folders() -> Iterator[tuple[PurePath, list[str]]]:
    """Each folder of the input folder, by its path in it, and its files. Every list of nodes asks: a large folder is read
    in part."""
    root = Path(folder_paths.get_input_directory())
    seen = 0
    for folder, inner, files in os.walk(root):
        yield Path(folder).relative_to(root), files
        seen += len(files) + len(inner)
        if seen > MOST_LOOKED_AT:
            return


def find(image: str) -> Path:
    """The file that a widget names: in the input folder, or as "NAME [output]" or "NAME [temp]" in one of those.

    Raises InputError where it is missing, or outside the folder, links followed.
    """
    if not isinstance(image, str) or not image.strip() or "\0" in image:
        raise InputError("image", image, "the name of a picture in ComfyUI's input folder")
    name, folder = folder_paths.annotated_filepath(image)
    path = inside(Path(folder or folder_paths.get_input_directory()), name.strip())
    if path is None:
        raise InputError("image", image, "a picture inside ComfyUI's input folder")
    if path.is_file():
        return path
    if image in (own := bundled()):
        return own[image]
    raise InputError("image", image, "a picture in ComfyUI's input folder: drop it on the node, or upload it first")


def load(image: str) -> torch.Tensor:
    """IMAGE [1, H, W, 3] of a file (see `find`), upright and in sRGB; what is transparent in it is white."""
    return read_opaque("image", find(image))


def fingerprint(image: str) -> str:
    """Changes with the file's content."""
    try:
        return hashlib.sha256(find(image).read_bytes()).hexdigest()
    except (InputError, OSError) as error:
        return str(error)
