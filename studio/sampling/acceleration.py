"""Faster sampling of a diffusers transformer: step caches, attention kernels and compiled blocks, for one run at a time.

Nothing stays on the transformer after a run: it may be shared with models that were promised to be left as they are.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch

from ..errors import InputError, require_number

if TYPE_CHECKING:
    from ..kinds.velocity import Velocity

NONE, OFF, AUTO = "none", "off", "auto"
FIRST_BLOCK, TAYLORSEER, MAGCACHE = "first block", "taylorseer", "magcache"
STEP_CACHES = [NONE, FIRST_BLOCK, TAYLORSEER, MAGCACHE]
REGIONAL = "regional"
COMPILE = [OFF, REGIONAL]
FP8_MATMUL = "fp8"
CHANNELS_LAST = "last"
CHANNELS = [AUTO, CHANNELS_LAST]
AUTO_THRESHOLD = -1.0
LONGEST_INTERVAL = 20
# diffusers' own
_THRESHOLDS = {FIRST_BLOCK: 0.05, MAGCACHE: 0.06}
_CONFIGS = {FIRST_BLOCK: "FirstBlockCacheConfig", TAYLORSEER: "TaylorSeerCacheConfig", MAGCACHE: "MagCacheConfig"}


@dataclass(frozen=True)
class Kernel:
    """An attention implementation of diffusers."""

    backend: str  # diffusers' name
    masked: str  # the name of the one that takes a mask; "": none does
    package: str  # to be installed; "": part of torch
    needs_gpu: bool = True
    needs_half: bool = True  # bf16 or fp16


# Those that diffusers would download (`..._hub`) are left out on purpose.
KERNELS: Mapping[str, Kernel] = MappingProxyType(
    {
        "SDPA": Kernel("native", "native", "", needs_gpu=False, needs_half=False),
        "cuDNN": Kernel("_native_cudnn", "_native_cudnn", ""),
        "flash": Kernel("flash", "flash_varlen", "flash_attn"),
        "flash 3": Kernel("_flash_3", "_flash_varlen_3", "flash_attn_interface"),
        "sage": Kernel("sage", "sage_varlen", "sageattention"),
        "xformers": Kernel("xformers", "xformers", "xformers", needs_half=False),
    }
)


def installed_kernels(device: torch.device) -> list[str]:
    """Names for the widget: what this machine can run. Looks for the packages without importing them."""
    return [
        name
        for name, kernel in KERNELS.items()
        if (device.type == "cuda" or not kernel.needs_gpu) and (not kernel.package or _is_installed(kernel.package))
    ]


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ValueError:  # another pack has put a module of its own making under this name
        return False


def matmuls(device: torch.device) -> list[str]:
    """Names for the widget: how this machine can multiply.

    fp8 products: NVIDIA's cards since compute capability 8.9 (Ada, Hopper, Blackwell).
    """
    has_fp8 = device.type == "cuda" and torch.version.hip is None and torch.cuda.get_device_capability(device) >= (8, 9)
    return [AUTO, FP8_MATMUL] if has_fp8 else [AUTO]


@dataclass(frozen=True)
class AccelerationSettings:
    """The inputs of Accelerate."""

    step_cache: str = NONE
    threshold: float = AUTO_THRESHOLD  # of first block and magcache; 0: nothing is ever skipped
    interval: int = 5  # of taylorseer: one step in so many is computed
    attention: str = AUTO
    compile: str = OFF
    matmul: str = AUTO

    @property
    def caches(self) -> bool:
        """Whether a step can be skipped at all."""
        if self.step_cache == TAYLORSEER:
            return self.interval > 1
        return self.step_cache != NONE and self.threshold != 0

    @property
    def does_nothing(self) -> bool:
        """Whether pictures are the same bit for bit as without."""
        return not self.caches and self.attention == self.matmul == AUTO and self.compile == OFF


def check(settings: AccelerationSettings, velocity: Velocity, device: torch.device) -> None:
    """Raises InputError, naming the input, for what this transformer, device or installation cannot do."""
    for name, value, known in (
        ("step_cache", settings.step_cache, STEP_CACHES),
        ("attention", settings.attention, [AUTO, *installed_kernels(device)]),
        ("compile", settings.compile, COMPILE),
        ("matmul", settings.matmul, matmuls(device)),
    ):
        if value not in known:
            raise InputError(name, value, "one of " + ", ".join(known) + ", which this machine has")
    if settings.threshold != AUTO_THRESHOLD:
        require_number("cache_threshold", settings.threshold, 0, 1)
    require_number("cache_interval", settings.interval, 1, LONGEST_INTERVAL)
    if settings.step_cache != NONE:
        if settings.step_cache not in velocity.step_caches:
            fitting = ", ".join([NONE, *velocity.step_caches])
            raise InputError("step_cache", settings.step_cache, f"{fitting} for {type(velocity.transformer).__name__}")
        _config(settings, velocity, steps=28)
    if settings.matmul == FP8_MATMUL:
        from .fp8 import require_layers

        require_layers(velocity)
    kernel = KERNELS.get(settings.attention)
    if kernel is None:
        return
    if kernel.needs_half and velocity.dtype not in (torch.bfloat16, torch.float16):
        raise InputError("attention", settings.attention, f"SDPA: {settings.attention} computes in bf16 and fp16 only")
    try:
        with _attention(_backend(settings, velocity)):
            pass
    except (RuntimeError, ValueError) as error:
        raise InputError("attention", settings.attention, f"SDPA; diffusers says: {error}") from error


def _config(settings: AccelerationSettings, velocity: Velocity, steps: int) -> Any:
    """diffusers' configuration of the step cache, for a run of so many steps."""
    import diffusers

    name = settings.step_cache
    make = getattr(diffusers, _CONFIGS[name], None)
    if make is None:
        raise InputError("step_cache", name, f"{NONE}; diffusers {diffusers.__version__} has no {name} yet")
    if name == TAYLORSEER:
        # Lite: the last layer's output is extrapolated and no block is computed. The whole variant computes all but the
        # attention, and a step costs nearly as much as before.
        return make(cache_interval=settings.interval, taylor_factors_dtype=velocity.dtype, use_lite_mode=True)
    threshold = _THRESHOLDS[name] if settings.threshold == AUTO_THRESHOLD else settings.threshold
    if name == FIRST_BLOCK:
        return make(threshold=threshold)
    from diffusers.hooks.mag_cache import FLUX_MAG_RATIOS

    return make(threshold=threshold, mag_ratios=FLUX_MAG_RATIOS, num_inference_steps=steps)


