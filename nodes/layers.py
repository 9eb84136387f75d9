"""The finished advertisement as layers for ComfyUI's own layer editor."""

from __future__ import annotations

from comfy_api.latest import io

from .checked import refusal
from .layout import LAYOUT

LAYERS = io.Custom("LAYERS")  # ComfyUI's own type, by name: older versions have none


class StorefrontLayers(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StorefrontLayers",
            display_name="Ad Layers (Storefront)",
            category="Storefront/Output",
            description="Takes the ad apart: background, shadow, products, words and logo as layers for Create Layered Image and its PSD export.",
            search_aliases=["psd", "photoshop", "compositor", "layer editor", "레이어", "포토샵"],
            inputs=[
                LAYOUT.Input(
                    "layout",
                    tooltip="The layout of the last node that drew: Place Product, Text Overlay, Logo, Badge or Call to Action.",
                ),
                io.Image.Input(
                    "image",
                    optional=True,
                    tooltip="The finished picture. What other nodes changed after that layout becomes a layer too.",
                ),
            ],
            outputs=[LAYERS.Output("layers", display_name="LAYERS", tooltip="For Create Layered Image and Add Layer.")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, **_) -> bool | str:
        """A ComfyUI without layers refuses before anything is drawn for them."""
        from ..host import core_layers

        return refusal((core_layers.require, "layers"))

    @classmethod
    def execute(cls, layout, image=None) -> io.NodeOutput:
        from ..host import core_layers, progress
        from ..studio.layout.layout import parse
        from ..studio.output import layers

        core_layers.require()
        found, notes = layers.of_ad(parse(layout), image)
        progress.say_all([*notes, ", ".join(one.name for one in found)], cls.hidden.unique_id)
        return io.NodeOutput(core_layers.document(found))
