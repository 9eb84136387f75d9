"""LoRA files: read safely, and the names under which each trainer knows the layers of our models.

A file's layers are named after the model that its trainer had: diffusers' (`transformer_blocks.0.attn.to_q`), the original
one (`double_blocks.0.img_attn.qkv`, three of our layers in one matrix), either of them with dots or flattened with `_`,
under a prefix of the trainer. `file_names` lists, for a transformer, what each such name means in rows of our layers.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..errors import InputError
from ..kinds.names import Share
from ..kinds.table import lora_names
from .weight_files import check_safetensors

if TYPE_CHECKING:
    import torch

MOST_BYTES = 16 * 2**30  # the largest LoRAs of 32-billion-weight models stay below 4 GiB
MOST_TENSORS = 100_000


class Slice(NamedTuple):
    """Rows `start : start + rows` of a file's matrix, which belong at row `offset` of a layer's weight."""

    layer: str  # without ".weight"
    start: int
    rows: int
    offset: int


def file_names(transformer: torch.nn.Module) -> dict[str, tuple[Slice, ...]]:
    """Every name that a file may have for a layer, without the prefixes that ComfyUI itself adds -> rows of our layers.

    ComfyUI maps `transformer.NAME`, `diffusion_model.NAME`, `NAME`, `lora_unet_N_A_M_E` and `lycoris_N_A_M_E`. PEFT's
    `base_model.model.NAME` and OneTrainer's `lora_transformer_N_A_M_E` it does not know for our classes: they are here.
    """
    rows = {
        name.removesuffix(".weight"): weight.shape[0]
        for name, weight in transformer.named_parameters()
        if name.endswith(".weight")
    }
    return names_of_layers(rows, type(transformer).__name__)


def names_of_layers(rows: Mapping[str, int], transformer: str) -> dict[str, tuple[Slice, ...]]:
    """`file_names` of a class of diffusers: layer -> rows of its weight."""
    originals = lora_names(transformer).originals
    names: dict[str, tuple[Slice, ...]] = {layer: (Slice(layer, 0, count, 0),) for layer, count in rows.items()}
    for original, targets in originals.items():
        for number in _blocks(targets[0], rows):
            parts = [Share(t, 0, 1) if isinstance(t, str) else t for t in targets]
            parts = [part._replace(layer=part.layer.format(number)) for part in parts]
            if all(part.layer in rows for part in parts):
                names.setdefault(original.format(number), tuple(_slices(parts, rows)))
    peft = {f"base_model.model.{name}": slices for name, slices in names.items()}
    onetrainer = {f"lora_transformer_{name.replace('.', '_')}": names[name] for name in rows}
    return {**names, **peft, **onetrainer}


_LANGUAGE_MODEL = re.compile(r"\w+\.transformer\.model\.(.+)\.weight")
_DOTTED = (
    "text_encoder.",
    "text_encoder.model.",
    "text_encoder.model.language_model.",
    "text_encoder.language_model.model.",
)
_PEFT = ("", "model.", "model.language_model.", *_DOTTED)  # behind base_model.model.
_FLAT = ("lora_te_", "lora_te1_", "lora_te_model_", "lora_te1_model_")


def text_names(keys: Iterable[str]) -> dict[str, str]:
    """Every name that a file may have for a layer of a language model (Qwen3, Mistral) -> the key of its weight in `keys`.

    `keys`: of a CLIP's state dict, ENCODER.transformer.model.LAYER.weight, as ComfyUI has it and we have. ComfyUI itself maps
    `text_encoders.ENCODER.transformer.model.LAYER`. Both sizes of Qwen3 are named alike here: files tell neither.
    """
    names: dict[str, str] = {}
    for key in keys:
        if found := _LANGUAGE_MODEL.fullmatch(key):
            layer = found[1]
            dotted = [*_DOTTED, *(f"base_model.model.{prefix}" for prefix in _PEFT)]
            dotted += [f"text_encoders.{size}.transformer.model." for size in ("qwen3_4b", "qwen3_8b")]
            names |= {prefix + layer: key for prefix in dotted}
            names |= {prefix + layer.replace(".", "_"): key for prefix in _FLAT}
    return names


def _blocks(target: str | Share, rows: Mapping[str, int]) -> Iterable[int]:
    """The numbers of the blocks that have this layer; one meaningless number where it stands in no block."""
    layer = target if isinstance(target, str) else target.layer
    if "{}" not in layer:
        return (0,)
    pattern = re.compile(re.escape(layer).replace(re.escape("{}"), r"(\d+)"))
    return sorted(int(found[1]) for found in map(pattern.fullmatch, rows) if found)


def _slices(parts: Iterable[Share], rows: Mapping[str, int]) -> Iterable[Slice]:
    start = 0
    for layer, which, of in parts:
        count = rows[layer] // of
        yield Slice(layer, start, count, which * count)
        start += count


# --- files ------------------------------------------------------------------------------------------------------------


def read(path: Path, name: str) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Tensors (on the CPU, mapped from the file) and metadata of a LoRA. `name` is the input that asked for it.

    Raises InputError unless it is a whole .safetensors of finite, real numbers, each alpha a single one.
    """
    import torch
    from safetensors import SafetensorError, safe_open

    if path.suffix != ".safetensors":
        raise InputError(name, path.name, "a .safetensors file: the others are pickles, which can run code")
    if path.stat().st_size > MOST_BYTES:
        raise InputError(name, path.name, f"a LoRA of at most {MOST_BYTES >> 30} GiB")
    check_safetensors(path, name)
    try:
        with safe_open(path, "pt") as file:
            keys = list(file.keys())
            if len(keys) > MOST_TENSORS:
                raise InputError(name, path.name, f"at most {MOST_TENSORS} tensors, this file has {len(keys)}")
            tensors, metadata = {key: file.get_tensor(key) for key in keys}, file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise InputError(name, path.name, f"a safetensors file that can be read; {error}") from error
    for key, tensor in tensors.items():
        try:
            sound = not tensor.is_complex() and bool(torch.isfinite(tensor.float()).all())
        except NotImplementedError:  # torch only carries numbers of 4 bits about
            sound = False
        if not sound:
            raise InputError(name, path.name, f"finite numbers; {key} has NaN, infinite, complex or 4-bit ones")
        if key.endswith(".alpha") and tensor.numel() != 1:
            raise InputError(name, path.name, f"one number for each alpha; {key} has {tensor.numel()}")
    return tensors, metadata


