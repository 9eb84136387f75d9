"""Model folders in the diffusers layout: what is in them, what is missing, and the components loaded one by one."""

from __future__ import annotations

import json
import logging
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ModelFilesError
from .families import PIPELINES, Defaults, Edition, Family, Licence, is_quick, licence_of, repository_of

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

MAX_HEADER = 100_000_000  # bytes; the limit that the safetensors library itself has
SCHEDULER_NUMBERS = {
    "num_train_timesteps",
    "shift",
    "base_shift",
    "max_shift",
    "base_image_seq_len",
    "max_image_seq_len",
}
VARIANTS = ("bf16", "fp16")
INDEX_FILES = ("model_index.json", "modular_model_index.json")
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")

QUANTISERS = {  # quant_method of a config -> package that made it
    "bitsandbytes": "bitsandbytes",
    "torchao": "torchao",
    "quanto": "optimum-quanto",
    "sdnq": "sdnq",
    "nunchaku": "nunchaku",
    "svdq": "nunchaku",
    "modelopt": "nvidia-modelopt",
    "gptq": "gptqmodel",
    "awq": "autoawq",
    "fp8": "a blockwise fp8 quantiser",
}
TOKENIZER_FILES = (("tokenizer.json",), ("vocab.json", "merges.txt"), ("spiece.model",))  # any one of these sets


@dataclass(frozen=True)
class Checkpoint:
    """A model folder that has passed inspection."""

    folder: Path
    edition: Edition
    defaults: Defaults
    scheduler_config: dict[str, Any]
    licence: Licence

    @property
    def family(self) -> Family:
        return self.edition.family


def read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelFilesError("model", str(path.name), f"a readable JSON file; {path}: {error}") from error
    if not isinstance(content, dict):
        raise ModelFilesError("model", path.name, f"a JSON object in {path}")
    return content


def how_to_get(folder: Path) -> str:
    """The line that fetches a good copy."""
    return f'to get it: hf download {repository_of(folder.name)} --local-dir "{folder}"'


