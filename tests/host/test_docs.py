"""Every block of docs/python.md that talks to a ComfyUI runs against a running one."""

from __future__ import annotations

import shutil

import pytest
from documents import ROOT, execute, python_blocks

BLOCKS = {where: code for where, code in python_blocks("docs/python.md").items() if "storefront.client" in code}


@pytest.mark.parametrize("where", BLOCKS)
def test_the_block_runs(comfyui, where, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "workflows" / "api" / "text_to_image.json", "my_workflow.json")
    assert "http://127.0.0.1:8188" in BLOCKS[where]
    execute(BLOCKS[where].replace("http://127.0.0.1:8188", comfyui.url), f"docs/python.md, {where}")
    assert ".save(" not in BLOCKS[where] or len(list(tmp_path.iterdir())) > 1


def test_there_are_blocks():
    assert len(BLOCKS) >= 3
