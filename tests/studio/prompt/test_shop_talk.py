"""Two hundred sentences of shops, and forty that the dictionary was not made for: what of them is understood, shown and kept."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from storefront.studio.prompt import lexicon, reading, typos, understanding, words
from storefront.studio.prompt.advert import LETTERING, AdBrief, compose
from storefront.studio.prompt.presets import read_library

sys.path.insert(0, str(Path(__file__).parent))

from held_out import HELD_OUT
from shop_talk import SENTENCES, Talk

LIBRARY = read_library()
SEEDS = (0, 1, 2)


class Figures:
    """Counted over sentences."""

    def __init__(self, talks: list[Talk]):
        self.words = self.unknown = self.wanted = self.lacking = self.lost = 0
        self.wrong: list[tuple[str, str]] = []
        for talk in talks:
            self.count(talk)

    def count(self, talk: Talk) -> None:
        adverts = [compose(AdBrief(talk.text, seed=seed), LIBRARY, [], False) for seed in SEEDS]
        shown = [advert.prompt.split(LETTERING)[0] + advert.scene.split("The ground in front")[0] for advert in adverts]
        self.words += len([word for word in re.split(r"[\s,.!?~]+", talk.text) if reading.HANGUL.search(word)])
        self.unknown += len(adverts[0].report["not_understood"])
        self.wanted += len(talk.shows)
        self.lacking += sum(not re.search(wanted, shown[0], re.IGNORECASE) for wanted in talk.shows)
        self.lost += sum(kept not in adverts[0].prompt for kept in talk.kept)
        for never in talk.never:
            if any(re.search(rf"\b{re.escape(never)}\b", text, re.IGNORECASE) for text in shown):
                self.wrong.append((talk.text, never))


def test_two_hundred_sentences():
    figures = Figures(SENTENCES)
    assert len(SENTENCES) >= 200
    assert figures.unknown <= 0.05 * figures.words
    assert figures.lacking <= 0.02 * figures.wanted
    assert (figures.wrong, figures.lost) == ([], 0)


def test_sentences_that_the_dictionary_was_not_made_for():
    figures = Figures(HELD_OUT)
    assert figures.unknown <= 0.05 * figures.words
    assert figures.lacking <= 0.15 * figures.wanted
    assert len(figures.wrong) <= 3
    assert figures.lost == 0


@pytest.mark.parametrize(
    ("text", "trade", "subject"),
    [
        ("강아지 간식 1+1", "pet_shop", "biscuits"),
        ("책상 위에 놓인 지갑", "clothing", "wallet"),
        ("커피에 어울리는 쿠키", "bakery", "cookies"),
        ("아기 피부에도 순한 로션", "cosmetics", "lotion"),
        ("한우 등심 선물세트", "market", "beef"),
        ("백팩 노트북 수납 가능", "clothing", "backpack"),
    ],
)
def test_the_subject_is_the_noun_that_the_sentence_is_about(text, trade, subject):
    look = compose(AdBrief(text), LIBRARY, [], False).report
    assert look["trade"]["key"] == trade
    assert subject in look["look"]["subject"]


def test_a_word_that_is_not_understood_leaves_place_and_light_open():
    for seed in range(12):
        look = compose(AdBrief("쿠르릉 뾰로롱한 향수", seed=seed), LIBRARY, [], False).report
        assert look["not_understood"]
        assert not re.search(
            r"night|sun|beach|street|garden|morning|evening", look["look"]["theme"] + look["look"]["light"]
        )


@pytest.mark.parametrize(
    ("text", "never"),
    [
        ("깨끗하고 밝은 스튜디오에서 찍은 향수", r"rooftop|night|dark"),
        ("한밤의 야식 치킨", r"morning|noon|daylight|sun\b"),
        ("흑백 느낌의 구두", r"coral|terracotta|\bred\b|coloured"),
        ("비 오는 날 커피", r"\bsun|blue sky"),
        ("아이들 소풍 도시락", r"wine|beer"),
    ],
)
def test_what_is_open_goes_with_what_was_said(text, never):
    for seed in range(12):
        advert = compose(AdBrief(text, seed=seed), LIBRARY, [], False)
        assert not re.search(never, advert.prompt.split(LETTERING)[0]), advert.prompt


def test_the_dictionary_is_large_and_consistent():
    words_ = lexicon.of(LIBRARY).words
    assert len(words_) > 8000
    bundled = lexicon._bundled()
    trades = {trade for meanings in bundled.values() for trade in meanings.products}
    assert trades <= set(LIBRARY.trades)
    assert all(word == lexicon.plain(word) and word for word in bundled)
    english = {
        shown for meanings in bundled.values() for shown in (*meanings.products.values(), *meanings.kinds.values())
    }
    assert not [shown for shown in english if reading.HANGUL.search(shown) or "{" in shown]


def test_words_are_taken_apart():
    known = lexicon.of(LIBRARY)

    def parts(word: str) -> list[str]:
        return [piece.stem for piece in words.parse(word, known.words, known.bending).pieces]

    assert parts("수제딸기라떼를") == ["수제", "딸기라떼"]
    assert parts("따뜻하고") == ["따뜻"]
    assert parts("해봄") == []
    assert words.parse("김민수", known.words, known.bending).unknown == 3


def test_slips_are_read_and_other_words_are_left_alone():
    near = typos.neighbours({"아메리카노", "플라스틱", "샌드위치"})
    assert typos.corrected("아메리까노", near) == "아메리카노"
    assert typos.corrected("샌드위찌를", near) == "샌드위치를"
    assert typos.corrected("클라스틱", near) is None


STRANGE = " ".join("".join(chr(0xAC00 + (n * 7919 + k * 3571) % 11172) for k in range(3)) for n in range(1000))
LONG = {
    "one word": "가" * 4000,
    "things": "강아지 " * 1300,
    "numbers": "1+1 " * 900,
    "words that are none": STRANGE,
    "endings": " ".join(["가방" + "전문점" * 12 + "뷁"] * 100),
}


@pytest.mark.parametrize("text", LONG.values(), ids=list(LONG))
def test_a_long_text_is_read_in_a_second(text):
    import time

    began = time.process_time()
    understanding.understand(text[:4000], LIBRARY.trades["shop"], LIBRARY, ())
    assert time.process_time() - began < 1
