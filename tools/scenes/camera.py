"""One camera a format: the same set, framed anew, with a lens shift so that uprights stay upright."""

from __future__ import annotations

import math
from typing import NamedTuple

import bpy
import numpy as np

from .stage import Stage

FAR = 11.0  # units from the camera to the product
LEVEL = 16.0  # degrees down up to which the camera stays level, so that uprights stay upright


class Frame(NamedTuple):
    file: str
    width: int  # pixels
    height: int
    tall: float  # units that the picture's height covers where the product stands
    down: float  # where the product stands: share of the height from the top
    aside: float  # how far from the middle, share of the width; 0: in the middle


# Pixels: those of studio/canvas.py's formats where their longer side is at least 1,024, scaled by nothing.
FRAMES = {
    "1:1": Frame("1x1", 1024, 1024, 4.3, 0.80, 0.0),
    "4:5": Frame("4x5", 824, 1024, 4.9, 0.78, 0.0),
    "9:16": Frame("9x16", 576, 1024, 5.9, 0.70, 0.0),
    "16:9": Frame("16x9", 1024, 576, 3.4, 0.84, 0.19),
    "3:1": Frame("3x1", 1056, 352, 2.6, 0.88, 0.24),
}


class View(NamedTuple):
    """What the camera of a frame sees: a projection from units to shares of the picture."""

    wide: float  # units that the width covers at the product
    tall: float
    height: float  # of the camera, units above the ground
    stand: tuple[float, float]  # where the product stands, in shares of the picture
    top: float  # z of what it stands on
    pitch: float  # radians that the camera is turned down; the lens shift does the rest

    def seen(self, y: float, z: float) -> tuple[float, float]:
        """Distance along the camera's axis, and height above it, in units."""
        cos, sin = math.cos(self.pitch), math.sin(self.pitch)
        return (y + FAR) * cos + (self.height - z) * sin, (z - self.height) * cos + (y + FAR) * sin

    def point(self, x: float, y: float, z: float) -> tuple[float, float]:
        """A point of the stage -> shares of the width and height from the top left."""
        depth, up = self.seen(y, z)
        far, level = self.seen(0, self.top)
        near = far / depth
        return self.stand[0] + x * near / self.wide, self.stand[1] - (up * near - level) / self.tall


def view(frame: Frame, stage: Stage, side: int) -> View:
    """`side`: -1 where the product stands left in wide formats, +1 right."""
    wide = frame.tall * frame.width / frame.height
    height = stage.top + FAR * math.tan(math.radians(stage.down))
    stand = (0.5 + side * frame.aside, frame.down)
    return View(wide, frame.tall, height, stand, stage.top, math.radians(max(0.0, stage.down - LEVEL)))


def aim(frame: Frame, seen: View, stage: Stage) -> None:
    """Puts the scene's camera where `seen` says and sets the picture's size."""
    scene = bpy.context.scene
    data = bpy.data.cameras.new("camera")
    data.sensor_fit, data.sensor_width = "HORIZONTAL", 36.0
    far, level = seen.seen(0, seen.top)
    data.lens = 36.0 * far / seen.wide
    aspect = frame.height / frame.width
    data.shift_x = 0.5 - seen.stand[0]
    data.shift_y = level / seen.wide - (0.5 - seen.stand[1]) * aspect
    data.dof.use_dof, data.dof.focus_distance = True, far - 0.2
    data.dof.aperture_fstop = data.lens / 1000 / stage.aperture
    data.clip_end = 1000
    camera = bpy.data.objects.new("camera", data)
    camera.location, camera.rotation_euler = (0, -FAR, seen.height), (math.pi / 2 - seen.pitch, 0, 0)
    scene.collection.objects.link(camera)
    scene.camera = camera
    scene.render.resolution_x, scene.render.resolution_y = frame.width, frame.height
    scene.render.resolution_percentage = 100


def hide_words_side(frame: Frame, side: int) -> None:
    """Where the product stands aside, what dresses the other side makes room for words."""
    for thing in bpy.data.objects:
        if "side" in thing:
            thing.hide_render = bool(frame.aside) and thing["side"] != side


def set_up(samples: int, seed: int, threads: int) -> None:
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    cycles = scene.cycles
    cycles.device, cycles.samples, cycles.seed = "CPU", samples, seed
    cycles.use_adaptive_sampling = False
    cycles.use_denoising, cycles.denoiser = True, "OPENIMAGEDENOISE"
    cycles.denoising_input_passes, cycles.denoising_prefilter = "RGB_ALBEDO_NORMAL", "ACCURATE"
    cycles.denoising_quality = "BALANCED"  # twice as fast as HIGH, which looks no better here
    cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces = 5, 3, 2
    cycles.transmission_bounces = 3
    cycles.caustics_reflective = cycles.caustics_refractive = False
    cycles.sample_clamp_indirect = 5.0
    scene.render.use_persistent_data = True
    scene.render.threads_mode, scene.render.threads = "FIXED", threads
    scene.render.image_settings.color_mode = "RGB"


def expose(stage: Stage, path: str) -> float:
    """Sets the exposure (stops) so that the log-average comes to the stage's key and 99 % stay under its brightest.

    Measured on a small linear render, as Reinhard et al. 2002 do.
    """
    scene = bpy.context.scene
    scene.render.resolution_percentage, samples = 12, scene.cycles.samples
    scene.cycles.samples, denoise = 6, scene.cycles.use_denoising
    scene.cycles.use_denoising = False
    scene.render.image_settings.file_format, scene.render.image_settings.color_depth = "OPEN_EXR", "32"
    scene.render.filepath = path
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(path)
    pixels = np.empty(len(image.pixels), np.float32)
    image.pixels.foreach_get(pixels)
    bpy.data.images.remove(image)
    luminance = pixels.reshape(-1, 4)[:, :3] @ [0.2126, 0.7152, 0.0722]
    average = float(np.exp(np.log(luminance + 1e-4).mean()))
    bright = float(np.percentile(luminance, 99))
    gain = min(stage.key / average, stage.brightest / max(bright, 1e-4))
    scene.cycles.samples, scene.cycles.use_denoising = samples, denoise
    scene.render.resolution_percentage = 100
    scene.view_settings.view_transform = "Khronos PBR Neutral"
    scene.view_settings.exposure = math.log2(gain)
    return round(math.log2(gain), 2)
