"""Servers that ComfyUI's owner has set up as connections of the kind triton, asked from a running node."""

from __future__ import annotations

import contextlib
import dataclasses
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
from ..studio.images import require_mask, require_one_each, require_picture
from ..studio.out_of_memory import OutOfMemory
from ..studio.prompt.connections import TRITON, Connection, connector, holds_key, reason_of
from ..studio.prompt.writers import WriterError
from . import connections, fingerprints, sampling
from .progress import check_cancel

T = TypeVar("T")

_LONGEST_WORDS = 500  # characters of a server's own words
_KEY_HIDDEN = "its words held the key"
_NO_MODEL = (
    "Its server has no model of this project, or one that another version exported: run `python -m serving export` there"
    " again, with the version of this pack."
)
_SEVERAL_MODELS = "Its servers have different models. Give each model a connection of its own, in ComfyUI's settings under Storefront."
_OPENED: weakref.WeakValueDictionary[Connection, ConnectedServer] = weakref.WeakValueDictionary()


class ConnectedServer:
    """The server, or the servers, of a connection. Its requests hear Cancel, and what fails is said by the connection's name."""

    def __init__(self, connection: Connection):
        self.connection = connection
        client = SyncClient(
            connection.addresses,
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
        configs = self._asked(self._described)
        models: list[About] = []
        with contextlib.suppress(KeyError, TypeError, InputError):
            texts = [config["parameters"][stages.DESCRIBED]["string_value"] for config in configs]
            models = [About.from_text(self._plain(text)) for text in texts]
        if not models:
            raise InputError("connection", self.connection.name, cure=_NO_MODEL)
        if any(model != models[0] for model in models):  # some steps of a picture would be another model's
            raise InputError("connection", self.connection.name, cure=_SEVERAL_MODELS)
        return models[0]

    def _described(self) -> list[Any]:
        try:
            return self._client.get_each(f"models/{stages.ORCHESTRATOR}/config")
        except ServingError as error:
            if error.status in (400, 404):  # Triton's, and any other server's, of a model that is not there
                return [{}]
            raise

    def _plain(self, text: str) -> str:
        """The server's own words, unless the key is in them."""
        key = self.connection.key
        return _KEY_HIDDEN if key and holds_key(text, key) else text

    def stage(self, name: str, tensors: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """A `remote.Call`."""
        return self._asked(lambda: self._client.stage(name, tensors, stages.OUTPUT_OF[name]))

    def tokens(self, texts: list[str], texts_2: list[str], max_tokens: int) -> Mapping[str, Any]:
        """What its tokenizers make of texts."""
        read = self._asked(lambda: self._client.tokens(texts, texts_2, max_tokens))
        for part in read.values():
            if isinstance(part["cut"], list):  # remote.py refuses what is none
                part["cut"] = [self._plain(str(words)) for words in part["cut"]]
        return read

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
        return dataclasses.replace(drawn, notes=tuple(map(self._plain, drawn.notes)))

    def _asked(self, ask: Callable[[], T]) -> T:
        try:
            return ask()
        except (ServingError, StageError, WriterError) as error:
            failed = self._explained(error)
        raise failed  # out here: a cause or context would bring the address into logs

    def _explained(self, error: Exception) -> InputError:
        """What a user reads: the connection, what is wrong, what helps. Never an address or a key."""
        name, status = self.connection.name, getattr(error, "status", 0)
        code, text = getattr(error, "code", ""), self._plain(str(error).partition(": ")[2])[:_LONGEST_WORDS]
        if isinstance(error, WriterError):
            cure = f"{text[:1].upper()}{text[1:]}."
        elif isinstance(error, UnreachableError):
            cure = _away(error.__cause__ or error)
        elif code == "OUT_OF_MEMORY":
            return OutOfMemory("connection", name, cure="Its server ran out of memory. Draw a smaller picture.")
        elif status in (401, 403):
            cure = "Its server did not accept the key. Correct it in ComfyUI's settings under Storefront."
        elif code == "UNAVAILABLE" or "not healthy" in text:
            cure = (
                f"Its server cannot do it now ({text}). Queue again in a moment; if it stays so, start the server anew."
            )
        elif code == "INVALID_ARGUMENT" and text.startswith("`"):
            cure = f"Its server says: {text}"
        elif code == "INVALID_ARGUMENT":
            cure = f"Its server refuses ({text}). If its model was changed, restart ComfyUI."
        else:
            cure = f"Its server failed ({text}). Its log says why; `python -m serving probe` tries every stage."
        return InputError("connection", name, cure=cure)


def _away(cause: BaseException) -> str:
    """What helps where no answer could be read."""
    correct = "correct the connection in ComfyUI's settings under Storefront"
    if isinstance(cause, WireError):
        return f"Its server answers, but not as this project's Triton does: {correct}."
    return f"Its server does not answer ({reason_of(cause)}). Start it (python -m serving serve), or {correct}."


_waiting = threading.local()  # `show`: what the thread that waits does meanwhile


def _meanwhile() -> None:
    check_cancel()
    getattr(_waiting, "show", lambda: None)()


def draw(connection: str, order: Mapping[str, Any]) -> tuple[torch.Tensor, list[str], list[str]]:
    """(IMAGE, notes, notes on what was done otherwise than asked) of what the server of a connection draws.

    order: options of `Client.draw`; the node's values for "the model's own" are left out. A mask is a MASK [1, H, W] or
    [H, W] of the size of `image`, for every picture of it. Raises InputError for another.
    """
    server = server_of(connection)
    auto = {"width": 0, "height": 0, "steps": sampling.AUTO_STEPS, "guidance": sampling.AUTO_GUIDANCE}
    given = {name: value for name, value in order.items() if name not in auto or value != auto[name]}
    if given["image"] is None:
        del given["strength"]
    if given["mask"] is not None:
        masks = torch.from_numpy(require_mask("mask", given["mask"]))
        if given["image"] is not None:
            height, width = require_picture("image", given["image"]).shape[1:3]
            require_one_each("mask", masks.numpy(), 1, width, height, "image")
        given["mask"] = masks[..., None].expand(-1, -1, -1, 3)
    bar = comfy.utils.ProgressBar(1)
    drawn = server.draw(progress=bar.update_absolute, **given)
    notes = list(drawn.notes)
    return (drawn.images, notes, []) if drawn.status == stages.FINISHED else (drawn.images, [], notes)


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
        seen.append(dataclasses.astuple(connection))  # the hash is keyed: the connection's key cannot be read from it
    return fingerprints.of(seen, node_id)
