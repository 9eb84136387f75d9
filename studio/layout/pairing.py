"""The best pair of a place for the products and a place for the words."""

from __future__ import annotations

from typing import NamedTuple

from .analysis import PictureAnalysis
from .criteria import PAIR_CRITERIA, WORD_CRITERIA
from .options import Frame
from .products import ProductPlaces
from .words import WordPlaces


class Pair(NamedTuple):
    """The chosen places of products and words."""

    products: ProductPlaces  # of one place
    words: WordPlaces  # of one place


def best_pair(products: ProductPlaces, words: WordPlaces, scene: PictureAnalysis, frame: Frame, vertical: bool) -> Pair:
    """Each place for products with each for words; columns of words (`vertical`) go beside products in any picture."""
    import numpy as np

    groups, texts = products.boxes[:, None], words.boxes[None]
    score = products.score[:, None] + words.score[None]
    centre = (texts[..., :2] + texts[..., 2:]) / 2
    large = np.clip(words.letter / (WORD_CRITERIA.full * (frame.width * frame.height) ** 0.5), 0, 1)[None]
    # What catches the eye in the scene weighs too: a plant on the right wants product or words on the left.
    columns = (np.arange(scene.saliency.shape[1]) + 0.5) / scene.saliency.shape[1] - 0.5
    lean = (
        float((scene.saliency * columns).mean()) * PAIR_CRITERIA.scene_lean
        + (centre[..., 0] - 0.5) * large * PAIR_CRITERIA.words_lean
    )
    if groups.any():
        middle = (groups[..., 0] + groups[..., 2]) / 2
        lean = lean + (middle - 0.5) * (groups[..., 3] - groups[..., 1]) * PAIR_CRITERIA.product_lean
        short = min(frame.width, frame.height)
        gap_x = np.maximum(texts[..., 0] - groups[..., 2], groups[..., 0] - texts[..., 2]) * (frame.width / short)
        gap_y = np.maximum(texts[..., 1] - groups[..., 3], groups[..., 1] - texts[..., 3]) * (frame.height / short)
        tight = np.clip(1 - np.maximum(gap_x / PAIR_CRITERIA.gap_beside, gap_y / PAIR_CRITERIA.gap), 0, None)
        beside = gap_x > gap_y  # words beside a product belong at its height, words above it over its middle
        level = np.abs((groups[..., 1] + groups[..., 3]) / 2 - centre[..., 1])
        axis = np.abs(middle - centre[..., 0])
        landscape = np.clip(frame.aspect - 1.3, 0, 1) - np.clip(1.1 - frame.aspect, 0, 1)
        if vertical:  # columns stand beside a product in a picture of any shape
            landscape = max(landscape, 0.5)
        almost = (axis > PAIR_CRITERIA.almost_from) & (axis < PAIR_CRITERIA.almost_to)
        score += PAIR_CRITERIA.beside * landscape * beside
        score -= np.where(
            beside, PAIR_CRITERIA.level * level, PAIR_CRITERIA.axis * axis + PAIR_CRITERIA.almost * almost
        )
        score -= np.where(tight > 0, PAIR_CRITERIA.tight + PAIR_CRITERIA.tighter * PAIR_CRITERIA.gap * tight, 0)
    score = score - PAIR_CRITERIA.balance * np.abs(lean)
    product, text = np.unravel_index(int(score.argmax()), score.shape)
    return Pair(
        ProductPlaces(*(values[product] for values in products)), WordPlaces(*(values[text] for values in words))
    )
