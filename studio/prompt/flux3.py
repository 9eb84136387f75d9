"""FLUX.3's captions: an element table that says what stands where, and the model's own prompt upsampler.

The table, the system prompts and what is done with the answer are diffusers' (Flux3AutoPromptUpsampleStep); here a shop
owner's layout becomes the boxes that they take.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import images
from ..canvas import Box
from ..errors import InputError, ModelFilesError
from ..layout.layout import Layout, parse

if TYPE_CHECKING:
    import torch

LONGEST_PROMPT = 20_000  # characters; FLUX.3 reads 8192 tokens
MOST_REFERENCES = 10
MOST_ANSWER_TOKENS = 3584  # of an answer, as the reference allows
LANGUAGES = {"Ko": r"[\uac00-\ud7a3]", "Ja": r"[\u3040-\u30ff]", "Zh": r"[\u4e00-\u9fff]"}  # else English


class CaptionRequest(NamedTuple):
    """What is drawn."""

    prompt: str
    layout: Layout | None = None
    products: str = ""  # a line for each of the layout's products, largest role first; a blank one leaves its box away
    headline: str = ""  # words that FLUX.3 letters in the layout's text box
    references: tuple[
        torch.Tensor, ...
    ] = ()  # IMAGEs [1, H, W, 3] to edit or to take the products from, in their order
    masks: tuple[torch.Tensor, ...] = ()  # [1, H, W] each, 1 = the product in its reference; none: it fills the picture


def caption_request(prompt: str, layout: Any, products: str, headline: str, image: Any, mask: Any) -> CaptionRequest:
    """From a node's inputs: a layout or its JSON, IMAGE [B, H, W, 3] of B references, MASK [B, H, W] or [H, W] of them."""
    import torch

    pictures = () if image is None else images.require_picture("image", image).split(1)
    masks = () if mask is None else torch.from_numpy(images.require_mask("product_mask", mask)).split(1)
    plan = None if layout is None else parse(layout)
    made = CaptionRequest(prompt, plan, products, headline, tuple(pictures), tuple(masks))
    boxes(made)
    return made


def boxes(request: CaptionRequest) -> list[dict[str, Any]]:
    """Rows as diffusers takes them: {"id", "desc", "bbox"}, or with references {"id", "desc", "from", "src_bbox", "tgt_bbox"}.

    A box is [y_min, x_min, y_max, x_max] in shares of its picture. Without a layout there is none. Raises InputError
    that names what does not belong together.
    """
    _require_words(request)
    described = [line.strip() for line in request.products.splitlines()]
    wanted = [(index, line) for index, line in enumerate(described) if line]
    headline = request.headline.strip()
    layout = request.layout
    if layout is None:
        if wanted or headline:
            named = "products" if wanted else "headline"
            raise InputError(named, getattr(request, named), "a layout too, for its position")
        return []
    if not wanted and not headline:
        raise InputError("products", request.products, "what the layout's boxes contain, or a headline")
    if wanted and wanted[-1][0] >= len(layout.products):
        raise InputError("products", request.products, f"at most a line for each of {len(layout.products)} products")
    rows = []
    for index, line in wanted:
        row = {"id": f"product_{index + 1}", "desc": line}
        rows.append(row | _places(request, _shares(layout.products[index], layout), index))
    if headline:
        language = next((name for name, letters in LANGUAGES.items() if re.search(letters, headline)), "En")
        look = f'lettering that reads "{headline}", in {layout.text_color}, aligned {layout.text_align}'
        rows.append({"id": f"{language}_Text_1", "desc": look} | _places(request, _shares(layout.text, layout), None))
    return rows


def _places(request: CaptionRequest, target: list[float], reference: int | None) -> dict[str, Any]:
    """Where an element stands, and where it comes from; None: from no reference."""
    if not request.references:
        return {"bbox": target}
    if reference is None or reference >= len(request.references):
        return {"from": "target", "tgt_bbox": target}
    whole = [0.0, 0.0, 1.0, 1.0]
    source = _bounds(request.masks[reference]) if reference < len(request.masks) else whole
    return {"from": f"ref_image_{reference}", "src_bbox": source, "tgt_bbox": target}


def _shares(box: Box, layout: Layout) -> list[float]:
    inside = (box.y / layout.height, box.x / layout.width, box.bottom / layout.height, box.right / layout.width)
    return [min(max(share, 0.0), 1.0) for share in inside]  # a product may stand over the picture's edge


