"""The names that a model's makers gave its weights, from those that diffusers gives them: the other way than the kinds' own names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from .flux_names import SHIFT_FIRST, Originals

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch


class Joined(NamedTuple):
    """A weight under its original name: ours on top of each other."""

    parts: tuple[str, ...]
    swap: bool = False  # the two halves change places
    convolution: bool = False  # [out, in] is written as [out, in, 1, 1]

    def join(self, weights: list[torch.Tensor]) -> torch.Tensor:
        """The original of the parts' weights."""
        import torch

        whole = weights[0] if len(weights) == 1 else torch.cat(weights)
        if self.swap:
            whole = torch.cat(tuple(reversed(whole.chunk(2))))
        return whole[..., None, None] if self.convolution and whole.ndim == 2 else whole

    def part(self, whole: torch.Tensor, rows: list[int], index: int) -> torch.Tensor:
        """Part `index` of an original weight, the parts having so many rows each."""
        import torch

        if self.swap:
            whole = torch.cat(tuple(reversed(whole.chunk(2))))
        return whole[sum(rows[:index]) : sum(rows[: index + 1])]


Names = dict[str, Joined]


def roots_of_flux(table: Originals) -> frozenset[str]:
    """The first words of all original names, those of weights that not every edition has too."""
    return frozenset({"double_blocks", "single_blocks", *(name.partition(".")[0] for name in table.outer)})


def of_flux(known: set[str], table: Originals, norms: str) -> Names:
    """Original name -> ours, of the weights of a FLUX.1 or FLUX.2, whose layers `table` lists. norms: what the norms of
    queries and keys end with: "scale" in the makers' files, "weight" in ComfyUI's own models.
    """
    out: Names = {}
    for original, layer in table.outer.items():
        for kind in ("weight", "bias"):
            if f"{layer}.{kind}" in known:
                out[f"{original}.{kind}"] = Joined((f"{layer}.{kind}",), swap=original == SHIFT_FIRST)
    for stream, ours, layers in (
        ("double_blocks", "transformer_blocks", table.double),
        ("single_blocks", "single_transformer_blocks", table.single),
    ):
        for number in sorted({int(found[1]) for name in known if (found := re.match(rf"{ours}\.(\d+)\.", name))}):
            out |= _block(known, f"{stream}.{number}", f"{ours}.{number}", layers, norms)
    return out


def _block(known: set[str], theirs: str, ours: str, layers: Mapping[str, tuple[str, ...]], norms: str) -> Names:
    out = {}
    for original, targets in layers.items():
        for kind in ("weight", "bias"):
            parts = tuple(f"{ours}.{target}.{kind}" for target in targets)
            if known.issuperset(parts):
                ending = norms if original.endswith("_norm") else kind
                out[f"{theirs}.{original}.{ending}"] = Joined(parts)
    return out


def collected(names: Names, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights under their original names; those without one keep theirs."""
    used = {part for joined in names.values() for part in joined.parts}
    out = {name: joined.join([weights[part] for part in joined.parts]) for name, joined in names.items()}
    return {**out, **{name: weight for name, weight in weights.items() if name not in used}}
