"""Derive js/docs/NODE.md from js/docs/NODE/en.md: ComfyUI shows it in languages that have no page. Standard library only.

python tools/derive_help.py            write the copies
python tools/derive_help.py --check    fail if one is out of date
"""

from __future__ import annotations

import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent / "js" / "docs"


def main() -> int:
    wanted = {DOCS / f"{page.parent.name}.md": page.read_bytes() for page in DOCS.glob("*/en.md")}
    stale = [path for path, content in wanted.items() if not path.is_file() or path.read_bytes() != content]
    left = [path for path in DOCS.glob("*.md") if path not in wanted]
    if "--check" not in sys.argv:
        for path in stale:
            path.write_bytes(wanted[path])
        for path in left:
            path.unlink()
    if stale or left:
        names = ", ".join(sorted(path.name for path in stale + left))
        print(("out of date: " if "--check" in sys.argv else "written or removed: ") + names)
    return 1 if (stale or left) and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
