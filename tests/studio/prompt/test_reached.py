"""Whether a connection's server answers: by one GET, in words of ours, and never of an address that may not be asked."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
from pathlib import Path

import pytest
from storefront.studio.prompt import reached
from storefront.studio.prompt.connections import Connection

sys.path.insert(0, str(Path(__file__).parent))

from chat_server import chat_server

KEY = "sk-test-0123456789-secret"


@pytest.fixture
def server():
    with chat_server() as running:
        yield running


def connection(url: str, model: str = "latte-1", **changes) -> Connection:
    return Connection("mine", url, model, **{"key": KEY, "allow_private": True, "seconds": 60, **changes})


def asked(one: Connection) -> reached.Reached:
    return asyncio.run(reached.reached(one))


LIST = json.dumps({"data": [{"id": "latte-1"}, {"name": "no id"}, 5]}).encode()


@pytest.mark.parametrize(
    ("body", "status", "state"),
    [
        (LIST, 200, reached.READY),
        (json.dumps({"data": []}).encode(), 200, reached.OTHER_MODEL),
        (b"<html>It works!</html>", 200, reached.NO_LIST),
        (b"[" * 100_000, 200, reached.NO_LIST),
        (b'{"data": "latte-1"}', 200, reached.NO_LIST),
        (b"", 404, reached.NO_LIST),
        (KEY.encode(), 401, reached.WRONG_KEY),
        (KEY.encode(), 403, reached.WRONG_KEY),
        (b"", 307, reached.BAD_STATUS),
        (b"", 500, reached.BAD_STATUS),
        (b" " * 3_000_000, 200, reached.UNREADABLE),
    ],
)
def test_what_the_server_answers(server, body, status, state):
    server.listed = (body, status)
    found = asked(connection(server.url))
    assert found == (state, 0 if state == reached.UNREADABLE else status)
    ((path, headers, _),) = server.requests
    assert (path, headers["Authorization"]) == ("/v1/models", f"Bearer {KEY}")
    assert KEY not in str(found)


def test_servers_that_cannot_be_asked(server):
    assert asked(connection("http://127.0.0.1:9/v1")).state == reached.UNREACHABLE
    assert asked(connection("http://storefront.invalid/v1")).state == reached.UNREACHABLE
    assert asked(connection(server.url, allow_private=False)).state == reached.ADDRESS
    assert asked(connection("http://127.1/v1")).state == reached.ADDRESS
    assert asked(connection(f"http://{'a' * 70}..b/v1")).state not in reached.ANSWERED
    assert server.requests == []


def test_a_silent_server_is_not_waited_for(server, monkeypatch):
    server.silent = True
    monkeypatch.setattr(reached, "CHECK_SECONDS", 1)
    assert asked(dataclasses.replace(connection(server.url), seconds=600)).state == reached.TOO_LATE


@pytest.mark.parametrize(
    ("status", "state"), [(200, reached.SERVES), (400, reached.BAD_STATUS), (503, reached.BAD_STATUS)]
)
def test_triton_is_asked_whether_it_is_ready(server, status, state):
    server.listed = (b"", status)
    url = server.url.removesuffix("/v1")
    one = Connection("mine", url, allow_private=True, seconds=60, kind="triton")
    assert asked(one) == (state, status)
    assert [path for path, *_ in server.requests] == ["/v2/health/ready"]


def test_several_tritons_are_all_asked(server):
    server.listed = (b"", 200)
    url = server.url.removesuffix("/v1")
    one = Connection("mine", f"{url}\n{url}/", allow_private=True, seconds=5, kind="triton")
    assert asked(one) == (reached.SERVES, 200)
    assert len(server.requests) == 2
    away = "http://127.0.0.1:9"
    assert asked(dataclasses.replace(one, base_url=f"{away},{url}")) == (reached.SOME_SERVE, 0)
    assert asked(dataclasses.replace(one, base_url=f"{away},{away}/")) == (reached.UNREACHABLE, 0)
