"""Words on a picture."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from comfy_api.latest import io

from ..studio import canvas
from ..studio.contrast import require_color
from ..studio.text import design, fonts, markup
from .checked import refusal
from .layout import LAYOUT

EXAMPLE_TEXT = "오늘만 [size=150]50%[/size] 할인"
ONE_FOR_ALL, LINE_A_PICTURE = "one text on every picture", "one line a picture"


IN_SIGHT = ("preset", "size", "anchor", "align", "color", "outline")  # the rest is behind "advanced"


def _how(name: str, tooltip: str) -> dict[str, Any]:
    """What all widgets of the design have in common."""
    return {"optional": True, "tooltip": tooltip, "advanced": None if name in IN_SIGHT else True}


def _number(name: str, default: float, step: float, tooltip: str, **more: Any) -> io.Input:
    low, high = design.RANGES[name]
    return io.Float.Input(name, default=default, min=low, max=high, step=step, **_how(name, tooltip), **more)


def _choice(name: str, options: Iterable[str], default: str, tooltip: str) -> io.Input:
    return io.Combo.Input(name, options=list(options), default=default, **_how(name, tooltip))


def _color(name: str, default: str, tooltip: str) -> io.Input:
    return io.String.Input(name, default=default, **_how(name, tooltip))


class StorefrontTextOverlay(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..host import fonts as installed

        return io.Schema(
            node_id="StorefrontTextOverlay",
            display_name="Text Overlay (Storefront)",
            category="Storefront/Text",
            description="Writes a headline, a price or a caption: Korean-aware lines, a size that fits, a colour that reads.",
            search_aliases=[
                "headline",
                "caption",
                "typography",
                "hangul",
                "draw text",
                "자막",
                "문구",
                "헤드라인",
                "포스터",
            ],
            inputs=[
                io.Image.Input("image"),
                io.String.Input(
                    "text",
                    multiline=True,
                    default=EXAMPLE_TEXT,
                    tooltip="Markup for parts: [b]..[/b] [size=150]..[/size] [color=#ff3300]..[/color] [weight=900]..[/weight]",
                    optional=True,
                ),
                LAYOUT.Input("layout", optional=True, tooltip="Where Plan Layout puts the words, and in which colour."),
                io.Combo.Input(
                    "font",
                    options=list(installed.families()),
                    default=fonts.BUNDLED,
                    tooltip="Pretendard comes with the pack. Others: ComfyUI's models/fonts, and installed fonts.",
                    optional=True,
                ),
                _choice(
                    "preset",
                    design.PRESETS,
                    "headline",
                    "headline: bold. price: numbers large, what is around them small. caption: small print.",
                ),
                _choice(
                    "texts",
                    (ONE_FOR_ALL, LINE_A_PICTURE),
                    ONE_FOR_ALL,
                    "The whole text on every picture of a batch, or its first line on the first picture, and so on.",
                ),
                io.Int.Input(
                    "weight",
                    default=0,
                    min=0,
                    max=900,
                    step=100,
                    optional=True,
                    tooltip="100 to 900, 400 regular, 700 bold; 0 = the preset's. A font without it gives its nearest.",
                ),
                _number("size", 0, 1, "Pixels; 0 = the largest that fits the box."),
                _choice(
                    "anchor",
                    (design.AUTO, *canvas.ANCHORS),
                    design.AUTO,
                    "Where the box of the words lies. auto: the layout's box where one is wired, else top center.",
                ),
                _number("width", 80, 1, "Older name of box_width.", extra_dict={"hidden": True}),
                _number("height", 30, 1, "Older name of box_height.", extra_dict={"hidden": True}),
                _number("offset_x", 0, 0.5, "% of the picture, to the right."),
                _number("offset_y", 0, 0.5, "% of the picture, downwards."),
                _number("margin", 5, 0.5, "% of the shorter side that stays free at the edges."),
                _choice(
                    "safe_area",
                    (design.NO_SAFE_AREA, *canvas.SAFE_AREAS),
                    design.NO_SAFE_AREA,
                    "Keeps clear of what a story's own buttons, a video's player or a print's trim take.",
                ),
                _choice(
                    "align",
                    (design.AUTO, "left", "center", "right"),
                    design.AUTO,
                    "auto: as the layout says, else by the anchor. In vertical writing: top, middle, bottom.",
                ),
                _number("leading", 0, 0.05, "Line to line, times the size; 0 = the preset's."),
                _number("tracking", 0, 0.01, "Space between letters, times the size."),
                _color("color", design.AUTO, "#rrggbb, or auto: the layout's or the one that reads best."),
                _number("opacity", 1, 0.05, "Of everything that is written."),
                _number("outline", 0, 0.01, "Width, times the size; 0.06 is a firm one."),
                _color("outline_color", design.AUTO, "#rrggbb, or auto: dark around light letters and the reverse."),
                _number("shadow", -1, 0.05, "Opacity; -1 = the preset's, under light letters only."),
                _color("shadow_color", "#000000", "#rrggbb"),
                _number("glow", 0, 0.05, "Opacity of a soft light or dark around the letters."),
                _color("glow_color", design.AUTO, "#rrggbb, or auto: dark around light letters and the reverse."),
                _number("box_opacity", 0, 0.05, "Of a box behind the words; 0 = none."),
                _color("box_color", design.AUTO, "#rrggbb, or auto: what reads best."),
                _number("box_padding", 0.35, 0.05, "Times the size."),
                _number("box_radius", 0.25, 0.05, "Of the box's corners, times the size."),
                _choice(
                    "scrim",
                    design.SCRIMS,
                    design.AUTO,
                    "A soft veil under the words. auto: only where no colour reads well (WCAG 4.5:1).",
                ),
                _number("rotation", 0, 1, "Degrees, counter-clockwise."),
                _choice("blend", design.BLENDS, "normal", "How the words mix with the picture."),
                io.Boolean.Input(
                    "vertical",
                    default=False,
                    optional=True,
                    tooltip="Downwards, columns from right to left.",
                    advanced=True,
                ),
                _number(
                    "box_width", 0, 1, "% of the picture's width that the words may fill; 0 = 80, or the layout's box."
                ),
                _number(
                    "box_height",
                    0,
                    1,
                    "% of the picture's height that the words may fill; 0 = 30, or the layout's box.",
                ),
            ],
            outputs=[
                io.Image.Output(),
                io.Mask.Output("letters", display_name="LETTERS", tooltip="1 = letter, without effects."),
                io.Image.Output("layer", display_name="LAYER", tooltip="RGBA: the words alone, on transparency."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(
        cls,
        text="x",
        color=design.AUTO,
        outline_color=design.AUTO,
        shadow_color="#000000",
        glow_color=design.AUTO,
        box_color=design.AUTO,
    ) -> bool | str:
        """Before a scene is drawn for them."""
        return refusal(
            (markup.require_words, text),
            (partial(design.require_color_or_auto, "color"), color),
            (partial(design.require_color_or_auto, "outline_color"), outline_color),
            (partial(require_color, "shadow_color"), shadow_color),
            (partial(design.require_color_or_auto, "glow_color"), glow_color),
            (partial(design.require_color_or_auto, "box_color"), box_color),
        )

    @classmethod
    def execute(
        cls, image, text: str = EXAMPLE_TEXT, font: str = fonts.BUNDLED, texts: str = ONE_FOR_ALL, layout=None, **wished
    ) -> io.NodeOutput:
        from ..host import fonts as installed
        from ..host import progress
        from ..studio.errors import InputError
        from ..studio.layout.layout import parse
        from ..studio.text import draw

        if texts not in (ONE_FOR_ALL, LINE_A_PICTURE):
            raise InputError("texts", texts, f"one of: {ONE_FOR_ALL}, {LINE_A_PICTURE}")
        lettered = draw.overlay(
            image,
            draw.lines_of(text) if texts == LINE_A_PICTURE else [text],
            design.Design(**wished),
            fonts.Typeface(installed.families(), font),
            None if layout is None else parse(layout),
            progress.check_cancel,
        )
        progress.fell_back(lettered.notes, cls.hidden.unique_id)
        return io.NodeOutput(lettered.image, lettered.mask, lettered.layer)
