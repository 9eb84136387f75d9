"""SVDQuant's layers as diffusers' NunchakuLiteConfig has them, which nunchaku's CUDA kernels multiply.

A weight is 4-bit codes in blocks, whose columns were multiplied by a smoothing factor, and the product of two narrow
matrices. All of it, the bias too, lies in the order in which the kernels' threads read it: 128 rows by 64 columns at a
time (DeepCompressor's NunchakuWeightPacker; Li et al., SVDQuant, arXiv 2411.05007). Modulations are AWQ's 4-bit codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .format import Format
from .layers import E2M1, Entry, Layer, in_rows, swapped, unreadable
from .stored import Composed, ScaledBlocks, ShiftedBlocks, Stored

if TYPE_CHECKING:
    import torch

CODES_SUFFIX = ".qweight"  # behind the layer's name
TILE = 128  # rows, and columns that the kernels take at least
HALVES = ("F16", "BF16")


def layers(name: str, entries: Mapping[str, Entry]) -> dict[str, Layer]:
    """Name -> layer of the weight whose codes are called `name`, and of its bias where that is moved about too."""
    entry, stem = entries[name], name.removesuffix("qweight")
    named = ("qweight", "wscales", "smooth_factor", "proj_down", "proj_up", "wcscales", "wtscale", "wzeros", "bias")
    parts = {part: entries[stem + part] for part in named if stem + part in entries}
    weight = _awq(parts) if "wzeros" in parts else _svdquant(parts)
    if weight is None:
        return {stem + "weight": unreadable("nunchaku weights of another layout", entry, (name,))}
    found = {stem + "weight": weight._replace(names=tuple(stem + part for part in weight.names))}
    if "bias" in parts and "wzeros" not in parts:
        (rows, _), bias = weight.shape, parts["bias"]
        sound = bias.shape == (rows,) and bias.kind in (*HALVES, "F32")
        found[stem + "bias"] = (
            Layer("nunchaku bias", (rows,), (stem + "bias",), lambda tensors: (_in_order(tensors[0])[:, 0], None))
            if sound
            else unreadable("nunchaku weights with a bias of another layout", bias, (stem + "bias",))
        )
    return found


def _svdquant(parts: Mapping[str, Entry]) -> Layer | None:
    wanted = ("qweight", "wscales", "smooth_factor", "proj_down", "proj_up")
    if not all(part in parts for part in wanted) or len(parts["qweight"].shape) != 2:
        return None
    rows, half = parts["qweight"].shape
    columns, is_fp4 = half * 2, parts["wscales"].kind == "F8_E4M3"
    block, rank = 16 if is_fp4 else 64, parts["proj_up"].shape[-1] if parts["proj_up"].shape else 1
    shapes = {
        "wscales": (columns // block, rows),
        "smooth_factor": (columns,),
        "proj_down": (columns, rank),
        "proj_up": (rows, rank),
        "wcscales": (rows,),
        "wtscale": (1,),
    }
    scaled = [part for part in ("wcscales", "wtscale") if part in parts]
    sound = parts["qweight"].kind == "I8" and min(rows, columns) > 0 and rank % 16 == 0
    sound = sound and not rows % TILE and not columns % TILE and (is_fp4 or not scaled)
    for part in (*wanted[1:], *scaled):
        kinds = ("F8_E4M3",) if part == "wscales" and is_fp4 else HALVES if part == "wscales" else (*HALVES, "F32")
        sound = sound and parts[part].shape == shapes[part] and parts[part].kind in kinds
    if not sound:
        return None

    def pack(tensors: list[Any]) -> tuple[Any, Stored]:
        import torch

        codes, scales, smooth, down, up, *more = tensors
        own = dict(zip(scaled, more, strict=True))
        whole = own["wtscale"].float().reshape(()).clone() if "wtscale" in own else None
        if is_fp4:
            blocks: ShiftedBlocks | ScaledBlocks = ScaledBlocks(E2M1, 16, torch.float8_e4m3fn, whole)
        else:
            blocks = ShiftedBlocks(4, 64, scales.dtype, -8, False, arithmetic=torch.float32)
        # Codes of two's complement and codes from -8 upwards differ in their highest bit.
        change = (lambda some: swapped(_codes(some))) if is_fp4 else (lambda some: _codes(some) ^ 0x88)
        raw, _ = in_rows(codes, lambda: [_micro(scales) if is_fp4 else _in_order(scales)], blocks, change, TILE)
        return raw, Composed(
            blocks,
            smooth=_in_order(smooth)[:, 0].contiguous(),
            scale=_in_order(own["wcscales"]).float() if "wcscales" in own else None,
            up=_narrow(up).permute(0, 2, 1, 3).reshape(rows, rank),
            down=_narrow(down).permute(1, 2, 0, 3).reshape(rank, columns),
        )

    return Layer(f"nunchaku {'nvfp4' if is_fp4 else 'int4'}", (rows, columns), (*wanted, *scaled), pack)


def _codes(codes: torch.Tensor) -> torch.Tensor:
    """uint8 [rows, columns / 2] of whole tiles -> the same in order, the first code in the low half.

    A thread's register has 8 columns; 4 threads make a row of 32; a thread holds 2 x 2 such pieces, a warp 8 of those.
    """
    tiles = codes.reshape(
        len(codes) // TILE, -1, 8, 8, 4, 2, 2, 4
    )  # row, column: tiles; 16, 1, 8 columns, 8, 32 columns
    return tiles.permute(0, 2, 5, 3, 1, 6, 4, 7).reshape(codes.shape)


def _in_order(scales: torch.Tensor) -> torch.Tensor:
    """Numbers for each row and block, [blocks, rows] or [rows] -> [rows, blocks]: in 16 rows, 4 threads hold 2 of each half."""
    rows = scales.shape[-1]
    return scales.reshape(rows // TILE, -1, 8, 4, 2, 2).permute(0, 2, 4, 3, 5, 1).reshape(rows, -1)


def _micro(scales: torch.Tensor) -> torch.Tensor:
    """nvfp4's scales, [blocks, rows] -> [rows, blocks]: a thread has 4 blocks of 4 rows that are 32 apart."""
    rows = scales.shape[-1]
    tiles = scales.view(scales.dtype).reshape(rows // TILE, -1, 8, 4, 4, 4)
    return tiles.permute(0, 4, 3, 2, 1, 5).reshape(rows, -1)


def _narrow(side: torch.Tensor) -> torch.Tensor:
    """A narrow matrix, [long, rank] -> [long / 16, rank / 16, 16, 16]: 2 x 2 pieces of 8 rows and 4 pairs."""
    pieces = side.reshape(side.shape[0] // 16, side.shape[1] // 16, 8, 4, 2, 2, 2).permute(0, 1, 4, 2, 5, 3, 6)
    return pieces.reshape(*pieces.shape[:2], 16, 16)


def _awq(parts: Mapping[str, Entry]) -> Layer | None:
    """code * scale + zero point in blocks of 64; 4 rows by 64 columns at a time, 8 columns apart in 16 bits."""
    codes, scales, zeros = parts["qweight"], parts.get("wscales"), parts["wzeros"]
    if scales is None or codes.kind != "I32" or len(codes.shape) != 2:
        return None
    rows, columns = codes.shape[0] * 4, codes.shape[1] * 2
    shaped = scales.shape == zeros.shape == (columns // 64, rows) and min(rows, columns) > 0
    if not shaped or columns % 64 or scales.kind != zeros.kind or scales.kind not in HALVES:
        return None

    def pack(tensors: list[Any]) -> tuple[Any, Stored]:
        import torch

        packed, scales, zeros = tensors
        blocks = ShiftedBlocks(4, 64, scales.dtype, 0, True, "added", arithmetic=torch.float32)
        packed = packed.view(torch.uint8).reshape(rows, columns // 2)
        return in_rows(packed, lambda: [scales.t(), zeros.t()], blocks, _awq_codes, 4)

    return Layer("nunchaku AWQ int4", (rows, columns), ("qweight", "wscales", "wzeros"), pack)


def _awq_codes(packed: torch.Tensor) -> torch.Tensor:
    """uint8 [rows, columns / 2] of 4 rows each -> the same in order, the first code in the low half."""
    import torch

    rows, half = packed.shape
    pieces = packed.reshape(rows // 4, half // 32, 4, 32).transpose(1, 2).reshape(rows, half // 16, 8, 2)
    codes = torch.stack([pieces & 15, pieces >> 4], -1).permute(0, 1, 3, 4, 2).reshape(rows, -1)
    return codes[:, ::2] | codes[:, 1::2] << 4


FORMAT = Format(
    "nunchaku_lite",
    lambda name, header: name.endswith(CODES_SUFFIX) and header.method == "nunchaku_lite",
    lambda name, header: layers(name, header.entries),
    "nunchaku_lite",
)
