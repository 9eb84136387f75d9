"""Words on a picture."""

from __future__ import annotations

from comfy_api.latest import io

from ..studio.text import draw, fonts

LAYOUT = io.Custom("STOREFRONT_LAYOUT")
ONE_FOR_ALL, LINE_A_PICTURE = "one text on every picture", "one line a picture"


def _number(name: str, default: float, step: float, tooltip: str) -> io.Input:
    low, high = draw.RANGES[name]
    return io.Float.Input(name, default=default, min=low, max=high, step=step, optional=True, tooltip=tooltip)


def _color(name: str, default: str, tooltip: str) -> io.Input:
    return io.String.Input(name, default=default, optional=True, tooltip=tooltip)


class StorefrontTextOverlay(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..host import fonts as installed

        return io.Schema(
            node_id="StorefrontTextOverlay",
            display_name="Text Overlay (Storefront)",
            category="Storefront/Text",
            description="Writes a headline, a price or a caption: Korean-aware lines, a size that fits, a colour that reads.",
            search_aliases=["headline", "caption", "typography", "hangul", "draw text"],
            inputs=[
                io.Image.Input("image"),
                io.String.Input(
                    "text",
                    multiline=True,
                    default="오늘만 [size=150]50%[/size] 할인",
                    tooltip="Markup for parts: [b]..[/b] [size=150]..[/size] [color=#ff3300]..[/color] [weight=900]..[/weight]",
                ),
                LAYOUT.Input("layout", optional=True, tooltip="Where Plan Layout puts the words, and in which colour."),
                io.Combo.Input(
                    "font",
                    options=list(installed.families()),
                    default=fonts.BUNDLED,
                    tooltip="Pretendard comes with the pack. Others: ComfyUI's models/fonts, and installed Korean fonts.",
                ),
                io.Combo.Input("preset", options=list(draw.PRESETS), default="headline", optional=True),
                io.Combo.Input("texts", options=[ONE_FOR_ALL, LINE_A_PICTURE], default=ONE_FOR_ALL, optional=True),
                io.Int.Input(
                    "weight",
                    default=0,
                    min=0,
                    max=900,
                    step=100,
                    optional=True,
                    tooltip="100 to 900; 0 = the preset's.",
                ),
                _number("size", 0, 1, "Pixels; 0 = the largest that fits the box."),
                io.Combo.Input(
                    "anchor",
                    options=[draw.AUTO, *draw.ANCHORS],
                    default=draw.AUTO,
                    optional=True,
                    tooltip="auto: the layout's box where one is wired, else top center.",
                ),
                _number("width", 80, 1, "% of the picture: the box that the words fill, if no layout places it."),
                _number("height", 30, 1, "% of the picture: the box that the words fill, if no layout places it."),
                _number("offset_x", 0, 0.5, "% of the picture, to the right."),
                _number("offset_y", 0, 0.5, "% of the picture, downwards."),
                _number("margin", 5, 0.5, "% of the shorter side that stays free at the edges."),
                io.Combo.Input(
                    "align", options=[draw.AUTO, "left", "center", "right"], default=draw.AUTO, optional=True
                ),
                _number("leading", 0, 0.05, "Line to line, times the size; 0 = the preset's."),
                _number("tracking", 0, 0.01, "Space between letters, times the size."),
                _color("color", draw.AUTO, "#rrggbb, or auto: the layout's or the one that reads best."),
                _number("opacity", 1, 0.05, "Of everything that is written."),
                _number("outline", 0, 0.01, "Width, times the size; 0.06 is a firm one."),
                _color("outline_color", draw.AUTO, "#rrggbb, or auto: dark around light letters and the reverse."),
                _number("shadow", -1, 0.05, "Opacity; -1 = the preset's, under light letters only."),
                _color("shadow_color", "#000000", "#rrggbb"),
                _number("glow", 0, 0.05, "Opacity."),
                _color("glow_color", draw.AUTO, "#rrggbb, or auto: dark around light letters and the reverse."),
                _number("box_opacity", 0, 0.05, "Of a box behind the words; 0 = none."),
                _color("box_color", draw.AUTO, "#rrggbb, or auto: what reads best."),
                _number("box_padding", 0.35, 0.05, "Times the size."),
                _number("box_radius", 0.25, 0.05, "Of the box's corners, times the size."),
                io.Combo.Input(
                    "scrim",
                    options=list(draw.SCRIMS),
                    default=draw.AUTO,
                    optional=True,
                    tooltip="A soft veil under the words. auto: only where no colour reads well (WCAG 4.5:1).",
                ),
                _number("rotation", 0, 1, "Degrees, counter-clockwise."),
                io.Combo.Input("blend", options=list(draw.BLENDS), default="normal", optional=True),
                io.Boolean.Input(
                    "vertical", default=False, optional=True, tooltip="Downwards, columns from right to left."
                ),
            ],
            outputs=[
                io.Image.Output(),
                io.Mask.Output("letters", display_name="LETTERS"),
                io.Image.Output("layer", display_name="LAYER", tooltip="RGBA: the words alone, on transparency."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls, image, text: str, font: str = fonts.BUNDLED, texts: str = ONE_FOR_ALL, layout=None, **design
    ) -> io.NodeOutput:
        from ..host import fonts as installed
        from ..host import progress
        from ..studio.layout.layout import parse

        lettered = draw.overlay(
            image,
            [line for line in text.splitlines() if line.strip()] if texts == LINE_A_PICTURE else [text],
            draw.Design(**design),
            fonts.Typeface(installed.families(), font),
            None if layout is None else parse(layout),
        )
        if lettered.notes:
            progress.say("; ".join(lettered.notes[:4]), cls.hidden.unique_id)
        return io.NodeOutput(lettered.image, lettered.mask, lettered.layer)
