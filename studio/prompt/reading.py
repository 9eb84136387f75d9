"""What a shop owner's words hold: facts to keep as they are, and the headline."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

from ..errors import InputError, require_unicode

LONGEST_REQUEST = 4000  # characters
LONGEST_GLOSSARY = 200  # names
HANGUL = re.compile(r"[\uac00-\ud7a3]")

# All the digits that stand together or none: with a part of them, a long row would be tried in every division.
_NUMBER = r"(?<!\d)\d+(?:,\d{3})*(?!\d)(?:\.\d+(?!\d))?"
_WON_UNITS = {"억": 100_000_000, "만": 10_000, "천": 1_000, "백": 100}
PRICE = re.compile(
    rf"[₩$€£¥]\s?{_NUMBER}"
    rf"|{_NUMBER}\s?[억만천백]?(?:\s?{_NUMBER}\s?[만천백])?\s?(?:원|달러|엔|유로|%|퍼센트|프로(?![가-힣])|won\b|KRW\b|USD\b)",
    re.IGNORECASE,
)
_COUNTERS = "인분|인용|주년|개월|시간|세트|켤레|가지|종류|인|명|개|잔|병|장|권|대|평|박|층|호|월|일|년|시|분|살|세|회|번|주|팩|봉|판|줄|마리|kg|g|ml|l|cm|mm|m|도"
NUMBER_PATTERN = re.compile(rf"(?<![A-Za-z\d])\d+(?:[.,:/+~\-]\d+)*(?:\s?(?:{_COUNTERS})(?![a-z]))?", re.IGNORECASE)
QUOTED = re.compile(
    r"[“\"]([^”\"\n]{1,200})[”\"]|[「『《〈«‘]([^」』》〉»’\n]{1,200})[」』》〉»’]|(?<!\w)'([^'\n]{2,200})'(?!\w)"
)
_LATIN = re.compile(
    r"[A-Za-z\u00c0-\u024f][A-Za-z\u00c0-\u024f0-9&.'’\-]*(?: [A-Z\u00c0-\u00de][A-Za-z\u00c0-\u024f0-9&.'’\-]*)*"
)

QUOTE, BRAND_NAME, AMOUNT, COUNT, LATIN = "quoted", "brand", "price", "number", "name"


class Fact(NamedTuple):
    """What an advertisement must not change: a price, a date, a name, words in quotation marks."""

    text: str  # as the owner wrote it
    kind: str


def clean(name: str, text: str, longest: int = LONGEST_REQUEST) -> str:
    """The text composed (NFC), without control characters and double spaces; its lines are kept.

    Raises InputError for half of a surrogate pair and for more than `longest` characters.
    """
    if not isinstance(text, str):
        raise InputError(name, text, "a text")
    if len(text) > longest:
        raise InputError(name, text, f"at most {longest} characters")
    require_unicode(name, text)
    text = unicodedata.normalize("NFC", text)
    lines = ["".join(c if unicodedata.category(c)[0] != "C" else " " for c in line) for line in text.splitlines()]
    text = "\n".join(line for line in (" ".join(line.split()) for line in lines) if line)
    # At the first ComfyUI's stock encoders open a file; the others end a turn for language models.
    text = re.sub(r"(?i)embedding:", "embedding ", text)
    return text.replace("<|", "< |").replace("|>", "| >")


def names_of(glossary: str) -> tuple[str, ...]:
    """The brand names of a glossary: one a line, or separated by commas. The longest first."""
    names = {name.strip() for name in re.split(r"[,\n;]", clean("glossary", glossary, 20_000)) if name.strip()}
    if len(names) > LONGEST_GLOSSARY or any(len(name) > 80 for name in names):
        raise InputError("glossary", glossary, f"at most {LONGEST_GLOSSARY} names of at most 80 characters each")
    return tuple(sorted(names, key=lambda name: (-len(name), name)))


def facts(text: str, glossary: Iterable[str]) -> tuple[Fact, ...]:
    """What must not change, in the order of the text: quoted words, brand names, prices, numbers, Latin names.

    In a text without Korean only those Latin words count that start with a capital inside a sentence.
    """
    spans: list[tuple[int, int, Fact]] = []

    def take(start: int, end: int, kind: str) -> None:
        if all(end <= other_start or start >= other_end for other_start, other_end, _ in spans):
            spans.append((start, end, Fact(text[start:end].strip(), kind)))

    for match in QUOTED.finditer(text):
        group = next(index for index in (1, 2, 3) if match[index])
        take(*match.span(group), QUOTE)
    for name in glossary:
        for match in re.finditer(re.escape(name), text):
            take(*match.span(), BRAND_NAME)
    for match in PRICE.finditer(text):
        take(*match.span(), AMOUNT)
    for match in NUMBER_PATTERN.finditer(text):
        take(*match.span(), COUNT)
    korean = HANGUL.search(text) is not None
    for match in _LATIN.finditer(text):
        start = match.start()
        opens = start == 0 or text[:start].rstrip(" ")[-1:] in (".", "!", "?", "\n", ":", "")
        if len(match[0]) > 1 and (korean or (not opens and match[0][0].isupper())):
            take(*match.span(), LATIN)
    return tuple(dict.fromkeys(fact for _, _, fact in sorted(spans) if fact.text))


def is_kept(fact: Fact, answer: str) -> bool:
    """Whether a translation still says it. A brand name to the letter; a price in any usual way of writing the same."""
    if fact.kind == BRAND_NAME:
        return fact.text in answer
    if fact.kind == LATIN:
        return re.search(rf"(?<![a-z0-9]){re.escape(fact.text)}(?![a-z0-9])", answer, re.IGNORECASE) is not None
    plain, wanted = _plain(answer), _plain(fact.text)
    if fact.kind == AMOUNT:
        return any(re.search(form, plain) for form in _price_forms(wanted))
    if fact.kind == COUNT:
        digits = re.match(r"[\d.:/+~\-]*\d", wanted)
        return digits is not None and re.search(rf"(?<![\d.]){re.escape(digits[0])}(?!\.?\d)", plain) is not None
    return wanted in plain


def _plain(text: str) -> str:
    """Without case, spaces, thousands' commas and the shape of quotation marks."""
    text = re.sub(r"(?<=\d),(?=\d{3})", "", unicodedata.normalize("NFKC", text).casefold())
    return re.sub(r"[\s'\"‘’“”]+", "", text)


