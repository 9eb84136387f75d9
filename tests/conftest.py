"""The pack under an importable name, and the models that the tests run on."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests")]

from pack import import_pack  # noqa: E402

import_pack()


def pytest_collection_modifyitems(items):
    """For pytest-xdist: one process a ComfyUI version, so that each starts one server; other tests by their file."""
    for item in items:
        version = getattr(item, "callspec", None) and item.callspec.params.get("comfyui_folder")
        item.add_marker(pytest.mark.xdist_group(f"comfyui {version}" if version else str(item.path)))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    """In CI a test that could not run is a failure: dev.py has set up everything that tests need."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if skipped and os.environ.get("CI") and sys.platform == "linux":
        reporter.write_line(f"{len(skipped)} tests were skipped; with CI set that is a failure.", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


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
    from storefront.studio.sampling.pipeline import FluxStudio

    return FluxStudio.load(MICRO)
