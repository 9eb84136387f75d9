"""Stock nodes on our sockets and on stock ones (tests/bench/sweep.py): some of those in docs/stock-nodes.md, which has all."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from conftest import ROOT

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
    table = (ROOT / "docs" / "stock-nodes.md").read_text("utf-8")
    assert "| equal |" in table
    assert "| DIFFERENT |" not in table
