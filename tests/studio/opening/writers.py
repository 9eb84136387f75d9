"""Small models of the published models' proportions, and their weights in single files under each published naming."""

from __future__ import annotations

import base64
import importlib.util
import json
import sys
from pathlib import Path

import torch
from diffusers import AutoencoderKL, AutoencoderKLFlux2, FluxTransformer2DModel
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel

Weights = dict[str, torch.Tensor]
TESTS = Path(__file__).parents[2]


def _module(name: str, path: Path):
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


tiny = _module("tiny", TESTS / "studio" / "tiny.py")
original_layout = _module("original_layout", TESTS / "host" / "original_layout.py")

TRANSFORMERS = ("FLUX.1", "FLUX.1 Fill", "FLUX.1 Control", "FLUX.2 dev", "FLUX.2 klein", "Z-Image Turbo")


def _vae(cls, latent_channels: int, **options):
    vae = cls(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(32, 32, 64, 64),
        layers_per_block=2,
        latent_channels=latent_channels,
        norm_num_groups=32,
        use_quant_conv=cls is AutoencoderKLFlux2,
        use_post_quant_conv=cls is AutoencoderKLFlux2,
        **options,
    )
    if cls is AutoencoderKLFlux2:
        vae.bn.running_mean.normal_()
        vae.bn.running_var.uniform_(0.5, 2.0)
    return vae


def build(name: str, folder: Path) -> Path:
    """A diffusers folder. What shapes do not tell (heads, axes, groups) has the published proportions."""
    tiny.BUILDERS[name](folder)
    torch.manual_seed(1)
    if name.startswith("FLUX.1"):
        config = json.loads((folder / "transformer" / "config.json").read_text())
        FluxTransformer2DModel(
            in_channels=config["in_channels"],
            out_channels=64,
            num_layers=2,
            num_single_layers=2,
            attention_head_dim=32,
            num_attention_heads=2,
            joint_attention_dim=16,
            pooled_projection_dim=64,
            guidance_embeds=config["guidance_embeds"],
            axes_dims_rope=(4, 14, 14),
        ).save_pretrained(folder / "transformer")
        config = json.loads((folder / "text_encoder" / "config.json").read_text())
        config |= {"hidden_size": 64, "projection_dim": 64, "num_attention_heads": 1}
        CLIPTextModel(CLIPTextConfig(**config)).save_pretrained(folder / "text_encoder")
    if name.startswith(("FLUX.2", "FLUX.3")):
        _vae(AutoencoderKLFlux2, 32).save_pretrained(folder / "vae")
    else:
        _vae(AutoencoderKL, 16, shift_factor=0.1159, scaling_factor=0.3611).save_pretrained(folder / "vae")
    if name == "FLUX.2 dev":  # the published head is 128 wide, which no weight tells
        from transformers import Mistral3Config, Mistral3ForConditionalGeneration

        config = json.loads((folder / "text_encoder" / "config.json").read_text())
        config["text_config"] |= {"head_dim": 128, "num_attention_heads": 1, "rms_norm_eps": 1e-5}
        config["text_config"] |= {
            "sliding_window": None,
            "rope_parameters": {"rope_theta": 1e9, "rope_type": "default"},
        }
        Mistral3ForConditionalGeneration(Mistral3Config(**config)).save_pretrained(folder / "text_encoder")
    if name in ("FLUX.2 klein", "Z-Image Turbo"):
        from transformers import Qwen3Config, Qwen3ForCausalLM

        config = json.loads((folder / "text_encoder" / "config.json").read_text())
        config |= {"rope_parameters": {"rope_theta": 1e6, "rope_type": "default"}}
        Qwen3ForCausalLM(Qwen3Config(**config)).save_pretrained(folder / "text_encoder")
    return folder


def weights_of(folder: Path, component: str) -> Weights:
    (path,) = (folder / component).glob("*.safetensors")
    return load_file(path)


