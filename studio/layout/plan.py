"""Where the product stands, how large, and where the words go: every sensible pair of boxes is scored, the best taken."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ..canvas import FORMATS
from ..errors import InputError, require_number
from ..images import require_mask, require_picture
from ..text.breaking import is_hangul
from ..text.markup import TAG
from ..text.typeset import OWN_LINES, RUN_ON
from . import contrast
from .layout import Box, Layout, Safe, Scrim
from .light import estimate_light
from .scene import BoxMeans, Scene, box_mean, look_at

if TYPE_CHECKING:
    import numpy as np
    import torch

AS_PICTURE = "as the picture"
EACH, TOGETHER = "each on its own background", "all in one picture"
SIDES = ("auto", "top", "bottom", "left", "right")
SMALLEST = 32  # pixels a side
MOST = 64  # products, as a layout may hold


NOTHING = Safe(0, 0, 0, 0)
# What a format's own buttons, crops and trimming take; `Wishes.margin` goes before it where it is wider.
SAFE_AREAS = {
    # Name above, buttons and caption below. Meta's ads guide: 14 % and 20 % free in stories; reels 14 %, 35 %, sides 6 %.
    "9:16 story, reel": Safe(0.14, 0.06, 0.35, 0.06),
    # Profile grids cut it to a square (older apps) or to 3:4.
    "4:5 feed portrait": Safe(0.10, 0.05, 0.10, 0.05),
    # Title-safe area of television, 5 % all around (SMPTE ST 2046-1, EBU R 95); players lay their bar over the lower tenth.
    "16:9 video, slide": Safe(0.05, 0.05, 0.10, 0.05),
    # Messengers round and cut link previews each in their own way; some to 2:1, some to a square in the middle.
    "1.91:1 link preview": Safe(0.08, 0.08, 0.08, 0.08),
    # Trimming may be 3 mm off, and binding and hands take a centimetre: 6 % of A4's shorter side is 12.6 mm.
    "A-series print, portrait": Safe(0.045, 0.06, 0.045, 0.06),
    "A-series print, landscape": Safe(0.06, 0.045, 0.06, 0.045),
    # 5 mm of 90 x 50 mm, the usual quiet zone of printers beyond 2 to 3 mm of trim.
    "9:5 name card": Safe(0.10, 0.056, 0.10, 0.056),
}


@dataclass(frozen=True)
class Wishes:
    format: str = AS_PICTURE
    batch: str = EACH
    product_scale: float = 0.0  # % of the picture's height (or width, if that is met first); 0: chosen
    text_side: str = "auto"  # which side of the picture the words take
    margin: float = 5.0  # % of the shorter side that stays free all around
    vertical: bool = False  # the words run downwards, in columns from right to left

    def __post_init__(self) -> None:
        allowed: dict[str, tuple[str, ...]] = {
            "format": (AS_PICTURE, *FORMATS),
            "text_side": SIDES,
            "batch": (EACH, TOGETHER),
        }
        for name, choices in allowed.items():
            if getattr(self, name) not in choices:
                raise InputError(name, getattr(self, name), "one of: " + ", ".join(choices))
        for name, (low, high) in RANGES.items():
            require_number(name, getattr(self, name), low, high)


RANGES: dict[str, tuple[float, float]] = {"product_scale": (0, 100), "margin": (0, 25)}


class _Shape(NamedTuple):
    """What is known of a product from its mask, or of several together, in pixels of the mask."""

    width: float
    height: float
    foot: tuple[float, float]  # where it touches the ground: from, to in 0..1 of the width (a mug's handle does not)


class _Products(NamedTuple):
    """Places where the products may stand, and how good each is. One empty box where there is no product."""

    boxes: np.ndarray  # [N, 4] left, top, right, bottom in 0..1 of the picture
    score: np.ndarray  # [N]
    hidden: np.ndarray  # [N] 0..1, how much of what catches the eye they hide
    platform: np.ndarray  # [N] 0..1, how much the ground under them is set off: a podium, a pool of light


class _Words(NamedTuple):
    """Places where the words may stand, and how good each is."""

    boxes: np.ndarray  # [M, 4]
    score: np.ndarray  # [M]
    hidden: np.ndarray  # [M] 0..1, how much of what catches the eye they hide
    busy: np.ndarray  # [M] 0..1, how much of what is under them is edges
    letter: np.ndarray  # [M] pixels an em
    veiled: np.ndarray  # [M] whether they lie over things, on a veil from an edge of the picture


class _Ink(NamedTuple):
    """What the words come to in each of M boxes, about: a font has its own widths."""

    letter: np.ndarray  # [M] pixels an em
    wide: np.ndarray  # [M] pixels, of the longest line
    tall: np.ndarray  # [M] pixels, of all lines
    broken: np.ndarray  # [M] whether lines are broken that the writer made


class _Choice(NamedTuple):
    products: _Products  # of one place
    words: _Words  # of one place


# What stays together on a line: words, but Han and kana break anywhere.
WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\s\u3040-\u30ff\u3400-\u9fff]+")
GAP = 0.06  # between products, times the tallest one's height
APART = 0.045  # of the square root of the area: from product to words, and half as much again beside it
ALMOST = (0.01, 0.1)  # of the width: from middle to middle of words and a product under each other
BUSY = 0.3  # a cell with more edge than this is busy
EYE = 0.55  # a cell that stands out more than this catches the eye
PLATFORM = 0.5  # from here on the ground under a product is spoken of as set off
BEST = 350  # of each kind are paired
SENTENCE = 16  # em: longer words are no headline any more
LEFT = 0.4  # of the width: words in the middle of a box before this are flush left, and the same from the right
CLEAR = 0.25  # of an em: what letters keep from a thing, at least
TEXTURE = 0.35  # busy cells among their neighbours; more is wood or a crowd, less is the outline of a thing
BANDS = (0.12, 0.17, 0.24, 0.33)  # of the safe area's height: words over things take one along its upper or lower edge
VEILED = 2.0  # what that costs, in scores of `_scored_words`, where a good place has 1 to 3 and a bad one less than -1
LEAST_VEIL = 0.4  # opacity of a veil over things: less would only dirty them
TRIMS = (0.1, 0.2, 0.3, 0.42, 0.55)  # of a box's side, taken off where it meets a thing


def plan_pictures(background: torch.Tensor, mask: torch.Tensor | None, headline: str, wishes: Wishes) -> Layout:
    """`plan` for the first picture of IMAGE [B, H, W, 3] and each product of MASK [P, h, w]."""
    import torch

    first = background[:1] if isinstance(background, torch.Tensor) else background
    pictures = require_picture("background", first).numpy()
    return plan(pictures[0], [] if mask is None else list(require_mask("product_mask", mask)), headline, wishes)


def plan(background: np.ndarray, masks: list[np.ndarray], headline: str, wishes: Wishes) -> Layout:
    """The layout for a picture [H, W, 3] in 0..1, the products' masks [h, w], and the words.

    Without a mask the picture is taken to hold its product already, and only the words are placed. Raises InputError
    for an empty mask, more than 64 of them, a picture of less than 32 pixels, and one that has not the format's shape.
    """
    height, width = background.shape[:2]
    if min(height, width) < SMALLEST:
        raise InputError("background", f"{width}x{height}", f"at least {SMALLEST} pixels on each side")
    if wishes.format != AS_PICTURE:
        size = FORMATS[wishes.format]
        if abs(width / height * size.height / size.width - 1) > 0.02:
            raise InputError(
                "background", f"{width}x{height}", f"the shape of {wishes.format!r}, such as {size.width}x{size.height}"
            )
    if len(masks) > MOST:
        raise InputError("product_mask", f"{len(masks)} masks", f"at most {MOST}")
    shapes = [_shape(mask, index) for index, mask in enumerate(masks)]
    if shapes and wishes.batch == EACH:  # one box that holds each of them
        shapes = [_Shape(max(one.width for one in shapes), max(one.height for one in shapes), shapes[0].foot)]
    scene = look_at(background, subject=not shapes)
    free, safe = _margin(wishes, width, height), safe_edges(wishes, width, height)
    products = _product_places(shapes, scene, width, height, wishes, safe, free)
    words = _word_places(scene, headline, width, height, wishes, safe)
    choice = _best_pair(products, words, scene, width, height, wishes.vertical)
    return _finished(background, choice, shapes, scene, width, height, safe)


def _margin(wishes: Wishes, width: int, height: int) -> Safe:
    edge = wishes.margin / 100 * min(width, height)
    return Safe(edge / height, edge / width, edge / height, edge / width)


def safe_edges(wishes: Wishes, width: int, height: int) -> Safe:
    """Where no word may stand: the margin wished for, or the format's safe area where that is wider."""
    return Safe(*map(max, zip(_margin(wishes, width, height), SAFE_AREAS.get(wishes.format, NOTHING))))


