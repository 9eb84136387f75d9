"""A CLIP whose text encoder is a language model, asked to write."""

from __future__ import annotations

from typing import Any

from ..studio.errors import InputError
from ..studio.prompt.writers import MOST_NEW_TOKENS, WriterError
from .language_models import REPETITION, TEMPERATURE, TOP_K, TOP_P, memory_may_run_out


class EncoderWriter:
    """The text encoder of a CLIP, resident anyway, asked as a language model through ComfyUI's own `generate`."""

    def __init__(self, clip: Any):
        self._clip = clip

    @memory_may_run_out()
    def write(self, instructions: str, request: str, seed: int) -> str:
        if not _can_generate(self._clip.cond_stage_model):
            raise WriterError("this CLIP's encoder is not a language model")
        try:
            tokens = self._clip.tokenize(
                f"{instructions}\n\n{request}", skip_template=False, min_length=1, thinking=False
            )
            ids = self._clip.generate(
                tokens,
                do_sample=True,
                max_length=MOST_NEW_TOKENS,
                temperature=TEMPERATURE,
                top_k=TOP_K,
                top_p=TOP_P,
                min_p=0.0,
                repetition_penalty=REPETITION,
                seed=seed,
            )
            return self._clip.decode(ids)
        except (InputError, AttributeError, NotImplementedError):
            raise WriterError("this CLIP's encoder is not a language model") from None


def _can_generate(model: Any) -> bool:
    """ComfyUI's classes offer `generate` for every encoder; what stands inside has it only if it is a language model."""
    inner = getattr(model, getattr(model, "clip", None) or "", None)
    return hasattr(model, "generate") and (inner is None or hasattr(getattr(inner, "transformer", None), "generate"))


def reads_korean(clip: Any) -> bool | None:
    """Whether the encoder of a CLIP tells Korean words apart; None without a CLIP.

    A vocabulary without Hangul makes the same tokens of any two words of one length. CLIP's own has its bytes, but
    has learnt nothing of them: where a pair stands beside it, that one is asked.
    """
    if clip is None:
        return None
    parts = [_ids(clip.tokenize(word)) for word in ("딸기", "겨울")]
    readers = [name for name in parts[0] if name not in ("l", "g")]
    return any(parts[0][name] != parts[1][name] for name in readers)


def _ids(tokens: Any) -> dict[str, list[Any]]:
    """Encoder's name -> ids, of ComfyUI's (id, weight) pairs and of our own tensors."""
    return {
        name: part.ids.tolist() if hasattr(part, "ids") else [[token[0] for token in chunk] for chunk in part]
        for name, part in tokens.items()
    }
