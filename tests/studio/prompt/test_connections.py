"""A connection asks one server and no other, within its limits, and its key goes nowhere else."""

from __future__ import annotations

import asyncio
import dataclasses
import ipaddress
import json
import logging
import socket
import sys
import threading
import time
import traceback
from pathlib import Path

import pytest
from storefront.studio.errors import InputError
from storefront.studio.prompt import connections, writers
from storefront.studio.prompt.advert import AdBrief, compose
from storefront.studio.prompt.connections import (
    AddressError,
    Connection,
    ConnectionWriter,
    connector,
    is_public,
    is_short_address,
)
from storefront.studio.prompt.presets import read_library
from storefront.studio.prompt.writers import WriterError

sys.path.insert(0, str(Path(__file__).parent))

from chat_server import HELD, chat_server
from sentences import SENTENCES

KEY = "sk-test-0123456789-secret"
LIBRARY = read_library()


def never() -> None:
    pass


@pytest.fixture
def server():
    with chat_server() as running:
        yield running


def writer(server, model: str = "good", **changes) -> ConnectionWriter:
    options = {"key": KEY, "allow_private": True, "seconds": 60, **changes}
    return ConnectionWriter(Connection("mine", server.url, model, **options), 400, never)


def line(server, model: str, **changes) -> list[writers.WriterChoice]:
    return [writers.WriterChoice(writers.CONNECTION, object(), writer(server, model, **changes))]


@pytest.mark.parametrize("said", SENTENCES, ids=range(len(SENTENCES)))
def test_every_fact_comes_through(server, said):
    order = AdBrief(said.text, translate=writers.CONNECTION, glossary=said.glossary)
    made = compose(order, LIBRARY, line(server, "good"), False)
    assert made.report["written_by"] == writers.CONNECTION, made.report["attempts"]
    assert all(kept in made.prompt for kept in said.kept)
    assert made.headline == said.headline


@pytest.mark.parametrize("model", ["thinking", "second-try", "plain-only"])
def test_peculiar_servers_are_understood(server, model):
    order = AdBrief(SENTENCES[0].text, translate=writers.CONNECTION)
    made = compose(order, LIBRARY, line(server, model), False)
    assert made.report["written_by"] == writers.CONNECTION
    assert "<think>" not in made.prompt


WRONG = {
    "cut": "cut short",
    "hang-up": "broke off",
    "no-json": "no chat completion",
    "no-choice": "no chat completion",
    "nested": "no chat completion",
    "huge": "larger than 1 MB",
    "bomb": "compressed",
    "redirect": "redirects",
    "error": "status 401, it did not accept the key",
    "echo": "held the key",
    "echo-spaced": "held the key",
    "korean": "not in English",
    "french": "not in English",
    "lying": "invents 99 won",
    "forgetful": "does not keep",
    "off-topic": "does not show",
    "looping": "repeats itself",
}


@pytest.mark.parametrize("model", WRONG)
def test_a_server_that_is_wrong_or_lies_leaves_it_to_the_presets(server, model, caplog):
    caplog.set_level(logging.DEBUG)
    order = AdBrief("다온커피 딸기라떼 4,500원", translate=writers.CONNECTION, glossary="다온커피")
    made = compose(order, LIBRARY, line(server, model), False)
    assert made.report["written_by"] == writers.OFF
    assert WRONG[model] in made.report["attempts"][0]["refused"]
    assert "4,500원" in made.prompt
    assert KEY not in repr(made) + made.report_json() + caplog.text


@pytest.mark.parametrize("model", ["slow", "dripping"])
def test_time_is_capped(server, model):
    began = time.monotonic()
    with pytest.raises(WriterError, match="no answer in time"):
        writer(server, model, seconds=1).write("a", "{}", 0)
    assert time.monotonic() - began < HELD / 2


def test_cancel_is_heard_while_waiting(server):
    class Cancelled(BaseException):
        pass

    began = time.monotonic()

    def check() -> None:
        if time.monotonic() - began > 0.5:
            raise Cancelled

    connection = Connection("mine", server.url, "slow", key=KEY, allow_private=True)
    with pytest.raises(Cancelled):
        ConnectionWriter(connection, 400, check).write("a", "{}", 0)
    assert time.monotonic() - began < HELD / 2
    server.hold.set()
    assert_no_thread_left()