def _shape(mask: np.ndarray, index: int) -> _Shape:
    import numpy as np

    rows, columns = np.flatnonzero((mask > 0.5).any(1)), np.flatnonzero((mask > 0.5).any(0))
    if not len(rows):
        raise InputError("product_mask", f"empty (picture {index})", "a mask with a product in it (1 = product)")
    wide, tall = int(columns[-1] - columns[0] + 1), int(rows[-1] - rows[0] + 1)
    low = mask[rows[-1] - tall // 20 : rows[-1] + 1, columns[0] : columns[-1] + 1] > 0.5
    foot = np.flatnonzero(low.any(0))
    return _Shape(wide, tall, (float(foot[0]) / wide, float(foot[-1] + 1) / wide))


def _group(shapes: list[_Shape]) -> _Shape:
    """All products side by side on one ground line. Photos are taken to be of one scale: nothing else is known."""
    if len(shapes) == 1:
        return shapes[0]
    tallest = max(shape.height for shape in shapes)
    return _Shape(sum(shape.width for shape in shapes) + GAP * tallest * (len(shapes) - 1), tallest, (0, 1))


# --- where the product may stand --------------------------------------------------------------------------------------


def _product_places(
    shapes: list[_Shape], scene: Scene, width: int, height: int, wishes: Wishes, safe: Safe, free: Safe
) -> _Products:
    """Sizes x ground lines x positions across, scored by size, thirds, what they hide and what they stand on."""
    import numpy as np

    if not shapes:
        return _Products(np.zeros((1, 4)), np.zeros(1), np.zeros(1), np.zeros(1))
    group = _group(shapes)
    shape = group.width / group.height * height / width  # width for a height of 1, both as shares of the picture
    tallest = min(1 - free.top - free.bottom, (1 - 2 * free.left) / shape)
    heights = [wishes.product_scale / 100] if wishes.product_scale else np.linspace(0.2, 0.76, 13)
    heights = np.unique(np.minimum(heights, tallest).round(4))
    bases = _ground_lines(scene, safe, free)
    grid = np.stack(np.meshgrid(heights, bases, np.linspace(0, 1, 17), indexing="ij"), -1).reshape(-1, 3)
    grid = grid[grid[:, 1] - grid[:, 0] >= min(free.top, 1 - free.bottom - grid[:, 0].min())]
    if not len(grid):  # a size was wished that leaves no choice of ground lines
        grid = np.array([(heights[0], max(heights[0], 1 - free.bottom), across) for across in np.linspace(0, 1, 17)])
    tall, base = grid[:, 0], grid[:, 1]
    wide = tall * shape
    left = free.left + (1 - 2 * free.left - wide) * grid[:, 2]
    boxes = np.stack([left, base - tall, left + wide, base], -1)

    # A sixth of the picture, more for several, less for a long thin one: its length already makes it large.
    long = max(max(shape.width / shape.height, shape.height / shape.width) for shape in shapes)
    size = -0.8 * np.abs(np.log(tall * wide / (0.165 * long**-0.4 * min(2.2, 1 + 0.4 * (len(shapes) - 1)))))
    middle = left + wide / 2
    spot = -1.5 * np.min([np.abs(middle - third) for third in (1 / 3, 0.5, 2 / 3)], 0)
    straddles, platform = _footing(boxes, group.foot, scene, width / height)
    if scene.horizon is None:
        depth = np.abs(base - 0.86) * 4
    else:
        depth = np.abs((base - scene.horizon) / (1 - scene.horizon) - 0.6)
    behind = boxes - [[0, 0, 0, 1]] * (0.25 * tall[:, None])  # what lies under its foot is the ground, not hidden
    hidden = _hidden(scene, behind)
    covered = BoxMeans(scene.saliency).over(behind)
    score = size + spot - depth * (1 - platform) + platform - 1.3 * straddles - 1.4 * covered - 1.8 * hidden
    best = np.argsort(-score, kind="stable")[:BEST]
    return _Products(boxes[best], score[best], hidden[best], platform[best])


def _ground_lines(scene: Scene, safe: Safe, free: Safe) -> np.ndarray:
    """Where a product's base may stand: on the ground that begins at the horizon, else in the lower quarter."""
    import numpy as np

    lowest = 1 - max(free.bottom, safe.bottom * 0.5)  # buttons may lie over its foot, not over its middle
    if scene.horizon is None:
        return np.linspace(min(0.68, lowest - 0.05), lowest, 7)
    deep = 1 - scene.horizon
    return np.linspace(min(scene.horizon + 0.25 * deep, lowest - 0.02), min(scene.horizon + 0.85 * deep, lowest), 9)


def _footing(
    boxes: np.ndarray, foot: tuple[float, float], scene: Scene, aspect: float
) -> tuple[np.ndarray, np.ndarray]:
    """[N] twice, 0..1: does the product stand across an edge, and does it stand on something set off from the sides.

    By the colours around its base line: above against below, its ends against its middle, and against the picture's
    sides.
    """
    import numpy as np

    means = BoxMeans(scene.color)
    wide, base = boxes[:, 2] - boxes[:, 0], boxes[:, 3]
    left, right = boxes[:, 0] + foot[0] * wide, boxes[:, 0] + foot[1] * wide
    wide = right - left
    # As deep as a round product seen from a little above.
    deep = np.clip(0.13 * wide * aspect, 0.012, 0.06)

    def strip(x0: np.ndarray | float, x1: np.ndarray | float, up: float, down: float) -> np.ndarray:
        x0, x1 = np.broadcast_to(x0, base.shape), np.broadcast_to(x1, base.shape)
        return means.over(np.stack([x0, base - up * deep, x1, base + down * deep], -1))

    def unlike(a: np.ndarray, b: np.ndarray, much: float) -> np.ndarray:
        return np.clip(np.linalg.norm(a - b, axis=-1) / much, 0, 1)

    inner = left + 0.25 * wide, right - 0.25 * wide
    above, below = strip(*inner, 0.9, -0.1), strip(*inner, -0.1, 0.7)
    whole = strip(*inner, 1, 0.6)
    ends = [unlike(whole, strip(*end, 0.7, 0.4), 0.45) for end in ((left, inner[0]), (inner[1], right))]
    straddles = np.maximum.reduce([unlike(above, below, 0.25), *ends])
    sides = [unlike(whole, strip(x, x + 0.1, 1, 0.6), 0.3) for x in (0.02, 0.88)]
    # A lake between two trees is set off from them too; but a podium catches the eye, and the wall behind it is another.
    seen = BoxMeans(scene.saliency).over(np.stack([left, base - deep, right, base + 0.6 * deep], -1))
    behind = means.over(np.stack([left, boxes[:, 1], right, (boxes[:, 1] + base) / 2], -1))
    set_off = np.minimum.reduce([*sides, unlike(whole, behind, 0.3), np.clip(seen / EYE, 0, 1)])
    rough = BoxMeans(scene.busyness).over(np.stack([inner[0], base - 0.7 * deep, inner[1], base + 0.4 * deep], -1))
    return straddles, set_off * (1 - straddles) * np.clip(1.2 - 2 * rough, 0, 1)


def _hidden(scene: Scene, boxes: np.ndarray) -> np.ndarray:
    """[N] 0..1: the share of what catches the eye, or of a face, that lies under each box."""
    import numpy as np

    strong = (scene.saliency > EYE).astype(np.float64)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    # A speck is not worth as much as a picture's subject, even where it is all that catches the eye.
    hidden = BoxMeans(strong).over(boxes) * area / max(strong.mean(), 0.05)
    for face in scene.faces:
        wide = np.minimum(boxes[:, 2], face[2]) - np.maximum(boxes[:, 0], face[0])
        tall = np.minimum(boxes[:, 3], face[3]) - np.maximum(boxes[:, 1], face[1])
        over = np.maximum(wide, 0) * np.maximum(tall, 0) / max((face[2] - face[0]) * (face[3] - face[1]), 1e-6)
        hidden = np.maximum(hidden, np.minimum(1, 3 * over))
    return np.minimum(hidden, 1)


# --- where the words may stand ----------------------------------------------------------------------------------------


def _word_places(scene: Scene, headline: str, width: int, height: int, wishes: Wishes, safe: Safe) -> _Words:
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
    words = _Text(headline, wishes.vertical)
    boxes = _trimmed(_scored_words(boxes, scene, words, width, height).boxes[: BEST // 3])
    free = _scored_words(boxes[_on_side(boxes, wishes.text_side, y1)], scene, words, width, height)
    if wishes.vertical:
        return free
    bands = [(x0, y, x1, y + tall * (y1 - y0)) for tall in BANDS for y in (y0, y1 - tall * (y1 - y0))]
    over = np.array(bands)
    over = _veiled_words(over[_on_side(over, wishes.text_side, y1)], scene, words, width, height)
    return _Words(*map(np.concatenate, zip(free, over)))


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


def _scored_words(boxes: np.ndarray, scene: Scene, words: _Text, width: int, height: int) -> _Words:
    """The best of the boxes [N, 4], best first."""
    import numpy as np

    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    planes = [scene.busyness > BUSY, scene.busyness, scene.saliency > EYE, scene.saliency]
    busy, rough, nicked, salient = BoxMeans(np.stack(planes, -1, dtype=np.float64)).over(boxes).T
    hidden = _hidden(scene, boxes)
    legible, patchy = _legible(scene, boxes)
    noise = 1.2 * busy + 0.8 * rough + 0.9 * patchy
    # Words that nick a subject look careless, however little of it they hide.
    eye = 0.9 * salient + 3.2 * hidden + 1.2 * nicked
    ink = _ink_in(boxes, words, width, height)
    large = _large(ink, words, width, height)
    across = 0 if words.vertical else 1
    lost = np.clip(boxes[:, 2 + across] - boxes[:, across] - 0.4, 0, 1)  # a deep box with few words looks lost
    upper = 1 - centre[:, 1]  # read first
    score = 1.8 * large + 0.4 * upper + 0.9 * legible - noise - eye - 0.5 * lost
    # Columns of two letters read as rows of them.
    score -= (1.2 if words.vertical else 0.6) * ink.broken
    score -= _touched(boxes, ink, words, scene, width, height)
    best = np.argsort(-score, kind="stable")[: 2 * BEST]
    return _Words(boxes[best], score[best], hidden[best], busy[best], ink.letter[best], np.zeros(len(best), bool))


def _veiled_words(boxes: np.ndarray, scene: Scene, words: _Text, width: int, height: int) -> _Words:
    """Bands [N, 4] along an edge, for pictures that leave no free place: there a headline over things, on a gradient as
    posters have it, looks better than one squeezed between them. What is under it counts little; a face counts."""
    import numpy as np

    salient, busy = BoxMeans(np.stack([scene.saliency, scene.busyness > BUSY], -1, dtype=np.float64)).over(boxes).T
    hidden = _hidden(scene, boxes)
    ink = _ink_in(boxes, words, width, height)
    large = _large(ink, words, width, height)
    upper = 1 - (boxes[:, 1] + boxes[:, 3]) / 2
    score = 1.8 * large + 0.4 * upper - 0.9 * salient - 3.2 * hidden - 0.6 * ink.broken - VEILED
    return _Words(boxes, score, hidden, busy, ink.letter, np.ones(len(boxes), bool))


def _large(ink: _Ink, words: _Text, width: int, height: int) -> np.ndarray:
    """[M] how large the letters are, up to 1; less than 0 where they are no headline."""
    import numpy as np

    share = ink.letter / (width * height) ** 0.5
    # Below a sixteenth it is hardly a headline, below a twentieth it is none; a long sentence may be smaller.
    least = np.clip((SENTENCE / max(1.0, words.length(words.headline))) ** 0.5, 0.7, 1)
    small = 2 * np.clip(1 - share / (0.06 * least), 0, 1) + 5 * np.clip(1 - share / (0.054 * least), 0, 1)
    return np.clip(share / 0.12, 0, 1) - small


def _touched(boxes: np.ndarray, ink: _Ink, words: _Text, scene: Scene, width: int, height: int) -> np.ndarray:
    """[M] what it costs that the letters themselves, not their box, meet a thing or the outline of one.

    Half a letter's worth costs all of it: a headline that only just bites into a cup looks as wrong as one across it.
    """
    import numpy as np

    clear = CLEAR * ink.letter
    # Columns stand in the middle of their box.
    align = 0.5 if words.vertical else _alignments((boxes[:, 0] + boxes[:, 2]) / 2)
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


def _ink_in(boxes: np.ndarray, words: _Text, width: int, height: int) -> _Ink:
    """How large the words get in each box, each of their lines folded into one to five, and what they then fill."""
    import numpy as np

    lines = [line for line in TAG.sub("", words.headline).splitlines() if line.strip()] or ["x" * 10]
    lengths = [words.length(line) for line in lines]
    parted = [[words.length(_unbroken(word)) for word in WORD.findall(line)] for line in lines]
    wide, tall = (boxes[:, 2] - boxes[:, 0]) * width, (boxes[:, 3] - boxes[:, 1]) * height
    along, across = (tall, wide) if words.vertical else (wide, tall)
    sizes, longests, counts = [], [], []
    for folds in range(1, 6):
        count, longest = 0, 0.0
        for length, parts in zip(lengths, parted):
            into = max(1, round(folds * length / max(lengths)))
            uneven = sum(parts) / len(parts) / 3 if into > 1 else 0  # a third of a word
            longest = max(longest, length / into + uneven, *parts)
            count += into
        sizes.append(np.minimum(along / longest, across / (1.2 * count)))
        longests.append(longest)
        counts.append(count)
    fold = np.argmax(sizes, 0)
    if len(lines) > 1:  # the writer's own lines stay whole where that costs little size
        fold = np.where(sizes[0] >= OWN_LINES * np.max(sizes, 0), 0, fold)
    letter, longest, lines_high = (
        np.choose(fold, part) for part in (sizes, longests, [1.2 * n - 0.28 for n in counts])
    )
    drawn = np.minimum(along / longest, across / lines_high)  # no leading before the first line, nor behind the last
    filled = (drawn * longest, drawn * lines_high)
    ink_wide, ink_tall = reversed(filled) if words.vertical else filled
    return _Ink(letter, ink_wide, ink_tall, fold > 0)


def _unbroken(word: str) -> str:
    """What of a word stays on a line: Hangul without spaces is broken where that makes it much larger."""
    return word[:RUN_ON] if sum(map(is_hangul, word)) > RUN_ON else word


class _Text(NamedTuple):
    """What is to be written, and how it runs."""

    headline: str
    vertical: bool

    def length(self, text: str) -> float:
        """Of a line, in em, about."""
        return sum(map(_downward if self.vertical else _advance, text))


def _advance(character: str) -> float:
    """Width in em, about: Hangul and Han take a whole one."""
    if character.isspace():
        return 0.3
    return 0.95 if unicodedata.east_asian_width(character) in "WF" else 0.56


def _downward(character: str) -> float:
    """What a character takes of a column, in em, about."""
    return 0.4 if character.isspace() else 1.0


# --- both together ----------------------------------------------------------------------------------------------------


def _best_pair(products: _Products, words: _Words, scene: Scene, width: int, height: int, vertical: bool) -> _Choice:
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
    return _Choice(
        _Products(*(values[product] for values in products)),
        _Words(*(values[text] for values in words)),
    )


# --- the plan, in pixels and words ------------------------------------------------------------------------------------


def _finished(
    background: np.ndarray, choice: _Choice, shapes: list[_Shape], scene: Scene, width: int, height: int, safe: Safe
) -> Layout:
    left, top, right, bottom = (choice.words.boxes * [width, height, width, height]).round().astype(int).tolist()
    text = Box(left, top, max(1, right - left), max(1, bottom - top))
    products = _split(choice.products.boxes, shapes, width, height)
    veiled = bool(choice.words.veiled)
    color, scrim, ratio = _ink(background[text.y : text.bottom, text.x : text.right], LEAST_VEIL if veiled else 0.0)
    align = _alignment(float(choice.words.boxes[0] + choice.words.boxes[2]) / 2)
    ground = products[0].bottom if products else round((scene.horizon or 0.9) * height)
    english, korean = _reasons(choice, products, scene, width, color, ratio, scrim)
    light = estimate_light(background)
    return Layout(width, height, products, ground, text, color, align, scrim, light, english, korean, safe)


def _alignment(centre: float) -> str:
    return "left" if centre < LEFT else "right" if centre > 1 - LEFT else "center"


def _alignments(centre: np.ndarray) -> np.ndarray:
    """`_alignment` of many, as the share of a box's free width that lies before a line."""
    import numpy as np

    return np.where(centre < LEFT, 0.0, np.where(centre > 1 - LEFT, 1.0, 0.5))


def inked(background: np.ndarray, text: Box) -> tuple[str, str, Scrim | None]:
    """Colour, alignment and veil for words in a box of a picture [H, W, 3], as a plan gives them."""
    color, scrim, _ = _ink(background[text.y : text.bottom, text.x : text.right])
    return color, _alignment((text.x + text.right) / 2 / background.shape[1]), scrim


def _ink(part: np.ndarray, least: float = 0.0) -> tuple[str, Scrim | None, float]:
    """White or near-black for words on a part [h, w, 3] of the picture, a veil where neither reaches 4.5:1 or one of
    opacity `least` is wanted, and the contrast that is reached."""
    step = (
        max(1, int((part.shape[0] * part.shape[1]) ** 0.5) // 96) | 1
    )  # odd: an even one would see one half of a fine stripe
    under = part[::step, ::step].reshape(-1, 3)
    color, ratio = contrast.best_color(under)
    if ratio >= contrast.READABLE and not least:
        return color, None, ratio
    veils = {
        ink: Scrim(veil, contrast.scrim_opacity(ink, veil, under, least=least))
        for ink, veil in ((contrast.LIGHT, contrast.DARK), (contrast.DARK, contrast.LIGHT))
    }
    # White on a dark veil looks deliberate, dark on a white one like fog: only where much less of it does.
    color = min(veils, key=lambda ink: veils[ink].opacity - (0.4 if ink == contrast.LIGHT else 0))
    veil = veils[color]
    veiled = under * (1 - veil.opacity) + contrast.rgb_of(veil.color) * veil.opacity
    return color, veil, contrast.worst_contrast(color, veiled)


def _split(group: np.ndarray, shapes: list[_Shape], width: int, height: int) -> tuple[Box, ...]:
    """The group's box shared out: sizes in proportion, one ground line, gaps between."""
    if not shapes:
        return ()
    x0, y0, x1, y1 = (group * [width, height, width, height]).tolist()
    whole = _group(shapes)
    scale = min((x1 - x0) / whole.width, (y1 - y0) / whole.height)
    boxes, x = [], (x0 + x1 - whole.width * scale) / 2
    for shape in shapes:
        wide, tall = max(1, int(shape.width * scale)), max(1, int(shape.height * scale))
        boxes.append(Box(round(x), round(y1) - tall, wide, tall))
        x += (shape.width + GAP * whole.height) * scale
    return tuple(boxes)


def _reasons(
    choice: _Choice, products: tuple[Box, ...], scene: Scene, width: int, color: str, ratio: float, scrim: Scrim | None
) -> tuple[str, str]:
    """One sentence each, of what decided; every number in it was measured."""
    english, korean = [], []
    if products:
        middle = (products[0].x + products[-1].right) / 2 / width
        where = ("left", "왼쪽") if middle < 0.42 else ("right", "오른쪽") if middle > 0.58 else ("middle", "가운데")
        things = ("the product stands", "상품은") if len(products) == 1 else ("the products stand", "상품들은")
        if choice.products.platform > PLATFORM:
            english.append(f"{things[0]} {_at(where[0])} on the surface that is set off from the rest")
            korean.append(f"{things[1]} 주변과 구별되는 {where[1]} 받침면 위에 놓았고")
        elif scene.horizon is not None:
            english.append(
                f"{things[0]} {_at(where[0])} on the ground that begins at {scene.horizon:.0%} of the height"
            )
            korean.append(f"{things[1]} 위에서 {scene.horizon:.0%} 되는 높이에서 시작하는 바닥의 {where[1]}에 놓았고")
        else:
            english.append(f"{things[0]} {_at(where[0])} in the lower part, since no ground line shows")
            korean.append(f"바닥선이 뚜렷하지 않아 {things[1]} 아래쪽 {where[1]}에 놓았고")
    words = choice.words
    x, y = (words.boxes[:2] + words.boxes[2:]) / 2
    down = ("top", "위쪽") if y < 0.4 else ("bottom", "아래쪽") if y > 0.6 else ("middle", "중간 높이")
    side = ("left", "왼쪽") if x < 0.42 else ("right", "오른쪽") if x > 0.58 else ("", "")
    place = " ".join(part for part in (down[0], side[0]) if part)
    place_ko = " ".join(part for part in (side[1], down[1]) if part)
    overall = float((scene.busyness > BUSY).mean())
    english.append(
        f"the words go to the {place}, where {words.busy:.0%} of the picture is busy ({overall:.0%} overall)"
    )
    korean.append(f"글자는 복잡한 부분이 {words.busy:.0%}인(전체 {overall:.0%}) {place_ko}에 두었으며")
    if words.hidden > 0.1:
        english.append(f"though they lie over {words.hidden:.0%} of what catches the eye")
        korean.append(f"눈길을 끄는 부분의 {words.hidden:.0%}와 겹치지만")
    tone, tone_ko = ("white", "흰색") if color == contrast.LIGHT else ("a dark colour", "어두운 색")
    if choice.words.veiled and scrim is not None:
        english.append(f"in {tone} over a veil of {scrim.opacity:.0%}, since no part of the picture is free for them")
        korean.append(f"비어 있는 곳이 없어 {scrim.opacity:.0%} 농도의 막 위에 {tone_ko}으로 썼습니다")
    elif scrim is None:
        english.append(f"in {tone}, which has a contrast of {ratio:.1f} to 1 there")
        korean.append(f"그 자리에서 대비가 {ratio:.1f}:1인 {tone_ko}으로 썼습니다")
    else:
        english.append(
            f"in {tone} over a veil of {scrim.opacity:.0%}, since neither white nor dark letters reach 4.5 to 1 there"
        )
        korean.append(
            f"흰 글자도 어두운 글자도 대비 4.5:1에 못 미쳐 {scrim.opacity:.0%} 농도의 막 위에 {tone_ko}으로 썼습니다"
        )
    sentence = ", ".join(english)
    return sentence[0].upper() + sentence[1:] + ".", ", ".join(korean) + "."


def _at(side: str) -> str:
    return "in the middle" if side == "middle" else f"on the {side}"
