"""A brand, and what is laid on an advertisement in its name."""

from __future__ import annotations

from functools import partial

from comfy_api.latest import io

from ..studio import canvas
from ..studio.brand import designs
from ..studio.brand.brand import EXAMPLE_BRAND
from ..studio.text import fonts
from ..studio.text.design import AUTO, require_color_or_auto
from .checked import refusal
from .layout import BRAND, LAYOUT

CATEGORY = "Storefront/Brand"
LAYOUT_TOOLTIP = "The layout of the node before: products, words and other overlays are avoided."
MASK_TOOLTIP = "MASK of Place Product: room beside the product's real outline is used, too."
COLOR_TOOLTIP = "#rrggbb, or auto: one of the brand's that is clearly visible."
LETTERS_TOOLTIP = "#rrggbb, or auto: the brand's color that is readable on it."
BRAND_TOOLTIP = "Its colors and font."
ANCHOR_TOOLTIP = "auto: a free place is chosen. Or one of nine positions inside the safe area."


def _anchor() -> io.Input:
    return io.Combo.Input(
        "anchor", options=[AUTO, *canvas.ANCHORS], default=AUTO, optional=True, tooltip=ANCHOR_TOOLTIP
    )


def _color(name: str, tooltip: str) -> io.Input:
    return io.String.Input(name, default=AUTO, optional=True, tooltip=tooltip, advanced=True)


def _number(name: str, default: float, low: float, high: float, tooltip: str) -> io.Input:
    return io.Float.Input(name, default=default, min=low, max=high, step=0.5, optional=True, tooltip=tooltip)


def _font() -> io.Input:
    from ..host import fonts as installed

    return io.Combo.Input(
        "font",
        options=list(installed.families()),
        default=fonts.BUNDLED,
        optional=True,
        tooltip="Pretendard: the brand's font, if it has one.",
        advanced=True,
    )


def _connections() -> list[io.Input]:
    return [
        LAYOUT.Input("layout", optional=True, tooltip=LAYOUT_TOOLTIP),
        BRAND.Input("brand", optional=True, tooltip=BRAND_TOOLTIP),
        io.Mask.Input("product_mask", optional=True, tooltip=MASK_TOOLTIP),
    ]


def _outputs() -> list[io.Output]:
    return [
        io.Image.Output(tooltip="The picture with it."),
        io.Mask.Output(tooltip="1 = what was added, without its shadow."),
        LAYOUT.Output("layout", tooltip="For the next overlay, which then avoids it."),
    ]


