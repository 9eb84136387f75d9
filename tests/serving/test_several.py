"""Two real tritonservers behind one name: one is killed while calls run, and nobody notices."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator

import pytest
import torch
from comfyui import until
from connected import put_connection
from storefront.serving import SyncClient, stages
from test_comfyui import drawn
from triton_server import STOPPED_WITHIN, Running, group, start

ORDER = {"steps": 3, "seed": 21, "width": 64, "height": 64}
CALLS = 60


@pytest.fixture
def second(server) -> Iterator[Running]:
    """Another server of the same repository, which a test may kill."""
    process, ports, pid, folder = start(server.repository)
    try:
        yield Running(ports.url, f"http://127.0.0.1:{ports.metrics}/metrics", server.repository, pid, folder)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        said, _ = process.communicate(timeout=STOPPED_WITHIN)
        assert "tritonserver died" in said
        assert process.returncode == 1
        assert group(pid) == set(), "serve ends the stages of a server that died"


def far(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).abs().max())


def rows_of(one: Running, stage: str) -> int:
    return one.executions(stage)[0]


def test_one_of_two_servers_is_killed_and_no_call_fails(server, second, comfyui):
    """Calls of stages, whole pictures and a picture of ComfyUI's own sampler, of which both servers have done a part."""
    urls = [second.url, server.url]
    encoded: list[torch.Tensor] = []
    with SyncClient(urls) as client:
        expected = client.draw("a red mug", **ORDER).images
        before = [rows_of(one, stages.CLIP) for one in (server, second)]
        for _ in range(6):  # of words that no cache knows
            client.stage(stages.CLIP, {"input_ids": torch.randint(0, 200, (1, 77))}, "clip_embeds")
        assert [rows_of(one, stages.CLIP) - old for one, old in zip((server, second), before)] == [3, 3], "in turn"

        put_connection(comfyui.url, "both", f"{second.url}\n{server.url}")
        alone = comfyui.run(drawn(Sample={"seed": 71, "steps": 400})).pixels()
        prompt = comfyui.queue(drawn("both", Sample={"seed": 71, "steps": 400}))
        began = rows_of(second, stages.TRANSFORMER)
        until(lambda: rows_of(second, stages.TRANSFORMER) > began + 3)

        half = threading.Event()

        def call() -> None:
            for number in range(CALLS):
                encoded.append(client.stage(stages.T5, {"input_ids": torch.full((1, 16), number % 9)}, "t5_embeds"))
                if number == CALLS // 3:
                    half.set()

        pictures: list[torch.Tensor] = []
        drawing = threading.Thread(
            target=lambda: pictures.extend(client.draw("a red mug", **ORDER).images for _ in "123")
        )
        calling = threading.Thread(target=call)
        drawing.start()
        calling.start()
        assert half.wait(60)
        os.kill(second.pid, signal.SIGKILL)
        assert prompt not in comfyui.get(f"/history/{prompt}"), "it was done before"
        calling.join(120)
        drawing.join(120)
    assert len(encoded) == CALLS, "0 calls failed"
    assert max(far(encoded[number], encoded[number % 9]) for number in range(CALLS)) <= 1e-5
    assert len(pictures) == 3
    assert max(far(one, expected) for one in pictures) <= 1e-4, "steps of others are merged with them"
    result = comfyui.wait(prompt)
    assert result.ok, result.error
    assert abs(result.pixels().astype(int) - alone).max() <= 1, (
        "the same picture, begun by two servers, finished by one"
    )
