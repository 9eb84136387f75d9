"""Where a line may break: Korean words whole, Chinese and Japanese by character with their line-edge rules, Latin words
whole and without hyphens. After UAX #14 and JIS X 4051, as far as headlines need them."""

from __future__ import annotations

import itertools
import math
import re
import unicodedata
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

from . import sense
from .markup import TextRun, TextStyle

NOT_FIRST = set(
    "、。，．・：；？！)」』】〕〉》’”ー々ゝゞぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮ…‥,.!?:;%]}~％）｝］〟»›°℃"
)
NOT_LAST = set("(「『【〔〈《‘“[{（｛［〝«‹₩￦$€£¥#@")
SIGNS = set("&+×=→/·-–—~")  # between two words, where they stand alone
RIGHT_TO_LEFT = {"R", "AL"}
LONGEST_UNIT = 6  # letters, of what a number counts
ORPHAN = 0.5  # squares of a full line, for one that holds a letter or an article alone
BALANCED = 200  # units; a longer text is a paragraph, whose lines are filled, and balancing it would take seconds
# Scripts whose letters join, reorder or stack: Arabic and Hebrew, Indic, Thai to Khmer, Mongolian, Hangul of single jamo.
COMPLEX = re.compile(
    "[\u0590-\u08ff\u0900-\u0dff\u0e00-\u0fff\u1000-\u109f\u1100-\u11ff\u1780-\u18af\ua960-\ua97f\ud7b0-\ud7ff\ufb1d-\ufdff\ufe70-\ufeff]"
)


class Cluster(NamedTuple):
    """What a reader takes for one character, with the marks that sit on it."""

    text: str
    style: TextStyle


class Unit(NamedTuple):
    """Clusters that stay on one line, and the space after them."""

    clusters: tuple[Cluster, ...]
    space: tuple[Cluster, ...]


def is_ideograph(character: str) -> bool:
    """Characters between which a line may break: Han, kana; not Hangul, whose words stay whole."""
    point = ord(character)
    return (
        0x2E80 <= point <= 0x30FF
        or 0x31F0 <= point <= 0x9FFF
        or 0xF900 <= point <= 0xFAFF
        or 0xFF01 <= point <= 0xFF9F
        or 0x20000 <= point <= 0x3FFFF
    )


def is_katakana(character: str) -> bool:
    """Whether it is a katakana letter or the long vowel mark."""
    return 0x30A1 <= ord(character) <= 0x30FC and character != "・"


def is_right_to_left(text: str) -> bool:
    """Whether any character of it is Hebrew, Arabic or another that is written from the right."""
    return any(unicodedata.bidirectional(character) in RIGHT_TO_LEFT for character in text)


def clusters_of(runs: Sequence[TextRun]) -> list[Cluster]:
    """Characters with their combining marks; joiners bind what is on both sides."""
    clusters: list[Cluster] = []
    for text, style in runs:
        for character in text:
            joined = clusters and clusters[-1].text[-1] == "\u200d"
            if clusters and (joined or _joins(clusters[-1].text, character)):
                clusters[-1] = Cluster(clusters[-1].text + character, clusters[-1].style)
            else:
                clusters.append(Cluster(character, style))
    return clusters


def _joins(before: str, character: str) -> bool:
    """Whether a character belongs to the cluster before it: a mark, a joiner, a skin tone, a flag's tag or second letter."""
    if unicodedata.category(character) in ("Mn", "Me", "Mc") or character == "\u200d":
        return True
    second = is_regional(before[0]) and len(before) == 1 and is_regional(character)
    return second or "\U0001f3fb" <= character <= "\U0001f3ff" or "\U000e0020" <= character <= "\U000e007f"


def is_regional(character: str) -> bool:
    """Letters of which two make a flag."""
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def may_break(before: str, after: str) -> bool:
    """Whether a line may end between two neighbouring clusters, neither of them a space."""
    if after[0] in NOT_FIRST or before[-1] in NOT_LAST:
        return False
    if is_katakana(before[-1]) and is_katakana(after[0]):  # a loan word, which reads badly in two
        return False
    if is_ideograph(before[-1]) or is_ideograph(after[0]):
        return True
    return before[-1] in "-–—/" and not after[0].isdigit()


def is_hangul(character: str) -> bool:
    """Whether it is a whole Hangul syllable."""
    return "가" <= character <= "힣"


def leads_on(word: Sequence[Cluster], following: Cluster, then: Sequence[Cluster]) -> bool:
    """Whether a word belongs to the one after it and stays with it: a Korean one of one syllable (전, 새, 첫, 한, 갓), any before
    후 or 시, a sign that stands alone (&), a number before its unit (500 원, 50 %, 2 kg). `following` and `then`: the clusters
    behind the space."""
    if len(word) == 1:
        return (is_hangul(word[0].text[0]) and word[0].text not in sense.TRAILING) or word[0].text in SIGNS
    if word[-1].text in NOT_LAST:  # "₩ 9,900"
        return True
    text = following.text + "".join(itertools.takewhile(lambda letter: letter != " ", (one.text for one in then)))
    if text in sense.TRAILING:
        return True
    alone = len(text) == 1 and is_hangul(text)
    return word[-1].text.isdigit() and (alone or text.rstrip(".,!?") in sense.UNITS)


def units_of(clusters: Sequence[Cluster]) -> list[Unit]:
    """The parts of one line of the text that may stand on lines of their own."""
    units: list[Unit] = []
    word: list[Cluster] = []
    space: list[Cluster] = []
    for index, cluster in enumerate(clusters):
        if cluster.text == " ":
            space.append(cluster)
            continue
        if word and space and leads_on(word, cluster, clusters[index + 1 : index + 1 + LONGEST_UNIT]):
            word, space = [*word, *space], []
        elif word and (space or may_break(word[-1].text, cluster.text)):
            units.append(Unit(tuple(word), tuple(space)))
            word, space = [], []
        elif space:  # spaces that begin a line are kept: somebody typed them
            word, space = [*space], []
        word.append(cluster)
    if word:
        units.append(Unit(tuple(word), ()))
    return units


