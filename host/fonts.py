"""Fonts that ComfyUI's user has: the folders `models/fonts` and those of extra_model_paths, under "fonts"."""

from __future__ import annotations

from pathlib import Path

import folder_paths

from ..studio.text import fonts


def folders() -> list[Path]:
    known = folder_paths.get_folder_paths("fonts") if "fonts" in folder_paths.folder_names_and_paths else []
    return [Path(path) for path in dict.fromkeys([*known, str(Path(folder_paths.models_dir) / "fonts")])]


def families() -> fonts.Families:
    """Every family by name, the bundled one first."""
    return fonts.all_families(folders())
