"""Cuts hold what must stay, follow the eye where nothing must, and have the format's proportions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from storefront.studio.canvas import FORMATS, PROPORTIONS, Box
from storefront.studio.errors import InputError
from storefront.studio.layout.layout import Layout, Light
from storefront.studio.output import crops, saving

NOTHING = np.zeros((10, 10))


def test_proportions_are_those_of_the_formats():
    assert list(PROPORTIONS) == list(FORMATS)
    for name, size in FORMATS.items():
        assert size.width / size.height == pytest.approx(PROPORTIONS[name], rel=0.015)


@pytest.mark.parametrize("format", PROPORTIONS)
@pytest.mark.parametrize("size", [(640, 480), (333, 777), (1000, 1000), (5, 3)])
def test_a_cut_is_the_largest_of_its_shape(format, size):
    box, sheet = crops.choose(NOTHING, [], size, [], format)
    assert sheet == (box.width, box.height)
    assert box.width == size[0] or box.height == size[1]
    assert abs(box.width - box.height * PROPORTIONS[format]) <= PROPORTIONS[format] or 1 in sheet
    assert box.x >= 0 and box.y >= 0 and box.right <= size[0] and box.bottom <= size[1]
    # With nothing to see, in the middle.
    assert abs(box.x - (size[0] - box.right)) <= 1 and abs(box.y - (size[1] - box.bottom)) <= 1


@pytest.mark.parametrize("format", PROPORTIONS)
@pytest.mark.parametrize(
    "keep",
    [
        [Box(0, 0, 50, 50)],
        [Box(590, 430, 50, 50)],
        [Box(100, 20, 440, 100), Box(250, 200, 150, 250)],
        [Box(0, 0, 640, 480)],
        [Box(0, 0, 1, 1), Box(639, 479, 1, 1)],
    ],
)
def test_what_must_stay_stays(format, keep):
    seen = np.zeros((48, 64))
    seen[20:28, 28:36] = 1  # the eye would rather look at the middle
    crop = crops.choose(seen, [], (640, 480), keep, format)
    for box in keep:
        assert crop.box.x <= box.x and crop.box.right >= box.right
        assert crop.box.y <= box.y and crop.box.bottom >= box.bottom
    assert crop.sheet[0] >= crop.box.width and crop.sheet[1] >= crop.box.height
    assert crop.sheet[0] / crop.sheet[1] == pytest.approx(PROPORTIONS[format], rel=0.02)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8))
    cut = np.asarray(crops.cut(picture, crop))
    assert cut.shape[1::-1] == crop.sheet
    left, top = (crop.sheet[0] - crop.box.width) // 2, (crop.sheet[1] - crop.box.height) // 2
    inside = cut[top : top + crop.box.height, left : left + crop.box.width]
    x, y, width, height = crop.box
    assert (inside == np.asarray(picture)[y : y + height, x : x + width]).all()


def test_the_eye_decides_where_nothing_must_stay():
    seen = np.zeros((48, 64))
    seen[:, 50:60] = 1
    assert crops.choose(seen, [], (640, 480), [], "2:3 poster").box.right >= 600
    assert crops.choose(seen[:, ::-1], [], (640, 480), [], "2:3 poster").box.x <= 40


def test_a_face_is_not_cut_in_two():
    picture = Image.fromarray(data.astronaut())
    seen, faces = crops.saliency_and_faces(picture)
    assert len(faces) == 1
    for format in ("16:9 video, slide", "3:1 banner", "9:16 story, reel"):
        box = crops.choose(seen, faces, picture.size, [], format).box
        face = faces[0]
        assert box.x <= face.x and box.right >= face.right and box.y <= face.y and box.bottom >= face.bottom


def test_what_is_transparent_catches_no_eye():
    picture = Image.fromarray(data.astronaut()).convert("RGBA")
    alpha = np.zeros((512, 512), np.uint8)
    alpha[:, :200] = 255
    picture.putalpha(Image.fromarray(alpha))
    seen, _ = crops.saliency_and_faces(picture)
    assert seen[:, seen.shape[1] // 2 :].max() < 0.02


@pytest.mark.parametrize("name", ["9:16", "", "../x", "1:1 FEED"])
def test_an_unknown_format_is_refused_by_name(name):
    with pytest.raises(InputError, match="also_formats"):
        saving.SaveOptions(also_formats=(name,))


def test_labels_are_names():
    assert [crops.label(name) for name in ("9:16 story, reel", "1.91:1 link preview", "A-series print, portrait")] == [
        "9x16-story-reel",
        "1.91x1-link-preview",
        "A-series-print-portrait",
    ]


LAYOUT = Layout(320, 240, (Box(20, 100, 90, 120),), 220, Box(10, 10, 60, 40), "#000000", "left", None, Light(0, 45))


def test_layout_and_mask_guide_every_picture_of_a_batch(tmp_path):
    image = torch.rand(2, 480, 640, 3, generator=torch.Generator().manual_seed(0))
    masks = torch.zeros(2, 480, 640)
    masks[0, 100:200, 600:640] = 1
    options = saving.SaveOptions(also_formats=("9:16 story, reel", "1:1 feed"))
    saved, notes = saving.save(image, tmp_path, options, {}, keep=saving.Keep(LAYOUT.to_json(), masks))
    assert [one.path for one in saved] == [
        "Storefront_00001_.png",
        "Storefront_9x16-story-reel_00001_.png",
        "Storefront_1x1-feed_00001_.png",
        "Storefront_00002_.png",
        "Storefront_9x16-story-reel_00002_.png",
        "Storefront_1x1-feed_00002_.png",
    ]
    assert [one.picture.size for one in saved[3:]] == [(640, 480), (270, 480), (480, 480)]
    assert saved[1].picture.size == (640, 1138)  # all of its width, and drawn out
    assert len(notes) == 2 and all("edges were drawn out" in note for note in notes)


@pytest.mark.parametrize("layout", [LAYOUT.on(640, 480), "{", 5, {"canvas": None}])
def test_a_layout_of_another_shape_is_refused_by_name(tmp_path, layout):
    with pytest.raises(InputError, match="layout"):
        saving.save(
            torch.zeros(1, 100, 100, 3),
            tmp_path,
            saving.SaveOptions(also_formats=("1:1 feed",)),
            {},
            keep=saving.Keep(layout),
        )


def test_the_same_twice_is_written_once(tmp_path):
    image = torch.rand(1, 8, 8, 3, generator=torch.Generator().manual_seed(0)).repeat(2, 1, 1, 1)
    for naming in saving.NAMING_SCHEMES:
        saved, notes = saving.save(image, tmp_path / naming, saving.SaveOptions(naming=naming), {"prompt": {}})
        assert saved[0].path == saved[1].path
        assert [one.new for one in saved] == [True, False]
        assert notes == []
        assert len([path for path in (tmp_path / naming).rglob("*") if path.is_file()]) == 1


def test_numbers_and_formats_where_the_template_says(tmp_path):
    image = torch.rand(1, 40, 30, 3, generator=torch.Generator().manual_seed(0))
    for template, expected in (
        ("a/%format%/%counter%", ["a/full/00001.png", "a/1x1-feed/00001.png"]),
        ("b_%counter%_%width%", ["b_00001_30.png", "b_1x1-feed_00001_30.png"]),
    ):
        saved, _ = saving.save(image, tmp_path, saving.SaveOptions(filename=template, also_formats=("1:1 feed",)), {})
        assert [one.path for one in saved] == expected
