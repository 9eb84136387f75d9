"""Draws the logos of the bundled example brand, models/brands/example: a leaf in a ring beside the brand's name.

.venv/bin/python tools/draw_example_brand.py
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "models" / "brands" / "example"
FINER = 4  # times: drawn so much larger and averaged
HEIGHT = 240  # pixels
NAME = "MORI"
GREEN, WHITE = (31, 77, 58), (255, 255, 255)


def leaf(draw: ImageDraw.ImageDraw, side: float) -> None:
    """A ring with a leaf in it, its vein left free."""
    thick = round(side * 0.055)
    draw.ellipse((0, 0, side - 1, side - 1), outline=255, width=thick)
    turned = Image.new("L", (round(side), round(side)))
    lens = ImageDraw.Draw(turned)
    reach = side * 0.62
    a = Image.new("L", turned.size)
    b = Image.new("L", turned.size)
    for part, shift in ((a, -0.2), (b, 0.2)):
        middle = side * (0.5 + shift)
        ImageDraw.Draw(part).ellipse(
            (middle - reach / 1.6, side / 2 - reach / 1.6, middle + reach / 1.6, side / 2 + reach / 1.6), fill=255
        )
    turned.paste(a, mask=b)
    lens.line((side / 2, side * 0.16, side / 2, side * 0.72), fill=0, width=round(side * 0.03))
    turned = turned.rotate(-35, Image.Resampling.BICUBIC).resize((round(side * 1.05),) * 2, Image.Resampling.LANCZOS)
    draw.bitmap((round(side * -0.025), round(side * -0.025)), turned, fill=255)


def logo() -> Image.Image:
    """The logo's alpha."""
    high = HEIGHT * FINER
    name = ImageFont.truetype(ROOT / "fonts" / "Pretendard-Black.otf", high * 0.8)
    left = round(high * 1.2)
    wide = left + round(name.getlength(NAME)) + 4
    picture = Image.new("L", (wide, high))
    draw = ImageDraw.Draw(picture)
    leaf(draw, high)
    draw.text((left, high / 2 + name.getbbox("M", anchor="ls")[1] / -2), NAME, 255, name, anchor="ls")
    return picture.reduce(FINER)


def main() -> None:
    alpha = logo()
    for file, color in (("logo.png", GREEN), ("logo-white.png", WHITE)):
        picture = Image.new("RGBA", alpha.size, color)
        picture.putalpha(alpha)
        picture.save(FOLDER / file, optimize=True)


if __name__ == "__main__":
    main()
