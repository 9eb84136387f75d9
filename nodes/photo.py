"""Where a product photo comes from."""

from __future__ import annotations

from comfy_api.latest import io

from ..studio import examples


class StorefrontExamplePhoto(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StorefrontExamplePhoto",
            display_name="Example Photo (Storefront)",
            category="Storefront",
            description="A photo that comes with the pack. Put Load Image in its place for your own.",
            search_aliases=["sample image", "test image"],
            inputs=[io.Combo.Input("photo", options=examples.photo_names())],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, photo: str) -> io.NodeOutput:
        return io.NodeOutput(examples.photo(photo))
