"""Matrix products in 8 bits, on cards that multiply fp8: the inputs are rounded to e4m3, the weights are stored so."""

from __future__ import annotations

import torch

from ..errors import InputError
from ..kinds.velocity import Velocity
from ..weights.stored import ScaledFp8

FP8_DTYPE = torch.float8_e4m3fn
FP8_MAX = 448.0  # of its numbers
_GRAIN = 16  # the card's kernels want rows and columns in multiples of it


def layers(velocity: Velocity) -> list[torch.nn.Linear]:
    """The linear layers of the transformer that can be multiplied in 8 bits: of fitting size, and stored as e4m3."""
    return [
        leaf
        for leaf in velocity.transformer.modules()
        if isinstance(leaf, torch.nn.Linear)
        and leaf.in_features % _GRAIN == leaf.out_features % _GRAIN == 0
        and (leaf.weight.dtype == FP8_DTYPE or _is_scaled(leaf))
    ]


def _is_scaled(leaf: torch.nn.Module) -> bool:
    stored = getattr(leaf, "stored", None)
    return isinstance(stored, ScaledFp8) and stored.kind == FP8_DTYPE


def require_layers(velocity: Velocity) -> None:
    """Raises InputError where nothing of a model can be multiplied in 8 bits."""
    if velocity.dtype not in (torch.bfloat16, torch.float16):
        raise InputError("matmul", "fp8", "auto: fp8 products are for models that compute in bf16 or fp16")
    if not layers(velocity):
        raise InputError(
            "matmul", "fp8", "a model whose weights are stored in 8 bits: weight_dtype 'fp8 storage' or an fp8 file"
        )


def linear(
    x: torch.Tensor, weight: torch.Tensor, scale: torch.Tensor | None, bias: torch.Tensor | None
) -> torch.Tensor:
    """x [..., K] times (e4m3 weight [N, K] * scale) transposed, plus bias: [..., N] in the dtype of `x`.

    `scale`: one number or [N, 1]; None: 1. The inputs are rounded with one scale that brings their largest to 448; sums are
    kept in fp32. Rounding to three bits of mantissa: 2 to 3 % of a product's norm.
    """
    flat = x.reshape(-1, x.shape[-1])
    # Beyond 2**15 the scale itself would leave fp16.
    fit = (FP8_MAX / flat.abs().amax().float().clamp_min(1e-12)).clamp_max(2.0**15).to(x.dtype)
    small = (flat * fit).to(FP8_DTYPE)
    by_row = scale is not None and scale.numel() > 1
    one = torch.ones((), dtype=torch.float32, device=x.device)
    of_weight = one if scale is None or by_row else scale.to(one).reshape(())
    out = torch._scaled_mm(
        small, weight.t(), 1 / fit.float(), of_weight, bias=None if by_row else bias, out_dtype=x.dtype
    )
    if by_row:
        assert scale is not None
        out = out * scale.to(out).reshape(1, -1)
        out = out if bias is None else out + bias
    return out.reshape(*x.shape[:-1], -1)
