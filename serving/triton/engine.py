"""tritonserver: found in a container or on PATH, or set up without root from one wheel. Standard library only."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

TRITON_VERSION = "2.51"  # of tritonserver in the wheel; the container of that release is 24.10
WHEEL = "nvidia-pytriton==0.7.0"  # brings a whole tritonserver. Its own Python API, and what that needs, is not used.
# That release's stub reads garbage from numpy 2's arrays, so its Python finds this one first.
NUMPY = "numpy==1.26.4"
PYTHONS = ((3, 10), (3, 12))  # for which there are a stub in the wheel and a wheel of that numpy
CONTAINER = Path("/opt/tritonserver")


class EngineError(RuntimeError):
    """tritonserver cannot be had, or does not run. The message says what to do."""


class Engine(NamedTuple):
    """A tritonserver that can be started."""

    binary: Path
    backends: Path
    caches: Path
    environment: dict[str, str]  # on top of this process' own


def folder() -> Path:
    """Where `set_up` puts it for this Python, whose packages its stages use."""
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    environment = f"{Path(sys.prefix).resolve()}\n{sys.version}"
    of_this = hashlib.sha256(environment.encode()).hexdigest()[:8]
    return Path.home() / ".cache" / "storefront" / "triton" / f"{TRITON_VERSION}-py{python}-{of_this}"


def find() -> Engine:
    """The one in NVIDIA's container or on PATH, else the one that `set_up` made. Raises EngineError where there is none."""
    on_path = shutil.which("tritonserver") or shutil.which("tritonserver", path=str(CONTAINER / "bin"))
    if on_path:
        home = Path(on_path).resolve().parents[1]
        return Engine(Path(on_path), home / "backends", home / "caches", {})
    made = _made(folder())
    if made is None:
        raise EngineError(
            "tritonserver is not installed. Run `python -m serving setup` in a clone of this project (Linux x86-64, Python"
            " 3.10 to 3.12), or use NVIDIA's container; see docs/serving.md."
        )
    return made


def _made(home: Path) -> Engine | None:
    server = home / "server" / "pytriton" / "tritonserver"
    if not (home / "whole").is_file():
        return None
    library = str(sysconfig.get_config_var("LIBDIR") or "")
    searched = os.pathsep.join(filter(None, (library, os.environ.get("LD_LIBRARY_PATH"))))
    # The stub ignores PYTHONPATH. It looks for python3 on PATH, and so finds the packages of that environment.
    path = os.pathsep.join((str(home / "stages" / "bin"), os.environ.get("PATH", "")))
    environment = {"PATH": path, "LD_LIBRARY_PATH": searched}
    return Engine(server / "bin" / "tritonserver", server / "backends", server / "caches", environment)


def set_up(say: Callable[[str], object] = print) -> Engine:
    """tritonserver from the package registry, for this Python; nothing in its own environment is changed.

    Raises EngineError on another system, and where the registry has no such package.
    """
    try:
        return find()
    except EngineError:
        pass
    require_system()
    home = folder()
    say(f"Setting up tritonserver {TRITON_VERSION} in {home} ...")
    made = home.with_name(f"{home.name}.{os.getpid()}")
    shutil.rmtree(made, ignore_errors=True)
    try:
        _make(made)
        shutil.rmtree(home, ignore_errors=True)
        made.rename(home)
    except (OSError, subprocess.CalledProcessError) as error:
        output = getattr(error, "stderr", None) or error
        raise EngineError(f"tritonserver cannot be set up. {str(output).strip()[-600:]}") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return find()


def require_system() -> None:
    """Raise EngineError where `set_up` can make none."""
    low, high = PYTHONS
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        raise EngineError("tritonserver can be set up on Linux x86-64 alone. Elsewhere use NVIDIA's container.")
    if not low <= sys.version_info[:2] <= high:
        have = ".".join(map(str, sys.version_info[:2]))
        raise EngineError(
            f"tritonserver's stages cannot run on Python {have} here. Use Python 3.10 to 3.12, or NVIDIA's container."
        )
    version = sysconfig.get_config_var("LDVERSION")
    if not list(Path(sysconfig.get_config_var("LIBDIR") or "/").glob(f"libpython{version}.so*")):
        raise EngineError(
            "tritonserver's stages need a Python with a shared library (configure --enable-shared, or one of uv's or"
            " Debian's with libpython installed)."
        )


def _make(home: Path) -> None:
    home.mkdir(parents=True)
    _install(home / "server", WHEEL)
    server = home / "server" / "pytriton" / "tritonserver"
    stub = server / "python_backend_stubs" / ".".join(map(str, sys.version_info[:2])) / "triton_python_backend_stub"
    shutil.copy(stub, server / "backends" / "python")
    for file in (server / "bin" / "tritonserver", server / "backends" / "python" / stub.name):
        file.chmod(0o755)
    stages = home / "stages"
    _call(sys.executable, "-m", "venv", "--without-pip", str(stages))
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    site = stages / "lib" / version / "site-packages"
    _install(site, NUMPY)
    # Resolved, as `folder` is: a clone whose .venv is a link may be moved.
    (site / "behind.pth").write_text(f"{Path(sysconfig.get_path('purelib')).resolve()}\n")
    _call(str(stages / "bin" / "python"), "-c", "import numpy, torch; torch.ones(1).numpy()")
    (home / "whole").touch()


def _install(target: Path, requirement: str) -> None:
    options = ("install", "--quiet", "--no-deps", "--target", str(target), requirement)
    has_pip = subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode == 0
    tool = ("-m", "pip") if has_pip else ("-m", "uv", "pip")
    _call(sys.executable, *tool, *options)


def _call(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)
