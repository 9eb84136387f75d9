"""How long work hears Cancel: between two of its operations it asks whoever runs it whether to go on."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextvars import ContextVar
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import numpy as np

T = TypeVar("T")

_ASKED: ContextVar[Callable[[], None] | None] = ContextVar("asked", default=None)
_AT_WORK = threading.Lock()  # held by a call that nobody may wait for any more: two of them would take twice the memory
OFTEN = 0.1  # seconds between two looks at whether the user has cancelled
STRIP_VALUES = 2**16  # numbers of a picture that are worked on at once: what a cache holds, and a moment's work


def check_cancel() -> None:
    """Called between operations that cannot be divided, of which each takes less than a second at 24 megapixels.

    Raises what the listener of this thread raises; without one nothing happens.
    """
    if (ask := _ASKED.get()) is not None:
        ask()


@contextlib.contextmanager
def cancelled_by(ask: Callable[[], None]) -> Iterator[None]:
    """Inside, every `check_cancel` of this thread calls `ask`, which raises where the user has cancelled."""
    token = _ASKED.set(ask)
    try:
        yield
    finally:
        _ASKED.reset(token)


def strips(values: np.ndarray) -> Iterator[slice]:
    """Slices of the first axis that together are all of it, each of about STRIP_VALUES numbers; Cancel is heard between."""
    rows = max(1, STRIP_VALUES * len(values) // max(1, values.size))
    for top in range(0, len(values), rows):
        check_cancel()
        yield slice(top, top + rows)


def apart(call: Callable[[], T]) -> T:
    """What `call` returns or raises: one operation of seconds that cannot be divided, and lets other threads run.

    It runs in a thread of its own while Cancel is heard here. When the user has cancelled, it runs on to its end, and its
    result is dropped; a next such operation waits for that. Without a listener it simply runs.
    """
    if _ASKED.get() is None:
        return call()
    while not _AT_WORK.acquire(timeout=OFTEN):
        check_cancel()
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)
        finally:
            _AT_WORK.release()

    try:
        threading.Thread(target=run, name="storefront-apart", daemon=True).start()
    except RuntimeError:  # the system has no thread left: then it runs here, and Cancel waits
        run()
    while not wait([future], OFTEN).done:
        check_cancel()
    return future.result()
