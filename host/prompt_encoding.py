"""Prompts encoded on any CLIP, ours or stock: each text once, many prompts as one batch."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

import torch

from ..studio.errors import InputError
from ..studio.kinds.table import label_of_encoder
from ..studio.sampling import encode
from . import out_of_memory, report
from .clip_socket import OWN_LENGTH, PROMPTS, TextEncoders, has_vision, require_clip
from .progress import check_cancel


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
