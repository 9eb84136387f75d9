"""Any picture as the scene of an advertisement format."""

from __future__ import annotations

from comfy_api.latest import io

from ..studio import backdrop, canvas


class StorefrontSceneToFormat(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StorefrontSceneToFormat",
            display_name="Scene to Format (Storefront)",
            category="Storefront/Layout",
            description="Resizes a drawn or photographed scene to an advertisement format.",
            search_aliases=["resize", "crop", "upscale", "aspect ratio", "fit", "배경 크기", "자르기", "확대"],
            inputs=[
                io.Image.Input("image", tooltip="From Decode Picture, or a picture of your own."),
                io.Combo.Input(
                    "format",
                    options=[canvas.AS_PICTURE, *canvas.FORMATS],
                    default=canvas.AS_PICTURE,
                    optional=True,
                    tooltip="The target size. Ignored if width and height are connected.",
                ),
                *(
                    io.Int.Input(
                        side,
                        default=0,
                        min=0,
                        max=canvas.LARGEST,
                        optional=True,
                        advanced=True,
                        tooltip="Pixels; 0 = the format's. Connect Ad Canvas to set the format in one place.",
                    )
                    for side in ("width", "height")
                ),
                io.Combo.Input(
                    "part",
                    options=list(backdrop.BACKDROP_PARTS),
                    default=backdrop.AUTO,
                    optional=True,
                    advanced=True,
                    tooltip="auto: the whole picture; of flux-micro's 64 px miniatures, which always show a product, the "
                    "free ground beside it.",
                ),
            ],
            outputs=[io.Image.Output(tooltip="The scene, in the format's size.")],
        )

    @classmethod
    def execute(
        cls, image, format: str = canvas.AS_PICTURE, width: int = 0, height: int = 0, part: str = backdrop.AUTO
    ) -> io.NodeOutput:
        size = canvas.wished_size(format, width, height, canvas.Size(image.shape[2], image.shape[1]))
        return io.NodeOutput(backdrop.to_size(image, size, part))
