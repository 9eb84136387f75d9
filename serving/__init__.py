"""FLUX in stages on NVIDIA Triton Inference Server: `Client` and `AsyncClient` ask one, `serving.triton` makes and runs one.

`python -m serving COMMAND` in a clone, `python -m storefront.serving COMMAND` where the package is installed: docs/serving.md.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .client import AsyncClient, Client, Drawn, ServingError

__all__ = ["AsyncClient", "Client", "Drawn", "ServingError"]


def __getattr__(name: str):
    if name in __all__:
        from . import client

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
