"""Makes this process a ComfyUI: `sys.argv[1]` is its folder. Imported first by the scripts that measure from inside."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BASE = Path(tempfile.mkdtemp())
sys.path.insert(0, sys.argv[1])
sys.path.insert(0, str(ROOT / "tools"))
sys.path.insert(0, str(ROOT / "tests" / "studio"))
sys.argv = ["inside", "--cpu", "--base-directory", str(BASE)]

import comfy.options

comfy.options.enable_args_parsing()

import utils.install_util  # noqa: F401, before ComfyUI 0.20's nodes.py puts comfy/, which has a utils.py, on the path
import server  # noqa: F401
from pack import import_pack

import_pack()
