"""ComfyUI's CLIP around transformers' text encoders, and prompts encoded on any CLIP, each of them once."""

from __future__ import annotations

import types
import weakref
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

import comfy.sd
import torch

from ..studio.errors import InputError
from ..studio.flux import encode
from ..studio.flux.families import FLUX1
from ..studio.flux.pipeline import own_length
from .progress import check_cancel


class FluxTokenizer:
    """Keeps the texts as ids and lets stock nodes swap one encoder's part for another's ("l", "t5xxl")."""

    def __init__(self, clip_tokenizer: Any, t5_tokenizer: Any):
        self._clip, self._t5 = clip_tokenizer, t5_tokenizer

    def tokenize_with_weights(
        self, text: str | list[str], return_word_ids: bool = False, max_tokens: int = 0, **_: Any
    ):
        texts = [text] if isinstance(text, str) else text
        return {
            "l": encode.tokenize(self._clip, texts, self._clip.model_max_length),
            "t5xxl": encode.tokenize(self._t5, texts, max_tokens or own_length(self._t5)),
        }

    def state_dict(self) -> dict[str, Any]:
        return {}


class Named(torch.nn.Module):
    """A module under a dotted name within this one: LoRA files and ComfyUI know weights by the names that ComfyUI gives."""

    def __init__(self, name: str, module: torch.nn.Module):
        super().__init__()
        first, _, rest = name.partition(".")
        self.add_module(first, Named(rest, module) if rest else module)

    def forward(self, *args: Any, **options: Any) -> Any:
        (inner,) = self.children()
        return inner(*args, **options)


class FluxTextEncoders(torch.nn.Module):
    """CLIP and T5 as `comfy.sd.CLIP` calls them."""

    def __init__(self, clip: torch.nn.Module, t5: torch.nn.Module, dtype: torch.dtype, device: torch.device):
        super().__init__()
        # transformers 4 has a "text_model" within CLIPTextModel, transformers 5 has its layers there.
        self.clip_l = Named("transformer" if hasattr(clip, "text_model") else "transformer.text_model", clip)
        self.t5xxl = Named("transformer", t5)
        self.dtypes, self.device = {dtype}, device
        self._execution_device = device

    def set_clip_options(self, options: dict[str, Any]) -> None:
        self._execution_device = options.get("execution_device", self._execution_device)

    def reset_clip_options(self) -> None:
        pass

    @torch.no_grad()
    def encode_token_weights(self, tokens: dict[str, encode.Tokens]) -> tuple[torch.Tensor, torch.Tensor]:
        # ComfyUI says where to compute: the weights may stand elsewhere (partial loading).
        device = self._execution_device
        pooled = encode.pooled_embedding(self.clip_l, tokens["l"].ids.to(device))
        sequence = encode.sequence_embedding(self.t5xxl, tokens["t5xxl"].ids.to(device))
        return sequence.float().cpu(), pooled.float().cpu()


def make_clip(encoders: FluxTextEncoders, tokenizer: FluxTokenizer, load_device, offload_device) -> comfy.sd.CLIP:
    target = types.SimpleNamespace(params={}, clip=lambda **_: encoders, tokenizer=lambda **_: tokenizer)
    options = {
        "load_device": load_device,
        "offload_device": offload_device,
        "initial_device": offload_device,
        "dtype": next(iter(encoders.dtypes)),
    }
    return comfy.sd.CLIP(target, model_options=options)


class EncodedCache:
    """Embeddings of prompts already read, the least recently used dropped beyond a number of bytes."""

    def __init__(self, limit: int):
        self._limit, self._bytes = limit, 0
        self._entries: OrderedDict[Hashable, tuple[torch.Tensor, torch.Tensor]] = OrderedDict()

    def get(self, key: Hashable) -> tuple[torch.Tensor, torch.Tensor] | None:
        if key in self._entries:
            self._entries.move_to_end(key)
        return self._entries.get(key)

    def put(self, key: Hashable, value: tuple[torch.Tensor, torch.Tensor]) -> None:
        self._bytes -= sum(t.nbytes for t in self._entries.pop(key, ()))
        self._entries[key] = value
        self._bytes += sum(t.nbytes for t in value)
        while self._bytes > self._limit and len(self._entries) > 1:
            self._bytes -= sum(t.nbytes for t in self._entries.popitem(last=False)[1])


CACHE = EncodedCache(limit=256 * 2**20)
MAX_TOKENS = FLUX1.max_tokens


def encode_prompts(clip: Any, pairs: list[tuple[str, str]], max_tokens: int) -> tuple[list, list[str]]:
    """CONDITIONING of one entry whose batch is the prompts', and a line for every text that was cut.

    Works on our CLIP and on stock ones. A text encoder is loaded only for a prompt that is not in the cache.
    """
    ours = isinstance(clip.cond_stage_model, FluxTextEncoders)
    if max_tokens and not ours:
        raise InputError("max_tokens", max_tokens, "0 (auto), since this CLIP decides on its own length")
    sequences, pooled, notes = [], [], []
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
        value = _encode_once(clip, tokens, (first, second, max_tokens))
        sequences.append(value[0])
        pooled.append(value[1])
    if len({tuple(s.shape[1:]) for s in sequences}) > 1:
        longest = max(s.shape[1] for s in sequences)
        sequences = [torch.nn.functional.pad(s, (0, 0, 0, longest - s.shape[1])) for s in sequences]
    conditioning = {} if any(p is None for p in pooled) else {"pooled_output": torch.cat(pooled)}
    return [[torch.cat(sequences), conditioning]], notes


def _encode_once(clip: Any, tokens: Any, text: tuple[str, str, int]):
    options = repr(sorted(clip.tokenizer_options.items()))
    key = (weakref.ref(clip.cond_stage_model), clip.patcher.patches_uuid, clip.layer_idx, options, text)
    value = CACHE.get(key)
    if value is None:
        value = clip.encode_from_tokens(tokens, return_pooled=True)
        CACHE.put(key, value)
    return value


def _is_hooked(clip: Any) -> bool:
    """Whether a node scheduled LoRAs or the like on this CLIP: ComfyUI then encodes once for each part of the run."""
    return clip.patcher.forced_hooks is not None or clip.apply_hooks_to_conds is not None


def _cut_notes(tokens: dict[str, encode.Tokens]) -> list[str]:
    notes = []
    for name, part in (("CLIP", tokens["l"]), ("T5", tokens["t5xxl"])):
        for count, cut in zip(part.counts, part.cut, strict=True):
            if cut:
                shown = cut if len(cut) <= 80 else cut[:80] + "..."
                notes.append(f"{name} reads {part.ids.shape[1]} of {count} tokens; cut off: {shown!r}")
    return notes
