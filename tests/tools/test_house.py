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
LAYERS = ("studio", "host", "nodes", "client", "serving")
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
    "studio.brand",
    "studio.scenes",
    "studio.product",
    "studio.output",
    "studio.api",
    "client",
    "serving",  # its stages, and the clients of a server
    "serving.triton",
    "host",
    "nodes",
)
BACKWARDS = {  # (module, module of a later room that it imports)
    ("serving.__main__", "serving.triton.commands"),  # `python -m storefront.serving`
}
LONG_FILES: dict[str, int] = {}
LONG_FUNCTIONS: dict[str, int] = {}
MANY_PARAMETERS = {
    "host/clip_socket.py:generate": 10,  # ComfyUI's signature
    "host/clip_socket.py:tokenize_with_weights": 9,  # ComfyUI's signature
    "studio/sampling/pipeline.py:sample": 12,  # the Python core's own signature
}


@cache
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


@cache
def classes() -> dict[str, ast.ClassDef]:
    return {
        node.name: node
        for path in modules().values()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ClassDef)
    }


def inherits_docstring(method: str, owner: ast.ClassDef) -> bool:
    """Whether a class above `owner` documents this method."""
    for base in owner.bases:
        above = classes().get(base.id if isinstance(base, ast.Name) else "")
        for node in above.body if above else ():
            if isinstance(node, ast.FunctionDef) and node.name == method and ast.get_docstring(node):
                return True
        if above and inherits_docstring(method, above):
            return True
    return False


def undocumented(body: list[ast.stmt], owner: ast.ClassDef | None = None) -> Iterator[str]:
    for node in body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith("_"):
            continue
        if not ast.get_docstring(node) and not (owner and inherits_docstring(node.name, owner)):
            yield f"{owner.name}.{node.name}" if owner else node.name
        if isinstance(node, ast.ClassDef):
            yield from undocumented(node.body, node)


def test_everything_public_in_studio_says_what_it_promises():
    found = {
        f"{name}: {what}"
        for name, path in modules().items()
        if name.startswith("studio")
        for what in undocumented(tree(path).body)
    }
    assert found == set()


# Names that two packages may share: those of the Python APIs, for this process, a ComfyUI and a Triton, which users know.
SHARED_NAMES = {"Client", "Progress", "Step", "SyncClient"}


def test_a_class_name_means_one_thing():
    """A reader who met a class in one room must not take another for it."""
    places: dict[str, set[str]] = {}
    for name, path in modules().items():
        for node in tree(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, set()).add(name)
    assert {name: found for name, found in places.items() if len(found) > 1 and name not in SHARED_NAMES} == {}


# Constants that several modules have because they mean the same in each.
SHARED_CONSTANTS = {
    "AUTO",  # "auto"
    "BUILT_IN",  # rembg_mattes', for the node
    "BUNDLED",  # what comes with the pack, of the module's own topic
    "CATEGORY",  # of the module's nodes
    "CODES_SUFFIX",  # of a module of studio/weights: what names of weights end with
    "DESCRIPTION_SUFFIX",  # of a module of studio/weights
    "DTYPES",  # name -> torch.dtype
    "EDITIONS",
    "EIGHT_BIT",  # of a module of studio/weights: the format of that maker
    "EXAMPLE_TEXT",  # a node's default
    "FORMAT",  # of a module of studio/weights
    "IN_SIGHT",  # a node's inputs that are not advanced
    "KIND",  # of a module of studio/kinds
    "KINDS",
    "LARGEST_FILE",  # bytes
    "MAX_HEADER",  # bytes
    "MODELS",  # of a module of studio/kinds
    "MOST_CANDIDATES",
    "MOST_REFERENCES",
    "MOST_TENSORS",
    "MULTIPLE",  # 16 pixels
    "NONE",  # "none"
    "OFF",  # "off"
    "ORIGINALS",  # of a module of studio/kinds
    "RANGES",  # input -> (low, high), of the module's own options
    "SCHEDULER",  # of a module of studio/kinds
    "T",  # a TypeVar
}


def test_a_constant_name_means_one_thing():
    """`LONGEST` was once eight numbers: characters, bytes, pixels, shares."""
    places: dict[str, set[str]] = {}
    for name, path in modules().items():
        for node in tree(path).body:
            targets = [*getattr(node, "targets", ()), *([node.target] if isinstance(node, ast.AnnAssign) else ())]
            names = {leaf.id for target in targets for leaf in ast.walk(target) if isinstance(leaf, ast.Name)}
            for constant in names:
                if constant.isupper() and not constant.startswith("_"):
                    places.setdefault(constant, set()).add(name)
    shared = {name for name, found in places.items() if len(found) > 1}
    assert shared - SHARED_CONSTANTS == set()
    assert SHARED_CONSTANTS - shared == set(), "exceptions that are not needed any more"
