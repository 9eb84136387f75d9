"""LoRAs that ComfyUI lists, put on a MODEL and a CLIP by ComfyUI's own patching, with an account of every key."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import comfy.lora
import folder_paths

from ..studio.errors import InputError, require_number
from ..studio.opening import lora
from ..studio.prompt import presets
from . import lora_patches, preset_library, user_files
from .lora_patches import PREFIX, FusedLayerNames, as_numbers, fits, target_shape, with_magnitude
from .progress import check_cancel

log = logging.getLogger(__name__)

NONE = "none"
STRONGEST = presets.STRONGEST_LORA
_BUNDLED_FOLDER = Path(__file__).parent.parent / "models" / "loras"


class NothingFits(InputError):
    """A LoRA of which no layer belongs to the model."""


class Row(NamedTuple):
    """One line of the node."""

    input_name: str  # of the file's input, for messages
    file: str
    strength: float
    clip_strength: float


class Applied(NamedTuple):
    """What became of one file."""

    file: str
    layers: int  # of the model
    text_layers: int
    unmatched: list[str]  # keys of the file that nothing was done with

    def lines(self) -> list[str]:
        """For the report: a summary, then every unmatched key."""
        text = f" and {self.text_layers} of the text encoders" if self.text_layers else ""
        lines = [f"{self.file}: {self.layers} layers of the model{text} matched, {len(self.unmatched)} keys unmatched"]
        return [*lines, *(f"  not matched: {key}" for key in self.unmatched)]


def files() -> dict[str, Path]:
    """Name -> path of the .safetensors in ComfyUI's `loras` folders, and those that come with the pack."""
    found = {path.name: path for path in sorted(_BUNDLED_FOLDER.glob("*.safetensors"))}
    for name in folder_paths.get_filename_list("loras"):
        path = folder_paths.get_full_path("loras", name)
        if name.endswith(".safetensors") and name.isprintable() and path:
            found[name] = Path(path)
    return found


def find(input_name: str, file: str) -> Path:
    """The path of a listed LoRA. Only names of the list are opened, so no path can be smuggled in."""
    known = files()
    if file not in known:
        shown = ", ".join(itertools.islice(known, 20))
        raise InputError(input_name, file, f"a .safetensors in models/loras ({shown})")
    return known[file]


def fingerprint(names: Iterable[str]) -> list[tuple[str, int, int]]:
    """What tells a file from another of the same name that replaced it."""
    known = files()
    stats = [(name, known[name].stat()) for name in names if name in known]
    return [(name, stat.st_mtime_ns, stat.st_size) for name, stat in stats]


def apply_rows(model: Any, clip: Any | None, rows: Iterable[Row]) -> tuple[Any, Any | None, list[Applied]]:
    """Clones of MODEL and CLIP with every row's LoRA added. The originals, and the weights on disk, are not touched.

    Raises InputError for a file that cannot be read or of which nothing fits.
    """
    outcome = []
    for row in rows:
        if row.file == NONE:
            continue
        check_cancel()
        model, clip, applied = apply(model, clip, row)
        outcome.append(applied)
    return model, clip, outcome


def apply(model: Any, clip: Any | None, row: Row) -> tuple[Any, Any | None, Applied]:
    """Clones of MODEL and CLIP with one LoRA added."""
    lora_patches.require_local(model)
    if clip is not None:
        lora_patches.require_local(clip.patcher)
    require_number(row.input_name.replace("lora", "strength"), row.strength, -STRONGEST, STRONGEST)
    require_number(row.input_name.replace("lora", "clip_strength"), row.clip_strength, -STRONGEST, STRONGEST)
    tensors, metadata = lora.read(find(row.input_name, row.file), row.input_name)
    keys: dict[str, str] = {}  # standard spelling -> as in the file
    for key in sorted(tensors, key=lambda key: lora.standard_key(key) != key):
        keys.setdefault(lora.standard_key(key), key)
    twice = tensors.keys() - keys.values()  # other spellings of what is there already
    tensors = {standard: tensors[key] for standard, key in keys.items()}
    lora.add_alphas(tensors, metadata)

    names = comfy.lora.model_lora_keys_unet(model.model, {})
    if clip is not None:
        names = comfy.lora.model_lora_keys_clip(clip.cond_stage_model, names)
        names = {**lora.text_names(clip.cond_stage_model.state_dict()), **names}
    groups: dict[str, dict[str, Any]] = {}
    for key, tensor in tensors.items():
        groups.setdefault(lora.layer_of(key), {})[key] = tensor
    transformer = getattr(getattr(model.model, "diffusion_model", None), "transformer", None)
    converted_from: dict[str, str] = {}  # layer in the file -> layer that diffusers made of it
    for layer, group in list(groups.items()):
        if layer not in names and isinstance(model.model, FusedLayerNames):
            for key, tensor in lora.convert(group, type(transformer).__name__).items():
                made = lora.layer_of(key)
                if made in names and layer not in groups.get(made, {}):
                    groups.setdefault(made, {})[key] = tensor
                    converted_from[made] = layer

    whole = {layer: group for layer, group in groups.items() if layer in names and lora.is_whole(layer, group)}
    known = {layer: whole[layer] for layer in _named_once(whole, names, model.model)}
    patches = comfy.lora.load_lora(
        {k: t for group in known.values() for k, t in group.items()},
        {layer: names[layer] for layer in known},  # it looks for thirty spellings of each
        log_missing=False,
    )
    model, clip = model.clone(), None if clip is None else clip.clone()
    on_model = _add(model, model.model, patches, row.strength)
    on_clip = set() if clip is None else _add(clip, clip.cond_stage_model, patches, row.clip_strength)
    taken = on_model | on_clip
    matched = {converted_from.get(layer, layer) for layer in known if taken & _targets(names[layer])}
    unmatched = [*twice]
    unmatched += [keys[key] for layer, group in groups.items() if layer not in matched for key in group if key in keys]
    if not matched:
        why = "; connect the CLIP to apply its text-encoder part" if clip is None and _is_for_text(keys) else ""
        raise NothingFits(
            row.input_name,
            row.file,
            f"a LoRA for this model; none of its {len(keys) + len(twice)} keys fits, such as {min(unmatched)!r}{why}",
        )
    return model, clip, Applied(row.file, len(on_model), len(on_clip), sorted(unmatched))


