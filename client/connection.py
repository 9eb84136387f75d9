"""One ComfyUI over HTTP and WebSocket: queue, watch, fetch, cancel."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from ..studio.errors import InputError
from .errors import Cancelled, ClientError, ConnectionLost, ExecutionFailed, Problem, PromptLost, Refused, RunTimeout
from .pictures import file_of
from .workflows import Workflow, check_names, fill, load_workflow

if TYPE_CHECKING:
    import aiohttp
    from PIL import Image

    from .pictures import Picture

SUBFOLDER = "storefront"  # of ComfyUI's input folder, for what is uploaded
CONNECT, SILENCE = 30, 60  # seconds that a connection may take to come about, and an answer to go on
AWAY = (502, 503, 504)  # what a proxy answers while the server behind it is down
HISTORY_INTERVAL = 5  # seconds without news of a prompt, after which the history is asked
LAST_NEWS = 2  # seconds that a prompt's last messages may come after its entry in the history
STOPPING = 5  # seconds that a cancelled prompt is waited for
LEAVING = 10  # seconds that cancelling may take where nobody waits for the prompt any more
LARGEST_MESSAGE = 256 * 2**20  # bytes; previews come over the same WebSocket


class Step(NamedTuple):
    """How far a node is."""

    node: str  # its id
    stage: str  # its title
    done: int
    total: int


Progress = Callable[[Step], object]


@dataclass(frozen=True)
class Fetched:
    """A picture, or another file, that a workflow made."""

    name: str  # in the server's folder
    subfolder: str
    kind: str  # "output", or "temp" for a preview
    node: str  # the id of the node that made it
    content: bytes  # the file

    def to_pil(self) -> Image.Image:
        from PIL import Image

        return Image.open(io.BytesIO(self.content))

    def save(self, path: str | Path) -> Path:
        """The file as the server wrote it, workflow and all."""
        Path(path).write_bytes(self.content)
        return Path(path)


@dataclass(frozen=True)
class Run:
    """What a prompt came to."""

    prompt_id: str
    pictures: tuple[Fetched, ...]
    outputs: Mapping[str, Any]  # node id -> what ComfyUI's history says of it
    seconds: float  # from queueing to the last picture
    files: tuple[Fetched, ...] = ()  # what else was saved, such as a PDF


class Job:
    """A prompt in the queue of a server. `Client.queue` makes one."""

    def __init__(self, client: Client, workflow: Workflow, socket: aiohttp.ClientWebSocketResponse, client_id: str):
        self.prompt_id = str(uuid.uuid4())
        self.workflow = workflow
        self._client, self._client_id = client, client_id
        self._socket: aiohttp.ClientWebSocketResponse | None = socket
        self._cancelled = False
        self._end_heard = False  # of its messages
        self._begun = time.monotonic()

    async def cancel(self) -> None:
        """Take this prompt from the queue, or stop it where it runs. Other prompts are left alone.

        Returns when it has stopped, or after 5 s, when a node is busy with what cannot be interrupted.
        """
        self._cancelled = True
        deadline = time.monotonic() + STOPPING
        while True:
            await self._client._post("/queue", {"delete": [self.prompt_id]})
            await self._client._post("/interrupt", {"prompt_id": self.prompt_id})
            if not await self._is_queued() or time.monotonic() > deadline:
                return
            await asyncio.sleep(0.1)  # and again: ComfyUI forgets an interrupt that comes just as a prompt begins

    async def result(self, progress: Progress | None = None) -> Run:
        """Wait until it is done, through lost connections, and fetch the pictures.

        Raises ExecutionFailed, Cancelled, PromptLost, or ConnectionLost where the server stays away longer than the
        client's patience.
        """
        try:
            entry = await self._finished(progress)
        finally:
            await self._hang_up()
        self._require_success(entry)
        outputs = entry.get("outputs", {})
        own = self.workflow.result
        shown = {own: outputs.get(own, {})} if own else outputs
        listed = [(node, image) for node, output in shown.items() for image in output.get("images", ())]
        saved = [pair for pair in listed if pair[1].get("type") == "output"] or listed
        pictures = [await self._fetched(node, image) for node, image in saved]
        files = [await self._fetched(node, file) for node, output in shown.items() for file in output.get("files", ())]
        return Run(self.prompt_id, tuple(pictures), outputs, time.monotonic() - self._begun, tuple(files))

    async def _fetched(self, node: str, image: Mapping[str, str]) -> Fetched:
        away_since = None
        while True:
            try:
                return await self._client._fetch(node, image)
            except ConnectionLost:
                away_since = away_since or time.monotonic()
                await self._client._be_patient(away_since)

    async def _hang_up(self) -> None:
        if self._socket is not None:
            await self._socket.close()
            self._socket = None

    async def _finished(self, progress: Progress | None) -> dict[str, Any]:
        """The history's entry. Listens, and looks for itself whenever it is silent or was cut off."""
        away_since: float | None = None
        while True:
            try:
                if self._socket is None:
                    self._socket = await self._client._listen(self._client_id)
                while True:
                    if (entry := await self._history_entry()) is not None:
                        if progress is not None and not self._end_heard:  # what came while the history was asked
                            await self._listen_until_news(self._socket, progress, LAST_NEWS)
                        return entry
                    away_since = None
                    if not await self._listen_until_news(self._socket, progress, HISTORY_INTERVAL):
                        break
            except ConnectionLost:
                pass  # the server may come back
            await self._hang_up()
            away_since = away_since or time.monotonic()
            await self._client._be_patient(away_since)

    async def _listen_until_news(
        self, socket: aiohttp.ClientWebSocketResponse, progress: Progress | None, patience: float
    ) -> bool:
        """Pass on progress until this prompt has ended or nothing was heard of it for a while; False: the line is dead."""
        import aiohttp

        deadline = time.monotonic() + patience
        while True:
            try:
                message = await asyncio.wait_for(socket.receive(), max(0.0, deadline - time.monotonic()))
            except asyncio.TimeoutError:
                return not socket.closed
            if message.type == aiohttp.WSMsgType.BINARY:  # a preview; they go to this prompt's client alone
                deadline = time.monotonic() + patience
                continue
            if message.type != aiohttp.WSMsgType.TEXT:
                return False
            news = json.loads(message.data)
            data = news.get("data") or {}
            if data.get("prompt_id") != self.prompt_id:  # the queue's length, which a busy server tells all the time
                continue
            deadline = time.monotonic() + patience
            kind = news.get("type")
            if kind == "progress" and progress is not None and data.get("node") is not None:
                progress(Step(data["node"], self.workflow.title(data["node"]), data["value"], data["max"]))
            elif kind == "executing" and data.get("node") is not None and progress is not None:
                progress(Step(data["node"], self.workflow.title(data["node"]), 0, 1))
            elif kind == "executing" or kind in ("execution_error", "execution_interrupted"):
                self._end_heard = True
                return True

    async def _history_entry(self) -> dict[str, Any] | None:
        """The history's entry, or None while the prompt waits or runs."""
        for _ in range(2):  # it may have ended between the two questions
            history = await self._client._get(f"/history/{self.prompt_id}")
            if self.prompt_id in history:
                return history[self.prompt_id]
            if await self._is_queued():
                return None
        if self._cancelled:
            raise Cancelled("cancelled before it began")
        raise PromptLost(f"{self._client.url} knows nothing of the prompt: restarted, or deleted from its queue")

    async def _is_queued(self) -> bool:
        """Whether it waits or runs."""
        queue = await self._client._get("/queue")
        return any(item[1] == self.prompt_id for item in (*queue["queue_running"], *queue["queue_pending"]))

    def _require_success(self, entry: dict[str, Any]) -> None:
        status = entry.get("status") or {}
        for kind, data in status.get("messages", ()):
            if kind == "execution_error":
                raise ExecutionFailed(data["node_id"], data["node_type"], str(data["exception_message"]).strip())
            if kind == "execution_interrupted":
                raise Cancelled(f"cancelled in {data['node_type']} ({data['node_id']})")
        if status.get("status_str") != "success":
            raise ExecutionFailed("?", "ComfyUI", f"it ended with status {status.get('status_str')!r}")


