"""The order in which the parts of a line stand, where scripts of both directions meet: Unicode's bidirectional algorithm
(UAX 9), as far as lines without direction marks need it."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from itertools import groupby

RIGHT, LEFT, NUMBER, NEUTRAL = "R", "L", "N", "-"
BIDI_CLASSES = {"L": LEFT, "R": RIGHT, "AL": RIGHT, "EN": NUMBER, "AN": NUMBER}


def begins_right(text: str) -> bool:
    """Whether a paragraph runs from right to left: by its first letter that has a direction (P2, P3)."""
    kinds = (BIDI_CLASSES.get(unicodedata.bidirectional(character)) for character in text)
    return next((kind for kind in kinds if kind in (LEFT, RIGHT)), LEFT) == RIGHT


def levels(clusters: Sequence[str], from_right: bool) -> list[int]:
    """For each cluster of a line its embedding level: odd ones run from right to left."""
    kinds = _numbers(
        [BIDI_CLASSES.get(unicodedata.bidirectional(cluster[0]), NEUTRAL) for cluster in clusters], clusters
    )
    base = RIGHT if from_right else LEFT
    strong = base
    for index, kind in enumerate(kinds):  # W7: a number among letters that run to the right runs with them
        strong = kind if kind in (LEFT, RIGHT) else strong
        kinds[index] = LEFT if kind == NUMBER and strong == LEFT else kind
    kinds = _neutrals(kinds, base)
    return [{LEFT: 2 if from_right else 0, RIGHT: 1, NUMBER: 2}[kind] for kind in kinds]


def visual_order(found: Sequence[int]) -> list[int]:
    """Indices of the parts of a line from left to right, by their levels (L2)."""
    order = list(range(len(found)))
    for level in range(max(found, default=0), 0, -1):
        start = 0
        while start < len(order):
            end = start
            while end < len(order) and found[order[end]] >= level:
                end += 1
            order[start:end] = order[start:end][::-1]
            start = max(end, start + 1)
    return order


def _numbers(kinds: list[str], clusters: Sequence[str]) -> list[str]:
    """What belongs to a number counts as one: a sign of currency or per cent beside it, a comma within it (W4, W5)."""
    for index, cluster in enumerate(clusters):
        sides = [kinds[place] if 0 <= place < len(kinds) else NEUTRAL for place in (index - 1, index + 1)]
        kind = unicodedata.bidirectional(cluster[0])
        if (kind == "ET" and NUMBER in sides) or (kind in ("ES", "CS") and sides == [NUMBER, NUMBER]):
            kinds[index] = NUMBER
    return kinds


def _neutrals(kinds: list[str], base: str) -> list[str]:
    """What has no direction goes with both its neighbours where they agree, else with the line (N1, N2)."""
    parts = [(kind, len(list(part))) for kind, part in groupby(kinds)]
    sides = {NUMBER: RIGHT}
    done: list[str] = []
    for place, (kind, count) in enumerate(parts):
        before = parts[place - 1][0] if place else base
        after = parts[place + 1][0] if place + 1 < len(parts) else base
        same = sides.get(before, before) == sides.get(after, after)
        done += [(sides.get(before, before) if same else base) if kind == NEUTRAL else kind] * count
    return done
