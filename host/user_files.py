"""What the owner of this ComfyUI keeps for the pack: in `user/__storefront`, a system user's folder, which no route of ComfyUI
reads or writes. The older places are still read.
"""

from __future__ import annotations

from pathlib import Path

import folder_paths


def folder() -> Path:
    return Path(folder_paths.get_system_user_directory("storefront"))


def _older() -> Path:
    return Path(folder_paths.get_user_directory()) / "default" / "storefront"


def preset_folders() -> tuple[Path, Path]:
    """A preset in the second takes the place of one in the first."""
    return _older() / "presets", folder() / "presets"


def styles_file() -> Path:
    """The table of styles and their LoRAs, which may not be there."""
    own = folder() / "styles.yaml"
    return own if own.is_file() else _older() / "styles.yaml"
