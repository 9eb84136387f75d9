"""Connections: which servers may be asked. Of those with OpenAI's chat completions also how, and what comes back at most.

A key is in a `Connection` and in the header of a request, and nowhere else: no error holds it, no answer may.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ipaddress
import json
import re
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..errors import Bare, InputError, require_one_of
from .writers import WriterError

if TYPE_CHECKING:
    import aiohttp

CONNECTION_NAME = re.compile(r"[A-Za-z0-9가-힣][A-Za-z0-9가-힣 ._-]{0,38}[A-Za-z0-9가-힣]|[A-Za-z0-9가-힣]")
RESERVED = ("none",)
LARGEST_ANSWER = 1024 * 1024  # bytes
SECONDS = (1, 600)  # how long an answer may take
CONNECT_SECONDS = 10
SHORTEST_KEY = 8  # a shorter one would be found in any text
CHAT, TRITON = "chat", "triton"
CONNECTION_KINDS = (CHAT, TRITON)  # OpenAI's chat completions; this project's stages on NVIDIA Triton
MOST_SERVERS = 16  # of one connection

# What a status means for the owner of a connection. A server's own words are not shown: they may hold the key.
_STATUS = {
    400: "it did not understand the request; is the model's name right?",
    401: "it did not accept the key",
    402: "the account has no credit",
    403: "it did not accept the key",
    404: "there is no such address or model on it",
    413: "the request is too large for it",
    429: "it asks to wait: too many requests",
}


@dataclass(frozen=True)
class Connection:
    """One server, or several Tritons with the same model. Raises InputError that names the field; never with the key in it."""

    name: str
    base_url: str  # up to and with /v1; of Triton its HTTP addresses, one a line or with commas
    model: str = ""  # as a chat server lists it; Triton has one
    key: str = field(default="", repr=False)
    allow_private: bool = False  # whether it may stand on this machine or in its network
    seconds: int = 120
    kind: str = CHAT

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not CONNECTION_NAME.fullmatch(self.name) or self.name.lower() in RESERVED:
            raise InputError("name", self.name, "1 to 40 letters, digits, spaces, . _ - (and not: none)")
        require_one_of("kind", self.kind, CONNECTION_KINDS)
        origins(self.base_url, self.kind)
        if self.kind == TRITON and self.model != "":
            raise InputError("model", self.model, "nothing: a Triton server has one model")
        named = isinstance(self.model, str) and re.fullmatch(r"[\w./:@+ -]{1,200}", self.model)
        if self.kind == CHAT and not named:
            raise InputError("model", self.model, "the model's name as the server lists it")
        if not isinstance(self.key, str) or (self.key and not re.fullmatch(rf"[!-~]{{{SHORTEST_KEY},4096}}", self.key)):
            raise InputError("key", "(hidden)", f"nothing, or {SHORTEST_KEY} to 4096 characters without spaces")
        if not isinstance(self.allow_private, bool):
            raise InputError("allow_private", self.allow_private, "true or false")
        low, high = SECONDS
        if isinstance(self.seconds, bool) or not isinstance(self.seconds, int) or not low <= self.seconds <= high:
            raise InputError("seconds", self.seconds, f"a whole number from {low} to {high}")

    @property
    def addresses(self) -> tuple[str, ...]:
        """Of its servers."""
        return _addresses(self.base_url, self.kind)


def _addresses(base_url: str, kind: str) -> tuple[str, ...]:
    several = kind == TRITON and isinstance(base_url, str)
    return tuple(dict.fromkeys(re.split(r"[\s,]+", base_url.strip(" \t\r\n,")))) if several else (base_url,)


def origins(base_url: str, kind: str) -> frozenset[tuple[str, str, int]]:
    """`origin` of each server of a connection. Raises InputError as it does, and for too many."""
    addresses = _addresses(base_url, kind)
    if len(addresses) > MOST_SERVERS:
        raise InputError("base_url", Bare(f"{len(addresses)} addresses"), f"at most {MOST_SERVERS}")
    return frozenset(map(origin, addresses))


def origin(base_url: str) -> tuple[str, str, int]:
    """(scheme, host, port) of a base URL. Raises InputError for anything but plain http(s) without a user in it."""
    wanted = "an address such as https://api.example.com/v1, without a user, ? or #"
    if not isinstance(base_url, str) or len(base_url) > 500 or not re.fullmatch(r"https?://[!-~]+", base_url):
        raise InputError("base_url", base_url if isinstance(base_url, str) and "@" not in base_url else "...", wanted)
    try:
        parts = urlsplit(base_url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise InputError("base_url", base_url, wanted) from None
    if "@" in parts.netloc or not parts.hostname or parts.query or parts.fragment or "\\" in base_url:
        raise InputError("base_url", "..." if "@" in parts.netloc else base_url, wanted)
    return parts.scheme, parts.hostname, port


# Public by what Python's table says, and not for a server's own requests: clouds' metadata, protocol assignments, the
# relays of 6to4 (RFC 7526), tunnels, documentation (RFC 9637).
_NEVER = [
    ipaddress.ip_network(network)
    for network in ("168.63.129.16/32", "192.0.0.0/24", "192.88.99.0/24", "2001::/23", "2002::/16", "3fff::/20")
]
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")  # the one part of IPv6 that is given out (RFC 4291, IANA)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052; what is around it (RFC 8215) belongs to a network of its own


def is_short_address(host: str) -> bool:
    """Whether a host is an IPv4 address in another form than four decimal numbers: 127.1, 2130706433, 0x7f.0.0.1.

    By WHATWG's rule: the last label is a number. aiohttp 3.11 takes digits and dots for an address, asks no resolver,
    and the system then reads 127.1 as this machine.
    """
    if not re.fullmatch(r"0x[0-9a-f]*|[0-9]+", host.rstrip(".").rpartition(".")[2], re.IGNORECASE):
        return False
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return True
    return False


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet: not this machine, nor its network, nor a cloud's metadata.

    Of the ways to write an IPv4 address as IPv6, mapped and NAT64 addresses are judged by what they hold. The others
    (compatible, SIIT, 6to4, Teredo, local NAT64) lead through a tunnel and are refused.
    """
    ip = ipaddress.ip_address(address.split("%", 1)[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return is_public(str(ip.ipv4_mapped))
        if ip in _NAT64:
            return is_public(str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)))
        if ip not in _GLOBAL_UNICAST:
            return False
    return ip.is_global and not ip.is_multicast and not any(ip in network for network in _NEVER)


