"""The stage that a set is built on: light, ground, what is on which side, and the truth about it."""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

import bpy
import numpy as np
from mathutils import Vector

from . import materials as m
from . import props
from . import shapes as s

BACK = 3.6  # where a table ends, in units behind the product
# Azimuth and elevation in degrees; azimuth clockwise as seen in the picture, 0 from behind, 90 from the right.
LIGHTS = {
    "behind": (0, 46),
    "right behind": (48, 42),
    "right": (90, 42),
    "right front": (132, 44),
    "front": (172, 52),
    "left front": (228, 44),
    "left": (270, 42),
    "left behind": (312, 42),
}


def direction(azimuth: float, elevation: float) -> Vector:
    """The unit vector to the light."""
    a, e = math.radians(azimuth), math.radians(elevation)
    return Vector((math.sin(a) * math.cos(e), math.cos(a) * math.cos(e), math.sin(e)))


@dataclass
class Stage:
    rng: random.Random
    palette: props.Palette
    azimuth: float
    elevation: float
    back: float = BACK  # y where the ground ends
    top: float = 0.0  # z of what a product stands on
    support: list[tuple[float, float, float]] = field(default_factory=list)  # corners of where it may stand
    aperture: float = 0.16  # of the lens, in units: how blurred the background is
    key: float = 0.30  # log-average brightness that the exposure aims at
    brightest: float = 1.0  # linear value that 99 % of the picture stay under
    bright: float = 0.62  # mean brightness of the finished picture in sRGB, at least; 0: as it is, for dark scenes
    down: float = 15.5  # degrees that the camera looks down on the product

    @property
    def to_light(self) -> Vector:
        return direction(self.azimuth, self.elevation)

    # --- light

    def soft(self, energy: float = 520, size: float = 2.2, color=(1.0, 0.95, 0.88), far: float = 7.5) -> None:
        """The key: a square soft box."""
        data = bpy.data.lights.new("key", "AREA")
        data.energy, data.size, data.color = energy, size, color
        self._lamp(data, self.to_light, far)

    def sun(self, strength: float = 3.6, angle: float = 1.2, color=(1.0, 0.93, 0.82)) -> None:
        data = bpy.data.lights.new("sun", "SUN")
        data.energy, data.angle, data.color = strength, math.radians(angle), color
        self._lamp(data, self.to_light, 9)

    def extra(self, azimuth: float, elevation: float, energy: float, size: float, color) -> None:
        data = bpy.data.lights.new("extra", "AREA")
        data.energy, data.size, data.color = energy, size, color
        self._lamp(data, direction(azimuth, elevation), 8)

    def strip(self, azimuth: float, elevation: float, energy: float, color) -> None:
        """An upright strip light that draws edges. No floor mirrors it: that would be a white blot."""
        data = bpy.data.lights.new("strip", "AREA")
        data.shape, data.size, data.size_y = "RECTANGLE", 0.7, 4.5
        data.energy, data.color = energy, color
        self._lamp(data, direction(azimuth, elevation), 8).visible_glossy = False

    def pool(self, at: tuple[float, float, float], aim: tuple[float, float, float], energy: float, color) -> None:
        """A round pool of light: a spot at `at`, hidden from the camera by the product's ground, turned to `aim`."""
        data = bpy.data.lights.new("pool", "SPOT")
        data.energy, data.color, data.spot_size, data.spot_blend = energy, color, math.radians(150), 1.0
        data.shadow_soft_size = 0.3
        lamp = bpy.data.objects.new("lamp", data)
        way = Vector(at) - Vector(aim)
        lamp.location, lamp.rotation_euler = at, way.to_track_quat("Z", "Y").to_euler()
        lamp.visible_glossy = False
        bpy.context.scene.collection.objects.link(lamp)

    @staticmethod
    def _lamp(data, way: Vector, far: float):
        lamp = bpy.data.objects.new("lamp", data)
        lamp.location, lamp.rotation_euler = way * far, way.to_track_quat("Z", "Y").to_euler()
        bpy.context.scene.collection.objects.link(lamp)
        return lamp

    def world(self, color: str = "e6ebf0", strength: float = 0.4, above: str | None = None) -> None:
        """Even light all around, or a gradient from `color` at the horizon to `above`."""
        world = bpy.data.worlds.new("world")
        bpy.context.scene.world = world
        world.use_nodes = True
        tree, background = world.node_tree, world.node_tree.nodes["Background"]
        background.inputs[0].default_value, background.inputs[1].default_value = m.linear(color), strength
        if above:
            source = tree.nodes.new("ShaderNodeTexCoord")
            split, ramp = tree.nodes.new("ShaderNodeSeparateXYZ"), tree.nodes.new("ShaderNodeValToRGB")
            tree.links.new(source.outputs["Generated"], split.inputs[0])
            tree.links.new(split.outputs["Z"], ramp.inputs["Fac"])
            ramp.color_ramp.elements[0].color, ramp.color_ramp.elements[1].color = m.linear(color), m.linear(above)
            ramp.color_ramp.elements[1].position = 0.5
            tree.links.new(ramp.outputs["Color"], background.inputs[0])

    # --- ground and walls

    def table(self, material, thick: float = 0.35, front: float = -9.0) -> None:
        s.box((44, self.back - front, thick), material, (0, (self.back + front) / 2, -thick / 2), bevel=0.05)
        self.stand_on((-7, -1.6), (7, self.back - 0.6))

    def wall(self, material, y: float = 7.0):
        return s.plane(90, 40, material, (0, y, 8), (math.pi / 2, 0, 0))

    def stand_on(self, near: tuple[float, float], far: tuple[float, float], z: float = 0.0) -> None:
        self.top = z
        self.support = [(near[0], near[1], z), (far[0], near[1], z), (far[0], far[1], z), (near[0], far[1], z)]

    def podium(self, material, shape: str = "round", radius: float = 1.3, height: float = 0.4) -> None:
        if shape == "round":
            s.lathe([(0, 0), (radius, 0), (radius, height), (0, height)], material, sides=128)
            angles = np.linspace(0, 2 * math.pi, 24, endpoint=False)
            self.support = [(0.88 * radius * math.cos(a), 0.88 * radius * math.sin(a), height) for a in angles]
        else:
            s.box((radius * 2, radius * 1.7, height), material, (0, 0, height / 2), bevel=0.025)
            edge = 0.92 * radius
            self.stand_on((-edge, -edge * 0.85), (edge, edge * 0.85))
            self.support = [(x, y, height) for x, y, _ in self.support]
        self.top = height

    # --- what dresses it

    @contextlib.contextmanager
    def side(self, side: int) -> Iterator[None]:
        """Marks what is built inside: -1 left, +1 right; wide formats hide what is on the words' side."""
        before = set(bpy.data.objects)
        yield
        for thing in set(bpy.data.objects) - before:
            thing["side"] = side

    def dress(self, left: str | None, right: str | None, z: float = 0.0, apart: float = 1.75) -> None:
        """Props left and right of where the product stands, a little behind it."""
        for side, name in ((-1, left), (1, right)):
            if name:
                with self.side(side):
                    x = side * (apart + self.rng.uniform(-0.1, 0.2))
                    props.dress(name, self.rng, (x, self.rng.uniform(0.7, 1.4), z), self.palette)

    def shade(self, kind: str, soft: float = 1.0) -> None:
        """A window or leaves between the sun and the stage, which only its light meets."""
        way = self.to_light
        centre = way * 10 + Vector((0, 1.0, 1.2))
        turn = way.to_track_quat("Z", "Y").to_euler()
        dark = m.Material("050505", 1.0)
        grown = {"leaves": _leaves, "palm": _palm}
        thing = grown[kind](self.rng, dark) if kind in grown else _frame(kind, dark)
        thing.location, thing.rotation_euler = centre, turn
        thing.visible_camera = thing.visible_diffuse = thing.visible_glossy = False