def _bounds(mask: torch.Tensor) -> list[float]:
    """[y_min, x_min, y_max, x_max] of what a MASK [1, H, W] covers, in shares of its size."""
    import numpy as np

    covered = images.require_mask("product_mask", mask)[0] > 0.5
    rows, columns = np.flatnonzero(covered.any(1)), np.flatnonzero(covered.any(0))
    if not len(rows):
        raise InputError("product_mask", "an empty mask", "a mask of the product, or none")
    height, width = covered.shape
    return [rows[0] / height, columns[0] / width, (rows[-1] + 1) / height, (columns[-1] + 1) / width]


def _require_words(request: CaptionRequest) -> None:
    for name, text in (("prompt", request.prompt), ("products", request.products), ("headline", request.headline)):
        if len(text) > LONGEST_PROMPT:
            raise InputError(name, text, f"at most {LONGEST_PROMPT} characters")
        if re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]", text):
            raise InputError(name, text, "words, without control characters and halves of surrogate pairs")
    if not request.prompt.strip():
        raise InputError("prompt", request.prompt, "what shall be drawn, in words")
    if len(request.references) > MOST_REFERENCES:
        raise InputError("image", f"{len(request.references)} references", f"at most {MOST_REFERENCES}")
    if request.masks and len(request.masks) != len(request.references):
        wanted = f"one for each of the {len(request.references)} references"
        raise InputError("product_mask", f"{len(request.masks)} masks", wanted)


def caption(request: CaptionRequest) -> str:
    """The prompt with its element table behind it, written without a language model.

    The table's ids are cited in the prompt as <id>; a sentence names those that the user did not cite himself.
    """
    rows, prompt = boxes(request), request.prompt.strip()
    if not rows:
        return prompt
    unsaid = [f"{_identity(row)} <{row['id']}>{_source(row)}" for row in rows if f"<{row['id']}>" not in prompt]
    if unsaid:
        listed = ", ".join(unsaid[:-1]) + " and " * (len(unsaid) > 1) + unsaid[-1]
        prompt = f"{prompt}{'' if prompt.endswith(('.', '!', '?')) else '.'} The picture shows {listed}."
    return f"{prompt} {json.dumps(_reference().boxes_to_canvas(rows), ensure_ascii=False)}"


def _identity(row: dict[str, Any]) -> str:
    return "lettering" if "_Text_" in row["id"] else row["desc"].rstrip(".")


def _source(row: dict[str, Any]) -> str:
    return f" from <{row['from']}>" if row.get("from", "target") != "target" else ""


def upsample(request: CaptionRequest, model: Any, processor: Any, most_tokens: int = MOST_ANSWER_TOKENS) -> str:
    """The caption that FLUX.3's prompt upsampler writes, greedily, with the boxes kept as they are.

    model: a Qwen3_5ForConditionalGeneration, or what has its `device` and `generate`. Raises InputError where the request
    cannot be written about, and where the model answers nothing.
    """
    reference, rows = _reference(), boxes(request)
    marks = getattr(processor, "tokenizer", processor).get_added_vocab()
    for name, text in (("prompt", request.prompt), ("products", request.products), ("headline", request.headline)):
        if used := [mark for mark in marks if mark in text]:
            raise InputError(name, used[0], "words without the language model's own marks")
    pictures = [picture for image in request.references for picture in images.to_pil(image)]
    for picture in pictures:
        if max(picture.size) > reference.MAX_ASPECT_RATIO * min(picture.size):
            raise InputError("image", "x".join(map(str, picture.size)), f"sides up to {reference.MAX_ASPECT_RATIO}:1")
    shown = reference.prepare_references(pictures) if pictures else None
    try:
        return reference.upsample_prompt(model, processor, request.prompt, shown, rows or None, most_tokens)
    except RecursionError:
        raise InputError("upsampler", "an answer of brackets", "the prompt upsampler of FLUX.3") from None
    except RuntimeError as error:
        if "empty caption" not in str(error):
            raise
        raise InputError("upsampler", "an empty answer", "the prompt upsampler of FLUX.3") from None


def _reference() -> Any:
    try:
        from diffusers.modular_pipelines.flux3 import prompt_upsampler
    except (ImportError, RuntimeError) as error:
        wanted = "diffusers 0.42 or newer, with transformers 5.2 or newer"
        raise ModelFilesError("upsampler", "FLUX.3's prompt upsampler", wanted) from error
    return prompt_upsampler
