"""Every block of docs/python.md that needs no ComfyUI runs as it stands (tests/host/test_docs.py has the others)."""

from __future__ import annotations

import pytest
from documents import ROOT, execute, python_blocks

BLOCKS = {where: code for where, code in python_blocks("docs/python.md").items() if "storefront.client" not in code}


@pytest.mark.parametrize("where", BLOCKS)
def test_the_block_runs(where, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    execute(BLOCKS[where], f"docs/python.md, {where}")
    assert ".save(" not in BLOCKS[where] or list(tmp_path.iterdir())


def test_there_are_blocks_and_readme_links_to_them():
    assert len(BLOCKS) >= 5
    assert "docs/python.md" in (ROOT / "README.md").read_text("utf-8")
