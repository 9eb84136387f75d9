"""Choosing a scene, and what a stranger's folder may hold."""

from __future__ import annotations

import copy
import json

import pytest
from PIL import Image
from storefront.studio.errors import InputError
from storefront.studio.layout.layout import Light, parse
from storefront.studio.prompt import presets
from storefront.studio.scenes import bank, choose, picture
from storefront.studio.scenes.choose import SceneQuery

LIBRARY = presets.read_library()
RECORD = {
    "version": 1,
    "setting": "shop counter",
    "palette": "beige",
    "trades": ["cafe"],
    "caption": "a counter, light from the left",
    "light": {"azimuth": 270, "elevation": 45},
    "licence": "my own",
    "formats": {
        "2:1": {
            "file": "wide.png",
            "stand": [0.3, 0.8],
            "horizon": 0.6,
            "support": [[0.1, 0.65], [0.9, 0.65], [0.9, 0.95], [0.1, 0.95]],
            "calm": [[0.5, 0.1, 0.95, 0.5]],
        }
    },
}


def write(folder, name="mine", **changes):
    record = copy.deepcopy(RECORD) | changes
    path = folder / name
    path.mkdir(parents=True)
    (path / bank.FILE).write_text(json.dumps(record))
    Image.linear_gradient("L").resize((400, 200)).convert("RGB").save(path / "wide.png")
    return path


def shot(**changes) -> dict:
    return {"formats": {"2:1": RECORD["formats"]["2:1"] | changes}}


def test_a_users_scene_is_read_and_framed(tmp_path):
    write(tmp_path)
    found = bank.read_bank(tmp_path)
    assert found.problems == ()
    made = picture.frame(found.scenes["mine"], "1:1 feed")
    assert made.image.shape == (1, 1024, 1024, 3)
    assert made.layout.light == Light(270, 45)
    # The half of the picture that is cut off leaves the product's place where it was, as a share of the rest.
    assert made.layout.known.stand == pytest.approx((0.3, 0.8))
    assert made.layout.known.horizon == pytest.approx(0.6)
    assert parse(made.layout.to_json()) == made.layout


@pytest.mark.parametrize(
    ("field", "known"),
    [
        ("known", []),
        ("known.support", {"support": 3, "stand": [0, 0], "horizon": 0}),
        ("known.support", {"support": [[0, 0, 0]], "stand": [0, 0], "horizon": 0}),
        ("known.stand", {"support": [], "stand": [2, 0], "horizon": 0}),
        ("known.horizon", {"support": [], "stand": [0, 0], "horizon": "low"}),
    ],
)
def test_a_layout_with_a_broken_ground_is_refused(tmp_path, field, known):
    layout = picture.frame(bank.read_scene(write(tmp_path)), "1:1 feed").layout
    with pytest.raises(InputError, match=f"layout: {field}"):
        parse(json.loads(layout.to_json()) | {"known": known})


BROKEN = {
    "version": {"version": 2},
    "setting": {"setting": "a\nb"},
    "palette": {"palette": 7},
    "trades": {"trades": "cafe"},
    "caption": {"caption": "x" * 601},
    "light": {"light": [1, 2]},
    "light.azimuth": {"light": {"azimuth": 361, "elevation": 45}},
    "light.elevation": {"light": {"azimuth": 0, "elevation": float("nan")}},
    "licence": {"licence": ""},
    "down": {"down": True},
    "formats": {"formats": {}},
    "formats.2:1": {"formats": {"2:1": "wide.png"}},
    "formats.2:1.file": shot(file="../../secret.png"),
    "formats.2:1.stand": shot(stand=[0.5]),
    "formats.2:1.horizon": shot(horizon="low"),
    "formats.2:1.support": shot(support=[[0, 0]] * 65),
    "formats.2:1.calm": shot(calm=[[0.9, 0, 0.1, 1]]),
}


@pytest.mark.parametrize("field", BROKEN)
def test_a_broken_scene_is_named_and_stops_no_other(tmp_path, field):
    write(tmp_path, "bad", **BROKEN[field])
    write(tmp_path, "good")
    found = bank.read_bank(tmp_path)
    assert list(found.scenes) == ["good"]
    (problem,) = found.problems
    assert problem.startswith(f"scene bad: `{field}` is ")


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "{", b"\xff\xfe", '{"version": 1, "x": "' + "y" * bank.LARGEST_FILE + '"}', "null"]
)
def test_a_file_that_is_no_scene_is_named(tmp_path, text):
    path = write(tmp_path)
    (path / bank.FILE).write_bytes(text if isinstance(text, bytes) else text.encode())
    assert len(bank.read_bank(tmp_path).problems) == 1


@pytest.mark.parametrize("name", ["/etc/passwd.png", "..\\x.png", "C:x.png", "x.svg", ".png", "a/b.png", None])
def test_a_file_outside_its_folder_is_refused(tmp_path, name):
    write(tmp_path, **shot(file=name))
    (problem,) = bank.read_bank(tmp_path).problems
    assert "formats.2:1.file" in problem


def test_a_picture_that_is_none_or_has_another_shape_is_named(tmp_path):
    path = write(tmp_path)
    scene = bank.read_scene(path)
    Image.new("RGB", (200, 200)).save(path / "wide.png")
    with pytest.raises(bank.SceneError, match=r"mine/wide\.png` is '200x200'"):
        picture.frame(scene, "1:1 feed")
    (path / "wide.png").write_bytes(b"no picture")
    with pytest.raises(bank.SceneError, match="readable picture"):
        picture.frame(scene, "1:1 feed")
    (path / "wide.png").unlink()
    with pytest.raises(bank.SceneError, match="readable picture"):
        picture.frame(scene, "1:1 feed")


