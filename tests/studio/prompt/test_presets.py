"""Presets are data: the pack's own are whole, a user's broken file is named and stops no other."""

from __future__ import annotations

import os
import re

import pytest
from storefront.studio.errors import InputError
from storefront.studio.prompt import presets

LIBRARY = presets.read_library()
ASKED_FOR = [
    "cafe",
    "restaurant",
    "bakery",
    "bar",
    "hair_salon",
    "nail_salon",
    "flower_shop",
    "bookshop",
    "clothing",
    "shoes",
    "jewellery",
    "cosmetics",
    "fitness",
    "pet_shop",
    "electronics",
    "furniture",
    "hardware",
    "market",
    "pharmacy",
    "kindergarten",
    "academy",
    "car_repair",
    "laundry",
    "hotel",
    "real_estate",
]
FILLER = re.compile(
    r"masterpiece|best quality|8k|ultra|trending|award.winning|hyper.?detailed|stunning|breathtaking", re.I
)

GOOD = """
name: {en: Wine bar, ko: 와인바}
keywords: [내추럴와인]
subject: a glass of amber wine
products: {내추럴와인: a cloudy natural wine}
theme: [on a zinc bar]
light: [low candlelight]
props: [a cork]
colours: [amber and grey]
camera: {framing: [eye level], lens: [50 mm lens]}
negative: [beer]
"""


def test_widgets_show_every_preset_of_the_library_in_its_order(tmp_path):
    (tmp_path / "trades").mkdir()
    (tmp_path / "trades" / "wine_bar.yaml").write_text(GOOD, "utf-8")
    (tmp_path / "trades" / "broken.yaml").write_text("name: [", "utf-8")
    library, headings = presets.read_library(tmp_path), presets.read_headings(tmp_path)
    for whole, shown in ((library.trades, headings.trades), (library.styles, headings.styles)):
        assert [(key, preset.name) for key, preset in whole.items()] == [(key, h.name) for key, h in shown.items()]
    assert "wine_bar" in headings.trades
    table = {"anime": (), "my-own": ()}
    assert presets.style_names(headings.styles, table) == list(presets.style_loras(library.styles, table))


def test_the_trades_asked_for_are_there_and_the_rest_come_last():
    assert set(ASKED_FOR) <= set(LIBRARY.trades)
    assert list(LIBRARY.trades)[-1] == presets.FALLBACK_TRADE
    assert {"realistic", "semi_realistic", "anime", "illustration"} <= set(LIBRARY.styles)


def test_phrases_are_english_without_filler_and_of_some_variety():
    for trade in LIBRARY.trades.values():
        phrases = [trade.subject, *trade.products.values()]
        for name in (*presets.LISTS, "framing", "lens", "negative"):
            choices = getattr(trade, name)
            assert len(set(choices)) == len(choices)
            phrases += choices
        few = [name for name in presets.LISTS if len(getattr(trade, name)) < 3]
        assert few == [], f"{trade.key}: give each at least three phrases"
        for phrase in phrases:
            assert not re.search(r"[가-힣]", phrase), (trade.key, phrase)
            assert not FILLER.search(phrase), (trade.key, phrase)
            assert not phrase.endswith("."), (trade.key, phrase)
        assert re.search(r"[가-힣]", trade.name.ko)


def test_no_phrase_invites_lettering():
    for trade in LIBRARY.trades.values():
        for phrase in (*trade.theme, *trade.props, *trade.products.values()):
            assert not re.search(r"\b(sign saying|slogan|logo|label reading|written|text)\b", phrase), (
                trade.key,
                phrase,
            )


def test_the_seed_picks_and_slots_are_independent():
    choices = [str(number) for number in range(7)]
    assert {presets.pick(choices, seed, "theme") for seed in range(200)} == set(choices)
    pairs = {(presets.pick(choices, seed, "theme"), presets.pick(choices, seed, "light")) for seed in range(900)}
    assert len(pairs) == 49
    assert presets.pick(choices, 2**64 - 1, "theme") == presets.pick(choices, 2**64 - 1, "theme")


