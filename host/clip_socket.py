"""ComfyUI's CLIP around transformers' text encoders."""

from __future__ import annotations

import types
from typing import Any

import comfy.sd
import torch

from ..studio.errors import Bare, InputError
from ..studio.sampling import encode
from .progress import check_cancel
from .stored_patches import WorthOfBytes, keeping_bytes, stored_layers

# In our CONDITIONING: the text is as long as diffusers has it. Stock FLUX.2 encoders leave padding to the model.
OWN_LENGTH = "storefront_own_length"
PROMPTS = "storefront_prompts"  # in a CONDITIONING: the words, which Z-Image Omni reads otherwise beside a picture


class Tokenizer:
    """Keeps the texts as ids and lets stock nodes swap one encoder's part for another's ("l", "t5xxl")."""

    def __init__(self, tokenizer: encode.PairTokenizer | encode.ChatTokenizer):
        self.studio = tokenizer

    def tokenize_with_weights(
        self,
        text: str | list[str],
        return_word_ids: bool = False,
        max_tokens: int = 0,
        thinking: bool | None = None,
        skip_template: bool = False,
        image: Any = None,
        video: Any = None,
        audio: Any = None,
        llama_template: str | None = None,
        **more: Any,
    ) -> dict[str, encode.Tokens]:
        """For encoding, in a template ({} is the text) or the model's own; with `thinking` (stock TextGenerate says it, CLIPTextEncode does not) a text to be answered."""
        texts = [text] if isinstance(text, str) else text
        for one in texts:  # stock nodes ask nothing of their texts
            encode.require_prompt("text", one)
        if thinking is None and llama_template and isinstance(self.studio, encode.ChatTokenizer):
            return self.studio.tokenize(texts, max_tokens=max_tokens, template=llama_template)
        if thinking is None:
            tokens = self.studio.tokenize(texts, max_tokens=max_tokens)
            _require_length(tokens.get("t5xxl"), more.get("tokenizer_options") or {})
            return tokens
        if not isinstance(self.studio, encode.ChatTokenizer):
            raise InputError(
                "clip", "CLIP and T5", "a language model, such as FLUX.2's or Z-Image's: these cannot write"
            )
        if any(medium is not None for medium in (image, video, audio)):
            raise InputError("image", "a picture, film or sound", "words alone: this encoder reads nothing else")
        return self.studio.question(texts[0], thinking, skip_template)

    def decode(self, token_ids: list[int], skip_special_tokens: bool = True) -> str:
        assert isinstance(self.studio, encode.ChatTokenizer)
        return self.studio.decode(token_ids)

    def state_dict(self) -> dict[str, Any]:
        return {}


def _require_length(tokens: encode.Tokens | None, options: dict[str, Any]) -> None:
    """Raise InputError where T5TokenizerOptions asks for more padding than T5's text has here (diffusers' fixed length)."""
    if tokens is None:
        return
    asked = max(options.get("t5xxl_min_length", 0), max(tokens.counts) + options.get("t5xxl_min_padding", 0))
    length = tokens.ids.shape[1]
    if options and asked > max(length, max(tokens.counts)):
        cure = "Remove that node, and set max_tokens of Encode Prompt where the model reads longer texts."
        raise InputError(
            "clip", Bare(f"a CLIP for texts of {asked} tokens (T5TokenizerOptions); T5 has {length}"), cure=cure
        )


def _comfyui_names(encoders: encode.PairEncoders | encode.ChatEncoder) -> dict[str, torch.nn.Module]:
    """The encoders, or parts of them, by the dotted names that ComfyUI's own have: LoRA files know weights by those."""
    if isinstance(encoders, encode.PairEncoders):
        # transformers 4 has a "text_model" in CLIP, transformers 5 has the layers there
        clip = "transformer" if hasattr(encoders.clip_l, "text_model") else "transformer.text_model"
        return {f"clip_l.{clip}": encoders.clip_l, "t5xxl.transformer": encoders.t5xxl}
    whole, top = encoders.language_model, f"{encoders.part}.transformer"
    text: Any = getattr(whole.model, "language_model", None)
    if text is None:
        return {top: whole}
    # One that sees pictures too: what reads words stands where ComfyUI has it.
    parts = {f"{top}.{name}": module for name, module in whole.named_children() if name != "model"}
    parts |= {f"{top}.{name}": module for name, module in whole.model.named_children() if name != "language_model"}  # type: ignore[union-attr,operator]
    return {**parts, f"{top}.model": text}


