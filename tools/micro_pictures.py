"""Pictures and captions for flux-micro: 8 colours x 6 products x 6 settings, drawn by code.

Silhouettes are drawn as masks at four times the size and boxed down; light, shade and backgrounds are computed with
numpy at the final size.  Every picture is a function of (triple, seed) alone.
"""

from __future__ import annotations

import itertools
import random
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

SIZE = 64  # pixels a side
SUPERSAMPLE = 4

COLOURS = {
    "red": (205, 28, 36),
    "blue": (30, 70, 215),
    "green": (30, 150, 55),
    "yellow": (250, 215, 30),
    "orange": (245, 125, 15),
    "purple": (130, 40, 170),
    "black": (26, 26, 30),
    "white": (246, 246, 244),
}
PRODUCTS = ("mug", "bottle", "box", "shoe", "lamp", "vase")
SETTINGS = ("wooden table", "marble", "studio", "beach", "night street", "café")


class Triple(NamedTuple):
    colour: str  # a key of COLOURS
    product: str  # one of PRODUCTS
    setting: str  # one of SETTINGS


TRIPLES = tuple(Triple(*t) for t in itertools.product(COLOURS, PRODUCTS, SETTINGS))
HELD_OUT = tuple(sorted(random.Random(20250101).sample(TRIPLES, 100), key=TRIPLES.index))
TRAINED = tuple(t for t in TRIPLES if t not in set(HELD_OUT))


# --- captions ---------------------------------------------------------------------------------------------------------
# The first phrase of each list is the plain one that plain_prompt() uses.

ENGLISH = {
    "red": ["red", "bright red", "scarlet"],
    "blue": ["blue", "bright blue", "royal blue"],
    "green": ["green", "bright green", "emerald"],
    "yellow": ["yellow", "bright yellow", "lemon yellow"],
    "orange": ["orange", "bright orange", "tangerine"],
    "purple": ["purple", "deep purple", "violet"],
    "black": ["black", "jet black", "matte black"],
    "white": ["white", "pure white", "snow white"],
    "mug": ["mug", "coffee mug", "cup"],
    "bottle": ["bottle", "water bottle", "glass bottle"],
    "box": ["box", "gift box", "package"],
    "shoe": ["shoe", "sneaker", "running shoe"],
    "lamp": ["lamp", "table lamp", "desk lamp"],
    "vase": ["vase", "flower vase", "ceramic vase"],
    "wooden table": ["on a wooden table", "on a wood table", "on a wooden desk", "on wooden planks"],
    "marble": ["on marble", "on a marble surface", "on a white marble slab", "on a marble countertop"],
    "studio": ["in a studio", "in a photo studio", "on a grey studio backdrop", "against a plain studio background"],
    "beach": ["on a beach", "on the beach", "on the sand by the sea", "on a sunny beach"],
    "night street": [
        "on a night street",
        "on a street at night",
        "in a city street at night",
        "in a neon night street",
    ],
    "café": ["in a café", "in a cafe", "in a coffee shop", "on a café counter"],
}
KOREAN = {
    "red": ["빨간", "빨간색", "붉은"],
    "blue": ["파란", "파란색", "푸른"],
    "green": ["초록색", "녹색", "초록"],
    "yellow": ["노란", "노란색", "노랑"],
    "orange": ["주황색", "오렌지색", "주황"],
    "purple": ["보라색", "자주색", "보라"],
    "black": ["검은", "검은색", "까만"],
    "white": ["하얀", "흰색", "흰"],
    "mug": ["머그컵", "머그잔", "컵"],
    "bottle": ["병", "유리병", "물병"],
    "box": ["상자", "박스", "선물 상자"],
    "shoe": ["신발", "운동화", "스니커즈"],
    "lamp": ["램프", "스탠드", "조명"],
    "vase": ["꽃병", "화병", "도자기 꽃병"],
    "wooden table": ["나무 탁자 위의", "나무 테이블 위의", "나무 책상 위에 놓인"],
    "marble": ["대리석 위의", "대리석 테이블 위의", "하얀 대리석 위에 놓인"],
    "studio": ["스튜디오의", "스튜디오에서 찍은", "회색 스튜디오 배경의"],
    "beach": ["해변의", "바닷가의", "해변 모래 위에 놓인"],
    "night street": ["밤거리의", "밤 거리에 놓인", "네온 밤거리의"],
    "café": ["카페의", "카페에 놓인", "커피숍의"],
}
ENGLISH_TEMPLATES = (
    "a {colour} {product} {setting}",
    "a {colour} {product} {setting}",
    "A {colour} {product} {setting}.",
    "a photo of a {colour} {product} {setting}",
    "product photo of a {colour} {product} {setting}",
    "product photography, {colour} {product} {setting}, soft light",
    "{setting}, a {colour} {product}",
    "a {product} {setting}, the {product} is {colour}",
    "{colour} {product} {setting}, high quality, sharp focus",
    "one {colour} {product} standing {setting}",
)
KOREAN_TEMPLATES = (
    "{setting} {colour} {product}",
    "{setting} {colour} {product}",
    "{setting} {colour} {product} 사진",
    "{setting} {colour} {product}, 제품 사진",
    "{colour} {product}, {setting} 사진",
)


