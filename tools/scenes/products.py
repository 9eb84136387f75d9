"""Products whose matte is known, for tools/render_truth.py: what a cut-out finds easy, and what it does not."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from . import materials as m
from . import shapes as s
from .props import At

COLORS = ("b8232b", "2456a6", "2d7a45", "e0b02a", "efece6", "26262a", "e58a9c", "d9701f", "7d8b86", "c9b79c")


class Kind(NamedTuple):
    """A product: what makes it hard, and what builds it on the point where it stands."""

    sort: str
    build: Callable[[random.Random, At], None]


def carton(rng: random.Random, at: At) -> None:
    wide, deep, tall = rng.uniform(0.8, 1.2), rng.uniform(0.5, 0.8), rng.uniform(1.1, 1.8)
    first, second = rng.sample(COLORS, 2)
    turn = (0, 0, rng.uniform(-0.6, 0.6))
    s.box((wide, deep, tall), m.paint(first, 0.5), at.by(z=tall / 2), turn, 0.02)
    s.box((wide * 1.004, deep * 1.004, tall * 0.3), m.paint(second, 0.5), at.by(z=tall * 0.6), turn, 0.0)


def bottle(rng: random.Random, at: At) -> None:
    r, h = rng.uniform(0.34, 0.5), rng.uniform(1.3, 2.0)
    body = m.Material(rng.choice(COLORS), 0.25, Coat_Weight=0.3)
    s.lathe([(0, 0), (r, 0), (r, h * 0.68), (r * 0.4, h * 0.82), (r * 0.4, h * 0.9), (0, h * 0.9)], body, at)
    s.lathe([(0, h * 0.88), (r * 0.46, h * 0.88), (r * 0.46, h), (0, h)], m.Material(rng.choice(COLORS), 0.4), at)


def jar(rng: random.Random, at: At) -> None:
    r, h = rng.uniform(0.5, 0.7), rng.uniform(0.7, 1.0)
    s.lathe([(0, 0), (r, 0), (r, h * 0.7), (0, h * 0.7)], m.Material(rng.choice(COLORS), 0.3, Coat_Weight=0.3), at)
    s.lathe([(0, h * 0.7), (r * 1.03, h * 0.7), (r * 1.03, h), (0, h)], m.Material(rng.choice(COLORS), 0.35), at)


def tumbler(rng: random.Random, at: At) -> None:
    r, h = rng.uniform(0.42, 0.55), rng.uniform(1.0, 1.4)
    s.lathe([(0, 0), (r * 0.85, 0), (r, h), (r * 0.92, h), (r * 0.78, 0.14), (0, 0.14)], m.glass(), at)


def wineglass(rng: random.Random, at: At) -> None:
    k = rng.uniform(0.9, 1.15)
    outer = [(0, 0), (0.45, 0), (0.45, 0.03), (0.06, 0.09), (0.05, 0.8), (0.3, 0.95), (0.46, 1.25), (0.4, 1.75)]
    inner = [(0.37, 1.75), (0.43, 1.25), (0.27, 0.99), (0, 0.9)]
    s.turned([(x * k, z * k) for x, z in outer + inner], m.glass(), at)


def can(rng: random.Random, at: At) -> None:
    r, h = rng.uniform(0.36, 0.5), rng.uniform(1.1, 1.5)
    metal = m.Material("d5d7da", rng.uniform(0.12, 0.3), Metallic=1.0)
    s.lathe([(0, 0), (r * 0.88, 0), (r, 0.1), (r, h - 0.1), (r * 0.86, h), (0, h - 0.04)], metal, at)


def kettle(rng: random.Random, at: At) -> None:
    metal = m.Material(rng.choice(("d5d7da", "b98a5c", "3c3d40")), 0.18, Metallic=1.0)
    s.turned([(0, 0), (0.62, 0), (0.62, 0.05), (0.7, 0.5), (0.3, 0.95), (0, 1.0)], metal, at)
    t = np.linspace(0.15, math.pi - 0.15, 24)
    arc = np.stack([0.58 * np.cos(t), np.zeros(24), 0.75 + 0.6 * np.sin(t)], -1)
    s.sweep(arc + np.array(at), 0.05, metal)
    s.sweep(np.linspace([0.55, 0, 0.45], [1.0, 0, 0.95], 8) + np.array(at), np.linspace(0.12, 0.06, 8), metal)


def sack(rng: random.Random, at: At) -> None:
    cloth = m.linen(m.linear(rng.choice(("d9cdb8", "c9a878", "8d9a88", "efe9de", "6b5a4a"))))
    s.turned(
        [(0, 0), (0.55, 0), (0.7, 0.1), (0.72, 0.6), (0.5, 1.0), (0.2, 1.15), (0.42, 1.5), (0.2, 1.45), (0, 1.2)],
        cloth,
        at,
    )
    t = np.linspace(0, 2 * math.pi, 40)
    tie = np.stack([0.3 * np.cos(t), 0.3 * np.sin(t), np.full(40, 1.16)], -1)
    s.sweep(tie + np.array(at), 0.035, m.Material("7a5a3c", 0.9))


def folded(rng: random.Random, at: At) -> None:
    z = 0.0
    for _ in range(rng.randint(2, 4)):
        thick = rng.uniform(0.25, 0.36)
        cloth = m.linen(m.linear(rng.choice(("efe9de", "c9a878", "9fb0a0", "b98088", "5d6f8a"))))
        size = (rng.uniform(1.3, 1.5), rng.uniform(0.9, 1.0), thick)
        s.box(size, cloth, at.by(z=z + thick / 2), (0, 0, rng.uniform(-0.08, 0.08)), thick * 0.42)
        z += thick * 0.96


def mug(rng: random.Random, at: At) -> None:
    glaze = m.Material(rng.choice(COLORS), 0.28, Coat_Weight=0.3)
    h = rng.uniform(0.85, 1.1)
    s.lathe([(0, 0), (0.42, 0), (0.46, h), (0.4, h), (0.38, 0.1), (0, 0.1)], glaze, at)
    t = np.linspace(-1.4, 1.4, 20)
    side = rng.choice((-1, 1))
    ring = np.stack([side * (0.42 + 0.3 * np.cos(t)), np.zeros(20), h * 0.5 + 0.3 * np.sin(t)], -1)
    s.sweep(ring + np.array(at), 0.04, glaze)


def basket(rng: random.Random, at: At) -> None:
    straw = m.wood(rng, rng.choice(("oak", "ash", "cherry")))
    s.lathe([(0, 0), (0.5, 0), (0.68, 0.6), (0.62, 0.6), (0.46, 0.08), (0, 0.08)], straw, at)
    t = np.linspace(0, math.pi, 30)
    arc = np.stack([0.65 * np.cos(t), np.zeros(30), 0.58 + 0.85 * np.sin(t)], -1)
    s.sweep(arc + np.array(at), 0.028, straw)


def spectacles(rng: random.Random, at: At) -> None:
    frame = m.Material(rng.choice(("26262a", "7a4a24", "b98a5c", "b8232b")), 0.3, Metallic=0.4)
    t = np.linspace(0, 2 * math.pi, 48)
    for side in (-1, 1):
        rim = np.stack([side * 0.48 + 0.4 * np.cos(t), np.zeros(48), 0.38 + 0.36 * np.sin(t)], -1)
        s.sweep(rim + np.array(at), 0.03, frame)
        arm = np.array(
            [(side * 0.88, 0, 0.5), (side * 0.92, 0.7, 0.5), (side * 0.9, 1.3, 0.36), (side * 0.88, 1.5, 0.03)]
        )
        s.sweep(arm + np.array(at), 0.028, frame)
    s.sweep(np.array([(-0.08, 0, 0.46), (0, 0, 0.52), (0.08, 0, 0.46)]) + np.array(at), 0.03, frame)


KINDS = {
    "carton": Kind("solid", carton),
    "tumbler": Kind("glass", tumbler),
    "can": Kind("metal", can),
    "sack": Kind("fabric", sack),
    "mug": Kind("thin parts", mug),
    "bottle": Kind("solid", bottle),
    "wineglass": Kind("glass", wineglass),
    "kettle": Kind("metal", kettle),
    "folded": Kind("fabric", folded),
    "basket": Kind("thin parts", basket),
    "jar": Kind("solid", jar),
    "spectacles": Kind("thin parts", spectacles),
}
