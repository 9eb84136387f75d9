"""Names that somebody else chose (a prompt, a scene.json, a model's index), as files inside a folder. One place decides."""

from __future__ import annotations

import os
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath

ON_WINDOWS = os.name == "nt"
LONGEST_FILE_NAME = (
    255  # bytes of a file's name, in UTF-16 units on Windows: opening a longer one is an OSError, not a missing file
)
# What Windows opens as a device, in any folder and with any ending.
DEVICES = {
    "CON",
    "PRN",
    "AUX",
    "NUL",
    "CONIN$",
    "CONOUT$",
    *(f"{port}{n}" for port in ("COM", "LPT") for n in "0123456789¹²³"),
}


def is_device(part: str) -> bool:
    """Whether Windows opens a device under this file name: "NUL", "com1.png", "con .txt"."""
    return part.split(".")[0].rstrip(" ").upper() in DEVICES


def plain(name: str, windows: bool = ON_WINDOWS) -> PurePath | None:
    """`name` as a relative path without "..", or None; None too for a part that is longer than systems allow, and for
    half a surrogate pair, which no system writes.

    On Windows also None for a drive, a share, a device, a stream ("a.png:b"), and parts that end with a dot or a space,
    which Windows opens under another name.
    """
    path = PureWindowsPath(name) if windows else PurePosixPath(name)
    if "\0" in name or not _encodable(name) or path.anchor or not path.parts or ".." in path.parts:
        return None
    if any(len(part if windows else part.encode("utf-8", "surrogatepass")) > LONGEST_FILE_NAME for part in path.parts):
        return None
    if windows and any(is_device(part) or ":" in part or part != part.rstrip(". ") for part in path.parts):
        return None
    return path


def _encodable(name: str) -> bool:
    """Whether the system can be asked for it. Bytes of a file's name that are no UTF-8 can: Python escapes them."""
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return False
    return True


def inside(root: Path, name: str, windows: bool = ON_WINDOWS) -> Path | None:
    """The file `name` below `root`, links and junctions followed; None where it is not `plain` or lies outside."""
    path = plain(name, windows)
    if path is None:
        return None
    found = root.joinpath(*path.parts).resolve()
    return found if found.is_relative_to(root.resolve()) else None
