"""A product alone on white, for marketplaces."""

from __future__ import annotations

from comfy_api.latest import io

from ..studio.product import packshot, shadow

DEFAULT_MARKETPLACES = {
    "marketplace_1": "Amazon",
    "marketplace_2": packshot.NO_MARKETPLACE,
    "marketplace_3": packshot.NO_MARKETPLACE,
    "marketplace_4": packshot.NO_MARKETPLACE,
}


class StorefrontProductOnWhite(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        low, high = packshot.FILLS
        return io.Schema(
            node_id="StorefrontProductOnWhite",
            display_name="Product on White (Storefront)",
            category="Storefront/Product",
            description="The product alone on pure white, in the size and share that a marketplace asks for: the main picture of a listing.",
            search_aliases=[
                "packshot",
                "marketplace",
                "listing",
                "white background",
                "amazon",
                "coupang",
                "흰 배경",
                "누끼",
                "대표이미지",
                "쿠팡",
            ],
            inputs=[
                io.Image.Input("product", tooltip="From Remove Background."),
                io.Mask.Input("product_mask", tooltip="1 = product."),
                *(
                    io.Combo.Input(
                        name,
                        options=[packshot.NO_MARKETPLACE, *packshot.MARKETPLACES],
                        default=default,
                        optional=True,
                        tooltip="A marketplace, or none. Each gives a picture; one that is chosen twice counts once.",
                    )
                    for name, default in DEFAULT_MARKETPLACES.items()
                ),
                io.Float.Input(
                    "fill",
                    default=0,
                    min=low,
                    max=high,
                    step=1,
                    optional=True,
                    tooltip="% of the picture's side that the product's longer side takes. 0 = as the marketplace asks.",
                    advanced=True,
                ),
                io.Combo.Input(
                    "shadow",
                    options=list(packshot.SHADOWS),
                    default=shadow.NONE,
                    optional=True,
                    tooltip="Left out where the marketplace allows none.",
                    advanced=True,
                ),
            ],
            outputs=[
                io.Image.Output(tooltip="A picture for each marketplace.", is_output_list=True),
                io.String.Output("name", tooltip="The marketplace, for file names.", is_output_list=True),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls, product, product_mask, fill: float = 0, shadow: str = shadow.NONE, **marketplaces: str
    ) -> io.NodeOutput:
        from ..host import progress

        names = tuple((DEFAULT_MARKETPLACES | marketplaces).values())
        shots = packshot.packshots(product, product_mask, packshot.PackshotWish(names, fill, shadow))
        progress.say_all(shots.notes, cls.hidden.unique_id)
        return io.NodeOutput(shots.images, shots.names)