def assert_no_thread_left() -> None:
    deadline = time.monotonic() + 60
    while any(thread.name == "storefront-connection" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_redirects_carry_the_key_nowhere(server):
    with chat_server() as other:
        server.other = other.url.removesuffix("/v1")
        with pytest.raises(WriterError, match="redirects"):
            writer(server, "redirect").write("a", "{}", 0)
        assert other.requests == []


def test_private_addresses_want_the_owners_word(server):
    for host in (
        "127.0.0.1",
        "localhost",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
    ):
        port = server.server_address[1]
        connection = Connection("mine", f"http://{host}:{port}/v1", "good", key=KEY, seconds=5)
        with pytest.raises(WriterError, match=r"private network|cannot be (reached|used)"):
            ConnectionWriter(connection, 400, never).write("a", "{}", 0)
    assert server.requests == []


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f.0.0.1", "0x7f000001", "127.0.0.1.", "0177.0.0.1"])
@pytest.mark.parametrize("allow_private", [False, True])
def test_an_address_in_short_is_refused_before_anything_is_asked(server, host, allow_private):
    connection = Connection(
        "mine", f"http://{host}:{server.server_address[1]}/v1", "good", key=KEY, allow_private=allow_private
    )
    with pytest.raises(WriterError, match="write an IP address in full"):
        ConnectionWriter(connection, 400, never).write("a", "{}", 0)
    assert server.requests == []


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "api.example.com", "3com.com", "a.1b", "localhost"])
def test_names_and_whole_addresses_are_not_short(host):
    assert not is_short_address(host)


def test_a_name_that_changes_its_mind_changes_nothing(server, monkeypatch):
    """DNS rebinding: the first answer is public, every later one is this machine."""
    answers = iter([[(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 0))]])
    calls = []

    def resolve(host, port, *args, **options):
        calls.append(host)
        local = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]
        return next(answers, local)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(connections, "is_public", lambda address: str(ipaddress.ip_address(address)) == "192.0.2.1")
    monkeypatch.setattr(connections, "CONNECT_SECONDS", 1)
    port = server.server_address[1]
    connection = Connection("mine", f"http://rebind.example:{port}/v1", "good", key=KEY, seconds=2)
    with pytest.raises(WriterError, match=r"in time|cannot be reached"):
        ConnectionWriter(connection, 400, never).write("a", "{}", 0)
    with pytest.raises(WriterError, match="private network"):
        ConnectionWriter(connection, 400, never).write("a", "{}", 0)
    assert calls == ["rebind.example"] * 2
    assert server.requests == []


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("2a00:1450:4001::200e", True),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::8.8.8.8", True),
        *[
            (address, False)
            for address in [
                "10.0.0.1",
                "172.16.5.5",
                "192.168.1.1",
                "127.0.0.1",
                "169.254.169.254",
                "100.64.0.1",
                "0.0.0.0",
                "224.0.0.1",
                "255.255.255.255",
                "::1",
                "::",
                "fc00::1",
                "fd12::1",
                "fe80::1",
                "fe80::1%eth0",
                "ff02::1",
                "::ffff:10.0.0.1",
                "2002:7f00:1::",
                "64:ff9b::7f00:1",
                # IPv4 inside IPv6: compatible, SIIT, local NAT64 in its prefix lengths, 6to4, Teredo, ISATAP
                "::127.0.0.1",
                "::8.8.8.8",
                "::ffff:0:127.0.0.1",
                "::ffff:0:8.8.8.8",
                "64:ff9b::10.0.0.1",
                "64:ff9b:1::7f00:1",
                "64:ff9b:1:7f00:0:1::",
                "64:ff9b:1:a9fe:a9:fe00::",
                "64:ff9b:0:1::1",
                "2002:808:808::1",
                "2001::1",
                "2001:0:7f00:1::",
                "2001:0:4136:e378:8000:63bf:3fff:fdd2",
                "fe80::5efe:7f00:1",
                "::ffff:169.254.169.254",
                # Site-local, unique local, discard, documentation, benchmarking, ORCHID, segment routing
                "fec0::1",
                "feff::1",
                "fd00:ec2::254",
                "100::1",
                "2001:db8::1",
                "3fff::1",
                "2001:2::1",
                "2001:10::1",
                "2001:20::1",
                "5f00::1",
                "4000::1",
                "ff0e::1",
                # IPv4: benchmarking, documentation, reserved, relays of 6to4, clouds' metadata
                "198.18.0.1",
                "192.0.2.1",
                "203.0.113.1",
                "240.0.0.1",
                "192.88.99.1",
                "168.63.129.16",
                "100.100.100.200",
                "192.0.0.192",
            ]
        ],
    ],
)
def test_which_addresses_are_public(address, public):
    assert is_public(address) is public


