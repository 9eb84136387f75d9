"""The planner's criteria as data: what each term of a score weighs and why. Scores add up; 1 is a difference that anybody sees.

They were set on photographs, by what an art director's eye preferred among advertisements made in several ways.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ProductCriteria:
    """Where a product goes. Shares are of the picture's width or height."""

    hero_height: float = 0.55  # a product of this height, or
    hero_width: float = 0.60  # of this width, is what an advertisement is about; smaller ones look like decoration
    size: float = 1.5  # times |log| of the size over a hero's: size decided more judgements than anything else
    smallest: float = 0.30  # below this height a product is no longer seen beside a subject,
    tiny: float = 10.0  # and each share below it costs this much;
    tiny_on_ground: float = 20.0  # where the ground is known there is room for a larger one
    base: float = 0.88  # of the height: feet near the lower edge are on the ground of nearly every photo
    off_base: float = 3.0  # times the distance from it; a product that floats is the worst fault
    horizon: float = 0.12  # of the ground's depth: nearer to its far edge than this a product would be a giant
    platform_from: float = 0.79  # of the height: what is set off above it is a sofa, a head, a wall, the sky
    platform: float = 1.2  # for a surface that is set off: a podium is made for the product
    platform_depth: float = 0.7  # the most of `off_base` that such a surface makes good
    off_middle: float = 1.2  # times the distance from the middle of the picture, where a hero belongs,
    nearly_middle: float = 0.3  # for a product a little off the middle: it looks like a mistake
    nearly: float = 0.12  # of the width: this near
    third: float = 0.15  # or from a third, which costs this: the picture then needs something on the other side
    straddle: float = 1.3  # for a base across an edge of the ground: half on a table looks cut out
    straddle_most: float = 0.4  # where that stops: sun patches, rugs and sand have edges too
    busy: float = 0.4  # times what catches the eye behind it
    busy_most: float = 0.5  # where that stops: an empty room has much that passes for a subject
    subject: float = 3.0  # times the share of the scene's subject that it covers: the photo was taken of that
    subject_ends: float = 3.0  # times the smaller of what sticks out left and right of it: two ends look like a mistake
    backdrop: float = 0.35  # what a subject counts that is wide and low: a sofa, a counter, doors are stood before
    face: float = 50.0  # nothing covers a face


@dataclass(frozen=True)
class WordCriteria:
    """Where words go."""

    large: float = 3.0  # times the letters' size, up to 1 at `full`: the size counts more than a calm ground
    full: float = 0.14  # of the square root of the area: larger letters add nothing
    least: float = 0.095  # em of the shorter side: its letters are then 5.5 % of that, the least of a headline
    small: float = 16.0  # times how far they fall short of that
    sentence: float = 16  # em: longer words are no headline, and may be smaller,
    sentence_least: float = 0.7  # down to this share of `least`
    upper: float = 0.4  # times the height in the picture: what is above is read first
    legible: float = 0.9  # times the contrast without a veil, from half of what is needed to a half more
    cloud: float = 1.2  # for words that need a veil where it cannot be a gradient from an edge: a smudge on the photo
    wide: float = 0.4  # of the width: words as wide as this near an edge can have a gradient
    edge: float = 0.4  # of the height: and this near
    busy: float = 0.8  # times the share of edges under them
    rough: float = 0.5  # times the mean of edges
    patchy: float = 0.6  # times the unevenness in lightness
    salient: float = 0.5  # times how much stands out there
    hidden: float = 3.2  # times the share of what catches the eye that they hide
    nicked: float = 0.8  # times how much of their box is such: a nick in a thing looks careless
    subject: float = 3.0  # times the share of the scene's subject that they hide
    face: float = 50.0  # nothing is written over a face
    lost: float = 0.5  # times the box's depth beyond 0.4: few words in a deep box look lost
    crowded: float = 0.25  # for each line after the second: a headline is read at a glance
    crowded_columns: float = 0.8  # for each column after the first
    broken: float = 0.6  # where lines are broken that the writer made
    broken_columns: float = 1.2  # columns of two letters read as rows of them
    touch: float = 2.0  # where letters themselves meet a thing
    touch_edge: float = 0.6  # or the outline of one
    veiled: float = 2.0  # for a band over things, on a gradient, as posters have it: only where no place is free
    veiled_salient: float = 0.9  # times how much stands out under such a band


@dataclass(frozen=True)
class PairCriteria:
    """What a place for words and one for a product are together."""

    gap: float = 0.024  # of the shorter side between both: less looks like an accident,
    gap_beside: float = 0.036  # and side by side, where lines end raggedly, it takes more
    tight: float = 6.0  # for less than that,
    tighter: float = 20.0  # and for each share that is missing
    level: float = 0.5  # times the distance of their middles up and down, side by side
    axis: float = 0.9  # times the distance of their middles across, above one another
    almost: float = 0.4  # for middles that nearly, but not quite, share an axis
    almost_from: float = 0.01  # of the width: from here
    almost_to: float = 0.1  # to here
    beside: float = 0.7  # for side by side in a wide picture, against it in a high one
    balance: float = 0.8  # times how far words, product and what catches the eye lean to one side together
    words_lean: float = 1.0  # what words weigh in that, times their size
    product_lean: float = 2.0  # what a product weighs, times its height
    scene_lean: float = 2.5  # what the scene weighs


PRODUCT_CRITERIA, WORD_CRITERIA, PAIR_CRITERIA = ProductCriteria(), WordCriteria(), PairCriteria()
# In a picture that holds its product already its subject leads, and words give way to it.
WORD_CRITERIA_ALONE = WordCriteria(
    large=1.8,
    full=0.12,
    least=0.06,
    small=7.0,
    busy=1.2,
    rough=0.8,
    patchy=0.9,
    salient=0.9,
    nicked=1.2,
    crowded=0.0,
    cloud=0.0,
)
