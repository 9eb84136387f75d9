"""The sentences that reasons are put together from, in four languages. {things}, {at} ... are words of the same language."""

from __future__ import annotations

from typing import NamedTuple

COMMAS = (", ", ", ", "、", "，")
STOPS = (".", ".", "。", "。")


class Clause(NamedTuple):
    """Words or a part of a reason, in each language."""

    en: str
    ko: str
    ja: str
    zh: str

    def filled(self, **values: str | Clause) -> Clause:
        """With values in the place of {name}: a text in every language, or each language's own words."""
        parts = {name: (value,) * len(self) if isinstance(value, str) else value for name, value in values.items()}
        return Clause(
            *(sentence.format(**{name: part[i] for name, part in parts.items()}) for i, sentence in enumerate(self))
        )


REASON_LANGUAGES = Clause._fields

ON_THE_LEFT = Clause("on the left", "왼쪽", "左側", "左侧")
ON_THE_RIGHT = Clause("on the right", "오른쪽", "右側", "右侧")
IN_THE_MIDDLE = Clause("in the middle", "가운데", "中央", "中间")
THE_PRODUCT = Clause("the product stands", "상품은", "商品は", "商品")
THE_PRODUCTS = Clause("the products stand", "상품들은", "商品は", "商品")
CUT_SIDES = {
    "top": Clause("top", "위", "上", "上"),
    "right": Clause("right", "오른쪽", "右", "右"),
    "bottom": Clause("bottom", "아래", "下", "下"),
    "left": Clause("left", "왼쪽", "左", "左"),
}
BETWEEN_SIDES = (" and ", "·", "・", "、")

BY_HAND = Clause(
    "what was moved by hand stays where it was put",
    "직접 옮긴 것은 그 자리에 두었고",
    "手で動かしたものはその位置のままにし",
    "手动移动的内容保持原位",
)
ON_KNOWN_GROUND = Clause(
    "{things} {at} on the ground that the scene was built with",
    "{things} 장면을 만들 때 정한 바닥의 {at}에 놓았고",
    "{things}シーンを作ったときに決めた地面の{at}に置き",
    "{things}放在搭建场景时确定的地面{at}",
)
ON_A_PLATFORM = Clause(
    "{things} {at} on the surface that is set off from the rest",
    "{things} 주변과 구별되는 {at} 받침면 위에 놓았고",
    "{things}周囲と区別できる{at}の台の上に置き",
    "{things}放在与周围区分开的{at}台面上",
)
ON_THE_GROUND = Clause(
    "{things} {at} on the ground that begins at {horizon} of the height",
    "{things} 위에서 {horizon} 되는 높이에서 시작하는 바닥의 {at}에 놓았고",
    "{things}上から{horizon}の高さで始まる地面の{at}に置き",
    "{things}放在从上往下 {horizon} 处开始的地面{at}",
)
NO_GROUND_LINE = Clause(
    "{things} {at} in the lower part, since no ground line shows",
    "바닥선이 뚜렷하지 않아 {things} 아래쪽 {at}에 놓았고",
    "{things}地面の線がはっきりしないため下寄りの{at}に置き",
    "{things}因看不出地面线而放在下部{at}",
)
BESIDE_THE_SUBJECT = Clause(
    "beside what the picture shows",
    "사진 속 주인공을 가리지 않았으며",
    "背景の主役を隠さないようにし",
    "不遮挡画面主体",
)
BEFORE_THE_SUBJECT = Clause(
    "before {covered} of what the picture shows, since beside it no place is large enough",
    "옆에 넉넉한 자리가 없어 사진 속 주인공의 {covered}를 가리며",
    "横に十分な場所がないため背景の主役の{covered}に重ね",
    "因旁边没有足够大的位置而遮住画面主体的 {covered}",
)
FLUSH_WITH_THE_EDGE = Clause(
    "flush with the {sides} edge, where its photo cuts it off",
    "사진에서 잘린 {sides} 끝을 화면 가장자리에 맞추었고",
    "写真で切れている{sides}の端は画面の端に合わせ",
    "照片中被切断的{sides}边与画面边缘对齐",
)
CUT_IN_SIGHT = Clause(
    "with the flat cut of its photo in sight at the {sides} (a photo that shows all of it would be better)",
    "사진에서 잘린 {sides} 끝이 그대로 보이니 전체가 나온 사진이 더 좋고",
    "写真で切れている{sides}の端が見えるので全体が写った写真のほうがよく",
    "照片中被切断的{sides}边露在画面里（最好用拍到整个商品的照片）",
)

TO_THE_TOP = Clause("top", "위쪽", "上部", "上方")
TO_THE_BOTTOM = Clause("bottom", "아래쪽", "下部", "下方")
HALF_WAY_UP = Clause("middle", "중간 높이", "中ほど", "中部")
AT_LEFT = Clause(" left", "왼쪽 ", "の左側", "左")
AT_RIGHT = Clause(" right", "오른쪽 ", "の右側", "右")
NEITHER_SIDE = Clause("", "", "", "")
WORDS_BY_HAND = Clause(
    "the words go where they were put by hand",
    "글자는 직접 옮긴 자리에 두었으며",
    "文字は手で動かした位置に置き",
    "文字放在手动移动到的位置",
)
WORDS_GO = Clause(
    "the words go to the {down}{side}, where {busy} of the picture is busy ({overall} overall)",
    "글자는 복잡한 부분이 {busy}인(전체 {overall}) {side}{down}에 두었으며",
    "文字は込み入った部分が{busy}（全体では{overall}）の{down}{side}に置き",
    "文字放在{side}{down}，那里有 {busy} 的画面较杂（全图 {overall}）",
)
OVER_THE_STRIKING = Clause(
    "though they lie over {hidden} of what catches the eye",
    "눈길을 끄는 부분의 {hidden}와 겹치지만",
    "目を引く部分の{hidden}に重なりますが",
    "但盖住了醒目部分的 {hidden}",
)
IN_WHITE = Clause("white", "흰색", "白", "白色")
IN_A_DARK_COLOUR = Clause("a dark colour", "어두운 색", "暗い色", "深色")
READS_WELL = Clause(
    "in {tone}, which has a contrast of {ratio} to 1 there",
    "그 자리에서 대비가 {ratio}:1인 {tone}으로 썼습니다",
    "そこでのコントラストが{ratio}:1になる{tone}で書きました",
    "使用在那里对比度为 {ratio}:1 的{tone}",
)
ON_A_VEIL = Clause(
    "in {tone} over a veil of {veil}, since no part of the picture is free for them",
    "비어 있는 곳이 없어 {veil} 농도의 막 위에 {tone}으로 썼습니다",
    "空いている場所がないため濃さ{veil}の下地を敷いて{tone}で書きました",
    "因画面没有空处而垫上浓度 {veil} 的衬底，使用{tone}",
)
ON_A_NEEDED_VEIL = Clause(
    "in {tone} over a veil of {veil}, since neither white nor dark letters reach 4.5 to 1 there",
    "흰 글자도 어두운 글자도 대비 4.5:1에 못 미쳐 {veil} 농도의 막 위에 {tone}으로 썼습니다",
    "白い文字も暗い文字もコントラスト4.5:1に届かないため濃さ{veil}の下地を敷いて{tone}で書きました",
    "因白色和深色文字的对比度都达不到 4.5:1 而垫上浓度 {veil} 的衬底，使用{tone}",
)
