"""Photos in ComfyUI's input folder: listed, found without leaving ComfyUI's folders, read."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import folder_paths

from ..studio import examples
from ..studio.errors import InputError
from ..studio.images import read_opaque
from ..studio.paths import inside

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

EXAMPLE = f"storefront/{examples.DEFAULT_PHOTO}.jpg"  # in the input folder, so that every editor and client can show it


def put_example() -> None:
    """Copy the bundled photo into the input folder, where the editor shows pictures from; never over a file."""
    target = Path(folder_paths.get_input_directory()) / EXAMPLE
    if target.exists():
        return
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(examples.file(examples.DEFAULT_PHOTO), target)
    except OSError as error:  # a read-only folder: `load` reads the pack's own file
        log.info("Storefront: the example photo is not shown in the editor (%s)", error)


def listed() -> list[str]:
    """The example, then the pictures at the top of the input folder, as Load Image lists them."""
    folder = folder_paths.get_input_directory()
    try:
        names = [entry.name for entry in os.scandir(folder) if entry.is_file()]
    except OSError:
        names = []
    return [EXAMPLE, *sorted(folder_paths.filter_files_content_types(names, ["image"]))]


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
    if image == EXAMPLE:
        return examples.file(examples.DEFAULT_PHOTO)
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
