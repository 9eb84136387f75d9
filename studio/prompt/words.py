"""A Korean word taken apart: what a dictionary knows of it, and the particle or ending behind it.

No grammar, a shortest path: of all ways to cover a word with known stems and one ending, the one that leaves the fewest
syllables unexplained and has the fewest parts.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import NamedTuple

LONGEST_WORD = 40  # characters; more is no word
UNEXPLAINED, NOT_KOREAN, PIECE, SINGLE, LATE = (
    10.0,
    0.6,
    1.0,
    3.0,
    4.0,
)  # costs: a syllable, another character, a stem, ...
_SYLLABLE = re.compile(r"[가-힣]")

_SUFFIX = (
    r"(?:들|님|쯤|씩|별|당|용|형|식|급|류|산|집|점|전문점|전문|가게|매장|샵|숍|세트|맛|향|색|빛|톤|풍|스타일|느낌|분위기|배경|사진|광고|포스터|배너|"
    r"이미지|홍보|할인|특가|세일|이벤트|행사|판매|배송|예약|출시|오픈|증정|추천|구매|주문|전용|겸용|제품|만들기|적|같은|같이|위|속){0,5}"
)
_PARTICLE = (
    r"(?:에게|에게도|한테|께|에서|에서는|에서도|에서의|에서만|에는|에도|에만|에|으로|로|으로는|로는|으로도|로도|으로만|으로의|까지|까지도|부터|보다|마다|처럼|만큼|조차|밖에|"
    r"대로|이나|나|이랑|랑|하고|과|와|의|은|는|이|가|을|를|도|만|만의|만을|이며|며|이고|고|인데|인|이라|라|라서|이라서|라는|이라는|라면|이라면|이면|이든|든|든지|이요|요|"
    r"이에요|예요|이예요|에요|이야|야|입니다|이죠|죠|이네요|네요|이랍니다|랍니다|였던|이었던|이다|다|이니까|니까|엔|에선|로서|로써|이란|란|쯤은|부터는|까지는)?"
)
_DOING = r"(?:(?:하|해|한|할|함|합|했|되|돼|된|될|됩|시키|시켜|받|드려|드리|드립|있|스런|스러|스럽)[가-힣]{0,6})?"
NOUN_END = re.compile(rf"{_SUFFIX}{_DOING}{_PARTICLE}[~!ㅎㅋㅠ^]*$")
_SYLLABLES_OF_ENDINGS = set(
    "하해한할함합했히고게은는을를이가도만요세셔시습니다면서지만어아여려라네죠쥬용유염음기자던든듯며까수있없었였겠셨드릴립린리더데인보봐볼본께각운울움웠와우워러른르스런로움답같임잖"
    "구나야거군ㅋㅎㅠ죵당때도록처럼에으로랍"
)
LONGEST_ENDING = 7
PARTICLE_ONLY = re.compile(rf"{_PARTICLE}$")


class Piece(NamedTuple):
    """A stem of the dictionary in a word."""

    stem: str  # as the dictionary has it
    start: int  # in the word
    end: int
    tail: str  # what follows it in the word, where that is an ending; else ""


class Parsed(NamedTuple):
    """A word taken apart."""

    pieces: tuple[Piece, ...]
    unknown: int  # syllables that nothing explains


def parse(word: str, stems: Mapping[str, bool] | Collection[str], bending: Collection[str]) -> Parsed:
    """The word by `stems` (small letters); those in `bending` are adjectives and verbs, which any ending may follow.

    A stem of one syllable counts only as the whole word before a particle, one of two only where the word or another
    stem begins or ends: 봄 is not in 해봄, nor 배 in 배달.
    """
    word = word[:LONGEST_WORD].lower()
    size = len(word)
    nowhere: tuple[float, tuple[Piece, ...], int] = (1e9, (), 0)
    best = [(0.0, nowhere[1], 0), *[nowhere] * size]

    def offer(end: int, cost: float, pieces: tuple[Piece, ...], unknown: int) -> None:
        if cost < best[end][0]:
            best[end] = (cost, pieces, unknown)

    for at in range(size):
        cost, pieces, unknown = best[at]
        known = at == 0 or bool(pieces and pieces[-1].end == at)
        syllable = bool(_SYLLABLE.match(word[at]))
        offer(at + 1, cost + (UNEXPLAINED if syllable else NOT_KOREAN), pieces, unknown + syllable)
        for end in range(at + 1, size + 1):
            stem = word[at:end]
            if stem not in stems or not _may_lie(word, at, end, known, stem in bending):
                continue
            extra = _extra(end - at, known)
            tail = word[end:]
            offer(end, cost + PIECE + extra, (*pieces, Piece(stem, at, end, "")), unknown)
            if tail and _ends(tail, stem in bending):
                offer(size, cost + PIECE + extra + 0.5, (*pieces, Piece(stem, at, end, tail)), unknown)
    _, pieces, unknown = best[size]
    return Parsed(pieces, unknown)


def _extra(length: int, known: bool) -> float:
    return SINGLE if length == 1 else 0.0 if known else LATE


def _may_lie(word: str, at: int, end: int, known: bool, bending: bool) -> bool:
    if not _SYLLABLE.search(word[at:end]):
        before, after = word[at - 1 : at], word[end : end + 1]
        return not (before.isascii() and before.isalnum()) and not (after.isascii() and after.isalnum())
    if end - at == 1:
        return at == 0 and (PARTICLE_ONLY.match(word[end:]) is not None or (bending and _ends(word[end:], True)))
    return known or end - at > 2 or NOUN_END.match(word[end:]) is not None


def _ends(tail: str, bending: bool) -> bool:
    if NOUN_END.match(tail):
        return True
    return bending and len(tail) <= LONGEST_ENDING and all(letter in _SYLLABLES_OF_ENDINGS for letter in tail)


def fits(tail: str, bending: bool) -> bool:
    """Whether what follows a stem is an ending, or nothing."""
    return not tail or _ends(tail, bending)
