"""What users' installers read, and what a user reads where a package is missing all the same."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest
from devtools.environment import pack_requirements
from storefront.studio import packages

ROOT = Path(__file__).resolve().parent.parent
NOT_PACKAGES = {
    "storefront",
    "comfy",
    "comfy_api",
    "comfy_execution",
    "comfyui_version",
    "folder_paths",
    "latent_preview",
    "node_helpers",
}
# ComfyUI's own requirements, or what torch and transformers bring.
COMFYUIS = {"torch", "server", "nodes", "psutil", "tokenizers", "packaging", "typing_extensions", "jinja2"}
# Formats and kernels that few need: asked for by name where they are.
OPTIONAL = {"gguf", "sageattention", "flash_attn", "xformers", "peft", "pymatting", "resvg_py", "tritonclient"}


def lines() -> list[str]:
    return [line for line in packages.REQUIREMENTS.read_text("utf-8").splitlines() if not line.startswith("#")]


def test_requirements_txt_is_what_pyproject_depends_on():
    assert lines() == pack_requirements()
    assert list(packages.required()) == [line.partition(">=")[0] for line in lines()]


def test_nothing_takes_a_package_of_comfyuis_away_or_down():
    for line in lines():
        assert not set("<=~!;@ ") & set(line.replace(">=", "")), line
        assert not line.startswith("torch")


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found.add(node.module.partition(".")[0])
    return found


def test_every_package_that_the_pack_imports_is_required():
    files = [path for part in ("nodes", "host", "studio") for path in (ROOT / part).rglob("*.py")]
    imported = set().union(*map(imports_of, files)) - set(sys.stdlib_module_names)
    known = {module.partition(".")[0] for module in packages.required().values()}
    assert imported - NOT_PACKAGES - COMFYUIS - OPTIONAL - known == set()


def test_nothing_is_missing_here():
    assert packages.missing() == []


@pytest.mark.parametrize(("package", "module"), [("diffusers", "diffusers"), ("scikit-image", "skimage.measure")])
def test_a_missing_package_is_named_with_the_command_for_this_python(monkeypatch, package, module):
    root = module.partition(".")[0]
    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda name: None if name == root else object())
    assert packages.missing() == [package]
    error = packages.explained(ModuleNotFoundError(f"No module named {module!r}", name=module))
    command = f'"{sys.executable}" -m pip install -r "{ROOT / "requirements.txt"}"'
    assert str(error) == f"`{package}` is not installed for ComfyUI's Python. Run: {command}"


def test_a_package_that_is_too_old_is_named_and_anothers_error_is_left_alone():
    error = ImportError("cannot import name 'Flux2Pipeline' from 'diffusers'", name="diffusers")
    assert str(packages.explained(error)).startswith(
        "`diffusers` cannot be imported (cannot import name 'Flux2Pipeline'"
    )
    assert packages.explained(ImportError("no sage", name="sageattention")) is None
    assert packages.explained(ImportError("nothing more is known")) is None