def _named_once(layers: Iterable[str], names: Mapping[str, Any], module: Any) -> list[str]:
    """The layers of a file without those whose rows an earlier one has: some files hold one LoRA in two formats."""
    fused = module.fused_layers if isinstance(module, FusedLayerNames) else {}
    kept: list[str] = []
    claimed: set[tuple[Any, int]] = set()
    for layer in layers:
        key = names[layer]
        rows = {(f"{PREFIX}{part.layer}.weight", part.offset) for part in fused.get(key, ())} or {(key, 0)}
        if not rows & claimed:
            kept.append(layer)
            claimed |= rows
    return kept


def _add(target: Any, module: Any, patches: Mapping[Any, Any], strength: float) -> set[Any]:
    """Add the patches that a MODEL or CLIP has a weight of the right shape for; the keys of those."""
    if not isinstance(module, FusedLayerNames):  # whose own patcher looks at the shapes
        weights = as_numbers(module, module.state_dict())
        exact = {key: with_magnitude(patch) for key, patch in patches.items()}
        patches = {key: patch for key, patch in exact.items() if _fits(weights, key, patch)}
    return set(target.add_patches(patches, strength))


def _targets(key: Any) -> set[Any]:
    """The keys that ComfyUI may file a layer's patches under: its weight, and its bias."""
    return {key, f"{key.removesuffix('.weight')}.bias"} if isinstance(key, str) else {key}


def _fits(weights: Mapping[str, Any], key: Any, patch: Any) -> bool:
    name = key if isinstance(key, str) else key[0]
    if name not in weights:
        return False
    shape = target_shape(weights[name], key)
    return fits(patch, shape, whole=shape == weights[name].shape)


def _is_for_text(keys: Iterable[str]) -> bool:
    return any(key.startswith(("lora_te", "text_encoder")) for key in keys)


def report(outcome: list[Applied]) -> str:
    """All of it as text, for the STRING output."""
    return "\n".join(line for applied in outcome for line in applied.lines()) or "no LoRA chosen"


# --- styles -----------------------------------------------------------------------------------------------------------


def _user_table() -> dict[str, tuple[presets.Lora, ...]]:
    """Style -> its LoRAs, from the table in ComfyUI's user folder. Raises InputError where it cannot be read."""
    return presets.read_loras(user_files.styles_file())


def _styles() -> dict[str, tuple[presets.Lora, ...]]:
    """Style -> its LoRAs: the presets' (the pack's and the user's), and the user's table before them.

    Raises InputError where the table cannot be read.
    """
    return presets.style_loras(preset_library.library().styles, _user_table())


def style_names() -> list[str]:
    """The styles of the node. A broken table of the user leaves the presets'; `apply_style` then says what is wrong with it."""
    try:
        table = _user_table()
    except InputError as error:
        log.warning("Storefront: %s", error)
        table = {}
    return presets.style_names(preset_library.headings().styles, table)


def find_style(style: str) -> str:
    """The listed name of a style, by it or by its key. Raises InputError with the list."""
    return presets.find_style("style", style, _styles())


def require_style(style: str) -> None:
    if style != NONE:
        find_style(style)


def style_fingerprint() -> object:
    """Changes when a LoRA comes, goes or is replaced, and when a style gets another."""
    try:
        return [*_styles().items(), *fingerprint(files())]
    except InputError as error:
        return str(error)


def apply_style(model: Any, clip: Any | None, style: str, strength: float) -> tuple[Any, Any | None, list[str]]:
    """MODEL and CLIP in a style, `strength` times as strong as its presets say, and what was done.

    The first LoRA of the style that is installed and fits the model. Where there is none, both are handed on as they are.
    """
    require_number("strength", strength, 0, 2)
    if style == NONE:
        return model, clip, ["no style chosen"]
    known, name = _styles(), find_style(style)
    problems = preset_library.library().problems
    notes = []
    for entry in known[name]:
        file = _installed(entry.file)
        if file is None:
            notes.append(f"{entry.file} is not in models/loras; to get it: {entry.source or 'its author says where'}")
            continue
        row = Row("style", file, entry.strength * strength, entry.strength * strength)
        try:
            model, clip, applied = apply(model, clip, row)
        except NothingFits:
            notes.append(f"{file} is made for another model")
            continue
        return model, clip, [f"style {name}, strength {row.strength:g}", *applied.lines(), *problems]
    return model, clip, [f"style {name}: the model is unchanged", *(notes or ["no LoRA belongs to it"]), *problems]


def _installed(file: str) -> str | None:
    """The listed name of a LoRA that may stand in a folder of models/loras."""
    return next((name for name in files() if name.replace("\\", "/").rsplit("/", 1)[-1] == file), None)
