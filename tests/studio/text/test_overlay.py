"""Letters on pictures, looked at by their pixels and read by tesseract, an eye that is not ours."""

from __future__ import annotations

import difflib
import shutil
import subprocess

import numpy as np
import pytest
import torch
from PIL import Image
from storefront.studio import examples
from storefront.studio.errors import InputError
from storefront.studio.layout import contrast
from storefront.studio.layout.layout import Box, Layout, Light
from storefront.studio.text import draw, fonts
from storefront.studio.text.draw import Design


@pytest.fixture(scope="module")
def typeface():
    return fonts.Typeface(fonts.all_families(), fonts.BUNDLED)


def plain(level: float, side: int = 512, count: int = 1) -> torch.Tensor:
    return torch.full((count, side, side, 3), level)


def photo(side: int = 1024) -> torch.Tensor:
    coffee = examples.photo("coffee").movedim(-1, 1)
    return (
        torch.nn.functional.interpolate(coffee[..., 100:500], (side, side), mode="bicubic").movedim(1, -1).clamp(0, 1)
    )


def ink(mask: torch.Tensor) -> tuple[int, int, int, int]:
    rows, columns = torch.nonzero(mask.amax(1)).flatten(), torch.nonzero(mask.amax(0)).flatten()
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def test_the_layer_over_the_picture_is_the_result(typeface):
    image = photo(512)
    out = draw.overlay(image, ["오늘만 50% 할인"], Design(outline=0.05, shadow=0.5), typeface)
    rgb, alpha = out.layer[..., :3], out.layer[..., 3:]
    assert torch.allclose(image * (1 - alpha) + rgb * alpha, out.image, atol=1e-5)
    assert 0 <= float(out.image.min()) <= float(out.image.max()) <= 1
    assert (out.image[alpha[..., 0] == 0] == image[alpha[..., 0] == 0]).all()


@pytest.mark.parametrize("anchor", draw.ANCHORS)
def test_ink_touches_the_margin_of_its_anchor(typeface, anchor):
    out = draw.overlay(plain(0), ["봄"], Design(anchor=anchor, size=60, margin=5), typeface)
    left, top, right, bottom = ink(out.mask[0])
    edge = 512 * 0.05
    if "left" in anchor:
        assert abs(left - edge) <= 2
    if "right" in anchor:
        assert abs(512 - right - edge) <= 2
    if "top" in anchor:
        assert abs(top - edge) <= 2
    if "bottom" in anchor:
        assert abs(512 - bottom - edge) <= 2
    if anchor in ("center", "top center", "bottom center"):
        assert abs((left + right) / 2 - 256) <= 2


def test_the_box_of_the_layout_is_kept(typeface):
    plan = Layout(512, 512, (), 500, Box(40, 300, 200, 100), "#ff0000", "right", None, Light(0, 45))
    out = draw.overlay(plain(0), ["여름 세일"], Design(), typeface, plan)
    left, top, right, bottom = ink(out.mask[0])
    assert left >= 39
    assert right <= 241
    assert top >= 299
    assert bottom <= 401
    assert abs(right - 240) <= 2 or right - left < 200
    red = out.image[0][out.mask[0] > 0.9].mean(0)
    assert red[0] > 0.9
    assert red[1] < 0.1  # red reads well enough on black: 5.25 to 1
    twice = draw.overlay(plain(0, 1024), ["여름 세일"], Design(), typeface, plan)
    assert ink(twice.mask[0])[1] >= 599
    with pytest.raises(InputError, match="layout"):
        draw.overlay(torch.zeros(1, 300, 512, 3), ["x"], Design(), typeface, plan)


@pytest.mark.parametrize(("level", "light"), [(0.05, True), (0.3, True), (0.7, False), (0.95, False)])
def test_automatic_colour_reads(typeface, level, light):
    out = draw.overlay(plain(level), ["할인"], Design(), typeface)
    letters = out.image[0][out.mask[0] > 0.95]
    assert (letters.mean() > 0.9) == light
    assert out.notes == []


def test_a_scrim_comes_where_no_colour_reads_and_then_one_does(typeface):
    stripes = plain(0)
    stripes[:, :, ::2] = 1
    out = draw.overlay(stripes, ["할인"], Design(shadow=0), typeface)
    assert "scrim" in out.notes[0]
    left, top, right, bottom = ink(out.mask[0])
    inside = out.mask[0, top:bottom, left:right]
    beside = out.image[0, top:bottom, left:right][inside == 0].numpy()
    color = out.image[0, top:bottom, left:right][inside > 0.99].mean(0).numpy()
    shown = "#" + "".join(f"{round(float(level) * 255):02x}" for level in color)
    assert contrast.worst_contrast(shown, beside) >= contrast.READABLE * 0.95
    assert draw.overlay(stripes, ["할인"], Design(scrim="off"), typeface).notes == []