class StorefrontBrand(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..host import brands

        return io.Schema(
            node_id="StorefrontBrand",
            display_name="Brand (Storefront)",
            category=CATEGORY,
            description="A brand's logos, colors, font, contact line and fixed words, from a folder of yours. An example is bundled.",
            search_aliases=["brand kit", "corporate design", "브랜드", "브랜드 키트", "로고"],
            inputs=[
                io.Combo.Input(
                    "brand",
                    options=brands.names(),
                    default=EXAMPLE_BRAND,
                    optional=True,
                    tooltip="A folder with brand.yaml in ComfyUI's user/__storefront/brands. The help page shows one.",
                )
            ],
            outputs=[
                BRAND.Output("brand", tooltip="For Plan Layout, Text Overlay, Logo, Badge and Call to Action."),
                io.String.Output("contact", tooltip="The contact line, for a Text Overlay of its own."),
                io.String.Output("glossary", tooltip="Words that are never translated, for Ad Prompt."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, brand: str | None = None) -> bool | str:
        """In place of ComfyUI's "not in list": brands come and go."""
        from ..host import brands

        return refusal((brands.find, brand))

    @classmethod
    def fingerprint_inputs(cls, **_) -> str:
        from ..host import brands

        return brands.fingerprint()

    @classmethod
    def execute(cls, brand: str = EXAMPLE_BRAND) -> io.NodeOutput:
        from ..host import brands, progress

        found = brands.find(brand)
        progress.say_all(list(brands.read().problems), cls.hidden.unique_id)
        return io.NodeOutput(found, found.contact, found.glossary)


class StorefrontLogo(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StorefrontLogo",
            display_name="Logo (Storefront)",
            category=CATEGORY,
            description="Puts a logo into a free corner, with its clear space and in the variant that is visible there.",
            search_aliases=["watermark", "brand mark", "로고", "워터마크", "상표"],
            inputs=[
                io.Image.Input("image", tooltip="The picture that the logo is put on."),
                *_connections(),
                io.Image.Input("logo", optional=True, tooltip="In place of the brand's logo."),
                io.Mask.Input("logo_mask", optional=True, tooltip="1 = logo; its transparency, as `logo` has none."),
                _anchor(),
                _number("size", 0, *designs.LOGO_RANGES["size"], "Its width in % of the picture's; 0 = automatic."),
                _number(
                    "clear_space", 50, *designs.LOGO_RANGES["clear_space"], "Free space around it, in % of its height."
                ),
                io.Combo.Input(
                    "variant",
                    options=list(designs.LOGO_VARIANTS),
                    default=AUTO,
                    optional=True,
                    tooltip="auto: whichever of the brand's two logos has more contrast there.",
                    advanced=True,
                ),
            ],
            outputs=_outputs(),
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls, image, layout=None, brand=None, product_mask=None, logo=None, logo_mask=None, **wished
    ) -> io.NodeOutput:
        from ..host import arranging, progress
        from ..studio.brand import brand as brands
        from ..studio.brand import logo as logos
        from ..studio.layout.layout import parse

        own = None if brand is None else brands.require_brand("brand", brand)
        laid = logos.put_logo(
            image,
            logos.chosen_logos(own, logo, logo_mask),
            designs.LogoDesign(**wished),
            None if layout is None else parse(layout),
            product_mask,
            own,
        )
        progress.say_all(list(laid.notes), cls.hidden.unique_id)
        return io.NodeOutput(laid.image, laid.mask, laid.layout, ui=arranging.overlay_shown(laid, layout is not None))


def _label_refusal(words, text: str, color: str, text_color: str) -> bool | str:
    return refusal(
        (words, text),
        (partial(require_color_or_auto, "color"), color),
        (partial(require_color_or_auto, "text_color"), text_color),
    )


def _put_label(put, layout, brand, product_mask, font: str, node_id: str | None) -> io.NodeOutput:
    """A badge or a call to action: `put` takes typeface, layout, brand and masks."""
    from ..host import arranging, progress
    from ..host import fonts as installed
    from ..studio.brand import brand as brands
    from ..studio.layout.layout import parse

    own = None if brand is None else brands.require_brand("brand", brand)
    families = installed.families()
    family, notes = brands.branded_font(font, own, families)
    plan = None if layout is None else parse(layout)
    laid = put(fonts.Typeface(families, family), plan, own, product_mask)
    progress.say_all([*notes, *laid.notes], node_id)
    return io.NodeOutput(laid.image, laid.mask, laid.layout, ui=arranging.overlay_shown(laid, plan is not None))


class StorefrontBadge(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StorefrontBadge",
            display_name="Badge (Storefront)",
            category=CATEGORY,
            description="A price or offer on a round badge, burst, pill, ribbon or tag, in a free place near the product.",
            search_aliases=["sticker", "price tag", "sale", "discount", "배지", "스티커", "가격표", "할인"],
            inputs=[
                io.Image.Input("image", tooltip="The picture that the badge is put on."),
                io.String.Input(
                    "text",
                    multiline=True,
                    default=designs.EXAMPLE_BADGE,
                    optional=True,
                    tooltip="50%, 1+1, a price. Numbers are larger than the words around them.",
                ),
                io.String.Input(
                    "old_price", default="", optional=True, tooltip="A price that is crossed out above the text."
                ),
                *_connections(),
                io.Combo.Input(
                    "shape",
                    options=list(designs.BADGE_SHAPES),
                    default=AUTO,
                    optional=True,
                    tooltip="auto: a circle, or a pill for longer words.",
                ),
                _anchor(),
                _number(
                    "size",
                    0,
                    *designs.BADGE_RANGES["size"],
                    "Its height in % of the picture's shorter side; 0 = automatic.",
                ),
                _number("rotation", 0, *designs.BADGE_RANGES["rotation"], "Degrees, counter-clockwise."),
                _font(),
                _color("color", COLOR_TOOLTIP),
                _color("text_color", LETTERS_TOOLTIP),
            ],
            outputs=_outputs(),
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, text="x", old_price="", color=AUTO, text_color=AUTO) -> bool | str:
        """Before a scene is drawn for them."""
        words = partial(designs.Badge, old_price=old_price or "")
        return _label_refusal(words, text, color, text_color)

    @classmethod
    def execute(
        cls, image, layout=None, brand=None, product_mask=None, font: str = fonts.BUNDLED, **wished
    ) -> io.NodeOutput:
        from ..studio.brand.badge import put_badge

        put = partial(put_badge, image, designs.Badge(**wished))
        return _put_label(put, layout, brand, product_mask, font, cls.hidden.unique_id)


class StorefrontCallToAction(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StorefrontCallToAction",
            display_name="Call to Action (Storefront)",
            category=CATEGORY,
            description="A button under the words: order now, see the menu.",
            search_aliases=["button", "cta", "order now", "버튼", "구매하기", "주문"],
            inputs=[
                io.Image.Input("image", tooltip="The picture that the button is put on."),
                io.String.Input("text", default=designs.EXAMPLE_CALL, optional=True, tooltip="One short line."),
                *_connections(),
                io.Combo.Input(
                    "shape",
                    options=list(designs.CALL_SHAPES),
                    default=designs.CALL_SHAPES[0],
                    optional=True,
                    tooltip="bar: from margin to margin.",
                ),
                io.Boolean.Input("arrow", default=True, optional=True, tooltip="An arrow behind the words."),
                _anchor(),
                _number(
                    "size",
                    0,
                    *designs.CALL_RANGES["size"],
                    "Its height in % of the picture's shorter side; 0 = automatic.",
                ),
                _font(),
                _color("color", COLOR_TOOLTIP),
                _color("text_color", LETTERS_TOOLTIP),
            ],
            outputs=_outputs(),
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, text="x", color=AUTO, text_color=AUTO) -> bool | str:
        """Before a scene is drawn for them."""
        return _label_refusal(designs.CallToAction, text, color, text_color)

    @classmethod
    def execute(
        cls, image, layout=None, brand=None, product_mask=None, font: str = fonts.BUNDLED, **wished
    ) -> io.NodeOutput:
        from ..studio.brand.call import put_call

        put = partial(put_call, image, designs.CallToAction(**wished))
        return _put_label(put, layout, brand, product_mask, font, cls.hidden.unique_id)
