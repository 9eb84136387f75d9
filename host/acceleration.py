"""A MODEL that samples faster, beside the one it was made from: ComfyUI's wrappers carry the settings, no weight does."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import torch
from comfy.patcher_extension import WrappersMP
from comfy_execution.utils import get_executing_context

from ..studio.errors import InputError, require_number
from ..studio.sampling import acceleration
from ..studio.sampling.acceleration import AccelerationSettings, SamplingRun
from . import fp8_matmul, lora_patches, progress, report, sampling, vae_socket
from .kernels import LARGEST_BATCH, MOST_WARM_UP_TOKENS
from .model_socket import DiffusersModel

_KEY = "storefront acceleration"


def accelerate(model: Any, settings: AccelerationSettings) -> Any:
    """A clone of a MODEL of ours with these settings instead of any that an earlier node gave it.

    Raises InputError for a stock MODEL and for what the model or the machine cannot do.
    """
    inner = _ours(model)
    lora_patches.require_local(model)
    acceleration.check(settings, inner.diffusion_model, model.load_device)
    clone = model.clone()
    for kind in (WrappersMP.OUTER_SAMPLE, WrappersMP.CALC_COND_BATCH, WrappersMP.APPLY_MODEL):
        clone.remove_wrappers_with_key(kind, _KEY)
    if not settings.does_nothing:
        accelerator = _Accelerator(settings)
        clone.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, _KEY, accelerator.sample)
        clone.add_wrapper_with_key(WrappersMP.CALC_COND_BATCH, _KEY, accelerator.one_by_one)
        clone.add_wrapper_with_key(WrappersMP.APPLY_MODEL, _KEY, accelerator.apply)
    return clone


def turn_channels(vae: Any, channels: str) -> Any:
    """The VAE that goes out beside the MODEL: `vae` as it is, or one that computes with the channels last in memory.

    Raises InputError for another word, and for `last` where there is no VAE, which alone of the two has convolutions.
    """
    if channels not in acceleration.CHANNELS:
        raise InputError("channels", channels, "one of " + ", ".join(acceleration.CHANNELS))
    if channels == acceleration.AUTO:
        return vae
    if vae is None:
        raise InputError("vae", None, "the VAE whose channels are to come last: a MODEL has no convolutions")
    return vae_socket.with_channels_last(vae)


def _ours(model: Any) -> DiffusersModel:
    inner = model.model
    if not isinstance(inner, DiffusersModel):
        raise InputError(
            "model", type(inner).__name__, "a model from StorefrontLoadModel; stock models have nodes of their own"
        )
    return inner


def warm_up(model: Any, width: int, height: int, batch_size: int, tokens: int) -> str:
    """Load and compile all that a picture of this size needs, by one step of one that nobody sees; how long it took.

    `tokens`: length of the prompt; 0: the longest of the family, which FLUX pads every prompt to.
    """
    inner = _ours(model)
    family = inner.facts.family
    cell = family.pixels_per_cell
    for name, side in (("width", width), ("height", height)):
        if side < 16 or side % 16:
            raise InputError(name, side, "a multiple of 16")
    require_number("batch_size", batch_size, 1, LARGEST_BATCH)
    require_number("tokens", tokens, 0, MOST_WARM_UP_TOKENS)
    latent = torch.zeros(batch_size, family.latent_channels, height // cell, width // cell)
    prompt = inner.blank_prompt(tokens or family.max_tokens, latent)
    started = time.monotonic()
    with report.stage("warm-up"):
        sampling.sample(
            model,
            prompt,
            prompt,
            {"samples": latent},
            sampling.SamplerSettings(seed=0, steps=1),
        )
    return f"warmed up for {width} x {height} in {time.monotonic() - started:.1f} s"


class _Accelerator:
    """What ComfyUI calls around a sampling run, around each noise level, and around each call of the model."""

    def __init__(self, settings: AccelerationSettings):
        self.settings = settings
        self._run: SamplingRun | None = None
        self._compile_failure = ""

    def sample(self, executor: Any, noise: Any, latent_image: Any, sampler: Any, sigmas: torch.Tensor, *rest, **more):
        guider = executor.class_obj
        if "multigpu_clones" in guider.model_options:
            raise InputError("model", "spread over several GPUs", "an accelerated model on one GPU")
        if self.settings.caches and "model_function_wrapper" in guider.model_options:
            raise InputError(
                "model",
                "wrapped by another node",
                "step_cache none: that node may call the model on parts of a picture",
            )
        velocity = guider.model_patcher.model.diffusion_model
        with self._running(velocity, sigmas.tolist()):
            return executor(noise, latent_image, sampler, sigmas, *rest, **more)

    @contextlib.contextmanager
    def _running(self, velocity: Any, sigmas: list[float]) -> Iterator[None]:
        outer = self._run
        try:
            with contextlib.ExitStack() as undo:
                if (
                    self.settings.matmul == acceleration.FP8_MATMUL
                ):  # before compiling, which is of what the layers do then
                    undo.enter_context(fp8_matmul.multiplying(velocity))
                self._run = undo.enter_context(
                    acceleration.running(velocity, self.settings, sigmas, self._compile_failure)
                )
                try:
                    yield
                finally:
                    self._tell(self._run)
        finally:
            self._run = outer

    def _tell(self, run: SamplingRun) -> None:
        """Under the node that samples: it is the one that ran."""
        context = get_executing_context()
        node_id = context.node_id if context is not None else None
        if run.failure:
            self._compile_failure = run.failure
            progress.fell_back([f"torch.compile failed, so the model ran uncompiled: {run.failure}"], node_id)
        if self.settings.caches and run.calls:
            skipped = run.calls - run.computed
            report.count("model calls computed", run.computed)
            report.count("model calls skipped", skipped)
            progress.say(
                f"step cache {self.settings.step_cache}: {run.computed} of {run.calls} calls of the model computed,"
                f" {skipped} skipped",
                node_id,
            )

    def one_by_one(self, executor: Any, model: Any, conds: list, x: torch.Tensor, timestep: Any, model_options: dict):
        """Each of the conditionings (positive, negative, ...) in a call of its own, as diffusers has it: a step that one
        may skip, another may have to compute.
        """
        if self._run is None or not self.settings.caches:
            return executor(model, conds, x, timestep, model_options)
        outs = []
        for index in range(len(conds)):
            alone = [cond if i == index else None for i, cond in enumerate(conds)]
            outs.append(executor(model, alone, x, timestep, model_options)[index])
        return outs

    def apply(
        self,
        executor: Any,
        x: torch.Tensor,
        t: torch.Tensor,
        concat: Any = None,
        text: Any = None,
        control: Any = None,
        options: dict[str, Any] | None = None,
        **more: Any,
    ) -> torch.Tensor:
        run, options = self._run, options or {}
        if run is None or executor.class_obj.diffusion_model is not run.velocity:  # a guider's second model
            return executor(x, t, concat, text, control, options, **more)
        if self.settings.caches and control is not None:
            raise InputError(
                "positive",
                "conditioning with a ControlNet",
                "step_cache none: what a ControlNet adds between the blocks would be counted twice in a skipped step",
            )
        # What ComfyUI puts into one call may change from step to step, with the free memory and with time ranges.
        # A caller that says nothing of it gets a context of its own, in which nothing is skipped.
        prompts = options.get("uuids") or f"call {run.calls}"
        context = f"{prompts} {options.get('cond_or_uncond')} {tuple(x.shape)}"
        with run.call(context, float(t[0])):
            return executor(x, t, concat, text, control, options, **more)
