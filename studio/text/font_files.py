"""A font file opened once, within bounds; a broken one is set aside, with its reason, and nothing is tried on it again.

Fonts lie where strangers' downloads lie. fontTools reads what a table claims, however much that is, and raises whatever
comes up; FreeType draws what an outline asks for. So sizes are read first, and every error means the same.
"""

from __future__ import annotations

import logging
import os
import re
import struct
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, NamedTuple

from .color_glyphs import strike_of

log = logging.getLogger(__name__)

LARGEST_FILE = 512 * 2**20  # bytes; the largest collections of CJK fonts have 200 MB
LARGEST_CMAP = 8 * 2**20  # bytes of the table of characters; Noto Sans CJK's has 400 kB
MOST_TABLES = 128
MOST_FACES = 256  # in a collection
MOST_SUBTABLES = 64
MOST_CODE_POINTS = 0x110000  # of one subtable: Unicode has no more
MOST_AXES = 64
# Signs that are pictures: dingbats, weather, hands, faces, flags; and what ends some flags' sequences.
PICTURE = re.compile("[\u231a-\u23ff\u2600-\u27bf\u2b1b-\u2b55\U0001f000-\U0001faff]")
TAGS = range(0xE0020, 0xE0080)
FONT_SIGNATURES = (b"\0\1\0\0", b"OTTO", b"true", b"ttcf")  # not WOFF, whose tables are compressed and can be bombs
_SEGMENTS, _GROUPS = 4, (8, 12, 13)  # formats of cmap that name ranges (OpenType 1.9, cmap)


class Axis(NamedTuple):
    """An axis of a variable font, such as wght, and its range."""

    tag: str
    low: float
    default: float
    high: float


class OpenedFont(NamedTuple):
    """What a font file has, found out before FreeType opens it."""

    points: frozenset[int]  # code points that it can draw
    axes: tuple[Axis, ...]  # of a variable font; none of another
    fault: str  # why it is set aside; "" for a good one
    strike: int | None = None  # of coloured letters, as color_glyphs.strike_of says; None: outlines, in one colour


class BrokenFontError(ValueError):
    """A file that is no font, or one beyond the bounds."""


def opened(path: Path, face: int) -> OpenedFont:
    """What the file holds now. Never raises: what is wrong with it is its `fault`."""
    try:
        stamp = path.stat()
    except OSError as error:
        return _set_aside(path, error.strerror or "it cannot be read")
    return _opened(path, face, stamp.st_size, stamp.st_mtime_ns)


@lru_cache(maxsize=512)
def _opened(path: Path, face: int, size: int, changed: int) -> OpenedFont:
    from fontTools.ttLib import TTFont
    from PIL import ImageFont

    try:
        require_bounds(path, face, size)
        with TTFont(path, fontNumber=face, lazy=True) as font:
            axes = _axes(font)
            strike = strike_of(font)
            is_drawn = strike is not None or _has_outlines(font)
            points = frozenset(font.getBestCmap() or ()) if is_drawn else frozenset()
            if strike is not None:  # emoji's fonts have figures too, for their keycaps: grey ones
                points = frozenset(point for point in points if PICTURE.match(chr(point)) or point in TAGS)
        ImageFont.truetype(path, strike or 16, face)
    except Exception as error:  # fontTools raises IndexError, struct.error, AttributeError and more over broken tables
        return _set_aside(path, str(error) or type(error).__name__)
    return OpenedFont(points, axes, "", strike)


def _set_aside(path: Path, reason: str) -> OpenedFont:
    log.warning("Storefront: the font %s is set aside: %s", path.name, reason[:200])
    return OpenedFont(frozenset(), (), reason[:200])


def _has_outlines(font: object) -> bool:
    """Coloured layers of a newer kind, which FreeType does not draw here, lie over empty outlines: they would be blank."""
    tables = set(font.keys())  # type: ignore[attr-defined]
    return bool({"glyf", "CFF ", "CFF2"} & tables) and "COLR" not in tables


def _axes(font: object) -> tuple[Axis, ...]:
    """By tag: Pillow tells their names only, which may be in any language."""
    if "fvar" not in font:  # type: ignore[operator]
        return ()
    axes = font["fvar"].axes  # type: ignore[index]
    if len(axes) > MOST_AXES:
        raise BrokenFontError(f"{len(axes)} axes")
    return tuple(Axis(axis.axisTag, axis.minValue, axis.defaultValue, axis.maxValue) for axis in axes)


def require_bounds(path: Path, face: int, size: int) -> None:
    """Raise BrokenFontError for a file that would take long or much to read, by the sizes that stand in it."""
    if size > LARGEST_FILE:
        raise BrokenFontError(f"{size} bytes; at most {LARGEST_FILE} are read")
    with path.open("rb") as file:
        start, length = _character_table(file, face)
        if length > LARGEST_CMAP:
            raise BrokenFontError(f"a table of characters of {length} bytes; at most {LARGEST_CMAP} are read")
        file.seek(start)
        table = file.read(length)
    for offset in _subtables(table):
        count = sum(_ranges(table, offset))
        if count > MOST_CODE_POINTS:
            raise BrokenFontError(f"{count} characters; Unicode has {MOST_CODE_POINTS}")


def _character_table(file: BinaryIO, face: int) -> tuple[int, int]:
    """(place, bytes) of the table cmap."""
    kind = file.read(4)
    if kind not in FONT_SIGNATURES:
        raise BrokenFontError("it is no TrueType or OpenType font")
    if kind == b"ttcf":
        _, faces = struct.unpack(">II", file.read(8))
        if not face < faces <= MOST_FACES:
            raise BrokenFontError(f"a collection of {faces}, of which number {face} is wanted")
        file.seek(4 * face, os.SEEK_CUR)
        (start,) = struct.unpack(">I", file.read(4))
        file.seek(start + 4)
    count, *_ = struct.unpack(">HHHH", file.read(8))
    if count > MOST_TABLES:
        raise BrokenFontError(f"{count} tables")
    for _ in range(count):
        tag, _, place, length = struct.unpack(">4sIII", file.read(16))
        if tag == b"cmap":
            return place, length
    raise BrokenFontError("it has no table of characters")


def _subtables(table: bytes) -> Iterator[int]:
    _, count = struct.unpack_from(">HH", table)
    if count > MOST_SUBTABLES:
        raise BrokenFontError(f"{count} tables of characters")
    for number in range(count):
        yield struct.unpack_from(">I", table, 4 + 8 * number + 4)[0]


def _ranges(table: bytes, start: int) -> Iterator[int]:
    """How many characters each range of a subtable names; formats without ranges are as long as their bytes."""
    (form,) = struct.unpack_from(">H", table, start)
    if form == _SEGMENTS:
        count = struct.unpack_from(">H", table, start + 6)[0] // 2
        ends = struct.unpack_from(f">{count}H", table, start + 14)
        starts = struct.unpack_from(f">{count}H", table, start + 16 + 2 * count)
        yield from (max(0, end - begin + 1) for begin, end in zip(starts, ends))
    elif form in _GROUPS:
        head = start + 12 + (8192 if form == 8 else 0)
        (count,) = struct.unpack_from(">I", table, head)
        if 12 * count > len(table):
            raise BrokenFontError(f"{count} groups of characters in {len(table)} bytes")
        groups = struct.iter_unpack(">III", table[head + 4 : head + 4 + 12 * count])
        yield from (max(0, last - first + 1) for first, last, _ in groups)
