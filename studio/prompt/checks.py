"""What a language model's answer must hold to before it becomes a prompt."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

from .reading import AMOUNT, BRAND_NAME, LATIN, PRICE, QUOTE, QUOTED, Fact, is_kept

MOST_PROMPT_TOKENS = 512  # of FLUX's T5; CLIP reads the first 77, which the subject stands in
FEWEST_WORDS, MOST_WORDS = 20, 240
LONGEST_ANSWER = 4000  # characters; 240 words have half as many
# In English every tenth word is one of these; in a French or German text with a few of them fewer.
_FUNCTION_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a an the of and in on with from at by for to its it is are as into over under through behind beside around",
    )
)
_PREAMBLE = re.compile(
    r"\s*(?:sure\b|certainly\b|of course\b|okay\b|ok[,.!]|here(?:'s| is| are)\b|prompt\s*:|answer\s*:|output\s*:|translation\s*:|"
    r"title\s*:|note\s*:|as an ai\b|i(?:'m| am|'ve| have| will|'ll| can| cannot| can't)\b|sorry\b|assistant\s*:|user\s*:)",
    re.IGNORECASE,
)
_MARKUP = re.compile(
    r"```|\*\*|^\s*#{1,6}\s|^\s*[-*•]\s|^\s*\d+[.)]\s|</?[a-z][^>]*>|<\||\|>|https?://|www\.|^\s*[{\[]|[\w-]+\s*=\s*\"|\\n|embedding:",
    re.IGNORECASE | re.MULTILINE,
)
_STOPWORDS = frozenset(
    re.findall(
        r"\w+",
        "with from into over that this each other than just only them they their one two small large long tall deep soft "
        "clear white black fresh thin fine wide open still beside under behind around against through across",
    )
)


def tidy(answer: str) -> str:
    """The answer without a model's thoughts, and without quotation marks around the whole."""
    answer = answer.rpartition("</think>")[2].strip()
    if len(answer) > 2 and answer[0] in "\"“'" and answer[-1] in "\"”'" and not QUOTED.search(answer[1:-1]):
        answer = answer[1:-1].strip()
    return answer


def tokens_at_most(text: str) -> int:
    """How many tokens T5 makes of a text, or more: it is counted without T5's vocabulary."""
    count = 1  # its end token
    for part in re.findall(r"[A-Za-z]+|\d|[^\sA-Za-z\d]", text):
        count += 1 if len(part) < 4 else 2 if len(part) < 9 else 3 if len(part) < 13 else -(-len(part) // 3)
    return count


def faults(answer: str, facts: Sequence[Fact], subject: Iterable[str] = ()) -> list[str]:
    """What is wrong with an answer, in words that a language model can act on; an empty list where nothing is.

    `subject` is what the owner's words were understood to show, in English: the answer must speak of one of them.
    """
    if len(answer) > LONGEST_ANSWER:
        return [f"it is too long ({len(answer)} characters); at most 150 words are wanted"]
    found = []
    bare = answer
    for fact in sorted(facts, key=lambda fact: -len(fact.text)):
        if fact.kind in (QUOTE, BRAND_NAME, LATIN, AMOUNT):
            bare = bare.replace(fact.text, " ")
    words = re.findall(r"[A-Za-z][A-Za-z'’-]*", bare)
    letters = [character for character in bare if character.isalpha()]
    english = sum(character.isascii() for character in letters)
    function_words = [word for word in map(str.lower, words) if word in _FUNCTION_WORDS]
    if (
        not letters
        or english < 0.97 * len(letters)
        or len(set(function_words)) < 3
        or len(function_words) < len(words) / 10
    ):
        found.append("it is not in English")
    if len(words) < FEWEST_WORDS:
        found.append(f"it has {len(words)} English words; at least {FEWEST_WORDS} are wanted")
    if len(words) > MOST_WORDS or tokens_at_most(answer) > MOST_PROMPT_TOKENS - 60:
        found.append(f"it is too long ({len(words)} words); at most 150 are wanted")
    missing = [fact.text for fact in facts if not is_kept(fact, answer)]
    if missing:
        found.append("it does not keep, letter by letter: " + ", ".join(missing))
    prices = [fact for fact in facts if fact.kind == AMOUNT]
    quotes = " ".join(fact.text for fact in facts)
    for match in PRICE.finditer(answer):
        if not any(is_kept(price, match[0]) for price in prices) and match[0] not in quotes:
            found.append(f"it invents {match[0].strip()}")
    for match in QUOTED.finditer(answer):
        quoted = next(group for group in match.groups() if group)
        if not any(fact.text in quoted or quoted.strip(" .,") in fact.text for fact in facts):
            found.append("it puts words in quotation marks that the owner did not write")
            break
    if _PREAMBLE.match(answer):
        found.append("it begins with a remark instead of the description")
    if _MARKUP.search(answer):
        found.append("it holds markup, code or an address")
    if any(unicodedata.category(character)[0] == "C" and character != "\n" for character in answer):
        found.append("it holds control characters or halves of characters")
    if len([line for line in answer.splitlines() if line.strip()]) > 3:
        found.append("it is not one paragraph")
    grams = Counter(tuple(words[index : index + 5]) for index in range(len(words) - 4))
    if grams and max(grams.values()) > 2:
        found.append("it repeats itself")
    shown = {word for phrase in subject for word in re.findall(r"[a-z]{4,}", phrase.lower())} - _STOPWORDS
    if shown and not any(
        re.search(rf"\b{word[:-1] if word.endswith('s') else word}", answer.lower()) for word in shown
    ):
        found.append("it does not show what is advertised")
    return found
