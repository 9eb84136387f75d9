"""Whether a connection's server answers now: one GET, which costs nothing: of its list of models, of Triton its readiness."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any, NamedTuple

from .connections import TRITON, AddressError, Connection, exchange
from .writers import WriterError

CHECK_SECONDS = 15  # a person waits for it
SERVES, SOME_SERVE = "serves", "some"  # Triton; several of which not all answer
READY, OTHER_MODEL, WRONG_KEY, NO_LIST, BAD_STATUS = "ready", "other model", "wrong key", "no list", "bad status"
UNREADABLE, ADDRESS, TOO_LATE, UNREACHABLE, BROKEN = "unreadable", "address", "late", "unreachable", "broken"
ANSWERED = (SERVES, SOME_SERVE, READY, OTHER_MODEL, WRONG_KEY, NO_LIST, BAD_STATUS, UNREADABLE)


class Reached(NamedTuple):
    """One of the states above, and the status of HTTP, 0 without one. Nothing of the server's own words: they may hold the key."""

    state: str
    status: int = 0


async def reached(connection: Connection) -> Reached:
    """How the server answers, within `CHECK_SECONDS`. Its key is sent along, as in a request for words.

    Of several servers that none of them serves: what the first one answers.
    """
    each = await asyncio.gather(*(_reached(replace(connection, base_url=url)) for url in connection.addresses))
    wrong = [found for found in each if found.state != SERVES]
    return Reached(SOME_SERVE) if 0 < len(wrong) < len(each) else (wrong or each)[0]


async def _reached(connection: Connection) -> Reached:
    import aiohttp

    path = "/v2/health/ready" if connection.kind == TRITON else "/models"
    try:
        status, content = await exchange(
            replace(connection, seconds=min(connection.seconds, CHECK_SECONDS)), path, None
        )
    except AddressError:
        return Reached(ADDRESS)
    except WriterError:
        return Reached(UNREADABLE)
    except asyncio.TimeoutError:
        return Reached(TOO_LATE)
    except aiohttp.InvalidURL:
        return Reached(ADDRESS)
    except OSError:
        return Reached(UNREACHABLE)
    except (aiohttp.ClientError, ValueError):  # the latter of names that no resolver takes
        return Reached(BROKEN)
    if connection.kind == TRITON:
        return Reached(SERVES if status == 200 else BAD_STATUS, status)
    return Reached(_state(status, content, connection.model), status)


def _state(status: int, content: bytes, model: str) -> str:
    if status in (401, 403):
        return WRONG_KEY
    if status in (404, 405, 501):
        return NO_LIST
    if status != 200:
        return BAD_STATUS
    names = _models(content)
    return NO_LIST if names is None else READY if model in names else OTHER_MODEL


def _models(content: bytes) -> set[str] | None:
    """The ids of the list; None where it is none."""
    try:
        listed: Any = json.loads(content)
    except (ValueError, RecursionError):
        return None
    entries = listed.get("data") if isinstance(listed, dict) else None
    if not isinstance(entries, list):
        return None
    return {str(entry["id"]) for entry in entries if isinstance(entry, dict) and "id" in entry}
