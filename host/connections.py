"""Connections as ComfyUI's owner sets them up: a file of the server, and routes that write it and never read keys back."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import logging
import stat
import threading
from collections.abc import Hashable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
from server import PromptServer

from ..studio import atomic
from ..studio.errors import InputError
from ..studio.layout import advise
from ..studio.layout.layout import Layout
from ..studio.layout.options import LayoutOptions
from ..studio.prompt.connections import CHAT, TRITON, Connection, ConnectionWriter, chat, origins
from ..studio.prompt.reached import ANSWERED, reached
from ..studio.prompt.writers import MOST_NEW_TOKENS, WRITING_ATTEMPTS, Writer, WriterError
from . import fingerprints, owner, user_files
from .progress import check_cancel

log = logging.getLogger(__name__)

NONE = "none"
MOST_CONNECTIONS = 50
LARGEST_REQUEST = 16 * 1024  # bytes
_FIELDS = ("base_url", "model", "key", "allow_private", "seconds", "kind")
_WRITING = threading.Lock()


def file() -> Path:
    """Of a system user: ComfyUI's own routes for user files refuse those (their names begin with __)."""
    return user_files.folder() / "connections.json"


class _UnreadableError(Exception):
    """The file holds no JSON object. To write it anew would lose connections that a comma can bring back."""


