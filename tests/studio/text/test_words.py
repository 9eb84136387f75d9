"""Cleaning, markup, line breaking and fonts: what happens to words before anything is drawn."""

from __future__ import annotations

import sys
import unicodedata
from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from storefront.studio.errors import InputError
from storefront.studio.text import bidi, breaking, fonts, markup, typeset
from storefront.studio.text.markup import TextRun, TextStyle

sys.path.insert(0, str(Path(__file__).parent))

import headlines


@pytest.fixture(scope="module")
def bundled():
    return fonts.Typeface({fonts.BUNDLED: fonts.all_families()[fonts.BUNDLED]}, fonts.BUNDLED)


# --- cleaning and markup ----------------------------------------------------------------------------------------------


def test_decomposed_hangul_is_composed():
    assert markup.clean(unicodedata.normalize("NFD", "할인")) == "할인"


@pytest.mark.parametrize("text", ["", "  \n ", "a\x00b", "\x1b[31m", "\ud83d", "x" * 5001, None, "\ue000"])
def test_what_is_no_text_is_refused(text):
    with pytest.raises(InputError, match="`text` is"):
        markup.clean(text)


def test_line_ends_and_tabs():
    assert markup.clean("a\r\nb\rc\td") == "a\nb\nc d"
    assert markup.clean("a\u2028b\u2003c\u200bd\u00a0e") == "a\nb cd\u00a0e"  # no-break spaces stay what they are


def test_runs_nest():
    assert markup.parse("오늘 [size=150][color=#f30]50%[/color][/size] 할인") == [
        TextRun("오늘 ", TextStyle()),
        TextRun("50%", TextStyle(1.5, None, "#ff3300")),
        TextRun(" 할인", TextStyle()),
    ]


def test_other_brackets_are_text_and_a_backslash_keeps_a_tag():
    assert markup.parse("[한정] [b]특가[/b] \\[b]") == [
        TextRun("[한정] ", TextStyle()),
        TextRun("특가", TextStyle(weight=800)),
        TextRun(" ", TextStyle()),
        TextRun("[b]", TextStyle()),
    ]


@pytest.mark.parametrize(
    "text",
    ["[b]x", "x[/b]", "[b][size=120]x[/b][/size]", "[size=9000]x[/size]", "[size=nan]x[/size]", "[size]x[/size]"],
)
def test_broken_markup_is_named(text):
    with pytest.raises(InputError, match=r"\[/?(b|size)"):
        markup.parse(text)


@pytest.mark.parametrize("text", ["\u200e", "[b]\u200d[/b]", "[b] [/b]"])
def test_invisible_characters_alone_are_no_words(text):
    with pytest.raises(InputError, match="words to write"):
        markup.parse(text)


def test_a_colour_that_is_none():
    with pytest.raises(InputError, match="color"):
        markup.parse("[color=rot]x[/color]")


def test_numbers_are_emphasised_unless_the_writer_has_set_sizes():
    small = TextStyle(markup.REST)
    assert markup.emphasise(markup.parse("단돈 9,900원!")) == [
        TextRun("단돈 ", small),
        TextRun("9,900", TextStyle()),
        TextRun("원!", small),
    ]
    assert markup.emphasise(markup.parse("음료 1+1 행사")) == [
        TextRun("음료 ", small),
        TextRun("1+1", TextStyle()),
        TextRun(" 행사", small),
    ]
    bold = small._replace(weight=800)
    assert markup.emphasise(markup.parse("[b]-30%[/b]")) == [TextRun("-30", TextStyle(weight=800)), TextRun("%", bold)]
    for text in ("무료 배송", "[size=150]50%[/size] 할인"):
        assert markup.emphasise(markup.parse(text)) == markup.parse(text)


# --- breaking ---------------------------------------------------------------------------------------------------------


def lines(text: str, width: float, split_words: bool = False) -> list[str] | None:
    """Wrapped with every character one wide."""
    units = breaking.units_of(breaking.clusters_of([TextRun(text, TextStyle())]))
    wrapped = breaking.wrap(units, width, lambda clusters: float(len(clusters)), split_words)
    if wrapped is None:
        return None
    return ["".join(c.text for unit in line for c in (*unit.clusters, *unit.space)).rstrip() for line in wrapped]


def test_korean_words_stay_whole():
    assert lines("갓 구운 크루아상을 만나 보세요", 8) == ["갓 구운", "크루아상을", "만나 보세요"]


