"""Cancel at any moment of every node: it stops soon, nothing is left, and what comes next is exact."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import attacks
import exact
import numpy as np
from comfyui import ComfyUI, Result, node
from PIL import Image

SIDE = 1536  # pixels: most nodes take a part of a second, some take seconds
QUICK = 0.02  # seconds: a node that takes less has ended before it hears of a cancel
# Processor seconds of the whole server, on two cores, from Cancel to the end: the longest operation that cannot be divided.
LONGEST = 3.0
TICKS = 100  # of /proc/PID/stat, a second
# What makes a node work for long, or in the way that it is used: everything else is what its schema has.
HEAVY = {
    "StorefrontSample": {"steps": 40},
    "StorefrontBlendIntoScene": {"steps": 8},
    "StorefrontPlaceProduct": {"reflection": 0.4, "rotation": 8, "scale": 80},
    "StorefrontTextOverlay": {"text": "Cup of the day " * 8, "glow": 0.5, "outline": 0.1, "box_opacity": 0.5},
    "StorefrontSaveImage": {"also_formats": "1:1 feed\n9:16 story, reel"},
    "StorefrontProductOnWhite": {"marketplace_2": "Shopify", "marketplace_3": "Etsy", "shadow": "contact"},
}
# Behind the drawing: the small size aims at these.
LATE = (
    "StorefrontPlanLayout",
    "StorefrontPlaceProduct",
    "StorefrontTextOverlay",
    "StorefrontSaveImage",
    "StorefrontProductOnWhite",
    "StorefrontGatherProducts",
)
ENDS = ("execution_interrupted", "execution_error", "execution_success")
LATENTS = {"format": "custom (width x height)", "width": 256, "height": 256, "batch_size": 2}


def large(node_id: str, info: dict, number: int = 0) -> dict:
    """The good prompt of a node with pictures of SIDE pixels, `number` more in width: other ones for ComfyUI's cache."""
    prompt = attacks.good_prompt(node_id, info)
    for key in {"p", "k"} & prompt.keys():
        prompt[key]["inputs"] |= {"width": SIDE + number, "height": SIDE}
    if "c" in prompt:
        prompt["c"]["inputs"] |= LATENTS
    prompt["x"]["inputs"] |= HEAVY.get(node_id, {})
    if "seed" in prompt["x"]["inputs"]:
        prompt["x"]["inputs"]["seed"] = 10**6 + number
    if "out" in prompt and info["output"][0] == "IMAGE":
        prompt["out"] = node("SaveImage", images=["x", 0], filename_prefix="cancelled")
    return prompt


def processor_seconds(pid: int) -> float:
    """Of all threads of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


class Ran(NamedTuple):
    """A prompt that has ended, and how long parts of it took."""

    result: Result
    working: float  # seconds of its node "x", as far as they were waited for
    stopping: float  # seconds from Cancel to the end
    work: float  # processor seconds of the whole server meanwhile

    @property
    def stopped(self) -> str:
        """The kind of node that was interrupted; "" for none."""
        kinds = [body["node_type"] for kind, body in self.messages if kind == "execution_interrupted"]
        return kinds[0] if kinds else ""

    @property
    def messages(self) -> list:
        return self.result.history["status"]["messages"]


def run(server: ComfyUI, prompt: dict, pid: int, cancel_after: float | None = None) -> Ran:
    """The prompt, cancelled so many seconds after its node "x" has begun."""

    def heard(ends: Callable[[dict], bool]) -> float:
        """When a message of this prompt came, for which `ends` is true, or its end."""
        while True:
            message = socket.recv()
            said = json.loads(message) if isinstance(message, str) else {"type": "preview", "data": {}}
            if said["data"].get("prompt_id") == prompt_id and (said["type"] in ENDS or ends(said)):
                return time.monotonic()

    def is_at(node_id: str, said: dict) -> bool:
        return said["type"] == "executing" and said["data"]["node"] == node_id

    with server.listening() as (socket, client):
        prompt_id = server.queue(prompt, client_id=client)
        began = heard(lambda said: is_at("x", said))
        if cancel_after is None:
            ended = heard(lambda said: said["type"] == "executing")
            return Ran(server.wait(prompt_id), ended - began, 0.0, 0.0)
        time.sleep(cancel_after)
        asked, before = time.monotonic(), processor_seconds(pid)
        server.get("/interrupt", {"prompt_id": prompt_id})
        result = server.wait(prompt_id)
    return Ran(result, asked - began, time.monotonic() - asked, processor_seconds(pid) - before)


def anew(server: ComfyUI, prompt: dict, pid: int) -> Ran:
    """The prompt with nothing of it in ComfyUI's cache."""
    for _ in range(50):
        server.get("/free", {"free_memory": True, "unload_models": False})
        time.sleep(0.2)  # it is done when the queue is looked at
        ran = run(server, prompt, pid)
        (kept,) = [body["nodes"] for kind, body in ran.messages if kind == "execution_cached"]
        if "x" not in kept:
            return ran
    raise AssertionError("ComfyUI's cache does not empty")


def pictures(result: Result) -> list[np.ndarray]:
    """uint8 [H, W, 3] of each saved file; a node may make several sizes."""
    return [np.asarray(Image.open(path).convert("RGB")) for path in result.files()]


def test_cancels_at_any_moment_of_every_node(server, size):
    info, chance = server.get("/object_info"), random.Random(20261128)
    pid, count, before = server.get("/hold/self")["pid"], size(12, 200), exact.drawn(server, 0)
    ours = sorted(name for name in info if name.startswith("Storefront") and name != "StorefrontLoadComponents")
    first = {name: anew(server, large(name, info[name]), pid) for name in (LATE if count <= 12 else ours)}
    failed = {name: ran.result.error[:300] for name, ran in first.items() if not ran.result.ok}
    assert not failed, failed
    long = [name for name, ran in first.items() if ran.working > QUICK]
    stopped, slowest, in_node = Counter(), {}, 0
    for number in range(count):
        name = long[number % len(long)]
        ran = run(server, large(name, info[name], 1 + number), pid, chance.uniform(0, first[name].working))
        stopped[ran.stopped or "finished first"] += 1
        in_node += ran.stopped == name
        if ran.stopped:
            slowest[name] = max(slowest.get(name, (0.0, 0.0)), (ran.work, ran.stopping))
        if number % 10 == 9:
            assert (exact.drawn(server, 1 + number) == before).all(), f"after cancel {number} in {name}"
    print(f"\ncancels: {count} in {len(long)} nodes, {in_node} inside of the node aimed at, {dict(stopped)}")
    for name, (work, seconds) in sorted(slowest.items(), key=lambda one: -one[1][0]):
        print(f"  {name}: ran {first[name].working:.2f} s; to stop at most {work:.2f} processor s, {seconds:.2f} s")
    assert in_node > count // 10  # its time was measured once: on a busy machine it is another now
    assert max(work for work, _ in slowest.values()) < LONGEST, slowest
    assert (exact.drawn(server, -1) == before).all()
    changed = []
    for name, ran in first.items():
        if info[name]["output"][:1] == ["IMAGE"]:
            again = pictures(anew(server, large(name, info[name]), pid).result)
            same = [np.array_equal(*pair) for pair in zip(pictures(ran.result), again, strict=True)]
            changed += [] if same and all(same) else [name]
    assert not changed
    for file in (server.base / "output").rglob("*.*"):  # what was saved before the cancel is whole
        with Image.open(file) as picture:
            picture.load()
