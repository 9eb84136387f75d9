"""Which scene of the bank suits: by trade, setting, palette and light, or by what words say. The seed decides a draw."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import NamedTuple

from ..errors import InputError
from ..layout.layout import Light
from ..prompt.presets import Library
from .bank import Bank, Scene, mirrored

AUTO = "auto"


class Named(NamedTuple):
    """What a choice is called, for people and in their words."""

    ko: str
    words: tuple[str, ...]  # Korean and English; found anywhere in Korean text, as whole words in English


SETTINGS: dict[str, Named] = {
    "wooden table": Named("나무 테이블", ("나무 테이블", "나무 식탁", "원목", "나무", "wood", "wooden", "oak")),
    "marble counter": Named("대리석 상판", ("대리석", "marble")),
    "pastel studio": Named("파스텔 스튜디오", ("파스텔", "스튜디오", "받침대", "포디움", "pastel", "studio", "podium")),
    "concrete": Named("콘크리트", ("콘크리트", "시멘트", "concrete", "cement")),
    "draped cloth": Named(
        "주름 천", ("린넨", "리넨", "새틴", "실크", "천 위", "linen", "satin", "silk", "cloth", "fabric")
    ),
    "window light": Named("창가 햇살", ("창가", "햇살", "창문", "나뭇잎 그림자", "window", "sunlight", "leaf shadows")),
    "cafe at night": Named("밤의 카페", ("밤", "야경", "조명", "보케", "night", "bokeh", "evening")),
    "shop shelf": Named("가게 진열대", ("진열", "선반", "매대", "가게", "shelf", "shelves", "shop")),
    "kitchen": Named("주방", ("주방", "부엌", "조리", "kitchen", "worktop")),
    "desk": Named("책상", ("책상", "서재", "desk", "office")),
    "bathroom shelf": Named("욕실 선반", ("욕실", "세면", "화장실", "타일", "bathroom", "tiles")),
    "dark studio": Named("어두운 스튜디오", ("어두운", "검은", "블랙", "네온", "dark", "black", "neon")),
    "paper window": Named("한지 창", ("한지", "한옥", "창호", "전통", "hanok", "paper window", "lattice")),
    "market stall": Named("시장 좌판", ("시장", "좌판", "장터", "market", "stall")),
    "beach": Named("해변", ("해변", "바다", "모래", "여름", "beach", "sea", "sand", "summer")),
    "grass": Named("잔디", ("잔디", "풀밭", "들판", "소풍", "grass", "lawn", "picnic")),
    "stone steps": Named("돌계단", ("돌계단", "계단", "정원", "stone", "steps", "garden")),
    "snow": Named("눈밭", ("눈밭", "눈 위", "설원", "겨울", "크리스마스", "snow", "winter", "christmas")),
    "still water": Named("잔잔한 물", ("물 위", "수면", "물결", "수분", "water", "ripple")),
}
PALETTES: dict[str, Named] = {
    "beige": Named("베이지", ("베이지", "beige")),
    "grey": Named("회색", ("회색", "그레이", "grey", "gray")),
    "pink": Named("분홍", ("분홍", "핑크", "벚꽃", "딸기", "pink", "rose")),
    "sage": Named("세이지", ("세이지", "초록", "녹색", "그린", "말차", "녹차", "sage", "green")),
    "blue": Named("파랑", ("파랑", "파란", "하늘색", "블루", "blue", "sky")),
    "cream": Named("크림색", ("아이보리", "cream-colored", "ivory")),
    "terracotta": Named("테라코타", ("테라코타", "벽돌", "주황", "terracotta", "brick", "orange")),
    "lavender": Named("라벤더", ("라벤더", "보라", "lavender", "purple", "violet")),
    "mint": Named("민트", ("민트", "mint")),
    "yellow": Named("노랑", ("노랑", "노란", "레몬", "개나리", "yellow", "lemon")),
    "navy": Named("남색", ("남색", "네이비", "navy")),
    "wine": Named("와인", ("와인", "자주", "버건디", "wine", "burgundy")),
}
# Azimuths as in layout.Light: 0 from behind, 90 from the right.
LIGHT_AZIMUTHS: dict[str, float] = {
    "behind": 0,
    "right behind": 45,
    "right": 90,
    "right front": 135,
    "front": 180,
    "left front": 225,
    "left": 270,
    "left behind": 315,
}
LEVEL, ABOVE = "level", "from above"
VIEWS = (LEVEL, ABOVE)
STEEP = 24.0  # degrees down: a camera that looks down more than that looks from above
MATCH_WEIGHTS = {"view": 16.0, "setting": 8.0, "palette": 4.0, "trade": 3.0, "light": 2.0}
NEUTRAL_SETTINGS = frozenset({"concrete", "dark studio", "pastel studio"})  # nothing in them is of one trade
NEUTRAL_BONUS = 1.0  # what a neutral setting counts where no trade is known: no coffee beans beside a motorcycle
GUESSED_VIEW = (
    4.5  # with a trade, less than a setting: a cup from above on a level table looks wrong, a beach that is none too
)
PALETTE_HINT = 1.5  # of a palette that words alone speak of: strawberries are pink, but what sells them is the trade


@dataclass(frozen=True)
class SceneQuery:
    """What a scene should be like; AUTO leaves it to the words, or open."""

    words: str = ""
    trade: str = AUTO
    setting: str = AUTO
    palette: str = AUTO
    light: str = AUTO
    scene: str = AUTO  # one of the bank by its id
    seed: int = 0
    view: str = AUTO  # how the photo was taken: LEVEL, or ABOVE as food often is
    view_guessed: bool = False  # by the photo's outline: a setting that was asked for counts more than that


class Chosen(NamedTuple):
    """The scene that was taken."""

    scene: Scene
    notes: tuple[str, ...]  # wishes that no scene of the bank meets


def choose(bank: Bank, query: SceneQuery, library: Library) -> Chosen:
    """The scene that meets most of a query, the seed deciding between equals; each also counts mirrored.

    Adding a scene changes what few seeds give (rendezvous hashing). Raises InputError for an empty bank and for a name
    that is not known.
    """
    if not bank.scenes:
        raise InputError("scene", "no scene", "a bank with scenes in models/scenes or in the user's folder")
    candidates = _named(bank, query.scene) if query.scene != AUTO else list(bank.scenes.values())
    wanted = _wanted(query, bank, library)
    both = [variant for scene in candidates for variant in (scene, mirrored(scene))]
    if query.scene != AUTO and wanted["light"] is None:
        both = both[:1]  # a scene asked for by name comes as it is
    asked = {name: value for name, value in wanted.items() if getattr(query, name) != AUTO}
    weights = MATCH_WEIGHTS | ({} if "palette" in asked else {"palette": PALETTE_HINT})
    if query.view_guessed:
        weights |= {"view": GUESSED_VIEW}
    unknown = bool(query.words.strip()) and wanted["trade"] is None and wanted["setting"] is None
    scores = [
        _score(scene, wanted, weights) + NEUTRAL_BONUS * (unknown and scene.setting in NEUTRAL_SETTINGS)
        for scene in both
    ]
    best = max(scores)
    equals = [scene for scene, score in zip(both, scores) if score == best]
    scene = max(equals, key=lambda scene: _draw(query.seed, scene))
    return Chosen(scene, _unmet(scene, asked))


def _named(bank: Bank, name: str) -> list[Scene]:
    if name not in bank.scenes:
        raise InputError("scene", name, "auto, or one of: " + ", ".join(bank.scenes))
    return [bank.scenes[name]]


def _wanted(query: SceneQuery, bank: Bank, library: Library) -> dict[str, str | None]:
    """What is wished for, by choice or by the words; None: open. Unknown names raise InputError."""
    from ..prompt import presets
    from ..prompt.reading import clean
    from ..prompt.understanding import find_trade

    text = clean("words", query.words)
    settings = {*SETTINGS, *(scene.setting for scene in bank.scenes.values())}
    palettes = {*PALETTES, *(scene.palette for scene in bank.scenes.values())}
    wanted: dict[str, str | None] = {}
    for name, value, known, table in (
        ("setting", query.setting, settings, SETTINGS),
        ("palette", query.palette, palettes, PALETTES),
    ):
        if value != AUTO and value not in known:
            raise InputError(name, value, "one of: " + ", ".join([AUTO, *sorted(known)]))
        wanted[name] = value if value != AUTO else spoken_of(text, table)
    if query.light != AUTO and query.light not in LIGHT_AZIMUTHS:
        raise InputError("light", query.light, "one of: " + ", ".join([AUTO, *LIGHT_AZIMUTHS]))
    if query.view != AUTO and query.view not in VIEWS:
        raise InputError("view", query.view, "one of: " + ", ".join([AUTO, *VIEWS]))
    wanted["light"] = None if query.light == AUTO else query.light
    wanted["view"] = None if query.view == AUTO else query.view
    if query.trade != AUTO:
        wanted["trade"] = presets.find("trade", query.trade, library.trades).key
    else:
        trade, found = find_trade(text, library)
        wanted["trade"] = trade.key if found else None
    return wanted


def spoken_of(text: str, table: dict[str, Named]) -> str | None:
    """The key of the longest word in the text, its own names among them; of several, that of most words, then of the
    first. None where no word of the table is in it."""
    lower = text.lower()
    found = []
    for key, named in table.items():
        words = {word for word in (key, named.ko, *named.words) if _place_of(word, lower) >= 0}
        if words:
            longest = max(map(len, words))
            found.append((longest, len(words), -min(_place_of(word, lower) for word in words), key))
    return max(found)[3] if found else None


def _place_of(word: str, text: str) -> int:
    """Where a word begins in the text, -1 where it is not: English ones whole, Korean ones with any particle."""
    if not word.isascii():
        return text.find(word)
    found = re.search(rf"\b{re.escape(word)}\b", text)
    return found.start() if found else -1


def _score(scene: Scene, wanted: dict[str, str | None], weights: dict[str, float]) -> float:
    score = 0.0
    for name, weight in weights.items():
        if wanted[name] is not None:
            score += weight * _meets(scene, name, str(wanted[name]))
    return round(score, 6)


def _meets(scene: Scene, name: str, value: str) -> float:
    """1 where a scene is as wished, 0 where it is not; light in between, by the angle."""
    if name == "trade":
        return float(value in scene.trades)
    if name == "light":
        return float(light_name(scene.light) == value) or 0.5 * max(
            0.0, 1 - apart(scene.light, LIGHT_AZIMUTHS[value]) / 90
        )
    if name == "view":
        return float(view_of(scene) == value)
    return float(getattr(scene, name) == value)


def view_of(scene: Scene) -> str:
    """From above, or level with the product, by the camera's angle."""
    return ABOVE if scene.down > STEEP else LEVEL


