"""One random LoRA, written as each trainer writes its files.

The names are those of the trainers' published files: PEFT and diffusers (`save_lora_weights`), kohya's sd-scripts
(`networks/lora_flux.py`), ai-toolkit and musubi-tuner (`convert_lora.py`), XLabs' x-flux, OneTrainer, LyCORIS in SimpleTuner and
in sd-scripts. The original layers' names and what they hold are those of Black Forest Labs' `model.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from original_layout import _DOUBLE, _OUTER, _SINGLE

Weights = dict[str, torch.Tensor]


class Lora(NamedTuple):
    """B @ A per layer, in diffusers' names: A [rank, in], B [out, rank], scale 1."""

    down: Weights
    up: Weights

    def only(self, layers: Iterable[str]) -> Lora:
        kept = set(layers)
        return Lora(*({name: tensor for name, tensor in half.items() if name in kept} for half in self))


def random_lora(shapes: dict[str, tuple[int, int]], rank: int = 2, size: float = 0.05) -> Lora:
    random = torch.Generator().manual_seed(1)
    down = {name: torch.randn(rank, columns, generator=random) * size for name, (_, columns) in shapes.items()}
    up = {name: torch.randn(rows, rank, generator=random) * size for name, (rows, _) in shapes.items()}
    return Lora(down, up)


def linear_shapes(module: torch.nn.Module) -> dict[str, tuple[int, int]]:
    return {
        name: tuple(leaf.weight.shape) for name, leaf in module.named_modules() if isinstance(leaf, torch.nn.Linear)
    }


def originals(layers: Iterable[str]) -> dict[str, list[str]]:
    """Original layer -> diffusers' layers in the order of its rows, for those of which all are there."""
    layers = set(layers)
    found = {original: [layer] for layer, original in _OUTER.items() if layer in layers}
    for ours, theirs, table in (
        ("transformer_blocks", "double_blocks", _DOUBLE),
        ("single_transformer_blocks", "single_blocks", _SINGLE),
    ):
        for index in range(64):
            for original, parts in table.items():
                names = [f"{ours}.{index}.{part}" for part in parts]
                if set(names) <= layers:
                    found[f"{theirs}.{index}.{original}"] = names
    return found


# Some layers of the other families, original -> diffusers.
FLUX2 = {
    "double_blocks.0.img_attn.qkv": [f"transformer_blocks.0.attn.to_{part}" for part in "qkv"],
    "double_blocks.0.txt_attn.qkv": [f"transformer_blocks.0.attn.add_{part}_proj" for part in "qkv"],
    "double_blocks.0.txt_attn.proj": ["transformer_blocks.0.attn.to_add_out"],
    "double_blocks.0.img_mlp.0": ["transformer_blocks.0.ff.linear_in"],
    "double_blocks.0.txt_mlp.2": ["transformer_blocks.0.ff_context.linear_out"],
    "single_blocks.0.linear1": ["single_transformer_blocks.0.attn.to_qkv_mlp_proj"],
    "single_blocks.1.linear2": ["single_transformer_blocks.1.attn.to_out"],
}
Z_IMAGE = {
    "layers.1.attention.qkv": [f"layers.1.attention.to_{part}" for part in "qkv"],
    "layers.0.attention.out": ["layers.0.attention.to_out.0"],
    "noise_refiner.0.feed_forward.w1": ["noise_refiner.0.feed_forward.w1"],
    "context_refiner.0.attention.qkv": [f"context_refiner.0.attention.to_{part}" for part in "qkv"],
    "layers.0.adaLN_modulation.0": ["layers.0.adaLN_modulation.0"],
}


def fused(lora: Lora, table: dict[str, list[str]] | None = None) -> Lora:
    """The same under the original names: three projections side by side in one pair, as sd-scripts converts them."""
    down, up = {}, {}
    for original, layers in (originals(lora.down) if table is None else table).items():
        down[original] = torch.cat([lora.down[layer] for layer in layers])
        up[original] = torch.block_diag(*(lora.up[layer] for layer in layers))
    if "norm_out.linear" in lora.down:  # (shift, scale) there, (scale, shift) in diffusers
        scale, shift = lora.up["norm_out.linear"].chunk(2)
        down["final_layer.adaLN_modulation.1"] = lora.down["norm_out.linear"]
        up["final_layer.adaLN_modulation.1"] = torch.cat([shift, scale])
    return Lora(down, up)


