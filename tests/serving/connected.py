"""A real ComfyUI whose owner has set up connections to a real tritonserver."""

from __future__ import annotations

import json
import shutil
import urllib.request
from pathlib import Path

from triton_server import ROOT

BUNDLED_LORA = next((ROOT / "models" / "loras").glob("*.safetensors"))


def put_connection(comfyui: str, name: str, url: str, kind: str = "triton", **more: object) -> None:
    """As the settings page does it."""
    body = json.dumps({"base_url": url, "kind": kind, "allow_private": True, **more}).encode()
    headers = {"Content-Type": "application/json", "Origin": comfyui}
    request = urllib.request.Request(f"{comfyui}/storefront/connections/{name}", body, headers, method="PUT")
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert name in json.load(answer)["names"]


def put_lora(folder: Path) -> None:
    """One for flux-micro, where stock loaders look."""
    folder.mkdir(parents=True)
    shutil.copy(BUNDLED_LORA, folder / "micro.safetensors")
