"""The pack's trades and styles, and the user's own: what nodes list, and what they find by name."""

from __future__ import annotations

from ..studio.prompt import presets
from . import user_files


def library() -> presets.Library:
    """The pack's presets and the user's (host/user_files.py)."""
    return presets.read_library(*user_files.preset_folders())


def headings() -> presets.Headings:
    """What widgets show of `library`."""
    return presets.read_headings(*user_files.preset_folders())


def require_trade(trade: str) -> None:
    if trade != presets.AUTO:
        presets.find("trade", trade, library().trades)


def require_style(style: str) -> None:
    presets.find("style", style, library().styles)
