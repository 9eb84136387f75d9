"""Letters on pictures, looked at by their pixels and read by tesseract, an eye that is not ours."""

from __future__ import annotations

import functools
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from PIL import Image
from storefront.studio import canvas, contrast, examples
from storefront.studio.canvas import Box
from storefront.studio.contrast import Scrim
from storefront.studio.errors import InputError
from storefront.studio.images import from_pil, to_pil
from storefront.studio.layout.layout import Layout, Light
from storefront.studio.text import draw, fonts
from storefront.studio.text.design import BLENDS, Design


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


@pytest.mark.parametrize("anchor", canvas.ANCHORS)
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


def drawn_color(out: draw.Lettered, inside: Box) -> list[float]:
    """The median colour of the letters in a part of the picture."""
    part = slice(inside.y, inside.bottom), slice(inside.x, inside.right)
    return out.image[0][part][out.mask[0][part] > 0.99].median(0).values.tolist()


def test_the_scrim_under_small_print_has_no_edge_that_shows(typeface):
    design = Design(preset="caption", anchor="center", scrim="on", shadow=0)
    out = draw.overlay(plain(0.5), ["연출된 이미지입니다"], design, typeface)
    veil = out.layer[0, 274:, :, 3]  # below the letters
    assert not out.mask[0, 274:].any()
    assert veil.max() > 0.1
    assert veil.diff(dim=0).abs().max() < 0.014


@pytest.mark.parametrize("frame", [{"outline": 0.06}, {"box_opacity": 0.9}])
def test_framed_letters_keep_the_plans_colour(typeface, frame):
    """On a middle grey dark letters read a little better, but an outline or a box makes white ones read as well."""
    plan = Layout(512, 512, (), 500, Box(40, 40, 400, 200), "#ffffff", "left", None, Light(0, 45))
    out = draw.overlay(plain(0.55), ["여름 세일"], Design(**frame), typeface, plan)
    assert min(drawn_color(out, plan.text)) > 0.95


