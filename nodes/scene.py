"""A rendered scene for a product to stand in."""

from __future__ import annotations

from comfy_api.latest import io

from ..studio import canvas
from ..studio.scenes import choose
from . import common
from .layout import LAYOUT


class StorefrontScene(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..host import scenes

        options = scenes.choices()
        return io.Schema(
            node_id="StorefrontScene",
            display_name="Scene (Storefront)",
            category="Storefront/Layout",
            description="A path-traced scene, framed for the format, with known ground and light. Needs no model.",
            search_aliases=["background", "backdrop", "product scene", "stage", "배경", "장면"],
            inputs=[
                io.String.Input(
                    "words",
                    multiline=True,
                    default="",
                    tooltip="What you advertise, or where, in Korean or English. Used for every choice left at auto. May be empty.",
                    optional=True,
                ),
                io.Combo.Input(
                    "format",
                    options=list(canvas.FORMATS),
                    default="1:1 feed",
                    tooltip="The size. Each scene is rendered for its format.",
                    optional=True,
                ),
                common.trade("auto: chosen from the words."),
                io.Combo.Input(
                    "setting",
                    options=options["setting"],
                    default=choose.AUTO,
                    tooltip="The place around the product.",
                    optional=True,
                ),
                io.Combo.Input(
                    "palette",
                    options=options["palette"],
                    default=choose.AUTO,
                    tooltip="The scene's main color.",
                    optional=True,
                ),
                io.Combo.Input(
                    "light",
                    options=options["light"],
                    default=choose.AUTO,
                    tooltip="Where the light comes from.",
                    optional=True,
                ),
                common.seed("Another seed gives another of the matching scenes."),
                io.Combo.Input(
                    "scene",
                    options=options["scene"],
                    default=choose.AUTO,
                    optional=True,
                    tooltip="One scene by its name. It is mirrored if that fits the chosen light better.",
                    advanced=True,
                ),
                io.Combo.Input(
                    "view",
                    options=[choose.AUTO, *choose.VIEWS],
                    default=choose.AUTO,
                    optional=True,
                    tooltip="The camera angle of your photo: level with the product, or from above, as food often is. auto: detected from product_mask, if connected.",
                ),
                io.Mask.Input(
                    "product_mask",
                    optional=True,
                    tooltip="The product's mask. With view at auto, the camera angle is detected from it.",
                ),
            ],
            outputs=[
                io.Image.Output("image", display_name="IMAGE", tooltip="The scene in the size of the format."),
                LAYOUT.Output(
                    "layout", tooltip="Contains the ground and the light. Connect it to Plan Layout's scene_layout."
                ),
                io.String.Output("caption", display_name="CAPTION", tooltip="The scene in English, for Encode Prompt."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, trade="", setting="", palette="", scene="") -> bool:
        """In place of ComfyUI's "not in list": scenes and presets come and go; execute names what is wrong."""
        return True

    @classmethod
    def fingerprint_inputs(cls, **_) -> str:
        from ..host import scenes

        return scenes.fingerprint()

    @classmethod
    def execute(cls, words: str = "", format: str = "1:1 feed", product_mask=None, **criteria) -> io.NodeOutput:
        from ..host import progress, scenes
        from ..studio.scenes.picture import frame

        scene, notes = scenes.chosen(choose.SceneQuery(words, **criteria), product_mask)
        made = frame(scene, format)
        progress.say_all([choose.described(scene), *notes], cls.hidden.unique_id)
        return io.NodeOutput(made.image, made.layout, scene.caption)
