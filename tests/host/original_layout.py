"""A FLUX.1 transformer's weights under their original names, for ComfyUI's own loader."""

from __future__ import annotations

import torch

Weights = dict[str, torch.Tensor]

_OUTER = {
    "time_text_embed.timestep_embedder.linear_1": "time_in.in_layer",
    "time_text_embed.timestep_embedder.linear_2": "time_in.out_layer",
    "time_text_embed.text_embedder.linear_1": "vector_in.in_layer",
    "time_text_embed.text_embedder.linear_2": "vector_in.out_layer",
    "time_text_embed.guidance_embedder.linear_1": "guidance_in.in_layer",
    "time_text_embed.guidance_embedder.linear_2": "guidance_in.out_layer",
    "context_embedder": "txt_in",
    "x_embedder": "img_in",
    "proj_out": "final_layer.linear",
}
_DOUBLE = {
    "img_mod.lin": ["norm1.linear"],
    "txt_mod.lin": ["norm1_context.linear"],
    "img_attn.qkv": ["attn.to_q", "attn.to_k", "attn.to_v"],
    "txt_attn.qkv": ["attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"],
    "img_attn.proj": ["attn.to_out.0"],
    "txt_attn.proj": ["attn.to_add_out"],
    "img_mlp.0": ["ff.net.0.proj"],
    "img_mlp.2": ["ff.net.2"],
    "txt_mlp.0": ["ff_context.net.0.proj"],
    "txt_mlp.2": ["ff_context.net.2"],
}
_DOUBLE_NORMS = {
    "img_attn.norm.query_norm": "attn.norm_q",
    "img_attn.norm.key_norm": "attn.norm_k",
    "txt_attn.norm.query_norm": "attn.norm_added_q",
    "txt_attn.norm.key_norm": "attn.norm_added_k",
}
_SINGLE = {
    "modulation.lin": ["norm.linear"],
    "linear1": ["attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"],
    "linear2": ["proj_out"],
}
_SINGLE_NORMS = {"norm.query_norm": "attn.norm_q", "norm.key_norm": "attn.norm_k"}


def to_original(weights: Weights) -> Weights:
    """Float32 copies under the original names. Raises KeyError or AssertionError where a weight is missing or left."""
    left = {name: tensor.float() for name, tensor in weights.items()}
    out: Weights = {}

    def move(target: str, sources: list[str]) -> None:
        for kind in ("weight", "bias"):
            out[f"{target}.{kind}"] = torch.cat([left.pop(f"{source}.{kind}") for source in sources]).contiguous()

    def blocks(theirs: str, ours: str, layers: dict[str, list[str]], norms: dict[str, str]) -> None:
        index = 0
        while any(name.startswith(f"{theirs}.{index}.") for name in left):
            for target, sources in layers.items():
                move(f"{ours}.{index}.{target}", [f"{theirs}.{index}.{source}" for source in sources])
            for target, source in norms.items():
                out[f"{ours}.{index}.{target}.scale"] = left.pop(f"{theirs}.{index}.{source}.weight")
            index += 1

    for source, target in _OUTER.items():
        move(target, [source])
    for kind in ("weight", "bias"):  # diffusers keeps (scale, shift), the original (shift, scale)
        scale, shift = left.pop(f"norm_out.linear.{kind}").chunk(2)
        out[f"final_layer.adaLN_modulation.1.{kind}"] = torch.cat([shift, scale])
    blocks("transformer_blocks", "double_blocks", _DOUBLE, _DOUBLE_NORMS)
    blocks("single_transformer_blocks", "single_blocks", _SINGLE, _SINGLE_NORMS)
    assert not left, sorted(left)
    return out