@pytest.mark.parametrize("frame", [{"outline": 0.06}, {"box_opacity": 0.9}])
@pytest.mark.parametrize(("own", "light"), [("#ffe14d", True), ("#7a0000", False)])
def test_the_frame_suits_the_colours_of_single_runs(typeface, frame, own, light):
    """Yellow letters with a white outline are lost, whatever the picture is like; so are dark red ones in a dark box."""
    out = draw.overlay(plain(0.9 if light else 0.1), [f"세일 [color={own}]50%[/color]"], Design(**frame), typeface)
    left, top, right, bottom = ink(out.mask[0])
    first = Box(left, top, (right - left) // 3, bottom - top)
    assert (min(drawn_color(out, first)) > 0.9) == light


def test_an_outlines_own_colour_decides_that_of_the_letters(typeface):
    for outline, light in (("#ffffff", False), ("#101010", True)):
        out = draw.overlay(
            plain(0.1 if not light else 0.9), ["세일"], Design(outline=0.06, outline_color=outline), typeface
        )
        assert (min(drawn_color(out, Box(0, 0, 512, 512))) > 0.9) == light


def test_the_box_of_the_layout_is_kept(typeface):
    plan = Layout(512, 512, (), 500, Box(40, 300, 200, 100), "#ff0000", "right", None, Light(0, 45))
    out = draw.overlay(plain(0), ["여름 세일"], Design(), typeface, plan)
    left, top, right, bottom = ink(out.mask[0])
    assert left >= 39
    assert right <= 241
    assert top >= 299
    assert bottom <= 401
    assert abs(right - 240) <= 2
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


def test_a_large_price_in_a_brand_s_red_stands_in_no_fog(typeface):
    """Contrast 3 to 1, as WCAG asks of large letters, is met on a light grey; small print in that red still gets its 4.5."""
    red = "#d62828"
    large = draw.overlay(plain(0.8), ["3,900원"], Design(preset="price", color=red), typeface)
    assert large.notes == []
    darker = draw.overlay(plain(0.7), ["3,900원"], Design(preset="price", color=red), typeface)
    left, top, right, bottom = ink(darker.mask[0])
    beside = darker.image[0, top:bottom, left:right][darker.mask[0, top:bottom, left:right] == 0].numpy()
    assert 3 * 0.95 <= contrast.worst_contrast(red, beside) < contrast.READABLE
    assert "scrim" in draw.overlay(plain(0.8), ["오늘만"], Design(size=20, color=red), typeface).notes[0]


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


@pytest.mark.parametrize("blend", BLENDS)
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
    assert (same.mask[0] == out.mask[0]).all()
    repeated = draw.overlay(plain(0), ["하나", "둘", "셋"], Design(), typeface)
    assert (repeated.image == out.image).all()
    for texts in (["하나", "둘"], []):
        with pytest.raises(InputError, match=f"{len(texts)} texts"):
            draw.overlay(plain(0, count=3), texts, Design(), typeface)


def test_lines_become_texts():
    assert draw.lines_of("하나\r\n\n 둘 ") == ["하나", " 둘 "]
    with pytest.raises(InputError, match="`text` is"):
        draw.lines_of("\u200b\n ")


def test_a_scrim_of_the_layout_is_used(typeface):
    grey = plain(0.6)
    plan = Layout(512, 512, (), 500, Box(40, 300, 400, 100), "#ffffff", "left", Scrim("#000040", 0.7), Light(0, 45))
    out = draw.overlay(grey, ["여름 세일"], Design(shadow=0), typeface, plan)
    left, top, right, bottom = ink(out.mask[0])
    beside = out.image[0, top:bottom, left:right][out.mask[0, top:bottom, left:right] == 0]
    expected = torch.tensor([0.6 * 0.3, 0.6 * 0.3, 0.6 * 0.3 + 64 / 255 * 0.7])
    assert (beside - expected).abs().max() < 0.01
    assert abs(left - 40) <= 2  # aligned left in the layout's box
    without = draw.overlay(grey, ["여름 세일"], Design(shadow=0, scrim="off"), typeface, plan)
    assert (without.image[0, top - 9] == 0.6).all()


def test_box_and_outline_stay_inside_the_margin(typeface):
    for design in (
        Design(anchor="top left", box_opacity=1, margin=5),
        Design(anchor="top left", outline=0.1, margin=5),
    ):
        out = draw.overlay(plain(0.5), ["무료 배송"], design, typeface)
        left, top, right, bottom = ink((out.image[0] != 0.5).any(-1).float() * (out.layer[0, ..., 3] > 0.9))
        assert left >= 512 * 0.05 - 1
        assert top >= 512 * 0.05 - 1
        assert right <= 512 * 0.85 + 2
        assert bottom <= 512 * 0.35 + 2


def test_a_safe_area_is_kept_clear(typeface):
    tall = torch.zeros(1, 960, 540, 3)
    safe = canvas.SAFE_AREAS["9:16 story, reel"]
    assert safe.top > 0.1
    assert safe.bottom > 0.1
    out = draw.overlay(tall, ["여름 세일"], Design(safe_area="9:16 story, reel", anchor="bottom center"), typeface)
    assert abs(ink(out.mask[0])[3] - 960 * (1 - safe.bottom)) <= 2
    out = draw.overlay(tall, ["여름 세일"], Design(safe_area="9:16 story, reel", anchor="top left"), typeface)
    assert abs(ink(out.mask[0])[1] - 960 * safe.top) <= 2


def test_a_turned_dash_stands_in_the_middle_of_its_column(typeface):
    design = Design(vertical=True, anchor="center", size=100, height=100, margin=0)
    left, _, right, bottom = ink(draw.overlay(plain(0), ["대대"], design, typeface).mask[0])
    for dash in "-–~":
        mask = draw.overlay(plain(0), [f"대{dash}대"], design, typeface).mask[0]
        rows = torch.nonzero(mask[:, left - 5 : right + 5].amax(1) > 0.5).flatten()
        columns = torch.nonzero(mask[254:258].amax(0) > 0.5).flatten()
        assert rows[-1] > bottom
        assert abs(float(columns[0] + columns[-1]) / 2 - 256) < 8


def test_grey_and_transparent_pictures(typeface):
    grey = draw.overlay(torch.full((1, 256, 256, 1), 0.3), ["할인"], Design(), typeface)
    rgba = draw.overlay(torch.full((1, 256, 256, 4), 0.3), ["할인"], Design(), typeface)
    on_white = draw.overlay(torch.full((1, 256, 256, 1), 0.3 * 0.3 + 0.7), ["할인"], Design(), typeface)
    assert torch.allclose(on_white.image, rgba.image, atol=1e-6)
    assert grey.image.shape == (1, 256, 256, 3)


@pytest.mark.parametrize("blend", BLENDS)
def test_the_layer_in_its_blend_mode_is_the_result(typeface, blend):
    """Against the formulas of W3C Compositing and Blending, for a colour and a backdrop where they differ."""
    b, t = 0.3, 0.8
    expected = {
        "normal": t,
        "multiply": b * t,
        "screen": b + t - b * t,
        "overlay": 2 * b * t,
        "soft light": b + (2 * t - 1) * (b**0.5 - b),
    }[blend]
    design = Design(blend=blend, color="#cccccc", scrim="off", shadow=0, opacity=0.5)
    out = draw.overlay(plain(b), ["할인"], design, typeface)
    assert out.image[0][out.mask[0] == 1].mean() == pytest.approx((b + expected) / 2, abs=2e-3)


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
        ("safe_area", {"safe_area": "moon"}),
        ("tracking", {"tracking": "wide"}),
        ("color", {"color": None}),
        ("weight", {"weight": True}),
    ],
)
def test_a_wrong_value_is_named(name, values):
    with pytest.raises(InputError, match=f"^`{name}` is"):
        Design(**values)


