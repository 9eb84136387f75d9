"""Text -> embeddings, as FluxPipeline makes them: CLIP's pooled output and T5's sequence, padded to a fixed length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from ..errors import InputError

MOST_PROMPTS = 64  # in one node; each takes some megabytes of embeddings and becomes a picture of its own


@dataclass(frozen=True)
class Tokens:
    """Token ids [B, S] of one encoder, and what did not fit into S."""

    ids: torch.Tensor
    counts: tuple[int, ...]  # tokens that each text really has, end mark included
    cut: tuple[str, ...]  # the words of each text that were cut off


def tokenize(tokenizer: Any, texts: list[str], length: int) -> Tokens:
    """Padded and cut to exactly `length` tokens, as diffusers does it."""
    ids = tokenizer(texts, padding="max_length", max_length=length, truncation=True, return_tensors="pt").input_ids
    whole = [tokenizer(text).input_ids for text in texts]
    # The last token kept is the end mark, so the first word lost is the one at length - 1.
    cut = [tokenizer.decode(row[length - 1 : -1]) if len(row) > length else "" for row in whole]
    return Tokens(ids, tuple(map(len, whole)), tuple(cut))


def pooled_embedding(clip: torch.nn.Module, ids: torch.Tensor) -> torch.Tensor:
    """CLIP's pooled output [B, P]. `ids` stand on the device to compute on."""
    # The model's own position ids are a buffer, which partial loading may have left on another device.
    positions = torch.arange(ids.shape[1], device=ids.device)[None]
    return clip(ids, position_ids=positions, output_hidden_states=False).pooler_output


def sequence_embedding(t5: torch.nn.Module, ids: torch.Tensor) -> torch.Tensor:
    """T5's last hidden state [B, S, D]. Pads are not masked: FLUX.1 was trained so."""
    return t5(ids, output_hidden_states=False)[0]


def text_lines(prompt: str, one_prompt_per_line: bool) -> list[str]:
    """The prompt as one text, or its lines that are not blank. Raises InputError where there is none."""
    if not one_prompt_per_line:
        return [prompt]
    lines = [line.strip() for line in prompt.splitlines() if line.strip()]
    if not lines:
        raise InputError("prompt", prompt, "at least one line that is not blank, or one_prompt_per_line off")
    return lines


def require_unicode(name: str, text: str) -> None:
    """Raise InputError for half of a surrogate pair: JSON can carry one, no tokenizer can read it."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(name, text[error.start : error.end], "text without halves of surrogate pairs") from error


def pair_prompts(prompt: str, prompt_2: str, one_prompt_per_line: bool) -> list[tuple[str, str]]:
    """(text for CLIP, text for T5) of each picture; an empty `prompt_2` means the same text for both."""
    require_unicode("prompt", prompt)
    require_unicode("prompt_2", prompt_2)
    first = text_lines(prompt, one_prompt_per_line)
    if len(first) > MOST_PROMPTS:
        raise InputError("prompt", f"{len(first)} lines", f"at most {MOST_PROMPTS} prompts at once")
    if not prompt_2.strip():
        return [(text, text) for text in first]
    second = text_lines(prompt_2, one_prompt_per_line)
    if len(second) == 1:
        second = second * len(first)
    if len(second) != len(first):
        raise InputError("prompt_2", f"{len(second)} lines", f"one line, or as many as prompt has ({len(first)})")
    return list(zip(first, second, strict=True))
