"""What a line break costs between two words: noun pairs, numbers with what they count, and modifiers stay together.

By endings and short lists, not by a parser: a headline has a handful of words, and a wrong guess costs a less even line.
"""

from __future__ import annotations

import re

# In squares of a full line; below 0 where a reader pauses anyway.
PAUSE, NATURAL, FREELY, LOOSE, CLOSE, BOUND = -0.15, -0.06, 0.0, 0.12, 0.35, 0.6

_CLAUSE_ENDS = tuple(",.!?:;、。，．！？：；…")
_EDGES = "\"'“”‘’()[]「」『』《》<>"


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


STARTS_WITH_NUMBER = re.compile(r"[₩$€£¥]?\d")
UNITS = _set(
    "% ％ 원 만원 천원 만 천 억 개 잔 병 장 권 대 평 명 분 인 종 종류 가지 인분 시간 주년 개월 세트 켤레 마리 박스 팩 봉 봉지 그릇 조각 송이 "
    "자루 포기 벌 쌍 살 세 회 번 주 일 월 년 층 호 박 시 초 배 퍼센트 프로 달러 엔 유로 그램 킬로 리터 도 kg g mg ml l L cm mm m km oz lb lbs "
    "inch in ft pcs pc pack packs won krw usd"
)
_COUNTED = re.compile(r"\d+(?:[.,]\d+)*\s?(?:" + "|".join(sorted(map(re.escape, UNITS), key=len, reverse=True)) + r")$")

# --- Korean -----------------------------------------------------------------------------------------------------------

