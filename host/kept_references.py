"""What FLUX.2 klein KV knows of its references, for one sampling run: it travels in the run's own options."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import torch
from comfy.patcher_extension import WrappersMP

from ..studio.kinds.reference_cache import ReferenceCache

_KEY = "storefront kept references"


class _Run:
    """A cache for each model and set of weights that the run draws with. Not a dict: ComfyUI copies those."""

    def __init__(self) -> None:
        self.caches: dict[Hashable, ReferenceCache] = {}


def keep_in_runs(model: Any) -> None:
    """Let every sampling run of this MODEL and of its clones begin with nothing kept, and end so."""
    model.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, _KEY, _sample)


def _sample(executor: Any, *arguments: Any, **options: Any) -> torch.Tensor:
    # ComfyUI has copied these options for the run, and gives them to every call of the model.
    run_options = executor.class_obj.model_options.setdefault("transformer_options", {})
    outer = run_options.get(_KEY)
    run_options[_KEY] = run = _Run()
    try:
        return executor(*arguments, **options)
    finally:
        run.caches.clear()  # an error's traceback may hold the run for long
        run_options[_KEY] = outer


def of_this_run(options: dict[str, Any], model: Any) -> ReferenceCache | None:
    """What the run keeps for a model with the weights it has now; None where no run is known, or weights come and go."""
    run, patcher = options.get(_KEY), model.current_patcher
    if run is None or patcher is None or patcher.current_hooks is not None:
        return None
    weights = (id(model), id(patcher), model.current_weight_patches_uuid)
    return run.caches.setdefault(weights, ReferenceCache())
