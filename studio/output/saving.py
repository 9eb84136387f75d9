"""Pictures saved: each named, encoded, written whole, and cut to further formats on the way."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..cancelling import check_cancel
from ..canvas import Box
from ..errors import InputError, require_fields
from ..images import require_mask, require_one_each, require_pixels, to_pil
from . import crops, files, names
from .encode import FILE_FORMATS, Encoding, EncodingError, digest, encode

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from ..layout.layout import Layout

FINAL, ORIGIN = "final", "origin"
SAVE_KINDS = (FINAL, ORIGIN)
TEMPLATE, CONTENT = "template", "content"
NAMING_SCHEMES = (TEMPLATE, CONTENT)
DEFAULT_NAME = "Storefront"  # of files whose user named none
FULL = "full"  # %format% of a picture that is not cut


@dataclass(frozen=True)
class SaveOptions:
    """The inputs of Save Picture that are no pictures. Raises InputError for what is none of its choices."""

    kind: str = FINAL  # "origin": the untouched scene, in a folder of its own
    filename: str = DEFAULT_NAME
    naming: str = TEMPLATE
    encoding: Encoding = field(default_factory=Encoding)
    also_formats: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_fields(self, {"kind": SAVE_KINDS, "naming": NAMING_SCHEMES}, {})
        crops.require_formats(self.also_formats)


class Keep(NamedTuple):
    """What a crop of a picture must hold."""

    layout: Layout | Mapping[str, Any] | str | None = None  # its products and its text
    mask: torch.Tensor | None = None  # MASK [B or 1, H, W]


class Saved(NamedTuple):
    """A file that was written, or that was there already."""

    folder: str  # relative to the output folder, "/" between names, "" for the folder itself
    name: str
    picture: Image.Image
    new: bool  # False: a file with these very contents stood there already

    @property
    def path(self) -> str:
        """Relative to the output folder."""
        return f"{self.folder}/{self.name}" if self.folder else self.name


def formats_of(text: str) -> tuple[str, ...]:
    """Format names, one a line. Raises InputError for one that is not known."""
    if not isinstance(text, str):
        raise InputError("also_formats", text, "format names, one a line")
    return crops.require_formats(tuple(line.strip() for line in text.splitlines() if line.strip()))


def save(
    image: torch.Tensor,
    root: Path,
    options: SaveOptions,
    metadata: Mapping[str, Any],
    *,
    widget: Callable[[str, str], str | None] = lambda node, name: None,
    values: Mapping[str, str] | None = None,
    keep: Keep | None = None,
) -> tuple[list[Saved], list[str]]:
    """Every picture of IMAGE [B, H, W, 3 or 4] below `root`, and notes on what was done otherwise than asked.

    `metadata` is embedded where the format carries it; empty for delivery. `widget` and `values` fill tokens of the
    name. `keep` says what a crop must hold. Raises InputError, and StorageError where a file cannot be written; files
    before it stay, and so they do where the run is cancelled.
    """
    pictures = to_pil(require_pixels("image", image))
    when = datetime.now()
    saved: list[Saved] = []
    notes: list[str] = []
    held = _held(pictures, keep or Keep()) if options.also_formats else [[]] * len(pictures)
    for index, picture in enumerate(pictures):
        for format, sheet, note in _sheets(picture, held[index], options.also_formats):
            check_cancel()
            tokens = {
                "width": str(sheet.width),
                "height": str(sheet.height),
                "batch_num": str(index),
                "format": crops.label(format),
                **(values or {}),
            }
            name = names.fill(options.filename, tokens, when, widget)
            if format != FULL and "%format%" not in options.filename:
                name = _with_format(name, crops.label(format))
            parts = names.split(name)
            if options.kind == ORIGIN:
                parts = (ORIGIN, *parts)
            entry, more = _write(sheet, root, parts, options, metadata)
            saved.append(entry)
            notes += [text for text in [*note, *more] if text not in notes]
    return saved, notes


def _held(pictures: list[Image.Image], keep: Keep) -> list[list[Box]]:
    """For each picture the boxes that a crop must hold. Raises InputError for a layout or mask of another shape."""
    width, height = pictures[0].size
    boxes: list[Box] = []
    if keep.layout is not None:
        from ..layout.layout import parse

        plan = parse(keep.layout).on(width, height)
        for box in plan.taken():
            left, top = max(0, box.x), max(0, box.y)
            boxes.append(Box(left, top, min(width, box.right) - left, min(height, box.bottom) - top))
    if keep.mask is None:
        return [boxes] * len(pictures)
    masks = require_mask("mask", keep.mask)
    require_one_each("mask", masks, len(pictures), width, height, "image")
    around = [crops.mask_box(one) for one in masks] * (len(pictures) if len(masks) == 1 else 1)
    return [[*boxes, *([] if box is None else [box])] for box in around]


def _sheets(
    picture: Image.Image, held: list[Box], formats: tuple[str, ...]
) -> Iterator[tuple[str, Image.Image, list[str]]]:
    """The picture, then each format of it: the format's name, the pixels, and what had to be done."""
    yield FULL, picture, []
    if not formats:
        return
    seen, faces = crops.saliency_and_faces(picture)
    for format in dict.fromkeys(formats):
        crop = crops.choose(seen, faces, picture.size, held, format)
        note = [f"{format} cannot hold all that must stay: its edges were drawn out"] if crop.extended else []
        yield format, crops.cut(picture, crop), note


