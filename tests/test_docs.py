"""Every block of README.md and docs/python.md that needs no ComfyUI runs as it stands (the others: tests/host/test_docs.py)."""

from __future__ import annotations

import pytest
from documents import ROOT, execute, python_blocks

BLOCKS = {
    f"{document}, {where}": code
    for document in ("README.md", "docs/python.md")
    for where, code in python_blocks(document).items()
    if "storefront.client" not in code
}


@pytest.mark.parametrize("where", BLOCKS)
def test_the_block_runs(where, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    execute(BLOCKS[where], where)
    assert ".save(" not in BLOCKS[where] or list(tmp_path.iterdir())


def test_the_first_pages_stay_short():
    readme = (ROOT / "README.md").read_text("utf-8").split()
    assert len([word for word in readme if any(map(str.isalnum, word))]) <= 1200
    assert (ROOT / "ARCHITECTURE.md").stat().st_size <= 9 * 1024


def test_there_are_blocks_and_readme_links_to_them():
    assert len(BLOCKS) >= 6
    assert "docs/python.md" in (ROOT / "README.md").read_text("utf-8")
