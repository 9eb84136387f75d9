"""The Python API without ComfyUI: what it takes, what it gives, what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from storefront import (
    Design,
    Edges,
    InputError,
    ad_from_photo,
    catalogue,
    example_photo,
    find_scene,
    image_to_image,
    image_to_images,
    load_brand,
    load_cutter,
    load_model,
    poster_from_photo,
    product_composite,
    text_to_image,
    text_to_images,
)
from storefront.studio.images import read_picture

ROOT = Path(__file__).resolve().parents[3]
COFFEE = ROOT / "workflows" / "assets" / "coffee.jpg"
GREY = Image.new("RGB", (256, 256), "#b0b0b0")
TAG = Image.new("RGBA", (64, 64))  # cut out already
TAG.paste("#a02020", (16, 16, 48, 48))
AS_IS = {"format": "as the picture"}
RED = "a red mug on a wooden table"


@pytest.fixture(scope="module")
def model():
    return load_model(device="cpu")


@pytest.fixture(scope="module")
def cutter():
    return load_cutter()


@pytest.fixture(scope="module")
def cup():
    """A red disc, cut out: no network is needed for it."""
    y, x = np.mgrid[:128, :128] - 63.5
    inside = np.clip(50 - np.hypot(x, y), 0, 1)
    return Image.fromarray((np.dstack([inside * 0 + 0.8, inside * 0, inside * 0, inside]) * 255).astype(np.uint8))


@pytest.fixture(scope="module")
def start(model):
    return text_to_image(RED, seed=7, steps=4, model=model).image


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.shape == b.shape and float((a - b).abs().max()) < 1e-5


def test_a_picture_may_come_as_anything(tmp_path):
    array = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
    picture = Image.fromarray(array)
    picture.save(tmp_path / "picture.png")
    wanted = torch.from_numpy(array.astype(np.float32) / 255)[None]
    floats = array.astype(np.float32) / 255
    for given in (str(tmp_path / "picture.png"), tmp_path / "picture.png", picture, array, floats, wanted, wanted[0]):
        image, alpha = read_picture("photo", given)
        assert torch.equal(image, wanted)
        assert alpha is None
    grey, _ = read_picture("photo", array[..., 0])
    assert torch.equal(grey[..., 2], wanted[..., 0])
    white, _ = read_picture("mask", array[..., 0] > 99)
    assert torch.equal(white[0, ..., 1], torch.from_numpy((array[..., 0] > 99).astype(np.float32)))


@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.float32])
def test_grey_of_more_than_eight_bits_keeps_them(kind, tmp_path):
    levels = np.linspace(0, 65535, 60).reshape(6, 10).round()
    wanted = torch.from_numpy((levels / 65535).astype(np.float32))
    picture = Image.fromarray(levels.astype(kind) if kind is not np.float32 else wanted.numpy())
    picture.save(tmp_path / "grey.tif")
    for given in (picture, tmp_path / "grey.tif"):
        image, alpha = read_picture("photo", given)
        assert image.shape == (1, 6, 10, 3)
        assert torch.allclose(image[0, ..., 1], wanted, atol=1e-6)
        assert alpha is None


def test_transparency_and_orientation_are_read():
    picture = Image.new("RGBA", (4, 2), (255, 0, 0, 255))
    picture.putpixel((3, 1), (0, 0, 0, 51))
    image, alpha = read_picture("photo", picture)
    assert image[0, 0, 0].tolist() == [1, 0, 0]
    assert alpha is not None
    assert alpha[0, 1].tolist() == pytest.approx([1, 1, 1, 0.2])
    exif = Image.Exif()
    exif[274] = 6  # turned by a quarter
    turned = Image.new("RGB", (4, 2))
    turned.info["exif"] = exif.tobytes()
    turned.getexif()[274] = 6
    assert read_picture("photo", turned)[0].shape == (1, 4, 2, 3)


NO_PICTURES = [
    "/no/such/file.png",
    ROOT / "pyproject.toml",
    ROOT,
    None,
    3,
    b"bytes",
    np.zeros((4, 4, 2), np.float32),
    np.zeros((2, 4, 4, 3), np.float32),
    np.zeros((0, 4, 3), np.float32),
    np.zeros((4, 4, 3), np.int64),
    torch.full((1, 4, 4, 3), float("nan")),
    "a\0b.png",
    np.full((4, 4, 3), 200, np.float32),  # 0..255 as floats
    np.full((4, 4, 3), -1, np.float32),
    np.full((4, 4), "x"),
    Image.fromarray(np.full((4, 4), 200, np.float32)),
    Image.fromarray(np.full((4, 4), 1 << 20, np.int32)),
]


@pytest.mark.parametrize("given", NO_PICTURES, ids=range(len(NO_PICTURES)))
def test_what_is_no_picture_is_refused_by_name(given):
    with pytest.raises(InputError, match="`photo` is "):
        read_picture("photo", given)


def test_pictures_of_an_iterator_are_those_made_alone(model):
    prompts = [RED, "a blue vase in a studio"]
    together = list(text_to_images(iter(prompts), seed=2**64 - 1, steps=2, model=model))
    assert same(together[0].image, text_to_image(RED, seed=2**64 - 1, steps=2, model=model).image)
    assert same(together[1].image, text_to_image(prompts[1], seed=0, steps=2, model=model).image)
    assert [result.report.seed for result in together] == [2**64 - 1, 0]


def test_an_iterator_draws_no_more_than_is_asked_for(model):
    taken = []

    def prompts():
        for prompt in (RED, RED, RED):
            taken.append(prompt)
            yield prompt

    next(text_to_images(prompts(), steps=1, model=model))
    assert len(taken) == 1


def test_the_sizes(model):
    assert text_to_image(RED, steps=1, model=model).image.shape == (1, 64, 64, 3)
    assert text_to_image(RED, steps=1, width=96, height=48, model=model).image.shape == (1, 48, 96, 3)
    wide = image_to_image(COFFEE, RED, steps=2, model=model).image
    assert wide.shape == (
        1,
        48,
        80,
        3,
    )  # as the photo's 600 x 400, in as many pixels as 64 x 64 has, in multiples of 16


def test_a_mask_leaves_the_rest(model, start):
    mask = np.zeros((64, 64), np.float32)
    mask[:, 32:] = 1
    drawn = image_to_image(start, "a blue mug on marble", mask=mask, strength=1.0, steps=4, model=model).image
    change = (drawn - start).abs().mean((0, 1, 3))
    assert change[40:].mean() > 2 * change[:24].mean()


def test_strength_is_how_much_changes(model, start):
    changes = [
        (result.image - start).abs().mean()
        for strength in (0.25, 1.0)
        for result in image_to_images([start], "a blue vase", strength=strength, model=model, steps=4)
    ]
    assert changes[0] < changes[1]


def test_an_advertisement_says_where_everything_stands(cup, model):
    steps = []
    ad = product_composite(cup, GREY, "가을 할인", format="as the picture", progress=steps.append)
    assert ad.image.shape == (1, 256, 256, 3)
    assert ad.mask is not None
    rows = torch.nonzero(ad.mask[0] > 0.5)[:, 0]
    assert ad.layout is not None
    box = ad.layout.products[0]
    assert box.y <= int(rows.min()) <= int(rows.max()) < box.bottom
    text = ad.layout.text
    words = ad.image[0, text.y : text.bottom, text.x : text.right]
    assert float(words.std()) > 0.05
    assert [stage.name for stage in ad.report.stages] == ["cut out", "plan", "place", "write"]
    assert [(step.stage, step.done) for step in steps][:4] == [("cut out", 0), ("cut out", 1), ("plan", 0), ("plan", 1)]
    assert json.loads(ad.report.to_json())["stages"][0]["name"] == "cut out"


def test_a_brand_s_font_that_is_not_here_is_named(cup):
    own = replace(load_brand(), font="Corporate Sans")
    ad = product_composite(cup, GREY, "Sale", format="as the picture", brand=own)
    assert any("Corporate Sans is not installed" in note for note in ad.report.notes)


def test_without_a_headline_nothing_is_written(cup):
    plain = product_composite(cup, GREY, format="as the picture")
    assert [stage.name for stage in plain.report.stages] == ["cut out", "plan", "place"]


def test_a_photo_is_cut_out_and_the_scene_drawn(model, cutter):
    ad = product_composite(example_photo("coffee"), headline="커피", seed=1, steps=2, model=model, cutter=cutter)
    assert ad.image.shape == (1, 1024, 1024, 3)
    assert ad.report.seed == 1
    assert ad.report.model == "flux-micro"
    assert sum("licence" in note for note in ad.report.notes) == 2


@pytest.mark.parametrize("choices", [{"setting": "marble counter"}, {"scene": find_scene(setting="marble counter")}])
def test_an_ad_from_a_photo_takes_the_scenes_choices(cup, choices):
    ad = ad_from_photo(cup, "비누 세일", **choices)
    scene = find_scene(setting="marble counter", view="from above")
    assert ad.image.shape == (1, 1024, 1024, 3)
    assert ad.layout is not None
    assert ad.layout.known is not None
    if "setting" in choices:  # a disc has no straight foot
        assert ad.layout.known == scene.layout.known


def test_names_with_commas_are_quoted():
    with pytest.raises(InputError, match="'9:16 story, reel', '"):
        text_to_image(RED, format="4:5")


def test_the_layout_of_one_result_serves_another(cup):
    """What is drawn in the one is not drawn in the other yet."""
    first = product_composite(cup, GREY, "가을", format="as the picture")
    again = product_composite(cup, GREY, "가을", format="as the picture", layout=first.layout)
    assert torch.equal(again.image, first.image)


def test_a_layout_may_be_edited(cup):
    from dataclasses import replace

    first = product_composite(cup, GREY, "가을", format="as the picture")
    assert first.layout is not None
    box = first.layout.products[0]._replace(x=0)
    moved = product_composite(cup, GREY, "가을", format="as the picture", layout=replace(first.layout, products=(box,)))
    assert moved.layout is not None
    assert moved.layout.products[0].x == 0


def test_a_catalogue_in_one_place_and_each_by_itself(cup):
    wide = cup.resize((128, 64))
    together = list(catalogue([cup, wide], GREY, ["하나", "둘둘둘둘"], format="as the picture"))
    assert together[0].layout is not None
    assert together[1].layout is not None
    assert together[0].layout.text == together[1].layout.text
    assert together[0].layout.products[0].bottom == together[1].layout.products[0].bottom
    taken = []

    def photos():
        for photo in (cup, wide, cup):
            taken.append(photo)
            yield photo

    alone = catalogue(photos(), GREY, "하나", same_place=False, format="as the picture")
    next(alone)
    assert len(taken) == 1
    assert len(list(alone)) == 2


def test_stopping_from_progress(model):
    class Stop(Exception):
        pass

    def stop(step):
        if step.stage == "sample" and step.done == 2:
            raise Stop

    with pytest.raises(Stop):
        text_to_image(RED, steps=9999, model=model, progress=stop)


def test_saving(cup, tmp_path):
    ad = poster_from_photo(GREY, "가을")
    for name in ("ad.png", "ad.jpg", "ad.webp"):
        saved = ad.save(tmp_path / name)
        assert saved.path == tmp_path / name
        assert ad.path is None
        with Image.open(tmp_path / name) as picture:
            off = abs(np.asarray(picture.convert("RGB")).astype(int) - np.asarray(ad.to_pil()))
        assert off.mean() < 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ad.jpg", "ad.png", "ad.webp"]
    for name in ("ad.xyz", "ad", "missing/ad.png", "ad.xbm", "ad.h5", "ad.wmf", "ad.blp", "ad.palm"):
        with pytest.raises(InputError, match=r"^`path` is"):
            ad.save(tmp_path / name)
    assert len(list(tmp_path.iterdir())) == 3


REFUSED = [
    ("steps", lambda m: text_to_image(RED, steps=0, model=m)),
    ("steps", lambda m: text_to_image(RED, steps=2.5, model=m)),
    ("seed", lambda m: text_to_image(RED, seed=-1, model=m)),
    ("steps", lambda m: text_to_image(RED, steps=10_001, model="/no/such/model")),  # before a model is loaded
    ("negative", lambda m: text_to_image(RED, negative=7, cfg=2, model=m)),
    ("negative", lambda m: text_to_image(RED, negative="\ud83d", cfg=2, model=m)),
    ("prompt", lambda m: image_to_image(GREY, None, model="/no/such/model")),
    ("seed", lambda m: product_composite(GREY, "a table", seed=-1, model=m)),
    ("seed", lambda m: product_composite(GREY, "a table", seed=2**64, model=m)),
    ("seed", lambda m: product_composite(GREY, "a table", seed=True, model=m)),
    ("seed", lambda m: catalogue([GREY], "a table", seed=1.5, model=m)),
    ("seed", lambda m: catalogue([GREY], "a table", seed="x", model=m)),
    ("steps", lambda m: catalogue([GREY], "a table", steps=2.5, model=m)),
    ("guidance", lambda m: text_to_image(RED, guidance=float("nan"), model=m)),
    ("cfg", lambda m: text_to_image(RED, cfg=0.5, model=m)),
    ("width", lambda m: text_to_image(RED, width=100, height=64, model=m)),
    ("height", lambda m: text_to_image(RED, width=64, model=m)),
    ("format", lambda m: text_to_image(RED, format="huge", model=m)),
    ("format", lambda m: text_to_image(RED, format=["1:1 feed"], model=m)),
    ("format", lambda m: text_to_image(RED, format="1:1 feed", width=64, height=64, model=m)),
    ("prompt", lambda m: text_to_image("\ud83d", steps=1, model=m)),
    ("prompt", lambda m: text_to_image(7, steps=1, model=m)),
    ("prompts", lambda m: text_to_images(3, model=m)),
    ("strength", lambda m: image_to_image(GREY, RED, strength=2, model=m)),
    ("mask", lambda m: image_to_image(GREY, RED, mask=np.zeros((3, 3), np.float32), model=m)),
    ("photos", lambda m: catalogue("cup.png", GREY)),
    ("photos", lambda m: list(catalogue([], GREY))),
    ("headlines", lambda m: list(catalogue([GREY, GREY], GREY, ["one"]))),
    ("headlines", lambda m: list(catalogue([GREY], GREY, ["one", "two"]))),
    ("scene", lambda m: product_composite(GREY, "table.jpg", model=m)),
    ("scene", lambda m: product_composite(GREY, Path("table.jpg"), model=m)),
    ("format", lambda m: product_composite(GREY, "a table", format="as the picture", model=m)),
    ("headline", lambda m: product_composite(GREY, GREY, 7)),
    ("headline", lambda m: product_composite(GREY, GREY, None)),
    ("headline", lambda m: poster_from_photo(GREY, None)),
    ("headline", lambda m: poster_from_photo(GREY, " ")),
    ("headlines", lambda m: catalogue([GREY], GREY, None)),
    ("headlines", lambda m: list(catalogue([GREY], GREY, [None]))),
    ("headlines", lambda m: list(catalogue(iter([TAG, TAG]), GREY, iter("a"), same_place=False, **AS_IS))),
    ("layout", lambda m: poster_from_photo(GREY, "a", layout="{}")),
    ("layout", lambda m: product_composite(GREY, GREY, layout=3)),
    ("edges", lambda m: product_composite(GREY, GREY, edges=8)),
    ("placement", lambda m: product_composite(GREY, GREY, placement=None)),
    ("design", lambda m: product_composite(GREY, GREY, design="price")),
    ("design", lambda m: poster_from_photo(GREY, "a", design=None)),
    ("font_folders", lambda m: poster_from_photo(GREY, "a", font_folders=str(ROOT))),
    ("font_folders", lambda m: product_composite(GREY, GREY, font_folders=["/no/such/folder"])),
    ("font", lambda m: poster_from_photo(GREY, "a", font=["Pretendard"])),
    ("margin", lambda m: product_composite(GREY, GREY, margin=99)),
    ("font", lambda m: product_composite(GREY, GREY, font="none such")),
    ("image", lambda m: product_composite(GREY, GREY)),  # grey alone: no product in it
    ("threshold", lambda m: product_composite(example_photo("coffee"), GREY, edges=Edges(threshold=2))),
    ("color", lambda m: Design(color="loud")),
    ("vertical", lambda m: Design(vertical="yes")),
    ("words", lambda m: ad_from_photo(TAG, " ")),
    ("format", lambda m: ad_from_photo(TAG, "비누", **AS_IS)),
    ("setting", lambda m: ad_from_photo("/no/photo.png", "비누", setting="moon")),
    ("view", lambda m: ad_from_photo("/no/photo.png", "비누", view="sideways")),
    ("model", lambda m: text_to_image(RED, model="/no/such/model")),
    ("model", lambda m: text_to_image(RED, model=3)),
    ("device", lambda m: load_model(device="cuda:99")),
    ("device", lambda m: load_model(device="abacus")),
    ("dtype", lambda m: load_model(dtype="fp16")),
    ("cutter", lambda m: load_cutter(COFFEE)),
    ("cutter", lambda m: load_cutter("/no/such/u2netp.onnx")),
    ("device", lambda m: load_cutter(device="abacus")),
]


@pytest.mark.parametrize(("named", "call"), REFUSED, ids=[f"{i}-{name}" for i, (name, _) in enumerate(REFUSED)])
def test_bad_input_is_refused_by_name_at_once(named, call, model):
    with pytest.raises(InputError, match=f"^`{named}"):
        call(model)


class Drawn(Exception):
    pass


def never(step):
    if step.stage in ("load", "encode", "sample"):
        raise Drawn


BEFORE_DRAWING = [
    ("photos", {"photos": []}),
    ("photo", {"photos": [GREY, "/no/such/photo.png"]}),
    ("photo", {"photos": ["/no/such/photo.png"], "same_place": False}),
    ("headlines", {"headlines": ["one", "two"]}),
    ("headlines", {"headlines": ["one", "two"], "same_place": False}),
    ("cutter", {"cutter": "/no/such/u2netp.onnx"}),
    ("model", {"model": "/no/such/model"}),
    ("font", {"font": "none such"}),
    ("image", {}),  # grey alone: no product in it
]


@pytest.mark.parametrize(("named", "given"), BEFORE_DRAWING, ids=range(len(BEFORE_DRAWING)))
def test_nothing_is_drawn_for_what_cannot_be_placed(named, given):
    with pytest.raises(InputError, match=f"^`{named}` "):
        next(catalogue(**{"photos": [GREY], "scene": "a table", "progress": never, **given}))


def test_a_scene_is_drawn_after_all_photos_are_cut_out():
    with pytest.raises(Drawn):
        next(catalogue([TAG], "a table", progress=never))


def test_what_does_not_fit_is_said(model):
    result = text_to_image("red " * 300, steps=1, model=model)
    assert "cut off" in result.report.notes[0]
