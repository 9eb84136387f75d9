"""Where words may stand: boxes inside the safe area, each with a score for calm, contrast and the size of its letters."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .. import contrast
from ..cancelling import check_cancel
from ..text.estimate import Estimate, HeadlineText, estimate
from .analysis import BUSY, EYE, BoxMeans, PictureAnalysis, box_mean, face_cover, share_hidden
from .criteria import PAIR_CRITERIA, WordCriteria
from .lettering import FLUSH_LEFT, alignments
from .options import Frame

if TYPE_CHECKING:
    import numpy as np

MOST_CANDIDATES = 350  # of each kind are paired
CLEARANCE = 0.25  # of an em: what letters keep from a thing, at least
TEXTURE = 0.35  # busy cells among their neighbours; more is wood or a crowd, less is the outline of a thing
BANDS = (0.12, 0.17, 0.24, 0.33)  # of the safe area's height: words over things take one along its upper or lower edge
TRIMS = (0.1, 0.2, 0.3, 0.42, 0.55)  # of a box's side, taken off where it meets a thing
FACE_TOUCHED = 0.02  # of a face: from here on words are over it
NEAR = 24  # of the best places for products: so many get places for words that are made for them


class Task(NamedTuple):
    """What is to be written, on what, and by which criteria."""

    scene: PictureAnalysis
    words: HeadlineText
    frame: Frame
    criteria: WordCriteria


class WordPlaces(NamedTuple):
    """Places where the words may stand, and how good each is."""

    boxes: np.ndarray  # [M, 4]
    score: np.ndarray  # [M]
    hidden: np.ndarray  # [M] 0..1, how much of what catches the eye they hide
    busy: np.ndarray  # [M] 0..1, how much of what is under them is edges
    letter: np.ndarray  # [M] pixels an em
    veiled: np.ndarray  # [M] whether they lie over things, on a veil from an edge of the picture


def word_places(task: Task, side: str, products: np.ndarray) -> WordPlaces:
    """Widths x heights x positions inside the safe area, and what the best places [N, 4] of products leave beside them,
    scored by calm, by contrast and by how large letters can be. `side` is where the words were wished."""
    import numpy as np

    frame, words = task.frame, task.words
    x0, y0, x1, y1 = frame.safe.left, frame.safe.top, 1 - frame.safe.right, 1 - frame.safe.bottom
    room = (x1 - x0, y1 - y0)
    places = []
    for long in (1.0, 0.8, 0.64, 0.52, 0.42, 0.34):  # along the lines
        for deep in (0.12, 0.17, 0.24, 0.33, 0.45, 0.6):  # across them
            w, h = (part * side for part, side in zip((deep, long) if words.vertical else (long, deep), room))
            steps = (5 if long < 0.8 else 3 if long < 1 else 1, 8)
            columns, rows = reversed(steps) if words.vertical else steps
            check_cancel()
            for x in np.linspace(x0, x1 - w, columns):
                for y in np.linspace(y0, y1 - h, rows):
                    places.append((x, y, x + w, y + h))
    boxes = np.array(places)
    boxes = boxes[_on_side(boxes, side, y1)]
    boxes = _trimmed(_scored(boxes, task).boxes[: MOST_CANDIDATES // 3])
    boxes = np.concatenate([boxes, _around(products[:NEAR], frame)])
    free = _scored(boxes[_on_side(boxes, side, y1)], task)
    if words.vertical:
        return free
    bands = [(x0, y, x1, y + tall * (y1 - y0)) for tall in BANDS for y in (y0, y1 - tall * (y1 - y0))]
    over = np.array(bands)
    over = _veiled(over[_on_side(over, side, y1)], task)
    return WordPlaces(*map(np.concatenate, zip(free, over)))


def word_place(task: Task, box: np.ndarray) -> WordPlaces:
    """One place [4], inside the picture or not, with its scores: of words that a person put there."""
    import numpy as np

    place = np.clip(box, 0, 1)
    if not (place[2:] > place[:2]).all():
        place = np.array([0.0, 0.0, 1.0, 1.0])
    return _scored(place[None], task)


def _around(products: np.ndarray, frame: Frame) -> np.ndarray:
    """[M, 4] what the safe area leaves above, left and right of each place [N, 4] for products, the gap kept."""
    import numpy as np

    if not products.any():
        return np.zeros((0, 4))
    short = min(frame.width, frame.height)
    gap_y, gap_x = (
        1.02 * PAIR_CRITERIA.gap * short / frame.height,
        1.02 * PAIR_CRITERIA.gap_beside * short / frame.width,
    )
    left, top, right, base = products.T
    x0, y0, x1, y1 = (
        np.full(len(products), edge)
        for edge in (frame.safe.left, frame.safe.top, 1 - frame.safe.right, 1 - frame.safe.bottom)
    )
    high, low = np.maximum(y0, top), np.minimum(y1, base)
    parts = [
        (x0, y0, x1, top - gap_y),
        (x0, high, left - gap_x, low),
        (right + gap_x, high, x1, low),
        (x0, y0, left - gap_x, y1),
        (right + gap_x, y0, x1, y1),
    ]
    boxes = np.concatenate([np.stack(part, -1) for part in parts])
    boxes = np.unique(boxes.round(4), axis=0)
    return boxes[((boxes[:, 2] - boxes[:, 0]) > 0.12) & ((boxes[:, 3] - boxes[:, 1]) > 0.05)]


def _on_side(boxes: np.ndarray, side: str, lowest: float) -> np.ndarray:
    """[N] whether each box lies on the side that was wished for; `lowest` is where the safe area ends."""
    import numpy as np

    x, y = ((boxes[:, :2] + boxes[:, 2:]) / 2).T
    return {
        "auto": np.ones(len(boxes), bool),
        "top": y < 0.42,
        "bottom": y > (0.58 if lowest > 0.75 else 0.5),
        "left": x < FLUSH_LEFT,
        "right": x > 1 - FLUSH_LEFT,
    }[side]


def _trimmed(boxes: np.ndarray) -> np.ndarray:
    """The boxes [N, 4], and each of them with a part of one side taken off: what is left beside a thing."""
    import numpy as np

    wide, tall = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    less = np.stack([wide, tall, -wide, -tall], -1)
    return np.concatenate([boxes, *(boxes + less * side * part for side in np.eye(4) for part in TRIMS)])


def _scored(boxes: np.ndarray, task: Task) -> WordPlaces:
    """The best of the boxes [N, 4], best first."""
    import numpy as np

    scene, words, frame, criteria = task.scene, task.words, task.frame, task.criteria
    planes = [scene.busyness > BUSY, scene.busyness, scene.saliency > EYE, scene.saliency]
    busy, rough, nicked, salient = BoxMeans(np.stack(planes, -1, dtype=np.float64)).over(boxes).T
    hidden = share_hidden(scene, boxes)
    legible, patchy = _legible(scene, boxes)
    estimated = estimate(boxes, words, frame.width, frame.height)
    across = 0 if words.vertical else 1
    deep = boxes[:, 2 + across] - boxes[:, across]
    score = _common(boxes, estimated, task) + criteria.legible * legible
    score -= criteria.busy * busy + criteria.rough * rough + criteria.patchy * patchy
    score -= criteria.salient * salient + criteria.hidden * hidden + criteria.nicked * nicked
    score -= criteria.lost * np.clip(deep - 0.4, 0, 1) + criteria.cloud * (legible < 0.5) * ~_at_an_edge(
        boxes, criteria
    )
    score -= _touched(boxes, estimated, task)
    best = np.argsort(-score, kind="stable")[: 2 * MOST_CANDIDATES]
    return WordPlaces(
        boxes[best], score[best], hidden[best], busy[best], estimated.letter[best], np.zeros(len(best), bool)
    )


def _veiled(boxes: np.ndarray, task: Task) -> WordPlaces:
    """Bands [N, 4] along an edge, for pictures that leave no free place: there a headline over things, on a gradient as
    posters have it, looks better than one squeezed between them. What is under it counts little; a face counts."""
    import numpy as np

    scene, words, frame, criteria = task.scene, task.words, task.frame, task.criteria
    salient, busy = BoxMeans(np.stack([scene.saliency, scene.busyness > BUSY], -1, dtype=np.float64)).over(boxes).T
    hidden = share_hidden(scene, boxes)
    estimated = estimate(boxes, words, frame.width, frame.height)
    score = _common(boxes, estimated, task) - criteria.veiled
    score -= criteria.veiled_salient * salient + criteria.hidden * hidden
    return WordPlaces(boxes, score, hidden, busy, estimated.letter, np.ones(len(boxes), bool))


def _common(boxes: np.ndarray, estimated: Estimate, task: Task) -> np.ndarray:
    """[N] what counts for all words, on a veil or not: their size, how high they are, and faces."""
    scene, words, criteria = task.scene, task.words, task.criteria
    upper = 1 - (boxes[:, 1] + boxes[:, 3]) / 2
    score = criteria.large * _large(estimated, task) + criteria.upper * upper
    score -= (criteria.broken_columns if words.vertical else criteria.broken) * estimated.broken
    crowded, few = (criteria.crowded_columns, 1) if words.vertical else (criteria.crowded, 2)
    score -= crowded * (estimated.lines - few).clip(0)
    return score - criteria.face * (face_cover(scene.faces, boxes) > FACE_TOUCHED)


def _at_an_edge(boxes: np.ndarray, criteria: WordCriteria) -> np.ndarray:
    """[N] whether a veil under words there is a gradient from the picture's upper or lower edge."""
    middle = (boxes[:, 1] + boxes[:, 3]) / 2
    return (boxes[:, 2] - boxes[:, 0] >= criteria.wide) & ((middle < criteria.edge) | (middle > 1 - criteria.edge))


