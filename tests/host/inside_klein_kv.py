"""FLUX.2 klein KV inside a ComfyUI process: `python tests/host/inside_klein_kv.py COMFYUI_FOLDER` prints JSON.

Run by test_klein_kv.py, on the tiny random pipeline of tests/studio/tiny.py. "Anew": the same MODEL without a place to keep
what it knows of its references, so that every call looks at them.
"""

from __future__ import annotations

import gc
import json

import comfy_process

import comfy.model_management as mm
import node_helpers
import nodes
import tiny
import torch
from comfy.patcher_extension import WrappersMP
from comfy_extras.nodes_flux import FluxKVCache
from diffusers.models.transformers.transformer_flux2 import Flux2KVCache
from safetensors.torch import save_file
from storefront.host import acceleration, kept_references, lora, opening, prompt_encoding, sampling
from storefront.studio.errors import InputError
from storefront.studio.sampling.acceleration import AccelerationSettings
from storefront.studio.sampling.pipeline import FluxStudio

NAME, PROMPT, SEED, STEPS = "FLUX.2 klein KV", "서울의 밤, a blue lamp", 7, 3
CPU = torch.device("cpu")
DRAWN, SHOWN = 24, 24 + 35  # tokens of the picture, of the two references


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max())


def latent(seed: int, rows: int = 4, columns: int = 6) -> torch.Tensor:
    return torch.randn(1, 128, rows, columns, generator=torch.Generator().manual_seed(seed))


def looking(conditioning: list, *references: torch.Tensor) -> list:
    for reference in references:  # as the stock ReferenceLatent node does
        values = {"reference_latents": [reference]}
        conditioning = node_helpers.conditioning_set_values(conditioning, values, append=True)
    return conditioning


class Klein:
    def __init__(self):
        folder = comfy_process.BASE / "models" / "diffusers" / NAME
        tiny.BUILDERS[NAME](folder)
        self.loaded = opening.load_model(NAME, "fp32")
        self.model = self.loaded.model
        self.anew = self.model.clone()
        self.anew.remove_wrappers_with_key(WrappersMP.OUTER_SAMPLE, kept_references._KEY)
        self.studio = FluxStudio.load(folder)
        self.plain, _ = prompt_encoding.encode_prompts(self.loaded.clip, [(PROMPT, PROMPT)], 0)
        self.empty, _ = prompt_encoding.encode_prompts(self.loaded.clip, [("", "")], 0)
        self.references = [latent(1), latent(2, 5, 7)]
        self.positive = looking(self.plain, *self.references)
        self.seen: list[int] = []  # tokens of each call
        transformer = self.model.model.diffusion_model.transformer
        transformer.x_embedder.register_forward_hook(lambda m, i, out: self.seen.append(out.shape[1]))

    def draw(self, model=None, positive=None, negative=None, cfg=1.0, count=1, steps=STEPS) -> torch.Tensor:
        self.seen.clear()
        settings = {"seed": SEED, "steps": steps, "guidance": 0, "cfg": cfg, "strength": 1.0, "time_limit": 0}
        empty = {"samples": torch.zeros(count, 128, 4, 6)}
        model, positive = model or self.model, positive or self.positive
        return sampling.sample(model, positive, negative or self.empty, empty, sampling.SamplerSettings(**settings))[0][
            "samples"
        ]

    def ksampler(self, model, sampler: str) -> torch.Tensor:
        self.seen.clear()
        empty = {"samples": torch.zeros(1, 128, 4, 6)}
        arguments = (model, SEED, STEPS, 1.0, sampler, "simple", self.positive, self.empty, empty)
        return nodes.KSampler().sample(*arguments)[0]["samples"]


def equality(klein: Klein) -> dict:
    def loop(**settings):
        blank = torch.zeros(settings.pop("count", 1), 128, 4, 6)
        text = klein.studio.encode([PROMPT] * len(blank))
        return klein.studio.sample(text, blank, seed=SEED, steps=STEPS, guidance=0.0, **settings)

    with_references = klein.draw()
    counts = list(klein.seen)
    guided = klein.draw(cfg=4.0, negative=looking(klein.empty, *klein.references))
    return {
        "text": difference(klein.draw(positive=klein.plain), loop()),
        "references": difference(with_references, loop(references=klein.references)),
        "tokens": counts,
        "references are seen": difference(with_references, loop()),
        "three pictures": difference(klein.draw(count=3), loop(references=klein.references, count=3)),
        "cfg": difference(guided, loop(references=klein.references, cfg=4.0, negative=klein.studio.encode([""]))),
    }


