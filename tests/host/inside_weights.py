"""Patches, hooks, merges and breaks on every stored format: `python tests/host/inside_weights.py COMFYUI_FOLDER` prints JSON.

Run by test_weights_inside.py. Each model walks a random way of what ComfyUI does to weights, beside the same model written
as numbers; in the end everything is taken off, and its weights must be the bits they were.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

from comfy_process import BASE, ROOT  # first: it makes this process a ComfyUI

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "studio" / "opening"))

import comfy.hooks
import comfy.model_management as mm
import comfy.patcher_extension
import comfy.sd
import comfy_extras.nodes_hooks as nodes_hooks
import lora_files
import torch
import writers
from comfy_extras.nodes_model_merging import CLIPMergeSimple, ModelMergeSimple
from original_layout import to_original
from safetensors.torch import load_file
from storefront.host import model_files, opening, prompt_encoding, sampling
from storefront.host.stored_linear import StoredLinear

CPU = torch.device("cpu")
MICRO = ROOT / "models" / "flux-micro"
MODELS = BASE / "models"
SETTINGS = {"seed": 7, "steps": 2, "guidance": 3.5, "cfg": 1.0, "strength": 1.0, "time_limit": 0}
FOLDERS = ("nf4", "int8", "int4", "uint4")  # diffusers folders, with T5 in the same format
FILES = ("fp8", "scaled fp8", "Q8_0", "Q4_0", "nvfp4")
NUMBERS = ("bf16", "fp8 storage")
STEPS = 9  # of a walk
torch.set_num_threads(1)  # the models are tiny


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a.float() - b.float()).abs().max())


# --- models ---------------------------------------------------------------------------------------------------------------


def write_models() -> None:
    weights = to_original(load_file(next((MICRO / "transformer").glob("*.safetensors"))))
    folder = MODELS / "diffusion_models"
    writers.write(folder / "fp8.safetensors", writers.fp8(weights))
    writers.write(folder / "scaled fp8.safetensors", *writers.scaled_fp8(weights, "new"))
    writers.write(folder / "nvfp4.safetensors", writers.nvfp4(weights))
    for kind in ("Q8_0", "Q4_0"):
        writers.gguf(folder / f"{kind}.gguf", weights, kind)
    for kind in FOLDERS:
        parts = {"transformer": kind, "text_encoder_2": kind}
        writers.quantised_folder(MICRO, MODELS / "diffusers" / kind, parts, 1)


def open_model(kind: str, dense: bool = False):
    """MODEL and CLIP of a format; `dense`: as numbers."""
    if kind in ("fp32", *NUMBERS, *FOLDERS):
        name = kind if kind in FOLDERS else model_files.BUNDLED
        loaded = opening.load_model(name, "fp32" if dense else "auto" if kind in FOLDERS else kind)
        return loaded.model, loaded.clip
    ending = "gguf" if kind.startswith("Q") else "safetensors"
    opened = opening.load(f"diffusion_models/{kind}.{ending}", "none", "none", "none", "fp32" if dense else "auto")
    return opened.model, None


def bits(patcher) -> dict[str, torch.Tensor]:
    return {name: weight.detach().view(torch.uint8).clone() for name, weight in patcher.model.named_parameters()}


# --- what is done to a model ------------------------------------------------------------------------------------------------


class Broken(Exception):
    pass


class Walk:
    """One model on its way; the same seed makes the same way."""

    def __init__(self, patcher, other, conditioning, loras):
        self.plain = self.patcher = patcher
        self.other, self.conditioning, self.loras = other, conditioning, loras
        self.merged: set = set()

    def draw(self, hooks=None, patcher=None) -> torch.Tensor:
        positive = self.conditioning
        if hooks is not None:
            positive = comfy.hooks.set_hooks_for_conditioning(positive, hooks)
        out, _ = sampling.sample(
            patcher or self.patcher,
            positive,
            None,
            {"samples": torch.zeros(1, 16, 8, 8)},
            sampling.SamplerSettings(**SETTINGS),
        )
        return out["samples"]

    def lora(self, pick: random.Random) -> None:
        clone, name = self.patcher.clone(), pick.choice(sorted(self.loras))
        weights = {f"diffusion_model.transformer.{k}.weight": ("diff", (v,)) for k, v in self.loras[name].items()}
        assert clone.add_patches(weights, pick.choice((0.5, -1.0)))
        self.patcher = clone

    def merge(self, pick: random.Random) -> None:
        mine = (
            self.patcher if self.patcher.patches_uuid not in self.merged else self.plain
        )  # each merge asks for all weights
        (self.patcher,) = ModelMergeSimple().merge(mine, self.other, pick.choice((0.25, 0.75)))
        self.merged.add(self.patcher.patches_uuid)

    def hook(self, pick: random.Random, until: str = "") -> torch.Tensor | None:
        name = pick.choice(sorted(self.loras))
        file = {f"transformer.{layer}.diff": change for layer, change in self.loras[name].items()}
        hooks = comfy.hooks.create_hook_lora(file, pick.choice((1.0, -0.5)), 0.0)
        if not until:
            return self.draw(hooks)
        patcher, count = self.patcher.clone(), 0

        def breaking(executor, *arguments, **options):
            nonlocal count
            count += 1
            if count == 2:
                raise mm.InterruptProcessingException if until == "cancel" else torch.OutOfMemoryError("out of memory")
            return executor(*arguments, **options)

        patcher.add_wrapper(comfy.patcher_extension.WrappersMP.APPLY_MODEL, breaking)
        try:
            self.draw(hooks, patcher)
        except BaseException as error:
            if not isinstance(error, mm.InterruptProcessingException | torch.OutOfMemoryError):
                raise
            return None
        raise Broken("not stopped")

    def partly(self, _: random.Random) -> None:
        mm.unload_all_models()
        self.patcher.load(device_to=CPU, lowvram_model_memory=self.patcher.model_size() // 2)
        self.patcher.unpatch_model(CPU)

    def unload_part(self, _: random.Random) -> None:
        mm.load_models_gpu([self.patcher])
        self.patcher.partially_unload(CPU, self.patcher.model_size() // 3)

    def unload(self, _: random.Random) -> None:
        mm.unload_all_models()

    def save(self, _: random.Random) -> None:
        comfy.sd.save_checkpoint(str(BASE / "output" / "walked.safetensors"), self.patcher)

    def off(self, _: random.Random) -> None:
        self.patcher = self.plain

    def step(self, pick: random.Random) -> tuple[str, torch.Tensor]:
        """What was done, and what is drawn: under the hook, or after everything else."""
        name = pick.choice(
            (
                "lora",
                "merge",
                "hook",
                "hook",
                "cancelled hook",
                "hook without memory",
                "partly",
                "unload_part",
                "unload",
                "save",
                "off",
            )
        )
        if name == "hook":
            drawn = self.hook(pick)
        elif "hook" in name:
            self.hook(pick, "cancel" if "cancel" in name else "memory")
            drawn = self.draw()
        else:
            getattr(self, name)(pick)
            drawn = self.draw()
        return name, drawn


def random_loras(transformer) -> dict[str, dict[str, torch.Tensor]]:
    """Two sets of differences, of all linear layers and of some."""
    shapes = lora_files.linear_shapes(transformer)
    whole = lora_files.random_lora(shapes, size=0.15)
    deltas = {layer: whole.up[layer] @ whole.down[layer] for layer in shapes}
    some = {layer: delta.flip(0) for layer, delta in deltas.items() if ".0." in layer}
    return {"whole": deltas, "some": some}


def walk(kind: str, seed: int, conditioning) -> dict:
    stored, dense = open_model(kind)[0], open_model(kind, dense=True)[0]
    # Each is merged with a stored model of another format and the same as numbers.
    partner = "nf4" if kind != "nf4" else "int8"
    loras = random_loras(open_model("fp32")[0].model.diffusion_model.transformer)
    before = bits(stored)
    ways = (
        Walk(stored, open_model(partner)[0], conditioning, loras),
        Walk(dense, open_model(partner, dense=True)[0], conditioning, loras),
    )
    first = ways[0].draw()
    apart, moved, done = difference(first, ways[1].draw()), 0.0, []
    picks = random.Random(seed), random.Random(seed)
    for _ in range(STEPS):
        (name, mine), (_, theirs) = (way.step(pick) for way, pick in zip(ways, picks))
        done.append(name)
        apart = max(apart, difference(mine, theirs) / float(theirs.std()))
        moved = max(moved, difference(mine, first))
    again = ways[0].draw(patcher=stored)
    mm.unload_all_models()
    after = bits(stored)
    layers = [layer for layer in stored.model.modules() if isinstance(layer, StoredLinear)]
    return {
        "way": done,
        "stored": len(layers),
        "apart": apart,
        "moved": moved,
        "taken off": difference(first, again),
        "finite": bool(torch.isfinite(again).all()),
        "same bits": all(torch.equal(before[name], after[name]) for name in before),
        "left on": sum(layer.on_top is not None or layer.hooked is not None for layer in layers),
    }


def text_encoders(kind: str) -> dict:
    """A LoRA, a hook and a merge of T5, whose layers are stored: against the same as numbers, and taken off."""
    out: dict = {}
    seen = []
    for dense in (False, True):
        _, clip = open_model(kind, dense)
        _, other = open_model("int8" if kind != "int8" else "nf4", dense)
        t5 = clip.cond_stage_model.studio.t5xxl
        shapes = {
            n: s for n, s in lora_files.linear_shapes(open_model("fp32")[1].cond_stage_model.studio.t5xxl).items()
        }
        whole = lora_files.random_lora({n: s for n, s in shapes.items() if ".0." in n}, size=0.1)
        deltas = {f"t5xxl.transformer.{n}.weight": ("diff", (whole.up[n] @ whole.down[n],)) for n in whole.up}
        before = bits(clip.patcher)

        def encode(which) -> torch.Tensor:
            return prompt_encoding.encode_prompts(which, [("a red mug", "a red mug")], 0)[0][0][0]

        plain = encode(clip)
        patched = clip.clone()
        assert patched.add_patches(deltas, 1.0)
        file = {f"text_encoders.{k.removesuffix('.weight')}.diff": v[1][0] for k, v in deltas.items()}
        (hooked,) = nodes_hooks.SetClipHooks().apply_hooks(
            clip, False, False, comfy.hooks.create_hook_lora(file, 0.0, 1.0)
        )
        (merged,) = CLIPMergeSimple().merge(clip, other, 0.5)
        seen.append([plain, encode(patched), encode(hooked), encode(merged)])
        if not dense:
            mm.unload_all_models()
            out["stored"] = sum(isinstance(layer, StoredLinear) for layer in t5.modules())
            prompt_encoding.CACHE._entries.clear()
            out["taken off"] = difference(plain, encode(clip))
            mm.unload_all_models()
            after = bits(clip.patcher)
            out["same bits"] = all(torch.equal(before[name], after[name]) for name in before)
    out["apart"] = [difference(mine, theirs) for mine, theirs in zip(*seen)]
    out["moves"] = [difference(seen[0][0], some) for some in seen[0][1:]]
    return out


def main() -> None:
    (BASE / "output").mkdir(exist_ok=True)
    write_models()
    _, clip = open_model("fp32")
    conditioning, _ = prompt_encoding.encode_prompts(clip, [("a red mug", "a red mug")], 0)
    figures = {
        "walks": {kind: walk(kind, seed, conditioning) for seed, kind in enumerate((*NUMBERS, *FILES, *FOLDERS))},
        "text encoders": {kind: text_encoders(kind) for kind in ("nf4", "uint4")},
    }
    print("FIGURES " + json.dumps(figures))


main()
