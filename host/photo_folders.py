"""Folders of photos in ComfyUI's input folder."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

import folder_paths

from ..studio import examples
from ..studio.errors import InputError
from ..studio.paths import inside
from . import photos

if TYPE_CHECKING:
    import torch

EXAMPLE_FOLDER = f"{photos.EXAMPLES}/{examples.SET}"
MOST_FOLDERS = 200  # in the list
FOLDER_CURE = "a folder with photos in ComfyUI's input folder: put it there and press R"


class Photos(NamedTuple):
    """What a folder holds."""

    photos: list[torch.Tensor]  # IMAGE [1, H, W, 3] each
    names: list[str]  # without ending
    notes: tuple[str, ...]  # sentences for the user


def listed() -> list[str]:
    """The example's folder first, then those of the input folder that hold pictures, sub-folders too. Links are not followed."""
    found = {
        folder.as_posix()
        for folder, files in photos.input_folders()
        if folder.parts and folder_paths.filter_files_content_types(files, ["image"])
    }
    return [EXAMPLE_FOLDER, *sorted(found - {EXAMPLE_FOLDER})[:MOST_FOLDERS]]


def find(folder: str) -> Path:
    """The folder that a widget names. Raises InputError where it is missing, or outside the input folder, links followed."""
    if not isinstance(folder, str) or not folder.strip():
        raise InputError("folder", folder, FOLDER_CURE)
    path = inside(Path(folder_paths.get_input_directory()), folder.strip())
    if path is not None and path.is_dir():
        return path
    if folder in (own := _bundled()):
        return own[folder]
    raise InputError("folder", folder, FOLDER_CURE)


def _bundled() -> dict[str, Path]:
    """The pack's own folders, by their names in the input folder."""
    return {PurePosixPath(name).parent.as_posix(): path.parent for name, path in photos.bundled().items()}


def files_of(folder: str) -> list[Path]:
    """Its pictures in the order that a person counts: 2 before 10."""
    path = find(folder)
    names = [entry.name for entry in os.scandir(path) if entry.is_file()][: photos.MOST_LOOKED_AT]
    pictures = folder_paths.filter_files_content_types(names, ["image"])
    return [path / name for name in sorted(pictures, key=_natural)]


def fingerprint(folder: str) -> str:
    """Changes with the folder's pictures."""
    try:
        entries = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files_of(folder)]
    except (InputError, OSError) as error:
        return str(error)
    return hashlib.sha256(repr(entries).encode()).hexdigest()


def read(folder: str, first: int = 1, most: int = 16) -> Photos:
    """Photos `first` to `first + most - 1`. A broken file is left out and named; InputError where none is left."""
    files = files_of(folder)
    if not files:
        raise InputError("folder", folder, FOLDER_CURE)
    if first > len(files):
        raise InputError("first", first, f"at most {len(files)}, the number of photos in {folder}")
    read, names, notes = [], [], []
    root = Path(folder_paths.get_input_directory()).resolve()
    for file in files[first - 1 : first - 1 + most]:
        try:
            name = file.relative_to(root).as_posix() if file.is_relative_to(root) else f"{folder}/{file.name}"
            read.append(photos.load(name))
            names.append(file.stem)
        except InputError as error:
            notes.append(f"left out: {file.name} ({error})")
    if not read:
        raise InputError("folder", folder, f"photos that can be read; {notes[0]}")
    rest = len(files) - (first - 1 + most)
    if rest > 0:
        notes.append(f"{rest} more photos in the folder: set `first` to {first + most}, or raise `most`")
    return Photos(read, names, tuple(notes))


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part.lower()) for part in re.split(r"(\d+)", name)]
