"""A FLUX model on a server, NVIDIA Triton with this project's stages: its sockets, and pictures that it draws whole."""

from __future__ import annotations

from comfy_api.latest import io

from ..studio import canvas
from . import common
from .checked import refusal
from .flux import CATEGORY

NONE = "none"


def _connection() -> io.Input:
    """Servers that ComfyUI's owner has set up. Their addresses are in no workflow."""
    from ..host import connections

    return io.Combo.Input(
        "connection",
        options=[NONE, *connections.names(connections.TRITON)],
        default=NONE,
        tooltip="A Triton server, set up in ComfyUI's settings under Storefront.",
        optional=True,
    )


class _OfServer(io.ComfyNode):
    """What both nodes answer of their connection."""

    @classmethod
    def validate_inputs(cls, connection=NONE) -> bool | str:
        """In place of ComfyUI's "not in list": connections come and go."""
        from ..host import connections

        return refusal((connections.require_server, connection))

    @classmethod
    def fingerprint_inputs(cls, connection=NONE, **_) -> str:
        from ..host import served

        return served.fingerprint(connection, cls.hidden.unique_id)


class StorefrontConnectServer(_OfServer):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StorefrontConnectServer",
            display_name="Connect to Server (Storefront)",
            category=CATEGORY,
            description="A FLUX.1 model on NVIDIA Triton as MODEL, CLIP and VAE: the server computes, ComfyUI samples.",
            search_aliases=["triton", "remote", "server", "distributed", "api", "원격", "서버"],
            inputs=[_connection()],
            outputs=[
                io.Model.Output(tooltip="For any sampler. LoRAs, ControlNets and hooks are refused."),
                io.Clip.Output(tooltip="For Encode Prompt or CLIP Text Encode."),
                io.Vae.Output(tooltip="For Decode Picture or VAE Decode."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, connection: str = NONE) -> io.NodeOutput:
        from ..host import progress, served_model

        model, clip, vae, notes = served_model.connected(connection)
        progress.say_all(notes, cls.hidden.unique_id)
        return io.NodeOutput(model, clip, vae)


class StorefrontDrawOnServer(_OfServer):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..studio.sampling.schedule import MAX_STEPS

        return io.Schema(
            node_id="StorefrontDrawOnServer",
            display_name="Draw on Server (Storefront)",
            category=CATEGORY,
            description="A server draws the whole picture in one call: for slow networks. Connect image to repaint it.",
            search_aliases=["triton", "remote", "text to image", "img2img", "원격", "서버"],
            inputs=[
                _connection(),
                io.String.Input(
                    "prompt",
                    multiline=True,
                    dynamic_prompts=True,
                    default="a red mug on a wooden table",
                    tooltip="What the picture shows.",
                    optional=True,
                ),
                common.seed("The same number draws the same picture again."),
                *(
                    io.Int.Input(
                        side,
                        default=0,
                        min=0,
                        max=canvas.LARGEST,
                        step=16,
                        tooltip="Pixels, a multiple of 16. 0 = the model's own size, or that of image.",
                        optional=True,
                    )
                    for side in ("width", "height")
                ),
                io.Int.Input(
                    "steps", default=0, min=0, max=MAX_STEPS, tooltip="0 = the model's default.", optional=True
                ),
                io.Float.Input(
                    "guidance",
                    default=-1,
                    min=-1,
                    max=100,
                    step=0.1,
                    tooltip="Embedded guidance. -1 = the model's default.",
                    optional=True,
                ),
                io.Image.Input("image", tooltip="A picture to begin with.", optional=True),
                io.Mask.Input("mask", tooltip="1 = repainted. Same size as image.", optional=True),
                io.Float.Input(
                    "strength",
                    default=0.5,
                    min=0,
                    max=1,
                    step=0.01,
                    tooltip="How much of image is repainted. 1 = start from noise.",
                    optional=True,
                ),
                io.Float.Input(
                    "time_limit",
                    default=0,
                    min=0,
                    max=86_400,
                    step=1,
                    tooltip="Seconds for the steps; 0 = no limit. At the limit, returns the picture so far.",
                    optional=True,
                    advanced=True,
                ),
            ],
            outputs=[io.Image.Output(tooltip="The drawn picture.")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls,
        connection: str = NONE,
        prompt: str = "a red mug on a wooden table",
        seed: int = 0,
        width: int = 0,
        height: int = 0,
        steps: int = 0,
        guidance: float = -1,
        image=None,
        mask=None,
        strength: float = 0.5,
        time_limit: float = 0,
    ) -> io.NodeOutput:
        from ..host import progress, served

        order = {
            "prompt": prompt,
            "seed": seed,
            "width": width,
            "height": height,
            "steps": steps,
            "guidance": guidance,
            "image": image,
            "mask": mask,
            "strength": strength,
            "time_limit": time_limit,
        }
        picture, notes, fallbacks = served.draw(connection, order)
        progress.say_all(notes, cls.hidden.unique_id, fallbacks)
        return io.NodeOutput(picture)
