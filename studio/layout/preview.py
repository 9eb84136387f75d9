"""A layout drawn over its picture, for a person to check."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .layout import Box, Layout

if TYPE_CHECKING:
    import torch

PRODUCT, TEXT, GROUND, LIGHT = (46, 204, 113), (255, 82, 82), (80, 160, 255), (255, 214, 10)


def preview(image: torch.Tensor, layout: Layout) -> torch.Tensor:
    """IMAGE [1, H, W, 3] of the first picture of a batch with product boxes, text box, ground line and light."""
    from PIL import Image, ImageDraw

    from ..images import from_pil, to_pil

    picture = to_pil(image[:1, ..., :3])[0]
    line = max(1, round(min(picture.size) / 250))
    veil = Image.new("RGBA", picture.size)
    draw = ImageDraw.Draw(veil)
    for index, box in enumerate(layout.products):
        _frame(draw, box, PRODUCT, f"product {index + 1}" if len(layout.products) > 1 else "product", line)
    _frame(draw, layout.text, TEXT, f"text {layout.text_color}", line)
    for x in range(0, picture.width, line * 8):
        draw.line([(x, layout.ground), (x + line * 4, layout.ground)], (*GROUND, 255), line)
    _arrow(draw, layout, picture.size, line)
    picture = Image.alpha_composite(picture.convert("RGBA"), veil)
    return from_pil(picture)


def _frame(draw, box: Box, color: tuple[int, int, int], label: str, line: int) -> None:
    from PIL import ImageFont

    draw.rectangle([box.x, box.y, box.right - 1, box.bottom - 1], fill=(*color, 48), outline=(*color, 255), width=line)
    font = ImageFont.load_default(max(10, line * 5))
    at = (box.x + line * 2, box.y + line * 2)
    draw.rectangle(draw.textbbox(at, label, font=font), fill=(0, 0, 0, 160))
    draw.text(at, label, (255, 255, 255, 255), font)


def _arrow(draw, layout: Layout, size: tuple[int, int], line: int) -> None:
    """From where the light comes, in the upper right corner."""
    reach = min(size) * 0.06
    middle = (size[0] - 1.6 * reach, 1.6 * reach)
    turn = math.radians(layout.light.azimuth)
    away = (-math.sin(turn), math.cos(turn))
    start = (middle[0] - away[0] * reach, middle[1] - away[1] * reach)
    end = (middle[0] + away[0] * reach, middle[1] + away[1] * reach)
    draw.line([start, end], (*LIGHT, 255), line * 2)
    draw.ellipse([start[0] - line * 4, start[1] - line * 4, start[0] + line * 4, start[1] + line * 4], (*LIGHT, 255))
    for side in (0.5, -0.5):
        wing = math.atan2(-away[1], -away[0]) + side
        tip = (end[0] + math.cos(wing) * reach * 0.5, end[1] + math.sin(wing) * reach * 0.5)
        draw.line([end, tip], (*LIGHT, 255), line * 2)
