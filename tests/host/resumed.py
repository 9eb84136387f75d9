"""Pictures that were cut off and gone on with, beside uninterrupted ones; used by inside_graphs.py."""

from __future__ import annotations

import contextlib

import comfy.model_management as mm
import torch
from comfy.patcher_extension import WrappersMP
from storefront.host import model_files, opening, prompt_encoding, resuming, sampling
from storefront.studio.errors import InputError

import nodes

SETTINGS = {"seed": 7, "steps": 8, "guidance": 3.5, "cfg": 1.0, "strength": 1.0, "time_limit": 0}


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max())


def stopped_before(model, call: int, error: BaseException):
    """A MODEL that raises `error` in place of its call `call` (from 1)."""
    stopped, calls = model.clone(), [0]

    def guarded(executor, *arguments, **options):
        calls[0] += 1
        if calls[0] == call:
            raise error
        return executor(*arguments, **options)

    stopped.add_wrapper(WrappersMP.APPLY_MODEL, guarded)
    return stopped


def drawn(model, text, latent, negative=None, **changes) -> dict:
    return sampling.sample(model, text, negative, latent, sampling.SamplerSettings(**{**SETTINGS, **changes}))[0]


def refusal(model, text, latent, **changes) -> str:
    try:
        drawn(model, text, latent, resume=True, **changes)
    except InputError as error:
        return str(error)
    return "not refused"


def starts(clip) -> dict[str, tuple]:
    """LATENTs, prompts and settings: an empty canvas, several prompts, a masked picture under true CFG."""
    one, _ = prompt_encoding.encode_prompts(clip, [("a red mug", "a red mug")], 0)
    two, _ = prompt_encoding.encode_prompts(clip, [("a red mug", "a red mug"), ("a blue vase", "a blue vase")], 0)
    picture = torch.randn(1, 16, 8, 8, generator=torch.Generator().manual_seed(3))
    mask = torch.zeros(1, 64, 64)
    mask[:, :, 32:] = 1
    return {
        "canvas": ({"samples": torch.zeros(1, 16, 8, 8)}, one, {}),
        "2 prompts x 2": ({"samples": torch.zeros(2, 16, 8, 8)}, two, {}),
        "mask, cfg": ({"samples": picture, "noise_mask": mask}, one, {"cfg": 2.0, "negative": two, "strength": 0.8}),
    }


def resumed(models, clip) -> dict:
    model = models["ours"]
    out: dict = {"time limit": {}, "Cancel": {}, "stock model": None}
    for name, (latent, text, changes) in starts(clip).items():
        if "negative" in changes:
            changes = {**changes, "negative": text}
        whole = drawn(model, text, latent, **changes)["samples"]
        first = drawn(model, text, latent, time_limit=1e-6, **changes)
        assert first["samples"].shape == whole.shape
        out["time limit"][name] = difference(drawn(model, text, first, resume=True, **changes)["samples"], whole)
        out["Cancel"][name] = difference(cancelled_and_resumed(model, text, latent, changes), whole)
    latent, text, _ = starts(clip)["canvas"]
    whole = drawn(models["stock"], text, latent)["samples"]
    cut = drawn(models["stock"], text, latent, time_limit=1e-6)
    out["stock model"] = difference(drawn(models["stock"], text, cut, resume=True)["samples"], whole)
    return out | {"refused": refused(models, clip), "files": files(model, clip), "calls": steps_done(model, clip)}


def cancelled_and_resumed(model, text, latent, changes) -> torch.Tensor:
    passes = 2 if "negative" in changes else 1
    stopped = stopped_before(model, 3 * passes, mm.InterruptProcessingException())
    with contextlib.suppress(mm.InterruptProcessingException):
        drawn(stopped, text, latent, resume=True, **changes)
    assert len(list(resuming.folder().glob("*.safetensors"))) == 1
    again = drawn(stopped, text, latent, resume=True, **changes)["samples"]
    assert not list(resuming.folder().glob("*"))
    return again


def steps_done(model, clip) -> int:
    """Calls of the model in a run that goes on after 5 of 8 steps."""
    latent, text, _ = starts(clip)["canvas"]
    with contextlib.suppress(RuntimeError):
        drawn(stopped_before(model, 6, RuntimeError("killed")), text, latent, resume=True)
    calls = []
    counted = model.clone()
    counted.add_wrapper(WrappersMP.APPLY_MODEL, lambda run, *a, **o: (calls.append(1), run(*a, **o))[1])
    drawn(counted, text, latent, resume=True)
    return len(calls)


def refused(models, clip) -> dict[str, str]:
    latent, text, _ = starts(clip)["canvas"]
    other, _ = prompt_encoding.encode_prompts(clip, [("a blue vase", "a blue vase")], 0)
    cut = drawn(models["ours"], text, latent, time_limit=1e-6)
    resized = nodes.LatentUpscaleBy().upscale(cut, "nearest-exact", 2.0)[0]
    lora = models["ours"].clone()
    key = next(name for name in lora.model.state_dict() if name.endswith("to_q.weight"))
    lora.add_patches({key: ("diff", (torch.full_like(lora.model.state_dict()[key], 0.01),))})
    return {
        "model": refusal(opening.load_model(model_files.BUNDLED, "bf16").model, text, cut),
        "LoRA": refusal(lora, text, cut),
        "prompt": refusal(models["ours"], other, cut),
        "seed": refusal(models["ours"], text, cut, seed=8),
        "steps": refusal(models["ours"], text, cut, steps=9),
        "size": refusal(models["ours"], text, resized),
    }


def files(model, clip) -> dict:
    """What lies in the folder: damaged files are passed over, old ones and too many removed."""
    latent, text, _ = starts(clip)["canvas"]
    folder = resuming.folder()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "damaged.safetensors").write_bytes(b"\xff" * 100)
    whole = drawn(model, text, latent)["samples"]
    out = {"beside a damaged one": difference(drawn(model, text, latent, resume=True)["samples"], whole)}
    for number in range(12):
        (folder / f"many{number}.safetensors").write_bytes(b"")
    resuming.tidy()
    out["left"] = len(list(folder.glob("*.safetensors")))
    for path in folder.glob("*"):
        path.unlink()
    return out
