"""A server that speaks OpenAI's chat completions, well or badly: what it does is named by the model it is asked for."""

from __future__ import annotations

import contextlib
import gzip
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SCENE = (
    "A warm photograph of {shown} on a wooden table beside a window in soft morning light, with a linen napkin and a small "
    "vase of flowers in the background, and a calm empty area above it in muted colours."
)

HELD = 60  # seconds that a slow server keeps whoever asks waiting
REASONS = {"reason_en": "The right side is free.", "reason_ko": "오른쪽이 비어 있습니다."}


def chat(text: str, finish: str = "stop") -> bytes:
    message = {"role": "assistant", "content": text}
    return json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": finish}]}).encode()


def translated(request: dict[str, Any]) -> str:
    """What a capable model answers: the dictionary's products in a scene, and what is to be kept."""
    asked = json.loads(request["messages"][-1]["content"])
    shown = "; ".join(asked["dictionary"].values()) or "the featured product"
    kept = f" Kept for the headline: {', '.join(asked['keep'])}." if asked["keep"] else ""
    return SCENE.format(shown=shown) + kept


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ChatServer

    def log_message(self, *_: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((self.path, dict(self.headers), body))
        behaviour = getattr(self, body["model"].replace("-", "_"))
        behaviour(body)

    def do_GET(self) -> None:
        """The list of models; the server's `listed` may be another answer: (body, status)."""
        self.server.requests.append((self.path, dict(self.headers), {}))
        if self.server.silent:
            self.server.hold.wait(HELD)
        self.reply(*self.server.listed)

    def reply(self, content: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(content)

    def good(self, body: dict) -> None:
        self.reply(chat(translated(body)))

    def thinking(self, body: dict) -> None:
        self.reply(chat(f"<think>Let me see. A latte!</think>\n\n{translated(body)}"))

    def second_try(self, body: dict) -> None:
        wiser = "An earlier answer was refused" in body["messages"][0]["content"]
        self.reply(chat(translated(body) if wiser else "Sure! Here is your prompt."))

    def recovering(self, body: dict) -> None:
        """Once out of order, then well."""
        self.good(body) if len(self.server.requests) > 1 else self.reply(b"{}", 403)

    def plain_only(self, body: dict) -> None:
        """As models that take no temperature."""
        self.good(body) if "temperature" not in body else self.reply(b'{"error": {}}', 400)

    def slow(self, body: dict) -> None:
        self.server.hold.wait(HELD)
        self.reply(chat(translated(body)))

    def dripping(self, body: dict) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        with contextlib.suppress(OSError):
            while not self.server.hold.wait(0.2):
                self.wfile.write(b" ")
                self.wfile.flush()

    def cut(self, body: dict) -> None:
        self.reply(chat(translated(body)[:120], finish="length"))

    def hang_up(self, body: dict) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "5000")
        self.end_headers()
        self.wfile.write(b'{"choices": [{')
        self.close_connection = True

    def no_json(self, body: dict) -> None:
        self.reply(b"<html>It works!</html>")

    def no_choice(self, body: dict) -> None:
        self.reply(b'{"choices": []}')

    def nested(self, body: dict) -> None:
        self.reply(b"[" * 500_000)

    def huge(self, body: dict) -> None:
        self.reply(chat("latte " * 400_000))

    def bomb(self, body: dict) -> None:
        self.reply(gzip.compress(chat("latte " * 4_000_000)), Content_Encoding="gzip")

    def redirect(self, body: dict) -> None:
        self.reply(b"", 307, Location=f"{self.server.other}/v1/chat/completions")

    def error(self, body: dict) -> None:
        self.reply(json.dumps({"error": f"wrong key {self.headers['Authorization']}"}).encode(), 401)

    def echo(self, body: dict) -> None:
        key = self.headers["Authorization"].removeprefix("Bearer ")
        self.reply(chat(f"{translated(body)} On the cup stands {key}."))

    def echo_spaced(self, body: dict) -> None:
        key = self.headers["Authorization"].removeprefix("Bearer ")
        self.reply(chat(f"{translated(body)} On the cup stands {' '.join(key)}."))

    def korean(self, body: dict) -> None:
        self.reply(chat("나무 탁자 위에 놓인 딸기라떼 한 잔을 따뜻한 아침 햇살 속에서 찍은 사진입니다. " * 4))

    def french(self, body: dict) -> None:
        self.reply(
            chat("Une photographie chaleureuse d'un latte aux fraises sur une table en bois près d'une fenêtre. " * 3)
        )

    def lying(self, body: dict) -> None:
        self.reply(chat(translated(body).replace("Kept", "Now for only 99 won! Kept")))

    def forgetful(self, body: dict) -> None:
        self.reply(chat(translated(body).split(" Kept for")[0]))

    def off_topic(self, body: dict) -> None:
        asked = json.loads(body["messages"][-1]["content"])
        kept = f" Kept for the headline: {', '.join(asked['keep'])}." if asked["keep"] else ""
        self.reply(chat(SCENE.format(shown="a battleship firing its guns at night") + kept))

    def places(self, body: dict) -> None:
        """As a vision model: products on the right, words on the left, inside what is safe."""
        request = json.loads(body["messages"][-1]["content"][0]["text"])
        safe, products = request["safe"], []
        for box in request["products"]:
            products.append(box | {"x": 980 - box["width"], "y": 950 - box["height"]})
        text = {"x": safe["x"], "y": safe["y"] + 10, "width": 300, "height": 250}
        self.reply(chat("```json\n" + json.dumps({"products": products, "text": text, **REASONS}) + "\n```"))

    def places_badly(self, body: dict) -> None:
        request = json.loads(body["messages"][-1]["content"][0]["text"])
        text = {"x": 100, "y": 100, "width": 800, "height": 800}
        self.reply(chat(json.dumps({"products": request["products"], "text": text, **REASONS})))

    def looping(self, body: dict) -> None:
        self.reply(chat("a strawberry latte in the soft light of the morning and " * 15))


class ChatServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[str, dict[str, str], dict]] = []
        self.hold = threading.Event()
        self.other = "http://127.0.0.1:9"
        self.listed = (json.dumps({"object": "list", "data": [{"id": "latte-1"}, {"id": "mocha-2"}]}).encode(), 200)
        self.silent = False  # whether it keeps whoever asks for the list waiting

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


@contextlib.contextmanager
def chat_server() -> Iterator[ChatServer]:
    server = ChatServer()
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server
    finally:
        server.hold.set()
        time.sleep(0.05)
        server.shutdown()
        server.server_close()
