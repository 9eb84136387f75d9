"""Code in the documents, as the tests run it."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def python_blocks(document: str) -> dict[str, str]:
    """Line -> code of every ```python block."""
    text = (ROOT / document).read_text("utf-8")
    found = re.finditer(r"^```python\n(.*?)^```$", text, re.M | re.S)
    return {f"line {text[: block.start()].count(chr(10)) + 1}": block[1] for block in found}


def execute(code: str, name: str) -> None:
    exec(compile(code, name, "exec"), {"__name__": "__main__"})
