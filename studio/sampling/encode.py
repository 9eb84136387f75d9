"""Text -> embeddings, as diffusers' pipelines make them: CLIP's pooled output with T5's sequence, or a language model's
hidden states."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from einops import rearrange

from ..errors import InputError, require_unicode
from ..kinds import omni
from ..kinds.facts import ChatText, Family

# In one text. All of it is split into tokens, some 15 s a million without hearing Cancel, before the rest is cut off.
LONGEST_TEXT = 200_000
MOST_PROMPTS = 64  # in one node; each takes some megabytes of embeddings and becomes a picture of its own


@dataclass(frozen=True)
class Tokens:
    """Token ids [B, S] of one encoder, and what did not fit into S."""

    ids: torch.Tensor
    counts: tuple[int, ...]  # tokens that each text really has, end mark included
    cut: tuple[str, ...]  # the words of each text that were cut off
    mask: torch.Tensor | None = None  # [B, S], 1 = the text's own tokens; None where the encoder knows no padding
    texts: tuple[str, ...] = ()  # what a language model was given to read


@dataclass(frozen=True)
class Text:
    """Embeddings of B texts, on the device that made them."""

    sequence: torch.Tensor  # [B, S, D]
    pooled: torch.Tensor | None = None  # [B, P]; CLIP's
    mask: torch.Tensor | None = None  # [B, S], 1 = the text's own tokens; a language model's
    around: tuple[torch.Tensor, ...] = ()  # [1, S, D] each: what Z-Image Omni reads around n pictures, n + 1 texts
    seen: tuple[torch.Tensor, ...] = ()  # [1, rows, columns, C] each: what its SigLIP sees of them

    def times(self, count: int) -> Text:
        """One text for `count` pictures."""
        rows = {name: getattr(self, name) for name in ("sequence", "pooled", "mask")}
        return replace(self, **{name: one.repeat_interleave(count, 0) for name, one in rows.items() if one is not None})


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


def sequence_embedding(encoder: torch.nn.Module, ids: torch.Tensor) -> torch.Tensor:
    """T5's last hidden state [B, S, D]. Pads are not masked: FLUX.1 was trained so."""
    return encoder(ids, output_hidden_states=False)[0]


class PairTokenizer:
    """CLIP's and T5's, under the names that ComfyUI has for them."""

    def __init__(self, clip_tokenizer: Any, t5_tokenizer: Any, most: int):
        self._clip, self._t5 = clip_tokenizer, t5_tokenizer
        self.length = min(int(t5_tokenizer.model_max_length), most)  # T5's, where none is given

    def tokenize(self, texts: list[str], texts_2: list[str] | None = None, max_tokens: int = 0) -> dict[str, Tokens]:
        """`max_tokens` is T5's length; 0 is the model's own."""
        return {
            "l": tokenize(self._clip, texts, self._clip.model_max_length),
            "t5xxl": tokenize(self._t5, texts_2 or texts, max_tokens or self.length),
        }


class PairEncoders(torch.nn.Module):
    """CLIP and T5."""

    def __init__(self, clip: torch.nn.Module, sequence_encoder: torch.nn.Module):
        super().__init__()
        self.clip_l, self.t5xxl = clip, sequence_encoder

    @torch.no_grad()
    def embed(self, tokens: Mapping[str, Tokens], device: torch.device) -> Text:
        """T5's sequence and CLIP's pooled embedding of `tokens`, computed on `device`."""
        pooled = pooled_embedding(self.clip_l, tokens["l"].ids.to(device))
        return Text(sequence_embedding(self.t5xxl, tokens["t5xxl"].ids.to(device)), pooled)


@dataclass(frozen=True)
class GenerationOptions:
    """How a language model continues a text."""

    most_tokens: int  # of the answer
    seed: int = 0
    do_sample: bool = False
    temperature: float = 1.0
    top_k: int = 50
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0