class Client:
    """A connection to one ComfyUI, used as `async with Client("http://127.0.0.1:8188") as comfy:`.

    headers go with every request (a proxy's Authorization, say). patience: seconds that the server may be out of reach
    while a prompt runs. Raises InputError for a URL that is not http or https.
    """

    def __init__(
        self, url: str = "http://127.0.0.1:8188", *, headers: Mapping[str, str] | None = None, patience: float = 60
    ):
        parts = urlsplit(url)
        if parts.username or parts.password:
            raise InputError("url", parts.hostname, "a URL without a name and password; they go into headers")
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise InputError("url", url, "a URL such as http://127.0.0.1:8188")
        if not patience > 0:
            raise InputError("patience", patience, "seconds, more than 0")
        self.url, self.patience = url.rstrip("/"), patience
        self._headers = dict(headers or {})
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Client:
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT, sock_read=SILENCE)
        self._session = aiohttp.ClientSession(headers=self._headers, timeout=timeout)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def run(
        self,
        workflow: str | Path | Mapping[str, Any],
        /,
        *,
        progress: Progress | None = None,
        timeout: float | None = None,
        inputs: Mapping[str, Any] | None = None,
        **parameters: Any,
    ) -> Run:
        """Queue a workflow, wait for it and fetch its pictures.

        workflow: the name of a bundled one (`workflow_names`), or one of your own in API format. parameters: by the names
        that `load_workflow(name).parameters` lists; pictures are files, bytes or Pillow pictures. inputs: any other
        input, as {"NODE.INPUT": value}. progress is called with every `Step`. timeout: seconds for all of it.

        A run that is not waited for to its end (timeout, cancelled task, an exception in progress) is cancelled on the
        server. Raises InputError, Refused and what `Job.result` raises.
        """
        whole = self._run(workflow, progress, inputs, parameters)
        if timeout is None:
            return await whole
        try:
            return await asyncio.wait_for(whole, timeout)
        except asyncio.TimeoutError:
            raise RunTimeout(f"not done within {timeout:g} s; cancelled") from None

    async def _run(self, workflow: Any, progress: Progress | None, inputs: Any, parameters: Mapping[str, Any]) -> Run:
        job = await self.queue(workflow, inputs=inputs, **parameters)
        try:
            return await job.result(progress)
        except (ExecutionFailed, Cancelled, PromptLost):
            raise
        except BaseException:
            await self._give_up(job)
            raise

    async def queue(
        self, workflow: str | Path | Mapping[str, Any], /, *, inputs: Mapping[str, Any] | None = None, **parameters: Any
    ) -> Job:
        """Upload the pictures and queue the workflow; the inputs are those of `run`. The job goes on by itself."""
        chosen = load_workflow(workflow)
        check_names(chosen, parameters, inputs or {})
        values = {}
        for name, value in parameters.items():
            takes = chosen.parameters[name].takes
            if takes == "picture":
                value = await self.upload(value, name)
            elif takes == "pictures":
                if not isinstance(value, (list, tuple)) or not value:
                    raise InputError(name, value, "a list of pictures")
                value = [await self.upload(one, name) for one in value]
            values[name] = value
        prompt = fill(chosen, values, inputs or {})
        client_id = uuid.uuid4().hex
        job = Job(self, chosen, await self._listen(client_id), client_id)  # listening first: no message is missed
        try:
            body = {"prompt": prompt, "client_id": client_id, "prompt_id": job.prompt_id}
            posting = asyncio.ensure_future(self._post("/prompt", body, chosen))
            try:
                answer = await asyncio.shield(posting)
            except Refused:
                raise
            except BaseException:  # the server may have taken it all the same
                await self._give_up(job, posting)
                raise
            if answer.get("node_errors"):  # ComfyUI goes on without the outputs that they belong to
                await self._give_up(job)
                raise _refusal(answer, chosen)
        except BaseException:
            await job._hang_up()
            raise
        return job

    async def _give_up(self, job: Job, posting: asyncio.Future[Any] | None = None) -> None:
        """Cancel a job as far as that goes within 10 s; what made its caller give up is what he shall hear of.

        `posting` is the prompt's own way to the server, which is waited for: what is not in the queue yet cannot be
        taken from it.
        """

        async def cancel() -> None:
            if posting is not None:
                await asyncio.wait([posting], timeout=LEAVING / 2)
                if not posting.done():
                    posting.cancel()
                elif isinstance(posting.exception(), Refused):
                    return
            await job.cancel()

        with contextlib.suppress(ClientError, asyncio.TimeoutError):
            await asyncio.shield(asyncio.wait_for(cancel(), LEAVING))

    async def _be_patient(self, away_since: float) -> None:
        """Wait a little; raise ConnectionLost where the server has been away for longer than the client's patience."""
        if time.monotonic() - away_since > self.patience:
            raise ConnectionLost(f"{self.url} has been away for {self.patience:g} s")
        await asyncio.sleep(min(1.0, self.patience / 10))

    async def upload(self, picture: Picture, name: str = "picture") -> str:
        """A picture into ComfyUI's input folder; its name there. The same picture is kept once.

        `name` is what an InputError calls it: for a file that is missing, and for what is no picture.
        """
        import aiohttp

        content, suffix = file_of(name, picture)
        form = aiohttp.FormData()
        file_name = hashlib.sha256(content).hexdigest()[:32] + suffix
        form.add_field("image", content, filename=file_name, content_type="application/octet-stream")
        form.add_field("subfolder", SUBFOLDER)
        answer = await self._request("POST", "/upload/image", data=form)
        return f"{answer['subfolder']}/{answer['name']}"

    async def _listen(self, client_id: str) -> aiohttp.ClientWebSocketResponse:
        import aiohttp

        try:
            return await self._opened.ws_connect(f"{self.url}/ws?clientId={client_id}", max_msg_size=LARGEST_MESSAGE)
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
            raise ConnectionLost(f"{self.url} cannot be reached: {error or type(error).__name__}") from error

    @property
    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("use it as: async with Client(...) as comfy")
        return self._session

    async def _get(self, path: str) -> Any:
        return await self._request("GET", path)

    async def _post(self, path: str, body: Any, workflow: Workflow | None = None) -> Any:
        return await self._request("POST", path, workflow, json=body)

    async def _request(self, method: str, path: str, workflow: Workflow | None = None, **content: Any) -> Any:
        """The answer's JSON; None for an empty one. Raises Refused for an answer of 300 and above."""
        body, status = await self._bytes(method, path, **content)
        try:
            answer = json.loads(body) if body.strip() else None
        except ValueError:
            answer = None
        if status >= 300:
            if workflow is not None and isinstance(answer, dict):
                raise _refusal(answer, workflow)
            raise Refused(f"{method} {path.split('?')[0]}: the server answers {status}")
        if answer is None and body.strip():
            raise Refused(f"{method} {path.split('?')[0]}: no JSON; is {self.url} a ComfyUI?")
        return answer

    async def _bytes(self, method: str, path: str, **content: Any) -> tuple[bytes, int]:
        """An answer's body and status. Raises ConnectionLost, also for the answer of a proxy without a server."""
        import aiohttp

        try:
            async with self._opened.request(method, self.url + path, allow_redirects=False, **content) as answer:
                body, status = await answer.read(), answer.status
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
            raise ConnectionLost(f"{self.url} cannot be reached: {error or type(error).__name__}") from error
        if status in AWAY:
            raise ConnectionLost(f"{self.url} cannot be reached: its proxy answers {status}")
        return body, status

    async def _fetch(self, node: str, image: Mapping[str, str]) -> Fetched:
        where = {"filename": image["filename"], "subfolder": image["subfolder"], "type": image["type"]}
        body, status = await self._bytes("GET", "/view", params=where)
        if status != 200:
            raise Refused(f"picture {image['filename']}: the server answers {status}")
        return Fetched(image["filename"], image["subfolder"], image["type"], node, body)


def _refusal(answer: Mapping[str, Any], workflow: Workflow) -> Refused:
    """ComfyUI's refusal of a prompt: which input of which node, and by which parameter it was set."""
    problems = []
    for node, entry in (answer.get("node_errors") or {}).items():
        for error in entry.get("errors", ()):
            name = str((error.get("extra_info") or {}).get("input_name") or "")
            message = ": ".join(filter(None, (error.get("message"), error.get("details"))))
            parameter = workflow.parameter_of(node, name)
            problems.append(Problem(node, entry.get("class_type", ""), name, message, parameter))
    error = answer.get("error")
    if isinstance(error, Mapping):
        text = ": ".join(filter(None, (error.get("message"), error.get("details"))))
        if error.get("type") == "missing_node_type":
            text += " (is ComfyUI-Storefront installed on the server?)"
    else:
        text = str(error or "the server refused the workflow")
    return Refused(text, problems)