def _price_forms(price: str) -> list[str]:
    """Patterns for one price, all of `_plain` text: 4,500원, 4500 won, ₩4500; 1만5천원, 15000won; 30%, 30 percent."""
    forms = [r"(?<![\d.])" + re.escape(price)]
    if match := re.fullmatch(r"(\d+(?:\.\d+)?)(?:%|퍼센트|프로)", price):
        return [*forms, rf"(?<![\d.]){re.escape(match[1])}(?:%|퍼센트|percent)"]
    if match := re.fullmatch(r"(?:₩(\d[\d.]*)|(\d.*?)(?:원|won|krw))", price):
        value, rest = 0.0, match[1] or match[2]
        for number, unit in re.findall(r"(\d+(?:\.\d+)?)([억만천백]?)", rest):
            value += float(number) * _WON_UNITS.get(unit, 1)
        digits = f"{value:.0f}"
        return [*forms, rf"(?<![\d.]){digits}(?:원|won|krw)", rf"(?:₩|krw){digits}(?!\d)"]
    return forms


# --- the headline -----------------------------------------------------------------------------------------------------

_CLAUSE = re.compile(
    r"\n|(?<!\d)[,，、](?!\d)|(?<=\d)[,，、](?=\s)|(?<!\d)\.(?!\d)|\.(?=\s|$)|[!?·|;…。！？]|\s[/\-–—~]\s"
)
_DIRECTION = re.compile(
    r"(?:(?:의|인|한|은|는|있는|나는)?\s?(?:분위기|느낌|무드|배경|스타일|톤|조명|구도|각도|색감|컨셉|콘셉트|사진|이미지|그림|화면|연출)"
    r"(?:으로|로|에|에서|의|이|가|을|를|에서는)?(?:\s.*)?$)|(?:그려|만들어|찍어|넣어|보여|나오게|보이게|해\s?주세요|부탁)"
)
# Counted repeats: with open ones, a row of these words would be walked to its end from each of them.
_REQUEST = re.compile(
    r"(?:을|를|의)?\s?(?:(?:광고|홍보|포스터|전단지?|배너|이미지|사진|그림|간판|썸네일|현수막|문구|홍보물|광고물)(?:용)?\s?){1,6}"
    r"(?:을|를|으로|로)?\s?(?:(?:하나|한\s?장|좀|예쁘게|멋지게)\s?){0,6}"
    r"(?:만들어|그려|제작해?|디자인해?|뽑아|부탁|해)?\s?(?:주세요|줘요?|줄래요?|드려요|드립니다|해요|합니다|바랍니다)?\s?$"
)
# Of Korean shops; English ones are read by their numbers.
_OFFER = re.compile(
    r"\d\s?\+\s?\d|무료|증정|할인|세일|특가|선착순|한정|쿠폰|적립|사은품|예약|마감|당일|오늘만|이번\s?주|단\s?\d|까지$|하나\s?더$|덤$"
    r"|\d\s?(?:%|명|개|잔|시|일|월|프로|퍼센트)|\b(?:free|off|only|sale|until|today|open(?:ing)?)\b",
    re.IGNORECASE,
)
_PHONE = re.compile(r"\d{2,4}-\d{3,4}")
LONGEST_HEADLINE = 40  # letters; longer is no headline
LONGEST_OFFER = 20  # letters of a second line


