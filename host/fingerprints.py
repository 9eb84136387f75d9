"""What tells ComfyUI that the same inputs may give something else now: a file or a connection has changed, or a model that
should have answered did not and may be back."""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Hashable, Iterable

# A fingerprint is saved in pictures, as a part of their prompt: it must tell nobody which server was asked.
_SALT = secrets.token_bytes(16)
_MOST_REMEMBERED = 1000  # nodes
_substituted: OrderedDict[str, int] = OrderedDict()  # node -> how often something else stood in for a model


def substituted(node_id: str) -> None:
    """This run of the node had to do without the model that it asked for: another run is worth a try."""
    _substituted[node_id] = _substituted.pop(node_id, 0) + 1
    if len(_substituted) > _MOST_REMEMBERED:
        _substituted.popitem(last=False)


def of(seen: Iterable[Hashable], node_id: str) -> str:
    """A text that changes with any of `seen`, and after each substitution in this node."""
    told = repr([*seen, _substituted.get(node_id, 0)]).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(told, key=_SALT, digest_size=16).hexdigest()
