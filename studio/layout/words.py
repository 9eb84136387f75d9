"""Where words may stand: boxes inside the safe area, each with a score for calm, contrast and the size of its letters."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .. import contrast
from ..canvas import Safe
from ..text.estimate import Estimate, Writing, estimate
from .lettering import LEFT, alignments
from .scene import BUSY, EYE, BoxMeans, Scene, box_mean, share_hidden
from .wishes import Wishes

if TYPE_CHECKING:
    import numpy as np

BEST = 350  # of each kind are paired
SENTENCE = 16  # em: longer words are no headline any more
CLEAR = 0.25  # of an em: what letters keep from a thing, at least
TEXTURE = 0.35  # busy cells among their neighbours; more is wood or a crowd, less is the outline of a thing
BANDS = (0.12, 0.17, 0.24, 0.33)  # of the safe area's height: words over things take one along its upper or lower edge
VEILED = 2.0  # what that costs, in scores of `_scored_words`, where a good place has 1 to 3 and a bad one less than -1
TRIMS = (0.1, 0.2, 0.3, 0.42, 0.55)  # of a box's side, taken off where it meets a thing


class WordPlaces(NamedTuple):
    """Places where the words may stand, and how good each is."""

    boxes: np.ndarray  # [M, 4]
    score: np.ndarray  # [M]
    hidden: np.ndarray  # [M] 0..1, how much of what catches the eye they hide
    busy: np.ndarray  # [M] 0..1, how much of what is under them is edges
    letter: np.ndarray  # [M] pixels an em
    veiled: np.ndarray  # [M] whether they lie over things, on a veil from an edge of the picture


def word_places(scene: Scene, headline: str, width: int, height: int, wishes: Wishes, safe: Safe) -> WordPlaces:
    """Widths x heights x positions inside the safe area, scored by calm, by contrast and by how large letters can be."""
    import numpy as np

    x0, y0, x1, y1 = safe.left, safe.top, 1 - safe.right, 1 - safe.bottom
    room = (x1 - x0, y1 - y0)
    places = []
    for long in (1.0, 0.8, 0.64, 0.52, 0.42, 0.34):  # along the lines
        for deep in (0.12, 0.17, 0.24, 0.33, 0.45, 0.6):  # across them
            w, h = (part * side for part, side in zip((deep, long) if wishes.vertical else (long, deep), room))
            steps = (5 if long < 0.8 else 3 if long < 1 else 1, 8)
            columns, rows = reversed(steps) if wishes.vertical else steps
            for x in np.linspace(x0, x1 - w, columns):
                for y in np.linspace(y0, y1 - h, rows):
                    places.append((x, y, x + w, y + h))
    boxes = np.array(places)
    boxes = boxes[_on_side(boxes, wishes.text_side, y1)]
    words = Writing(headline, wishes.vertical)
    boxes = _trimmed(_scored_words(boxes, scene, words, width, height).boxes[: BEST // 3])
    free = _scored_words(boxes[_on_side(boxes, wishes.text_side, y1)], scene, words, width, height)
    if wishes.vertical:
        return free
    bands = [(x0, y, x1, y + tall * (y1 - y0)) for tall in BANDS for y in (y0, y1 - tall * (y1 - y0))]
    over = np.array(bands)
    over = _veiled_words(over[_on_side(over, wishes.text_side, y1)], scene, words, width, height)
    return WordPlaces(*map(np.concatenate, zip(free, over)))


def _on_side(boxes: np.ndarray, side: str, lowest: float) -> np.ndarray:
    """[N] whether each box lies on the side that was wished for; `lowest` is where the safe area ends."""
    import numpy as np

    x, y = ((boxes[:, :2] + boxes[:, 2:]) / 2).T
    return {
        "auto": np.ones(len(boxes), bool),
        "top": y < 0.42,
        "bottom": y > (0.58 if lowest > 0.75 else 0.5),
        "left": x < LEFT,
        "right": x > 1 - LEFT,
    }[side]


def _trimmed(boxes: np.ndarray) -> np.ndarray:
    """The boxes [N, 4], and each of them with a part of one side taken off: what is left beside a thing."""
    import numpy as np

    wide, tall = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    less = np.stack([wide, tall, -wide, -tall], -1)
    return np.concatenate([boxes, *(boxes + less * side * part for side in np.eye(4) for part in TRIMS)])


def _scored_words(boxes: np.ndarray, scene: Scene, words: Writing, width: int, height: int) -> WordPlaces:
    """The best of the boxes [N, 4], best first."""
    import numpy as np

    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    planes = [scene.busyness > BUSY, scene.busyness, scene.saliency > EYE, scene.saliency]
    busy, rough, nicked, salient = BoxMeans(np.stack(planes, -1, dtype=np.float64)).over(boxes).T
    hidden = share_hidden(scene, boxes)
    legible, patchy = _legible(scene, boxes)
    noise = 1.2 * busy + 0.8 * rough + 0.9 * patchy
    # Words that nick a subject look careless, however little of it they hide.
    eye = 0.9 * salient + 3.2 * hidden + 1.2 * nicked
    ink = estimate(boxes, words, width, height)
    large = _large(ink, words, width, height)
    across = 0 if words.vertical else 1
    lost = np.clip(boxes[:, 2 + across] - boxes[:, across] - 0.4, 0, 1)  # a deep box with few words looks lost
    upper = 1 - centre[:, 1]  # read first
    score = 1.8 * large + 0.4 * upper + 0.9 * legible - noise - eye - 0.5 * lost
    # Columns of two letters read as rows of them.
    score -= (1.2 if words.vertical else 0.6) * ink.broken
    score -= _touched(boxes, ink, words, scene, width, height)
    best = np.argsort(-score, kind="stable")[: 2 * BEST]
    return WordPlaces(boxes[best], score[best], hidden[best], busy[best], ink.letter[best], np.zeros(len(best), bool))


def _veiled_words(boxes: np.ndarray, scene: Scene, words: Writing, width: int, height: int) -> WordPlaces:
    """Bands [N, 4] along an edge, for pictures that leave no free place: there a headline over things, on a gradient as
    posters have it, looks better than one squeezed between them. What is under it counts little; a face counts."""
    import numpy as np

    salient, busy = BoxMeans(np.stack([scene.saliency, scene.busyness > BUSY], -1, dtype=np.float64)).over(boxes).T
    hidden = share_hidden(scene, boxes)
    ink = estimate(boxes, words, width, height)
    large = _large(ink, words, width, height)
    upper = 1 - (boxes[:, 1] + boxes[:, 3]) / 2
    score = 1.8 * large + 0.4 * upper - 0.9 * salient - 3.2 * hidden - 0.6 * ink.broken - VEILED
    return WordPlaces(boxes, score, hidden, busy, ink.letter, np.ones(len(boxes), bool))


def _large(ink: Estimate, words: Writing, width: int, height: int) -> np.ndarray:
    """[M] how large the letters are, up to 1; less than 0 where they are no headline."""
    import numpy as np

    share = ink.letter / (width * height) ** 0.5
    # Below a sixteenth it is hardly a headline, below a twentieth it is none; a long sentence may be smaller.
    least = np.clip((SENTENCE / max(1.0, words.length(words.headline))) ** 0.5, 0.7, 1)
    small = 2 * np.clip(1 - share / (0.06 * least), 0, 1) + 5 * np.clip(1 - share / (0.054 * least), 0, 1)
    return np.clip(share / 0.12, 0, 1) - small


def _touched(boxes: np.ndarray, ink: Estimate, words: Writing, scene: Scene, width: int, height: int) -> np.ndarray:
    """[M] what it costs that the letters themselves, not their box, meet a thing or the outline of one.

    Half a letter's worth costs all of it: a headline that only just bites into a cup looks as wrong as one across it.
    """
    import numpy as np

    clear = CLEAR * ink.letter
    # Columns stand in the middle of their box.
    align = 0.5 if words.vertical else alignments((boxes[:, 0] + boxes[:, 2]) / 2)
    left = boxes[:, 0] * width + (boxes[:, 2] - boxes[:, 0]) * width * align - ink.wide * align
    top = (boxes[:, 1] + boxes[:, 3]) / 2 * height - ink.tall / 2
    room = np.stack([left - clear, top - clear, left + ink.wide + clear, top + ink.tall + clear], -1)
    room = np.clip(room / [width, height, width, height], 0, 1)
    area = (room[:, 2] - room[:, 0]) * (room[:, 3] - room[:, 1]) * (width * height) / np.maximum(ink.letter, 1) ** 2
    busy = (scene.busyness > BUSY).astype(np.float64)
    outline = busy * (box_mean(busy[..., None], max(2, min(busy.shape) // 16))[..., 0] < TEXTURE)
    thing, edge = BoxMeans(np.stack([scene.saliency > EYE, outline], -1).astype(np.float64)).over(room).T
    return 2.0 * np.clip(thing * area / 0.5, 0, 1) + 0.6 * np.clip(edge * area / 0.5, 0, 1)


def _legible(scene: Scene, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[M] twice, 0..1: the contrast that white or dark letters have on most of what is under them (1 = a half more than
    they need, 0 = a half of it), and how uneven that is in lightness."""
    import numpy as np

    luminance = contrast.relative_luminance(scene.color)
    light = np.sqrt(luminance)  # about as even to the eye as to the number
    mean, square, middle, spread = BoxMeans(np.stack([luminance, luminance**2, light, light**2], -1)).over(boxes).T
    most = 1.6 * np.sqrt(np.maximum(square - mean**2, 0))
    white = contrast.contrast_ratio(1.0, np.minimum(mean + most, 1))
    dark = contrast.contrast_ratio(np.maximum(mean - most, 0), 0.0056)
    ratio = np.maximum(white, dark) / contrast.READABLE
    return np.clip(ratio - 0.5, 0, 1), np.clip(np.sqrt(np.maximum(spread - middle**2, 0)) / 0.2, 0, 1)
