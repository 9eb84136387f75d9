"""Files of weights, single or in shards: what is in them by name, shape and kind, and the tensors read one by one.

safetensors are memory-mapped; what a GGUF's kinds of blocks are, the `gguf` package knows. Pickles are refused by name, unopened.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ModelFilesError
from ..weights.format import Header
from ..weights.layers import Entry, Layer
from . import gguf_header

if TYPE_CHECKING:
    import torch

SAFETENSORS = (".safetensors", ".sft")
GGUF = ".gguf"
SUFFIXES = (*SAFETENSORS, GGUF)
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
# A header is read before anything is known of a file, so it is bounded: the largest published ones have 2 MB and 6,000
# tensors. The safetensors library's own limit, 100 MB, is half a minute and gigabytes of Python objects.
MAX_HEADER = 16 * 2**20  # bytes
MOST_TENSORS = 20_000
# Bytes read between two openings of a file whose weights are converted: a mapping's pages count as memory until it closes.
BYTES_AT_ONCE = 32 * 2**20
LARGEST_DESCRIPTION = 2**20  # bytes; real ones have a few hundred


@dataclass(frozen=True)
class WeightFile:
    """A whole, readable file of weights, or a folder of shards. No tensor is in memory."""

    path: Path
    entries: Mapping[str, Entry] = field(repr=False)
    metadata: Mapping[str, Any] = field(repr=False)
    layers: Mapping[str, Layer] = field(repr=False)  # the weights that are not written as numbers

    @property
    def is_gguf(self) -> bool:
        """By its suffix."""
        return self.path.suffix.lower() == GGUF

    def read(self, names: Sequence[str], release: bool) -> Iterator[tuple[str, list[torch.Tensor]]]:
        """(name, its tensors) in the order of the file: one, or all those of a layer. A GGUF's blocks come as uint8
        [rows, bytes].

        The tensors are views of the mapped file; with `release` none of them may outlive its turn.
        """
        ordered = sorted(names, key=lambda name: (str(self.entries[name].path), self.entries[name].place))
        parts = {name: self._parts(name) for name in ordered}
        while ordered:
            size, count = 0, 0
            while count < len(ordered) and (not release or size < BYTES_AT_ONCE):
                size += sum(self.entries[part].size for part in parts[ordered[count]])
                count += 1
            chunk = {name: [(part, self.entries[part]) for part in parts[name]] for name in ordered[:count]}
            if self.is_gguf:
                mapped = None if release else _mapped(self.path)
                for name, ((_, entry),) in chunk.items():
                    yield name, [_read_gguf(entry, mapped)]
            else:
                yield from _read_safetensors(chunk)
            ordered = ordered[count:]

    def text(self, name: str) -> bytes:
        """A tensor that is a text."""
        ((_, (tensor,)),) = self.read([name], release=False)
        return bytes_of(tensor)

    def vocabulary(self) -> dict[str, Any]:
        """What the header of a GGUF says of its tokenizer, by what follows "tokenizer.ggml."."""
        return read_vocabulary(self.path)

    def _parts(self, name: str) -> tuple[str, ...]:
        return (self.layers[name].names if name in self.layers else ()) or (name,)


def _read_safetensors(chunk: Mapping[str, list[tuple[str, Entry]]]) -> Iterator[tuple[str, list[torch.Tensor]]]:
    from safetensors import SafetensorError, safe_open

    path = Path()
    try:
        with contextlib.ExitStack() as stack:
            files: dict[Path, Any] = {}
            for name, parts in chunk.items():
                for _, entry in parts:
                    if (path := entry.path) not in files:
                        files[path] = stack.enter_context(safe_open(path, framework="pt"))
                yield name, [files[entry.path].get_tensor(part) for part, entry in parts]
    except (SafetensorError, OSError) as error:
        raise ModelFilesError("model", path.name, f"a safetensors file that can be read; {error}") from error


def _mapped(path: Path) -> torch.Tensor:
    import torch

    return torch.from_file(str(path), shared=False, size=path.stat().st_size, dtype=torch.uint8)


def _read_gguf(entry: Entry, mapped: torch.Tensor | None) -> torch.Tensor:
    """One tensor: of the mapped file, or into memory of its own (the pages of a mapping count until it is closed)."""
    import torch

    if mapped is not None:
        data = mapped[entry.place : entry.place + entry.size]
    else:
        data = torch.empty(entry.size, dtype=torch.uint8)
        try:
            with entry.path.open("rb") as file:
                file.seek(entry.place)
                if file.readinto(data.numpy()) != entry.size:
                    raise OSError("it has become shorter")
        except OSError as error:
            raise ModelFilesError("model", entry.path.name, f"a GGUF file that can be read; {error}") from error
    dtype = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}.get(entry.kind)
    return data.reshape(-1, entry.row) if dtype is None else data.view(dtype).reshape(entry.shape)


def bytes_of(tensor: torch.Tensor) -> bytes:
    """Of a tensor that is a text, of whatever kind its file calls the numbers."""
    import torch

    return tensor.reshape(-1).view(torch.uint8).numpy().tobytes()


def header_length(path: Path) -> int:
    """Bytes of a safetensors file's header, by what its first 8 bytes say; more than the file has where it is cut off."""
    with path.open("rb") as file:
        start = file.read(8)
    return struct.unpack("<Q", start)[0] if len(start) == 8 else path.stat().st_size


