"""Small things that dress a scene: (rng, place, palette) -> objects at `place`, the point where they touch the ground."""

from __future__ import annotations

import math
import random
from typing import NamedTuple

import numpy as np

from . import materials as m
from . import shapes as s


class At(NamedTuple):
    x: float
    y: float
    z: float

    def by(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> At:
        return At(self.x + x, self.y + y, self.z + z)


class Palette(NamedTuple):
    name: str
    wall: str  # pale
    accent: str  # stronger, of the same family


GREENS = ("3f6b34", "557f3f", "2f5a35", "6f9350", "87a06a")


def oranges(rng, at, palette):
    _fruit(rng, at, ("e07414", "d9660e"), 0.42, 3)


def lemons(rng, at, palette):
    _fruit(rng, at, ("edc524", "e6b914"), 0.34, 3)


def apples(rng, at, palette):
    _fruit(rng, at, ("a8221f", "bd3a24", "8fa03a"), 0.38, 3)


def _fruit(rng, at, colors, radius, count):
    spots = [(0, 0), (radius * 1.9, 0.25), (radius * 0.7, -radius * 1.7)][:count]
    for x, y in spots:
        r = radius * rng.uniform(0.88, 1.06)
        skin = m.Material(rng.choice(colors), 0.34, Subsurface_Weight=0.08)
        skin.bump(skin.texture("Noise", skin.place(), Scale=22.0), 0.12, 0.02)
        s.ball(r, skin, at.by(x, y, r * 0.97), 0.96, 0.03, rng.randrange(999))
    leaves = s.Leaves()
    for _ in range(2):
        leaves.add((0, 0, 0), (rng.uniform(-1, 1), rng.uniform(-1, 0.4), 0.35), (0.55, 0.26), 0.3)
    leaves.put(m.leafy("3d6a2e"), at.by(0, 0, radius * 1.93))


def branch(rng, at, palette, color: str | None = None):
    """A twig that lies on the ground, leaves in pairs along it (eucalyptus, olive)."""
    color = color or rng.choice(("6f8f78", "54794a", "7f9a86", "47703f"))
    heading = rng.uniform(-0.5, 0.5) + (math.pi if at.x > 0 else 0)
    length = rng.uniform(1.7, 2.3)
    t = np.linspace(0, 1, 14)
    bend = rng.uniform(-0.5, 0.5)
    path = np.stack(
        [
            np.cos(heading + bend * t) * length * (t - 0.5),
            np.sin(heading + bend * t) * length * (t - 0.5),
            0.06 + 0.25 * np.sin(t * 3) * t,
        ],
        -1,
    )
    leaves = s.Leaves()
    for i in range(1, 14):
        for side in (-1, 1):
            angle = heading + bend * t[i] + side * rng.uniform(0.6, 1.1)
            size = rng.uniform(0.42, 0.62) * (1.1 - 0.5 * t[i])
            leaves.add(
                path[i],
                (math.cos(angle), math.sin(angle), rng.uniform(0.1, 0.6)),
                (size, size * 0.5),
                0.35,
                pointed=0.8,
            )
    leaves.put(m.leafy(color), at)
    stem = s.sweep(path, np.linspace(0.03, 0.012, 14), m.Material("6b5a3c", 0.7), 6)
    stem.location = at


def stones(rng, at, palette):
    for i in range(rng.randint(3, 5)):
        r = rng.uniform(0.18, 0.42)
        grey = m.concrete(rng, m.linear(rng.choice(("8b8883", "6a6967", "b9b3a8", "d6d0c6"))), 0.6)
        s.ball(
            r,
            grey,
            at.by(rng.uniform(-0.7, 0.7), rng.uniform(-0.5, 0.5) + 0.1 * i, r * 0.42),
            0.5,
            0.08,
            rng.randrange(999),
        )


def flowers(rng, at, palette):
    """A vase of tulips or daisies."""
    glaze = m.Material(rng.choice(("efebe3", palette.accent, "d8cdbb")), 0.25, Coat_Weight=0.4)
    s.turned(
        [
            (0, 0),
            (0.34, 0),
            (0.34, 0),
            (0.46, 0.35),
            (0.42, 0.8),
            (0.2, 1.1),
            (0.26, 1.32),
            (0.22, 1.32),
            (0.15, 1.1),
            (0, 0.4),
        ],
        glaze,
        at,
    )
    petal = m.leafy(rng.choice(("f3ede6", "eaa9b6", "f3cf63", "b99ad6", "ea8d6a")))
    stems, petals = s.Leaves(), s.Leaves()
    for _ in range(9):
        angle, lean = rng.uniform(0, 6.3), rng.uniform(0.1, 0.65)
        way = np.array([math.cos(angle) * lean, math.sin(angle) * lean, 1.0])
        tip = np.array([0, 0, 1.2]) + way * rng.uniform(0.7, 1.5)
        s.sweep(np.linspace([at.x, at.y, at.z + 1.1], np.array(at) + tip, 8), 0.022, m.Material("557f3f", 0.6), 6)
        for k in range(7):
            turn = k * 0.9 + angle
            petals.add(tip, (math.cos(turn), math.sin(turn), 0.9), (0.34, 0.24), -0.25)
        for _ in range(2):
            turn = rng.uniform(0, 6.3)
            stems.add(np.array([0, 0, 1.2]) + way * 0.3, (math.cos(turn), math.sin(turn), 0.8), (0.7, 0.2), 0.4)
    petals.put(petal, at)
    stems.put(m.leafy("557f3f"), at)


def plant(rng, at, palette):
    """A plant with broad leaves in a pot."""
    pot = m.paint(rng.choice(("efeae2", "c9724a", palette.accent, "4a4a48")), 0.6)
    s.lathe([(0, 0), (0.42, 0), (0.55, 0.8), (0.6, 0.8), (0.6, 0.95), (0.5, 0.95), (0.5, 0.85), (0, 0.85)], pot, at)
    leaves = s.Leaves()
    for i in range(26):
        angle, lean = i * 2.4, rng.uniform(0.25, 1.2)
        way = (math.cos(angle) * math.sin(lean), math.sin(angle) * math.sin(lean), math.cos(lean))
        leaves.add((0, 0, 0.9), way, (rng.uniform(0.9, 1.7), rng.uniform(0.3, 0.5)), 0.45 * math.sin(lean))
    leaves.put(m.leafy(rng.choice(GREENS)), at)


def grasses(rng, at, palette):
    """Dry pampas-like stalks in a narrow vase."""
    s.turned(
        [(0, 0), (0.3, 0), (0.32, 0.02), (0.42, 0.6), (0.16, 1.1), (0.16, 1.3), (0.2, 1.4), (0.14, 1.4), (0, 0.6)],
        m.Material("e8e0d2", 0.6),
        at,
    )
    fluff = s.Leaves()
    for _ in range(9):
        angle, lean = rng.uniform(0, 6.3), rng.uniform(0.1, 0.45)
        way = np.array([math.cos(angle) * lean, math.sin(angle) * lean, 1.0])
        start, end = np.array([0, 0, 1.3]), np.array([0, 0, 1.3]) + way * rng.uniform(1.3, 2.1)
        s.sweep(np.linspace(start, end, 6) + np.array(at), 0.015, m.Material("b89c6c", 0.8), 5)
        for _ in range(60):
            root = start + (end - start) * rng.uniform(0.55, 1.05)
            turn = rng.uniform(0, 6.3)
            fluff.add(root, (math.cos(turn) * 0.5, math.sin(turn) * 0.5, 1), (0.32, 0.05), 0.3)
    fluff.put(m.leafy("d9c4a0"), at)


def books(rng, at, palette):
    z = 0.0
    for _ in range(rng.randint(2, 4)):
        thick = rng.uniform(0.14, 0.26)
        cover = m.Material(rng.choice((palette.accent, palette.wall, "efe9dd", "31435a", "7b3b32", "3f5a4a")), 0.6)
        turn = (0, 0, rng.uniform(-0.25, 0.25))
        s.box((1.5, 1.05, thick), cover, at.by(0, 0, z + thick / 2), turn, 0.015)
        s.box((1.46, 1.04, thick * 0.72), m.Material("f4efe4", 0.9), at.by(0.035, -0.02, z + thick / 2), turn, 0.0)
        z += thick


def candle(rng, at, palette):
    for x, y, h in ((0, 0, 0.95), (0.62, 0.3, 0.6)):
        s.lathe(
            [(0, 0), (0.26, 0), (0.27, h), (0.2, h - 0.03), (0, h - 0.08)],
            m.Material("f3e6cd", 0.45, Subsurface_Weight=0.25),
            at.by(x, y),
        )
        s.ball(0.055, m.glow((1, 0.55, 0.16, 1), 45), at.by(x, y, h + 0.12), 2.4)


def beans(rng, at, palette):
    roast = m.Material("2b160c", 0.38)
    for _ in range(34):
        angle, far = rng.uniform(0, 6.3), abs(rng.gauss(0, 0.42))
        bean = s.ball(0.085, roast, at.by(far * math.cos(angle), far * math.sin(angle), 0.05), 0.62)
        bean.scale, bean.rotation_euler = (1.45, 1, 1), (rng.uniform(-0.4, 0.4), 0, rng.uniform(0, 6.3))


def cup(rng, at, palette):
    glaze = m.Material(rng.choice(("f2eee7", palette.accent, "3a3d40")), 0.25, Coat_Weight=0.3)
    s.lathe([(0, 0.02), (0.55, 0.02), (0.82, 0.12), (0.8, 0.16), (0.5, 0.08), (0, 0.08)], glaze, at)
    s.turned([(0, 0.1), (0.27, 0.1), (0.5, 0.4), (0.54, 0.72), (0.49, 0.72), (0.44, 0.42), (0, 0.22)], glaze, at)
    s.lathe([(0, 0.6), (0.49, 0.6)], m.Material("4a2a16", 0.15), at)
    t = np.linspace(-1.3, 1.3, 18)
    side = 1 if at.x > 0 else -1
    path = np.stack([at.x + side * (0.5 + 0.22 * np.cos(t)), np.full(18, at.y), at.z + 0.45 + 0.2 * np.sin(t)], -1)
    s.sweep(path, 0.05, glaze)


def bowl(rng, at, palette):
    glaze = m.Material(rng.choice(("ede7dc", palette.accent, "7d8b86")), 0.3)
    s.turned(
        [(0, 0), (0.35, 0), (0.36, 0.02), (0.38, 0.1), (0.75, 0.5), (0.85, 0.75), (0.8, 0.75), (0.68, 0.5), (0, 0.14)],
        glaze,
        at,
    )
    for i in range(9):
        r = rng.uniform(0.2, 0.27)
        fruit = m.Material(rng.choice(("b2262a", "8d1e2c", "d8562e")), 0.3)
        s.ball(
            r, fruit, at.by(0.38 * math.cos(i * 0.8), 0.38 * math.sin(i * 0.8), 0.62 + 0.12 * (i % 3)), 0.95, 0.02, i
        )


def board(rng, at, palette):
    """A round wooden board that leans on nothing: lying, with a sprig on it."""
    s.lathe([(0, 0), (0.95, 0), (0.95, 0.12), (0, 0.12)], m.wood(rng, "oak"), at)
    branch(rng, at.by(0, 0, 0.12), palette, "47703f")


def towels(rng, at, palette):
    cloth = m.linen(m.linear(rng.choice(("f1ece4", palette.wall, "d9cdbd"))))
    for x, z in ((-0.33, 0.33), (0.33, 0.33), (0, 0.88)):
        t = np.linspace(0, 6 * math.pi, 90)
        radius = 0.06 + 0.27 * t / t[-1]
        vertices = [
            (radius[i] * math.cos(t[i]), y, radius[i] * math.sin(t[i])) for i in range(90) for y in (-0.75, 0.75)
        ]
        roll = s.put(vertices, s.grid_faces(90, 2), cloth, True, at.by(x, 0, z))
        thick = roll.modifiers.new("thick", "SOLIDIFY")
        thick.thickness = 0.05


def bottles(rng, at, palette):
    for i, (x, y, h) in enumerate(((0, 0, 1.5), (0.6, 0.35, 1.05), (-0.55, 0.4, 0.75))):
        color = (palette.accent, "e9e4da", palette.wall)[i]
        body = m.Material(color, 0.25, Coat_Weight=0.3)
        s.lathe([(0, 0), (0.26, 0), (0.27, h * 0.68), (0.1, h * 0.8), (0.1, h * 0.9), (0, h * 0.9)], body, at.by(x, y))
        s.lathe([(0, h * 0.86), (0.13, h * 0.86), (0.13, h), (0, h)], m.Material("2e2b29", 0.35), at.by(x, y))


def spheres(rng, at, palette):
    for x, y, r in ((0, 0, 0.42), (0.75, -0.35, 0.24), (0.55, 0.6, 0.3)):
        tone = m.mix(m.linear(palette.wall), m.linear(palette.accent), rng.uniform(0.3, 1))
        s.ball(r, m.paint(tone, 0.45), at.by(x if at.x > 0 else -x, y, r))


def blocks(rng, at, palette):
    for x, y, h, w in ((0, 0.3, 1.5, 0.8), (0.75, -0.2, 0.7, 0.75)):
        tone = m.mix(m.linear(palette.wall), m.linear(palette.accent), rng.uniform(0.3, 1))
        s.box((w, w, h), m.paint(tone, 0.6), at.by(x if at.x > 0 else -x, y, h / 2), (0, 0, 0.1), 0.025)


def arch(rng, at, palette):
    tone = m.mix(m.linear(palette.wall), m.linear(palette.accent), 0.65)
    s.arch(m.paint(tone, 0.6), 2.0, 2.7, 0.42, 0.5, at.by(0, 0.9))


def stairs(rng, at, palette):
    tone = m.mix(m.linear(palette.wall), m.linear("ffffff"), 0.25)
    for i in range(3):
        s.box((1.7, 0.55, 0.35 * (i + 1)), m.paint(tone, 0.6), at.by(0, 0.55 * i, 0.175 * (i + 1)), bevel=0.02)


def cones(rng, at, palette):
    """Pine cones beside a fir twig."""
    for x, y in ((0, 0), (0.7, 0.3)):
        scales = s.Leaves()
        for i in range(60):
            t = i / 60
            angle, radius = i * 2.4, 0.3 * math.sin(math.pi * (0.12 + 0.86 * t)) ** 0.8
            root = (radius * 0.5 * math.cos(angle), radius * 0.5 * math.sin(angle), 0.06 + 0.62 * t)
            scales.add(root, (math.cos(angle), math.sin(angle), 0.5), (radius * 0.75, 0.17), -0.2)
        scales.put(m.Material("5a3d26", 0.75), at.by(x, y), (rng.uniform(-0.5, 0.5), rng.uniform(-0.5, 0.5), 0))
    fir(rng, at.by(0.2, -0.3), palette)


def fir(rng, at, palette):
    needles = s.Leaves()
    heading = rng.uniform(-0.4, 0.4) + (math.pi if at.x > 0 else 0)
    for arm in (-0.5, 0.0, 0.5):
        for i in range(60):
            t = i / 60
            root = np.array([math.cos(heading + arm), math.sin(heading + arm), 0.12]) * 1.3 * t + [0, 0, 0.06]
            for side in (-1, 1):
                angle = heading + arm + side * rng.uniform(0.5, 1.0)
                needles.add(root, (math.cos(angle), math.sin(angle), rng.uniform(-0.1, 0.7)), (0.3, 0.035), 0.1)
    needles.put(m.Material("2f5138", 0.55), at)


def shells(rng, at, palette):
    for _ in range(3):
        r = rng.uniform(0.2, 0.34)
        x, y = rng.uniform(-0.7, 0.7), rng.uniform(-0.4, 0.5)
        angles, rows = np.linspace(-1.15, 1.15, 60), np.linspace(0.02, 1, 16)
        turn = rng.uniform(0, 6.3)
        vertices = []
        for t in rows:
            for a in angles:
                rib = 1 + 0.035 * math.cos(a * 26)
                dome = 0.42 * math.cos(a) * (1 - (2 * t - 1) ** 2) ** 0.5 * rib
                px, py = r * t * math.sin(a) * rib, r * t * math.cos(a) * rib
                vertices.append(
                    (px * math.cos(turn) - py * math.sin(turn), px * math.sin(turn) + py * math.cos(turn), r * dome)
                )
        s.put(
            vertices,
            s.grid_faces(16, 60),
            m.Material(rng.choice(("f0dfc8", "e9c8b2", "f6efe4")), 0.4),
            True,
            at.by(x, y, 0.02),
        )


def petals(rng, at, palette):
    tone = m.leafy(rng.choice(("f3d9dc", "eeb6c0", "f6efe6")))
    scattered = s.Leaves()
    for _ in range(16):
        angle, far = rng.uniform(0, 6.3), abs(rng.gauss(0, 0.6))
        turn = rng.uniform(0, 6.3)
        root = (far * math.cos(angle), far * math.sin(angle), 0.03)
        scattered.add(root, (math.cos(turn), math.sin(turn), 0.15), (0.32, 0.24), -0.2, pointed=0.7)
    scattered.put(tone, at)


def fallen(rng, at, palette):
    for color in ("b5562a", "c98a2e", "8d3a22"):
        scattered = s.Leaves()
        for _ in range(9):
            angle, far, turn = rng.uniform(0, 6.3), abs(rng.gauss(0, 0.7)), rng.uniform(0, 6.3)
            root = (far * math.cos(angle), far * math.sin(angle), 0.05)
            scattered.add(root, (math.cos(turn), math.sin(turn), 0.25), (0.5, 0.32), 0.1, pointed=0.8)
        scattered.put(m.leafy(color), at)


def gifts(rng, at, palette):
    for x, y, w, h in ((0, 0.2, 1.0, 0.75), (0.75, -0.35, 0.65, 0.5)):
        place = at.by(x if at.x > 0 else -x, y)
        s.box(
            (w, w, h),
            m.paint(rng.choice((palette.accent, "efe6d8", "31533f")), 0.5),
            place.by(z=h / 2),
            (0, 0, 0.3),
            0.015,
        )
        ribbon = m.satin(m.linear(rng.choice(("b8923c", "e9dcc0", "9c2f34"))))
        s.box((w * 0.14, w * 1.01, h * 1.01), ribbon, place.by(z=h / 2), (0, 0, 0.3), 0.0)
        s.box((w * 1.01, w * 0.14, h * 1.012), ribbon, place.by(z=h / 2), (0, 0, 0.3), 0.0)
        for side in (-1, 1):
            t = np.linspace(0, 2 * math.pi, 24)
            loop = np.stack(
                [side * 0.17 * (1 - np.cos(t)) * w, 0.1 * np.sin(t) * w, 0.13 * np.abs(np.sin(t / 2)) * w], -1
            )
            s.sweep(loop + np.array(place.by(z=h + 0.02)), 0.035, ribbon, 8)


def pencils(rng, at, palette):
    s.lathe(
        [(0, 0), (0.36, 0), (0.36, 0.85), (0.32, 0.85), (0.32, 0.1), (0, 0.1)],
        m.paint(rng.choice(("efeae2", palette.accent, "3b3d42")), 0.5),
        at,
    )
    for i in range(6):
        angle = i * 1.05
        way = np.array([0.22 * math.cos(angle), 0.22 * math.sin(angle), 1.0])
        path = np.linspace(np.add(at, (0, 0, 0.15)), np.array(at) + way * rng.uniform(1.15, 1.5), 5)
        s.sweep(path, 0.055, m.Material(rng.choice(("e0b23a", "c8503c", "3f6f8f", "4f7a4a", "e9e4da")), 0.45), 6)


def laptop(rng, at, palette):
    shell = m.Material("b9bcc0", 0.3, Metallic=0.9)
    place = at.by(0, 0.6)
    s.box((2.3, 1.55, 0.08), shell, place.by(z=0.04), bevel=0.03)
    s.box((2.1, 0.75, 0.01), m.Material("26282b", 0.6), place.by(y=0.25, z=0.085), bevel=0.0)
    s.box((2.3, 0.06, 1.5), shell, place.by(y=0.95, z=0.78), (-0.28, 0, 0), 0.03)
    s.box(
        (2.15, 0.01, 1.35),
        m.glow(m.mix(m.linear(palette.wall), m.linear("dfe8f2"), 0.5), 0.7),
        place.by(y=0.91, z=0.78),
        (-0.28, 0, 0),
        0.0,
    )


def drops(rng, at, palette):
    for _ in range(26):
        r = rng.uniform(0.03, 0.09)
        s.ball(r, m.glass(), at.by(rng.uniform(-0.9, 0.9), rng.uniform(-0.8, 0.8), r * 0.45), 0.6)


def crate(rng, at, palette, color: str = "e07414"):
    """A slatted crate full of fruit."""
    slat = m.wood(rng, "ash")
    for z in (0.18, 0.5):
        for y in (-0.55, 0.55):
            s.box((1.7, 0.06, 0.24), slat, at.by(0, y, z), bevel=0.01)
        for x in (-0.85, 0.85):
            s.box((0.06, 1.1, 0.24), slat, at.by(x, 0, z), bevel=0.01)
    for x in (-0.8, 0.8):
        for y in (-0.5, 0.5):
            s.box((0.1, 0.1, 0.7), slat, at.by(x, y, 0.35), bevel=0.01)
    s.box((1.6, 1.0, 0.05), slat, at.by(0, 0, 0.1), bevel=0.0)
    skin = m.Material(color, 0.35)
    for i in range(5):
        for j in range(3):
            for level in range(2):
                r = rng.uniform(0.17, 0.2)
                place = at.by(-0.64 + 0.32 * i + 0.12 * level, -0.34 + 0.33 * j, 0.38 + 0.24 * level)
                s.ball(r, skin, place.by(rng.uniform(-0.04, 0.04), rng.uniform(-0.04, 0.04)), 0.95, 0.03, i)


def lamp(rng, at, palette):
    metal = m.Material("2b2b2d", 0.35, Metallic=0.6)
    s.lathe([(0, 0), (0.45, 0), (0.42, 0.1), (0, 0.12)], metal, at)
    s.sweep(np.array([at.by(z=0.05), at.by(z=1.2), at.by(z=2.2)]), 0.035, metal, 8)
    s.lathe([(0.75, 0), (0.36, 0.75), (0.33, 0.75), (0.72, 0)], m.leafy("f0dcb8"), at.by(z=1.9))
    s.ball(0.14, m.glow((1, 0.72, 0.4, 1), 14), at.by(z=2.15))


PROPS = {
    name: value
    for name, value in list(globals().items())
    if callable(value)
    and getattr(value, "__module__", "") == __name__
    and not name.startswith("_")
    and name[0].islower()
}


def dress(name: str, rng: random.Random, at: tuple[float, float, float], palette: Palette) -> None:
    PROPS[name](rng, At(*at), palette)