# What shops do or give; it closes a phrase that begins with what it is of: 특별 할인, 신메뉴 출시, 무료 배송.
_OFFERS = _set(
    "할인 세일 특가 출시 오픈 이벤트 증정 입고 판매 예약 행사 개시 모집 기획전 쿠폰 배송 대전 축제 마감 임박 가능 환영 적립 교환 환불 상담 한정 "
    "제공 지원 혜택 포장 배달 개업 개강 등록 체험 서비스 이용 페스티벌 위크 데이 론칭 런칭 예정 완료 시작 중 완판 추천 인기 기념 당첨 리필 무한리필 "
    "수업 클래스 코스 세트 메뉴 에디션 컬렉션 선물세트 할인전 특가전 적용 반값 무료 균일가 품절 재입고"
)
# What begins a phrase of its own.
_OPENERS = _set(
    "특별 신상 신메뉴 신제품 무료 한정 단독 그랜드 오늘 오늘만 이번 최대 최소 선착순 당일 전국 전품목 신규 사전 얼리버드 반값 깜짝 주말 평일 매일 매주 매월 "
    "단 첫 전 온라인 예약 지금 하루 즉시 추가 무이자 감사 사은 창립 개업 재오픈 초특가 파격 마지막 시즌 봄맞이 여름맞이 가을맞이 겨울맞이 설맞이 추석맞이 "
    "신학기 연말 새해 여름 겨울 가을"
)
_BEFORE_NUMBERS = _set(
    "최대 최소 단 약 총 매월 매주 매년 오전 오후 선착순 평균 하루 오직 제 월 정가 특가 할인가 판매가 단돈 균일가 개당 한정"
)
_ALL_OF = _set("품목 전품목 상품 전상품 제품 전제품 메뉴 전메뉴 전체")  # with the offer that follows
TRAILING = _set("후 시 중 때 뒤 등 뿐")  # of one syllable, and nothing without the word before them
_LEANING = _set(  # adverbs and determiners, which are nothing without what follows
    "더 꼭 잘 가장 제일 매우 바로 함께 오직 다시 새로 직접 갓 모든 이런 그런 어떤 우리 내 네 나의 너의 한 두 세 네 첫 새 참 딱 또 안 못 더욱 아주 정말 "
    "처음 서로 조금 그냥 모두 온 전 각 매 당신의 나만의 우리만의"
)
_HELPERS = re.compile(  # auxiliary verbs and bound nouns, which are nothing without what precedes
    r"(?:보세요|보아요|봐요|볼까요?|드립니다|드려요|드릴게요|드릴까요|주세요|줍니다|줄게요|있습니다|있어요|있는|없는|없습니다|않아요|않습니다|않는|수|것|때|중|후|"
    r"뿐|만큼|대로|듯|됩니다|돼요|하세요|합니다|해요|해드려요|해드립니다|하기|싶은|싶다면|싶을)(?:은|는|이|가|을|를|도|에|만|까지|!)?[.!?~]*$"
)
_PARTICLES = re.compile(
    r".(?:에서는|에서만|에서도|에게|한테|에서|에는|에만|에도|으로|까지|부터|처럼|보다|마다|이랑|라도|이나|이면|이라면|은|는|이|가|을|를|에|로|와|과|랑|도|만)$"
)
_NO_PARTICLE = re.compile(  # nouns and adverbs that end like one
    r"(?:가을|걸이|결과|고양이|과도|구이|국가|균일가|그대로|기와|길이|깊이|나들이|내과|냉이|넓이|노을|놀이|농도|높이|단가|데이|떡볶이|마을|맞이|먹이|메이|바로|사"
    r"과|사이|새로|서로|속도|손잡이|스스로|스테이|스프레이|아이|안과|약과|어린이|오이|온도|요가|원가|유로|작가|전문가|정가|제주도|종이|지도|차이|치과|카카오페이"
    r"|트레이|특가|파이|판매가|평가|포도|플레이|하와이|한과|할인가|호랑이|홀로|효과|휴가)$"
)
# Adnominal: it describes the noun behind it.
_DESCRIBES = re.compile(
    r"(?:의|적인|스러운|로운|[한된운린진긴던킨난낸큰른쁜픈친란룬]|"
    r"(?:좋|깊|작|맑|젊|많|높|넓|짧|얇|밝|붉|맛있|맛없|낡|굵|괜찮|가득찬|남|받|얻|잡|담|얹|녹|볶|찾|입|먹|심|묶|쌓|앉)은|"
    r"(?:있|없|하|되|나|오|가|드|즐기|어울리|빛나|피|사|먹|찾|입|느끼|만나|주|만드|쓰|보|믿|살아나|흐르|반기|기다리|지키|녹|자라|씹|듣|웃|읽|걷|부르|퍼지|넘치)는|"
    r"(?:할|될|줄|볼|갈|올|만날|즐길|누릴|어울릴|먹을|입을|찾을|놓칠))$"
)
_NOUNS_LIKE_IT = re.compile(  # nouns that end like one
    r"(?:가든|가전|개인|골든|공간|공원|기한|기획전|남한|내년|노인|대전|디자인|라면|라인|레몬|리본|만년|매거진|매년|매진|메인|모던|무한|물건|미션|바이올린|반년|버"
    r"전|버튼|베이컨|병원|본인|북한|사건|사진|상인|생선|성인|소년|수건|수면|스크린|스킨|승인|시간|시즌|신년|신선|안전|애견인|야간|에어컨|엔진|연인|오전|온라인"
    r"|와인|완전|외국인|요인|우든|우선|월간|작년|장난|장인|정면|정원|제한|조건|주간|주년|주인|지원|직원|직장인|청년|체인|체험전|최선|추천|충전|치킨|커튼|코인"
    r"|코튼|쿠션|쿠폰|트램폴린|특전|패션|펜션|표면|피난|학년|학원|할인|확인|회원)$"
)
_CONNECTS = re.compile(r".(?:하고|이고|으며|하며|지만|니까|아서|어서|해서|라서|려면|으면|하면|다면|면서|고)$")


def _is_hangul(character: str) -> bool:
    return "가" <= character <= "힣"


def _korean(before: str, after: str) -> float:
    """Both words without the signs around them; one of them Korean."""
    counts = STARTS_WITH_NUMBER.match(after) is not None
    if _HELPERS.match(after) and len(after.rstrip("!?.~")) > 1:
        return BOUND
    if before in _BEFORE_NUMBERS and counts:
        return BOUND
    if _COUNTED.search(before) or before[-1:] in "%％":
        return _after_amount(before, after, counts)
    if before[-1:].isdigit():
        return BOUND if after in _OFFERS or after in UNITS else LOOSE
    if before in TRAILING:
        return NATURAL
    if before in _LEANING:
        return BOUND
    if counts and before in _ALL_OF:
        return CLOSE
    if counts:  # "가방 50 %" begins an offer, "시즌 2" is a name
        return NATURAL if _COUNTED.search(after) or after[-1:] in "%％" or "+" in after else LOOSE
    return _korean_words(before, after)


