"""A stage whose process is killed: clients get an error that names it, and it is revived without a restart."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch
from comfyui import until
from storefront.serving import ServingError, SyncClient
from storefront.serving.triton.supervise import Supervisor, living

ORDER = {"steps": 3, "seed": 21, "width": 64, "height": 64}


def process_of(server: int, stage: str) -> int:
    """The id of a stage's process."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
            line = (process / "cmdline").read_bytes().decode()
        except OSError:
            continue
        if int(parent) == server and f"/{stage}/1/model.py" in line:
            return int(process.name)
    raise AssertionError(f"{stage} has no process")


def test_a_killed_stage_is_named_and_revived(server):
    stage = "dit_transformer"
    killed = process_of(server.pid, stage)
    told: list[str] = []
    with SyncClient(server.url) as client:
        before = client.draw("a red mug", **ORDER)

        def kill(done: int, total: int) -> None:
            if done == 3:
                os.kill(killed, signal.SIGKILL)

        with pytest.raises(ServingError, match=f"UNAVAILABLE: stage {stage}: ") as failed:
            client.draw("a red mug", progress=kill, **ORDER | {"steps": 3000})
        assert failed.value.code == "UNAVAILABLE"
        until(lambda: stage not in living(server.pid))  # the system takes it away
        supervisor = Supervisor(server.url, server.pid, server.repository, told.append, every=0)
        supervisor.look()
        assert len(told) == 1
        assert told[0].startswith(f"stage {stage} was dead: revived in ")
        assert process_of(server.pid, stage) != killed
        after = client.draw("a red mug", **ORDER)
    assert torch.equal(before.images, after.images)
    supervisor.look()
    assert len(told) == 1, "what works is left alone"
