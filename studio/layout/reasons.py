"""Why a plan is as it is, for people: one sentence in English and one in Korean. Every number in it was measured."""

from __future__ import annotations

from .. import contrast
from ..canvas import Box
from ..contrast import Scrim
from .pairing import Choice
from .scene import BUSY, Scene

PLATFORM = 0.5  # from here on the ground under a product is spoken of as set off


def reasons(
    choice: Choice, products: tuple[Box, ...], scene: Scene, width: int, color: str, ratio: float, scrim: Scrim | None
) -> tuple[str, str]:
    """One sentence each, of what decided; every number in it was measured."""
    english, korean = [], []
    if products:
        middle = (products[0].x + products[-1].right) / 2 / width
        where = ("left", "왼쪽") if middle < 0.42 else ("right", "오른쪽") if middle > 0.58 else ("middle", "가운데")
        things = ("the product stands", "상품은") if len(products) == 1 else ("the products stand", "상품들은")
        if scene.known is not None:
            english.append(f"{things[0]} {_at(where[0])} on the ground that the scene was built with")
            korean.append(f"{things[1]} 장면을 만들 때 정한 바닥의 {where[1]}에 놓았고")
        elif choice.products.platform > PLATFORM:
            english.append(f"{things[0]} {_at(where[0])} on the surface that is set off from the rest")
            korean.append(f"{things[1]} 주변과 구별되는 {where[1]} 받침면 위에 놓았고")
        elif scene.horizon is not None:
            english.append(
                f"{things[0]} {_at(where[0])} on the ground that begins at {scene.horizon:.0%} of the height"
            )
            korean.append(f"{things[1]} 위에서 {scene.horizon:.0%} 되는 높이에서 시작하는 바닥의 {where[1]}에 놓았고")
        else:
            english.append(f"{things[0]} {_at(where[0])} in the lower part, since no ground line shows")
            korean.append(f"바닥선이 뚜렷하지 않아 {things[1]} 아래쪽 {where[1]}에 놓았고")
    words = choice.words
    x, y = (words.boxes[:2] + words.boxes[2:]) / 2
    down = ("top", "위쪽") if y < 0.4 else ("bottom", "아래쪽") if y > 0.6 else ("middle", "중간 높이")
    side = ("left", "왼쪽") if x < 0.42 else ("right", "오른쪽") if x > 0.58 else ("", "")
    place = " ".join(part for part in (down[0], side[0]) if part)
    place_ko = " ".join(part for part in (side[1], down[1]) if part)
    overall = float((scene.busyness > BUSY).mean())
    english.append(
        f"the words go to the {place}, where {words.busy:.0%} of the picture is busy ({overall:.0%} overall)"
    )
    korean.append(f"글자는 복잡한 부분이 {words.busy:.0%}인(전체 {overall:.0%}) {place_ko}에 두었으며")
    if words.hidden > 0.1:
        english.append(f"though they lie over {words.hidden:.0%} of what catches the eye")
        korean.append(f"눈길을 끄는 부분의 {words.hidden:.0%}와 겹치지만")
    tone, tone_ko = ("white", "흰색") if color == contrast.LIGHT else ("a dark colour", "어두운 색")
    if choice.words.veiled and scrim is not None:
        english.append(f"in {tone} over a veil of {scrim.opacity:.0%}, since no part of the picture is free for them")
        korean.append(f"비어 있는 곳이 없어 {scrim.opacity:.0%} 농도의 막 위에 {tone_ko}으로 썼습니다")
    elif scrim is None:
        english.append(f"in {tone}, which has a contrast of {ratio:.1f} to 1 there")
        korean.append(f"그 자리에서 대비가 {ratio:.1f}:1인 {tone_ko}으로 썼습니다")
    else:
        english.append(
            f"in {tone} over a veil of {scrim.opacity:.0%}, since neither white nor dark letters reach 4.5 to 1 there"
        )
        korean.append(
            f"흰 글자도 어두운 글자도 대비 4.5:1에 못 미쳐 {scrim.opacity:.0%} 농도의 막 위에 {tone_ko}으로 썼습니다"
        )
    sentence = ", ".join(english)
    return sentence[0].upper() + sentence[1:] + ".", ", ".join(korean) + "."


def _at(side: str) -> str:
    return "in the middle" if side == "middle" else f"on the {side}"
