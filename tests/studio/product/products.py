"""Products whose alpha is known, photographed (by arithmetic) in front of real photographs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

OVERSAMPLING = 4  # the outlines are drawn that much larger, so that their edges are true coverages


class Scene(NamedTuple):
    name: str
    photo: np.ndarray  # float32 [H, W, 3], 0..1: alpha * color + (1 - alpha) * background, and sensor noise
    alpha: np.ndarray  # float32 [H, W], 0..1
    color: np.ndarray  # float32 [H, W, 3]: the product's own colour, also where it is transparent


def scenes(side: int, count: int = 12) -> list[Scene]:
    """Every product in turn before every background in turn, `side` x `side` pixels; always the same ones."""
    backgrounds = photographs()
    return [
        scene(list(PRODUCTS)[index % 6], backgrounds[(index + index // 6) % 6], side, index) for index in range(count)
    ]


def scene(product: str, background: Image.Image, side: int, seed: int) -> Scene:
    random = np.random.default_rng(seed)
    alpha = _coverage(PRODUCTS[product], side, random)
    softness = side / 1024 * random.uniform(0.4, 1.6)  # pixels; a lens focused on the product
    alpha = _blurred(alpha, softness)
    color = _surface(side, random) + _gloss(alpha, side, random)[..., None]
    color = color.clip(0, 1)
    behind = np.asarray(_cover(background, side), np.float32) / 255
    behind = behind * (1 - 0.5 * _shadow(alpha, side))[..., None]
    photo = alpha[..., None] * color + (1 - alpha[..., None]) * behind
    photo += random.normal(0, 0.006, photo.shape).astype(np.float32)
    return Scene(product, photo.clip(0, 1).astype(np.float32), alpha, color.astype(np.float32))


def photographs() -> list[Image.Image]:
    """Real photographs to stand products in front of: scikit-image's, all free."""
    import skimage

    folder = Path(skimage.__file__).parent / "data"

    def photo(name: str, box: tuple[int, int, int, int], defocus: float) -> Image.Image:
        return Image.open(folder / name).convert("RGB").crop(box).filter(ImageFilter.GaussianBlur(defocus))

    return [
        photo("chelsea.png", (0, 0, 451, 300), 4),
        photo("coffee.png", (330, 250, 600, 400), 0),  # the wood of a table
        photo("rocket.jpg", (0, 0, 427, 427), 0),
        photo("motorcycle_left.png", (100, 0, 640, 480), 6),
        photo("brick.png", (0, 0, 512, 512), 0),
        photo("coffee.png", (0, 0, 200, 130), 0),  # a dark wall
    ]


# --- outlines, in a square from 0 to 1 ---------------------------------------------------------------------------------

Draw = Callable[[ImageDraw.ImageDraw, float, np.random.Generator], None]


def _bottle(draw: ImageDraw.ImageDraw, s: float, random: np.random.Generator) -> None:
    draw.rounded_rectangle((0.36 * s, 0.36 * s, 0.64 * s, 0.9 * s), 0.05 * s, fill=255)
    draw.polygon([(x * s, y * s) for x, y in ((0.37, 0.39), (0.45, 0.26), (0.55, 0.26), (0.63, 0.39))], fill=255)
    draw.rectangle((0.455 * s, 0.16 * s, 0.545 * s, 0.28 * s), fill=255)
    draw.rounded_rectangle((0.44 * s, 0.1 * s, 0.56 * s, 0.18 * s), 0.01 * s, fill=255)


def _mug(draw: ImageDraw.ImageDraw, s: float, random: np.random.Generator) -> None:
    draw.ellipse((0.52 * s, 0.36 * s, 0.84 * s, 0.72 * s), fill=255)
    draw.ellipse((0.59 * s, 0.43 * s, 0.77 * s, 0.65 * s), fill=0)
    draw.rounded_rectangle((0.2 * s, 0.25 * s, 0.64 * s, 0.82 * s), 0.06 * s, fill=255)
    draw.ellipse((0.2 * s, 0.2 * s, 0.64 * s, 0.34 * s), fill=255)


def _box(draw: ImageDraw.ImageDraw, s: float, random: np.random.Generator) -> None:
    draw.polygon(
        [(x * s, y * s) for x, y in ((0.22, 0.34), (0.6, 0.22), (0.8, 0.3), (0.8, 0.72), (0.44, 0.86), (0.24, 0.76))],
        fill=255,
    )


def _toy(draw: ImageDraw.ImageDraw, s: float, random: np.random.Generator) -> None:
    """A plush ball with hair."""
    draw.ellipse((0.28 * s, 0.3 * s, 0.72 * s, 0.74 * s), fill=255)
    for angle in random.uniform(0, 2 * np.pi, 700):
        bend, length = random.uniform(-0.35, 0.35), random.uniform(0.22, 0.27)
        inner = (0.5 + 0.2 * np.cos(angle), 0.52 + 0.2 * np.sin(angle))
        outer = (0.5 + length * np.cos(angle + bend), 0.52 + length * np.sin(angle + bend))
        draw.line([(x * s, y * s) for x, y in (inner, outer)], fill=255, width=max(1, round(0.0016 * s)))


