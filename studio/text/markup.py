"""Light markup for runs in one text: `[b]50%[/b]`, `[size=150]`, `[color=#ff3300]`, `[weight=900]`.

Only these tags are markup, so that "[한정] 특가" needs no escape; a backslash before a tag keeps it as text.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

from ..contrast import require_color
from ..errors import InputError, require_number

REST = 0.6  # size of what stands around an emphasised number: a unit about as high as the figures' x-height
PRICE_NUMBER = re.compile(r"(?:(?<![\d.,])[-+])?\d(?:[\d.,]*\d)?(?:\+\d+)*")  # 1+1 is one: buy one, get one
LONGEST_MARKUP = 5000  # characters; more is no advertisement
TAG = re.compile(r"(\\?)\[(/?)(b|size|color|weight)(?:=([^\]\n]{1,20}))?\]")
LINE_ENDS = re.compile("\r\n|[\r\u2028\u2029]")
SPACES = re.compile("[\t\u1680\u2000-\u200a\u205f]")  # a font need not have them; not those that forbid a break
DROPPED = re.compile("[\u00ad\u200b\u2060-\u2064\u2066-\u2069\u202a-\u202e\ufe0e\ufe0f\ufeff]")


class TextStyle(NamedTuple):
    """What tags change of some of a text's characters."""

    size: float = 1.0  # times the text's size
    weight: int | None = None  # 100..900; None: the text's
    color: str | None = None  # "#rrggbb"; None: the text's


class TextRun(NamedTuple):
    """Characters next to each other that have one style."""

    text: str
    style: TextStyle


def clean(text: str) -> str:
    """Text in composed form (NFC; decomposed Hangul falls apart without it), line ends as "\\n", odd spaces as spaces. A backslash
    and an n, as a JSON typed by hand brings them, are a line end too.

    Invisible format characters (byte order marks, direction overrides, soft hyphens) are left out. Raises InputError for an empty or endless text, and for control characters and lone surrogates.
    """
    if not isinstance(text, str) or not text.strip():
        raise InputError("text", text, "words to write")
    if len(text) > LONGEST_MARKUP:
        raise InputError("text", text, f"at most {LONGEST_MARKUP} characters")
    text = SPACES.sub(" ", LINE_ENDS.sub("\n", DROPPED.sub("", text.replace("\\n", "\n"))))
    bad = sorted({c for c in text if c != "\n" and unicodedata.category(c) in ("Cc", "Cs", "Co", "Cn")})
    if bad:
        raise InputError("text", " ".join(f"U+{ord(c):04X}" for c in bad), "text without control characters")
    return unicodedata.normalize("NFC", text).strip("\n")


def require_words(text: str) -> None:
    """Raise InputError for a text that cannot be written, whatever the font."""
    parse(clean(text))


def parse(text: str) -> list[TextRun]:
    """A cleaned text -> runs. Raises InputError that names a tag which is not closed, not open or has a wrong value."""
    runs: list[TextRun] = []
    open_tags: list[tuple[str, TextStyle]] = [("", TextStyle())]
    position = 0

    def add(part: str) -> None:
        if part:
            runs.append(TextRun(part, open_tags[-1][1]))

    for match in TAG.finditer(text):
        escape, closing, name, value = match.groups()
        add(text[position : match.start()])
        position = match.end()
        if escape:
            add(match.group()[1:])
        elif closing:
            if open_tags[-1][0] != name:
                raise InputError("text", match.group(), f"[/{name}] only after the [{name}] that it closes")
            open_tags.pop()
        else:
            open_tags.append((name, _styled(open_tags[-1][1], name, value)))
    if len(open_tags) > 1:
        raise InputError("text", f"[{open_tags[-1][0]}]", f"[/{open_tags[-1][0]}] after it")
    add(text[position:])
    if all(letter.isspace() or unicodedata.category(letter) == "Cf" for run in runs for letter in run.text):
        raise InputError("text", text, "words to write")
    return runs


def emphasise(runs: list[TextRun]) -> list[TextRun]:
    """Numbers as they are and all else at REST of the size, as price tags have it.

    A text with no number, or with a size of its own somewhere, stays as it is.
    """
    if not any(PRICE_NUMBER.search(run.text) for run in runs) or any(run.style.size != 1 for run in runs):
        return runs
    parted: list[TextRun] = []
    for text, style in runs:
        small, position = style._replace(size=REST), 0
        for match in PRICE_NUMBER.finditer(text):
            parted += [TextRun(text[position : match.start()], small), TextRun(match.group(), style)]
            position = match.end()
        parted.append(TextRun(text[position:], small))
    return [run for run in parted if run.text]


def _styled(style: TextStyle, name: str, value: str | None) -> TextStyle:
    if name == "b":
        return style._replace(weight=800)
    if name == "color":
        return style._replace(color=require_color("text: [color]", value))
    try:
        number = float((value or "").rstrip("%"))
    except ValueError:
        raise InputError(
            f"text: [{name}]", value, f"a number, as in [{name}={150 if name == 'size' else 700}]"
        ) from None
    if name == "size":
        return style._replace(size=require_number("text: [size]", number, 20, 400) / 100)
    return style._replace(weight=round(require_number("text: [weight]", number, 100, 900)))