_XLABS = re.compile(
    r"(?:diffusion_model\.)?(double|single)_blocks\.(\d+)\.processor\.(qkv|proj)_lora([12]?)\.(down|up)\."
)
_XLABS_LAYERS = {
    ("double", "qkv", "1"): "img_attn.qkv",
    ("double", "qkv", "2"): "txt_attn.qkv",
    ("double", "proj", "1"): "img_attn.proj",
    ("double", "proj", "2"): "txt_attn.proj",
    ("single", "qkv", ""): "linear1_qkv",
    ("single", "proj", ""): "linear2",
}
# Spellings of one thing: what is found -> what ComfyUI's reader calls it.
_SPELLINGS = (
    (re.compile(r"^model\.diffusion_model\."), "diffusion_model."),
    (re.compile(r"\.lora_([AB])\.[A-Za-z]\w*\.(weight|bias)$"), r".lora_\1.\2"),  # PEFT with its adapter's name
    (re.compile(r"\.lora_B\.bias$"), ".diff_b"),
    (re.compile(r"\.lora_magnitude_vector(\.\w+){0,2}$"), ".dora_scale"),  # PEFT's, with its adapter's name or without
    (re.compile(r"_norm\.scale$"), "_norm.set_weight"),  # the norms of Black Forest Labs' control LoRAs
    (re.compile(r"^text_encoder\.encoder\.layers\."), "text_encoder.text_model.encoder.layers."),  # transformers 5
    (re.compile(r"^text_encoder_2\.encoder\.block\."), "text_encoders.t5xxl.transformer.encoder.block."),
)


def standard_key(key: str) -> str:
    """A file's key in the spelling that ComfyUI's reader knows."""
    if found := _XLABS.match(key):
        stream, number, kind, which, side = found.groups()
        layer = _XLABS_LAYERS.get((stream, kind, which))
        return f"diffusion_model.{stream}_blocks.{number}.{layer}.lora_{side}.weight" if layer else key
    for pattern, replacement in _SPELLINGS:
        key = pattern.sub(replacement, key)
    return key