def headline(text: str, kept: Iterable[Fact], topics: Iterable[str] = ()) -> str:
    """The words for the overlay, in the owner's language, letter by letter from the text.

    Quoted words first, where they hold letters. Else the shortest clause that tells something: `topics` (products,
    keywords), brand names and prices in a clause count for it, a late place against it, and directions for the picture
    are none. A price in another clause follows on a second line, or else the first offer after it: "1+1", "오늘만".
    """
    for match in QUOTED.finditer(text):
        quoted = next(group for group in match.groups() if group).strip()
        if sum(map(str.isalpha, quoted)) > 1:
            return quoted
    clauses = [_REQUEST.sub("", clause).strip(" ,.-~") for clause in _CLAUSE.split(text)]
    clauses = [clause for clause in clauses if clause]
    if not clauses:
        return _shortened(text.strip())
    told = [clause for clause in clauses if not _DIRECTION.search(clause)] or clauses[:1]
    facts_ = tuple(kept)
    prices = [fact.text for fact in facts_ if fact.kind == AMOUNT]
    names = [fact.text for fact in facts_ if fact.kind in (BRAND_NAME, LATIN)]
    about = tuple(topics)

    def weight(index: int) -> float:
        clause = told[index]
        bonus = 12 * any(topic in clause for topic in about) + 10 * any(name in clause for name in names)
        bonus += 6 * any(price in clause for price in prices)
        bare = clause in prices or sum(map(str.isalpha, clause)) < 4
        return len(clause) / (1 if HANGUL.search(clause) else 2) + 10 * index - bonus + 100 * bare

    chosen = min(range(len(told)), key=weight)
    line = _shortened(told[chosen])
    if not any(price in told[chosen] for price in prices):
        second = next((clause for clause in told if any(price in clause for price in prices)), None)
        if second is not None:
            short = next(price for price in prices if price in second)
            return line + "\n" + (second if len(second) <= LONGEST_OFFER else short)
    offer = next((clause for clause in told[chosen + 1 :] if is_offer(clause)), None)
    return line if offer is None else f"{line}\n{offer}"


def is_offer(clause: str) -> bool:
    """Whether a few words say what is to be had, how many or until when: what a shop prints, and no picture shows."""
    return len(clause) <= LONGEST_OFFER and _OFFER.search(clause) is not None and not _PHONE.search(clause)


def unsaid_offers(text: str, headline: str) -> list[str]:
    """The offers of a text that its headline does not say."""
    clauses = (_REQUEST.sub("", clause).strip(" ,.-~") for clause in _CLAUSE.split(text))
    return [clause for clause in clauses if is_offer(clause) and clause not in headline]


def _shortened(clause: str) -> str:
    """Whole words from the start, up to LONGEST_HEADLINE letters of Korean or twice as many others."""
    longest = LONGEST_HEADLINE if HANGUL.search(clause) else 2 * LONGEST_HEADLINE
    clause = clause[: 2 * longest]  # a word that this cuts is beyond `longest` and goes
    while len(clause) > longest and " " in clause:
        clause = re.sub(r"(?:\s(?:with|and|at|of|for|the|a|an|in|on|to|from))?\s\S*$", "", clause)
    return clause[:longest]
