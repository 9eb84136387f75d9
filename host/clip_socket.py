"""ComfyUI's CLIP around transformers' text encoders, and prompts encoded on any CLIP, each of them once."""

from __future__ import annotations

import types
import weakref
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

import comfy.clip_vision
import comfy.sd
import torch

from ..studio.errors import InputError
from ..studio.kinds.table import families, label_of_encoder
from ..studio.sampling import encode
from . import out_of_memory, report
from .progress import check_cancel
from .stored_patches import WorthOfBytes, keeping_bytes, stored_layers

# In our CONDITIONING: the text is as long as diffusers has it. Stock FLUX.2 encoders leave padding to the model.
OWN_LENGTH = "storefront_own_length"


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
        **_: Any,
    ) -> dict[str, encode.Tokens]:
        """For encoding, in a template ({} is the text) or the model's own; with `thinking` (stock TextGenerate says it, CLIPTextEncode does not) a text to be answered."""
        texts = [text] if isinstance(text, str) else text
        for one in texts:  # stock nodes ask nothing of their texts
            encode.require_prompt("text", one)
        if thinking is None and llama_template and isinstance(self.studio, encode.ChatTokenizer):
            return self.studio.tokenize(texts, max_tokens=max_tokens, template=llama_template)
        if thinking is None:
            return self.studio.tokenize(texts, max_tokens=max_tokens)
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
        how = encode.Writing(
            max_length, (seed or 0) % 2**64, do_sample, temperature, top_k, top_p, min_p, repetition_penalty
        )
        return self.studio.write(tokens, how, self._execution_device, check_cancel)


PROMPTS = "storefront_prompts"  # in a CONDITIONING: the words, which Z-Image Omni reads otherwise beside a picture


def require_clip(clip: Any) -> None:
    """Raise InputError for the empty output of a loader."""
    if clip is None:
        raise InputError(
            "clip", None, "a CLIP: choose a text encoder in the loader, or wire one into the LoRA node before"
        )


def has_vision(encoders: Any) -> bool:
    """Whether this part of a CLIP looks at reference pictures (Z-Image Omni's SigLIP)."""
    return isinstance(encoders, TextEncoders) and getattr(encoders.studio, "vision", None) is not None


def vision_features(clip: Any, picture: torch.Tensor) -> comfy.clip_vision.Output:
    """What a CLIP that `has_vision` makes of an IMAGE [1, H, W, 3], as stock CLIPVisionEncode hands it on."""
    clip.load_model()
    features = clip.cond_stage_model.studio.vision.features(picture, clip.patcher.load_device).float().cpu()
    rows, columns = features.shape[1:3]
    output = comfy.clip_vision.Output()
    output["last_hidden_state"] = features.flatten(1, 2)
    output["image_sizes"] = [(3, rows * SIGLIP_PATCH, columns * SIGLIP_PATCH)]
    return output


def features_of(output: Any) -> torch.Tensor:
    """[1, rows, columns, C] of a CLIP_VISION_OUTPUT of NaFlex SigLIP 2, ours or stock."""
    features, (_, height, width) = output["last_hidden_state"], output["image_sizes"][0]
    rows, columns = height // SIGLIP_PATCH, width // SIGLIP_PATCH
    if features.ndim != 3 or features.shape[1] != rows * columns:
        raise InputError(
            "conditioning", f"clip_vision_outputs of shape {list(features.shape)}", "those of a SigLIP 2 NaFlex model"
        )
    return features.reshape(len(features), rows, columns, -1)


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


class EncodedCache:
    """Embeddings of prompts already read, the least recently used dropped beyond a number of bytes."""

    def __init__(self, limit: int):
        self._limit, self._bytes = limit, 0
        self._entries: OrderedDict[Hashable, encode.Text] = OrderedDict()

    def get(self, key: Hashable) -> encode.Text | None:
        if key in self._entries:
            self._entries.move_to_end(key)
        return self._entries.get(key)

    def put(self, key: Hashable, value: encode.Text) -> None:
        if key in self._entries:
            self._bytes -= _bytes(self._entries.pop(key))
        self._entries[key] = value
        self._bytes += _bytes(value)
        while self._bytes > self._limit and len(self._entries) > 1:
            self._bytes -= _bytes(self._entries.popitem(last=False)[1])


