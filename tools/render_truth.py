"""Renders fresh product scenes with their truth, for tests/bench/judge.py: what no planner and no cut-out has seen.

    nice -n 19 python tools/render_truth.py --out .build/truth --count 300      # as tools/render_scenes.py: bpy 4.5

Picture i depends on i alone: stop it and run it again, it goes on. Each gives four pictures and a JSON file:

    000012-empty.png    the scene as a customer's background, its longer side --size
    000012-shadow.png   the same with a product's shadow and without the product
    000012-photo.png    the product in the scene, as a shop owner photographs it
    000012-product.png  the product alone in even light, with its true alpha; the photo's camera
    000012-ground.png   what faces up at each place of the scene: 0 nothing, else 1 + its height in twentieths of a unit, + 60
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent))

import bpy
import numpy as np
import render_scenes
from mathutils import Vector
from PIL import Image
from scenes import products
from scenes.camera import FRAMES, Frame, View, aim, hide_words_side, set_up, view
from scenes.props import At
from scenes.recipes import PALETTES, PHRASES, RECIPES, SETTINGS, Recipe
from scenes.stage import LIGHTS, Stage

PHOTO_SIDE = 320  # pixels
GROUND_CELLS = 128  # of the longer side
STEP, LOWEST = 20, 60  # of what ground.png holds
UP = 0.93  # the z of a normal that something can stand on


class Job(NamedTuple):
    """What picture `index` shows."""

    index: int
    recipe: Recipe
    format: str
    product: str


def job(index: int) -> Job:
    """Settings, products and formats in turn, the rest drawn; no two of the counts share a divisor for long."""
    rng = random.Random(f"truth {index}")
    setting = list(SETTINGS)[index % len(SETTINGS)]
    of_setting = [recipe for recipe in RECIPES if recipe.setting == setting]
    left, right = (rng.choice([None, *PHRASES]) for _ in range(2))
    down = rng.uniform(20, 36) if rng.random() < 0.25 and any(recipe.down for recipe in of_setting) else None
    recipe = Recipe(
        f"truth-{index}",
        setting,
        rng.choice(of_setting).variant,
        rng.choice(list(PALETTES)),
        rng.choice(list(LIGHTS)),
        left,
        right,
        down,
    )
    return Job(index, recipe, list(FRAMES)[index % len(FRAMES)], list(products.KINDS)[index % len(products.KINDS)])


def stand_product(one: Job, stage: Stage) -> list:
    """The product's objects, where a product stands best."""
    before = set(bpy.data.objects)
    products.KINDS[one.product].build(random.Random(f"product {one.index}"), At(0, 0, stage.top))
    return [thing for thing in bpy.data.objects if thing not in before]


def extent(things: list) -> tuple[float, float]:
    """Units wide and high."""
    bpy.context.view_layer.update()
    corners = np.array([thing.matrix_world @ Vector(corner) for thing in things for corner in thing.bound_box])
    return float(np.abs(corners[:, 0]).max() * 2), float(np.ptp(corners[:, 2]))


def ground_of(frame: Frame) -> Image.Image:
    """What faces up, by rays from the camera; liquids hold nothing."""
    scene = bpy.context.scene
    for thing in bpy.data.objects:
        thing.hide_viewport = thing.hide_render or not thing.visible_camera
    bpy.context.view_layer.update()
    graph = bpy.context.evaluated_depsgraph_get()
    camera = scene.camera
    corners = [camera.matrix_world @ corner for corner in camera.data.view_frame(scene=scene)]
    right_top, _, left_low, left_top = (np.array(corner) for corner in corners)
    cells = GROUND_CELLS / max(frame.width, frame.height)
    columns, rows = round(frame.width * cells), round(frame.height * cells)
    origin = camera.matrix_world.translation
    out = np.zeros((rows, columns), np.uint8)
    for row in range(rows):
        for column in range(columns):
            x, y = (column + 0.5) / columns, (row + 0.5) / rows
            at = left_top + (right_top - left_top) * x + (left_low - left_top) * y
            hit, place, normal, _, thing, _ = scene.ray_cast(graph, origin, Vector(at) - origin)
            if hit and normal.z > UP and "liquid" not in thing:
                out[row, column] = np.clip(1 + round(place.z * STEP) + LOWEST, 1, 255)
    for thing in bpy.data.objects:
        thing.hide_viewport = False
    return Image.fromarray(out)