def test_a_word_of_one_syllable_goes_with_the_next():
    assert lines("오늘만 전 품목 할인", 8) == ["오늘만", "전 품목 할인"]
    assert lines("갓 내린 한 잔의 여유", 8) == ["갓 내린", "한 잔의 여유"]


def test_japanese_breaks_by_character_but_not_before_a_full_stop_or_after_a_bracket():
    for width in range(5, 9):  # メニュー。 is five
        for line in lines("東京の「春」、新メニュー。登場！", width)[1:]:
            assert line[0] not in breaking.NOT_FIRST
        for line in lines("東京の「春」、新メニュー。登場！", width)[:-1]:
            assert line[-1] not in breaking.NOT_LAST


def test_lines_end_where_a_reader_pauses():
    assert lines("매일 아침 직접 볶은 원두, 오늘만 30% 할인", 11)[-1] == "오늘만 30% 할인"


def test_a_number_stays_with_what_it_counts_and_a_sign_with_the_next_word():
    assert lines("커피 500 원 행사상품", 8) == ["커피 500 원", "행사상품"]
    assert lines("여름 & 망고빙수", 6) == ["여름", "& 망고빙수"]


def test_a_date_and_a_percentage_stay_together_where_there_is_room():
    assert lines("세일 12월 31일까지", 10) == ["세일", "12월 31일까지"]
    assert lines("12월 31일까지", 6) == ["12월", "31일까지"]
    assert lines("이번 주 최대 70% 할인", 12) == ["이번 주 최대", "70% 할인"]


def test_a_split_word_keeps_its_numbers_and_signs():
    assert lines("봄맞이신메뉴출시50%할인", 6, split_words=True) == ["봄맞이신", "메뉴출시", "50%할인"]


def test_loan_words_in_katakana_stay_whole():
    assert lines("春のキャンペーン開催中", 8) == ["春のキャンペーン", "開催中"]


def test_a_word_wider_than_the_line_is_broken_only_where_allowed():
    assert lines("abcdefgh", 3) is None
    assert lines("abcdefgh", 3, split_words=True) == ["ab", "cde", "fgh"]


def test_lines_share_so_that_none_is_left_with_one_word():
    text = "up to 70% off everything in store"
    assert len(lines(text, 19)) == 2
    assert min(len(line) for line in lines(text, 20)) >= 13


@pytest.mark.parametrize("width", range(4, 40, 3))
def test_nothing_is_lost_and_no_line_is_too_wide(width):
    text = "가나다 라마 ABC 12,000원 up-to-date 「東京」 (괄호) 끝."
    result = lines(text, width, split_words=True)
    assert all(len(line) <= width for line in result)
    assert "".join(result).replace(" ", "") == text.replace(" ", "")


def test_marks_and_joiners_stay_with_their_letter():
    assert [c.text for c in breaking.clusters_of([TextRun("e\u0301a\u200db", TextStyle())])] == ["e\u0301", "a\u200db"]


# --- fonts ------------------------------------------------------------------------------------------------------------


def test_the_bundled_family_has_every_hangul_syllable_in_four_weights():
    files = fonts.all_families()[fonts.BUNDLED]
    assert [file.weight for file in files] == [400, 500, 700, 900]
    for file in files:
        assert set(range(0xAC00, 0xD7A4)) <= fonts.coverage(file.path, file.face)


@pytest.mark.parametrize(
    ("stem", "name", "weight"),
    [
        ("Pretendard-Bold", "Pretendard", 700),
        ("NanumGothicExtraBold", "NanumGothic", 800),
        ("NotoSansKR-VariableFont_wght", "NotoSansKR", 400),
        ("NotoSansKR[wght]", "NotoSansKR", 400),
        ("NanumSquareRoundEB", "NanumSquareRound", 800),
        ("DejaVuSans-BoldOblique", "DejaVuSans Italic", 700),
        ("Inter-Italic", "Inter Italic", 400),
        ("Bold", "Bold", 400),
        ("MyFont", "MyFont", 400),
    ],
)
def test_family_and_weight_by_the_file_name(stem, name, weight):
    assert fonts.split_name(stem) == (name, weight)


@pytest.mark.parametrize("name", ["../Pretendard", "/usr/share/fonts/x.ttf", "Nothing", ""])
def test_a_font_that_is_not_listed_is_refused(name):
    with pytest.raises(InputError, match="`font` is"):
        fonts.Typeface(fonts.all_families(), name)