# --- BFL's and Z-Image's published names -------------------------------------------------------------------------------

_FLUX2_OUTER = {
    "x_embedder": "img_in",
    "context_embedder": "txt_in",
    "time_guidance_embed.timestep_embedder.linear_1": "time_in.in_layer",
    "time_guidance_embed.timestep_embedder.linear_2": "time_in.out_layer",
    "time_guidance_embed.guidance_embedder.linear_1": "guidance_in.in_layer",
    "time_guidance_embed.guidance_embedder.linear_2": "guidance_in.out_layer",
    "double_stream_modulation_img.linear": "double_stream_modulation_img.lin",
    "double_stream_modulation_txt.linear": "double_stream_modulation_txt.lin",
    "single_stream_modulation.linear": "single_stream_modulation.lin",
    "proj_out": "final_layer.linear",
}
_FLUX2_DOUBLE = {
    "img_attn.proj": "attn.to_out.0",
    "txt_attn.proj": "attn.to_add_out",
    "img_mlp.0": "ff.linear_in",
    "img_mlp.2": "ff.linear_out",
    "txt_mlp.0": "ff_context.linear_in",
    "txt_mlp.2": "ff_context.linear_out",
}
_FLUX2_NORMS = {
    "img_attn.norm.query_norm": "attn.norm_q",
    "img_attn.norm.key_norm": "attn.norm_k",
    "txt_attn.norm.query_norm": "attn.norm_added_q",
    "txt_attn.norm.key_norm": "attn.norm_added_k",
}


def original_flux2(weights: Weights) -> Weights:
    left, out = dict(weights), {}
    for source, target in _FLUX2_OUTER.items():
        if f"{source}.weight" in left:
            out[f"{target}.weight"] = left.pop(f"{source}.weight")
    scale, shift = left.pop("norm_out.linear.weight").chunk(2)
    out["final_layer.adaLN_modulation.1.weight"] = torch.cat([shift, scale])
    index = 0
    while f"transformer_blocks.{index}.attn.to_q.weight" in left:
        ours, theirs = f"transformer_blocks.{index}", f"double_blocks.{index}"
        for stream, names in (("img", ("to_q", "to_k", "to_v")), ("txt", ("add_q_proj", "add_k_proj", "add_v_proj"))):
            out[f"{theirs}.{stream}_attn.qkv.weight"] = torch.cat([left.pop(f"{ours}.attn.{n}.weight") for n in names])
        for target, source in _FLUX2_DOUBLE.items():
            out[f"{theirs}.{target}.weight"] = left.pop(f"{ours}.{source}.weight")
        for target, source in _FLUX2_NORMS.items():
            out[f"{theirs}.{target}.scale"] = left.pop(f"{ours}.{source}.weight")
        index += 1
    index = 0
    while f"single_transformer_blocks.{index}.attn.to_out.weight" in left:
        ours, theirs = f"single_transformer_blocks.{index}.attn", f"single_blocks.{index}"
        out[f"{theirs}.linear1.weight"] = left.pop(f"{ours}.to_qkv_mlp_proj.weight")
        out[f"{theirs}.linear2.weight"] = left.pop(f"{ours}.to_out.weight")
        out[f"{theirs}.norm.query_norm.scale"] = left.pop(f"{ours}.norm_q.weight")
        out[f"{theirs}.norm.key_norm.scale"] = left.pop(f"{ours}.norm_k.weight")
        index += 1
    assert not left, sorted(left)
    return out


