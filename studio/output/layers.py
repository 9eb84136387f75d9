"""A drawing as layers that can be moved and exported: what ComfyUI's own compositor takes (its type LAYERS).

That compositor mixes in linear light and keeps 8 bits. Products and shadows were mixed so. Letters and shapes were mixed in
sRGB values: their opacity is changed so that they look the same over the picture that they lie on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..cancelling import check_cancel
from ..errors import Bare, InputError
from ..images import require_picture
from ..layout.drawing import DrawnPart, DrawnPicture, continued, first
from ..product.color import to_linear, to_srgb
from ..product.sprite import overlap

if TYPE_CHECKING:
    import numpy as np
    import torch

    from ..layout.layout import Layout

BACKGROUND = "background"
LEVELS = 255
MOST_LAYERS = 50  # that ComfyUI's compositor takes
ONE_OF_SEVERAL = "of several pictures, the layers are those of the first"
CHANGED_ALL_OVER = "the picture was changed all over after the layout: it is one layer"
DRAW_FIRST = "Connect the `layout` of Place Product, Text Overlay, Logo, Badge or Call to Action, or connect `image`."
LEAST_DISTANCE = 1e-4  # of a difference in linear light that says anything of an opacity


class AdLayer(NamedTuple):
    """A picture with transparency, cropped to what can be seen of it."""

    name: str
    x: int
    y: int
    rgb: np.ndarray  # [h, w, 3] float32 sRGB, whole levels of 8 bits
    alpha: np.ndarray  # [h, w], as `rgb`


def of_ad(layout: Layout, image: torch.Tensor | None = None) -> tuple[list[AdLayer], tuple[str, ...]]:
    """The layers of what a layout's nodes drew, and notes; of the first picture. `image`, IMAGE [B, H, W, 3]: what it is
    now; what was changed since is a layer. Raises InputError where nothing was drawn and there is no picture."""
    drawing, notes = layout.drawing, []
    if image is not None:
        pictures = require_picture("image", image)
        notes += [ONE_OF_SEVERAL] if len(pictures) > 1 else []
        after = continued(drawing, first(pictures))
        if drawing is not None and not after.parts:
            notes.append(CHANGED_ALL_OVER)
        drawing = after
    if drawing is None:
        raise InputError("layout", Bare("a plan in which nothing was drawn"), cure=DRAW_FIRST)
    return layers_of(drawing), tuple(notes)


def layers_of(drawing: DrawnPicture) -> list[AdLayer]:
    """The layers from the ground up; laid on one another in linear light they are the drawing's picture."""
    import numpy as np

    height, width = drawing.background.shape[:2]
    ground = _levels(drawing.background)
    layers = [AdLayer(BACKGROUND, 0, 0, ground, np.ones((height, width), np.float32))]
    canvas = to_linear(ground)
    names = _names(drawing.parts)
    for name, part in zip(names, drawing.parts):
        check_cancel()
        here, inner = overlap(part.alpha.shape, part.x, part.y, height, width)
        if not part.alpha[inner].any():
            continue
        if part.after is None:
            layer = _of_light(name, part)
        else:
            layer = _of_letters(name, part, inner, (here[0].start, here[1].start), canvas[here])
        if layer.alpha.size:
            layers.append(layer)
            _lay(canvas, layer)
    return _few(layers, canvas)


def _names(parts: tuple[DrawnPart, ...]) -> list[str]:
    """One name for each part: "product 1" is "product" where it is alone, a second "words" is "words 2"."""
    plain = [part.name.rstrip("0123456789 ") for part in parts]
    names: list[str] = []
    for part, bare in zip(parts, plain):
        name = bare if plain.count(bare) == 1 else part.name
        number = 2
        while name in names:
            name, number = f"{bare} {number}", number + 1
        names.append(name)
    return names


def _levels(values: np.ndarray) -> np.ndarray:
    import numpy as np

    rounded: np.ndarray = np.rint(np.clip(values, 0, 1) * LEVELS).astype(np.float32) / LEVELS
    return rounded


def _of_light(name: str, part: DrawnPart) -> AdLayer:
    """A part that was mixed in linear light, as it is."""
    import numpy as np

    rows, columns = _seen(part.alpha)
    alpha = part.alpha[rows, columns]
    if part.light is None:
        rgb: np.ndarray = np.zeros((*alpha.shape, 3), np.float32)
    else:
        rgb = _levels(to_srgb(part.light[rows, columns] / np.maximum(alpha, 1e-4)[..., None]))
    return AdLayer(name, part.x + columns.start, part.y + rows.start, rgb, _levels(alpha))


def _of_letters(
    name: str, part: DrawnPart, inner: tuple[slice, slice], corner: tuple[int, int], canvas: np.ndarray
) -> AdLayer:
    """A part that was mixed otherwise, with the opacity and colour that make the same of `canvas`, linear light under its
    `inner` part, whose top left `corner` (y, x) is in the picture."""
    import numpy as np

    assert part.after is not None
    assert part.color is not None
    rows, columns = _seen(part.alpha[inner])
    under = canvas[rows, columns]
    drawn = part.alpha[inner][rows, columns]
    after = to_linear(part.after[inner][rows, columns])
    color = to_linear(part.color[inner][rows, columns])
    change, way = after - under, color - under
    far = (way**2).sum(-1)
    fitting = np.where(far > LEAST_DISTANCE, (change * way).sum(-1) / np.maximum(far, LEAST_DISTANCE), drawn)
    # The least opacity with which a colour exists that makes this of what is under it.
    up, down = np.maximum(1 - under, 1e-4), np.maximum(under, 1e-4)
    least = np.where(change > 0, change / up, -change / down).max(-1)
    alpha = np.maximum(np.clip(fitting, 0, 1), np.clip(least, 0, 1))
    alpha = np.where(drawn > 0, np.ceil(alpha * LEVELS - 1e-3) / LEVELS, 0).astype(np.float32)
    wished = under + change / np.maximum(alpha, 1 / LEVELS)[..., None]
    return AdLayer(name, corner[1] + columns.start, corner[0] + rows.start, _levels(to_srgb(wished)), alpha)


def _seen(alpha: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns that are not transparent."""
    import numpy as np

    solid = alpha >= 0.5 / LEVELS
    rows, columns = np.flatnonzero(solid.any(1)), np.flatnonzero(solid.any(0))
    if not len(rows):
        return slice(0, 0), slice(0, 0)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _lay(canvas: np.ndarray, layer: AdLayer) -> None:
    """The layer over linear light [H, W, 3], in place."""
    here, inner = overlap(layer.alpha.shape, layer.x, layer.y, *canvas.shape[:2])
    alpha = layer.alpha[inner][..., None]
    canvas[here] = canvas[here] * (1 - alpha) + to_linear(layer.rgb[inner]) * alpha


def _few(layers: list[AdLayer], canvas: np.ndarray) -> list[AdLayer]:
    """As many as ComfyUI takes: of more, the lowest are one."""
    import numpy as np

    if len(layers) <= MOST_LAYERS:
        return layers
    low = len(layers) - MOST_LAYERS + 1
    ground = to_linear(layers[0].rgb)
    for layer in layers[1:low]:
        check_cancel()
        _lay(ground, layer)
    merged = AdLayer(BACKGROUND, 0, 0, _levels(to_srgb(ground)), np.ones(canvas.shape[:2], np.float32))
    return [merged, *layers[low:]]
