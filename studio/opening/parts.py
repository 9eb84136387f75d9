"""Which models are in a file of weights."""

from __future__ import annotations

from ..errors import ModelFilesError
from ..kinds import table
from ..kinds.kind import Kind
from ..kinds.names import Naming
from ..kinds.part import File, Part

FOREIGN = {  # a part of a weight's name -> whose format it is, and what to take instead
    ".wscales": "an SVDQuant (nunchaku) file, which needs nunchaku's own nodes; take the bf16, fp8 or GGUF file, or the"
    " nunchaku_lite folder of diffusers",
    ".pre_quant_scale": "a file with smoothed (AWQ) weights; open it with ComfyUI's own loader, our sampler takes its MODEL",
    "distilled_guidance_layer.": "a Chroma, which is none of this pack's kinds; open it with ComfyUI's own loader",
}


def parts_of(file: File) -> dict[str, Part]:
    """Role -> part of everything in the file that this pack can use."""
    found = {kind.role: _find(file, kind) for kind in table.kinds()}
    return {role: part for role, part in found.items() if part is not None}


def _find(file: File, kind: Kind) -> Part | None:
    return next((part for naming in kind.namings if (part := _named(file, kind.role, naming))), None)


def _named(file: File, role: str, naming: Naming) -> Part | None:
    """All that lies under the same prefix as the naming's anchor."""
    for anchor in file.entries:
        if not anchor.endswith(naming.anchor):
            continue
        prefix = anchor[: -len(naming.anchor)]
        if (prefix and not prefix.endswith(".")) or any(prefix + name not in file.entries for name in naming.also):
            continue
        if naming.unless and prefix + naming.unless in file.entries:
            continue
        inside = {name[len(prefix) :]: entry.shape for name, entry in file.entries.items() if name.startswith(prefix)}
        named = naming.rename(inside)
        return Part(file, role, {name: rows._replace(name=prefix + rows.name) for name, rows in named.items()})
    return None


def require_known_format(file: File) -> None:
    """Raise ModelFilesError for a format that this pack knows by name and cannot load."""
    for mark, what in FOREIGN.items():
        if any(mark in name for name in file.entries):
            raise ModelFilesError("model", file.path.name, f"another file: this is {what}")


def what_is_in(file: File) -> str:
    """For an error: the models in a file, or some names of its weights."""
    holds = " and ".join(dict.fromkeys(table.kind_of(role).label for role in parts_of(file)))
    names = ", ".join(list(file.entries)[:2])
    return holds or f"nothing that this pack knows (weights such as {names})"
