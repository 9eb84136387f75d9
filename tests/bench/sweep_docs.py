"""A run of sweep.py, put in the place of its version's table in docs/stock-nodes.md:

`python tests/bench/sweep.py COMFYUI_FOLDER | python tests/bench/sweep_docs.py`
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "stock-nodes.md"


def section(printed: str) -> tuple[str, str]:
    """The version that was swept, and its whole section. Raises ValueError for what is no finished run."""
    lines = printed.splitlines()
    version = next((line.removeprefix("VERSION ") for line in lines if line.startswith("VERSION ")), None)
    rows = [line for line in lines if line.startswith("| ")]
    if version is None or not rows:
        raise ValueError("no whole run of sweep.py came in")
    counts = next(line for line in lines if re.match(r"\d+ DIFFERENT, ", line))
    shown = ", ".join(part for part in counts.split(", ", 1)[1:] if part)
    if not counts.startswith("0 "):
        shown = counts
    rows = [row.replace("|  |", "| |") for row in rows]
    heading = f"## ComfyUI {version}\n\n{len(rows)} nodes: {shown}.\n\n| node | verdict | |\n|---|---|---|\n"
    return version, heading + "\n".join(rows) + "\n"


def replaced(page: str, version: str, new: str) -> str:
    parts = re.split(r"(?m)^(?=## ComfyUI )", page)
    found = [index for index, part in enumerate(parts) if part.startswith(f"## ComfyUI {version}\n")]
    if not found:
        return "\n".join([page.rstrip("\n"), "", new])
    last = found[0] == len(parts) - 1
    parts[found[0]] = new if last else new + "\n"
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(replaced(PAGE.read_text("utf-8"), *section(sys.stdin.read())), "utf-8")