def test_a_file_that_is_no_font_is_named(tmp_path):
    (tmp_path / "Broken-Bold.ttf").write_bytes(b"no font at all")
    families = fonts.all_families([tmp_path])
    assert "Broken" in families
    with pytest.raises(InputError, match=r"Broken-Bold\.ttf"):
        typeset.Typesetter("가", fonts.Typeface(families, "Broken"), typeset.Setting()).fit(100, 100)


def test_a_broken_font_behind_the_chosen_one_is_passed_over(tmp_path):
    (tmp_path / "Broken-Bold.ttf").write_bytes(b"no font at all")
    families = fonts.all_families([tmp_path])
    some = {name: families[name] for name in (fonts.BUNDLED, "Broken")}
    assert fonts.Typeface(some, fonts.BUNDLED).file_for("𓀀", 700) is None


def square_font(path, ink: bool = True, colors: bool = False, variable: bool = False) -> None:
    """A font whose A is a square (or nothing); as colour layers, or from 100 to 300 units wide by weight."""
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen
    from fontTools.ttLib.tables.TupleVariation import TupleVariation

    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "space", "A"])
    builder.setupCharacterMap({0x20: "space", 0x41: "A"})
    pen = TTGlyphPen(None)
    if ink:
        pen.moveTo((0, 0))
        for point in ((0, 700), (100, 700), (100, 0)):
            pen.lineTo(point)
        pen.closePath()
    empty = TTGlyphPen(None).glyph()
    builder.setupGlyf({".notdef": empty, "space": empty, "A": pen.glyph()})
    builder.setupHorizontalMetrics({name: (600, 0) for name in (".notdef", "space", "A")})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Square", "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=800, sTypoDescender=-200)
    builder.setupPost()
    if colors:
        builder.setupCOLR({"A": [("A", 0)]})
        builder.setupCPAL([[(1, 0, 0, 1)]])
    if variable:
        builder.setupFvar([("wght", 100, 100, 900, "무게")], [])
        moved = [(0, 0), (0, 0), (200, 0), (200, 0), *[(0, 0)] * 4]
        builder.setupGvar({"A": [TupleVariation({"wght": (0, 1, 1)}, moved)]})
    builder.save(path)


def test_a_variable_font_has_every_weight_whatever_its_axis_is_called(tmp_path):
    square_font(tmp_path / "Square[wght].ttf", variable=True)
    (file,) = fonts.families_in([tmp_path])["Square"]
    for weight, wide in ((1, 0.1), (100, 0.1), (500, 0.2), (900, 0.3)):
        bearings = fonts.side_bearings(file, weight, "A")
        assert 0.6 - bearings.left - bearings.right == pytest.approx(wide, abs=0.01)


def test_a_font_file_that_is_replaced_is_drawn_anew(tmp_path):
    square_font(tmp_path / "Square.ttf")
    (before,) = fonts.families_in([tmp_path])["Square"]
    square_font(tmp_path / "new.ttf", variable=True)
    seen = [fonts.side_bearings(before, 900, "A")]
    (tmp_path / "new.ttf").replace(tmp_path / "Square.ttf")
    (after,) = fonts.families_in([tmp_path])["Square"]
    seen.append(fonts.side_bearings(after, 900, "A"))
    assert [0.6 - one.left - one.right for one in seen] == pytest.approx([0.1, 0.3], abs=0.01)


@pytest.mark.parametrize("wrong", [{"ink": False}, {"colors": True}])
def test_what_a_font_cannot_draw_as_outlines_is_never_left_blank(tmp_path, wrong):
    square_font(tmp_path / "Square.ttf", **wrong)
    alone = fonts.Typeface(fonts.families_in([tmp_path]), "Square")
    with pytest.raises(InputError, match=r"A \(U\+0041\)"):
        typeset.Typesetter("A", alone, typeset.Setting())


def test_han_and_kana_come_from_one_font(tmp_path):
    """Pretendard has kana but not Han: a font that has both takes both."""
    families = fonts.all_families()
    face = fonts.Typeface(families, fonts.BUNDLED)
    if face.file_for("東の", 700) is None:
        pytest.skip("!!! NO FONT WITH HAN IS INSTALLED: MIXED JAPANESE WAS NOT TESTED !!!")
    block = typeset.Typesetter("東京の春", face, typeset.Setting()).fit(400, 100)
    assert len(block.glyphs) == 1


