"""The names of a model's weights in files, brought to those of diffusers and transformers: what the kinds share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

Shapes = Mapping[str, tuple[int, ...]]  # of the tensors of a part, by their names in the file without the prefix


class Rows(NamedTuple):
    """What a weight is made of: rows start..stop of a tensor of the file (all of them where stop is None)."""

    name: str
    start: int = 0
    stop: int | None = None
    swap: bool = False  # the two halves change places
    heads: int = 0  # in each of so many heads the rows of its two halves alternate; 0: they follow one another


class Naming(NamedTuple):
    """One maker's names of a model."""

    anchor: str  # a weight that only this model in this naming has
    rename: Callable[[Shapes], dict[str, Rows]]  # -> by the names of diffusers or transformers
    also: tuple[str, ...] = ()  # other weights that must be there
    unless: str = ""  # one that must not


class Share(NamedTuple):
    """One of `of` equal shares of a layer's rows."""

    layer: str
    which: int
    of: int


class LoraNames(NamedTuple):
    """How LoRA files may name the layers of a transformer."""

    mixin: str = ""  # the class in diffusers.loaders whose `lora_state_dict` converts what `originals` lack; "": none
    # original layer -> the layers of diffusers that hold its rows, in their order; {} is the number of a block
    originals: Mapping[str, tuple[str | Share, ...]] = {}


def renamed(name: str, rules: Iterable[tuple[re.Pattern[str], str]]) -> str:
    """`name` after every rule (pattern, replacement), in their order."""
    for pattern, replacement in rules:
        name = pattern.sub(replacement, name)
    return name


def count_rows(shape: tuple[int, ...]) -> int:
    """The length of a weight's first axis; 0 of a single number."""
    return shape[0] if shape else 0  # a stranger's file may have a single number where others have a matrix


def same(shapes: Shapes) -> dict[str, Rows]:
    """The naming of files that use the library's own names."""
    return {name: Rows(name) for name in shapes}


def without(prefix: str) -> Callable[[Shapes], dict[str, Rows]]:
    """Names of transformers, whose releases differ in what comes before the first layer."""

    def rename(shapes: Shapes) -> dict[str, Rows]:
        return {name.removeprefix(prefix): Rows(name) for name in shapes}

    return rename


_LLAMA_CPP_BLOCK = re.compile(r"(?:enc\.)?blk\.(\d+)\.(.+)")


def llama_cpp(shapes: Shapes, names: Mapping[str, str], block: str) -> dict[str, Rows]:
    """llama.cpp's layers, by `names`; those of a block come to lie under `block`.N."""
    out = {}
    for name in shapes:
        stem, _, kind = name.rpartition(".")
        inside = _LLAMA_CPP_BLOCK.fullmatch(stem)
        layer = inside.group(2) if inside else stem
        if layer in names:
            prefix = f"{block}.{inside.group(1)}." if inside else ""
            out[f"{prefix}{names[layer]}.{kind}"] = Rows(name)
    return out
