"""The orchestrator, inside Triton: words (and a picture) in, pictures out, by the pack's own loop over the other stages.

Decoupled: each request is drawn in a thread of its own, so that the steps of many users meet in dit_transformer's batches.
Whatever is Triton's (requests, tensors, senders, metrics) is touched by the thread of its event loop alone: from several
threads at once, Triton 2.51 crashes.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple, TypeVar

import torch

from ...studio.api.draw import image_to_images, text_to_images
from ...studio.api.load import Model
from ...studio.api.result import Result, Step
from ...studio.errors import Bare, InputError
from ...studio.out_of_memory import ran_out
from ...studio.sampling.noise import SEED_COUNT
from .. import pictures, stages
from ..remote import StageError, StageOutOfMemory, studio_of
from . import stage as stage_side
from .orders import Limits, Orders
from .serve import DRAINING, DRAWINGS, STATE_FOLDER

log = logging.getLogger(__name__)
T = TypeVar("T")

MOST_DRAWINGS = 64  # at the same time
MOST_QUEUED = 256  # for one of those to finish; more are refused at once
CODE_INVALID, CODE_CANCELLED, CODE_INTERNAL = "INVALID_ARGUMENT", "CANCELLED", "INTERNAL"


class _GoneError(Exception):
    """The client has gone away, or cancelled."""


class _Loop:
    """Triton's event loop, for the threads that draw."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None

    def wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        """What a coroutine gives that runs in the loop."""
        assert self.loop is not None
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()

    def call(self, function: Callable[[], T]) -> T:
        """What a function gives in the loop's thread."""

        async def work() -> T:
            return function()

        return self.wait_for(work())


