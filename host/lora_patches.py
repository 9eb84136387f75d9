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

from ..studio.errors import Bare, InputError
from ..studio.opening.lora import Slice, file_names
from . import original_weights
from .stored_patches import keeping_bytes

PREFIX = "diffusion_model.transformer."  # of our layers in a MODEL


class FusedLayerNames:
    """For a BaseModel whose `diffusion_model.transformer` is a diffusers transformer: LoRA files' names among its own.

    `comfy.lora` asks a model's state dict which layers a file may name; there is no other way in. So that lists, beside the
    weights, an empty tensor for every name in `studio.opening.lora.file_names`, and `patcher` cuts what comes for them.
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

        def get_key_patches(self, filter_prefix: str | None = None) -> dict[str, list[Any]]:
            own = super().get_key_patches(filter_prefix)
            # Merges ask with a prefix; hooks without, and need our own keys.
            return own if filter_prefix is None else original_weights.named_originally(self.model, own)

        def state_dict_for_saving(self, clip: Any = None, vae: Any = None, clip_vision: Any = None) -> dict[str, Any]:
            prefix = "diffusion_model."
            own = {key.removeprefix(prefix): self.saved(key) for key in self.model_state_dict(prefix)}
            original = original_weights.for_saving(self.model, own)
            return self.model.state_dict_for_saving(original, clip, vae, clip_vision)

        def pre_run(self) -> None:
            """What a node asked for and the model would not do is refused before the first step."""
            self.model.require_known_patches(self.model_options.get("transformer_options", {}))
            self.model.parts.begin()
            super().pre_run()

        def clone(self, *arguments: Any, force_deepcopy: bool = False, **options: Any) -> Any:
            """As ComfyUI's. It can make weights anew only for models of its own loaders, which training (TrainLoraNode) needs."""
            if not force_deepcopy:
                return super().clone(*arguments, **options)
            if getattr(self, "cached_patcher_init", None) is None:
                cure = "Load the model with stock Load Diffusion Model to train a LoRA."
                raise InputError(
                    "model", Bare("a model of this pack, whose weights cannot be copied for training"), cure=cure
                )
            return super().clone(*arguments, force_deepcopy=True, **options)

        def model_state_dict(self, filter_prefix: str | None = None) -> dict[str, torch.Tensor]:
            weights = super().model_state_dict(filter_prefix)
            return {key: weight for key, weight in weights.items() if key not in self.model.fused_layers}

    return CuttingPatcher


def require_local(patcher: Any) -> None:
    """Raise InputError for a model whose weights are on a server (served_model.py)."""
    getattr(patcher, "require_local", lambda: None)()


def patcher(model: FusedLayerNames, load_device: torch.device, offload_device: torch.device):
    """ComfyUI's patcher of the day for a model of ours. Its class is looked up late: ComfyUI rebinds it at start-up."""
    # ComfyUI's dynamic patcher turns itself into the plain one on a CPU, which would lose the subclass.
    on_cpu = mm.is_device_cpu(load_device)
    base = comfy.model_patcher.ModelPatcher if on_cpu else comfy.model_patcher.CoreModelPatcher
    return _cutting(keeping_bytes(base))(  # type: ignore[arg-type]
        model, load_device=load_device, offload_device=offload_device
    )


