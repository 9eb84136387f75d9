"""The sets outdoors."""

from __future__ import annotations

import math

import numpy as np

from . import materials as m
from . import shapes as s
from .stage import Stage

SUN = (1.0, 0.93, 0.82)


def _calm(x, y, radius: float = 1.0):
    """0 around where the product stands, 1 away from it."""
    return np.clip((np.hypot(x, y) - 0.5 * radius) / (1.3 * radius), 0, 1)


def _far_trees(stage: Stage, y: float, colors: tuple[str, ...], count: int = 26, tall: float = 5.0) -> None:
    """Crowns of leaves out of focus."""
    rng = stage.rng
    for i in range(count):
        leaves = s.Leaves()
        x, r = -20 + 40 * i / count + rng.uniform(-0.8, 0.8), rng.uniform(1.4, 2.8)
        for _ in range(170):
            root = (rng.gauss(0, r * 0.5), rng.gauss(0, r * 0.35), abs(rng.gauss(tall * 0.35, tall * 0.35)))
            turn = rng.uniform(0, 6.3)
            leaves.add(root, (math.cos(turn), math.sin(turn), rng.uniform(-0.5, 0.6)), (0.9, 0.55), 0.3)
        leaves.put(m.leafy(rng.choice(colors)), (x, y + rng.uniform(-1.5, 2.5), 0))


def beach(stage: Stage, variant: str) -> None:
    """Rippled sand, wet towards a sea with a line of surf, under a clear sky."""
    rng = stage.rng
    height = s.waves(rng, 0.10, 0.2, 1.2)
    sand = m.Material(rough=0.95)
    grain = sand.texture("Noise", sand.place(shift=m.anywhere(rng)), Scale=42.0, Detail=6.0, Roughness=0.8)
    patches = sand.texture("Noise", sand.place(shift=m.anywhere(rng)), Scale=1.1, Detail=4.0)
    base = sand.ramp(patches, (0.25, "dcb47c"), (0.75, "f0d29c"), into="")
    specks = sand.ramp(grain, (0.32, "8a6a42"), (0.5, "ffffff"), into="")
    sand.link(sand.blend("MULTIPLY", 0.35, base, specks), sand.shader.inputs["Base Color"])
    sand.bump(grain, 0.35, 0.03)
    turn = rng.uniform(0.9, 1.4)

    def dune(x, y):
        across = x * math.cos(turn) + y * math.sin(turn) + 0.35 * np.sin(x * 0.9)
        ripple = 0.05 * (1 - np.abs(np.sin(across * 3.0))) ** 1.4
        return (height(x, y) + ripple) * _calm(x, y) - 0.06 * np.clip(y - 5, 0, 9)

    s.relief(46, 26, dune, sand, 330, (0, 3, 0))
    sea = m.water("17788f", 0.16)
    s.plane(700, 400, sea, (0, 214, -0.45))["liquid"] = True
    foam = m.Material("f6f8f6", 0.8)
    edge = np.linspace(-45, 45, 220)
    wander = 0.5 * np.sin(edge * 0.5 + 1) + 0.25 * np.sin(edge * 1.3)
    for y, wide in ((12.6, 0.5), (14.6, 0.22), (18.0, 0.3)):
        line = [
            (float(x), float(y + w + d), -0.42 + (0.12 if d == 0 else 0))
            for x, w in zip(edge, wander)
            for d in (-wide, 0, wide)
        ]
        s.put(line, s.grid_faces(220, 3), foam, True)
    stage.sun(3.6, 1.0, SUN if variant != "sunset" else (1.0, 0.66, 0.42))
    if variant == "palm":
        stage.shade("palm")
    if variant == "sunset":
        stage.elevation = 24
        stage.world("ffc98f", 0.75, "6f86c0")
    else:
        stage.world("d6ecfa", 0.95, "2f7fd6")
    stage.back, stage.aperture, stage.key, stage.brightest, stage.down = 11.5, 0.14, 0.5, 1.3, 10.0
    stage.stand_on((-2.6, -1.2), (2.6, 2.2))


def grass(stage: Stage, variant: str) -> None:
    """A slab on a lawn, trees behind."""
    rng = stage.rng
    s.plane(120, 60, m.Material("4f7530", 0.95), (0, 10, 0))
    for color, count in (("5d8a30", 6400), ("7aa040", 5200), ("4a7628", 5200)):
        blades = s.Leaves()
        spread = np.random.default_rng(rng.randrange(9999))
        xs, ys = spread.uniform(-8.5, 8.5, count), -6.0 + 15.3 * spread.random(count) ** 1.6  # a story looks down to -5
        for x, y in zip(xs, ys):
            if abs(x) < 1.34 and abs(y) < 1.34:  # the slab lies there
                continue
            lean, turn = spread.uniform(0.05, 0.5), spread.uniform(0, 6.3)
            way = (math.cos(turn) * lean, math.sin(turn) * lean, 1.0)
            blades.add((x, y, -0.02), way, (spread.uniform(0.22, 0.42), 0.05), 0.25 * lean)
        blades.put(m.leafy(color))
    _far_trees(stage, 15, ("6f9440", "557d38", "8fae58", "a4bd62"))
    s.plane(120, 40, m.Material("8fae6a", 1.0), (0, 24, 4), (math.pi / 2, 0, 0))
    slab = m.wood(rng, "oak") if variant == "wood" else m.concrete(rng, m.linear("77736b"))
    stage.podium(slab, "round" if variant == "wood" else "square", 1.3, 0.3)
    stage.sun(3.8, 2.0, SUN)
    stage.world("eef6fa", 0.85, "6aa5e0")
    stage.back, stage.aperture, stage.key, stage.brightest = 9.0, 0.3, 0.25, 0.95


