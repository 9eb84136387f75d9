"""Disk and memory of the models that README lists, by arithmetic: `python tests/bench/sizes.py`. Nothing is downloaded.

The networks are made on torch's meta device at their published sizes, and their weights counted: two bytes each in bf16.
The working memory at 1024 x 1024 is what ComfyUI reserves beside the weights (`BaseModel.memory_required`): latent cells
times 2 bytes times 1 % of the family's `memory_usage_factor`, in MiB. An estimate, and no measurement on a card.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NamedTuple

import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
SIDE = 1024


class Row(NamedTuple):
    name: str
    transformer: tuple[str, dict[str, Any]]
    encoders: tuple[tuple[str, str, dict[str, Any]], ...]
    family: str  # of the pack's table


CLIP_L = (
    "CLIPTextModel",
    "CLIPTextConfig",
    {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12},
)
T5 = (
    "T5EncoderModel",
    "T5Config",
    {"d_model": 4096, "d_ff": 10240, "d_kv": 64, "num_heads": 64, "num_layers": 24, "feed_forward_proj": "gated-gelu"},
)
QWEN = {
    "vocab_size": 151936,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
}
QWEN3_4B = (
    "Qwen3ForCausalLM",
    "Qwen3Config",
    {**QWEN, "hidden_size": 2560, "intermediate_size": 9728, "tie_word_embeddings": True},
)
QWEN3_8B = ("Qwen3ForCausalLM", "Qwen3Config", {**QWEN, "hidden_size": 4096, "intermediate_size": 12288})
MISTRAL = (
    "MistralForCausalLM",
    "MistralConfig",
    {
        "vocab_size": 131072,
        "hidden_size": 5120,
        "intermediate_size": 32768,
        "num_hidden_layers": 40,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
    },
)
FLUX2 = "Flux2Transformer2DModel"
ROWS = (
    Row("FLUX.1 schnell", ("FluxTransformer2DModel", {"guidance_embeds": False}), (CLIP_L, T5), "FLUX.1"),
    Row("FLUX.1 dev, Kontext", ("FluxTransformer2DModel", {"guidance_embeds": True}), (CLIP_L, T5), "FLUX.1"),
    Row(
        "FLUX.2 klein 4B",
        (
            FLUX2,
            {
                "num_layers": 5,
                "num_single_layers": 20,
                "num_attention_heads": 24,
                "joint_attention_dim": 7680,
                "guidance_embeds": False,
            },
        ),
        (QWEN3_4B,),
        "FLUX.2 dev",
    ),
    Row(
        "FLUX.2 klein 9B",
        (
            FLUX2,
            {
                "num_layers": 8,
                "num_single_layers": 24,
                "num_attention_heads": 32,
                "joint_attention_dim": 12288,
                "guidance_embeds": False,
            },
        ),
        (QWEN3_8B,),
        "FLUX.2 dev",
    ),
    Row("FLUX.2 dev", (FLUX2, {}), (MISTRAL,), "FLUX.2 dev"),
    Row("Z-Image Turbo", ("ZImageTransformer2DModel", {}), (QWEN3_4B,), "Z-Image"),
)


def weights(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def main() -> None:
    import diffusers
    import transformers
    from pack import import_pack

    import_pack()
    from types import SimpleNamespace

    from storefront.studio.kinds.table import families

    known = {family.name: family for family in families()}
    print("| model | transformer | text encoder | disk, bf16 | on the card at 1024 x 1024: weights + working memory |")
    print("|---|---|---|---|---|")
    for row in ROWS:
        with torch.device("meta"):
            transformer = getattr(diffusers, row.transformer[0])(**row.transformer[1])
            encoders = [
                getattr(transformers, kind)(getattr(transformers, config)(**values))
                for kind, config, values in row.encoders
            ]
        family = known[row.family]
        factor = family.comfyui.memory(SimpleNamespace(transformer=transformer, config=transformer.config))
        cells = (SIDE // family.pixels_per_cell) ** 2
        own, texts = weights(transformer), sum(map(weights, encoders))
        working = cells * 2 * 0.01 * factor * 2**20
        print(
            f"| {row.name} | {own / 1e9:.1f} billion | {texts / 1e9:.1f} billion | {(own + texts) * 2 / 1e9:.0f} GB | "
            f"{own * 2 / 1e9:.1f} + {working / 1e9:.1f} GB |"
        )


if __name__ == "__main__":
    main()
