"""The product in its scene."""

from __future__ import annotations

from comfy_api.latest import io

from ..studio import canvas
from ..studio.layout import options
from ..studio.product import place, shadow
from .layout import LAYOUT

IN_SIGHT = ("scale", "shadow_opacity")  # the other numbers are behind "advanced"


def _number(name: str, default: float, step: float, tooltip: str) -> io.Input:
    low, high = place.RANGES[name]
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
            description="Stands a cut-out product on a background: no halo, a shadow on the ground, the scene's light.",
            search_aliases=["composite", "paste", "shadow", "compositing", "합성", "그림자"],
            inputs=[
                io.Image.Input("background"),
                io.Image.Input("product", tooltip="Straight colours, as Remove Background gives them."),
                io.Mask.Input("product_mask", tooltip="1 = product."),
                LAYOUT.Input("layout", optional=True, tooltip="Where Plan Layout wants the product."),
                io.Combo.Input(
                    "batch",
                    options=list(options.BATCHES),
                    default=options.EACH,
                    optional=True,
                    tooltip="A catalogue: one picture for each product. Or all products side by side in one picture.",
                    advanced=True,
                ),
                io.Combo.Input(
                    "anchor",
                    options=[place.AUTO, *canvas.ANCHORS],
                    default=place.AUTO,
                    optional=True,
                    tooltip="auto: the layout's box where one is wired, else bottom center.",
                ),
                _number("scale", 0, 1, "%; 0 = the layout's box, else 60 % of the picture. Too large shrinks to fit."),
                io.Combo.Input(
                    "scale_of",
                    options=[place.OF_PICTURE, place.OF_PHOTO],
                    default=place.OF_PICTURE,
                    optional=True,
                    tooltip="What scale is a part of. 100 % of the photo's own pixels keeps each of them as it is.",
                    advanced=True,
                ),
                _number("offset_x", 0, 0.5, "% of the picture, to the right."),
                _number("offset_y", 0, 0.5, "% of the picture, downwards."),
                _number("rotation", 0, 1, "Degrees, counter-clockwise."),
                io.Boolean.Input(
                    "flip", default=False, optional=True, tooltip="Left and right exchanged.", advanced=True
                ),
                io.Combo.Input("shadow", options=list(shadow.SHADOW_KINDS), default=shadow.BOTH, optional=True),
                _number("shadow_opacity", 0.6, 0.05, "How dark."),
                _number("shadow_softness", 0.5, 0.05, "0 = hard sun, 1 = overcast."),
                io.Combo.Input(
                    "light",
                    options=list(place.LIGHTS),
                    default=next(iter(place.LIGHTS)),
                    optional=True,
                    tooltip="Where the light comes from; the shadow falls to the other side.",
                ),
                _number("light_height", 0, 1, "Degrees above the ground; 0 = the layout's or the picture's."),
                _number("reflection", 0, 0.05, "On glossy ground."),
                _number("color_match", 0.4, 0.05, "Brings the product's light to the scene's; brand colours stay."),
            ],
            outputs=[
                io.Image.Output(),
                io.Mask.Output(tooltip="The products."),
                LAYOUT.Output("layout", tooltip="Where the products really stand."),
                io.Mask.Output("shadow", display_name="SHADOW", tooltip="The shadow alone: its opacity."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls, background, product, product_mask, layout=None, batch: str = options.EACH, **placement
    ) -> io.NodeOutput:
        from ..host import progress
        from ..studio.errors import require_one_of
        from ..studio.layout.layout import parse

        require_one_of("batch", batch, options.BATCHES)
        placed = place.place(
            background,
            product,
            product_mask,
            place.Placement(**placement),
            None if layout is None else parse(layout),
            together=batch == options.TOGETHER,
        )
        progress.say_all(list(placed.notes), cls.hidden.unique_id)
        return io.NodeOutput(placed.image, placed.mask, placed.layout, placed.shadow)