class ChatTokenizer:
    """A language model's, through its chat template."""

    def __init__(self, tokenizer: Any, text: ChatText):
        # A processor (FLUX.2 dev's) brings a template for pictures too, which has lists where others have strings.
        self._template = tokenizer
        self._tokenizer = getattr(tokenizer, "tokenizer", tokenizer)
        self._text = text
        self.length = text.length

    def tokenize(
        self, texts: list[str], texts_2: list[str] | None = None, max_tokens: int = 0, template: str = ""
    ) -> dict[str, Tokens]:
        """Padded and cut to `max_tokens`; 0 is the model's own. `template`: what goes before the model's own, {} = a text."""
        if texts_2 and texts_2 != texts:
            raise InputError("prompt_2", texts_2[0], "nothing, since this model has one text encoder")
        chats = [template.replace("{}", text) if template else self.chat(text) for text in texts]
        whole = [self._tokenizer(chat, add_special_tokens=self._adds_marks).input_ids for chat in chats]
        most = max_tokens or self.length
        length = most
        if window := self._text.window:
            length = min(-(-max(map(len, whole)) // window) * window, most)
        padded = self._tokenizer(
            chats,
            add_special_tokens=self._adds_marks,
            padding="max_length",
            truncation=True,
            max_length=length,
            return_tensors="pt",
        )
        kept = [int(row.sum()) for row in padded.attention_mask]
        cut = [self._tokenizer.decode(row[n:], skip_special_tokens=True) for row, n in zip(whole, kept, strict=True)]
        counts = tuple(map(len, whole))
        return {self._text.part: Tokens(padded.input_ids, counts, tuple(cut), padded.attention_mask, tuple(texts))}

    def question(self, text: str, thinking: bool = False, as_it_is: bool = False) -> dict[str, Tokens]:
        """A text for the model to answer, unpadded; `as_it_is`: without the chat template."""
        chat = text if as_it_is else self.chat(text, thinking)
        ids = self._tokenizer(chat, add_special_tokens=self._adds_marks or as_it_is, return_tensors="pt").input_ids
        return {self._text.part: Tokens(ids, (ids.shape[1],), ("",), torch.ones_like(ids))}

    def decode(self, ids: list[int]) -> str:
        """The text of token ids, without marks such as the end of a turn."""
        return self._tokenizer.decode(ids, skip_special_tokens=True)

    @property
    def _adds_marks(self) -> bool:
        return not self._text.system  # Mistral's template writes the first mark itself

    def chat(self, text: str, thinking: bool | None = None) -> str:
        """The text as the model was trained to hear it: from a user, before the assistant's answer.

        `thinking`: whether the answer may begin with thoughts; None: as the family encodes its prompts.
        """
        if self._text.system:
            messages = [
                {"role": "system", "content": [{"type": "text", "text": self._text.system}]},
                {"role": "user", "content": [{"type": "text", "text": text.replace(self._text.forbidden, "")}]},
            ]
            return self._template.apply_chat_template(messages, tokenize=False, add_generation_prompt=False)
        thinks = self._text.thinking if thinking is None else thinking
        options = {} if self._text.thinking is None else {"enable_thinking": thinks}
        messages = [{"role": "user", "content": text}]
        return self._template.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, **options)


class ChatEncoder(torch.nn.Module):
    """A language model of transformers whose hidden states are the embedding; Z-Image Omni's with an eye beside it."""

    def __init__(self, language_model: torch.nn.Module, text: ChatText, vision: omni.Vision | None = None):
        super().__init__()
        self.language_model, self.vision = language_model, vision
        self._text = text

    @property
    def part(self) -> str:
        """ComfyUI's name of it."""
        return self._text.part

    @torch.no_grad()
    def embed(self, tokens: Mapping[str, Tokens], device: torch.device) -> Text:
        """Hidden states of the family's layers side by side, [B, tokens, layers * width], computed on `device`."""
        given = tokens[self._text.part]
        assert given.mask is not None
        mask = given.mask.to(device)
        # Without the head: the logits of every token would be the largest tensor of all, and are not asked for.
        options = {}
        if self._text.padding_position is not None:
            positions = torch.arange(mask.shape[1], device=device)[None]
            options["position_ids"] = positions.masked_fill(mask == 0, self._text.padding_position)
        states = self.language_model.base_model(
            input_ids=given.ids.to(device), attention_mask=mask, output_hidden_states=True, use_cache=False, **options
        ).hidden_states
        sequence = rearrange([states[layer] for layer in self._text.layers], "n b s d -> b s (n d)")
        if not self._text.keeps_padding:  # the longest text's tokens; the mask tells the others'
            longest = int(mask.sum(1).max())
            sequence, mask = sequence[:, :longest], mask[:, :longest]
        return Text(sequence, mask=mask)

    @torch.no_grad()
    def write(
        self,
        tokens: Mapping[str, Tokens],
        how: GenerationOptions,
        device: torch.device,
        check: Callable[[], None] = lambda: None,
    ) -> list[int]:
        """The ids of the model's answer to one text. `check` is called before each token, and may raise."""
        from transformers import StoppingCriteria, StoppingCriteriaList

        class Check(StoppingCriteria):
            def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
                check()
                return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)

        ids = tokens[self._text.part].ids.to(device)
        drawn = {"temperature": how.temperature, "top_k": how.top_k, "top_p": how.top_p, "min_p": how.min_p}
        devices = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(how.seed)
            out = self.language_model.generate(  # type: ignore[operator]
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=how.most_tokens,
                do_sample=how.do_sample,
                repetition_penalty=how.repetition_penalty,
                stopping_criteria=StoppingCriteriaList([Check()]),
                **(drawn if how.do_sample else {}),
            )
        return out[0, ids.shape[1] :].tolist()


