"""Fonts of a strawberry in colours, made here: of bitmaps (sbix), of layers (COLR)."""

from __future__ import annotations

import io

from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import newTable
from fontTools.ttLib.tables.sbixGlyph import Glyph
from fontTools.ttLib.tables.sbixStrike import Strike
from PIL import Image

RED, GREEN = (230, 20, 40), (20, 180, 60)
NAMES = [".notdef", "berry", "zero"]


def builder(with_outline: bool) -> FontBuilder:
    """A strawberry, 0.8 em wide and high, and a figure, as emoji's fonts have them."""
    made = FontBuilder(1000, isTTF=True)
    made.setupGlyphOrder(NAMES)
    made.setupCharacterMap({0x1F353: "berry", 0x30: "zero"})
    empty, pen = TTGlyphPen(None).glyph(), TTGlyphPen(None)
    if with_outline:
        pen.moveTo((0, 0))
        for point in ((0, 800), (800, 800), (800, 0)):
            pen.lineTo(point)
        pen.closePath()
    made.setupGlyf({".notdef": empty, "berry": pen.glyph(), "zero": empty})
    made.setupHorizontalMetrics({name: (1000, 0) for name in NAMES})
    made.setupHorizontalHeader(ascent=800, descent=-200)
    made.setupNameTable({"familyName": "Berry", "styleName": "Regular"})
    made.setupOS2(sTypoAscender=800, sTypoDescender=-200)
    made.setupPost()
    return made


def bitmaps(path, strike: int = 64, side: int = 0) -> None:
    """Red above, green below, half of its right side see-through; `side`: pixels of the picture, where it is no strike's."""
    made = builder(with_outline=False)
    side = side or strike
    picture = Image.new("RGBA", (side, side), (*RED, 255))
    picture.paste((*GREEN, 255), (0, side // 2, side, side))
    picture.putalpha(Image.linear_gradient("L").rotate(90).resize(picture.size).point(lambda level: max(level, 128)))
    file = io.BytesIO()
    picture.save(file, "PNG")
    table = newTable("sbix")
    table.version, table.flags = 1, 1
    strikes = Strike(ppem=strike, resolution=72)
    for name in NAMES:
        data = file.getvalue() if name != ".notdef" else None
        strikes.glyphs[name] = Glyph(glyphName=name, graphicType="png " if data else None, imageData=data)
    table.strikes = {strike: strikes}
    made.font["sbix"] = table
    made.save(path)


def layers(path, with_outline: bool = True, color: tuple[int, int, int] = RED) -> None:
    made = builder(with_outline)
    made.setupCOLR({"berry": [("berry", 0)]})
    made.setupCPAL([[(*(level / 255 for level in color), 1)]])
    made.save(path)
