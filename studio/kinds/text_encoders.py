"""What reads words for a transformer, and what looks at pictures beside them."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from ..errors import ModelFilesError
from . import tekken
from .facts import Family, Widths
from .kind import Config, TextEncoderKind, whole_number
from .names import Naming, Rows, Shapes, count_rows, llama_cpp, same, without
from .part import Part


class Clip(TextEncoderKind):
    """CLIP-L's text encoder: FLUX.1's pooled embedding."""

    role = "clip"
    label = "CLIP"
    comfyui_names = ("l",)
    library = "transformers"
    classes = MappingProxyType({"CLIPTextModel": "CLIPTextModel"})
    reader = "CLIPTokenizerFast"  # before transformers 5, CLIPTokenizer cannot read a tokenizer.json
    vocabulary = ("sd1_tokenizer",)
    namings = (
        Naming("text_model.encoder.layers.0.mlp.fc1.weight", without("text_model.")),
        Naming("encoder.layers.0.mlp.fc1.weight", same, also=("embeddings.token_embedding.weight",)),
    )

    def config(self, part: Part) -> dict[str, Any]:
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

    def width(self, part: Part) -> int:
        return part.length("embeddings.token_embedding.weight", 1)

    def width_in(self, config: Config, name: str) -> int:
        return whole_number(config, "hidden_size", name)

    def wanted_width(self, widths: Widths, family: Family) -> int:
        return widths.pooled

    def finish_reader(self, reader: Any) -> Any:
        reader.model_max_length = 77  # ComfyUI's copy of the files says 8192
        return reader


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


class T5(TextEncoderKind):
    """T5's encoder: FLUX.1's sequence."""

    role = "t5"
    label = "T5"
    comfyui_names = ("t5xxl",)
    library = "transformers"
    classes = MappingProxyType({"T5EncoderModel": "T5EncoderModel"})
    reader = "T5TokenizerFast"
    vocabulary = ("text_encoders", "t5_tokenizer")
    namings = (
        Naming("encoder.block.0.layer.0.SelfAttention.q.weight", same),
        Naming("enc.blk.0.attn_q.weight", lambda shapes: llama_cpp(shapes, _LLAMA_CPP_T5, "encoder.block")),
    )

    def config(self, part: Part) -> dict[str, Any]:
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

    def width(self, part: Part) -> int:
        return part.length("shared.weight", 1)

    def width_in(self, config: Config, name: str) -> int:
        return whole_number(config, "d_model", name)


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


class _LanguageModel(TextEncoderKind):
    library = "transformers"

    def width(self, part: Part) -> int:
        return part.length("embed_tokens.weight", 1)

    def width_in(self, config: Config, name: str) -> int:
        return whole_number(config.get("text_config") or config, "hidden_size", name)  # of a model that also sees


_QWEN3_CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
# The part of the published chat template that a single message goes through.


class Qwen3(_LanguageModel):
    """Qwen3: the encoder of FLUX.2 klein and Z-Image."""

    role = "qwen3"
    label = "Qwen3"
    comfyui_names = ("qwen3_4b",)
    classes = MappingProxyType({"Qwen3ForCausalLM": "Qwen3ForCausalLM", "Qwen3Model": "Qwen3ForCausalLM"})
    reader = "Qwen2TokenizerFast"
    vocabulary = ("text_encoders", "qwen25_tokenizer")
    namings = (
        Naming("model.layers.0.self_attn.q_norm.weight", without("model.")),
        Naming("layers.0.self_attn.q_norm.weight", same),
        Naming("blk.0.attn_q_norm.weight", lambda shapes: llama_cpp(shapes, _LLAMA_CPP, "layers")),
    )

    def config(self, part: Part) -> dict[str, Any]:
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

    def size(self, width: int) -> str:
        return {2560: "4B", 4096: "8B"}.get(width, "")

    def finish_reader(self, reader: Any) -> Any:
        reader.chat_template = _QWEN3_CHAT  # the vocabulary is shared with older models, the template is not
        return reader


MISTRAL_HEAD = 128  # wide, in every published size


def _llama_cpp_mistral(shapes: Shapes) -> dict[str, Rows]:
    """llama.cpp pairs neighbouring rows in its rotary embedding, transformers those half a head apart."""
    out = llama_cpp(shapes, _LLAMA_CPP, "layers")
    for target, source in out.items():
        rows = count_rows(shapes[source.name])
        if target.endswith(("q_proj.weight", "k_proj.weight")) and rows % MISTRAL_HEAD == 0:
            out[target] = source._replace(heads=rows // MISTRAL_HEAD)
    return out


class Mistral(_LanguageModel):
    """Mistral Small 3: the encoder of FLUX.2 dev."""

    role = "mistral"
    label = "Mistral"
    comfyui_names = ("mistral3_24b",)
    classes = MappingProxyType({"Mistral3ForConditionalGeneration": "Mistral3ForConditionalGeneration"})
    reader = "PixtralProcessor"
    where_readers_are = (
        "a file that carries its tokenizer: ComfyUI's mistral_3_small_flux2 files do (tekken_model), and GGUF files"
    )
    namings = (
        Naming(
            "model.layers.0.self_attn.q_proj.weight",
            without("model."),
            also=("model.layers.0.input_layernorm.weight",),
            unless="model.layers.0.self_attn.q_norm.weight",
        ),
        Naming(
            "layers.0.self_attn.q_proj.weight",
            same,
            also=("layers.0.input_layernorm.weight",),
            unless="layers.0.self_attn.q_norm.weight",
        ),
        Naming(
            "blk.0.attn_q.weight", _llama_cpp_mistral, also=("token_embd.weight",), unless="blk.0.attn_q_norm.weight"
        ),
    )

    def class_of(self, part: Part) -> str:
        return "MistralForCausalLM"

    def config(self, part: Part) -> dict[str, Any]:
        metadata = part.file.metadata  # a GGUF tells what shapes do not
        architecture = metadata.get("general.architecture", "llama")
        head = metadata.get(f"{architecture}.attention.key_length", MISTRAL_HEAD)
        if architecture not in ("llama", "mistral3") or head != MISTRAL_HEAD:
            wanted = f"a Mistral, whose heads are {MISTRAL_HEAD} wide; this one is a {architecture}, with {head}"
            raise ModelFilesError("model", part.file.path.name, wanted)
        return _llama_like(part, MISTRAL_HEAD) | {
            "rope_theta": float(metadata.get(f"{architecture}.rope.freq_base", 1_000_000_000)),
            "rms_norm_eps": 1e-5,
            "max_position_embeddings": 131_072,
            "sliding_window": None,
            "tie_word_embeddings": not part.has("lm_head.weight"),
        }

    def own_reader(self, part: Part) -> Any | None:
        """Among the weights, as ComfyUI's files have it, or in a GGUF's header."""
        file, name = part.file, part.file.path.name
        tensor = next((entry for entry in file.entries if entry.endswith("tekken_model")), None)
        if tensor is not None:
            tokenizer = tekken.from_tekken(file.text(tensor), name)
        elif file.is_gguf:
            tokenizer = tekken.from_gguf(file.vocabulary(), name)
        else:
            return None
        rows = part.length("embed_tokens.weight", 0)
        if len(tokenizer) > rows:
            raise ModelFilesError("text_encoder", name, f"at most {rows} tokens; its tokenizer has {len(tokenizer)}")
        return tokenizer

    def words_alone(self, cls: Any, config: Any, has_head: bool) -> tuple[Any, Any]:
        import transformers

        text = config.text_config
        text.tie_word_embeddings = not has_head
        return transformers.MistralForCausalLM, text


class Qwen3Vl(_LanguageModel):
    """Opened from folders alone."""

    role = "qwen3_vl"
    label = "Qwen3-VL"
    comfyui_names = ("qwen3_vl",)
    classes = MappingProxyType({"Qwen3VLForConditionalGeneration": "Qwen3VLForConditionalGeneration"})
    reader = "Qwen3VLProcessor"

    def config(self, part: Part) -> dict[str, Any]:
        raise NotImplementedError


class Siglip(TextEncoderKind):
    """Z-Image Omni's eye. Opened from folders alone."""

    role = "siglip"
    label = "SigLIP 2"
    comfyui_names = ()
    library = "transformers"
    classes = MappingProxyType({"Siglip2VisionModel": "Siglip2VisionModel"})
    reader = "Siglip2ImageProcessor"
    reads_text = False

    def config(self, part: Part) -> dict[str, Any]:
        raise NotImplementedError

    def width(self, part: Part) -> int:
        raise NotImplementedError

    def width_in(self, config: Config, name: str) -> int:
        return whole_number(config.get("vision_config") or config, "hidden_size", name)

    def reader_folder(self, name: str) -> str:
        return f"{name}_processor"


KINDS = (Clip(), T5(), Qwen3(), Mistral(), Qwen3Vl(), Siglip())