@dataclass
class SamplingRun:
    """What is going on in one sampling run."""

    settings: AccelerationSettings
    velocity: Velocity
    sigmas: Sequence[float]
    calls: int = 0
    computed: int = 0  # calls that went through all blocks
    failure: str = ""  # why compiling was given up
    _last: dict[str, float] = field(default_factory=dict)  # context -> sigma of its last call

    @contextlib.contextmanager
    def call(self, context: str, sigma: float) -> Iterator[None]:
        """Around each call of the transformer. Calls of one `context` are successive noise levels of the same pictures
        with the same prompt: they alone share cached values. Raises InputError where they are not.
        """
        self.calls += 1
        if not self.settings.caches:
            cached: Any = contextlib.nullcontext()
        else:
            if self.settings.step_cache != FIRST_BLOCK:
                self._require_next_step(context, sigma)
            cached = self.velocity.transformer.cache_context(context)
        with cached, _attention(_backend(self.settings, self.velocity)):
            yield

    def _require_next_step(self, context: str, sigma: float) -> None:
        """taylorseer and magcache count calls as steps."""
        is_step = any(abs(level - sigma) < 1e-5 for level in self.sigmas)
        if not is_step or sigma >= self._last.get(context, float("inf")):
            raise InputError(
                "step_cache",
                self.settings.step_cache,
                f"a sampler that asks the model once a step, such as euler; for others {FIRST_BLOCK} or {NONE}",
            )
        self._last[context] = sigma


@contextlib.contextmanager
def running(
    velocity: Velocity, settings: AccelerationSettings, sigmas: Sequence[float], failure: str = ""
) -> Iterator[SamplingRun]:
    """Put the settings on the transformer for one run over `sigmas`, and take every trace of them off again.

    `failure`: why compiling failed before, so that it is not tried again.
    """
    transformer: Any = velocity.transformer
    run = SamplingRun(settings, velocity, sigmas, failure=failure)
    hooked_before = {module for module in transformer.modules() if hasattr(module, "_diffusers_hook")}
    with contextlib.ExitStack() as undo:
        for module in transformer.modules():
            undo.callback(_set_forward, module, module.__dict__.get("forward"))
        if settings.compile != OFF and not failure:
            for block in blocks_of(transformer):
                block.forward = _compiled(block.forward, run)
        tail = blocks_of(transformer)[-1]
        tail.forward = _counted(tail.forward, run)
        if settings.caches:
            undo.callback(_forget_cache, transformer, hooked_before)
            transformer.enable_cache(_config(settings, velocity, len(sigmas) - 1))
            undo.callback(transformer.disable_cache)
        yield run


def blocks_of(transformer: torch.nn.Module) -> list[torch.nn.Module]:
    """The transformer's repeated blocks in the order of the computation."""
    names = transformer._repeated_blocks
    return [module for module in transformer.modules() if type(module).__name__ in names]  # type: ignore[operator]


def _set_forward(module: torch.nn.Module, own: Any) -> None:
    """Give a module back the `forward` that stood on itself, or its class's where there was none."""
    module.__dict__.pop("forward", None)
    if own is not None:
        module.__dict__["forward"] = own


def _forget_cache(transformer: torch.nn.Module, hooked_before: set[torch.nn.Module]) -> None:
    """What diffusers leaves behind when a cache is disabled."""
    transformer.__dict__.pop("_cache_config", None)
    for module in transformer.modules():
        if module not in hooked_before:
            module.__dict__.pop("_diffusers_hook", None)


def _counted(forward: Callable[..., Any], run: SamplingRun) -> Callable[..., Any]:
    @functools.wraps(forward)
    def counting(*args: Any, **options: Any) -> Any:
        run.computed += 1
        return forward(*args, **options)

    return counting


def _compiled(forward: Callable[..., Any], run: SamplingRun) -> Callable[..., Any]:
    """The block compiled at its first call; as it is from the first failure on.

    The block alone, so that a step cache decides outside of it, and so that weights are the compiled code's inputs: a
    LoRA that comes or goes needs no second compilation.
    """
    from torch._dynamo.exc import TorchDynamoException

    fast = torch.compile(forward)

    @functools.wraps(forward)
    def calling(*args: Any, **options: Any) -> Any:
        if not run.failure:
            try:
                return fast(*args, **options)
            except TorchDynamoException as error:
                run.failure = str(error).strip().splitlines()[0]
        return forward(*args, **options)

    return calling


def _backend(settings: AccelerationSettings, velocity: Velocity) -> str:
    """diffusers' name of the attention; "" leaves it as it is."""
    kernel = KERNELS.get(settings.attention)
    if kernel is None:
        return ""
    return kernel.masked if velocity.takes_mask else kernel.backend


def _attention(backend: str) -> contextlib.AbstractContextManager[None]:
    if not backend:
        return contextlib.nullcontext()
    from diffusers.models.attention_dispatch import attention_backend

    return attention_backend(backend)
