"""ComfyUI's weight patches of fused layers cut into patches of ours: what trainers see as one matrix, diffusers keeps as three."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import comfy.model_management as mm
import comfy.model_patcher
import comfy.weight_adapter
import torch
from comfy.weight_adapter.base import WeightAdapterBase
from comfy.weight_adapter.loha import LoHaAdapter
from comfy.weight_adapter.lokr import LoKrAdapter
from comfy.weight_adapter.lora import LoRAAdapter
from comfy.weight_adapter.oft import OFTAdapter

from ..studio.flux.lora import Slice, file_names

PREFIX = "diffusion_model.transformer."  # of our layers in a MODEL


class FusedLayerNames:
    """For a BaseModel whose `diffusion_model.transformer` is a diffusers transformer: LoRA files' names among its own.

    `comfy.lora` asks a model's state dict which layers a file may name; there is no other way in. So that lists, beside the
    weights, an empty tensor for every name in `studio.flux.lora.file_names`, and `patcher` cuts what comes for them.
    """

    @functools.cached_property
    def fused_layers(self) -> dict[str, tuple[Slice, ...]]:
        """State-dict key that holds no weight -> the rows of ours that it means."""
        transformer = getattr(self.diffusion_model, "transformer", None)  # type: ignore[attr-defined]
        if transformer is None:
            return {}
        names = file_names(transformer)
        own = {name for name, _ in self.named_parameters()}  # type: ignore[attr-defined]
        keys = {f"diffusion_model.{name}.weight": slices for name, slices in names.items()}
        return {key: slices for key, slices in keys.items() if key not in own}

    def state_dict(self, *args: Any, **options: Any) -> dict[str, torch.Tensor]:
        weights = super().state_dict(*args, **options)  # type: ignore[misc]
        if args or options:  # torch's own call, which collects weights; ComfyUI asks without arguments
            return weights
        return {**weights, **dict.fromkeys(self.fused_layers, torch.empty(0))}


@functools.lru_cache(maxsize=4)
def _cutting(base: type[Any]) -> type[Any]:
    class CuttingPatcher(base):  # type: ignore[misc]
        """Takes patches under the names of FusedLayerNames too; refuses, as ComfyUI does, by not naming them as taken."""

        def add_patches(self, patches: Mapping[Any, Any], strength_patch: float = 1.0, strength_model: float = 1.0):
            taken, batches = cut(self.model, patches)
            for batch in batches:
                super().add_patches(batch, strength_patch, strength_model)
            return taken

        def add_hook_patches(self, hook: Any, patches: Mapping[Any, Any], *strengths: float, **options: float):
            taken, batches = cut(self.model, patches)
            for batch in batches:
                super().add_hook_patches(hook, batch, *strengths, **options)
            return taken

        def model_state_dict(self, filter_prefix: str | None = None) -> dict[str, torch.Tensor]:
            weights = super().model_state_dict(filter_prefix)
            return {key: weight for key, weight in weights.items() if key not in self.model.fused_layers}

    return CuttingPatcher


def patcher(model: FusedLayerNames, load_device: torch.device, offload_device: torch.device):
    """ComfyUI's patcher of the day for a model of ours. Its class is looked up late: ComfyUI rebinds it at start-up."""
    # ComfyUI's dynamic patcher turns itself into the plain one on a CPU, which would lose the subclass.
    on_cpu = mm.is_device_cpu(load_device)
    base = comfy.model_patcher.ModelPatcher if on_cpu else comfy.model_patcher.CoreModelPatcher
    return _cutting(base)(model, load_device=load_device, offload_device=offload_device)


def cut(model: FusedLayerNames, patches: Mapping[Any, Any]) -> tuple[list[Any], list[dict[Any, Any]]]:
    """The keys that can be taken, and the patches as batches of our own keys (two names may mean the same rows)."""
    weights = {**dict(model.named_parameters()), **dict(model.named_buffers())}  # type: ignore[attr-defined]
    for name, module in model.named_modules():  # type: ignore[attr-defined]
        if hasattr(module, "stored"):  # its weight is bytes; what a LoRA changes is what they stand for
            weights[f"{name}.weight"] = torch.empty(module.out_features, module.in_features, device="meta")
    taken, pieces = [], []
    for key, patch in patches.items():
        mine = _pieces(model.fused_layers, weights, key, patch)
        if mine is not None:
            taken.append(key)
            pieces += mine
    batches: list[dict[Any, Any]] = []
    for target, patch in pieces:
        batch = next((batch for batch in batches if target not in batch), None)
        if batch is None:
            batches.append(batch := {})
        batch[target] = patch
    return taken, batches or [{}]


def _pieces(fused: Mapping[str, tuple[Slice, ...]], weights: Mapping[str, torch.Tensor], key: Any, patch: Any):
    """(our key, patch) pairs that together are `patch`, or None where it does not fit."""
    name = key if isinstance(key, str) else key[0]
    stem, _, kind = name.rpartition(".")
    slices = fused.get(f"{stem}.weight")
    if slices is None or not isinstance(key, str):
        own = weights.get(name)
        return [(key, patch)] if own is not None and fits(patch, _target_shape(own, key)) else None
    total = sum(part.rows for part in slices)
    shape = delta_shape(patch)
    if shape is None or shape[0] not in (None, total):
        return None
    pieces = []
    for part in slices:
        own = weights.get(f"{PREFIX}{part.layer}.{kind}")
        small = rows_of(patch, part.start, part.rows, total)
        if own is None or small is None or not fits(small, (part.rows, *own.shape[1:])):
            return None
        target = f"{PREFIX}{part.layer}.{kind}"
        pieces.append((target if part.rows == own.shape[0] else (target, (0, part.offset, part.rows)), small))
    return pieces


