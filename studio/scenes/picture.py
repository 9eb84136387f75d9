"""A chosen scene's picture at the size of a format, and the layout that knows its ground and light."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..canvas import FORMATS, Box, Size
from ..errors import InputError, require_one_of
from ..layout.layout import KnownGround, Layout
from ..layout.lettering import alignment, readable
from .bank import Region, Scene, SceneError, Shot

if TYPE_CHECKING:
    import torch
    from PIL import Image

MOST_SCENE_PIXELS = 64_000_000  # of one picture of a scene
UNKNOWN_PRODUCT = (1.3, 1.75)  # units wide and high: a product that nothing is known of
AROUND = 0.02  # of each side: what stays free around the words where no calm place is known


class Window(NamedTuple):
    """The part of a shot that a format takes, in shares of the shot."""

    left: float
    top: float
    width: float
    height: float

    def inside(self, x: float, y: float) -> tuple[float, float]:
        """A place of the shot in shares of the window."""
        return (x - self.left) / self.width, (y - self.top) / self.height


def window(shot: Shot, aspect: float) -> Window:
    """The largest part of `aspect` that keeps the product's place where it is, as a share of what is left."""
    wide = min(1.0, aspect / shot.aspect)
    tall = min(1.0, shot.aspect / aspect)
    x, y = shot.ground.stand
    return Window((1 - wide) * x, (1 - tall) * y, wide, tall)


def framed(shot: Shot, aspect: float) -> Shot:
    """The shot cut to `aspect`, what is known of it too."""
    cut = window(shot, aspect)
    ground = shot.ground
    corners = tuple(_clipped(*cut.inside(*corner)) for corner in ground.support)
    return shot._replace(
        aspect=aspect,
        ground=KnownGround(corners, _clipped(*cut.inside(*ground.stand)), cut.inside(0, ground.horizon)[1]),
        unit=shot.unit / cut.height,
        calm=tuple(region for region in (_region(cut, one) for one in shot.calm) if region),
    )


def _clipped(x: float, y: float) -> tuple[float, float]:
    return min(1.0, max(0.0, x)), min(1.0, max(0.0, y))


def _region(cut: Window, region: Region) -> Region | None:
    left, top = _clipped(*cut.inside(region.left, region.top))
    right, bottom = _clipped(*cut.inside(region.right, region.bottom))
    return Region(left, top, right, bottom) if right - left > 0.05 and bottom - top > 0.05 else None


class BankPicture(NamedTuple):
    """A scene's picture at the size of a format."""

    image: torch.Tensor  # IMAGE [1, H, W, 3]
    layout: Layout  # knows the ground and the light
    caption: str  # English, for FLUX
    name: str  # the scene's id
    notes: tuple[str, ...] = ()  # wishes that it does not meet


def frame(scene: Scene, format: str, notes: tuple[str, ...] = ()) -> BankPicture:
    """The scene's picture at the format's size, and its layout. Raises SceneError for a picture that cannot be read."""
    import numpy as np
    import torch
    from PIL import Image

    require_one_of("format", format, FORMATS)
    size = FORMATS[format]
    aspect = size.width / size.height
    shot = scene.shot_for(aspect)
    picture = _read(shot, scene)
    cut = window(shot, aspect)
    box = tuple(
        share * side
        for share, side in zip(
            (cut.left, cut.top, cut.left + cut.width, cut.top + cut.height), (picture.width, picture.height) * 2
        )
    )
    picture = picture.resize(size, Image.Resampling.LANCZOS, box=box)
    pixels = np.asarray(picture, np.float32) / 255
    image = torch.from_numpy(pixels.copy())[None]
    layout = layout_of(scene, framed(shot, aspect), size, pixels)
    return BankPicture(image, layout, scene.caption, scene.id, notes)


def _read(shot: Shot, scene: Scene) -> Image.Image:
    """The shot's pixels, mirrored where the scene is."""
    from PIL import Image, ImageOps

    field = f"{scene.id}/{shot.file.name}"
    try:
        with Image.open(shot.file, formats=("WEBP", "PNG", "JPEG")) as opened:
            if opened.width * opened.height > MOST_SCENE_PIXELS:
                raise SceneError(field, f"{opened.width}x{opened.height}", f"at most {MOST_SCENE_PIXELS} pixels")
            if abs(opened.width / opened.height / shot.aspect - 1) > 0.03:
                raise SceneError(
                    field, f"{opened.width}x{opened.height}", f"a picture {shot.aspect:.3f} times as wide as high"
                )
            picture = opened.convert("RGB")
    except (InputError, MemoryError):
        raise
    except Exception as error:  # a damaged file raises whatever its first wrong byte leads to
        raise SceneError(field, str(shot.file.name), f"a readable picture ({type(error).__name__})") from None
    return ImageOps.mirror(picture) if scene.mirrored else picture


def layout_of(scene: Scene, shot: Shot, size: Size, pixels) -> Layout:
    """A layout for a product of usual proportions on the known ground, the words in the largest calm place."""
    x, y = shot.ground.stand
    tall = min(UNKNOWN_PRODUCT[1] * shot.unit, 0.86 * y)
    wide = tall * UNKNOWN_PRODUCT[0] / UNKNOWN_PRODUCT[1] * size.height / size.width
    product = Box(
        round((x - wide / 2) * size.width),
        round((y - tall) * size.height),
        max(1, round(wide * size.width)),
        max(1, round(tall * size.height)),
    )
    place = shot.calm[0] if shot.calm else Region(AROUND, AROUND, 1 - AROUND, max(0.15, y - tall - AROUND))
    text = Box(
        round(place.left * size.width),
        round(place.top * size.height),
        max(1, round((place.right - place.left) * size.width)),
        max(1, round((place.bottom - place.top) * size.height)),
    )
    color, scrim, _ = readable(pixels[text.y : text.bottom, text.x : text.right])
    return Layout(
        size.width,
        size.height,
        (product,),
        round(y * size.height),
        text,
        color,
        alignment((place.left + place.right) / 2),
        scrim,
        scene.light,
        "The ground and the light are those that the scene was rendered with.",
        "장면을 만들 때의 바닥과 빛을 그대로 씁니다.",
        known=shot.ground,
    )
