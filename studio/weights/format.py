"""What a stored format is to the table of formats: how it is recognised in a file, and how its layers are read."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from .layers import Entry, Layer


@dataclass(frozen=True)
class Header:
    """What a file says before any weight is read."""

    entries: Mapping[str, Entry]
    metadata: Mapping[str, Any]
    texts: Mapping[str, bytes]  # the tensors that describe layers, by their names
    quantisation: Mapping[str, Any]  # the quantization_config of a folder

    @property
    def method(self) -> Any:
        """The quantiser that made a folder."""
        return self.quantisation.get("quant_method")

    def once(self, make: Callable[[Header], Any]) -> Any:
        """What `make` makes of this header, made once."""
        if make not in self._made:
            self._made[make] = make(self)
        return self._made[make]

    @functools.cached_property
    def _made(self) -> dict[Callable[[Header], Any], Any]:
        return {}


class Format(NamedTuple):
    """One maker's way to write a weight that is no plain numbers."""

    name: str  # as a person calls it
    recognises: Callable[[str, Header], bool]  # whether the tensor of this name is the codes of such a weight
    reads: Callable[[str, Header], dict[str, Layer]]  # those codes -> name of the weight -> layer, unreadable ones too
    method: str | None = None  # the quant_method of diffusers folders that hold it


def weight_of(name: str) -> str | None:
    """The layer whose plain weight has this name, with a dot behind it; None of another name."""
    return name.removesuffix("weight") if name.endswith(".weight") else None
