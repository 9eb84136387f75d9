"""The header of a GGUF file, versions 2 and 3 (ggml's docs/gguf.md), little-endian.

The `gguf` package reads the same, but takes half a minute over the words of a large vocabulary.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import Any, NamedTuple

MAX_HEADER = 32 * 2**20  # bytes; a vocabulary of 131,000 words takes 8 million
MOST_ENTRIES = 1_000_000  # of one list; the largest vocabularies have 262,000 words and as many scores
MOST_FIELDS = 4096
MOST_TENSORS = 20_000
MAX_AXES = 4
ALIGNMENT = 32  # bytes, unless general.alignment says another
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_TEXT, _LIST = 8, 9


class Tensor(NamedTuple):
    """What a GGUF's header says of a tensor."""

    name: str
    shape: tuple[int, ...]  # of the numbers, rows first
    kind: int  # gguf.GGMLQuantizationType
    place: int  # in the file


class GgufHeader(NamedTuple):
    """All of a GGUF but its weights."""

    fields: dict[str, Any]  # numbers, texts, and lists of them
    tensors: list[Tensor]


def read(path: Path) -> GgufHeader:
    """Raises ValueError (or OSError) where the header is broken, or longer than MAX_HEADER."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        walk = _Walk(content)
        magic, version = walk.take("<4sI")
        if magic != b"GGUF" or version not in (2, 3):
            raise ValueError(f"it begins with {magic!r}, version {version}")
        count, fields_count = walk.take("<QQ")
        if count > MOST_TENSORS or fields_count > MOST_FIELDS:
            raise ValueError(
                f"{count} tensors and {fields_count} fields; at most {MOST_TENSORS} and {MOST_FIELDS} are read"
            )
        fields = {walk.text(): walk.value(*walk.take("<I")) for _ in range(fields_count)}
        tensors = [walk.tensor() for _ in range(count)]
        step = fields.get("general.alignment", ALIGNMENT)
        if type(step) is not int or step < 8 or step % 8 or any(tensor.place % step for tensor in tensors):
            raise ValueError(f"an alignment of {str(step)[:40]}, or tensors that are not aligned")
        start = -(-walk.place // step) * step
        return GgufHeader(fields, [tensor._replace(place=start + tensor.place) for tensor in tensors])


class _Walk:
    def __init__(self, content: mmap.mmap):
        self.content, self.place = content, 0
        self.end = min(len(content), MAX_HEADER)

    def take(self, form: str) -> tuple[Any, ...]:
        start = self.place
        self.place += struct.calcsize(form)
        if self.place > self.end:
            raise ValueError(f"it ends inside its header, or the header is longer than {MAX_HEADER} bytes")
        return struct.unpack_from(form, self.content, start)

    def text(self) -> str:
        (length,) = self.take("<Q")
        if length > self.end - self.place:
            raise ValueError(f"a text of {length} bytes")
        self.place += length
        return self.content[self.place - length : self.place].decode("utf-8", "replace")

    def value(self, kind: int) -> Any:
        if kind == _TEXT:
            return self.text()
        if kind in _NUMBERS:
            return self.take("<" + _NUMBERS[kind])[0]
        if kind != _LIST:
            raise ValueError(f"a field of type {kind}")
        inner, length = self.take("<IQ")
        if length > min(self.end - self.place, MOST_ENTRIES):
            raise ValueError(f"a list of {length}; at most {MOST_ENTRIES} are read")
        if inner == _TEXT:
            return [self.text() for _ in range(length)]
        if inner not in _NUMBERS:
            raise ValueError(f"a list of type {inner}")
        return list(self.take(f"<{length}{_NUMBERS[inner]}"))

    def tensor(self) -> Tensor:
        name = self.text()
        (axes,) = self.take("<I")
        if axes > MAX_AXES:
            raise ValueError(f"{axes} axes of {name}")
        shape = self.take(f"<{axes}Q")[::-1]
        return Tensor(name, shape, *self.take("<IQ"))
