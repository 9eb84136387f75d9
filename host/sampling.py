"""ComfyUI's sampling core over diffusers' noise levels, on any MODEL of a known family, ours or stock."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import comfy.model_sampling
import comfy.sample
import comfy.samplers
import comfy.utils
import latent_preview
import node_helpers
import torch

from ..studio.errors import NOT_CONNECTED, InputError, require_number
from ..studio.kinds.facts import ModelFacts
from ..studio.sampling import noise, schedule
from . import resuming
from .model_socket import DiffusersModel, facts_of

AUTO_STEPS, AUTO_GUIDANCE, AUTO_CFG = 0, -1.0, 0.0  # the model's defaults


class SamplerSettings(NamedTuple):
    """The inputs of FLUX Sampler that are numbers, and whether it goes on with an unfinished picture."""

    seed: int
    steps: int = AUTO_STEPS
    guidance: float = AUTO_GUIDANCE  # 0..100, embedded
    cfg: float = AUTO_CFG  # 1..100
    strength: float = 1.0  # 0..1; 1 starts from noise
    time_limit: float = 0  # seconds; 0: none
    resume: bool = False


class _TimeIsUp(Exception):
    """Carries the prediction of the clean picture [B, C, H, W], in model space, out of ComfyUI's loop."""

    def __init__(self, prediction: torch.Tensor, steps: int):
        super().__init__()
        self.prediction, self.steps = prediction, steps


def sample(
    model: Any, positive: list, negative: list | None, latent: dict[str, Any], settings: SamplerSettings
) -> tuple[dict[str, Any], list[str]]:
    """LATENT of prompts x pictures, and notes on what had to be done.

    Picture i of prompt p has the seed `seed + p + i` (i is its batch_index, where it has one). A run that a time limit ends
    leaves in its LATENT what a later one needs to go on. With `resume`, one goes on: from the LATENT, or from the file that
    a cancelled or killed run of the same picture has left. Raises InputError naming the input that does not fit.
    """
    facts = facts_of(model)
    guidance = facts.defaults.guidance if settings.guidance == AUTO_GUIDANCE else settings.guidance
    require_number("guidance", guidance, 0, 100)
    require_number("time_limit", settings.time_limit, 0, 86_400)
    cfg = _wanted_cfg(facts, settings.cfg, negative)
    for name, conditioning in (("positive", positive), ("negative", negative or [])):
        _require_mask_is_seen(model, facts, name, conditioning)
    latent, before = resuming.split(latent, settings.resume)
    samples, rows = _pictures(model, facts, latent, _batch_of("positive", positive))
    config, mu = _patched_schedule(model, facts)
    steps = facts.defaults.steps if settings.steps == AUTO_STEPS else settings.steps
    height, width = samples.shape[-2:]
    levels = schedule.sigmas(config, steps, settings.strength, height, width, mu, facts.family)

    # At cfg 1 the negative is never asked, but ComfyUI would look at it all the same.
    negative = negative if negative and cfg > 1 else positive
    positive = _prepared("positive", positive, guidance, rows)
    negative = _prepared("negative", negative, guidance, rows)
    mask, note = _mask(latent, facts, samples)
    kept = resuming.Kept(levels, samples)
    kept.note(note)
    if settings.resume or settings.time_limit:
        others = {"seed": [settings.seed, *rows.seeds], "cfg": cfg, "noise_mask": mask}
        kept.begin(resuming.traces(model, positive, negative, samples, **others), before, settings.resume)

    def run() -> torch.Tensor:
        return comfy.sample.sample_custom(
            model,
            noise.picture_noise(samples.shape[1:], settings.seed, rows.seeds),
            cfg,
            kept.sampler(),
            levels,
            positive,
            negative,
            samples,
            noise_mask=mask,
            callback=_after_step(model, kept, settings.time_limit),
            disable_pbar=True,
            seed=settings.seed,
        )

    out, left = _until_time_is_up(model, run, kept, settings.time_limit)
    result = {key: value for key, value in latent.items() if key != "downscale_ratio_spacial"}
    return {**result, **rows.keys(), **left, "samples": out}, kept.notes


def _until_time_is_up(
    model: Any, run: Callable[[], torch.Tensor], kept: resuming.Kept, time_limit: float
) -> tuple[torch.Tensor, dict[str, Any]]:
    """Latents, the picture so far where the time did not suffice, and what its LATENT needs for going on."""
    with kept.file_at_hand():
        try:
            return run(), {}
        except _TimeIsUp as stop:
            out = model.model.process_latent_out(stop.prediction.float()).cpu()
            kept.note(f"time limit of {time_limit:g} s reached after {stop.steps} of {len(kept.levels) - 1} steps")
            return out, kept.left(out)


