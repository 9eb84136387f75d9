"""A bench of several commits side by side: `python tests/bench/commits.py COMFYUI_FOLDER TREE ... [--rounds 5]`.

TREE is a checkout (`git worktree add ../old COMMIT`); the first one is what the others are compared with. Their core.py
runs in turns, a process each, with processor time for its clock: other programs on the machine move the clock on the wall
far more than a commit does. Medians of the processor time of all of it, and of ours to FluxPipeline's within a process.
"""

from __future__ import annotations

import argparse
import re
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

RATIO = re.compile(r"ratio ([\d.]+)")
RUN = """
import runpy, sys, time
time.perf_counter = time.process_time
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


class Figures(NamedTuple):
    processor: float  # seconds
    wall: float  # seconds
    ratio: float  # ours to FluxPipeline on the same modules


def measured(tree: Path, comfyui: Path, options: list[str]) -> Figures:
    """One run of a checkout's core.py."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-c", RUN, str(tree / "tests" / "bench" / "core.py"), str(comfyui), *options]
    out = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tree).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = RATIO.search(out)
    if found is None:
        raise SystemExit(f"{tree}: no ratio in\n{out}")
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Figures(processor, time.perf_counter() - start, float(found[1]))


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
    first = rows[args.trees[0]]
    for tree, figures in rows.items():
        processor = statistics.median(
            own.processor / other.processor for own, other in zip(figures, first, strict=True)
        )
        ratio = statistics.median(figure.ratio for figure in figures)
        print(f"{tree.name}: {processor:.3f} of the first one's processor time; {ratio:.3f} of FluxPipeline's time")


if __name__ == "__main__":
    main()