def _pairs(lora: Lora, name: Callable[[str], str], down: str, up: str) -> Weights:
    out = {f"{name(layer)}{down}": tensor.clone() for layer, tensor in lora.down.items()}
    return out | {f"{name(layer)}{up}": tensor.clone() for layer, tensor in lora.up.items()}


def _flat(prefix: str) -> Callable[[str], str]:
    return lambda layer: prefix + layer.replace(".", "_")


def _dotted(prefix: str) -> Callable[[str], str]:
    return lambda layer: prefix + layer


def _with_alphas(weights: Weights, scale: float, up: str) -> Weights:
    """The same LoRA with alpha = scale * rank, so that a reader who ignores it is off by that factor."""
    out = {}
    for key, tensor in weights.items():
        out[key] = tensor / scale if key.endswith(up) else tensor
        if key.endswith(up):
            out[key.removesuffix(up) + ".alpha"] = torch.tensor(scale * tensor.shape[1])
    return out


AB = (".lora_A.weight", ".lora_B.weight")
DOWN_UP = (".lora_down.weight", ".lora_up.weight")


def peft(lora: Lora) -> Weights:
    return _pairs(lora, _dotted("transformer."), *AB)


def peft_adapter_name(lora: Lora) -> Weights:
    return _pairs(lora, _dotted("transformer."), ".lora_A.default.weight", ".lora_B.default.weight")


def peft_model(lora: Lora) -> Weights:
    return _pairs(lora, _dotted("base_model.model."), *AB)


def peft_alphas(lora: Lora) -> Weights:
    return _with_alphas(peft(lora), 0.5, AB[1])


def diffsynth(lora: Lora) -> Weights:
    return _pairs(lora, _dotted(""), ".lora_A.default.weight", ".lora_B.default.weight")


def kohya(lora: Lora) -> Weights:
    return _with_alphas(_pairs(fused(lora), _flat("lora_unet_"), *DOWN_UP), 0.25, DOWN_UP[1])


def kohya_dotted(lora: Lora) -> Weights:
    return _with_alphas(_pairs(fused(lora), _dotted("diffusion_model."), *DOWN_UP), 2.0, DOWN_UP[1])


def ai_toolkit(lora: Lora) -> Weights:
    return _pairs(fused(lora), _dotted("diffusion_model."), *AB)


def black_forest_labs(lora: Lora) -> Weights:
    return _pairs(fused(lora), _dotted(""), *AB)


def fal(lora: Lora) -> Weights:
    return _pairs(fused(lora), _dotted("base_model.model."), *AB)


def onetrainer(lora: Lora) -> Weights:
    return _with_alphas(_pairs(lora, _flat("lora_transformer_"), *DOWN_UP), 0.5, DOWN_UP[1])


def simpletuner(lora: Lora) -> Weights:
    return _with_alphas(_pairs(lora, _flat("lycoris_"), *DOWN_UP), 0.5, DOWN_UP[1])


FORMATS = {
    "diffusers": peft,
    "diffusers, network alphas": peft_alphas,
    "PEFT, named adapter": peft_adapter_name,
    "PEFT, adapter_model": peft_model,
    "DiffSynth": diffsynth,
    "kohya": kohya,
    "kohya in ComfyUI's names": kohya_dotted,
    "ai-toolkit, musubi": ai_toolkit,
    "Black Forest Labs": black_forest_labs,
    "fal": fal,
    "OneTrainer": onetrainer,
    "SimpleTuner": simpletuner,
}


def xlabs_layers(layers: Iterable[str]) -> list[str]:
    endings = ("to_q", "to_k", "to_v", "add_q_proj", "add_k_proj", "add_v_proj", "to_out.0", "to_add_out")
    chosen = [layer for layer in layers if layer.endswith(endings) and "attn" in layer]
    return chosen + [layer for layer in layers if layer.startswith("single_") and layer.endswith("proj_out")]