_FLUX3 = (
    ("target_timestep_embedder.linear_1.", "ref_time_in.in_layer."),
    ("target_timestep_embedder.linear_2.", "ref_time_in.out_layer."),
    ("timestep_embedder.linear_1.", "time_in.in_layer."),
    ("timestep_embedder.linear_2.", "time_in.out_layer."),
    ("norm_out.linear.", "final_layer.image.adaLN_modulation.1."),
    ("proj_out.", "final_layer.image.linear."),
    ("x_embedders.", "emb_in."),
    ("context_embedder.", "txt_in."),
    ("single_transformer_blocks.", "single_blocks."),
    (".attn.to_out.0.", ".attn_out."),
    (".attn.norm_q.weight", ".norm.query_norm.scale"),
    (".attn.norm_k.weight", ".norm.key_norm.scale"),
    (".ff.linear_in.", ".mlp_in."),
    (".ff.linear_out.", ".mlp_out."),
    (".linear.weight", ".lin.weight"),
    *((f".attn.to_{letter}.", f".{letter}_proj.") for letter in "qkv"),
)


def original_flux3(weights: Weights) -> Weights:
    out = {"repa_projectors.0.weight": torch.zeros(2, 2)}
    for name, tensor in weights.items():
        if name == "norm_out.linear.weight":
            tensor = torch.cat(tensor.chunk(2)[::-1])
        for ours, theirs in _FLUX3:
            if ours in name and not name.startswith("final_layer"):
                name = name.replace(ours, theirs)
        if name.startswith("mode_blocks."):
            name = "content_" + name
        out[name] = tensor
    return out


def original_z_image(weights: Weights) -> Weights:
    left, out = dict(weights), {}
    for name in list(left):
        if name.endswith("attention.to_q.weight"):
            stem = name.removesuffix("to_q.weight")
            fused = [left.pop(f"{stem}{part}.weight") for part in ("to_q", "to_k", "to_v")]
            out[f"{stem}qkv.weight"] = torch.cat(fused)
    renamed = {
        "all_final_layer.2-1.": "final_layer.",
        "all_x_embedder.2-1.": "x_embedder.",
        ".attention.to_out.0.": ".attention.out.",
        ".attention.norm_q.": ".attention.q_norm.",
        ".attention.norm_k.": ".attention.k_norm.",
    }
    for name, tensor in left.items():
        for source, target in renamed.items():
            name = name.replace(source, target)
        out[name] = tensor
    return out


def original(name: str, weights: Weights) -> Weights:
    """The transformer's weights as their makers published them."""
    if name.startswith("FLUX.1"):
        return original_layout.to_original(weights)
    makers = {"FLUX.2": original_flux2, "FLUX.3": original_flux3}
    return makers.get(name[:6], original_z_image)(weights)


def original_vae(weights: Weights) -> Weights:
    """BFL's names of an autoencoder of four levels."""
    out = {}
    for name, tensor in weights.items():
        parts = name.split(".")
        if "attentions" in parts:
            leaf = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out": "proj_out"}[parts[4]]
            tensor = tensor[:, :, None, None] if tensor.ndim == 2 else tensor
            parts = [parts[0], "mid", "attn_1", leaf, parts[-1]]
        elif "mid_block" in parts:
            parts = [parts[0], "mid", f"block_{int(parts[3]) + 1}", *parts[4:]]
        elif "down_blocks" in parts:
            inner = ["block", parts[4]] if parts[3] == "resnets" else ["downsample"]
            parts = [parts[0], "down", parts[2], *inner, *parts[5:]]
        elif "up_blocks" in parts:
            inner = ["block", parts[4]] if parts[3] == "resnets" else ["upsample"]
            parts = [parts[0], "up", str(3 - int(parts[2])), *inner, *parts[5:]]
        elif parts[0] == "quant_conv":
            parts = ["encoder", *parts]
        elif parts[0] == "post_quant_conv":
            parts = ["decoder", *parts]
        new = ".".join(parts).replace("conv_shortcut", "nin_shortcut").replace("conv_norm_out", "norm_out")
        out[new] = tensor.contiguous()
    return out


# --- files -------------------------------------------------------------------------------------------------------------


def write(path: Path, weights: Weights, metadata: dict[str, str] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.clone().contiguous() for name, tensor in weights.items()}, path, metadata)
    return path


