"""What a running node tells its user, and how it hears Cancel."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import comfy.model_management as mm
import comfy.utils
from comfy_execution.utils import get_executing_context
from server import PromptServer

from . import languages, report

log = logging.getLogger(__name__)


def check_cancel() -> None:
    """Raise ComfyUI's InterruptProcessingException (a BaseException) if the user has cancelled."""
    mm.throw_exception_if_processing_interrupted()


def say(text: str, node_id: str | None) -> None:
    """A line for the log, for the report, and under the node in the editor."""
    report.note(text, node_id)
    _show([text], node_id)


def editor_listens() -> bool:
    """Whether the prompt comes from a client that said what it can read, as the editor does. Others get nothing that stock
    nodes do not send: some take the first `ui` of a run, whatever is in it, for the result."""
    server = getattr(PromptServer, "instance", None)
    return server is not None and bool(server.sockets_metadata.get(server.client_id, {}).get("feature_flags"))


def _show(notes: list[str], node_id: str | None) -> None:
    log.info("Storefront: %s", "; ".join(notes))
    if node_id and editor_listens():
        server = PromptServer.instance
        text = "; ".join(map(languages.note, notes))
        server.send_sync("storefront.note", {"node": node_id, "text": text}, server.client_id)  # js/notes.js


def say_all(notes: list[str], node_id: str | None, fallbacks: Sequence[str] = ()) -> None:
    """Every note in the log and the report, the first four under the node, `fallbacks` (see `fell_back`) before others."""
    for note in notes:
        report.note(note, node_id)
    for note in fallbacks:
        report.note(note, node_id, fallback=True)
    _show_all([*fallbacks, *notes], node_id)


def fell_back(notes: list[str], node_id: str | None) -> None:
    """What a node did otherwise than asked: tiles, cut words, a substitute. The report counts them."""
    say_all([], node_id, notes)


def say_here(note: str) -> None:
    """What the node that ComfyUI is running did otherwise than asked."""
    context = get_executing_context()
    fell_back([note], None if context is None else context.node_id)


def _show_all(notes: list[str], node_id: str | None) -> None:
    for note in notes[4:]:
        log.info("Storefront: %s", note)
    if notes:
        more = [f"and {len(notes) - 4} more, in the log"] if len(notes) > 4 else []
        _show([*notes[:4], *more], node_id)


class Stages:
    """A progress bar over named stages; every step also listens for Cancel."""

    def __init__(self, total: int):
        self._bar = comfy.utils.ProgressBar(total)
        self._total = total
        self._done = 0

    def next(self) -> None:
        check_cancel()
        self._done += 1
        self._bar.update_absolute(self._done, self._total)