def caption(triple: Triple, rng: random.Random, korean_share: float = 0.25) -> str:
    """A caption with random wording; in Korean with probability korean_share."""
    words, templates = (KOREAN, KOREAN_TEMPLATES) if rng.random() < korean_share else (ENGLISH, ENGLISH_TEMPLATES)
    # Half of the phrases are the plain ones: they are what people type first.
    pick = {k: words[v][0] if rng.random() < 0.5 else rng.choice(words[v]) for k, v in triple._asdict().items()}
    return rng.choice(templates).format(**pick)


def plain_prompt(triple: Triple, korean: bool = False) -> str:
    """The prompt that the measurement uses: the first template with the first phrases."""
    words, templates = (KOREAN, KOREAN_TEMPLATES) if korean else (ENGLISH, ENGLISH_TEMPLATES)
    return templates[0].format(**{k: words[v][0] for k, v in triple._asdict().items()})


# --- backgrounds: float arrays (SIZE, SIZE, 3) in 0..255 --------------------------------------------------------------

YY, XX = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32) / SIZE  # pixel centres' row and column, 0..1


def _blend(top, bottom, weight: np.ndarray) -> np.ndarray:
    """top where weight is 0, bottom where it is 1."""
    return np.asarray(top, np.float32) * (1 - weight[..., None]) + np.asarray(bottom, np.float32) * weight[..., None]


def _step(values: np.ndarray, at: float, softness: float = 0.01) -> np.ndarray:
    """0 below `at`, 1 above, with a soft edge."""
    return np.clip((values - at) / softness + 0.5, 0, 1)


def _glow(picture: np.ndarray, x: float, y: float, radius: float, colour, strength: float) -> None:
    """Add a round light to the picture in place."""
    spot = np.exp(-((((XX - x) ** 2 + (YY - y) ** 2) / radius**2) ** 2))
    picture += spot[..., None] * np.asarray(colour, np.float32) * strength


def _wooden_table(rng: random.Random) -> np.ndarray:
    horizon = rng.uniform(0.45, 0.52)
    wall = _blend((228, 214, 194), (206, 188, 164), YY)
    wood = _blend((140, 92, 54), (168, 114, 70), YY)
    grain = 7 * np.sin(YY * 150 + 2 * np.sin(XX * 9 + rng.uniform(0, 6)))
    planks = np.abs((YY - horizon) * 7 % 1 - 0.5) > 0.42
    wood = wood + grain[..., None] - 38 * planks[..., None]
    return wall * (1 - _step(YY, horizon)[..., None]) + wood * _step(YY, horizon)[..., None]


def _marble(rng: random.Random) -> np.ndarray:
    picture = _blend((214, 218, 222), (230, 231, 233), YY)
    phase, tilt = rng.uniform(0, 6.28), rng.uniform(0.6, 1.2)
    for frequency, depth in ((1.1, 60), (1.9, 30)):
        wave = (XX * tilt + YY) * frequency * 3.14 + 0.9 * np.sin(XX * 5 + phase) + 0.6 * np.sin(YY * 6 - phase)
        picture = picture - depth * np.exp(-(np.sin(wave + phase) ** 2) * 18)[..., None]
    return picture


def _studio(rng: random.Random) -> np.ndarray:
    centre = rng.uniform(0.42, 0.58)
    falloff = np.clip(((XX - centre) ** 2 + (YY - 0.4) ** 2) * 2.2, 0, 1)
    picture = _blend((172, 174, 178), (104, 106, 112), falloff)
    return picture + 14 * _step(YY, 0.74, 0.25)[..., None]


def _beach(rng: random.Random) -> np.ndarray:
    sea, sand = rng.uniform(0.33, 0.38), rng.uniform(0.54, 0.60)
    picture = _blend((110, 185, 240), (190, 225, 248), YY / sea * 0.9)
    picture = picture + (_blend((20, 130, 165), (70, 190, 195), (YY - sea) * 4) - picture) * _step(YY, sea)[..., None]
    shore = YY + 0.02 * np.sin(XX * 8 + rng.uniform(0, 6))
    picture = picture + (np.float32((245, 248, 248)) - picture) * _step(shore, sand - 0.03)[..., None]
    return picture + (_blend((232, 208, 160), (218, 190, 138), YY) - picture) * _step(shore, sand)[..., None]


