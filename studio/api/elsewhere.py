"""Pictures of words that a server draws: `text_to_image(server=...)`."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Protocol

from ..canvas import Size
from ..errors import InputError
from ..sampling.unfinished import Unfinished
from .drawing import require_words
from .result import Result, StageClock


class DrawingServer(Protocol):
    """What `storefront.serving.SyncClient` is."""

    def draw(self, prompt: str, **options: Any) -> Any:
        """An answer with images [1, H, W, 3], notes and unfinished."""


_SENT = ("seed", "steps", "guidance", "prompt_2", "time_limit")
_LOCAL = ("negative", "cfg", "references", "model")  # what only a model in this process reads


def drawn_elsewhere(server: DrawingServer, prompt: str, size: Size | None, given: Mapping[str, Any]) -> Result:
    """A picture of `prompt`, drawn whole on a server. given: the other inputs of `text_to_image`.

    Raises InputError for one that only a model in this process reads.
    """
    require_words("prompt", prompt)
    if not callable(getattr(server, "draw", None)):
        raise InputError("server", type(server).__name__, "a storefront.serving.SyncClient")
    for name in _LOCAL:
        if given[name]:
            raise InputError(name, type(given[name]).__name__, cure=f"Leave it out: a server draws without `{name}`.")
    asked = {name: given[name] for name in _SENT if given[name] is not None}
    asked["max_sequence_length"] = given["max_tokens"]
    if given["resume"] is not None:
        asked["resume"] = base64.b64encode(given["resume"].to_bytes()).decode("ascii")
    if size is not None:
        asked |= {"width": size.width, "height": size.height}
    clock = StageClock(given["progress"])
    with clock.stage("sample"):
        drawn = server.draw(prompt, progress=lambda done, total: clock.tell("sample", done, total), **asked)
    for note in drawn.notes:
        clock.note(note)
    return Result(drawn.images, clock.report(given["seed"]), unfinished=_unfinished(drawn.unfinished))


def _unfinished(text: str | None) -> Unfinished | None:
    if text is None:
        return None
    try:
        return Unfinished.from_bytes(base64.b64decode(text, validate=True))
    except binascii.Error as error:
        raise InputError("unfinished", "not readable", "what a server of this version gives") from error
