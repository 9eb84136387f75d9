"""A stage without Triton: `python 1/model.py` in an exported repository. Prints shapes and times."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TypeVar

import torch

from ...studio.api.draw import text_to_image
from ...studio.api.load import DTYPES, load_model
from .. import stages
from .stage import StageModule, opened

_T = TypeVar("_T")
_CELLS, _TOKENS = 8, 128


def run(name: str, parameters: Mapping[str, str]) -> int:
    """Load one stage and give it something, twice: the first time is slower."""
    if name == stages.ORCHESTRATOR:
        return _draw(parameters)
    described = opened(parameters)
    device = torch.device("cuda" if parameters["dtype"] == "bf16" and torch.cuda.is_available() else "cpu")
    facts = next(facts for facts in stages.stages_of(described) if facts.name == name)
    stage = _timed("loaded", lambda: StageModule(facts, described, DTYPES[parameters["dtype"]], device))
    given = {wire.name: _example(wire) for wire in facts.inputs}
    for wire, value in zip(facts.inputs, given.values()):
        print(f"  {wire.name} {wire.dtype} {list(value.shape)}")
    for _ in range(2):
        out = _timed(name, lambda: stage.rows(given))
    print(f"  {facts.answer.name} {facts.answer.dtype} {list(out.shape)}")
    return 0


def _draw(parameters: Mapping[str, str]) -> int:
    """What the orchestrator draws, by the same steps over modules in this process."""
    model = _timed("loaded", lambda: load_model(parameters["model"], dtype=parameters["dtype"]))
    result = _timed("drawn", lambda: text_to_image("a red mug", steps=4, width=64, height=64, model=model))
    print(f"  images FP32 {list(result.image.shape)}")
    for stage in result.report.stages:
        print(f"  {stage.name} {stage.seconds:.3f} s")
    return 0


def _example(wire: stages.Wire) -> torch.Tensor:
    """One row of zeros."""
    dims = stages.row_dims(wire.name, wire.dims, _CELLS, _TOKENS)
    return torch.zeros(1, *dims, dtype=torch.int64 if wire.dtype == "INT64" else torch.float32)


def _timed(what: str, call: Callable[[], _T]) -> _T:
    began = time.perf_counter()
    result = call()
    print(f"{what}: {time.perf_counter() - began:.3f} s")
    return result
