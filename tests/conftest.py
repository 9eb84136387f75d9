"""The pack under an importable name, and the models that the tests run on."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests")]

from pack import import_pack  # noqa: E402

import_pack()

MICRO = ROOT / "models" / "flux-micro"


@pytest.fixture(scope="session")
def micro_pipeline():
    """diffusers' own FluxPipeline over flux-micro, the reference."""
    import torch
    from diffusers import FluxPipeline

    pipeline = FluxPipeline.from_pretrained(MICRO, local_files_only=True, torch_dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture(scope="session")
def micro_studio():
    from storefront.studio.flux.pipeline import FluxStudio

    return FluxStudio.load(MICRO)
