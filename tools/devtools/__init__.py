"""What `dev.py` is made of. Standard library only: it runs before anything is installed."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# The same folder, not resolved: a link in custom_nodes belongs to the ComfyUI that it lies in.
HERE = Path(os.path.abspath(__file__)).parents[2]  # noqa: PTH100
CACHE = Path.home() / ".cache" / "storefront"


def python_of(environment: Path) -> Path:
    """The interpreter of a virtual environment."""
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


VENV = ROOT / ".venv"
PYTHON = python_of(VENV)


def say(text: str) -> None:
    print(text, flush=True)
