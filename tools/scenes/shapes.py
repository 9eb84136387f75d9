"""Meshes. A unit is about ten centimetres; x is right, y away from the camera, z up."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Sequence

import bpy
import numpy as np

from .materials import Material

Point = tuple[float, float, float]


def put(vertices, faces, material, smooth: bool = False, at: Point = (0, 0, 0), turn: Point = (0, 0, 0)):
    """An object of these vertices and faces, in the scene."""
    mesh = bpy.data.meshes.new("mesh")
    mesh.from_pydata([tuple(map(float, v)) for v in vertices], [], faces)
    if smooth:
        mesh.polygons.foreach_set("use_smooth", [True] * len(mesh.polygons))
    mesh.update()
    mesh.materials.append(material.data if isinstance(material, Material) else material)
    thing = bpy.data.objects.new("thing", mesh)
    thing.location, thing.rotation_euler = at, turn
    bpy.context.scene.collection.objects.link(thing)
    return thing


def grid_faces(rows: int, columns: int, closed: bool = False):
    """Quads of a grid of vertices in rows; `closed` joins the last column to the first."""
    last = columns if closed else columns - 1
    return [
        (i * columns + j, i * columns + (j + 1) % columns, (i + 1) * columns + (j + 1) % columns, (i + 1) * columns + j)
        for i in range(rows - 1)
        for j in range(last)
    ]


def turned(profile: Sequence[tuple[float, float]], material, at: Point = (0, 0, 0)):
    """A solid of revolution with flowing sides (a vase, a bowl): corners are cut twice (Chaikin 1974)."""
    points = list(profile)
    for _ in range(3):
        cut = [points[0]]
        for a, b in itertools.pairwise(points):
            cut += [tuple(p + (q - p) * share for p, q in zip(a, b)) for share in (0.25, 0.75)]
        points = [*cut, points[-1]]
    return _revolved(points, material, at, (0, 0, 0), 64)


def lathe(
    profile: Sequence[tuple[float, float]], material, at: Point = (0, 0, 0), turn: Point = (0, 0, 0), sides: int = 64
):
    """A solid of revolution from (radius, height) points, bottom to top, its corners bevelled."""
    return _revolved(_bevelled(profile), material, at, turn, sides)


def _revolved(points, material, at: Point, turn: Point, sides: int):
    angles = np.linspace(0, 2 * math.pi, sides, endpoint=False)
    vertices = [(r * math.cos(a), r * math.sin(a), z) for r, z in points for a in angles]
    return put(vertices, grid_faces(len(points), sides, closed=True), material, True, at, turn)


def _bevelled(profile: Sequence[tuple[float, float]], width: float = 0.03) -> list[tuple[float, float]]:
    points = [profile[0]]
    for before, (r, z), after in zip(profile, profile[1:], profile[2:]):
        ends = []
        for other in (before, after):
            length = math.hypot(other[0] - r, other[1] - z) or 1
            share = min(width, length * 0.35) / length
            ends.append((r + (other[0] - r) * share, z + (other[1] - z) * share))
        first, last = ends
        middle = ((first[0] + last[0] + 2 * r) / 4, (first[1] + last[1] + 2 * z) / 4)
        points += [first, middle, last]
    return [*points, profile[-1]]


def box(size: Point, material, at: Point, turn: Point = (0, 0, 0), bevel: float = 0.03):
    """A box around `at`, its edges rounded by `bevel`."""
    x, y, z = (s / 2 for s in size)
    vertices = [(a * x, b * y, c * z) for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)]
    faces = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    thing = put(vertices, faces, material, False, at, turn)
    if bevel:
        rounded = thing.modifiers.new("bevel", "BEVEL")
        rounded.width, rounded.segments = bevel, 3
    return thing


def ball(radius: float, material, at: Point, squash: float = 1.0, bumps: float = 0.0, seed: int = 0):
    """A sphere, squashed in z, its surface moved by up to `bumps` of the radius (stones, fruit)."""
    rows, sides = 24, 40
    tilt, around = np.meshgrid(
        np.linspace(-math.pi / 2, math.pi / 2, rows), np.linspace(0, 2 * math.pi, sides, endpoint=False), indexing="ij"
    )
    v = np.stack([np.cos(tilt) * np.cos(around), np.cos(tilt) * np.sin(around), np.sin(tilt)], -1)
    if bumps:
        rng = np.random.default_rng(seed)
        for frequency in (1.3, 2.6, 5.0):
            way, phase = rng.normal(size=(3, 3)), rng.uniform(0, 6.3, 3)
            v = v * (1 + bumps / frequency * np.sin(v @ way.T * frequency + phase).sum(-1, keepdims=True) / 2)
    v = v.reshape(-1, 3) * radius * [1, 1, squash]
    return put(v.tolist(), grid_faces(rows, sides, closed=True), material, True, at)


def plane(width: float, depth: float, material, at: Point = (0, 0, 0), turn: Point = (0, 0, 0)):
    x, y = width / 2, depth / 2
    return put([(-x, -y, 0), (x, -y, 0), (x, y, 0), (-x, y, 0)], [(0, 1, 2, 3)], material, False, at, turn)


def relief(width: float, depth: float, height: Callable, material, cells: int = 160, at: Point = (0, 0, 0)):
    """A grid with z = height(x, y)."""
    x, y = np.meshgrid(np.linspace(-width / 2, width / 2, cells), np.linspace(-depth / 2, depth / 2, cells))
    vertices = np.stack([x, y, height(x, y)], -1).reshape(-1, 3)
    return put(vertices.tolist(), grid_faces(cells, cells), material, True, at)


def waves(rng: random.Random, amount: float, low: float = 0.3, high: float = 2.5, terms: int = 14) -> Callable:
    """A smooth random height: a sum of sines, the higher the lower."""
    parts = [(rng.uniform(low, high), rng.uniform(0, 6.3), rng.uniform(0, 6.3)) for _ in range(terms)]
    return lambda x, y: sum(
        amount * 3 / terms / (0.4 + f) * np.sin(2 * f * (x * math.cos(a) + y * math.sin(a)) + p) for f, a, p in parts
    )


def sweep(path: np.ndarray, radius: float | np.ndarray, material, sides: int = 10):
    """A tube along points [N, 3]; radius may change along it."""
    path = np.asarray(path, float)
    along = np.gradient(path, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-9
    side = np.cross(along, [0.13, 0.2, 0.97])
    side /= np.linalg.norm(side, axis=1, keepdims=True) + 1e-9
    up = np.cross(side, along)
    angles = np.linspace(0, 2 * math.pi, sides, endpoint=False)
    radii = np.broadcast_to(np.asarray(radius, float), (len(path),))
    ring = side[:, None] * np.cos(angles)[None, :, None] + up[:, None] * np.sin(angles)[None, :, None]
    vertices = path[:, None] + ring * radii[:, None, None]
    return put(vertices.reshape(-1, 3).tolist(), grid_faces(len(path), sides, closed=True), material, True)


class Leaves:
    """Many leaves in one mesh: each a blade of seven cross-sections, folded along its rib and bent."""

    STEPS = 7
    T = np.linspace(0, 1, STEPS)
    ACROSS = np.array([-1.0, 0.0, 1.0])
    FACES = np.array([(a, a + 1, a + 4, a + 3) for i in range(STEPS - 1) for a in (i * 3, i * 3 + 1)])

    def __init__(self) -> None:
        self.blades: list[np.ndarray] = []  # [21, 3] each

    def add(
        self, root, way, size: tuple[float, float], bend: float = 0.3, up=(0.0, 0.0, 1.0), pointed: float = 1.0
    ) -> None:
        """A leaf from `root` along `way`; size = length, width; `bend` is how far the tip drops, as a share of length."""
        length, width = size
        way = np.asarray(way, float) / (np.linalg.norm(way) + 1e-9)
        side = np.cross(way, up)
        side = side / (np.linalg.norm(side) + 1e-9) if np.linalg.norm(side) > 1e-3 else np.array([1.0, 0, 0])
        normal = np.cross(side, way)
        half = width / 2 * np.clip(np.sin(np.pi * self.T ** (0.75 * pointed)), 0, 1) ** 0.8
        half[[0, -1]] = 0.004
        middle = np.asarray(root, float) + np.outer(self.T, way * length)
        middle[:, 2] -= bend * length * self.T**2
        offset = np.outer(self.ACROSS, side) + np.outer(0.35 * np.abs(self.ACROSS), normal)
        self.blades.append((middle[:, None] + half[:, None, None] * offset).reshape(-1, 3))

    def put(self, material, at: Point = (0, 0, 0), turn: Point = (0, 0, 0)):
        each = self.STEPS * len(self.ACROSS)
        faces = np.concatenate([self.FACES + each * index for index in range(len(self.blades))])
        return put(np.concatenate(self.blades).tolist(), faces.tolist(), material, True, at, turn)


def arch(material, width: float, height: float, thick: float, deep: float, at: Point):
    """A round arch: two legs and a half circle."""
    outer, inner = width / 2, width / 2 - thick
    straight = height - outer
    angles = np.linspace(0, math.pi, 40)
    path = [(1.0, -1.0), *[(math.cos(a), math.sin(a)) for a in angles], (-1.0, -1.0)]
    vertices = []
    for c, s in path:
        for r in (inner, outer):
            z = straight + s * r if s >= 0 else 0.0
            vertices += [(c * r, -deep / 2, z), (c * r, deep / 2, z)]
    faces = []
    for i in range(len(path) - 1):
        b = i * 4
        faces += [
            (b, b + 4, b + 6, b + 2),
            (b + 1, b + 3, b + 7, b + 5),
            (b, b + 1, b + 5, b + 4),
            (b + 2, b + 6, b + 7, b + 3),
        ]
    return put(vertices, faces, material, False, at)
