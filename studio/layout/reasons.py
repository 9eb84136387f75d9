"""Why a plan is as it is, for people: a sentence in each language of reason_words. Every number in it was measured."""

from __future__ import annotations

from typing import NamedTuple

from .. import contrast
from ..canvas import Box
from ..contrast import Scrim
from . import reason_words as words_of
from .analysis import BUSY, PictureAnalysis
from .criteria import PRODUCT_CRITERIA
from .layout import HEADLINE, product_role
from .pairing import Pair
from .reason_words import Clause

PLATFORM = 0.5  # from here on the ground under a product is spoken of as set off
LEFT_END, RIGHT_START = 0.42, 0.58  # of the width: where "on the left" ends and "on the right" begins
UPPER, LOWER = 0.4, 0.6  # and the same for what is at the top or bottom
COVERED = 0.1  # of the subject: a product that covers less is beside it
HIDES_MUCH = 0.1  # of what catches the eye: from here on words that lie over it say so


class Facts(NamedTuple):
    """What a plan came to."""

    choice: Pair
    products: tuple[Box, ...]
    scene: PictureAnalysis
    width: int  # pixels of the picture
    height: int
    color: str
    ratio: float  # the words' contrast
    scrim: Scrim | None
    flush: frozenset[str]  # sides at which the products end at the frame, since their photos cut them off there
    lost: frozenset[str]  # sides at which they are cut off, but do not reach the frame
    by_hand: frozenset[str] = frozenset()  # roles that a person placed


def reasons(facts: Facts) -> Clause:
    """A sentence in each language."""
    clauses = [clause for part in (_product, _edges, _words, _lettering) for clause in part(facts)]
    whole = [
        comma.join(parts) + stop for *parts, comma, stop in zip(*clauses, words_of.COMMAS, words_of.STOPS, strict=True)
    ]
    return Clause(*(sentence[0].upper() + sentence[1:] for sentence in whole))


def _moved(facts: Facts) -> bool:
    return any(product_role(index) in facts.by_hand for index in range(len(facts.products)))


def _product(facts: Facts) -> list[Clause]:
    products, scene = facts.products, facts.scene
    if not products:
        return []
    if _moved(facts):
        return [words_of.BY_HAND]
    middle = (products[0].x + products[-1].right) / 2 / facts.width
    at = (
        words_of.ON_THE_LEFT
        if middle < LEFT_END
        else words_of.ON_THE_RIGHT
        if middle > RIGHT_START
        else words_of.IN_THE_MIDDLE
    )
    things = words_of.THE_PRODUCT if len(products) == 1 else words_of.THE_PRODUCTS
    on_platform = (
        facts.choice.products.platform > PLATFORM and products[0].bottom > PRODUCT_CRITERIA.platform_from * facts.height
    )
    if scene.known is not None:
        ground = words_of.ON_KNOWN_GROUND
    elif on_platform:
        ground = words_of.ON_A_PLATFORM
    else:
        ground = words_of.NO_GROUND_LINE if scene.horizon is None else words_of.ON_THE_GROUND
    horizon = "" if scene.horizon is None else f"{scene.horizon:.0%}"
    clauses = [ground.filled(things=things, at=at, horizon=horizon)]
    if scene.subject is not None:
        covered = float(facts.choice.products.covered)
        before = words_of.BEFORE_THE_SUBJECT.filled(covered=f"{covered:.0%}")
        clauses.append(words_of.BESIDE_THE_SUBJECT if covered < COVERED else before)
    return clauses


def _edges(facts: Facts) -> list[Clause]:
    if not facts.products or _moved(facts):
        return []
    clauses = []
    for sides, sentence in ((facts.flush, words_of.FLUSH_WITH_THE_EDGE), (facts.lost, words_of.CUT_IN_SIGHT)):
        if sides:
            names = [words_of.CUT_SIDES[side] for side in sorted(sides)]
            listed = Clause(*(between.join(one) for between, *one in zip(words_of.BETWEEN_SIDES, *names, strict=True)))
            clauses.append(sentence.filled(sides=listed))
    return clauses


def _words(facts: Facts) -> list[Clause]:
    if HEADLINE in facts.by_hand:
        return [words_of.WORDS_BY_HAND]
    words = facts.choice.words
    x, y = (words.boxes[:2] + words.boxes[2:]) / 2
    down = words_of.TO_THE_TOP if y < UPPER else words_of.TO_THE_BOTTOM if y > LOWER else words_of.HALF_WAY_UP
    side = words_of.AT_LEFT if x < LEFT_END else words_of.AT_RIGHT if x > RIGHT_START else words_of.NEITHER_SIDE
    overall = float((facts.scene.busyness > BUSY).mean())
    clauses = [words_of.WORDS_GO.filled(down=down, side=side, busy=f"{words.busy:.0%}", overall=f"{overall:.0%}")]
    if words.hidden > HIDES_MUCH:
        clauses.append(words_of.OVER_THE_STRIKING.filled(hidden=f"{words.hidden:.0%}"))
    return clauses


def _lettering(facts: Facts) -> list[Clause]:
    tone = words_of.IN_WHITE if facts.color == contrast.LIGHT else words_of.IN_A_DARK_COLOUR
    if facts.scrim is None:
        return [words_of.READS_WELL.filled(tone=tone, ratio=f"{facts.ratio:.1f}")]
    sentence = words_of.ON_A_VEIL if facts.choice.words.veiled else words_of.ON_A_NEEDED_VEIL
    return [sentence.filled(tone=tone, veil=f"{facts.scrim.opacity:.0%}")]
