"""The photos that come with the pack, so that a workflow runs before its user has a picture of his own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .errors import require_one_of
from .images import from_pil

if TYPE_CHECKING:
    import torch

DEFAULT_PHOTO = "coffee"
SET = "skincare"  # the folder of photos of several products that belong together
_FOLDER = Path(__file__).parent.parent / "workflows" / "assets"


def photo_names() -> list[str]:
    """The names of the bundled photos, without their endings."""
    return sorted(path.stem for path in _FOLDER.glob("*.jpg"))


def file(name: str) -> Path:
    """The file of a bundled photo. Raises InputError for a name that is not in photo_names()."""
    require_one_of("photo", name, photo_names())
    return _FOLDER / f"{name}.jpg"


def photos() -> dict[str, Path]:
    """All bundled photos, those of the set too, by their path in the bundled folder."""
    return {path.relative_to(_FOLDER).as_posix(): path for path in sorted(_FOLDER.rglob("*.jpg"))}


def photo(name: str) -> torch.Tensor:
    """IMAGE [1, H, W, 3] of a bundled photo. Raises InputError for a name that is not in photo_names()."""
    from PIL import Image

    with Image.open(file(name)) as picture:
        return from_pil(picture)
