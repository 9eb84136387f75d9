"""Nothing outside studio/kinds asks which kind of model it has: it asks the kind.

Counted are names and texts that only make sense for one kind: a family, a role, a class of a library, a class or module of
studio/kinds. A conditional on the kind of a model cannot be written without one.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from storefront.studio.kinds import table

ROOT = Path(__file__).parents[2]
MODULES = {"flux1", "flux2", "flux3", "z_image", "text_encoders", "vaes", "omni", "tekken"}
# ComfyUI's sockets and folders are called so too.
COMMON = {"clip", "Clip", "vae", "Vae", "text_encoders"}
EXCEPTED = {
    # studio/prompt/flux3.py: FLUX.3's captions, which a node of its own writes.
    ("host/flux3_upsampler.py", "flux3"),
    ("nodes/flux3.py", "flux3"),
    # Z-Image Omni reads its references in pieces, which is a way of encoding of its own.
    ("host/references.py", "omni"),
    ("studio/sampling/encode.py", "omni"),
    ("studio/sampling/encode.py", "Vision"),
    ("studio/sampling/pipeline.py", "omni"),
}


def names_of_kinds() -> set[str]:
    """Roles, families, classes of libraries and of studio/kinds, pipelines and models."""
    names = {kind.role for kind in table.kinds()} | {family.name for family in table.families()}
    for kind in table.kinds():
        names |= {type(kind).__name__, *kind.classes, *kind.classes.values()}
    names |= {encoder.reader for encoder in table.TEXT_ENCODERS} | set(table.editions()) | set(table.named_editions())
    for path in (ROOT / "studio" / "kinds").glob("*.py"):
        if path.stem in MODULES:
            body = ast.parse(path.read_text("utf-8")).body
            names |= {node.name for node in body if isinstance(node, ast.ClassDef)}
            targets = [target for node in body if isinstance(node, ast.Assign) for target in node.targets]
            names |= {t.id for t in targets if isinstance(t, ast.Name) and t.id.startswith(("FLUX", "Z_IMAGE"))}
    return names


def mentioned(path: Path) -> Iterator[str]:
    """Names, attributes, imported names and whole texts in a file. Docstrings are sentences and match nothing."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.ImportFrom) and "kinds" in (node.module or ""):
            yield from ((node.module or "").split(".")[-1], *(alias.name for alias in node.names))


def found() -> set[tuple[str, str]]:
    names = (names_of_kinds() | MODULES) - COMMON
    files = [path for layer in ("studio", "host", "nodes") for path in (ROOT / layer).rglob("*.py")]
    outside = [path for path in files if path.parent != ROOT / "studio" / "kinds"]
    return {(path.relative_to(ROOT).as_posix(), name) for path in outside for name in mentioned(path) if name in names}


def test_the_rest_does_not_know_which_kind_it_has():
    assert found() - EXCEPTED == set()
    assert EXCEPTED - found() == set(), "exceptions that are not needed any more"


def test_such_a_name_would_be_found():
    """The names that conditionals on the kind had."""
    names = names_of_kinds()
    assert {
        "FLUX1",
        "FLUX2_KLEIN",
        "FLUX3",
        "Z_IMAGE",
        "flux2",
        "qwen3",
        "mistral",
        "FluxVelocity",
        "Flux2Velocity",
    } <= names
    assert {"FluxTransformer2DModel", "T5EncoderModel", "Flux2KleinPipeline", "Z-Image Omni", "FLUX.1 Kontext"} <= names