def test_a_missing_glyph_comes_from_the_next_font_that_has_it(tmp_path):
    """A family without Hangul in front of the bundled one: Latin from the first, Hangul from the second."""
    from fontTools import subset
    from fontTools.ttLib import TTFont

    bundled = fonts.all_families()[fonts.BUNDLED][0].path
    font = TTFont(bundled)
    only_latin = subset.Subsetter()
    only_latin.populate(unicodes=range(0x20, 0x7F))
    only_latin.subset(font)
    font.save(tmp_path / "Latin-Regular.otf")
    face = fonts.Typeface(fonts.all_families([tmp_path]), "Latin")
    assert face.file_for("A", 400).path.name == "Latin-Regular.otf"
    assert face.file_for("가", 400).path.name == "Pretendard-Regular.otf"
    block = typeset.Typesetter("A가", face, typeset.Setting()).fit(300, 100)
    assert len(block.glyphs) == 2


@pytest.mark.parametrize("emoji", ["🍓", "❤️", "👨‍👩‍👧", "👍🏽", "🇰🇷", "1️⃣", "🛍️"])
def test_emoji_are_at_hand_and_a_sequence_is_one_picture(emoji):
    """Shops write them; as outlines they take the colour of the words."""
    face = fonts.Typeface(fonts.families_in([fonts.BUNDLED_FOLDER]), fonts.BUNDLED)

    def width(text: str) -> float:
        block = typeset.Typesetter(text, face, typeset.Setting(size=100)).fit(5000, 300)
        return block.right - block.left

    assert 60 < width(f"가{emoji}") - width("가") < 180


@pytest.mark.parametrize("emoji", ["☕", "❤", "⚡", "❤️", "🍓"])
@pytest.mark.parametrize("family", ["Pretendard", "DejaVuSans", "NotoSansCJK"])
def test_emoji_come_from_the_bundled_face_before_any_system_font(emoji, family):
    families = fonts.all_families()
    if family not in families:
        pytest.skip(f"!!! NO {family} IS INSTALLED: EMOJI BEHIND IT WERE NOT TESTED !!!")
    assert (
        fonts.Typeface(families, family).file_for(emoji.removesuffix("\ufe0f"), 700).path.name == "NotoEmoji-Bold.ttf"
    )


@pytest.mark.parametrize(
    "sequence", ["🇰🇷", "👍🏽", "👨‍👩‍👧", "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"]
)
def test_an_emoji_of_several_characters_is_one(sequence):
    assert [c.text for c in breaking.clusters_of(markup.parse(f"가{sequence}나"))] == ["가", sequence, "나"]


def test_a_written_backslash_n_is_a_line_end(bundled):
    assert markup.clean("봄\\n여름") == "봄\n여름"
    assert typeset.Typesetter("봄\\n여름", bundled, typeset.Setting(size=40)).fit(500, 500).lines == 2


def test_a_very_long_word_is_broken_rather_than_tiny(bundled):
    word = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerk"
    block = typeset.Typesetter(word, bundled, typeset.Setting()).fit(600, 400)
    assert block.lines > 1
    assert block.size > 50


def test_where_no_font_has_han_the_error_says_which_file_goes_where():
    face = fonts.Typeface(fonts.families_in([fonts.BUNDLED_FOLDER]), fonts.BUNDLED)
    with pytest.raises(InputError, match=r"NotoSansCJK-Regular.ttc.*models/fonts"):
        typeset.Typesetter("東京", face, typeset.Setting())


@pytest.mark.parametrize(
    ("line", "from_right", "shown"),
    [
        ("abc", False, "abc"),
        ("אבג", True, "גבא"),
        ("אב 50% ג", True, "ג 50% בא"),  # a number keeps its order, and its sign
        ("שלום sale עולם", True, "םלוע sale םולש"),
        ("할인 אבג!", False, "할인 גבא!"),
        ("אבג!", True, "!גבא"),
        ("50% 할인", False, "50% 할인"),
    ],
)
def test_a_line_of_both_directions_stands_as_it_is_read(line, from_right, shown):
    found = bidi.levels(line, from_right)
    assert "".join(line[index] for index in bidi.visual_order(found)) == shown
    assert bidi.begins_right(line) == from_right


