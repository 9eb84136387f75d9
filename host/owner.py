"""Who may change what the server keeps: its own machine, and whoever can read the owner's token on it.

With --listen every program in the network reaches ComfyUI, and a program that is no browser writes any header it likes.
What it cannot choose is the address at the other end of its connection.
"""

from __future__ import annotations

import hmac
import ipaddress
import logging
import secrets
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web

from ..studio import atomic
from . import user_files

log = logging.getLogger(__name__)

HEADER = "X-Storefront-Token"
TOKEN_BYTES = 32
# What proxies write: the request comes from somewhere else than its connection.
_PASSED_ON = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via", "CF-Connecting-IP")


def token_file() -> Path:
    """Of a system user, whose files no route of ComfyUI reads. The log is none: ComfyUI shows it to the network."""
    return user_files.folder() / "owner_token.txt"


def token() -> str:
    """The owner's token, made at its first use and readable by him alone."""
    file = token_file()
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(file, f"{secrets.token_urlsafe(TOKEN_BYTES)}\n".encode("ascii"), 0o600)
    return file.read_text("ascii", "replace").strip()


def may_write(request: web.Request) -> bool:
    """Whether a request comes from this machine itself, or brings the owner's token."""
    return from_this_machine(request) or _brings_token(request)


def is_known(request: web.Request) -> bool:
    """`may_write` for requests that only read: one without a token makes none."""
    return from_this_machine(request) or (HEADER in request.headers and _brings_token(request))


def from_this_machine(request: web.Request) -> bool:
    """Whether both ends of the connection are this machine, and nobody has passed the request on."""
    transport = request.transport
    if transport is None or any(name in request.headers for name in _PASSED_ON):
        return False
    there, here = (_address(transport.get_extra_info(end)) for end in ("peername", "sockname"))
    if there is None:
        return False
    if there.is_loopback:  # a proxy on this machine may add no header; the public name that it serves gives it away
        return _is_own_name(request.host)
    return there == here


def _brings_token(request: web.Request) -> bool:
    brought, known = request.headers.get(HEADER, ""), token()
    return len(known) >= TOKEN_BYTES and hmac.compare_digest(brought.strip().encode(), known.encode())


def refused() -> web.Response:
    """How an owner who sits elsewhere goes on."""
    where = "/".join(token_file().parts[-3:])
    log.warning(
        "Storefront: a change of the connections from another machine was refused; its owner's token is in %s", where
    )
    text = f"this page is open on another machine than ComfyUI's. Enter the owner's token: the text of {where} on the server"
    return web.json_response({"error": text, "token": True}, status=403)


def _address(end: object) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(str(end[0]).split("%", 1)[0])  # type: ignore[index]
    except (TypeError, IndexError, ValueError):  # a socket that is a file
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_own_name(host: str) -> bool:
    """Whether a Host header names this machine to itself."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or name.endswith(".localhost") or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
