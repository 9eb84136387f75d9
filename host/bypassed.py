"""LoRAs in ComfyUI's bypass mode: added to what our layers give, under the names that files have for them."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import torch
from comfy.weight_adapter.base import WeightAdapterBase
from comfy.weight_adapter.bypass import BypassForwardHook

from ..studio.errors import InputError
from ..studio.opening.lora import Slice

Layers = Mapping[str, tuple[Slice, ...]]


def find(transformer: torch.nn.Module, layers: Layers, dtype: torch.dtype, name: str) -> Any:
    """The layer of a file of that name, or the way to those whose names begin so; None where there is neither."""
    if name in layers:
        return FileLayer(transformer, layers[name], dtype, name)
    if any(known.startswith(f"{name}.") for known in layers):
        return Path(transformer, layers, dtype, name)
    return None


class Path:
    """Where ComfyUI looks for a file's layer: attribute after attribute, number after number."""

    def __init__(self, transformer: torch.nn.Module, layers: Layers, dtype: torch.dtype, name: str):
        self._transformer, self._layers, self._dtype, self._name = transformer, layers, dtype, name

    def __getattr__(self, part: str) -> Any:
        found = find(self._transformer, self._layers, self._dtype, f"{self._name}.{part}")
        if found is None:
            raise AttributeError(part)
        return found

    def __getitem__(self, number: int) -> Any:
        return getattr(self, str(number))


class FileLayer:
    """A layer of a file: rows of one or several of ours. ComfyUI's hook sets `forward`, and sets it back."""

    def __init__(self, transformer: torch.nn.Module, slices: tuple[Slice, ...], dtype: torch.dtype, name: str):
        self._parts = [(transformer.get_submodule(part.layer), part) for part in slices]
        self._name = name
        self._undo: list[Any] = []
        self._rows = sum(part.rows for part in slices)
        self.weight = torch.empty(self._rows, getattr(self._parts[0][0], "in_features", 1), dtype=dtype, device="meta")

    @property
    def forward(self) -> Any:
        return self._put

    @forward.setter
    def forward(self, call: Any) -> None:
        hook = getattr(call, "__self__", None)
        if isinstance(hook, BypassForwardHook):
            self._put(hook.adapter)
        else:
            self._take_off()

    def _put(self, adapter: Any) -> None:
        changes_all = any(
            getattr(type(adapter), name, None) is not getattr(WeightAdapterBase, name, None)
            for name in ("g", "bypass_forward")
        )
        if changes_all:
            raise InputError(
                "model",
                f"a LoRA in bypass mode whose layer {self._name} multiplies what the layer gives ({adapter.name})",
                "LoraLoader, which patches the weights",
            )
        for layer, part in self._parts:
            self._undo.append((layer, layer.__dict__.get("forward")))
            layer.forward = functools.partial(_added, layer.forward, adapter, part, self._rows)  # type: ignore[method-assign]

    def _take_off(self) -> None:
        for layer, own in reversed(self._undo):
            layer.__dict__.pop("forward", None)
            if own is not None:
                layer.__dict__["forward"] = own
        self._undo = []


def _added(
    forward: Any, adapter: Any, part: Slice, rows: int, x: torch.Tensor, *args: Any, **options: Any
) -> torch.Tensor:
    """What the layer gives, plus its rows of what the adapter adds."""
    out = forward(x, *args, **options)
    whole = adapter.h(x, out.new_empty((*out.shape[:-1], rows)))
    place = slice(part.offset, part.offset + part.rows)
    out[..., place] += whole[..., part.start : part.start + part.rows].to(out)
    return out
