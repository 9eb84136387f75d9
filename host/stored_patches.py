"""ComfyUI's weight patches and hooks on layers that are stored as bytes: the bytes stay, the patches go on top at each use."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import comfy.lora
import comfy.model_management as mm
import comfy.utils
import torch
from comfy.model_patcher import LowVramPatch

from .stored_linear import StoredLinear


class _Backup(NamedTuple):
    """An entry of a patcher's `backup`, as ComfyUI reads it."""

    weight: torch.Tensor
    inplace_update: bool = False


class _Originals:
    """What ComfyUI's kind `model_as_lora` asks of a dict of original weights: [[numbers]] for the one key."""

    def __init__(self, layer: StoredLinear, raw: torch.Tensor):
        self._layer, self._raw = layer, raw

    def __getitem__(self, key: str) -> list[tuple[torch.Tensor]]:
        return [(self._layer.stored.expand(self._raw, torch.float32),)]


class WorthOfBytes(torch.Tensor):
    """Stands for the numbers of a stored layer in a state dict: their shape and dtype, computed by `to`, as writers call it."""

    @staticmethod
    def __new__(cls, layer: StoredLinear) -> WorthOfBytes:
        shape = (layer.out_features, layer.in_features)
        return torch.Tensor._make_subclass(cls, torch.empty(shape, dtype=layer.compute_dtype, device="meta"))

    def __init__(self, layer: StoredLinear):
        self._layer = layer

    def to(self, *args: Any, **options: Any) -> torch.Tensor:
        return self._layer.numbers().to(*args, **options)


class HookPatch:
    """The patches of ComfyUI's weight hooks on one stored layer: a change of its numbers."""

    def __init__(self, key: str, patches: list[Any], originals: _Originals):
        self._key, self._patches, self._originals = key, patches, originals

    def __call__(self, weight: torch.Tensor) -> torch.Tensor:
        return comfy.lora.calculate_weight(
            self._patches, weight, self._key, intermediate_dtype=weight.dtype, original_weights=self._originals
        )