def chat(
    connection: Connection,
    messages: Sequence[dict[str, Any]],
    seed: int,
    most_tokens: int,
    check_cancel: Callable[[], None],
) -> str:
    """The text of one chat completion. Raises WriterError for anything else; `check_cancel` is called while it waits."""
    body = {
        "model": connection.model,
        "messages": list(messages),
        "temperature": 0.7,
        "max_tokens": most_tokens,
        "seed": seed % 2**31,
        "stream": False,
    }
    status, content = _post(connection, body, check_cancel)
    if status == 400:
        # Some models take no temperature, seed or max_tokens.
        status, content = _post(connection, {key: body[key] for key in ("model", "messages")}, check_cancel)
    if status != 200:
        meaning = _STATUS.get(status, "it redirects" if 300 <= status < 400 else "it failed")
        raise WriterError(f"connection {connection.name!r}: status {status}, {meaning}")
    try:
        choice = json.loads(content)["choices"][0]
        text = choice["message"]["content"]
    except (ValueError, LookupError, TypeError, RecursionError):
        text = None
    if not isinstance(text, str) or not text.strip():
        raise WriterError(f"connection {connection.name!r}: its answer is no chat completion")
    if choice.get("finish_reason") == "length":
        raise WriterError(f"connection {connection.name!r}: its answer was cut short")
    if connection.key and holds_key(text, connection.key):
        raise WriterError(f"connection {connection.name!r}: its answer held the key and was thrown away")
    return text


def holds_key(text: str, key: str) -> bool:
    """Whether an answer gives the key away: as it is, spaced out, backwards or in base64."""
    squeezed = re.sub(r"[\s\-_.]+", "", text).casefold()
    plain = re.sub(r"[\s\-_.]+", "", key).casefold()
    encoded = base64.b64encode(key.encode()).decode().rstrip("=")
    return key in text or plain in squeezed or plain[::-1] in squeezed or encoded in text


