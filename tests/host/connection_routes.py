"""The routes of connections, asked as a browser or another program asks them."""

from __future__ import annotations

import json
import urllib.error
import urllib.request


def ask(comfyui, method: str, name: str | None, body=None, **headers) -> tuple[int, str]:
    """(status, text) of the answer. Headers by keyword; an empty one is not sent."""
    path = "/storefront/connections" + ("" if name is None else f"/{name}")
    data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", "Origin": comfyui.url, **headers}
    request = urllib.request.Request(
        comfyui.url + path,
        data,
        {key.replace("_", "-"): value for key, value in headers.items() if value},
        method=method,
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")
