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
from .layout import BRAND, LAYOUT

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
            description="Writes a headline, a price or a caption, with Korean line breaks, a size that fits and a readable colour.",
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
                io.Image.Input("image", tooltip="The picture that the words are set on."),
                io.String.Input(
                    "text",
                    multiline=True,
                    default=EXAMPLE_TEXT,
                    tooltip="Markup for parts: [b]..[/b] [size=150]..[/size] [color=#ff3300]..[/color] [weight=900]..[/weight]",
                    optional=True,
                ),
                LAYOUT.Input("layout", optional=True, tooltip="The position and colour of the words from Plan Layout."),
                io.Combo.Input(
                    "font",
                    options=list(installed.families()),
                    default=fonts.BUNDLED,
                    tooltip="Pretendard is bundled. Also lists ComfyUI's models/fonts and installed fonts.",
                    optional=True,
                ),
                _choice(
                    "preset",
                    design.PRESETS,
                    "headline",
                    "headline: bold. price: large numbers with small words around them. caption: small text.",
                ),
                _choice(
                    "texts",
                    (ONE_FOR_ALL, LINE_A_PICTURE),
                    ONE_FOR_ALL,
                    "The whole text on every picture of a batch, or one line for each picture.",
                ),
                io.Int.Input(
                    "weight",
                    default=0,
                    min=0,
                    max=900,
                    step=100,
                    optional=True,
                    tooltip="100 to 900: 400 is regular, 700 bold; 0 = the preset's. A font without this weight uses its nearest.",
                ),
                _number("size", 0, 1, "Pixels; 0 = the largest that fits the box."),
                _choice(
                    "anchor",
                    (design.AUTO, *canvas.ANCHORS),
                    design.AUTO,
                    "Position of the text box. auto: the layout's box if one is connected, else top center.",
                ),
                _number("width", 80, 1, "Older name of box_width.", extra_dict={"hidden": True}),
                _number("height", 30, 1, "Older name of box_height.", extra_dict={"hidden": True}),
                _number("offset_x", 0, 0.5, "% of the picture, to the right."),
                _number("offset_y", 0, 0.5, "% of the picture, downwards."),
                _number("margin", 5, 0.5, "Free space at the edges, in % of the shorter side."),
                _choice(
                    "safe_area",
                    (design.NO_SAFE_AREA, *canvas.SAFE_AREAS),
                    design.NO_SAFE_AREA,
                    "Keeps the words clear of a story's buttons, a video player or a print's trim.",
                ),
                _choice(
                    "align",
                    (design.AUTO, "left", "center", "right"),
                    design.AUTO,
                    "auto: from the layout, else from the anchor. In vertical writing: top, middle, bottom.",
                ),
                _number("leading", 0, 0.05, "Line spacing as a multiple of the letter size; 0 = the preset's."),
                _number("tracking", 0, 0.01, "Space between letters, as a share of the letter size."),
                _color("color", design.AUTO, "#rrggbb, or auto: the layout's, or the most readable one."),
                _number("opacity", 1, 0.05, "Opacity of the words and their effects."),
                _number("outline", 0, 0.01, "Width as a share of the letter size; 0.06 is strong."),
                _color(
                    "outline_color", design.AUTO, "#rrggbb, or auto: dark around light letters, light around dark ones."
                ),
                _number("shadow", -1, 0.05, "Opacity; -1 = the preset's, under light letters only."),
                _color("shadow_color", "#000000", "#rrggbb"),
                _number("glow", 0, 0.05, "Opacity of a soft glow around the letters."),
                _color(
                    "glow_color", design.AUTO, "#rrggbb, or auto: dark around light letters, light around dark ones."
                ),
                _number("box_opacity", 0, 0.05, "Opacity of a box behind the words; 0 = none."),
                _color("box_color", design.AUTO, "#rrggbb, or auto: the most readable one."),
                _number("box_padding", 0.35, 0.05, "Padding of the box, as a share of the letter size."),
                _number("box_radius", 0.25, 0.05, "Corner radius of the box, as a share of the letter size."),
                _choice(
                    "scrim",
                    design.SCRIMS,
                    design.AUTO,
                    "A soft veil under the words. auto: only where no colour is readable (WCAG 4.5:1).",
                ),
                _number("rotation", 0, 1, "Degrees, counter-clockwise."),
                _choice("blend", design.BLENDS, "normal", "How the words mix with the picture."),
                io.Boolean.Input(
                    "vertical",
                    default=False,
                    optional=True,
                    tooltip="Vertical writing, columns from right to left.",
                    advanced=True,
                ),
                _number("box_width", 0, 1, "Width of the text box in % of the picture; 0 = 80, or the layout's box."),
                _number(
                    "box_height",
                    0,
                    1,
                    "% of the picture's height that the words may fill; 0 = 30, or the layout's box.",
                ),
                BRAND.Input("brand", optional=True, tooltip="Its font, and the first of its colors that is readable."),
            ],
            outputs=[
                io.Image.Output(tooltip="The picture with the words on it."),
                io.Mask.Output("letters", display_name="LETTERS", tooltip="1 = letter; effects are left out."),
                io.Image.Output(
                    "layer", display_name="LAYER", tooltip="RGBA: the words alone on a transparent background."
                ),
                LAYOUT.Output("layout", tooltip="The layout with these words in it: later overlays avoid them."),
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
        cls,
        image,
        text: str = EXAMPLE_TEXT,
        font: str = fonts.BUNDLED,
        texts: str = ONE_FOR_ALL,
        layout=None,
        brand=None,
        **wished,
    ) -> io.NodeOutput:
        from ..host import arranging, progress
        from ..host import fonts as installed
        from ..studio.brand import brand as brands
        from ..studio.errors import InputError
        from ..studio.layout import written
        from ..studio.layout.layout import parse
        from ..studio.text import draw

        if texts not in (ONE_FOR_ALL, LINE_A_PICTURE):
            raise InputError("texts", texts, f"one of: {ONE_FOR_ALL}, {LINE_A_PICTURE}")
        own = None if brand is None else brands.require_brand("brand", brand)
        families = installed.families()
        family, notes = brands.branded_font(font, own, families)
        wish, plan = brands.branded_design(design.Design(**wished), own), None if layout is None else parse(layout)
        chosen, lost = fonts.chosen_or(written.font_by_hand(plan, wish), family, families)
        lines = draw.lines_of(text) if texts == LINE_A_PICTURE else [text]
        typeface = fonts.Typeface(families, chosen)
        lettered, after = written.write(image, lines, wish, typeface, plan)
        progress.fell_back([*notes, *lost, *lettered.notes], cls.hidden.unique_id)
        shown = arranging.letters_shown(image, lettered, lines[0], family, wish, plan)
        return io.NodeOutput(lettered.image, lettered.mask, lettered.layer, after, ui=shown)