def _after_step(
    model: Any, kept: resuming.Kept, time_limit: float
) -> Callable[[int, torch.Tensor, torch.Tensor, int], None]:
    """ComfyUI's callback, with progress and previews. It raises _TimeIsUp after so many seconds; 0: never."""
    report_step = latent_preview.prepare_callback(model, len(kept.levels) - 1)
    deadline = time.monotonic() + time_limit if time_limit else None

    def after_step(step: int, prediction: torch.Tensor, x: torch.Tensor, total: int) -> None:
        kept.after(step, prediction, x)  # before Cancel is heard
        report_step(step, prediction, x, total)
        if deadline is not None and time.monotonic() >= deadline and step + 1 < total:
            raise _TimeIsUp(prediction, step + 1)

    return after_step


def _wanted_cfg(facts: ModelFacts, cfg: float, negative: list | None) -> float:
    """The scale of true CFG, the model's own where 0 is asked for. Raises InputError where it needs a negative and has none."""
    wanted = facts.defaults.cfg if cfg == AUTO_CFG else cfg
    require_number("cfg", wanted, 1, 100)
    if wanted > 1 and not negative:
        whose = "This model uses" if cfg == AUTO_CFG else "This run uses"
        cure = f"{whose} cfg {wanted:g}, which needs one: connect Encode Prompt with an empty text, or set cfg to 1."
        raise InputError("negative", NOT_CONNECTED if negative is None else "empty", cure=cure)
    return wanted


