"""Files that are whole or not there at all, whenever the process is killed."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def temporary(path: Path, data: bytes, mode: int = 0o666) -> Iterator[Path]:
    """A new file with `data` that has reached the disk, for others as `mode` and the umask say; gone at the end, unless it
    was given another name. Raises OSError, also where the name is taken.
    """
    try:
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
        with os.fdopen(os.open(path, flags, mode), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield path
    finally:
        with contextlib.suppress(OSError):
            path.unlink()


def write(target: Path, data: bytes, mode: int) -> None:
    """Write a file, in place of one of the same name. `mode` is that of the file. Raises OSError."""
    path = target.with_name(f".{target.stem}-{secrets.token_hex(8)}.tmp")
    with temporary(path, data, mode):
        path.chmod(mode)
        path.replace(target)
