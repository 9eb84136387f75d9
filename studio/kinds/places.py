"""Where tokens are in the picture: ids for the rotary embedding, of what is drawn and of its references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch

OFFSET, INDEX, UXO = "offset", "index", "uxo"  # ComfyUI's `reference_latents_method`
METHODS = (OFFSET, INDEX, UXO)


class Place(NamedTuple):
    """(index, row, column) at which a grid of tokens begins."""

    index: float = 0  # type: ignore[assignment]  # tuple.index is not asked for
    row: float = 0
    column: float = 0


class Rope(NamedTuple):
    """How far apart tokens are and where they begin, as ComfyUI's `rope_options` have it; FLUX scales no time."""

    scale_y: float = 1.0
    scale_x: float = 1.0
    shift_y: float = 0.0
    shift_x: float = 0.0
    shift_t: float = 0.0

    @classmethod
    def of(cls, options: Mapping[str, Any] | None) -> Rope:
        """Scales and shifts of ComfyUI's `rope_options`, where a node set them in transformer_options."""
        given = (options or {}).get("rope_options") or {}
        return cls(**{name: float(given[name]) for name in cls._fields if name in given})


ORIGIN_PLACE, PLAIN_ROPE = Place(), Rope()


def grid(
    height: int, width: int, device: torch.device, place: Place = ORIGIN_PLACE, rope: Rope = PLAIN_ROPE
) -> torch.Tensor:
    """Float32 [height * width, 3]: (index, row, column) of each token."""
    ids = torch.empty(height, width, 3, device=device)
    ids[..., 0] = place.index + rope.shift_t
    rows = torch.arange(height, device=device, dtype=torch.float32) * rope.scale_y
    columns = torch.arange(width, device=device, dtype=torch.float32) * rope.scale_x
    ids[..., 1] = (rows + place.row + rope.shift_y)[:, None]
    ids[..., 2] = (columns + place.column + rope.shift_x)[None]
    return ids.reshape(-1, 3)


def references(
    drawn: tuple[int, int], sizes: Sequence[tuple[int, int]], method: str, patch: int, spacing: int = 1
) -> list[Place]:
    """Where each reference begins, in tokens of `patch` x `patch` cells, so that the model tells them apart.

    drawn, sizes: (height, width) in cells. offset: all at the index 1, the first at (0, 0), as FluxKontextPipeline has it,
    the others side by side or one above the other, whichever keeps the whole smaller. index: at (0, 0), each `spacing`
    further along the index. uxo: at the index of what is drawn, along its diagonal. All as ComfyUI's own FLUX has them.
    """
    places, height, width = [], 0, 0
    for number, (rows, columns) in enumerate(sizes, 1):
        if method == INDEX:
            places.append(Place(number * spacing))
            continue
        if method == UXO:
            row, column = _tokens(drawn[0], patch) * patch + height, _tokens(drawn[1], patch) * patch + width
            height, width = height + rows, width + columns
            places.append(Place(0, _tokens(row, patch), _tokens(column, patch)))
            continue
        row, column = (0, width) if rows + height > columns + width else (height, 0)
        height, width = max(height, rows + row), max(width, columns + column)
        places.append(Place(1, _tokens(row, patch), _tokens(column, patch)))
    return places


def _tokens(cells: int, patch: int) -> int:
    return (cells + patch // 2) // patch