def _night_street(rng: random.Random) -> np.ndarray:
    picture = _blend((14, 18, 48), (34, 34, 62), YY)
    picture -= _step(YY, 0.66, 0.03)[..., None] * 10
    lights = ((255, 190, 90), (255, 90, 150), (90, 200, 255), (255, 220, 140))
    for i in range(6):
        x, y = (i + rng.uniform(0.3, 0.7)) / 6, rng.uniform(0.06, 0.5)
        _glow(picture, x, y, rng.uniform(0.045, 0.065), lights[i % 4], 0.85)
        _glow(picture, x, 1.3 - 0.9 * y, 0.05, lights[i % 4], 0.22)  # its reflection on the wet road
    return picture


def _cafe(rng: random.Random) -> np.ndarray:
    counter = rng.uniform(0.62, 0.68)
    course = np.floor(YY * 12)
    mortar = (np.abs(YY * 12 % 1 - 0.5) > 0.42) | (np.abs((XX * 6 + course * 0.5) % 1 - 0.5) > 0.45)
    picture = _blend((122, 66, 50), (104, 54, 42), YY) + 26 * mortar[..., None]
    top = _blend((72, 52, 42), (50, 35, 28), (YY - counter) * 3)
    picture = picture + (top - picture) * _step(YY, counter)[..., None]
    for x in (0.17, 0.83):
        _glow(picture, x + rng.uniform(-0.04, 0.04), rng.uniform(0.12, 0.2), 0.13, (255, 190, 90), 0.75)
    return picture


BACKGROUNDS = dict(zip(SETTINGS, (_wooden_table, _marble, _studio, _beach, _night_street, _cafe), strict=True))


# --- products: layers of (shape, tone) --------------------------------------------------------------------------------
# Coordinates: x from -0.5 to 0.5 and y from 0 (top) to 1 (foot), in units of the product's height.
# Tone multiplies the product's colour: below 1 darker, above 1 towards white.


def _profile(points) -> list[tuple[float, float]]:
    """A symmetric outline from (y, half width) pairs, smoothed by interpolation."""
    ys, widths = zip(*points, strict=True)
    fine = np.linspace(ys[0], ys[-1], 60)
    half = np.interp(fine, ys, widths)
    half = np.convolve(np.pad(half, 3, mode="edge"), np.ones(7) / 7, mode="valid")
    return [*zip(half, fine, strict=True), *zip(-half[::-1], fine[::-1], strict=True)]


SHAPES = {
    "mug": [
        ("ring", (0.22, 0.24, 0.66, 0.78), 0.85),
        ("polygon", _profile([(0.08, 0.40), (0.85, 0.40), (0.93, 0.38), (1.0, 0.30)]), 1.0),
        ("ellipse", (-0.40, 0.0, 0.40, 0.19), 1.15),
        ("ellipse", (-0.34, 0.03, 0.34, 0.17), 0.55),
    ],
    "bottle": [
        ("polygon", _profile([(0.05, 0.08), (0.30, 0.08), (0.46, 0.21), (0.96, 0.21), (1.0, 0.19)]), 1.0),
        ("polygon", [(-0.11, 0.0), (0.11, 0.0), (0.11, 0.10), (-0.11, 0.10)], 0.6),
        ("polygon", [(-0.21, 0.60), (0.21, 0.60), (0.21, 0.82), (-0.21, 0.82)], 1.45),
    ],
    "box": [
        ("polygon", [(-0.52, 0.26), (0.10, 0.34), (0.10, 1.0), (-0.52, 0.88)], 1.0),
        ("polygon", [(0.10, 0.34), (0.52, 0.22), (0.52, 0.82), (0.10, 1.0)], 0.62),
        ("polygon", [(-0.52, 0.26), (-0.10, 0.14), (0.52, 0.22), (0.10, 0.34)], 1.4),
        ("polygon", [(-0.26, 0.293), (-0.16, 0.306), (-0.16, 0.95), (-0.26, 0.93)], 1.5),
    ],
    "shoe": [
        (
            "polygon",
            [(-0.72, 0.28), (-0.64, 0.22), (-0.28, 0.20), (-0.16, 0.36), (0.12, 0.52), (0.52, 0.58), (0.70, 0.72),
             (0.74, 0.90), (-0.72, 0.90)],
            1.0,
        ),
        ("polygon", [(-0.75, 0.86), (0.78, 0.86), (0.76, 1.0), (-0.73, 1.0)], 1.7),
        ("polygon", [(-0.64, 0.22), (-0.28, 0.20), (-0.24, 0.30), (-0.62, 0.31)], 0.5),
        ("polygon", [(-0.16, 0.40), (-0.08, 0.44), (-0.26, 0.62), (-0.32, 0.58)], 1.6),
        ("polygon", [(0.02, 0.50), (0.10, 0.54), (-0.10, 0.72), (-0.16, 0.68)], 1.6),
    ],
    "lamp": [
        ("polygon", [(-0.045, 0.45), (0.045, 0.45), (0.045, 0.93), (-0.045, 0.93)], 0.7),
        ("ellipse", (-0.26, 0.88, 0.26, 1.0), 0.8),
        ("polygon", [(-0.20, 0.0), (0.20, 0.0), (0.42, 0.52), (-0.42, 0.52)], 1.05),
        ("ellipse", (-0.42, 0.47, 0.42, 0.57), 1.5),
    ],
    "vase": [
        (
            "polygon",
            _profile([(0.02, 0.24), (0.10, 0.13), (0.26, 0.12), (0.44, 0.34), (0.62, 0.40), (0.80, 0.28), (0.93, 0.16),
                      (1.0, 0.20)]),
            1.0,
        ),
        ("ellipse", (-0.22, 0.0, 0.22, 0.08), 0.5),
    ],
}  # fmt: skip
HEIGHT = {"mug": 0.58, "bottle": 0.70, "box": 0.60, "shoe": 0.54, "lamp": 0.68, "vase": 0.66}  # share of the frame


