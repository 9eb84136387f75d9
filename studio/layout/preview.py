"""A layout drawn over its picture, for a person to check."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..canvas import Box
from ..contrast import Scrim
from .layout import Layout

if TYPE_CHECKING:
    import torch
    from PIL import Image, ImageDraw

PRODUCT_COLOR, TEXT_COLOR, GROUND_COLOR, LIGHT_COLOR = (46, 204, 113), (255, 82, 82), (80, 160, 255), (255, 214, 10)
OVERLAY_COLOR = (190, 120, 255)
SAMPLE = "Aa"  # in the text's colour: whether it reads is seen at once


def preview(image: torch.Tensor, layout: Layout) -> torch.Tensor:
    """IMAGE [1, H, W, 3] of the first picture of a batch with product boxes, text box, ground line and light."""
    from PIL import Image, ImageDraw

    from ..images import from_pil, require_picture, to_pil

    picture = to_pil(require_picture("background", image[:1]))[0].convert("RGBA")
    line = max(1, round(min(picture.size) / 300))
    if layout.scrim is not None:
        picture = _veiled(picture, layout.text, layout.scrim)
    marks = Image.new("RGBA", picture.size)
    draw = ImageDraw.Draw(marks)
    for x in range(0, picture.width, line * 8):
        draw.line([(x, layout.ground), (x + line * 4, layout.ground)], (*GROUND_COLOR, 255), line)
    for index, box in enumerate(layout.products):
        name = f"product {index + 1}" if len(layout.products) > 1 else "product"
        _frame(draw, box, PRODUCT_COLOR, 50, name, line)
    for overlay in layout.overlays:
        _frame(draw, overlay.box, OVERLAY_COLOR, 0, overlay.kind, line)
    veil = "" if layout.scrim is None else f" on {layout.scrim.opacity:.0%} {layout.scrim.color}"
    _frame(draw, layout.text, TEXT_COLOR, 0, f"text {layout.text_color}{veil}", line)
    _sample(draw, layout, line)
    _arrow(draw, layout, picture.size, line)
    return from_pil(Image.alpha_composite(picture, marks))


def _veiled(picture: Image.Image, box: Box, scrim: Scrim) -> Image.Image:
    from PIL import Image, ImageColor

    veil = Image.new("RGBA", picture.size)
    color = (*ImageColor.getrgb(scrim.color)[:3], round(255 * scrim.opacity))
    veil.paste(color, (box.x, box.y, box.right, box.bottom))
    return Image.alpha_composite(picture, veil)


def _frame(draw: ImageDraw.ImageDraw, box: Box, color: tuple[int, int, int], fill: int, label: str, line: int) -> None:
    from PIL import ImageFont

    corners = [box.x, box.y, box.right - 1, box.bottom - 1]
    draw.rectangle(corners, fill=(*color, fill), outline=(*color, 255), width=line)
    font = ImageFont.load_default(max(10, line * 6))
    at = (box.x + line * 3, box.y + line * 3)
    left, top, right, bottom = draw.textbbox(at, label, font=font)
    draw.rectangle([left - line, top - line, right + line, bottom + line], fill=(*color, 255))
    draw.text(at, label, (0, 0, 0, 255), font)


def _sample(draw: ImageDraw.ImageDraw, layout: Layout, line: int) -> None:
    from PIL import ImageFont

    box = layout.text
    font = ImageFont.load_default(max(8, min(box.height * 0.45, box.width * 0.3)))
    x = {
        "left": box.x + line * 4,
        "center": box.x + box.width // 2,
        "right": box.right - line * 4,
    }[layout.text_align]
    anchor = {"left": "lm", "center": "mm", "right": "rm"}[layout.text_align]
    draw.text((x, box.y + box.height * 0.6), SAMPLE, layout.text_color, font, anchor=anchor)


def _arrow(draw: ImageDraw.ImageDraw, layout: Layout, size: tuple[int, int], line: int) -> None:
    """From where the light comes, in the upper right corner."""
    reach = min(size) * 0.05
    middle = (size[0] - 1.6 * reach, 1.6 * reach)
    turn = math.radians(layout.light.azimuth)
    away = (-math.sin(turn), math.cos(turn))
    start = (middle[0] - away[0] * reach, middle[1] - away[1] * reach)
    end = (middle[0] + away[0] * reach, middle[1] + away[1] * reach)
    draw.line([start, end], (*LIGHT_COLOR, 255), line * 2)
    draw.ellipse(
        [start[0] - line * 4, start[1] - line * 4, start[0] + line * 4, start[1] + line * 4], (*LIGHT_COLOR, 255)
    )
    for side in (0.5, -0.5):
        wing = math.atan2(-away[1], -away[0]) + side
        tip = (end[0] + math.cos(wing) * reach * 0.5, end[1] + math.sin(wing) * reach * 0.5)
        draw.line([end, tip], (*LIGHT_COLOR, 255), line * 2)
