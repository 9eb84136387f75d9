"""A real tritonserver, started and watched from outside, by the commands that users have."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import NamedTuple

import pytest
from storefront.serving.triton import engine
from storefront.serving.triton.serve import DRAWINGS, Ports

ROOT = Path(__file__).resolve().parents[2]
MICRO = ROOT / "models" / "flux-micro"
LARGEST = 256  # pixels of a side that the server draws
STARTED_WITHIN, STOPPED_WITHIN = 400, 90  # seconds, on a machine that has much else to do
TRIES = 3  # another process may take a free port before tritonserver does


class Running(NamedTuple):
    """What `serve` runs."""

    url: str
    metrics_url: str
    repository: Path
    pid: int  # of tritonserver, which leads a process group
    folder: Path  # what the orchestrator tells `serve`

    def metrics(self) -> str:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.metrics_url, timeout=30) as answer:
            return answer.read().decode()

    def drawings(self) -> int:
        return int((self.folder / DRAWINGS).read_text() or 1)

    def executions(self, stage: str) -> tuple[int, int]:
        """Rows and executions so far."""
        names = ("nv_inference_count", "nv_inference_exec_count")
        found = [re.search(rf'^{name}\{{model="{stage}".*?\}} (\d+)', self.metrics(), re.MULTILINE) for name in names]
        rows, count = (int(one[1]) for one in found)
        return rows, count


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "serving", *map(str, arguments)]


def free_ports() -> Ports:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    numbers = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return Ports(*numbers)


def group(leader: int) -> set[int]:
    """Living processes of a process group."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, members = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(members) == leader and state != "Z":
            found.add(int(stat.parent.name))
    return found


def require_engine() -> None:
    """Where there can be no tritonserver, its tests are skipped; where there can, `dev.py test` has set it up."""
    try:
        engine.find()
    except engine.EngineError as missing:
        try:
            engine.require_system()
        except engine.EngineError as error:
            pytest.skip(str(error))
        pytest.fail(f"{missing} `python dev.py test` does so.")


def started(repository: Path) -> tuple[subprocess.Popen, Ports, int, Path] | None:
    """A `serve`, its ports, tritonserver's id and the folder of its log; None where a port was taken."""
    ports = free_ports()
    numbers = [f"--{name}-port={getattr(ports, name)}" for name in ("http", "grpc", "metrics")]
    line = command(
        "serve", repository, *numbers, f"--wait={STARTED_WITHIN}", "--drain=5", "--probe=86400"
    )  # tests count rows
    process = subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said = []
    for text in process.stdout:
        said.append(text)
        if text.startswith("{"):
            log = Path(said[0].strip().rpartition(" ")[2])
            return process, ports, json.loads(text)["pid"], log.parent
    process.wait()
    told = "".join(said)
    if "a port that is free" in told or "Address already in use" in told:
        return None
    raise AssertionError(told)


def start(repository: Path) -> tuple[subprocess.Popen, Ports, int, Path]:
    """What `started` gives, tried again where a port was taken."""
    return next(filter(None, (started(repository) for _ in range(TRIES))))
