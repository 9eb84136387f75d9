"""Components in the diffusers layout, each a folder with a config.json: what is in it, what is missing, and its model."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ModelFilesError
from ..kinds.facts import Family
from ..kinds.kind import Kind, TextEncoderKind
from ..kinds.names import Rows
from ..kinds.table import repository_of
from ..paths import plain
from .filling import fill
from .parts import parts_of
from .releases import class_named
from .weight_files import PICKLES, check_safetensors, open_shards

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

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

MOST_EXTRA_IDS = 1000  # marks that a tokenizer makes beside its vocabulary; T5 has 100
MOST_LAYERS_OF_KIND = 1000  # of one kind; the largest published models have 80
QUANTO_MAP = "quanto_qmap.json"  # what optimum-quanto's own save_pretrained writes instead of a quantization_config
QUANTISERS = {  # quant_method of a config -> package that made it
    "torchao": "torchao",
    "nunchaku": "nunchaku",
    "svdq": "nunchaku",
    "modelopt": "nvidia-modelopt",
    "gptq": "gptqmodel",
    "awq": "autoawq",
    "fp8": "a blockwise fp8 quantiser",
}
TOKENIZER_FILES = (("tokenizer.json",), ("vocab.json", "merges.txt"), ("spiece.model",))  # any one of these sets


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises ModelFilesError for a file that cannot be read or holds something else."""
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


def quantisation(part: Path) -> Any:
    """What the folder of a component says of the quantiser that made it: a quantization_config; None of plain weights."""
    config = read_json(part / "config.json").get("quantization_config")
    return config or ({"quant_method": "quanto"} if (part / QUANTO_MAP).is_file() else None)


def weight_names(part: Path) -> tuple[str, str | None]:
    """How diffusers and transformers call the weights of a component, and the variant ("fp16") if it has only that."""
    stem = "diffusion_pytorch_model" if any(part.glob("diffusion_pytorch_model*")) else "model"
    if any((part / f"{stem}{ending}").is_file() for ending in (".safetensors", ".safetensors.index.json")):
        return stem, None
    for variant in VARIANTS:
        endings = (f".{variant}.safetensors", f".safetensors.index.{variant}.json")
        if any((part / f"{stem}{ending}").is_file() for ending in endings):
            return stem, variant
    return stem, None


def _require_opened(quantised: Any, part: Path) -> None:
    """Raise ModelFilesError for a quantization_config that this pack cannot read, with what to take instead."""
    from ..weights import formats

    opened = formats.of_folders()
    method = str(quantised.get("quant_method", "")) if isinstance(quantised, dict) else ""
    files = [file.suffix.lower() for file in part.iterdir()]
    pickled = any(suffix in PICKLES for suffix in files) and ".safetensors" not in files
    if method in opened and not pickled:
        return
    maker = next((name for mark, name in QUANTISERS.items() if mark in method.lower()), method or "an unknown one")
    why = "whose layers it must keep on the device as a whole"
    if maker == "nunchaku":
        why += "; nunchaku's own nodes open it, and this pack what diffusers calls nunchaku_lite"
    elif pickled:
        why = "in pickles, which can run code and are never opened"
        why += "; torchao 0.16 or newer saves the same as safetensors" if maker == "torchao" else ""
    raise ModelFilesError(
        "model",
        f"{part.parent.name}/{part.name}",
        f"weights that ComfyUI can stream; these are quantised by {maker}, {why}. Take the model's plain folder with"
        f" weight_dtype 'fp8 storage', a quantised folder ({', '.join(opened.values())}), or its fp8, nvfp4 or GGUF file in"
        " StorefrontLoadComponents",
    )


def weight_paths(folder: Path, component: str) -> list[Path]:
    """The safetensors of a component, every shard. Raises ModelFilesError where one is missing or broken."""
    part = folder / component
    help_line = how_to_get(folder)
    if not (part / "config.json").is_file():
        raise ModelFilesError("model", folder.name, f"a file {component}/config.json in it; {help_line}")
    stem, variant = weight_names(part)
    index = part / (f"{stem}.safetensors.index.{variant}.json" if variant else f"{stem}.safetensors.index.json")
    if index.is_file():
        weight_map = read_json(index).get("weight_map")
        if not isinstance(weight_map, dict) or not weight_map:
            raise ModelFilesError("model", index.name, f"a weight_map in {index}")
        names = sorted({str(name) for name in weight_map.values()})
        if any((path := plain(name)) is None or len(path.parts) != 1 for name in names):
            raise ModelFilesError("model", index.name, f"shards beside the index, no paths, in {index}")
        files = [part / name for name in names]
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
    return files


def check_weights(folder: Path, component: str) -> None:
    """Raise ModelFilesError unless `component` has a config and whole safetensors that this pack can read."""
    part = folder / component
    if (part / "config.json").is_file() and (quantised := quantisation(part)):
        _require_opened(quantised, part)
    weight_paths(folder, component)


def index_file(folder: Path) -> Path | None:
    """What says which model a diffusers folder is."""
    return next((folder / name for name in INDEX_FILES if (folder / name).is_file()), None)


def read_index(folder: Path) -> dict[str, Any]:
    """Raises ModelFilesError, with how to get a good copy, where the folder has none."""
    if (file := index_file(folder)) is None:
        raise ModelFilesError("model", folder.name, f"a model_index.json in it; {how_to_get(folder)}")
    return read_json(file)


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


