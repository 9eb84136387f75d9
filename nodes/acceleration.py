"""Speed: what may be skipped, compiled or computed by other kernels, and a step before the first customer."""

from __future__ import annotations

from comfy_api.latest import io

from ..studio.canvas import LARGEST
from ..studio.sampling import acceleration
from .flux import CATEGORY


class StorefrontAccelerate(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..host import kernels

        return io.Schema(
            node_id="StorefrontAccelerate",
            display_name="Accelerate (Storefront)",
            category=CATEGORY,
            description="Returns a faster copy of a MODEL: step cache, attention kernel, compiled blocks, fp8 matrix products. Can set a VAE to channels-last memory.",
            search_aliases=[
                "speed",
                "cache",
                "teacache",
                "first block cache",
                "taylorseer",
                "sage attention",
                "compile",
                "channels last",
            ],
            inputs=[
                io.Model.Input(
                    "model", tooltip="From Load FLUX Model. LoRAs can be applied before or after this node."
                ),
                io.Combo.Input(
                    "step_cache",
                    options=acceleration.STEP_CACHES,
                    default=acceleration.NONE,
                    optional=True,
                    tooltip="Skips steps that hardly differ from the last. The picture changes; see the help.",
                ),
                io.Float.Input(
                    "cache_threshold",
                    default=acceleration.AUTO_THRESHOLD,
                    min=-1,
                    max=1,
                    step=0.01,
                    optional=True,
                    tooltip="For first block (-1: 0.05) and magcache (-1: 0.06). More skips more. 0 skips nothing.",
                    advanced=True,
                ),
                io.Int.Input(
                    "cache_interval",
                    default=5,
                    min=1,
                    max=acceleration.LONGEST_INTERVAL,
                    optional=True,
                    tooltip="For taylorseer: computes one step in this many, after the first three. 1 skips nothing.",
                    advanced=True,
                ),
                io.Combo.Input(
                    "attention",
                    options=kernels.kernels(),
                    default=acceleration.AUTO,
                    optional=True,
                    tooltip="The attention kernels installed here. auto = diffusers' default.",
                ),
                io.Combo.Input(
                    "compile",
                    options=acceleration.COMPILE,
                    default=acceleration.OFF,
                    optional=True,
                    tooltip="regional: torch.compile of the blocks. The first picture of each size takes longer; see Warm Up.",
                ),
                io.Combo.Input(
                    "matmul",
                    options=kernels.matmuls(),
                    default=acceleration.AUTO,
                    optional=True,
                    tooltip="fp8: 8-bit matrix products, for weights stored in 8 bits. Needs an Ada, Hopper or newer card.",
                    advanced=True,
                ),
                io.Vae.Input(
                    "vae",
                    optional=True,
                    tooltip="Needed for `channels` only. No other setting changes it.",
                ),
                io.Combo.Input(
                    "channels",
                    options=acceleration.CHANNELS,
                    default=acceleration.AUTO,
                    optional=True,
                    tooltip="last: the VAE computes in channels-last memory format, which is faster on many cards.",
                    advanced=True,
                ),
            ],
            outputs=[
                io.Model.Output(tooltip="The accelerated model."),
                io.Vae.Output(tooltip="The input VAE with the chosen memory format."),
            ],
        )

    @classmethod
    def execute(
        cls,
        model,
        step_cache: str = acceleration.NONE,
        cache_threshold: float = acceleration.AUTO_THRESHOLD,
        cache_interval: int = 5,
        attention: str = acceleration.AUTO,
        compile: str = acceleration.OFF,
        matmul: str = acceleration.AUTO,
        vae=None,
        channels: str = acceleration.AUTO,
    ) -> io.NodeOutput:
        from ..host import acceleration as host

        settings = acceleration.AccelerationSettings(
            step_cache, cache_threshold, cache_interval, attention, compile, matmul
        )
        return io.NodeOutput(host.accelerate(model, settings), host.turn_channels(vae, channels))


class StorefrontWarmUp(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..host import kernels

        return io.Schema(
            node_id="StorefrontWarmUp",
            display_name="Warm Up (Storefront)",
            category=CATEGORY,
            description="Loads and compiles the model ahead of the first picture, by running one step and discarding it.",
            search_aliases=["warmup", "preload", "compile", "first run"],
            inputs=[
                io.Model.Input("model", tooltip="From Load FLUX Model or Accelerate. Passed on unchanged."),
                io.Int.Input(
                    "width",
                    default=1024,
                    min=16,
                    max=LARGEST,
                    step=16,
                    tooltip="Of the pictures you will draw.",
                    optional=True,
                ),
                io.Int.Input(
                    "height",
                    default=1024,
                    min=16,
                    max=LARGEST,
                    step=16,
                    tooltip="Of the pictures you will draw.",
                    optional=True,
                ),
                io.Int.Input(
                    "batch_size",
                    default=1,
                    min=1,
                    max=kernels.LARGEST_BATCH,
                    optional=True,
                    tooltip="Pictures drawn at once.",
                ),
                io.Int.Input(
                    "tokens",
                    default=0,
                    min=0,
                    max=kernels.MOST_WARM_UP_TOKENS,
                    optional=True,
                    tooltip="Length of the prompts. 0 = the model's longest; FLUX pads every prompt to it.",
                    advanced=True,
                ),
            ],
            outputs=[io.Model.Output(tooltip="The model, loaded and warm.")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls, model, width: int = 1024, height: int = 1024, batch_size: int = 1, tokens: int = 0
    ) -> io.NodeOutput:
        from ..host import acceleration as host
        from ..host import progress

        progress.say(host.warm_up(model, width, height, batch_size, tokens), cls.hidden.unique_id)
        return io.NodeOutput(model)
