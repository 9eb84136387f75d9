"""Pictures a minute in turn and on Triton, and what a call of the transformer costs by transport: `python tests/bench/serving.py`.

One run, side by side, on this machine. The first table draws the same pictures by flux-micro: one process, one after the
other (what a user has today), then a tritonserver with 1, 2, 4 and 8 clients. The second asks a transformer stage that gives
its latents back at once: what is left of a call is the transport, with the tensors of FLUX.1 at 1024 x 1024.
Needs `python -m serving setup`.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests" / "serving")]

from pack import import_pack

import_pack()

import torch
from storefront.serving import SyncClient, stages
from storefront.serving.triton import engine
from storefront.serving.triton.export import Deployment, config
from storefront.serving.triton.serve import REGIONS, command
from storefront.studio.api import load_model, text_to_image
from triton_server import MICRO, Running, free_ports, group, started
from triton_server import command as serving

CLIENTS = (1, 2, 4, 8)
ECHO = """
import sys
sys.path.insert(0, {tools!r})
from pack import import_pack
import_pack()
import json
from types import SimpleNamespace
from storefront.serving import stages
from storefront.serving.triton.given import Embeds
from storefront.serving.triton.stage import StageModel
import triton_python_backend_utils


class TritonPythonModel(StageModel):
    name = "dit_transformer"

    def initialize(self, args):
        self.utils, self.embeds = triton_python_backend_utils, Embeds()
        told = json.loads(args["model_config"])
        wires = [stages.Wire(one["name"], one["data_type"][5:], tuple(map(int, one["dims"]))) for one in told["input"]]
        made = [wire for wire in wires if wire.dtype != "STRING"], (stages.Wire("noise_pred", "FP32", (-1, 64)),)
        facts = stages.StageFacts(self.name, "", *made, [wire for wire in wires if wire.dtype == "STRING"])
        module = SimpleNamespace(config=SimpleNamespace())
        self.stage = SimpleNamespace(facts=facts, module=module, rows=lambda given: given["latents"])
"""


def flux1() -> stages.StageFacts:
    """The transformer's stage with FLUX.1's real widths."""
    wire, free = stages.Wire, stages.ANY_LENGTH
    rows = {"latents": (free, 64), "latent_image_ids": (free, 3), "timestep": (1,), "guidance": (1,)}
    rows |= {"clip_embeds": (768,), "t5_embeds": (free, 4096), "text_ids": (free, 3)}
    inputs = tuple(wire(name, "FP32", dims) for name, dims in rows.items())
    outputs = (wire("noise_pred", "FP32", (free, 64)), wire(stages.IN_REGION, "INT64", (1,)))
    instead = (wire(stages.REGION, "STRING", (1,)), wire(stages.T5_HASH, "STRING", (1,)))
    return stages.StageFacts(stages.TRANSFORMER, "", inputs, outputs, instead)


def call(side: int, tokens: int) -> dict[str, torch.Tensor]:
    """What one row of a step takes."""
    cells = (side // 16) ** 2
    return {
        "latents": torch.randn(1, cells, 64),
        "latent_image_ids": torch.zeros(1, cells, 3),
        "timestep": torch.full((1, 1), 0.5),
        "guidance": torch.full((1, 1), 3.5),
        "clip_embeds": torch.randn(1, 768),
        "t5_embeds": torch.randn(1, tokens, 4096),
        "text_ids": torch.zeros(1, tokens, 3),
    }


@contextlib.contextmanager
def echo(folder: Path) -> Iterator[tuple[str, int]]:
    """The address and the process of a tritonserver whose transformer gives its latents back."""
    stage = folder / "echo" / stages.TRANSFORMER
    (stage / "1").mkdir(parents=True)
    (stage / "config.pbtxt").write_text(config(flux1(), {}, Deployment(delay=0)))
    (stage / "1" / "model.py").write_text(ECHO.format(tools=str(ROOT / "tools")))
    found, ports = engine.find(), free_ports()
    region = f"{REGIONS}{os.getpid()}_bench_"
    with (folder / "echo.log").open("w") as log:
        process = subprocess.Popen(
            command(found, stage.parent, ports, region),
            stdout=log,
            stderr=log,
            env={**os.environ, **found.environment},
            start_new_session=True,
        )
        try:
            with SyncClient(ports.url) as client:
                deadline = time.monotonic() + 120
                while True:
                    with contextlib.suppress(Exception):
                        client.stage(stages.TRANSFORMER, call(256, 8), "noise_pred")
                        break
                    assert time.monotonic() < deadline, (folder / "echo.log").read_text()[-3000:]
                    time.sleep(0.5)
            yield ports.url, process.pid
        finally:
            process.terminate()
            process.wait()
            for left in Path("/dev/shm").glob(f"{region}*"):
                left.unlink()


def processor(processes: Iterable[int]) -> float:
    """Milliseconds that processes have computed: on a busy machine the fairer measure."""
    nanoseconds = 0
    for process in processes:
        for thread in Path(f"/proc/{process}/task").iterdir():
            nanoseconds += int((thread / "schedstat").read_text().split()[0])
    return nanoseconds / 1e6


def timed(ask: Callable[[], object], count: int, server: int) -> str:
    """Median, 95th percentile and best in milliseconds of calls one after the other, and the processors' time of each."""
    for _ in range(3):
        ask()
    processes, took = {os.getpid(), *group(server)}, []
    before = processor(processes)
    for _ in range(count):
        began = time.perf_counter()
        ask()
        took.append((time.perf_counter() - began) * 1000)
    computed = (processor(processes) - before) / count
    took.sort()
    return f"{statistics.median(took):.1f} | {took[int(len(took) * 0.95)]:.1f} | {took[0]:.1f} | {computed:.1f}"


