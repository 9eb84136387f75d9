"""FLUX in stages on NVIDIA Triton Inference Server: `Client` (async) and `SyncClient` ask one, `serving.triton` makes and runs one.

`python -m serving COMMAND` in a clone, `python -m storefront.serving COMMAND` where the package is installed: docs/serving.md.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .client import Client, Drawn, ServingError, SyncClient

__all__ = ["Client", "Drawn", "ServingError", "SyncClient"]


def __getattr__(name: str):
    if name in __all__:
        from . import client

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
