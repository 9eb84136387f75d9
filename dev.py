"""The two commands of the README: `python dev.py demo` and `python dev.py test`. Standard library only.

Both make `.venv` where there is none, install what is needed into it, and find ComfyUI: the folder that COMFYUI_PATH
names; else the one whose custom_nodes this folder stands in; else ~/.cache/storefront/ComfyUI; else a clone from GitHub.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent
CACHE = Path.home() / ".cache" / "storefront"
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
COMFYUI_URL = "https://github.com/comfyanonymous/ComfyUI"
COMFYUI_TAG, OLDEST_TAG = "v0.33.0", "v0.20.1"
# One set that fits together, and ComfyUI's requirements, on machines with and without a GPU.
TORCH = ["torch==2.11.0", "torchvision==0.26.0", "torchaudio==2.11.0"]
TEST_TOOLS = [
    "pytest>=8",
    "ruff>=0.9",
    "mypy>=1.14",
    "websocket-client",
    "comfy-api-simplified",
    "pypdfium2",
    "selenium",
    "rembg",
    # what `transformers serve`, an OpenAI-compatible server, runs on
    "fastapi",
    "openai>=1.98",
    "rich",
    "uvicorn",
    "aiohttp",
    "setuptools>=77",
    "peft",
    "gguf",
]
DEMO_WORKFLOW = ROOT / "workflows" / "api" / "text_to_image.json"


def say(text: str) -> None:
    print(text, flush=True)


# --- set-up -----------------------------------------------------------------------------------------------------------


def find_comfyui() -> Path | None:
    """The ComfyUI to use, cloned if it must be; None, with a line that says so, where it cannot be had."""
    named = os.environ.get("COMFYUI_PATH")
    if named:
        if (Path(named) / "main.py").is_file():
            return Path(named).resolve()
        sys.exit(f"COMFYUI_PATH is {named!r}; wanted: a folder with ComfyUI's main.py in it.")
    # Not resolved: a link in custom_nodes belongs to the ComfyUI it stands in.
    here = Path(os.path.abspath(__file__)).parent  # noqa: PTH100
    for candidate in (here.parent.parent, CACHE / "ComfyUI"):
        if (candidate / "main.py").is_file() and (candidate / "comfy").is_dir():
            return candidate.resolve()
    if clone(COMFYUI_TAG, CACHE / "ComfyUI"):
        return CACHE / "ComfyUI"
    say("ComfyUI cannot be had: none is on this machine and GitHub cannot be reached.")
    return None


def clone(tag: str, target: Path) -> bool:
    """ComfyUI of a release into `target`; False where GitHub cannot be reached."""
    say(f"Cloning ComfyUI {tag} into {target} ...")
    target.parent.mkdir(parents=True, exist_ok=True)
    command = ["git", "clone", "--quiet", "--depth", "1", "--branch", tag, COMFYUI_URL, str(target)]
    try:
        done = subprocess.run(command, env={**os.environ, "GIT_TERMINAL_PROMPT": "0"}, timeout=600).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        done = False
    if not done:
        shutil.rmtree(target, ignore_errors=True)
    return done


def pack_requirements() -> list[str]:
    """`dependencies` of pyproject.toml; read by hand, since Python 3.10 has no TOML reader."""
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    block = text.split("\ndependencies = [", 1)[1].split("\n]", 1)[0]
    return [line.strip().strip('",') for line in block.splitlines() if line.strip().startswith('"')]


def pip_install(*what: str) -> None:
    subprocess.run(
        [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what], check=True, cwd=ROOT
    )


def set_up(comfyui: Path | None, test: bool) -> None:
    """`.venv` with everything in it. A stamp of what was asked for saves the next run the look-up."""
    wanted = [*TORCH, *pack_requirements(), *(TEST_TOOLS if test else [])]
    files = [path for path in [comfyui and comfyui / "requirements.txt"] if path and path.is_file()]
    content = json.dumps(wanted) + "".join(path.read_text("utf-8") for path in files)
    stamp = VENV / f"storefront-{'test' if test else 'demo'}.stamp"
    digest = hashlib.sha256(content.encode()).hexdigest()
    if PYTHON.is_file() and stamp.is_file() and stamp.read_text() == digest:
        return
    if not PYTHON.is_file() or subprocess.run([str(PYTHON), "-m", "pip", "--version"], capture_output=True).returncode:
        say("Making .venv ...")  # anew, where an earlier try was cut short
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True)
    say("Installing torch (some minutes the first time) ...")
    pip_install(*TORCH)
    say("Installing the rest ...")
    # One call with torch named again, so that no other requirement moves it to a newer release.
    pip_install(*wanted, *(argument for path in files for argument in ("-r", str(path))))
    stamp.write_text(digest)


# --- a ComfyUI with this pack alone -----------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def link_pack(custom_nodes: Path) -> None:
    """This folder inside `custom_nodes`: a link, or a junction on Windows, where links want a privilege."""
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
def running_comfyui(comfyui: Path, base: Path) -> Iterator[str]:
    """The URL of a headless ComfyUI whose only pack is this one; stopped at the end."""
    for folder in ("user", "input", "output", "models"):
        (base / folder).mkdir(parents=True, exist_ok=True)
    link_pack(base / "custom_nodes")
    port = free_port()
    command = [str(PYTHON), "main.py", "--disable-auto-launch", "--listen", "127.0.0.1", "--port", str(port)]
    command += ["--base-directory", str(base)]
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


def has_gpu() -> bool:
    question = "import torch,sys; sys.exit(0 if torch.cuda.is_available() or torch.backends.mps.is_available() else 1)"
    return subprocess.run([str(PYTHON), "-c", question]).returncode == 0


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


# --- the commands -----------------------------------------------------------------------------------------------------


def demo() -> int:
    comfyui = find_comfyui()
    set_up(comfyui, test=False)
    base = ROOT / ".demo"
    workflow = json.loads(DEMO_WORKFLOW.read_text("utf-8"))
    if comfyui is None:
        say("Drawing the same picture through the Python API instead.")
        picture = base / "output" / "storefront_python_api.png"
        picture.parent.mkdir(parents=True, exist_ok=True)
        tool = ROOT / "tools" / "draw_without_comfyui.py"
        subprocess.run([str(PYTHON), str(tool), str(DEMO_WORKFLOW), str(picture)], check=True)
    else:
        say(f"Starting ComfyUI in {comfyui} ...")
        with running_comfyui(comfyui, base) as url:
            outputs = queue_and_wait(url, workflow)
        saved = next(image for output in outputs.values() for image in output.get("images", ()))
        picture = base / "output" / saved["subfolder"] / saved["filename"]
    say(f"The picture: {picture}")
    return 0


def check_types() -> int:
    """mypy over a copy with an importable name: the clone's own folder may be called anything."""
    build = ROOT / ".build" / "types"
    shutil.rmtree(build, ignore_errors=True)
    for source in [
        ROOT / "__init__.py",
        *(p for part in ("nodes", "host", "studio", "client") for p in (ROOT / part).rglob("*.py")),
    ]:
        target = build / "storefront" / source.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    return subprocess.run(
        [str(PYTHON), "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), "-p", "storefront"], cwd=build
    ).returncode


def test() -> int:
    comfyui = find_comfyui()
    oldest = CACHE / "ComfyUI-0.20.1"
    if comfyui is not None and not (oldest / "main.py").is_file() and not clone(OLDEST_TAG, oldest):
        say("!! ComfyUI 0.20.1, the oldest supported, cannot be had: its half of the host tests will be skipped.")
    set_up(comfyui, test=True)
    checks = [[str(PYTHON), "-m", "ruff", "check", "."], [str(PYTHON), "-m", "ruff", "format", "--check", "."]]
    failed = [" ".join(check[1:]) for check in checks if subprocess.run(check, cwd=ROOT).returncode]
    if check_types():
        failed.append("mypy")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "STOREFRONT_COMFYUI": str(comfyui or "")}
    if subprocess.run([str(PYTHON), "-m", "pytest"], cwd=ROOT, env=environment).returncode:
        failed.append("pytest")
    if comfyui is None:
        say(
            "!" * 100
            + "\n!! NO COMFYUI COULD BE HAD: THE HOST TESTS WERE SKIPPED. THIS RUN PROVES HALF OF THE PACK.\n"
            + "!" * 100
        )
    say(f"FAILED: {', '.join(failed)}" if failed else "All checks passed.")
    return 1 if failed else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("demo", "test"))
    if sys.version_info < (3, 10):  # noqa: UP036, a user may start it with any Python
        sys.exit(f"Python {sys.version.split()[0]} is too old; wanted: 3.10 or newer.")
    return {"demo": demo, "test": test}[parser.parse_args().command]()


if __name__ == "__main__":
    sys.exit(main())
