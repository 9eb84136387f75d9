"""LoRAs measured inside a ComfyUI process: `python tests/host/inside_lora.py COMFYUI_FOLDER` prints JSON.

Run by test_lora_inside.py. The references are diffusers' own: FluxPipeline.load_lora_weights with set_adapters.
"""

from __future__ import annotations

import gc
import json
import re
import shutil
from pathlib import Path

import comfy_process
from comfy_process import BASE, ROOT

import comfy.model_management as mm
import comfy.sd
import comfy.utils
import diffusers
import lora_files
import tiny
import torch
from diffusers import FluxPipeline
from original_layout import to_original
from safetensors.torch import load_file, save_file
from storefront.host import lora, model_files, opening, prompt_encoding, sampling
from storefront.studio.errors import InputError

CPU = torch.device("cpu")
MICRO = ROOT / "models" / "flux-micro"
LORAS = BASE / "models" / "loras"
PROMPT, SEED, STEPS = "a red mug on a wooden table", 7, 2
STRENGTHS = (1.0, -0.6)
SETTINGS = {"seed": SEED, "steps": STEPS, "guidance": 3.5, "cfg": 1.0, "strength": 1.0, "time_limit": 0}


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max())


def write(name: str, weights: dict[str, torch.Tensor], metadata: dict[str, str] | None = None) -> str:
    LORAS.mkdir(parents=True, exist_ok=True)
    save_file({key: tensor.contiguous() for key, tensor in weights.items()}, LORAS / name, metadata)
    return name


def draw(model, clip) -> torch.Tensor:
    """Latents in model space of one picture."""
    conditioning, _ = prompt_encoding.encode_prompts(clip, [(PROMPT, PROMPT)], 0)
    out, _ = sampling.sample(
        model, conditioning, None, {"samples": torch.zeros(1, 16, 8, 8)}, sampling.SamplerSettings(**SETTINGS)
    )
    return (out["samples"] - 0.1159) * 0.3611


def reference(pipeline) -> torch.Tensor:
    from storefront.studio.kinds.flux1 import unpack

    packed = pipeline(
        PROMPT,
        width=64,
        height=64,
        num_inference_steps=STEPS,
        max_sequence_length=64,
        generator=torch.Generator().manual_seed(SEED),
        output_type="latent",
    ).images
    return unpack(packed, 8, 8)


