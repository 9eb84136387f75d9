"""What a picture can show of a shop owner's words: each word's meaning, and its role beside the others.

The subject is the noun that the sentence is about, which Korean puts last: 강아지 간식 is a treat, 책상 위 지갑 a wallet. What stands
before it says what it is made of, whom it is for, or where it is.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from . import lexicon, typos, words
from .lexicon import Lexicon, Meanings
from .presets import FALLBACK_TRADE, Library, Trade
from .reading import HANGUL, NUMBER_PATTERN, PRICE, QUOTED

SUBJECT, PART, PLACE, UNSHOWN = "subject", "part", "place", "nothing"
INGREDIENTS = "market"  # the trade whose products others are made of
MOST_JOINED = 3  # words that are one in the dictionary: 강아지 간식, 책상 위에
_TOKEN = re.compile(
    r"(?:\d[\d.,]*\d|(?<=\d)[+](?=\d)|[^\s,.!?;:…、。，！？·|()\[\]{}\"'“”‘’「」『』《》〈〉«»~/\\+*#@&=<>\-–—])+"
)
_BREAK = re.compile(r"[,.!?…\n、。，！？·|;]")
_BESIDE = re.compile(
    r"(?:위|옆|앞|아래|밑|안|속|밖|뒤|곁|가운데|한가운데|한켠|쪽|가|맞은편)(?:에서|에|의|으로|엔|에서도)?(?:서)?$"
)
_SCENERY = re.compile(r"(?:배경|분위기|느낌|풍경|감성|무드|스타일|뷰|인테리어|컨셉|콘셉트|한켠|풍의|건물|벽|담장)")
_LOCATIVE = re.compile(r"(?:에서|에서의|에서는|에서도|에|에는|에도|의|엔|으로|속|위|안|같은|처럼)")
_DENIED = re.compile(r"(?:없|말고|빼고|아닌|아니|대신|않|안\b|제외|못)")
_FOR = re.compile(r"(?:용|전용|의|맛|향|형|을위한|를위한|들)")
_ATTRIBUTE = re.compile(r"(?:가능|수납|호환|겸용|추가|포함|증정|교체|불필요|무료|서비스)")
_ASIDE = re.compile(r"(?:까지|향|맛|색|무늬|모양)")
_AND = re.compile(r"(?:와|과|랑|이랑|하고)$")


class Found(NamedTuple):
    """A known word of the text and what it means. start, end: characters of the text."""

    korean: str
    english: str
    start: int
    end: int
    kind: str


class Understood(NamedTuple):
    """What of a text is known, and what is not."""

    found: tuple[Found, ...]  # in the order of the text
    unknown: tuple[str, ...]  # words of which nothing is shown

    def of(self, *kinds: str) -> list[str]:
        """The English of these kinds, each once, in the order of the text."""
        return list(dict.fromkeys(found.english for found in self.found if found.kind in kinds))


class _Token(NamedTuple):
    text: str
    start: int
    clause: int


class _Word(NamedTuple):
    """A stem of the dictionary in the text."""

    text: str  # as the owner wrote it
    start: int
    end: int
    tail: str  # the ending behind it
    token: int  # of the last token that it reaches into
    clause: int
    meanings: Meanings


class _Read(NamedTuple):
    words: tuple[_Word, ...]
    tokens: tuple[_Token, ...]
    unknown: tuple[str, ...]


def find_trade(text: str, library: Library) -> tuple[Trade, tuple[str, ...]]:
    """The trade that the words speak of, and the words that said so; the one for any shop where none does.

    The subject speaks loudest, then a trade's own names; what is beside the subject, or part of it, hardly at all.
    """
    read = _read(text, lexicon.of(library), ())
    roles = _roles(read)
    votes: dict[str, float] = defaultdict(float)
    said: dict[str, list[str]] = defaultdict(list)
    counted: set[tuple[str, str]] = set()
    for word, role in zip(read.words, roles):
        for trade in dict.fromkeys([*word.meanings.trades, *word.meanings.products]):
            if trade not in library.trades or trade == FALLBACK_TRADE or (trade, word.text.lower()) in counted:
                continue
            counted.add((trade, word.text.lower()))
            votes[trade] += min(len(word.text), 5) * _weight(word.meanings, trade, role) * (0.7 if word.clause else 1.0)
            said[trade].append(word.text)
    if any(
        word.meanings.products.keys() == {FALLBACK_TRADE} and role == SUBJECT for word, role in zip(read.words, roles)
    ):
        votes = {trade: vote for trade, vote in votes.items() if vote >= 4}  # a thing of any shop, and hints alone
    if not votes:
        return library.trades[FALLBACK_TRADE], ()
    order = {key: place for place, key in enumerate(library.trades)}
    best = max(votes, key=lambda key: (votes[key], -order[key]))
    return library.trades[best], tuple(said[best])


def _weight(meanings: Meanings, trade: str, role: str) -> float:
    if role == UNSHOWN:
        return 0.0
    if meanings.weak:
        return 0.5 if trade in meanings.trades or trade in meanings.products else 0.0
    if role == SUBJECT and not (meanings.kinds and meanings.wide):
        sure = 0.5 if meanings.kinds else 1.0
        return sure * (3.0 if trade in meanings.trades else 2.0)
    return 0.4 if trade in meanings.trades else 0.2


def understand(text: str, trade: Trade, library: Library, glossary: Iterable[str]) -> Understood:
    """Which words are known and what they mean in a picture. A brand name means nothing else.

    Kinds: "product" of this trade, "elsewhere" for other trades' products, "part" for things that are not the subject,
    and those of the library's words, with "audience" and "material".
    """
    read = _read(text, lexicon.of(library), glossary)
    roles = _roles(read)
    is_there = any(role == SUBJECT and word.meanings.is_thing for word, role in zip(read.words, roles))
    found = [_meant(word, role, trade, read, is_there) for word, role in zip(read.words, roles)]
    found = _with_their_like(found, read.words)
    return Understood(tuple(one for one in found if one is not None), read.unknown)


def _with_their_like(found: list[Found | None], texts: Sequence[_Word]) -> list[Found | None]:
    """Things joined by "and" are shown together, of whatever trade: 파전이랑 막걸리."""
    things = [i for i, one in enumerate(found) if one is not None and one.kind in ("product", "elsewhere")]
    for first, second in pairwise(things):
        if _AND.match(texts[first].tail) and texts[first].clause == texts[second].clause:
            for index in (first, second):
                found[index] = found[index]._replace(kind="product")  # type: ignore[union-attr]
    return found


def _meant(word: _Word, role: str, trade: Trade, read: _Read, is_there: bool) -> Found | None:
    """What a word adds to the picture; None for one that shows nothing."""
    meanings, kinds = word.meanings, word.meanings.kinds

    def found(kind: str, english: str) -> Found | None:
        return Found(word.text, english, word.start, word.end, kind) if english else None

    if role == UNSHOWN:
        return None
    if role == SUBJECT and meanings.is_thing:
        if trade.key in meanings.products:
            return found("product", meanings.products[trade.key])
        if not kinds:
            return found("elsewhere", next(iter(meanings.products.values())))
    if role == PLACE:
        return found("place", kinds["place"]) if "place" in kinds else found("part", _first(meanings))
    for kind, english in kinds.items():
        if kind == "place" and meanings.wide and not _is_scenery(word, read) and is_there:
            continue
        if kind == "audience" and not is_there:
            continue
        return found(kind, english)
    if INGREDIENTS in meanings.products and word.tail[:1] in ("을", "를", "로", "으"):
        return found("detail", f"{meanings.products[INGREDIENTS]} nearby")  # what it is made of: 당근을 갈아 만든 주스
    return found("part", _first(meanings))


def _first(meanings: Meanings) -> str:
    return next(iter(meanings.products.values()), "")


# --- words of the text ------------------------------------------------------------------------------------------------


def _read(text: str, known: Lexicon, glossary: Iterable[str]) -> _Read:
    masked = text
    for name in glossary:
        masked = masked.replace(name, " " * len(name))
    tokens = _tokens(masked)
    spared = [match.span() for pattern in (QUOTED, PRICE, NUMBER_PATTERN) for match in pattern.finditer(text)]
    found: list[_Word] = []
    unknown: list[str] = []
    at = 0
    while at < len(tokens):
        joined = _joined(tokens, at, known)
        if joined is not None:
            found.append(joined)
            at = joined.token + 1
            continue
        token = tokens[at]
        parsed = words.parse(token.text, known.words, known.bending)
        if parsed.unknown and not parsed.pieces and (meant := typos.corrected(token.text, known.neighbours)):
            parsed = words.parse(meant, known.words, known.bending)
        found += [_word(piece, token, at, known) for piece in parsed.pieces]
        if _is_unknown(token, parsed) and not any(
            a < token.start + len(token.text) and token.start < b for a, b in spared
        ):
            unknown.append(_bare(token.text))
        at += 1
    return _Read(tuple(found), tokens, tuple(dict.fromkeys(word for word in unknown if len(word) > 1)))


def _tokens(text: str) -> tuple[_Token, ...]:
    tokens: list[_Token] = []
    clause, last = 0, 0
    for match in _TOKEN.finditer(text):
        clause += bool(_BREAK.search(text[last : match.start()]))
        last = match.end()
        tokens.append(_Token(match[0], match.start(), clause))
    return tuple(tokens)


def _joined(tokens: Sequence[_Token], at: int, known: Lexicon) -> _Word | None:
    """A stem that several words make together, the longest."""
    first = tokens[at]
    for count in range(min(MOST_JOINED, len(tokens) - at), 1, -1):
        parts = tokens[at : at + count]
        if any(part.clause != first.clause for part in parts):
            continue
        whole = "".join(part.text for part in parts).lower()[: words.LONGEST_WORD]
        shorter = len(whole) - len(parts[-1].text)
        for end in range(len(whole), shorter, -1):
            stem, tail = whole[:end], whole[end:]
            if stem in known.words and HANGUL.search(stem) and words.fits(tail, stem in known.bending):
                stop = parts[-1].start + end - shorter
                text = " ".join(part.text for part in parts)[: stop - first.start]
                return _Word(text, first.start, stop, tail, at + count - 1, first.clause, known.words[stem])
    return None


def _word(piece: words.Piece, token: _Token, at: int, known: Lexicon) -> _Word:
    text = token.text[piece.start : piece.end]
    start = token.start + piece.start
    return _Word(text, start, start + len(text), piece.tail, at, token.clause, known.words[piece.stem])


def _is_unknown(token: _Token, parsed: words.Parsed) -> bool:
    """Whether less of a Korean word is explained than not."""
    if not HANGUL.search(token.text):
        return False
    explained = sum(piece.end - piece.start for piece in parsed.pieces)
    return parsed.unknown > explained


def _bare(word: str) -> str:
    """Without its particle, in so far as one can tell."""
    match = re.match(r"(.{2,}?)(?:에서|에게|으로|까지|부터|이나|은|는|이|가|을|를|의|에|도|만|과|와|로|랑)?$", word)
    return match[1] if match else word


# --- roles ------------------------------------------------------------------------------------------------------------


def _roles(read: _Read) -> list[str]:
    """The role of each word. From the last to the first, since what follows decides."""
    roles = [SUBJECT] * len(read.words)
    for index in reversed(range(len(roles))):
        roles[index] = _role(index, read, roles)
    subjects = [i for i, role in enumerate(roles) if role == SUBJECT and _is_thing(read.words[i])]
    strong = [i for i in subjects if not read.words[i].meanings.weak]
    if strong:
        for index in set(subjects) - set(strong):
            roles[index] = PART
    return roles


def _role(index: int, read: _Read, roles: Sequence[str]) -> str:
    word = read.words[index]
    if _is_denied(word, read):
        return UNSHOWN
    if (word.meanings.is_thing or "place" in word.meanings.kinds) and _is_beside(word, read):
        return PLACE
    if word.meanings.is_thing and _is_aside(index, read):
        return PART
    beside = next((i for i in range(index + 1, len(roles)) if read.words[i].token <= word.token + 1), None)
    if beside is not None and roles[beside] == PLACE and "place" in word.meanings.kinds and not word.tail:
        return PLACE
    later = [
        other
        for other, role in zip(read.words[index + 1 :], roles[index + 1 :])
        if other.clause == word.clause and _is_thing(other) and not other.meanings.weak and role == SUBJECT
    ]
    if not later:
        return SUBJECT
    following = later[0]
    if following.token == word.token or (following.token == word.token + 1 and _leans(word)):
        return PART
    if "audience" in word.meanings.kinds and not _AND.match(word.tail):
        return PART
    if word.tail and any(_describes(other, word, later[-1]) for other in read.words[index + 1 :]):
        return PART
    return SUBJECT


def _is_aside(index: int, read: _Read) -> bool:
    """What a thing before it has or does: 백팩 노트북 수납 가능, 소이캔들 라벤더향."""
    word = read.words[index]
    aside = _ASIDE.match(word.tail) or _ATTRIBUTE.match(_next(word, read))
    return bool(aside) and any(o.meanings.is_thing for o in read.words[:index] if o.clause == word.clause)


def _is_thing(word: _Word) -> bool:
    """A thing and nothing else: 딸기 may be a flavour, 밤 the night."""
    return word.meanings.is_thing and not word.meanings.kinds


def _leans(word: _Word) -> bool:
    return not word.tail or _FOR.match(word.tail) is not None


def _describes(other: _Word, word: _Word, last: _Word) -> bool:
    """Whether a verb or adjective between them makes what precedes it part of what follows: 피부에 순한 로션, 팥을 넣은 빵."""
    if not word.token < other.token < last.token or other.clause != word.clause or other.meanings.is_thing:
        return False
    final = (other.text + other.tail)[-1]
    return "가" <= final <= "힣" and (ord(final) - 0xAC00) % 28 in (4, 8)  # ㄴ, ㄹ


def _is_denied(word: _Word, read: _Read) -> bool:
    """맵지 않은, 설탕 없이, 커피 말고."""
    following = _next(word, read)
    if word.tail.startswith("지") and following.startswith(("않", "못", "마")):
        return True
    return _DENIED.match(following) is not None and (word.tail in ("", "이", "가", "은", "는", "도", "을", "를"))


def _is_beside(word: _Word, read: _Read) -> bool:
    following = _next(word, read)
    if word.tail in ("", "의") and _BESIDE.match(following):
        return True
    return (
        re.match(
            r"(?:에서|에서의|에서는|에서도|에서만|위에|위의|위|옆에|속에|속|안에|앞에|에|에는|에도|엔)$", word.tail
        )
        is not None
    )


def _is_scenery(word: _Word, read: _Read) -> bool:
    return bool(_LOCATIVE.match(word.tail) or _SCENERY.match(_next(word, read)) or _SCENERY.match(word.tail))


def _next(word: _Word, read: _Read) -> str:
    following = read.tokens[word.token + 1 : word.token + 2]
    return following[0].text if following and following[0].clause == word.clause else ""