@pytest.mark.parametrize(
    "image",
    [
        torch.zeros(0, 8, 8, 3),
        torch.zeros(1, 8, 8, 2),
        torch.full((1, 64, 64, 3), float("nan")),
        torch.full((1, 64, 64, 3), float("inf")),
        torch.zeros(8, 8, 3),
        None,
    ],
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


@functools.cache
def backgrounds() -> list[torch.Tensor]:
    """Five photos, three generated clouds of colour, two plain greys; each 1024 px a side."""
    from skimage import data

    folder = Path(data.__file__).parent
    pictures = [examples.photo("coffee")]
    for name in ("astronaut.png", "chelsea.png", "rocket.jpg", "hubble_deep_field.jpg"):
        pictures.append(from_pil(Image.open(folder / name)))
    random = torch.Generator().manual_seed(0)
    pictures += [torch.rand(1, cells, cells, 3, generator=random) for cells in (3, 6, 9)]
    pictures += [plain(0.1), plain(0.5)]
    return [
        torch.nn.functional.interpolate(p.movedim(-1, 1), (1024, 1024), mode="bicubic").movedim(1, -1).clamp(0, 1)
        for p in pictures
    ]


def rows_of(mask: torch.Tensor) -> list[tuple[int, int]]:
    """The rows of pixels of each line of letters; what is low (a dot, a descender cut off) belongs to its neighbour."""
    inked = torch.nn.functional.pad((mask.amax(1) > 0.5).float(), (1, 1)).diff()
    runs = list(zip(torch.nonzero(inked == 1).flatten().tolist(), torch.nonzero(inked == -1).flatten().tolist()))
    low = 0.4 * max(end - start for start, end in runs)
    lines: list[tuple[int, int]] = []
    for start, end in runs:
        if lines and (end - start < low or lines[-1][1] - lines[-1][0] < low):
            lines[-1] = (lines[-1][0], end)
        else:
            lines.append((start, end))
    return lines


def read(image: torch.Tensor, mask: torch.Tensor, language: str, path: Path) -> str:
    """What tesseract sees of letters, line by line, at the size it was made for (its manual: capitals of 20 to 40 px)."""
    seen = ""
    for top, bottom in rows_of(mask):
        columns = torch.nonzero(mask[top:bottom].amax(0) > 0.5).flatten()
        edge = round((bottom - top) * 0.15)
        left, right = max(0, int(columns[0]) - 2 * edge), int(columns[-1]) + 1 + 2 * edge
        line = to_pil(image[None, max(0, top - edge) : bottom + edge, left:right])[0]
        line.resize((round(line.width * 40 / line.height), 40), Image.Resampling.LANCZOS).save(path)
        command = ["tesseract", str(path), "-", "-l", language, "--psm", "7"]
        seen += subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return "".join(seen.split())


def edits(a: str, b: str) -> int:
    """The least number of characters to add, leave out or exchange (Levenshtein)."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (x != y))
    return row[-1]


def test_tesseract_reads_what_was_written(typeface, tmp_path):
    """Twenty headlines with all set to automatic, on ten backgrounds. Wrong, missing and added characters count."""
    if (
        not shutil.which("tesseract")
        or "kor" not in subprocess.run(["tesseract", "--list-langs"], capture_output=True, text=True).stdout
    ):
        pytest.skip("!!! NO TESSERACT WITH KOREAN: NOBODY HAS READ WHAT WAS WRITTEN !!!")
    grounds, wrong, total = backgrounds(), {}, 0
    for index, headline in enumerate(HEADLINES):
        out = draw.overlay(grounds[index % len(grounds)], [headline], Design(), typeface)
        wanted = "".join(headline.split())
        seen = read(out.image[0], out.mask[0], "eng" if headline.isascii() else "kor", tmp_path / "line.png")
        total += len(wanted)
        if seen != wanted:
            wrong[wanted] = (seen, edits(wanted, seen))
    assert sum(count for _, count in wrong.values()) <= 0.02 * total, wrong


@pytest.mark.parametrize("number", range(10))
def test_automatic_colours_reach_the_contrast_that_they_promise(typeface, number):
    """WCAG 4.5:1 between the letters and at least 95 % of what is around them, measured in the result."""
    out = draw.overlay(backgrounds()[number], ["오늘만 전 품목 할인"], Design(shadow=0), typeface)
    left, top, right, bottom = ink(out.mask[0])
    letters, picture = out.mask[0, top:bottom, left:right], out.image[0, top:bottom, left:right]
    color = "#" + "".join(f"{round(float(level) * 255):02x}" for level in picture[letters > 0.99].mean(0))
    assert contrast.worst_contrast(color, picture[letters == 0].numpy()) >= 0.98 * contrast.READABLE


@pytest.mark.parametrize("vertical", [False, True])
@pytest.mark.parametrize(
    "text",
    [
        "[size=150]50%[/size] 할인\n[size=50]선착순 100명[/size]",
        "[size=50]선착순[/size]\n오늘만\n[size=50]백 명[/size]",
    ],
)
def test_lines_of_different_sizes_stand_apart(typeface, text, vertical):
    """Small print under a large line is spaced by both, not by its own size alone."""
    design = Design(size=50, vertical=vertical, anchor="center", height=90, preset="price", shadow=0)
    letters = draw.overlay(plain(1), [text], design, typeface).mask[0] > 0.1
    along = letters.any(0 if vertical else 1)
    edges = torch.nonzero(along[1:] != along[:-1]).flatten()
    gaps = (edges[2::2] - edges[1:-1:2]).tolist()
    assert len(gaps) == text.count("\n")
    assert min(gaps) >= 50 * 0.06
