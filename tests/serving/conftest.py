"""flux-micro in stages on a real tritonserver, once a test run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "host"))

from comfyui import ComfyUI
from connected import put_connection, put_lora
from devtools import comfyui as dev
from storefront.serving.triton.serve import REGIONS
from triton_server import LARGEST, MICRO, ROOT, STOPPED_WITHIN, Running, command, group, require_engine, start


@pytest.fixture(scope="session")
def server(tmp_path_factory) -> Iterator[Running]:
    require_engine()
    repository = tmp_path_factory.mktemp("triton") / "repository"
    exported = subprocess.run(
        command("export", MICRO, repository, "--largest", LARGEST), cwd=ROOT, capture_output=True, text=True
    )
    assert exported.returncode == 0, exported.stderr
    process, ports, pid, folder = start(repository)
    try:
        assert len(group(pid)) == 7, "tritonserver and a process a stage"
        assert list(Path("/dev/shm").glob(f"{REGIONS}{process.pid}_*"))
        yield Running(ports.url, f"http://127.0.0.1:{ports.metrics}/metrics", repository, pid, folder)
        assert process.poll() is None, process.stdout.read()
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=STOPPED_WITHIN)
        assert process.returncode == 0, said
        assert "Stopping" in said
        assert group(pid) == set(), "no process is left"
        assert not list(Path("/dev/shm").glob(f"{REGIONS}{process.pid}_*")), "no shared memory is left"
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        for left in group(pid):
            os.kill(left, signal.SIGKILL)


@pytest.fixture(
    scope="session",
    params=[str(dev.find_comfyui(fetch=False) or dev.CACHE / "ComfyUI"), str(dev.OLDEST)],
    ids=["newest", "0.20.1"],
)
def comfyui(request, server, tmp_path_factory) -> Iterator[ComfyUI]:
    """A ComfyUI with a LoRA, and the connections shop (the server) and chat (of another kind)."""
    if not (Path(request.param) / "main.py").is_file():
        pytest.skip(f"!!! NO COMFYUI IN {request.param}: NOTHING BELOW WAS TESTED ON IT !!!")
    base = tmp_path_factory.mktemp("served")
    put_lora(base / "models" / "loras")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")  # as the stages have: with more, sums are rounded in another order
        with dev.running_comfyui(Path(request.param), base) as url:
            put_connection(url, "shop", server.url)
            put_connection(url, "chat", server.url, kind="chat", model="m")
            yield ComfyUI(url, base)
