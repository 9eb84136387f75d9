"""Runs of the sampler that were cut off, kept so that a later run goes on: in the LATENT, and in files where that is asked for."""

from __future__ import annotations

import contextlib
import logging
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import comfy.k_diffusion.sampling
import comfy.samplers
import torch

from ..studio import atomic
from ..studio.errors import Bare, InputError
from ..studio.sampling.unfinished import NAMES, Trace, Unfinished, trace
from . import user_files

log = logging.getLogger(__name__)

STATE = "storefront_unfinished"  # in a LATENT
MOST_UNFINISHED, MOST_KEPT_BYTES, MOST_KEPT_DAYS = 8, 512 * 2**20, 14
SHARE = 0.05  # of the time, which writing may take
_COMPARED = 64  # weights of a model


def folder() -> Path:
    """Of the unfinished pictures: no route of ComfyUI reads or writes it."""
    return user_files.folder() / "unfinished"


def traces(model: Any, positive: list, negative: list, start: torch.Tensor, **others: Any) -> dict[str, Trace]:
    """By what a picture is known again, in the order in which a difference is named."""
    return {
        "model": _of_model(model),
        "positive": trace(positive),
        "negative": trace(negative),
        "size": trace(list(start.shape)),
        "latent": trace(start),
        **{name: trace(value) for name, value in others.items()},
    }


