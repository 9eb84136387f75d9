"""A running ComfyUI driven as clients do: over HTTP and WebSocket."""

from __future__ import annotations

import contextlib
import copy
import json
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import websocket  # websocket-client
from derive_api import OLDER_NAMES

ROOT = Path(__file__).resolve().parents[2]
TEXT_TO_IMAGE = json.loads((ROOT / "workflows" / "api" / "text_to_image.json").read_text("utf-8"))


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def without_older_names(entry: dict[str, Any]) -> dict[str, Any]:
    """The inputs of a prompt's entry, as the bundled API files have them: an editor sends hidden ones too."""
    older = OLDER_NAMES.get(entry["class_type"], set())
    return {name: value for name, value in entry["inputs"].items() if name not in older}


def text_to_image(added: dict[str, dict] | None = None, **changes: dict[str, Any]) -> dict[str, dict]:
    """The bundled workflow with nodes added, and inputs changed by class name without its "Storefront"."""
    workflow = copy.deepcopy(TEXT_TO_IMAGE) | (added or {})
    for entry in workflow.values():
        entry["inputs"] |= changes.get(entry["class_type"].removeprefix("Storefront"), {})
    return workflow


def until(question: Callable[[], Any], patience: float = 120) -> Any:
    """The first answer that is one. Patience is for a busy machine: no test asks how soon it comes."""
    deadline = time.monotonic() + patience
    while not (answer := question()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {patience} s")
        time.sleep(0.3)
    return answer


class Result:
    def __init__(self, base: Path, history: dict[str, Any] | None, refused: dict[str, Any] | None):
        self.base, self.history, self.refused = base, history, refused

    @property
    def ok(self) -> bool:
        return self.history is not None and self.history["status"]["status_str"] == "success"

    @property
    def error(self) -> str:
        """What the user reads: the refusal of the prompt, or the message of the node that failed."""
        if self.refused is not None:
            return json.dumps(self.refused)
        assert self.history is not None
        messages = self.history["status"]["messages"]
        return " ".join(body["exception_message"] for kind, body in messages if kind == "execution_error")

    def files(self, kind: str = "images") -> list[Path]:
        assert self.ok, self.error
        assert self.history is not None
        entries = [entry for output in self.history["outputs"].values() for entry in output.get(kind, ())]
        entries = [entry for entry in entries if entry["type"] == "output"]  # no previews
        return [self.base / "output" / entry["subfolder"] / entry["filename"] for entry in entries]

    def pixels(self):
        """uint8 [B, H, W, 3] of the saved pictures."""
        import numpy as np
        from PIL import Image

        return np.stack([np.asarray(Image.open(path).convert("RGB")) for path in self.files()])

    def latent(self):
        """Raw latents [B, 16, H, W] that SaveLatent wrote."""
        from safetensors.torch import load_file

        return load_file(self.files("latents")[0])["latent_tensor"]


class ComfyUI:
    def __init__(self, url: str, base: Path):
        self.url, self.base = url, base

    def get(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=180) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def queue(self, workflow: dict, **extra: Any) -> str:
        return self.get("/prompt", {"prompt": workflow, **extra})["prompt_id"]

    def wait(self, prompt_id: str, patience: float = 300) -> Result:
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if history := self.get(f"/history/{prompt_id}").get(prompt_id):
                return Result(self.base, history, None)
            time.sleep(0.1)
        raise TimeoutError(f"no result within {patience} s")

    def run(self, workflow: dict) -> Result:
        try:
            return self.wait(self.queue(workflow))
        except urllib.error.HTTPError as error:
            if error.code != 400:
                raise
            return Result(self.base, None, json.loads(error.read()))

    @contextlib.contextmanager
    def listening(self):
        """A WebSocket and the id to queue with, so that its messages come here."""
        client = uuid.uuid4().hex
        socket = websocket.create_connection(f"{self.url.replace('http', 'ws')}/ws?clientId={client}", timeout=60)
        try:
            yield socket, client
        finally:
            socket.close()

    def log(self) -> str:
        return (self.base / "comfyui.log").read_text("utf-8", "replace")