# What may stand behind a layer's name. The first of each set must not come without the others.
_SETS = (
    ("lora_up.weight", "lora_down.weight"),
    ("lora_B.weight", "lora_A.weight"),
    ("lora_B", "lora_A"),
    ("lora.up.weight", "lora.down.weight"),
    ("lora_linear_layer.up.weight", "lora_linear_layer.down.weight"),
    ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"),
    ("hada_t1", "hada_t2"),
    ("lokr_w1_a", "lokr_w1_b"),
    ("lokr_w2_a", "lokr_w2_b"),
    ("lokr_w1",),
    ("lokr_w2",),
    ("lokr_t2",),
    ("oft_blocks",),
    ("rescale",),
    ("a1.weight", "a2.weight", "b1.weight", "b2.weight"),
    ("lora_mid.weight",),
    ("alpha",),
    ("dora_scale",),
    ("diff",),
    ("diff_b",),
    ("set_weight",),
    ("w_norm",),
    ("b_norm",),
    ("reshape_weight",),
)
_ENDINGS = sorted({f".{ending}" for endings in _SETS for ending in endings}, key=len, reverse=True)


def layer_of(key: str) -> str:
    """The layer's name in a key of standard spelling; the key itself where its ending is not known."""
    return next((key.removesuffix(ending) for ending in _ENDINGS if key.endswith(ending)), key)


def is_whole(layer: str, keys: Iterable[str]) -> bool:
    """Whether the keys of one layer are a set that can be computed with: no up without its down, not alpha alone."""
    endings = {key.removeprefix(layer + ".") for key in keys}
    halves = [set(members) & endings for members in _SETS if len(members) > 1]
    members = [set(members) for members in _SETS if len(members) > 1]
    if any(have and have != want for have, want in zip(halves, members)):
        return False
    kronecker = {ending[: len("lokr_w1")] for ending in endings if ending.startswith("lokr_w")}
    if len(kronecker) == 1:
        return False
    return bool(endings - {"alpha", "dora_scale", "rescale", "reshape_weight"})


def add_alphas(tensors: dict[str, torch.Tensor], metadata: Mapping[str, str]) -> None:
    """Give layers the alpha that diffusers keeps in a file's metadata and not in its tensors, in place.

    PEFT scales by lora_alpha / r, or lora_alpha / sqrt(r) where `use_rslora` is set. Unreadable metadata is left alone.
    """
    import torch

    try:
        config = json.loads(metadata.get("lora_adapter_metadata", "{}"))
    except (ValueError, RecursionError):
        return
    if not isinstance(config, dict):
        return
    for key in [key for key in tensors if key.endswith(".lora_A.weight")]:
        layer = key.removesuffix(".lora_A.weight")
        component, _, inner = layer.partition(".")
        alpha = config.get(f"{component}.lora_alpha")
        patterns = config.get(f"{component}.alpha_pattern")
        for pattern, value in patterns.items() if isinstance(patterns, dict) else ():
            if inner == pattern or inner.endswith("." + pattern):
                alpha = value
        if f"{layer}.alpha" in tensors or isinstance(alpha, bool) or not isinstance(alpha, int | float):
            continue
        if not tensors[key].shape:  # no matrix: refused by name when it is applied
            continue
        rank = tensors[key].shape[0]
        scale = math.sqrt(rank) if config.get(f"{component}.use_rslora") is True else 1.0
        try:
            value = torch.tensor(float(alpha) * scale)
        except OverflowError:  # JSON's whole numbers have no end
            continue
        if torch.isfinite(value):
            tensors[f"{layer}.alpha"] = value


def convert(tensors: Mapping[str, torch.Tensor], transformer_class: str) -> dict[str, torch.Tensor]:
    """One layer's tensors under names that no table knows, converted by diffusers; {} where it cannot either.

    A layer with magnitudes (DoRA) is not converted: diffusers would drop them and keep the rest.
    """
    names = lora_names(transformer_class)
    if not names.mixin or any(key.endswith(".dora_scale") for key in tensors):
        return {}
    import diffusers.loaders as loaders

    mixin = getattr(loaders, names.mixin, None)
    if mixin is None:
        return {}
    try:
        return {standard_key(key): tensor for key, tensor in mixin.lora_state_dict(dict(tensors)).items()}
    except (
        ValueError,
        KeyError,
        AttributeError,
        IndexError,
        TypeError,
        RuntimeError,
        NotImplementedError,
        AssertionError,
    ):
        return {}  # what it says of keys that are not its own; the caller reports them by name
