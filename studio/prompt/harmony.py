"""Phrases that go with what was said: no midday sun in an ad for a late snack, no rooftop for a studio.

Both are read for signs of time, place, light and season; two phrases clash where they are about the same and agree on nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from .presets import pick

PLAIN_PHRASES = {
    "theme": ("before a plain, softly graded backdrop", "on a clean, level surface before a quiet wall"),
    "light": ("soft, even light", "large soft light from one side, a gentle shadow"),
    "props": (),
    "colours": ("quiet neutrals",),
}
MONOCHROME = "black and white, and the greys between"
AXES = {
    "time": {
        "day": r"sun(?!set)\w*|daylight|morning|midday|noon|afternoon|day(?!dream)|window light|blue sky",
        "night": r"night|neon|candle\w*|lantern\w*|evening|dusk|moon\w*|star(?:s|light)|bokeh|late hour",
    },
    "morning": {"morning": r"morning|sunrise|dawn", "later": r"sunset|evening|afternoon|night|midday|dusk|noon"},
    "place": {
        "inside": r"indoors|rooms?|studio|kitchen|counter|shel(?:f|ves)|window\w*|table|café|hall|desk|bathroom|bedroom|wall|backdrop|office|bar|gym|hanok",
        "outside": r"beach|sea\w*|park|street|alley|garden|fields?|forest|mountains?|terrace|rooftop|outdoors|grass|snow\w*|camp\w*|roof\w*|lawn|lake|meadow|courtyard|trees?|hills?|sand|sky|farm",
    },
    "tone": {
        "bright": r"bright\w*|spotless|white|airy|sunny|pale|blooming",
        "dark": r"dark\w*|dim|moody|black\b(?! and white)|night|shadowy|charcoal",
    },
    "colour": {
        "grey": r"black and white|grey tones",
        "coloured": r"colou?red|colou?rful|pastel|rainbow|neon|pink|coral|terracotta|golden",
    },
    "season": {
        "spring": r"spring|blossom|buds",
        "summer": r"summer|beach|heat",
        "autumn": r"autumn|maple|russet|harvest|fallen leaves",
        "winter": r"winter|snow\w*|frost\w*|christmas|fir branches",
    },
    "weather": {"wet": r"rain\w*|wet|puddle", "dry": r"sun(?!set|rise)\w*|blue sky|clear sky"},
    "company": {
        "children": r"child\w*|bab(?:y|ies)|small children|kids|students",
        "adults": r"wine|beer|whisky|cocktail\w*|cigar\w*|champagne|liquor",
    },
    "drink": {
        "coffee": r"coffee|espresso|latte|americano|cappuccino",
        "fruit": r"juice|smoothie|ade|lemonade|fruit tea|bubble tea|shaved",
        "tea": r"green tea|black tea|herbal|citron tea|blossom tea|teapot",
    },
    "warmth": {"hot": r"steam\w*|hearty|embers|fire\w*|warm", "cold": r"ice|icy|snow\w*|frost\w*|refreshing|cold"},
}
_PATTERNS = {
    axis: {value: re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE) for value, pattern in values.items()}
    for axis, values in AXES.items()
}


def signs(phrases: Iterable[str]) -> dict[str, set[str]]:
    """Axis -> what the phrases say on it."""
    text = ". ".join(phrases)
    return {axis: {v for v, pattern in values.items() if pattern.search(text)} for axis, values in _PATTERNS.items()}


# What a kind of word says something about: a winter coat is not outdoors.
ABOUT = {
    "place": frozenset(AXES),
    "light": frozenset(AXES),
    "season": frozenset({"season", "weather"}),
    "event": frozenset({"season"}),
    "mood": frozenset({"tone", "warmth", "colour"}),
    "colour": frozenset({"colour"}),
    "detail": frozenset({"warmth"}),
    "product": frozenset({"drink", "company"}),
    "people": frozenset({"company"}),
    "audience": frozenset({"company"}),
}


def said_by(found: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    """Signs of (kind, English) pairs, each on the axes that its kind is about."""
    said: dict[str, set[str]] = {axis: set() for axis in AXES}
    for kind, english in found:
        for axis, values in signs([english]).items():
            if axis in ABOUT.get(kind, ()):
                said[axis] |= values
    return said


def clash(phrase: str, said: dict[str, set[str]]) -> bool:
    """Whether a phrase contradicts signs: on some axis both say something, and nothing alike."""
    own = signs([phrase])
    return any(own[axis] and said[axis] and not own[axis] & said[axis] for axis in AXES)


def chosen(slot: str, choices: Sequence[str], seed: int, said: dict[str, set[str]], unsure: bool) -> str:
    """One of `choices` that does not clash with what was said; a neutral phrase where all do, and for place and light also
    where a word was not understood (`unsure`), which may be about just that."""
    good = [] if unsure and slot in ("theme", "light") else [choice for choice in choices if not clash(choice, said)]
    options = good or PLAIN_PHRASES[slot]
    return pick(options, seed, slot) if options else ""
