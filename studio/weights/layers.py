"""A tensor of a file; what a weight that is not written as numbers is to the rest of the pack, and what several makers' layouts share."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from .stored import ScaledBlocks, ShiftedBlocks, Stored, TabledBlocks

PLAIN = ("F64", "F32", "F16", "BF16")
E2M1 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0)  # OCP MX 1.0, table 5


class Entry(NamedTuple):
    """What a file's header says of a tensor."""

    kind: str  # safetensors' name of the dtype ("BF16", "F8_E4M3"), or GGUF's of the blocks ("Q4_K")
    shape: tuple[int, ...]  # of the numbers, not of the bytes
    size: int  # bytes in the file
    place: int  # where they begin: in a GGUF from its start, else behind the header
    path: Path  # the file, of a folder's shards
    row: int = 0  # bytes of a row, in a GGUF


class Layer(NamedTuple):
    """A weight that is not written as numbers."""

    kind: str  # the format, as a person calls it
    shape: tuple[int, ...]  # of the numbers
    names: tuple[str, ...]  # the tensors of the file that make it up
    pack: Callable[[list[Any]], tuple[Any, Stored | None]] | None  # None: cannot be read
    as_is: bool = False  # the bytes that are kept are the file's
    # Where a file does not tell the shape of the numbers: the layer of a weight of this one.
    of_shape: Callable[[tuple[int, ...]], Layer] | None = None


def unreadable(kind: str, entry: Entry, names: tuple[str, ...] = ()) -> Layer:
    """A layer of a `kind` that cannot be computed with; opening the model names it."""
    return Layer(kind, entry.shape, names, None)


def in_rows(
    codes: torch.Tensor,
    numbers: Callable[[], list[torch.Tensor]],
    stored: ScaledBlocks | ShiftedBlocks | TabledBlocks,
    change: Callable[[torch.Tensor], torch.Tensor] | None = None,
    tile: int = 1,
) -> tuple[torch.Tensor, Stored]:
    """Rows of bytes of codes, then scales, then zero points, each [rows, ...]. `change` is done to the codes, as uint8, so
    many times `tile` rows at once.
    """
    import torch

    from .stored import AT_ONCE

    width = math.prod(codes.shape[1:]) * codes.element_size()
    # What stays is allocated before what goes, so that no gaps are left between the layers.
    out = torch.empty(len(codes), width // stored.code_bytes * stored.block_bytes, dtype=torch.int8)
    step = max(AT_ONCE // max(width, 1) // tile, 1) * tile
    for start in range(0, len(codes), step):
        some = _bytes(codes[start : start + step])
        out[start : start + step, :width] = change(some.view(torch.uint8)).view(torch.int8) if change else some
    for part in numbers():
        part = _bytes(part)
        out[:, width : width + part.shape[1]] = part
        width += part.shape[1]
    return out, stored


def _bytes(part: torch.Tensor) -> torch.Tensor:
    """[rows, ...] -> int8 [rows, bytes]."""
    import torch

    # Flat, since a matrix of one column is contiguous with any stride, which bytes are not.
    return part.contiguous().reshape(-1).view(torch.int8).reshape(len(part), -1)


def swapped(codes: torch.Tensor) -> torch.Tensor:
    """uint8 whose halves change places."""
    return (codes << 4) | (codes >> 4)


def tiled(rows: int, blocks: int) -> int:
    """Scales of so many blocks in NVIDIA's tiles of 128 rows and 4 blocks."""
    return -(-rows // 128) * 128 * -(-blocks // 4) * 4


def untiled(scales: torch.Tensor, rows: int, blocks: int) -> torch.Tensor:
    """uint8 [rows, blocks] from NVIDIA's tiles (cuBLAS, "1D block scaling factors layout")."""
    import torch

    tiles = scales.view(torch.uint8).reshape(-(-rows // 128), -(-blocks // 4), 32, 4, 4)
    flat = tiles.permute(0, 3, 2, 1, 4).reshape(tiles.shape[0] * 128, tiles.shape[1] * 4)
    return flat[:rows, :blocks]


def powers_of_two(exponents: torch.Tensor) -> torch.Tensor:
    """float8_e8m0 as uint8 -> bfloat16, whose exponents these are."""
    import torch

    return (exponents.int() << 7).to(torch.int16).view(torch.bfloat16)