def prefixed(weights: Weights, prefix: str) -> Weights:
    return {prefix + name: tensor for name, tensor in weights.items()}


def is_matrix(name: str, tensor: torch.Tensor) -> bool:
    """What quantisers take: the weights of the blocks' linear layers."""
    return tensor.ndim == 2 and name.endswith(".weight") and ("block" in name or "layers" in name or "blk" in name)


def fp8(weights: Weights, kind: torch.dtype = torch.float8_e4m3fn) -> Weights:
    return {name: tensor.to(kind) if is_matrix(name, tensor) else tensor for name, tensor in weights.items()}


def scaled_fp8(weights: Weights, layout: str) -> tuple[Weights, dict[str, str]]:
    """ComfyUI's scaled fp8: "old" (scale_weight, scaled_fp8), "new" (weight_scale, comfy_quant) or "metadata"."""
    out, layers = {}, {}
    for name, tensor in weights.items():
        if not is_matrix(name, tensor):
            out[name] = tensor
            continue
        scale = tensor.abs().max().float() / 448
        stem = name.removesuffix(".weight")
        out[name] = (tensor.float() / scale).to(torch.float8_e4m3fn)
        out[stem + (".scale_weight" if layout == "old" else ".weight_scale")] = scale
        layers[stem] = {"format": "float8_e4m3fn"}
        if layout == "old":
            out[stem + ".scale_input"] = torch.tensor(1.0)
        if layout == "new":
            text = json.dumps(layers[stem]).encode()
            out[stem + ".comfy_quant"] = torch.tensor(list(text), dtype=torch.uint8)
    if layout == "old":
        out["scaled_fp8"] = torch.empty(0, dtype=torch.float8_e4m3fn)
    metadata = {"_quantization_metadata": json.dumps({"format_version": "1.0", "layers": layers})}
    return out, metadata if layout == "metadata" else {}


def gguf(path: Path, weights: Weights, kind: str, architecture: str = "flux", fields: dict | None = None) -> Path:
    """A GGUF; matrices whose rows are whole blocks are quantised. `fields`: of its header, numbers, texts or lists."""
    import gguf as library

    writer = library.GGUFWriter(path, architecture)
    for name, value in (fields or {}).items():
        add = {float: writer.add_float32, int: writer.add_uint32, str: writer.add_string, list: writer.add_array}
        add[type(value)](name, value)
    quantised = library.GGMLQuantizationType[kind]
    block = library.GGML_QUANT_SIZES[quantised][0]
    for name, tensor in weights.items():
        data = tensor.float().numpy()
        whole = is_matrix(name, tensor) and data.shape[1] % block == 0
        type_ = quantised if whole else library.GGMLQuantizationType.F32
        writer.add_tensor(name, library.quants.quantize(data, type_), raw_dtype=type_)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def llama_cpp_mistral(weights: Weights) -> Weights:
    """llama.cpp's names (gguf's own table) and order of rows, of a Mistral as transformers saves its text part."""
    import gguf as library

    table = library.get_tensor_name_map(library.MODEL_ARCH.LLAMA, 64)
    out = {}
    for name, tensor in weights.items():
        if "vision" in name or "projector" in name:
            continue
        plain = name.replace("language_model.model.", "model.").replace("model.language_model.", "model.")
        plain = plain.replace("language_model.lm_head", "lm_head")
        if plain.endswith(("q_proj.weight", "k_proj.weight")):  # as convert_hf_to_gguf.py's LlamaModel.permute
            heads = len(tensor) // 128
            tensor = tensor.reshape(heads, 2, 64, -1).swapaxes(1, 2).reshape(tensor.shape)
        out[table.get_name(plain, try_suffixes=(".weight",))] = tensor
    return out