class TextEncoders(torch.nn.Module):
    """A family's text encoders as `comfy.sd.CLIP` calls them."""

    def __init__(self, encoders: encode.PairEncoders | encode.ChatEncoder, dtype: torch.dtype, device: torch.device):
        super().__init__()
        object.__setattr__(self, "studio", encoders)
        for path, module in _comfyui_names(encoders).items():
            *above, last = path.split(".")
            parent: torch.nn.Module = self
            for name in above:
                if name not in parent._modules:
                    parent.add_module(name, torch.nn.Module())
                parent = parent.get_submodule(name)
            parent.add_module(last, module)
        self.dtypes, self.device = {dtype}, device
        self._execution_device = device

    def state_dict(self, *args: Any, **options: Any) -> dict[str, torch.Tensor]:
        """Asked without arguments, as ComfyUI does: weights stored as bytes as what they are worth, computed where it is used."""
        weights = super().state_dict(*args, **options)
        if args or options:
            return weights
        stored = dict(stored_layers(self))
        return {name: WorthOfBytes(stored[name]) if name in stored else weight for name, weight in weights.items()}

    def set_clip_options(self, options: dict[str, Any]) -> None:
        if options.get("layer") not in (None, LAST_LAYER):
            raise InputError(
                "clip",
                Bare(f"a CLIP that stops at layer {options['layer']} (CLIPSetLastLayer)"),
                cure="Remove that node: this model was trained on fixed layers of its text encoders.",
            )
        self._execution_device = options.get("execution_device", self._execution_device)

    def reset_clip_options(self) -> None:
        pass

    @torch.no_grad()
    def encode_token_weights(self, tokens: dict[str, encode.Tokens]) -> tuple:
        # ComfyUI says where to compute: the weights may stand elsewhere (partial loading).
        text = self.studio.embed(tokens, self._execution_device)
        pooled = None if text.pooled is None else text.pooled.float().cpu()
        extra: dict[str, Any] = {OWN_LENGTH: True}
        if text.mask is not None:
            extra["attention_mask"] = text.mask.cpu()
        if has_vision(self):
            extra[PROMPTS] = [prompt for part in tokens.values() for prompt in part.texts]
        return text.sequence.float().cpu(), pooled, extra

    @torch.no_grad()
    def generate(
        self,
        tokens: dict[str, encode.Tokens],
        do_sample: bool = True,
        max_length: int = 256,
        temperature: float = 1.0,
        top_k: int = 50,
        top_p: float = 0.95,
        min_p: float = 0.0,
        repetition_penalty: float = 1.0,
        seed: int | None = None,
        presence_penalty: float = 0.0,
    ) -> list[int]:
        """What stock TextGenerate asks of a CLIP: the ids of the answer. Cancel is heard before each token."""
        if not isinstance(self.studio, encode.ChatEncoder):
            raise InputError(
                "clip", "CLIP and T5", "a language model, such as FLUX.2's or Z-Image's: these cannot write"
            )
        if presence_penalty:
            raise InputError("presence_penalty", presence_penalty, "0: transformers knows repetition_penalty only")
        how = encode.GenerationOptions(
            max_length, (seed or 0) % 2**64, do_sample, temperature, top_k, top_p, min_p, repetition_penalty
        )
        return self.studio.write(tokens, how, self._execution_device, check_cancel)


LAST_LAYER = -1


def make_clip(encoders: TextEncoders, tokenizer: Tokenizer, load_device, offload_device) -> comfy.sd.CLIP:
    target = types.SimpleNamespace(params={}, clip=lambda **_: encoders, tokenizer=lambda **_: tokenizer)
    options = {
        "load_device": load_device,
        "offload_device": offload_device,
        "initial_device": offload_device,
        "dtype": next(iter(encoders.dtypes)),
    }
    clip = comfy.sd.CLIP(target, model_options=options)
    clip.patcher.__class__ = keeping_bytes(type(clip.patcher))  # type: ignore[arg-type]
    return clip


def require_clip(clip: Any) -> None:
    """Raise InputError for the empty output of a loader."""
    if clip is None:
        raise InputError(
            "clip", None, "a CLIP: choose a text encoder in the loader, or wire one into the LoRA node before"
        )


def has_vision(encoders: Any) -> bool:
    """Whether this part of a CLIP looks at reference pictures (Z-Image Omni's SigLIP)."""
    return isinstance(encoders, TextEncoders) and getattr(encoders.studio, "vision", None) is not None
