"""Stages whose process has died, found by real inferences and revived: Triton itself calls them ready for ever."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

from .. import probe, stages

EVERY_SECONDS = 30.0  # between two rounds of inferences
POLL_SECONDS = 5  # between two looks of Triton's at the repository
_LOADED_WITHIN = 300  # seconds
_LOOK_SECONDS = 0.2
_ANSWERED_WITHIN = 30  # seconds, of the smallest inference
_ALL = (*probe.EVERY_STAGE, stages.ORCHESTRATOR)


def _state(process: Path) -> tuple[str, int]:
    """(state, parent's id) of a folder of /proc. Raises OSError or ValueError for one that has ended meanwhile."""
    state, parent = (process / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[:2]
    return state, int(parent)


def living(server: int) -> set[str]:
    """The stages that have a process. server: tritonserver's id."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            state, parent = _state(process)
            line = (process / "cmdline").read_bytes().decode("utf-8", "replace")
            if parent == server and state != "Z":
                found |= {name for name in _ALL if f"/{name}/1/model.py" in line}
    return found


def _has_ended(server: int) -> bool:
    try:
        return _state(Path("/proc", str(server)))[0] == "Z"
    except (OSError, ValueError):
        return True


class Supervisor:
    """Asks every stage for an inference now and then. One that fails and has no process is loaded anew."""

    def __init__(self, url: str, server: int, repository: Path, say: Callable[[str], object], every: float):
        self._url, self._server, self._repository, self._say = url, server, repository, say
        self._every, self._next = every, time.monotonic() + every

    def look(self) -> None:
        """Called often; does something every so many seconds."""
        if time.monotonic() < self._next:
            return
        dead = set(_ALL) - living(self._server)
        if not dead:  # a stage that lives and is slow has much to do
            wrong = asyncio.run(probe.failing(self._url, max(self._every, _ANSWERED_WITHIN), probe.EVERY_STAGE))
            dead = set(wrong) - living(self._server)
        for name in sorted(dead):
            self._revive(name)
        self._next = time.monotonic() + self._every

    def _revive(self, name: str) -> None:
        """Let Triton load it, which it does where the code is newer. Unloading a dead one would take for ever."""
        began = time.monotonic()
        os.utime(self._repository / name / "1" / "model.py")
        while name not in living(self._server) or asyncio.run(probe.failing(self._url, _ANSWERED_WITHIN, (name,))):
            if _has_ended(self._server):  # `serve` says so
                return
            if time.monotonic() - began > _LOADED_WITHIN:
                self._say(f"stage {name} is dead and was not revived within {_LOADED_WITHIN} s; trying again")
                return
            time.sleep(_LOOK_SECONDS)
        self._say(f"stage {name} was dead: revived in {time.monotonic() - began:.1f} s")
