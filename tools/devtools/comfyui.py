"""ComfyUI itself: found or cloned, started with this pack alone, asked to draw. Standard library only."""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from . import CACHE, HERE, PYTHON, ROOT, say

COMFYUI_URL = "https://github.com/comfyanonymous/ComfyUI"
COMFYUI_TAG, OLDEST_TAG = "v0.33.0", "v0.20.1"
OLDEST = CACHE / "ComfyUI-0.20.1"


def find_comfyui(fetch: bool = True) -> Path | None:
    """The ComfyUI to use: the folder that COMFYUI_PATH names; else the one whose custom_nodes this folder is in; else the
    one in the cache; else a clone, where `fetch` allows it. None, with a line that says so, where it cannot be had."""
    named = os.environ.get("COMFYUI_PATH")
    if named:
        if (Path(named) / "main.py").is_file():
            return Path(named).resolve()
        sys.exit(f"COMFYUI_PATH is {named!r}. Set it to a folder with ComfyUI's main.py in it.")
    for candidate in (HERE.parent.parent, CACHE / "ComfyUI"):
        if (candidate / "main.py").is_file() and (candidate / "comfy").is_dir():
            return candidate.resolve()
    if fetch and clone(COMFYUI_TAG, CACHE / "ComfyUI"):
        return CACHE / "ComfyUI"
    say("ComfyUI cannot be had: none is on this machine and GitHub cannot be reached.")
    return None


def clone(tag: str, target: Path) -> bool:
    """ComfyUI of a release into `target`; False where GitHub cannot be reached. What lies in `target` already stays as it is."""
    say(f"Cloning ComfyUI {tag} into {target} ...")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".clone-") as beside:
        part = Path(beside) / target.name
        command = ["git", "clone", "--quiet", "--depth", "1", "--branch", tag, COMFYUI_URL, str(part)]
        try:
            subprocess.run(command, env={**os.environ, "GIT_TERMINAL_PROMPT": "0"}, timeout=600, check=True)
            part.rename(target)
        except (OSError, subprocess.SubprocessError):
            return False
    return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def link_pack(custom_nodes: Path) -> None:
    """This folder inside `custom_nodes`: a link, or a junction on Windows, where links need a privilege."""
    custom_nodes.mkdir(parents=True, exist_ok=True)
    link = custom_nodes / "storefront"
    if link.exists() and link.resolve() == ROOT:
        return
    if link.is_symlink():  # left by a clone that was moved or renamed
        link.unlink()
    if os.name == "nt":
        subprocess.run(["cmd", "/c", "mklink", "/J", str(link), str(ROOT)], check=True, stdout=subprocess.DEVNULL)
    else:
        link.symlink_to(ROOT, target_is_directory=True)


@contextlib.contextmanager
def running_comfyui(comfyui: Path, base: Path, *flags: str, port: int = 0) -> Iterator[str]:
    """The URL of a headless ComfyUI whose only pack is this one; stopped at the end. `flags` are ComfyUI's own."""
    for folder in ("user", "input", "output", "models"):
        (base / folder).mkdir(parents=True, exist_ok=True)
    link_pack(base / "custom_nodes")
    port = port or free_port()
    command = [interpreter(), "main.py", "--disable-auto-launch", "--listen", "127.0.0.1", "--port", str(port)]
    command += ["--base-directory", str(base), *flags]
    if not has_gpu():
        command.append("--cpu")
    log_file = base / "comfyui.log"
    url = f"http://127.0.0.1:{port}"
    with log_file.open("w") as log:
        environment = {**os.environ, "PYTHONUTF8": "1"}
        server = subprocess.Popen(
            command, cwd=comfyui, env=environment, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        )
        try:
            for _ in range(600):
                if server.poll() is not None:
                    sys.exit(
                        f"ComfyUI stopped at start. Its log: {log_file}\n{log_file.read_text('utf-8', 'replace')[-3000:]}"
                    )
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(f"{url}/system_stats", timeout=5).close()
                    break
                time.sleep(0.5)
            else:
                sys.exit(f"ComfyUI did not answer within five minutes. Its log: {log_file}")
            yield url
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def interpreter() -> str:
    """The Python that ComfyUI runs on: .venv's, or the one that `dev.py test --lowest` and `--newest` name."""
    return os.environ.get("STOREFRONT_PYTHON") or str(PYTHON)


@functools.cache  # the question imports torch, which takes seconds
def has_gpu() -> bool:
    question = "import torch,sys; sys.exit(0 if torch.cuda.is_available() or torch.backends.mps.is_available() else 1)"
    return subprocess.run([interpreter(), "-c", question]).returncode == 0


def get_json(url: str, body: object = None) -> dict:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        sys.exit(f"ComfyUI refused: {error.read().decode(errors='replace')[:2000]}")


def messages(url: str, client: str, patience: float) -> Iterator[dict]:
    """ComfyUI's messages to `client`. As much of WebSocket (RFC 6455) as its whole text messages need."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=patience) as connection:
        key = base64.b64encode(os.urandom(16)).decode()
        connection.sendall(
            f"GET /ws?clientId={client} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        reader = connection.makefile("rb")
        while reader.readline().strip():
            pass
        while len(head := reader.read(2)) == 2:
            length = head[1] & 127
            if length > 125:
                length = int.from_bytes(reader.read(2 if length == 126 else 8), "big")
            body = reader.read(length)
            if head[0] == 0x81:
                yield json.loads(body)


def queue_and_wait(url: str, workflow: dict, patience: float = 600) -> dict:
    """The outputs of a workflow, by node id. Shows each node's progress while it waits."""
    client = os.urandom(8).hex()
    stream = messages(url, client, patience)
    next(stream)  # connected: from here on no message can be missed
    prompt_id = get_json(f"{url}/prompt", {"prompt": workflow, "client_id": client})["prompt_id"]
    for message in stream:
        kind, data = message["type"], message["data"]
        if kind == "progress":
            name = workflow[data["node"]]["class_type"]
            print(f"\r{name}: {data['value']} of {data['max']}".ljust(60), end="", flush=True)
        elif kind == "execution_error":
            sys.exit(f"\n{data['node_type']} failed: {data['exception_message']}")
        elif kind == "executing" and data["node"] is None:
            say("")
            return get_json(f"{url}/history/{prompt_id}")[prompt_id]["outputs"]
    sys.exit("\nComfyUI hung up.")
