"""How large words get in a box, before a font is opened: enough to compare thousands of boxes by."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, NamedTuple

from .breaking import is_hangul
from .markup import TAG
from .typeset import LONG_WORD, OWN_LINES, RUN_ON

if TYPE_CHECKING:
    import numpy as np

# What stays together on a line: words, but Han and kana break anywhere.
WORD_OR_IDEOGRAPH = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\s\u3040-\u30ff\u3400-\u9fff]+")


class HeadlineText(NamedTuple):
    """What is to be written, and how it runs."""

    headline: str
    vertical: bool

    def length(self, text: str) -> float:
        """Of a line, in em, about."""
        return sum(map(_downward if self.vertical else _advance, text))

    @property
    def sentence_length(self) -> float:
        """Of all the words on one line, in em, about."""
        return self.length(TAG.sub("", self.headline))


class Estimate(NamedTuple):
    """What the words come to in each of M boxes, about: a font has its own widths."""

    letter: np.ndarray  # [M] pixels an em
    wide: np.ndarray  # [M] pixels, of the longest line
    tall: np.ndarray  # [M] pixels, of all lines
    lines: np.ndarray  # [M]
    broken: np.ndarray  # [M] whether lines are broken that the writer made


def estimate(boxes: np.ndarray, words: HeadlineText, width: int, height: int) -> Estimate:
    """How large the words get in each box, each of their lines folded into one to five, and what they then fill."""
    import numpy as np

    lines = [line for line in TAG.sub("", words.headline).splitlines() if line.strip()] or ["x" * 10]
    lengths = [words.length(line) for line in lines]
    parted = [[words.length(_unbroken(word)) for word in WORD_OR_IDEOGRAPH.findall(line)] for line in lines]
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
    return Estimate(letter, ink_wide, ink_tall, np.choose(fold, counts), fold > 0)


def _unbroken(word: str) -> str:
    """What of a word stays on a line: Hangul without spaces is broken where that makes it much larger."""
    if len(word) > LONG_WORD:
        return word[:LONG_WORD]
    return word[:RUN_ON] if sum(map(is_hangul, word)) > RUN_ON else word


def _advance(character: str) -> float:
    """Width in em, about: Hangul and Han take a whole one."""
    if character.isspace():
        return 0.3
    return 0.95 if unicodedata.east_asian_width(character) in "WF" else 0.56


def _downward(character: str) -> float:
    """What a character takes of a column, in em, about."""
    return 0.4 if character.isspace() else 1.0
