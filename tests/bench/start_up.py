"""What the pack adds to ComfyUI's start: `python tests/bench/start_up.py COMFYUI_FOLDER`. Other programs disturb it.

Its modules imported and the schema of every node made, after ComfyUI's own imports, each time in a new process. As on
any machine, Python keeps the compiled modules from the second start on. A benchmark, not a test: it judges nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
START = """
import asyncio, json, sys, tempfile, time
comfyui, tools, compiled = sys.argv[1:]
sys.path[:0] = [comfyui, tools]
sys.argv = ["bench", "--cpu", "--base-directory", tempfile.mkdtemp()]
import comfy.options
comfy.options.enable_args_parsing()
import server
from pack import import_pack
sys.pycache_prefix, sys.dont_write_bytecode = compiled, False
before = set(sys.modules)
start, used = time.perf_counter(), time.process_time()
import_pack()
import storefront
for node in asyncio.run(asyncio.run(storefront.comfy_entrypoint()).get_node_list()):
    node.GET_SCHEMA()
figures = [time.perf_counter() - start, time.process_time() - used]
new = set(sys.modules) - before
ours = sorted(name.partition(".")[2] for name in new if name.startswith("storefront."))
print(json.dumps([*figures, sorted({name.partition(".")[0] for name in new}), ours]))
"""


class Start(NamedTuple):
    seconds: float
    of_processor: float  # seconds that it computed, without those in which it waited for a core
    imported: list[str]  # packages that ComfyUI had not imported
    modules: list[str]  # of the pack


def measure(comfyui: Path, starts: int) -> list[Start]:
    """The first start, which compiles the modules, and `starts` more."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    with tempfile.TemporaryDirectory() as compiled:
        command = [sys.executable, "-c", START, str(comfyui), str(ROOT / "tools"), compiled]
        done = [
            subprocess.run(command, cwd=comfyui, env=environment, capture_output=True, text=True, check=True)
            for _ in range(1 + starts)
        ]
    return [Start(*json.loads(one.stdout.splitlines()[-1])) for one in done]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("comfyui", type=Path)
    parser.add_argument("--starts", type=int, default=5)
    args = parser.parse_args()
    first, *others = measure(args.comfyui, args.starts)
    print(
        f"the pack adds to ComfyUI's start: {statistics.median(o.seconds for o in others):.3f} s, "
        f"{statistics.median(o.of_processor for o in others):.3f} s of them computing (medians of {args.starts}); "
        f"the least that one computed: {min(o.of_processor for o in others):.3f} s; {len(first.modules)} modules; "
        f"the first start, which compiles it: {first.seconds:.3f} s, {first.of_processor:.3f} s of them computing"
    )


if __name__ == "__main__":
    main()
