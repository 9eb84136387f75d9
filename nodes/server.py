"""A FLUX model on a server, NVIDIA Triton with this project's stages: its sockets, and pictures that it draws whole."""

from __future__ import annotations

from comfy_api.latest import io

from .checked import refusal

CATEGORY = "Storefront/FLUX"
NONE = "none"


def _connection() -> io.Input:
    """Servers that ComfyUI's owner has set up. Their addresses are in no workflow."""
    from ..host import connections

    return io.Combo.Input(
        "connection",
        options=[NONE, *connections.names(connections.TRITON)],
        default=NONE,
        tooltip="A server of the kind Triton, set up in ComfyUI's settings under Storefront.",
        optional=True,
    )


class StorefrontConnectServer(io.ComfyNode):
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
    def validate_inputs(cls, connection=NONE) -> bool | str:
        """In place of ComfyUI's "not in list": connections come and go."""
        from ..host import connections

        return refusal((connections.require_server, connection))

    @classmethod
    def fingerprint_inputs(cls, connection=NONE, **_) -> str:
        from ..host import served

        return served.fingerprint(connection, cls.hidden.unique_id)

    @classmethod
    def execute(cls, connection: str = NONE) -> io.NodeOutput:
        from ..host import progress, served_model

        model, clip, vae, notes = served_model.connected(connection)
        progress.say_all(notes, cls.hidden.unique_id)
        return io.NodeOutput(model, clip, vae)