@pytest.mark.parametrize(
    "text",
    [
        "خصم ٥٠٪ اليوم",
        "مبيعات 50% اليوم",
        "הנחה 30% 🍓",
        "여름 세일 מבצע 50%",
        "[b]הנחה[/b] [color=#ff3300]50%[/color]",
    ],
)
@pytest.mark.parametrize("emphasis", [False, True])
def test_right_to_left_goes_with_prices_emoji_markup_and_korean(text, emphasis):
    face = fonts.Typeface(fonts.all_families(), fonts.BUNDLED)
    try:
        typeset.Typesetter("خצ", face, typeset.Setting())
    except InputError:
        pytest.skip("!!! NO FONT WITH ARABIC AND HEBREW, OR NO RAQM: RIGHT TO LEFT WAS NOT TESTED !!!")
    block = typeset.Typesetter(text, face, typeset.Setting(emphasis=emphasis)).fit(900, 200)
    starts = [glyph.x for glyph in block.glyphs]
    assert starts == sorted(starts)
    ends = [glyph.x + glyph.font.getlength(glyph.text) for glyph in block.glyphs]
    assert all(end <= start + 0.1 * block.size for end, start in zip(ends, starts[1:]))


def test_characters_that_no_font_has_are_named(bundled):
    with pytest.raises(InputError, match=r"𓀀 \(U\+13000\)"):
        typeset.Typesetter("값 𓀀", bundled, typeset.Setting())


# --- setting ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["할인", "갓 구운 크루아상을 만나 보세요", "A", "SUMMER SALE up to 70% off"])
@pytest.mark.parametrize(("width", "height"), [(800, 300), (300, 800), (900, 90)])
@pytest.mark.parametrize("vertical", [False, True])
def test_the_largest_size_fits_and_a_tenth_more_does_not(bundled, text, width, height, vertical):
    setting = typeset.Setting(vertical=vertical)
    block = typeset.Typesetter(text, bundled, setting).fit(width, height)
    assert block.right - block.left <= width + 1
    assert block.bottom - block.top <= height + 1
    try:
        larger = typeset.Typesetter(text, bundled, setting._replace(size=block.size * 1.12)).fit(width, height)
    except InputError:
        return
    assert larger.lines > block.lines or any(len(part) < 3 for part in text.split())


@pytest.mark.parametrize("text", ["봄맞이신메뉴출시기념전품목할인", "가" * 30])
def test_hangul_without_spaces_is_broken_rather_than_tiny(bundled, text):
    block = typeset.Typesetter(text, bundled, typeset.Setting()).fit(260, 600)
    assert block.size > 50
    assert block.lines > 4


def rows_of(block: typeset.Block) -> list[str]:
    rows: dict[int, list[tuple[float, str]]] = {}
    for glyph in block.glyphs:
        rows.setdefault(round(glyph.y), []).append((glyph.x, glyph.text))
    return ["".join(text for _, text in sorted(row)) for _, row in sorted(rows.items())]


@pytest.mark.parametrize(("box", "text", "right"), [*headlines.KOREAN, *headlines.ENGLISH])
def test_lines_are_broken_by_sense(bundled, box, text, right):
    assert "|".join(rows_of(typeset.Typesetter(text, bundled, typeset.Setting()).fit(*box))) in right


@pytest.mark.parametrize(("box", "text"), [(box, text) for box, text, _ in headlines.KOREAN])
def test_no_line_holds_one_syllable(bundled, box, text):
    rows = rows_of(typeset.Typesetter(text, bundled, typeset.Setting()).fit(*box))
    assert min(map(len, rows)) > 1
    assert " ".join(rows) == text


def test_sense_costs_little_size(bundled):
    """A narrow box, where the pair would make the letters tiny, tears it."""
    tall = typeset.Typesetter("초경량 카메라가방 할인", bundled, typeset.Setting()).fit(300, 700)
    assert rows_of(tall) == ["초경량", "카메라가방", "할인"]


def test_a_long_word_is_not_broken(bundled):
    for text in ("www.storefront.co.kr", "에티오피아예가체프 원두", "Congratulations"):
        block = typeset.Typesetter(text, bundled, typeset.Setting()).fit(260, 600)
        drawn = {glyph.text for glyph in block.glyphs}
        assert text.split()[0] in drawn


def test_a_text_that_cannot_fit_is_refused(bundled):
    with pytest.raises(InputError, match="shorten it"):
        typeset.Typesetter("긴 글 " * 500, bundled, typeset.Setting()).fit(200, 50)
    with pytest.raises(InputError, match="`size` is 200"):
        typeset.Typesetter("긴 글", bundled, typeset.Setting(size=200)).fit(100, 100)


