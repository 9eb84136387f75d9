"""`Client` for programs without an event loop: the same, waited for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..studio.loop_thread import LoopThread
from .connection import LEAVING, Client, Job, Progress, Run

if TYPE_CHECKING:
    from .pictures import Picture


class SyncJob:
    """A prompt in the queue of a server. `SyncClient.queue` makes one."""

    def __init__(self, client: SyncClient, job: Job):
        self._client, self._job = client, job
        self.prompt_id = job.prompt_id

    def result(self, progress: Progress | None = None) -> Run:
        """As `Job.result`; progress is called in another thread."""
        return self._client._loop.wait_for(self._job.result(progress))

    def cancel(self) -> None:
        """As `Job.cancel`; from any thread."""
        self._client._loop.wait_for(self._job.cancel())


class SyncClient:
    """`Client` without async: `with SyncClient("http://127.0.0.1:8188") as comfy:`. May be used from several threads."""

    def __init__(
        self, url: str = "http://127.0.0.1:8188", *, headers: Mapping[str, str] | None = None, patience: float = 60
    ):
        self._client = Client(url, headers=headers, patience=patience)
        self._loop = LoopThread("storefront client", "use it as: with SyncClient(...) as comfy", LEAVING + 1)

    def __enter__(self) -> SyncClient:
        self._loop.start()
        self._loop.wait_for(self._client.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.wait_for(self._client.__aexit__())
        self._loop.stop()

    def run(
        self,
        workflow: str | Path | Mapping[str, Any],
        /,
        *,
        progress: Progress | None = None,
        timeout: float | None = None,
        inputs: Mapping[str, Any] | None = None,
        **parameters: Any,
    ) -> Run:
        """As `Client.run`; progress is called in another thread. Ctrl+C cancels the prompt, which takes 10 s at most."""
        return self._loop.wait_for(
            self._client.run(workflow, progress=progress, timeout=timeout, inputs=inputs, **parameters)
        )

    def queue(
        self, workflow: str | Path | Mapping[str, Any], /, *, inputs: Mapping[str, Any] | None = None, **parameters: Any
    ) -> SyncJob:
        """As `Client.queue`."""
        return SyncJob(self, self._loop.wait_for(self._client.queue(workflow, inputs=inputs, **parameters)))

    def upload(self, picture: Picture, name: str = "picture") -> str:
        """As `Client.upload`."""
        return self._loop.wait_for(self._client.upload(picture, name))
