"""Bundled API files as ComfyScript queues them: `python run_comfy_script.py URL FILE ...` prints a line of JSON for each.

Each node of a file becomes a call of the function that ComfyScript makes of it, as in a script that a user writes.
"""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

URL, *FILES = sys.argv[1:]
with contextlib.redirect_stdout(sys.stderr):
    from comfy_script.runtime import Workflow, load

    load(URL, watch=False)
    from comfy_script.runtime import nodes


def written(prompt: dict[str, Any]) -> dict[str, Any]:
    """The prompt that ComfyScript makes of the calls."""
    made: dict[str, Any] = {}

    def result(node_id: str, index: int) -> Any:
        if node_id not in made:
            entry = prompt[node_id]
            inputs = {
                name: result(*value) if isinstance(value, list) else value for name, value in entry["inputs"].items()
            }
            made[node_id] = getattr(nodes, entry["class_type"])(**inputs)
        several = isinstance(made[node_id], list | tuple)
        return made[node_id][index] if several else made[node_id]

    used = {value[0] for entry in prompt.values() for value in entry["inputs"].values() if isinstance(value, list)}
    with Workflow(queue=False) as workflow:
        for node_id in prompt.keys() - used:
            result(node_id, 0)
    return json.loads(workflow.api_format_json())


for file in FILES:
    print(json.dumps(written(json.loads(Path(file).read_text("utf-8")))), flush=True)
