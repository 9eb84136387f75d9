"""Faults while calls run: every client has an answer or a clear error within its limit, and memory comes back."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

import aiohttp
import pytest
import torch
from comfyui import until
from storefront.serving import Client, Drawn, ServingError, SyncClient, probe, stages, wire
from storefront.serving.triton.orchestrator import MOST_DRAWINGS, MOST_QUEUED
from storefront.serving.triton.serve import REGIONS
from storefront.serving.triton.supervise import Supervisor, living
from test_region import call
from test_supervise import ORDER, process_of
from triton_server import STOPPED_WITHIN, Running, group, start

LIMIT = 30  # seconds, of a client
HOSTILE = 1000
LONG = {"width": 64, "height": 64, "steps": 3000}
CODES = ("UNAVAILABLE", "CANCELLED", "INTERNAL")


def shared_memory(owner: str = REGIONS) -> int:
    """Bytes of /dev/shm that are a server's."""
    return sum(path.stat().st_size for path in Path("/dev/shm").glob(f"{owner}*"))


def resident(pid: int) -> int:
    """Bytes of memory of a server and its stages."""
    pages = (int(Path(f"/proc/{one}/statm").read_text().split()[1]) for one in group(pid))
    return sum(pages) * os.sysconf("SC_PAGE_SIZE")


def unlimited() -> aiohttp.TCPConnector:
    """All calls of a test at the same time."""
    return aiohttp.TCPConnector(limit=0)


def all_stages_work(url: str) -> bool:
    return asyncio.run(probe.failing(url, LIMIT)) == {}


# --- a stage's process is killed --------------------------------------------------------------------------------------

# test_supervise kills the transformer; T5 and the VAE's encoder run the same code as their neighbours here.
CALLS = {
    stages.CLIP: lambda client: client.stage(stages.CLIP, {"input_ids": torch.randint(0, 200, (1, 77))}, "clip_embeds"),
    stages.VAE_DECODER: lambda client: client.stage(
        stages.VAE_DECODER, {"latents": torch.zeros(1, 16, 8, 8)}, "images"
    ),
    stages.ORCHESTRATOR: lambda client: client.draw("a red mug", **LONG),
}


def test_a_stage_is_killed_while_it_is_asked_and_revived(server):
    """One after the other: each call ends with an answer or an error within the client's limit."""
    said: list[str] = []
    for stage, ask in CALLS.items():
        killed, ended, limit = process_of(server.pid, stage), [], 10 if stage == stages.ORCHESTRATOR else LIMIT
        stop = threading.Event()

        def calls(ask=ask, ended=ended, stop=stop, limit=limit) -> None:
            with SyncClient(server.url, seconds=limit) as client:
                while not stop.is_set():
                    began = time.monotonic()
                    try:
                        ask(client)
                        ended.append(("", time.monotonic() - began))
                    except ServingError as error:
                        ended.append((error.code, time.monotonic() - began))
                        return

        threads = [threading.Thread(target=calls) for _ in range(3)]
        for thread in threads:
            thread.start()
        time.sleep(1)
        os.kill(killed, signal.SIGKILL)
        for thread in threads:
            thread.join(LIMIT + 5)
            assert not thread.is_alive(), f"a call of {stage} has no end"
        stop.set()
        errors = [code for code, _ in ended if code]
        assert len(errors) == 3, stage
        assert set(errors) <= set(CODES), stage
        assert max(took for _, took in ended) <= LIMIT + 2, stage
        print(f"\n{stage}: {Counter(errors)}, the slowest after {max(took for _, took in ended):.1f} s")
        Supervisor(server.url, server.pid, server.repository, said.append, every=0).look()
        assert any(f"stage {stage} was dead: revived" in text for text in said), said
    assert len(living(server.pid)) == 6
    assert all_stages_work(server.url)


# --- too much at once -------------------------------------------------------------------------------------------------