def garden_stone(stage: Stage, variant: str) -> None:
    """Stone steps with moss and bushes beside them."""
    rng = stage.rng
    stone = m.concrete(rng, m.linear("a39d92"), 0.9)
    for i in range(5):
        deep = 2.7
        y = -2.0 + deep * i
        for x in np.arange(-18, 18, 4.5):
            shift = x + (2.2 if i % 2 else 0)
            s.box(
                (4.48, deep - 0.04 + (6 if i == 0 else 0), 0.9),
                stone,
                (float(shift), y + deep / 2 - (3 if i == 0 else 0), -0.45 + 0.62 * max(0, i - 1)),
                (0, 0, rng.uniform(-0.006, 0.006)),
                0.05,
            )
    for side in (-1, 1):
        with stage.side(side):
            for color in ("4b7a35", "6f9440", "86a04d"):
                bush = s.Leaves()
                for _ in range(150):
                    root = (rng.gauss(0, 0.55), rng.gauss(0, 0.7), abs(rng.gauss(0.2, 0.4)))
                    turn = rng.uniform(0, 6.3)
                    bush.add(root, (math.cos(turn), math.sin(turn), rng.uniform(0.1, 1)), (0.5, 0.24), 0.4)
                bush.put(m.leafy(color), (side * 3.6, 2.0, 0.2))
    _far_trees(stage, 15, ("5f8440", "7d9a52", "98b06a"), tall=7)
    stage.sun(3.8, 2.2, SUN)
    stage.world("eaf2f6", 0.9, "7aaede")
    stage.stand_on((-3, -1.6), (3, 0.55))
    stage.back, stage.aperture, stage.key = 0.7, 0.2, 0.27


def snow(stage: Stage, variant: str) -> None:
    """Fresh snow, firs far behind, cold sky and warm sun."""
    rng = stage.rng
    height = s.waves(rng, 0.22, 0.15, 1.5)
    white = m.Material("f2f6fb", 0.5, Subsurface_Weight=0.25, Subsurface_Scale=0.12)
    grain = white.texture("Noise", white.place(), Scale=38.0, Detail=5.0, Roughness=0.75)
    white.bump(grain, 0.3, 0.025)
    s.relief(46, 30, lambda x, y: height(x, y) * _calm(x, y, 1.2), white, 260, (0, 4, 0))
    for i in range(24):
        x, y, tall = -22 + 44 * i / 24 + rng.uniform(-1, 1), rng.uniform(15, 24), rng.uniform(5, 9)
        tiers = s.Leaves()
        for level in range(26):
            z, r = 0.3 + level * tall / 28, (1 - level / 27) * tall * 0.22
            for _ in range(13):
                turn, long = rng.uniform(0, 6.3), r * rng.uniform(0.65, 1.15)
                tiers.add((0, 0, z), (math.cos(turn), math.sin(turn), -0.2), (long, long * 0.4), 0.25)
        tiers.put(m.Material(rng.choice(("2f4a42", "3c5a4e", "6d8580", "c9d6da")), 0.7), (x, y, 0))
    stage.sun(3.0, 1.6, (1.0, 0.88, 0.74))
    stage.world("f3e9e4" if variant == "dawn" else "e6eff8", 0.8, "7fa8dc")
    stage.back, stage.aperture, stage.key, stage.elevation, stage.bright = 14.0, 0.42, 0.55, 26, 0.72
    stage.stand_on((-2.2, -1.0), (2.2, 1.8))


def still_water(stage: Stage, variant: str) -> None:
    """A stone disc in shallow rippled water."""
    rng, palette = stage.rng, stage.palette
    surface = m.Material(
        m.mix(m.linear(palette.wall), m.linear(palette.accent), 0.35), 0.03, IOR=1.33, Specular_IOR_Level=0.9
    )
    vector = surface.place(shift=(0, 20, 0))  # the plane reaches 20 behind the disc
    rings = surface.texture(
        "Wave", vector, wave_type="RINGS", rings_direction="Z", Scale=0.55, Distortion=0.8, Detail=0.0
    )
    surface.bump(rings, 0.3, 0.2)
    s.plane(120, 60, surface, (0, 20, 0))["liquid"] = True  # nothing stands on it
    s.plane(
        160, 60, m.paint(m.mix(m.linear(palette.wall), m.linear("ffffff"), 0.35), 0.85), (0, 14, 6), (math.pi / 2, 0, 0)
    )
    stage.podium(m.concrete(rng, m.linear("c4beb4"), 0.7), "round", 1.35, 0.3)
    stage.soft(760, 2.0, (1.0, 0.96, 0.9))
    stage.world(palette.wall, 0.9)
    stage.back, stage.aperture, stage.key = 14.0, 0.1, 0.6
