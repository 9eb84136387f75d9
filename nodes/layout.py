"""Where product and words go, planned and edited."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..studio import canvas
from ..studio.layout import options
from .checked import refusal

LAYOUT = io.Custom("STOREFRONT_LAYOUT")
BRAND = io.Custom("STOREFRONT_BRAND_KIT")
CATEGORY = "Storefront/Layout"
FURTHER = (2, 3, 4)  # product masks beside the first


def _arrangement() -> io.Input:
    """What the button Arrange (js/arrange.js) writes."""
    return io.String.Input(
        "arrangement",
        default="",
        optional=True,
        tooltip="What was moved by hand, as JSON in fractions of the picture. The button Arrange writes it; empty = all automatic.",
        extra_dict={"hidden": True},
    )


def _written(layout_json: Any) -> Any:
    """What a person wrote; None where that is nothing, or blank space."""
    return (layout_json.strip() if isinstance(layout_json, str) else layout_json) or None


class StorefrontPlanLayout(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..host import connections

        return io.Schema(
            node_id="StorefrontPlanLayout",
            display_name="Plan Layout (Storefront)",
            category=CATEGORY,
            description="Plans the product's position and size and a readable place for the words. The line under the node gives the reasons.",
            search_aliases=["composition", "saliency", "placement", "safe area", "레이아웃", "구도"],
            inputs=[
                io.Image.Input("background", tooltip="The picture that product and words are placed on."),
                io.Mask.Input(
                    "product_mask",
                    optional=True,
                    tooltip="1 = product; a batch is several products. Not connected: only the words are placed.",
                ),
                io.String.Input(
                    "headline", multiline=True, default="", tooltip="The words to make room for.", optional=True
                ),
                io.Combo.Input(
                    "format",
                    options=[options.AUTO, options.AS_PICTURE, *canvas.FORMATS],
                    default=options.AUTO,
                    tooltip="Which edges stay free of words (a story's buttons, a print's trim). auto: by the picture's shape.",
                    optional=True,
                ),
                io.Combo.Input(
                    "batch",
                    options=list(options.BATCHES),
                    default=options.EACH,
                    optional=True,
                    tooltip="Several products: one box that fits each of them, or side by side on one ground line.",
                    advanced=True,
                ),
                io.Float.Input(
                    "product_scale",
                    default=0,
                    min=options.RANGES["product_scale"][0],
                    max=options.RANGES["product_scale"][1],
                    step=1,
                    optional=True,
                    tooltip="The product's height in % of the picture's; 0 = automatic. A product that is too wide is scaled down.",
                ),
                io.Combo.Input(
                    "text_side",
                    options=list(options.TEXT_SIDES),
                    default="auto",
                    optional=True,
                    tooltip="The side of the picture for the words.",
                ),
                io.Float.Input(
                    "margin",
                    default=5,
                    min=options.RANGES["margin"][0],
                    max=options.RANGES["margin"][1],
                    step=0.5,
                    optional=True,
                    tooltip="Free space at the edges, in % of the shorter side; a format's safe area may need more.",
                    advanced=True,
                ),
                io.Combo.Input(
                    "connection",
                    options=[connections.NONE, *connections.names()],
                    default=connections.NONE,
                    optional=True,
                    tooltip="A vision model chooses the positions. The picture is sent to its server. Set it up under Settings > Storefront.",
                    advanced=True,
                ),
                io.Boolean.Input(
                    "vertical",
                    default=False,
                    optional=True,
                    tooltip="Vertical writing in columns, as in Text Overlay. The words get a tall, narrow box.",
                    advanced=True,
                ),
                LAYOUT.Input(
                    "scene_layout",
                    optional=True,
                    tooltip="The layout of Scene, with its known ground and light.",
                ),
                *(
                    io.Mask.Input(
                        f"product_mask_{number}",
                        optional=True,
                        tooltip="One more product beside the first, of a photo of any size. Place Product places them one after the other.",
                        advanced=True,
                    )
                    for number in FURTHER
                ),
                BRAND.Input(
                    "brand", optional=True, tooltip="Colors for the words, and room for the brand's logo (see Logo)."
                ),
                io.String.Input(
                    "badge", default="", optional=True, tooltip="The text of a Badge to make room for.", advanced=True
                ),
                io.String.Input(
                    "call_to_action",
                    default="",
                    optional=True,
                    tooltip="The text of a Call to Action to make room for, under the words.",
                    advanced=True,
                ),
                _arrangement(),
            ],
            outputs=[
                LAYOUT.Output("layout", tooltip="For Place Product and Text Overlay."),
                io.Image.Output("preview", display_name="PREVIEW", tooltip="The plan drawn over the picture."),
                io.String.Output("json", display_name="JSON", tooltip="The plan as text, for Edit Layout."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(
        cls, connection="none", format: str | None = None, arrangement="", badge="", call_to_action=""
    ) -> bool | str:
        """In place of ComfyUI's "not in list": connections come and go. And a format that the picture cannot have is
        refused before the picture is drawn, where its size is known by then."""
        from ..host import connections
        from ..studio.brand import designs
        from ..studio.layout.arrangement import parse_arrangement

        return refusal(
            (connections.require_name, connection),
            (cls._require_fitting, format),
            (parse_arrangement, arrangement),
            (designs.Badge, badge if badge and badge.strip() else None),
            (designs.CallToAction, call_to_action if call_to_action and call_to_action.strip() else None),
        )

    @classmethod
    def _require_fitting(cls, format: str) -> None:
        from ..host import sizes

        options.LayoutOptions(format=format)
        if size := sizes.size_behind(cls.hidden.unique_id, "background"):
            options.require_shape("background", format, size.width, size.height)

    @classmethod
    def fingerprint_inputs(cls, connection="none", **_) -> str:
        from ..host import connections

        return connections.fingerprint(connection, cls.hidden.unique_id)

    @classmethod
    def execute(
        cls,
        background,
        headline: str = "",
        format: str = options.AUTO,
        product_mask=None,
        connection: str = "none",
        scene_layout=None,
        product_mask_2=None,
        product_mask_3=None,
        product_mask_4=None,
        brand=None,
        badge: str = "",
        call_to_action: str = "",
        arrangement: str = "",
        **wished,
    ) -> io.NodeOutput:
        from ..host import arranging, connections, languages, progress, rembg_models
        from ..studio.brand import rooms
        from ..studio.layout.advise import with_places_of
        from ..studio.layout.arrangement import arranged, misfits, parse_arrangement
        from ..studio.layout.plan import plan_pictures
        from ..studio.layout.preview import preview

        wish, hand = options.LayoutOptions(format=format, **wished), parse_arrangement(arrangement)
        further = [mask for mask in (product_mask_2, product_mask_3, product_mask_4) if mask is not None]
        find = rembg_models.find_subject
        extras = rooms.extras_of(brand, badge, call_to_action)
        task = (background, product_mask, extras.headline(headline), wish, scene_layout, find, further)
        masks = [] if product_mask is None else [product_mask, *further]
        plan = plan_pictures(*task, hand)
        layout, notes = connections.advised(connection, background, plan, headline, wish, cls.hidden.unique_id)
        advice = None if layout is plan else layout
        layout = rooms.with_rooms(arranged(layout, hand), background, masks, extras)

        def automatic():
            if not hand:
                return layout
            own = plan_pictures(*task)
            own = own if advice is None else with_places_of(own, advice)
            return rooms.with_rooms(own, background, masks, extras)

        progress.say_all([*misfits(layout, hand), *notes, languages.reason(layout)], cls.hidden.unique_id)
        shown = arranging.plan_shown(background, layout, automatic, hand, arrangement)
        return io.NodeOutput(layout, preview(background, layout), layout.to_json(), ui=shown)


class StorefrontEditLayout(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StorefrontEditLayout",
            display_name="Edit Layout (Storefront)",
            category=CATEGORY,
            description="Changes a layout by hand: with the mouse (the button Arrange), or as JSON from Plan Layout.",
            inputs=[
                io.String.Input(
                    "layout_json",
                    multiline=True,
                    default="",
                    optional=True,
                    tooltip="As Plan Layout writes it: pixels, from the top left corner. Empty: the connected `layout`.",
                ),
                LAYOUT.Input("layout", optional=True, tooltip="The layout to change, where `layout_json` is empty."),
                io.Image.Input(
                    "background", optional=True, tooltip="The picture that the button Arrange shows behind the layout."
                ),
                _arrangement(),
            ],
            outputs=[LAYOUT.Output("layout", tooltip="The layout with the changes.")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, layout_json=None, arrangement="") -> bool | str:
        """Before a scene is drawn for it."""
        from ..studio.layout.arrangement import parse_arrangement
        from ..studio.layout.layout import parse

        return refusal((parse, _written(layout_json)), (parse_arrangement, arrangement))

    @classmethod
    def execute(cls, layout_json: str = "", layout=None, background=None, arrangement: str = "") -> io.NodeOutput:
        from ..host import arranging, progress
        from ..studio.errors import InputError
        from ..studio.layout.arrangement import arranged, misfits, parse_arrangement
        from ..studio.layout.layout import parse

        written = _written(layout_json)
        if written is None and layout is None:
            raise InputError("layout", None, cure="Connect it, or paste the JSON of Plan Layout into `layout_json`.")
        given, hand = parse(layout if written is None else written), parse_arrangement(arrangement)
        edited = arranged(given, hand)
        progress.say_all(misfits(edited, hand), cls.hidden.unique_id)
        if background is None:
            return io.NodeOutput(edited)
        return io.NodeOutput(edited, ui=arranging.plan_shown(background, edited, lambda: given, hand, arrangement))
