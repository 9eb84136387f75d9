"""A server that is killed while it draws: after its restart the same prompt goes on where it was."""

from __future__ import annotations

import time
from urllib.parse import urlsplit

import psutil
from comfyui import ComfyUI, node, text_to_image
from conftest import dev
from safetensors import safe_open

STEPS = 20


NEEDED = ("StorefrontLoadModel", "StorefrontEncode", "StorefrontCanvas", "StorefrontSample", "SaveLatent")


def prompt(**changes) -> dict:
    canvas = {"format": "custom (width x height)", "width": 768, "height": 768}
    drawn = text_to_image(Canvas=canvas, Sample={"steps": STEPS, "seed": 7, **changes})
    (sampler,) = [key for key, entry in drawn.items() if entry["class_type"] == "StorefrontSample"]
    drawn["save"] = node("SaveLatent", samples=[sampler, 0], filename_prefix="kept")
    return {key: entry for key, entry in drawn.items() if entry["class_type"] in NEEDED}


def steps_kept(base) -> int:
    """Of the picture that is being drawn."""
    for path in (base / "user" / "__storefront" / "unfinished").glob("*.safetensors"):
        with safe_open(path, "pt") as file:
            return int(file.metadata()["step"])
    return 0


def kill(url: str) -> None:
    (server,) = [one for one in psutil.Process().children() if str(urlsplit(url).port) in one.cmdline()]
    server.kill()


def test_a_server_killed_at_step_5_of_20_goes_on_after_its_restart(comfyui_folder, tmp_path):
    with dev.running_comfyui(comfyui_folder, tmp_path) as url:
        ComfyUI(url, tmp_path).queue(prompt(resume=True))
        deadline = time.monotonic() + 120
        while steps_kept(tmp_path) < 5:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        kill(url)
    done = steps_kept(tmp_path)
    assert 5 <= done < STEPS
    with dev.running_comfyui(comfyui_folder, tmp_path) as url:
        comfyui = ComfyUI(url, tmp_path)
        resumed = comfyui.run(prompt(resume=True))
        assert f"went on after {done} of {STEPS} steps" in comfyui.log()
        assert not list((tmp_path / "user" / "__storefront" / "unfinished").glob("*"))
        whole = comfyui.run(prompt())
        assert float((resumed.latent() - whole.latent()).abs().max()) <= 1e-6


def test_the_same_prompt_again_goes_on_where_its_time_limit_cut_it_off(comfyui):
    cut = prompt(resume=True, time_limit=0.01)
    assert comfyui.run(cut).ok
    assert f"reached after 1 of {STEPS} steps" in comfyui.log()
    assert comfyui.run(cut).ok
    assert f"went on after 1 of {STEPS} steps" in comfyui.log()
