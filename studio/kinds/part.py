"""One model in a file, as its kind sees it: weights under the kind's own names, and their shapes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import ModelFilesError
from .names import Rows

if TYPE_CHECKING:
    import torch

    from ..weights.layers import Entry, Layer


class File(Protocol):
    """A file of weights, or a folder of shards: studio/opening/weight_files.py."""

    @property
    def path(self) -> Path:
        """Of the file, or of the folder with its shards."""

    @property
    def entries(self) -> Mapping[str, Entry]:
        """Name -> what the header says of a tensor."""

    @property
    def metadata(self) -> Mapping[str, Any]:
        """A safetensors file's __metadata__, or a GGUF's fields."""

    @property
    def layers(self) -> Mapping[str, Layer]:
        """Name -> layer, of weights that are stored as something else than plain numbers."""

    @property
    def is_gguf(self) -> bool:
        """Whether it is a GGUF."""

    def read(self, names: Sequence[str], release: bool) -> Iterator[tuple[str, list[torch.Tensor]]]:
        """(name, tensors) of weights as they lie in the file. release: pages are given back to the system once they
        were used.
        """

    def text(self, name: str) -> bytes:
        """A tensor that is a text."""
        ...

    def vocabulary(self) -> Mapping[str, Any]:
        """What the header of a GGUF says of its tokenizer."""
        ...


@dataclass(frozen=True)
class Part:
    """One model in a file: a transformer, a text encoder or a VAE."""

    file: File
    role: str  # of its kind
    sources: Mapping[str, Rows] = field(repr=False)  # by the names that diffusers or transformers has

    def has(self, name: str) -> bool:
        """Whether it has a weight of this name."""
        return name in self.sources

    def shape(self, name: str) -> tuple[int, ...]:
        """Raises ModelFilesError where the weight is missing."""
        if name not in self.sources:
            raise ModelFilesError("model", self.file.path.name, f"every weight in it; {name} is missing")
        source = self.sources[name]
        whole = self.file.entries[source.name].shape
        return whole if source.stop is None else (source.stop - source.start, *whole[1:])

    def length(self, name: str, axis: int) -> int:
        """One axis of a weight's shape. Raises ModelFilesError where the weight is missing or has fewer axes."""
        shape = self.shape(name)
        if axis >= len(shape):
            wanted = f"{name} of at least {axis + 1} axes; the file has {list(shape)}"
            raise ModelFilesError("model", self.file.path.name, wanted)
        return shape[axis]

    def count(self, blocks: str) -> int:
        """How many blocks lie under a name. Raises ModelFilesError where one is left out."""
        pattern = re.compile(re.escape(blocks) + r"\.(\d{1,6})\.")
        found = {int(match.group(1)) for name in self.sources if (match := pattern.match(name))}
        if gaps := set(range(len(found))) - found:
            raise ModelFilesError("model", self.file.path.name, f"every weight in it; {blocks}.{min(gaps)} is missing")
        return len(found)


def axes_of(head: int, published: tuple[int, ...]) -> tuple[int, ...]:
    """How a head's width is shared among the axes of positions: as in the published models."""
    return tuple(axis * head // sum(published) for axis in published)
