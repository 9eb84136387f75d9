"""Servers that ComfyUI's owner has set up as connections of the kind triton, asked from a running node."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import comfy.utils
import torch

from ..serving import stages
from ..serving.about import About
from ..serving.client import Drawn, ServingError, SyncClient, UnreachableError
from ..serving.remote import StageError
from ..serving.wire import WireError
from ..studio.errors import InputError
from ..studio.out_of_memory import OutOfMemory
from ..studio.prompt.connections import TRITON, Connection, connector, reason_of
from ..studio.prompt.writers import WriterError
from . import connections, fingerprints
from .progress import check_cancel

T = TypeVar("T")

_LONGEST_WORDS = 500  # characters of a server's own words
_START = "Start it (python -m serving serve), or correct the connection in ComfyUI's settings under Storefront"
_OPENED: weakref.WeakValueDictionary[Connection, ConnectedServer] = weakref.WeakValueDictionary()


class ConnectedServer:
    """The server of a connection. Its requests hear Cancel, and what fails is said by the connection's name."""

    def __init__(self, connection: Connection):
        self.connection = connection
        client = SyncClient(
            connection.base_url,
            seconds=connection.seconds,
            key=connection.key,
            connector=lambda: connector(connection, keeps_open=True),
            check=_meanwhile,
        )
        self._client = self._asked(client.__enter__)
        # In a thread of its own: what collects garbage may be the very thread that is to be ended.
        ending = threading.Thread(target=client.__exit__, name="storefront serving ends", daemon=True)
        weakref.finalize(self, ending.start).atexit = False

    def about(self) -> About:
        """What it says of its model."""
        config = self._asked(lambda: self._client.get(f"models/{stages.ORCHESTRATOR}/config"))
        with contextlib.suppress(KeyError, TypeError, InputError):
            return About.from_text(config["parameters"][stages.DESCRIBED]["string_value"])
        cure = (
            "Its server has no model of this project, or one that another version exported: run `python -m serving"
            " export` there again, with the version of this pack."
        )
        raise InputError("connection", self.connection.name, cure=cure)

    def stage(self, name: str, tensors: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """A `remote.Call`."""
        return self._asked(lambda: self._client.stage(name, tensors, stages.OUTPUT_OF[name]))

    def tokens(self, texts: list[str], texts_2: list[str], max_tokens: int) -> Mapping[str, Any]:
        """What its tokenizers make of texts."""
        return self._asked(lambda: self._client.tokens(texts, texts_2, max_tokens))

    def draw(self, prompt: str, progress: Callable[[int, int], object], **options: Any) -> Drawn:
        """A picture that it draws whole. `progress` is called in this thread, with steps done and steps in all."""
        told: list[tuple[int, int]] = []

        def show() -> None:
            if told:
                progress(*told[-1])
                told.clear()

        _waiting.show = show
        try:
            drawn = self._asked(
                lambda: self._client.draw(prompt, progress=lambda *steps: told.append(steps), **options)
            )
        finally:
            del _waiting.show
        progress(drawn.steps_done, drawn.steps)
        return drawn

    def _asked(self, ask: Callable[[], T]) -> T:
        try:
            return ask()
        except (ServingError, StageError, WriterError) as error:
            failed = _explained(self.connection.name, error)
        raise failed  # out here: a cause or context would bring the address into logs


_waiting = threading.local()  # `show`: what the thread that waits does meanwhile


def _meanwhile() -> None:
    check_cancel()
    getattr(_waiting, "show", lambda: None)()


def draw(connection: str, order: Mapping[str, Any]) -> tuple[torch.Tensor, list[str], bool]:
    """(IMAGE, notes, whether it is whole) of what the server of a connection draws. order: options of `Client.draw`.

    A mask is ComfyUI's MASK [1, H, W].
    """
    server = server_of(connection)
    given = dict(order)
    if given.get("mask") is not None:
        given["mask"] = given["mask"][..., None].expand(-1, -1, -1, 3)
    bar = comfy.utils.ProgressBar(1)
    drawn = server.draw(progress=bar.update_absolute, **given)
    return drawn.images, list(drawn.notes), drawn.status == stages.FINISHED


def _explained(name: str, error: Exception) -> InputError:
    """What a user reads: the connection, what is wrong, what helps. Never an address or a key."""
    if isinstance(error, WriterError):
        return InputError("connection", name, cure=f"{str(error).partition(': ')[2].capitalize()}.")
    if isinstance(error, UnreachableError):
        cause = error.__cause__ or error
        why = str(cause) if isinstance(cause, WireError) else reason_of(cause)
        return InputError("connection", name, cure=f"Its server does not answer ({why}). {_START}, then queue again.")
    code, text = getattr(error, "code", ""), str(error).partition(": ")[2][:_LONGEST_WORDS]
    if code == "OUT_OF_MEMORY":
        return OutOfMemory("connection", name, "a smaller picture: the memory of its server did not suffice")
    if code == "UNAVAILABLE" or "not healthy" in text:
        cure = f"Its server cannot do it now ({text}). Queue again in a moment; if it stays so, start the server anew."
    elif code == "INVALID_ARGUMENT" and text.startswith("`"):
        cure = f"Its server says: {text}"
    elif code == "INVALID_ARGUMENT":
        cure = f"Its server refuses ({text}). If its model was changed, restart ComfyUI."
    else:
        cure = f"Its server failed ({text}). Its log says why; `python -m serving probe` tries every stage."
    return InputError("connection", name, cure=cure)


def server_of(name: str) -> ConnectedServer:
    """The server of a connection. Raises InputError where there is no such connection of the kind triton."""
    connection = connections.get(name, TRITON)
    server = _OPENED.get(connection)
    if server is None:
        server = _OPENED[connection] = ConnectedServer(connection)
    return server


def fingerprint(name: Any, node_id: str) -> str:
    """Another text where the connection was changed: the same inputs may then draw another picture."""
    seen: list[Any] = []
    with contextlib.suppress(InputError):  # `execute` names it
        connection = connections.get(name, TRITON)
        seen.append((connection.base_url, connection.seconds, connection.allow_private, bool(connection.key)))
    return fingerprints.of(seen, node_id)
