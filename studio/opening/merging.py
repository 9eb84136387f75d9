"""LoRAs added to the weights of modules in memory, for the Python API. ComfyUI's own patching does it there (host/lora.py)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch

from ..errors import InputError, require_number
from . import lora
from .lora import Slice

MOST_STRENGTH = 100.0
_PREFIXES = ("", "transformer.", "diffusion_model.", "unet.")
_FLAT = ("lora_unet_", "lycoris_", "lora_transformer_")
# Text encoders by the names that trainers have for them: dotted, flat.
_TEXTS = {
    "clip_l": (("text_encoder.", "text_encoders.clip_l.transformer."), ("lora_te_", "lora_te1_")),
    "t5xxl": (("text_encoder_2.", "text_encoders.t5xxl.transformer."), ("lora_te2_", "lora_te3_")),
}


class Merged(NamedTuple):
    """What became of one file."""

    layers: int
    unmatched: list[str]  # keys of the file that nothing was done with


Names = dict[str, tuple[torch.nn.Module, tuple[Slice, ...]]]  # a file's layer -> rows of layers of a module


def names_of(transformer: torch.nn.Module, texts: Mapping[str, torch.nn.Module]) -> Names:
    """Every name that a file may have for a layer of the transformer, and of `texts` (clip_l, t5xxl)."""
    names: Names = {}
    for name, slices in lora.file_names(transformer).items():
        spelled = [prefix + name for prefix in _PREFIXES] + [prefix + name.replace(".", "_") for prefix in _FLAT]
        names |= {one: (transformer, slices) for one in spelled}
    for which, module in texts.items():
        dotted, flat = _TEXTS[which]
        for key, weight in module.named_parameters():
            if not key.endswith(".weight"):
                continue
            layer = key.removesuffix(".weight")
            # transformers 5 has dropped the "text_model" that files have.
            inner = layer if layer.startswith("text_model.") or which != "clip_l" else f"text_model.{layer}"
            spelled = [prefix + inner for prefix in dotted] + [prefix + inner.replace(".", "_") for prefix in flat]
            names |= {one: (module, (Slice(layer, 0, weight.shape[0], 0),)) for one in spelled}
    return names


def merge(file: str | Path, strength: float, names: Names) -> Merged:
    """Add one LoRA to the weights that `names` leads to, in place, computed in float32.

    Raises InputError for a file that cannot be read, of which nothing fits, or of a kind that only ComfyUI computes (DoRA,
    OFT, GLoRA); no weight has changed then.
    """
    path = Path(file)
    require_number("strength", strength, -MOST_STRENGTH, MOST_STRENGTH)
    if not path.is_file():
        raise InputError("loras", str(file), "a .safetensors file that exists")
    tensors, metadata = lora.read(path, "loras")
    tensors = {lora.standard_key(key): tensor for key, tensor in tensors.items()}
    lora.add_alphas(tensors, metadata)
    groups = _converted(_groups(tensors), names)
    known = {layer: group for layer, group in groups.items() if layer in names and lora.is_whole(layer, group)}
    if not known:
        raise InputError("loras", path.name, f"a LoRA for this model; it has layers such as {', '.join([*groups][:3])}")
    changes = [(names[layer], _changes(path, layer, group)) for layer, group in known.items()]
    for ((module, slices), own), layer in zip(changes, known, strict=True):
        _require_fit(path, layer, module, slices, own)
    for (module, slices), own in changes:  # one matrix at a time: all of them together are as large as the model
        for change in own:
            _add(module, slices, change, strength)
    return Merged(len(known), [key for layer, group in groups.items() if layer not in known for key in group])


def _groups(tensors: Mapping[str, torch.Tensor]) -> dict[str, dict[str, torch.Tensor]]:
    groups: dict[str, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        groups.setdefault(lora.layer_of(key), {})[key] = tensor
    return groups


def _converted(groups: dict[str, dict[str, torch.Tensor]], names: Names) -> dict[str, dict[str, torch.Tensor]]:
    """With layers under names that no table knows put under those that diffusers makes of them."""
    transformer = next(module for name, (module, _) in names.items() if name.startswith("transformer."))
    out: dict[str, dict[str, torch.Tensor]] = {}
    for layer, group in groups.items():
        made = {} if layer in names else lora.convert(group, type(transformer).__name__)
        made = made if any(lora.layer_of(key) in names for key in made) else {}
        for key, tensor in (made or group).items():
            out.setdefault(lora.layer_of(key), {})[key] = tensor
    return out


class _Factors(NamedTuple):
    """A matrix as the product of two, which is computed when its shape is known to fit: it may be far larger than they."""

    up: torch.Tensor  # [rows, rank]
    down: torch.Tensor  # [rank, columns]

    @property
    def shape(self) -> list[int]:
        """Of the product."""
        return [self.up.shape[0], self.down.shape[1]]

    @property
    def rank(self) -> int:
        """What both share."""
        return self.down.shape[0]

    def product(self) -> torch.Tensor:
        """[rows, columns]."""
        return self.up @ self.down


class _Change(NamedTuple):
    """What is added to a weight, or to a bias."""

    part: str  # "weight" or "bias"
    shape: list[int]
    matrix: Callable[[], torch.Tensor]


class _Layer(NamedTuple):
    """A layer of a file; `tensors` are in float32, by what follows its name, and are taken out as they are understood."""

    file: str
    name: str
    tensors: dict[str, torch.Tensor]
    alpha: float  # NaN: none

    def changes(self) -> list[_Change]:
        """What its tensors come to, at strength 1. Raises InputError where they do not go together."""
        have, found = self.tensors, []
        for up, down in _PAIRS:
            if up in have:
                pair = self._factors(up, down)
                found.append(_Change("weight", pair.shape, self._scaled(pair.product, pair.rank)))
        if "hada_w1_a" in have:
            found.append(self._hadamard())
        if any(name.startswith("lokr_w") for name in have):
            found.append(self._kronecker())
        for name, part in (("diff", "weight"), ("diff_b", "bias")):
            if name in have:
                own = have.pop(name)
                found.append(_Change(part, list(own.shape), partial(torch.clone, own)))
        if have:
            kind = ", ".join(sorted(have))
            raise InputError(
                "loras", self.file, f"LoRA, LoHa or LoKr; {self.name} has {kind}, which the nodes in ComfyUI compute"
            )
        return found

    def _factors(self, up: str, down: str) -> _Factors:
        first, second = self.tensors.pop(up), self.tensors.pop(down)
        shapes = f"{list(first.shape)} and {list(second.shape)}"
        if min(first.ndim, second.ndim) >= 2:
            first, second = first.flatten(1), second.flatten(1)
            if first.shape[1] == second.shape[0] > 0:
                return _Factors(first, second)
        raise InputError("loras", self.file, f"matrices that can be multiplied; those of {self.name} are {shapes}")

    def _hadamard(self) -> _Change:
        """LyCORIS' LoHa: two products, multiplied number by number."""
        first, second = self._factors("hada_w1_a", "hada_w1_b"), self._factors("hada_w2_a", "hada_w2_b")
        if first.shape != second.shape:
            both = f"{first.shape} and {second.shape}"
            raise InputError("loras", self.file, f"two products of one shape; those of {self.name} are {both}")
        return _Change("weight", first.shape, self._scaled(lambda: first.product() * second.product(), first.rank))

    def _kronecker(self) -> _Change:
        """LyCORIS' LoKr: the Kronecker product of two matrices, either of them as a product of two; alpha counts where one
        is."""
        halves: list[_Factors | torch.Tensor] = []
        rank = None
        for half in ("lokr_w1", "lokr_w2"):
            if half in self.tensors:
                halves.append(self.tensors.pop(half))
            else:
                pair = self._factors(f"{half}_a", f"{half}_b")
                rank = pair.rank
                halves.append(pair)
        shapes = [[1] * (max(len(one.shape) for one in halves) - len(half.shape)) + [*half.shape] for half in halves]

        def product() -> torch.Tensor:
            return torch.kron(*(half.product() if isinstance(half, _Factors) else half for half in halves))

        return _Change("weight", [a * b for a, b in zip(*shapes)], self._scaled(product, rank))

    def _scaled(self, product: Callable[[], torch.Tensor], rank: int | None) -> Callable[[], torch.Tensor]:
        scale = 1.0 if rank is None or math.isnan(self.alpha) else self.alpha / rank
        return lambda: product() * scale


