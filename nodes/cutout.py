"""The product out of its photograph."""

from __future__ import annotations

from comfy_api.latest import io

from ..studio.product import outline
from .checked import refusal


class StorefrontRemoveBackground(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..host import rembg_models

        return io.Schema(
            node_id="StorefrontRemoveBackground",
            display_name="Remove Background (Storefront)",
            category="Storefront/Product",
            description="Cuts out the product with a clean edge at full resolution and no fringe of the old background.",
            search_aliases=[
                "rembg",
                "cutout",
                "matting",
                "alpha",
                "background removal",
                "transparent",
                "배경 제거",
                "누끼",
            ],
            inputs=[
                io.Image.Input("image", tooltip="The product photo."),
                io.Combo.Input(
                    "model",
                    options=list(rembg_models.files()),
                    default=rembg_models.BUNDLED,
                    tooltip="u2netp is bundled. Other networks are listed when their .onnx file is in models/rembg. "
                    "bria-rmbg: not for commercial use without a paid licence.",
                    optional=True,
                ),
                io.Boolean.Input(
                    "refine",
                    default=True,
                    optional=True,
                    tooltip="Refines the edge at full resolution and removes the old background's colour from it. "
                    "Off: the network's own soft mask and the photo's colours.",
                    advanced=True,
                ),
                io.Float.Input(
                    "threshold",
                    default=0.5,
                    min=0.01,
                    max=0.99,
                    step=0.01,
                    optional=True,
                    tooltip="How confident the network must be. Lower keeps more, higher removes more.",
                    advanced=True,
                ),
                io.Float.Input(
                    "grow",
                    default=0,
                    min=-100,
                    max=100,
                    step=0.5,
                    optional=True,
                    tooltip="Pixels to move the edge outwards; negative moves it inwards.",
                    advanced=True,
                ),
                io.Float.Input(
                    "feather",
                    default=0,
                    min=0,
                    max=200,
                    step=0.5,
                    optional=True,
                    tooltip="Pixels over which the edge fades.",
                    advanced=True,
                ),
                io.Int.Input(
                    "straight_edges",
                    default=0,
                    min=0,
                    max=200,
                    optional=True,
                    tooltip="For boxes and bottles: straightens edges that are nearly straight over this many pixels. "
                    "Corners and curves are kept. 0 = off; 16 to 40 is usual.",
                    advanced=True,
                ),
                io.Boolean.Input(
                    "keep_loaded",
                    default=False,
                    optional=True,
                    tooltip="Keeps the network in memory for the next run, until ComfyUI unloads its models or needs the memory. "
                    "Off: it is released after each run.",
                    advanced=True,
                ),
                io.Combo.Input(
                    "parts",
                    options=list(outline.KEPT_PARTS),
                    default=outline.LARGEST_PART,
                    optional=True,
                    tooltip="the largest: keeps the largest object and removes mirror images, props and insets. all: keeps every object.",
                ),
                io.Combo.Input(
                    "matting",
                    options=rembg_models.mattes(),
                    default=rembg_models.BUILT_IN,
                    optional=True,
                    tooltip="How the edge is refined. rembg alpha matting and ViTMatte keep more of glass and hair but take "
                    "many times as long.",
                    advanced=True,
                ),
            ],
            outputs=[
                io.Image.Output(
                    "foreground", tooltip="The product's own colours, without the old background in its edges."
                ),
                io.Mask.Output("alpha", tooltip="1 = product, 0 = background."),
                io.Image.Output("preview", tooltip="The product on a chequered ground, to check its edges."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, model: str | None = None) -> bool | str:
        """In place of ComfyUI's "not in list": which file is missing, and where it goes."""
        from ..host import rembg_models

        return refusal((rembg_models.find, model))

    @classmethod
    def execute(
        cls,
        image,
        model: str = "u2netp",
        refine: bool = True,
        threshold: float = 0.5,
        grow: float = 0.0,
        feather: float = 0.0,
        straight_edges: int = 0,
        keep_loaded: bool = False,
        parts: str = outline.LARGEST_PART,
        matting: str = "built-in",
    ) -> io.NodeOutput:
        from ..host import progress, rembg_models
        from ..studio.product import cutout, networks

        edges = cutout.Edges(refine, threshold, grow, feather, straight_edges, parts)
        cut = rembg_models.cut_out(image, model, edges, keep_loaded, matting)
        progress.say_all([*cut.notes, f"{model}: {networks.network(model).terms}."], cls.hidden.unique_id)
        return io.NodeOutput(cut.foreground, cut.alpha, cutout.on_checkerboard(cut))
