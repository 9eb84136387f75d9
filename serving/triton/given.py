"""What a request to a stage holds: the tensors in it, those in a client's memory, and embeddings that were sent before."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch

from ...studio.errors import Bare, InputError
from .. import stages
from ..region import Opened

# Given once for a batch by diffusers' class: only rows whose values are the same can be drawn together.
SHARED_INPUTS = ("latent_image_ids", "text_ids")
EMBEDS_BYTES = 256 << 20  # of T5's embeddings that are kept: 32 prompts of FLUX.1's 512 tokens
EMBEDS = "t5_embeds"
_DTYPES = {"FP32": torch.float32, "INT64": torch.int64}


class Given(NamedTuple):
    """One request."""

    tensors: dict[str, torch.Tensor]  # name -> [B, ...]
    region: str | None = None  # names the memory that the answer goes to


class Embeds:
    """T5's embeddings of a row, by the SHA-256 of their numbers; those that were not used for longest go."""

    def __init__(self, most: int = EMBEDS_BYTES):
        self._rows: OrderedDict[str, torch.Tensor] = OrderedDict()
        self._most, self.bytes = most, 0

    def keep(self, rows: torch.Tensor) -> None:
        """[B, S, D]. The hash is made here: a client's word for it would let it replace another's."""
        for row in rows:
            found = stages.t5_hash(row)
            if found not in self._rows:
                self._rows[found] = row.clone()
                self.bytes += row.numel() * row.element_size()
        while self.bytes > self._most:
            _, gone = self._rows.popitem(last=False)
            self.bytes -= gone.numel() * gone.element_size()

    def rows(self, hashes: Sequence[str]) -> torch.Tensor:
        """[B, S, D]. Raises InputError for one that is not there."""
        if not all(one in self._rows for one in hashes):
            raise InputError(stages.T5_HASH, Bare("unknown to this server"), stages.EMBEDS_AGAIN)
        for one in hashes:
            self._rows.move_to_end(one)
        rows = [self._rows[one] for one in hashes]
        if any(row.shape != rows[0].shape for row in rows):
            raise InputError(stages.T5_HASH, Bare("of texts of several lengths"), "one length in a request")
        return torch.stack(rows)


def read(
    facts: stages.StageFacts,
    tensors: Mapping[str, torch.Tensor],
    texts: Mapping[str, Sequence[str]],
    embeds: Embeds,
    tokens: int,
) -> Given:
    """A request's tensors, wherever they are, checked. `tokens`: of the encoder's vocabulary. Raises InputError by name."""
    given, region = dict(tensors), next(iter(texts.get(stages.REGION, ())), None)
    if region is not None:
        given |= _in_region(facts, region)
    if stages.T5_HASH in texts:
        if EMBEDS in given:
            embeds.keep(given[EMBEDS])
        else:
            given[EMBEDS] = embeds.rows(texts[stages.T5_HASH])
    for wire in facts.inputs:
        if wire.name not in given:
            raise InputError(
                wire.name, Bare("missing"), f"{wire.dtype} with the dimensions {list(wire.dims)} in each row"
            )
    given = {wire.name: given[wire.name] for wire in facts.inputs}
    if any(len(rows) != len(next(iter(given.values()))) for rows in texts.values()):
        raise InputError(stages.REGION, Bare("of other rows than the tensors"), "a text for each row")
    _require_values(given, tokens)
    return Given(given, region)


def _in_region(facts: stages.StageFacts, text: str) -> dict[str, torch.Tensor]:
    """Of the region that a client names: what Triton would have checked is checked here."""
    wires = {wire.name: wire for wire in facts.inputs}
    found = {}
    with Opened(text) as region:
        for name in region.places:
            if name not in wires:
                raise InputError(name, Bare("in the region"), f"one of {', '.join(wires)}")
            dtype, shape, content = region.read(name)
            wire = wires[name]
            fits = len(shape) == len(wire.dims) + 1 and all(
                wanted in (stages.ANY_LENGTH, size) for wanted, size in zip(wire.dims, shape[1:])
            )
            if dtype != wire.dtype or not fits or not content:
                raise InputError(
                    name, Bare(f"{dtype} {list(shape)}"), f"{wire.dtype} {[stages.ANY_LENGTH, *wire.dims]}"
                )
            found[name] = torch.frombuffer(content, dtype=_DTYPES[dtype]).reshape(shape)
    counts = {len(value) for value in found.values()}
    if len(counts) > 1 or any(count > stages.ROWS_TOGETHER for count in counts):
        raise InputError(
            stages.REGION, Bare(f"rows {sorted(counts)}"), f"as many of each, at most {stages.ROWS_TOGETHER}"
        )
    return found


def _require_values(given: Mapping[str, torch.Tensor], tokens: int) -> None:
    counts = {name: len(value) for name, value in given.items()}
    if len(set(counts.values())) > 1:
        raise InputError(stages.REGION, Bare(f"rows of several counts: {counts}"), "as many of each")
    for name in SHARED_INPUTS:
        if name in given and not bool((given[name] == given[name][:1]).all()):
            raise InputError(name, Bare("not the same in all rows"), "requests of one row each, or the same values")
    for name, value in given.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise InputError(name, Bare("not finite"), "finite numbers")
    if "input_ids" in given:
        ids = given["input_ids"]
        if bool((ids < 0).any()) or bool((ids >= tokens).any()):
            raise InputError(
                "input_ids", Bare(f"{int(ids.min())} to {int(ids.max())}"), f"tokens from 0 to {tokens - 1}"
            )


def alike(given: Mapping[str, torch.Tensor]) -> tuple[object, ...]:
    """What is equal for requests that can be drawn together."""
    shapes = tuple((name, tuple(value.shape[1:])) for name, value in given.items())
    shared = [given[name][0].contiguous().numpy().tobytes() for name in SHARED_INPUTS if name in given]
    return (*shapes, *(hashlib.sha256(part).digest() for part in shared))
