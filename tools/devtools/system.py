"""What the tests need of the system: a browser and its driver, tesseract with Korean, a font with Han characters."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from . import say


class Need(NamedTuple):
    what: str
    packages: tuple[str, ...]  # Debian's and Ubuntu's
    is_there: Callable[[], bool]


def has_browser() -> bool:
    return bool((shutil.which("chromium") or shutil.which("google-chrome")) and shutil.which("chromedriver"))


def has_tesseract() -> bool:
    if not shutil.which("tesseract"):
        return False
    listed = subprocess.run(["tesseract", "--list-langs"], capture_output=True, text=True)
    return "kor" in (listed.stdout + listed.stderr).split()


def has_han_font() -> bool:
    """True where fontconfig knows a font with Han; on Windows and macOS the system brings one."""
    if sys.platform != "linux":
        return True
    if not shutil.which("fc-list"):
        return any(Path("/usr/share/fonts").rglob("*CJK*"))
    return bool(subprocess.run(["fc-list", ":lang=zh"], capture_output=True).stdout.strip())


NEEDS = (
    Need("Chromium and chromedriver", ("chromium", "chromium-driver"), has_browser),
    Need("tesseract with Korean", ("tesseract-ocr", "tesseract-ocr-kor"), has_tesseract),
    Need("a font with Han characters", ("fonts-noto-cjk", "fontconfig"), has_han_font),
)


def set_up_system() -> list[str]:
    """Install what is missing by apt where that is possible; the names of what is still missing afterwards."""
    missing = [need for need in NEEDS if not need.is_there()]
    if not missing:
        return []
    packages = [package for need in missing for package in need.packages]
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    if shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0:
        say(f"Installing for the tests: {' '.join(packages)} ...")
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for step in (["apt-get", "update", "-qq"], [*command, "-qq"]):
            subprocess.run(step, env=quiet, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        missing = [need for need in missing if not need.is_there()]
    if missing:
        names = ", ".join(need.what for need in missing)
        say(f"Missing for some tests: {names}. On Debian or Ubuntu run: sudo {' '.join(command)}")
    return [need.what for need in missing]
