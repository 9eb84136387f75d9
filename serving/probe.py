"""Whether stages really work: an inference of each. A dead stub stays "ready" in Triton's own eyes for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from . import stages, wire
from .client import Client, ServingError

EVERY_STAGE = (stages.CLIP, stages.T5, stages.TRANSFORMER, stages.VAE_ENCODER, stages.VAE_DECODER)
_CELLS, _TOKENS = 4, 16


async def inference(client: Client, name: str) -> None:
    """The smallest inference of a stage, or a picture of one step. Raises ServingError where it fails."""
    if name == stages.ORCHESTRATOR:
        await client.draw("probe", width=64, height=64, steps=1)
        return
    described = await client.get(f"models/{name}/config")
    inputs = {one["name"]: _zeros(one) for one in described["input"] if one["data_type"] != "TYPE_STRING"}
    await client.infer(name, *wire.request(inputs, [stages.OUTPUT_OF[name]]))


def _zeros(tensor: Mapping[str, Any]) -> wire.Value:
    """One row for an input as Triton's configuration describes it."""
    dims = stages.row_dims(tensor["name"], [int(size) for size in tensor["dims"]], _CELLS, _TOKENS)
    return wire.Value.zeros(tensor["data_type"].removeprefix("TYPE_"), (1, *dims))


async def failing(
    url: str, seconds: float, names: tuple[str, ...] = (*EVERY_STAGE, stages.ORCHESTRATOR)
) -> dict[str, str]:
    """Stage -> what went wrong, of those that did not answer within `seconds`; {} where all work."""
    wrong = {}
    async with Client(url, seconds=seconds) as client:
        for name in names:
            try:
                await asyncio.wait_for(inference(client, name), seconds)
            except (ServingError, asyncio.TimeoutError) as error:
                wrong[name] = str(error) or f"no answer within {seconds:g} s"
    return wrong
