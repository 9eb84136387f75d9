"""Stock nodes on our sockets and on stock ones (tests/bench/sweep.py): some of those in docs/stock-nodes.md, which has all."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "tests" / "bench"))

import sweep_docs

PAGE = (ROOT / "docs" / "stock-nodes.md").read_text("utf-8")

EXPECTED = {
    "CFGGuider": "equal",
    "CLIPSetLastLayer": "refused by name",
    "CLIPTextEncode": "equal",
    "ConditioningSetMask": "equal",
    "FluxGuidance": "equal",
    "RenormCFG": "equal",
    "LoraLoader": "equal",
    "ModelMergeSubtract": "equal",
    "T5TokenizerOptions": "refused by name",
    "VAEEncode": "equal",
}


@pytest.fixture(scope="session")
def verdicts(comfyui_folder):
    script = ROOT / "tests" / "bench" / "sweep.py"
    command = [sys.executable, str(script), str(comfyui_folder), *EXPECTED]
    done = subprocess.run(command, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("ROWS ")]
    assert lines, done.stderr[-3000:]
    return {node: verdict for node, verdict, _ in json.loads(lines[0].removeprefix("ROWS "))}


@pytest.mark.parametrize("node", EXPECTED)
def test_a_stock_node_does_on_ours_what_it_does_on_stock_or_is_refused(verdicts, node):
    assert verdicts[node] == EXPECTED[node]


def test_no_node_of_the_table_does_less_on_ours():
    assert "| equal |" in PAGE
    assert "| DIFFERENT |" not in PAGE


def test_each_version_s_table_is_one_run_and_counts_its_rows():
    sections = re.split(r"(?m)^## ComfyUI ", PAGE)[1:]
    assert [section.partition("\n")[0] for section in sections] == ["0.33.0", "0.20.1"]
    for section in sections:
        rows = re.findall(r"(?m)^\| ([^|]+) \| (equal|works, otherwise|refused by name|[^|]+) \|", section)[1:]
        assert len({node for node, _ in rows}) == len(rows)
        counts = Counter(verdict for _, verdict in rows)
        said = ", ".join(f"{counts[verdict]} {verdict}" for verdict in counts)
        assert f"{len(rows)} nodes: {said}." in section


def test_a_run_takes_the_place_of_its_version_s_table_alone():
    rows = "| A | equal |  |\n| B | no effect on stock either |  |\n"
    printed = f"{rows}0 DIFFERENT, 1 equal, 1 no effect on stock either\nVERSION 0.33.0\nROWS []\n"
    page = sweep_docs.replaced(PAGE, *sweep_docs.section(printed))
    before, after = (re.split(r"(?m)^(?=## ComfyUI )", text) for text in (PAGE, page))
    assert [before[0], before[2]] == [after[0], after[2]]
    assert "2 nodes: 1 equal, 1 no effect on stock either." in after[1]
    assert "| B | no effect on stock either | |\n" in after[1]
    with pytest.raises(ValueError, match="no whole run"):
        sweep_docs.section(rows)