def test_what_is_too_much_is_refused_at_once_and_clients_that_go_take_their_drawings_along(server):
    """The queue of drawings is full; then all their clients go away."""
    most = MOST_DRAWINGS + MOST_QUEUED
    before = shared_memory()

    async def crowd() -> Counter[str]:
        async with Client(server.url, seconds=4 * LIMIT, connector=unlimited) as client:
            drawing = [asyncio.ensure_future(client.draw("a red mug", seed=seed, **LONG)) for seed in range(most)]
            while await asyncio.to_thread(server.drawings) < most:
                await asyncio.sleep(0.2)
                ended = [task for task in drawing if task.done()]
                assert not ended, ended[0].exception()
            more = await asyncio.gather(*(client.draw("a red mug", **ORDER) for _ in range(20)), return_exceptions=True)
            for task in drawing:
                task.cancel()
            await asyncio.gather(*drawing, return_exceptions=True)
            return Counter(getattr(one, "code", type(one).__name__) for one in more)

    began = time.monotonic()
    assert asyncio.run(asyncio.wait_for(crowd(), 4 * LIMIT)) == {"UNAVAILABLE": 20}
    until(lambda: not server.drawings(), 4 * LIMIT)
    print(f"\n{most} drawings begun and given up in {time.monotonic() - began:.0f} s")
    with SyncClient(server.url) as client:
        assert client.draw("a red mug", **ORDER).status == "finished"
    assert shared_memory() <= before + (64 << 20)


def test_a_stage_with_a_full_queue_refuses_what_is_more_and_answers_the_rest(server):
    tensors = {name: wire.Value.zeros("FP32", tuple(value.shape)) for name, value in call(8, 256).items()}
    body, headers = wire.request(tensors, ["noise_pred"])

    async def crowd() -> Counter[str]:
        async with Client(server.url, seconds=4 * LIMIT, connector=unlimited) as client:
            asked = (client.infer(stages.TRANSFORMER, body, headers) for _ in range(400))
            answers = await asyncio.gather(*asked, return_exceptions=True)
            return Counter(getattr(one, "code", type(one).__name__) for one in answers)

    ended = asyncio.run(crowd())
    print(f"\n{ended}")
    assert set(ended) == {"dict", "UNAVAILABLE"}
    assert ended["dict"] >= 256
    assert all_stages_work(server.url)


# --- strangers --------------------------------------------------------------------------------------------------------


def mutated(random_: random.Random, good: bytes) -> bytes:
    """A request of which some is otherwise: bits, pieces, lengths."""
    content = bytearray(good)
    for _ in range(random_.choice((1, 1, 3, 30))):
        at = random_.randrange(len(content)) if random_.random() < 0.4 else random_.randrange(min(len(content), 900))
        kind = random_.randrange(5)
        if kind == 0:
            content[at] ^= 1 << random_.randrange(8)
        elif kind == 1:
            content[at : at + random_.randrange(40)] = random_.randbytes(random_.randrange(40))
        elif kind == 2:
            del content[at:]
        elif kind == 3:
            content[at:at] = random_.choice((b"-", b"9" * 20, b"null", b'"', b"[[[[", b"1e999", b"\0", b"\xff\xfe"))
        else:
            content[at:at] = content[: random_.randrange(200)]
        if not content:
            return b""
    return bytes(content)


def sent(url: str, path: str, body: bytes, headers: dict[str, str]) -> int:
    request = urllib.request.Request(url + path, body, headers)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=LIMIT) as answer:
            answer.read()
            return answer.status
    except urllib.error.HTTPError as error:
        error.read()
        return error.code


