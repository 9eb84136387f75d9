"""Mistral's tokenizer, tekken, from what its weights' file carries of it."""

from __future__ import annotations

import binascii
import json
from collections.abc import Mapping
from typing import Any

from ..errors import ModelFilesError

# The parts of the published chat template that a single message goes through.
MISTRAL_CHAT = (
    "<s>{% for m in messages %}{% if m['role'] == 'system' %}[SYSTEM_PROMPT]"
    "{% for c in m['content'] %}{{ c['text'] }}{% endfor %}[/SYSTEM_PROMPT]{% elif m['role'] == 'user' %}[INST]"
    "{% for c in m['content'] %}{{ c['text'] }}{% endfor %}[/INST]{% endif %}{% endfor %}"
)
# How tekken cuts a text before it merges: the pattern of Mistral's tokenizer.json. A GGUF has its name only.
TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_MARK = 3  # gguf.TokenType.CONTROL


def from_tekken(data: bytes, name: str) -> Any:
    """Mistral's tokenizer from its `tekken.json`. Raises ModelFilesError where that cannot be read.

    Tekken is a byte-level BPE whose merges are implied: any two tokens that make a third one, in the order of ranks.
    """
    try:
        tekken = json.loads(data)
        config = tekken["config"]
        offset = int(config["default_num_special_tokens"])
        ranked = tekken["vocab"][: int(config["default_vocab_size"]) - offset]
        tokens = [binascii.a2b_base64(entry["token_bytes"]) for entry in ranked]
        specials = {int(entry["rank"]): str(entry["token_str"]) for entry in tekken["special_tokens"]}
        pattern = str(config["pattern"])
    except (ValueError, KeyError, TypeError) as error:
        raise ModelFilesError("text_encoder", name, f"a tekken_model that can be read; {error!r}") from error
    letters = _letters()
    words = ["".join(letters[byte] for byte in token) for token in tokens]
    known = dict(zip(tokens, range(len(tokens)), strict=True))
    merges = []
    for token, rank in known.items():
        halves = [(token[:i], token[i:]) for i in range(1, len(token))]
        pairs = [(known[a], known[b]) for a, b in halves if a in known and b in known]
        merges += [(rank, left, right) for left, right in sorted(pairs)]
    merges.sort(key=lambda merge: merge[0])
    vocabulary = {word: offset + rank for rank, word in enumerate(words)}
    for rank in range(offset):
        vocabulary[specials.get(rank, f"<SPECIAL_{rank}>")] = rank
    named = [(words[left], words[right]) for _, left, right in merges]
    return _byte_level(vocabulary, named, pattern, list(specials.values()))


def from_gguf(fields: Mapping[str, Any], name: str) -> Any:
    """Mistral's tokenizer from the header of a GGUF (what stands behind "tokenizer.ggml.").

    Raises ModelFilesError where it is another model's or cannot be read.
    """
    kind = (fields.get("model"), fields.get("pre"))
    if kind != ("gpt2", "tekken"):
        raise ModelFilesError("text_encoder", name, f"a GGUF with Mistral's tokenizer (tekken); this one has {kind}")
    try:
        vocabulary = {str(word): number for number, word in enumerate(fields["tokens"])}
        merges = [(str(pair).split(" ")[0], str(pair).split(" ")[1]) for pair in fields["merges"]]
        marks = [
            str(word) for word, type_ in zip(fields["tokens"], fields["token_type"], strict=True) if type_ == _MARK
        ]
        return _byte_level(vocabulary, merges, TEKKEN, marks)
    except Exception as error:  # the tokenizers library raises plain Exceptions
        raise ModelFilesError("text_encoder", name, f"a vocabulary that can be read; {error!r}") from error


def _byte_level(vocabulary: dict[str, int], merges: list[tuple[str, str]], pattern: str, marks: list[str]) -> Any:
    """A byte-level BPE of Mistral's, with its chat template. `marks`: words that are no text, such as [INST]."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(word, special=True, normalized=False) for word in marks])
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        padding_side="left",
    )
    wrapped.chat_template = MISTRAL_CHAT
    return wrapped


def _letters() -> list[str]:
    """The printable letter that stands for each byte in a byte-level vocabulary (GPT-2's)."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(256)]
