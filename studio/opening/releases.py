"""Whether the installed libraries are new enough for a model."""

from __future__ import annotations

from ..errors import ModelFilesError
from ..kinds.families import Edition, Family


def require_classes(name: str, family: Family) -> None:
    """Raise ModelFilesError where the installed libraries are older than the family."""
    import importlib

    import diffusers

    classes = (*family.components.values(), *family.tokenizers.values(), *family.image_processors.values())
    for library, cls in classes:
        try:
            getattr(importlib.import_module(library), cls)
        except (AttributeError, ImportError, RuntimeError) as error:
            raise ModelFilesError(
                "model",
                name,
                f"diffusers {family.since} or newer with a transformers of its time, for {family.name}"
                f" ({library} has no {cls}; diffusers is {diffusers.__version__})",
            ) from error


def require_release(name: str, edition: Edition) -> None:
    """Raise ModelFilesError where diffusers has the family's classes, but not yet what this member of it needs."""
    import diffusers
    from packaging.version import Version

    if edition.since and Version(diffusers.__version__) < Version(edition.since):
        raise ModelFilesError("model", name, f"diffusers {edition.since} or newer; it is {diffusers.__version__}")
