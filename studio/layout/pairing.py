"""The best pair of a place for the products and a place for the words."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .products import ProductPlaces
from .scene import Scene
from .words import WordPlaces

if TYPE_CHECKING:
    pass

APART = 0.045  # of the square root of the area: from product to words, and half as much again beside it
ALMOST = (0.01, 0.1)  # of the width: from middle to middle of words and a product under each other


class Choice(NamedTuple):
    products: ProductPlaces  # of one place
    words: WordPlaces  # of one place


def best_pair(
    products: ProductPlaces, words: WordPlaces, scene: Scene, width: int, height: int, vertical: bool
) -> Choice:
    """Scores add up from terms of about 0..1; their weights are the taste of this pack."""
    import numpy as np

    groups, texts = products.boxes[:, None], words.boxes[None]
    score = products.score[:, None] + words.score[None]
    centre = (texts[..., :2] + texts[..., 2:]) / 2
    large = np.clip(words.letter / (0.12 * (width * height) ** 0.5), 0, 1)[None]
    # What catches the eye in the scene weighs too: a plant on the right wants product or words on the left.
    columns = (np.arange(scene.saliency.shape[1]) + 0.5) / scene.saliency.shape[1] - 0.5
    lean = float((scene.saliency * columns).mean()) * 2.5 + (centre[..., 0] - 0.5) * large
    if groups.any():
        middle = (groups[..., 0] + groups[..., 2]) / 2
        lean = lean + (middle - 0.5) * (groups[..., 3] - groups[..., 1]) * 2
        side = (width * height) ** 0.5
        gap_x = np.maximum(texts[..., 0] - groups[..., 2], groups[..., 0] - texts[..., 2]) * (width / side)
        gap_y = np.maximum(texts[..., 1] - groups[..., 3], groups[..., 1] - texts[..., 3]) * (height / side)
        tight = np.clip(APART - np.maximum(gap_x / 1.5, gap_y), 0, 1)
        beside = gap_x > gap_y  # words beside a product belong at its height, words above it over its middle
        level = np.abs((groups[..., 1] + groups[..., 3]) / 2 - centre[..., 1])
        axis = np.abs(middle - centre[..., 0])
        landscape = np.clip(width / height - 1.3, 0, 1) - np.clip(1.1 - width / height, 0, 1)
        if vertical:  # columns stand beside a product in a picture of any shape
            landscape = max(landscape, 0.5)
        almost = (axis > ALMOST[0]) & (axis < ALMOST[1])  # a little off each other's middle looks like a mistake
        score += 0.7 * landscape * beside - np.where(beside, 0.5 * level, 0.6 * axis + 0.25 * almost)
        score -= np.where(tight > 0, 6 + 20 * tight, 0)
    score = score - 0.8 * np.abs(lean)
    product, text = np.unravel_index(int(score.argmax()), score.shape)
    return Choice(
        ProductPlaces(*(values[product] for values in products)),
        WordPlaces(*(values[text] for values in words)),
    )
