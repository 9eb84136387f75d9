"""SDNQ's layers: integers and floats of 2 to 8 bits in blocks or rows, codebooks, SVD, Hadamard rotations.

How many bits a code has follows from the size of the weight; that it is signed, from there being no zero points. What no
tensor tells is in the folder's quantization_config, mostly of all layers at once.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from .layers import PLAIN, Entry, Layer, in_rows, unreadable
from .stored import CODES, FP8, Composed, ScaledBlocks, ShiftedBlocks, Stored, TabledBlocks, unpack

LARGEST_TURN = 4096  # columns; SDNQ's own default is 256
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


class Settings(NamedTuple):
    """What a quantization_config says that no tensor tells."""

    kinds: tuple[str, ...]  # of numbers, of some layer each
    fp32: bool  # whether scales and codes meet in float32
    codebook: bool
    turn: int  # columns that a Hadamard matrix turns at a time, at most; 0: none
    refused: str  # why it cannot be read


def layer(name: str, entry: Entry, entries: Mapping[str, Entry], settings: Settings) -> Layer:
    stem = name.removesuffix("weight")
    parts = [stem + part for part in ("scale", "zero_point", "svd_up", "svd_down") if stem + part in entries]
    names, shapes = (name, *parts), {part.removeprefix(stem): entries[part].shape for part in parts}
    if settings.refused:
        return unreadable(f"SDNQ weights with {settings.refused}", entry, names)
    if any(stem + part in entries for part in ("scale_2", "zero_point_scale")):
        return unreadable("SDNQ weights with quantised scales", entry, names)

    def of_shape(shape: tuple[int, ...]) -> Layer:
        other = unreadable("SDNQ weights of another layout", entry, names)
        if len(shape) != 2 or min(shape) < 1:
            return other
        rows, columns = shape
        bits, shifted = entry.size * 8 // math.prod(shape), "zero_point" in shapes
        levels = 1 << bits if settings.codebook and bits in CODES else 1
        count = 1 if len(shapes["scale"]) == 1 else math.prod(shapes["scale"]) // rows // levels
        # A layer that is multiplied as it is stored lies on its side.
        turned = shapes["scale"] == (1, rows) and entry.shape == (columns, rows) and levels == 1
        plain = shapes["scale"] in ((rows, levels), (rows, count, levels))
        plain = plain or (levels > 1 and shapes["scale"] == (levels,))
        fits = (turned or plain) and count > 0 and columns % count == 0
        lies = entry.shape in ((columns, rows) if turned else shape, (rows, count, columns // max(count, 1)))
        if entry.kind in ("I8", *FP8):
            fits = fits and lies and not shifted and levels == 1
        else:
            whole = entry.size * 8 == bits * math.prod(shape)
            fits = fits and entry.kind == "U8" and bits in CODES and whole and (lies if bits == 8 else plain)
        svd = [shapes[part] for part in ("svd_up", "svd_down") if part in shapes]
        pair = len(svd) == 2 and all(len(side) == 2 for side in svd)
        upright = pair and svd[0] == (rows, svd[1][0]) and svd[1] == (svd[0][-1], columns)
        lying = pair and svd[0] == (svd[1][-1], rows) and svd[1] == (columns, svd[0][0])
        fits = fits and (not svd or upright != lying) and not (shifted and levels > 1)
        kinds = {entries[part].kind for part in parts[: 1 + shifted]}
        if (
            not fits
            or (shifted and shapes["zero_point"] != shapes["scale"])
            or len(kinds) > 1
            or not kinds <= {*PLAIN[1:]}
        ):
            return other
        numbers: SmallFloat | None = None
        if entry.kind == "U8" and levels == 1:
            fitting = [kind for kind in settings.kinds if _fits(kind, bits, shifted)]
            numbers = small_float(fitting[0]) if fitting else None
            if len(fitting) > 1:
                return unreadable(f"SDNQ weights that may be {' or '.join(fitting)}", entry, names)
            if bits == 8 and not shifted and numbers is None:
                return other

        def pack(tensors: list[Any]) -> tuple[Any, Stored]:
            codes, scales, *more = tensors
            if settings.fp32:
                scales = scales.float()
            block = columns // count
            scales = scales.reshape(rows, -1) if scales.ndim > 1 else scales.expand(rows, -1)
            zeros = [more.pop(0).to(scales.dtype).reshape(rows, count)] if shifted else []
            own, lowest = bits, 0 if shifted else -(1 << (bits - 1))
            if block % len(CODES[bits]):  # blocks that end inside a byte
                codes, own = unpack(codes.reshape(-1), bits), 8
            codes = codes.t() if turned else codes.reshape(rows, -1)
            signed = (lambda some: some ^ 0x80) if entry.kind == "I8" else None
            blocks: ScaledBlocks | ShiftedBlocks | TabledBlocks
            if entry.kind in FP8:
                blocks = ScaledBlocks(FP8[entry.kind], block, scales.dtype, arithmetic=scales.dtype)
            elif levels > 1:
                blocks = TabledBlocks(own, block, scales.dtype, levels)
            else:
                table = numbers.numbers() if numbers else None
                blocks = ShiftedBlocks(own, block, scales.dtype, lowest, shifted, table=table)
            raw, _ = in_rows(codes, lambda: [scales, *zeros], blocks, signed)
            up, down = [(side.t() if lying else side).clone().contiguous() for side in more] or (None, None)
            turn = _turn(settings.turn, columns)
            if up is None and not turn:
                return raw, blocks
            return raw, Composed(blocks, up=up, down=down, turned=turn)

        return Layer(f"SDNQ {bits}-bit", shape, names, pack)

    return Layer("SDNQ", entry.shape, names, None, of_shape=of_shape)


def settings_of(said: Mapping[str, Any]) -> Settings:
    """`said`: the quantization_config."""
    own, fp32 = said.get("modules_quant_config"), said.get("dequantize_fp32", True)
    every = [said, *(own.values() if isinstance(own, dict) else [])]
    refused = ""
    turn = said.get("hadamard_group_size", 256)
    for one in every:
        if not isinstance(one, dict | Mapping):
            return Settings((), True, False, 0, "settings that cannot be read")
        if one.get("dequantize_fp32", fp32) != fp32:
            refused = "arithmetic chosen layer by layer"
        for key, what in (("use_hadamard", "a Hadamard rotation"), ("use_codebook", "a codebook")):
            if bool(one.get(key, said.get(key))) != bool(said.get(key)):
                refused = f"{what} in some layers alone"
        if one.get("hadamard_group_size", turn) != turn:
            refused = "Hadamard rotations of several sizes"
    if said.get("use_hadamard") and (type(turn) is not int or not 1 <= turn <= LARGEST_TURN):
        refused = f"a Hadamard rotation of more than {LARGEST_TURN} columns, or of none"
    kinds = tuple(dict.fromkeys(_kinds(said, every)))
    if unknown := [kind for kind in kinds if "float" in kind and kind not in NATIVE and not small_float(kind)]:
        refused = f"{unknown[0][:40]} numbers"
    turned = bool(said.get("use_hadamard")) and not refused
    return Settings(kinds, bool(fp32), bool(said.get("use_codebook")), turn if turned else 0, refused)


def _kinds(said: Mapping[str, Any], every: list[Any]) -> Iterator[str]:
    """The kinds of numbers that some layer may have."""
    by_kind = said.get("modules_dtype_dict")
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


def _turn(most: int, columns: int) -> int:
    """Columns that are turned at a time: the largest power of two up to `most` that divides them; below 4, none."""
    if not most:
        return 0
    size = 1 << (min(columns, most) - 1).bit_length()
    while columns % size:
        size //= 2
    return size if size >= 4 else 0
