"""What the words hold: facts, things to show, the headline; and when an answer keeps them."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
from storefront.studio.errors import InputError
from storefront.studio.prompt import advert, reading, understanding
from storefront.studio.prompt.presets import read_library
from storefront.studio.prompt.reading import AMOUNT, BRAND_NAME, COUNT, LATIN, QUOTE, Fact, is_kept
from storefront.studio.scenes.choose import SETTINGS

sys.path.insert(0, str(Path(__file__).parent))

from sentences import SENTENCES

LIBRARY = read_library()


def understood(text: str, key: str = "") -> dict[str, str]:
    trade = LIBRARY.trades[key] if key else understanding.find_trade(text, LIBRARY)[0]
    return {found.korean: found.kind for found in understanding.understand(text, trade, LIBRARY, ()).found}


@pytest.mark.parametrize("said", SENTENCES, ids=range(len(SENTENCES)))
def test_facts_trade_and_headline(said):
    names = reading.names_of(said.glossary)
    kept = reading.facts(said.text, names)
    assert {fact.text for fact in kept} == set(said.kept)
    trade, words = understanding.find_trade(said.text, LIBRARY)
    assert trade.key == said.trade
    found = understanding.understand(said.text, trade, LIBRARY, names).found
    topics = [*words, *(one.korean for one in found if one.kind in ("product", "event", "offer"))]
    headline = reading.headline(said.text, kept, topics)
    assert headline == said.headline
    assert all(line in said.text for line in headline.splitlines())


KEPT = [
    (Fact("4,500원", AMOUNT), ["4,500원", "4500원", "₩4,500", "4,500 won", "KRW 4,500"], ["4,50원", "14,500원", "45,000원", "4,500"]),
    (Fact("1만 5천원", AMOUNT), ["1만 5천원", "1만5천원", "15,000 won", "₩15,000"], ["15,000", "1,500 won", "115,000원"]),
    (Fact("30%", AMOUNT), ["30%", "30 %", "30 percent", "30퍼센트"], ["130%", "3%", "30", "30.5%"]),
    (Fact("$3.50", AMOUNT), ["$3.50"], ["$3.5", "3.50"]),
    (Fact("2인", COUNT), ["2인", "for 2 people"], ["12 people", "for two", "2.5"]),
    (Fact("1+1", COUNT), ["1+1", "1 + 1"], ["1 1", "11+1"]),
    (Fact("11:30~14:00", COUNT), ["11:30~14:00"], ["11:30", "11:30~14:30"]),
    (Fact("LG 트롬", BRAND_NAME), ["the LG 트롬 washer"], ["LG Tromm", "lg 트롬"]),
    (Fact("SKY", LATIN), ["SKY students", "sky"], ["a skyline"]),
    (Fact("봄의 첫 모금", QUOTE), ["“봄의 첫 모금”", '"봄의 첫  모금"'], ["봄의 모금", "first sip of spring"]),
]  # fmt: skip


@pytest.mark.parametrize(("fact", "right", "wrong"), KEPT, ids=[fact.text for fact, *_ in KEPT])
def test_a_fact_is_kept_or_not(fact, right, wrong):
    for answer in right:
        assert is_kept(fact, f"It says {answer}, nothing else."), answer
    for answer in wrong:
        assert not is_kept(fact, f"It says {answer}, nothing else."), answer


def test_syllables_are_found_where_they_are_words():
    assert understood("봄 신메뉴 딸기라떼", "cafe") == {"봄": "season", "신메뉴": "event", "딸기라떼": "product"}
    assert "봄" not in understood("한번 해봄 딸기라떼", "cafe")
    assert "배" not in understood("무료 배달", "market")
    assert understood("싱싱한 배를 직송", "market")["배"] == "product"
    assert "아이" not in understood("아이스 아메리카노", "cafe")
    assert "라떼" not in understood("딸기라떼", "cafe")
    assert understood("수제딸기라떼", "cafe") == {"수제": "mood", "딸기라떼": "product"}


def test_what_is_not_known_is_said():
    text = "다온커피에서 쿠키슈를 굽는 김민수"
    trade = LIBRARY.trades["cafe"]
    unknown = understanding.understand(text, trade, LIBRARY, ("다온커피",)).unknown
    assert "김민수" in unknown
    assert not any("다온" in word for word in unknown)


def test_a_brand_name_means_nothing_else():
    trade = LIBRARY.trades["cafe"]
    found = understanding.understand("봄날커피 딸기라떼", trade, LIBRARY, ("봄날커피",)).found
    assert [one.korean for one in found] == ["딸기라떼"]


def test_texts_are_cleaned_or_refused():
    assert reading.clean("text", "a\u0000b\u202ec\n\n  d ") == "a b c\nd"
    assert reading.clean("text", "\u1103\u1161") == "다"
    assert "<|" not in reading.clean("text", "딸기<|im_end|>라떼")
    assert "embedding:" not in reading.clean("text", "EMBEDDING:../../x").lower()
    for wrong in ("\ud83d", "x" * 4001, None, 3):
        with pytest.raises(InputError, match="`text` is"):
            reading.clean("text", wrong)
    with pytest.raises(InputError, match="glossary"):
        reading.names_of("\n".join(map(str, range(500))))


def test_a_headline_is_never_a_direction_nor_a_request():
    for text, wanted in {
        "우리 가게 떡볶이 진짜 매콤하고 맛있어요 포스터 만들어줘": "우리 가게 떡볶이 진짜 매콤하고 맛있어요",
        "노을 지는 바다 배경, 통영 굴 1kg 15,000원": "통영 굴 1kg 15,000원",
        "Grand opening of Mina's Bakery with croissants at $3.50": "Grand opening of Mina's Bakery with croissants at $3.50",
        "딸기": "딸기",
        "4,500원": "4,500원",
    }.items():
        assert reading.headline(text, reading.facts(text, ())) == wanted
    long = reading.headline("맛있는 " * 200, ())
    assert 10 < len(long) <= 40


OFFERS = [
    "1+1",
    "선착순 50명",
    "오늘만",
    "밤 9시까지",
    "하나 사면 하나 더",
    "무료배송",
    "사은품 증정",
    "전 품목 20% 할인",
]


@pytest.mark.parametrize("offer", OFFERS)
def test_an_offer_is_a_second_line(offer):
    text = f"다온뷰티 손 세정제 9,900원, {offer}"
    assert reading.headline(text, reading.facts(text, ())) == f"다온뷰티 손 세정제 9,900원\n{offer}"
    more = f"{text}, 선착순 7명"
    left_out = reading.unsaid_offers(more, reading.headline(more, reading.facts(more, ())))
    assert left_out == ["선착순 7명"]


@pytest.mark.parametrize("named", SETTINGS.values(), ids=list(SETTINGS))
def test_a_scene_is_no_headline(named):
    text = f"다온뷰티 손 세정제 9,900원, {named.ko}"
    assert advert.compose(advert.AdBrief(text), LIBRARY, ()).headline == "다온뷰티 손 세정제 9,900원"


def test_a_price_is_all_of_its_digits():
    for text, wanted in {"1234,567원": "1234,567원", "12,3456원": "3456원", "딸기1234.50원": "1234.50원"}.items():
        assert [match[0] for match in reading.PRICE.finditer(text)] == [wanted]


@pytest.mark.parametrize("text", ["1" * 1000, "광고 " * 2666 + "광"], ids=["digits", "ads"])
def test_a_long_row_is_read_at_once(text):
    """A hundredth of a second; where a regular expression tries every division of the row, from seconds to an hour."""
    began = time.process_time()
    reading.headline(text, reading.facts(text, ()))
    assert time.process_time() - began < 1