def _mask(latent: dict[str, Any], facts: ModelFacts, samples: torch.Tensor) -> tuple[torch.Tensor | None, str]:
    """The LATENT's noise mask [rows, 1, H, W] for so many rows, all of its pictures for each prompt; and a note.

    A batch of another size than the pictures is cut or repeated, as KSampler does it.
    """
    mask = latent.get("noise_mask")
    if mask is None:
        return None, ""
    pictures, (count, _, height, width) = latent["samples"].shape[0], samples.shape
    mask = noise.latent_mask(mask, height, width, facts.family)
    masks = mask.shape[0]
    mask = comfy.utils.repeat_to_batch_size(mask, pictures)
    note = ""
    if masks > pictures or pictures % masks:
        note = f"{masks} masks for {pictures} pictures: " + ("the first are used" if masks > pictures else "repeated")
    return mask.repeat(count // pictures, 1, 1, 1), note


def _batch_of(name: str, conditioning: list) -> int:
    sizes = {entry[0].shape[0] for entry in conditioning}
    if not sizes:
        raise InputError(name, [], "at least one prompt")
    largest = max(sizes)
    if any(largest % size for size in sizes):
        raise InputError(name, f"prompts in batches of {sorted(sizes)}", "batches of one size, or of 1")
    return largest


def _require_mask_is_seen(model: Any, facts: ModelFacts, name: str, conditioning: list) -> None:
    """Raise InputError where a stock Z-Image would take the padding of a shorter prompt for words."""
    if facts.family.comfyui.stock_reads_mask or isinstance(model.model, DiffusersModel):
        return
    masks = [options.get("attention_mask") for _, options in conditioning]
    if not all(mask is None or bool(mask.bool().all()) for mask in masks):
        wanted = "one prompt at a time, or a model from StorefrontLoadModel: a stock Z-Image takes padding for words"
        raise InputError(name, "prompts of different lengths in one batch", wanted)


def for_picture(name: str, conditioning: list, index: int, count: int) -> list:
    """What of a CONDITIONING belongs to picture `index` of `count`: its row of a batch of prompts, or the only one.

    Raises InputError for a batch of another size.
    """
    if _batch_of(name, conditioning) not in (1, count):
        raise InputError(name, f"{_batch_of(name, conditioning)} prompts", f"one, or one for each of {count} pictures")
    own = []
    for sequence, options in conditioning:
        parts = {part: options.get(part) for part in ("pooled_output", "attention_mask")}
        rows = {part: _row(tensor, index) for part, tensor in parts.items() if tensor is not None}
        own.append([_row(sequence, index), {**options, **rows}])
    return own


def _row(tensor: torch.Tensor, index: int) -> torch.Tensor:
    return tensor[index : index + 1] if tensor.shape[0] > 1 else tensor


# In a LATENT of several prompts: how many pictures each has. batch_index is then prompt * that + picture.
PICTURES_KEY = "storefront_pictures"


class _BatchRows(NamedTuple):
    """Which prompt and which picture of it each row is."""

    prompts: list[int]
    pictures: list[int]
    of: int  # prompts that there are

    @property
    def seeds(self) -> list[int]:
        """What is added to the seed: it does not depend on how many there are, so that any row can be drawn alone."""
        return [prompt + picture for prompt, picture in zip(self.prompts, self.pictures, strict=True)]

    def keys(self) -> dict[str, Any]:
        """What a LATENT says of its rows, so that a second pass knows them; stock samplers read batch_index."""
        if not any(self.prompts):
            plain = self.pictures == list(range(len(self.pictures)))
            return {} if plain else {"batch_index": list(self.pictures)}
        each = max(self.pictures) + 1
        indexes = [prompt * each + picture for prompt, picture in zip(self.prompts, self.pictures, strict=True)]
        return {"batch_index": indexes, PICTURES_KEY: each}


def _rows_of(latent: dict[str, Any], count: int, prompts: int) -> _BatchRows:
    """Rows of a LATENT of `count` pictures under so many prompts.

    A LATENT that our sampler made of several prompts has a row for each already; every other is drawn for each prompt.
    """
    given = latent.get("batch_index")
    indexes = list(range(count)) if given is None else list(given)
    if len(indexes) != count:
        raise InputError("latent", f"a batch_index of {len(indexes)} for {count} pictures", "one for each picture")
    each = latent.get(PICTURES_KEY)
    if isinstance(each, int) and each > 0:
        known = _BatchRows([index // each for index in indexes], [index % each for index in indexes], prompts)
        if prompts == 1 or max(known.prompts) < prompts:
            return known
    every = range(prompts)
    return _BatchRows(
        [prompt for prompt in every for _ in indexes], [index for _ in every for index in indexes], prompts
    )


def _pictures(model: Any, facts: ModelFacts, latent: dict[str, Any], prompts: int) -> tuple[torch.Tensor, _BatchRows]:
    """Raw latents [rows, C, H, W] and what each row is."""
    samples = latent["samples"]
    if not isinstance(samples, torch.Tensor) or samples.is_nested or samples.ndim != 4 or 0 in samples.shape:
        shape = list(samples.shape) if isinstance(samples, torch.Tensor) else type(samples).__name__
        wanted = f"[batch, {facts.family.latent_channels}, height, width]"
        raise InputError("latent", f"samples of shape {shape}", wanted)
    samples = comfy.sample.fix_empty_latent_channels(model, samples, latent.get("downscale_ratio_spacial"))
    channels = model.get_model_object("latent_format").latent_channels
    if samples.ndim != 4 or samples.shape[1] != channels:
        raise InputError(
            "latent",
            f"samples with {samples.shape[1]} channels",
            f"{channels} channels, as the VAE of {facts.family.name} makes",
        )
    if not torch.isfinite(samples).all():
        raise InputError("latent", "samples with NaN or infinite values", "finite numbers")
    rows = _rows_of(latent, samples.shape[0], prompts)
    return samples.repeat(len(rows.prompts) // samples.shape[0], 1, 1, 1), rows


def _patched_schedule(model: Any, facts: ModelFacts) -> tuple[Mapping[str, Any], float | None]:
    """Scheduler settings and mu of the time shift as a ModelSampling node has set them; None: mu follows from the size.

    Raises InputError for a ModelSampling node whose shift means something else to this family.
    """
    patched = model.object_patches.get("model_sampling")
    if patched is None:
        return facts.scheduler_config, None
    stock = facts.family.comfyui
    if isinstance(patched, getattr(comfy.model_sampling, stock.model_sampling)):
        if stock.patch_is_mu:
            return facts.scheduler_config, patched.shift
        return _shifted(facts, patched.shift), None
    # What ModelSamplingAuraFlow sets: plain flow with times in 0..1, which every family here understands.
    plain = isinstance(patched, comfy.model_sampling.ModelSamplingDiscreteFlow)
    if plain and isinstance(patched, comfy.model_sampling.CONST) and patched.multiplier == 1:
        return _shifted(facts, patched.shift), None
    raise InputError(
        "model", f"patched by {type(patched).__mro__[1].__name__}", f"a {stock.sampling_node} node, or none"
    )


def _shifted(facts: ModelFacts, shift: float) -> Mapping[str, Any]:
    return {**facts.scheduler_config, "use_dynamic_shifting": False, "shift": shift}


def _prepared(name: str, conditioning: list, guidance: float, rows: _BatchRows) -> list:
    """One row for each picture, with the guidance of those that bring none of their own."""
    prepared, prompts = [], _batch_of(name, conditioning)
    for sequence, options in conditioning:
        options = {"guidance": guidance, **options}
        if prompts > 1:
            sequence = _for_rows(name, sequence, rows)
            for part in ("pooled_output", "attention_mask"):
                if options.get(part) is not None:
                    options[part] = _for_rows(name, options[part], rows)
        prepared.append([sequence, options])
    return node_helpers.conditioning_set_values(prepared, {})


def _for_rows(name: str, tensor: torch.Tensor, rows: _BatchRows) -> torch.Tensor:
    """The prompt of each row; of a batch of another size as many rows each as come out even, else InputError."""
    size, count = tensor.shape[0], len(rows.prompts)
    if size == rows.of:
        return tensor[rows.prompts]
    if count % size:
        raise InputError(name, f"a batch of {size}", f"a batch that divides the {count} pictures")
    return tensor.repeat_interleave(count // size, dim=0)