def _with_format(name: str, label: str) -> str:
    """The format's label at the end of the name, before the number."""
    return name.replace(names.COUNTER, f"{label}_{names.COUNTER}") if names.COUNTER in name else f"{name}_{label}"


def _write(
    sheet: Image.Image, root: Path, parts: tuple[str, ...], options: SaveOptions, metadata: Mapping[str, Any]
) -> tuple[Saved, list[str]]:
    """The picture in its format. Where that format's encoder fails, as PNG: a drawing that took minutes is never lost."""
    try:
        return _write_as(sheet, root, parts, options, metadata)
    except EncodingError as error:
        if options.encoding.format == "PNG":
            raise
        lossless = replace(options, encoding=replace(options.encoding, format="PNG"))
        saved, notes = _write_as(sheet, root, parts, lossless, metadata)
        return saved, [f"{error}. It was saved as PNG: {saved.name}", *notes]


def _write_as(
    sheet: Image.Image, root: Path, parts: tuple[str, ...], options: SaveOptions, metadata: Mapping[str, Any]
) -> tuple[Saved, list[str]]:
    *folders, stem = parts
    format = FILE_FORMATS[options.encoding.format]
    if options.naming == CONTENT:
        pixels = digest(sheet)
        folders.append(pixels[:2])
        clean = "-clean" if format.carries_workflow and not metadata else ""
        name = names.require_length(f"{pixels}-{options.encoding.label}{clean}{format.suffix}")
        notes: list[str] = []

        def data() -> bytes:
            encoded, lost = encode(sheet, options.encoding, metadata)
            notes.extend(lost)
            return encoded

        new = files.write_once(files.folder_inside(root, tuple(folders)), name, data)
    else:
        numbered = stem if names.COUNTER in stem else f"{stem}_{names.COUNTER}_"
        before, after = numbered.split(names.COUNTER, 1)
        after = after.replace(names.COUNTER, "")
        names.require_length(f"{before}99999{after}{format.suffix}")
        encoded, notes = encode(sheet, options.encoding, metadata)
        name, new = files.write_numbered(
            files.folder_inside(root, tuple(folders)),
            re.escape(before) + "([0-9]{1,9})" + re.escape(after) + r"\.\w+",
            lambda number: f"{before}{number:05}{after}{format.suffix}",
            encoded,
        )
    return Saved("/".join(folders), name, sheet, new), notes
