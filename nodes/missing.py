"""Where a package is missing: nodes appear all the same, and say which it is and how to install it."""

from __future__ import annotations

import functools
import logging
from typing import Any

from comfy_api.latest import io

from ..studio import packages


def name_missing_packages(node: type[io.ComfyNode]) -> None:
    """From now on an import that fails in `execute` of the node raises PackageError, where the package is one of ours."""
    inner = node.execute.__func__  # type: ignore[attr-defined]  # a classmethod's function

    @functools.wraps(inner)
    def execute(cls: type[io.ComfyNode], **values: Any) -> io.NodeOutput:
        try:
            return inner(cls, **values)
        except ImportError as error:
            explained = packages.explained(error)
            if explained is None:
                raise
            raise explained from error

    node.execute = classmethod(execute)  # type: ignore[assignment,method-assign]


def log_missing_packages() -> None:
    if missing := packages.missing():
        logging.error("Storefront: %s", packages.not_installed(missing))
