"""The best pair of a place for the products and a place for the words."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .analysis import PictureAnalysis
from .criteria import PAIR_CRITERIA, WORD_CRITERIA
from .options import Frame
from .products import ProductPlaces
from .words import WordPlaces

if TYPE_CHECKING:
    import numpy as np


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
        gap_x, gap_y = _gaps(groups, texts, frame)
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
        score -= _tight(groups, texts, frame)
    score = score - PAIR_CRITERIA.balance * np.abs(lean)
    product, text = np.unravel_index(int(score.argmax()), score.shape)
    return Pair(
        ProductPlaces(*(values[product] for values in products)), WordPlaces(*(values[text] for values in words))
    )


def best_words(
    standing: np.ndarray, laid: np.ndarray, words: WordPlaces, scene: PictureAnalysis, frame: Frame, vertical: bool
) -> Pair:
    """The best of the places for words around products that stand already, [N, 4], and overlays that a person put there,
    [M, 4]."""
    import numpy as np

    standing = standing if len(standing) else np.zeros((1, 4))
    sizes = (standing[:, 2] - standing[:, 0]) * (standing[:, 3] - standing[:, 1])
    main = int(sizes.argmax())
    others = np.concatenate([np.delete(standing, main, 0), laid])
    crowded = _tight(others[:, None], words.boxes[None], frame).sum(0) if len(others) else 0.0
    fixed = ProductPlaces(standing[main : main + 1], np.zeros(1), np.zeros(1), np.zeros(1))
    return best_pair(fixed, words._replace(score=words.score - crowded), scene, frame, vertical)


def are_apart(standing: np.ndarray, text: np.ndarray, frame: Frame) -> bool:
    """Whether a box of words [4] keeps its distance from all products [N, 4]."""
    return not _tight(standing, text[None], frame).any()


def _gaps(groups: np.ndarray, texts: np.ndarray, frame: Frame) -> tuple[np.ndarray, np.ndarray]:
    """[N, M] twice: the room beside each other and above one another, as shares of the shorter side; less than 0 where
    they meet."""
    import numpy as np

    short = min(frame.width, frame.height)
    across = np.maximum(texts[..., 0] - groups[..., 2], groups[..., 0] - texts[..., 2]) * (frame.width / short)
    down = np.maximum(texts[..., 1] - groups[..., 3], groups[..., 1] - texts[..., 3]) * (frame.height / short)
    return across, down


def _tight(groups: np.ndarray, texts: np.ndarray, frame: Frame) -> np.ndarray:
    """[N, M] what it costs that words are too near to products."""
    import numpy as np

    across, down = _gaps(groups, texts, frame)
    tight = np.clip(1 - np.maximum(across / PAIR_CRITERIA.gap_beside, down / PAIR_CRITERIA.gap), 0, None)
    cost: np.ndarray = np.where(tight > 0, PAIR_CRITERIA.tight + PAIR_CRITERIA.tighter * PAIR_CRITERIA.gap * tight, 0)
    return cost