def _entries() -> dict[str, Any]:
    """What the file holds, by name, right or wrong; nothing where there is no file."""
    try:
        entries = json.loads(file().read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise _UnreadableError(str(error) if isinstance(error, json.JSONDecodeError) else "it is no JSON") from None
    if not isinstance(entries, dict):
        raise _UnreadableError("it is no JSON object")
    return entries


def _read() -> dict[str, Connection]:
    """Every connection that is whole, by name. What is wrong with another stands in the log, by its name."""
    try:
        entries = _entries()
    except _UnreadableError as error:
        log.warning("Storefront: %s cannot be read: %s", file().name, error)
        return {}
    connections = {}
    for name, entry in entries.items():
        try:
            connections[name] = _connection(name, entry)
        except InputError as error:
            log.warning("Storefront: connection %r: %s", name, error)
    return connections


_WHOLE = "a JSON object with base_url, and for a language model also model"


def _is_whole(entry: Any) -> bool:
    """Whether an entry has the fields that its kind needs."""
    return isinstance(entry, dict) and "base_url" in entry and ("model" in entry or entry.get("kind", CHAT) != CHAT)


def _connection(name: str, entry: Any) -> Connection:
    if not _is_whole(entry):
        raise InputError(name, "(hidden)", _WHOLE)
    return Connection(name, **{field: entry[field] for field in _FIELDS if field in entry})


def _write(entries: dict[str, Any]) -> None:
    """Whole or not at all, for its owner's eyes only from the first byte on."""
    target = file()
    target.parent.mkdir(parents=True, exist_ok=True)
    atomic.write(target, json.dumps(entries, indent=2, ensure_ascii=False).encode(), stat.S_IRUSR | stat.S_IWUSR)


_SPOKEN = {CHAT: "language model", TRITON: "Triton server"}


def names(kind: str = CHAT) -> list[str]:
    return sorted(name for name, connection in _read().items() if connection.kind == kind)


def get(name: str, kind: str = CHAT) -> Connection:
    """A connection of a kind by its name. Raises InputError that names the known ones."""
    known = {own: connection for own, connection in _read().items() if connection.kind == kind}
    if not isinstance(name, str) or name not in known:
        if not known:
            cure = f"No connection to a {_SPOKEN[kind]} is set up yet. Add one in ComfyUI's settings under Storefront."
            raise InputError("connection", name, cure=cure)
        raise InputError("connection", name, f"one of: {', '.join(sorted(known))}")
    return known[name]


def require_name(name: str) -> None:
    """Raise InputError for anything but the name of a connection, or none."""
    if name != NONE:
        get(name)


def require_server(connection: str) -> None:
    """Raise InputError for anything but the name of a connection of the kind triton."""
    get(connection, TRITON)


def writer(name: str) -> tuple[Hashable, Writer]:
    """(what makes answers the same, the writer) of a connection."""
    connection = get(name)
    identity = (name, connection.base_url, connection.model)
    return identity, ConnectionWriter(connection, MOST_NEW_TOKENS, check_cancel)


def fingerprint(name: Any, node_id: str) -> str:
    """Another text where the same inputs may give another answer: the connection was changed, or did not answer."""
    if name == NONE:
        return ""
    seen: list[Hashable] = []
    with contextlib.suppress(InputError):  # what is wrong, or comes over a link and is not known yet, `execute` names
        seen.append(writer(name)[0])
    return fingerprints.of(seen, node_id)


def advised(
    name: str, background: Any, layout: Layout, headline: str, options: LayoutOptions, node_id: str
) -> tuple[Layout, list[str]]:
    """The layout with a vision model's boxes and a note on who placed them; as it is without a connection.

    An answer that breaks a rule is told so once; then the local plan stands.
    """
    if name == NONE:
        return layout, []
    connection = get(name)
    wrong: list[str] = []

    def ask(instructions: str, request: str, picture: str) -> str:
        told = f"{instructions}\n\nAn earlier answer was refused: {wrong[-1]}." if wrong else instructions
        content: list[dict[str, Any]] = [
            {"type": "text", "text": request},
            {"type": "image_url", "image_url": {"url": picture}},
        ]
        messages: list[dict[str, Any]] = [{"role": "system", "content": told}, {"role": "user", "content": content}]
        return chat(connection, messages, 0, MOST_NEW_TOKENS, check_cancel)

    for _ in range(WRITING_ATTEMPTS):
        try:
            return advise.advised(background, layout, headline, options, ask), [f"placed by connection {name!r}"]
        except advise.AdviceError as error:
            wrong.append(str(error))
        except WriterError as error:
            wrong.append(str(error))
            break
    fingerprints.substituted(node_id)
    return layout, [f"connection {name!r} was not used: {wrong[-1]}; placed by the local plan"]


# --- routes -----------------------------------------------------------------------------------------------------------


def same_origin(request: web.Request) -> bool:
    """Whether a request comes from this server's own page.

    Browsers say where a writing request comes from, and no page can change what they say. A foreign name that was made
    to point at this machine (DNS rebinding) is its own origin, but cannot have a certificate: of the public names only
    those over https count. A reading request names no origin; there Sec-Fetch-Site tells, which browsers send over https
    and to this machine alone. A program that is no browser may say the origin itself: `owner` is for those.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site not in (None, "same-origin"):
        return False
    claimed = request.headers.get("Origin")
    try:
        parts = urlsplit(f"//{request.host}" if claimed is None else claimed)
    except ValueError:  # half of an IPv6 address's brackets
        return False
    if claimed is None:
        return request.method == "GET" and (site is not None or _own_name(parts.hostname))
    if parts.scheme not in ("http", "https") or parts.netloc.lower() != request.host.lower():
        return False
    return parts.scheme == "https" or _own_name(parts.hostname)


def _own_name(host: str | None) -> bool:
    """A name that no stranger can give to this machine: an address, localhost, one without a dot, one of a home network."""
    if not host:
        return False
    try:
        ipaddress.ip_address(host)
        return True
    except ValueError:
        return "." not in host or host.endswith((".localhost", ".local", ".lan", ".home.arpa", ".internal"))


def _refused(text: str, status: int) -> web.Response:
    return web.json_response({"error": text}, status=status)


async def _list(request: web.Request) -> web.Response:
    if not same_origin(request):
        return _refused("only this server's own page may see its connections", 403)
    if not owner.is_known(request):
        return _listed()
    known = sorted(_read().items())
    return web.json_response(
        {"names": [name for name, _ in known], "connections": [_described(connection) for _, connection in known]}
    )


def _listed() -> web.Response:
    return web.json_response({"names": sorted(_read())})


def _described(connection: Connection) -> dict[str, Any]:
    """What its owner may see again: all but the key."""
    fields = {field: getattr(connection, field) for field in ("name", *_FIELDS) if field != "key"}
    return {**fields, "has_key": bool(connection.key)}


async def _check(request: web.Request) -> web.Response:
    """Ask a connection's server whether it answers. It is asked at no other time but when a run needs it."""
    if not same_origin(request):
        return _refused("only this server's own page may have connections checked", 403)
    if not owner.may_write(request):
        return owner.refused()
    connection = _read().get(request.match_info["name"])
    if connection is None:
        return _refused("there is no connection of this name", 404)
    found = await reached(connection)
    return web.json_response({"reachable": found.state in ANSWERED, "state": found.state, "status": found.status})


async def _put(request: web.Request) -> web.Response:
    if not same_origin(request):
        return _refused("only this server's own page may set up connections", 403)
    if not owner.may_write(request):
        return owner.refused()
    if request.content_type != "application/json":
        return _refused("Expected: application/json", 415)
    if (request.content_length or LARGEST_REQUEST + 1) > LARGEST_REQUEST:
        return _refused(f"Expected: at most {LARGEST_REQUEST} bytes of known length", 413)
    try:
        body: Any = json.loads(await request.read())
    except (ValueError, RecursionError):
        body = None
    if not _is_whole(body) or not set(body) <= set(_FIELDS):
        return _refused(
            f"Expected: {_WHOLE}. It may also hold: {', '.join(_FIELDS[2:])}",
            400,
        )
    name = request.match_info["name"]
    try:
        with _WRITING:
            entries = _entries()
            entries[name] = _replaced(name, entries.get(name), body)
            if len(entries) > MOST_CONNECTIONS:
                raise InputError("name", name, f"at most {MOST_CONNECTIONS} connections")
            _write(entries)
    except InputError as error:
        return _refused(str(error), 400)
    except _UnreadableError as error:
        return _unreadable(error)
    return _listed()


def _replaced(name: str, before: Any, body: dict[str, Any]) -> dict[str, Any]:
    """The entry for `body`, with the key and the patience of the one before where the body brings none."""
    known: dict[str, Any] = {}
    with contextlib.suppress(InputError):
        old = _connection(name, before)
        known["seconds"] = old.seconds
        if origins(body["base_url"], body.get("kind", CHAT)) <= origins(old.base_url, old.kind):
            known["key"] = old.key  # a key goes to the servers it was given for and to no other
    connection = Connection(name, **{**known, **body})
    return {field: getattr(connection, field) for field in _FIELDS}


def _unreadable(error: _UnreadableError) -> web.Response:
    return _refused(f"{file().name} cannot be read, and is left as it is: {error}; mend it or take it away", 409)


async def _delete(request: web.Request) -> web.Response:
    if not same_origin(request):
        return _refused("only this server's own page may remove connections", 403)
    if not owner.may_write(request):
        return owner.refused()
    try:
        with _WRITING:
            entries = _entries()
            if request.match_info["name"] not in entries:
                return _refused("there is no connection of this name", 404)
            del entries[request.match_info["name"]]
            _write(entries)
    except _UnreadableError as error:
        return _unreadable(error)
    return _listed()


def add_routes() -> None:
    """GET /storefront/connections; PUT and DELETE /storefront/connections/NAME, POST /storefront/connections/NAME/check."""
    routes = PromptServer.instance.routes
    routes.get("/storefront/connections")(_list)
    routes.put("/storefront/connections/{name}")(_put)
    routes.delete("/storefront/connections/{name}")(_delete)
    routes.post("/storefront/connections/{name}/check")(_check)