def xlabs(lora: Lora) -> Weights:
    """x-flux keeps its LoRAs in the attention processors; of a single block it trains q, k, v without the MLP."""
    names = {
        "img_attn.qkv": "qkv_lora1",
        "txt_attn.qkv": "qkv_lora2",
        "img_attn.proj": "proj_lora1",
        "txt_attn.proj": "proj_lora2",
        "linear2": "proj_lora",
    }
    whole = fused(lora)
    out = {}
    for original in whole.down:
        block, number, layer = original.split(".", 2)
        name = f"{block}.{number}.processor.{names[layer]}"
        out[f"{name}.down.weight"], out[f"{name}.up.weight"] = whole.down[original], whole.up[original]
    for index in range(64):
        layers = [f"single_transformer_blocks.{index}.attn.{part}" for part in ("to_q", "to_k", "to_v")]
        if set(layers) <= lora.down.keys():
            name = f"single_blocks.{index}.processor.qkv_lora"
            out[f"{name}.down.weight"] = torch.cat([lora.down[layer] for layer in layers])
            out[f"{name}.up.weight"] = torch.block_diag(*(lora.up[layer] for layer in layers))
    return out


def diffusers_metadata(scale: float, rank: int) -> dict[str, str]:
    """What diffusers writes beside the tensors since 0.34: PEFT's settings, alpha among them."""
    config = {"transformer.r": rank, "transformer.lora_alpha": scale * rank, "transformer.target_modules": ["to_q"]}
    return {"lora_adapter_metadata": json.dumps(config), "format": "pt"}


# --- LyCORIS: Hadamard and Kronecker products ---------------------------------------------------------------------


def _factors(size: int) -> tuple[int, int]:
    small = max(n for n in range(1, 9) if size % n == 0)
    return small, size // small


def loha(shape: tuple[int, int], random: torch.Generator) -> tuple[Weights, torch.Tensor]:
    """Factors of one layer, and what they add: (w1_a @ w1_b) * (w2_a @ w2_b) * alpha / rank."""
    rank, (rows, columns) = 2, shape
    factors = {
        "hada_w1_a": torch.randn(rows, rank, generator=random) * 0.3,
        "hada_w1_b": torch.randn(rank, columns, generator=random) * 0.3,
        "hada_w2_a": torch.randn(rows, rank, generator=random) * 0.3,
        "hada_w2_b": torch.randn(rank, columns, generator=random) * 0.3,
    }
    one, two = (factors[f"hada_w{i}_a"] @ factors[f"hada_w{i}_b"] for i in (1, 2))
    return {**factors, "alpha": torch.tensor(1.0)}, one * two * (1.0 / rank)


def lokr(shape: tuple[int, int], random: torch.Generator) -> tuple[Weights, torch.Tensor]:
    """Factors of one layer, and what they add: kron(w1, w2_a @ w2_b) * alpha / rank."""
    (r1, r2), (c1, c2), rank = _factors(shape[0]), _factors(shape[1]), 2
    w1 = torch.randn(r1, c1, generator=random) * 0.1
    a, b = torch.randn(r2, rank, generator=random) * 0.1, torch.randn(rank, c2, generator=random) * 0.5
    factors = {"lokr_w1": w1, "lokr_w2_a": a, "lokr_w2_b": b, "alpha": torch.tensor(1.0)}
    return factors, torch.kron(w1, a @ b) * (1.0 / rank)


def lycoris(
    kind: Callable, shapes: dict[str, tuple[int, int]], name: str, table: dict[str, list[str]] | None = None
) -> tuple[Weights, Weights]:
    """A file of all layers, and what it adds to each of diffusers' layers. `name`: "kohya" or "SimpleTuner"."""
    random = torch.Generator().manual_seed(2)
    file, deltas = {}, {}
    if name == "SimpleTuner":
        for layer, shape in shapes.items():
            factors, deltas[layer] = kind(shape, random)
            file |= {f"lycoris_{layer.replace('.', '_')}.{part}": tensor for part, tensor in factors.items()}
        return file, deltas
    for original, layers in (originals(shapes) if table is None else table).items():
        rows = [shapes[layer][0] for layer in layers]
        factors, whole = kind((sum(rows), shapes[layers[0]][1]), random)
        file |= {f"lora_unet_{original.replace('.', '_')}.{part}": tensor for part, tensor in factors.items()}
        deltas |= dict(zip(layers, whole.split(rows), strict=True))
    return file, deltas


