"""Models in single files: which parts a file holds, what family they are of, and the parts loaded.

Everything is read from the tensors' names and shapes, nothing from the file's name.
"""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import ModelFilesError
from .families import (
    DEV_SCHEDULER,
    FLUX1,
    PIPELINES,
    SCHNELL_SCHEDULER,
    Z_IMAGE_SCHEDULER,
    Defaults,
    Edition,
    Family,
)
from .naming import NAMINGS, Naming, Source
from .weight_files import WeightFile

if TYPE_CHECKING:
    import torch

    from .stored import Stored

log = logging.getLogger(__name__)

PLAIN = ("F64", "F32", "F16", "BF16")
SCALES = (".scale_weight", ".weight_scale")  # ComfyUI's older and newer name
TRANSFORMERS = ("flux1", "flux2", "z_image")
ENCODERS = ("clip", "t5", "qwen3", "mistral")
ROLES = {  # what a person calls them
    "flux1": "a FLUX.1 transformer",
    "flux2": "a FLUX.2 transformer",
    "z_image": "a Z-Image transformer",
    "clip": "CLIP",
    "t5": "T5",
    "qwen3": "Qwen3",
    "mistral": "Mistral",
    "vae": "a VAE",
}
FOREIGN = {  # a part of a weight's name -> whose format it is, and what to take instead
    ".wscales": "an SVDQuant (nunchaku) file, which needs nunchaku's own nodes; take the bf16, fp8 or GGUF file",
    ".quant_state.bitsandbytes": "a bitsandbytes file; take the bf16, fp8 or GGUF file",
    ".pre_quant_scale": "a file with smoothed (AWQ) weights; open it with ComfyUI's own loader, our sampler takes its MODEL",
    "distilled_guidance_layer.": "a Chroma; wanted: FLUX.1, FLUX.2 or Z-Image. ComfyUI's own loader opens it",
    "siglip_embedder.": "a Z-Image Omni, whose SigLIP no such file holds; its diffusers folder opens in StorefrontLoadModel",
}


@dataclass(frozen=True)
class Part:
    """One model in a file: a transformer, a text encoder or a VAE."""

    file: WeightFile
    role: str  # a key of ROLES
    sources: Mapping[str, Source] = dataclasses.field(repr=False)  # by the names that diffusers or transformers has

    def has(self, name: str) -> bool:
        return name in self.sources

    def shape(self, name: str) -> tuple[int, ...]:
        """Raises ModelFilesError where the weight is missing."""
        if name not in self.sources:
            raise ModelFilesError("model", self.file.path.name, f"every weight in it; {name} is missing")
        source = self.sources[name]
        whole = self.file.entries[source.name].shape
        return whole if source.stop is None else (source.stop - source.start, *whole[1:])

    def count(self, blocks: str) -> int:
        """How many blocks stand under a name. Raises ModelFilesError where one is left out."""
        pattern = re.compile(re.escape(blocks) + r"\.(\d{1,6})\.")
        found = {int(match.group(1)) for name in self.sources if (match := pattern.match(name))}
        if gaps := set(range(len(found))) - found:
            raise ModelFilesError("model", self.file.path.name, f"every weight in it; {blocks}.{min(gaps)} is missing")
        return len(found)

    @property
    def text_width(self) -> int:
        """Of a text encoder: the width of its hidden states."""
        name = {"clip": "embeddings.token_embedding.weight", "t5": "shared.weight"}.get(self.role)
        return self.shape(name or "embed_tokens.weight")[1]


def _find(file: WeightFile, naming: Naming) -> Part | None:
    for anchor in file.entries:
        if not anchor.endswith(naming.anchor):
            continue
        prefix = anchor[: -len(naming.anchor)]
        if (prefix and not prefix.endswith(".")) or (naming.also and prefix + naming.also not in file.entries):
            continue
        inside = {name[len(prefix) :]: entry.shape for name, entry in file.entries.items() if name.startswith(prefix)}
        sources = naming.rename(inside)
        return Part(
            file,
            naming.role,
            {name: source._replace(name=prefix + source.name) for name, source in sources.items()},
        )
    return None


