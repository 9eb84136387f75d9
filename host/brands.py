"""The brands of this ComfyUI: its owner's, in `user/__storefront/brands`, and the bundled example."""

from __future__ import annotations

from pathlib import Path

from ..studio.brand import brand as brands
from ..studio.errors import InputError, listed
from . import user_files


def own_folder() -> Path:
    return user_files.folder() / "brands"


def read() -> brands.Brands:
    return brands.known_brands(brands.BUNDLED, own_folder())


def names() -> list[str]:
    """The example first."""
    found = read().brands
    return [brands.EXAMPLE_BRAND, *sorted(found.keys() - {brands.EXAMPLE_BRAND})]


def find(name: str) -> brands.Brand:
    """The brand that a widget names. Raises InputError for one that is not there, with what is wrong in its folder."""
    found = read()
    if name in found.brands:
        return found.brands[name]
    wrong = next((problem for problem in found.problems if problem.startswith(f"brand {name}:")), "")
    if wrong:
        raise InputError("brand", name, cure=f"Mend its folder: {wrong}")
    raise InputError("brand", name, f"one of: {listed(names())}; a folder with brand.yaml in user/__storefront/brands")


def fingerprint() -> str:
    """Another text when a brand was added, changed or removed."""
    return str(brands.brand_stamps(brands.BUNDLED, own_folder()))
