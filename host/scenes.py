"""The scenes of this ComfyUI: the pack's bank and its user's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..studio.images import require_mask
from ..studio.scenes import bank
from ..studio.scenes.choose import AUTO, LIGHT_AZIMUTHS, PALETTES, SETTINGS, Chosen, Named, SceneQuery, choose
from ..studio.scenes.viewpoint import as_photographed
from . import preset_library, user_files

if TYPE_CHECKING:
    import torch


def own_folder() -> Path:
    """Where a user adds scenes: `user/__storefront/scenes`."""
    return user_files.folder() / "scenes"


def read() -> bank.Bank:
    """The bundled scenes and the user's, whose scene of the same name goes before."""
    return bank.read_bank(bank.BUNDLED, own_folder())


def choices() -> dict[str, list[str]]:
    """The options of the node's widgets, as the bank has them now."""
    scenes = bank.labels(bank.BUNDLED, own_folder())
    return {
        "setting": [AUTO, *_options(SETTINGS, (setting for setting, _ in scenes.values()))],
        "palette": [AUTO, *_options(PALETTES, (palette for _, palette in scenes.values()))],
        "light": [AUTO, *LIGHT_AZIMUTHS],
        "scene": [AUTO, *scenes],
    }


def _options(table: dict[str, Named], present) -> list[str]:
    """What the bank holds, in the table's order; a user's own names last."""
    present = set(present)
    return [key for key in table if key in present] + sorted(present - set(table))


def chosen(query: SceneQuery, product_mask: torch.Tensor | None = None) -> Chosen:
    """The scene that suits a query, and notes for the node's run: wishes not met, folders that could not be used.

    product_mask: MASK [P, h, w] of the products to come; the first one's decides an open `view`.
    """
    if product_mask is not None:
        query = as_photographed(query, require_mask("product_mask", product_mask)[0])
    found = read()
    scene, notes = choose(found, query, preset_library.library())
    return Chosen(scene, (*notes, *found.problems))


def fingerprint() -> str:
    """Another text when scenes were added, changed or removed."""
    return str(bank.stamps(bank.BUNDLED, own_folder()))
