"""The packages that this one needs, by requirements.txt: which are missing, and the command that installs them.

ComfyUI-Manager and comfy-cli install that file and never read pyproject.toml, which a test holds equal to it.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).parent.parent / "requirements.txt"
_IMPORTED_AS = {
    "fonttools": "fontTools",
    "pillow": "PIL",
    "protobuf": "google.protobuf",
    "pyyaml": "yaml",
    "scikit-image": "skimage",
}
_NAME = re.compile(r"[A-Za-z0-9._-]+")


class PackageError(RuntimeError):
    """A package that is missing or that this pack cannot use. The message has the command that mends it."""

    __module__ = "storefront"  # as InputError


def required() -> dict[str, str]:
    """Package -> the name that code imports it by; {} where there is no requirements.txt, as in a wheel, whose installer
    has seen to them."""
    if not REQUIREMENTS.is_file():
        return {}
    lines = (line.partition("#")[0].strip() for line in REQUIREMENTS.read_text("utf-8").splitlines())
    names = [found[0] for line in lines if (found := _NAME.match(line))]
    return {name: _IMPORTED_AS.get(name, name.replace("-", "_")) for name in names}


def missing() -> list[str]:
    """Those that cannot be found. Nothing is imported."""
    return [package for package, module in required().items() if not _is_there(module)]


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # its parent package is missing; or it is half loaded
        return module in sys.modules


def command(package: str = "") -> str:
    """For this Python: what installs all of them, or, where there is no list, `package`."""
    what = f'-r "{REQUIREMENTS}"' if REQUIREMENTS.is_file() else f"--upgrade {package}"
    return f'"{sys.executable}" -m pip install {what}'


def not_installed(packages: list[str]) -> str:
    """One line about them, with the command."""
    names = ", ".join(f"`{package}`" for package in packages)
    return f"{names} {'is' if len(packages) == 1 else 'are'} not installed for ComfyUI's Python. Run: {command(packages[0])}"


def explained(error: ImportError) -> PackageError | None:
    """What to do about a failed import of one of these packages; None for another's."""
    root = (error.name or "").partition(".")[0]
    for package, module in required().items():
        if root and root == module.partition(".")[0]:
            if not _is_there(module):
                return PackageError(not_installed([package]))
            return PackageError(f"`{package}` cannot be imported ({error}). Run: {command(package)}")
    return None
