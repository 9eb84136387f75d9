"""The sets indoors: each builds one setting on a stage. A set reads the recipe's `variant` for what differs inside it."""

from __future__ import annotations

import math

import numpy as np

from . import cloth
from . import materials as m
from . import shapes as s
from .props import At, Palette, crate, plant
from .stage import Stage

DAY = (1.0, 0.96, 0.91)
WARM = (1.0, 0.84, 0.66)


SHADES = ("leaves", "palm", "panes", "blinds")


def shaded_sun(stage: Stage, kind: str) -> None:
    """Low sun through leaves or a window that is out of the picture."""
    stage.elevation = 36
    stage.shade(kind)
    stage.sun(4.2, 1.4, (1.0, 0.9, 0.74))


def pale(palette: Palette, share: float = 0.35):
    return m.mix(m.linear(palette.wall), m.linear("f6f1e8"), share)


def backdrop(stage: Stage, y: float, things: int = 3) -> None:
    """A painted wall with pictures and a shelf far out of focus."""
    rng, palette = stage.rng, stage.palette
    stage.wall(m.paint(pale(palette, 0.15), 0.85), y)
    for side in (-1, 1):
        with stage.side(side):
            for _ in range(things // 2):
                tone = m.mix(m.linear(palette.wall), m.linear(rng.choice(("5b4633", "f0ece4", palette.accent))), 0.6)
                x, z = side * rng.uniform(2.4, 6.0), rng.uniform(2.2, 4.4)
                s.box((rng.uniform(1.2, 2.0), 0.12, rng.uniform(1.5, 2.6)), m.Material(tone, 0.7), (x, y - 0.1, z))


def wooden_table(stage: Stage, variant: str) -> None:
    stage.table(m.wood(stage.rng, variant or "oak"))
    backdrop(stage, 7.5)
    stage.soft(640, 2.4, DAY)
    stage.world("dfe6ee", 0.46)
    stage.brightest, stage.bright = 1.2, 0.64


def marble_counter(stage: Stage, variant: str) -> None:
    base, vein = {"black": ("1d1e20", "b9b4aa"), "green": ("27443a", "c9d2c4")}.get(variant, ("f1efec", "85878c"))
    stage.table(m.marble(stage.rng, base, vein))
    backdrop(stage, 4.4 if variant in SHADES else 7.5)
    if variant in SHADES:
        shaded_sun(stage, variant)
    else:
        stage.soft(520, 2.6, DAY)
    stage.world("e8edf2", 0.45)
    if variant in ("black", "green"):
        stage.key, stage.bright = 0.2, 0.0
    else:
        stage.key, stage.brightest, stage.bright = 0.38, 1.25, 0.67


def pastel_studio(stage: Stage, variant: str) -> None:
    """A sweep of paper behind a podium."""
    rng, palette = stage.rng, stage.palette
    t = np.linspace(0, math.pi / 2, 18)
    curve = [(-14.0, 0.0), (3.6, 0.0), *[(3.6 + 2.2 * math.sin(a), 2.2 - 2.2 * math.cos(a)) for a in t], (5.8, 24.0)]
    vertices = [(x, y, z) for y, z in curve for x in (-50, 50)]
    s.put(vertices, s.grid_faces(len(curve), 2), m.paint(m.linear(palette.wall), 0.8), True)
    tone = m.mix(m.linear(palette.wall), m.linear("ffffff"), rng.uniform(0.25, 0.6))
    material = {"marble": m.marble, "terrazzo": _chips}.get(variant)
    stage.podium(
        material(rng) if material else m.paint(tone, 0.5), "square" if variant == "square" else "round", 1.3, 0.45
    )
    if variant in SHADES:
        shaded_sun(stage, variant)
    else:
        stage.soft(560, 2.0, (1.0, 0.98, 0.95))
    stage.world("ffffff", 0.5)
    stage.back, stage.aperture, stage.key, stage.bright = 4.2, 0.05, 0.55, 0.70


def _chips(rng):
    return m.terrazzo(rng, "efe9e0", ("c98d6b", "8d9a94", "d9c7a8", "b0a59a", "5f6b6a"))


def concrete(stage: Stage, variant: str) -> None:
    rng = stage.rng
    stage.table(m.concrete(rng, m.linear("a3a19d")))
    stage.wall(m.concrete(rng, m.mix(m.linear("a5a39f"), m.linear(stage.palette.wall), 0.3)), 6.2)
    if variant == "block":
        stage.podium(m.concrete(rng, m.linear("8b8a87")), "square", 1.15, 0.32)
    if variant in SHADES:
        shaded_sun(stage, variant)
    else:
        stage.soft(700, 1.3, DAY)
    stage.world("dfe6ee", 0.34)
    stage.aperture, stage.key, stage.brightest, stage.bright = 0.1, 0.3, 1.2, 0.54


def tablecloth(stage: Stage, variant: str) -> None:
    """A table under linen in fine folds, or satin in wide ones, flat where the product stands."""
    rng, palette = stage.rng, stage.palette
    silk = variant == "satin"
    push = cloth.SATIN if silk else cloth.LINEN
    points = cloth.pushed(17, 11, 230, push._replace(turn=rng.choice((0.5, -0.5))), rng.randrange(9999))
    points[..., 1] += 0.2
    tone = m.linear(palette.wall) if silk else m.mix(m.linear("f0e8da"), m.linear(palette.wall), 0.55)
    weave = m.satin(tone) if silk else m.linen(tone)
    if variant == "checked":
        weave = m.checked(m.linear("f3ede2"), m.mix(m.linear(palette.accent), m.linear("ffffff"), 0.25))
    sheet = s.put(points.reshape(-1, 3).tolist(), s.grid_faces(230, 230), weave, True, (0, 0, 0.02))
    smooth = sheet.modifiers.new("smooth", "SUBSURF")
    smooth.levels = smooth.render_levels = 1
    stage.back = 5.6
    stage.table(m.wood(rng, "ash"))
    backdrop(stage, 8.5)
    stage.stand_on((-1.3, -1.0), (1.3, 1.1), 0.02)
    stage.elevation = min(stage.elevation, 36)  # low light shows the folds
    stage.soft(760, 1.7, DAY)
    stage.world("eef0f2", 0.36)
    stage.key, stage.brightest, stage.bright, stage.aperture = 0.42, 1.2, 0.66, 0.12


def window_light(stage: Stage, variant: str) -> None:
    """Low sun through panes, blinds or leaves, on a table and the wall close behind."""
    rng, palette = stage.rng, stage.palette
    table = m.wood(rng, "ash", gloss=0.55) if rng.random() < 0.4 else m.paint(pale(palette, 0.55), 0.5)
    stage.back = 2.9
    stage.table(table)
    stage.wall(m.paint(pale(palette, 0.3), 0.85), 3.3)
    stage.azimuth = 246 if stage.azimuth > 180 else 114  # from behind, the wall would shade all
    stage.elevation = 34
    stage.shade(variant or "panes")
    stage.sun(4.6, 1.1, (1.0, 0.86, 0.66))
    stage.world("cfdcea", 0.5)
    stage.aperture, stage.key = 0.05, 0.34


def cafe_night(stage: Stage, variant: str) -> None:
    """A dark table before a room of lamps, all of them out of focus; a warm pool of light for the product."""
    rng = stage.rng
    stage.table(m.wood(rng, "walnut", gloss=0.36))
    stage.wall(m.Material("3b2a20", 0.9), 17)
    for _ in range(60):
        color = rng.choice(((1, 0.55, 0.2, 1), (1, 0.7, 0.38, 1), (1, 0.42, 0.2, 1), (1, 0.8, 0.55, 1)))
        place = (rng.uniform(-11, 11), rng.uniform(9, 15), rng.uniform(0.6, 6.5))
        s.ball(rng.uniform(0.05, 0.12), m.glow(color, rng.uniform(14, 50)), place)
    for i in range(5):
        x = -8 + 4 * i + rng.uniform(-0.6, 0.6)
        s.box(
            (1.6, 0.3, rng.uniform(1.2, 2.2)),
            m.glow((1, 0.5, 0.22, 1), rng.uniform(0.12, 0.35)),
            (x, 16, rng.uniform(3, 5)),
        )
        s.box((0.14, 0.14, 7), m.Material("1d1510", 0.6), (x + 1.7, 13, 2))
    stage.soft(620, 1.6, WARM)
    stage.extra((stage.azimuth + 150) % 360, 30, 160, 2.5, (1.0, 0.6, 0.32))
    stage.world("5a4a44", 0.35)
    stage.aperture, stage.key, stage.brightest, stage.bright = 0.6, 0.14, 6.0, 0.0


def shop_shelf(stage: Stage, variant: str) -> None:
    """A counter before shelves of goods, out of focus."""
    rng, palette = stage.rng, stage.palette
    stage.table(m.wood(rng, variant or "oak"))
    stage.wall(m.paint(pale(palette, 0.1), 0.8), 9)
    shelf = m.wood(rng, "ash")
    tones = [palette.wall, palette.accent, "efe9dd", "d9cbb4", "7c8f86", "c77f56", "4d5f6d"]
    for row in range(5):
        z = 0.2 + row * 1.75
        s.box((40, 1.3, 0.14), shelf, (0, 8.3, z), bevel=0.01)
        x = -13.0
        while x < 13:
            wide, tall = rng.uniform(0.35, 0.8), rng.uniform(0.6, 1.35)
            finish = m.Material(rng.choice(tones), 0.35)
            if rng.random() < 0.6:
                s.lathe(
                    [
                        (0, 0),
                        (wide / 2, 0),
                        (wide / 2, tall * 0.75),
                        (wide / 5, tall * 0.85),
                        (wide / 5, tall),
                        (0, tall),
                    ],
                    finish,
                    (x, 8.2, z + 0.07),
                    sides=24,
                )
            else:
                s.box((wide, wide, tall), finish, (x, 8.2, z + 0.07 + tall / 2))
            x += wide + rng.uniform(0.08, 0.5)
        s.box((40, 0.06, 0.05), m.glow((1, 0.82, 0.6, 1), 3.0), (0, 8.8, z + 1.55), bevel=0.0)
    stage.soft(600, 2.2, DAY)
    stage.world("efe9e2", 0.4)
    stage.aperture, stage.key, stage.brightest, stage.bright = 0.34, 0.28, 1.3, 0.64


def kitchen(stage: Stage, variant: str) -> None:
    """A worktop before a tiled wall with a shelf of bowls and a pan."""
    rng, palette = stage.rng, stage.palette
    stage.table(m.marble(rng) if variant == "marble" else m.wood(rng, "oak"))
    stage.wall(m.tiles("f3f1ec" if variant != "color" else palette.wall, "cfcac2", (1.5, 0.75)), 5.6)
    s.box((30, 0.9, 0.14), m.wood(rng, "oak"), (0, 5.1, 4.2))
    for x in np.arange(-9, 9.5, 1.15):
        tone = rng.choice(("efe9df", palette.accent, palette.wall, "8a9a90", "3d4245"))
        r, h = rng.uniform(0.3, 0.5), rng.uniform(0.4, 1.1)
        s.lathe(
            [(0, 0), (r * 0.7, 0), (r, h), (r * 0.92, h), (0, 0.1)],
            m.Material(tone, 0.3),
            (float(x), 5.05, 4.27),
            sides=32,
        )
    for side in (-1, 1):
        with stage.side(side):
            plant(rng, At(side * 4.2, 3.0, 0), palette)
    stage.soft(620, 2.6, DAY)
    stage.world("e9eef2", 0.5)
    stage.aperture, stage.key, stage.brightest, stage.bright = 0.2, 0.37, 1.25, 0.68


def desk(stage: Stage, variant: str) -> None:
    stage.table(m.wood(stage.rng, variant or "ash"))
    backdrop(stage, 6.0, 4)
    s.box((40, 0.8, 0.12), m.wood(stage.rng, "oak"), (0, 5.5, 3.4))
    for x in np.arange(-12, 12, 0.34):
        tone = stage.rng.choice((stage.palette.accent, "efe9dd", "31435a", "7b3b32", "3f5a4a", "c9a35c"))
        h = stage.rng.uniform(0.9, 1.4)
        if stage.rng.random() < 0.8:
            s.box((0.26, 0.7, h), m.Material(tone, 0.6), (float(x), 5.4, 3.46 + h / 2), bevel=0.01)
    stage.soft(560, 2.2, DAY)
    stage.world("e3e8ee", 0.5)
    stage.aperture, stage.key, stage.brightest, stage.bright = 0.2, 0.34, 1.2, 0.66


def bathroom_shelf(stage: Stage, variant: str) -> None:
    """A stone shelf before glazed tiles."""
    rng, palette = stage.rng, stage.palette
    stage.back = 2.4
    stage.table(_chips(rng) if variant == "terrazzo" else m.marble(rng))
    stage.wall(m.tiles(palette.wall, "f2efe9", (0.8, 0.8) if variant == "terrazzo" else (0.7, 1.8)), 2.6)
    stage.soft(480, 2.0, DAY)
    stage.world("eef3f5", 0.55)
    stage.aperture, stage.key, stage.bright = 0.07, 0.38, 0.68


def dark_studio(stage: Stage, variant: str) -> None:
    """A dark floor, a pool of coloured light on the wall, and two lights from behind that draw every edge."""
    palette = stage.palette
    tint = m.mix(m.linear("26282d"), m.linear(palette.accent), 0.22)
    stage.table(m.Material(m.mix(m.linear("17181b"), m.linear(palette.accent), 0.12), 0.3))
    stage.wall(m.paint(tint, 0.85), 7.0)
    glow = m.mix(m.linear(palette.accent), m.linear("ffffff"), 0.25)[:3]
    stage.pool((0, 4.0, 0.2), (0, 7.0, 2.6), 900, glow)
    for azimuth in (50, 310):
        stage.strip(azimuth, 26, 300, (1.0, 0.98, 0.96))
    stage.soft(360, 1.4, (1.0, 0.97, 0.93))
    if variant == "podium":
        stage.podium(m.paint(m.mix(m.linear("4a4c52"), m.linear(palette.accent), 0.15), 0.42), "round", 1.35, 0.4)
    elif variant == "slab":
        stage.podium(m.concrete(stage.rng, m.linear("45464a"), 0.6), "square", 1.25, 0.3)
    stage.world("3a3f4a", 0.3)
    stage.aperture, stage.key, stage.brightest, stage.bright = 0.1, 0.15, 1.6, 0.0


def paper_window(stage: Stage, variant: str) -> None:
    """A low table before sliding doors of wooden lattice and paper, lit from behind (Korean: changho)."""
    rng = stage.rng
    stage.table(m.wood(rng, variant or "cherry", gloss=0.4))
    stage.wall(m.glow(m.mix(m.linear("fff3dc"), m.linear(stage.palette.wall), 0.2), 0.95), 6.3)
    frame = m.wood(rng, "walnut")
    for x in np.arange(-16, 16.1, 0.62):
        s.box((0.07, 0.09, 12), frame, (float(x), 6.1, 4), bevel=0.0)
    for z in (0.3, 0.75, 1.2, 2.7, 3.15, 3.6, 5.1, 5.55, 6.0):
        s.box((34, 0.09, 0.07), frame, (0, 6.08, z), bevel=0.0)
    for x in np.arange(-15, 15.1, 5.0):
        s.box((0.32, 0.2, 12), frame, (float(x), 6.0, 4), bevel=0.02)
    stage.soft(420, 2.6, (1.0, 0.92, 0.8))
    stage.world("f0e6d8", 0.3)
    stage.aperture, stage.key, stage.brightest = 0.07, 0.28, 1.6


def market_stall(stage: Stage, variant: str) -> None:
    """A counter of old boards, crates of fruit and a striped awning behind."""
    rng = stage.rng
    stage.table(m.wood(rng, variant or "grey", gloss=0.6))
    colors = ("e07414", "b3261f", "e2b923", "7a9a35", "8c2a3c", "5a8a3a")
    for row in range(2):
        for i in range(-5, 6):
            crate(rng, At(i * 2.0 + row, 5.6 + 2.0 * row, 0.3 + 0.9 * row), stage.palette, colors[(i + row * 2) % 6])
    s.box((40, 4, 0.3), m.wood(rng, "walnut"), (0, 6.6, 0.1))
    stage.wall(m.paint("4a4038", 0.9), 12)
    s.plane(44, 4.6, m.striped(stage.palette.accent, "f3ede2", 0.9), (0, 8.2, 5.2), (math.radians(-38), 0, 0))
    stage.soft(760, 2.6, (1.0, 0.93, 0.82))
    stage.world("dfe8f0", 0.55)
    stage.aperture, stage.key, stage.brightest = 0.3, 0.29, 1.3