SIMPLE = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def tekken(pattern: str = SIMPLE) -> bytes:
    """A tekken.json of the 256 bytes and a few words."""
    words = [bytes([byte]) for byte in range(256)] + [
        b"he",
        b"ll",
        b"hell",
        b"hello",
        b" w",
        "서".encode()[:2],
        "서".encode(),
    ]
    specials = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "<pad>"]
    return json.dumps(
        {
            "config": {
                "pattern": pattern,
                "default_num_special_tokens": 10,
                "default_vocab_size": 10 + len(words),
            },
            "vocab": [
                {"rank": rank, "token_bytes": base64.b64encode(word).decode()} for rank, word in enumerate(words)
            ],
            "special_tokens": [{"rank": rank, "token_str": word} for rank, word in enumerate(specials)],
        }
    ).encode()


def vocabulary(tokenizer) -> dict:
    """The fields of a GGUF's header for a tokenizer of `from_tekken`."""
    made = json.loads(tokenizer.backend_tokenizer.to_str())
    marks = {mark["content"] for mark in made["added_tokens"]}
    tokens = sorted(made["model"]["vocab"], key=made["model"]["vocab"].get)
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "tekken",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [3 if token in marks else 1 for token in tokens],
        "tokenizer.ggml.merges": [" ".join(pair) for pair in made["model"]["merges"]],
    }


# --- quantisers' layouts ------------------------------------------------------------------------------------------------


def comfy_layer(weight: torch.Tensor, kind: str, dtype: torch.dtype) -> tuple[Weights, dict, torch.Tensor]:
    """A layer "x" as ComfyUI's own quantiser writes it, what it says of it, and what it makes of it in `dtype`."""
    from comfy_kitchen import tensor as kitchen

    name = {"nvfp4": "NVFP4", "mxfp8": "MXFP8"}.get(kind)
    layout = getattr(kitchen, f"TensorCore{name}Layout" if name else "TensorWiseINT8Layout")
    rows, turned = kind in ("int8 rows", "int8 turned"), kind == "int8 turned"
    how = {} if name else {"per_channel": rows, "convrot": turned}
    data, params = layout.quantize(weight.to(dtype), **how)
    conf = {"format": kind if name else "int8_tensorwise"}
    if turned:
        conf |= {"convrot": True, "convrot_groupsize": 256}
    tensors = {f"x.weight{ending}": tensor for ending, tensor in layout.state_dict_tensors(data, params).items()}
    return tensors, conf, layout.dequantize(data, params)


def nvfp4(weights: Weights) -> Weights:
    """A model in ComfyUI's nvfp4."""
    out: Weights = {}
    for name, tensor in weights.items():
        if not is_matrix(name, tensor):
            out[name] = tensor
            continue
        tensors, conf, _ = comfy_layer(tensor, "nvfp4", torch.float32)
        out |= {name.removesuffix("weight") + key.removeprefix("x."): value for key, value in tensors.items()}
        text = json.dumps(conf).encode()
        out[name.removesuffix("weight") + "comfy_quant"] = torch.tensor(list(text), dtype=torch.uint8)
    return out


BNB_BLOCK = 16  # published ones have 64; these models are narrow
NF4 = (
    -1.0, -0.6961928, -0.52507305, -0.39491749, -0.28444138, -0.18477343, -0.09105004, 0.0,
    0.0795803, 0.1609302, 0.2461123, 0.33791524, 0.44070983, 0.562617, 0.72295684, 1.0,
)  # fmt: skip


