"""Why a plan is as it is, for people: one sentence in English and one in Korean. Every number in it was measured."""

from __future__ import annotations

from typing import NamedTuple

from .. import contrast
from ..canvas import Box
from ..contrast import Scrim
from .analysis import BUSY, PictureAnalysis
from .criteria import PRODUCT_CRITERIA
from .layout import HEADLINE, product_role
from .pairing import Pair

PLATFORM = 0.5  # from here on the ground under a product is spoken of as set off
LEFT_END, RIGHT_START = 0.42, 0.58  # of the width: where "on the left" ends and "on the right" begins
UPPER, LOWER = 0.4, 0.6  # and the same for what is at the top or bottom
COVERED = 0.1  # of the subject: a product that covers less is beside it
SIDES_KO = {"top": "위", "right": "오른쪽", "bottom": "아래", "left": "왼쪽"}


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


class Clause(NamedTuple):
    """A part of a reason, in both languages."""

    english: str
    korean: str


def reasons(facts: Facts) -> tuple[str, str]:
    """A sentence in English and one in Korean."""
    clauses = [clause for part in (_product, _edges, _words, _lettering) for clause in part(facts)]
    english, korean = (", ".join(part) for part in zip(*clauses))
    return english[0].upper() + english[1:] + ".", korean + "."


def _moved(facts: Facts) -> bool:
    return any(product_role(index) in facts.by_hand for index in range(len(facts.products)))


def _product(facts: Facts) -> list[Clause]:
    products, scene = facts.products, facts.scene
    if not products:
        return []
    if _moved(facts):
        return [Clause("what was moved by hand stays where it was put", "직접 옮긴 것은 그 자리에 두었고")]
    middle = (products[0].x + products[-1].right) / 2 / facts.width
    at, at_ko = (
        ("on the left", "왼쪽")
        if middle < LEFT_END
        else ("on the right", "오른쪽")
        if middle > RIGHT_START
        else ("in the middle", "가운데")
    )
    things, things_ko = ("the product stands", "상품은") if len(products) == 1 else ("the products stand", "상품들은")
    if scene.known is not None:
        clauses = [
            Clause(
                f"{things} {at} on the ground that the scene was built with",
                f"{things_ko} 장면을 만들 때 정한 바닥의 {at_ko}에 놓았고",
            )
        ]
    elif (
        facts.choice.products.platform > PLATFORM and products[0].bottom > PRODUCT_CRITERIA.platform_from * facts.height
    ):
        clauses = [
            Clause(
                f"{things} {at} on the surface that is set off from the rest",
                f"{things_ko} 주변과 구별되는 {at_ko} 받침면 위에 놓았고",
            )
        ]
    elif scene.horizon is not None:
        clauses = [
            Clause(
                f"{things} {at} on the ground that begins at {scene.horizon:.0%} of the height",
                f"{things_ko} 위에서 {scene.horizon:.0%} 되는 높이에서 시작하는 바닥의 {at_ko}에 놓았고",
            )
        ]
    else:
        clauses = [
            Clause(
                f"{things} {at} in the lower part, since no ground line shows",
                f"바닥선이 뚜렷하지 않아 {things_ko} 아래쪽 {at_ko}에 놓았고",
            )
        ]
    if scene.subject is not None:
        covered = float(facts.choice.products.covered)
        clauses.append(
            Clause("beside what the picture shows", "사진 속 주인공을 가리지 않았으며")
            if covered < COVERED
            else Clause(
                f"before {covered:.0%} of what the picture shows, since beside it no place is large enough",
                f"옆에 넉넉한 자리가 없어 사진 속 주인공의 {covered:.0%}를 가리며",
            )
        )
    return clauses


def _edges(facts: Facts) -> list[Clause]:
    clauses = []
    for sides, english, korean in (
        (
            facts.flush,
            "flush with the {} edge, where its photo cuts it off",
            "사진에서 잘린 {} 끝을 화면 가장자리에 맞추었고",
        ),
        (
            facts.lost,
            "with the flat cut of its photo in sight at the {} (a photo that shows all of it would be better)",
            "사진에서 잘린 {} 끝이 그대로 보이니 전체가 나온 사진이 더 좋고",
        ),
    ):
        if sides and facts.products and not _moved(facts):
            names = sorted(sides)
            clauses.append(
                Clause(english.format(" and ".join(names)), korean.format("·".join(SIDES_KO[side] for side in names)))
            )
    return clauses


def _words(facts: Facts) -> list[Clause]:
    if HEADLINE in facts.by_hand:
        return [Clause("the words go where they were put by hand", "글자는 직접 옮긴 자리에 두었으며")]
    words = facts.choice.words
    x, y = (words.boxes[:2] + words.boxes[2:]) / 2
    down, down_ko = ("top", "위쪽") if y < UPPER else ("bottom", "아래쪽") if y > LOWER else ("middle", "중간 높이")
    side, side_ko = ("left", "왼쪽") if x < LEFT_END else ("right", "오른쪽") if x > RIGHT_START else ("", "")
    overall = float((facts.scene.busyness > BUSY).mean())
    clauses = [
        Clause(
            f"the words go to the {down}{side and ' ' + side}, where {words.busy:.0%} of the picture is busy"
            f" ({overall:.0%} overall)",
            f"글자는 복잡한 부분이 {words.busy:.0%}인(전체 {overall:.0%}) {side_ko and side_ko + ' '}{down_ko}에 두었으며",
        )
    ]
    if words.hidden > 0.1:
        clauses.append(
            Clause(
                f"though they lie over {words.hidden:.0%} of what catches the eye",
                f"눈길을 끄는 부분의 {words.hidden:.0%}와 겹치지만",
            )
        )
    return clauses


def _lettering(facts: Facts) -> list[Clause]:
    tone, tone_ko = ("white", "흰색") if facts.color == contrast.LIGHT else ("a dark colour", "어두운 색")
    if facts.scrim is None:
        return [
            Clause(
                f"in {tone}, which has a contrast of {facts.ratio:.1f} to 1 there",
                f"그 자리에서 대비가 {facts.ratio:.1f}:1인 {tone_ko}으로 썼습니다",
            )
        ]
    veil = f"{facts.scrim.opacity:.0%}"
    if facts.choice.words.veiled:
        return [
            Clause(
                f"in {tone} over a veil of {veil}, since no part of the picture is free for them",
                f"비어 있는 곳이 없어 {veil} 농도의 막 위에 {tone_ko}으로 썼습니다",
            )
        ]
    return [
        Clause(
            f"in {tone} over a veil of {veil}, since neither white nor dark letters reach 4.5 to 1 there",
            f"흰 글자도 어두운 글자도 대비 4.5:1에 못 미쳐 {veil} 농도의 막 위에 {tone_ko}으로 썼습니다",
        )
    ]