def test_runs_have_their_colour_and_size(typeface):
    out = draw.overlay(plain(0), ["가 [color=#00ff00][size=200]나[/size][/color]"], Design(size=60, shadow=0), typeface)
    green = (out.image[0, ..., 1] > 0.9) & (out.image[0, ..., 0] < 0.1)
    white = (out.image[0] > 0.9).all(-1)
    assert green.sum() > white.sum() * 2


def test_effects_lie_around_the_letters(typeface):
    bare = draw.overlay(
        plain(0.5),
        ["할인"],
        Design(size=100, anchor="center", height=60, shadow=0, color="#ffffff", scrim="off"),
        typeface,
    )
    for name, design in {
        "outline": Design(
            size=100,
            anchor="center",
            height=60,
            shadow=0,
            color="#ffffff",
            scrim="off",
            outline=0.1,
            outline_color="#ff0000",
        ),
        "glow": Design(
            size=100, anchor="center", height=60, shadow=0, color="#ffffff", scrim="off", glow=1, glow_color="#ff0000"
        ),
        "box": Design(
            size=100,
            anchor="center",
            height=60,
            shadow=0,
            color="#ffffff",
            scrim="off",
            box_opacity=1,
            box_color="#ff0000",
        ),
    }.items():
        out = draw.overlay(plain(0.5), ["할인"], design, typeface)
        red = (out.image[0, ..., 0] > 0.8) & (out.image[0, ..., 1] < 0.3)
        assert red.sum() > 1000, name
        assert torch.allclose(out.mask, bare.mask), name
        assert (out.image[0][bare.mask[0] > 0.99] > 0.98).all(), name


def test_the_shadow_falls_to_the_lower_right(typeface):
    out = draw.overlay(plain(0.5), ["할인"], Design(size=100, shadow=1, color="#ffffff", scrim="off"), typeface)
    darkness = ((out.image[0, ..., 0] < 0.45) & (out.mask[0] == 0)).float()
    rows, columns = torch.nonzero(darkness, as_tuple=True)
    letters = torch.nonzero(out.mask[0] > 0.5).float().mean(0)
    assert rows.float().mean() > letters[0]
    assert columns.float().mean() > letters[1]


def test_rotation_keeps_the_block_in_its_box(typeface):
    out = draw.overlay(plain(0), ["대박 세일"], Design(rotation=20, anchor="center", shadow=0), typeface)
    left, top, right, bottom = ink(out.mask[0])
    assert left >= 512 * 0.1 - 4
    assert right <= 512 * 0.9 + 4
    assert bottom - top > 60
    assert abs((left + right) / 2 - 256) < 4


@pytest.mark.parametrize("blend", draw.BLENDS)
def test_blends_keep_the_range_and_normal_is_plain(typeface, blend):
    out = draw.overlay(photo(512), ["할인"], Design(blend=blend, color="#3366cc", scrim="off"), typeface)
    assert 0 <= float(out.image.min()) <= float(out.image.max()) <= 1
    assert (out.image != photo(512)).any()


def test_batches(typeface):
    out = draw.overlay(plain(0, count=3), ["하나", "둘", "셋"], Design(), typeface)
    assert out.image.shape == (3, 512, 512, 3)
    assert (out.mask[0] != out.mask[1]).any()
    same = draw.overlay(plain(0, count=3), ["하나"], Design(), typeface)
    assert (same.mask[0] == same.mask[2]).all()
    with pytest.raises(InputError, match="2 texts"):
        draw.overlay(plain(0, count=3), ["하나", "둘"], Design(), typeface)


def test_the_input_is_left_alone(typeface):
    image = plain(0.2)
    before = image.clone()
    draw.overlay(image, ["할인"], Design(), typeface)
    assert (image == before).all()


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("color", {"color": "rot"}),
        ("outline_color", {"outline_color": "#12"}),
        ("shadow_color", {"shadow_color": "auto"}),
        ("opacity", {"opacity": float("nan")}),
        ("size", {"size": 1e9}),
        ("preset", {"preset": "shout"}),
        ("anchor", {"anchor": "../"}),
        ("blend", {"blend": "dissolve"}),
        ("weight", {"weight": 50}),
        ("rotation", {"rotation": float("inf")}),
    ],
)
def test_a_wrong_value_is_named(name, values):
    with pytest.raises(InputError, match=f"^{name} is"):
        Design(**values)