def even_light(things: list) -> None:
    """Everything else away, a white room and a soft light from the upper left, as product photographers set it."""
    scene = bpy.context.scene
    for thing in bpy.data.objects:
        thing.hide_render = thing not in things
    stage = Stage(random.Random(0), next(iter(PALETTES.values())), 330, 55)
    stage.world("ffffff", 0.7)
    stage.soft(320, 3.0, (1, 1, 1))
    scene.render.film_transparent = scene.cycles.film_transparent_glass = True
    scene.view_settings.exposure = 0
    scene.render.image_settings.color_mode = "RGBA"


def shoot(path: Path, frame: Frame, seen: View, stage: Stage) -> None:
    aim(frame, seen, stage)
    with render_scenes.quiet():
        render_scenes.render(path)


def make(one: Job, args: argparse.Namespace) -> None:
    """The pictures of a job, and last of all its truth."""
    name = f"{one.index:06d}"
    with render_scenes.quiet():
        stage = render_scenes.build(one.recipe)
        set_up(args.samples, one.index, args.threads)
        cycles = bpy.context.scene.cycles
        cycles.max_bounces = cycles.transmission_bounces = 10  # through both walls of a glass, and back
        exposure = render_scenes.measured(stage, one.recipe, {}, args.out)
    frame = FRAMES[one.format]
    frame = render_scenes.scaled(frame, args.size / max(frame.width, frame.height))
    seen = view(frame, stage, one.recipe.side)
    hide_words_side(frame, one.recipe.side)
    shoot(args.out / f"{name}-empty.png", frame, seen, stage)
    ground_of(frame).save(args.out / f"{name}-ground.png")
    things = stand_product(one, stage)
    for thing in things:
        thing.visible_camera = thing.visible_glossy = False
    shoot(args.out / f"{name}-shadow.png", frame, seen, stage)
    for thing in things:
        thing.visible_camera = thing.visible_glossy = True
    wide, tall = extent(things)
    close = Frame("photo", PHOTO_SIDE, PHOTO_SIDE, 1.5 * max(wide, tall), 0.85, 0.0)
    near = view(close, stage, one.recipe.side)
    shoot(args.out / f"{name}-photo.png", close, near, stage)
    even_light(things)
    shoot(args.out / f"{name}-product.png", close, near, stage)
    record = {
        "index": one.index,
        **{key: getattr(one.recipe, key) for key in ("setting", "variant", "palette")},
        "format": one.format,
        "product": one.product,
        "sort": products.KINDS[one.product].sort,
        "light": {"azimuth": round(stage.azimuth % 360, 1), "elevation": round(stage.elevation, 1)},
        "down": round(stage.down, 1),
        "exposure": exposure,
        "top": 1 + round(stage.top * STEP) + LOWEST,
        "podium": len(stage.support) > 4 or stage.top > 0.1,
        "horizon": round(seen.point(0, stage.back, 0)[1], 4),
        # A place of the photo -> the scene: stand + (place - photo_stand) * scale, in shares of each.
        "stand": list(seen.stand),
        "photo_stand": list(near.stand),
        "scale": [near.wide / seen.wide, near.tall / seen.tall],
    }
    (args.out / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--size", type=int, default=256, help="pixels of the scene's longer side")
    parser.add_argument("--samples", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    missing = [
        index for index in range(args.first, args.first + args.count) if not (args.out / f"{index:06d}.json").exists()
    ]
    for number, index in enumerate(missing, 1):
        begin = time.time()
        make(job(index), args)
        print(f"{number}/{len(missing)} picture {index} in {time.time() - begin:.1f} s", flush=True)


if __name__ == "__main__":
    main()
