"""FLUX.3's caption: its own prompt upsampler, and boxes that say what stands where."""

from __future__ import annotations

from comfy_api.latest import io

from .checked import refusal
from .layout import LAYOUT


class StorefrontFlux3Prompt(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..host import connections, flux3_upsampler
        from ..studio.prompt import flux3

        return io.Schema(
            node_id="StorefrontFlux3Prompt",
            display_name="FLUX.3 Prompt and Boxes (Storefront)",
            category="Storefront/Prompt",
            description="Writes a FLUX.3 caption from your words, with boxes for the positions of products and headline.",
            search_aliases=["prompt upsampler", "bounding box", "layout control", "caption", "prompt enhancer"],
            inputs=[
                io.String.Input("prompt", multiline=True, tooltip="What to draw; with an image, what to change."),
                io.Combo.Input(
                    "upsampler",
                    options=[connections.NONE, *flux3_upsampler.upsamplers()],
                    default=connections.NONE,
                    tooltip="flux-3-image-klein-pup in models/LLM. none: your prompt as typed, followed by the boxes.",
                    optional=True,
                ),
                LAYOUT.Input(
                    "layout",
                    optional=True,
                    tooltip="Uses the layout's boxes for the items you describe in `products` and `headline`.",
                ),
                io.String.Input(
                    "products",
                    multiline=True,
                    default="",
                    optional=True,
                    tooltip="One line for each product of the layout: what its box contains.",
                ),
                io.String.Input(
                    "headline",
                    multiline=True,
                    default="",
                    optional=True,
                    tooltip="Words for FLUX.3 to draw in the text box. Empty = the box is left out.",
                ),
                io.Image.Input(
                    "image",
                    optional=True,
                    tooltip="The same references as in Reference Picture; a batch is several.",
                ),
                io.Mask.Input(
                    "product_mask",
                    optional=True,
                    tooltip="1 = the product in its reference. Not connected: the whole picture.",
                ),
                io.Int.Input(
                    "max_tokens",
                    default=flux3.MOST_ANSWER_TOKENS,
                    min=1,
                    max=flux3_upsampler.MOST_CAPTION_TOKENS,
                    optional=True,
                    tooltip="The most tokens that the upsampler writes.",
                    advanced=True,
                ),
            ],
            outputs=[io.String.Output("prompt", display_name="PROMPT", tooltip="For Encode Prompt.")],
        )

    @classmethod
    def validate_inputs(cls, upsampler="none") -> bool | str:
        """In place of ComfyUI's "not in list": models come and go."""
        from ..host import flux3_upsampler

        return refusal((flux3_upsampler.require_upsampler, upsampler))

    @classmethod
    def execute(
        cls,
        prompt: str,
        upsampler: str = "none",
        layout=None,
        products: str = "",
        headline: str = "",
        image=None,
        product_mask=None,
        max_tokens: int = 3584,
    ) -> io.NodeOutput:
        from ..host import flux3_upsampler
        from ..studio.prompt import flux3

        request = flux3.caption_request(prompt, layout, products, headline, image, product_mask)
        return io.NodeOutput(flux3_upsampler.flux3_caption(request, upsampler, max_tokens))
