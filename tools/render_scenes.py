"""Renders the scene bank: each scene once a format, its truth beside it. Stop it and run it again: it goes on.

    python -m pip install bpy==4.5.0 pillow      # Python 3.11, a virtual environment of its own
    nice -n 15 python tools/render_scenes.py --out models/scenes --work .build/scenes

Blender needs no display and no GPU. Pictures without loss stay in --work; a scene whose pictures are there only has its
truth written anew. A quick look: --only wood-1 --formats 1:1 --scale 0.25 --out .build/look --work .build/look
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import bpy
from PIL import Image, ImageStat
from scenes import truth
from scenes.camera import FRAMES, Frame, aim, expose, hide_words_side, set_up, view
from scenes.recipes import BUILDERS, PALETTES, RECIPES, Recipe
from scenes.stage import LIGHTS, Stage

QUALITY = 92  # of the WebP: lower, even walls show steps


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Blender writes about each render to the process's own stdout."""
    keep, null = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    try:
        yield
    finally:
        os.dup2(keep, 1)
        os.close(keep)
        os.close(null)


def build(recipe: Recipe) -> Stage:
    """The recipe's set in an empty scene of Blender. The same recipe builds the same set."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    azimuth, elevation = LIGHTS[recipe.light]
    rng = random.Random(recipe.id)
    stage = Stage(rng, PALETTES[recipe.palette], azimuth + rng.uniform(-8, 8), elevation + rng.uniform(-4, 4))
    BUILDERS[recipe.setting](stage, recipe.variant)
    stage.dress(recipe.left, recipe.right)
    stage.down = recipe.down or stage.down
    return stage


def scaled(frame: Frame, scale: float) -> Frame:
    return frame._replace(width=round(frame.width * scale), height=round(frame.height * scale))


def render(path: Path) -> None:
    scene = bpy.context.scene
    scene.render.image_settings.file_format, scene.render.image_settings.color_depth = "PNG", "8"
    unfinished = path.with_name("unfinished.png")
    scene.render.filepath = str(unfinished)
    bpy.ops.render.render(write_still=True)
    unfinished.replace(path)


def measured(stage: Stage, recipe: Recipe, known: dict, folder: Path) -> float:
    """The exposure that the scene has, or one measured on its square picture."""
    if "exposure" in known:
        bpy.context.scene.view_settings.view_transform = "Khronos PBR Neutral"
        bpy.context.scene.view_settings.exposure = known["exposure"]
        return known["exposure"]
    frame = FRAMES["1:1"]
    aim(frame, view(frame, stage, recipe.side), stage)
    probe = folder / "probe.exr"
    exposure = expose(stage, str(probe))
    probe.unlink()
    return exposure


def grade(master: Path, bright: float) -> float:
    """The gamma that brings a picture's mean brightness up to `bright`, no further than that looks natural."""
    with Image.open(master) as picture:
        mean = ImageStat.Stat(picture.convert("L")).mean[0] / 255
    return min(1.0, max(0.75, math.log(bright) / math.log(mean))) if bright else 1.0


def finished(master: Path, gamma: float) -> Image.Image:
    with Image.open(master) as picture:
        return picture.convert("RGB").point([round(255 * (level / 255) ** gamma) for level in range(256)] * 3)


def make(recipe: Recipe, args: argparse.Namespace) -> int:
    """Renders what is missing of a scene and writes its truth; the number of pictures rendered."""
    masters, folder = args.work / recipe.id, args.out / recipe.id
    masters.mkdir(parents=True, exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    path, count = folder / "scene.json", 0
    known = json.loads(path.read_text()) if path.exists() else {}
    with quiet():
        stage = build(recipe)
        set_up(args.samples, 1, args.threads)
        exposure = measured(stage, recipe, known, masters)
    record, gamma = truth.of_scene(recipe, stage, exposure), 0.0
    for name in args.formats:
        frame = scaled(FRAMES[name], args.scale)
        seen, master = view(frame, stage, recipe.side), masters / f"{frame.file}.png"
        if not master.exists():
            hide_words_side(frame, recipe.side)
            aim(frame, seen, stage)
            with quiet():
                render(master)
            count += 1
        gamma = gamma or grade(master, stage.bright)  # that of the first format, for all of them
        picture = finished(master, gamma)
        picture.save(folder / f"{frame.file}.webp", quality=QUALITY, method=6)
        record["formats"][name] = truth.of_format(frame, seen, stage, picture)
    path.write_text(json.dumps(record, indent=1) + "\n")
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the bank")
    parser.add_argument("--work", type=Path, required=True, help="folder of the pictures without loss")
    parser.add_argument("--only", nargs="*", help="ids of scenes, in this order; all where absent")
    parser.add_argument("--formats", nargs="*", default=list(FRAMES), choices=list(FRAMES))
    parser.add_argument("--samples", type=int, default=12)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    recipes = {recipe.id: recipe for recipe in RECIPES}
    unknown = sorted(set(args.only or ()) - set(recipes))
    if unknown:
        parser.error(f"--only: {', '.join(unknown)}: no recipe of that id")
    chosen = [recipes[name] for name in args.only or recipes]
    for number, recipe in enumerate(chosen, 1):
        begin = time.time()
        count = make(recipe, args)
        print(f"{number}/{len(chosen)} {recipe.id}: {count} pictures in {time.time() - begin:.0f} s", flush=True)


if __name__ == "__main__":
    main()
