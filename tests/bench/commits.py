"""A bench of several commits side by side: `python tests/bench/commits.py COMFYUI_FOLDER TREE ... [--rounds 5]`.

TREE is a checkout (`git worktree add ../old COMMIT`); the first one is what the others are compared with. Their core.py
runs in turns, a process each, with processor time for its clock and the least of its pairs in place of the median: other
programs on the machine only ever add. Printed are ours' seconds and their ratio to FluxPipeline's in the same process.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

SECONDS = re.compile(r"ours ([\d.]+) s, FluxPipeline on the same modules ([\d.]+) s")
RUN = """
import runpy, statistics, sys, time
time.perf_counter, statistics.median = time.process_time, min
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


class Figures(NamedTuple):
    ours: float  # seconds of the processor for one picture
    reference: float  # FluxPipeline's on the same modules


def measured(tree: Path, comfyui: Path, options: list[str]) -> Figures:
    """One run of a checkout's core.py."""
    command = [sys.executable, "-c", RUN, str(tree / "tests" / "bench" / "core.py"), str(comfyui), *options]
    out = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tree).stdout
    found = SECONDS.search(out)
    if found is None:
        raise SystemExit(f"{tree}: no seconds in\n{out}")
    return Figures(float(found[1]), float(found[2]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("comfyui", type=Path)
    parser.add_argument("trees", type=Path, nargs="+")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pairs", default="5", help="of core.py")
    args = parser.parse_args()
    rows: dict[Path, list[Figures]] = {tree: [] for tree in args.trees}
    for _ in range(args.rounds):
        for tree in args.trees:
            rows[tree].append(measured(tree, args.comfyui, ["--pairs", args.pairs]))
            print(tree.name, *(f"{figure:.3f}" for figure in rows[tree][-1]), flush=True)
    first = min(figures.ours for figures in rows[args.trees[0]])
    for tree, figures in rows.items():
        ours, reference = min(one.ours for one in figures), min(one.reference for one in figures)
        print(f"{tree.name}: {ours:.2f} s, {ours / first:.3f} of the first one; {ours / reference:.3f} of FluxPipeline")


if __name__ == "__main__":
    main()