def check_safetensors(path: Path, name: str = "model") -> None:
    """Raise ModelFilesError unless the file's size is what its header says (a broken download is shorter)."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
        if length > min(MAX_HEADER, size - 8):
            raise ModelFilesError(name, path.name, f"a whole safetensors file; this one ends inside its header: {path}")
        try:
            header = json.loads(file.read(length))
            ends = [int(entry["data_offsets"][1]) for key, entry in header.items() if key != "__metadata__"]
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
            raise ModelFilesError(name, path.name, f"a safetensors header that can be read: {path}") from error
    wanted = 8 + length + max(ends, default=0)
    if size != wanted:
        raise ModelFilesError(name, path.name, f"a whole file of {wanted} bytes, this one has {size}: {path}")


def weight_names(part: Path) -> tuple[str, str | None]:
    """How diffusers and transformers call the weights of a component, and the variant ("fp16") if it has only that."""
    stem = "model" if part.name.startswith(("text_encoder", "siglip")) else "diffusion_pytorch_model"
    if any((part / f"{stem}{ending}").is_file() for ending in (".safetensors", ".safetensors.index.json")):
        return stem, None
    for variant in VARIANTS:
        endings = (f".{variant}.safetensors", f".safetensors.index.{variant}.json")
        if any((part / f"{stem}{ending}").is_file() for ending in endings):
            return stem, variant
    return stem, None


def _instead_of(quantised: Any) -> str:
    """What to take instead of a component with this quantization_config."""
    method = str(quantised.get("quant_method", "")) if isinstance(quantised, dict) else ""
    maker = next(
        (package for mark, package in QUANTISERS.items() if mark in method.lower()), method or "an unknown one"
    )
    return (
        f"weights that ComfyUI can stream; these are quantised by {maker}, whose layers it must keep on the device as a"
        " whole. Take the model's plain folder with weight_dtype 'fp8 storage', or its fp8 or GGUF file in"
        " StorefrontLoadComponents"
    )


def check_weights(folder: Path, component: str) -> None:
    """Raise ModelFilesError unless `component` has a config and whole safetensors, every shard of them."""
    part = folder / component
    help_line = how_to_get(folder)
    if not (part / "config.json").is_file():
        raise ModelFilesError("model", folder.name, f"a file {component}/config.json in it; {help_line}")
    if quantised := read_json(part / "config.json").get("quantization_config"):
        raise ModelFilesError("model", f"{folder.name}/{component}", _instead_of(quantised))
    stem, variant = weight_names(part)
    index = part / (f"{stem}.safetensors.index.{variant}.json" if variant else f"{stem}.safetensors.index.json")
    if index.is_file():
        weight_map = read_json(index).get("weight_map")
        if not isinstance(weight_map, dict) or not weight_map:
            raise ModelFilesError("model", index.name, f"a weight_map in {index}")
        names = sorted({str(name) for name in weight_map.values()})
        files = [part / name for name in names]
        if any(file.parent != part for file in files):
            raise ModelFilesError("model", index.name, f"shards beside the index, no paths, in {index}")
    else:
        name = f"{stem}.{variant}.safetensors" if variant else f"{stem}.safetensors"
        files = [part / name] if (part / name).is_file() else []
    missing = [file.name for file in files if not file.is_file()]
    if missing or not files:
        pickles = [file.name for file in part.iterdir() if file.suffix in PICKLES]
        wanted = ", ".join(missing) or "a .safetensors file"
        why = f" ({', '.join(pickles)} is a pickle, which can run code and is never opened)" if pickles else ""
        raise ModelFilesError("model", folder.name, f"{wanted} in {component}/{why}; {help_line}")
    for file in files:
        check_safetensors(file)


def inspect(folder: Path) -> Checkpoint:
    """What stands in a diffusers folder. Reads headers and configs only, no weights.

    Raises ModelFilesError that names the file, what is wrong with it and how to get a good one.
    """
    index_file = next((folder / name for name in INDEX_FILES if (folder / name).is_file()), None)
    if index_file is None:
        raise ModelFilesError("model", folder.name, f"a model_index.json in it; {how_to_get(folder)}")
    index = read_json(index_file)
    edition = PIPELINES.get(str(index.get("_class_name")))
    if edition is None:
        raise ModelFilesError(
            "model",
            folder.name,
            f"one of {', '.join(PIPELINES)}; its {index_file.name} says {index.get('_class_name')!r}",
        )
    family = edition.family
    require_classes(folder.name, family)
    for component in family.components:
        check_weights(folder, component)
    for tokenizer in family.tokenizers:
        if not any(all((folder / tokenizer / name).is_file() for name in files) for files in TOKENIZER_FILES):
            wanted = ", or ".join(" and ".join(files) for files in TOKENIZER_FILES)
            raise ModelFilesError("model", folder.name, f"in {tokenizer}/: {wanted}; {how_to_get(folder)}")
    for processor in family.image_processors:
        if not (folder / processor / "preprocessor_config.json").is_file():
            wanted = f"a file {processor}/preprocessor_config.json in it; {how_to_get(folder)}"
            raise ModelFilesError("model", folder.name, wanted)
    scheduler = read_scheduler(folder, family)
    transformer = read_json(folder / "transformer" / "config.json")
    quick = edition.quick if edition.quick and is_quick(edition, index, transformer, scheduler) else None
    return Checkpoint(folder, edition, quick or edition.defaults, scheduler, licence_of(folder.name))


def read_scheduler(folder: Path, family: Family) -> dict[str, Any]:
    """The scheduler's settings of a diffusers folder. Raises ModelFilesError where they are missing or no numbers."""
    scheduler_file = folder / "scheduler" / "scheduler_config.json"
    if not scheduler_file.is_file() and family.scheduler_config is None:
        raise ModelFilesError("model", folder.name, f"scheduler/scheduler_config.json in it; {how_to_get(folder)}")
    own: dict[str, Any] = dict(family.scheduler_config or {})
    scheduler = read_json(scheduler_file) if scheduler_file.is_file() else own
    for key in SCHEDULER_NUMBERS & scheduler.keys():
        if isinstance(scheduler[key], bool) or not isinstance(scheduler[key], (int, float)) or scheduler[key] <= 0:
            raise ModelFilesError("model", scheduler_file.name, f"a number above 0 for {key} in {scheduler_file}")
    return scheduler


