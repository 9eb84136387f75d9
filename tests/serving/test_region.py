"""Tensors in memory that client and stage share: the same bits, nothing that stays, and nobody else's memory."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from comfyui import until
from storefront.serving import ServingError, SyncClient, region, stages, wire
from storefront.serving.nearby import Nearby, Sent, is_near
from storefront.serving.triton.given import Embeds
from storefront.serving.triton.serve import REGIONS
from storefront.studio.errors import InputError
from test_supervise import process_of
from triton_server import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="anonymous memory that others may open is Linux's")
ROWS = {"latents": wire.Value("FP32", (1, 4), bytes(range(16)))}


def call(rows: int = 1, cells: int = 16, words: int = 0) -> dict[str, torch.Tensor]:
    made = torch.Generator().manual_seed(words)
    return {
        "latents": torch.randn(rows, cells, 64, generator=made),
        "latent_image_ids": torch.zeros(rows, cells, 3),
        "timestep": torch.full((rows, 1), 0.5),
        "guidance": torch.full((rows, 1), 3.5),
        "clip_embeds": torch.randn(rows, 128, generator=made),
        "t5_embeds": torch.randn(rows, 24, 128, generator=made),
        "text_ids": torch.zeros(rows, 24, 3),
    }


def transformer(client: SyncClient, tensors: dict[str, torch.Tensor]) -> torch.Tensor:
    return client.stage(stages.TRANSFORMER, tensors, "noise_pred")


def opened_files(process: int) -> list[str]:
    """Memory of clients that a process holds, by its descriptors and its mappings."""
    files = []
    for one in Path(f"/proc/{process}/fd").iterdir():
        try:
            files.append(str(one.readlink()))
        except OSError:  # it has been closed
            continue
    files += Path(f"/proc/{process}/maps").read_text().splitlines()
    return [one for one in files if region.REGION_NAME in one]


# --- without a server -------------------------------------------------------------------------------------------------


def test_what_is_put_in_is_read_and_the_answer_comes_back():
    mine = region.SharedRegion(region.room(ROWS, 8))
    with region.Opened(mine.put(ROWS, 8)) as theirs:
        assert theirs.read("latents") == ("FP32", (1, 4), bytearray(range(16)))
        theirs.write(memoryview(b"answered"))
    assert mine.answer() == b"answered"
    mine.close()


def test_a_stage_that_is_late_with_an_earlier_call_is_refused():
    mine = region.SharedRegion(region.room(ROWS, 8))
    earlier = mine.put(ROWS, 8)
    mine.put(ROWS, 8)
    with pytest.raises(InputError, match="`region` is not the client's own"):
        region.Opened(earlier)
    mine.close()


FORGED = {
    "no JSON": lambda note: "{",
    "deep": lambda note: "[" * 100_000,
    "another secret": lambda note: json.dumps(note | {"secret": "00" * 32}),
    "no secret": lambda note: json.dumps(note | {"secret": ""}),
    "no hex": lambda note: json.dumps(note | {"secret": "xyz"}),
    "another process": lambda note: json.dumps(note | {"pid": 1}),
    "a process that is not": lambda note: json.dumps(note | {"pid": 2**22 + 5}),
    "a huge number": lambda note: json.dumps(note | {"pid": 10**40}),
    "a path": lambda note: json.dumps(note | {"pid": "self/../1"}),
    "another file": lambda note: json.dumps(note | {"fd": 0}),
    "negative": lambda note: json.dumps(note | {"answer": -1}),
    "a shape of text": lambda note: json.dumps(note | {"inputs": {"latents": ["FP32", "44", 64]}}),
    "a gigantic shape": lambda note: json.dumps(note | {"inputs": {"latents": ["FP32", [2**20] * 7, 64]}}),
    "a negative shape": lambda note: json.dumps(note | {"inputs": {"latents": ["FP32", [-4], 64]}}),
    "another dtype": lambda note: json.dumps(note | {"inputs": {"latents": ["OBJECT", [4], 64]}}),
    "an endless number": lambda note: json.dumps(note | {"pid": float("inf")}),
    "an endless file": lambda note: json.dumps(note | {"fd": float("inf")}),
    "a list": lambda note: json.dumps(list(note)),
}


@pytest.mark.parametrize("case", FORGED)
def test_a_forged_note_opens_nothing(case):
    mine = region.SharedRegion(1000)
    forged = FORGED[case](json.loads(mine.put(ROWS, 16)))
    before = opened_files(os.getpid())
    with pytest.raises(InputError, match=r"^`region` is ") as refused:
        region.Opened(forged)
    assert opened_files(os.getpid()) == before
    assert len(str(refused.value)) < 300
    mine.close()


def test_a_file_that_is_no_region_is_not_opened(tmp_path, monkeypatch):
    with (tmp_path / "private").open("w+b") as file, monkeypatch.context() as patched:
        patched.setattr(region.os, "open", lambda *_: pytest.fail("opened"))
        with pytest.raises(InputError, match="`region` is out of reach"):
            region._opened(os.getpid(), file.fileno())


def test_beyond_the_region_nothing_is_read_or_written():
    mine = region.SharedRegion(1000)
    note = json.loads(mine.put(ROWS, 16))
    note["inputs"]["latents"][2] = mine.size - 8
    note["answer"] = mine.size - 4
    with region.Opened(json.dumps(note)) as theirs:
        with pytest.raises(InputError, match="`latents` is 16 bytes"):
            theirs.read("latents")
        with pytest.raises(InputError, match="`region` is too small"):
            theirs.write(memoryview(b"12345678"))
    mine.close()


def test_memory_that_its_owner_could_shorten_is_refused():
    """A stage that reads it meanwhile would be killed."""
    secret = b"s" * 32
    file = os.memfd_create(region.REGION_NAME)
    os.write(file, secret + bytes(64))
    note = {"pid": os.getpid(), "fd": file, "secret": secret.hex(), "inputs": {}, "answer": 32}
    with pytest.raises(InputError, match="`region` is not the client's own"):
        region.Opened(json.dumps(note))
    os.close(file)


def test_a_region_is_used_again_but_not_after_a_call_that_may_still_write():
    import resource

    regions = region.Regions()
    with regions.taken(10, ServingError) as first:
        pass
    with regions.taken(10, ServingError) as again, regions.taken(10, ServingError) as other:
        assert again is first
        assert other is not first
    with pytest.raises(ServingError), regions.taken(10, ServingError):
        raise ServingError("INTERNAL", "answered")
    with pytest.raises(ServingError), regions.taken(10, ServingError) as late:
        raise ServingError("UNAVAILABLE", "of a proxy, in place of the server's", 504)
    with regions.taken(10, ServingError) as fresh:
        assert fresh is not late
    with pytest.raises(KeyboardInterrupt), regions.taken(3 << 20, ServingError) as larger:
        raise KeyboardInterrupt
    assert larger.size == 3 << 20
    with regions.taken(3 << 20, ServingError) as after:
        assert after is not larger
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        with regions.taken(5 << 20, ServingError) as none:
            assert none is None, "no more files may be opened"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    with contextlib.ExitStack() as many:
        for _ in range(20):
            many.enter_context(regions.taken(10, ServingError))
    assert len(set(opened_files(os.getpid()))) <= 2 * region.MOST_FREE
    regions.close()
    assert opened_files(os.getpid()) == []


@pytest.mark.parametrize(
    ("url", "near"),
    [
        ("http://127.0.0.1:8000", True),
        ("http://127.9.9.9", True),
        ("http://[::1]:8000", True),
        ("http://localhost:8000", True),
        ("http://localhost.example.com", False),
        ("http://10.0.0.1:8000", False),
        ("https://gpu.example.com", False),
    ],
)
def test_which_addresses_are_of_this_machine(url, near):
    assert is_near(url) is near


def test_embeddings_are_known_by_their_bits_and_forgotten_in_turn():
    sent, kept = Sent(most=3 * 4 * 8), Embeds(most=3 * 4 * 8)
    rows = torch.randn(4, 2, 4)
    hashes = sent.hashes(rows)
    assert len(set(hashes)) == 4
    assert len(sent._rows) == 3
    assert sent.hashes(rows) == hashes
    assert sent.hashes(-rows * 0) != sent.hashes(rows * 0)  # zeros of two signs are equal, their bits are not
    kept.keep(rows)
    assert kept.bytes == 3 * 4 * 8
    assert torch.equal(kept.rows(hashes[1:3]), rows[1:3])
    with pytest.raises(InputError, match=f"`t5_hash` is unknown to this server. Expected: {stages.EMBEDS_AGAIN}"):
        kept.rows(hashes[:1])


class Stage:
    """The answers of a stage that cannot open regions, or has lost the embeddings, or is of an older version."""

    def __init__(self, **fault: bool):
        self.fault, self.asked = fault, 0

    async def __call__(self, inputs, outputs):
        self.asked += 1
        await asyncio.sleep(0.01)  # calls at the same time meet here
        if self.fault.get("older") and {stages.REGION, stages.T5_HASH} & set(inputs):
            raise ServingError("INVALID_ARGUMENT", f"unexpected inference input '{stages.T5_HASH}'", 400)
        if stages.REGION in inputs and self.fault.get("apart"):
            raise ServingError("INVALID_ARGUMENT", f"`{stages.REGION}` is out of reach. Expected: {region.CANNOT}", 400)
        if stages.REGION in inputs:
            count = inputs[stages.REGION].shape[0]
            return {stages.IN_REGION: wire.Value("INT64", (count, 1), (0).to_bytes(8, "little") * count)}
        if self.fault.get("lost") and "t5_embeds" not in inputs:
            raise ServingError(
                "INVALID_ARGUMENT", f"`{stages.T5_HASH}` is unknown. Expected: {stages.EMBEDS_AGAIN}", 400
            )
        return {"noise_pred": wire.Value("FP32", inputs["latents"].shape, inputs["latents"].data)}


@pytest.mark.parametrize("fault", ["apart", "lost", "older"])
def test_what_one_call_learns_of_a_server_fails_no_other(fault):
    """Rows of one text, and several calls at the same time: each of them is answered."""
    url = "http://10.0.0.1:8000" if fault == "lost" else "http://127.0.0.1:1"
    tensors = call(2)
    tensors["t5_embeds"] = tensors["t5_embeds"][:1].expand(2, -1, -1)

    async def together() -> list[wire.Value]:
        nearby, stage = Nearby(), Stage(**{fault: True})
        if fault == "lost":
            nearby._remember(url, nearby._sent.hashes(tensors["t5_embeds"].contiguous()))
        try:
            return await asyncio.gather(*(nearby.transformer(url, tensors, stage) for _ in range(3)))
        finally:
            nearby.close()

    for found in asyncio.run(together()):
        assert bytes(found.data) == tensors["latents"].numpy().tobytes()


def test_embeddings_travel_once_to_each_server():
    travelled = []

    async def ask(inputs, outputs):
        travelled.append("t5_embeds" in inputs)
        return {stages.OUTPUT_OF[stages.TRANSFORMER]: inputs["latents"]}

    async def asked() -> None:
        known = Nearby()
        for url in ("http://10.0.0.1", "http://10.0.0.1", "http://10.0.0.2", "http://10.0.0.1"):
            await known.transformer(url, call(), ask)

    asyncio.run(asked())
    assert travelled == [True, False, True, False]


def test_an_answer_that_does_not_lie_in_the_region_is_none():
    async def asked() -> None:
        nearby = Nearby()
        try:
            await nearby.transformer("http://127.0.0.1:1", call(), Stage())
        finally:
            nearby.close()

    with pytest.raises(wire.WireError):
        asyncio.run(asked())


# --- with one ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def client(server):
    with SyncClient(server.url) as opened:
        yield opened


def knows(client: SyncClient) -> Nearby:
    return client._client._nearby


@pytest.mark.parametrize("rows", [1, 8])
def test_every_way_to_travel_gives_the_same_bits(server, client, rows):
    tensors = call(rows, 36, words=rows)
    first, again = transformer(client, tensors), transformer(client, tensors)
    assert not knows(client)._plain
    knows(client)._plain.add(server.url)
    by_hash = transformer(client, tensors)
    knows(client)._whole.add(server.url)
    whole = transformer(client, tensors)
    assert first.shape == (rows, 36, 64)
    for other in (again, by_hash, whole):
        assert torch.equal(first, other)
    bfloat = transformer(client, {name: tensor.bfloat16() for name, tensor in tensors.items()})
    assert float((bfloat - first).abs().max()) < 1


def test_embeddings_that_a_stage_has_lost_travel_once_more(server, client):
    expected = transformer(client, call(words=50))
    for words in range(3):
        transformer(client, call(words=words))
    with SyncClient(server.url) as other:
        other_hash = knows(other)._sent.hashes(call(words=51)["t5_embeds"])
        knows(other)._remember(server.url, other_hash)  # as if it had been sent before the stage was started anew
        assert torch.equal(transformer(other, call(words=51)), transformer(client, call(words=51)))
    assert torch.equal(transformer(client, call(words=50)), expected)


def test_where_the_memory_cannot_be_opened_tensors_travel_in_the_request(server, client, monkeypatch):
    """As from a container: the server knows this process by another number, or not at all."""
    monkeypatch.setattr(region.os, "getpid", lambda: 1)
    apart = transformer(client, call(words=60))
    assert knows(client)._plain == {server.url}
    monkeypatch.undo()
    with SyncClient(server.url) as near:
        assert torch.equal(transformer(near, call(words=60)), apart)
        assert not knows(near)._plain


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"latents": torch.full((1, 16, 64), float("nan"))}, "latents"),
        ({"latents": torch.zeros(1, 16, 5)}, "latents"),
        ({"timestep": torch.zeros(2, 1)}, "region"),
        ({"sigma": torch.zeros(1, 1)}, "sigma"),
        ({"text_ids": torch.zeros(1, 24, 3, dtype=torch.int64)}, "text_ids"),
    ],
)
def test_a_wrong_tensor_in_memory_is_refused_by_name(client, change, named):
    with pytest.raises(ServingError, match=f"`{named}` is ") as refused:
        transformer(client, {**call(), **change})
    assert refused.value.code == "INVALID_ARGUMENT"
    assert transformer(client, call()).shape == (1, 16, 64)


def test_requests_with_nothing_or_with_a_strangers_words_are_refused(client):
    for texts in (
        {},
        {"region": ["{}"]},
        {"region": ["\ud7ff" * 70_000]},
        {"t5_hash": ["x"]},
        {"t5_hash": ["0" * 64] * 8},
    ):
        values = {name: wire.Value.texts(rows) for name, rows in texts.items()}
        for output in ("noise_pred", "in_region"):
            with pytest.raises(ServingError) as refused:
                client.infer(stages.TRANSFORMER, values, [output])
            assert refused.value.code == "INVALID_ARGUMENT", refused.value
    assert transformer(client, call()).shape == (1, 16, 64)


KILLED = """
import sys
sys.path[:0] = {paths!r}
from pack import import_pack
import_pack()
from storefront.serving import SyncClient
from test_region import call, transformer
with SyncClient({url!r}) as client:
    transformer(client, call(8, 256))
    print("works", flush=True)
    while True:
        transformer(client, call(8, 256))
"""


def test_a_client_that_is_killed_leaves_nothing(server):
    stage = process_of(server.pid, stages.TRANSFORMER)
    code = KILLED.format(paths=[path for path in sys.path if str(ROOT) in path], url=server.url)
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout.readline() == "works\n"
                assert opened_files(process.pid), "it has some"
                time.sleep(0.05)
            finally:
                process.kill()
    until(lambda: not opened_files(stage))
    ours = [path.name for path in Path("/dev/shm").iterdir() if "storefront" in path.name]
    assert [name for name in ours if not name.startswith(REGIONS)] == [], "beside those of servers"
    with SyncClient(server.url) as client:
        assert transformer(client, call()).shape == (1, 16, 64)