def open_pipeline():
    pipeline = FluxPipeline.from_pretrained(MICRO, local_files_only=True, torch_dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def with_lora(pipeline, file, strength: float) -> torch.Tensor:
    """The reference picture with a LoRA at a strength, taken off again."""
    weights = load_file(file) if isinstance(file, Path) else dict(file)
    pipeline.load_lora_weights(weights, adapter_name="tested")
    pipeline.set_adapters("tested", strength)
    drawn = reference(pipeline)
    pipeline.unload_lora_weights()
    return drawn


def with_deltas(pipeline, deltas: dict[str, torch.Tensor], strength: float) -> torch.Tensor:
    """The reference picture with dense differences added to the transformer's weights, taken off again."""
    layers = dict(pipeline.transformer.named_modules())
    kept = {name: layers[name].weight.data for name in deltas}
    for name, delta in deltas.items():
        layers[name].weight.data = kept[name] + strength * delta
    drawn = reference(pipeline)
    for name, weight in kept.items():
        layers[name].weight.data = weight
    return drawn


def by_our_node(loaded, file: str, strength: float, clip_strength: float = 1.0):
    row = lora.Row("lora_1", file, strength, clip_strength)
    model, clip, outcome = lora.apply_rows(loaded.model, loaded.clip, [row])
    return model, clip, outcome[0]


def by_stock_loader(loaded, file: str, strength: float, clip_strength: float = 1.0):
    """What LoraLoader does."""
    weights = comfy.utils.load_torch_file(str(LORAS / file), safe_load=True)
    return comfy.sd.load_lora_for_models(loaded.model, loaded.clip, weights, strength, clip_strength)


def formats(loaded, pipeline) -> dict:
    """Per format: how far our node and the stock loader are from diffusers, and what was not matched."""
    shapes = lora_files.linear_shapes(pipeline.transformer)
    whole = lora_files.random_lora(shapes)
    part = whole.only(lora_files.xlabs_layers(shapes))
    plain = reference(pipeline)
    expected = {
        (name, strength): with_lora(pipeline, lora_files.peft(weights), strength)
        for name, weights in (("whole", whole), ("part", part))
        for strength in STRENGTHS
    }
    cases = {name: ("whole", make(whole), None) for name, make in lora_files.FORMATS.items()}
    cases["XLabs"] = ("part", lora_files.xlabs(part), None)
    halved = {key: t * 2 if "lora_B" in key else t for key, t in lora_files.peft(whole).items()}
    cases["diffusers, alpha in metadata"] = ("whole", halved, lora_files.diffusers_metadata(0.5, 2))
    outcome = {}
    for name, (which, weights, metadata) in cases.items():
        file = write("tested.safetensors", weights, metadata)
        ours, stock, applied = [], [], None
        for strength in STRENGTHS:
            model, clip, applied = by_our_node(loaded, file, strength)
            ours.append(difference(draw(model, clip), expected[which, strength]))
        model, clip = by_stock_loader(loaded, file, strength)
        stock.append(difference(draw(model, clip), expected[which, strength]))
        outcome[name] = {"ours": max(ours), "stock": max(stock), "unmatched": applied.unmatched}
    outcome["spread"] = difference(plain, expected["part", 1.0])
    return outcome


def read_by_diffusers(loaded, pipeline) -> dict:
    """Files that diffusers' own converters read at this size, each against itself: the same file, in both."""
    shapes = lora_files.linear_shapes(pipeline.transformer)
    whole = lora_files.random_lora(shapes)
    double = whole.only(name for name in shapes if name.startswith("transformer_blocks"))
    files = {
        "diffusers": lora_files.peft(whole),
        "network alphas": lora_files.peft_alphas(whole),
        "kohya": lora_files.kohya(double),  # its single blocks are cut at 3072 columns, whatever the model
        "XLabs": lora_files.xlabs(whole.only(lora_files.xlabs_layers(shapes))),
    }
    outcome = {}
    for name, weights in files.items():
        file = write("tested.safetensors", weights)
        model, clip, _ = by_our_node(loaded, file, 0.8)
        outcome[name] = difference(draw(model, clip), with_lora(pipeline, LORAS / file, 0.8))
    return outcome


def products(loaded, pipeline) -> dict:
    """LoHa and LoKr, of fused layers and of ours, against the dense differences."""
    shapes = lora_files.linear_shapes(pipeline.transformer)
    outcome = {}
    for kind in (lora_files.loha, lora_files.lokr):
        for trainer in ("kohya", "SimpleTuner"):
            weights, deltas = lora_files.lycoris(kind, shapes, trainer)
            file = write("tested.safetensors", weights)
            expected = with_deltas(pipeline, deltas, 0.7)
            model, clip, applied = by_our_node(loaded, file, 0.7)
            stock, stock_clip = by_stock_loader(loaded, file, 0.7)
            outcome[f"{kind.__name__}, {trainer}"] = {
                "ours": difference(draw(model, clip), expected),
                "stock": difference(draw(stock, stock_clip), expected),
                "spread": difference(reference(pipeline), expected),
                "unmatched": applied.unmatched,
            }
    return outcome


def text_encoders(loaded, pipeline) -> dict:
    """LoRAs of CLIP and T5, against the encoders with the differences added."""
    encoders = (pipeline.text_encoder, pipeline.text_encoder_2)
    loras = [
        lora_files.random_lora({n: s for n, s in lora_files.linear_shapes(encoder).items() if "encoder" in n}, size=0.1)
        for encoder in encoders
    ]
    transformer = lora_files.random_lora({"x_embedder": (128, 64)}, size=1e-9)  # a file has a transformer's part too
    changed = open_pipeline()
    for encoder, weights in zip((changed.text_encoder, changed.text_encoder_2), loras, strict=True):
        layers = dict(encoder.named_modules())
        for name in weights.down:
            layers[name].weight.data += 0.5 * weights.up[name] @ weights.down[name]
    with torch.no_grad():
        expected, pooled, _ = changed.encode_prompt(PROMPT, None, max_sequence_length=64)
        before, pooled_before, _ = pipeline.encode_prompt(PROMPT, None, max_sequence_length=64)
    outcome = {"spread": [difference(before, expected), difference(pooled_before, pooled)]}
    for name, make in lora_files.TEXT_FORMATS.items():
        file = write("tested.safetensors", make(*loras) | lora_files.peft(transformer))
        seen = {}
        for loader in (by_our_node, by_stock_loader):
            result = loader(loaded, file, 1.0, 0.5)
            ((sequence, options),), _ = prompt_encoding.encode_prompts(result[1], [(PROMPT, PROMPT)], 0)
            seen[loader.__name__] = [difference(sequence, expected), difference(options["pooled_output"], pooled)]
            if loader is by_our_node:
                seen["unmatched"] = result[2].unmatched
        outcome[name] = seen
    ((sequence, options),), _ = prompt_encoding.encode_prompts(loaded.clip, [(PROMPT, PROMPT)], 0)
    outcome["taken off"] = [difference(sequence, before), difference(options["pooled_output"], pooled_before)]
    return outcome


def magnitudes(loaded) -> dict:
    """DoRA: PEFT's own forward, the same in the original names, LyCORIS's two ways; at 1 and in between."""
    pipeline, plain = open_pipeline(), open_pipeline()
    transformer = plain.transformer
    shapes = lora_files.linear_shapes(transformer)
    saved = lora_files.peft_adapter(pipeline.transformer, list(shapes), alpha=2)
    expected = reference(pipeline)
    pipeline.save_lora_weights(LORAS, {k: t.contiguous() for k, t in saved.items()}, weight_name="dora.safetensors")
    ends = ("lora_A.weight", "lora_B.weight", "lora_magnitude_vector")
    down, up, lengths = ({k.removesuffix(f".{e}"): t for k, t in saved.items() if k.endswith(e)} for e in ends)
    whole = lora_files.Lora(down, up)
    flat = lora_files._flat("lora_unet_")
    kohya = lora_files._pairs(lora_files.fused(whole), flat, *lora_files.DOWN_UP)
    files = {
        "PEFT": "dora.safetensors",
        "kohya": write(
            "rows.safetensors", lora_files.with_magnitudes(kohya, flat, lora_files.fused_magnitudes(lengths))
        ),
    }
    outcome: dict = {"spread": difference(reference(plain), expected)}
    for name, file in files.items():
        model, clip, applied = by_our_node(loaded, file, 1.0)
        entry = outcome[name] = {"ours": difference(draw(model, clip), expected), "unmatched": applied.unmatched}
        if name == "kohya":
            model, clip = by_stock_loader(loaded, file, 1.0)
            entry["stock"] = difference(draw(model, clip), expected)
    weights = {layer: transformer.get_submodule(layer).weight for layer in shapes}

    def turned(layer: str, added: torch.Tensor, dim: int, length: torch.Tensor) -> torch.Tensor:
        """Eq. 5 of the paper, as the difference from the weight."""
        new = weights[layer] + added
        return length * new / new.norm(dim=dim, keepdim=True) - weights[layer]

    rows = {x: turned(x, up[x] @ down[x], 1, lengths[x][:, None]) for x in shapes}
    half, clip, _ = by_our_node(loaded, "dora.safetensors", 0.5)
    outcome["half"] = difference(draw(half, clip), with_deltas(plain, rows, 0.5))

    named = lora_files._flat("lycoris_")
    across = {layer: weight.norm(dim=0, keepdim=True) * 1.2 for layer, weight in weights.items()}
    columns = lora_files.with_magnitudes(lora_files.simpletuner(whole), named, across)
    kronecker, added = lora_files.lycoris(lora_files.lokr, shapes, "SimpleTuner")
    along = {layer: length[:, None] for layer, length in lengths.items()}
    cases = {
        "columns": (columns, {x: turned(x, up[x] @ down[x], 0, across[x]) for x in shapes}),
        "LoKr": (
            lora_files.with_magnitudes(kronecker, named, along),
            {x: turned(x, added[x], 1, along[x]) for x in shapes},
        ),
    }
    for name, (file, deltas) in cases.items():
        model, clip, applied = by_our_node(loaded, write("tested.safetensors", file), 1.0)
        drawn = difference(draw(model, clip), with_deltas(plain, deltas, 1.0))
        outcome[name] = {"ours": drawn, "unmatched": applied.unmatched}
    # The columns of a fused layer are as long as three of our layers together tell.
    kept = "lora_unet_double_blocks_0_img_attn_proj"
    fused_columns = {k: t for k, t in kohya.items() if k.startswith((kept, "lora_unet_double_blocks_0_img_attn_qkv"))}
    fused_columns["lora_unet_double_blocks_0_img_attn_qkv.dora_scale"] = torch.ones(1, 128)
    _, _, applied = by_our_node(loaded, write("tested.safetensors", fused_columns), 1.0)
    outcome["columns of a fused layer"] = applied.unmatched

    save_file(
        to_original(load_file(next((MICRO / "transformer").glob("*.safetensors")))), BASE / "original.safetensors"
    )
    stock = comfy.sd.load_diffusion_model(str(BASE / "original.safetensors"))
    model, _, _ = lora.apply(stock, None, lora.Row("lora_1", "dora.safetensors", 1.0, 1.0))
    mm.load_models_gpu([model])
    layers = [f"transformer_blocks.0.attn.to_{part}" for part in "qkv"]
    used = stock.model.diffusion_model.double_blocks[0].img_attn.qkv.weight
    outcome["stock model"] = difference(used, torch.cat([weights[x] + rows[x] for x in layers]))
    mm.unload_all_models()
    return outcome


def language_models() -> dict:
    """LoRAs of Qwen3 and Mistral: every spelling of the names, and PEFT's own forward."""
    pipelines = {"FLUX.2 dev": "Flux2Pipeline", "FLUX.2 klein": "Flux2KleinPipeline", "Z-Image": "ZImagePipeline"}
    outcome: dict = {}
    for family, pipeline_class in pipelines.items():
        folder = BASE / "models" / "diffusers" / family.replace(" ", "-")  # written by `families`
        loaded = opening.load_model(folder.name, "fp32")
        pipeline = getattr(diffusers, pipeline_class).from_pretrained(folder, local_files_only=True)
        text = pipeline.text_encoder
        inner = text.get_decoder() if hasattr(text, "get_decoder") else text.model
        some = re.compile(r"(.*\.)?layers\.(0|1|8|17)\.")
        shapes = {layer: shape for layer, shape in lora_files.linear_shapes(inner).items() if some.match(layer)}
        whole = lora_files.random_lora(shapes, size=0.2)
        prefix = loaded.clip.cond_stage_model.studio.part
        top = f"{prefix}.transformer.model."
        weights = dict(loaded.clip.cond_stage_model.named_parameters())
        plain = {layer: weights[f"{top}{layer}.weight"].clone() for layer in whole.down}
        seen = outcome[family] = {}
        names = (
            lora_files.LANGUAGE_MODEL_FORMATS if family == "Z-Image" else ("ComfyUI", "diffusers, a model that sees")
        )
        for name in names:  # all of them on the one with the fewest layers
            make = lora_files.LANGUAGE_MODEL_FORMATS[name]
            file = write("text.safetensors", {k.replace("qwen3_4b", prefix): t for k, t in make(whole).items()})
            for loader in (by_our_node, by_stock_loader):
                result = loader(loaded, file, 1.0, 0.5)
                mm.load_models_gpu([result[1].patcher])
                used = dict(loaded.clip.cond_stage_model.named_parameters())
                seen.setdefault(name, {})[loader.__name__] = max(
                    difference(used[f"{top}{x}.weight"], plain[x] + 0.5 * whole.up[x] @ whole.down[x]) for x in plain
                )
                mm.unload_all_models()
            _, _, applied = by_our_node(loaded, file, 1.0, 0.5)
            seen[name]["unmatched"] = applied.unmatched
        before = spoken(pipeline)
        taught = [name for name in lora_files.linear_shapes(text) if some.match(name) and "vision" not in name]
        saved = lora_files.peft_adapter(text, taught, 4)
        expected = spoken(pipeline)
        file = write("text.safetensors", {f"text_encoder.{k}": t for k, t in saved.items()}, text_metadata(4))
        _, clip, applied = by_our_node(loaded, file, 1.0)
        ((sequence, _),), _ = prompt_encoding.encode_prompts(clip, [(PROMPT, PROMPT)], 0)
        ((again, _),), _ = prompt_encoding.encode_prompts(loaded.clip, [(PROMPT, PROMPT)], 0)
        seen["PEFT's forward"] = difference(sequence, expected)
        seen["spread"] = difference(before, expected)
        seen["size"] = float(expected.abs().max())
        seen["taken off"] = difference(again, before)
        seen["unmatched"] = applied.unmatched
    return outcome


def text_metadata(alpha: int) -> dict[str, str]:
    return {"lora_adapter_metadata": json.dumps({"text_encoder.lora_alpha": alpha, "text_encoder.r": 2})}


@torch.no_grad()
def spoken(pipeline) -> torch.Tensor:
    """The pipeline's own embedding of the prompt."""
    embedded = pipeline.encode_prompt(PROMPT, device=CPU)[0]
    return embedded[0][None] if isinstance(embedded, list) else embedded


def bits(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A copy of every weight, as bytes."""
    return {name: weight.detach().view(torch.uint8).clone() for name, weight in module.named_parameters()}


def taken_off(dtype: str) -> dict:
    """Whether weights that a LoRA was patched into are the same bits once it is gone; chained, and half-resident."""
    loaded = opening.load_model(model_files.BUNDLED, dtype)
    inner = loaded.model.model
    drawn, before = draw(loaded.model, loaded.clip), bits(inner)  # in this order: others share these weights
    whole = lora_files.random_lora(lora_files.linear_shapes(inner.diffusion_model.transformer), size=0.1)
    write("first.safetensors", lora_files.kohya(whole))
    write("second.safetensors", lora_files.peft(whole))
    rows = [lora.Row("lora_1", "first.safetensors", 0.5, 1.0), lora.Row("lora_2", "second.safetensors", 0.5, 1.0)]
    model, clip, _ = lora.apply_rows(loaded.model, loaded.clip, rows)
    changed = draw(model, clip)
    patched = bits(inner)
    again = draw(loaded.model, loaded.clip)
    after = bits(inner)
    mm.unload_all_models()
    model.load(device_to=CPU, lowvram_model_memory=model.model_size() // 2)
    resident = model.loaded_size() / model.model_size()
    conditioning, _ = prompt_encoding.encode_prompts(loaded.clip, [(PROMPT, PROMPT)], 0)
    half = velocity(inner, conditioning)
    model.unpatch_model(CPU)
    mm.load_models_gpu([model])
    full = velocity(inner, conditioning)
    mm.unload_all_models()
    last = bits(inner)
    return {
        "changed": difference(changed, drawn),
        "patched weights": sum(not torch.equal(before[name], patched[name]) for name in before),
        "restored": all(torch.equal(before[name], after[name]) for name in before),
        "restored after half": all(torch.equal(before[name], last[name]) for name in before),
        "same picture": difference(again, drawn),
        "half resident": resident,
        "half differs": difference(half.float(), full.float()),
        "size": float(full.float().abs().max()),
    }


@torch.no_grad()
def velocity(model, conditioning) -> torch.Tensor:
    sequence, options = conditioning[0]
    x = torch.randn(1, 16, 8, 8, generator=torch.Generator().manual_seed(0))
    text = {"c_crossattn": sequence, "y": options["pooled_output"], "guidance": torch.tensor([3.5])}
    return model.apply_model(x, torch.tensor([0.7]), **text)


def base_model_is_not_read_again() -> dict:
    """Strength changed, LoRA swapped, taken off and put on again while the model's folder no longer exists."""
    folder = BASE / "models" / "diffusers" / "gone"
    shutil.copytree(MICRO, folder)
    loaded = opening.load_model("gone", "fp32")
    expected = draw(loaded.model, loaded.clip)
    whole = lora_files.random_lora(lora_files.linear_shapes(loaded.model.model.diffusion_model.transformer))
    write("first.safetensors", lora_files.kohya(whole))
    write("second.safetensors", lora_files.ai_toolkit(whole.only(lora_files.xlabs_layers(whole.down))))
    shutil.rmtree(folder)
    gc.collect()
    storage = {name: weight.data_ptr() for name, weight in loaded.model.model.named_parameters()}
    before = disk_bytes()
    drawn = []
    for file, strength in (("first", 1.0), ("first", 0.3), ("second", 0.3), ("second", 1.0)):
        model, clip, _ = by_our_node(loaded, f"{file}.safetensors", strength)
        drawn.append(draw(model, clip))
    last = draw(loaded.model, loaded.clip)
    pairs = [(a, b) for i, a in enumerate(drawn) for b in drawn[i + 1 :]]
    return {
        "bytes read from disk": disk_bytes() - before,
        "all differ": min(difference(a, b) for a, b in pairs),
        "taken off": difference(last, expected),
        "weights copied": sum(storage[n] != w.data_ptr() for n, w in loaded.model.model.named_parameters()),
    }


def disk_bytes() -> int:
    """Bytes that this process had the kernel fetch from a disk; 0 where the system does not tell."""
    counters = Path("/proc/self/io")
    if not counters.is_file():
        return 0
    return int(next(line for line in counters.read_text().splitlines() if line.startswith("read_bytes")).split()[1])


def refusals(loaded) -> dict:
    shapes = lora_files.linear_shapes(loaded.model.model.diffusion_model.transformer)
    whole = lora_files.random_lora(shapes)
    peft = lora_files.peft(whole)
    other = {f"lora_unet_down_blocks_{i}_attn.lora_down.weight": torch.zeros(2, 8) for i in range(3)}
    wide = {key: torch.zeros(2, 3072) if "lora_A" in key else torch.zeros(3072, 2) for key in peft}
    text_only = lora_files.kohya_text(
        lora_files.random_lora({"encoder.layers.0.mlp.fc1": (256, 128)}), lora_files.Lora({}, {})
    )
    layer = "transformer.transformer_blocks.0.attn.to_q"
    fused = "diffusion_model.double_blocks.0.img_attn.qkv"
    rows, columns = shapes[layer.removeprefix("transformer.")]
    odd = {  # factors that cannot be multiplied with each other, or that nobody would divide by
        "LoRA of rank 0": {"lora_A.weight": (0, columns), "lora_B.weight": (rows, 0), "alpha": ()},
        "LoHa": {
            "hada_w1_a": (rows, 4),
            "hada_w1_b": (5, columns),
            "hada_w2_a": (rows, 4),
            "hada_w2_b": (4, columns),
        },
        "LoKr": {"lokr_w1_a": (2, 4), "lokr_w1_b": (5, 2), "lokr_w2": (rows // 2, columns // 2)},
        "LoKr, second": {"lokr_w1": (2, 2), "lokr_w2_a": (rows // 2, 3), "lokr_w2_b": (4, columns // 2)},
        "LoKr of three axes": {"lokr_w1": (2, 2, 2), "lokr_w2": (rows // 2, columns // 2)},
        "OFT": {"oft_blocks": (4, rows // 4, 3)},
        "difference": {"diff": ()},
    }
    odd = {name: {f"{layer}.{key}": torch.ones(shape) for key, shape in odd[name].items()} for name in odd}
    odd["LoKr of a fused layer"] = {key.replace(layer, fused): tensor for key, tensor in odd["LoKr"].items()}
    odd["LoKr of a fused layer"][f"{fused}.lokr_w2"] = torch.ones(rows * 3 // 2, columns // 2)
    (LORAS / "pickle.pt").write_bytes(b"\x80\x04.")
    write("cut.safetensors", peft)
    (LORAS / "cut.safetensors").write_bytes((LORAS / "cut.safetensors").read_bytes()[:-50])
    (LORAS / "noise.safetensors").write_bytes(bytes(range(256)) * 10)
    files = {
        "other model": write("other.safetensors", other),
        "other width": write("wide.safetensors", wide),
        "flat": write("flat.safetensors", {key: tensor.flatten() for key, tensor in peft.items()}),
        "NaN": write("nan.safetensors", {key: t * float("nan") for key, t in peft.items()}),
        "half a pair": write("half.safetensors", {key: t for key, t in peft.items() if "lora_A" not in key}),
        "cut short": "cut.safetensors",
        "noise": "noise.safetensors",
        "pickle": "pickle.pt",
        "path": "../loras/cut.safetensors",
        "text alone": write("text.safetensors", text_only),
        **{name: write(f"{name}.safetensors", weights) for name, weights in odd.items()},
    }
    outcome = {}
    for name, file in files.items():
        clip = None if name == "text alone" else loaded.clip
        try:
            lora.apply_rows(loaded.model, clip, [lora.Row("lora_3", file, 1.0, 1.0)])
            outcome[name] = "no error"
        except InputError as error:
            outcome[name] = str(error)
    for strength in (float("nan"), float("inf"), 11.0):
        try:
            lora.apply_rows(loaded.model, loaded.clip, [lora.Row("lora_3", "cut.safetensors", strength, 1.0)])
            outcome[f"strength {strength}"] = "no error"
        except InputError as error:
            outcome[f"strength {strength}"] = str(error)
    mixed = peft | {"transformer.no_such_layer.lora_A.weight": torch.zeros(2, 8), "odd": torch.zeros(1)}
    del mixed["transformer.x_embedder.lora_A.weight"]
    mixed["transformer.proj_out.lora_A.default.weight"] = mixed["transformer.proj_out.lora_A.weight"].clone()
    _, _, applied = by_our_node(loaded, write("mixed.safetensors", mixed), 1.0)
    outcome["mixed"] = {"layers": applied.layers, "unmatched": applied.unmatched}
    twice = peft | lora_files.kohya(whole)
    model, clip, applied = by_our_node(loaded, write("twice.safetensors", twice), 1.0)
    once, _, _ = by_our_node(loaded, write("once.safetensors", peft), 1.0)
    outcome["twice"] = {
        "difference": difference(draw(model, clip), draw(once, clip)),
        "unmatched": set(applied.unmatched) in (set(peft), set(twice) - set(peft)),
    }
    return outcome


def families() -> dict:
    """FLUX.2 and Z-Image: the weights that sampling uses, against the dense differences and against diffusers' own reading."""
    cases = {
        "FLUX.2 dev": (tiny.build_flux2_dev, "Flux2Pipeline", lora_files.FLUX2),
        "FLUX.2 klein": (tiny.build_klein, "Flux2KleinPipeline", lora_files.FLUX2),
        "Z-Image": (tiny.build_zimage, "ZImagePipeline", lora_files.Z_IMAGE),
    }
    outcome = {}
    for family, (build, pipeline_class, table) in cases.items():
        name = family.replace(" ", "-")
        folder = BASE / "models" / "diffusers" / name
        build(folder)
        loaded = opening.load_model(name, "fp32")
        transformer = loaded.model.model.diffusion_model.transformer
        every = lora_files.linear_shapes(transformer)
        shapes = {layer: every[layer] for layers in table.values() for layer in layers}
        plain = {layer: transformer.get_submodule(layer).weight.clone() for layer in shapes}
        whole = lora_files.random_lora(shapes)
        deltas = {layer: whole.up[layer] @ whole.down[layer] for layer in shapes}
        original = lora_files.fused(whole, table)
        kronecker, kronecker_deltas = lora_files.lycoris(lora_files.lokr, shapes, "kohya", table)
        files = {
            "diffusers": (lora_files.peft(whole), deltas),
            "original": (lora_files._pairs(original, lora_files._dotted("diffusion_model."), *lora_files.AB), deltas),
            "kohya": (lora_files._pairs(original, lora_files._flat("lora_unet_"), *lora_files.DOWN_UP), deltas),
            "LoKr": (kronecker, kronecker_deltas),
        }
        seen = {}
        for kind, (weights, added) in files.items():
            file = write("family.safetensors", weights)
            entry = seen[kind] = {}
            for loader in (by_our_node, by_stock_loader):
                result = loader(loaded, file, 0.6)
                mm.load_models_gpu([result[0]])
                used = {layer: transformer.get_submodule(layer).weight for layer in shapes}
                entry[loader.__name__] = max(difference(used[x], plain[x] + 0.6 * added[x]) for x in shapes)
                if loader is by_our_node:
                    entry["unmatched"] = result[2].unmatched
                mm.unload_all_models()
            entry["spread"] = min(float(added[layer].abs().max()) for layer in shapes)
            # diffusers reads Z-Image's fused layers in kohya's spelling alone.
            if kind == "diffusers" or (kind == "original" and family != "Z-Image"):
                pipeline = getattr(diffusers, pipeline_class).from_pretrained(folder, local_files_only=True)
                pipeline.load_lora_weights(dict(load_file(LORAS / file)))
                pipeline.fuse_lora(components=["transformer"], lora_scale=0.6)
                pipeline.unload_lora_weights()
                fused = pipeline.transformer
                entry["by diffusers"] = max(
                    difference(fused.get_submodule(x).weight, plain[x] + 0.6 * added[x]) for x in shapes
                )
        seen["taken off"] = all(torch.equal(plain[x], transformer.get_submodule(x).weight) for x in shapes)
        outcome[family] = seen
    return outcome


def main() -> None:
    comfy_process.BASE.joinpath("models").mkdir(exist_ok=True)
    loaded = opening.load_model(model_files.BUNDLED, "fp32")
    pipeline = open_pipeline()
    figures = {
        "families": families(),
        "formats": formats(loaded, pipeline),
        "read by diffusers": read_by_diffusers(loaded, pipeline),
        "products": products(loaded, pipeline),
        "text encoders": text_encoders(loaded, pipeline),
        "language models": language_models(),
        "magnitudes": magnitudes(loaded),
        "refusals": refusals(loaded),
        "base model": base_model_is_not_read_again(),
        "taken off": {dtype: taken_off(dtype) for dtype in ("fp32", "bf16", "fp8 storage")},
    }
    print("FIGURES " + json.dumps(figures))


main()
