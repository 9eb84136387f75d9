"""Whether the installed libraries are new enough for a model."""

from __future__ import annotations

from typing import Any

from ..errors import ModelFilesError
from ..kinds.facts import Edition, Family
from ..kinds.table import encoders_of, kind_of


def class_named(library: str, name: str) -> Any:
    """The class of "diffusers" or "transformers". Raises AttributeError, ImportError or RuntimeError where it has none."""
    if library == "diffusers":
        import diffusers

        return getattr(diffusers, name)
    import transformers

    return getattr(transformers, name)


def require_classes(name: str, family: Family) -> None:
    """Raise ModelFilesError where the installed libraries are older than the family."""
    import diffusers

    parts = [kind_of(role) for role in family.parts.values()]
    classes = [(kind.library, next(iter(kind.classes.values()))) for kind in parts]
    classes += [("transformers", kind.reader) for kind in encoders_of(family).values()]
    for library, cls in classes:
        try:
            class_named(library, cls)
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