def _bytes(text: encode.Text) -> int:
    return sum(part.nbytes for part in (text.sequence, text.pooled, text.mask) if part is not None)


CACHE = EncodedCache(limit=256 * 2**20)
SIGLIP_PATCH = 16  # pixels a side, by which ComfyUI counts a picture's patches
MAX_TOKENS = max(family.max_tokens for family in families())


def encode_prompts(clip: Any, pairs: list[tuple[str, str]], max_tokens: int) -> tuple[list, list[str]]:
    """CONDITIONING of one entry whose batch is the prompts', and a line for every text that was cut.

    Works on our CLIP and on stock ones. A text encoder is loaded only for a prompt that is not in the cache.
    """
    require_clip(clip)
    ours = isinstance(clip.cond_stage_model, TextEncoders)
    if max_tokens and not ours:
        raise InputError("max_tokens", max_tokens, "0 (auto), since this CLIP decides on its own length")
    texts, notes = [], []
    for first, second in pairs:
        check_cancel()
        options = {"max_tokens": max_tokens} if ours else {}
        tokens = clip.tokenize(first, **options)
        if second != first:
            other = clip.tokenize(second, **options)
            if "t5xxl" not in other:
                raise InputError("prompt_2", second, "nothing, since this CLIP has no second encoder (t5xxl)")
            tokens = {**tokens, "t5xxl": other["t5xxl"]}
        notes += _cut_notes(tokens) if ours else []
        if _is_hooked(clip):
            if len(pairs) > 1:
                raise InputError("clip", "a CLIP with hooks", "one prompt at a time, or a CLIP without hooks")
            return clip.encode_from_tokens_scheduled(tokens), notes
        texts.append(_encode_once(clip, tokens, (first, second, max_tokens)))
    conditioning = _one_batch(texts, {OWN_LENGTH: True} if ours else {})
    if has_vision(clip.cond_stage_model):
        conditioning[1][PROMPTS] = [first for first, _ in pairs]
    return [conditioning], notes


def _one_batch(texts: list[encode.Text], options: dict[str, Any]) -> list:
    """One entry of a CONDITIONING from several: shorter ones are padded with zeros, which their mask says."""
    longest = max(text.sequence.shape[1] for text in texts)
    pad = torch.nn.functional.pad
    rows = [pad(text.sequence, (0, 0, 0, longest - text.sequence.shape[1])) for text in texts]
    if all(text.pooled is not None for text in texts):
        options["pooled_output"] = torch.cat([text.pooled for text in texts])  # type: ignore[misc]
    if all(text.mask is not None for text in texts):
        options["attention_mask"] = torch.cat(
            [pad(text.mask, (0, longest - text.mask.shape[1])) for text in texts]  # type: ignore[union-attr,arg-type]
        )
    return [torch.cat(rows), options]


def _encode_once(clip: Any, tokens: Any, text: tuple[str, str, int]) -> encode.Text:
    options = repr(sorted(clip.tokenizer_options.items()))
    key = (weakref.ref(clip.cond_stage_model), clip.patcher.patches_uuid, clip.layer_idx, options, text)
    value = CACHE.get(key)
    report.count("prompts encoded" if value is None else "prompts remembered")
    if value is None:
        encoded = out_of_memory.retried(
            lambda: clip.encode_from_tokens(tokens, return_dict=True),
            "prompt",
            "a text whose encoder does not fit into memory",
            "an encoder of smaller weights (fp8 storage, GGUF), or less else in memory",
        )
        value = encode.Text(encoded["cond"], encoded["pooled_output"], encoded.get("attention_mask"))
        CACHE.put(key, value)
    return value


def _is_hooked(clip: Any) -> bool:
    """Whether a node scheduled LoRAs or the like on this CLIP: ComfyUI then encodes once for each part of the run."""
    return clip.patcher.forced_hooks is not None or clip.apply_hooks_to_conds is not None


def _cut_notes(tokens: dict[str, encode.Tokens]) -> list[str]:
    notes = []
    for name, part in tokens.items():
        for count, cut in zip(part.counts, part.cut, strict=True):
            if cut:
                shown = cut if len(cut) <= 80 else cut[:80] + "..."
                notes.append(
                    f"{label_of_encoder(name)} reads {part.ids.shape[1]} of {count} tokens; cut off: {shown!r}"
                )
    return notes
