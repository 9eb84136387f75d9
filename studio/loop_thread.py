"""A thread with an event loop, for programs without one."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import TimeoutError as NotYet
from typing import Any, TypeVar

T = TypeVar("T")
CHECKED_EVERY = 0.1  # seconds


class LoopThread:
    """Runs coroutines between `start` and `stop`, for any number of threads that wait for them.

    usage: what an error says to whoever waits before `start` or after `stop`.
    leaving: seconds that a coroutine may take to end where nobody waits for it any more, as after Ctrl+C.
    """

    def __init__(self, name: str, usage: str, leaving: float):
        self._usage, self._leaving = usage, leaving
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)

    def start(self) -> None:
        """Once."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread. Nothing may be waited for any more."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def wait_for(self, work: Coroutine[Any, Any, T], check: Callable[[], object] | None = None) -> T:
        """What a coroutine gives, or raises. RuntimeError where the thread does not run.

        check: called meanwhile, every CHECKED_EVERY seconds. What it raises ends the coroutine.
        """
        if not self._thread.is_alive():
            work.close()
            raise RuntimeError(self._usage)
        ended = threading.Event()

        async def watched() -> T:
            try:
                return await work
            finally:
                ended.set()

        future = asyncio.run_coroutine_threadsafe(watched(), self._loop)
        try:
            while check is not None and not future.done():
                check()
                with contextlib.suppress(NotYet):
                    future.exception(CHECKED_EVERY)
            return future.result()
        except BaseException:
            future.cancel()
            ended.wait(self._leaving)  # Ctrl+C: what runs on a server is cancelled before the connection is closed
            raise