def parts_of(file: WeightFile) -> dict[str, Part]:
    """Role -> part of everything in the file that this pack can use."""
    found: dict[str, Part] = {}
    for naming in NAMINGS:
        if naming.role in found or (naming.role == "mistral" and "qwen3" in found):
            continue
        part = _find(file, naming)
        if part is not None:
            found[naming.role] = part
    return found


def require_known_format(file: WeightFile) -> None:
    """Raise ModelFilesError for a format that this pack knows by name and cannot load."""
    for mark, what in FOREIGN.items():
        if any(mark in name for name in file.entries):
            raise ModelFilesError("model", file.path.name, f"another file: this is {what}")


def find_part(file: WeightFile, roles: tuple[str, ...], wanted: str) -> Part:
    """The one part of these roles. Raises ModelFilesError that says what the file holds instead."""
    require_known_format(file)
    parts = parts_of(file)
    for role in roles:
        if role in parts:
            return parts[role]
    holds = " and ".join(ROLES[role] for role in parts)
    names = ", ".join(list(file.entries)[:2])
    raise ModelFilesError(
        "model",
        file.path.name,
        f"{wanted}; the file holds {holds or f'nothing that this pack knows (weights such as {names})'}",
    )


# --- what the shapes say of a transformer ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Described:
    """What a transformer's own weights tell of the model."""

    edition: Edition
    defaults: Defaults
    scheduler_config: Mapping[str, Any]
    note: str  # what they cannot tell

    @property
    def family(self) -> Family:
        return self.edition.family


def describe(role: str, guidance: bool, channels: int, name: str) -> Described:
    """Family and edition of a transformer: does it embed guidance, and how many channels go in.

    Raises ModelFilesError for channels that no edition has.
    """
    if role == "flux2":
        edition = PIPELINES["Flux2Pipeline" if guidance else "Flux2KleinPipeline"]
        note = "" if guidance else "taken for the distilled klein (4 steps); the base model wants 50 steps and cfg 4"
        return Described(edition, edition.quick or edition.defaults, DEV_SCHEDULER, note)
    if role == "z_image":
        edition = PIPELINES["ZImagePipeline"]
        note = "taken for Z-Image Turbo (8 steps); the base model wants 50 steps, cfg 5 and a shift of 6"
        return Described(edition, edition.quick or edition.defaults, Z_IMAGE_SCHEDULER, note)
    pipelines = {64: "FluxPipeline", 384: "FluxFillPipeline", 128: "FluxControlPipeline"}
    if channels not in pipelines:
        raise ModelFilesError(
            "model", name, f"a FLUX.1 of {', '.join(map(str, pipelines))} channels; it has {channels}"
        )
    edition = PIPELINES[pipelines[channels]]
    if not guidance:
        return Described(edition, edition.quick or edition.defaults, SCHNELL_SCHEDULER, "")
    if channels == 64:  # Kontext's weights have dev's names and shapes
        edition = dataclasses.replace(edition, takes_references=True)
        return Described(edition, edition.defaults, DEV_SCHEDULER, "FLUX.1 dev or Kontext: references are allowed")
    return Described(edition, edition.defaults, DEV_SCHEDULER, "")


def describe_part(part: Part) -> Described:
    guidance = any("guidance_embedder" in name for name in part.sources)
    channels = 0 if part.role == "z_image" else part.shape("x_embedder.weight")[1]
    return describe(part.role, guidance, channels, part.file.path.name)


