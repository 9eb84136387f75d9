"""Thousands of prompts with hostile inputs: each is drawn, or refused in words; none hangs, none ends in a Python error."""

from __future__ import annotations

import json
import time
from collections import Counter
from urllib.parse import urlsplit

import attacks
import exact
import psutil
from hypothesis import HealthCheck, Phase, given, seed, settings

PATIENCE = 30  # seconds of the server's processor: other programs on the machine are no fault of the prompt
LONGEST = 300  # seconds of the clock, for what waits for ever and computes nothing
CLEAR = ("InputError", "ModelFilesError", "StorageError", "WriterError")


def processor_seconds(server) -> float:
    """What the server's process has computed since its start."""
    port = str(urlsplit(server.url).port)
    (process,) = [one for one in psutil.Process().children() if port in one.cmdline()]
    times = process.cpu_times()
    return times.user + times.system


def answered(server, prompt: dict) -> tuple[str, str]:
    """(kind of answer, what a user reads)."""
    start, used = time.monotonic(), processor_seconds(server)
    result = server.run(prompt)
    if processor_seconds(server) - used > PATIENCE or time.monotonic() - start > LONGEST:
        return "slow", json.dumps(prompt)[:2000]
    if result.ok:
        return "drawn", ""
    if result.refused is not None:
        return "refused", result.error
    (failure,) = [body for kind, body in result.history["status"]["messages"] if kind == "execution_error"]
    kind = failure["exception_type"].rsplit(".", 1)[-1]
    text = f"{kind}: {failure['exception_message'].strip()} [{failure['node_type']}]"
    if kind in CLEAR:
        return "named", text
    return "unclear", text + "\n" + "".join(failure["traceback"][-2:]) + json.dumps(prompt["x"])[:500]


def test_hostile_prompts(server, size):
    info = server.get("/object_info")
    said = info["HoldSay"]["input"]["required"]["value"][0]
    before = exact.drawn(server, 0)
    memory = server.get("/hold/self")["rss"]
    found, named, wrong = Counter(), Counter(), []

    @seed(20261128)
    @settings(
        max_examples=size(150, 10_000),
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(attacks.hostile(info, said))
    def attack(prompt: dict) -> None:
        kind, text = answered(server, prompt)
        found[kind] += 1
        if found.total() % 500 == 0:
            print(f"{found.total()} prompts: {dict(found)}", flush=True)
        if kind in ("unclear", "slow"):
            wrong.append(text)
            print(f"\nafter {found.total()} prompts: {text}", flush=True)  # a long run is read while it goes on
        elif kind == "named":
            named[text[:90]] += 1

    attack()
    grown = (server.get("/hold/self")["rss"] - memory) / 2**20
    print(f"\nhostile prompts: {dict(found)}; memory +{grown:.0f} MiB")
    assert not wrong, f"{len(wrong)} wrong answers:\n" + "\n---\n".join(sorted(set(wrong))[:40])
    assert (exact.drawn(server, 1) == before).all()
    assert grown < 1024


def test_every_node_has_a_prompt_that_works(server):
    """The attacks replace inputs of these; where one fails by itself, its attacks hold nothing."""
    info = server.get("/object_info")
    failed = {}
    for node_id in info:
        if node_id.startswith("Storefront") and node_id != "StorefrontLoadComponents":
            result = server.run(attacks.good_prompt(node_id, info[node_id]))
            if node_id in attacks.ON_A_SERVER:
                assert "`connection` is 'none'" in result.error
            elif not result.ok:
                failed[node_id] = result.error[:500]
    assert not failed, json.dumps(failed, indent=1)