def wrap(
    units: Sequence[Unit],
    width: float,
    measure: Callable[[Sequence[Cluster]], float],
    split_words: bool,
    together: float = math.inf,
) -> list[list[Unit]] | None:
    """The fewest lines no wider than `width`; those of up to BALANCED units are balanced. None where a word does not fit and
    words may not be split. Words stay on one line where a break between them costs `together` or more (sense)."""
    units = _joined(units, together)
    widths = [measure(unit.clusters) for unit in units]
    if split_words and any(each > width for each in widths):
        units = [
            part
            for unit, each in zip(units, widths)
            for part in (_split(unit, width, measure) if each > width else [unit])
        ]
        widths = [measure(unit.clusters) for unit in units]
    spaces = [measure(unit.space) if unit.space else 0.0 for unit in units]
    lines = _greedy(widths, spaces, width)
    if lines is None:
        return None
    if len(lines) > 1 and len(units) <= BALANCED:
        lone = [sense.is_too_little("".join(cluster.text for cluster in unit.clusters)) for unit in units]
        endings = [cost_between(unit, after) for unit, after in pairwise(units)]
        lines = _even(_Row(widths, spaces, endings, lone), width, len(lines))
    return [list(units[a:b]) for a, b in lines]


def _split(unit: Unit, width: float, measure: Callable[[Sequence[Cluster]], float]) -> list[Unit]:
    """A unit's clusters, each on its own; but spaces, numbers, Latin words and what may not end or begin a line stay with
    their neighbours as far as `width` allows."""
    pieces = [[unit.clusters[0]]]
    for before, cluster in zip(unit.clusters, unit.clusters[1:]):
        bound = before.text in NOT_LAST or cluster.text in NOT_FIRST or " " in (before.text, cluster.text)
        if bound or not (is_hangul(before.text[0]) or is_hangul(cluster.text[0])):
            pieces[-1].append(cluster)
        else:
            pieces.append([cluster])
    pieces = [part for piece in pieces for part in ([piece] if measure(piece) <= width else [[one] for one in piece])]
    parts = [Unit(tuple(piece), ()) for piece in pieces]
    parts[-1] = Unit(parts[-1].clusters, unit.space)
    return parts


def _greedy(widths: Sequence[float], spaces: Sequence[float], limit: float) -> list[tuple[int, int]] | None:
    """The fewest lines, each as full as it gets; None where a unit is wider than a line."""
    starts, filled = [0], 0.0
    for index, width in enumerate(widths):
        if width > limit:
            return None
        space = spaces[index - 1] if index > starts[-1] else 0.0
        if index > starts[-1] and filled + space + width > limit:
            starts.append(index)
            filled = width
        else:
            filled += space + width
    return list(zip(starts, [*starts[1:], len(widths)]))


def cost_between(unit: Unit, after: Unit) -> float:
    """What it costs to end a line between two units, in squares of a full line (sense)."""
    if not unit.space:  # parts of one word
        return 0.0
    last = "".join(cluster.text for cluster in unit.clusters).rsplit(" ", 2)
    if len(last) > 1 and last[-2][-1:].isdigit():  # "50 %" is one number
        last[-1] = last[-2] + last[-1]
    first = "".join(cluster.text for cluster in after.clusters).split(" ", 2)
    if len(first) > 1 and first[0][-1:].isdigit() and first[1] in sense.UNITS:
        first[0] += first[1]
    return sense.cost_between(last[-1], first[0])


def _joined(units: Sequence[Unit], together: float) -> Sequence[Unit]:
    """Units with those in one that stay on a line."""
    if math.isinf(together) or not 2 < len(units) <= BALANCED:  # two words, a line each, are a poster
        return units
    joined = [*units[:1]]
    for before, unit in pairwise(units):
        if cost_between(before, unit) >= together:
            joined[-1] = Unit((*joined[-1].clusters, *joined[-1].space, *unit.clusters), unit.space)
        else:
            joined.append(unit)
    return joined


class _Row(NamedTuple):
    """The units of a text, measured."""

    widths: Sequence[float]
    spaces: Sequence[float]  # after each
    endings: Sequence[float]  # what it costs to end a line after each but the last, in squares of a full line
    lone: Sequence[bool]  # whether a line should not hold it alone


def _even(row: _Row, limit: float, count: int) -> list[tuple[int, int]]:
    """`count` lines no wider than `limit` whose squared widths add up to the least, with what their ends cost: no line is
    left with one word where the others can share."""
    total = len(row.widths)
    best: list[dict[int, tuple[float, int]]] = [{0: (0.0, 0)}]  # after each line: end -> (cost, start of the line)
    for _ in range(count):
        reached: dict[int, tuple[float, int]] = {}
        for start, (cost, _before) in best[-1].items():
            length = 0.0
            for end in range(start + 1, total + 1):
                length += row.widths[end - 1] + (row.spaces[end - 2] if end - 1 > start else 0.0)
                if length > limit:
                    break
                extra = (row.endings[end - 1] if end < total else 0.0) + ORPHAN * (end == start + 1 and row.lone[start])
                paid = cost + length**2 + extra * limit**2
                if end not in reached or paid < reached[end][0]:
                    reached[end] = (paid, start)
        best.append(reached)
    lines, end = [], total
    for line in reversed(best[1:]):
        start = line[end][1]
        lines.append((start, end))
        end = start
    return lines[::-1]