def stock_samplers(klein: Klein) -> dict:
    out = {}
    for sampler in ("euler", "heun", "dpmpp_2m", "uni_pc"):
        kept = klein.ksampler(klein.model, sampler)
        counts = list(klein.seen)
        out[sampler] = {"difference": difference(kept, klein.ksampler(klein.anew, sampler)), "tokens": counts}
    return out


def conditionings(klein: Klein) -> dict:
    """A negative that looks at other pictures of the same sizes, or at none; in one call with the positive, and not."""
    others = looking(klein.empty, latent(3), latent(4, 5, 7))
    apart = klein.model.clone()

    def one_by_one(executor, model, conds, x, timestep, options):
        alone = [[cond if i == j else None for j, cond in enumerate(conds)] for i in range(len(conds))]
        return [executor(model, conds, x, timestep, options)[i] for i, conds in enumerate(alone)]

    apart.add_wrapper_with_key(WrappersMP.CALC_COND_BATCH, "test", one_by_one)
    out = {}
    for name, negative in (
        ("others", others),
        ("none", klein.empty),
        ("same", looking(klein.empty, *klein.references)),
    ):
        anew = klein.draw(klein.anew, negative=negative, cfg=4.0)
        for way, model in (("together", klein.model), ("apart", apart)):
            drawn = klein.draw(model, negative=negative, cfg=4.0)
            out[f"{name}, {way}"] = {"difference": difference(drawn, anew), "tokens": list(klein.seen)}
    return out


def runs(klein: Klein) -> dict:
    """One run after the other, cancelled or not: each as if it were alone, and nothing is left."""
    others = looking(klein.plain, latent(3), latent(4, 5, 7))
    expected = {name: klein.draw(klein.anew, positive) for name, positive in (("first", None), ("others", others))}
    out = {"differ": difference(*expected.values())}
    out["first"] = difference(klein.draw(), expected["first"])
    out["others"] = difference(klein.draw(positive=others), expected["others"])
    cancelled = klein.model.clone()
    steps = []

    def stop(executor, *arguments, **options):
        steps.append(1)
        mm.interrupt_current_processing(len(steps) == 2)
        return executor(*arguments, **options)

    cancelled.add_wrapper_with_key(WrappersMP.APPLY_MODEL, "test", stop)
    try:
        klein.draw(cancelled)
    except BaseException as error:
        out["cancelled"] = [type(error).__name__, len(steps)]
    mm.interrupt_current_processing(False)
    out["after cancel"] = difference(klein.draw(positive=others), expected["others"])
    gc.collect()
    out["left"] = sum(isinstance(thing, Flux2KVCache) for thing in gc.get_objects())
    return out


def write_lora() -> str:
    random = torch.Generator().manual_seed(0)
    layer, rows, columns = "single_transformer_blocks.0.attn.to_qkv_mlp_proj", 288, 32
    weights = {
        f"transformer.{layer}.lora_A.weight": torch.randn(4, columns, generator=random),
        f"transformer.{layer}.lora_B.weight": torch.randn(4, rows, generator=random).T.contiguous(),
    }
    (comfy_process.BASE / "models" / "loras").mkdir(parents=True, exist_ok=True)
    save_file(weights, comfy_process.BASE / "models" / "loras" / "kv.safetensors")
    return "kv.safetensors"


