"""One or several Tritons with this project's stages, asked over HTTP: `Client` (async) and `SyncClient`.

Imports aiohttp; torch where pictures and tensors come and go.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from ..studio.errors import InputError
from ..studio.loop_thread import LoopThread
from . import stages, wire
from .errors import ERROR_CODES_OF_SERVERS, RETRIED, ServingError, UnreachableError
from .nearby import Nearby, numbers
from .orchestrated import LARGEST_EVENT, Drawn, order, read_drawn, read_tokens, require_type

if TYPE_CHECKING:
    import aiohttp
    import torch

    from ..studio.images import Picture

T = TypeVar("T")

Progress = Callable[[int, int], object]  # steps done of all pictures, steps in all. What it raises ends the drawing.
CONNECTION_SECONDS = 10
AWAY_SECONDS = 10  # for which a server that did not answer is asked last
SECONDS_TO_END = 5  # seconds that ending a drawing may take where nobody waits for it any more
LARGEST_WORDS = 1 << 20  # bytes of a configuration, or of an error
_CHUNK = 1 << 16


class _ProgressError(Exception):
    """What `progress` raised. It ends a drawing, whatever it is: an OSError of the caller's is no server that is away."""

    def __init__(self, own: Exception):
        super().__init__(own)
        self.own = own


