"""SDNQ's layers: integers and floats of 2 to 8 bits in blocks or rows, codebooks, SVD, Hadamard rotations.

How many bits a code has follows from the size of the weight; that it is signed, from there being no zero points. What no
tensor tells is in the folder's quantization_config, mostly of all layers at once.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from .format import Format, Header, weight_of
from .layers import PLAIN, Entry, Layer, in_rows, unreadable
from .stored import CODES, FP8_DTYPES, Composed, ScaledBlocks, ShiftedBlocks, Stored, TabledBlocks, unpack

LAYER_TENSORS = ("scale", "zero_point", "svd_up", "svd_down")
LARGEST_ROTATION = 4096  # columns; SDNQ's own default is 256
# SDNQ's short names of floats (sdnq.common.dtype_dict).
SHORT = {
    "fp7": "float7_e3m3fn",
    "fp6": "float6_e3m2fn",
    "fp5": "float5_e2m2fn",
    "fp4": "float4_e2m1fn",
    "fp3": "float3_e1m1fn",
    "fp2": "float2_e1m0fn",
    "fp8": "float8_e4m3fn",
    "ufp8": "float8_e4m4fnu",
    "ufp7": "float7_e3m4fnu",
    "ufp6": "float6_e3m3fnu",
    "ufp5": "float5_e2m3fnu",
    "ufp4": "float4_e2m2fnu",
    "ufp3": "float3_e1m2fnu",
    "ufp2": "float2_e1m1fnu",
}
NATIVE = ("float8_e4m3fn", "float8_e5m2")  # torch's own, which the file names


class SmallFloat(NamedTuple):
    """A float of 2 to 8 bits that no dtype of torch is."""

    exponent: int  # bits
    mantissa: int
    signed: bool

    @property
    def bits(self) -> int:
        """Of one number."""
        return self.exponent + self.mantissa + self.signed

    def numbers(self) -> tuple[float, ...]:
        """Of its codes: no infinities, none that is no number; the lowest exponent is subnormal."""
        bias = 2 ** (self.exponent - 1) - 1
        out = []
        for code in range(2 ** (self.exponent + self.mantissa)):
            power, rest = code >> self.mantissa, (code & ((1 << self.mantissa) - 1)) / (1 << self.mantissa)
            out.append((1 + rest) * 2.0 ** (power - bias) if power else rest * 2.0 ** (1 - bias))
        return (*out, *(-number for number in out)) if self.signed else tuple(out)


def small_float(kind: str) -> SmallFloat | None:
    """By SDNQ's name of it; None for what is none."""
    found = re.fullmatch(r"float([2-8])_e([1-7])m([0-7])fn(u?)(?:_sdnq)?", kind)
    if found is None or kind in NATIVE:
        return None
    made = SmallFloat(int(found[2]), int(found[3]), not found[4])
    return made if made.bits == int(found[1]) else None


class QuantConfig(NamedTuple):
    """What a quantization_config says that no tensor tells."""

    kinds: tuple[str, ...]  # of numbers, of some layer each
    fp32: bool  # whether scales and codes meet in float32
    codebook: bool
    rotated: int  # columns that a Hadamard matrix rotates at a time, at most; 0: none
    refused: str  # why it cannot be read


class _Tensors(NamedTuple):
    """What a file has of a weight: its codes, and what belongs to them."""

    entry: Entry
    names: tuple[str, ...]  # of the codes, then of the other parts
    parts: Mapping[str, Entry]  # scale, zero_point, svd_up, svd_down, as far as they are there

    @property
    def shifted(self) -> bool:
        """Whether there are zero points."""
        return "zero_point" in self.parts


class _Layout(NamedTuple):
    """How the numbers of a weight lie in its tensors."""

    rows: int
    columns: int
    per_row: int  # blocks of a row
    bits: int  # of a code
    levels: int  # of a codebook; 1: there is none
    transposed: bool  # a layer that is multiplied as it is stored lies on its side
    svd_transposed: bool  # ... and so do its narrow matrices


def layer(name: str, entry: Entry, entries: Mapping[str, Entry], config: QuantConfig) -> Layer:
    """The weight whose codes are called `name`; its shape is that of the module's."""
    stem = name.removesuffix("weight")
    parts = {part: entries[stem + part] for part in LAYER_TENSORS if stem + part in entries}
    tensors = _Tensors(entry, (name, *(stem + part for part in parts)), parts)
    if config.refused:
        return unreadable(f"SDNQ weights with {config.refused}", entry, tensors.names)
    if any(stem + part in entries for part in ("scale_2", "zero_point_scale")):
        return unreadable("SDNQ weights with quantised scales", entry, tensors.names)
    return Layer("SDNQ", entry.shape, tensors.names, None, of_shape=functools.partial(_of_shape, tensors, config))