def _post(connection: Connection, body: dict[str, Any], check_cancel: Callable[[], None]) -> tuple[int, bytes]:
    """(status, body) of the answer. In a thread of its own, so that the caller can be inside an event loop."""
    result: list[tuple[int, bytes]] = []
    failure: list[str] = []
    stop = threading.Event()

    def work() -> None:
        try:
            result.append(asyncio.run(_post_until(connection, body, stop)))
        except WriterError as error:
            failure.append(str(error))
        except Exception as error:  # aiohttp's own hold the headers, so nothing of them goes on
            failure.append(f"connection {connection.name!r}: {reason_of(error)}")

    thread = threading.Thread(target=work, name="storefront-connection", daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            check_cancel()
            thread.join(0.1)
    finally:
        stop.set()
    if failure or not result:
        raise WriterError(failure[0] if failure else f"connection {connection.name!r}: no answer")
    return result[0]


def reason_of(error: BaseException) -> str:
    """What kept a server from answering, without its address and its words."""
    import aiohttp

    if isinstance(error, asyncio.TimeoutError):
        return "no answer in time"
    if isinstance(error, aiohttp.InvalidURL):
        return "its address cannot be used"
    if isinstance(error, OSError):
        return "it cannot be reached"
    return "it broke off" if isinstance(error, aiohttp.ClientError) else "it failed"


async def _post_until(connection: Connection, body: dict[str, Any], stop: threading.Event) -> tuple[int, bytes]:
    task = asyncio.ensure_future(exchange(connection, "/chat/completions", body))
    while not task.done():
        if stop.is_set():
            task.cancel()
        await asyncio.wait([task], timeout=0.1)
    if task.cancelled():
        raise WriterError(f"connection {connection.name!r}: cancelled")
    return task.result()


class AddressError(WriterError):
    """The address is one that must not be asked: it is private without its owner's word, or written in short."""


def connector(connection: Connection, keeps_open: bool = False) -> aiohttp.TCPConnector:
    """Of aiohttp, in an event loop: it connects to addresses that the connection allows, and to no others.

    Raises WriterError for an address that needs no resolver and is not allowed; from within aiohttp for others.
    """
    import aiohttp
    from aiohttp.abc import AbstractResolver

    hosts = [origin(address)[1] for address in connection.addresses]
    refused = (
        f"connection {connection.name!r}: its address is in a private network, which the connection does not allow"
    )

    class Pinned(AbstractResolver):
        """Gives aiohttp the very addresses that were judged: a name that changes its mind later changes nothing."""

        async def resolve(self, host: str, port: int = 0, family: int = socket.AF_UNSPEC) -> list[Any]:
            loop = asyncio.get_running_loop()
            infos = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=socket.AF_UNSPEC)
            addresses = [(info[0], info[4][0]) for info in infos]
            if not connection.allow_private and not all(is_public(str(address)) for _, address in addresses):
                raise AddressError(refused)
            return [
                {"hostname": host, "host": address, "port": port, "family": family, "proto": 0, "flags": 0}
                for family, address in addresses
            ]

        async def close(self) -> None:
            pass

    if any(map(is_short_address, hosts)):
        raise AddressError(f"connection {connection.name!r}: its address cannot be used: write an IP address in full")
    for host in hosts:
        with contextlib.suppress(ValueError):  # aiohttp asks no resolver for a literal address
            if not connection.allow_private and not is_public(host):
                raise AddressError(refused)
    return aiohttp.TCPConnector(resolver=Pinned(), use_dns_cache=False, force_close=not keeps_open)


async def exchange(connection: Connection, path: str, body: dict[str, Any] | None) -> tuple[int, bytes]:
    """(status, body) of the answer to a POST of `body`, or to a GET where there is none, at `path` below the base URL.

    Raises WriterError for an answer that must not be read, AddressError before anything is asked, and what aiohttp raises.
    """
    import aiohttp

    own_connector = connector(connection)
    headers = {"Accept-Encoding": "identity", "Accept": "application/json", "User-Agent": "ComfyUI-Storefront"}
    if connection.key:
        headers["Authorization"] = f"Bearer {connection.key}"
    timeout = aiohttp.ClientTimeout(total=connection.seconds, sock_connect=CONNECT_SECONDS)
    async with aiohttp.ClientSession(
        connector=own_connector,
        timeout=timeout,
        trust_env=False,
        auto_decompress=False,  # a small answer must not unpack to a large one
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as session:
        url, method = connection.base_url.rstrip("/") + path, "GET" if body is None else "POST"
        async with session.request(method, url, json=body, headers=headers, allow_redirects=False) as answer:
            if answer.headers.get("Content-Encoding", "identity") != "identity":
                raise WriterError(f"connection {connection.name!r}: its answer is compressed, which was not asked for")
            content = bytearray()
            async for chunk in answer.content.iter_chunked(16 * 1024):
                content += chunk
                if len(content) > LARGEST_ANSWER:
                    raise WriterError(f"connection {connection.name!r}: its answer is larger than 1 MB")
            return answer.status, bytes(content)


class ConnectionWriter:
    """A Writer over one connection."""

    def __init__(self, connection: Connection, most_tokens: int, check_cancel: Callable[[], None]):
        self._connection, self._most_tokens, self._check_cancel = connection, most_tokens, check_cancel

    def write(self, instructions: str, request: str, seed: int) -> str:
        """The server's answer. Raises WriterError where it gives none."""
        messages = [{"role": "system", "content": instructions}, {"role": "user", "content": request}]
        return chat(self._connection, messages, seed, self._most_tokens, self._check_cancel)