def test_a_thousand_hostile_requests_each_have_an_answer_and_nothing_grows(server):
    chance = random.Random(19)
    good: list[tuple[str, bytes, dict[str, str]]] = []
    for name, tensors in {
        stages.CLIP: {"input_ids": wire.Value.zeros("INT64", (1, 77))},
        stages.T5: {"input_ids": wire.Value.zeros("INT64", (1, 8))},
        stages.TRANSFORMER: {key: wire.Value.zeros("FP32", tuple(value.shape)) for key, value in call().items()},
        stages.VAE_ENCODER: {"images": wire.Value.zeros("FP32", (1, 3, 16, 16))},
        stages.VAE_DECODER: {"latents": wire.Value.zeros("FP32", (1, 16, 2, 2))},
    }.items():
        good.append((f"/v2/models/{name}/infer", *wire.request(tensors, [stages.OUTPUT_OF[name]])))
    note = json.dumps({"pid": os.getpid(), "fd": 3, "secret": "00" * 32, "inputs": {}, "answer": 64})
    texts = {stages.REGION: wire.Value.texts([note]), stages.T5_HASH: wire.Value.texts(["0" * 64])}
    good.append((f"/v2/models/{stages.TRANSFORMER}/infer", *wire.request(texts, [stages.IN_REGION])))
    order = json.dumps(
        {"prompt": "a red mug", "steps": 1, "width": 16, "height": 16, "output": "png", "seed": 3}
    ).encode()
    good.append((f"/v2/models/{stages.ORCHESTRATOR}/generate_stream", order, {"Content-Type": "application/json"}))
    assert all_stages_work(server.url)
    for path, body, headers in good:
        sent(server.url, path, body, headers)
    before, shared = resident(server.pid), shared_memory()
    answers: Counter[int] = Counter()
    for _ in range(HOSTILE):
        path, body, headers = chance.choice(good)
        changed = dict(headers)
        if wire.HEADER_LENGTH in changed and chance.random() < 0.3:
            changed[wire.HEADER_LENGTH] = chance.choice(("0", "-1", "99999999", "18446744073709551615", "x", "7"))
        answers[sent(server.url, path, mutated(chance, body), changed)] += 1
    grown = resident(server.pid) - before
    print(f"\n{answers}; {grown >> 20} MB more in memory, {(shared_memory() - shared) >> 20} MB in shared memory")
    assert set(answers) <= {200, 400, 404, 500, 503}
    assert answers[400] + answers[500] > HOSTILE / 2
    assert group(server.pid), "tritonserver lives"
    assert all_stages_work(server.url)
    assert grown < 256 << 20
    assert shared_memory() - shared <= 64 << 20


# --- the server is told to stop ---------------------------------------------------------------------------------------


def test_a_server_that_is_stopped_under_load_answers_everybody_and_leaves_nothing(server):
    process, ports, pid, folder = start(server.repository)
    running = Running(ports.url, "", server.repository, pid, folder)
    owner = f"{REGIONS}{process.pid}_"
    ended: list[object] = []

    def client(seed: int) -> None:
        with SyncClient(running.url, seconds=LIMIT) as opened:
            try:
                ended.append(opened.draw("a red mug", seed=seed, **LONG | {"steps": 40 if seed % 2 else 3000}))
            except ServingError as error:
                ended.append(error)

    threads = [threading.Thread(target=client, args=(seed,)) for seed in range(8)]
    try:
        for thread in threads:
            thread.start()
        until(lambda: running.drawings() == 8)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)  # `started` has it wait 5 s for drawings
        until(lambda: (folder / "draining").exists())
        with (
            SyncClient(running.url, seconds=LIMIT) as late,
            pytest.raises(ServingError, match="about to stop") as refused,
        ):
            late.draw("a red mug", **ORDER)
        assert refused.value.code == "UNAVAILABLE"
        for thread in threads:
            thread.join(LIMIT)
        assert len(ended) == 8, "each client has an end"
        said, _ = process.communicate(timeout=STOPPED_WITHIN)
        took = time.monotonic() - began
    finally:
        if process.poll() is None:
            os.killpg(pid, signal.SIGKILL)
            process.kill()
    drawn = [one for one in ended if isinstance(one, Drawn)]
    print(
        f"\nstopped in {took:.1f} s; {len(drawn)} pictures finished, {Counter(str(one)[:60] for one in ended if one not in drawn)}"
    )
    assert process.returncode == 0, said
    assert all(one.status == "finished" and one.steps == 40 for one in drawn)
    assert all(error.code in CODES for error in ended if isinstance(error, ServingError))
    assert group(pid) == set()
    assert shared_memory(owner) == 0
