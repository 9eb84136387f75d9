"""Hundreds of different prompts in one server: memory, threads and open files come to rest. And cancels at any moment."""

from __future__ import annotations

import random
import time

import attacks
from comfyui import node, text_to_image


def mixed(info: dict, number: int) -> dict:
    """A prompt that no earlier one equals: a drawing, a node by itself, one that fails, an ad with words, saved files."""
    seed = {"Sample": {"seed": number}}
    kind = number % 6
    if kind == 0:
        return text_to_image(**seed)
    if kind == 1:
        size = {"format": "custom (width x height)", "width": 32 + number % 5 * 16, "height": 64}
        return text_to_image(Encode={"prompt": f"cup {number}"}, Canvas=size, **seed)
    if kind == 2:
        return text_to_image(Sample={"seed": number, "cfg": 3.0})  # refused inside: negative is not connected
    if kind == 3:
        words = node("StorefrontTextOverlay", image=["p", 0], text=f"{number}", preset="caption")
        return {**attacks.PICTURE, "x": words, "s": node("StorefrontSaveImage", image=["x", 0], filename="long")}
    if kind == 4:
        cut = node("StorefrontRemoveBackground", image=["p", 0], grow=number % 7)
        return {**attacks.PICTURE, "x": cut, "out": node("PreviewImage", images=["x", 0])}
    prompt = attacks.good_prompt("StorefrontAdPrompt", info["StorefrontAdPrompt"])
    prompt["x"]["inputs"] |= {"text": f"카페 라떼 {number}잔", "seed": number}
    return prompt


def allocated(before: dict, after: dict, trimmed: dict) -> str:
    """What of the growth is in use, and what glibc's malloc keeps for later."""
    if "used" not in after:
        return ""
    used, kept = ((after[name] - before[name]) / 2**20 for name in ("used", "kept"))
    given_back = (after["rss"] - trimmed["rss"]) / 2**20
    return f"; malloc handed out {used:+.1f} MiB, keeps {kept:+.1f} MiB, gives {given_back:.1f} MiB back when asked"


def test_memory_comes_to_rest(server, size):
    info = server.get("/object_info")
    count = size(36, 500)
    warm = count // 3
    for number in range(warm):
        server.run(mixed(info, number))
    before = server.get("/hold/self")
    for number in range(warm, count):
        server.run(mixed(info, number))
    after, trimmed = server.get("/hold/self"), server.get("/hold/self?trim=1")
    grown = {name: after[name] - before[name] for name in ("rss", "threads", "handles", "objects")}
    percent = 100 * grown["rss"] / before["rss"]
    print(
        f"\nlong run: {count} mixed prompts, after the first {warm}: memory {before['rss'] / 2**20:.0f} MiB "
        f"{grown['rss'] / 2**20:+.1f} MiB ({percent:+.1f} %), threads {grown['threads']:+d}, "
        f"open files {grown['handles']:+d}, Python objects {grown['objects']:+d}{allocated(before, after, trimmed)}"
    )
    assert grown["threads"] <= 2
    assert grown["handles"] <= 4
    assert percent < (2 if count >= 300 else 10)


def test_cancels_at_any_moment_leave_the_next_prompt_exact(server, size):
    chance = random.Random(20261128)
    before = server.run(text_to_image(Sample={"seed": 5})).pixels()
    info = server.get("/object_info")
    ended, slowest = {"cancelled": 0, "finished first": 0}, 0.0
    long = {"format": "custom (width x height)", "width": 128, "height": 128, "batch_size": 2}
    count = size(12, 200)
    for number in range(count):
        seed = 10**6 + number
        drawing = text_to_image(Sample={"seed": seed, "steps": 40}, Canvas=long)
        prompt_id = server.queue(mixed(info, seed) if number % 3 == 2 else drawing)
        time.sleep(chance.uniform(0, 2.0))
        start = time.monotonic()
        server.get("/interrupt", {})
        result = server.wait(prompt_id)
        kinds = [kind for kind, _ in result.history["status"]["messages"]]
        if "execution_interrupted" in kinds:
            slowest = max(slowest, time.monotonic() - start)
            ended["cancelled"] += 1
        else:
            ended["finished first"] += 1
    print(f"\ncancels: {count}, {ended}, slowest to stop {slowest:.2f} s")
    assert ended["cancelled"] > 0
    assert (server.run(text_to_image(Sample={"seed": 5})).pixels() == before).all()
