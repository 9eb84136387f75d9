"""The CLIP score for the report: a CLIP folder of ComfyUI's, its weights under ComfyUI's memory management."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import comfy.model_management as mm
import folder_paths
import torch

from ..studio.errors import InputError, ModelFilesError, require_unicode
from ..studio.images import require_picture
from ..studio.opening.folders import read_json
from ..studio.output import score
from . import memory, report
from .progress import check_cancel

PATHS = ("clip_vision", "text_encoders")  # ComfyUI's names for them
FILES = (
    "config.json model.safetensors preprocessor_config.json tokenizer.json tokenizer_config.json vocab.json merges.txt"
)
WHERE_TO_GET = (
    "no CLIP score: there is no whole CLIP model in transformers' layout in models/clip_vision; to get one: hf download "
    f"openai/clip-vit-large-patch14 {FILES} --local-dir ComfyUI/models/clip_vision/clip-vit-large-patch14"
)
NEEDS_BOTH = "no CLIP score: it needs both image and prompt"
MEMORY = "no CLIP score: there was not enough memory for it"


class Judged(NamedTuple):
    score: score.Score | None
    notes: list[str]  # what to tell the user; the report has them already


def judge(images: list[Any] | None, prompts: list[Any] | None, node_id: str | None) -> Judged:
    """The score of every picture of some IMAGEs against one prompt for all, or one for each IMAGE.

    No model, or a broken one, is no error: the notes say so. Raises InputError for what is no picture or no text, and for
    another number of prompts.
    """
    pictures = [require_picture("image", image) for image in images or []]
    texts = [_text(prompt) for prompt in prompts or []]
    if pictures and len(texts) not in (0, 1, len(pictures)):
        raise InputError("prompt", f"a list of {len(texts)}", f"one prompt, or one for each IMAGE ({len(pictures)})")
    if not pictures and not any(texts):
        return Judged(None, [])
    if not pictures or not texts or not all(texts):
        report.note(NEEDS_BOTH, node_id)
        return Judged(None, [NEEDS_BOTH])
    with report.stage("CLIP score"):
        found, fallbacks = _score(pictures, texts * len(pictures) if len(texts) == 1 else texts)
    for note in fallbacks:
        report.note(note, node_id, fallback=True)
    return Judged(found, fallbacks)


def _text(prompt: Any) -> str:
    if not isinstance(prompt, str):
        raise InputError("prompt", prompt, "text")
    require_unicode("prompt", prompt)
    return prompt.strip()


def _folders() -> Iterator[tuple[str, Path]]:
    """Name and folder of everything in transformers' layout, `clip_vision` first, then by name."""
    for kind in PATHS:
        for root in folder_paths.get_folder_paths(kind):
            for config in sorted(Path(root).glob("*/config.json")):
                yield config.parent.name, config.parent


def _score(pictures: list[torch.Tensor], texts: list[str]) -> tuple[score.Score | None, list[str]]:
    """By the first CLIP model that is whole; and what had to be left out."""
    notes: list[str] = []
    for name, folder in _folders():
        try:
            if read_json(folder / "config.json").get("model_type") != "clip":
                continue
            clip = score.load(folder, name)
            words = {text: score.read(clip, text) for text in texts}
            told = [note for part in words.values() for note in score.notes_on(clip, part)]
            if not all(part.is_readable for part in words.values()):
                return None, notes + told
            scores = _under_management(clip, pictures, [words[text] for text in texts])
            return score.Score(name, tuple(scores)), notes + told
        except ModelFilesError as error:
            notes.append(f"the CLIP model {name} cannot be used: {error}".replace(str(folder), name))
        except Exception as error:
            if not mm.is_oom(error):
                raise
            return None, [*notes, MEMORY]
    return None, [*notes, WHERE_TO_GET]


def _under_management(
    clip: score.ClipModel, pictures: list[torch.Tensor], words: list[score.TokenizedText]
) -> list[float]:
    """ComfyUI makes the room, and has it back at the end. Listens for Cancel before each batch."""
    device = mm.text_encoder_device()
    patcher = memory.patcher_of_transformers(clip.model, device, mm.text_encoder_offload_device())
    mm.load_models_gpu([patcher])
    try:
        return [
            value
            for images, text in zip(pictures, words, strict=True)
            for value in score.score(clip, images, text, device, check_cancel)
        ]
    finally:
        patcher.detach()
        del patcher  # and with it its entry in ComfyUI's list
        mm.soft_empty_cache()
