"""The product in its scene."""

from __future__ import annotations

from comfy_api.latest import io

from ..studio import canvas
from ..studio.layout import options
from ..studio.product import place, shadow
from ..studio.product.placement import AUTO, LIGHTS, OF_PHOTO, OF_PICTURE, RANGES, Placement
from .layout import LAYOUT

IN_SIGHT = ("scale", "shadow_opacity")  # the other numbers are behind "advanced"


def _number(name: str, default: float, step: float, tooltip: str) -> io.Input:
    low, high = RANGES[name]
    advanced = None if name in IN_SIGHT else True
    return io.Float.Input(
        name, default=default, min=low, max=high, step=step, optional=True, tooltip=tooltip, advanced=advanced
    )


class StorefrontPlaceProduct(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StorefrontPlaceProduct",
            display_name="Place Product (Storefront)",
            category="Storefront/Product",
            description="Places a cut-out product on a background, without a halo, with a shadow on the ground and the scene's light.",
            search_aliases=["composite", "paste", "shadow", "compositing", "합성", "그림자"],
            inputs=[
                io.Image.Input("background", tooltip="The scene that the product is placed in."),
                io.Image.Input("product", tooltip="Straight (not premultiplied) colours, as from Remove Background."),
                io.Mask.Input("product_mask", tooltip="1 = product."),
                LAYOUT.Input("layout", optional=True, tooltip="The position and size from Plan Layout."),
                io.Combo.Input(
                    "batch",
                    options=list(options.BATCHES),
                    default=options.EACH,
                    optional=True,
                    tooltip="One picture for each product (a catalogue), or all products side by side in one picture.",
                    advanced=True,
                ),
                io.Combo.Input(
                    "anchor",
                    options=[AUTO, *canvas.ANCHORS],
                    default=AUTO,
                    optional=True,
                    tooltip="auto: the layout's box if one is connected, else bottom center.",
                ),
                _number(
                    "scale",
                    0,
                    1,
                    "In %. 0 = the layout's box, else 60 % of the picture. A product that is too large is scaled down.",
                ),
                io.Combo.Input(
                    "scale_of",
                    options=[OF_PICTURE, OF_PHOTO],
                    default=OF_PICTURE,
                    optional=True,
                    tooltip="What `scale` is a percentage of. 100 % of the photo's own pixels means no resizing.",
                    advanced=True,
                ),
                _number("offset_x", 0, 0.5, "% of the picture, to the right."),
                _number("offset_y", 0, 0.5, "% of the picture, downwards."),
                _number("rotation", 0, 1, "Degrees, counter-clockwise."),
                io.Boolean.Input(
                    "flip", default=False, optional=True, tooltip="Mirrors left and right.", advanced=True
                ),
                io.Combo.Input(
                    "shadow",
                    options=list(shadow.SHADOW_KINDS),
                    default=shadow.BOTH,
                    optional=True,
                    tooltip="contact: dark where it touches the ground. cast: away from the light. drop: behind it, on flat grounds.",
                ),
                _number("shadow_opacity", 0.6, 0.05, "How dark."),
                _number("shadow_softness", 0.5, 0.05, "0 = hard sun, 1 = overcast."),
                io.Combo.Input(
                    "light",
                    options=list(LIGHTS),
                    default=next(iter(LIGHTS)),
                    optional=True,
                    tooltip="Where the light comes from. The shadow falls on the other side.",
                ),
                _number("light_height", 0, 1, "Degrees above the ground; 0 = the layout's or the picture's."),
                _number("reflection", 0, 0.05, "Opacity of the mirror image on glossy ground."),
                _number(
                    "color_match", 0.4, 0.05, "Matches the product's light to the scene's. Brand colours are kept."
                ),
            ],
            outputs=[
                io.Image.Output(tooltip="The scene with the product in it."),
                io.Mask.Output(tooltip="The products."),
                LAYOUT.Output("layout", tooltip="The final positions of the products."),
                io.Mask.Output("shadow", display_name="SHADOW", tooltip="The opacity of the shadow alone."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls, background, product, product_mask, layout=None, batch: str = options.EACH, **placement
    ) -> io.NodeOutput:
        from ..host import arranging, progress
        from ..studio.errors import require_one_of
        from ..studio.layout.layout import parse

        require_one_of("batch", batch, options.BATCHES)
        wish, plan = Placement(**placement), None if layout is None else parse(layout)
        together = batch == options.TOGETHER
        placed = place.place(background, product, product_mask, wish, plan, together=together)
        progress.say_all(list(placed.notes), cls.hidden.unique_id)
        shown = arranging.products_shown(background, product, product_mask, wish, plan, together)
        return io.NodeOutput(placed.image, placed.mask, placed.layout, placed.shadow, ui=shown)
