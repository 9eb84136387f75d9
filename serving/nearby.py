"""How calls of the transformer travel: a text's embeddings once a server, tensors in memory where the server is on this machine."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

from . import region, stages, wire
from .errors import ServingError

if TYPE_CHECKING:
    import torch

KEPT_BYTES = 128 << 20  # of embeddings that were sent, to know them again: 16 prompts of FLUX.1's 512 tokens
MOST_KNOWN = 4096  # hashes of them by server
_EMBEDS, _LATENTS = "t5_embeds", "latents"
# (inputs, outputs) -> the answer of one server
Ask: TypeAlias = Callable[[Mapping[str, wire.Value], Sequence[str]], Awaitable[dict[str, wire.Value]]]


def is_near(url: str) -> bool:
    """Whether an address is one of this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def numbers(tensor: torch.Tensor) -> wire.Value:
    """As it travels, not copied where it is float32 or int64 and in order."""
    import torch

    whole = tensor.dtype == torch.int64
    array = (tensor if whole else tensor.float()).detach().cpu().contiguous().numpy()
    data = memoryview(array).cast("B") if array.size else b""
    return wire.Value("INT64" if whole else "FP32", tuple(tensor.shape), data)


class Sent:
    """Embeddings of texts that were sent: each row's hash, made once."""

    def __init__(self, most: int = KEPT_BYTES):
        self._rows: OrderedDict[str, torch.Tensor] = OrderedDict()
        self._most, self._bytes = most, 0

    def hashes(self, rows: torch.Tensor) -> list[str]:
        """SHA-256 of the numbers of each row [S, D]. Rows are compared whole, by their bits: that is faster than to hash them."""
        return [self._hash(row) for row in rows]

    def _hash(self, row: torch.Tensor) -> str:
        import torch

        bits = row.view(torch.int32)
        for known, kept in reversed(self._rows.items()):
            if kept.shape == bits.shape and torch.equal(kept, bits):
                self._rows.move_to_end(known)
                return known
        made = stages.t5_hash(row)
        self._rows[made] = bits.clone()
        self._bytes += bits.numel() * 4
        while self._bytes > self._most:
            self._bytes -= self._rows.popitem(last=False)[1].numel() * 4
        return made


class Nearby:
    """What a client knows of its servers. Used in the thread of its loop."""

    def __init__(self) -> None:
        self._regions, self._sent = region.Regions(), Sent()
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()  # (url, hash)
        self._plain: set[str] = set()  # servers that cannot open a region
        self._whole: set[str] = set()  # servers that know neither region nor hash: an older version

    def close(self) -> None:
        """Give the memory back."""
        self._regions.close()

    async def transformer(self, url: str, tensors: Mapping[str, torch.Tensor], ask: Ask) -> wire.Value:
        """One call: noise_pred, with the shape of latents. Raises what `ask` raises."""
        given = {name: tensor.detach().cpu() for name, tensor in tensors.items()}
        hashes: list[str] = []
        if _EMBEDS in given and url not in self._whole:
            given[_EMBEDS] = given[_EMBEDS].float().contiguous()
            hashes = self._sent.hashes(given[_EMBEDS])
        values = {name: numbers(tensor) for name, tensor in given.items()}
        embeds_again = False
        while True:
            hashes = [] if url in self._whole else hashes
            by_hash = bool(hashes) and not embeds_again and all((url, one) in self._known for one in hashes)
            in_region = url not in self._plain and is_near(url) and region.available()
            try:
                return await self._once(url, values, hashes, by_hash, in_region, ask)
            except ServingError as error:
                # By what this call sent: another call may have learned the same meanwhile.
                text = str(error)
                if by_hash and f"`{stages.T5_HASH}`" in text and stages.EMBEDS_AGAIN in text:
                    for one in hashes:
                        self._known.pop((url, one), None)
                    embeds_again = True
                elif in_region and f"`{stages.REGION}`" in text and region.CANNOT in text:
                    self._plain.add(url)
                elif (hashes or in_region) and _is_of_an_older_version(text):
                    self._whole.add(url)
                    self._plain.add(url)
                else:
                    raise

    async def _once(
        self,
        url: str,
        values: Mapping[str, wire.Value],
        hashes: list[str],
        by_hash: bool,
        in_region: bool,
        ask: Ask,
    ) -> wire.Value:
        inputs, texts = dict(values), {}
        if hashes:
            texts[stages.T5_HASH] = wire.Value.texts(hashes)
        if by_hash:
            del inputs[_EMBEDS]
        found = await self._in_region(inputs, texts, values[_LATENTS], ask) if in_region else None
        if found is None:
            answer = await ask({**inputs, **texts}, [stages.OUTPUT_OF[stages.TRANSFORMER]])
            found = answer.get(stages.OUTPUT_OF[stages.TRANSFORMER], wire.Value("", (), b""))
        self._remember(url, hashes)
        return found

    async def _in_region(
        self, inputs: Mapping[str, wire.Value], texts: dict[str, wire.Value], latents: wire.Value, ask: Ask
    ) -> wire.Value | None:
        """None where there is no memory for it."""
        size = len(latents.data)
        with self._regions.taken(region.room(inputs, size), ServingError) as taken:
            if taken is None:
                return None
            count = latents.shape[0]
            noted = wire.Value.texts([taken.put(inputs, size), *[""] * (count - 1)])
            answer = await ask({**texts, stages.REGION: noted}, [stages.IN_REGION])
            told = answer.get(stages.IN_REGION)
            if (
                told is None
                or told.dtype != "INT64"
                or bytes(told.data) != (size // count).to_bytes(8, "little") * count
            ):
                raise wire.WireError("the answer is not in the region")
            return wire.Value("FP32", latents.shape, taken.answer())

    def _remember(self, url: str, hashes: list[str]) -> None:
        for one in hashes:
            self._known[url, one] = None
            self._known.move_to_end((url, one))
        while len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)


def _is_of_an_older_version(error: str) -> bool:
    """Whether a stage was given what it does not know."""
    return "unexpected inference" in error and any(
        name in error for name in (stages.REGION, stages.T5_HASH, stages.IN_REGION)
    )
