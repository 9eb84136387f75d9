"""Pipelines of random weights, 0.1 to 1.5 M parameters, with the layouts of the real ones: for parity, where size is in
the way."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import diffusers
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

MICRO = Path(__file__).resolve().parents[2] / "models" / "flux-micro"

# The parts of the published chat templates that a prompt goes through.
QWEN_CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
QWEN_PARTS_CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% for c in m['content'] %}{% if c['type'] == 'text' %}"
    "{{ c['text'] }}{% else %}<|vision_start|><|image_pad|><|vision_end|>{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
MISTRAL_CHAT = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'system' %}[SYSTEM_PROMPT]"
    "{% for c in m['content'] %}{{ c['text'] }}{% endfor %}[/SYSTEM_PROMPT]{% elif m['role'] == 'user' %}[INST]"
    "{% for c in m['content'] %}{% if c['type'] == 'text' %}{{ c['text'] }}{% else %}[IMG]{% endif %}{% endfor %}[/INST]"
    "{% else %}{{ m['content'][0]['text'] }}{{ eos_token }}{% endif %}{% endfor %}"
)

FLUX1_EDITIONS = {  # pipeline class, input channels of the transformer
    "FLUX.1": (diffusers.FluxPipeline, 64),
    "FLUX.1 Kontext": (diffusers.FluxKontextPipeline, 64),
    "FLUX.1 Fill": (diffusers.FluxFillPipeline, 384),
    "FLUX.1 Control": (diffusers.FluxControlPipeline, 128),
}


def _unigram(pieces: list[tuple[str, float]]) -> Tokenizer:
    """T5's tokenizer as its file has it: transformers before 5 cannot make one from a vocabulary."""
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    return tokenizer


def build(
    folder,
    guidance: bool = True,
    dynamic_shift: bool = True,
    edition: str = "FLUX.1",
    pooled_width: int = 16,
    text_width: int = 16,
) -> None:
    """Write a FLUX.1 to `folder`, as a user would have it on disk. The widths are those of CLIP and T5."""
    pipeline, channels = FLUX1_EDITIONS[edition]
    torch.manual_seed(0)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = alphabet + [letter + "</w>" for letter in alphabet] + ["<|startoftext|>", "<|endoftext|>"]
    files = folder / "made"
    files.mkdir(parents=True)
    (files / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(vocabulary)}))
    (files / "merges.txt").write_text("#version: 0.2\n")
    (files / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "CLIPTokenizer", "model_max_length": 77})
    )
    clip_tokenizer = transformers.CLIPTokenizer.from_pretrained(files)
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    pieces += [(chr(code), -3.0) for code in range(33, 127)]
    t5_tokenizer = transformers.T5TokenizerFast(tokenizer_object=_unigram(pieces), extra_ids=0)
    t5_tokenizer.model_max_length = 48
    clip = transformers.CLIPTextModel(
        transformers.CLIPTextConfig(
            vocab_size=len(clip_tokenizer),
            hidden_size=pooled_width,
            intermediate_size=32,
            projection_dim=pooled_width,
            num_hidden_layers=2,
            num_attention_heads=2,
            bos_token_id=clip_tokenizer.bos_token_id,
            eos_token_id=clip_tokenizer.eos_token_id,
            pad_token_id=clip_tokenizer.pad_token_id,
        )
    )
    t5 = transformers.T5EncoderModel(
        transformers.T5Config(
            vocab_size=len(t5_tokenizer),
            d_model=text_width,
            d_kv=8,
            d_ff=32,
            num_layers=2,
            num_heads=2,
            feed_forward_proj="gated-gelu",
            is_encoder_decoder=False,
            use_cache=False,
        )
    )
    transformer = diffusers.FluxTransformer2DModel(
        in_channels=channels,
        out_channels=64,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=text_width,
        pooled_projection_dim=pooled_width,
        guidance_embeds=guidance,
        axes_dims_rope=(4, 6, 6),
    )
    pipeline(
        scheduler=_scheduler(dynamic_shift),
        text_encoder=clip,
        tokenizer=clip_tokenizer,
        text_encoder_2=t5,
        tokenizer_2=t5_tokenizer,
        transformer=transformer,
        vae=_vae(diffusers.AutoencoderKL, 16, shift_factor=0.1159, scaling_factor=0.3611),
    ).save_pretrained(folder)


