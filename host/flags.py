"""ComfyUI's start-up flags for dtypes, which weight_dtype auto follows."""

from __future__ import annotations

from typing import NamedTuple

import torch
from comfy.cli_args import args

AUTO = "auto"
_COMPUTED = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
_STORED = {"fp8_e4m3fn": torch.float8_e4m3fn, "fp8_e5m2": torch.float8_e5m2}
_UNKNOWN = ("fp64", "fp8_e8m0fnu")  # diffusers' transformers do not compute in the one; the other has no mantissa


class FlagDtypes(NamedTuple):
    """What the flags say of one component."""

    compute: torch.dtype | None = None
    storage: torch.dtype | None = None


def of(component: str, weight_dtype: str) -> FlagDtypes:
    """What the flags ask of `component`, "unet" or "text-enc"; nothing where weight_dtype is not auto."""
    if weight_dtype != AUTO:
        return FlagDtypes()
    compute = next((dtype for name, dtype in _COMPUTED.items() if _is_set(name, component)), None)
    return FlagDtypes(compute, next((dtype for name, dtype in _STORED.items() if _is_set(name, component)), None))


def set_aside(weight_dtype: str) -> list[str]:
    """A line for each flag that is not followed."""
    known = [*_COMPUTED, *_STORED]
    lines = [f"--{name}-unet is set aside: this pack does not know it" for name in _UNKNOWN if _is_set(name, "unet")]
    if weight_dtype != AUTO:
        for component in ("unet", "text-enc"):
            flags = [f"--{name}-{component}" for name in known if _is_set(name, component)]
            lines += [f"{flag} is set aside, since weight_dtype is {weight_dtype}" for flag in flags]
    return [*lines, *_of_all_parts(weight_dtype)]


def _of_all_parts(weight_dtype: str) -> list[str]:
    """Flags of the VAE, which weight_dtype overrides where it is one of these, and those that ask a dtype of every part."""
    lines = []
    if weight_dtype in ("bf16", "fp32"):
        flags = [f"--{name}-vae" for name in _COMPUTED if _is_set(name, "vae") and name != weight_dtype]
        lines += [f"{flag} is set aside, since weight_dtype is {weight_dtype}" for flag in flags]
    if args.force_fp16 and weight_dtype != "fp16":
        lines.append("--force-fp16 is set aside: models compute in bf16 or fp32 here, unless weight_dtype is fp16")
    if args.force_fp32 and weight_dtype in ("bf16", "fp16"):
        lines.append(f"--force-fp32 is set aside, since weight_dtype is {weight_dtype}")
    return lines


def _is_set(name: str, component: str) -> bool:
    return bool(getattr(args, f"{name}_{component}".replace("-", "_"), False))
