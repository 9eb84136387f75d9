"""The demo's two ways to a picture: through a real ComfyUI, and through the Python API."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent


def load_dev():
    spec = importlib.util.spec_from_file_location("dev", ROOT / "dev.py")
    dev = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(dev)
    return dev


dev = load_dev()


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def test_both_ways_to_the_demo_picture_agree_within_one_level(tmp_path):
    comfyui = os.environ.get("STOREFRONT_COMFYUI") or dev.find_comfyui()
    if not comfyui:
        pytest.skip("NO COMFYUI TO BE HAD: half of the pack is not tested")
    workflow = json.loads(dev.DEMO_WORKFLOW.read_text("utf-8"))
    with dev.running_comfyui(Path(comfyui), tmp_path / "base") as url:
        outputs = dev.queue_and_wait(url, workflow)
    saved = next(image for output in outputs.values() for image in output.get("images", ()))
    through_comfyui = pixels(tmp_path / "base" / "output" / saved["subfolder"] / saved["filename"])
    tool = ROOT / "tools" / "draw_without_comfyui.py"
    subprocess.run([sys.executable, str(tool), str(dev.DEMO_WORKFLOW), str(tmp_path / "api.png")], check=True)
    through_python = pixels(tmp_path / "api.png")
    assert through_comfyui.shape == through_python.shape == (64, 64, 3)
    assert through_python.std() > 20  # a picture, not a blank
    assert abs(through_comfyui - through_python).max() <= 1


def test_dependencies_are_ranges_and_never_torch():
    requirements = dev.pack_requirements()
    assert "diffusers" in " ".join(requirements)
    for requirement in requirements:
        assert "==" not in requirement
        assert not requirement.startswith("torch")


def test_a_wrong_comfyui_path_is_refused_by_name(monkeypatch, tmp_path):
    monkeypatch.setenv("COMFYUI_PATH", str(tmp_path))
    with pytest.raises(SystemExit, match=r"COMFYUI_PATH .*main\.py"):
        dev.find_comfyui()


def test_without_network_or_comfyui_it_says_so_in_one_line(monkeypatch, tmp_path, capsys):
    monkeypatch.delenv("COMFYUI_PATH", raising=False)
    monkeypatch.setattr(dev, "CACHE", tmp_path)
    monkeypatch.setattr(dev, "COMFYUI_URL", (tmp_path / "no-such-repository").as_uri())
    monkeypatch.setattr(dev, "__file__", str(tmp_path / "a" / "b" / "dev.py"))
    assert dev.find_comfyui() is None
    assert "ComfyUI cannot be had" in capsys.readouterr().out
    assert not (tmp_path / "ComfyUI").exists()