def bitsandbytes(weights: Weights, kind: str) -> Weights:
    """bitsandbytes' layout of nf4 or int8; test_quantised.py holds its reader to the package itself."""
    out: Weights = {}
    for name, tensor in weights.items():
        if not is_matrix(name, tensor):
            out[name] = tensor
            continue
        if kind == "int8":
            scale = tensor.abs().amax(1).float()
            out[name] = (tensor / scale[:, None] * 127).round().to(torch.int8)
            out[name.removesuffix("weight") + "SCB"] = scale
            out[name.removesuffix("weight") + "weight_format"] = torch.tensor(0, dtype=torch.uint8)
            continue
        table = torch.tensor(NF4)
        blocks = tensor.float().reshape(-1, BNB_BLOCK)
        largest = blocks.abs().amax(1)
        codes = (blocks / largest[:, None]).reshape(-1, 1).sub(table).abs().argmin(1).to(torch.uint8)
        state = {"quant_type": "nf4", "blocksize": BNB_BLOCK, "dtype": "float32", "shape": list(tensor.shape)}
        out[name] = (codes[::2] << 4 | codes[1::2])[:, None]
        out[name + ".absmax"], out[name + ".quant_map"] = largest, table
        text = json.dumps(state).encode()
        out[name + ".quant_state.bitsandbytes__nf4"] = torch.tensor(list(text), dtype=torch.uint8)
    return out


def quanto(weights: Weights, kind: str) -> Weights:
    """optimum-quanto's layout of int4, a block a row; test_quantised.py holds its reader to the package itself."""
    assert kind == "int4"
    out: Weights = {}
    for name, tensor in weights.items():
        if not is_matrix(name, tensor):
            out[name] = tensor
            continue
        low, high = tensor.float().aminmax(dim=1, keepdim=True)
        scale = (high - low) / 15
        codes = ((tensor.float() - low) / scale).round().to(torch.uint8)
        half = (len(codes) + 1) // 2
        packed = codes[:half].clone()
        packed[: len(codes) - half] |= codes[half:] << 4
        out |= {f"{name}._data._data": packed, f"{name}._scale": scale, f"{name}._shift": -low}
    return out


def sdnq(weights: Weights, kind: str) -> Weights:
    """SDNQ's layout of uint4, one block a row; test_quantised.py holds its reader to the package itself."""
    assert kind == "uint4"
    out: Weights = {}
    for name, tensor in weights.items():
        if not is_matrix(name, tensor):
            out[name] = tensor
            continue
        low, high = tensor.float().aminmax(dim=1, keepdim=True)
        scale, stem = (high - low) / 15, name.removesuffix("weight")
        codes = ((tensor.float() - low) / scale).round().to(torch.uint8).reshape(-1, 2)
        out |= {name: codes[:, 0] | codes[:, 1] << 4, f"{stem}scale": scale, f"{stem}zero_point": low}
    return out


QUANTISERS = {
    "nf4": (bitsandbytes, {"quant_method": "bitsandbytes"}),
    "int8": (bitsandbytes, {"quant_method": "bitsandbytes"}),
    "int4": (quanto, {"quant_method": "quanto", "weights_dtype": "int4"}),
    "uint4": (sdnq, {"quant_method": "sdnq", "weights_dtype": "uint4", "dequantize_fp32": True}),
}


def quantised_folder(source: Path, folder: Path, kinds: dict[str, str], shards: int) -> Path:
    """A diffusers folder some of whose components are quantised: component -> one of QUANTISERS."""
    import shutil

    shutil.copytree(source, folder)
    for component, kind in kinds.items():
        (path,) = (folder / component).glob("*.safetensors")
        quantise, said = QUANTISERS[kind]
        weights = quantise(load_file(path), kind)
        path.unlink()
        names = list(weights)
        files = [f"{path.stem}-{i + 1:05}-of-{shards:05}.safetensors" for i in range(shards)]
        for i, file in enumerate(files):
            write(path.with_name(file), {name: weights[name] for name in names[i::shards]}, {"format": "pt"})
        index = {"metadata": {}, "weight_map": {name: files[i % shards] for i, name in enumerate(names)}}
        path.with_name(f"{path.stem}.safetensors.index.json").write_text(json.dumps(index))
        config = path.with_name("config.json")
        content = {**json.loads(config.read_text()), "quantization_config": said}
        config.write_text(json.dumps(content))
    return folder
