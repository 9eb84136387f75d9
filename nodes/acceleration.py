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
            description="A faster MODEL beside the one that came in: step cache, attention kernel, compiled blocks, fp8 products; a VAE with its channels last.",
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
                io.Model.Input("model", tooltip="From Load FLUX Model. LoRAs may come before this node or after it."),
                io.Combo.Input(
                    "step_cache",
                    options=acceleration.STEP_CACHES,
                    default=acceleration.NONE,
                    optional=True,
                    tooltip="Steps that hardly differ from the last are not computed: another picture, see the help.",
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
                    tooltip="For taylorseer: after the first three steps, one in so many is computed. 1 skips nothing.",
                    advanced=True,
                ),
                io.Combo.Input(
                    "attention",
                    options=kernels.kernels(),
                    default=acceleration.AUTO,
                    optional=True,
                    tooltip="Those that are installed here. auto: what diffusers takes by itself.",
                ),
                io.Combo.Input(
                    "compile",
                    options=acceleration.COMPILE,
                    default=acceleration.OFF,
                    optional=True,
                    tooltip="regional: torch.compile of the blocks. The first picture of a size waits; see Warm Up.",
                ),
                io.Combo.Input(
                    "matmul",
                    options=kernels.matmuls(),
                    default=acceleration.AUTO,
                    optional=True,
                    tooltip="fp8 (cards since Ada and Hopper): 8-bit products of a model whose weights are stored in 8 bits.",
                    advanced=True,
                ),
                io.Vae.Input(
                    "vae",
                    optional=True,
                    tooltip="Comes out beside the MODEL. Wanted for channels; nothing else changes it.",
                ),
                io.Combo.Input(
                    "channels",
                    options=acceleration.CHANNELS,
                    default=acceleration.AUTO,
                    optional=True,
                    tooltip="last: the VAE's pictures lie in memory with their channels last, as many cards and CPUs like it.",
                    advanced=True,
                ),
            ],
            outputs=[io.Model.Output(), io.Vae.Output(tooltip="The VAE that came in, with its channels as chosen.")],
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
            description="Loads and compiles before the first customer: one step of a picture that nobody sees.",
            search_aliases=["warmup", "preload", "compile", "first run"],
            inputs=[
                io.Model.Input("model", tooltip="From Load FLUX Model or Accelerate. It comes out as it is."),
                io.Int.Input(
                    "width",
                    default=1024,
                    min=16,
                    max=LARGEST,
                    step=16,
                    tooltip="Of the pictures to come.",
                    optional=True,
                ),
                io.Int.Input(
                    "height",
                    default=1024,
                    min=16,
                    max=LARGEST,
                    step=16,
                    tooltip="Of the pictures to come.",
                    optional=True,
                ),
                io.Int.Input("batch_size", default=1, min=1, max=kernels.LARGEST_BATCH, optional=True),
                io.Int.Input(
                    "tokens",
                    default=0,
                    min=0,
                    max=kernels.MOST_WARM_UP_TOKENS,
                    optional=True,
                    tooltip="Length of the prompts. 0: the model's longest, which FLUX pads every prompt to.",
                    advanced=True,
                ),
            ],
            outputs=[io.Model.Output()],
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
