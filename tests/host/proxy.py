"""A proxy before a real ComfyUI, as a shop's nginx is, that can be made to fail."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Awaitable, Callable, Iterator

import aiohttp
from aiohttp import web

Spoil = Callable[[web.Request], Awaitable[web.StreamResponse | None]]
CHATTER = json.dumps({"type": "status", "data": {"status": {"exec_info": {"queue_remaining": 1}}}})


async def passed_on(request: web.Request) -> None:
    """Nothing is spoilt."""


@contextlib.contextmanager
def proxy(target: str, spoil: Spoil = passed_on, chatter: float | None = None) -> Iterator[str]:
    """Its URL. What `spoil` answers is answered; where it returns None, ComfyUI is asked. chatter: seconds between the
    messages about the queue that every WebSocket gets, as where many people share a server.
    """
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> tuple[aiohttp.ClientSession, web.AppRunner, int]:
        session = aiohttp.ClientSession()

        async def handle(request: web.Request) -> web.StreamResponse:
            body = await request.read()  # before its sender may hang up
            spoilt = await spoil(request)
            if spoilt is not None:
                return spoilt
            if request.path == "/ws":
                return await _socket(session, request, f"{target}{request.rel_url}", chatter)
            headers = {"Content-Type": request.headers.get("Content-Type", "application/json")}
            async with session.request(
                request.method, f"{target}{request.rel_url}", data=body, headers=headers
            ) as answer:
                return web.Response(body=await answer.read(), status=answer.status)

        app = web.Application(client_max_size=2**26)
        app.router.add_route("*", "/{path:.*}", handle)
        runner = web.AppRunner(app, shutdown_timeout=5)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return session, runner, runner.addresses[0][1]

    async def stop() -> None:
        await runner.cleanup()
        await session.close()

    session, runner, port = asyncio.run_coroutine_threadsafe(start(), loop).result(60)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(60)
        loop.close()


async def _socket(
    session: aiohttp.ClientSession, request: web.Request, url: str, chatter: float | None
) -> web.WebSocketResponse:
    outer = web.WebSocketResponse()
    await outer.prepare(request)

    async def talk() -> None:
        while chatter is not None:
            await outer.send_str(CHATTER)
            await asyncio.sleep(chatter)

    async def upwards() -> None:
        async for _ in outer:
            pass  # a client says nothing; this hears that it hangs up

    async with session.ws_connect(url, max_msg_size=0) as inner:

        async def downwards() -> None:
            async for message in inner:
                await (outer.send_bytes if message.type == aiohttp.WSMsgType.BINARY else outer.send_str)(message.data)

        tasks = [asyncio.ensure_future(one) for one in (talk(), upwards(), downwards())]
        await asyncio.wait(tasks[1:], return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return outer
