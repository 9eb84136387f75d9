"""The pack under an importable name, and the models that the tests run on."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests")]

from pack import import_pack  # noqa: E402

import_pack()


SERVING = "tests/serving/"  # its tests share one tritonserver
VERSION = re.compile(r"\[(?:.*-)?(newest|0\.20\.1)(?:-.*)?\]$")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """One process a ComfyUI version, and one for Triton, so that each starts one server; other tests stay with their file.

    By the ids of tests: pytest-xdist 3.8 does not see its own `xdist_group` marks under pytest 9.2.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByVersion(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            if nodeid.startswith(SERVING):
                return SERVING
            version = VERSION.search(nodeid)
            return version[1] if version else nodeid.partition("::")[0]

    return ByVersion(config, log)


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