def _changes(path: Path, name: str, group: Mapping[str, torch.Tensor]) -> list[_Change]:
    have = {key.removeprefix(name + "."): tensor.float() for key, tensor in group.items()}
    alpha = float(have.pop("alpha", torch.tensor(math.nan)))
    return _Layer(path.name, name, have, alpha).changes()


_PAIRS = (
    ("lora_up.weight", "lora_down.weight"),
    ("lora_B.weight", "lora_A.weight"),
    ("lora_B", "lora_A"),
    ("lora.up.weight", "lora.down.weight"),
    ("lora_linear_layer.up.weight", "lora_linear_layer.down.weight"),
)


def _require_fit(
    path: Path, layer: str, module: torch.nn.Module, slices: Iterable[Slice], changes: list[_Change]
) -> None:
    rows = sum(one.rows for one in slices)
    for change in changes:
        for one in slices:
            own = getattr(module.get_submodule(one.layer), change.part, None)
            wanted = None if own is None else [rows, *own.shape[1:]]
            if wanted is None or (change.shape != wanted and math.prod(change.shape) != math.prod(wanted)):
                raise InputError(
                    "loras", path.name, f"a LoRA for this model; {layer} is {change.shape}, the layer {wanted}"
                )


@torch.no_grad()
def _add(module: torch.nn.Module, slices: Sequence[Slice], change: _Change, strength: float) -> None:
    total, matrix = sum(one.rows for one in slices), change.matrix()
    for layer, start, rows, offset in slices:
        own = getattr(module.get_submodule(layer), change.part)
        target = own.data[offset : offset + rows]
        added = matrix.reshape(total, *target.shape[1:])[start : start + rows].to(own.device)
        target.copy_((target.float() + strength * added).to(own.dtype))
