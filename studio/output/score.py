"""How well pictures show what a text says: CLIP's score, 100 times the cosine between its two embeddings.

Hessel et al., "CLIPScore", 2021, without its factor of 2.5 and without its cut at 0.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import ModelFilesError
from ..images import to_pil
from ..opening.weight_files import PICKLES, check_safetensors

if TYPE_CHECKING:
    import torch

WEIGHTS_FILE = "model.safetensors"
BATCH = 8  # pictures at once
# Times the short side; of a longer picture the middle is looked at, as CLIP sees no more than a square
LONGEST_ASPECT = 4
_HANGUL = re.compile(r"[\uac00-\ud7a3]+")


class ClipModel(NamedTuple):
    """A CLIP model of transformers with what makes tensors of words and of pictures for it."""

    name: str
    model: Any  # CLIPModel
    tokenizer: Any
    processor: Any  # CLIPImageProcessor


class Score(NamedTuple):
    """Which CLIP model gave which scores."""

    model: str
    pictures: tuple[float, ...]  # 100 x cosine, -100..100, one for each picture


class TokenizedText(NamedTuple):
    """A text as CLIP reads it, and what it does not read."""

    ids: torch.Tensor  # [1, S], S = what the model reads
    total: int  # tokens of the text, start and end marks included
    cut: str  # what did not fit into S
    unread: tuple[str, ...]  # Korean words that the model knows as bytes alone; they are left out
    is_readable: bool  # anything besides those


def load(folder: Path, name: str) -> ClipModel:
    """The CLIP model of a transformers folder, on the CPU, in float32 (a measure should not round).

    Only safetensors, only local files, no code of the folder's. Raises ModelFilesError that names the folder and what is
    wrong with it.
    """
    import torch
    from PIL import Image
    from transformers import AutoTokenizer, CLIPImageProcessor, CLIPModel

    weights = folder / WEIGHTS_FILE
    if not weights.is_file():
        pickles = ", ".join(sorted(file.name for file in folder.iterdir() if file.suffix in PICKLES))
        why = f" ({pickles} is a pickle, which can run code and is never opened)" if pickles else ""
        raise ModelFilesError("clip_vision", name, f"a {WEIGHTS_FILE} in it{why}")
    try:
        check_safetensors(weights, "clip_vision")
        model, gaps = CLIPModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True, dtype=torch.float32
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        processor = CLIPImageProcessor.from_pretrained(folder, local_files_only=True)
        if gaps["missing_keys"]:  # transformers would make them up
            raise ValueError(f"{len(gaps['missing_keys'])} weights are missing, such as {min(gaps['missing_keys'])}")
        if len(tokenizer) > model.config.text_config.vocab_size:
            raise ValueError(f"the tokenizer has {len(tokenizer)} tokens, more than the model")
        size = list(processor(images=[Image.new("RGB", (8, 8))], return_tensors="pt").pixel_values.shape[1:])
        wanted = [3, *[model.config.vision_config.image_size] * 2]
        if size != wanted:
            raise ValueError(f"preprocessor_config.json makes pictures of {size}, the model reads {wanted}")
    except Exception as error:  # the tokenizers library raises plain Exceptions
        reason = " ".join(str(error).split()).replace(str(folder), name)[:300]
        raise ModelFilesError("clip_vision", name, f"a whole CLIP model in transformers' layout ({reason})") from error
    return ClipModel(name, model.train(False).requires_grad_(False), tokenizer, processor)


def read(clip: ClipModel, text: str) -> TokenizedText:
    """What the model reads of a text, and what it does not."""
    from ..sampling.encode import tokenize

    text = unicodedata.normalize("NFC", text)

    # A vocabulary that has learnt no Korean falls back to bytes, three for a syllable.
    def is_unread(word: str) -> bool:
        return len(clip.tokenizer(word, add_special_tokens=False).input_ids) > len(word)

    unread = tuple(word for word in dict.fromkeys(_HANGUL.findall(text)) if is_unread(word))
    rest = _HANGUL.sub(lambda found: "" if found[0] in unread else found[0], text)
    tokens = tokenize(clip.tokenizer, [rest], clip.model.config.text_config.max_position_embeddings)
    return TokenizedText(tokens.ids, tokens.counts[0], tokens.cut[0], unread, any(char.isalnum() for char in rest))


def notes_on(clip: ClipModel, words: TokenizedText) -> list[str]:
    """What of a text the score knows nothing of."""
    notes = []
    if words.unread:
        shown = _short(" ".join(words.unread))
        means = "the score is of the other words" if words.is_readable else "no score; write the prompt in English"
        notes.append(f"{clip.name} reads no Korean ({shown!r}): {means}")
    if words.cut:
        read = words.ids.shape[1]
        notes.append(f"{clip.name} reads {read} of {words.total} tokens; cut off for the score: {_short(words.cut)!r}")
    return notes


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:80] + "..."


def score(
    clip: ClipModel,
    images: torch.Tensor,
    words: TokenizedText,
    device: torch.device,
    before_each: Callable[[], None] = lambda: None,
) -> list[float]:
    """100 x cosine of each picture of IMAGE [B, H, W, 3] and the words: logits_per_image / logit_scale x 100.

    As its processor has it, CLIP sees the square in the middle of a picture. The model's weights are `device`'s, or
    come to it layer by layer; `before_each` is called before every batch. Raises ModelFilesError for weights that give no
    numbers.
    """
    import torch

    for module in clip.model.modules():  # position ids, which partial loading may have left elsewhere
        for name, buffer in list(module.named_buffers(recurse=False)):
            setattr(module, name, buffer.to(device))
    # The processor makes the whole picture small or large before it cuts the square out: 1 x 16384 to 224 x 3670016.
    height, width = images.shape[1:3]
    images = images[:, _middle(height, width), _middle(width, height)]
    ids, scores = words.ids.to(device), []
    for start in range(0, len(images), BATCH):
        before_each()
        pixels = clip.processor(
            images=to_pil(images[start : start + BATCH]), input_data_format="channels_last", return_tensors="pt"
        ).pixel_values  # transformers 4 takes a picture of 3 rows for one of 3 channels where nothing is said
        with torch.no_grad():
            out = clip.model(input_ids=ids, pixel_values=pixels.to(device))
        scores += (100 * out.image_embeds @ out.text_embeds.T)[:, 0].tolist()
    if not all(map(math.isfinite, scores)):
        raise ModelFilesError("clip_vision", clip.name, "weights that are numbers; these give NaN or infinity")
    return scores


def _middle(length: int, other: int) -> slice:
    """The part of a side that is LONGEST times as long as the other side, or a pixel longer: its middle stays in place."""
    spare = max(0, (length - LONGEST_ASPECT * other) // 2)
    return slice(spare, length - spare)
