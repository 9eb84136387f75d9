"""The names of a model's weights: BFL's, ComfyUI's and llama.cpp's, brought to diffusers' and transformers'."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

Shapes = Mapping[str, tuple[int, ...]]  # of the tensors of a part, by their names in the file without the prefix


class Source(NamedTuple):
    """Where a weight comes from: rows start..stop of a tensor of the file (all of them where stop is None)."""

    name: str
    start: int = 0
    stop: int | None = None
    swap: bool = False  # the two halves change places
    heads: int = 0  # in each of so many heads the rows of its two halves alternate; 0: they stand one after the other


KINDS = {"weight": "weight", "bias": "bias", "scale": "weight"}


class Originals(NamedTuple):
    """BFL's layers of a FLUX and the layers of diffusers that hold their rows, in their order."""

    outer: Mapping[str, str]
    double: Mapping[str, tuple[str, ...]]  # within `double_blocks.N` and `transformer_blocks.N`
    single: Mapping[str, tuple[str, ...]]  # within `single_blocks.N` and `single_transformer_blocks.N`


SHIFT_FIRST = "final_layer.adaLN_modulation.1"  # BFL keeps (shift, scale) there, diffusers (scale, shift)
_QKV = ("attn.to_q", "attn.to_k", "attn.to_v")
_ADDED_QKV = ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj")

_FLUX1_OUTER = {
    "time_in.in_layer": "time_text_embed.timestep_embedder.linear_1",
    "time_in.out_layer": "time_text_embed.timestep_embedder.linear_2",
    "vector_in.in_layer": "time_text_embed.text_embedder.linear_1",
    "vector_in.out_layer": "time_text_embed.text_embedder.linear_2",
    "guidance_in.in_layer": "time_text_embed.guidance_embedder.linear_1",
    "guidance_in.out_layer": "time_text_embed.guidance_embedder.linear_2",
    "txt_in": "context_embedder",
    "img_in": "x_embedder",
    "final_layer.linear": "proj_out",
    SHIFT_FIRST: "norm_out.linear",
}
_FLUX2_OUTER = {
    "time_in.in_layer": "time_guidance_embed.timestep_embedder.linear_1",
    "time_in.out_layer": "time_guidance_embed.timestep_embedder.linear_2",
    "guidance_in.in_layer": "time_guidance_embed.guidance_embedder.linear_1",
    "guidance_in.out_layer": "time_guidance_embed.guidance_embedder.linear_2",
    "txt_in": "context_embedder",
    "img_in": "x_embedder",
    "double_stream_modulation_img.lin": "double_stream_modulation_img.linear",
    "double_stream_modulation_txt.lin": "double_stream_modulation_txt.linear",
    "single_stream_modulation.lin": "single_stream_modulation.linear",
    "final_layer.linear": "proj_out",
    SHIFT_FIRST: "norm_out.linear",
}
_DOUBLE = {
    "img_attn.qkv": _QKV,
    "txt_attn.qkv": _ADDED_QKV,
    "img_attn.proj": ("attn.to_out.0",),
    "txt_attn.proj": ("attn.to_add_out",),
    "img_attn.norm.query_norm": ("attn.norm_q",),
    "img_attn.norm.key_norm": ("attn.norm_k",),
    "txt_attn.norm.query_norm": ("attn.norm_added_q",),
    "txt_attn.norm.key_norm": ("attn.norm_added_k",),
}
_SINGLE_NORMS = {"norm.query_norm": ("attn.norm_q",), "norm.key_norm": ("attn.norm_k",)}
_FLUX1_DOUBLE = {
    **_DOUBLE,
    "img_mod.lin": ("norm1.linear",),
    "txt_mod.lin": ("norm1_context.linear",),
    "img_mlp.0": ("ff.net.0.proj",),
    "img_mlp.2": ("ff.net.2",),
    "txt_mlp.0": ("ff_context.net.0.proj",),
    "txt_mlp.2": ("ff_context.net.2",),
}
_FLUX1_SINGLE = {
    **_SINGLE_NORMS,
    "modulation.lin": ("norm.linear",),
    "linear1": (*_QKV, "proj_mlp"),
    "linear2": ("proj_out",),
}
_FLUX2_DOUBLE = {
    **_DOUBLE,
    "img_mlp.0": ("ff.linear_in",),
    "img_mlp.2": ("ff.linear_out",),
    "txt_mlp.0": ("ff_context.linear_in",),
    "txt_mlp.2": ("ff_context.linear_out",),
}
_FLUX2_SINGLE = {**_SINGLE_NORMS, "linear1": ("attn.to_qkv_mlp_proj",), "linear2": ("attn.to_out",)}
FLUX1 = Originals(_FLUX1_OUTER, _FLUX1_DOUBLE, _FLUX1_SINGLE)
FLUX2 = Originals(_FLUX2_OUTER, _FLUX2_DOUBLE, _FLUX2_SINGLE)
_BLOCK = re.compile(r"(double|single)_blocks\.(\d+)\.(.+)")


