"""Import this folder as the package `storefront`, whatever it is called on disk, as ComfyUI's loader does.

The root is never put on sys.path: its `nodes/` would shadow ComfyUI's own `nodes.py`.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def import_pack() -> None:
    """After this, `from storefront.studio... import ...` works."""
    if "storefront" in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(
        "storefront", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["storefront"] = module
    spec.loader.exec_module(module)