def require_classes(name: str, family: Family) -> None:
    """Raise ModelFilesError where the installed libraries are older than the family."""
    import importlib

    import diffusers

    classes = (*family.components.values(), *family.tokenizers.values(), *family.image_processors.values())
    for library, cls in classes:
        try:
            getattr(importlib.import_module(library), cls)
        except (AttributeError, ImportError, RuntimeError) as error:
            raise ModelFilesError(
                "model",
                name,
                f"diffusers {family.since} or newer with a transformers of its time, for {family.name}"
                f" ({library} has no {cls}; diffusers is {diffusers.__version__})",
            ) from error


def config_gaps(part: Path, family: Family) -> dict[str, Any]:
    """Settings that the shipped config leaves out and whose class default would be another model's."""
    wanted: Mapping[str, object] = family.required_config.get(part.name, {})
    present = read_json(part / "config.json")
    gaps = {key: value for key, value in wanted.items() if present.get(key) is None}
    for key, value in gaps.items():
        log.warning("Storefront: %s/%s/config.json has no %s; using %r.", part.parent.name, part.name, key, value)
    return gaps


def load_component(checkpoint: Checkpoint, component: str, dtype: torch.dtype) -> Any:
    """One model (eval mode, no gradients, weights in `dtype`), tokenizer or image processor of the folder.

    Only the family's classes, only safetensors, only local files. Raises ModelFilesError where they do not fit.
    """
    part, family = checkpoint.folder / component, checkpoint.family
    for readers in (family.tokenizers, family.image_processors):
        if component in readers:
            return load_tokenizer(part, *readers[component])
    return load_module(part, *family.components[component], dtype, config_gaps(part, family))


def load_tokenizer(part: Path, library: str, name: str) -> Any:
    """The tokenizer or image processor of a folder. Raises ModelFilesError where it cannot be read."""
    import importlib

    try:
        cls = getattr(importlib.import_module(library), name)
        return cls.from_pretrained(part, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # the tokenizers library raises plain Exceptions
        where = f"{part.parent.name}/{part.name}"
        raise ModelFilesError("model", where, f"{name} files that can be read; {error!r}") from error


def load_module(part: Path, library: str, name: str, dtype: torch.dtype, settings: Mapping[str, Any]) -> Any:
    """The model of a folder with a config and safetensors, as a class of diffusers or transformers.

    `settings` go before the config's. Raises ModelFilesError where the weights do not fit the config.
    """
    import importlib

    from safetensors import SafetensorError

    where = f"{part.parent.name}/{part.name}"
    options = {"dtype": dtype} if library == "transformers" else {"torch_dtype": dtype}
    if variant := weight_names(part)[1]:
        options["variant"] = variant
    try:
        cls = getattr(importlib.import_module(library), name)
        module, report = cls.from_pretrained(
            part,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            **options,
            **settings,
        )
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, ImportError, SafetensorError) as error:
        raise ModelFilesError("model", where, f"weights that fit its config; {error}") from error
    missing = sorted(report["missing_keys"])
    if missing:  # the libraries would make them up
        raise ModelFilesError("model", where, f"every weight in it; {len(missing)} are missing, such as {missing[0]}")
    return module.eval().requires_grad_(False)


def preview_factors(folder: Path) -> dict[str, Any] | None:
    """The folder's own linear map from latents to RGB (`latent_preview.json`), where it has one."""
    path = folder / "latent_preview.json"
    factors = read_json(path) if path.is_file() else None
    if factors is not None and not {"latent_rgb_factors", "latent_rgb_factors_bias"} <= factors.keys():
        raise ModelFilesError("model", path.name, f"latent_rgb_factors and latent_rgb_factors_bias in {path}")
    return factors