class Client:
    """`async with Client("http://127.0.0.1:8000") as server: await server.draw("a red mug")`.

    urls: one address, or several of the same model: requests go to them in turn, and to the next one where one does not
    answer. One that did not is asked last for AWAY_SECONDS. A call of a stage, which keeps nothing, also goes on to the next
    server where one fails otherwise than by what it was given.
    seconds: how long an answer may take; a drawing's next sign of life counts as one. key: for a proxy before the servers.
    connector: makes aiohttp's connector, in the event loop.
    """

    def __init__(
        self,
        urls: str | Sequence[str],
        *,
        seconds: float = 120,
        key: str = "",
        connector: Callable[[], aiohttp.BaseConnector] | None = None,
    ):
        several = isinstance(urls, Sequence) and not isinstance(urls, str)
        self.urls = [_address(url) for url in (urls if several else [urls])]
        if not self.urls:
            raise InputError("urls", "empty", "at least one address")
        self._seconds, self._connector = seconds, connector
        self._headers = {"Accept-Encoding": "identity", **({"Authorization": f"Bearer {key}"} if key else {})}
        self._turns = itertools.count()
        self._away: dict[str, float] = {}  # url -> the loop's time until which it is asked last
        self._nearby = Nearby()
        self._session: aiohttp.ClientSession | None = None
        self._asking: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Client:
        import aiohttp

        self._session = aiohttp.ClientSession(
            connector=self._connector() if self._connector else None,
            headers=self._headers,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECTION_SECONDS, sock_read=self._seconds),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,  # a small answer must not unpack to a large one
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._session is not None
        for task in self._asking - {asyncio.current_task()}:  # they would wait for ever
            task.cancel()
        await self._session.close()
        self._nearby.close()

    async def draw(
        self,
        prompt: str | Sequence[str],
        *,
        image: Picture | None = None,
        mask: Picture | None = None,
        progress: Progress | None = None,
        **options: Any,
    ) -> Drawn:
        """Pictures of one or several prompts, drawn whole on the server.

        image, mask: a picture to begin with, and what of it may change (white). progress: called after each step. options:
        prompt_2, num_images_per_prompt, width, height, steps, guidance, seed, max_sequence_length, time_limit, strength,
        resume: as in `text_to_image` and `image_to_image`; left out, the model's own defaults. Raises InputError for another
        option, ServingError for what the server says. Where the caller is cancelled, the server stops within a step.
        """
        body = order(prompt, image, mask, options)
        try:
            return await self._first_that_answers(lambda url: self._stream(url, body, progress, read_drawn))
        except _ProgressError as ended:
            own = ended.own
        raise own  # out here: with the cause and context that it has

    async def tokens(self, texts: Sequence[str], texts_2: Sequence[str] = (), max_tokens: int = 0) -> dict[str, Any]:
        """What the model's tokenizers make of texts: encoder ("l", "t5xxl") -> "ids", "counts", "cut", as `Tokens` has them.

        texts_2: other texts for T5. max_tokens: of T5; 0: the model's own. Raises ServingError.
        """
        body: dict[str, Any] = {"prompt": list(texts), "max_sequence_length": max_tokens, "output": stages.TOKENS}
        require_type("max_sequence_length", max_tokens)
        read: list[dict[str, Any]] = []
        for some in filter(None, (texts, texts_2)):
            require_type("prompt", list(some))
            read.append(await self._tokens(json.dumps(body | {"prompt": list(some)}).encode()))
        return read[0] | {"t5xxl": read[-1]["t5xxl"]}

    async def _tokens(self, body: bytes) -> dict[str, Any]:
        return await self._first_that_answers(lambda url: self._stream(url, body, None, read_tokens))

    async def stage(self, name: str, tensors: Mapping[str, torch.Tensor], output: str) -> torch.Tensor:
        """One call of a stage: tensors [B, ...], int64 or float, -> its output [B, ...] in float32."""
        if name == stages.TRANSFORMER:
            value = await self._first_that_answers(lambda url: self._transformer(url, tensors), ERROR_CODES_OF_SERVERS)
        else:
            body, headers = wire.request({key: numbers(tensor) for key, tensor in tensors.items()}, [output])
            value = (await self.infer(name, body, headers)).get(output, wire.Value("", (), b""))
        if value.dtype != "FP32":
            raise ServingError("INTERNAL", f"INTERNAL: stage {name}: its answer holds no {output}")
        return _tensor(value)

    async def _transformer(self, url: str, tensors: Mapping[str, torch.Tensor]) -> wire.Value:
        async def ask(inputs: Mapping[str, wire.Value], outputs: Sequence[str]) -> dict[str, wire.Value]:
            return await self._infer(f"{url}/v2/models/{stages.TRANSFORMER}/infer", *wire.request(inputs, outputs))

        return await self._nearby.transformer(url, tensors, ask)

    async def infer(self, name: str, body: bytes, headers: Mapping[str, str]) -> dict[str, wire.Value]:
        """A request of `wire.request` to a model. Raises ServingError."""
        return await self._first_that_answers(
            lambda url: self._infer(f"{url}/v2/models/{name}/infer", body, headers), ERROR_CODES_OF_SERVERS
        )

    async def get(self, path: str) -> Any:
        """JSON of GET v2/..., such as `models/bls/config`."""
        return await self._first_that_answers(lambda url: self._get(f"{url}/v2/{path}"))

    async def get_each(self, path: str) -> list[Any]:
        """The same of every server that answers. Raises ServingError where none does, or one refuses."""

        async def of(url: str) -> Any:
            return await self._first_that_answers(lambda url: self._get(f"{url}/v2/{path}"), urls=[url])

        answers = await asyncio.gather(*map(of, self.urls), return_exceptions=True)
        failed = [answer for answer in answers if isinstance(answer, BaseException)]
        for error in failed:
            if getattr(error, "code", "") != "UNAVAILABLE":
                raise error
        if len(failed) == len(answers):
            raise failed[0]
        return [answer for answer in answers if not isinstance(answer, BaseException)]

    async def _first_that_answers(
        self,
        ask: Callable[[str], Coroutine[Any, Any, T]],
        passed_over: Sequence[str] = ("UNAVAILABLE",),
        urls: Sequence[str] = (),
    ) -> T:
        task = asyncio.current_task()
        assert task is not None
        self._asking.add(task)
        try:
            return await self._asked(ask, passed_over, urls or self._in_turn())
        finally:
            self._asking.discard(task)

    def _in_turn(self) -> list[str]:
        """The servers in the order in which this request asks them. A single one is asked once more."""
        first, now = next(self._turns) % len(self.urls), asyncio.get_running_loop().time()
        turned = [*self.urls[first:], *self.urls[:first]]
        return sorted(turned, key=lambda url: self._away.get(url, 0) > now) * (2 if len(turned) == 1 else 1)

    async def _asked(
        self, ask: Callable[[str], Coroutine[Any, Any, T]], passed_over: Sequence[str], urls: Sequence[str]
    ) -> T:
        import aiohttp

        why: BaseException | None = None
        for url in urls:
            try:
                answer = await ask(url)
                self._away.pop(url, None)
                return answer
            except (aiohttp.ClientError, asyncio.TimeoutError, OSError, UnicodeError, wire.WireError) as error:
                why = error  # UnicodeError: of a host's name that no resolver takes, such as a..b
            except ServingError as error:
                if error.code not in passed_over or len(self.urls) == 1:
                    raise
                why = error
            if getattr(why, "code", "") != "OUT_OF_MEMORY":  # a smaller one may fit there
                self._away[url] = asyncio.get_running_loop().time() + AWAY_SECONDS
            if isinstance(why, asyncio.TimeoutError) and not isinstance(why, aiohttp.ConnectionTimeoutError):
                break  # it has waited long enough
        if isinstance(why, ServingError):
            raise why
        raise UnreachableError(
            list(dict.fromkeys(urls)), f"{type(why).__name__}: {why}" if str(why) else type(why).__name__
        ) from why

    async def _get(self, url: str) -> Any:
        assert self._session is not None
        async with self._session.get(url, allow_redirects=False) as answer:
            if answer.status != 200:
                raise await _refused(answer)
            try:
                return json.loads(await _read(answer, LARGEST_WORDS) or b"null")
            except (ValueError, RecursionError) as error:
                raise wire.WireError("the answer is none of Triton's") from error

    async def _infer(self, url: str, body: bytes, headers: Mapping[str, str]) -> dict[str, wire.Value]:
        assert self._session is not None
        async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
            if answer.status != 200:
                raise await _refused(answer)
            return wire.response(await _read(answer, LARGEST_EVENT), answer.headers.get(wire.HEADER_LENGTH))

    async def _stream(
        self, url: str, body: bytes, progress: Progress | None, read: Callable[[Mapping[str, Any]], T]
    ) -> T:
        assert self._session is not None
        where = f"{url}/v2/models/{stages.ORCHESTRATOR}/generate_stream"
        headers = {"Content-Type": "application/json"}
        async with self._session.post(where, data=body, headers=headers, allow_redirects=False) as answer:
            if answer.status != 200:
                raise await _refused(answer)
            _require_plain(answer)
            events = wire.Events(LARGEST_EVENT)
            async for chunk in answer.content.iter_any():
                for event in events.add(chunk):
                    if "error" in event:
                        raise ServingError.of(str(event["error"]))
                    if event.get("status") != stages.DRAWING:
                        return read(event)
                    if progress is not None:
                        _tell(progress, event)
        raise wire.WireError("the answer ended before the picture")


