"""Bundled API files through clients that nobody here wrote: each returns the ad, and a bad value is an error."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from comfyui import ROOT
from devtools.environment import npm_packages
from PIL import Image

pytestmark = pytest.mark.usefixtures("no_traceback")

CLIENTS = Path(__file__).parent / "clients"
# These three wait for a model of the user's own: test_workflows.py runs them with a stand-in.
NEED_A_MODEL = {"flux2_two_references", "kontext_edit", "zimage_turbo", "text_to_image_server"}
EVERY = sorted((ROOT / "workflows" / "api").glob("*.json"))
FILES = [path for path in EVERY if path.stem not in NEED_A_MODEL]


def wrong(folder: Path) -> Path:
    """product_composite with a value that no node takes, on the branch of the ad."""
    prompt = json.loads((ROOT / "workflows" / "api" / "product_composite.json").read_text("utf-8"))
    (overlay,) = (entry for entry in prompt.values() if entry["class_type"] == "StorefrontTextOverlay")
    overlay["inputs"]["preset"] = "shouting"
    target = folder / "wrong.json"
    target.write_text(json.dumps(prompt), "utf-8")
    return target


def script(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def output_of(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """`command` with a home of its own, since some clients keep a diary there."""
    home = {
        **os.environ,
        "HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
        "COMFY_NO_TELEMETRY": "1",
        "DO_NOT_TRACK": "1",
    }
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=home, timeout=300)


def answers(command: list[str], folder: Path) -> list[dict]:
    """The line of JSON that a script in tests/host/clients prints for each file."""
    run = output_of(command, folder)
    assert run.returncode == 0, run.stderr
    return [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]


def drawn(address: str) -> Image.Image:
    with urllib.request.urlopen(address, timeout=60) as answer:
        return Image.open(io.BytesIO(answer.read())).convert("RGB")


@pytest.fixture(scope="module")
def ads(comfyui) -> dict[str, list[bytes]]:
    """File name -> the pictures that ComfyUI itself saves for it."""
    runs = {path.stem: comfyui.run(json.loads(path.read_text("utf-8"))) for path in FILES}
    return {name: [Image.open(path).convert("RGB").tobytes() for path in run.files()] for name, run in runs.items()}


def test_comfy_script(comfyui, ads, tmp_path):
    """It waits for ever where a prompt ends before it knows the prompt's id, so that ComfyUI is asked by hand."""
    written = answers([sys.executable, str(CLIENTS / "run_comfy_script.py"), comfyui.url, *map(str, FILES)], tmp_path)
    for path, prompt in zip(FILES, written, strict=True):
        made = [Image.open(file).convert("RGB").tobytes() for file in comfyui.run(prompt).files()]
        assert made == ads[path.stem], path.stem


def test_an_npm_client(comfyui, ads, tmp_path):
    (tmp_path / "node_modules").symlink_to(npm_packages(CLIENTS))
    shutil.copy(CLIENTS / "run_stable_canvas.mjs", tmp_path)
    host = comfyui.url.removeprefix("http://")
    command = [script("node"), "run_stable_canvas.mjs", host, *map(str, FILES), str(wrong(tmp_path))]
    *made, refused = answers(command, tmp_path)
    for path, answer in zip(FILES, made, strict=True):
        assert [drawn(a).tobytes() for a in answer["pictures"]] == ads[path.stem], path.stem
    assert refused["error"]


def test_comfy_cli(comfyui, ads, tmp_path):
    host, port = comfyui.url.removeprefix("http://").split(":")

    def run(path: Path) -> dict:
        """comfy-cli's last line, its verdict."""
        command = [script("comfy"), "--skip-prompt", "--no-enable-telemetry", "run", "--workflow", str(path), "--wait"]
        printed = output_of([*command, "--json", "--host", host, "--port", port], tmp_path)
        return json.loads(printed.stdout.splitlines()[-1])

    for path in FILES:
        verdict = run(path)
        assert verdict["ok"], verdict["error"]
        assert [drawn(a).tobytes() for a in verdict["data"]["outputs"]] == ads[path.stem], path.stem
    refused = run(wrong(tmp_path))
    assert not refused["ok"]
    assert "preset" in json.dumps(refused["error"])


@pytest.fixture
def api_v2(comfyui, tmp_path):
    """The address of comfy-api-proxy over ComfyUI."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [script("comfy-api-proxy"), "run", "--comfyui", comfyui.url, "--port", str(port)]
    with (tmp_path / "proxy.log").open("w") as log:
        proxy = subprocess.Popen(command, stdout=log, stderr=log, cwd=tmp_path)
    try:
        deadline = time.monotonic() + 300
        while True:
            with socket.socket() as knock:
                if knock.connect_ex(("127.0.0.1", port)) == 0:
                    break
            said = (tmp_path / "proxy.log").read_text()[-2000:]
            assert proxy.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        proxy.terminate()
        proxy.wait(timeout=120)


def test_comfy_sdk(api_v2, ads, tmp_path, monkeypatch):
    from comfy_sdk import Comfy
    from comfy_sdk.exceptions import InvalidWorkflow

    monkeypatch.setenv("COMFY_BASE_URL", api_v2)
    with Comfy() as comfy:
        for path in FILES:
            job = comfy.run(comfy.workflows.from_file(path), timeout=120)
            made = [Image.open(io.BytesIO(output.to_bytes())).convert("RGB").tobytes() for output in job.outputs]
            assert (job.status, made) == ("succeeded", ads[path.stem]), path.stem
        with pytest.raises(InvalidWorkflow):
            comfy.run(comfy.workflows.from_file(wrong(tmp_path)), timeout=120)


def test_comfy_lint_finds_nothing(comfyui, tmp_path):
    linted = output_of(
        [script("comfy-lint"), "--server", comfyui.url, "--strict", "--json", *map(str, FILES)], tmp_path
    )
    assert linted.returncode == 0, linted.stdout
    found = output_of([script("comfy-lint"), "--server", comfyui.url, str(wrong(tmp_path))], tmp_path)
    assert found.returncode != 0
    assert "preset" in found.stdout


@pytest.mark.skipif(sys.version_info < (3, 11), reason="comfy-preflight needs Python 3.11")
@pytest.mark.parametrize("path", EVERY, ids=lambda path: path.stem)
def test_comfy_preflight_halts_nothing(path, tmp_path):
    checked = output_of([script("comfy-preflight"), "check", str(path)], tmp_path)
    assert checked.returncode == 0, checked.stdout