def _scheduler(dynamic_shift: bool = True) -> diffusers.FlowMatchEulerDiscreteScheduler:
    return diffusers.FlowMatchEulerDiscreteScheduler(
        use_dynamic_shifting=dynamic_shift,
        shift=3.0,
        base_shift=0.5,
        max_shift=1.15,
        base_image_seq_len=256,
        max_image_seq_len=4096,
    )


def _vae(cls, latent_channels: int, quant_conv: bool = False, **options):
    return cls(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(4, 4, 8, 8),
        latent_channels=latent_channels,
        norm_num_groups=2,
        use_quant_conv=quant_conv,
        use_post_quant_conv=quant_conv,
        **options,
    )


def _flux2_vae() -> diffusers.AutoencoderKLFlux2:
    vae = _vae(diffusers.AutoencoderKLFlux2, 32, quant_conv=True)
    # A trained one has statistics of its own; those of a new one would hide a forgotten normalisation.
    vae.bn.running_mean.normal_()
    vae.bn.running_var.uniform_(0.5, 2.0)
    return vae


def _bytes(specials: list[str]) -> Tokenizer:
    """A byte-level tokenizer without merges: any text is tokens, Hangul too."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate([*specials, *alphabet])}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _qwen_tokenizer(more: Sequence[str] = ()) -> transformers.Qwen2TokenizerFast:
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>", *more]
    tokenizer = transformers.Qwen2TokenizerFast(
        tokenizer_object=_bytes(specials),
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        unk_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>", *more],
    )
    tokenizer.chat_template = QWEN_CHAT
    return tokenizer


def _qwen3(tokenizer, layers: int) -> transformers.Qwen3ForCausalLM:
    return transformers.Qwen3ForCausalLM(
        transformers.Qwen3Config(
            vocab_size=len(tokenizer),
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=layers,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=8,
            tie_word_embeddings=True,
            max_position_embeddings=2048,
            bos_token_id=0,
            eos_token_id=2,
            pad_token_id=0,
        )
    )


def _flux2_transformer(guidance: bool) -> diffusers.Flux2Transformer2DModel:
    return diffusers.Flux2Transformer2DModel(
        in_channels=128,
        num_layers=1,
        num_single_layers=2,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=48,
        timestep_guidance_channels=16,
        axes_dims_rope=(4, 4, 4, 4),
        guidance_embeds=guidance,
    )


def build_flux2_dev(folder) -> None:
    torch.manual_seed(0)
    specials = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[IMG]", "[IMG_BREAK]", "[IMG_END]", "<pad>"]
    specials += ["[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"]
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=_bytes(specials),
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        padding_side="left",
        additional_special_tokens=[s for s in specials if s.startswith("[")],
    )
    processor = transformers.PixtralProcessor(
        image_processor=transformers.PixtralImageProcessor(patch_size=14, size={"longest_edge": 56}),
        tokenizer=tokenizer,
        patch_size=14,
        spatial_merge_size=1,
        chat_template=MISTRAL_CHAT,
    )
    text = {
        "model_type": "mistral",
        "vocab_size": len(tokenizer),
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 31,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 8,
        "max_position_embeddings": 2048,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 8,
    }
    vision = {
        "model_type": "pixtral",
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "head_dim": 8,
        "image_size": 56,
        "patch_size": 14,
    }
    config = transformers.Mistral3Config(
        text_config=text, vision_config=vision, image_token_index=5, spatial_merge_size=1
    )
    diffusers.Flux2Pipeline(
        scheduler=_scheduler(),
        vae=_flux2_vae(),
        tokenizer=processor,
        text_encoder=transformers.Mistral3ForConditionalGeneration(config),
        transformer=_flux2_transformer(guidance=True),
    ).save_pretrained(folder)


def build_klein(folder, distilled: bool = True, pipeline: str = "Flux2KleinPipeline") -> None:
    torch.manual_seed(0)
    tokenizer = _qwen_tokenizer()
    getattr(diffusers, pipeline)(
        scheduler=_scheduler(),
        vae=_flux2_vae(),
        tokenizer=tokenizer,
        text_encoder=_qwen3(tokenizer, 28),
        transformer=_flux2_transformer(guidance=False),
        is_distilled=distilled,
    ).save_pretrained(folder)


def build_flux3(folder, distilled: bool = False) -> None:
    torch.manual_seed(0)
    tokenizer = _qwen_tokenizer()
    size = len(tokenizer)
    text = {
        "vocab_size": size + 4,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 33,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 8,
        "max_position_embeddings": 9000,
        "rope_scaling": {"rope_type": "default", "mrope_section": [2, 1, 1], "mrope_interleaved": True},
        "pad_token_id": 0,
    }
    vision = {
        "depth": 1,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_heads": 2,
        "out_hidden_size": 16,
        "patch_size": 4,
        "num_position_embeddings": 16,
        "deepstack_visual_indexes": [0],
    }
    marks = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
    places = {name: size + index for index, name in enumerate(marks)}
    config = transformers.Qwen3VLConfig(text_config=text, vision_config=vision, **places)
    from diffusers.modular_pipelines.flux3.modular_blocks_flux3 import Flux3AutoBlocks
    from diffusers.modular_pipelines.flux3.modular_blocks_flux3_distilled import Flux3DistilledAutoBlocks

    pipeline = (Flux3DistilledAutoBlocks if distilled else Flux3AutoBlocks)().init_pipeline()
    pipeline.update_components(
        text_encoder=transformers.Qwen3VLForConditionalGeneration(config),
        tokenizer=transformers.Qwen3VLProcessor(
            image_processor=transformers.Qwen2VLImageProcessor(),
            tokenizer=tokenizer,
            video_processor=transformers.Qwen3VLVideoProcessor(),
            chat_template=QWEN_CHAT,
        ),
        vae=_flux2_vae(),
        transformer=diffusers.Flux3Transformer2DModel(
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=128,
            timestep_channels=16,
            axes_dims_rope=(4, 4, 4, 4),
            flow_map=distilled,
        ),
    )
    pipeline.save_pretrained(str(folder))


def build_upsampler(folder) -> None:
    """A prompt upsampler as FLUX.3's is published, which writes gibberish."""
    torch.manual_seed(0)
    marks = ["<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>"]
    tokenizer = _qwen_tokenizer(marks)
    places = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16}
    heads |= {
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 4,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
    }
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "layer_types": ["linear_attention", "full_attention"],
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10000.0,
            "partial_rotary_factor": 0.5,
            "mrope_section": [2, 1, 1],
            "mrope_interleaved": True,
        },
        "bos_token_id": 0,
        "eos_token_id": 2,
        "pad_token_id": 0,
    }
    vision = {
        "depth": 1,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_heads": 2,
        "out_hidden_size": 32,
        "patch_size": 16,
        "num_position_embeddings": 16,
    }
    config = transformers.Qwen3_5Config(
        text_config=text | heads,
        vision_config=vision,
        **{place: tokenizer.convert_tokens_to_ids(mark) for place, mark in zip(places, marks, strict=True)},
    )
    model = transformers.Qwen3_5ForConditionalGeneration(config)
    for weight in model.parameters():  # as made, the weights are too small for the words to matter
        if weight.ndim > 1:
            weight.data.mul_(8)
    model.save_pretrained(folder)
    transformers.Qwen3VLProcessor(
        image_processor=transformers.Qwen2VLImageProcessor(patch_size=16, min_pixels=32 * 32),
        tokenizer=tokenizer,
        video_processor=transformers.Qwen3VLVideoProcessor(),
        chat_template=QWEN_PARTS_CHAT,
    ).save_pretrained(folder)