# --- text encoders ------------------------------------------------------------------------------------------------


def kohya_text(clip: Lora, t5: Lora) -> Weights:
    """sd-scripts: lora_te1 is CLIP-L, lora_te3 is T5."""
    one = _pairs(clip, lambda layer: "lora_te1_text_model_" + layer.replace(".", "_"), *DOWN_UP)
    return _with_alphas(one | _pairs(t5, _flat("lora_te3_"), *DOWN_UP), 0.5, DOWN_UP[1])


def onetrainer_text(clip: Lora, t5: Lora) -> Weights:
    """OneTrainer: lora_te1 is CLIP-L, lora_te2 is T5."""
    one = _pairs(clip, lambda layer: "lora_te1_text_model_" + layer.replace(".", "_"), *DOWN_UP)
    return _with_alphas(one | _pairs(t5, _flat("lora_te2_"), *DOWN_UP), 0.5, DOWN_UP[1])


def diffusers_text(clip: Lora, t5: Lora) -> Weights:
    """diffusers writes the encoder's own names: with a "text_model" before transformers 5, without since."""
    return _pairs(clip, _dotted("text_encoder."), *AB) | _pairs(t5, _dotted("text_encoder_2."), *AB)


def comfyui_text(clip: Lora, t5: Lora) -> Weights:
    one = _pairs(clip, _dotted("text_encoders.clip_l.transformer.text_model."), *AB)
    return one | _pairs(t5, _dotted("text_encoders.t5xxl.transformer."), *AB)


TEXT_FORMATS = {
    "kohya": kohya_text,
    "OneTrainer": onetrainer_text,
    "diffusers": diffusers_text,
    "ComfyUI": comfyui_text,
}


def _text_parts(prefix: str, flat: bool = False, ends: tuple[str, str] = AB) -> Callable[[Lora], Weights]:
    name = _flat if flat else _dotted
    return lambda lora: _pairs(lora, name(prefix), *ends)


# Of a language model; the layers are named from "layers.0" on.
LANGUAGE_MODEL_FORMATS = {
    "ComfyUI": _text_parts("text_encoders.qwen3_4b.transformer.model."),  # the encoder's name is put in by the test
    "diffusers": _text_parts("text_encoder.model."),
    "diffusers, a model that sees": _text_parts("text_encoder.model.language_model."),
    "PEFT, of the language model": _text_parts("base_model.model.model."),
    "PEFT, of the pipeline": _text_parts("base_model.model.text_encoder.model."),
    "kohya": _text_parts("lora_te_", flat=True, ends=DOWN_UP),
    "OneTrainer": _text_parts("lora_te1_model_", flat=True, ends=DOWN_UP),
}


# --- DoRA -----------------------------------------------------------------------------------------------------------


def peft_adapter(module: torch.nn.Module, layers: list[str], alpha: int) -> dict[str, torch.Tensor]:
    """A DoRA of PEFT on these layers of a module, with random weights: what PEFT would save."""
    import peft

    random = torch.Generator().manual_seed(3)
    module.add_adapter(peft.LoraConfig(r=2, lora_alpha=alpha, use_dora=True, target_modules=layers), "tested")
    for name, weight in module.named_parameters():
        if "lora_magnitude_vector" in name:
            weight.data *= 1 + 0.3 * torch.rand(weight.shape, generator=random)
        elif "lora_" in name:
            weight.data = torch.randn(weight.shape, generator=random) * 0.2
    return peft.get_peft_model_state_dict(module, adapter_name="tested")


def fused_magnitudes(magnitudes: Weights) -> Weights:
    """Rows' lengths of diffusers' layers -> of the original ones, [rows, 1], as LyCORIS writes them."""
    out = {
        original: torch.cat([magnitudes[layer] for layer in layers])[:, None]
        for original, layers in originals(magnitudes).items()
    }
    if "norm_out.linear" in magnitudes:
        scale, shift = magnitudes["norm_out.linear"].chunk(2)
        out["final_layer.adaLN_modulation.1"] = torch.cat([shift, scale])[:, None]
    return out


def with_magnitudes(weights: Weights, name: Callable[[str], str], magnitudes: Weights) -> Weights:
    return weights | {f"{name(layer)}.dora_scale": tensor.clone() for layer, tensor in magnitudes.items()}
