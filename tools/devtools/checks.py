"""`python dev.py check` and `python dev.py test`: what CI runs."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from . import PYTHON, ROOT, say
from .comfyui import OLDEST, OLDEST_TAG, clone, find_comfyui
from .environment import FRONT_END_NEWEST, front_end, npm_packages, set_up, set_up_end, table_of, triton
from .system import set_up_system

TYPED = ("nodes", "host", "studio", "client", "serving")
# Unit tests whose models are drawn over and over; `--fast` leaves them out.
SLOW_UNIT_TESTS = ("test_parity", "test_families", "test_acceleration", "test_lora", "test_reference_cache")
# What the packages in the users' ranges reach: all unit tests, and the bundled workflows on the newest ComfyUI.
END_TESTS = ("tests/studio", "tests/host/test_workflows.py", "tests/host/test_product.py", "tests/host/test_text.py")
# Models and step caches that the lowest diffusers does not have (FLUX.2, FLUX.3, Z-Image; taylorseer, magcache), and what
# only peft can prove. The pack names what is missing: `require_release` and `acceleration.check`.
NEWER_NAMES = " and not taylorseer and not magcache and not flux2 and not zimage"
NEWER_THAN_LOWEST = (
    "test_families",
    "test_parts",
    "test_original_names",
    "opening/test_files",
    "test_flux3",
    "test_reference_cache",
    "test_lora",
    "test_torchao",
    "test_quantised",
)


def check_types() -> bool:
    """mypy over a copy with an importable name: the clone's own folder may be called anything."""
    build = ROOT / ".build" / "types"
    shutil.rmtree(build, ignore_errors=True)
    sources = [ROOT / "__init__.py", *(path for part in TYPED for path in (ROOT / part).rglob("*.py"))]
    for source in sources:
        target = build / "storefront" / source.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    command = [str(PYTHON), "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), "-p", "storefront"]
    command += ["--cache-dir", str(ROOT / ".mypy_cache")]
    return subprocess.run(command, cwd=build).returncode == 0


def failed_checks() -> list[str]:
    """Lint, format and types; the names of those that failed."""
    ruff = [str(PYTHON), "-m", "ruff"]
    commands = {"ruff check": [*ruff, "check", "."], "ruff format": [*ruff, "format", "--check", "."]}
    failed = [name for name, command in commands.items() if subprocess.run(command, cwd=ROOT).returncode]
    return failed if check_types() else [*failed, "mypy"]


def verdict(failed: list[str]) -> int:
    say(f"FAILED: {', '.join(failed)}" if failed else "All checks passed.")
    return 1 if failed else 0


def check() -> int:
    set_up(find_comfyui(), test=True)
    return verdict(failed_checks())


def pytest(python: Path, *arguments: str, **environment: str) -> bool:
    """pytest on the clone; True where it passed. Offline, and with one thread a process where several run."""
    variables = {**os.environ, "HF_HUB_OFFLINE": "1", **environment}
    return subprocess.run([str(python), "-m", "pytest", *arguments], cwd=ROOT, env=variables).returncode == 0


def in_parallel() -> list[str]:
    """pytest-xdist's arguments: one process a ComfyUI version, other tests by their file. See tests/conftest.py."""
    return ["-n", "2", "--dist", "loadscope"]


def test(paths: list[str], fast: bool) -> int:
    comfyui = find_comfyui()
    set_up(comfyui, test=True)
    if fast:
        units = ["tests/studio", "tests/tools", *without(SLOW_UNIT_TESTS), *in_parallel()]
        return verdict([] if pytest(PYTHON, *units, OMP_NUM_THREADS="1") else ["pytest"])
    if paths:
        serving = ROOT / "tests" / "serving"
        chosen = [(ROOT / path.partition("::")[0]).resolve() for path in paths]
        if any(serving.is_relative_to(path) or path.is_relative_to(serving) for path in chosen):
            triton()
        return verdict([] if pytest(PYTHON, *paths) else ["pytest"])
    missing = set_up_system()
    if comfyui is not None and not (OLDEST / "main.py").is_file() and not clone(OLDEST_TAG, OLDEST):
        missing.append("ComfyUI 0.20.1, the oldest supported")
    front_end(FRONT_END_NEWEST)
    for folder in ("clients", "axe"):
        npm_packages(ROOT / "tests" / "host" / folder)
    if lost := triton():
        missing.append(lost)
    failed = failed_checks()
    if not pytest(PYTHON, *in_parallel(), OMP_NUM_THREADS="1"):
        failed.append("pytest")
    if comfyui is None:
        missing.append("ComfyUI: half of the pack is not tested")
    for what in missing:
        say(f"!! MISSING: {what}.")
    return verdict(failed)


def without(names: tuple[str, ...]) -> list[str]:
    return [f"--ignore-glob=*/{name}.py" for name in names]


def test_end(end: str) -> int:
    """The tests that the users' ranges touch, with every dependency at its `lowest` or `newest` release."""
    comfyui = find_comfyui()
    python = set_up_end(comfyui, end)
    set_up_system()
    for name, version in table_of(python).items():
        say(f"  {name} {version}")
    left_out = NEWER_THAN_LOWEST if end == "lowest" else ("test_lora",)
    chosen = "not 0.20.1" + (NEWER_NAMES if end == "lowest" else "")
    arguments = [*END_TESTS, "-k", chosen, *without(left_out), *in_parallel()]
    passed = pytest(python, *arguments, OMP_NUM_THREADS="1", STOREFRONT_PYTHON=str(python))
    failed = [] if passed else [f"pytest with the {end} releases"]
    if end == "newest":
        set_up(comfyui, test=True)
        if not pytest(PYTHON, "-m", "install", "tests/host/test_install.py", "-s"):
            failed.append("installation as by ComfyUI-Manager")
    return verdict(failed)


def hold() -> int:
    """The attacks of tests/hold at full size; their figures belong into docs/reliability.md."""
    set_up(find_comfyui(), test=True)
    return verdict([] if pytest(PYTHON, "tests/hold", "-s", STOREFRONT_HOLD="full") else ["hold"])


def snapshot() -> int:
    """tests/host/object_info.json anew, from the newest ComfyUI. Read the difference before you commit it."""
    comfyui = find_comfyui()
    if comfyui is None:
        return 1
    set_up(comfyui, test=True)
    arguments = ("tests/host/test_object_info.py", "-k", "newest", "-q")
    if not pytest(PYTHON, *arguments, STOREFRONT_WRITE_SNAPSHOT="1"):
        return verdict(["snapshot"])
    say("Written: tests/host/object_info.json. Read its difference before you commit it.")
    return 0