def as_numbers(module: torch.nn.Module, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """`weights` of a module, with an empty tensor of the right shape for each that is stored as bytes: LoRAs change numbers."""
    stored = {name: leaf for name, leaf in module.named_modules() if hasattr(leaf, "stored")}
    shapes = {f"{name}.weight": (leaf.out_features, leaf.in_features) for name, leaf in stored.items()}
    return {**weights, **{name: torch.empty(shape, device="meta") for name, shape in shapes.items()}}


def cut(model: FusedLayerNames, patches: Mapping[Any, Any]) -> tuple[list[Any], list[dict[Any, Any]]]:
    """The keys that can be taken, and the patches as batches of our own keys (two names may mean the same rows)."""
    weights = as_numbers(model, {**dict(model.named_parameters()), **dict(model.named_buffers())})  # type: ignore[attr-defined,arg-type]
    taken, pieces = [], []
    for key, patch in patches.items():
        if isinstance(patch, list):  # a merge
            rows = {name: weight.shape[0] if weight.ndim else 1 for name, weight in weights.items()}
            mine = original_weights.cut(model, key if isinstance(key, str) else key[0], patch, rows)
        else:
            mine = _pieces(model.fused_layers, weights, key, with_magnitude(patch))
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
        whole = own is not None and target_shape(own, key) == own.shape
        return [(key, patch)] if own is not None and fits(patch, target_shape(own, key), whole) else None
    total = sum(part.rows for part in slices)
    shape = delta_shape(patch)
    if not shape or shape[0] not in (None, total):
        return None
    pieces = []
    for part in slices:
        own = weights.get(f"{PREFIX}{part.layer}.{kind}")
        small = rows_of(patch, part.start, part.rows, total)
        whole = own is not None and part.rows == own.shape[0]
        if own is None or small is None or not fits(small, (part.rows, *own.shape[1:]), whole):
            return None
        target = f"{PREFIX}{part.layer}.{kind}"
        pieces.append((target if whole else (target, (0, part.offset, part.rows)), small))
    return pieces


def target_shape(weight: torch.Tensor, key: Any) -> tuple[int, ...]:
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
    if isinstance(patch, Magnitude):
        shape = delta_shape(w[0])
        agree = shape is not None and len(shape) == 2 and w[1].shape in ((shape[0], 1), (1, shape[1]))
        return shape if agree else (-1,)
    flat = any(isinstance(factor, torch.Tensor) and factor.ndim < 2 for factor in w)
    if flat and isinstance(patch, LoRAAdapter | LoHaAdapter | LoKrAdapter):
        return (-1,)  # of no weight: a stranger's factors need not be matrices
    if isinstance(patch, LoRAAdapter) and w[3] is None and w[5] is None:
        return _product(w[0], w[1].flatten(1))
    if isinstance(patch, LoHaAdapter) and w[5] is None:
        one, two = _product(w[0], w[1]), _product(w[3], w[4])
        return one if one == two else (-1,)
    if isinstance(patch, LoKrAdapter) and w[7] is None:
        one = tuple(w[0].shape) if w[0] is not None else _product(w[3], w[4])
        two = tuple(w[1].shape) if w[1] is not None else _product(w[5], w[6])
        if len(one) != 2 or len(two) < 2:
            return (-1,)
        return (one[0] * two[0], one[1] * two[1]) if len(two) == 2 else None
    if isinstance(patch, OFTAdapter):
        blocks = w[0].shape
        return (blocks[0] * blocks[1], None) if len(blocks) == 3 and blocks[1] == blocks[2] else (-1,)
    return None


def _product(left: torch.Tensor, right: torch.Tensor) -> tuple[int, ...]:
    """Shape of left @ right; (-1,), which no weight has, where there is none, or a rank of 0, which nothing is divided by."""
    return (left.shape[0], right.shape[1]) if left.shape[1] == right.shape[0] > 0 else (-1,)


def fits(patch: Any, shape: tuple[int, ...], whole: bool = True) -> bool:
    """Whether a patch can be added to a weight of that shape. Kinds whose shape is not known are left to ComfyUI.

    `whole`: the shape is a layer's, not that of some of its rows, whose columns have no length of their own.
    """
    delta = delta_shape(patch)
    if isinstance(patch, Magnitude) and not whole and patch.weights[1].shape[1] != 1:
        return False
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


class Magnitude(WeightAdapterBase):
    """DoRA: the sum of a weight and what another adapter adds, each row or column brought to a learnt length.

    W' = m (W + D) / ||W + D|| (Liu et al. 2024, eq. 5), the norm over a row where m is [rows, 1], as PEFT and LyCORIS have it,
    or over a column where it is [1, columns], LyCORIS's other way. At a strength s the weight is W + s (W' - W), as ComfyUI
    has it: 0 changes nothing. ComfyUI's own takes ||W|| for rows, which is another weight as soon as D is not small.

    `weights` is (adapter without magnitudes, m).
    """

    name = "magnitude"

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
        adapter, magnitude = self.weights
        added = torch.zeros(weight.shape, dtype=intermediate_dtype, device=weight.device)
        added = adapter.calculate_weight(added, key, 1.0, 1.0, None, lambda a: a, intermediate_dtype, None)
        before = weight.to(intermediate_dtype)
        merged = before + function(added)
        magnitude = mm.cast_to_device(magnitude, weight.device, intermediate_dtype)
        rows = magnitude.shape[1] == 1
        length = torch.linalg.vector_norm(merged, dim=1 if rows else 0, keepdim=True).clamp_min(1e-12)
        scale = (function(magnitude) if rows else magnitude) / length  # the function may change the order of rows
        weight += (strength * (merged * scale - before)).type(weight.dtype)
        return weight


# Where ComfyUI's adapters keep a file's dora_scale.
_MAGNITUDES = {LoRAAdapter: 4, LoHaAdapter: 7, LoKrAdapter: 8}


def with_magnitude(patch: Any) -> Any:
    """The patch, with what it holds of DoRA in a Magnitude of ours."""
    place = _MAGNITUDES.get(type(patch))
    magnitude = None if place is None else patch.weights[place]
    if place is None or magnitude is None:
        return patch
    plain = type(patch)(patch.loaded_keys, (*patch.weights[:place], None, *patch.weights[place + 1 :]))
    column = magnitude[:, None] if magnitude.ndim == 1 else magnitude  # PEFT's are [rows]
    return Magnitude(patch.loaded_keys, (plain, column))


def rows_of(patch: Any, start: int, rows: int, total: int) -> Any:
    """The patch of rows `start : start + rows` of what `patch` adds to `total` rows; None where that is not defined.

    LoRA, LoHa and plain differences are cut exactly, OFT between its blocks; LoKr is computed whole and then cut. A magnitude
    (DoRA) is cut with its rows. Not defined: one of whole columns, and kinds that multiply the weight across rows.
    """
    if (start, rows) == (0, total):
        return patch
    part = slice(start, start + rows)
    if not isinstance(patch, WeightAdapterBase):
        kind, value = patch if len(patch) == 2 else ("diff", patch)
        return (kind, (value[0][part], *value[1:]))
    w, keys = patch.weights, patch.loaded_keys
    if isinstance(patch, Magnitude) and w[1].shape == (total, 1):
        inner = rows_of(w[0], start, rows, total)
        return None if inner is None else Magnitude(keys, (inner, w[1][part]))
    if isinstance(patch, LoRAAdapter):
        return LoRAAdapter(keys, (w[0][part], *w[1:]))
    if isinstance(patch, LoHaAdapter):
        return LoHaAdapter(keys, (w[0][part], w[1], w[2], w[3][part], *w[4:]))
    if isinstance(patch, LoKrAdapter):
        return RowsOf(keys, (patch, start, rows, total))
    if isinstance(patch, OFTAdapter) and not w[2] and w[1] is None and w[3] is None:  # no constraint on all blocks
        size = w[0].shape[1]
        if start % size == 0 and rows % size == 0:
            return OFTAdapter(keys, (w[0][start // size : (start + rows) // size], *w[1:]))
    return None
