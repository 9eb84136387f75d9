"""The shape of the code: no import circle, rooms in one order, and nothing that grows too long to be read.

Each table of exceptions may only shrink: a line that has become unnecessary, or larger than it has to be, fails too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAYERS = ("studio", "host", "nodes", "client")
LONGEST_FILE, LONGEST_FUNCTION, MOST_PARAMETERS = 450, 60, 8

# A room imports from those before it, never from those behind it.
ROOMS = (
    "studio",  # the files that lie in it: errors, canvas, images, scale, examples
    "studio.weights",
    "studio.kinds",
    "studio.opening",
    "studio.sampling",
    "studio.text",
    "studio.layout",
    "studio.prompt",
    "studio.scenes",
    "studio.product",
    "studio.output",
    "studio.api",
    "client",
    "host",
    "nodes",
)
BACKWARDS: set[tuple[str, str]] = set()  # (module, module of a later room that it imports)
LONG_FILES: dict[str, int] = {}
LONG_FUNCTIONS: dict[str, int] = {}
MANY_PARAMETERS = {
    "host/clip_socket.py:generate": 10,  # ComfyUI's signature
    "host/clip_socket.py:tokenize_with_weights": 9,  # ComfyUI's signature
    "studio/sampling/pipeline.py:sample": 12,  # the Python core's own signature
}


def modules() -> dict[str, Path]:
    files = [path for layer in LAYERS for path in (ROOT / layer).rglob("*.py")]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in files}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def imports(name: str, known: dict[str, Path]) -> set[str]:
    """The modules of the pack that a module imports anywhere in it, inside functions and for types alone too."""
    is_package = known[name].name == "__init__.py"
    found = set()
    for node in ast.walk(tree(known[name])):
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        above = name.split(".")[: len(name.split(".")) - node.level + is_package]
        base = ".".join([*above, *(node.module.split(".") if node.module else [])])
        for alias in node.names:
            whole = f"{base}.{alias.name}" if base else alias.name
            found |= {module for module in (whole, base) if module in known} - ({base} if whole in known else set())
    return found - {name}


def room_of(module: str) -> str:
    parts = module.split(".")
    return ".".join(parts[:2]) if len(parts) > 2 or module in ROOMS else parts[0]


def circles() -> set[frozenset[str]]:
    """Sets of modules that reach one another by imports (Tarjan's strongly connected components)."""
    known = modules()
    graph = {name: imports(name, known) for name in known}
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = set()

    def visit(name: str) -> None:
        order[name] = low[name] = len(order)
        stack.append(name)
        for other in graph[name]:
            if other not in order:
                visit(other)
            if other in stack:
                low[name] = min(low[name], low[other])
        if low[name] == order[name]:
            members = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(members) > 1:
                found.add(frozenset(members))

    for name in graph:
        if name not in order:
            visit(name)
    return found


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for path in modules().values():
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{path.relative_to(ROOT).as_posix()}:{node.name}", node


def is_schema(place: str) -> bool:
    """A node's schema is as long as it has inputs, and an `execute` takes each of them."""
    return place.startswith("nodes/") and place.rpartition(":")[2] in ("define_schema", "execute")


def is_foreign_signature(place: str, node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """The Python API's own signatures, and those that ComfyUI calls."""
    path, _, name = place.rpartition(":")
    return is_schema(place) or (path.startswith("studio/api/") and not name.startswith("_"))


def parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    return len([name for name in names if name not in ("self", "cls")])


def test_no_modules_import_each_other():
    assert circles() == set()


def test_rooms_import_only_from_rooms_before_them():
    known = modules()
    places = {room: place for place, room in enumerate(ROOMS)}
    backwards = {
        (name, other)
        for name in known
        for other in imports(name, known)
        if places[room_of(other)] > places[room_of(name)]
    }
    assert backwards - BACKWARDS == set()
    assert BACKWARDS - backwards == set(), "exceptions that are not needed any more"


@pytest.mark.parametrize(
    ("found", "excepted"),
    [
        (
            lambda: {
                path.relative_to(ROOT).as_posix(): lines
                for path in modules().values()
                if (lines := len(path.read_text("utf-8").splitlines())) > LONGEST_FILE
            },
            LONG_FILES,
        ),
        (
            lambda: {
                place: lines
                for place, node in functions()
                if (lines := (node.end_lineno or 0) - node.lineno + 1) > LONGEST_FUNCTION and not is_schema(place)
            },
            LONG_FUNCTIONS,
        ),
        (
            lambda: {
                place: count
                for place, node in functions()
                if (count := parameters(node)) > MOST_PARAMETERS and not is_foreign_signature(place, node)
            },
            MANY_PARAMETERS,
        ),
    ],
    ids=["lines of a file", "lines of a function", "parameters"],
)
def test_nothing_is_longer_than_can_be_read(found, excepted):
    sizes = found()
    assert {place: size for place, size in sizes.items() if size > excepted.get(place, 0)} == {}
    assert not set(excepted) - set(sizes), "exceptions that are not needed any more"
