"""A prompt in a file of the server that ComfyUI draws before its first customer comes."""

from __future__ import annotations

import json

import pytest
from comfyui import ComfyUI, node, text_to_image, until
from conftest import dev

WARM_UP = {
    "1": node("StorefrontLoadModel", model="flux-micro", weight_dtype="auto"),
    "2": node("StorefrontWarmUp", model=["1", 0], width=64, height=64),
    "3": node("StorefrontReport", value=["2", 0], format="JSON"),
}


def started_with(folder, base, content: str):
    file = base / "user" / "__storefront" / "warm_up.json"
    file.parent.mkdir(parents=True)
    file.write_text(content, "utf-8")
    return dev.running_comfyui(folder, base)


def test_what_the_file_asks_for_is_done_once_and_stays_warm(comfyui_folder, tmp_path):
    with started_with(comfyui_folder, tmp_path, json.dumps(WARM_UP)) as url:
        comfyui = ComfyUI(url, tmp_path)
        (done,) = until(lambda: comfyui.get("/history")).values()
        assert done["status"]["status_str"] == "success"
        assert "warmed up for 64 x 64" in comfyui.log()
        drawn = comfyui.run(text_to_image())
        assert drawn.ok, drawn.error
        (cached,) = [body["nodes"] for kind, body in drawn.history["status"]["messages"] if kind == "execution_cached"]
        loader = next(key for key, entry in text_to_image().items() if entry["class_type"] == "StorefrontLoadModel")
        assert cached == [loader]
        assert len(comfyui.get("/history")) == 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (json.dumps({"1": node("NoSuchNode")}), "ComfyUI refused it"),
        ("[" * 60_000, "no JSON"),
    ],
)
def test_a_file_that_cannot_be_queued_is_named_in_the_log(newest_folder, tmp_path, content, said):
    with started_with(newest_folder, tmp_path, content) as url:
        comfyui = ComfyUI(url, tmp_path)
        until(lambda: "warm_up.json was not queued" in comfyui.log())
        assert said in comfyui.log()
        assert comfyui.run(text_to_image()).ok