def _renamed(name: str, rules: Iterable[tuple[re.Pattern[str], str]]) -> str:
    for pattern, replacement in rules:
        name = pattern.sub(replacement, name)
    return name


def _rows(shape: tuple[int, ...]) -> int:
    return shape[0] if shape else 0  # a stranger's file may have a single number where others have a matrix


def _flux_names(shapes: Shapes, originals: Originals) -> dict[str, Source]:
    out = {}
    for name, shape in shapes.items():
        stem, _, kind = name.rpartition(".")
        kind = KINDS.get(kind, "")
        if not kind:
            continue
        block = _BLOCK.fullmatch(stem)
        if block is None:
            if stem in originals.outer:
                out[f"{originals.outer[stem]}.{kind}"] = Source(name, swap=stem == SHIFT_FIRST)
            continue
        stream, index, layer = block.groups()
        targets = (originals.double if stream == "double" else originals.single).get(layer, ())
        prefix = f"{'' if stream == 'double' else 'single_'}transformer_blocks.{index}"
        if len(targets) == 1:
            out[f"{prefix}.{targets[0]}.{kind}"] = Source(name)
            continue
        # Queries, keys and values on top of each other, of the model's width each; in `linear1` the rest is the MLP's.
        rows = _rows(shape)
        width = rows // 3
        if len(targets) == 4:
            width = _rows(shapes.get(f"{stream}_blocks.{index}.linear2.weight", ()))
        for row, target in enumerate(targets):
            stop = (row + 1) * width if row < 3 else rows
            out[f"{prefix}.{target}.{kind}"] = Source(name, row * width, stop)
    return out


def _flux1(shapes: Shapes) -> dict[str, Source]:
    return _flux_names(shapes, FLUX1)


def _flux2(shapes: Shapes) -> dict[str, Source]:
    return _flux_names(shapes, FLUX2)


_FLUX3 = (  # of stems: a name without its last part
    (re.compile(r"^time_in\.in_layer$"), "timestep_embedder.linear_1"),
    (re.compile(r"^time_in\.out_layer$"), "timestep_embedder.linear_2"),
    (re.compile(r"^ref_time_in\.in_layer$"), "target_timestep_embedder.linear_1"),
    (re.compile(r"^ref_time_in\.out_layer$"), "target_timestep_embedder.linear_2"),
    (re.compile(r"^final_layer\.image\.linear$"), "proj_out"),
    (re.compile(r"^final_layer\.image\.adaLN_modulation\.1$"), "norm_out.linear"),
    (re.compile(r"^emb_in\."), "x_embedders."),
    (re.compile(r"^txt_in$"), "context_embedder"),
    (re.compile(r"^content_mode_blocks\."), "mode_blocks."),
    (re.compile(r"^single_blocks\."), "single_transformer_blocks."),
    (re.compile(r"\.lin$"), ".linear"),
    (re.compile(r"\.([qkv])_proj$"), r".attn.to_\1"),
    (re.compile(r"\.attn_out$"), ".attn.to_out.0"),
    (re.compile(r"\.norm\.query_norm$"), ".attn.norm_q"),
    (re.compile(r"\.norm\.key_norm$"), ".attn.norm_k"),
    (re.compile(r"\.mlp_(in|out)$"), r".ff.linear_\1"),
)


def _flux3(shapes: Shapes) -> dict[str, Source]:
    out = {}
    for name in shapes:
        stem, _, kind = name.rpartition(".")
        if kind not in KINDS or stem.startswith("repa_projectors."):  # those were for training alone
            continue
        target = _renamed(stem, _FLUX3)
        # BFL keeps (shift, scale), diffusers (scale, shift).
        out[f"{target}.{KINDS[kind]}"] = Source(name, swap=target == "norm_out.linear")
    return out


