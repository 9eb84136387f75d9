"""Stock nodes on our MODEL beside the same on a stock one: `python tests/host/inside_graphs.py COMFYUI_FOLDER` prints JSON.

Run by test_graphs_inside.py. Both MODELs are flux-micro, ours and ComfyUI's own class with the same weights.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from comfy_process import BASE, ROOT  # first: it makes this process a ComfyUI

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "studio" / "opening"))

import asked
import comfy.patcher_extension
import comfy_extras.nodes_easycache as easycache
import comfy_extras.nodes_edit_model as edit_model
import comfy_extras.nodes_flux as nodes_flux
import comfy_extras.nodes_lora_debug as lora_debug
import comfy_extras.nodes_nag as nag
import comfy_extras.nodes_pag as pag
import comfy_extras.nodes_rope as rope
import comfy_extras.nodes_slg as slg
import lora_files
import nodes
import resumed
import torch
import writers
from original_layout import to_original
from safetensors.torch import load_file
from storefront.host import model_files, opening, prompt_encoding, sampling
from storefront.host import out_of_memory as host_memory
from storefront.studio.errors import InputError

torch.set_num_threads(1)
MICRO = ROOT / "models" / "flux-micro"
SETTINGS = {"seed": 7, "steps": 3, "guidance": 3.5, "cfg": 1.0, "strength": 1.0, "time_limit": 0}
SLIDERS = {"scale_x": 1.7, "shift_x": 0.0, "scale_y": 1.7, "shift_y": 0.5, "scale_t": 1.0, "shift_t": 0.0}


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max())


def latent(width: int = 8, height: int = 8, count: int = 1) -> dict:
    return {"samples": torch.zeros(count, 16, height, width)}


def ksampler(model, positive, start=None, steps: int = 4, cfg: float = 1.0, denoise: float = 1.0) -> torch.Tensor:
    start = latent() if start is None else start
    return nodes.common_ksampler(model, 7, steps, cfg, "euler", "simple", positive, positive, start, denoise)[0]


def ours(model, positive, start=None, **changes) -> dict:
    return sampling.sample(
        model, positive, None, latent() if start is None else start, sampling.SamplerSettings(**{**SETTINGS, **changes})
    )[0]


def refusal(call, *arguments, **options) -> str:
    try:
        call(*arguments, **options)
    except InputError as error:
        return str(error)
    return "not refused"


def second_pass(models, text) -> dict:
    """Picture 2 of 3, picked from the canvas and drawn twice: as in the whole batch."""
    samplers = {
        "ours": lambda start, part: ours(models["ours"], text, start, strength=part),
        "stock": lambda start, part: ksampler(models["ours"], text, start, denoise=part),
    }
    out = {}
    for first, one in samplers.items():
        for second, two in samplers.items():

            def drawn(start, one=one, two=two):
                return two(nodes.LatentUpscaleBy().upscale(one(start, 1.0), "nearest-exact", 1.5)[0], 0.7)["samples"]

            picked = nodes.LatentFromBatch().frombatch(latent(count=3), 2, 1)[0]
            out[f"{first}, {second}"] = difference(drawn(latent(count=3))[2:], drawn(picked))
    return out


def prompts_and_pictures(models, clip) -> dict:
    """2 prompts x 3 pictures: any picture picked from the canvas, and a second pass over all and over one."""
    text, _ = prompt_encoding.encode_prompts(clip, [("a red mug", "a red mug"), ("a blue vase", "a blue vase")], 0)
    whole = ours(models["ours"], text, latent(count=3))
    out = {"picked": 0.0, "spread": difference(whole["samples"][0], whole["samples"][3])}
    for index in range(3):
        picked = ours(models["ours"], text, nodes.LatentFromBatch().frombatch(latent(count=3), index, 1)[0])["samples"]
        out["picked"] = max(out["picked"], difference(whole["samples"][[index, 3 + index]], picked))
    again = ours(models["ours"], text, whole, strength=0.7)["samples"]
    out["second pass"] = list(again.shape)
    one = nodes.LatentFromBatch().frombatch(whole, 4, 1)[0]
    out["second pass of one"] = difference(ours(models["ours"], text, one, strength=0.7)["samples"], again[4:5])
    return out


def effects(models, text) -> dict:
    """What each stock node changes on ours and on the stock model, and how far the two end from each other."""
    kontext = {**models, "ours": models["kontext"]}
    two = text
    for size in (8, 10):
        reference = {"samples": torch.randn(1, 16, size, 9, generator=torch.Generator().manual_seed(size))}
        two = edit_model.ReferenceLatent.execute(two, reference).result[0]

    def method(name):
        return nodes_flux.FluxKontextMultiReferenceLatentMethod.execute(two, name).result[0]

    def cached(model):
        return easycache.EasyCacheNode.execute(model, 0.5, 0.0, 1.0, False).result[0]

    def skipped(model):
        return slg.SkipLayerGuidanceDiT.execute(model, 3.0, 0.0, 1.0, "0", "0,1", 0.0).result[0]

    def skipped_simply(model):
        return slg.SkipLayerGuidanceDiTSimple.execute(model, 0.0, 1.0, "0", "0, 1").result[0]

    def turned(model):
        return rope.ScaleROPE.execute(model, **SLIDERS).result[0]

    def guided(model):
        return nag.NAGuidance.execute(model, 5.0, 0.5, 1.5).result[0]

    other = nodes.ConditioningZeroOut().zero_out(text)[0]

    def with_negative(model):
        return nodes.common_ksampler(model, 7, 4, 1.0, "euler", "simple", text, other, latent())[0]["samples"]

    unguided = nodes_flux.FluxDisableGuidance.execute(text).result[0]
    plain = {
        "EasyCache": (models, lambda m: ksampler(cached(m), text, steps=16), lambda m: ksampler(m, text, steps=16)),
        "SkipLayerGuidanceDiT": (models, lambda m: ksampler(skipped(m), text), lambda m: ksampler(m, text)),
        "SkipLayerGuidanceDiTSimple": (
            models,
            lambda m: ksampler(skipped_simply(m), text, cfg=2.0),
            lambda m: ksampler(m, text, cfg=2.0),
        ),
        "ScaleROPE": (models, lambda m: ksampler(turned(m), text), lambda m: ksampler(m, text)),
        "FluxDisableGuidance": (models, lambda m: ksampler(m, unguided), lambda m: ksampler(m, text)),
        "odd sides": (models, lambda m: ksampler(m, text, latent(9, 11)), None),
        "odd references": (kontext, lambda m: ksampler(m, two), lambda m: ksampler(m, text)),
        "method index": (kontext, lambda m: ksampler(m, method("index")), lambda m: ksampler(m, two)),
        "method uxo": (kontext, lambda m: ksampler(m, method("uxo/uno")), lambda m: ksampler(m, two)),
        "NAGuidance": (models, lambda m: {"samples": with_negative(guided(m))}, lambda m: ksampler(m, text)),
    }
    # Our own sampler takes text without guidance too, on our MODEL and on a stock one.
    drawn = {which: ours(model, unguided)["samples"] for which, model in models.items()}
    moved = {which: difference(drawn[which], ours(model, text)["samples"]) for which, model in models.items()}
    out = {"FluxDisableGuidance, our sampler": {"apart": difference(drawn["ours"], drawn["stock"]), **moved}}
    for name, (pair, with_node, without) in plain.items():
        drawn = {which: with_node(pair[which])["samples"] for which in ("ours", "stock")}
        moved = {which: difference(drawn[which], without(pair[which])["samples"]) for which in drawn} if without else {}
        out[name] = {"apart": difference(drawn["ours"], drawn["stock"]), **moved}
    return out


def bypassed(models, text) -> dict:
    """A LoRA in bypass mode, in two trainers' names: against the same file by LoraLoader, on ours and on the stock model."""
    shapes = lora_files.linear_shapes(models["ours"].model.diffusion_model.transformer)
    whole = lora_files.random_lora(shapes, size=0.1)
    files = {"PEFT": lora_files.peft(whole), "kohya": lora_files.kohya(whole)}
    folder = BASE / "models" / "loras"
    out = {}
    for name, weights in files.items():
        writers.write(folder / f"{name}.safetensors", {k: t.contiguous() for k, t in weights.items()})
        patched = nodes.LoraLoaderModelOnly().load_lora_model_only(models["ours"], f"{name}.safetensors", 0.7)[0]
        expected, plain = ksampler(patched, text)["samples"], ksampler(models["ours"], text)["samples"]
        drawn = {}
        for which in ("ours", "stock"):
            loader = lora_debug.LoraLoaderBypassModelOnly()
            drawn[which] = ksampler(loader.load_lora_model_only(models[which], f"{name}.safetensors", 0.7)[0], text)[
                "samples"
            ]
        out[name] = {
            "ours": difference(drawn["ours"], expected),
            "stock": difference(drawn["stock"], expected),
            "moves": difference(expected, plain),
            "taken off": difference(ksampler(models["ours"], text)["samples"], plain),
        }
    return out