def _target_shape(weight: torch.Tensor, key: Any) -> tuple[int, ...]:
    """Shape of the part of a weight that a patch key of ComfyUI names: "key" or ("key", (dim, start, length))."""
    shape = list(weight.shape)
    if not isinstance(key, str) and key[1] is not None:
        shape[key[1][0]] = key[1][2]
    return tuple(shape)


def delta_shape(patch: Any) -> tuple[int | None, ...] | None:
    """Shape of what a patch adds to a weight; None in it: any size; None alone: not known."""
    if not isinstance(patch, WeightAdapterBase):
        value = patch[-1] if isinstance(patch, tuple) else None
        tensor = value[0] if isinstance(value, tuple) and value else value
        return tuple(tensor.shape) if isinstance(tensor, torch.Tensor) else None
    w = patch.weights
    if isinstance(patch, LoRAAdapter) and w[3] is None and w[5] is None:
        return (w[0].shape[0], w[1].flatten(1).shape[1]) if w[0].shape[1] == w[1].shape[0] else (-1,)
    if isinstance(patch, LoHaAdapter) and w[5] is None:
        agree = w[0].shape[0] == w[3].shape[0] and w[1].shape[1] == w[4].shape[1]
        return (w[0].shape[0], w[1].shape[1]) if agree else (-1,)
    if isinstance(patch, LoKrAdapter) and w[7] is None:
        one = w[0].shape if w[0] is not None else (w[3].shape[0], w[4].shape[1])
        two = w[1].shape if w[1] is not None else (w[5].shape[0], w[6].shape[1])
        return (one[0] * two[0], one[1] * two[1]) if len(two) == 2 else None
    if isinstance(patch, OFTAdapter):
        return (w[0].shape[0] * w[0].shape[1], None)
    return None


def fits(patch: Any, shape: tuple[int, ...]) -> bool:
    """Whether a patch can be added to a weight of that shape. Kinds whose shape is not known are left to ComfyUI."""
    delta = delta_shape(patch)
    return delta is None or (len(delta) == len(shape) and all(a in (None, b) for a, b in zip(delta, shape)))


class RowsOf(WeightAdapterBase):
    """Some rows of what another adapter adds, for those whose factors cannot be cut: a Kronecker product's rows mix both.

    `weights` is (adapter, first row, rows, rows of the whole). The whole is made anew for each use and not kept.
    """

    name = "rows"

    def __init__(self, loaded_keys: set[str], weights: tuple[Any, ...]):
        self.loaded_keys, self.weights = loaded_keys, weights  # type: ignore[assignment]

    def calculate_weight(
        self,
        weight: torch.Tensor,
        key: str,
        strength: float,
        strength_model: float,
        offset: Any,
        function: Any,
        intermediate_dtype: torch.dtype = torch.float32,
        original_weight: Any = None,
    ) -> torch.Tensor:
        adapter, start, rows, total = self.weights
        whole = torch.zeros((total, *weight.shape[1:]), dtype=intermediate_dtype, device=weight.device)
        whole = adapter.calculate_weight(whole, key, strength, 1.0, None, lambda a: a, intermediate_dtype, None)
        weight += function(whole[start : start + rows].type(weight.dtype))
        return weight


def rows_of(patch: Any, start: int, rows: int, total: int) -> Any:
    """The patch of rows `start : start + rows` of what `patch` adds to `total` rows; None where that is not defined.

    LoRA, LoHa and plain differences are cut exactly, OFT between its blocks; LoKr is computed whole and then cut. Not defined:
    a magnitude (DoRA) of whole columns, and kinds that multiply the weight across rows.
    """
    if (start, rows) == (0, total):
        return patch
    part = slice(start, start + rows)
    if not isinstance(patch, WeightAdapterBase):
        kind, value = patch if len(patch) == 2 else ("diff", patch)
        return (kind, (value[0][part], *value[1:]))
    w, keys = patch.weights, patch.loaded_keys
    if isinstance(patch, LoRAAdapter) and (w[4] is None or w[4].shape[0] == total):
        return LoRAAdapter(keys, (w[0][part], w[1], w[2], w[3], None if w[4] is None else w[4][part], w[5]))
    if isinstance(patch, LoHaAdapter) and (w[7] is None or w[7].shape[0] == total):
        return LoHaAdapter(
            keys, (w[0][part], w[1], w[2], w[3][part], w[4], w[5], w[6], None if w[7] is None else w[7][part])
        )
    if isinstance(patch, LoKrAdapter) and w[8] is None:
        return RowsOf(keys, (patch, start, rows, total))
    if isinstance(patch, OFTAdapter) and not w[2] and w[1] is None and w[3] is None:  # no constraint on all blocks
        size = w[0].shape[1]
        if start % size == 0 and rows % size == 0:
            return OFTAdapter(keys, (w[0][start // size : (start + rows) // size], *w[1:]))
    return None
