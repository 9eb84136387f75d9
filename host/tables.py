"""Tables in ComfyUI's input folder, and the photos that their rows name."""

from __future__ import annotations

import hashlib
from pathlib import Path

import folder_paths
from comfy_execution.graph import ExecutionBlocker

from ..studio import table
from ..studio.errors import InputError
from ..studio.paths import inside
from . import photos, preset_library

EXAMPLE_TABLE = "storefront/catalogue.csv"  # in the input folder, of the bundled photo
BUNDLED = Path(__file__).parent.parent / "workflows" / "assets" / "catalogue.csv"
MOST_LISTED = 500
SHOWN = (".csv", ".tsv", ".xlsx")  # a .txt is read, too, but most are something else


def put_example() -> None:
    """The bundled table in the input folder, where its reader can open it."""
    photos.copy_to_input(BUNDLED, EXAMPLE_TABLE)


def listed() -> list[str]:
    """The example, then the tables of the input folder, in its sub-folders too."""
    names = {
        (folder / file).as_posix()
        for folder, files in photos.input_folders()
        for file in files
        if file.lower().endswith(SHOWN)
    }
    return [EXAMPLE_TABLE, *sorted(names - {EXAMPLE_TABLE})[:MOST_LISTED]]


def find(name: str) -> Path:
    """The file that a widget names. Raises InputError where none is chosen, or it is missing or outside the folder."""
    cure = "an Excel or CSV file in ComfyUI's input folder: put it there and press R"
    if not isinstance(name, str) or not name.strip():
        raise InputError("table", name, cure)
    path = inside(Path(folder_paths.get_input_directory()), name.strip())
    if path is not None and path.is_file():
        return path
    if name == EXAMPLE_TABLE:
        return BUNDLED
    raise InputError("table", name, cure)


def beside(path: Path, photo: str) -> str:
    """The photo of a row as Product Photo names it: in the table's own folder first, else in the input folder."""
    root = Path(folder_paths.get_input_directory()).resolve()
    if path.is_relative_to(root):
        name = (path.parent.relative_to(root) / photo).as_posix()
        own = inside(root, name)
        if own is not None and own.is_file():
            return name
    return photo


def nothing() -> ExecutionBlocker:
    """What stops everything behind an output, without an error: no row is left in this run."""
    return ExecutionBlocker(None)


def _trade(cell: str) -> str:
    """A trade's key, of the key itself or its name in English or Korean. Raises InputError for another."""
    plain = cell.lower()
    for key, heading in preset_library.headings().trades.items():
        if plain in (key, heading.name.en.lower(), *heading.name.ko.lower().split("·"), heading.name.ko.lower()):
            return key
    raise InputError("trade", cell, "empty, or one of: " + ", ".join(preset_library.headings().trades))


def rows(name: str, start: int, count: int, broken: str) -> table.Taken:
    """The rows of one run, each photo as Product Photo names it. Raises InputError as `table.take`."""
    path = find(name)
    whole = table.read(path)
    wrong: dict[int, str] = {}
    ours = slice(start - 1, start - 1 + count)
    found = [*whole.rows]
    found[ours] = [_found(row, path, wrong) for row in whole.rows[ours]]
    return table.take(whole._replace(rows=tuple(found)), start, count, broken, wrong)


def _found(row: table.ProductRow, path: Path, wrong: dict[int, str]) -> table.ProductRow:
    """The row with its photo as Product Photo names it, and its trade by its key; what is not there goes into `wrong`."""
    row = row._replace(photo=beside(path, row.photo))
    try:
        if row.photo:
            photos.find(row.photo)
        return row._replace(trade=_trade(row.trade)) if row.trade else row
    except InputError as error:
        missing = error.name == "image"
        wrong[row.number] = f"the photo {row.photo} is not in ComfyUI's input folder" if missing else str(error)
        return row


def fingerprint(name: str, start: int, count: int) -> str:
    """Changes with the table, and with the photos of the rows."""
    try:
        path = find(name)
        seen = [hashlib.sha256(path.read_bytes()).hexdigest()]
        for row in table.read(path).rows[start - 1 : start - 1 + count]:
            seen.append(photos.fingerprint(beside(path, row.photo)))
    except (InputError, OSError) as error:
        return str(error)
    return " ".join(seen)
