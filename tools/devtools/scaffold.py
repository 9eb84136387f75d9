"""`python dev.py new-node NAME`: the files of a node, each with what has to be written marked TODO."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from . import ROOT, say

NODE = '''"""TODO: what this node is for, in one line."""

from __future__ import annotations

import torch
from comfy_api.latest import io


class {id}(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="{id}",
            display_name="{title} (Storefront)",
            category="Storefront",
            description="TODO: one sentence of more than 20 characters.",
            search_aliases=[],
            inputs=[
                io.Image.Input("image", tooltip="TODO"),
                io.Float.Input("strength", default=1.0, min=0.0, max=1.0, step=0.01, optional=True, tooltip="TODO"),
            ],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, image: torch.Tensor, strength: float = 1.0) -> io.NodeOutput:
        return io.NodeOutput(image)  # TODO: one call of a function in studio/
'''
HELP = {
    "en": "# {title}\n\nTODO: what it does and when to use it.\n\n- `image`: TODO\n- `strength`: TODO\n",
    "ko": "# {title}\n\nTODO: 무엇을 하는 노드인지.\n\n- `image` 이미지: TODO\n- `strength` 세기: TODO\n",
}
KOREAN = {
    "display_name": "{title} (Storefront)",
    "description": "TODO",
    "inputs": {"image": {"name": "이미지", "tooltip": "TODO"}, "strength": {"name": "세기", "tooltip": "TODO"}},
    "outputs": {"0": {"name": "이미지"}},
}
TEST = '''"""TODO: what {id} promises."""

from __future__ import annotations

import pytest
from comfyui import node

pytestmark = pytest.mark.usefixtures("no_traceback")


def test_it_returns_a_picture_of_the_same_size(comfyui):
    result = comfyui.run(
        {{
            "1": node("EmptyImage", width=32, height=24, batch_size=1, color=255),
            "2": node("{id}", image=["1", 0]),
            "3": node("SaveImage", images=["2", 0], filename_prefix="{module}"),
        }}
    )
    assert result.pixels().shape == (1, 24, 32, 3)
'''


def register(name: str, module: str) -> None:
    """Import the class in nodes/__init__.py and append it to the list of nodes."""
    path = ROOT / "nodes" / "__init__.py"
    text = path.read_text("utf-8")
    imports = re.findall(r"^from \.\w+ import .*$", text, re.MULTILINE)
    line = f"from .{module} import {name}"
    text = text.replace("\n".join(imports), "\n".join(sorted([*imports, line])))
    head, rest = text.split("NODES: list[type[io.ComfyNode]] = [\n", 1)
    body, tail = rest.split("]\n", 1)
    path.write_text(f"{head}NODES: list[type[io.ComfyNode]] = [\n{body}    {name},\n]\n{tail}", "utf-8")


def add_korean(name: str, title: str) -> None:
    path = ROOT / "locales" / "ko" / "nodeDefs.json"
    names = json.loads(path.read_text("utf-8"))
    names[name] = json.loads(json.dumps(KOREAN).replace("{title}", title))
    path.write_text(json.dumps(names, indent=2, ensure_ascii=False) + "\n", "utf-8")


def new_node(name: str) -> int:
    """Write the stubs of node `Storefront{name}`. Refuses a name that is no CamelCase word or that is taken."""
    name = name.removeprefix("Storefront")
    if not re.fullmatch(r"(?:[A-Z][a-z0-9]+)+", name):
        sys.exit(f"{name!r} is no name of a node. Write it in CamelCase, for example GreetingCard.")
    words = re.findall(r"[A-Z][a-z0-9]+", name)
    node_id, title, module = f"Storefront{name}", " ".join(words), "_".join(words).lower()
    fill = {"id": node_id, "title": title, "module": module}
    files: dict[Path, str] = {
        ROOT / "nodes" / f"{module}.py": NODE.format(**fill),
        ROOT / "tests" / "host" / f"test_{module}.py": TEST.format(**fill),
        **{ROOT / "js" / "docs" / node_id / f"{lang}.md": text.format(**fill) for lang, text in HELP.items()},
    }
    taken = [path for path in files if path.exists()]
    if taken:
        sys.exit(f"{taken[0].relative_to(ROOT)} exists already. Choose another name.")
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        say(f"  {path.relative_to(ROOT)}")
    register(node_id, module)
    add_korean(node_id, title)
    say("Fill in what is marked TODO, add a line to CHANGELOG.md, then run: python dev.py snapshot")
    return 0
