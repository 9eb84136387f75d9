"""The report of the prompt that is running: ComfyUI says when nodes start, step and finish, our nodes what they did.

Only prompts with a StorefrontReport node are recorded. ComfyUI asks such a node for its fingerprint before any node runs:
that is where the recording begins.
"""

from __future__ import annotations

import contextlib
import secrets
import sys
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING, Any

import comfy.model_management as mm
import psutil
import torch
from aiohttp import web
from comfy_execution.graph_utils import is_link
from comfy_execution.progress import ProgressHandler, add_progress_handler, get_progress_state
from comfy_execution.utils import get_executing_context
from server import PromptServer

from ..studio.errors import InputError
from ..studio.output.report import JSON, Machine, Reading, Recorder, text_of
from . import loaded

if TYPE_CHECKING:
    from ..studio.output.score import Score

_PROCESS = psutil.Process()


class _Recording(ProgressHandler):
    """ComfyUI's messages on one prompt, passed on to its recorder."""

    def __init__(self, registry: Any):
        super().__init__("storefront report")
        self.registry: Any = registry
        self.fingerprint = secrets.token_hex(8)
        self.recorder = Recorder(registry.prompt_id, Machine(read, new_peak))
        self.earlier = _ended(registry.prompt_id)  # how another run under this id ended

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
        self.registry = None  # it holds the whole prompt
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
_KEPT = 16  # prompts whose report can still be asked for
_past: OrderedDict[str, _Recording] = OrderedDict()


def begin() -> str:
    """Record the prompt that ComfyUI is about to run. A text that no other run of any prompt has."""
    global _current
    registry = get_progress_state()
    if _current is None or _current.registry is not registry:
        _current = _Recording(registry)
        add_progress_handler(_current)
        _past[registry.prompt_id] = _current
        _past.move_to_end(registry.prompt_id)
        if len(_past) > _KEPT:
            _past.popitem(last=False)
    return _current.fingerprint


def so_far(node_id: str, score: Score | None = None) -> dict[str, Any]:
    """What was recorded of this prompt, as seen from a node: what it needed and did not run came from the cache.

    `score` is the node's, and stands in the report from here on.
    """
    recording = _current
    if recording is None:  # a prompt that brought a fingerprint of its own, as those embedded in pictures do
        recorder = Recorder(get_progress_state().prompt_id, Machine(read, new_peak))
    else:
        recorder = recording.recorder
        for node in recording.above(node_id):
            recorder.cached(node, recording.type_of(node))
    if score is not None:
        recorder.judge(node_id, score)
    return recorder.summary()


def of_prompt(prompt_id: str) -> dict[str, Any] | None:
    """All that was recorded of one of the last prompts, with the error it ended in; None where nothing was."""
    recording = _past.get(prompt_id)
    if recording is None:
        return None
    ended = _ended(prompt_id)
    if ended == recording.earlier:
        ended = None
    if ended is not None:
        recording.recorder.stop()
    summary = recording.recorder.summary()
    messages = dict((ended or {}).get("messages", ()))
    for kind, status in (("execution_error", "failed"), ("execution_interrupted", "cancelled")):
        if kind in messages:
            summary["error"] = {
                "status": status,
                "node": messages[kind]["node_id"],
                "message": messages[kind].get("exception_message", "").strip(),
            }
    return summary


def _ended(prompt_id: str) -> dict[str, Any] | None:
    """The status in ComfyUI's history, its messages with their times; None where there is none yet."""
    queue = PromptServer.instance.prompt_queue
    return queue.get_history(prompt_id=prompt_id, map_function=lambda entry: entry["status"] or {}).get(prompt_id)


def last_runs() -> list[dict[str, Any]]:
    """What was recorded of the last prompts, the latest first."""
    found = [of_prompt(prompt_id) for prompt_id in reversed(list(_past))]
    return [summary for summary in found if summary is not None]


def add_route() -> None:
    """GET /storefront/report/{prompt_id}?format=JSON or Prometheus, and /storefront/runs?language=ko, which the panel
    shows: they read what is above and change nothing."""
    server = getattr(PromptServer, "instance", None)
    if server is None:  # imported without a server, as tests and tools do
        return

    @server.routes.get("/storefront/report/{prompt_id}")
    async def answer(request: web.Request) -> web.Response:
        summary = of_prompt(request.match_info["prompt_id"])
        if summary is None:
            return web.Response(status=404, text="no report of this prompt")
        try:
            text = text_of(summary, request.query.get("format", JSON))
        except InputError as error:
            return web.Response(status=400, text=str(error))
        kind = "application/json" if request.query.get("format", JSON) == JSON else "text/plain"
        return web.Response(text=text, content_type=kind)

    @server.routes.get("/storefront/runs")
    async def runs(request: web.Request) -> web.Response:
        return web.json_response({"runs": last_runs(), "models": loaded.models(request.query.get("language", ""))})


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
    for entry in list(mm.current_loaded_models):
        patcher = entry.model
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
