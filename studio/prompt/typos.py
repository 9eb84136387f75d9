"""Slips of the keyboard: a word that one letter (jamo) away is known."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

SHORTEST_SLIP, LONGEST_SLIP = 3, 10  # syllables; of two, every other word is another one
ANY = "?"  # in place of one syllable

Neighbours = Mapping[str, Sequence[str]]  # a stem with ANY in one place -> the stems that it fits


def neighbours(stems: Iterable[str]) -> Neighbours:
    """The stems by all but one of their syllables: each of a stranger's thousand words is not compared with each of them."""
    found: dict[str, list[str]] = defaultdict(list)
    for stem in stems:
        if SHORTEST_SLIP <= len(stem) <= LONGEST_SLIP:
            for pattern in _patterns(stem):
                found[pattern].append(stem)
    return dict(found)


def _patterns(word: str) -> Iterator[str]:
    return (word[:place] + ANY + word[place + 1 :] for place in range(len(word)))


def corrected(word: str, known: Neighbours) -> str | None:
    """The word with its first syllables as a stem of the dictionary has them, where exactly one is one jamo away; else None."""
    for length in range(min(len(word), LONGEST_SLIP), SHORTEST_SLIP - 1, -1):
        start = word[:length]
        alike = {stem for pattern in _patterns(start) for stem in known.get(pattern, ())}
        near = [stem for stem in alike if _differ_by_one(start, stem)]
        if len(near) == 1:
            return near[0] + word[length:]
    return None


# Letters that fingers and ears take for one another, as NFD has them: initials, vowels; a final may also be missing.
_ALIKE = [set(group) for group in ("ᄀᄁᄏ", "ᄃᄄᄐ", "ᄇᄈᄑ", "ᄌᄍᄎ", "ᄉᄊ", "ᅢᅦᅤᅨ", "ᅬᅫᅰ", "ᅩᅭ", "ᅡᅣ", "ᅥᅧ", "ᅮᅲᅳ", "ᅴᅵ", "ᅥᅩ")]


def _differ_by_one(one: str, other: str) -> bool:
    """Whether one syllable differs, and that by a single jamo that is easily mistaken."""
    apart = [(a, b) for a, b in zip(one, other) if a != b]
    if len(apart) != 1:
        return False
    a, b = (unicodedata.normalize("NFD", letter) for letter in apart[0])
    if abs(len(a) - len(b)) == 1 and min(len(a), len(b)) > 1:
        return a.startswith(b) or b.startswith(a)
    wrong = [{x, y} for x, y in zip(a, b) if x != y]
    return len(a) == len(b) > 1 and len(wrong) == 1 and any(wrong[0] <= group for group in _ALIKE)