def _bag(draw: ImageDraw.ImageDraw, s: float, random: np.random.Generator) -> None:
    draw.polygon([(x * s, y * s) for x, y in ((0.24, 0.44), (0.76, 0.44), (0.82, 0.88), (0.18, 0.88))], fill=255)
    draw.arc((0.34 * s, 0.18 * s, 0.66 * s, 0.72 * s), 180, 360, fill=255, width=round(0.022 * s))


def _sneaker(draw: ImageDraw.ImageDraw, s: float, random: np.random.Generator) -> None:
    outline = (
        (0.14, 0.68),
        (0.16, 0.46),
        (0.24, 0.4),
        (0.36, 0.44),
        (0.5, 0.56),
        (0.74, 0.62),
        (0.86, 0.7),
        (0.86, 0.76),
    )
    draw.polygon([(x * s, y * s) for x, y in outline] + [(0.14 * s, 0.76 * s)], fill=255)
    draw.rounded_rectangle((0.12 * s, 0.7 * s, 0.88 * s, 0.8 * s), 0.04 * s, fill=255)


PRODUCTS: dict[str, Draw] = {"bottle": _bottle, "mug": _mug, "box": _box, "toy": _toy, "bag": _bag, "sneaker": _sneaker}


# --- light and lens ----------------------------------------------------------------------------------------------------


def _coverage(outline: Draw, side: int, random: np.random.Generator) -> np.ndarray:
    large = Image.new("L", (side * OVERSAMPLING,) * 2)
    outline(ImageDraw.Draw(large), float(side * OVERSAMPLING), random)
    return np.asarray(large.resize((side, side), Image.Resampling.BOX), np.float32) / 255


def _surface(side: int, random: np.random.Generator) -> np.ndarray:
    """A coloured body in a light from one side, a band of another colour, a label with fine print."""
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side
    hue = random.uniform(0, 1)
    body = np.array(_rgb(hue, random.uniform(0.3, 0.9), random.uniform(0.45, 0.95)), np.float32)
    band = np.array(_rgb(hue + random.uniform(0.3, 0.7), 0.7, random.uniform(0.3, 0.95)), np.float32)
    color = np.broadcast_to(body, (side, side, 3)).copy()
    top = random.uniform(0.45, 0.6)
    color[(y > top) & (y < top + 0.18)] = band
    label = Image.new("L", (side, side))
    pen = ImageDraw.Draw(label)
    for line in range(5):
        start, end = 0.42, random.uniform(0.52, 0.58)
        pen.rectangle((start * side, (0.48 + 0.03 * line) * side, end * side, (0.49 + 0.03 * line) * side), fill=200)
    color += (1 - color) * (np.asarray(label, np.float32) / 255)[..., None]
    grain = _blurred(random.normal(0, 1, (side, side)).astype(np.float32), side / 1024 * 1.5)
    color *= 1 + 0.04 * (grain / grain.std())[..., None]
    light = 0.62 + 0.38 * np.cos((x - random.uniform(0.3, 0.6)) * 3.2)
    color = color * light[..., None] + 0.1 * np.exp(-(((x - 0.4) / 0.03) ** 2))[..., None]
    return color.clip(0, 1).astype(np.float32)


def _gloss(alpha: np.ndarray, side: int, random: np.random.Generator) -> np.ndarray:
    """What makes edges hard to find: a bright reflection along the rim on one side, a dark rim on the other."""
    from scipy.ndimage import distance_transform_edt

    depth = distance_transform_edt(alpha > 0.5).astype(np.float32) / side
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side - 0.5
    facing = np.cos(np.arctan2(y, x) - random.uniform(0, 2 * np.pi))
    inset, width = random.uniform(0.002, 0.01), random.uniform(0.002, 0.006)
    stripe = np.exp(-(((depth - inset) / width) ** 2))
    spots = _blurred(random.normal(0, 1, (side, side)).astype(np.float32), side / 1024 * 12)
    return stripe * (0.6 * facing.clip(0, 1) - 0.3 * (-facing).clip(0, 1)) + 0.5 * (spots > 2.5 * spots.std())


def _rgb(hue: float, saturation: float, value: float) -> tuple[float, float, float]:
    import colorsys

    return colorsys.hsv_to_rgb(hue % 1, saturation, value)


def _shadow(alpha: np.ndarray, side: int) -> np.ndarray:
    moved = np.roll(alpha, (round(0.02 * side), round(0.03 * side)), (0, 1))
    return _blurred(moved, 0.02 * side)


def _blurred(plane: np.ndarray, radius: float) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(plane, radius).astype(np.float32)


def _cover(picture: Image.Image, side: int) -> Image.Image:
    scale = side / min(picture.size)
    size = (max(side, round(picture.width * scale)), max(side, round(picture.height * scale)))
    large = picture.resize(size, Image.Resampling.BICUBIC)
    left, top = (size[0] - side) // 2, (size[1] - side) // 2
    # Upscaled small photographs are soft already: the look of a lens focused on what stands before them.
    return large.crop((left, top, left + side, top + side)).filter(ImageFilter.GaussianBlur(0.5))