def required_settings(part: Path, kind: Kind) -> dict[str, Any]:
    """Settings that the shipped config leaves out and whose class default would be another model's."""
    present = read_json(part / "config.json")
    gaps = {key: value for key, value in kind.required_config().items() if present.get(key) is None}
    for key, value in gaps.items():
        log.warning("Storefront: %s/%s/config.json has no %s; using %r.", part.parent.name, part.name, key, value)
    return gaps


def check_reader(part: Path, kind: TextEncoderKind) -> None:
    """Raise ModelFilesError unless a tokenizer's or an image processor's folder has its files."""
    if not kind.reads_text:
        if not (part / "preprocessor_config.json").is_file():
            wanted = f"a file {part.name}/preprocessor_config.json in it; {how_to_get(part.parent)}"
            raise ModelFilesError("model", part.parent.name, wanted)
    elif not any(all((part / name).is_file() for name in files) for files in TOKENIZER_FILES):
        wanted = ", or ".join(" and ".join(files) for files in TOKENIZER_FILES)
        raise ModelFilesError("model", part.parent.name, f"in {part.name}/: {wanted}; {how_to_get(part.parent)}")


def load_reader(part: Path, kind: TextEncoderKind) -> Any:
    """The tokenizer or image processor of a folder. Raises ModelFilesError where it cannot be read."""
    import transformers

    said = part / "tokenizer_config.json"
    extra = read_json(said).get("extra_ids") if said.is_file() else None
    if isinstance(extra, int | float) and not extra <= MOST_EXTRA_IDS:  # each is made, as a text of its own
        wanted = f"at most {MOST_EXTRA_IDS} extra_ids in its tokenizer_config.json; it has {extra!r:.40}"
        raise ModelFilesError("model", f"{part.parent.name}/{part.name}", wanted)
    try:
        return getattr(transformers, kind.reader).from_pretrained(part, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # the tokenizers library raises plain Exceptions
        where = f"{part.parent.name}/{part.name}"
        raise ModelFilesError("model", where, f"{kind.reader} files that can be read; {error!r}") from error


def load_module(part: Path, kind: Kind, cls: str, dtype: torch.dtype, keep: bool) -> torch.nn.Module:
    """The model of a folder with a config and safetensors, as a class of the kind's library.

    keep: as in filling.fill, for a quantised folder. Only safetensors, only local files. Raises ModelFilesError where the
    weights do not fit the config.
    """
    _require_few_layers(part, read_json(part / "config.json"))
    settings = required_settings(part, kind)
    if quantisation(part):
        return _load_quantised(part, kind, cls, dtype, settings, keep)
    where = f"{part.parent.name}/{part.name}"
    options = {"dtype" if kind.library == "transformers" else "torch_dtype": dtype}
    if variant := weight_names(part)[1]:
        options["variant"] = variant
    try:
        module, report = class_named(kind.library, cls).from_pretrained(
            part,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            **options,
            **settings,
        )
    except Exception as error:  # configs are checked with exceptions that are none of Python's own
        raise ModelFilesError("model", where, f"weights that fit its config; {error}") from error
    missing = sorted(report["missing_keys"])
    if missing:  # the libraries would make them up
        raise ModelFilesError("model", where, f"every weight in it; {len(missing)} are missing, such as {missing[0]}")
    return module.train(False).requires_grad_(False)


def _require_few_layers(part: Path, config: Mapping[str, Any]) -> None:
    """Raise ModelFilesError for a config of more layers than any model has: each is built before a weight is looked for."""
    for key, value in config.items():
        if isinstance(value, dict):
            _require_few_layers(part, value)
        elif (
            ("layers" in key or "blocks" in key) and isinstance(value, int | float) and not value <= MOST_LAYERS_OF_KIND
        ):
            wanted = f"at most {MOST_LAYERS_OF_KIND} for {key} in its config.json; it has {value!r}"
            raise ModelFilesError("model", f"{part.parent.name}/{part.name}", wanted)


def _load_quantised(
    part: Path, kind: Kind, name: str, dtype: torch.dtype, settings: Mapping[str, Any], keep: bool
) -> torch.nn.Module:
    """The model of a folder whose layers a quantiser has rewritten, read without that quantiser's package."""
    from accelerate import init_empty_weights

    where = f"{part.parent.name}/{part.name}"
    file = open_shards(part, weight_paths(part.parent, part.name), quantisation(part))
    sources = {key: Rows(key) for key in file.entries}
    try:
        cls = class_named(kind.library, name)
        if kind.library == "diffusers":
            config = {**cls.load_config(part, local_files_only=True), **settings}
            config.pop("quantization_config", None)
            with init_empty_weights():
                module = cls.from_config(config)
        else:
            config = cls.config_class.from_pretrained(part, local_files_only=True)
            config.quantization_config = None
            known = parts_of(file).get(kind.role)
            sources = {**sources, **known.sources} if known else sources
            cls, config = kind.words_alone(cls, config, "lm_head.weight" in sources)
            with init_empty_weights():
                module = cls(config)
    except Exception as error:  # as above
        raise ModelFilesError("model", where, f"a config that its class understands; {error!r}") from error
    return fill(module, file, sources, dtype, keep)


def preview_factors(folder: Path) -> dict[str, Any] | None:
    """The folder's own linear map from latents to RGB (`latent_preview.json`), where it has one."""
    path = folder / "latent_preview.json"
    factors = read_json(path) if path.is_file() else None
    if factors is not None and not {"latent_rgb_factors", "latent_rgb_factors_bias"} <= factors.keys():
        raise ModelFilesError("model", path.name, f"latent_rgb_factors and latent_rgb_factors_bias in {path}")
    return factors
