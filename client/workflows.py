"""Bundled workflows and their named parameters: workflows/api/NAME.json with workflows/parameters/NAME.json.

A table says for each parameter which inputs it sets, and how the value is written there:

    "headline": {"sets": {"10.value": "value"}, "about": "the words on the picture"}

"NODE.INPUT": "value" writes it as it is; "lines" joins a list of texts, one a line; "longest line" writes the longest of
them; "NODE": "picture" gives a Product Photo its file, and puts a loaded file in any other node's place; "pictures" a batch.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..studio.errors import InputError

FOLDER = Path(__file__).parent.parent / "workflows"
PHOTO = "StorefrontExamplePhoto"
PICTURE_KINDS = ("picture", "pictures")
WAYS = ("value", "lines", "longest line", *PICTURE_KINDS)


@dataclass(frozen=True)
class Parameter:
    name: str
    sets: Mapping[str, str]  # "NODE.INPUT" or "NODE" -> one of WAYS
    about: str

    @property
    def takes(self) -> str:
        """What to give: "picture", "pictures", "lines", or "value"."""
        ways = set(self.sets.values())
        return next((way for way in (*PICTURE_KINDS, "lines") if way in ways), "value")


@dataclass(frozen=True)
class Workflow:
    name: str
    about: str
    prompt: Mapping[str, Any]  # node id -> {"class_type": ..., "inputs": {...}}, as ComfyUI's queue takes it
    parameters: Mapping[str, Parameter]
    result: str | None  # the node whose pictures are the result; None: every node's

    def parameter_of(self, node: str, name: str) -> str | None:
        """The parameter that sets an input, if one does."""
        targets = (f"{node}.{name}", node)
        return next((p.name for p in self.parameters.values() if any(target in p.sets for target in targets)), None)

    def title(self, node: str) -> str:
        """How a node is called."""
        entry = self.prompt.get(node, {})
        return entry.get("_meta", {}).get("title") or entry.get("class_type", node)


def workflow_names() -> list[str]:
    """The bundled workflows that have a table of parameters."""
    return sorted(path.stem for path in (FOLDER / "parameters").glob("*.json"))


def load_workflow(workflow: str | Path | Mapping[str, Any]) -> Workflow:
    """A bundled workflow by name; or one of your own, as a file or object in ComfyUI's API format (Export (API)).

    One of your own has no named parameters: its inputs are set as "NODE.INPUT". Raises InputError.
    """
    if isinstance(workflow, str):
        if workflow not in workflow_names():
            wanted = "one of: " + ", ".join(workflow_names()) + "; or the pathlib.Path of a workflow of your own"
            raise InputError("workflow", workflow, wanted)
        table = json.loads((FOLDER / "parameters" / f"{workflow}.json").read_text("utf-8"))
        prompt = json.loads((FOLDER / "api" / f"{workflow}.json").read_text("utf-8"))
        parameters = {
            name: Parameter(name, dict(entry["sets"]), entry["about"]) for name, entry in table["parameters"].items()
        }
        return Workflow(workflow, table["about"], prompt, parameters, table["result"])
    name = "workflow"
    if isinstance(workflow, Path):
        name = workflow.stem
        try:
            workflow = json.loads(workflow.read_text("utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise InputError("workflow", str(workflow), f"a readable JSON file ({error})") from error
    if (
        not isinstance(workflow, Mapping)
        or not workflow
        or not all(
            isinstance(entry, Mapping) and "class_type" in entry and isinstance(entry.get("inputs"), Mapping)
            for entry in workflow.values()
        )
    ):
        raise InputError("workflow", name, "ComfyUI's API format: in the editor, Workflow → Export (API)")
    return Workflow(name, "", workflow, {}, None)


def check_names(workflow: Workflow, values: Mapping[str, Any], inputs: Mapping[str, Any]) -> None:
    """Raise InputError for a parameter or "NODE.INPUT" that the workflow does not have; it lists the right ones."""
    for name in values:
        if name not in workflow.parameters:
            known = ", ".join(workflow.parameters) or 'none by name; inputs={"NODE.INPUT": value} sets them'
            raise InputError(name, values[name], f"a parameter of {workflow.name}: {known}")
    for target in inputs:
        node, _, name = target.partition(".")
        if node not in workflow.prompt or not name:
            known = ", ".join(f"{node} ({workflow.title(node)})" for node in workflow.prompt)
            raise InputError("inputs", target, f'"NODE.INPUT" with one of these nodes: {known}')
        if name not in workflow.prompt[node]["inputs"]:
            known = ", ".join(f"{node}.{other}" for other in workflow.prompt[node]["inputs"])
            raise InputError("inputs", target, f"one of: {known}")


def fill(workflow: Workflow, values: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The workflow with its values in place, as ComfyUI's queue takes it.

    Pictures are given as the names under which they stand in ComfyUI's input folder. Raises InputError for a value of
    the wrong kind.
    """
    check_names(workflow, values, inputs)
    prompt = copy.deepcopy(dict(workflow.prompt))
    for name, value in values.items():
        for target, way in workflow.parameters[name].sets.items():
            if way == "picture":
                prompt[target] = _with_picture(prompt[target], value)
            elif way == "pictures":
                _put_batch(prompt, target, value)
            else:
                node, _, entry = target.partition(".")
                prompt[node]["inputs"][entry] = _written(name, value, way)
    for target, value in inputs.items():
        node, _, entry = target.partition(".")
        prompt[node]["inputs"][entry] = _written(target, value, "value")
    return prompt


def _written(name: str, value: Any, way: str) -> Any:
    if way == "value":
        return _json_value(name, value)
    if isinstance(value, str):
        lines = [value]
    elif isinstance(value, Sequence) and value and all(isinstance(line, str) for line in value):
        lines = [str(line) for line in value]
    else:
        raise InputError(name, value, "a list of texts")
    if any("\n" in line or not line.strip() for line in lines):
        raise InputError(name, value, "texts of one line each, none of them blank")
    return "\n".join(lines) if way == "lines" else max(lines, key=len)


def _json_value(name: str, value: Any) -> Any:
    """A value that travels as JSON. Raises InputError for NaN, infinity and everything that is no JSON."""
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(name, value, "a finite number")
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise InputError(name, value, "text, a number, or true or false") from None
    return value


def _with_picture(node: dict[str, Any], name: str) -> dict[str, Any]:
    """A Product Photo stays: unlike LoadImage, it has profiles, and white where a file is transparent."""
    if node["class_type"] == PHOTO:
        return node | {"inputs": node["inputs"] | {"image": name}}
    return _load_image(name)


def _load_image(name: str) -> dict[str, Any]:
    return {"class_type": "LoadImage", "inputs": {"image": name}, "_meta": {"title": "LoadImage"}}


def _put_batch(prompt: dict[str, Any], node: str, names: Sequence[str]) -> None:
    """Loaded pictures in the place of `node`, joined two by two."""
    if len(names) == 1:
        prompt[node] = _load_image(names[0])
        return
    for index, name in enumerate(names):
        prompt[f"{node}:{index}"] = _load_image(name)
    first = f"{node}:0"
    for index in range(1, len(names)):
        key = node if index == len(names) - 1 else f"{node}:to{index}"
        links = {"image1": [first, 0], "image2": [f"{node}:{index}", 0]}
        prompt[key] = {"class_type": "ImageBatch", "inputs": links, "_meta": {"title": "ImageBatch"}}
        first = key