def make_tokenizer(family: Family, tokenizers: list[Any]) -> PairTokenizer | ChatTokenizer:
    """The family's tokenizers, in the order of `family.tokenizers`, behind one call."""
    if family.text is None:
        return PairTokenizer(tokenizers[0], tokenizers[1], family.max_tokens)
    return ChatTokenizer(tokenizers[0], family.text)


def make_encoders(
    family: Family, modules: list[torch.nn.Module], processors: Sequence[Any] = ()
) -> PairEncoders | ChatEncoder:
    """The family's encoders, in the order of `family.encoders`, with its image processors, behind one call.

    Z-Image Omni's language model may come alone; it then looks at no picture.
    """
    if family.text is None:
        return PairEncoders(modules[0], modules[1])
    return ChatEncoder(modules[0], family.text, omni.Vision(modules[1], processors[0]) if processors else None)


def text_lines(prompt: str, one_prompt_per_line: bool) -> list[str]:
    """The prompt as one text, or its lines that are not blank. Raises InputError where there is none."""
    if not one_prompt_per_line:
        return [prompt]
    lines = [line.strip() for line in prompt.splitlines() if line.strip()]
    if not lines:
        raise InputError("prompt", prompt, "at least one line that is not blank, or one_prompt_per_line off")
    return lines


def require_prompt(name: str, text: str) -> None:
    """Raise InputError for more than MOST_CHARACTERS and for half of a surrogate pair."""
    if len(text) > LONGEST_TEXT:
        wanted = f"at most {LONGEST_TEXT}, of which a model reads the first few hundred words"
        raise InputError(name, f"{len(text)} characters", wanted)
    require_unicode(name, text)


def pair_prompts(prompt: str, prompt_2: str, one_prompt_per_line: bool) -> list[tuple[str, str]]:
    """(text for CLIP, text for T5) of each picture; an empty `prompt_2` means the same text for both."""
    require_prompt("prompt", prompt)
    require_prompt("prompt_2", prompt_2)
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
