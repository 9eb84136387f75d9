"""A MODEL's weights under their makers' names, for ComfyUI's merge and save nodes: between ours and stock models too."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import comfy.lora
import comfy.model_management as mm
import torch

from ..studio.errors import InputError
from ..studio.kinds import original_names, table
from ..studio.kinds.original_names import Joined

_MODEL, _OURS = "diffusion_model.", "diffusion_model.transformer."
_NONE = torch.empty(0)  # stands where ComfyUI wants a weight: what is done with it says where and in what dtype


@functools.lru_cache(maxsize=64)
def _names(class_name: str, names: frozenset[str], norms: str) -> original_names.Names:
    kind = table.of_class(class_name, table.TRANSFORMERS)
    return kind.originals(set(names), norms) if kind else {}


def _of(model: Any, norms: str) -> original_names.Names:
    """Original name -> ours, of a DiffusersModel, both without prefix."""
    transformer = model.diffusion_model.transformer
    return _names(type(transformer).__name__, frozenset(dict(transformer.named_parameters())), norms)


def _numbers(merged: list[Any], like: torch.Tensor, key: str) -> torch.Tensor:
    """What ComfyUI makes of [(weight, function), patches ...], on the device and in the dtype of `like`."""
    weight, convert = merged[0]
    weight = convert(mm.cast_to_device(weight, like.device, like.dtype, copy=True), inplace=True)
    return comfy.lora.calculate_weight(merged[1:], weight, key, intermediate_dtype=like.dtype)


class _Whole:
    """Several of our layers with their patches, as one original weight."""

    def __init__(self, key: str, joined: Joined, parts: list[list[Any]]):
        self.key, self.joined, self.parts = key, joined, parts

    def __call__(self, like: torch.Tensor, inplace: bool = False) -> torch.Tensor:
        return self.joined.join([_numbers(part, like, self.key) for part in self.parts])


class _Slice:
    """Some rows of an original weight with its patches, as one of our layers."""

    def __init__(self, key: str, joined: Joined, rows: list[int], index: int, merged: list[Any]):
        self.key, self.joined, self.rows, self.index, self.merged = key, joined, rows, index, merged

    def __call__(self, like: torch.Tensor, inplace: bool = False) -> torch.Tensor:
        whole = _numbers(self.merged, like, self.key)
        return self.joined.part(whole, self.rows, self.index).clone()


def named_originally(model: Any, patches: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """What a patcher's `get_key_patches` gives for a merge, under the names of ComfyUI's own model of this kind."""
    left, out = dict(patches), {}
    for name, joined in _of(model, "weight").items():
        keys = [_OURS + part for part in joined.parts]
        if not all(key in left for key in keys):
            continue
        parts = [left.pop(key) for key in keys]
        plain = len(parts) == 1 and not joined.swap
        out[_MODEL + name] = parts[0] if plain else [(_NONE, _Whole(name, joined, parts))]
    return {**out, **left}


def cut(model: Any, key: str, merged: list[Any], rows: Mapping[str, int]) -> list[tuple[str, list[Any]]] | None:
    """(our key, merge) pairs of a merge of one weight; None where the model has no such weight. rows: of our weights.

    Raises InputError for a weight that no model of this kind has.
    """
    if key in rows:
        return [(key, merged)]
    name = key.removeprefix(_MODEL)
    joined = _of(model, "weight").get(name) or _of(model, "scale").get(name)
    if joined is None:
        _require_kin(model, name)
        return None
    keys = [_OURS + part for part in joined.parts]
    made = merged[0][1]
    if isinstance(made, _Whole) and made.joined == joined and len(merged) == 1:
        return list(zip(keys, made.parts, strict=True))
    if len(keys) == 1 and not joined.swap:
        return [(keys[0], merged)]
    heights = [rows[each] for each in keys]
    return [(each, [(_NONE, _Slice(name, joined, heights, index, merged))]) for index, each in enumerate(keys)]


def _require_kin(model: Any, name: str) -> None:
    kind = table.of_class(type(model.diffusion_model.transformer).__name__, table.TRANSFORMERS)
    roots = kind.original_roots if kind else frozenset()
    if name.startswith("transformer.") or name.partition(".")[0] in roots:
        return
    raise InputError(
        "model2",
        f"a model with weights such as {name!r}",
        f"one of the same kind as the other, {model.facts.family.name}: nothing of this one fits",
    )


def for_saving(model: Any, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights by our keys without `diffusion_model.` -> under their makers' names."""
    ours = {name.removeprefix("transformer."): weight for name, weight in weights.items()}
    return {name: w.contiguous() for name, w in original_names.collected(_of(model, "scale"), ours).items()}