def with_room_for(model, rows: int, error: Exception):
    """A MODEL that raises `error` when it is given more rows at once."""
    small = model.clone()

    def guarded(executor, x, *arguments, **options):
        if x.shape[0] > rows:
            raise error
        return executor(x, *arguments, **options)

    small.add_wrapper(comfy.patcher_extension.WrappersMP.APPLY_MODEL, guarded)
    return small


def out_of_memory(models, clip) -> dict:
    """4 pictures of 2 prompts under true CFG, where 3 rows fit at once; and where not even one does."""
    text, _ = prompt_encoding.encode_prompts(clip, [("a red mug", "a red mug"), ("a blue vase", "a blue vase")], 0)
    negative, _ = prompt_encoding.encode_prompts(clip, [("blurry", "blurry")], 0)
    mask = torch.zeros(2, 64, 64)
    mask[0, :, :32], mask[1, 16:, :] = 1, 1
    start = {"samples": torch.randn(2, 16, 8, 8, generator=torch.Generator().manual_seed(0)), "noise_mask": mask}

    def drawn(model, sampler):
        if sampler == "KSampler":
            return ksampler(model, text, {"samples": torch.zeros(2, 16, 8, 8)}, cfg=3.0)["samples"]
        return sampling.sample(model, text, negative, start, sampling.SamplerSettings(**{**SETTINGS, "cfg": 3.0}))[0][
            "samples"
        ]

    errors = {
        "CUDA": torch.OutOfMemoryError("CUDA out of memory"),
        "CPU": RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"),
        "Python": MemoryError(),
    }
    out: dict = {"halved": {}, "notes": []}
    whole = {sampler: drawn(models["ours"], sampler) for sampler in ("ours", "KSampler")}
    said = host_memory.progress.fell_back
    host_memory.progress.fell_back = lambda notes, node: (out["notes"].extend(notes), said(notes, node))
    for name, error in errors.items():
        for sampler, expected in whole.items():
            small = with_room_for(models["ours"], 3, error)
            out["halved"][f"{name}, {sampler}"] = difference(drawn(small, sampler), expected)
    try:
        drawn(with_room_for(models["ours"], 0, errors["CUDA"]), "ours")
    except torch.OutOfMemoryError as error:
        out["never"] = str(error)
    host_memory.progress.fell_back = said
    out["next"] = difference(drawn(models["ours"], "ours"), whole["ours"])
    try:
        drawn(with_room_for(models["ours"], 3, RuntimeError("another fault")), "ours")
    except RuntimeError as error:
        out["other errors"] = str(error)
    return out


