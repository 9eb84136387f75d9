"""The report of the prompt that is running: ComfyUI says when nodes start, step and finish, our nodes what they did.

Only prompts with a StorefrontReport node are recorded. ComfyUI asks such a node for its fingerprint before any node runs:
that is where the recording begins.
"""

from __future__ import annotations

import contextlib
import secrets
import sys
from collections.abc import Hashable, Iterator
from typing import Any

import comfy.model_management as mm
import psutil
import torch
from comfy_execution.graph_utils import is_link
from comfy_execution.progress import ProgressHandler, add_progress_handler, get_progress_state
from comfy_execution.utils import get_executing_context

from ..studio.output.report import Machine, Reading, Recorder

_PROCESS = psutil.Process()


class _Recording(ProgressHandler):
    """ComfyUI's messages on one prompt, passed on to its recorder."""

    def __init__(self, registry: Any):
        super().__init__("storefront report")
        self.registry = registry
        self.fingerprint = secrets.token_hex(8)
        self.recorder = Recorder(registry.prompt_id, Machine(read, new_peak))

    def start_handler(self, node_id: str, state: Any, prompt_id: str) -> None:
        self.recorder.start(node_id, self.type_of(node_id))

    def update_handler(
        self, node_id: str, value: float, max_value: float, state: Any, prompt_id: str, image=None
    ) -> None:
        self.recorder.step(node_id, value, max_value)

    def finish_handler(self, node_id: str, state: Any, prompt_id: str) -> None:
        self.recorder.finish(node_id, self.type_of(node_id))

    def reset(self) -> None:
        """The next prompt begins: nothing of this one may go into it."""
        global _current
        self.recorder.stop()
        if _current is self:
            _current = None

    def type_of(self, node_id: str) -> str:
        return str(self.registry.dynprompt.get_node(node_id)["class_type"])

    def above(self, node_id: str) -> list[str]:
        """Every node that this one's inputs come from, however far."""
        found: dict[str, None] = {}
        open_nodes = [node_id]
        while open_nodes:
            for value in self.registry.dynprompt.get_node(open_nodes.pop())["inputs"].values():
                if is_link(value) and value[0] not in found and self.registry.dynprompt.has_node(value[0]):
                    found[value[0]] = None
                    open_nodes.append(value[0])
        return list(found)


_current: _Recording | None = None


def begin() -> str:
    """Record the prompt that ComfyUI is about to run. A text that no other run of any prompt has."""
    global _current
    registry = get_progress_state()
    if _current is None or _current.registry is not registry:
        _current = _Recording(registry)
        add_progress_handler(_current)
    return _current.fingerprint


def so_far(node_id: str) -> dict[str, Any]:
    """What was recorded of this prompt, as seen from a node: what it needed and did not run came from the cache."""
    recording = _current
    if recording is None:  # a prompt that brought a fingerprint of its own, as those embedded in pictures do
        return Recorder(get_progress_state().prompt_id, Machine(read, new_peak)).summary()
    for node in recording.above(node_id):
        recording.recorder.cached(node, recording.type_of(node))
    return recording.recorder.summary()


def note(text: str, node_id: str | None, *, fallback: bool = False) -> None:
    if _current is not None and node_id:
        _current.recorder.note(str(node_id), text, fallback=fallback)


def count(what: str, amount: int = 1) -> None:
    """Add to a count of the node that is running."""
    context = get_executing_context()
    if _current is not None and context is not None:
        _current.recorder.count(context.node_id, what, amount)


@contextlib.contextmanager
def stage(name: str) -> Iterator[None]:
    """The time of a part of what the running node does."""
    context = get_executing_context()
    if _current is None or context is None:
        yield
        return
    with _current.recorder.stage(context.node_id, name):
        yield


def read() -> Reading:
    memory = _PROCESS.memory_info()
    device = mm.get_torch_device()
    vram = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
    models: dict[Hashable, int] = {}
    for loaded in list(mm.current_loaded_models):
        patcher = loaded.model
        if patcher is not None:
            models[id(patcher.model)] = int(patcher.loaded_size())
    return Reading(memory.rss, _ram_peak(memory), vram, models)


def new_peak() -> None:
    device = mm.get_torch_device()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def _ram_peak(memory: Any) -> int:
    if sys.platform == "win32":
        return memory.peak_wset
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # kilobytes on Linux
