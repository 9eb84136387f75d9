"""Connections as ComfyUI's owner sets them up: a file of the server, and routes that write it and never read keys back."""

from __future__ import annotations

import ipaddress
import json
import logging
import os
import stat
import tempfile
import threading
from collections.abc import Hashable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import folder_paths
from aiohttp import web
from server import PromptServer

from ..studio.errors import InputError
from ..studio.layout import advise
from ..studio.layout.layout import Layout
from ..studio.layout.plan import Wishes
from ..studio.prompt.connections import Connection, ConnectionWriter, chat, origin
from ..studio.prompt.writers import MOST_NEW_TOKENS, TRIES, Writer, WriterError
from .progress import check_cancel

log = logging.getLogger(__name__)

NONE = "none"
MOST = 50
LARGEST_REQUEST = 16 * 1024  # bytes
_FIELDS = ("base_url", "model", "key", "allow_private", "seconds")
_WRITING = threading.Lock()


def file() -> Path:
    """Of a system user: ComfyUI's own routes for user files refuse those (their names begin with __)."""
    return Path(folder_paths.get_system_user_directory("storefront")) / "connections.json"


def _read() -> dict[str, Connection]:
    """Every connection that is whole, by name. What is wrong with another stands in the log, by its name."""
    try:
        entries = json.loads(file().read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        log.warning("Storefront: the file of connections cannot be read: %s", file().name)
        return {}
    connections = {}
    for name, entry in entries.items() if isinstance(entries, dict) else ():
        try:
            connections[name] = Connection(name, **{field: entry[field] for field in _FIELDS if field in entry})
        except (InputError, TypeError) as error:
            wrong = str(error) if isinstance(error, InputError) else "its fields are not those of a connection"
            log.warning("Storefront: connection %r: %s", name, wrong)
    return connections


def _write(connections: dict[str, Connection]) -> None:
    """Whole or not at all, for its owner's eyes only from the first byte on."""
    target = file()
    target.parent.mkdir(parents=True, exist_ok=True)
    entries = {name: {field: getattr(one, field) for field in _FIELDS} for name, one in connections.items()}
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=".connections-")  # made with 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(entries, stream, indent=2, ensure_ascii=False)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(stat.S_IRUSR | stat.S_IWUSR)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def names() -> list[str]:
    return sorted(_read())


def get(name: str) -> Connection:
    """A connection by its name. Raises InputError that names the known ones."""
    known = _read()
    if not isinstance(name, str) or name not in known:
        listed = ", ".join(sorted(known)) or "none is set up yet; see ComfyUI's settings, Storefront"
        raise InputError("connection", name, f"one of: {listed}")
    return known[name]


def writer(name: str) -> tuple[Hashable, Writer]:
    """(what makes answers the same, the writer) of a connection."""
    connection = get(name)
    identity = (name, connection.base_url, connection.model)
    return identity, ConnectionWriter(connection, MOST_NEW_TOKENS, check_cancel)


def advised(name: str, background: Any, layout: Layout, headline: str, wishes: Wishes) -> tuple[Layout, list[str]]:
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

    for _ in range(TRIES):
        try:
            return advise.advised(background, layout, headline, wishes, ask), [f"placed by connection {name!r}"]
        except advise.AdviceError as error:
            wrong.append(str(error))
        except WriterError as error:
            wrong.append(str(error))
            break
    return layout, [f"connection {name!r} was not used: {wrong[-1]}; placed by the local plan"]


# --- routes -----------------------------------------------------------------------------------------------------------


def same_origin(request: web.Request) -> bool:
    """Whether a request comes from this server's own page.

    Browsers say where a writing request comes from, and no page can change what they say. A foreign name that was made
    to point at this machine (DNS rebinding) is its own origin, but cannot have a certificate: of the public names only
    those over https count. A program that is no browser may say the origin itself.
    """
    if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        return False
    claimed = request.headers.get("Origin")
    if claimed is None:
        return request.method == "GET" and _own_name(urlsplit(f"//{request.host}").hostname)
    parts = urlsplit(claimed)
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
    return web.json_response({"names": names()})


async def _put(request: web.Request) -> web.Response:
    if not same_origin(request):
        return _refused("only this server's own page may set up connections", 403)
    if request.content_type != "application/json":
        return _refused("wanted: application/json", 415)
    if (request.content_length or LARGEST_REQUEST + 1) > LARGEST_REQUEST:
        return _refused(f"wanted: at most {LARGEST_REQUEST} bytes of known length", 413)
    try:
        body: Any = json.loads(await request.read())
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict) or not set(body) <= set(_FIELDS) or not {"base_url", "model"} <= set(body):
        return _refused(f"wanted: a JSON object with base_url and model, and of: {', '.join(_FIELDS[2:])}", 400)
    name = request.match_info["name"]
    try:
        with _WRITING:
            known = _read()
            before = known.get(name)
            if "key" not in body and before is not None and origin(before.base_url) == origin(body["base_url"]):
                body["key"] = before.key  # a key goes to the server it was given for and to no other
            known[name] = Connection(name, **body)
            if len(known) > MOST:
                raise InputError("name", name, f"at most {MOST} connections")
            _write(known)
    except InputError as error:
        return _refused(str(error), 400)
    return web.json_response({"names": sorted(known)})


async def _delete(request: web.Request) -> web.Response:
    if not same_origin(request):
        return _refused("only this server's own page may remove connections", 403)
    with _WRITING:
        known = _read()
        if known.pop(request.match_info["name"], None) is None:
            return _refused("there is no connection of this name", 404)
        _write(known)
    return web.json_response({"names": sorted(known)})


def add_routes() -> None:
    """GET /storefront/connections; PUT and DELETE /storefront/connections/NAME."""
    routes = PromptServer.instance.routes
    routes.get("/storefront/connections")(_list)
    routes.put("/storefront/connections/{name}")(_put)
    routes.delete("/storefront/connections/{name}")(_delete)