def refusals(models, text) -> dict:
    """What the model would not do is refused before the first step, by KSampler as by ours."""
    patched = pag.PerturbedAttentionGuidance.execute(models["ours"], 3.0).result[0]
    post = models["ours"].clone()
    post.set_model_patch(lambda args: args, "post_input")
    zero = nodes_flux.FluxKontextMultiReferenceLatentMethod.execute(
        edit_model.ReferenceLatent.execute(text, latent()).result[0], "index_timestep_zero"
    ).result[0]
    return {
        "post_input": refusal(ksampler, post, text),
        "post_input, ours": refusal(ours, post, text),
        "index_timestep_zero": refusal(ksampler, models["kontext"], zero),
        "PerturbedAttentionGuidance": refusal(ksampler, patched, text, cfg=2.0),
    }


def main() -> None:
    weights = to_original(load_file(next((MICRO / "transformer").glob("*.safetensors"))))
    writers.write(BASE / "models" / "diffusion_models" / "micro.safetensors", weights)
    loaded = opening.load_model(model_files.BUNDLED, "fp32")
    file = ("diffusion_models/micro.safetensors", "none", "none", "none", "fp32")
    models = {
        "ours": loaded.model,
        "kontext": opening.load(*file, "FLUX.1 Kontext").model,
        "stock": nodes.UNETLoader().load_unet("micro.safetensors", "default")[0],
    }
    text, _ = prompt_encoding.encode_prompts(loaded.clip, [("a red mug", "a red mug")], 0)
    figures = {
        "second pass": second_pass(models, text),
        "prompts and pictures": prompts_and_pictures(models, loaded.clip),
        "effects": effects(models, text),
        "bypassed": bypassed(models, text),
        "out of memory": out_of_memory(models, loaded.clip),
        "refusals": refusals(models, text),
        "resumed": resumed.resumed(models, loaded.clip),
        "asked": asked.asked(models, loaded.clip, BASE),
    }
    print("FIGURES " + json.dumps(figures))


main()
