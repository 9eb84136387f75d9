"""The inference protocol of Triton over HTTP (KServe v2 with its binary extension), without torch and numpy."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

HEADER_LENGTH = "Inference-Header-Content-Length"
ITEM_BYTES = {"FP32": 4, "INT64": 8}  # of what the stages take and give


class WireError(ValueError):
    """An answer that is none of this protocol."""


class Value(NamedTuple):
    """A tensor as it travels: numbers in the order of rows, little-endian."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes | bytearray | memoryview

    @classmethod
    def zeros(cls, dtype: str, shape: Sequence[int]) -> Value:
        return cls(dtype, tuple(shape), bytes(ITEM_BYTES[dtype] * math.prod(shape)))

    @classmethod
    def texts(cls, rows: Sequence[str]) -> Value:
        """[B, 1]."""
        encoded = [row.encode() for row in rows]
        data = b"".join(len(one).to_bytes(4, "little") + one for one in encoded)
        return cls("BYTES", (len(rows), 1), data)


def request(inputs: Mapping[str, Value], outputs: Sequence[str]) -> tuple[bytes, dict[str, str]]:
    """(body, headers) of POST v2/models/NAME/infer."""
    described = [
        {
            "name": name,
            "datatype": value.dtype,
            "shape": list(value.shape),
            "parameters": {"binary_data_size": len(value.data)},
        }
        for name, value in inputs.items()
    ]
    wanted = [{"name": name, "parameters": {"binary_data": True}} for name in outputs]
    header = json.dumps({"inputs": described, "outputs": wanted}).encode()
    body = b"".join([header, *(value.data for value in inputs.values())])
    return body, {HEADER_LENGTH: str(len(header)), "Content-Type": "application/octet-stream"}


def response(body: bytes, header_length: str | None) -> dict[str, Value]:
    """The outputs in an answer. Raises WireError for one that is cut short or of another form."""
    try:
        length = len(body) if header_length is None else int(header_length)
        header = json.loads(body[:length])
        values, at = {}, length
        for output in header["outputs"]:
            size = int(output["parameters"]["binary_data_size"])
            value = Value(output["datatype"], tuple(map(int, output["shape"])), memoryview(body)[at : at + size])
            known = value.dtype in ITEM_BYTES
            wanted = ITEM_BYTES[value.dtype] * math.prod(value.shape) if known else size
            if len(value.data) != size or wanted != size or (known and (not size or min(value.shape, default=1) < 0)):
                raise WireError(f"the answer is cut short: {output['name']}")
            values[str(output["name"])] = value
            at += size
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise error if isinstance(error, WireError) else WireError("the answer is none of Triton's") from error
    return values


class Events:
    """Server-sent events in the bytes of a stream."""

    def __init__(self, largest: int):
        self._rest, self._largest = bytearray(), largest

    def add(self, chunk: bytes) -> Iterator[dict[str, Any]]:
        """The events that are whole by now. Raises WireError for one that is none of Triton's, or too large."""
        searched = max(len(self._rest) - 1, 0)
        self._rest += chunk
        while (end := self._rest.find(b"\n\n", searched)) >= 0:
            event, searched = bytes(self._rest[:end]), 0
            del self._rest[: end + 2]
            yield _event(event)
        if len(self._rest) > self._largest:
            raise WireError(f"the answer is larger than {self._largest >> 20} MB")


def _event(text: bytes) -> dict[str, Any]:
    try:
        read = json.loads(text.removeprefix(b"data:"))
    except (ValueError, RecursionError):
        read = None
    if not isinstance(read, dict):
        raise WireError("the answer is none of Triton's")
    return read