def check_safetensors(path: Path, name: str = "model") -> dict[str, Any]:
    """The header of a safetensors file. Raises ModelFilesError unless the file's size is what its header says (a broken
    download is shorter), and for a header beyond MAX_HEADER and MOST_TENSORS.
    """
    size, length = path.stat().st_size, header_length(path)
    if length > size - 8:
        raise ModelFilesError(name, path.name, f"a whole safetensors file; this one ends inside its header: {path}")
    if length > MAX_HEADER:
        wanted = f"a safetensors file with a header of at most {MAX_HEADER} bytes; this one has {length}: {path}"
        raise ModelFilesError(name, path.name, wanted)
    try:
        with path.open("rb") as file:
            file.seek(8)
            header = json.loads(file.read(length))
        ends = [int(entry["data_offsets"][1]) for key, entry in header.items() if key != "__metadata__"]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, OverflowError) as error:
        raise ModelFilesError(name, path.name, f"a safetensors header that can be read: {path}") from error
    if len(ends) > MOST_TENSORS:
        wanted = f"a safetensors file of at most {MOST_TENSORS} tensors; this one has {len(ends)}: {path}"
        raise ModelFilesError(name, path.name, wanted)
    wanted_size = 8 + length + max(ends, default=0)
    if size != wanted_size:
        raise ModelFilesError(name, path.name, f"a whole file of {wanted_size} bytes, this one has {size}: {path}")
    return header


def read_vocabulary(path: Path) -> dict[str, Any]:
    """The fields of a GGUF's header that are about its tokenizer, by what stands behind "tokenizer.ggml."."""
    start = "tokenizer.ggml."
    fields = _gguf_header(path).fields
    return {name.removeprefix(start): value for name, value in fields.items() if name.startswith(start)}


def _gguf_header(path: Path) -> gguf_header.GgufHeader:
    try:
        return gguf_header.read(path)
    except (ValueError, OSError) as error:
        raise ModelFilesError("model", path.name, f"a whole GGUF file; reading its header: {error}") from error


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
    return _with_layers(_open_gguf(path) if suffix == GGUF else WeightFile(path, *_read_header(path), {}), {})


def open_shards(folder: Path, files: Sequence[Path], quantisation: Mapping[str, Any]) -> WeightFile:
    """The safetensors of a component's folder as one. `quantisation`: its quantization_config.

    Raises ModelFilesError where one is broken.
    """
    entries: dict[str, Entry] = {}
    metadata: dict[str, Any] = {}
    for path in files:
        more, notes = _read_header(path)
        entries |= more
        metadata |= notes
    return _with_layers(WeightFile(folder, entries, metadata, {}), quantisation)


def _with_layers(file: WeightFile, quantisation: Mapping[str, Any]) -> WeightFile:
    """The same with what is not written as numbers, whose entries then have the shapes of the numbers."""
    from ..weights.formats import is_description, layers_of

    described = [
        name for name, entry in file.entries.items() if is_description(name) and entry.size <= LARGEST_DESCRIPTION
    ]
    texts = {name: bytes_of(tensor) for name, (tensor,) in file.read(described, release=True)}
    layers = layers_of(Header(file.entries, file.metadata, texts, quantisation), file.is_gguf)
    shaped = {
        name: file.entries[name if name in file.entries else layer.names[0]]._replace(shape=layer.shape)
        for name, layer in layers.items()
    }
    return dataclasses.replace(file, entries={**file.entries, **shaped}, layers=layers)


def _read_header(path: Path) -> tuple[dict[str, Entry], dict[str, Any]]:
    """Entries and metadata of a safetensors file."""
    header = check_safetensors(path)
    metadata = header.pop("__metadata__", None) or {}
    try:
        entries = {
            name: Entry(
                str(entry["dtype"]),
                tuple(int(side) for side in entry["shape"]),
                int(entry["data_offsets"][1]) - int(entry["data_offsets"][0]),
                int(entry["data_offsets"][0]),
                path,
            )
            for name, entry in header.items()
        }
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:  # Infinity is JSON to Python
        raise ModelFilesError("model", path.name, f"a safetensors header that can be read: {path}") from error
    return entries, metadata if isinstance(metadata, dict) else {}


def _open_gguf(path: Path) -> WeightFile:
    try:
        import gguf
    except ImportError as error:
        raise ModelFilesError(
            "model", path.name, "the Python package gguf to read it with: pip install gguf"
        ) from error
    header, size = _gguf_header(path), path.stat().st_size
    entries = {}
    for name, shape, number, place in header.tensors:
        try:
            kind = gguf.GGMLQuantizationType(number)
        except ValueError as error:
            raise ModelFilesError("model", path.name, f"known blocks; {name} has kind {number}") from error
        block, block_bytes = gguf.GGML_QUANT_SIZES[kind]
        numbers = math.prod(shape)
        # Shapes that GGUF cannot hold (its rows are whole blocks) stand beside the tensor.
        original = header.fields.get(f"comfy.gguf.orig_shape.{name}", shape)
        sound = isinstance(original, list | tuple) and all(isinstance(side, int) and side > 0 for side in original)
        if not sound or math.prod(original) != numbers or not shape or shape[-1] % block:
            raise ModelFilesError("model", path.name, f"rows of whole blocks; {name} has the shape {list(shape)}")
        size_of_row = shape[-1] // block * block_bytes
        length = numbers // block * block_bytes
        if place + length > size:
            raise ModelFilesError("model", path.name, f"a whole GGUF file; this one ends inside {name}: {path}")
        entries[name] = Entry(kind.name, tuple(original), length, place, path, size_of_row)
    metadata = {name: value for name, value in header.fields.items() if not isinstance(value, list)}
    return WeightFile(path, entries, metadata, {})