def build_zimage(folder, turbo: bool = True) -> None:
    torch.manual_seed(0)
    tokenizer = _qwen_tokenizer()
    diffusers.ZImagePipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0 if turbo else 6.0),
        tokenizer=tokenizer,
        text_encoder=_qwen3(tokenizer, 3),
        transformer=_zimage_transformer(),
        vae=_vae(diffusers.AutoencoderKL, 16, shift_factor=0.1159, scaling_factor=0.3611),
    ).save_pretrained(folder)


def build_zimage_omni(folder) -> None:
    torch.manual_seed(0)
    tokenizer = _qwen_tokenizer()
    vision = {"hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    diffusers.ZImageOmniPipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=6.0),
        tokenizer=tokenizer,
        text_encoder=_qwen3(tokenizer, 3),
        transformer=_zimage_transformer(siglip_feat_dim=24),
        vae=_vae(diffusers.AutoencoderKL, 16, shift_factor=0.1159, scaling_factor=0.3611),
        siglip=transformers.Siglip2VisionModel(
            transformers.Siglip2VisionConfig(**vision, patch_size=16, num_patches=16)
        ),
        siglip_processor=transformers.Siglip2ImageProcessor(patch_size=16, max_num_patches=12),
    ).save_pretrained(folder)


def _zimage_transformer(**options) -> diffusers.ZImageTransformer2DModel:
    transformer = diffusers.ZImageTransformer2DModel(
        all_patch_size=(2,),
        all_f_patch_size=(1,),
        in_channels=16,
        dim=128,  # of less, more than half of the weights would be the time embedder's, whose size is fixed
        n_layers=2,
        n_refiner_layers=1,
        n_heads=4,
        n_kv_heads=4,
        cap_feat_dim=16,
        axes_dims=[8, 12, 12],
        axes_lens=[1024, 512, 512],
        **options,
    )
    for name, token in transformer.named_parameters(recurse=False):
        assert name.endswith("pad_token")  # older diffusers make them by torch.empty: they differ from run to run
        torch.nn.init.normal_(token, std=0.02)
    return transformer