def _mask(kind: str, points, x0: float, y0: float, height: float) -> np.ndarray:
    """One shape's coverage, (SIZE, SIZE) in 0..1; x0, y0 = the product's top centre, in shares of the frame."""
    side = SIZE * SUPERSAMPLE
    image = Image.new("L", (side, side))
    draw = ImageDraw.Draw(image)
    if kind == "polygon":
        draw.polygon([((x0 + x * height) * side, (y0 + y * height) * side) for x, y in points], fill=255)
    else:
        left, top, right, bottom = points
        corners = [(x0 + left * height) * side, (y0 + top * height) * side]
        corners += [(x0 + right * height) * side, (y0 + bottom * height) * side]
        if kind == "ellipse":
            draw.ellipse(corners, fill=255)
        else:
            draw.ellipse(corners, outline=255, width=round(0.085 * height * side))
    return np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BOX), np.float32) / 255


def _tint(colour: np.ndarray, tone: float) -> np.ndarray:
    """The colour at a tone: darker below 1, mixed with white above 1."""
    return colour * tone if tone <= 1 else colour + (255 - colour) * (tone - 1)


def _erode(mask: np.ndarray) -> np.ndarray:
    """The minimum over each pixel's four neighbours and itself."""
    padded = np.pad(mask, 1)
    neighbours = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:], mask)
    return np.minimum.reduce(neighbours)


def draw(triple: Triple, seed: int) -> np.ndarray:
    """The picture of a triple, uint8 (SIZE, SIZE, 3); seed moves position, size, light and background details."""
    # random.Random hashes strings the same in every process (tuples it would not).
    rng = random.Random(f"{seed}/{'/'.join(triple)}")
    picture = BACKGROUNDS[triple.setting](rng)
    picture = picture * rng.uniform(0.94, 1.05)

    height = HEIGHT[triple.product] * rng.uniform(0.93, 1.07)
    x0 = 0.5 + rng.uniform(-0.03, 0.03)
    foot = rng.uniform(0.85, 0.89)
    colour = np.clip(np.float32(COLOURS[triple.colour]) * rng.uniform(0.95, 1.04), 0, 255)
    light = rng.uniform(-0.14, -0.06)  # where the highlight runs, in heights from the middle

    shadow = np.exp(-((((XX - x0) / (0.42 * height)) ** 2 + ((YY - foot) / 0.05) ** 2) ** 2))
    picture = picture * (1 - 0.5 * shadow[..., None])

    side = (XX - x0) / height
    shade = 1.02 - 0.45 * np.clip(side + 0.12, 0, 1) ** 1.2 - 0.10 * np.clip(-side - 0.2, 0, 1)
    shine = 38 * np.exp(-(((side - light) / 0.07) ** 2))
    whole = np.zeros((SIZE, SIZE), np.float32)
    for kind, points, tone in SHAPES[triple.product]:
        mask = _mask(kind, points, x0, foot - height, height)
        surface = _tint(colour, tone) * shade[..., None] + shine[..., None] * (0.5 if tone > 1 else 1)
        picture = picture + (surface - picture) * mask[..., None]
        whole = np.maximum(whole, mask)
    # An outline against the background keeps white on marble and black at night visible.
    rim = np.clip(whole - _erode(whole), 0, 1)[..., None]
    rim_colour = np.float32((150, 152, 170)) if triple.colour == "black" else colour * 0.55
    picture = picture + (rim_colour - picture) * rim * 0.6
    return np.clip(picture + 0.5, 0, 255).astype(np.uint8)
