"""Keys and values of reference pictures, computed once in a sampling run (FLUX.2 klein KV)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    from diffusers.models.transformers.transformer_flux2 import Flux2KVCache

MOST_KEPT = 4  # sets of references at a time: a megapixel weighs 2 GB in the 9B model


class _CachedBlocks(NamedTuple):
    references: list[torch.Tensor]
    pictures: int  # in the call that it was computed for; 0: it is one row, good for any number of them
    cache: Flux2KVCache


class ReferenceCache:
    """What one transformer, with one set of weights, knows of the pictures it has looked at.

    References attend to themselves alone and are modulated as clean pictures, so that their keys and values follow from
    the references and the weights: noise, its level, the prompt and the picture's size have no part in them. They are
    found again by the references' own values, so that no other references can get them.
    """

    def __init__(self) -> None:
        self._kept: list[_CachedBlocks] = []

    def find(self, references: Sequence[torch.Tensor], pictures: int) -> Flux2KVCache | None:
        """For a call of `pictures` that look at references, each [1 or B, C, h, w]; None where it is not known yet."""
        wanted = [_distinct(latent) for latent in references]
        for index, kept in enumerate(self._kept):
            if kept.pictures in (0, pictures) and _same(kept.references, wanted):
                self._kept.append(self._kept.pop(index))
                return kept.cache if kept.pictures else _rows(kept.cache, pictures)
        return None

    def keep(self, references: Sequence[torch.Tensor], pictures: int, cache: Flux2KVCache) -> None:
        """Keep what a call of `pictures` computed; of more than MOST_KEPT that which was not asked for longest goes."""
        distinct = [_distinct(latent) for latent in references]
        if all(len(latent) == 1 for latent in distinct):  # every picture of the call sees the same: one row tells all
            self._kept.append(_CachedBlocks(distinct, 0, _rows(cache, 1)))
        else:
            self._kept.append(_CachedBlocks(distinct, pictures, cache))
        del self._kept[:-MOST_KEPT]

    def clear(self) -> None:
        """Forget everything, as at the end of a run."""
        self._kept.clear()


def _distinct(latent: torch.Tensor) -> torch.Tensor:
    """[1, C, h, w] where all rows of [B, C, h, w] are the same, as ComfyUI repeats a reference for a batch."""
    if len(latent) > 1 and torch.equal(latent[1:], latent[:1].expand_as(latent[1:])):
        return latent[:1]
    return latent


def _same(known: Sequence[torch.Tensor], wanted: Sequence[torch.Tensor]) -> bool:
    if len(known) != len(wanted):
        return False
    pairs = list(zip(known, wanted, strict=True))
    return all((a.shape, a.dtype, a.device) == (b.shape, b.dtype, b.device) for a, b in pairs) and all(
        torch.equal(a, b) for a, b in pairs
    )


def _rows(cache: Flux2KVCache, count: int) -> Flux2KVCache:
    """The first row of every layer, as if it were `count`: for 1 a copy, that frees the others; else a view."""
    from diffusers.models.transformers.transformer_flux2 import Flux2KVCache

    out = Flux2KVCache(len(cache.double_block_caches), len(cache.single_block_caches))
    out.num_ref_tokens = cache.num_ref_tokens
    layers = [*cache.double_block_caches, *cache.single_block_caches]
    for layer, target in zip(layers, [*out.double_block_caches, *out.single_block_caches], strict=True):
        target.store(
            *(
                tensor[:1].clone() if len(tensor) > count else tensor[:1].expand(count, -1, -1, -1)
                for tensor in layer.get()
            )
        )
    return out
