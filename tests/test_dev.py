"""The demo's two ways to a picture: through a real ComfyUI, and through the Python API."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from devtools import checks, demo, environment, scaffold
from devtools import comfyui as host
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
IDENTITY = ("-c", "user.name=test", "-c", "user.email=test@localhost")


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def test_both_ways_to_the_demo_pictures_agree_within_one_level(tmp_path, monkeypatch):
    comfyui = host.find_comfyui(fetch=False)
    if not comfyui:
        pytest.skip("NO COMFYUI TO BE HAD: half of the pack is not tested")
    monkeypatch.setattr(demo, "BASE", tmp_path)
    monkeypatch.setattr(demo, "PYTHON", sys.executable)
    workflows = (demo.AD_WORKFLOW, demo.DEMO_WORKFLOW)
    through_comfyui = [pixels(path) for path in demo.draw_in_comfyui(comfyui, *workflows)]
    through_python = [pixels(path) for path in demo.draw_in_python(*workflows)]
    for ours, theirs, side in zip(through_python, through_comfyui, (1024, 64)):
        assert ours.shape == theirs.shape == (side, side, 3)
        assert ours.std() > 20  # a picture, not a blank
        assert abs(ours - theirs).max() <= 1


def test_dependencies_are_ranges_and_never_torch():
    requirements = environment.pack_requirements()
    assert "diffusers" in " ".join(requirements)
    for requirement in requirements:
        assert "==" not in requirement
        assert not requirement.startswith("torch")


def test_a_wrong_comfyui_path_is_refused_by_name(monkeypatch, tmp_path):
    monkeypatch.setenv("COMFYUI_PATH", str(tmp_path))
    with pytest.raises(SystemExit, match=r"COMFYUI_PATH .*main\.py"):
        host.find_comfyui()


def test_without_network_or_comfyui_it_says_so_in_one_line(monkeypatch, tmp_path, capsys):
    monkeypatch.delenv("COMFYUI_PATH", raising=False)
    monkeypatch.setattr(host, "CACHE", tmp_path)
    monkeypatch.setattr(host, "COMFYUI_URL", (tmp_path / "no-such-repository").as_uri())
    monkeypatch.setattr(host, "HERE", tmp_path / "a" / "b")
    assert host.find_comfyui() is None
    assert "ComfyUI cannot be had" in capsys.readouterr().out
    assert not (tmp_path / "ComfyUI").exists()


def test_setup_and_snapshot_say_what_they_made(monkeypatch, capsys):
    spec = importlib.util.spec_from_file_location("dev", ROOT / "dev.py")
    dev = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(dev)
    monkeypatch.setattr(dev, "find_comfyui", lambda: None)
    monkeypatch.setattr(dev, "set_up", lambda comfyui, test: None)
    assert dev.setup() == 0
    assert f"Ready: {environment.VENV}" in capsys.readouterr().out
    for name, answer in {"find_comfyui": ROOT, "set_up": None, "pytest": True}.items():
        monkeypatch.setattr(checks, name, lambda *_, answer=answer, **__: answer)
    assert checks.snapshot() == 0
    assert "tests/host/object_info.json" in capsys.readouterr().out
    monkeypatch.setattr(checks, "pytest", lambda *_, **__: False)
    assert checks.snapshot() == 1
    assert "Written" not in capsys.readouterr().out


def test_the_lock_holds_every_requirement_within_its_range():
    from packaging.requirements import Requirement

    locked: dict[str, list[str]] = {}
    for line in environment.LOCK.read_text("utf-8").splitlines():
        if name := environment.name_of(line):
            locked.setdefault(name, []).append(re.search(r"==([^ ;]+)", line)[1])
    for line in environment.pack_requirements() + environment.test_requirements():
        wanted = Requirement(line)
        releases = locked[environment.name_of(line)]
        assert all(wanted.specifier.contains(release) for release in releases), (line, releases)


def test_another_comfyui_keeps_its_own_editor_and_kernels(tmp_path):
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("comfyui-frontend-package==1.2.3\nComfy_Kitchen==0.1\ntorch\nnumpy>=1.25\n")
    text = environment.constraints_beside([requirements], tmp_path / "constraints.txt").read_text()
    names = {environment.name_of(line) for line in text.splitlines()}
    assert {"torch", "numpy", "diffusers"} <= names
    assert not {"comfyui-frontend-package", "comfy-kitchen"} & names


def test_a_new_node_is_whole_and_a_bad_name_changes_nothing(monkeypatch, tmp_path, capsys):
    for part in ("nodes/__init__.py", "locales/ko/nodeDefs.json"):
        (tmp_path / part).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / part).write_bytes((ROOT / part).read_bytes())
    monkeypatch.setattr(scaffold, "ROOT", tmp_path)
    with pytest.raises(SystemExit, match=r"'\.\./evil' is no name of a node"):
        scaffold.new_node("../evil")
    scaffold.new_node("GreetingCard")
    code = (tmp_path / "nodes" / "greeting_card.py").read_text("utf-8")
    compile(code, "greeting_card.py", "exec")
    registered = (tmp_path / "nodes" / "__init__.py").read_text("utf-8")
    assert registered.count("StorefrontGreetingCard") == 2
    assert "StorefrontGreetingCard" in json.loads((tmp_path / "locales/ko/nodeDefs.json").read_text("utf-8"))
    with pytest.raises(SystemExit, match="greeting_card"):
        scaffold.new_node("GreetingCard")


def test_a_clone_that_fails_leaves_alone_what_lies_there(monkeypatch, tmp_path):
    """Somebody may be cloning ComfyUI there by hand."""
    monkeypatch.setattr(host, "COMFYUI_URL", (tmp_path / "no-such-repository").as_uri())
    kept = tmp_path / "ComfyUI" / "half.txt"
    kept.parent.mkdir()
    kept.write_text("not ours")
    assert not host.clone("v0.33.0", kept.parent)
    assert kept.read_text() == "not ours"
    assert [path.name for path in tmp_path.iterdir()] == ["ComfyUI"]


def test_a_clone_arrives_whole(monkeypatch, tmp_path):
    made = tmp_path / "made"
    for command in (
        ["init", "-q", str(made)],
        ["-C", str(made), *IDENTITY, "commit", "-q", "--allow-empty", "-m", "x"],
    ):
        subprocess.run(["git", *command], check=True)
    subprocess.run(["git", "-C", str(made), "tag", "v1"], check=True)
    monkeypatch.setattr(host, "COMFYUI_URL", made.as_uri())
    assert host.clone("v1", tmp_path / "cache" / "ComfyUI")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["ComfyUI"]
