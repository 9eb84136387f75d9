"""Weights that lie in memory smaller than they are computed with, and how each becomes numbers again."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch

if TYPE_CHECKING:
    from typing_extensions import Self

# Numbers expanded at a time: on its way the arithmetic takes many times the memory of the result. A GPU waits longer for
# each of the many short operations than it works on them.
AT_ONCE, AT_ONCE_ON_A_GPU = 2**20, 2**24
FP8_DTYPES = {"F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2}


class Stored(Protocol):
    """How the bytes of a weight become numbers: what stays in memory beside int8 [rows, bytes]."""

    def columns(self, raw: torch.Tensor) -> int:
        """Numbers in a row of int8 [rows, bytes]."""
        ...

    def rows(self, start: int, stop: int | None) -> Self:
        """The same for some of the rows; None: to the last."""
        ...

    def expand(self, raw: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """int8 [rows, bytes] -> the weight [rows, columns] in `dtype`, the numbers that the format's makers compute."""
        ...


@dataclass(frozen=True)
class ScaledFp8(Stored):
    """8-bit floats, times a scale where there is one: ComfyUI's `fp8_scaled`, BFL's `fp8r`."""

    kind: torch.dtype
    scale: torch.Tensor | None  # one number, or [rows, 1]
    arithmetic: torch.dtype | None = None  # what scale and weight meet in; None: what the weight is expanded to

    def columns(self, raw: torch.Tensor) -> int:
        """Numbers in a row of int8 [rows, bytes]."""
        return raw.shape[1]

    def rows(self, start: int, stop: int | None) -> ScaledFp8:
        """The same for some of the rows."""
        return dataclasses.replace(self, scale=_rows(self.scale, start, stop))

    def expand(self, raw: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """int8 [rows, columns] -> the weight [rows, columns] in `dtype`, rounded as the format's makers round it."""
        weight = raw.view(self.kind).to(self.arithmetic or dtype)
        return (weight if self.scale is None else weight.mul_(self.scale.to(weight))).to(dtype)

    def shrink(self, weight: torch.Tensor) -> torch.Tensor:
        """A weight as it would be stored, before rounding: [rows, columns] in its own dtype."""
        return weight if self.scale is None else weight / self.scale.to(weight)


@dataclass(frozen=True)
class ScaledInt8(Stored):
    """8-bit integers times a scale: bitsandbytes' LLM.int8(), ComfyUI's `int8_tensorwise`, optimum-quanto's and torchao's int8."""

    scale: torch.Tensor  # float32, one number or [rows, 1]
    unit: float = 1.0  # multiplied in a step of its own, as bitsandbytes does with 1/127
    rotated: int = 0  # so many columns at a time were rotated by a Hadamard matrix (ConvRot); 0: none
    rounded: torch.dtype | None = None  # what the product is rounded to first
    zero: torch.Tensor | None = None  # float32, as `scale`: taken off the integers

    def columns(self, raw: torch.Tensor) -> int:
        """Numbers in a row of int8 [rows, bytes]."""
        return raw.shape[1]

    def rows(self, start: int, stop: int | None) -> ScaledInt8:
        """The same for some of the rows."""
        return dataclasses.replace(self, scale=_rows(self.scale, start, stop), zero=_rows(self.zero, start, stop))

    def expand(self, raw: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """int8 [rows, columns] -> the weight [rows, columns] in `dtype`."""
        scale, zero = self.scale.to(raw.device), 0 if self.zero is None else self.zero.to(raw.device)

        def numbers(start: int, stop: int) -> torch.Tensor:
            some = raw[start:stop].float()
            if self.zero is not None:
                some -= _rows(zero, start, stop)
            some = some * _rows(scale, start, stop) * self.unit
            if not self.rotated:
                return some.to(self.rounded or some.dtype)
            matrix = hadamard(self.rotated).T.to(some)
            return (some.reshape(len(some), -1, self.rotated) @ matrix).reshape(some.shape)

        return _in_steps(len(raw), raw.shape[1], numbers, dtype, raw.device)


class _PackedRows(Stored):
    """Blocks of a row's numbers, all that belongs to them in that row: some of the rows are read as all are."""

    block: int  # numbers
    scales: torch.dtype

    @property
    def code_bytes(self) -> int:
        """Of a block's codes."""
        raise NotImplementedError

    @property
    def block_bytes(self) -> int:
        """Of a block's codes and of what belongs to them."""
        raise NotImplementedError

    def columns(self, raw: torch.Tensor) -> int:
        """Numbers in a row of int8 [rows, bytes]."""
        return raw.shape[1] // self.block_bytes * self.block

    def rows(self, start: int, stop: int | None) -> Self:
        """The same for some of the rows."""
        return self


@dataclass(frozen=True)
class ScaledBlocks(_PackedRows):
    """Numbers in blocks that share a scale; in a row stand first the numbers' bytes, then the scales'.

    bitsandbytes' nf4 and fp4, nvfp4 (ComfyUI's, BFL's and torchao's), mxfp8, mxfp4, torchao's float8 in blocks.
    """

    numbers: (
        torch.dtype | tuple[float, ...]
    )  # 8-bit floats, or what a 4-bit code stands for: two a byte, the high first
    block: int  # numbers
    scales: torch.dtype
    scale: torch.Tensor | None = None  # one number, for the whole weight
    arithmetic: torch.dtype | None = torch.float32  # None: what the weight is expanded to
    rounded: torch.dtype | None = None  # what the product is rounded to first

    def expand(self, raw: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """int8 [rows, bytes] -> the weight [rows, columns] in `dtype`."""
        columns, work = self.columns(raw), self.arithmetic or dtype
        split = columns // self.block * self.code_bytes

        def numbers(start: int, stop: int) -> torch.Tensor:
            some, scales = raw[start:stop, :split], _as_numbers(raw[start:stop, split:], self.scales).to(work)
            if self.scale is not None:
                scales = self.scale.to(scales) * scales
            if isinstance(self.numbers, torch.dtype):
                values = some.contiguous().view(self.numbers).to(work)
            else:
                codes = some.contiguous().view(torch.uint8)
                table = torch.tensor(self.numbers, dtype=work, device=raw.device)
                values = table[torch.stack([codes >> 4, codes & 15], -1).int()]
            out = values.reshape(*scales.shape, self.block) * scales[..., None]
            return out.reshape(len(some), columns).to(self.rounded or work)

        return _in_steps(len(raw), columns, numbers, dtype, raw.device)

    @property
    def code_bytes(self) -> int:
        """Of a block's numbers."""
        return self.numbers.itemsize * self.block if isinstance(self.numbers, torch.dtype) else self.block // 2

    @property
    def block_bytes(self) -> int:
        """Of a block's numbers and its scale."""
        return self.code_bytes + self.scales.itemsize


# Bits of a code -> the codes of one group of bytes, each as the (byte, shift to the right, mask) of its pieces.
# SDNQ's layout: the first codes in the low bits, the pieces of the last in what is left over.
CODES: dict[int, tuple[tuple[tuple[int, int, int], ...], ...]] = {
    8: (((0, 0, 255),),),
    7: (
        *(((byte, 0, 127),) for byte in range(7)),
        ((0, 1, 64), (1, 2, 32), (2, 3, 16), (3, 4, 8), (4, 5, 4), (5, 6, 2), (6, 7, 1)),
    ),
    6: (*(((byte, 0, 63),) for byte in range(3)), ((0, 2, 48), (1, 4, 12), (2, 6, 3))),
    5: (
        *(((byte, 0, 31),) for byte in range(5)),
        ((0, 5, 7), (3, 2, 24)),
        ((1, 5, 7), (4, 2, 24)),
        ((2, 5, 7), (3, 3, 16), (4, 4, 8)),
    ),
    4: (((0, 0, 15),), ((0, 4, 15),)),
    3: (
        *(((byte, 0, 7),) for byte in range(3)),
        *(((byte, 3, 7),) for byte in range(3)),
        ((0, 6, 3), (2, 4, 4)),
        ((1, 6, 3), (2, 5, 4)),
    ),
    2: tuple(((0, shift, 3),) for shift in (0, 2, 4, 6)),
}


def unpack(packed: torch.Tensor, bits: int) -> torch.Tensor:
    """uint8 [..., bytes] -> uint8 [..., codes] of 0 to 2**bits - 1."""
    group = packed.reshape(*packed.shape[:-1], -1, len(CODES[bits]) * bits // 8)
    codes = [
        functools.reduce(torch.bitwise_or, [(group[..., byte] >> shift) & mask for byte, shift, mask in pieces])
        for pieces in CODES[bits]
    ]
    return torch.stack(codes, -1).reshape(*packed.shape[:-1], -1)


@dataclass(frozen=True)
class ShiftedBlocks(_PackedRows):
    """Integers of few bits in blocks that share a scale and mostly a zero point; in a row stand first the codes' bytes, then
    the scales, then the zero points. SDNQ's integers, optimum-quanto's int4 and int2, torchao's int4 and int8 in blocks.
    """

    bits: int  # of a code
    block: int  # numbers
    scales: torch.dtype  # of scales and zero points
    lowest: int  # what code 0 stands for
    shifted: bool  # whether there are zero points
    # What a zero point is to a code: "added" to the product, "fused" (the same, rounded once: SDNQ), or "taken" off the code.
    zeros: str = "fused"
    arithmetic: torch.dtype | None = None  # what codes, scales and zero points meet in; None: that of the scales
    table: tuple[float, ...] | None = None  # what the codes stand for, where that is not `lowest` and upwards

    @property
    def code_bytes(self) -> int:
        """Of a block's codes."""
        return self.block * self.bits // 8

    @property
    def block_bytes(self) -> int:
        """Of a block's codes, its scale and its zero point."""
        return self.code_bytes + self.scales.itemsize * (1 + self.shifted)

    def expand(self, raw: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """int8 [rows, bytes] -> the weight [rows, columns] in `dtype`."""
        columns = self.columns(raw)
        count, split, work = columns // self.block, columns * self.bits // 8, self.arithmetic or self.scales

        def numbers(start: int, stop: int) -> torch.Tensor:
            some = raw[start:stop]
            codes = unpack(some[:, :split].contiguous().view(torch.uint8), self.bits)
            codes = codes.reshape(len(some), count, self.block)
            if self.table is None:
                values = codes.to(work).add_(self.lowest)
            else:
                values = torch.tensor(self.table, dtype=work, device=raw.device)[codes.int()]
            both = _as_numbers(some[:, split:], self.scales)[..., None].to(work)
            scales, zeros = both[:, :count], both[:, count:]
            if not self.shifted:
                values = values * scales
            elif self.zeros == "taken":
                values = (values - zeros) * scales
            else:
                values = torch.addcmul(zeros, values, scales) if self.zeros == "fused" else values * scales + zeros
            return values.reshape(len(some), columns)

        return _in_steps(len(raw), columns, numbers, dtype, raw.device)


@dataclass(frozen=True)
class TabledBlocks(_PackedRows):
    """Codes in blocks that have a table each of what they stand for; in a row stand first the codes' bytes, then the tables.

    SDNQ's codebooks.
    """

    bits: int  # of a code
    block: int  # numbers
    scales: torch.dtype  # of the tables
    levels: int  # numbers in a table

    @property
    def code_bytes(self) -> int:
        """Of a block's codes."""
        return self.block * self.bits // 8

    @property
    def block_bytes(self) -> int:
        """Of a block's codes and its table."""
        return self.code_bytes + self.levels * self.scales.itemsize

    def expand(self, raw: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """int8 [rows, bytes] -> the weight [rows, columns] in `dtype`."""
        columns = self.columns(raw)
        count = columns // self.block

        def numbers(start: int, stop: int) -> torch.Tensor:
            some, split = raw[start:stop], count * self.code_bytes
            codes = unpack(some[:, :split].contiguous().view(torch.uint8), self.bits)
            tables = _as_numbers(some[:, split:], self.scales).reshape(len(some), count, self.levels)
            # A stranger's codes of 8 bits may point behind a shorter table.
            places = codes.reshape(len(some), count, self.block).long().clamp_(max=self.levels - 1)
            return tables.gather(-1, places).reshape(len(some), columns)

        return _in_steps(len(raw), columns, numbers, dtype, raw.device)


@dataclass(frozen=True)
class Composed(Stored):
    """Blocks that are not yet the weight: in this order, times a scale of each row, divided by what each column was
    multiplied with, added to the product of two narrow matrices (SVDQuant), and rotated by a Hadamard matrix.
    """

    blocks: ScaledBlocks | ShiftedBlocks | TabledBlocks
    scale: torch.Tensor | None = None  # [rows, 1]
    smooth: torch.Tensor | None = None  # [columns]
    up: torch.Tensor | None = None  # [rows, rank]
    down: torch.Tensor | None = None  # [rank, columns]
    rotated: int = 0  # columns at a time

    def columns(self, raw: torch.Tensor) -> int:
        """Numbers in a row of int8 [rows, bytes]."""
        return self.blocks.columns(raw)

    def rows(self, start: int, stop: int | None) -> Composed:
        """The same for some of the rows."""
        return dataclasses.replace(self, scale=_rows(self.scale, start, stop), up=_rows(self.up, start, stop))

    def expand(self, raw: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """int8 [rows, bytes] -> the weight [rows, columns] in `dtype`, in float32 on the way."""
        scale, smooth, up, down = (
            part if part is None else part.to(raw.device).float()  # in this order: half the bytes travel
            for part in (self.scale, self.smooth, self.up, self.down)
        )
        matrix = hadamard(self.rotated).to(raw.device) if self.rotated else None

        def numbers(start: int, stop: int) -> torch.Tensor:
            some = self.blocks.expand(raw[start:stop], torch.float32)
            if scale is not None:
                some *= scale[start:stop]
            if smooth is not None:
                some /= smooth
            if up is not None and down is not None:
                some.addmm_(up[start:stop], down)
            return some if matrix is None else (some.reshape(len(some), -1, self.rotated) @ matrix).reshape(some.shape)

        return _in_steps(len(raw), self.columns(raw), numbers, dtype, raw.device)


@dataclass(frozen=True)
class GgufBlocks(Stored):
    """GGUF's blocks."""

    kind: int  # gguf.GGMLQuantizationType

    def columns(self, raw: torch.Tensor) -> int:
        """Numbers in a row of int8 [rows, bytes]."""
        _, block, size = _gguf(self.kind)
        return raw.shape[1] // size * block

    def rows(self, start: int, stop: int | None) -> GgufBlocks:
        """The same for some of the rows."""
        return self

    def expand(self, raw: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """int8 [rows, bytes] -> the weight [rows, columns] in `dtype`."""
        dequantise, block, size = _gguf(self.kind)
        columns = self.columns(raw)

        def numbers(start: int, stop: int) -> torch.Tensor:
            blocks = raw[start:stop].view(torch.uint8).reshape(-1, size)
            return dequantise(blocks, block, size, torch.float32).reshape(-1, columns)

        return _in_steps(len(raw), columns, numbers, dtype, raw.device)


def _rows(scale: torch.Tensor | None, start: int, stop: int | None) -> torch.Tensor | None:
    return scale if scale is None or scale.ndim == 0 else scale[start:stop]


def _as_numbers(part: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """int8 [rows, bytes] -> [rows, numbers] of `dtype`, a copy: a single row is contiguous wherever its bytes begin."""
    return part.clone(memory_format=torch.contiguous_format).view(dtype)


def _in_steps(
    rows: int,
    columns: int,
    numbers: Callable[[int, int], torch.Tensor],
    dtype: torch.dtype,
    device: torch.device,
) -> torch.Tensor:
    """[rows, columns] in `dtype`, of what `numbers` gives for rows start..stop, a few rows at a time."""
    out = torch.empty(rows, columns, dtype=dtype, device=device)
    step = max((AT_ONCE if device.type == "cpu" else AT_ONCE_ON_A_GPU) // max(columns, 1), 1)
    for start in range(0, rows, step):
        out[start : start + step] = numbers(start, min(start + step, rows))
    return out


@functools.cache
def hadamard(size: int) -> torch.Tensor:
    """An orthonormal, symmetric Hadamard matrix: float32 [size, size]. ConvRot and SDNQ rotate weights with it.

    The regular one of a power of 4, Sylvester's of another power of 2.
    """
    four, two = torch.ones(4, 4) - 2 * torch.eye(4).flip(0), torch.tensor([[1.0, 1.0], [1.0, -1.0]])
    out = step = four if size.bit_length() % 2 else two
    while len(out) < size:
        out = torch.kron(out, step)
    return out / size**0.5


def _gguf(kind: int) -> tuple[Any, int, int]:
    """The function for blocks of a kind, numbers in a block, bytes in a block."""
    from diffusers.quantizers.gguf.utils import GGML_QUANT_SIZES, dequantize_functions

    block, size = GGML_QUANT_SIZES[kind]
    return dequantize_functions[kind], block, size


def gguf_kinds() -> dict[str, int]:
    """Name -> kind of every sort of blocks that can be read. Raises ImportError without the `gguf` package."""
    from diffusers.quantizers.gguf.utils import dequantize_functions

    return {kind.name: kind for kind in dequantize_functions}
