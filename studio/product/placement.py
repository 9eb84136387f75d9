"""What a user asks of a product that is placed, and how a person turned it in a plan."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..canvas import ANCHORS
from ..errors import require_fields
from ..layout.layout import Light, Pose
from . import shadow

if TYPE_CHECKING:
    import numpy as np

    from ..layout.layout import Layout

AUTO = "auto"
OF_PICTURE, OF_PHOTO = "% of the picture", "% of the photo's own pixels"
LIGHTS = {  # the azimuth of Light
    "from the layout or the picture": None,
    "top left": 315.0,
    "top": 0.0,
    "top right": 45.0,
    "left": 270.0,
    "right": 90.0,
    "front left": 225.0,
    "front right": 135.0,
}


@dataclass(frozen=True)
class Placement:
    """The inputs of Place Product that are no pictures. Raises InputError for what is none of its choices or out of
    range.
    """

    anchor: str = AUTO  # auto: the layout's box, else bottom center; or one of ANCHORS
    scale: float = 0.0  # %; 0: the layout's box, else 60 % of the picture
    scale_of: str = OF_PICTURE
    offset_x: float = 0.0  # % of the picture, to the right
    offset_y: float = 0.0  # downwards
    rotation: float = 0.0  # degrees, counter-clockwise
    flip: bool = False
    shadow: str = shadow.BOTH
    shadow_opacity: float = 0.6
    shadow_softness: float = 0.5
    light: str = next(iter(LIGHTS))
    light_height: float = 0.0  # degrees above the ground; 0: the layout's, else the picture's
    reflection: float = 0.0  # opacity
    color_match: float = 0.4

    def __post_init__(self) -> None:
        choices = {
            "anchor": (AUTO, *ANCHORS),
            "scale_of": (OF_PICTURE, OF_PHOTO),
            "shadow": shadow.SHADOW_KINDS,
            "light": tuple(LIGHTS),
        }
        require_fields(self, choices, RANGES)


RANGES: dict[str, tuple[float, float]] = {
    "scale": (0, 1000),
    "offset_x": (-100, 100),
    "offset_y": (-100, 100),
    "rotation": (-360, 360),
    "shadow_opacity": (0, 1),
    "shadow_softness": (0, 1),
    "light_height": (0, 90),
    "reflection": (0, 1),
    "color_match": (0, 1),
}


def light_of(background: np.ndarray, placement: Placement, layout: Layout | None) -> Light:
    """The light that a placement asks for; what it leaves open as the layout, else the picture [H, W, 3], has it."""
    from ..layout.light import estimate_light

    found = layout.light if layout is not None else estimate_light(background)
    azimuth = LIGHTS[placement.light]
    return Light(found.azimuth if azimuth is None else azimuth, placement.light_height or found.elevation)


def poses_of(layout: Layout | None, count: int) -> list[Pose]:
    """The poses of the next `count` products of a layout: those that it has placed stand already."""
    return [Pose() if layout is None else layout.pose_of(layout.placed + index) for index in range(count)]


def posed(placement: Placement, pose: Pose) -> Placement:
    """The placement with a product's own pose on top: rotated further, mirrored once more."""
    return replace(
        placement,
        rotation=math.fmod(placement.rotation + pose.rotation, 360),
        flip=placement.flip != pose.flip,
    )
