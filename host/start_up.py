"""What ComfyUI is to draw once it stands, before the first customer: a prompt in a file that its owner has put there."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from comfy.cli_args import args
from server import PromptServer

from . import user_files

log = logging.getLogger(__name__)

WARM_UP_FILE = "warm_up.json"
LARGEST_FILE = 4 * 1024 * 1024  # bytes
_EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def file() -> Path:
    """Of a system user, as the connections: no route of ComfyUI writes there, so that no visitor's prompt outlives a restart."""
    return user_files.folder() / WARM_UP_FILE


def queue_when_started() -> None:
    """Ask ComfyUI's server to queue `file` as soon as it listens; nothing where there is none."""
    if file().is_file():
        PromptServer.instance.app.cleanup_ctx.append(_waiting)


async def _waiting(_: web.Application) -> AsyncIterator[None]:
    task = asyncio.create_task(_queue())  # the server listens only after this has begun
    yield
    task.cancel()


async def _queue() -> None:
    """The way of every client, so that the prompt is checked as theirs are."""
    try:
        prompt = _read(file())
        while not hasattr(PromptServer.instance, "port"):
            await asyncio.sleep(0.1)
        address = _EVERY_ADDRESS.get(PromptServer.instance.address, PromptServer.instance.address)
        scheme = "https" if args.tls_keyfile and args.tls_certfile else "http"
        host = f"[{address}]" if ":" in address else address
        url = f"{scheme}://{host}:{PromptServer.instance.port}/prompt"
        # Itself, over its own certificate, which need not name this address.
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, json={"prompt": prompt, "front": True}, ssl=False) as answer,
        ):
            said = await answer.text()
            if answer.status != 200:
                raise ValueError(f"ComfyUI refused it: {said[:2000]}")
    except (OSError, ValueError, aiohttp.ClientError, asyncio.TimeoutError) as error:
        log.warning("Storefront: %s was not queued: %s", WARM_UP_FILE, error)
    else:
        log.info("Storefront: %s is queued.", WARM_UP_FILE)


def _read(path: Path) -> dict[str, Any]:
    """Raises ValueError for what is no prompt in API format."""
    if path.stat().st_size > LARGEST_FILE:
        raise ValueError(f"it is larger than {LARGEST_FILE} bytes")
    try:
        prompt = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is no JSON ({str(error)[:200]})") from None
    if not isinstance(prompt, dict) or not all(isinstance(n, dict) and "class_type" in n for n in prompt.values()):
        raise ValueError("it is no workflow in API format; in the editor: Workflow > Export (API)")
    return prompt
