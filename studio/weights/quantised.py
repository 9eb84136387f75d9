"""Weights that are no plain numbers in a file: which formats there are, and the bytes that are kept of each.

A quantiser writes a layer as several tensors: codes, scales of blocks, a description. Each becomes rows of bytes that
hold all there is to know of the row, beside a description of how they expand (studio/weights/stored.py), so that a row can
be cut out, moved to a device and streamed by itself. Only layouts that their makers publish; no package of theirs is needed.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from . import autoround, sdnq, svdquant, torchao
from .layers import E2M1, PLAIN, Entry, Layer, in_rows, powers_of_two, swapped, tiled, unreadable, untiled
from .stored import (
    FP8,
    GgufBlocks,
    ScaledBlocks,
    ScaledFp8,
    ScaledInt8,
    ShiftedBlocks,
    Stored,
    gguf_kinds,
)

if TYPE_CHECKING:
    import torch

SCALES = (".scale_weight", ".weight_scale")  # ComfyUI's older and newer name
COMFY = ".comfy_quant"  # a JSON text beside a layer, or in the file's metadata
FEW, EIGHT = ".weight._data._data", ".weight._data"  # optimum-quanto's codes of 2 or 4 bits, and of 8
BNB = ".quant_state.bitsandbytes__"  # + nf4 or fp4: a JSON text beside a layer

Tensors = Mapping[str, "torch.Tensor"]  # by what is added to the layer's name


def is_description(name: str) -> bool:
    """Whether a tensor of a file is a text that says how a layer is written."""
    return name.endswith(COMFY) or BNB in name


def layers_of(
    entries: Mapping[str, Entry],
    metadata: Mapping[str, str],
    texts: Mapping[str, bytes],
    is_gguf: bool,
    said: Mapping[str, Any],
) -> dict[str, Layer]:
    """Name -> layer of every weight that is not written as numbers. `texts`: the descriptions, by their names; `said`: the
    quantization_config of a folder.

    A layer in a format that this pack cannot read is listed with `pack` None.
    """
    if is_gguf:
        return {name: _gguf(name, entry) for name, entry in entries.items() if entry.kind not in PLAIN}
    formats = _comfy_formats(metadata, texts)
    described = {text.partition(BNB)[0]: text for text in texts if BNB in text}  # weight -> name of its description
    of_sdnq = sdnq.settings_of(said) if said.get("quant_method") == "sdnq" else None
    found = {}
    for name, entry in entries.items():
        stem, _, leaf = name.rpartition(".")
        if leaf != "weight":
            continue
        if name in described:
            layer = _bnb_4bit(name, described[name], entries, texts[described[name]])
        elif of_sdnq is not None and stem + ".scale" in entries:
            layer = sdnq.layer(name, entry, entries, of_sdnq)
        elif stem + ".SCB" in entries:
            layer = _bnb_8bit(name, entry, entries[stem + ".SCB"], stem)
        elif stem in formats and formats[stem].get("format") not in ("float8_e4m3fn", "float8_e5m2"):
            layer = _comfy(name, entry, entries, formats[stem])
        elif stem + ".weight_scale_2" in entries and entry.kind == "U8":
            layer = _bfl_nvfp4(name, entry, entries)
        elif entry.kind not in PLAIN:
            layer = _fp8(name, entry, entries, stem in formats)
        else:
            continue
        found[name] = layer
    for name, entry in entries.items():
        if name.endswith(EIGHT):
            found[name.removesuffix("._data")] = _quanto_8bit(name, entry, entries)
        elif name.endswith(FEW):
            found[name.removesuffix("._data._data")] = _quanto_few(name, entry, entries)
        elif name.endswith(torchao.CODES):
            weight = name.removesuffix(torchao.CODES) + ".weight"
            found[weight] = torchao.layer(name, entries, metadata.get(weight))
        elif name.endswith(svdquant.CODES) and said.get("quant_method") == "nunchaku_lite":
            found |= svdquant.layers(name, entries)
        elif name.endswith(autoround.CODES) and said.get("quant_method") == "auto-round":
            found[name.removesuffix("qweight") + "weight"] = autoround.layer(name, entries, said)
    return found


# --- 8-bit floats, GGUF -------------------------------------------------------------------------------------------------


def _fp8(name: str, entry: Entry, entries: Mapping[str, Entry], is_comfy: bool) -> Layer:
    import torch

    if entry.kind not in FP8:
        return unreadable(f"{entry.kind} weights", entry)
    stem = name.removesuffix(".weight")
    scale = next((stem + ending for ending in SCALES if stem + ending in entries), "")
    count = math.prod(entries[scale].shape) if scale else 1
    if count not in (1, entry.shape[0] if entry.shape else 1):
        return unreadable(f"{entry.kind} weights with {count} scales each", entry)
    # BFL's fp8r has a scale for each row and multiplies in float32; ComfyUI in the dtype of the result.
    arithmetic = torch.float32 if scale and len(entries[scale].shape) == 1 and count > 1 and not is_comfy else None

    whole = len(entry.shape) == 2  # a linear layer's, as far as the file tells

    def pack(tensors: list[Any]) -> tuple[Any, Stored | None]:
        raw, *scales = tensors
        numbers = scales[0].float().clone() if scales else None
        if numbers is not None:
            numbers = numbers.reshape(-1, *[1] * (raw.ndim - 1)) if numbers.numel() > 1 else numbers.reshape(())
        stored, raw = ScaledFp8(FP8[entry.kind], numbers, arithmetic), raw.contiguous().view(torch.int8)
        return (raw, stored) if whole else (stored.expand(raw, torch.float32), None)

    return Layer("fp8", entry.shape, (name, scale) if scale else (name,), pack, as_is=whole)


def _gguf(name: str, entry: Entry) -> Layer:
    kinds = gguf_kinds()
    if entry.kind not in kinds:
        return unreadable(
            f"{entry.kind} blocks, which diffusers cannot read (it reads {', '.join(sorted(kinds))})", entry
        )
    stored = GgufBlocks(int(kinds[entry.kind]))

    whole = len(entry.shape) == 2 and entry.row * entry.shape[0] == entry.size

    def pack(tensors: list[Any]) -> tuple[Any, Stored | None]:
        import torch

        raw = tensors[0].view(torch.int8)
        return (raw, stored) if whole else (stored.expand(raw, torch.float32), None)

    return Layer(entry.kind, entry.shape, (name,), pack, as_is=whole)


# --- bitsandbytes -------------------------------------------------------------------------------------------------------


def _bnb_4bit(name: str, description: str, entries: Mapping[str, Entry], text: bytes) -> Layer:
    """nf4 and fp4: blocks of the whole weight in one line, whose largest numbers may themselves be 8-bit codes."""
    try:
        state = json.loads(text)
        shape = tuple(int(side) for side in state["shape"])
        block, nested = int(state["blocksize"]), "nested_offset" in state
        dtype, offset = _dtype(state["dtype"]), float(state.get("nested_offset", 0))
        nested_block = int(state.get("nested_blocksize", 256))
        wanted = [".absmax", ".quant_map", *([".nested_absmax", ".nested_quant_map"] if nested else [])]
        names = (name, *(name + ending for ending in wanted))
        sizes = [math.prod(entries[part].shape) for part in names[1:]]
        count = -(-math.prod(shape) // max(block, 1))
        sound = (
            len(shape) == 2
            and min(*shape, block, nested_block) > 0
            and block % 2 == 0
            and entries[name].size == -(-math.prod(shape) // 2)
            and sizes == [count, 16, *([-(-count // nested_block), 256] if nested else [])]
            and entries[names[1]].kind == ("U8" if nested else "F32")
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        sound = False
    if not sound:
        return unreadable("bitsandbytes weights whose description cannot be read", entries[name])

    def pack(tensors: list[Any]) -> tuple[Any, Stored | None]:
        import torch

        codes, largest, table = tensors[0].reshape(-1).view(torch.uint8), tensors[1].reshape(-1), tensors[2]
        if nested:
            outer, outer_table = tensors[3].reshape(-1), tensors[4].reshape(-1)
            largest = outer_table[largest.int()] * outer.repeat_interleave(nested_block)[:count] + offset
        largest = largest.float().contiguous()
        stored = ScaledBlocks(tuple(table.reshape(-1).tolist()), block, torch.float32, rounded=dtype)
        if shape[1] % block == 0:
            return in_rows(codes.reshape(shape[0], -1), lambda: [largest.reshape(shape[0], -1)], stored)
        # Blocks that reach over the end of a row: as one line, filled up to whole blocks.
        line = torch.zeros(count * block // 2, dtype=torch.uint8)
        line[: len(codes)] = codes
        line = torch.cat([line.view(torch.int8), largest.view(torch.int8)])[None]
        return stored.expand(line, torch.float32)[0, : math.prod(shape)].reshape(shape), None

    return Layer("bitsandbytes 4-bit", shape, names, pack)


def _dtype(name: str) -> Any:
    import torch

    return {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}[name]


def _bnb_8bit(name: str, entry: Entry, scale: Entry, stem: str) -> Layer:
    def pack(tensors: list[Any]) -> tuple[Any, Stored]:
        raw, scale = tensors
        # bitsandbytes writes 1/127 so, and multiplies by it last.
        return raw.contiguous(), ScaledInt8(scale.float().clone().reshape(-1, 1), 7.874015718698502e-3)

    if entry.kind != "I8" or len(entry.shape) != 2 or math.prod(scale.shape) != entry.shape[0]:
        return unreadable("bitsandbytes weights of another layout", entry)
    return Layer("bitsandbytes 8-bit", entry.shape, (name, stem + ".SCB"), pack, as_is=True)


# --- optimum-quanto -----------------------------------------------------------------------------------------------------


def _quanto_8bit(name: str, entry: Entry, entries: Mapping[str, Entry]) -> Layer:
    """int8 and float8 with a scale of each row, multiplied in the dtype of the scales."""
    scale = name.removesuffix("_data") + "_scale"
    fits = len(entry.shape) == 2 and scale in entries and entries[scale].shape == (entry.shape[0], 1)
    if not fits or entries[scale].kind not in PLAIN or entry.kind not in ("I8", *FP8):
        return unreadable("optimum-quanto weights of another layout", entry, (name,))

    def pack(tensors: list[Any]) -> tuple[Any, Stored]:
        import torch

        raw, scale = tensors
        numbers = scale.float().clone()
        if entry.kind == "I8":
            return raw.contiguous(), ScaledInt8(numbers, rounded=scale.dtype)
        return raw.contiguous().view(torch.int8), ScaledFp8(FP8[entry.kind], numbers, scale.dtype)

    return Layer("optimum-quanto 8-bit", entry.shape, (name, scale), pack, as_is=True)


def _quanto_few(name: str, entry: Entry, entries: Mapping[str, Entry]) -> Layer:
    """int4 and int2: blocks of the whole weight, one a row; the halves or quarters of all blocks lie in the same bytes."""
    stem = name.removesuffix("_data._data")
    names = (name, stem + "_scale", stem + "_shift")
    kind = "optimum-quanto weights of another layout"

    def of_shape(shape: tuple[int, ...]) -> Layer:
        length, block = (*entry.shape, 0, 0)[:2]
        count = math.prod(shape) // max(block, 1)
        bits = [bits for bits in (2, 4) if -(-count * bits // 8) == length]
        sound = (
            len(shape) == 2
            and entry.kind == "U8"
            and len(bits) == 1
            and count * block == math.prod(shape)
            and shape[1] % block == 0
            and all(part in entries and entries[part].shape == (count, 1) for part in names[1:])
            and entries[names[1]].kind == entries[names[2]].kind
            and entries[names[1]].kind in ("F32", "F16", "BF16")
        )
        if not sound:
            return unreadable(kind, entry, names)

        def pack(tensors: list[Any]) -> tuple[Any, Stored]:
            import torch

            packed, scales, shifts = tensors
            blocks = [(packed >> shift) & ((1 << bits[0]) - 1) for shift in range(0, 8, bits[0])]
            codes = torch.cat(blocks)[:count].reshape(shape)
            scales, zeros = scales.reshape(shape[0], -1), -shifts.reshape(shape[0], -1)
            own = bits[0] if block * bits[0] % 8 == 0 else 8
            codes = sum(codes[:, i :: 8 // own] << (i * own) for i in range(8 // own))
            stored = ShiftedBlocks(own, block, scales.dtype, 0, True, zeros="added")
            return in_rows(codes, lambda: [scales, zeros], stored)

        return Layer("optimum-quanto 4-bit or 2-bit", shape, names, pack)

    return Layer(kind, entry.shape, names, None, of_shape=of_shape)


# --- ComfyUI's, BFL's ---------------------------------------------------------------------------------------------------


def _comfy_formats(metadata: Mapping[str, str], texts: Mapping[str, bytes]) -> dict[str, dict[str, Any]]:
    """Layer's name without ".weight" -> what ComfyUI's description says of it."""
    found: dict[str, Any] = {}
    try:
        layers = json.loads(metadata.get("_quantization_metadata", "{}")).get("layers", {})
        found |= layers if isinstance(layers, dict) else {}
    except (ValueError, TypeError, AttributeError, RecursionError):
        pass  # without a description the layers are refused one by one
    for name, text in texts.items():
        if name.endswith(COMFY):
            try:
                found[name.removesuffix(COMFY)] = json.loads(text)
            except (ValueError, RecursionError):
                found[name.removesuffix(COMFY)] = {"format": "of an unreadable description"}
    return {stem: dict(form) if isinstance(form, dict) else {} for stem, form in found.items()}


def _comfy(name: str, entry: Entry, entries: Mapping[str, Entry], conf: Mapping[str, Any]) -> Layer:
    """A layer as ComfyUI's quant_ops writes it."""
    form = str(conf.get("format", "of an unnamed format"))
    scale, scale_2 = (name.removesuffix("weight") + ending for ending in ("weight_scale", "weight_scale_2"))
    if len(entry.shape) != 2 or scale not in entries:
        return unreadable(f"{form} weights", entry)
    rows, columns, size = *entry.shape, entries[scale].size
    two = entries[scale_2].shape if scale_2 in entries else (0,)
    if form == "nvfp4" and entry.kind == "U8" and math.prod(two) == 1 and size == tiled(rows, columns * 2 // 16):
        return Layer("nvfp4", (rows, columns * 2), (name, scale, scale_2), _pack_comfy_nvfp4)
    if form == "mxfp8" and entry.kind == "F8_E4M3" and columns % 32 == 0 and size == tiled(rows, columns // 32):
        return Layer("mxfp8", entry.shape, (name, scale), _pack_mxfp8)
    if form == "int8_tensorwise" and entry.kind == "I8" and entries[scale].kind == "F32" and size in (4, 4 * rows):
        inner = conf.get("params") if isinstance(conf.get("params"), dict) else {}
        both = {**inner, **conf}  # type: ignore[dict-item]
        group = both.get("convrot_groupsize", 256) if both.get("convrot") else 0
        if group == 0 or (group in (4, 16, 64, 256, 1024) and columns % group == 0):
            pack = functools.partial(_pack_int8, rotated=group)
            return Layer("int8", entry.shape, (name, scale), pack, as_is=True)
    return unreadable(f"{form} weights", entry)


def _pack_comfy_nvfp4(tensors: list[Any]) -> tuple[Any, Stored]:
    import torch

    codes, scales, scale = tensors
    stored = ScaledBlocks(E2M1, 16, torch.float8_e4m3fn, scale.float().reshape(()).clone(), arithmetic=None)
    return in_rows(codes, lambda: [untiled(scales, len(codes), codes.shape[1] // 8)], stored)


def _pack_mxfp8(tensors: list[Any]) -> tuple[Any, Stored]:
    import torch

    numbers, scales = tensors
    rows, columns = numbers.shape
    stored = ScaledBlocks(torch.float8_e4m3fn, 32, torch.bfloat16)
    return in_rows(numbers, lambda: [powers_of_two(untiled(scales, rows, columns // 32))], stored)


def _pack_int8(tensors: list[Any], rotated: int) -> tuple[Any, Stored]:
    raw, scale = tensors
    scale = scale.float().clone()
    return raw.contiguous(), ScaledInt8(
        scale.reshape(-1, 1) if scale.numel() > 1 else scale.reshape(()), rotated=rotated
    )


def _bfl_nvfp4(name: str, entry: Entry, entries: Mapping[str, Entry]) -> Layer:
    """BFL's and ModelOpt's nvfp4: the low half of a byte first, a scale of each block in its place, all in float32."""
    scale, scale_2 = (name.removesuffix("weight") + ending for ending in ("weight_scale", "weight_scale_2"))
    rows, columns = (*entry.shape, 0, 0)[:2]
    if scale not in entries or (entries[scale].kind, entries[scale].shape) != ("F8_E4M3", (rows, columns // 8)):
        return unreadable("nvfp4 weights without a description (comfy_quant) of their layout", entry)

    def pack(tensors: list[Any]) -> tuple[Any, Stored]:
        import torch

        codes, scales, scale = tensors
        stored = ScaledBlocks(E2M1, 16, torch.float8_e4m3fn, scale.float().reshape(()).clone())
        return in_rows(codes, lambda: [scales], stored, swapped)

    return Layer("nvfp4", (rows, columns * 2), (name, scale, scale_2), pack)