_Z_IMAGE = (
    (re.compile(r"^final_layer\."), "all_final_layer.2-1."),
    (re.compile(r"^x_embedder\."), "all_x_embedder.2-1."),
    (re.compile(r"\.attention\.out\."), ".attention.to_out.0."),
    (re.compile(r"\.attention\.q_norm\."), ".attention.norm_q."),
    (re.compile(r"\.attention\.k_norm\."), ".attention.norm_k."),
)


def _z_image(shapes: Shapes) -> dict[str, Source]:
    out = {}
    for name, shape in shapes.items():
        if name.endswith(".attention.qkv.weight") and shape:
            width = shape[0] // 3
            for row, target in enumerate(("to_q", "to_k", "to_v")):
                out[name.replace("attention.qkv", f"attention.{target}")] = Source(name, row * width, (row + 1) * width)
            continue
        out[_renamed(name, _Z_IMAGE)] = Source(name)
    return out


MISTRAL_HEAD = 128  # wide, in every published size
_LLAMA_CPP = {  # llama.cpp's names of a Qwen3 or a Mistral
    "token_embd": "embed_tokens",
    "output_norm": "norm",
    "output": "lm_head",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
_LLAMA_CPP_T5 = {
    "token_embd": "shared",
    "enc.output_norm": "encoder.final_layer_norm",
    "attn_q": "layer.0.SelfAttention.q",
    "attn_k": "layer.0.SelfAttention.k",
    "attn_v": "layer.0.SelfAttention.v",
    "attn_o": "layer.0.SelfAttention.o",
    "attn_rel_b": "layer.0.SelfAttention.relative_attention_bias",
    "attn_norm": "layer.0.layer_norm",
    "ffn_gate": "layer.1.DenseReluDense.wi_0",
    "ffn_up": "layer.1.DenseReluDense.wi_1",
    "ffn_down": "layer.1.DenseReluDense.wo",
    "ffn_norm": "layer.1.layer_norm",
}
_LLAMA_CPP_BLOCK = re.compile(r"(?:enc\.)?blk\.(\d+)\.(.+)")


def _llama_cpp(shapes: Shapes, names: Mapping[str, str], block: str) -> dict[str, Source]:
    out = {}
    for name in shapes:
        stem, _, kind = name.rpartition(".")
        inside = _LLAMA_CPP_BLOCK.fullmatch(stem)
        layer = inside.group(2) if inside else stem
        if layer in names:
            prefix = f"{block}.{inside.group(1)}." if inside else ""
            out[f"{prefix}{names[layer]}.{kind}"] = Source(name)
    return out


def _llama_cpp_mistral(shapes: Shapes) -> dict[str, Source]:
    """llama.cpp pairs neighbouring rows in its rotary embedding, transformers those half a head apart."""
    out = _llama_cpp(shapes, _LLAMA_CPP, "layers")
    for target, source in out.items():
        rows = _rows(shapes[source.name])
        if target.endswith(("q_proj.weight", "k_proj.weight")) and rows % MISTRAL_HEAD == 0:
            out[target] = source._replace(heads=rows // MISTRAL_HEAD)
    return out


def _without(prefixes: Iterable[str]) -> Callable[[Shapes], dict[str, Source]]:
    """Names of transformers, whose releases differ in what stands before the first layer."""
    pattern = re.compile("^(?:" + "|".join(map(re.escape, prefixes)) + ")")

    def rename(shapes: Shapes) -> dict[str, Source]:
        return {pattern.sub("", name): Source(name) for name in shapes}

    return rename


_VAE = (  # the original autoencoder's names, in the order they are replaced
    (re.compile(r"^(encoder|decoder)\.((?:post_)?quant_conv)\."), r"\2."),
    (re.compile(r"\.down\.(\d+)\.block\.(\d+)\."), r".down_blocks.\1.resnets.\2."),
    (re.compile(r"\.down\.(\d+)\.downsample\."), r".down_blocks.\1.downsamplers.0."),
    (re.compile(r"\.up\.(\d+)\.block\.(\d+)\."), r".up_blocks.\1.resnets.\2."),
    (re.compile(r"\.up\.(\d+)\.upsample\."), r".up_blocks.\1.upsamplers.0."),
    (re.compile(r"\.nin_shortcut\."), ".conv_shortcut."),
    (re.compile(r"\.mid\.attn_1\.norm\."), ".mid_block.attentions.0.group_norm."),
    (re.compile(r"\.mid\.attn_1\.([qkv])\."), r".mid_block.attentions.0.to_\1."),
    (re.compile(r"\.mid\.attn_1\.proj_out\."), ".mid_block.attentions.0.to_out.0."),
    (re.compile(r"\.mid\.block_1\."), ".mid_block.resnets.0."),
    (re.compile(r"\.mid\.block_2\."), ".mid_block.resnets.1."),
    (re.compile(r"\.norm_out\."), ".conv_norm_out."),
)
_UP = re.compile(r"\.up_blocks\.(\d+)\.")


def _original_vae(shapes: Shapes) -> dict[str, Source]:
    out = {}
    for name in shapes:
        out[_renamed(name, _VAE)] = Source(name)
    # The original counts the decoder's blocks from the picture, diffusers from the latents.
    last = max((int(found.group(1)) for name in out if (found := _UP.search(name))), default=0)
    return {_UP.sub(lambda found: f".up_blocks.{last - int(found.group(1))}.", name): s for name, s in out.items()}


def _same(shapes: Shapes) -> dict[str, Source]:
    return {name: Source(name) for name in shapes}


class Naming(NamedTuple):
    role: str  # what the part is: a name in studio/opening/single_files.py
    anchor: str  # a weight that only this role in this naming has
    rename: Callable[[Shapes], dict[str, Source]]
    also: str = ""  # another weight that must be there


# Asked in this order; the first whose anchor is found under a prefix takes all that stands under it.
NAMINGS = (
    Naming("flux2", "double_blocks.0.img_attn.qkv.weight", _flux2, also="double_stream_modulation_img.lin.weight"),
    Naming("flux1", "double_blocks.0.img_attn.qkv.weight", _flux1, also="vector_in.in_layer.weight"),
    Naming(
        "flux2",
        "transformer_blocks.0.attn.add_q_proj.weight",
        _same,
        also="double_stream_modulation_img.linear.weight",
    ),
    Naming(
        "flux1",
        "transformer_blocks.0.attn.add_q_proj.weight",
        _same,
        also="time_text_embed.text_embedder.linear_1.weight",
    ),
    Naming("flux3", "emb_in.image.weight", _flux3, also="early_stream_modulations.image.lin.weight"),
    Naming("flux3", "x_embedders.image.weight", _same, also="early_stream_modulations.image.linear.weight"),
    Naming("z_image", "layers.0.attention.qkv.weight", _z_image, also="cap_embedder.1.weight"),
    Naming("z_image", "layers.0.attention.to_q.weight", _same, also="cap_embedder.1.weight"),
    Naming("clip", "text_model.encoder.layers.0.mlp.fc1.weight", _without(["text_model."])),
    Naming("clip", "encoder.layers.0.mlp.fc1.weight", _same, also="embeddings.token_embedding.weight"),
    Naming("t5", "encoder.block.0.layer.0.SelfAttention.q.weight", _same),
    Naming(
        "t5",
        "enc.blk.0.attn_q.weight",
        lambda shapes: _llama_cpp(shapes, _LLAMA_CPP_T5, "encoder.block"),
    ),
    Naming("qwen3", "model.layers.0.self_attn.q_norm.weight", _without(["model."])),
    Naming("qwen3", "layers.0.self_attn.q_norm.weight", _same),
    Naming("qwen3", "blk.0.attn_q_norm.weight", lambda shapes: _llama_cpp(shapes, _LLAMA_CPP, "layers")),
    Naming(
        "mistral",
        "model.layers.0.self_attn.q_proj.weight",
        _without(["model."]),
        also="model.layers.0.input_layernorm.weight",
    ),
    Naming("mistral", "layers.0.self_attn.q_proj.weight", _same, also="layers.0.input_layernorm.weight"),
    Naming("mistral", "blk.0.attn_q.weight", _llama_cpp_mistral, also="token_embd.weight"),
    Naming("vae", "decoder.conv_in.weight", _same, also="decoder.mid_block.resnets.0.conv1.weight"),
    Naming("vae", "decoder.conv_in.weight", _original_vae, also="decoder.mid.block_1.conv1.weight"),
)