def _of_shape(tensors: _Tensors, config: QuantConfig, shape: tuple[int, ...]) -> Layer:
    entry, other = tensors.entry, unreadable("SDNQ weights of another layout", tensors.entry, tensors.names)
    layout = _layout(tensors, config, shape)
    if layout is None:
        return other
    numbers: SmallFloat | None = None
    if entry.kind == "U8" and layout.levels == 1:
        fitting = [kind for kind in config.kinds if _fits(kind, layout.bits, tensors.shifted)]
        numbers = small_float(fitting[0]) if fitting else None
        if len(fitting) > 1:
            return unreadable(f"SDNQ weights that may be {' or '.join(fitting)}", entry, tensors.names)
        if layout.bits == 8 and not tensors.shifted and numbers is None:
            return other
    pack = functools.partial(_pack, tensors, layout, config, numbers)
    return Layer(f"SDNQ {layout.bits}-bit", shape, tensors.names, pack)


def _layout(tensors: _Tensors, config: QuantConfig, shape: tuple[int, ...]) -> _Layout | None:
    """None where the tensors and the shape do not agree."""
    if len(shape) != 2 or min(shape) < 1 or not _scales_fit(tensors):
        return None
    (rows, columns), scale, entry = shape, tensors.parts["scale"].shape, tensors.entry
    bits = entry.size * 8 // math.prod(shape)
    levels = 1 << bits if config.codebook and bits in CODES else 1
    count = 1 if len(scale) == 1 else math.prod(scale) // rows // levels
    transposed = scale == (1, rows) and entry.shape == (columns, rows) and levels == 1
    upright = scale in ((rows, levels), (rows, count, levels)) or (levels > 1 and scale == (levels,))
    svd_transposed = _svd_transposed(tensors, rows, columns)
    if not (transposed or upright) or count < 1 or columns % count or svd_transposed is None:
        return None
    if tensors.shifted and levels > 1:
        return None
    lies = entry.shape in ((columns, rows) if transposed else shape, (rows, count, columns // count))
    if entry.kind in ("I8", *FP8_DTYPES):
        fits = lies and not tensors.shifted and levels == 1
    else:
        whole = entry.size * 8 == bits * math.prod(shape)
        fits = entry.kind == "U8" and bits in CODES and whole and (lies if bits == 8 else upright)
    return _Layout(rows, columns, count, bits, levels, transposed, svd_transposed) if fits else None


def _scales_fit(tensors: _Tensors) -> bool:
    """Whether scales and zero points are numbers of one kind and shape."""
    scale, zero = tensors.parts["scale"], tensors.parts.get("zero_point")
    if scale.kind not in PLAIN[1:]:
        return False
    return zero is None or (zero.kind, zero.shape) == (scale.kind, scale.shape)


def _svd_transposed(tensors: _Tensors, rows: int, columns: int) -> bool | None:
    """Whether the two narrow matrices lie on their sides; None where they do not fit the weight, or either way."""
    sides = [tensors.parts[part].shape for part in ("svd_up", "svd_down") if part in tensors.parts]
    if not sides:
        return False
    if len(sides) != 2 or any(len(side) != 2 for side in sides):
        return None
    up, down = sides
    upright = up == (rows, down[0]) and down == (up[-1], columns)
    lying = up == (down[-1], rows) and down == (columns, up[0])
    return lying if upright != lying else None


def _pack(
    tensors: _Tensors, layout: _Layout, config: QuantConfig, numbers: SmallFloat | None, read: list[Any]
) -> tuple[Any, Stored]:
    codes, scales, *more = read
    rows, kind, bits = layout.rows, tensors.entry.kind, layout.bits
    if config.fp32:
        scales = scales.float()
    block = layout.columns // layout.per_row
    scales = scales.reshape(rows, -1) if scales.ndim > 1 else scales.expand(rows, -1)
    zeros = [more.pop(0).to(scales.dtype).reshape(rows, layout.per_row)] if tensors.shifted else []
    own, lowest = bits, 0 if tensors.shifted else -(1 << (bits - 1))
    if block % len(CODES[bits]):  # blocks that end inside a byte
        codes, own = unpack(codes.reshape(-1), bits), 8
    codes = codes.t() if layout.transposed else codes.reshape(rows, -1)
    signed = (lambda some: some ^ 0x80) if kind == "I8" else None
    blocks: ScaledBlocks | ShiftedBlocks | TabledBlocks
    if kind in FP8_DTYPES:
        blocks = ScaledBlocks(FP8_DTYPES[kind], block, scales.dtype, arithmetic=scales.dtype)
    elif layout.levels > 1:
        blocks = TabledBlocks(own, block, scales.dtype, layout.levels)
    else:
        table = numbers.numbers() if numbers else None
        blocks = ShiftedBlocks(own, block, scales.dtype, lowest, tensors.shifted, table=table)
    raw, _ = in_rows(codes, lambda: [scales, *zeros], blocks, signed)
    up, down = [(side.t() if layout.svd_transposed else side).clone().contiguous() for side in more] or (None, None)
    rotated = _rotated(config.rotated, layout.columns)
    if up is None and not rotated:
        return raw, blocks
    return raw, Composed(blocks, up=up, down=down, rotated=rotated)


def read_config(config: Mapping[str, Any]) -> QuantConfig:
    """`config`: the quantization_config."""
    own, fp32 = config.get("modules_quant_config"), config.get("dequantize_fp32", True)
    every = [config, *(own.values() if isinstance(own, dict) else [])]
    refused = ""
    group = config.get("hadamard_group_size", 256)
    for one in every:
        if not isinstance(one, dict | Mapping):
            return QuantConfig((), True, False, 0, "settings that cannot be read")
        if one.get("dequantize_fp32", fp32) != fp32:
            refused = "arithmetic chosen layer by layer"
        for key, what in (("use_hadamard", "a Hadamard rotation"), ("use_codebook", "a codebook")):
            if bool(one.get(key, config.get(key))) != bool(config.get(key)):
                refused = f"{what} in some layers alone"
        if one.get("hadamard_group_size", group) != group:
            refused = "Hadamard rotations of several sizes"
    if config.get("use_hadamard") and (type(group) is not int or not 1 <= group <= LARGEST_ROTATION):
        refused = f"a Hadamard rotation of more than {LARGEST_ROTATION} columns, or of none"
    kinds = tuple(dict.fromkeys(_kinds(config, every)))
    if unknown := [kind for kind in kinds if "float" in kind and kind not in NATIVE and not small_float(kind)]:
        refused = f"{unknown[0][:40]} numbers"
    rotates = bool(config.get("use_hadamard")) and not refused
    return QuantConfig(kinds, bool(fp32), bool(config.get("use_codebook")), group if rotates else 0, refused)


def _kinds(config: Mapping[str, Any], every: list[Any]) -> Iterator[str]:
    """The kinds of numbers that some layer may have."""
    by_kind = config.get("modules_dtype_dict")
    for kind in (*(one.get("weights_dtype") for one in every), *(by_kind if isinstance(by_kind, dict) else ())):
        name = str(kind).lower()
        if "minimum" in name or name.endswith(("bit", "bits")):  # integers of at least so many bits
            yield from (f"{sign}int{number}" for number in re.findall(r"\d+", name) for sign in ("", "u"))
        else:
            yield SHORT.get(name, name)


def _fits(kind: str, bits: int, shifted: bool) -> bool:
    """Whether a kind of numbers has codes of so many bits, without a sign where there are zero points."""
    if found := small_float(kind):
        return found.bits == bits and found.signed != shifted
    return kind == f"{'u' if shifted else ''}int{bits}"


def _rotated(most: int, columns: int) -> int:
    """Columns that are rotated at a time: the largest power of two up to `most` that divides them; below 4, none."""
    if not most:
        return 0
    size = 1 << (min(columns, most) - 1).bit_length()
    while columns % size:
        size //= 2
    return size if size >= 4 else 0


def _recognises(name: str, header: Header) -> bool:
    stem = weight_of(name)
    return stem is not None and header.method == "sdnq" and stem + "scale" in header.entries


def _config(header: Header) -> QuantConfig:
    return read_config(header.quantisation)


def _reads(name: str, header: Header) -> dict[str, Layer]:
    config = header.once(_config)
    return {name: layer(name, header.entries[name], header.entries, config)}


FORMAT = Format("SDNQ", _recognises, _reads, "sdnq")
