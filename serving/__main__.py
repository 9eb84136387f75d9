"""The commands: `python -m serving COMMAND` in a clone, `python -m storefront.serving COMMAND` where it is installed."""

from __future__ import annotations

import sys


def _of_clone() -> None:
    """In a clone, whose folder may be called anything, the parent package is imported as `storefront`."""
    import importlib.util
    from pathlib import Path

    root = Path(__file__).resolve().parent.parent
    # Its `nodes` must not be taken for another's.
    sys.path[:] = [path for path in sys.path if Path(path or ".").resolve() != root]
    spec = importlib.util.spec_from_file_location(
        "storefront", root / "__init__.py", submodule_search_locations=[str(root)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["storefront"] = module
    spec.loader.exec_module(module)


if __name__ == "__main__":
    if __package__ == "serving":
        _of_clone()
        from storefront.serving.triton.commands import main  # type: ignore[import-not-found]
    else:
        from .triton.commands import main
    sys.exit(main())