def changed_weights(klein: Klein) -> dict:
    """A LoRA on a clone, and one that a hook brings in and lets go from step to step."""
    rows = [lora.Row("lora_1", write_lora(), 1.0, 0.0)]
    with_lora = lora.apply_rows(klein.model, None, rows)[0]
    anew = lora.apply_rows(klein.anew, None, rows)[0]
    plain, expected = klein.draw(klein.anew), klein.draw(anew)
    out = {"lora": difference(klein.draw(with_lora), expected), "effect": difference(expected, plain)}
    out["without again"] = difference(klein.draw(), plain)

    import comfy.utils

    file = comfy.utils.load_torch_file(str(comfy_process.BASE / "models" / "loras" / "kv.safetensors"))
    hooks = comfy.hooks.create_hook_lora(lora=file, strength_model=1.0, strength_clip=0.0)
    keyframes = comfy.hooks.HookKeyframeGroup()
    for strength, start in ((1.0, 0.0), (0.2, 0.5)):
        keyframes.add(comfy.hooks.HookKeyframe(strength, start_percent=start))
    hooks.set_keyframes_on_hooks(keyframes)
    hooked = comfy.hooks.set_hooks_for_conditioning(klein.positive, hooks)
    drawn = klein.draw(positive=hooked)
    out["hook"] = difference(drawn, klein.draw(klein.anew, positive=hooked))
    out["hook's effect"] = difference(drawn, plain)
    return out


def accelerated(klein: Klein) -> dict:
    out = {}
    for name, settings in (
        ("SDPA", AccelerationSettings(attention="SDPA")),
        ("taylorseer", AccelerationSettings("taylorseer", interval=2)),
    ):
        drawn = klein.draw(acceleration.accelerate(klein.model, settings), steps=6)
        counts = list(klein.seen)
        anew = klein.draw(acceleration.accelerate(klein.anew, settings), steps=6)
        out[name] = {"difference": difference(drawn, anew), "tokens": counts}
    out["plain again"] = difference(klein.draw(), klein.draw(klein.anew))
    return out


@torch.no_grad()
def memory(klein: Klein) -> dict:
    """Half of the weights resident; and what ComfyUI is told that references weigh."""
    whole = klein.draw()
    mm.unload_all_models()
    patcher = klein.model
    patcher.load(device_to=CPU, lowvram_model_memory=patcher.model_size() // 2)
    resident = patcher.loaded_size() / patcher.model_size()
    half = klein.draw()
    patcher.unpatch_model(CPU)
    model = klein.model.model
    told = model.extra_conds_shapes(reference_latents=[latent(1)])["ref_latents"]
    plain = model.memory_required([1, 128, 4, 6], cond_shapes={"ref_latents": [[1, 16, 24]]})
    more = model.memory_required([1, 128, 4, 6], cond_shapes={"ref_latents": [told]}) - plain
    kept = 2 * 3 * 24 * 32 * 4  # keys and values of three layers, 24 tokens of width 32 in fp32
    return {"half": difference(whole, half), "resident": resident, "told": more / kept}


def single_file(klein: Klein) -> dict:
    """The same weights in a file that looks like any klein's: as its user says, and as it looks."""
    folder = comfy_process.BASE / "models" / "diffusion_models"
    folder.mkdir(parents=True, exist_ok=True)
    weights = klein.studio.velocity.transformer.state_dict()
    save_file({name: weight.contiguous() for name, weight in weights.items()}, folder / "klein-kv.safetensors")

    def opened(edition: str):
        name = f"diffusers/{NAME}"
        return opening.load("diffusion_models/klein-kv.safetensors", name, "none", "none", "fp32", edition)

    expected = klein.draw()
    said, looks = opened("FLUX.2 klein KV").model, opened("auto").model
    refused = {}
    for edition in ("FLUX.1 Kontext", "FLUX.9"):
        try:
            opened(edition)
        except InputError as error:
            refused[edition] = str(error)
    return {
        "said": difference(klein.draw(said), expected),
        "looks": difference(klein.draw(looks), expected),
        "refused": refused,
    }


def refusals(klein: Klein) -> dict:
    try:
        klein.draw(FluxKVCache.execute(klein.model).result[0])
    except InputError as error:
        return {"stock node": str(error)}
    return {}


def main() -> None:
    klein = Klein()
    measures = (
        equality,
        stock_samplers,
        conditionings,
        runs,
        changed_weights,
        accelerated,
        memory,
        single_file,
        refusals,
    )
    print("FIGURES " + json.dumps({measure.__name__: measure(klein) for measure in measures}))


main()