def _leaves(rng: random.Random, material):
    leaves = s.Leaves()
    for _ in range(22):
        x, y = rng.uniform(-6, 6), rng.uniform(-5, 5)
        if abs(x) < 1.2 and abs(y) < 1.0:
            continue
        heading = rng.uniform(0, 6.3)
        for i in range(11):
            along = i * 0.34
            for side in (-1, 1):
                angle = heading + side * rng.uniform(0.5, 1.1)
                root = (x + along * math.cos(heading), y + along * math.sin(heading), 0.0)
                leaves.add(root, (math.cos(angle), math.sin(angle), 0), (rng.uniform(0.7, 1.0), 0.36), 0.0, pointed=0.8)
    return leaves.put(material)


def _palm(rng: random.Random, material):
    leaves = s.Leaves()
    for x, y, heading in ((-4.5, 3.0, -0.5), (4.6, -1.0, 2.7), (-3.5, -4.0, 0.7)):
        for i in range(26):
            along = i * 0.2
            root = (x + along * math.cos(heading), y + along * math.sin(heading), 0.0)
            for side in (-1, 1):
                angle = heading + side * (1.15 - 0.02 * i)
                leaves.add(root, (math.cos(angle), math.sin(angle), 0), (1.9 - 0.05 * i, 0.17), 0.0)
    return leaves.put(material)


def _frame(kind: str, material):
    """A wall with panes left open: `panes` two by two, `blinds` many thin ones."""
    if kind == "panes":
        xs = [-30, -2.6, -0.1, 0.1, 2.6, 30]
        ys = [-30, -3.0, -0.1, 0.1, 3.0, 30]
        open_ = {(i, j) for i in (1, 3) for j in (1, 3)}
    else:
        xs = [-30, -3.4, 3.4, 30]
        ys = [-30, *[-3.2 + 0.4 * i for i in range(17)], 30]
        open_ = {(1, j) for j in range(1, 17, 2)}
    vertices: list[tuple[float, float, float]] = []
    faces = []
    for i in range(len(xs) - 1):
        for j in range(len(ys) - 1):
            if (i, j) not in open_:
                b = len(vertices)
                vertices += [(xs[i], ys[j], 0), (xs[i + 1], ys[j], 0), (xs[i + 1], ys[j + 1], 0), (xs[i], ys[j + 1], 0)]
                faces.append((b, b + 1, b + 2, b + 3))
    return s.put(vertices, faces, material)