BAD = [
    ("name", {"name": ""}),
    ("name", {"name": "../x"}),
    ("name", {"name": "none"}),
    ("name", {"name": "x" * 41}),
    ("name", {"name": "a\n"}),
    ("base_url", {"base_url": "ftp://example.com"}),
    ("base_url", {"base_url": "file:///etc/passwd"}),
    ("base_url", {"base_url": "https://user:secret@example.com/v1"}),
    ("base_url", {"base_url": "https://example.com/v1?key=1"}),
    ("base_url", {"base_url": "https://example.com/#x"}),
    ("base_url", {"base_url": "https://"}),
    ("base_url", {"base_url": "https://exa mple.com"}),
    ("base_url", {"base_url": "https://example.com:99999"}),
    ("base_url", {"base_url": "http://[::1"}),
    ("base_url", {"base_url": "https://evil.com\\@example.com"}),
    ("base_url", {"base_url": None}),
    ("base_url", {"base_url": "https://a.example/v1, https://b.example/v1"}),
    ("base_url", {"base_url": "http://a.example\nfile:///etc/passwd", "kind": "triton", "model": ""}),
    ("base_url", {"base_url": " \n,", "kind": "triton", "model": ""}),
    ("base_url", {"base_url": ",".join(f"http://a{n}" for n in range(17)), "kind": "triton", "model": ""}),
    ("model", {"model": ""}),
    ("model", {"model": "a\r\nHost: evil"}),
    ("key", {"key": "short"}),
    ("key", {"key": KEY + "\r\nX: y"}),
    ("key", {"key": "한글열쇠한글열쇠"}),
    ("allow_private", {"allow_private": "yes"}),
    ("seconds", {"seconds": 0}),
    ("seconds", {"seconds": 10**6}),
    ("seconds", {"seconds": True}),
]


@pytest.mark.parametrize(("named", "change"), BAD, ids=range(len(BAD)))
def test_a_bad_connection_is_refused_by_name_without_its_secrets(named, change):
    good = {"name": "mine", "base_url": "https://api.example.com/v1", "model": "gpt", "key": KEY}
    with pytest.raises(InputError, match=f"^`{named}` is") as caught:
        Connection(**{**good, **change})
    shown = "".join(traceback.format_exception(caught.value))
    assert KEY not in str(caught.value)
    assert "secret@" not in str(caught.value)
    assert "한글열쇠" not in str(caught.value)
    assert "sk-test-0123" not in shown


@pytest.mark.parametrize("told", ["http://a:8000,http://b:8000", " http://a:8000\n\nhttp://b:8000 ,http://a:8000\r\n"])
def test_a_connection_to_triton_has_one_address_or_several(told):
    assert Connection("mine", told, kind="triton").addresses == ("http://a:8000", "http://b:8000")
    assert Connection("mine", "http://a:8000", kind="triton").addresses == ("http://a:8000",)
    assert Connection("mine", "https://a/v1", "m").addresses == ("https://a/v1",)


def test_every_address_of_a_connection_must_be_one_that_may_be_asked():
    async def asked(told: str, **more: object) -> None:
        await connector(Connection("mine", told, kind="triton", **more)).close()

    for second in ("http://10.0.0.1:8000", "http://127.1:8000"):
        with pytest.raises(AddressError):
            asyncio.run(asked(f"http://8.8.8.8:8000\n{second}"))
    asyncio.run(asked("http://8.8.8.8:8000\nhttp://10.0.0.1:8000", allow_private=True))


def test_a_connection_shows_no_key():
    connection = Connection("mine", "https://api.example.com/v1", "gpt", key=KEY)
    assert KEY not in repr(connection) + str(connection)
    assert dataclasses.replace(connection, model="other").key == KEY


def test_the_key_and_the_words_go_where_they_belong(server):
    writer(server, "good").write("instructions", json.dumps({"dictionary": {}, "keep": []}), 7)
    path, headers, body = server.requests[0]
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert KEY not in json.dumps(body)
    assert body["seed"] == 7
    assert body["max_tokens"] == 400
    writer(server, "good", key="").write("instructions", json.dumps({"dictionary": {}, "keep": []}), 7)
    assert "Authorization" not in server.requests[1][1]


def test_what_is_raised_holds_no_key_anywhere(server):
    """Not in the message, nor in what the exception came from, as a debugger or an error report walks it."""
    for model in ("error", "echo", "hang-up", "no-json", "huge", "redirect"):
        with pytest.raises(WriterError) as caught:
            writer(server, model).write("a", json.dumps({"dictionary": {}, "keep": []}), 0)
        error = caught.value
        while error is not None:
            assert KEY not in repr(error) + repr(vars(error))
            error = error.__context__
