"""What Korean words mean in a picture: the presets' own words and products, and the larger dictionary beside them.

The files are in presets/lexicon: products/TRADE.yaml and words.yaml hold `what the picture shows: [words]`; empty.yaml the words
that show nothing; weak.yaml things that a sentence is about only where nothing else is.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field

from . import typos
from .presets import BUNDLED, Library, read_yaml

LEXICON_FOLDER = BUNDLED / "lexicon"
BENDING = ("mood", "detail", "event", "offer", "season", "colour", "")  # kinds that adjectives and verbs are among


@dataclass
class Meanings:
    """All that one word may mean."""

    products: dict[str, str] = field(default_factory=dict)  # trade -> what the picture shows
    trades: set[str] = field(default_factory=set)  # those that it names
    kinds: dict[str, str] = field(default_factory=dict)  # kind -> English; "" for a word that shows nothing
    weak: bool = False  # a sentence ends with it and is about something else: 한우 선물세트
    wide: bool = True  # whether its kinds are from the larger dictionary, which is read with more care

    @property
    def is_thing(self) -> bool:
        """Whether a shop sells it."""
        return bool(self.products)


@dataclass(frozen=True)
class Lexicon:
    """The dictionary of one library."""

    words: Mapping[str, Meanings]
    bending: frozenset[str]  # those that any ending may follow

    @functools.cached_property
    def neighbours(self) -> typos.Neighbours:
        """For words with a slip in them."""
        return typos.neighbours(self.words)


_last: list[tuple[tuple[object, ...], Lexicon]] = []  # the dictionary made last, for a library's trades


def of(library: Library) -> Lexicon:
    """The dictionary with the library's own trades, a user's too. Kept until the library's trades are others."""
    trades = (library.words, *library.trades.values())
    for kept, made in _last:
        if len(kept) == len(trades) and all(one is other for one, other in zip(kept, trades)):
            return made
    made = _made(library)
    _last[:] = [(trades, made)]
    return made


def _made(library: Library) -> Lexicon:
    words = {word: Meanings(dict(own.products), set(), dict(own.kinds)) for word, own in _bundled().items()}
    for kind, meanings in library.words.kinds.items():
        for word, english in meanings.items():
            words[plain(word)] = Meanings(_entry(words, word).products, set(), {kind: english}, wide=False)
    for word in library.words.empty:
        words[plain(word)] = Meanings({}, set(), {"": ""}, wide=False)
    for trade in library.trades.values():
        for word, english in trade.products.items():
            _entry(words, word).products[trade.key] = english
        for word in trade.keywords:
            _entry(words, word).trades.add(trade.key)
    for word in _weak():
        _entry(words, word).weak = True
    bending = frozenset(word for word, entry in words.items() if any(kind in BENDING for kind in entry.kinds))
    return Lexicon(words, bending)


def _entry(words: dict[str, Meanings], word: str) -> Meanings:
    return words.setdefault(plain(word), Meanings())


def plain(word: str) -> str:
    """As the dictionary has it: small letters without spaces."""
    return "".join(word.lower().split())


@functools.lru_cache(maxsize=1)
def _weak() -> tuple[str, ...]:
    return tuple(read_yaml(LEXICON_FOLDER / "weak.yaml")[""])


@functools.lru_cache(maxsize=1)
def _bundled() -> dict[str, Meanings]:
    found: dict[str, Meanings] = {}
    for file in sorted((LEXICON_FOLDER / "products").glob("*.yaml")):
        for english, words in read_yaml(file).items():
            for word in words:
                found.setdefault(plain(word), Meanings()).products[file.stem] = english
    kinds = {**read_yaml(LEXICON_FOLDER / "words.yaml"), "": read_yaml(LEXICON_FOLDER / "empty.yaml")}
    for kind, meanings in kinds.items():
        for english, words in meanings.items():
            for word in words:
                found.setdefault(plain(word), Meanings()).kinds.setdefault(kind, english if kind else "")
    return found
