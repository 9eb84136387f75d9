"""Models in single files: which parts a file holds, what family they are of, and the parts loaded.

Everything is read from the tensors' names and shapes, nothing from the file's name.
"""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import InputError, ModelFilesError
from ..kinds.families import (
    DEV_SCHEDULER,
    FLUX1,
    FLUX3,
    PIPELINES,
    SCHNELL_SCHEDULER,
    Z_IMAGE_SCHEDULER,
    Defaults,
    Edition,
    Family,
)
from ..kinds.naming import MISTRAL_HEAD, NAMINGS, Naming, Source
from ..weights.layers import Layer
from .releases import require_release
from .weight_files import WeightFile

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

# What only one member of a family has: Z-Image Omni, which looks at references by a SigLIP that is in no such file; and
# the distilled FLUX.3, which knows where a step ends.
MARKS = {"z_image": "siglip_embedder.0.weight", "flux3": "target_timestep_embedder.linear_1.weight"}
TRANSFORMERS = ("flux1", "flux2", "flux3", "z_image")
ROLES = {  # what a person calls them
    "flux1": "a FLUX.1 transformer",
    "flux2": "a FLUX.2 transformer",
    "flux3": "a FLUX.3 transformer",
    "z_image": "a Z-Image transformer",
    "clip": "CLIP",
    "t5": "T5",
    "qwen3": "Qwen3",
    "mistral": "Mistral",
    "qwen3_vl": "Qwen3-VL",
    "vae": "a VAE",
}
ROLES_OF_CLASSES = {  # of transformers
    "CLIPTextModel": "clip",
    "T5EncoderModel": "t5",
    "Qwen3ForCausalLM": "qwen3",
    "Mistral3ForConditionalGeneration": "mistral",
}
FOREIGN = {  # a part of a weight's name -> whose format it is, and what to take instead
    ".wscales": "an SVDQuant (nunchaku) file, which needs nunchaku's own nodes; take the bf16, fp8 or GGUF file, or the"
    " nunchaku_lite folder of diffusers",
    ".pre_quant_scale": "a file with smoothed (AWQ) weights; open it with ComfyUI's own loader, our sampler takes its MODEL",
    "distilled_guidance_layer.": "a Chroma; wanted: FLUX.1, FLUX.2 or Z-Image. ComfyUI's own loader opens it",
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

    def length(self, name: str, axis: int) -> int:
        """One axis of a weight's shape. Raises ModelFilesError where the weight is missing or has fewer axes."""
        shape = self.shape(name)
        if axis >= len(shape):
            wanted = f"{name} of at least {axis + 1} axes; the file has {list(shape)}"
            raise ModelFilesError("model", self.file.path.name, wanted)
        return shape[axis]

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
        return self.length(name or "embed_tokens.weight", 1)


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


def describe(role: str, guidance: bool, channels: int, name: str, marked: bool = False) -> Described:
    """Family and edition of a transformer: does it embed guidance, how many channels go in, has it what MARKS has of it.

    Raises ModelFilesError for channels that no edition has.
    """
    if role == "flux2":
        edition = PIPELINES["Flux2Pipeline" if guidance else "Flux2KleinPipeline"]
        note = "" if guidance else "taken for the distilled klein (4 steps); the base model wants 50 steps and cfg 4"
        return Described(edition, edition.quick or edition.defaults, DEV_SCHEDULER, note)
    if role == "flux3":
        edition = PIPELINES["Flux3DistilledModularPipeline" if marked else "Flux3ModularPipeline"]
        return Described(edition, edition.defaults, dict(FLUX3.scheduler_config or {}), "")
    if role == "z_image" and marked:
        edition = PIPELINES["ZImageOmniPipeline"]
        note = (
            "references through TextEncodeZImageOmni, or open its whole diffusers folder; a shift of 6, as the base has"
        )
        return Described(edition, edition.defaults, {**Z_IMAGE_SCHEDULER, "shift": 6.0}, note)
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


# Members of a family whose files look like another member's: what their user has to say.
_BASE_KLEIN, _BASE_Z_IMAGE = PIPELINES["Flux2KleinPipeline"], PIPELINES["ZImagePipeline"]
_KONTEXT, _KLEIN_KV = PIPELINES["FluxKontextPipeline"], PIPELINES["Flux2KleinKVPipeline"]
LOOKALIKES: Mapping[str, Described] = {
    "FLUX.1 Kontext": Described(_KONTEXT, _KONTEXT.defaults, DEV_SCHEDULER, ""),
    "FLUX.2 klein base": Described(_BASE_KLEIN, _BASE_KLEIN.defaults, DEV_SCHEDULER, ""),
    "FLUX.2 klein KV": Described(_KLEIN_KV, _KLEIN_KV.defaults, DEV_SCHEDULER, ""),
    "Z-Image base": Described(_BASE_Z_IMAGE, _BASE_Z_IMAGE.defaults, {**Z_IMAGE_SCHEDULER, "shift": 6.0}, ""),
}


def as_lookalike(described: Described, edition: str, name: str) -> Described:
    """What a user says of a transformer that looks like `described`. Raises InputError where it cannot be that."""
    said = LOOKALIKES.get(edition)
    if said is None:
        raise InputError("edition", edition, "one of: auto, " + ", ".join(LOOKALIKES))
    fits = said.family is described.family and said.edition.beside_noise == described.edition.beside_noise
    # Kontext embeds guidance as dev does; schnell, which wants none, is not it.
    if not fits or (said.family is FLUX1 and not described.defaults.guidance):
        looks = [known for known, other in LOOKALIKES.items() if other.family is described.family]
        raise InputError("edition", edition, f"auto, or one that {name} may be: {', '.join(looks) or 'none is known'}")
    require_release(name, said.edition)
    return said


def describe_part(part: Part) -> Described:
    guidance = any("guidance_embedder" in name for name in part.sources)
    channels = 0 if part.role in MARKS else part.length("x_embedder.weight", 1)
    return describe(part.role, guidance, channels, part.file.path.name, part.has(MARKS.get(part.role, "")))


def _axes(head: int, real: tuple[int, ...]) -> tuple[int, ...]:
    """How a head's width is shared among the axes: as in the published models."""
    return tuple(axis * head // sum(real) for axis in real)


def _flux_config(part: Part, axes: tuple[int, ...]) -> dict[str, Any]:
    """What FLUX.1 and FLUX.2 say in the same words; `axes`: of the published model's heads."""
    head = part.length("transformer_blocks.0.attn.norm_q.weight", 0)
    width, channels = part.shape("x_embedder.weight")
    return {
        "in_channels": channels,
        "out_channels": part.length("proj_out.weight", 0),
        "num_layers": part.count("transformer_blocks"),
        "num_single_layers": part.count("single_transformer_blocks"),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "joint_attention_dim": part.length("context_embedder.weight", 1),
        "axes_dims_rope": _axes(head, axes),
    }


def _flux1_config(part: Part) -> dict[str, Any]:
    return _flux_config(part, (16, 56, 56)) | {
        "pooled_projection_dim": part.length("time_text_embed.text_embedder.linear_1.weight", 1),
        "guidance_embeds": part.has("time_text_embed.guidance_embedder.linear_1.weight"),
    }


def _flux2_config(part: Part) -> dict[str, Any]:
    width = part.length("x_embedder.weight", 0)
    return _flux_config(part, (32, 32, 32, 32)) | {
        "timestep_guidance_channels": part.length("time_guidance_embed.timestep_embedder.linear_1.weight", 1),
        "mlp_ratio": part.length("transformer_blocks.0.ff.linear_out.weight", 1) / width,
        "guidance_embeds": part.has("time_guidance_embed.guidance_embedder.linear_1.weight"),
    }


def _flux3_config(part: Part) -> dict[str, Any]:
    head = part.length("mode_blocks.image.0.attn.norm_q.weight", 0)
    width, channels = part.shape("x_embedders.image.weight")
    return {
        "in_channels": channels,
        "cond_in_channels": part.length("x_embedders.image_cond.weight", 1),
        "num_layers": part.count("mode_blocks.image"),
        "num_single_layers": part.count("single_transformer_blocks"),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "joint_attention_dim": part.length("context_embedder.weight", 1),
        "timestep_channels": part.length("timestep_embedder.linear_1.weight", 1),
        "mlp_ratio": part.length("mode_blocks.image.0.ff.linear_out.weight", 1) / width,
        "axes_dims_rope": _axes(head, (32, 32, 32, 32)),
        "flow_map": part.has(MARKS["flux3"]),
    }


def _z_image_config(part: Part) -> dict[str, Any]:
    head = part.length("layers.0.attention.norm_q.weight", 0)
    width, channels = part.shape("all_x_embedder.2-1.weight")
    return {
        "in_channels": channels // 4,
        "dim": width,
        "n_layers": part.count("layers"),
        "n_refiner_layers": part.count("noise_refiner"),
        "n_heads": part.length("layers.0.attention.to_q.weight", 0) // head,
        "n_kv_heads": part.length("layers.0.attention.to_k.weight", 0) // head,
        "cap_feat_dim": part.length("cap_embedder.1.weight", 1),
        "axes_dims": list(_axes(head, (32, 48, 48))),
        "axes_lens": [1536, 512, 512],
        "siglip_feat_dim": part.length(MARKS["z_image"], 0) if part.has(MARKS["z_image"]) else None,
    }


# --- ... of a VAE, of a text encoder ------------------------------------------------------------------------------------


def _vae_config(part: Part) -> dict[str, Any]:
    levels = part.count("encoder.down_blocks")
    encoder = [part.length(f"encoder.down_blocks.{i}.resnets.0.conv1.weight", 0) for i in range(levels)]
    decoder = [part.length(f"decoder.up_blocks.{i}.resnets.0.conv1.weight", 0) for i in range(levels)]
    config = {
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
        "block_out_channels": tuple(encoder),
        "layers_per_block": part.count("encoder.down_blocks.0.resnets"),
        "latent_channels": part.length("decoder.conv_in.weight", 1),
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
        "intermediate_size": part.length("encoder.layers.0.mlp.fc1.weight", 0),
        "projection_dim": width,
        "num_hidden_layers": part.count("encoder.layers"),
        "num_attention_heads": max(width // 64, 1),
        "max_position_embeddings": part.length("embeddings.position_embedding.weight", 0),
        "bos_token_id": words - 2,
        "eos_token_id": words - 1,
        "pad_token_id": words - 1,
    }


def _t5_config(part: Part) -> dict[str, Any]:
    if part.has("encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight"):
        raise ModelFilesError("model", part.file.path.name, "T5 1.1; this is a UMT5 (Wan's), which is as wide")
    words, width = part.shape("shared.weight")
    buckets, heads = part.shape("encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight")
    return {
        "vocab_size": words,
        "d_model": width,
        "d_kv": part.length("encoder.block.0.layer.0.SelfAttention.q.weight", 0) // heads,
        "d_ff": part.length("encoder.block.0.layer.1.DenseReluDense.wo.weight", 1),
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
        "intermediate_size": part.length("layers.0.mlp.gate_proj.weight", 0),
        "num_hidden_layers": part.count("layers"),
        "num_attention_heads": part.length("layers.0.self_attn.q_proj.weight", 0) // head,
        "num_key_value_heads": part.length("layers.0.self_attn.k_proj.weight", 0) // head,
        "head_dim": head,
    }


def _qwen3_config(part: Part) -> dict[str, Any]:
    if any("visual.blocks.0." in name for name in part.file.entries):
        wanted = "Qwen3; this is a Qwen-VL, which also sees and is as wide: FLUX.3 takes it, from a folder"
        raise ModelFilesError("model", part.file.path.name, wanted)
    config = _llama_like(part, part.length("layers.0.self_attn.q_norm.weight", 0))
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
    said = part.file.metadata  # a GGUF tells what shapes do not
    architecture = said.get("general.architecture", "llama")
    head = said.get(f"{architecture}.attention.key_length", MISTRAL_HEAD)
    if architecture not in ("llama", "mistral3") or head != MISTRAL_HEAD:
        wanted = f"a Mistral, whose heads are {MISTRAL_HEAD} wide; this one is a {architecture}, with {head}"
        raise ModelFilesError("model", part.file.path.name, wanted)
    return _llama_like(part, MISTRAL_HEAD) | {
        "rope_theta": float(said.get(f"{architecture}.rope.freq_base", 1_000_000_000)),
        "rms_norm_eps": 1e-5,
        "max_position_embeddings": 131_072,
        "sliding_window": None,
        "tie_word_embeddings": not part.has("lm_head.weight"),
    }


def _config(part: Part) -> dict[str, Any]:
    make: dict[str, Callable[[Part], dict[str, Any]]] = {
        "flux1": _flux1_config,
        "flux2": _flux2_config,
        "flux3": _flux3_config,
        "z_image": _z_image_config,
        "vae": _vae_config,
        "clip": _clip_config,
        "t5": _t5_config,
        "qwen3": _qwen3_config,
        "mistral": _mistral_config,
    }
    try:
        return make[part.role](part)
    except ModelFilesError:
        raise
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
        "flux3": "Flux3Transformer2DModel",
        "z_image": "ZImageTransformer2DModel",
        "vae": "AutoencoderKLFlux2" if part.role == "vae" and is_flux2_vae(part) else "AutoencoderKL",
    }.get(part.role)
    if cls is not None and not hasattr(diffusers, cls):
        wanted = f"a newer diffusers than {diffusers.__version__}: it has no {cls}"
        raise ModelFilesError("model", part.file.path.name, wanted)
    try:
        with init_empty_weights():
            if cls is not None:
                return getattr(diffusers, cls)(**config)
            if part.role == "clip":
                return transformers.CLIPTextModel(transformers.CLIPTextConfig(**config))
            if part.role == "t5":
                return transformers.T5EncoderModel(transformers.T5Config(**config))
            if part.role == "qwen3":
                return transformers.Qwen3ForCausalLM(transformers.Qwen3Config(**config))
            return transformers.MistralForCausalLM(transformers.MistralConfig(**config))
    except Exception as error:  # configs are checked with exceptions that are none of Python's own
        what = ROLES[part.role]
        raise ModelFilesError("model", part.file.path.name, f"the shapes of {what}; {error}") from error


# --- loading ------------------------------------------------------------------------------------------------------------

# What stands before a layer in the modules of some releases of transformers and not in files, or in others' files.
_WRAPPERS = re.compile(r"^(?:text_model|model)\.")


def load_part(part: Part, dtype: torch.dtype, keep: bool) -> torch.nn.Module:
    """The module in eval mode, without gradients, its weights in `dtype`. `keep` and errors: as in fill."""
    require_known_format(part.file)
    return fill(_build(part), part.file, part.sources, dtype, keep)


def fill(
    module: torch.nn.Module, file: WeightFile, sources: Mapping[str, Source], dtype: torch.dtype, keep: bool
) -> torch.nn.Module:
    """The weights of a file put into a module that has none: eval mode, no gradients, weights in `dtype`.

    keep: a linear layer's weight that is not written as numbers (studio/weights/quantised.py) stays as it is, as int8
    bytes, beside an attribute `stored` that expands them; such a layer computes nothing until a caller gives it a class
    that does. Otherwise they are expanded here. Raises ModelFilesError where weights are missing, have other shapes, or
    a format that cannot be read.
    """
    import diffusers
    import torch

    if hasattr(module, "tie_weights"):
        module.tie_weights()
    name = file.path.name
    places = _places(module)
    wanted: dict[str, Source] = {}
    aliases: set[int] = set()  # weights that are one and the same under two names are read once
    for target, place in places.items():
        key = next((key for key in (target, _WRAPPERS.sub("", target)) if key in sources), None)
        if key is not None:
            wanted[target] = sources[key]
            aliases.add(id(place.tensor))
    missing = sorted(
        target for target, place in places.items() if target not in wanted and id(place.tensor) not in aliases
    )
    if missing:
        raise ModelFilesError("model", name, f"every weight in it; {len(missing)} are missing, such as {missing[0]}")
    log.debug("Storefront: %s: %d weights for %s.", name, len(wanted), type(module).__name__)

    by_source: dict[str, list[str]] = {}
    for target, source in wanted.items():
        by_source.setdefault(source.name, []).append(target)
    layers = {key: file.layers[key] for key in by_source.keys() & file.layers.keys()}
    for key, unshaped in layers.items():
        if unshaped.of_shape is not None:
            layers[key] = unshaped.of_shape(tuple(places[by_source[key][0]].tensor.shape))
    _require_readable(file, layers.values())
    fragile = getattr(module, "_keep_in_fp32_modules", None) or ()
    strict = getattr(module, "_keep_in_fp32_modules_strict", None) or ()
    # transformers means in fp16, diffusers in bf16 too.
    precise = {*strict, *(fragile if dtype == torch.float16 or isinstance(module, diffusers.ModelMixin) else ())}

    filled: dict[int, Any] = {}
    moved = {source.name for source in wanted.values() if source.heads}
    as_is = {key for key in by_source.keys() - moved if _stays(file, layers, key, dtype, keep)}
    for names, release in ((as_is, False), (by_source.keys() - as_is, True)):
        for source_name, tensors in file.read(sorted(names), release):
            layer = layers.get(source_name)
            assert layer is None or layer.pack is not None
            tensor, stored = layer.pack(tensors) if layer and layer.pack else (tensors[0], None)
            for target in by_source[source_name]:
                place, source = places[target], wanted[target]
                own = torch.float32 if any(part in target.split(".") for part in precise) else dtype
                rows = _cut(tensor, source)
                form = stored.rows(source.start, source.stop) if stored is not None else None
                if form is not None and keep and place.is_linear_weight and not source.swap:
                    value, shape = rows.contiguous(), (len(rows), form.columns(rows))
                    place.module.stored = form
                    place.module.compute_dtype = own  # diffusers' name: its embedders ask for it
                else:
                    value = rows if form is None else form.expand(rows.contiguous(), own)
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
                shared = any(value.untyped_storage().data_ptr() == t.untyped_storage().data_ptr() for t in tensors)
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


def _require_readable(file: WeightFile, layers: Iterable[Layer]) -> None:
    if kinds := sorted({layer.kind for layer in layers if layer.pack is None}):
        raise ModelFilesError(
            "model",
            file.path.name,
            "bf16, fp16, fp8, int8, nvfp4, mxfp8, bitsandbytes, optimum-quanto, torchao, SDNQ, SVDQuant, AutoRound or"
            " GGUF weights; it has "
            + ", ".join(kinds)
            + ". ComfyUI's own loader may open it: our sampler takes its MODEL",
        )


def _cut(tensor: torch.Tensor, source: Source) -> torch.Tensor:
    """The rows that a source takes, in the order of the module's."""
    rows = tensor[source.start : source.stop] if source.stop is not None and tensor.ndim else tensor
    if source.heads:
        return rows.reshape(source.heads, -1, 2, *rows.shape[1:]).transpose(1, 2).reshape(rows.shape)
    return rows


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


def _stays(file: WeightFile, layers: Mapping[str, Layer], name: str, dtype: torch.dtype, keep: bool) -> bool:
    """Whether a tensor is used as it lies in the file. The pages of the others are let go as they are read."""
    import torch

    if name in layers:
        return keep and layers[name].as_is
    return file.entries[name].kind == {torch.bfloat16: "BF16", torch.float16: "F16", torch.float32: "F32"}.get(dtype)
