"""FLUX.3's prompt upsampler: a language model of its own that writes captions."""

from __future__ import annotations

from pathlib import Path

from ..studio.errors import InputError, ModelFilesError, require_number
from ..studio.opening.folders import read_json
from ..studio.prompt import flux3
from .connections import NONE
from .language_models import folders, open_folder

UPSAMPLER = "Qwen3_5ForConditionalGeneration"  # as diffusers' Flux3AutoPromptUpsampleStep expects it
MOST_CAPTION_TOKENS = 8192  # as many as FLUX.3 reads


def upsamplers() -> dict[str, Path]:
    """Name -> folder of every model in the `LLM` paths that is of the class of FLUX.3's prompt upsampler."""
    found = {}
    for name, folder in folders().items():
        try:
            config = read_json(folder / "config.json")
        except ModelFilesError:
            continue  # broken: the list of what can be opened is not the place to say so
        if UPSAMPLER in (config.get("architectures") or ()):
            found[name] = folder
    return found


def find_upsampler(name: str) -> Path:
    """The folder of a listed one."""
    known = upsamplers()
    if not isinstance(name, str) or name not in known:
        raise InputError("upsampler", name, "one of: " + ", ".join([NONE, *known]))
    return known[name]


def require_upsampler(name: str) -> None:
    if name != NONE:
        find_upsampler(name)


def flux3_caption(request: flux3.CaptionRequest, upsampler: str, most_tokens: int) -> str:
    """The caption that FLUX.3 is given, written by its prompt upsampler; "none": the table of boxes alone behind the prompt."""
    require_number("max_tokens", most_tokens, 1, MOST_CAPTION_TOKENS)
    if upsampler == NONE:
        return flux3.caption(request)
    folder = find_upsampler(upsampler)
    import transformers

    opened = open_folder("upsampler", upsampler, folder, getattr(transformers, UPSAMPLER), transformers.AutoProcessor)
    return flux3.upsample(request, opened, opened.reader, most_tokens)