@pytest.mark.parametrize(
    "image",
    [torch.zeros(0, 8, 8, 3), torch.zeros(1, 8, 8, 2), torch.full((1, 64, 64, 3), float("nan")), torch.zeros(8, 8, 3)],
)
def test_a_picture_that_is_none_is_named(typeface, image):
    with pytest.raises(InputError, match="image"):
        draw.overlay(image, ["가"], Design(), typeface)


def test_tiny_and_extreme_pictures(typeface):
    for size in ((1, 1), (100, 8000), (8000, 100)):
        image = torch.zeros(1, *size, 3)
        if size == (1, 1):
            with pytest.raises(InputError):
                draw.overlay(image, ["가"], Design(), typeface)
        else:
            assert draw.overlay(image, ["가"], Design(), typeface).mask.max() > 0.9


# --- read back --------------------------------------------------------------------------------------------------------

HEADLINES = [
    "오늘만 전 품목 할인",
    "갓 구운 크루아상 출시",
    "봄맞이 신메뉴 딸기라떼",
    "매일 아침 직접 볶은 원두",
    "첫 방문 고객 무료 체험",
    "주말 특가 최대 70% 할인",
    "우리 동네 꽃집 오픈",
    "따뜻하고 아늑한 카페",
    "여름 한정 빙수 판매 시작",
    "단체 주문 환영합니다",
    "Grand Opening This Friday",
    "Fresh Bread Every Morning",
    "Summer Sale Starts Today",
    "Free Delivery This Weekend",
    "New Arrivals In Store",
    "Buy One Get One Free",
    "Handmade With Love",
    "Open Daily From 9 To 18",
    "Book Your Table Now",
    "Best Coffee In Town",
]


def backgrounds() -> list[torch.Tensor]:
    from skimage import data

    pictures = [examples.photo("coffee")]
    for name in ("astronaut", "chelsea"):
        pictures.append(torch.from_numpy(getattr(data, name)()[..., :3].astype(np.float32) / 255)[None])
    random = torch.Generator().manual_seed(0)
    for _ in range(4):
        pictures.append(torch.rand(1, 6, 6, 3, generator=random))
    pictures += [plain(0.1), plain(0.9), plain(0.5)]
    return [
        torch.nn.functional.interpolate(p.movedim(-1, 1), (1024, 1024), mode="bicubic").movedim(1, -1).clamp(0, 1)
        for p in pictures
    ]


def read(image: torch.Tensor, language: str, lines: int, path) -> str:
    """What tesseract sees, at the size it was made for: letters of 20 to 40 pixels (its manual, "Rescaling")."""
    picture = Image.fromarray((image.numpy() * 255).round().astype(np.uint8))
    scale = 60 * lines / picture.height
    picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.LANCZOS).save(path)
    command = ["tesseract", str(path), "-", "-l", language, "--psm", "6"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def lines_of(mask: torch.Tensor) -> int:
    """Runs of rows with ink: a headline's lines, with descenders and dots apart counted once too often at most."""
    inked = (mask.amax(1) > 0.5).int()
    return max(1, int((inked.diff() == 1).sum()) + int(inked[0]))


def test_tesseract_reads_what_was_written(typeface, tmp_path):
    """Twenty headlines, each on one of ten backgrounds, cropped to the words: a reader knows where to look."""
    if (
        not shutil.which("tesseract")
        or "kor" not in subprocess.run(["tesseract", "--list-langs"], capture_output=True, text=True).stdout
    ):
        pytest.skip("!!! NO TESSERACT WITH KOREAN: NOBODY HAS READ WHAT WAS WRITTEN !!!")
    right = total = 0
    grounds = backgrounds()
    for index, headline in enumerate(HEADLINES):
        out = draw.overlay(grounds[index % len(grounds)], [headline], Design(weight=700), typeface)
        left, top, right_edge, bottom = ink(out.mask[0])
        part = out.image[0, max(0, top - 30) : bottom + 30, max(0, left - 30) : right_edge + 30]
        language = "eng" if headline.isascii() else "kor"
        seen = "".join(read(part, language, lines_of(out.mask[0]), tmp_path / "x.png").split())
        wanted = "".join(headline.split())
        matched = sum(block.size for block in difflib.SequenceMatcher(None, wanted, seen).get_matching_blocks())
        right, total = right + matched, total + len(wanted)
    assert right / total >= 0.98, f"{right} of {total} characters"
