"""Renders the photos of a set of products, as a shop owner takes them one after the other: workflows/assets/skincare.

    python -m pip install bpy==4.5.0 pillow      # Python 3.11, a virtual environment of its own
    python tools/render_photos.py --out workflows/assets/skincare

A brand that does not exist, on grey paper in the light of a window. The camera's distance is each photo's own, so that the
heights in the photos say nothing of the real ones: 18, 6.5 and 11 cm. A unit is ten centimetres.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import bpy
import render_scenes
from PIL import Image, ImageDraw, ImageFont
from scenes import materials as m
from scenes import shapes as s
from scenes.camera import Frame, aim, set_up, view
from scenes.recipes import PALETTES
from scenes.stage import Stage

ROOT = Path(__file__).resolve().parent.parent
FONT = ROOT / "fonts" / "Pretendard-Bold.otf"
WIDTH, HEIGHT = 800, 1000  # pixels
QUALITY = 90
SAGE, CREAM, CLAY = "7d8f74", "ebe3d3", "b9653f"


def label(lines: list[tuple[str, float]], size: tuple[float, float], ink: str, ground: str | None) -> Image.Image:
    """Centred lines, each of a share of the height, on paper or on nothing; `size` in units."""
    width, height = (round(side * 600) for side in size)
    picture = Image.new("RGBA", (width, height), f"#{ground}" if ground else f"#{ink}00")
    draw = ImageDraw.Draw(picture)
    y = height * (1 - sum(share for _, share in lines) * 1.3) / 2
    for words, share in lines:
        font = ImageFont.truetype(str(FONT), round(height * share))
        draw.text((width / 2, y), words, f"#{ink}", font, anchor="ma")
        y += height * share * 1.3
    return picture


def printed(
    material: m.Material, picture: Image.Image, size: tuple[float, float], middle: float, radius: float
) -> None:
    """Lays `picture` on the side towards the camera, its middle at the height `middle`; radius 0: on a flat side."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "label.png"
        picture.save(file)
        image = bpy.data.images.load(str(file))
        image.pack()
    split = material.node("SeparateXYZ")
    material.link(material.node("TexCoord").outputs["Object"], split.inputs[0])
    across = split.outputs["X"]
    if radius:
        back = material.node("Math", operation="MULTIPLY")
        back.inputs[1].default_value = -1.0
        material.link(split.outputs["Y"], back.inputs[0])
        angle = material.node("Math", operation="ARCTAN2")
        material.link(across, angle.inputs[0])
        material.link(back.outputs[0], angle.inputs[1])
        across = angle.outputs[0]
    place = material.node("CombineXYZ")
    for value, name, scale, shift in (
        (across, "X", (radius or 1.0) / size[0], 0.5),
        (split.outputs["Z"], "Y", 1 / size[1], 0.5 - middle / size[1]),
    ):
        node = material.node("Math", operation="MULTIPLY_ADD")
        node.inputs[1].default_value, node.inputs[2].default_value = scale, shift
        material.link(value, node.inputs[0])
        material.link(node.outputs[0], place.inputs[name])
    texture = material.node("TexImage", image=image, extension="CLIP")
    material.link(place.outputs[0], texture.inputs[0])
    mixed = material.node("Mix", data_type="RGBA")
    material.link(texture.outputs["Alpha"], mixed.inputs[0])
    mixed.inputs[6].default_value = material.shader.inputs["Base Color"].default_value
    material.link(texture.outputs["Color"], mixed.inputs[7])
    material.link(mixed.outputs[2], material.shader.inputs["Base Color"])


def lotion() -> None:
    """A bottle with a pump."""
    body, dark = m.Material(SAGE, 0.32, Coat_Weight=0.25), m.Material("2c3029", 0.35)
    size = (0.62, 0.62)
    printed(body, label([("haru", 0.3), ("BODY LOTION", 0.1), ("250 ml", 0.09)], size, CREAM, None), size, 0.62, 0.36)
    s.lathe([(0, 0), (0.36, 0), (0.36, 1.08), (0.3, 1.2), (0.14, 1.26), (0, 1.26)], body)
    s.lathe([(0, 1.25), (0.17, 1.25), (0.17, 1.42), (0, 1.42)], dark)
    s.lathe([(0, 1.4), (0.045, 1.4), (0.045, 1.64), (0, 1.64)], dark)
    s.lathe([(0, 1.62), (0.15, 1.62), (0.15, 1.77), (0.1, 1.8), (0, 1.8)], dark)
    turn = math.radians(215)  # of the spout, from x: to the front left
    s.box((0.42, 0.13, 0.09), dark, (0.19 * math.cos(turn), 0.19 * math.sin(turn), 1.72), (0, 0, turn), 0.03)


def cream() -> None:
    """A low jar with a wooden lid."""
    glass = m.Material(CLAY, 0.22, Coat_Weight=0.4)
    size = (0.7, 0.26)
    printed(glass, label([("haru", 0.46), ("FACE CREAM", 0.2)], size, CREAM, None), size, 0.22, 0.42)
    s.lathe([(0, 0), (0.42, 0), (0.42, 0.43), (0, 0.43)], glass)
    s.lathe([(0, 0.42), (0.43, 0.42), (0.43, 0.65), (0, 0.65)], m.wood(random.Random("lid"), "oak"))


def soap() -> None:
    """A carton with a paper band."""
    card = m.paint(CREAM, 0.6)
    size = (0.78, 0.5)
    printed(card, label([("haru", 0.38), ("GREEN TEA SOAP", 0.13)], size, "f6f1e6", SAGE), size, 0.0, 0.0)
    s.box((0.78, 0.42, 1.1), card, (0, 0, 0.55), (0, 0, math.radians(24)), 0.015)


# What builds it, and the units that the picture's height covers.
PRODUCTS: dict[str, tuple[Callable[[], None], float]] = {
    "1 lotion": (lotion, 2.7),
    "2 cream": (cream, 1.35),
    "3 soap": (soap, 1.9),
}


def make(name: str, args: argparse.Namespace) -> None:
    build, tall = PRODUCTS[name]
    with render_scenes.quiet():
        bpy.ops.wm.read_factory_settings(use_empty=True)
        stage = Stage(random.Random(name), next(iter(PALETTES.values())), 292, 48, down=13.0, aperture=0.03)
        paper = m.paint("c9c8c4", 0.8)
        stage.table(paper)
        stage.wall(paper, y=stage.back - 0.1)
        stage.world("eef1f5", 0.55)
        stage.soft(430, 2.6)
        stage.extra(75, 30, 60, 3.0, (1.0, 0.98, 0.95))
        build()
        set_up(args.samples, 1, args.threads)
        bpy.context.scene.view_settings.view_transform = "Khronos PBR Neutral"
        bpy.context.scene.view_settings.exposure = args.exposure
        frame = Frame(name, round(WIDTH * args.scale), round(HEIGHT * args.scale), tall, 0.84, 0.0)
        aim(frame, view(frame, stage, 1), stage)
        master = args.out / f"{name}.png"
        render_scenes.render(master)
    with Image.open(master) as picture:
        picture.convert("RGB").save(args.out / f"{name}.jpg", quality=QUALITY, optimize=True)
    master.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=list(PRODUCTS), choices=list(PRODUCTS))
    parser.add_argument("--samples", type=int, default=48)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--exposure", type=float, default=0.65, help="stops")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.only:
        make(name, args)


if __name__ == "__main__":
    main()
