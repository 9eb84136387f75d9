"""Hundreds of different prompts in one server: memory, threads and open files come to rest."""

from __future__ import annotations

from pathlib import Path

import attacks
import pytest
from comfyui import ComfyUI, node, text_to_image
from devtools import comfyui as dev

PERIOD = 30  # prompts after which `mixed` has the same kind and size
MEMORY = ("rss", "used", "kept")


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


def rested(server: ComfyUI) -> dict:
    """What the server holds without ComfyUI's own list of the last 10,000 prompts, and without what malloc keeps for later."""
    server.get("/history", {"clear": True})
    return server.get("/hold/self?trim=1")


@pytest.fixture(scope="module")
def server(comfyui_folder, tmp_path_factory):
    """Without ComfyUI's default cache, which keeps what every prompt has made until memory runs short: it grows by right."""
    base = tmp_path_factory.mktemp("long")
    (base / "custom_nodes").mkdir()
    (base / "custom_nodes" / "hostile_pack").symlink_to(Path(__file__).parent / "hostile_pack")
    with dev.running_comfyui(comfyui_folder, base, "--cache-classic") as url:
        yield ComfyUI(url, base)


def test_memory_comes_to_rest(server, size):
    info = server.get("/object_info")
    count = size(60, 500)
    # Measured behind the same prompts: some leave a loaded model, some a file's pixels.
    warm, every = count - PERIOD * max(1, count * 2 // (3 * PERIOD)), max(1, count // 12)
    before, shown = {}, []
    for number in range(count):
        if number == warm:
            before = rested(server)
        server.run(mixed(info, number))
        if number % every == every - 1:
            now = server.get("/hold/self")
            shown.append(
                f"  {number + 1:4}: " + ", ".join(f"{key} {now[key] / 2**20:.0f} MiB" for key in MEMORY if key in now)
            )
    untrimmed, after = server.get("/hold/self"), rested(server)
    grown = {name: after[name] - before[name] for name in ("rss", "threads", "handles", "objects")}
    percent = 100 * grown["rss"] / before["rss"]
    print(
        f"\nlong run: {count} mixed prompts, after the first {warm}: memory {before['rss'] / 2**20:.0f} MiB "
        f"{grown['rss'] / 2**20:+.1f} MiB ({percent:+.1f} %), threads {grown['threads']:+d}, "
        f"open files {grown['handles']:+d}, Python objects {grown['objects']:+d}; before malloc gave back what it keeps: "
        f"{untrimmed['rss'] / 2**20:.0f} MiB"
    )
    print("\n".join(shown))
    assert grown["threads"] <= 2
    assert grown["handles"] <= 4
    assert percent < (2 if count >= 300 else 10)
