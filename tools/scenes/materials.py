"""Materials as short recipes of Blender's shader nodes. Colours are "rrggbb" in sRGB."""

from __future__ import annotations

import random

import bpy

Color = tuple[float, float, float, float]


def linear(code: str) -> Color:
    """ "rrggbb" in sRGB -> linear RGBA (IEC 61966-2-1)."""
    parts = [int(code[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return (r, g, b, 1.0)


def mix(a: Color, b: Color, share: float) -> Color:
    r, g, b_, _ = (x + (y - x) * share for x, y in zip(a, b))
    return (r, g, b_, 1.0)


class Material:
    """A Principled material, and methods that add to its node tree."""

    def __init__(self, color: Color | str = "cccccc", rough: float = 0.5, **inputs: float):
        self.data = bpy.data.materials.new("material")
        self.data.use_nodes = True
        self.tree = self.data.node_tree
        self.shader = self.tree.nodes["Principled BSDF"]
        self.set("Base Color", linear(color) if isinstance(color, str) else color)
        self.set("Roughness", rough)
        for name, value in inputs.items():
            self.set(name.replace("_", " "), value)

    def set(self, name: str, value) -> None:
        self.shader.inputs[name].default_value = value

    def node(self, kind: str, **settings):
        """A node; keyword arguments set its inputs (spaces as underscores) or, where it has no such input, properties."""
        node = self.tree.nodes.new("ShaderNode" + kind)
        for name, value in settings.items():
            spaced = name.replace("_", " ")
            if spaced in node.inputs:
                node.inputs[spaced].default_value = value
            else:
                setattr(node, name, value)
        return node

    def link(self, source, target) -> None:
        self.tree.links.new(source, target)

    def place(self, scale=(1, 1, 1), turn: float = 0.0, shift=(0, 0, 0)):
        """Object coordinates, scaled, turned about z (radians) and shifted."""
        source = self.node("TexCoord").outputs["Object"]
        mapping = self.node("Mapping", Scale=scale, Rotation=(0, 0, turn), Location=shift)
        self.link(source, mapping.inputs["Vector"])
        return mapping.outputs["Vector"]

    def texture(self, kind: str, vector, output: int = 0, **settings):
        node = self.node("Tex" + kind, **settings)
        self.link(vector, node.inputs["Vector"])
        return node.outputs[output]

    def ramp(self, value, *stops: tuple[float, Color | str], into: str = "Base Color"):
        """Colours over 0..1 of `value`."""
        node = self.node("ValToRGB")
        elements = node.color_ramp.elements
        while len(elements) < len(stops):
            elements.new(0.5)
        for element, (position, color) in zip(elements, stops):
            element.position = position
            element.color = linear(color) if isinstance(color, str) else color
        self.link(value, node.inputs["Fac"])
        if into:
            self.link(node.outputs["Color"], self.shader.inputs[into])
        return node.outputs["Color"]

    def blend(self, mode: str, share: float, a, b):
        node = self.node("Mix", data_type="RGBA", blend_type=mode)
        node.inputs[0].default_value = share
        self.link(a, node.inputs[6])
        self.link(b, node.inputs[7])
        return node.outputs[2]

    def bump(self, height, strength: float, distance: float = 0.05) -> Material:
        node = self.node("Bump", Strength=strength, Distance=distance)
        self.link(height, node.inputs["Height"])
        self.link(node.outputs["Normal"], self.shader.inputs["Normal"])
        return self


def anywhere(rng: random.Random) -> tuple[float, float, float]:
    return (rng.uniform(-50, 50), rng.uniform(-50, 50), rng.uniform(-50, 50))


WOODS = {
    "oak": ("8f6238", "b98a56", "d2a874"),
    "walnut": ("3a2214", "5c3a22", "7d5434"),
    "ash": ("c2a37a", "dcc4a0", "eadabf"),
    "cherry": ("6b3a20", "94562f", "b37446"),
    "dark": ("170d08", "2a1810", "40281a"),
    "grey": ("6b655d", "8d867c", "a9a297"),
}


def wood(rng: random.Random, tone: str, along: str = "x", gloss: float = 0.42) -> Material:
    """Rings stretched into grain, with fine pores along it."""
    dark, middle, light = WOODS[tone]
    material = Material(rough=gloss)
    scale = (0.16, 1.0, 1.0) if along == "x" else (1.0, 0.16, 1.0)
    vector = material.place(scale, rng.uniform(-0.02, 0.02), anywhere(rng))
    rings = material.texture("Noise", vector, Scale=1.5, Detail=3.0, Roughness=0.5, Distortion=1.4)
    bands = material.node("Math", operation="MULTIPLY")
    bands.inputs[1].default_value = 7.0
    material.link(rings, bands.inputs[0])
    wrapped = material.node("Math", operation="PINGPONG")
    wrapped.inputs[1].default_value = 1.0
    material.link(bands.outputs[0], wrapped.inputs[0])
    base = material.ramp(wrapped.outputs[0], (0.0, middle), (0.45, light), (1.0, middle), into="")
    thin = (0.5, 30.0, 1.0) if along == "x" else (30.0, 0.5, 1.0)
    pores = material.texture("Noise", material.place(thin, 0, anywhere(rng)), Scale=2.2, Detail=5.0, Roughness=0.7)
    fine = material.ramp(pores, (0.33, dark), (0.52, "ffffff"), into="")
    material.link(material.blend("MULTIPLY", 0.55, base, fine), material.shader.inputs["Base Color"])
    material.ramp(pores, (0.0, (gloss + 0.2,) * 3 + (1,)), (1.0, (gloss - 0.06,) * 3 + (1,)), into="Roughness")
    return material.bump(pores, 0.12, 0.02)


def marble(rng: random.Random, base: str = "f1efec", vein: str = "8a8c90") -> Material:
    """Thin dark veins: where a distorted noise crosses its middle, at two sizes, faded by a third noise."""
    material = Material(rough=0.14)
    vector = material.place((0.5, 0.8, 0.6), rng.uniform(0, 3), anywhere(rng))
    white = linear(base)
    layers = []
    for scale, width, shade in ((0.55, 0.016, vein), (1.3, 0.008, vein)):
        noise = material.texture("Noise", vector, Scale=scale, Detail=6.0, Roughness=0.55, Distortion=1.1)
        layers.append(
            material.ramp(
                noise,
                (0.5 - width * 4, white),
                (0.5, mix(white, linear(shade), 0.75)),
                (0.5 + width * 2, white),
                into="",
            )
        )
    clouds = material.texture("Noise", vector, Scale=0.7, Detail=3.0)
    tint = material.ramp(clouds, (0.35, mix(white, linear(vein), 0.16)), (0.65, "ffffff"), into="")
    both = material.blend("DARKEN", 0.65, layers[0], layers[1])
    material.link(material.blend("MULTIPLY", 1.0, both, tint), material.shader.inputs["Base Color"])
    return material


def concrete(rng: random.Random, color: Color, rough: float = 0.82) -> Material:
    material = Material(rough=rough)
    vector = material.place(shift=anywhere(rng))
    clouds = material.texture("Noise", vector, Scale=0.9, Detail=10.0, Roughness=0.62)
    stops = ((0.3, mix(color, linear("000000"), 0.22)), (0.7, mix(color, linear("ffffff"), 0.16)))
    base = material.ramp(clouds, *stops, into="")
    holes = material.texture("Voronoi", vector, Scale=5.0, Randomness=1.0)
    pores = material.ramp(holes, (0.03, mix(color, linear("000000"), 0.5)), (0.06, "ffffff"), into="")
    material.link(material.blend("MULTIPLY", 0.7, base, pores), material.shader.inputs["Base Color"])
    fine = material.texture("Noise", vector, Scale=9.0, Detail=8.0, Roughness=0.7)
    return material.bump(fine, 0.12, 0.03)


def terrazzo(rng: random.Random, base: str, chips: tuple[str, ...]) -> Material:
    """Stone chips: Voronoi cells whose random colour picks a chip or the ground."""
    material = Material(rough=0.22)
    vector = material.place(shift=anywhere(rng))
    distance = material.texture("Voronoi", vector, 0, Scale=4.2, Randomness=1.0)
    cell = material.texture("Voronoi", vector, 1, Scale=4.2, Randomness=1.0)
    split = material.node("SeparateColor")
    material.link(cell, split.inputs[0])
    stops = [(i / len(chips), chip) for i, chip in enumerate(chips)]
    colors = material.ramp(split.outputs[0], *stops, into="")
    colors.node.color_ramp.interpolation = "CONSTANT"
    shape = material.ramp(distance, (0.30, "ffffff"), (0.33, "000000"), into="")
    node = material.node("Mix", data_type="RGBA")
    material.link(shape, node.inputs[0])
    node.inputs[6].default_value = linear(base)
    material.link(colors, node.inputs[7])
    material.link(node.outputs[2], material.shader.inputs["Base Color"])
    return material


def linen(color: Color) -> Material:
    """Two crossed sets of threads, uneven as slubs are."""
    material = Material(color, 0.9, Sheen_Weight=0.35, Sheen_Roughness=0.4)
    uneven = material.texture("Noise", material.place((3, 3, 3)), Scale=6.0, Detail=4.0)
    stops = ((0.3, mix(color, linear("000000"), 0.10)), (0.7, mix(color, linear("ffffff"), 0.10)))
    material.ramp(uneven, *stops)
    threads = []
    for scale in ((60, 5, 5), (5, 60, 5)):
        threads.append(material.texture("Noise", material.place(scale), Scale=1.0, Detail=2.0))
    node = material.node("Math", operation="ADD")
    material.link(threads[0], node.inputs[0])
    material.link(threads[1], node.inputs[1])
    return material.bump(node.outputs[0], 0.35, 0.02)


def checked(color: Color, line: Color, every: float = 0.62) -> Material:
    """Linen with a woven check of thin lines, as tablecloths have it: it follows the folds and shows them."""
    material = linen(color)
    base = material.shader.inputs["Base Color"].links[0].from_socket
    split = material.node("SeparateXYZ")
    material.link(material.place((1 / every,) * 3), split.inputs[0])
    for axis in (0, 1):
        wrapped = material.node("Math", operation="PINGPONG")
        wrapped.inputs[1].default_value = 0.5
        material.link(split.outputs[axis], wrapped.inputs[0])
        thread = material.ramp(wrapped.outputs[0], (0.0, line), (0.07, "ffffff"), into="")
        thread.node.color_ramp.interpolation = "CONSTANT"
        base = material.blend("MULTIPLY", 0.75, base, thread)
    material.link(base, material.shader.inputs["Base Color"])
    return material


def satin(color: Color) -> Material:
    return Material(color, 0.34, Sheen_Weight=0.5, Anisotropic=0.5)


def paint(color: Color | str, rough: float = 0.55) -> Material:
    """A wall or podium with the slightest unevenness: dead flat surfaces look computed."""
    material = Material(color, rough)
    fine = material.texture("Noise", material.place(), Scale=14.0, Detail=3.0)
    return material.bump(fine, 0.035, 0.02)


def glow(color: Color | str, strength: float) -> bpy.types.Material:
    material = bpy.data.materials.new("glow")
    material.use_nodes = True
    emission = material.node_tree.nodes.new("ShaderNodeEmission")
    emission.inputs["Color"].default_value = linear(color) if isinstance(color, str) else color
    emission.inputs["Strength"].default_value = strength
    material.node_tree.links.new(emission.outputs[0], material.node_tree.nodes["Material Output"].inputs[0])
    return material


def leafy(color: str) -> Material:
    """Thin leaves: light from behind shines through."""
    material = Material(color, 0.45)
    through = material.node("BsdfTranslucent", Color=mix(linear(color), linear("d8e060"), 0.25))
    mixed = material.node("MixShader")
    mixed.inputs[0].default_value = 0.3
    material.link(material.shader.outputs[0], mixed.inputs[1])
    material.link(through.outputs[0], mixed.inputs[2])
    material.link(mixed.outputs[0], material.tree.nodes["Material Output"].inputs[0])
    return material


def glass(color: str = "ffffff", rough: float = 0.02) -> Material:
    return Material(color, rough, Transmission_Weight=1.0, IOR=1.45)


def water(color: str, ripple: float) -> Material:
    material = Material(color, 0.04, IOR=1.33, Specular_IOR_Level=0.6)
    waves = material.texture("Noise", material.place((1, 1, 1)), Scale=1.1, Detail=2.0, Distortion=0.6)
    return material.bump(waves, ripple, 0.25)


def striped(first: str, second: str, width: float, axis: int = 0) -> Material:
    material = Material(rough=0.85)
    split = material.node("SeparateXYZ")
    material.link(material.place((1 / width,) * 3), split.inputs[0])
    wrapped = material.node("Math", operation="PINGPONG")
    wrapped.inputs[1].default_value = 1.0
    material.link(split.outputs[axis], wrapped.inputs[0])
    colors = material.ramp(wrapped.outputs[0], (0.0, first), (0.5, second))
    colors.node.color_ramp.interpolation = "CONSTANT"
    return material


def tiles(color: str, joint: str, size: tuple[float, float], gloss: float = 0.12) -> Material:
    """Glazed wall tiles in the xz plane of the wall's own coordinates (the wall is a plane turned up: x and y)."""
    material = Material(rough=gloss)
    brick = material.node(
        "TexBrick",
        Color1=linear(color),
        Color2=mix(linear(color), linear("000000"), 0.05),
        Mortar=linear(joint),
        Scale=1.0,
    )
    brick.inputs["Mortar Size"].default_value = 0.02
    brick.inputs["Brick Width"].default_value, brick.inputs["Row Height"].default_value = size
    brick.inputs["Mortar Smooth"].default_value = 0.3
    material.link(material.place(), brick.inputs["Vector"])
    material.link(brick.outputs["Color"], material.shader.inputs["Base Color"])
    return material.bump(brick.outputs["Fac"], -0.5, 0.03)
