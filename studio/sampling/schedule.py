"""Sigmas: the noise levels that a picture passes through, made by diffusers' own scheduler."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import InputError, require_number
from ..kinds.facts import Family
from ..kinds.table import DEFAULT_FAMILY

if TYPE_CHECKING:
    import torch
    from diffusers import FlowMatchEulerDiscreteScheduler

MAX_STEPS = 10_000


def make_scheduler(config: Mapping[str, Any]) -> FlowMatchEulerDiscreteScheduler:
    """A fresh scheduler, since one that has run keeps the steps of that run."""
    from diffusers import FlowMatchEulerDiscreteScheduler

    return FlowMatchEulerDiscreteScheduler.from_config(dict(config))


def first_step(steps: int, strength: float) -> int:
    """Index of the first step to run: 0 at strength 1, `steps` at strength 0 (diffusers' `get_timesteps`)."""
    return int(max(steps - min(steps * strength, steps), 0))


def image_tokens(family: Family, latent_height: int, latent_width: int) -> int:
    """Transformer tokens of a latent of that many cells; an odd side is padded by one cell."""
    patch = family.cells_per_token
    return -(-latent_height // patch) * -(-latent_width // patch)


def linear_timeshift(config: Mapping[str, Any], tokens: int, steps: int) -> float:
    """mu of the dynamic time shift, linear in the number of image tokens (FLUX.1's `calculate_shift`)."""
    from diffusers.pipelines.flux.pipeline_flux import calculate_shift

    return calculate_shift(
        tokens,
        config.get("base_image_seq_len", 256),
        config.get("max_image_seq_len", 4096),
        config.get("base_shift", 0.5),
        config.get("max_shift", 1.15),
    )


def empirical_timeshift(config: Mapping[str, Any], tokens: int, steps: int) -> float:
    """mu as FLUX.2's makers measured it: from the number of image tokens and of steps."""
    from diffusers.pipelines.flux2.pipeline_flux2 import compute_empirical_mu

    return compute_empirical_mu(tokens, steps)


TIMESHIFTS = {"linear": linear_timeshift, "empirical": empirical_timeshift}


def set_steps(
    config: Mapping[str, Any],
    steps: int,
    strength: float,
    latent_height: int,
    latent_width: int,
    mu: float | None = None,
    family: Family = DEFAULT_FAMILY,
) -> FlowMatchEulerDiscreteScheduler:
    """A scheduler whose `timesteps` and `sigmas` are those of the whole run, begun at the step `strength` says.

    `mu` overrides the time shift that follows from the size (ComfyUI's ModelSamplingFlux does that).
    Raises InputError where `steps` is not in 1..10000 or `strength` not in 0..1 or leaves no step.
    """
    import numpy as np

    require_number("steps", steps, 1, MAX_STEPS)
    require_number("strength", strength, 0, 1)
    if first_step(steps, strength) >= steps:
        raise InputError("strength", strength, f"more than 0, so that at least one of {steps} steps is left")
    if mu is not None:
        config = {**config, "use_dynamic_shifting": True}
    tokens = image_tokens(family, latent_height, latent_width)
    scheduler = make_scheduler(config)
    scheduler.set_timesteps(
        sigmas=np.linspace(1.0, 1 / steps, steps),
        mu=TIMESHIFTS[family.timeshift](config, tokens, steps) if mu is None else mu,
    )
    scheduler.set_begin_index(first_step(steps, strength))
    return scheduler


def sigmas(
    config: Mapping[str, Any],
    steps: int,
    strength: float,
    latent_height: int,
    latent_width: int,
    mu: float | None = None,
    family: Family = DEFAULT_FAMILY,
) -> torch.Tensor:
    """Float32 [n + 1], falling from at most 1 to 0: the levels of the n steps that `strength` leaves."""
    scheduler = set_steps(config, steps, strength, latent_height, latent_width, mu, family)
    return scheduler.sigmas[first_step(steps, strength) :]
