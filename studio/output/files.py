"""Files that are whole or not there, under names that nobody else has taken, whoever else writes into the folder."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from .. import atomic
from ..errors import InputError

_TEMPORARY = ".storefront-"
_STALE = 3600.0  # seconds after which a temporary file is one that a kill has left
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV, errno.EACCES}


class StorageError(RuntimeError):
    """A file that could not be written: which one, and why."""

    __module__ = "storefront"  # as InputError's


def folder_inside(root: Path, parts: tuple[str, ...]) -> Path:
    """The folder root/parts, both made where they are missing. Raises InputError where a link leads out of `root`."""
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _storage_error(root, root.parent, error) from None
    folder = root = root.resolve()
    for part in parts:
        parent, folder = folder, folder / part
        try:
            folder.mkdir()
            _sync_folder(parent)
        except FileExistsError:
            pass
        except OSError as error:
            raise _storage_error(folder, root, error) from None
        try:
            real = folder.resolve(strict=True)
        except (OSError, RuntimeError):  # a link into nothing, or to itself
            real = None
        if real is None or not real.is_dir() or not real.is_relative_to(root):
            raise InputError("filename", "/".join(parts), f"folders inside the output folder; {part!r} is not one")
    return folder


def write_numbered(folder: Path, stem: str, name_for: Callable[[int], str], data: bytes) -> tuple[str, bool]:
    """`data` under the first free number after those in use, and whether it was written.

    Not written where a file of the same name but for its number holds exactly these bytes: then that one's name.
    `stem` is a regular expression that a used name matches, with its number as the only group.
    """
    highest, same = _scan(folder, re.compile(stem), data)
    if same:
        return same, False
    with _temporary(folder, data) as temporary:
        for number in range(highest + 1, highest + 1_000_000):
            name = name_for(number)
            if _publish(temporary, folder / name):
                return name, True
    raise StorageError(f"no free number for {name_for(highest)}")


def write_once(folder: Path, name: str, data: Callable[[], bytes]) -> bool:
    """`data` as folder/name; False, and nothing is made, where that stands there already."""
    target = folder / name
    if os.path.lexists(target):
        return False
    _scan(folder, None, b"")
    with _temporary(folder, data()) as temporary:
        return _publish(temporary, target)


def _scan(folder: Path, pattern: re.Pattern[str] | None, data: bytes) -> tuple[int, str | None]:
    """The highest number in use, and the file that holds `data` already. Clears away what a kill has left."""
    highest, same = 0, None
    with _entries(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):  # another server has just renamed or removed it
                if entry.name.startswith(_TEMPORARY):
                    if time.time() - entry.stat(follow_symlinks=False).st_mtime > _STALE:
                        Path(entry).unlink()
                elif pattern and (match := pattern.fullmatch(entry.name)):
                    highest = max(highest, int(match[1]))
                    if (
                        entry.is_file(follow_symlinks=False)
                        and entry.stat().st_size == len(data)
                        and Path(entry).read_bytes() == data
                    ):
                        same = entry.name
    return highest, same


def _entries(folder: Path) -> contextlib.AbstractContextManager[Iterator[os.DirEntry[str]]]:
    """What is in the folder. Raises StorageError where it may not be read."""
    try:
        return os.scandir(folder)
    except OSError as error:
        raise _storage_error(folder, folder.parent, error) from None


@contextlib.contextmanager
def _temporary(folder: Path, data: bytes) -> Iterator[Path]:
    """A file with `data` that has reached the disk; gone at the end. Raises StorageError where there is no room."""
    path = folder / f"{_TEMPORARY}{secrets.token_hex(8)}.tmp"
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(atomic.temporary(path, data))
        except OSError as error:
            raise _storage_error(path, folder, error, len(data)) from None
        yield path


def _publish(temporary: Path, target: Path) -> bool:
    """Give the temporary file its name; False where that is taken. Nothing is ever overwritten."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise _storage_error(target, target.parent, error) from None
        if not _publish_without_links(temporary, target):
            return False
    _sync_folder(target.parent)
    return True


def _publish_without_links(temporary: Path, target: Path) -> bool:
    """For FAT and some network drives: the name is claimed by an empty file, which the whole one then replaces."""
    try:
        if os.name == "nt":
            temporary.rename(target)  # refuses a name that is taken
            return True
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except FileExistsError:
        return False
    except OSError as error:
        raise _storage_error(target, target.parent, error) from None
    try:
        temporary.replace(target)
    except OSError as error:
        target.unlink(missing_ok=True)
        raise _storage_error(target, target.parent, error) from None
    return True


def _sync_folder(folder: Path) -> None:
    """The folder's entries reach the disk. Windows cannot be asked to, and some network drives refuse."""
    if os.name == "nt":
        return
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _storage_error(path: Path, root: Path, error: OSError, size: int = 0) -> Exception:
    """What the user can do about it; the full path stays out, since it is not his name for it."""
    if error.errno in (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL):
        return InputError("filename", path.name, "a name that the output folder's disk can hold")
    what = f"a picture of {size / 2**20:.1f} MiB" if size else f"{path.relative_to(root).as_posix()}"
    reasons = {
        errno.ENOSPC: "the disk of the output folder is full",
        errno.EDQUOT: "the quota of the output folder's disk is used up",
        errno.EFBIG: "the file is larger than the system allows",
        errno.EROFS: "the output folder cannot be written to",
        errno.EACCES: "the output folder does not allow it",
        errno.EPERM: "the output folder does not allow it",
    }
    reason = reasons.get(error.errno or 0, error.strerror or type(error).__name__)
    return StorageError(f"{what} could not be saved: {reason}. Files saved before it are whole.")