class KeepingBytes:
    """A patcher of ComfyUI's, before whose class this stands, that never puts numbers where a layer's bytes are, nor bytes
    where its numbers are.

    ComfyUI backs up a weight, writes the patched one in its place and copies the backup back. The patched weight of a
    stored layer would be numbers, of up to eight times the memory, and the bytes copied back would be taken for numbers.
    """

    model: Any
    patches: dict[str, list[Any]]
    backup: dict[str, Any]
    load_device: torch.device
    offload_device: torch.device
    get_combined_hook_patches: Any

    def patch_weight_to_device(
        self,
        key: str,
        device_to: torch.device | None = None,
        *args: Any,
        return_weight: bool = False,
        **options: Any,
    ):
        """Of a stored layer: the numbers with all patches for `return_weight`, else the patches on top of the bytes.

        Only fp8 takes them into its bytes, where they fit under the layer's scale.
        """
        layer = stored_layer(self.model, key)
        if layer is None:
            return super().patch_weight_to_device(key, device_to, *args, return_weight=return_weight, **options)  # type: ignore[misc]
        if return_weight:
            return self._patched_numbers(key, layer, device_to)
        if key in self.patches:
            small = self._packed(key, layer, device_to)
            if small is not None:
                self._put(key, layer, small)
            else:
                layer.on_top = LowVramPatch(key, self.patches)
        elif options.get("force_cast"):
            self._put(key, layer, layer.weight.to(device_to))
        return None

    def _packed(self, key: str, layer: StoredLinear, device: torch.device | None) -> torch.Tensor | None:
        from ..studio.weights.stored import ScaledFp8

        if not isinstance(layer.stored, ScaledFp8):  # the numbers are not needed to see that they do not fit
            return None
        return layer.packed(self._patched_numbers(key, layer, device), comfy.utils.string_to_seed(key))

    def _patched_numbers(self, key: str, layer: StoredLinear, device: torch.device | None) -> torch.Tensor:
        raw = self._bytes_of(key, layer)
        device = raw.device if device is None else device
        numbers = layer.stored.expand(raw.to(device), mm.lora_compute_dtype(device))
        patches = self.patches.get(key)
        return comfy.lora.calculate_weight(patches, numbers, key) if patches else numbers

    def _bytes_of(self, key: str, layer: StoredLinear) -> torch.Tensor:
        """The layer's bytes without any patch."""
        kept = self.backup.get(key)
        return layer.weight if kept is None else kept.weight

    def _put(self, key: str, layer: StoredLinear, raw: torch.Tensor) -> None:
        if key not in self.backup:
            self.backup[key] = _Backup(layer.weight.to(self.offload_device))
        comfy.utils.set_attr_param(self.model, key, raw)

    def saved(self, key: str) -> torch.Tensor:
        """A weight with all its patches, as a save node writes it: numbers in the dtype that is computed in."""
        layer = stored_layer(self.model, key)
        if layer is not None:
            return self._patched_numbers(key, layer, None).to(layer.compute_dtype)
        weight = comfy.utils.get_attr(self.model, key)
        if key in self.backup or key not in self.patches:  # patched in its place, or not at all
            return weight
        return self.patch_weight_to_device(key, self.load_device, return_weight=True)

    def model_state_dict_for_saving(self, model: Any = None, prefix: str = "") -> dict[str, torch.Tensor]:
        """What CLIPSave and CheckpointSave write of a CLIP."""
        return {key: self.saved(key) for key in self.model.state_dict()}

    def patch_hook_weight_to_device(self, hooks: Any, combined_patches: Any, key: str, *args: Any, **options: Any):
        if stored_layer(self.model, key) is None:  # those of stored layers: apply_hooks
            super().patch_hook_weight_to_device(hooks, combined_patches, key, *args, **options)  # type: ignore[misc]

    def apply_hooks(self, hooks: Any, *args: Any, **options: Any):
        out = super().apply_hooks(hooks, *args, **options)  # type: ignore[misc]
        patches = self.get_combined_hook_patches(hooks)
        for key, layer in stored_layers(self.model):
            mine = patches.get(key)
            originals = _Originals(layer, self._bytes_of(key, layer))
            layer.hooked = HookPatch(key, mine, originals) if mine else None
        return out

    def unpatch_hooks(self, whitelist_keys_set: set[str] | None = None) -> None:
        super().unpatch_hooks(whitelist_keys_set)  # type: ignore[misc]
        for key, layer in stored_layers(self.model):
            if not whitelist_keys_set or key in whitelist_keys_set:
                layer.hooked = None

    def unpatch_model(self, device_to: torch.device | None = None, unpatch_weights: bool = True) -> None:
        super().unpatch_model(device_to, unpatch_weights)  # type: ignore[misc]
        for _, layer in stored_layers(self.model) if unpatch_weights else ():
            layer.on_top = None


@functools.lru_cache(maxsize=8)
def keeping_bytes(base: type[Any]) -> type[Any]:
    """A patcher class of ComfyUI's with KeepingBytes before it."""
    return type(base.__name__, (KeepingBytes, base), {})


def stored_layer(model: torch.nn.Module, key: str) -> StoredLinear | None:
    """The layer of a weight that is stored as bytes, or none."""
    name, _, leaf = key.rpartition(".")
    try:
        layer = model.get_submodule(name) if leaf == "weight" else None
    except AttributeError:  # a name of FusedLayerNames
        return None
    return layer if isinstance(layer, StoredLinear) else None


def stored_layers(model: torch.nn.Module) -> Iterator[tuple[str, StoredLinear]]:
    """State-dict key and layer of each that is stored as bytes."""
    for name, layer in model.named_modules():
        if isinstance(layer, StoredLinear):
            yield f"{name}.weight", layer