BUILDERS = {
    "FLUX.1": build,
    "FLUX.1 Kontext": lambda folder: build(folder, edition="FLUX.1 Kontext"),
    "FLUX.1 Fill": lambda folder: build(folder, edition="FLUX.1 Fill"),
    "FLUX.1 Control": lambda folder: build(folder, edition="FLUX.1 Control"),
    "FLUX.2 dev": build_flux2_dev,
    "FLUX.2 klein": build_klein,
    "FLUX.2 klein KV": lambda folder: build_klein(folder, pipeline="Flux2KleinKVPipeline"),
    "FLUX.2 klein base": lambda folder: build_klein(folder, distilled=False),
    "FLUX.3": build_flux3,
    "FLUX.3 distilled": lambda folder: build_flux3(folder, distilled=True),
    "Z-Image Turbo": build_zimage,
    "Z-Image": lambda folder: build_zimage(folder, turbo=False),
    "Z-Image Omni": build_zimage_omni,
}


def build_clip(folder, seed: int = 0) -> transformers.CLIPModel:
    """Write a CLIP of 0.1 M parameters to `folder`, as a download has it, with flux-micro's tokenizer."""
    torch.manual_seed(seed)
    tokenizer = transformers.CLIPTokenizerFast.from_pretrained(MICRO / "tokenizer")
    layers = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {
        "vocab_size": len(tokenizer),
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = {"image_size": 32, "patch_size": 8}
    model = transformers.CLIPModel(
        transformers.CLIPConfig(text_config=layers | text, vision_config=layers | vision, projection_dim=24)
    ).eval()
    for weight in model.parameters():  # as made, the weights are too small for a picture to matter
        if weight.ndim > 1:
            weight.data.mul_(8)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(
        folder
    )
    return model