def test_a_widget_names_a_preset_by_its_key():
    cafe = LIBRARY.trades["cafe"]
    for shown in ("cafe", "cafe · 카페", "cafe · as it was called then"):
        assert presets.find("trade", shown, LIBRARY.trades) is cafe
    for wrong in ("", "kafe", "../cafe", "cafe.yaml", None, 3):
        with pytest.raises(InputError, match="`trade` is"):
            presets.find("trade", wrong, LIBRARY.trades)


def test_a_users_preset_is_added(tmp_path):
    (tmp_path / "trades").mkdir()
    (tmp_path / "trades" / "wine_bar.yaml").write_text(GOOD, "utf-8")
    library = presets.read_library(tmp_path)
    assert library.problems == ()
    assert library.trades["wine_bar"].products == {"내추럴와인": "a cloudy natural wine"}
    assert set(LIBRARY.trades) < set(library.trades)


def test_a_file_is_read_again_when_it_was_edited(tmp_path):
    file = tmp_path / "trades" / "wine_bar.yaml"
    file.parent.mkdir()
    assert presets.stamps(tmp_path) == ()
    file.write_text(GOOD, "utf-8")
    first, stamps = presets.read_library(tmp_path).trades["wine_bar"], presets.stamps(tmp_path)
    assert presets.read_library(tmp_path).trades["wine_bar"] is first
    assert presets.stamps(tmp_path) == stamps
    file.write_text(GOOD.replace("amber", "ruby"), "utf-8")
    assert presets.read_library(tmp_path).trades["wine_bar"].subject == "a glass of ruby wine"
    assert presets.stamps(tmp_path) != stamps
    same_size, edited = GOOD.replace("amber", "rusty"), presets.stamps(tmp_path)
    assert len(same_size) == len(GOOD)
    file.write_text(same_size, "utf-8")
    os.utime(file, ns=(1, 1))
    assert presets.read_library(tmp_path).trades["wine_bar"].subject == "a glass of rusty wine"
    assert presets.stamps(tmp_path) != edited
    file.unlink()
    assert "wine_bar" not in presets.read_library(tmp_path).trades
    assert presets.stamps(tmp_path) == ()


