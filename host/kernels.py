"""What Accelerate and Warm Up offer on this machine. Apart from `acceleration`, so that a schema imports no sampling."""

from __future__ import annotations

import comfy.model_management as mm

from ..studio.sampling import acceleration

LARGEST_BATCH, MOST_WARM_UP_TOKENS = 64, 4096


def kernels() -> list[str]:
    return [acceleration.AUTO, *acceleration.installed_kernels(mm.get_torch_device())]


def matmuls() -> list[str]:
    return acceleration.matmuls(mm.get_torch_device())
