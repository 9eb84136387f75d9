"""The pack installed as ComfyUI-Manager does it, by its own code, into an environment that holds ComfyUI's packages alone.

Minutes and a network: `python -m pytest -m install`, and part of `python dev.py test --newest`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from comfyui import ROOT, ComfyUI
from conftest import dev
from devtools import python_of
from devtools.environment import LOCK
from PIL import Image

pytestmark = pytest.mark.install

COMPOSITE = json.loads((ROOT / "workflows" / "api" / "product_composite.json").read_text("utf-8"))
MANAGER = """
import sys
comfyui, user, pack = sys.argv[1:]
sys.path.insert(0, comfyui)
sys.argv = ["manager"]
import folder_paths
folder_paths.set_user_directory(user)
from comfyui_manager.common import cm_global
cm_global.pip_blacklist = {"torch", "torchaudio", "torchsde", "torchvision"}
cm_global.pip_downgrade_blacklist = [*cm_global.pip_blacklist, "transformers", "safetensors", "kornia"]
cm_global.pip_overrides = {}
from comfyui_manager.glob import manager_core
assert manager_core.unified_manager.execute_install_script("storefront", pack, instant_execution=True)
"""


def run(*command: str, cwd: Path, **more: str) -> str:
    kept = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV" and not key.startswith("PYTHON")}
    done = subprocess.run(command, cwd=cwd, env={**kept, **more}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done.stdout


def versions(python: Path) -> dict[str, str]:
    listed = json.loads(run(str(python), "-m", "pip", "list", "--format", "json", cwd=python.parent))
    return {entry["name"].lower(): entry["version"] for entry in listed}


@pytest.fixture(scope="module")
def comfyui_alone(newest_folder, tmp_path_factory) -> Path:
    """The interpreter of an environment with ComfyUI's requirements and ComfyUI-Manager. uv links what it has in its cache."""
    folder = tmp_path_factory.mktemp("alone") / "venv"
    uv = (sys.executable, "-m", "uv")
    run(*uv, "venv", "--quiet", "--seed", "--python", sys.executable, str(folder), cwd=folder.parent)
    torch = [
        line.split(" ")[0] for line in LOCK.read_text("utf-8").splitlines() if re.match("torch(vision|audio)?==", line)
    ]
    wanted = [*torch, "comfyui-manager>=4.3", "-r", str(newest_folder / "requirements.txt")]
    run(*uv, "pip", "install", "--quiet", "--python", str(python_of(folder)), *wanted, cwd=folder.parent)
    return python_of(folder)


@pytest.fixture(scope="module")
def pack(tmp_path_factory) -> Path:
    """What a clone of the repository has, outside of any ComfyUI."""
    target = tmp_path_factory.mktemp("pack") / "storefront"
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT).split("\0")
    for name in filter(None, listed):
        if (ROOT / name).is_file() and not name.startswith("tests/"):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target / name)
    return target


def test_without_and_with_its_packages(comfyui_alone, pack, newest_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(dev, "ROOT", pack)
    monkeypatch.setenv("STOREFRONT_PYTHON", str(comfyui_alone))
    before = versions(comfyui_alone)
    with dev.running_comfyui(newest_folder, tmp_path) as url:
        comfyui = ComfyUI(url, tmp_path)
        nodes = {name for name in comfyui.get("/object_info") if name.startswith("Storefront")}
        assert nodes == set(json.loads((ROOT / "tests" / "host" / "object_info.json").read_text("utf-8")))
        (line,) = [line for line in comfyui.log().splitlines() if "not installed for ComfyUI's Python" in line]
        assert "`diffusers`" in line
        assert "`rembg`" in line
        assert f'Run: "{comfyui_alone}" -m pip install -r ' in line
        error = comfyui.run(COMPOSITE).error
        assert re.match(r"`[a-z-]+` is not installed for ComfyUI's Python\. Run: ", error), error
        assert str(comfyui_alone) in error

    run(str(comfyui_alone), "-c", MANAGER, str(newest_folder), str(tmp_path / "user"), str(pack), cwd=tmp_path,
        COMFYUI_PATH=str(newest_folder))  # fmt: skip
    after = versions(comfyui_alone)
    assert {"diffusers", "rembg", "onnxruntime", "scikit-image"} <= set(after) - set(before)
    moved = {name: (old, after.get(name)) for name, old in before.items() if after.get(name) != old}
    print(f"\nmoved by the installation: {moved or 'nothing'}; added: {sorted(set(after) - set(before))}")
    assert not moved

    with dev.running_comfyui(newest_folder, tmp_path) as url:
        comfyui = ComfyUI(url, tmp_path)
        pixels = np.asarray(Image.open(comfyui.run(COMPOSITE).files()[0]).convert("RGB"))
        assert "not installed" not in comfyui.log()
        assert "Traceback" not in comfyui.log()
        assert pixels.std() > 20
