"""Inputs that several nodes have."""

from __future__ import annotations

from comfy_api.latest import io

from ..studio.prompt.presets import AUTO


def seed(tooltip: str) -> io.Input:
    """A seed that the editor changes after each run."""
    return io.Int.Input(
        "seed", default=0, min=0, max=2**64 - 1, control_after_generate=True, tooltip=tooltip, optional=True
    )


def trade(tooltip: str) -> io.Input:
    """The pack's trades and the user's own."""
    from ..host import preset_library

    return io.Combo.Input(
        "trade", options=[AUTO, *preset_library.headings().trades], default=AUTO, tooltip=tooltip, optional=True
    )
