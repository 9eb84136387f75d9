"""ComfyUI's sampling core over diffusers' noise levels, on any MODEL of a known family, ours or stock."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import comfy.model_sampling
import comfy.sample
import comfy.samplers
import latent_preview
import node_helpers
import torch

from ..studio.errors import InputError, require_number
from ..studio.kinds.facts import ModelFacts
from ..studio.sampling import noise, schedule
from .model_socket import DiffusersModel, facts_of

AUTO_STEPS, AUTO_GUIDANCE, AUTO_CFG = 0, -1.0, 0.0  # "what the model wants"


class _TimeIsUp(Exception):
    """Carries the prediction of the clean picture [B, C, H, W], in model space, out of ComfyUI's loop."""

    def __init__(self, prediction: torch.Tensor, steps: int):
        super().__init__()
        self.prediction, self.steps = prediction, steps


def sample(
    model: Any,
    positive: list,
    negative: list | None,
    latent: dict[str, Any],
    *,
    seed: int,
    steps: int,
    guidance: float,
    cfg: float,
    strength: float,
    time_limit: float,
) -> tuple[dict[str, Any], str]:
    """LATENT of prompts x pictures, and a note on what had to be done ("" if nothing).

    Picture i has the seed `seed + i` (or + its batch_index). Steps 0, guidance -1 and cfg 0 mean what the model wants.
    Raises InputError naming the input that does not fit.
    """
    facts = facts_of(model)
    if guidance == AUTO_GUIDANCE:
        guidance = facts.defaults.guidance
    wanted_cfg = facts.defaults.cfg if cfg == AUTO_CFG else cfg
    require_number("guidance", guidance, 0, 100)
    require_number("cfg", wanted_cfg, 1, 100)
    require_number("time_limit", time_limit, 0, 86_400)
    if wanted_cfg > 1 and not negative:
        why = f"this model wants cfg {wanted_cfg:g} (cfg 1 does without)" if cfg == AUTO_CFG else "cfg is more than 1"
        raise InputError("negative", None, f"a CONDITIONING, an empty prompt's will do, because {why}")
    for name, conditioning in (("positive", positive), ("negative", negative or [])):
        _require_mask_is_seen(model, facts, name, conditioning)
    prompts = _batch_of("positive", positive)
    samples, indexes = _pictures(model, facts, latent, prompts)
    count, _, height, width = samples.shape
    config, mu = _patched_schedule(model, facts)
    steps = facts.defaults.steps if steps == AUTO_STEPS else steps
    levels = schedule.sigmas(config, steps, strength, height, width, mu, facts.family)

    positive = _prepared("positive", positive, guidance, count)
    # At cfg 1 it is never asked, but ComfyUI would look at it all the same.
    negative = _prepared("negative", negative if negative and wanted_cfg > 1 else positive, guidance, count)
    mask = latent.get("noise_mask")
    if mask is not None:
        mask = noise.latent_mask(mask, height, width, facts.family)
        if count % mask.shape[0]:
            raise InputError("noise_mask", f"a batch of {mask.shape[0]}", f"a batch that divides the {count} pictures")
        mask = mask.repeat(count // mask.shape[0], 1, 1, 1)  # as the pictures themselves: all of them for each prompt
    report_step = latent_preview.prepare_callback(model, len(levels) - 1)
    deadline = time.monotonic() + time_limit if time_limit else None

    def after_step(step: int, prediction: torch.Tensor, x: torch.Tensor, total: int) -> None:
        report_step(step, prediction, x, total)
        if deadline is not None and time.monotonic() >= deadline and step + 1 < total:
            raise _TimeIsUp(prediction, step + 1)

    note = ""
    try:
        out = comfy.sample.sample_custom(
            model,
            noise.picture_noise(samples.shape[1:], seed, indexes),
            wanted_cfg,
            comfy.samplers.ksampler("euler"),
            levels,
            positive,
            negative,
            samples,
            noise_mask=mask,
            callback=after_step,
            disable_pbar=True,
            seed=seed,
        )
    except _TimeIsUp as stop:
        out = model.model.process_latent_out(stop.prediction.float()).cpu()
        note = f"time limit of {time_limit:g} s reached after {stop.steps} of {len(levels) - 1} steps"
    result = {key: value for key, value in latent.items() if key not in ("batch_index", "downscale_ratio_spacial")}
    return {**result, "samples": out}, note


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


def _pictures(model: Any, facts: ModelFacts, latent: dict[str, Any], prompts: int) -> tuple[torch.Tensor, list[int]]:
    """Raw latents [prompts x pictures, C, H, W] and the index of each that is added to the seed."""
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
    indexes = list(latent.get("batch_index") or range(samples.shape[0]))
    step = max(indexes) + 1
    return samples.repeat(prompts, 1, 1, 1), [prompt * step + index for prompt in range(prompts) for index in indexes]


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
        return {**facts.scheduler_config, "use_dynamic_shifting": False, "shift": patched.shift}, None
    raise InputError(
        "model", f"patched by {type(patched).__mro__[1].__name__}", f"a {stock.sampling_node} node, or none"
    )


def _prepared(name: str, conditioning: list, guidance: float, count: int) -> list:
    """One row for each picture, prompt by prompt, with the guidance of those that bring none of their own."""
    rows, prompts = [], _batch_of(name, conditioning)
    for sequence, options in conditioning:
        options = {"guidance": guidance, **options}
        if prompts > 1:
            sequence = _repeated(name, sequence, count)
            for part in ("pooled_output", "attention_mask"):
                if options.get(part) is not None:
                    options[part] = _repeated(name, options[part], count)
        rows.append([sequence, options])
    return node_helpers.conditioning_set_values(rows, {})


def _repeated(name: str, tensor: torch.Tensor, count: int) -> torch.Tensor:
    """Rows in order, each as often as it takes to make `count`. Raises InputError where that does not come out."""
    if count % tensor.shape[0]:
        raise InputError(name, f"a batch of {tensor.shape[0]}", f"a batch that divides the {count} pictures")
    return tensor.repeat_interleave(count // tensor.shape[0], dim=0)