def transports(folder: Path, count: int) -> None:
    """The second table."""
    print("\n| a call of the transformer | median ms | 95 % | best | processors' time |\n|---|---|---|---|---|")
    tensors = call(1024, 512)
    with echo(folder) as (url, server):
        for name, plain, whole in (
            ("HTTP, everything each time", True, True),
            ("HTTP, T5's embeddings once", True, False),
            ("shared memory, everything each time", False, True),
            ("shared memory, T5's embeddings once", False, False),
        ):
            with SyncClient(url) as client:
                travels: Any = client._client._nearby
                travels._plain |= {url} if plain else set()
                travels._whole |= {url} if whole else set()
                given = client.stage(stages.TRANSFORMER, tensors, "noise_pred")
                assert torch.equal(given, tensors["latents"])
                took = timed(functools.partial(client.stage, stages.TRANSFORMER, tensors, "noise_pred"), count, server)
            print(f"| {name} | {took} |", flush=True)


def line(name: str, waits: list[float], seconds: float, rows: str) -> None:
    waits = sorted(waits)
    late = waits[min(int(len(waits) * 0.95), len(waits) - 1)]
    figures = f"{len(waits) / seconds * 60:.0f} | {statistics.median(waits):.2f} | {late:.2f} | {rows}"
    print(f"| {name} | {figures} |", flush=True)


def in_turn(pictures: int, order: dict[str, Any]) -> None:
    """All are there at the start: number n waits for those before it."""
    model = load_model(str(MICRO), dtype="fp32")
    text_to_image("a red mug", model=model, **order)
    began = time.perf_counter()
    waits = []
    for number in range(pictures):
        text_to_image("a red mug", model=model, seed=number, **order)
        waits.append(time.perf_counter() - began)
    line(f"one process, {pictures} requests in turn", waits, waits[-1], "1")


def on_triton(running: Running, clients: int, pictures: int, order: dict[str, Any]) -> None:
    """Each client asks for its next picture when it has the last one."""

    def one(number: int) -> list[float]:
        waits = []
        with SyncClient(running.url) as server:
            for own in range(pictures // clients):
                began = time.perf_counter()
                server.draw("a red mug", seed=number * 1000 + own, **order)
                waits.append(time.perf_counter() - began)
        return waits

    before = running.executions(stages.TRANSFORMER)
    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        waits = [wait for each in pool.map(one, range(clients)) for wait in each]
    seconds = time.perf_counter() - began
    rows, executions = (new - old for new, old in zip(running.executions(stages.TRANSFORMER), before))
    line(f"Triton, {clients} client{'s' * (clients > 1)}", waits, seconds, f"{rows / executions:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=48, help="in each row of the first table")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--side", type=int, default=64, help="pixels")
    parser.add_argument("--calls", type=int, default=100, help="in each row of the second table")
    options = parser.parse_args()
    order = {"steps": options.steps, "width": options.side, "height": options.side}
    print(f"{os.cpu_count()} cores; load before the run: {os.getloadavg()[0]:.1f}; torch {torch.__version__}\n")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        print("| flux-micro | pictures a minute | median wait, s | 95 % | rows a batch |\n|---|---|---|---|---|")
        in_turn(options.pictures, order)
        repository = folder / "repository"
        subprocess.run(
            serving("export", MICRO, repository, "--largest", "256"), cwd=ROOT, check=True, stdout=subprocess.DEVNULL
        )
        begun = started(repository)
        assert begun is not None, "a port was taken; run it again"
        process, ports, pid, state = begun
        try:
            running = Running(ports.url, f"http://127.0.0.1:{ports.metrics}/metrics", repository, pid, state)
            with SyncClient(running.url) as server:
                server.draw("a red mug", **order)
            for clients in CLIENTS:
                on_triton(running, clients, options.pictures, order)
        finally:
            process.terminate()
            process.wait()
        transports(folder, options.calls)


if __name__ == "__main__":
    main()