def _after_amount(before: str, after: str, counts: bool) -> float:
    """After "50%", "3만원", "12월"."""
    if before[-1:] == "월" and counts:
        return BOUND
    if before[-1:] in "%％" or after in _OFFERS or _root(after) in _OFFERS:
        return BOUND
    return FREELY if after in _OPENERS or counts else LOOSE


def _root(word: str) -> str:
    """Without the ending that a closing noun takes: 할인까지, 증정합니다."""
    return re.sub(r"(?:합니다|해요|하세요|중|까지|부터|으로|로|을|를|이|가|은|는|에|!)+$", "", word)


def _korean_words(before: str, after: str) -> float:
    if _CONNECTS.search(before):
        return NATURAL
    noun = _NO_PARTICLE.search(before) is not None
    describes = _DESCRIBES.search(before) is not None and not _NOUNS_LIKE_IT.search(before)
    if describes and not noun:
        return LOOSE if _DESCRIBES.search(after) and not _NOUNS_LIKE_IT.search(after) else CLOSE
    if _PARTICLES.search(before) and not noun:
        return LOOSE if before[-1] in "이가을를" and _DESCRIBES.search(after) else NATURAL
    if after in _OFFERS or _root(after) in _OFFERS:
        return BOUND if before in _OPENERS else CLOSE
    return FREELY if after in _OPENERS else CLOSE


# --- English ----------------------------------------------------------------------------------------------------------

_LEADS = _set(
    "a an the of for with and or to in on at by from your our my his her their its this that these those every all any no "
    "per & + x into over under until only just up is are be we you i it's don't not more most so very than as who the"
)
_STARTS = _set(
    "of for with and or to in on at by from into over until than as but & that who when while till because so"
)
_DESCRIBING = _set(
    "new fresh free big last limited extra best special grand half great happy little small large hot cold warm soft sweet "
    "good better handmade hand-made homemade organic natural pure real daily weekly early late black white red green blue "
    "golden gold silver first next top super mega final flash exclusive premium original classic leather wooden cotton silk "
    "wool linen summer winter spring autumn fall holiday christmas easter weekend opening back-to-school freshly slow deep "
    "long short light dark bright buy get save shop try taste meet discover enjoy order book win"
)
_HEADS = _set(
    "sale shipping delivery off collection edition offer offers deal deals day days week weeks season menu price prices gift "
    "gifts shop store free only now arrivals event bag bags club class lessons coffee tea bread cake"
)
_SAVES = _set("save from only just up under over to about nearly get buy at of")


def _english(before: str, after: str) -> float:
    low, next_ = before.lower(), after.lower()
    number, counts = before[-1:] in "%％" or before[-1:].isdigit(), STARTS_WITH_NUMBER.match(after) is not None
    if number and (next_ in {"off", "free", "for", "only"} or next_ in UNITS or next_ in _HEADS):
        return BOUND
    if counts and low in _SAVES:
        return BOUND
    if low in _LEADS:
        return BOUND
    if number and not counts:
        return FREELY if next_ in _STARTS else CLOSE
    if next_ in _STARTS:
        return NATURAL
    if low in _DESCRIBING or low.endswith(("'s", "’s")):
        return CLOSE
    return CLOSE if next_ in _HEADS and next_ not in {"now", "only"} else LOOSE


def is_too_little(word: str) -> bool:
    """Whether a line should not hold this word alone: a letter, an article, a preposition."""
    return len(word) == 1 or word.lower() in _LEADS


def cost_between(before: str, after: str) -> float:
    """What it costs to end a line after the word `before` where `after` follows it, in squares of a full line.

    PAUSE and NATURAL are below 0; from CLOSE on, the two belong together, and BOUND ones are torn only in need.
    """
    if before.endswith(_CLAUSE_ENDS):
        return PAUSE
    before, after = before.strip(_EDGES), after.strip(_EDGES)
    if not before or not after:
        return FREELY
    if _is_hangul(before[-1]) or _is_hangul(after[0]):
        return _korean(before, after)
    if before[-1].isascii() and after[0].isascii():
        korean = any(map(_is_hangul, before + after))
        return _korean(before, after) if korean else _english(before, after)
    return FREELY
