"""Memory that runs out for real (inside_memory.py), and on a server under a limit of the system: nothing is injected here."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
import sys
import time
import urllib.error
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
import websocket
from comfyui import ComfyUI, Result, node, text_to_image
from conftest import dev

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds a process to RLIMIT_AS")

# So that memory that is given back to the allocator goes back to the system, and the next try has as much as it is told.
PLAIN_MALLOC = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "262144", "OMP_NUM_THREADS": "1"}
FAULTS = {"PYTHONFAULTHANDLER": "1"}  # a process that crashes says where
BATCHES = {"FLUX Sampler": "drawn 4 of 8 rows", "KSampler": "drawn 4 of 8 rows"}
VAE = ["Decode Picture", "VAEDecode", "VAEEncode"]
CLOSE = 1e-5  # of the spread
NAMED = {
    "FLUX Sampler": "`latent`",
    "KSampler": "`latent`",
    "text_to_images": "`size`",
    "Decode Picture": "`latent`",
    "VAEDecode": "`samples`",
    "VAEEncode": "`pixels`",
    "Encode Prompt": "`prompt`",
    "Remove Background": "`image`",
}


@pytest.fixture(scope="session")
def figures(comfyui_folder):
    script = Path(__file__).with_name("inside_memory.py")
    command = [sys.executable, str(script), str(comfyui_folder)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **PLAIN_MALLOC, **FAULTS})
    lines = [line for line in done.stdout.splitlines() if line.startswith("FIGURES ")]
    assert lines, f"it ended with {done.returncode}\n{done.stderr[-6000:]}"
    return json.loads(lines[0].removeprefix("FIGURES "))


@pytest.mark.parametrize("stage", NAMED)
def test_less_and_less_memory_ends_in_an_error_with_a_cure_and_the_next_run_is_right(figures, stage):
    *enough, last = figures[stage]["tries"]
    assert enough
    assert last["kind"] == "OutOfMemory", last
    assert last["error"].startswith(NAMED[stage])
    assert "Expected: " in last["error"]
    assert figures[stage]["next"] == 0


@pytest.mark.parametrize("stage", BATCHES)
def test_a_batch_that_does_not_fit_is_halved_and_ends_equal(figures, stage):
    drawn = figures[stage]["tries"][:-1]
    assert any(BATCHES[stage] in note for one in drawn for note in one["notes"])
    assert all(one["apart"] <= CLOSE * figures[stage]["spread"] for one in drawn)
    assert all(one["notes"] for one in drawn if one["apart"])


@pytest.mark.parametrize("stage", VAE)
def test_pictures_are_decoded_and_encoded_in_parts_then_in_tiles(figures, stage):
    done = figures[stage]["tries"][:-1]
    assert any("tiles" in note for one in done for note in one["notes"])
    for one in done:
        tiled = any("tiles" in note for note in one["notes"])
        assert tiled or one["apart"] <= CLOSE * figures[stage]["spread"]
    if stage != "Decode Picture":  # it decodes one picture at a time anyhow
        assert any("1 of 2 at a time" in note for one in done for note in one["notes"])


@pytest.mark.parametrize("rows", ["2", "1"])
def test_what_lies_between_parts_and_whole_is_in_diffusers_itself(figures, rows):
    """Its transformer answers the same rows otherwise in another batch; ours answers every call with its bits."""
    halves = figures["halves"]
    for part in (halves["8"], halves[rows]):
        assert part["from diffusers"] == 0
        assert part["begins"] == 0
    assert halves[rows]["calls"] == halves["8"]["calls"] * 8 // int(rows)
    assert halves[rows]["diffusers, whole and parts"] <= 1e-5
    assert halves[rows]["drawn"] <= CLOSE * halves["spread"]


def prompt(time_limit: int, **changes) -> dict:
    """A batch of 8, saved and reported on; another time limit than the last draws it anew."""
    canvas = {"format": "custom (width x height)", "width": 384, "height": 384, "batch_size": 8}
    drawn = text_to_image(Canvas=canvas, Sample={"steps": 1, "seed": 7, "time_limit": time_limit, **changes})
    (sampler,) = [key for key, entry in drawn.items() if entry["class_type"] == "StorefrontSample"]
    drawn["save"] = node("SaveLatent", samples=[sampler, 0], filename_prefix="kept")
    drawn["report"] = node("StorefrontReport", value=[sampler, 0], format="JSON")
    for key in [key for key, entry in drawn.items() if entry["class_type"] in ("StorefrontDecode", "SaveImage")]:
        del drawn[key]
    return drawn


def patiently(ask, *args, **given):
    """An answer, asked again where the server has no memory left to answer with: it then closes the connection."""
    deadline = time.monotonic() + 300
    while True:
        try:
            return ask(*args, **given)
        except (ConnectionError, http.client.HTTPException, urllib.error.URLError) as error:
            if (isinstance(error, urllib.error.HTTPError) and error.code != 500) or time.monotonic() > deadline:
                raise
            time.sleep(0.2)


@contextlib.contextmanager
def limited(server: psutil.Process, room: int):
    """The server may take `room` bytes more than it has."""
    hard = server.rlimit(psutil.RLIMIT_AS)[1]
    server.rlimit(psutil.RLIMIT_AS, (server.memory_info().vms + room, hard))
    try:
        yield
    finally:
        server.rlimit(psutil.RLIMIT_AS, (hard, hard))


def notes_heard(comfyui: ComfyUI, server: psutil.Process, room: int, workflow: dict) -> tuple[Result, list[str]]:
    """The result with so much room, and what the editor would show under the sampler."""
    with comfyui.listening() as (socket, client):
        socket.send(json.dumps({"type": "feature_flags", "data": {"supports_preview_metadata": True}}))
        json.loads(socket.recv())  # it listens
        with limited(server, room):
            result = patiently(comfyui.wait, patiently(comfyui.queue, workflow, client_id=client))
        heard = []
        socket.settimeout(5)
        with contextlib.suppress(OSError, websocket.WebSocketException):  # silence, or closed where memory ran out
            while True:
                message = socket.recv()
                if isinstance(message, str) and (body := json.loads(message))["type"] == "storefront.note":
                    heard.append(body["data"]["text"])
    return result, [text for text in heard if "out of memory" in text]


def test_a_server_under_a_limit_draws_in_parts_says_so_and_recovers(comfyui_folder, tmp_path, monkeypatch):
    for name, value in PLAIN_MALLOC.items():
        monkeypatch.setenv(name, value)
    with dev.running_comfyui(comfyui_folder, tmp_path) as url:
        comfyui = ComfyUI(url, tmp_path)
        (server,) = [one for one in psutil.Process().children() if str(urlsplit(url).port) in one.cmdline()]
        expected = comfyui.run(prompt(1000)).latent()
        halved = refused = None
        for number in range(1, 20):
            room = round(160 * 0.75**number * 2**20)
            result, heard = notes_heard(comfyui, server, room, prompt(1000 + number))
            if not result.ok:
                refused = result
                break
            assert float((result.latent() - expected).abs().max()) <= CLOSE * float(expected.std())
            if heard and halved is None:
                halved = result
                report = json.loads(result.history["outputs"]["report"]["text"][0])
                said = [note for entry in report["nodes"] for note in entry["fallbacks"]]
                assert "out of memory, drawn 4 of 8 rows at a time" in said
                assert any("out of memory, drawn 4 of 8 rows at a time" in text for text in heard)
        assert halved is not None
        assert refused is not None
        assert "`latent` is" in refused.error
        assert "smaller canvas" in refused.error
        assert float((comfyui.run(prompt(2000)).latent() - expected).abs().max()) == 0