class BlsCall:
    """A `remote.Call` by Triton's business logic scripting: tensors stay in Triton's shared memory."""

    def __init__(self, utils: Any, loop: _Loop, outputs: Mapping[str, str]):
        self.utils, self.loop, self.outputs = utils, loop, outputs

    def __call__(self, stage: str, tensors: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The output of a stage. What fails for another reason than its inputs is tried once more. Raises StageError."""
        try:
            return self.loop.wait_for(self._once(stage, tensors))
        except StageError as error:
            if error.code != "UNAVAILABLE":
                raise
            log.warning("Storefront: tried once more: %s", error)
        return self.loop.wait_for(self._once(stage, tensors))

    async def _once(self, stage: str, tensors: Mapping[str, torch.Tensor]) -> torch.Tensor:
        inputs = [self.utils.Tensor.from_dlpack(name, value.detach().contiguous()) for name, value in tensors.items()]
        request = self.utils.InferenceRequest(
            model_name=stage, requested_output_names=[self.outputs[stage]], inputs=inputs
        )
        response = await request.async_exec()
        if response.has_error():
            raise self._explained(stage, response.error())
        output = self.utils.get_output_tensor_by_name(response, self.outputs[stage])
        # A copy: the buffer goes with the response.
        return torch.from_dlpack(output.to_dlpack()).clone()

    def _explained(self, stage: str, error: Any) -> StageError:
        message = error.message()
        if stage_side.OUT_OF_MEMORY in message:
            return StageOutOfMemory(stage_side.OUT_OF_MEMORY, stage, message)
        if error.code() == self.utils.TritonError.INVALID_ARG:
            return StageError(CODE_INVALID, stage, message)
        return StageError("UNAVAILABLE", stage, message)


class _Answer(NamedTuple):
    """What is sent last: outputs, or an error."""

    outputs: Mapping[str, Any] = {}  # name -> texts, whole numbers, or pictures
    code: str = ""
    error: str = ""


class _Drawing:
    """One request."""

    def __init__(self, model: Model, utils: Any, request: Any, loop: _Loop, most: Limits):
        self.model, self.utils, self.loop, self.most = model, utils, loop, most
        self.request, self.sender = request, request.get_response_sender()
        self._done: dict[tuple[int, int], tuple[int, int]] = {}  # (prompt, picture of it) -> steps done, steps
        self._lock = Lock()

    # --- in the loop's thread ---

    async def run(self, pool: ThreadPoolExecutor) -> None:
        """Draw in a thread and answer, whatever happens."""
        try:
            given = {wire.name: self._given(wire.name) for wire in stages.ORDERS.inputs}
            values = {name: value for name, value in given.items() if value is not None}
            answer = await asyncio.get_running_loop().run_in_executor(pool, self._answered, values)
        except Exception as error:
            answer = _internal(error)
        self.finish(answer)

    def finish(self, answer: _Answer) -> None:
        """Send the last response. Afterwards nothing of Triton's is held, by no thread that ends later."""
        try:
            final = self.utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
            self.sender.send(self._response(answer), flags=final)
        finally:
            self.request = self.sender = None

    def _given(self, name: str) -> Any:
        tensor = self.utils.get_input_tensor_by_name(self.request, name)
        return None if tensor is None else tensor.as_numpy().reshape(-1).copy()

    def _response(self, answer: _Answer) -> Any:
        codes = self.utils.TritonError
        if answer.code:
            status = {CODE_INVALID: codes.INVALID_ARG, CODE_CANCELLED: codes.CANCELLED, CODE_INTERNAL: codes.INTERNAL}
            error = codes(answer.error, status.get(answer.code, codes.UNAVAILABLE))
            return self.utils.InferenceResponse(error=error)
        return self.utils.InferenceResponse([self._tensor(*output) for output in answer.outputs.items()])

    def _tensor(self, name: str, value: Any) -> Any:
        import numpy as np

        if isinstance(value, torch.Tensor):
            return self.utils.Tensor.from_dlpack(name, value)
        if isinstance(value, int):
            return self.utils.Tensor(name, np.array([value], np.int32))
        return self.utils.Tensor(name, np.array([text.encode() for text in value], np.object_))

    def _tell_now(self, answer: _Answer) -> None:
        if self.sender is not None:
            self.sender.send(self._response(answer))

    def _is_cancelled(self) -> bool:
        return self.request is None or self.request.is_cancelled()

    # --- in threads ---

    def _answered(self, values: Mapping[str, Any]) -> _Answer:
        try:
            if self.loop.call(self._is_cancelled):  # while it waited for others to finish
                raise _GoneError
            orders = Orders(values, self.most)
            if orders.output == stages.TOKENS:
                return _Answer(self._tokens(orders))
            return _Answer(self._outputs(orders, self._drawn(orders)))
        except _GoneError:
            return _error(CODE_CANCELLED, "the client has gone away")
        except StageError as error:
            return _Answer(code=error.code, error=str(error))
        except InputError as error:
            if error.name == "latent":  # what the sampler calls an unfinished picture
                begun = "Draw with what that picture was begun with, or without `resume`."
                error = InputError("resume", Bare(error.shown), cure=begun)
            return _error(stage_side.OUT_OF_MEMORY if ran_out(error) else CODE_INVALID, str(error))
        except Exception as error:
            return _internal(error)

    def _tokens(self, orders: Orders) -> dict[str, Any]:
        """What the tokenizers make of the prompts, as JSON."""
        read = self.model.studio.tokenizer.tokenize(orders.prompts, max_tokens=orders.tokens)
        parts = {name: {"ids": one.ids.tolist(), "counts": one.counts, "cut": one.cut} for name, one in read.items()}
        return {**_status(stages.FINISHED, 0, 0), "tokens": [json.dumps(parts)]}

    def _drawn(self, orders: Orders) -> list[Result]:
        """Each prompt is drawn in its own thread, so that their steps meet in the transformer's batches."""
        options = orders.options()
        if len(orders.prompts) == 1:
            return self._of_prompt(orders, 0, options)
        with ThreadPoolExecutor(min(len(orders.prompts), stages.ROWS_TOGETHER)) as pool:
            parts = pool.map(lambda index: self._of_prompt(orders, index, options), range(len(orders.prompts)))
            return [result for part in list(parts) for result in part]

    def _of_prompt(self, orders: Orders, index: int, options: Mapping[str, Any]) -> list[Result]:
        def progress(step: Step) -> None:
            if self.loop.call(self._is_cancelled):
                raise _GoneError
            if step.stage == "sample":
                self._tell(orders, index, step)

        seed = (orders.seed + index) % SEED_COUNT
        shared = {**options, "seed": seed, "model": self.model, "progress": progress}
        prompt = orders.prompts[index]
        if orders.image is None:
            return list(text_to_images([prompt], images_per_prompt=orders.each, **shared))
        photos = [picture[None] for picture in orders.image]
        mask = None if orders.mask is None else orders.mask[:1]
        return list(image_to_images(photos, prompt, strength=orders.strength(), mask=mask, **shared))

    def _tell(self, orders: Orders, index: int, step: Step) -> None:
        """A response with the steps done of all pictures together, where the client asked for them."""
        with self._lock:
            self._done[index, step.picture] = (step.done, step.total)
            if not orders.progress or not step.done:
                return
            known = list(self._done.values())
            total = max(total for _, total in known) * orders.drawn_apart
            done = sum(done for done, _ in known)
            told = _Answer(_status(stages.DRAWING, done, total))
        self.loop.call(lambda: self._tell_now(told))

    def _outputs(self, orders: Orders, results: Sequence[Result]) -> dict[str, Any]:
        cut = [result.unfinished for result in results if result.unfinished is not None]
        known = list(self._done.values())
        done, total = sum(done for done, _ in known), sum(total for _, total in known)
        out = _status(stages.TIME_LIMIT if cut else stages.FINISHED, done, total)
        image = torch.cat([result.image for result in results])
        out["notes"] = list(dict.fromkeys(note for result in results for note in result.report.notes))
        if orders.output == "tensor":
            out["images"] = image.movedim(-1, 1).contiguous()
        else:
            out["files"] = pictures.to_text(image, orders.output)
        if cut and orders.drawn_apart == 1:
            out["unfinished"] = [base64.b64encode(cut[0].to_bytes()).decode("ascii")]
        return out


def _error(code: str, message: str) -> _Answer:
    """Errors in a stream carry no status, so the code begins the text."""
    return _Answer(code=code, error=f"{code}: {message}")


def _internal(error: Exception) -> _Answer:
    log.error("Storefront: bls", exc_info=error)
    return _error(CODE_INTERNAL, f"{type(error).__name__}: {error}")


def _status(status: str, done: int, total: int) -> dict[str, Any]:
    return {"status": [status], "steps_done": done, "steps": total}


class _Drawings:
    """How many are in progress, told to `serve` in a file; and whether no more may begin.

    No metric of Triton's: while several models load at once, 2.51 may wait for ever in making one.
    """

    def __init__(self) -> None:
        folder = os.environ.get(STATE_FOLDER)
        self._told = Path(folder, DRAWINGS) if folder else None
        self._stop = Path(folder, DRAINING) if folder else None
        self.count = 0

    @property
    def ending(self) -> bool:
        return self._stop is not None and self._stop.exists()

    def __enter__(self) -> None:
        self._add(1)

    def __exit__(self, *_: object) -> None:
        self._add(-1)

    def _add(self, change: int) -> None:
        self.count += change
        if self._told is not None:
            self._told.write_text(f"{self.count}\n")


class OrchestratorModel:
    """What Triton's Python backend calls."""

    def initialize(self, args: Mapping[str, str]) -> None:
        import triton_python_backend_utils as utils

        self.utils = utils
        parameters = stage_side.parameters_of(args)
        torch.set_num_threads(int(parameters["threads"]))
        described = stage_side.opened(parameters)
        outputs = {facts.name: facts.answer.name for facts in stages.stages_of(described)}
        self.loop = _Loop()
        studio = studio_of(described, BlsCall(utils, self.loop, outputs), int(parameters["side"]))
        self.model = Model(studio, described.name, described.licence)
        self.most = Limits(int(parameters["largest"]), self.model.side, described.family.max_tokens)
        self.drawings = _Drawings()
        self.pool = ThreadPoolExecutor(MOST_DRAWINGS)

    async def execute(self, requests: Sequence[Any]) -> None:
        """Each request is answered when it is drawn; others come in the meantime."""
        self.loop.loop = asyncio.get_running_loop()
        made = [_Drawing(self.model, self.utils, request, self.loop, self.most) for request in requests]
        await asyncio.gather(*map(self._drawn, made))

    async def _drawn(self, drawing: _Drawing) -> None:
        if self.drawings.ending:
            drawing.finish(_error("UNAVAILABLE", "the server is about to stop"))
        elif self.drawings.count >= MOST_DRAWINGS + MOST_QUEUED:
            drawing.finish(_error("UNAVAILABLE", f"{self.drawings.count} drawings wait already"))
        else:
            with self.drawings:
                await drawing.run(self.pool)

    def finalize(self) -> None:
        """Called when Triton unloads the model."""
        self.pool.shutdown(wait=False, cancel_futures=True)
