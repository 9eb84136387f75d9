"""LoRAs added to the weights of modules in memory, for the Python API. ComfyUI's own patching does it there (host/lora.py)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
    changes = [(names[layer], _change(path, layer, group)) for layer, group in known.items()]
    for ((module, slices), change), layer in zip(changes, known, strict=True):
        _require_fit(path, layer, module, slices, change)
    for (module, slices), change in changes:
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


class _Change(NamedTuple):
    """What is added to a weight, or to a bias."""

    part: str  # "weight" or "bias"
    matrix: torch.Tensor


def _change(path: Path, layer: str, group: Mapping[str, torch.Tensor]) -> list[_Change]:
    """What a layer's tensors come to, in float32, at strength 1."""
    have = {key.removeprefix(layer + "."): tensor.float() for key, tensor in group.items()}
    alpha = float(have.pop("alpha", torch.tensor(float("nan"))))
    changes = []
    for up, down in _PAIRS:
        if up in have:
            first, second = have.pop(up), have.pop(down)
            changes.append(_Change("weight", first.flatten(1) @ second.flatten(1) * _scale(alpha, second.shape[0])))
    if "hada_w1_a" in have:
        a, b, c, d = (have.pop(f"hada_{name}") for name in ("w1_a", "w1_b", "w2_a", "w2_b"))
        changes.append(_Change("weight", (a @ b) * (c @ d) * _scale(alpha, b.shape[0])))
    if any(name.startswith("lokr_w") for name in have):
        changes.append(_Change("weight", _kronecker(have, alpha)))
    for name, part in (("diff", "weight"), ("diff_b", "bias")):
        if name in have:
            changes.append(_Change(part, have.pop(name)))
    if have:
        kind = ", ".join(sorted(have))
        raise InputError(
            "loras", path.name, f"LoRA, LoHa or LoKr; {layer} has {kind}, which the nodes in ComfyUI compute"
        )
    return changes


_PAIRS = (
    ("lora_up.weight", "lora_down.weight"),
    ("lora_B.weight", "lora_A.weight"),
    ("lora_B", "lora_A"),
    ("lora.up.weight", "lora.down.weight"),
    ("lora_linear_layer.up.weight", "lora_linear_layer.down.weight"),
)


def _scale(alpha: float, rank: int) -> float:
    return 1.0 if alpha != alpha else alpha / rank


def _kronecker(have: dict[str, torch.Tensor], alpha: float) -> torch.Tensor:
    """LyCORIS' LoKr: the Kronecker product of two matrices, either of them as a product of two; alpha counts where one is."""
    halves, rank = [], None
    for half in ("lokr_w1", "lokr_w2"):
        if half in have:
            halves.append(have.pop(half))
        else:
            a, b = have.pop(f"{half}_a"), have.pop(f"{half}_b")
            rank = b.shape[0]
            halves.append(a @ b)
    return torch.kron(*halves) * (1.0 if rank is None else _scale(alpha, rank))


def _require_fit(
    path: Path, layer: str, module: torch.nn.Module, slices: Iterable[Slice], changes: list[_Change]
) -> None:
    rows = sum(one.rows for one in slices)
    for change in changes:
        for one in slices:
            own = getattr(module.get_submodule(one.layer), change.part, None)
            wanted = None if own is None else [rows, *own.shape[1:]]
            if wanted is None or (list(change.matrix.shape) != wanted and change.matrix.numel() != _count(wanted)):
                shape = list(change.matrix.shape)
                raise InputError("loras", path.name, f"a LoRA for this model; {layer} is {shape}, the layer {wanted}")


def _count(shape: list[int]) -> int:
    return int(torch.Size(shape).numel())


@torch.no_grad()
def _add(module: torch.nn.Module, slices: Iterable[Slice], changes: list[_Change], strength: float) -> None:
    for change in changes:
        for layer, start, rows, offset in slices:
            own = getattr(module.get_submodule(layer), change.part)
            target = own.data[offset : offset + rows]
            added = change.matrix[start : start + rows].reshape(target.shape).to(own.device)
            target.copy_((target.float() + strength * added).to(own.dtype))
