"""Forty sentences that the dictionary was not made for: written before it, and measured when it was done for those of shop_talk.py.

At that first reading 271 of 274 words were understood, 56 of 64 things shown, and 4 wrong ones in 120 prompts. What those showed
of a kind (drinks with others' props, ice beside hot food, things joined by "and", a brick wall) was mended since.

Each with what the prompt must say (alternatives by |) and must not; and what must stay letter by letter.
"""

from __future__ import annotations

from shop_talk import Talk

HELD_OUT = [
    Talk(
        "천연 가죽으로 만든 반지갑, 책상 위에 두고 찍은 느낌으로 부탁드려요",
        ("wallet",),
        ("sofa", "armchair", "dining table"),
    ),
    Talk("흑백 사진처럼 분위기 있는 필름 카메라 광고", ("camera", "black and white|monochrome"), ("colourful", "neon")),
    Talk("깨끗하고 밝은 스튜디오에서 찍은 세라믹 머그컵", ("mug", "studio", "bright"), ("rooftop", "night", "dark")),
    Talk("강아지 수제 간식 오리 육포 100g 8,900원", ("jerky|treat",), ("puppy sitting", "poodle"), ("100g", "8,900원")),
    Talk("비 오는 날 생각나는 해물파전이랑 막걸리 한 사발", ("pancake|pajeon", "rain"), ("sunny", "bright sun")),
    Talk("아기 피부에도 순한 무향 로션 300ml 1+1", ("lotion",), ("perfume",), ("300ml", "1+1")),
    Talk(
        "한밤의 야식 배달, 매콤달콤 양념치킨 한 마리 19,000원",
        ("chicken", "night"),
        ("morning", "midday"),
        ("19,000원",),
    ),
    Talk("초등학생 방과후 코딩 교실 신입생 모집합니다", ("coding|computer|laptop",), ("baby",)),
    Talk("눈 내리는 겨울 숲 속 캠핑용 침낭 특가", ("sleeping bag", "winter|snow"), ("summer", "beach")),
    Talk("제주 당근을 갈아 만든 착즙 주스 6병 세트 예약 받아요", ("carrot", "juice"), ("coffee",), ("6병",)),
    Talk("고양이 화장실 모래 벤토나이트 10kg 무료배송", ("litter",), ("paws tucked",), ("10kg",)),
    Talk(
        "차분한 베이지 톤 거실에 어울리는 패브릭 3인용 소파", ("sofa", "beige", "living room"), ("office",), ("3인용",)
    ),
    Talk("할머니 손맛 그대로 담근 묵은지 5kg 산지직송", ("kimchi",), ("pizza",), ("5kg",)),
    Talk("퇴근길 직장인을 위한 30분 필라테스 체험권", ("pilates",), ("child",), ("30분",)),
    Talk("투명한 유리병에 담은 라벤더 디퓨저, 은은한 보라색 배경", ("diffuser", "violet|lavender|purple"), ("red",)),
    Talk("캠핑장에서 끓여 먹는 부대찌개 밀키트", ("stew|budae", "campsite"), ("office",)),
    Talk("우리집 막내 냥이가 좋아하는 캣닢 장난감", ("toy",), ("dog",)),
    Talk("결혼 기념일에 선물하기 좋은 진주 목걸이", ("pearl necklace|necklace",), ("ring",)),
    Talk(
        "아침 일찍 문 여는 동네 빵집의 갓 나온 소금빵 2,800원",
        ("salt bread|bread", "morning"),
        ("night",),
        ("2,800원",),
    ),
    Talk(
        "여름휴가 필수템! 자외선 차단 선크림 SPF50+", ("sunscreen|sun cream", "summer"), ("snow", "winter"), ("SPF50",)
    ),
    Talk("노란색 방수 장화와 우비 세트, 유아용 120 사이즈", ("boots|rain boots", "yellow"), ("high heels",)),
    Talk("안경 맞추면 블루라이트 차단 렌즈 무료 업그레이드", ("glasses|lens",), ("camera",)),
    Talk("세차 한 번에 반짝반짝 유리막 코팅까지 99,000원", ("car",), ("kitchen",), ("99,000원",)),
    Talk("사무실 책상용 미니 가습기, usb 충전식 신상", ("humidifier",), ("bed",)),
    Talk("따끈한 팥죽 한그릇으로 동지 맞이하세요", ("red bean porridge|porridge",), ("summer", "ice")),
    Talk("전통 한옥에서 즐기는 쌍화차와 약과 한상", ("tea", "hanok"), ("modern city", "rooftop")),
    Talk("임산부도 안심하고 쓰는 튼살크림 할인중이에요", ("cream",), ("whipped",)),
    Talk("가을 단풍 아래 따뜻한 체크 머플러 하나 어때요?", ("scarf|muffler", "maple|autumn"), ("beach",)),
    Talk("홈트족 필수 요가매트 10mm 민트색 한정수량", ("yoga mat", "mint"), ("beach",), ("10mm",)),
    Talk("붉은 벽돌 건물 1층 미용실에서 첫방문 펌 30퍼 할인", ("perm|hair", "brick"), ("nail",)),
    Talk("낚시 초보도 쓰기 쉬운 스피닝 릴 세트", ("fishing|reel",), ("film",)),
    Talk("옥상 루프탑에서 즐기는 수제 맥주와 나쵸", ("beer", "rooftop"), ("morning",)),
    Talk("싱싱한 통영 굴 1키로 만오천원에 보내드려용", ("oyster",), ("beef",)),
    Talk("무선 이어폰 노이즈캔슬링 지하철에서도 조용하게", ("earbuds|earphones",), ("headphones on a dog",)),
    Talk("돌잔치 답례품으로 인기 많은 수제 캔들 소량 주문 가능", ("candle",), ("knife",)),
    Talk("벚꽃 흩날리는 공원에서 먹는 김밥 도시락 세트", ("gimbap|lunch box", "cherry blossom", "park"), ("snow",)),
    Talk("이사청소 입주청소 전문, 꼼꼼하고 친절하게 해드립니다", ("clean",), ("food",)),
    Talk("빈티지한 원목 스피커로 듣는 재즈, 어두운 조명의 바", ("speaker", "dark|dim|bar"), ("bright studio", "sunny")),
    Talk("Fresh한 느낌의 그린 스무디, healthy 라이프를 위한 한 잔", ("smoothie", "green"), ("coffee",)),
    Talk("어르신 발 편한 효도 신발 추석 선물로 딱이에요", ("shoes", "Chuseok|chuseok|full moon"), ("high heels",)),
]