@pytest.mark.parametrize("text", ["긴 글 입니다 그리고 더 ", "東京の新メニュー登場、"])
def test_a_page_of_text_is_set_as_a_paragraph(text):
    families = fonts.all_families()
    face = fonts.Typeface(families, fonts.BUNDLED)
    if face.file_for(text, 700) is None and face.file_for("東", 700) is None:
        pytest.skip("!!! NO FONT WITH HAN IS INSTALLED !!!")
    block = typeset.Typesetter((text * 500)[:4900], face, typeset.Setting()).fit(2000, 2000)
    assert block.lines > 20


def test_the_writers_lines_stay_whole_where_that_costs_little_size(bundled):
    text = "AVOCADO TOAST\nWith Tomato & Yuzu"
    assert typeset.Typesetter(text, bundled, typeset.Setting()).fit(820, 300).lines == 2
    assert typeset.Typesetter("A\n" + "아주 긴 문장 " * 12, bundled, typeset.Setting()).fit(500, 500).lines > 2


def test_a_column_hangs_its_commas_turns_its_brackets_and_keeps_pairs_of_figures_upright(bundled):
    setting = typeset.Setting(size=100, vertical=True)
    glyphs = typeset.Typesetter("봄 「50%」, 7/12 1,234", bundled, setting).fit(2000, 3000).glyphs
    shown = {glyph.text: glyph for glyph in glyphs}
    assert [glyph.text for glyph in glyphs if not glyph.text.isspace()] == [*"봄「", "50", *"%」,7/", "12", *"1,234"]
    assert {glyph.text for glyph in glyphs if glyph.rotated} == {"「", "」"}
    for pair in ("50", "12"):
        assert shown[pair].font.getlength(pair) <= 101
    picture = Image.new("L", (400, 400))
    comma = shown[","]
    ImageDraw.Draw(picture).text((200, 200), ",", 255, comma.font, anchor="ls")
    left, top, right, _ = picture.getbbox()
    assert comma.x + left - 200 > 0  # in the right half of its column
    assert comma.x + right - 200 <= 50
    column = min(glyph.y for glyph in glyphs)
    block = typeset.Typesetter("가,", bundled, setting).fit(500, 500)
    assert block.glyphs[1].y + top - 200 >= 100
    assert column < shown["「"].y < shown["50"].y < shown["%"].y


@pytest.mark.parametrize("text", ["H", "A", "「봄」", "jet", "1위", "할인\nWARM\n「봄」"])
@pytest.mark.parametrize("align", ["left", "right"])
def test_every_line_begins_or_ends_with_its_ink_at_the_edge(bundled, text, align):
    """Optical margins: the eye aligns what it sees, not the widths that a font gives its letters."""
    block = typeset.Typesetter(text, bundled, typeset.Setting(size=200, align=align)).fit(2000, 2000)
    for y in {glyph.y for glyph in block.glyphs}:
        picture = Image.new("L", (1200, 400))
        for glyph in block.glyphs:
            if glyph.y == y:
                at = (100 + glyph.x, 250)
                ImageDraw.Draw(picture).text(at, glyph.text, 255, glyph.font, anchor="ls")
        left, _, right, _ = picture.getbbox()
        assert abs((left - 100 - block.left) if align == "left" else (right - 100 - block.right)) <= 1.5


def test_padding_is_left_free(bundled):
    block = typeset.Typesetter("할인", bundled, typeset.Setting(padding=0.5)).fit(400, 400)
    assert block.right - block.left + block.size <= 401
    assert block.right - block.left + block.size > 380


def test_spaced_letters_keep_their_kerning(bundled):
    def width(text: str, tracking: float) -> float:
        block = typeset.Typesetter(text, bundled, typeset.Setting(size=200, tracking=tracking)).fit(2000, 400)
        return block.right - block.left

    assert width("AV", 0.1) == pytest.approx(width("AV", 0) + 20, abs=2)
    assert width("AV", 0.1) < width("AH", 0.1)


def test_explicit_line_breaks_are_kept(bundled):
    assert typeset.Typesetter("하나\n\n둘", bundled, typeset.Setting()).fit(500, 500).lines == 3


def test_arabic_is_shaped_as_a_whole(bundled):
    families = fonts.all_families()
    if fonts.Typeface(families, fonts.BUNDLED).file_for("مرحبا", 400) is None:
        with pytest.raises(InputError, match=r"U\+06"):
            typeset.Typesetter("مرحبا", bundled, typeset.Setting())
    else:
        block = typeset.Typesetter("مرحبا", fonts.Typeface(families, fonts.BUNDLED), typeset.Setting()).fit(300, 100)
        assert len(block.glyphs) == 1
