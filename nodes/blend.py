"""The placed product and its scene made one picture."""

from __future__ import annotations

from comfy_api.latest import io

from ..studio.product import blend
from . import common


class StorefrontBlendIntoScene(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..studio.sampling.schedule import MAX_STEPS

        return io.Schema(
            node_id="StorefrontBlendIntoScene",
            display_name="Blend into Scene (Storefront)",
            category="Storefront/Product",
            description="FLUX repaints the ground and surroundings of a placed product. The product keeps its pixels and details.",
            search_aliases=["harmonize", "relight", "inpaint", "합성", "그림자"],
            inputs=[
                io.Image.Input("image", tooltip="The picture of Place Product."),
                io.Mask.Input("product_mask", tooltip="The mask of Place Product."),
                io.Model.Input("model", tooltip="The FLUX model that repaints the ground."),
                io.Conditioning.Input(
                    "positive",
                    tooltip="The scene in words, with the product in it; one prompt, or one for each picture.",
                ),
                io.Vae.Input("vae", tooltip="The VAE of that model."),
                io.Mask.Input("shadow", optional=True, tooltip="The shadow of Place Product. It is repainted too."),
                common.seed("The same number repaints the ground in the same way again."),
                io.Int.Input(
                    "steps",
                    default=20,
                    min=0,
                    max=MAX_STEPS,
                    optional=True,
                    tooltip="0 = the model's default. Only steps x strength are run.",
                ),
                io.Float.Input(
                    "strength",
                    default=0.35,
                    min=0,
                    max=1,
                    step=0.01,
                    optional=True,
                    tooltip="How much is repainted: 0.2 retouches, 0.5 paints a new ground.",
                ),
                io.Float.Input(
                    "guidance",
                    default=3.5,
                    min=-1,
                    max=100,
                    step=0.1,
                    optional=True,
                    tooltip="Embedded guidance. -1 = the model's default.",
                    advanced=True,
                ),
                io.Float.Input(
                    "reach",
                    default=8,
                    min=blend.REACH[0],
                    max=blend.REACH[1],
                    step=0.5,
                    optional=True,
                    tooltip="Width of the repainted area around the product, in % of the shorter side.",
                ),
                io.Int.Input(
                    "longest_side",
                    default=0,
                    min=0,
                    max=16384,
                    step=16,
                    optional=True,
                    tooltip="Pixels of the longer side at which the model draws; the change alone is enlarged, so that"
                    " picture and product keep their details. 0: as large as the picture, up to 2 megapixels.",
                    advanced=True,
                ),
                io.Conditioning.Input("negative", optional=True, tooltip="What to avoid. Used when cfg is above 1."),
                io.Float.Input(
                    "cfg",
                    default=1.0,
                    min=0,
                    max=100,
                    step=0.1,
                    optional=True,
                    tooltip="Guidance by a negative prompt. 0 = the model's default, 1 = off; above 1 takes twice as long.",
                    advanced=True,
                ),
            ],
            outputs=[
                io.Image.Output(tooltip="The scene with the product on its new ground."),
                io.Mask.Output("repainted", display_name="REPAINTED", tooltip="1 = repainted, 0 = unchanged."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls,
        image,
        product_mask,
        model,
        positive,
        vae,
        shadow=None,
        seed: int = 0,
        steps: int = 20,
        strength: float = 0.35,
        guidance: float = 3.5,
        reach: float = 8,
        longest_side: int = 0,
        negative=None,
        cfg: float = 1.0,
    ) -> io.NodeOutput:
        from ..host import blending, progress, sampling

        blended, repainted, notes = blending.into_scene(
            image,
            product_mask,
            shadow,
            blending.ModelInputs(model, positive, negative, vae),
            sampling.SamplerSettings(seed, steps, guidance, cfg, strength),
            reach=reach,
            longest_side=longest_side,
        )
        progress.fell_back(notes, cls.hidden.unique_id)
        return io.NodeOutput(blended, repainted)