def apart(light: Light, azimuth: float) -> float:
    """Degrees between a light's azimuth and another, 0 to 180."""
    return abs((light.azimuth - azimuth + 180) % 360 - 180)


def light_name(light: Light) -> str:
    """The nearest of the eight directions."""
    return min(LIGHT_AZIMUTHS, key=lambda name: apart(light, LIGHT_AZIMUTHS[name]))


def described(scene: Scene) -> str:
    """The scene in a few words, for the note of a run."""
    return f"{scene.id}{' mirrored' if scene.mirrored else ''}: {scene.setting}, {scene.palette}, light from the {light_name(scene.light)}"


def _unmet(scene: Scene, wanted: dict[str, str | None]) -> tuple[str, ...]:
    values = {"setting": scene.setting, "palette": scene.palette, "light": light_name(scene.light)}
    values["trade"], values["view"] = ", ".join(scene.trades) or "none", view_of(scene)
    return tuple(
        f"no scene of the bank with {name} {value} goes with the rest; this one has {values[name]}"
        for name, value in wanted.items()
        if value is not None and _meets(scene, name, value) < 1
    )


def _draw(seed: int, scene: Scene) -> bytes:
    return hashlib.sha256(f"{seed}/{scene.id}/{scene.mirrored}".encode()).digest()
