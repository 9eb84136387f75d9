"""Single files of weights: what is in them by name, shape and kind, and the tensors read one by one.

safetensors are memory-mapped; GGUF is read by the `gguf` package. Pickles are refused by name, unopened.
"""

from __future__ import annotations

import json
import struct
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import ModelFilesError
from .checkpoints import PICKLES, check_safetensors

if TYPE_CHECKING:
    import torch

SAFETENSORS = (".safetensors", ".sft")
GGUF = ".gguf"
SUFFIXES = (*SAFETENSORS, GGUF)
# Bytes read between two openings of a file whose weights are converted: a mapping's pages count as memory until it closes.
CHUNK = 32 * 2**20


class Entry(NamedTuple):
    kind: str  # safetensors' name of the dtype ("BF16", "F8_E4M3"), or GGUF's of the blocks ("Q4_K")
    shape: tuple[int, ...]  # of the numbers, not of the bytes
    size: int  # bytes in the file
    place: int  # where in the file they begin


@dataclass(frozen=True)
class WeightFile:
    """A whole, readable file of weights. No tensor is in memory."""

    path: Path
    entries: Mapping[str, Entry] = field(repr=False)
    metadata: Mapping[str, str] = field(repr=False)

    @property
    def is_gguf(self) -> bool:
        return self.path.suffix.lower() == GGUF

    def read(self, names: Sequence[str], release: bool) -> Iterator[tuple[str, torch.Tensor]]:
        """(name, tensor) in the order of the file. A GGUF's blocks come as uint8 [rows, bytes].

        The tensors are views of the mapped file. `release`: none of them outlives its turn, so pages may be let go.
        """
        ordered = sorted(names, key=lambda name: self.entries[name].place)
        while ordered:
            size, count = 0, 0
            while count < len(ordered) and (not release or size < CHUNK):
                size += self.entries[ordered[count]].size
                count += 1
            yield from (_read_gguf if self.is_gguf else _read_safetensors)(self.path, ordered[:count])
            ordered = ordered[count:]


def _read_safetensors(path: Path, names: Sequence[str]) -> Iterator[tuple[str, torch.Tensor]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            for name in names:
                yield name, file.get_tensor(name)
    except (SafetensorError, OSError) as error:
        raise ModelFilesError("model", path.name, f"a safetensors file that can be read; {error}") from error


def _read_gguf(path: Path, names: Sequence[str]) -> Iterator[tuple[str, torch.Tensor]]:
    import torch

    tensors = {tensor.name: tensor for tensor in _gguf_reader(path).tensors}
    for name in names:
        tensor = tensors[name]
        with warnings.catch_warnings():  # of pages that cannot be written; nothing here writes into weights
            warnings.simplefilter("ignore", UserWarning)
            data = torch.from_numpy(tensor.data)
        yield name, data.view(torch.bfloat16) if tensor.tensor_type.name == "BF16" else data


def _gguf_reader(path: Path) -> Any:
    try:
        import gguf
    except ImportError as error:
        raise ModelFilesError(
            "model", path.name, "the Python package gguf to read it with: pip install gguf"
        ) from error
    try:
        return gguf.GGUFReader(path)
    except Exception as error:  # the reader raises whatever numpy does at the first wrong byte
        raise ModelFilesError("model", path.name, f"a whole GGUF file; reading its header: {error!r}") from error


def open_file(path: Path) -> WeightFile:
    """Read the header. Raises ModelFilesError for a pickle, an unknown kind, a broken or a truncated file."""
    suffix = path.suffix.lower()
    if suffix in PICKLES:
        raise ModelFilesError(
            "model", path.name, "a .safetensors or .gguf file; this is a pickle, which can run code and is never opened"
        )
    if suffix not in SUFFIXES:
        raise ModelFilesError("model", path.name, f"a file that ends in {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise ModelFilesError("model", path.name, f"a file that exists: {path}")
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        raise ModelFilesError("model", path.name, f"a file that can be read; {error}") from error
    if (start == b"GGUF") != (suffix == GGUF):
        really = "a GGUF" if start == b"GGUF" else "no GGUF"
        raise ModelFilesError("model", path.name, f"an ending that says what it is: the file is {really}: {path}")
    return _open_gguf(path) if suffix == GGUF else _open_safetensors(path)


def _open_safetensors(path: Path) -> WeightFile:
    check_safetensors(path)
    with path.open("rb") as file:
        length = struct.unpack("<Q", file.read(8))[0]
        header = json.loads(file.read(length))
    metadata = header.pop("__metadata__", None) or {}
    try:
        entries = {
            name: Entry(
                str(entry["dtype"]),
                tuple(int(side) for side in entry["shape"]),
                int(entry["data_offsets"][1]) - int(entry["data_offsets"][0]),
                int(entry["data_offsets"][0]),
            )
            for name, entry in header.items()
        }
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ModelFilesError("model", path.name, f"a safetensors header that can be read: {path}") from error
    return WeightFile(path, entries, metadata if isinstance(metadata, dict) else {})


def _open_gguf(path: Path) -> WeightFile:
    reader = _gguf_reader(path)
    size = path.stat().st_size
    entries = {}
    for tensor in reader.tensors:
        shape = tuple(int(side) for side in reversed(tensor.shape.tolist()))
        # Shapes that GGUF cannot hold (its rows are whole blocks) stand beside the tensor.
        original = reader.get_field(f"comfy.gguf.orig_shape.{tensor.name}")
        if original is not None:
            shape = tuple(int(original.parts[index][0]) for index in original.data)
        entries[tensor.name] = Entry(tensor.tensor_type.name, shape, int(tensor.n_bytes), int(tensor.data_offset))
        if int(tensor.data_offset) + int(tensor.n_bytes) > size:
            raise ModelFilesError("model", path.name, f"a whole GGUF file; this one ends inside {tensor.name}: {path}")
    architecture = reader.get_field("general.architecture")
    metadata = {"architecture": str(architecture.contents())} if architecture is not None else {}
    return WeightFile(path, entries, metadata)