def test_a_later_folders_scene_takes_the_place_of_an_earlier_ones(tmp_path):
    write(tmp_path / "a", setting="first")
    write(tmp_path / "b", setting="second")
    assert bank.read_bank(tmp_path / "a", tmp_path / "b").scenes["mine"].setting == "second"


def test_mirrored_twice_is_the_scene_itself(tmp_path):
    scene = bank.read_scene(write(tmp_path))
    turned = bank.mirrored(scene)
    assert turned.caption == "a counter, light from the right"
    assert turned.light.azimuth == 90
    again = bank.mirrored(turned)
    assert again.shots[0].ground.stand == pytest.approx(scene.shots[0].ground.stand)
    assert (again.caption, again.light, again.mirrored) == (scene.caption, scene.light, False)


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    table = (
        ("beach-1", "beach", "blue", ["hotel"], 135, 12),
        ("snow-1", "snow", "blue", ["shoes"], 90, 12),
        ("wood-1", "wooden table", "sage", ["cafe", "bakery"], 270, 12),
        ("wood-2", "wooden table", "cream", ["cafe"], 225, 36),
        ("studio-1", "pastel studio", "pink", ["cosmetics", "dessert"], 225, 12),
    )
    for name, setting, palette, trades, azimuth, down in table:
        light = {"azimuth": azimuth, "elevation": 40}
        write(folder, name, setting=setting, palette=palette, trades=trades, light=light, down=down)
    return bank.read_bank(folder)


SAID = {
    "겨울 설원에서 신는 부츠": "snow-1",
    "바닷가 모래 위의 칵테일": "beach-1",
    "분홍 파스텔 스튜디오의 립밤": "studio-1",
    "a podium in pink for a lipstick": "studio-1",
    "빵집에서 갓 구운 소금빵": "wood-1",
    "촉촉한 수분크림": "studio-1",  # a cream is cosmetics before it is a color
}


@pytest.mark.parametrize("words", SAID)
def test_words_choose_the_scene(several, words):
    assert choose.choose(several, SceneQuery(words), LIBRARY).scene.id == SAID[words]


@pytest.mark.parametrize("table", [choose.SETTINGS, choose.PALETTES], ids=["settings", "palettes"])
def test_a_setting_and_a_palette_are_found_by_their_own_names(table):
    for key, named in table.items():
        assert choose.spoken_of(f"비누, {named.ko}에서", table) == key
        assert choose.spoken_of(f"soap, {key}", table) == key


def test_a_cream_is_no_color():
    assert choose.spoken_of("봄맞이 핸드크림 세트, 분홍 스튜디오", choose.PALETTES) == "pink"
    assert choose.spoken_of("수분크림", choose.PALETTES) is None


def test_words_of_no_known_trade_get_a_scene_that_shows_none(several):
    draws = {choose.choose(several, SceneQuery("쿠앙쿠앙", seed=seed), LIBRARY).scene.setting for seed in range(20)}
    assert draws == {"pastel studio"}


def test_a_choice_goes_before_the_words(several):
    assert choose.choose(several, SceneQuery("겨울 설원", setting="beach"), LIBRARY).scene.id == "beach-1"
    assert choose.choose(several, SceneQuery("겨울 설원", view="from above"), LIBRARY).scene.id == "wood-2"
    assert choose.choose(several, SceneQuery(scene="wood-1"), LIBRARY).scene == several.scenes["wood-1"]


def test_light_mirrors_a_scene_where_that_fits(several):
    chosen = choose.choose(several, SceneQuery(scene="wood-1", light="right"), LIBRARY)
    assert chosen.scene.mirrored
    assert chosen.notes == ()
    assert choose.light_name(chosen.scene.light) == "right"


def test_a_wish_that_nothing_meets_is_said(several):
    chosen = choose.choose(several, SceneQuery(setting="beach", palette="pink"), LIBRARY)
    assert chosen.scene.id == "beach-1"
    (note,) = chosen.notes
    assert "palette pink" in note
    assert "blue" in note


def test_the_seed_decides_and_an_added_scene_changes_few_draws(several):
    draws = [choose.choose(several, SceneQuery(seed=seed), LIBRARY).scene for seed in range(60)]
    assert {scene.id for scene in draws} == set(several.scenes)
    fewer = bank.Bank({name: scene for name, scene in several.scenes.items() if name != "snow-1"}, ())
    for seed, scene in enumerate(draws):
        if scene.id != "snow-1":
            assert choose.choose(fewer, SceneQuery(seed=seed), LIBRARY).scene == scene


@pytest.mark.parametrize(
    ("name", "wish"),
    [
        ("setting", SceneQuery(setting="moon")),
        ("palette", SceneQuery(palette="ultraviolet")),
        ("light", SceneQuery(light="below")),
        ("trade", SceneQuery(trade="piracy")),
        ("scene", SceneQuery(scene="moon-1")),
        ("view", SceneQuery(view="sideways")),
        ("words", SceneQuery(words="\ud800")),
        ("words", SceneQuery(words="x" * 5000)),
    ],
)
def test_a_wrong_wish_is_named(several, name, wish):
    with pytest.raises(InputError) as error:
        choose.choose(several, wish, LIBRARY)
    assert error.value.name == name


def test_an_empty_bank_says_where_scenes_belong():
    with pytest.raises(InputError, match="models/scenes"):
        choose.choose(bank.Bank({}, ()), SceneQuery(), LIBRARY)