BROKEN = {
    "no yaml": "name: [",
    "a list": "- cafe",
    "empty": "",
    "missing": GOOD.replace("subject: a glass of amber wine\n", ""),
    "unknown": GOOD + "python: !!python/object/apply:os.system [ls]\n",
    "unknown field": GOOD + "shell: ls\n",
    "number": GOOD.replace("[a cork]", "[1]"),
    "no list": GOOD.replace("[a cork]", "a cork"),
    "empty list": GOOD.replace("[a cork]", "[]"),
    "twice": GOOD + "subject: another\n",
    "alias": "a: &a [x, x]\nb: &b [*a, *a]\nname: *b\n",
    "long": GOOD.replace("a cork", "a cork " * 100),
    "control": GOOD.replace("[a cork]", '["a \\u202e cork"]'),
    "deep": "[" * 5000,
    "deeper than the stack": "[" * 60_000,
    "deep without brackets": "- " * 30_000 + "x",
    "deep mappings": "{a: " * 15_000,
    "no boolean": GOOD + "shell: !!bool foo\n",
    "no time": GOOD + "shell: !!timestamp foo\n",
    "no number": GOOD + 'shell: !!float ""\n',
    "no whole number": GOOD + 'shell: !!int ""\n',
    "a number beyond all": GOOD + f"shell: 1{':59' * 200}.5\n",
    "binary": "\x00\x01",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_named_and_stops_no_other(tmp_path, name):
    (tmp_path / "trades").mkdir()
    (tmp_path / "trades" / "broken.yaml").write_text(BROKEN[name], "utf-8")
    (tmp_path / "trades" / "wine_bar.yaml").write_text(GOOD, "utf-8")
    library = presets.read_library(tmp_path)
    assert "wine_bar" in library.trades
    assert "broken" not in library.trades
    assert len(library.problems) == 1
    assert library.problems[0].startswith("trades/broken.yaml: ")


def test_files_that_are_large_or_lead_out_or_are_oddly_named_are_left_out(tmp_path):
    folder = tmp_path / "presets" / "trades"
    folder.mkdir(parents=True)
    (folder / "large.yaml").write_text(GOOD + "#" * presets.LARGEST_FILE, "utf-8")
    (folder / "와인.yaml").write_text(GOOD, "utf-8")
    (folder / "a b.yaml").write_text(GOOD, "utf-8")
    outside = tmp_path / "outside.yaml"
    outside.write_text(GOOD, "utf-8")
    (folder / "link.yaml").symlink_to(outside)
    library = presets.read_library(tmp_path / "presets")
    assert set(library.trades) == set(LIBRARY.trades)
    assert len(library.problems) == 4


@pytest.mark.parametrize(
    "sentence", ["A picture.", "A {picture} of {subject}.", "{subject.__class__}", "{subject} {", "{0} {subject}"]
)
def test_a_style_takes_its_own_fields_alone(sentence):
    fields = {"name": {"en": "x", "ko": "엑스"}, "sentences": [sentence], "negative": ["blur"]}
    with pytest.raises(presets.PresetError, match="sentences"):
        presets.style("mine", fields)


# --- the LoRAs of styles ----------------------------------------------------------------------------------------------


def test_the_styles_asked_for_have_loras_and_every_style_is_listed():
    known = presets.style_loras(LIBRARY.styles, {})
    assert list(known) == list(LIBRARY.styles)
    for name in ("realistic", "semi-realistic", "semi_realistic", "anime", "illustration"):
        assert known[presets.find_style("style", name, known)]
    assert LIBRARY.styles["illustration"].loras[0].file == "flux-micro-illustration.safetensors"


@pytest.mark.parametrize("wrong", ["", "none", "watercolor", "../anime", " · ", 3, None, {"a": 1}])
def test_a_style_that_is_none_is_refused_by_name(wrong):
    known = presets.style_loras(LIBRARY.styles, {})
    with pytest.raises(InputError, match=r"^`style` is .*anime"):
        presets.find_style("style", wrong, known)


def test_a_users_style_brings_its_loras(tmp_path):
    (tmp_path / "styles").mkdir()
    text = (presets.BUNDLED / "styles" / "pixel_art.yaml").read_text("utf-8")
    one = "lora: {file: mine.safetensors, source: trained in May, strength: -6}\n"
    (tmp_path / "styles" / "brand.yaml").write_text(text + one, "utf-8")
    (tmp_path / "styles" / "pixel_art.yaml").write_text(text + "lora: [{file: pixels.safetensors}]\n", "utf-8")
    styles = presets.read_library(tmp_path).styles
    assert styles["brand"].loras == (presets.Lora("mine.safetensors", "trained in May", -6.0),)
    assert styles["pixel_art"].loras == (presets.Lora("pixels.safetensors", "", 1.0),)


def test_the_users_table_goes_before_the_presets(tmp_path):
    path = tmp_path / "styles.yaml"
    assert presets.read_loras(path) == {}
    path.write_text("", "utf-8")
    assert presets.read_loras(path) == {}
    path.write_text("semi-realistic:\n  - {file: mine.safetensors, strength: 0.5}\nbrand: []\n", "utf-8")
    known = presets.style_loras(LIBRARY.styles, presets.read_loras(path))
    assert known["semi_realistic"] == (presets.Lora("mine.safetensors", "", 0.5),)
    assert known[presets.find_style("style", "brand", known)] == ()
    assert known[presets.find_style("style", "realistic", known)] == LIBRARY.styles["realistic"].loras


@pytest.mark.parametrize(
    "text",
    [
        "[1, 2]",
        "anime: 3",
        "anime: [3]",
        "anime: [{strength: 1}]",
        "anime: [{file: a.pt}]",
        "anime: [{file: ../a.safetensors}]",
        "anime: [{file: a.safetensors, strength: .nan}]",
        "anime: [{file: a.safetensors, strength: true}]",
        "anime: [{file: a.safetensors, strength: 99}]",
        "anime: [{file: a.safetensors, path: /}]",
        "? [1]\n: []",
        "a: &x []\nb: *x",
        "a: !!python/object/apply:os.getcwd []",
        "{",
        "#" * (presets.LARGEST_FILE + 1),
    ],
)
def test_a_broken_table_is_refused_by_name(tmp_path, text):
    path = tmp_path / "styles.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(InputError, match=r"^`?styles\.yaml"):
        presets.read_loras(path)