def _axes(head: int, real: tuple[int, ...]) -> tuple[int, ...]:
    """How a head's width is shared among the axes: as in the published models."""
    return tuple(axis * head // sum(real) for axis in real)


def _flux1_config(part: Part) -> dict[str, Any]:
    head = part.shape("transformer_blocks.0.attn.norm_q.weight")[0]
    width, channels = part.shape("x_embedder.weight")
    return {
        "in_channels": channels,
        "out_channels": part.shape("proj_out.weight")[0],
        "num_layers": part.count("transformer_blocks"),
        "num_single_layers": part.count("single_transformer_blocks"),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "joint_attention_dim": part.shape("context_embedder.weight")[1],
        "pooled_projection_dim": part.shape("time_text_embed.text_embedder.linear_1.weight")[1],
        "guidance_embeds": part.has("time_text_embed.guidance_embedder.linear_1.weight"),
        "axes_dims_rope": _axes(head, (16, 56, 56)),
    }


def _flux2_config(part: Part) -> dict[str, Any]:
    head = part.shape("transformer_blocks.0.attn.norm_q.weight")[0]
    width, channels = part.shape("x_embedder.weight")
    return {
        "in_channels": channels,
        "out_channels": part.shape("proj_out.weight")[0],
        "num_layers": part.count("transformer_blocks"),
        "num_single_layers": part.count("single_transformer_blocks"),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "joint_attention_dim": part.shape("context_embedder.weight")[1],
        "timestep_guidance_channels": part.shape("time_guidance_embed.timestep_embedder.linear_1.weight")[1],
        "mlp_ratio": part.shape("transformer_blocks.0.ff.linear_out.weight")[1] / width,
        "guidance_embeds": part.has("time_guidance_embed.guidance_embedder.linear_1.weight"),
        "axes_dims_rope": _axes(head, (32, 32, 32, 32)),
    }


def _z_image_config(part: Part) -> dict[str, Any]:
    head = part.shape("layers.0.attention.norm_q.weight")[0]
    width, channels = part.shape("all_x_embedder.2-1.weight")
    return {
        "in_channels": channels // 4,
        "dim": width,
        "n_layers": part.count("layers"),
        "n_refiner_layers": part.count("noise_refiner"),
        "n_heads": part.shape("layers.0.attention.to_q.weight")[0] // head,
        "n_kv_heads": part.shape("layers.0.attention.to_k.weight")[0] // head,
        "cap_feat_dim": part.shape("cap_embedder.1.weight")[1],
        "axes_dims": list(_axes(head, (32, 48, 48))),
        "axes_lens": [1536, 512, 512],
    }


# --- ... of a VAE, of a text encoder ------------------------------------------------------------------------------------


def _vae_config(part: Part) -> dict[str, Any]:
    levels = part.count("encoder.down_blocks")
    encoder = [part.shape(f"encoder.down_blocks.{i}.resnets.0.conv1.weight")[0] for i in range(levels)]
    decoder = [part.shape(f"decoder.up_blocks.{i}.resnets.0.conv1.weight")[0] for i in range(levels)]
    config = {
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
        "block_out_channels": tuple(encoder),
        "layers_per_block": part.count("encoder.down_blocks.0.resnets"),
        "latent_channels": part.shape("decoder.conv_in.weight")[1],
        "use_quant_conv": part.has("quant_conv.weight"),
        "use_post_quant_conv": part.has("post_quant_conv.weight"),
        "mid_block_add_attention": part.has("decoder.mid_block.attentions.0.to_q.weight"),
    }
    if is_flux2_vae(part):
        return config | ({"decoder_block_out_channels": tuple(decoder[::-1])} if decoder[::-1] != encoder else {})
    return config | {"scaling_factor": FLUX1.scaling_factor, "shift_factor": FLUX1.shift_factor, "force_upcast": True}


def is_flux2_vae(part: Part) -> bool:
    return part.has("bn.running_mean")


def _clip_config(part: Part) -> dict[str, Any]:
    words, width = part.shape("embeddings.token_embedding.weight")
    return {
        "vocab_size": words,
        "hidden_size": width,
        "intermediate_size": part.shape("encoder.layers.0.mlp.fc1.weight")[0],
        "projection_dim": width,
        "num_hidden_layers": part.count("encoder.layers"),
        "num_attention_heads": max(width // 64, 1),
        "max_position_embeddings": part.shape("embeddings.position_embedding.weight")[0],
        "bos_token_id": words - 2,
        "eos_token_id": words - 1,
        "pad_token_id": words - 1,
    }


def _t5_config(part: Part) -> dict[str, Any]:
    words, width = part.shape("shared.weight")
    buckets, heads = part.shape("encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight")
    return {
        "vocab_size": words,
        "d_model": width,
        "d_kv": part.shape("encoder.block.0.layer.0.SelfAttention.q.weight")[0] // heads,
        "d_ff": part.shape("encoder.block.0.layer.1.DenseReluDense.wo.weight")[1],
        "num_layers": part.count("encoder.block"),
        "num_heads": heads,
        "relative_attention_num_buckets": buckets,
        "feed_forward_proj": "gated-gelu",
        "is_encoder_decoder": False,
        "use_cache": False,
    }


def _llama_like(part: Part, head: int) -> dict[str, Any]:
    words, width = part.shape("embed_tokens.weight")
    return {
        "vocab_size": words,
        "hidden_size": width,
        "intermediate_size": part.shape("layers.0.mlp.gate_proj.weight")[0],
        "num_hidden_layers": part.count("layers"),
        "num_attention_heads": part.shape("layers.0.self_attn.q_proj.weight")[0] // head,
        "num_key_value_heads": part.shape("layers.0.self_attn.k_proj.weight")[0] // head,
        "head_dim": head,
    }


def _qwen3_config(part: Part) -> dict[str, Any]:
    config = _llama_like(part, part.shape("layers.0.self_attn.q_norm.weight")[0])
    marks = config["vocab_size"] > 151_645
    return config | {
        "rope_theta": 1_000_000.0,
        "max_position_embeddings": 40_960,
        "bos_token_id": 151_643 if marks else None,
        "eos_token_id": 151_645 if marks else None,
        # The head is the embedding in the sizes up to 4B; 8B's own one is not in every file and is not asked for.
        "tie_word_embeddings": not part.has("lm_head.weight"),
    }


def _mistral_config(part: Part) -> dict[str, Any]:
    if part.file.is_gguf:  # llama.cpp reorders the rows of queries and keys
        raise ModelFilesError("model", part.file.path.name, "Mistral as .safetensors")
    return _llama_like(part, 128) | {
        "rope_theta": 1_000_000_000.0,
        "rms_norm_eps": 1e-5,
        "max_position_embeddings": 131_072,
        "sliding_window": None,
        "tie_word_embeddings": not part.has("lm_head.weight"),
    }


def _config(part: Part) -> dict[str, Any]:
    make: dict[str, Callable[[Part], dict[str, Any]]] = {
        "flux1": _flux1_config,
        "flux2": _flux2_config,
        "z_image": _z_image_config,
        "vae": _vae_config,
        "clip": _clip_config,
        "t5": _t5_config,
        "qwen3": _qwen3_config,
        "mistral": _mistral_config,
    }
    try:
        return make[part.role](part)
    except (ValueError, IndexError, ZeroDivisionError) as error:  # shapes of another number of axes
        what = ROLES[part.role]
        raise ModelFilesError("model", part.file.path.name, f"the shapes of {what}; {error}") from error


def _build(part: Part) -> torch.nn.Module:
    """The module with its weights on "meta"; buffers are real."""
    import diffusers
    import transformers
    from accelerate import init_empty_weights

    config = _config(part)
    cls = {
        "flux1": "FluxTransformer2DModel",
        "flux2": "Flux2Transformer2DModel",
        "z_image": "ZImageTransformer2DModel",
        "vae": "AutoencoderKLFlux2" if part.role == "vae" and is_flux2_vae(part) else "AutoencoderKL",
    }.get(part.role)
    try:
        with init_empty_weights():
            if cls is not None:
                if not hasattr(diffusers, cls):
                    raise ModelFilesError(
                        "model", part.file.path.name, f"a newer diffusers than {diffusers.__version__}: it has no {cls}"
                    )
                return getattr(diffusers, cls)(**config)
            if part.role == "clip":
                return transformers.CLIPTextModel(transformers.CLIPTextConfig(**config))
            if part.role == "t5":
                return transformers.T5EncoderModel(transformers.T5Config(**config))
            if part.role == "qwen3":
                return transformers.Qwen3ForCausalLM(transformers.Qwen3Config(**config))
            return transformers.MistralForCausalLM(transformers.MistralConfig(**config))
    except (ValueError, TypeError, RuntimeError, ZeroDivisionError, AssertionError) as error:
        what = ROLES[part.role]
        raise ModelFilesError("model", part.file.path.name, f"the shapes of {what}; {error}") from error


# --- loading ------------------------------------------------------------------------------------------------------------

# What stands before a layer in the modules of some releases of transformers and not in files, or in others' files.
_WRAPPERS = re.compile(r"^(?:text_model|model)\.")


def load_part(part: Part, dtype: torch.dtype, keep: bool) -> torch.nn.Module:
    """The module in eval mode, without gradients, its weights in `dtype`.

    keep: a linear layer's 8-bit or GGUF weight stays as it is, as int8 bytes, beside an attribute `stored` that expands
    them; such a layer computes nothing until a caller gives it a class that does. Otherwise they are expanded here.
    Raises ModelFilesError where weights are missing, have other shapes, or a format that cannot be read.
    """
    import torch

    require_known_format(part.file)
    module = _build(part)
    if hasattr(module, "tie_weights"):
        module.tie_weights()
    name = part.file.path.name
    places = _places(module)
    wanted: dict[str, Source] = {}
    aliases: set[int] = set()  # weights that are one and the same under two names are read once
    for target, place in places.items():
        key = _WRAPPERS.sub("", target)
        if key in part.sources and id(place.tensor) not in aliases:
            wanted[target] = part.sources[key]
            aliases.add(id(place.tensor))
    missing = sorted(
        target for target, place in places.items() if target not in wanted and id(place.tensor) not in aliases
    )
    if missing:
        raise ModelFilesError("model", name, f"every weight in it; {len(missing)} are missing, such as {missing[0]}")
    left = len(part.sources) - len({_WRAPPERS.sub("", target) for target in wanted})
    log.debug("Storefront: %s: %d weights have no place in %s.", name, left, type(module).__name__)

    formats = {source.name: _format(part.file, source.name) for source in wanted.values()}
    half = getattr(module, "_keep_in_fp32_modules", None) or ()
    strict = getattr(module, "_keep_in_fp32_modules_strict", None) or ()
    precise = {*strict, *(half if dtype == torch.float16 else ())}
    by_source: dict[str, list[str]] = {}
    for target, source in wanted.items():
        by_source.setdefault(source.name, []).append(target)
    scales = {scale for f in formats.values() for scale in [f.scale] if scale}
    numbers = {key: tensor.float().clone() for key, tensor in part.file.read(sorted(scales), release=True)}

    filled: dict[int, Any] = {}
    as_is = {key for key in by_source if _stays(part.file, key, formats[key], dtype, keep)}
    for names, release in ((as_is, False), (by_source.keys() - as_is, True)):
        for source_name, tensor in part.file.read(sorted(names), release):
            for target in by_source[source_name]:
                place, source = places[target], wanted[target]
                own = torch.float32 if any(layer in target.split(".") for layer in precise) else dtype
                stored = formats[source_name].stored(numbers, source)
                rows = tensor[source.start : source.stop] if source.stop is not None else tensor
                if stored is not None and keep and place.is_linear_weight and not source.swap:
                    value = rows.contiguous().view(torch.int8)
                    shape = _shape_of_bytes(value, formats[source_name])
                    place.module.stored = stored
                    place.module.compute_dtype = own  # diffusers' name: its embedders ask for it
                else:
                    value = rows if stored is None else stored.expand(rows.contiguous().view(torch.int8), own)
                    if source.swap:
                        value = torch.cat(value.chunk(2)[::-1])
                    if value.numel() == place.tensor.numel():  # attention as a 1 x 1 convolution; a GGUF's vectors
                        value = value.reshape(place.tensor.shape)
                    value, shape = value.to(own), tuple(value.shape)
                if shape != tuple(place.tensor.shape):
                    wanted_shape = list(place.tensor.shape)
                    raise ModelFilesError(
                        "model", name, f"{source.name} of shape {wanted_shape}; the file has {list(shape)}"
                    )
                shared = value.untyped_storage().data_ptr() == rows.untyped_storage().data_ptr()
                filled[id(place.tensor)] = _fill(place, value.clone() if release and shared else value)
    for place in places.values():  # weights that are one and the same under two names
        if place.module._parameters.get(place.leaf) is place.tensor:
            place.module._parameters[place.leaf] = filled[id(place.tensor)]
    for buffer_owner in module.modules():
        for key, buffer in buffer_owner._buffers.items():
            persistent = key not in buffer_owner._non_persistent_buffers_set
            if buffer is not None and persistent and buffer.is_floating_point():
                buffer_owner._buffers[key] = buffer.to(dtype)
    return module.eval().requires_grad_(False)


@dataclass(frozen=True)
class _Place:
    module: Any
    leaf: str
    tensor: Any

    @property
    def is_linear_weight(self) -> bool:
        import torch

        return type(self.module) is torch.nn.Linear and self.leaf == "weight"


def _places(module: torch.nn.Module) -> dict[str, _Place]:
    """Name -> place of every weight, and of the buffers that are weights (running statistics)."""
    places = {}
    for prefix, owner in module.named_modules():
        for key, tensor in owner._parameters.items():
            if tensor is not None:
                places[f"{prefix}.{key}" if prefix else key] = _Place(owner, key, tensor)
        for key, tensor in owner._buffers.items():
            if key.startswith("running_"):
                places[f"{prefix}.{key}"] = _Place(owner, key, tensor)
    return places


def _fill(place: _Place, value: torch.Tensor) -> Any:
    import torch

    if place.leaf in place.module._buffers:
        place.module._buffers[place.leaf] = value
        return value
    parameter = torch.nn.Parameter(value, requires_grad=False)
    place.module._parameters[place.leaf] = parameter
    return parameter


@dataclass(frozen=True)
class _Format:
    """How a tensor of a file is written."""

    fp8: Any = None  # torch's dtype of 8-bit floats
    blocks: int = 0  # GGUF's kind of blocks
    scale: str = ""  # the tensor with the scale

    def stored(self, numbers: Mapping[str, torch.Tensor], source: Source) -> Stored | None:
        from .stored import GgufBlocks, ScaledFp8

        if self.blocks:
            return GgufBlocks(self.blocks)
        if self.fp8 is None:
            return None
        scale = numbers.get(self.scale)
        if scale is not None and scale.numel() > 1:
            scale = scale.reshape(-1, 1)[source.start : source.stop]
        elif scale is not None:
            scale = scale.reshape(())
        return ScaledFp8(self.fp8, scale)


def _format(file: WeightFile, name: str) -> _Format:
    """Raises ModelFilesError for what cannot be read."""
    from .stored import FP8

    kind, shape, _, _ = file.entries[name]
    if kind in PLAIN:
        return _Format()
    if file.is_gguf:
        from .stored import gguf_kinds

        kinds = gguf_kinds()
        if kind not in kinds:
            raise ModelFilesError("model", file.path.name, f"blocks of {', '.join(sorted(kinds))}; it has {kind}")
        return _Format(blocks=int(kinds[kind]))
    stem = name.removesuffix(".weight")
    scale = next((stem + ending for ending in SCALES if stem + ending in file.entries), "")
    numbers = 1
    for side in file.entries[scale].shape if scale else ():
        numbers *= side
    if kind in FP8 and numbers in (1, shape[0]):
        return _Format(fp8=FP8[kind], scale=scale)
    what = f"{kind} weights" + (f" with {numbers} scales each" if scale else "")
    if stem + ".weight_scale_2" in file.entries:
        what = "nvfp4 weights"
    raise ModelFilesError(
        "model",
        file.path.name,
        f"bf16, fp16, fp8 or GGUF weights; it has {what}. ComfyUI's own loader may open it: our sampler takes its MODEL",
    )


def _stays(file: WeightFile, name: str, form: _Format, dtype: torch.dtype, keep: bool) -> bool:
    """Whether a tensor is used as it lies in the file. The pages of the others are let go as they are read."""
    import torch

    kind, shape, _, _ = file.entries[name]
    if form.fp8 is not None or form.blocks:
        return keep and len(shape) == 2
    return kind == {torch.bfloat16: "BF16", torch.float16: "F16", torch.float32: "F32"}.get(dtype)


def _shape_of_bytes(raw: torch.Tensor, form: _Format) -> tuple[int, ...]:
    """The shape of the weight that bytes stand for."""
    if not form.blocks:
        return tuple(raw.shape)
    from .stored import GgufBlocks

    return (raw.shape[0], GgufBlocks(form.blocks).columns(raw))
