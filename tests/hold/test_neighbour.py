"""ComfyUI with --listen, and a program in its network that writes every header as it likes."""

from __future__ import annotations

import http.client
import json
import socket
from urllib.parse import urlsplit

import pytest
from devtools import comfyui as dev

GOOD = {"base_url": "http://192.168.0.1/v1", "model": "m", "allow_private": True}


def own_address() -> str | None:
    """An address of this machine that is not loopback; no packet is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        return probe.getsockname()[0]


@pytest.fixture(scope="module")
def listening(comfyui_folder, tmp_path_factory):
    base = tmp_path_factory.mktemp("neighbour")
    with dev.running_comfyui(comfyui_folder, base, "--listen", "0.0.0.0") as url:
        yield urlsplit(url).port, base


def ask(
    port: int, method: str, name: str, source: str | None, host: str = "127.0.0.1", **headers: str
) -> tuple[int, str]:
    """From `source`, or from this machine itself, to the server at `host`; with the Origin that its own page would have."""
    connection = http.client.HTTPConnection(host, port, timeout=30, source_address=(source, 0) if source else None)
    own = {"Host": f"{host}:{port}", "Origin": f"http://{host}:{port}", "Content-Type": "application/json", **headers}
    try:
        body = json.dumps(GOOD) if method == "PUT" else None
        connection.request(method, f"/storefront/connections{name}", body, own)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_a_neighbour_reads_names_and_writes_nothing_without_the_owners_token(listening):
    port, base = listening
    address = own_address()
    if address is None:
        pytest.skip("!!! THIS MACHINE HAS NO NETWORK: NO NEIGHBOUR COULD BE PLAYED !!!")
    assert ask(port, "PUT", "/mine", None)[0] == 200
    before = (base / "user" / "__storefront" / "connections.json").read_bytes()
    forged = ({}, {"X-Forwarded-For": "127.0.0.1"}, {"X-Real-IP": "127.0.0.1"}, {"Host": f"localhost:{port}"})
    for headers in (*forged, {"X-Storefront-Token": ""}, {"X-Storefront-Token": "x" * 43}):
        origin = {"Origin": f"http://{headers['Host']}"} if "Host" in headers else {}
        for method, name in (("PUT", "/theirs"), ("PUT", "/mine"), ("DELETE", "/mine")):
            status, told = ask(port, method, name, address, **headers, **origin)
            assert (status, json.loads(told).get("token")) == (403, True)
    assert (base / "user" / "__storefront" / "connections.json").read_bytes() == before
    assert json.loads(ask(port, "GET", "", address)[1]) == {"names": ["mine"]}
    token = (base / "user" / "__storefront" / "owner_token.txt").read_text("ascii").strip()
    assert ask(port, "PUT", "/theirs", address, **{"X-Storefront-Token": token})[0] == 200
    # The machine itself, under the address that its network knows
    assert ask(port, "DELETE", "/theirs", address, host=address)[0] == 200


def test_the_token_is_the_owners_alone(listening):
    port, base = listening
    file = base / "user" / "__storefront" / "owner_token.txt"
    assert ask(port, "PUT", "/x", None, **{"X-Forwarded-For": "10.0.0.1"})[0] == 403
    token = file.read_text("ascii").strip()
    assert file.stat().st_mode & 0o077 == 0
    for path in (
        "/internal/logs",
        "/userdata/..%2F__storefront%2Fowner_token.txt",
        "/v2/userdata?path=..%2F__storefront",
    ):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", path)
        assert token not in connection.getresponse().read().decode(errors="replace")
        connection.close()