def _of_model(model: Any) -> Trace:
    """Names, shapes and some numbers of the weights as they are without LoRAs; then the LoRAs; then what else was patched."""
    weights = dict(model.model.diffusion_model.named_parameters(prefix="diffusion_model"))
    every = sorted(weights)
    shapes = [f"{name} {list(weights[name].shape)}" for name in every]
    some = [_unpatched(model, name, weights[name]) for name in every[:: max(len(every) // _COMPARED, 1)]]
    loras = [[name, [patch[:3] for patch in model.patches[name]]] for name in sorted(model.patches, key=str)]
    wrapped = sorted(str(key) for kinds in model.wrappers.values() for key in kinds if key is not None)
    return trace(shapes, some, loras, model.model_options, wrapped, sorted(model.object_patches))


def _unpatched(model: Any, name: str, weight: torch.Tensor) -> torch.Tensor:
    kept = model.backup.get(name)
    return (weight if kept is None else kept.weight).detach()


class Cut(NamedTuple):
    """What a LATENT that a time limit cut off carries."""

    state: Unfinished
    shown: torch.Tensor  # its samples, by which it is seen that no node has changed them


def split(latent: dict[str, Any], resume: bool) -> tuple[dict[str, Any], Unfinished | None]:
    """A LATENT without what it carries of a run that was cut off; with `resume`, the LATENT that the run began with, and it.

    Raises InputError for one that another node has changed since.
    """
    cut = latent.get(STATE)
    plain = {key: value for key, value in latent.items() if key != STATE}
    if not isinstance(cut, Cut) or not resume:
        return plain, None
    samples = plain.get("samples")
    if not isinstance(samples, torch.Tensor) or samples.shape != cut.shown.shape or not samples.equal(cut.shown):
        cure = "Connect the sampler's own LATENT to go on with it, or set `resume` to off to draw over what it shows."
        raise InputError("latent", Bare("an unfinished picture that another node has changed or resized"), cure=cure)
    return {**plain, "samples": cut.state.start}, cut.state


class Kept:
    """What is kept of one run after each of its steps, and what an earlier one left."""

    def __init__(self, levels: torch.Tensor, start: torch.Tensor):
        self.levels, self.start = levels, start
        self.notes: list[str] = []
        self._traces: dict[str, Trace] = {}
        self._before: Unfinished | None = None
        self._file: StateFile | None = None
        self._last: tuple[int, torch.Tensor, torch.Tensor] | None = None

    def begin(self, known: dict[str, Trace], before: Unfinished | None, in_file: bool) -> None:
        """Look for what an earlier run left. Raises InputError where `before`, of the LATENT, is of another picture."""
        self._traces, self._before = known, before
        if before is not None:
            before.require_same(self.levels, known)
        if in_file:
            self._file, found, note = find(self.levels, known)
            self.note(note)
            if found is not None and (before is None or found.step > before.step):
                self._before = found
        if self._before is not None:
            self.note(f"went on after {self._before.step} of {len(self.levels) - 1} steps")

    def note(self, text: str) -> None:
        if text:
            self.notes.append(text)

    def sampler(self) -> comfy.samplers.KSAMPLER:
        """ComfyUI's Euler; from where the run before ended, if there was one. Masks see the whole schedule all the same."""
        before, euler = self._before, comfy.k_diffusion.sampling.sample_euler
        if before is None:
            return comfy.samplers.ksampler("euler")

        def going_on(model: Any, x: torch.Tensor, sigmas: torch.Tensor, callback: Any = None, **options: Any) -> Any:
            def counted(told: dict[str, Any]) -> None:
                callback({**told, "i": told["i"] + before.step})

            return euler(model, before.x.to(x), sigmas[before.step :], callback=counted, **options)

        return comfy.samplers.KSAMPLER(going_on)

    def after(self, step: int, prediction: torch.Tensor, x: torch.Tensor) -> None:
        """Step `step` (from 0), which began with `x`, is done."""
        self._last = (step, prediction, x)
        if self._file is not None and self._file.is_due():
            self._file.keep(self.state())

    def state(self) -> Unfinished | None:
        """After the last step; where none was done, what an earlier run left. None where nothing is left to do."""
        if self._last is None:
            return self._before
        step, prediction, x = self._last
        if step + 2 >= len(self.levels):
            return None
        levels = self.levels.to(x)
        after = x + (x - prediction) / levels[step] * (levels[step + 1] - levels[step])  # Euler's step
        return Unfinished(after.float().cpu(), step + 1, self.levels.float().cpu(), self.start, self._traces)

    def left(self, shown: torch.Tensor) -> dict[str, Any]:
        """For the LATENT of a run that was cut off, whose samples are `shown`."""
        state = self.state()
        return {} if state is None else {STATE: Cut(state, shown)}

    @contextlib.contextmanager
    def file_at_hand(self) -> Iterator[None]:
        """The state is in its file when the run ends early, whatever ends it; after the last step there is no file."""
        try:
            yield
        finally:
            if self._file is not None:
                self._file.keep(self.state())


class StateFile:
    """Where a run keeps its state meanwhile. An error of the disk costs the file, never the picture."""

    def __init__(self, path: Path):
        self.path = path
        self._next = 0.0

    def is_due(self) -> bool:
        """Whether enough time has gone by since the last one: writing takes no more than SHARE of it."""
        return time.monotonic() >= self._next

    def keep(self, state: Unfinished | None) -> None:
        """None: the picture is finished, and the file goes."""
        began = time.monotonic()
        try:
            if state is None:
                self.path.unlink(missing_ok=True)
            else:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                atomic.write(self.path, state.to_bytes(), 0o600)
        except OSError as error:
            log.warning("Storefront: an unfinished picture could not be kept: %s", error)
        self._next = time.monotonic() + (time.monotonic() - began) / SHARE


def find(levels: torch.Tensor, known: dict[str, Trace]) -> tuple[StateFile, Unfinished | None, str]:
    """The file of the same picture, what it holds, and a note on one that nearly was it; else a new file and None."""
    tidy()
    note = ""
    for path, state in _kept():
        other = state.first_difference(levels, known)
        if other is None:
            return StateFile(path), state, ""
        if state.traces["seed"].like(known["seed"]):
            note = f"an unfinished picture of this seed has another {NAMES.get(other, other)}: drawn from the beginning"
    return StateFile(folder() / f"{secrets.token_hex(8)}.safetensors"), None, note


def _kept() -> Iterator[tuple[Path, Unfinished]]:
    """Readable ones, the newest first."""
    for path in _files():
        try:
            state = Unfinished.from_bytes(path.read_bytes())
        except (OSError, InputError) as error:
            log.warning("Storefront: %s cannot be gone on with: %s", path.name, error)
            continue
        if "seed" in state.traces:
            yield path, state


def _files() -> list[Path]:
    try:
        found = [(path.stat().st_mtime, path) for path in folder().glob("*.safetensors") if path.is_file()]
    except OSError:
        return []
    return [path for _, path in sorted(found, reverse=True)]


def tidy() -> None:
    """Remove what is old, too many or too large, and what a killed process had half written."""
    size = 0
    for number, path in enumerate(_files()):
        with contextlib.suppress(OSError):
            size += path.stat().st_size
            old = time.time() - path.stat().st_mtime > MOST_KEPT_DAYS * 86_400
            if old or number >= MOST_UNFINISHED or size > MOST_KEPT_BYTES:
                path.unlink()
    with contextlib.suppress(OSError):
        for path in folder().glob(".*.tmp"):
            if time.time() - path.stat().st_mtime > 3600:
                path.unlink()