def _large(estimated: Estimate, task: Task) -> np.ndarray:
    """[M] how large the letters are, up to 1; less than 0 where they are no headline."""
    import numpy as np

    words, frame, criteria = task.words, task.frame, task.criteria
    long = words.sentence_length / criteria.sentence
    least = (
        criteria.least * min(frame.width, frame.height) * np.clip(max(long, 1e-6) ** -0.5, criteria.sentence_least, 1)
    )
    large = np.clip(estimated.letter / (criteria.full * (frame.width * frame.height) ** 0.5), 0, 1)
    return large - criteria.small / criteria.large * np.clip(1 - estimated.letter / least, 0, 1)


def _touched(boxes: np.ndarray, estimated: Estimate, task: Task) -> np.ndarray:
    """[M] what it costs that the letters themselves, not their box, meet a thing or the outline of one.

    Half a letter's worth costs all of it: a headline that only just bites into a cup looks as wrong as one across it.
    """
    import numpy as np

    scene, words, frame, criteria = task.scene, task.words, task.frame, task.criteria
    width, height = frame.width, frame.height
    clear = CLEARANCE * estimated.letter
    # Columns stand in the middle of their box.
    align = 0.5 if words.vertical else alignments((boxes[:, 0] + boxes[:, 2]) / 2)
    left = boxes[:, 0] * width + (boxes[:, 2] - boxes[:, 0]) * width * align - estimated.wide * align
    top = (boxes[:, 1] + boxes[:, 3]) / 2 * height - estimated.tall / 2
    room = np.stack([left - clear, top - clear, left + estimated.wide + clear, top + estimated.tall + clear], -1)
    room = np.clip(room / [width, height, width, height], 0, 1)
    area = (
        (room[:, 2] - room[:, 0]) * (room[:, 3] - room[:, 1]) * (width * height) / np.maximum(estimated.letter, 1) ** 2
    )
    busy = (scene.busyness > BUSY).astype(np.float64)
    outline = busy * (box_mean(busy[..., None], max(2, min(busy.shape) // 16))[..., 0] < TEXTURE)
    thing, edge = BoxMeans(np.stack([scene.saliency > EYE, outline], -1).astype(np.float64)).over(room).T
    return criteria.touch * np.clip(thing * area / 0.5, 0, 1) + criteria.touch_edge * np.clip(edge * area / 0.5, 0, 1)


def _legible(scene: PictureAnalysis, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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
