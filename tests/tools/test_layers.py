"""Imports run one way: nodes -> host -> studio, nodes -> studio, client -> studio, host -> serving -> studio."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMFYUI = {"comfy", "comfy_execution", "folder_paths", "latent_preview", "node_helpers", "server", "nodes"}
FORBIDDEN = {
    "studio": {"comfy_api", "host", "client", "serving", *COMFYUI},
    "client": {"comfy_api", "host", "serving", "torch", "numpy", *COMFYUI},
    "serving": {"comfy_api", "host", "client", *COMFYUI},
    "host": {"nodes", "client"},
    "nodes": {"client", "serving", *COMFYUI} - {"nodes"},
}


def imported(path: Path) -> set[str]:
    """First names of what a file imports; `..x` counts as x."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            beyond = node.level >= len(path.relative_to(ROOT).parts)
            if node.level == 0 or beyond:
                names |= {node.module.split(".")[0]} if node.module else {alias.name for alias in node.names}
    return names


@pytest.mark.parametrize("layer", FORBIDDEN)
def test_a_layer_imports_only_what_is_below_it(layer):
    files = list((ROOT / layer).rglob("*.py"))
    assert files
    wrong = {str(file.relative_to(ROOT)): bad for file in files if (bad := imported(file) & FORBIDDEN[layer])}
    assert not wrong