def _require_plain(answer: aiohttp.ClientResponse) -> None:
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        raise wire.WireError("the answer is compressed, which was not asked for")


async def _read(answer: aiohttp.ClientResponse, most: int) -> bytes:
    """The body of an answer of at most so many bytes. Raises WireError for a larger one."""
    _require_plain(answer)
    content = bytearray()
    async for chunk in answer.content.iter_chunked(_CHUNK):
        content += chunk
        if len(content) > most:
            raise wire.WireError(f"the answer is larger than {most} bytes")
    return bytes(content)


def _tell(progress: Progress, event: Mapping[str, Any]) -> None:
    try:
        done, total = int(event["steps_done"]), int(event["steps"])
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise wire.WireError("the answer tells no steps") from error
    try:
        progress(done, total)
    except Exception as error:
        raise _ProgressError(error) from error


def _address(url: object) -> str:
    if isinstance(url, str) and urlsplit(url).scheme in ("http", "https") and urlsplit(url).hostname:
        return url.rstrip("/")
    raise InputError("urls", url, "an address such as http://127.0.0.1:8000")


async def _refused(answer: aiohttp.ClientResponse) -> ServingError:
    """By the status of an answer, and the error that Triton puts into it; into an event where it should have streamed."""
    try:
        text = str(json.loads((await _read(answer, LARGEST_WORDS)).removeprefix(b"data:"))["error"])
    except (ValueError, KeyError, TypeError, RecursionError, wire.WireError):
        text = f"status {answer.status}"
    code = "UNAVAILABLE" if answer.status in RETRIED else "INVALID_ARGUMENT" if answer.status == 400 else "INTERNAL"
    return ServingError.of(text, code, answer.status)


def _tensor(value: wire.Value) -> torch.Tensor:
    import torch

    data = value.data if isinstance(value.data, bytearray) else bytearray(value.data)
    return torch.frombuffer(data, dtype=torch.float32).reshape(value.shape)


class SyncClient:
    """`Client` without async: `with SyncClient("http://127.0.0.1:8000") as server:`. May be used from several threads.

    check: called while an answer is awaited; what it raises ends the request, on the server too.
    """

    def __init__(
        self,
        urls: str | Sequence[str],
        *,
        seconds: float = 120,
        key: str = "",
        connector: Callable[[], aiohttp.BaseConnector] | None = None,
        check: Callable[[], object] | None = None,
    ):
        self._client, self._check = Client(urls, seconds=seconds, key=key, connector=connector), check
        self._loop = LoopThread("storefront serving", "use it as: with SyncClient(...) as server", SECONDS_TO_END)

    def __enter__(self) -> SyncClient:
        self._loop.start()
        try:
            self._loop.wait_for(self._client.__aenter__())
        except BaseException:
            self._loop.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.wait_for(self._client.__aexit__())
        self._loop.stop()

    def draw(
        self,
        prompt: str | Sequence[str],
        *,
        image: Picture | None = None,
        mask: Picture | None = None,
        progress: Progress | None = None,
        **options: Any,
    ) -> Drawn:
        """As `Client.draw`; progress is called in another thread. Ctrl+C ends the drawing."""
        return self._wait_for(self._client.draw(prompt, image=image, mask=mask, progress=progress, **options))

    def tokens(self, texts: Sequence[str], texts_2: Sequence[str] = (), max_tokens: int = 0) -> dict[str, Any]:
        """As `Client.tokens`."""
        return self._wait_for(self._client.tokens(texts, texts_2, max_tokens))

    def stage(self, name: str, tensors: Mapping[str, torch.Tensor], output: str) -> torch.Tensor:
        """As `Client.stage`."""
        return self._wait_for(self._client.stage(name, tensors, output))

    def infer(self, name: str, inputs: Mapping[str, wire.Value], outputs: Sequence[str]) -> dict[str, wire.Value]:
        """One call of a model with tensors as they travel."""
        return self._wait_for(self._client.infer(name, *wire.request(inputs, outputs)))

    def get(self, path: str) -> Any:
        """As `Client.get`."""
        return self._wait_for(self._client.get(path))

    def get_each(self, path: str) -> list[Any]:
        """As `Client.get_each`."""
        return self._wait_for(self._client.get_each(path))

    def _wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.wait_for(work, self._check)
