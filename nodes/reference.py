"""Pictures that an editing model looks at."""

from __future__ import annotations

from comfy_api.latest import io

from .flux import CATEGORY


class StorefrontReference(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..studio.sampling.references import OWN_SIZE, SIZES

        return io.Schema(
            node_id="StorefrontReference",
            display_name="Reference Picture (Storefront)",
            category=CATEGORY,
            description="Adds a reference picture for FLUX.1 Kontext, FLUX.2, FLUX.3 or Z-Image Omni, at the size the model was trained on.",
            search_aliases=["kontext", "reference latent", "edit", "image edit", "flux 2 reference", "z-image omni"],
            inputs=[
                io.Conditioning.Input("conditioning", tooltip="The prompt that the reference is added to."),
                io.Vae.Input("vae", tooltip="The VAE of the model that draws."),
                io.Image.Input(
                    "image", tooltip="Each picture of a batch is a separate reference. Chain nodes for other sizes."
                ),
                io.Combo.Input(
                    "size",
                    options=SIZES,
                    default=OWN_SIZE,
                    tooltip="Kontext: the nearest size of its training. Other models: at most one megapixel.",
                    optional=True,
                ),
                io.Clip.Input(
                    "clip",
                    optional=True,
                    tooltip="Needed for Z-Image Omni only: its own CLIP, which encodes the picture.",
                ),
            ],
            outputs=[io.Conditioning.Output(tooltip="The prompt with the reference picture.")],
        )

    @classmethod
    def execute(cls, conditioning, vae, image, size: str = "the model's own", clip=None) -> io.NodeOutput:
        from ..host import references

        return io.NodeOutput(references.add(conditioning, vae, image, size, clip))
