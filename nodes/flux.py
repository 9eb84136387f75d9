"""FLUX in five nodes: load, encode, canvas, sample, decode."""

from __future__ import annotations

from comfy_api.latest import io

from ..studio import canvas
from . import common

CATEGORY = "Storefront/FLUX"


class StorefrontLoadModel(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..host import memory, model_files

        return io.Schema(
            node_id="StorefrontLoadModel",
            display_name="Load FLUX Model (Storefront)",
            category=CATEGORY,
            description="Loads a FLUX.1, FLUX.2, FLUX.3 or Z-Image model: a diffusers folder, a whole checkpoint, or the bundled flux-micro.",
            search_aliases=["flux", "flux 2", "klein", "kontext", "z-image", "diffusers loader", "checkpoint"],
            inputs=[
                io.Combo.Input(
                    "model",
                    options=[*model_files.folders(), *model_files.whole_files()],
                    default=model_files.BUNDLED,
                    tooltip="A folder in models/diffusers, or a file in models/checkpoints that holds everything. "
                    "flux-micro is bundled; it draws 64 px miniatures.",
                    optional=True,
                ),
                io.Combo.Input(
                    "weight_dtype",
                    options=memory.WEIGHT_DTYPES,
                    default="auto",
                    tooltip="auto: bf16 where the device supports it, else fp32. fp8 storage halves the transformer's memory.",
                    optional=True,
                    advanced=True,
                ),
            ],
            outputs=[
                io.Model.Output(tooltip="The transformer, for FLUX Sampler or any stock sampler."),
                io.Clip.Output(tooltip="The text encoders, for Encode Prompt."),
                io.Vae.Output(tooltip="Decodes latents to pictures and encodes pictures to latents."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, model: str = "flux-micro", weight_dtype: str = "auto") -> io.NodeOutput:
        from ..host import opening, progress

        opened = opening.load_model(model, weight_dtype)
        progress.say_all(opened.notes, cls.hidden.unique_id)
        return io.NodeOutput(opened.model, opened.clip, opened.vae)


class StorefrontEncode(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..studio.kinds.table import longest_text

        return io.Schema(
            node_id="StorefrontEncode",
            display_name="Encode Prompt (Storefront)",
            category=CATEGORY,
            description="Encodes a prompt as conditioning. The line under the node lists words that did not fit.",
            search_aliases=["prompt", "text encode", "clip text encode flux"],
            inputs=[
                io.Clip.Input("clip", tooltip="The text encoders of the model that draws."),
                io.String.Input("prompt", multiline=True, dynamic_prompts=True, tooltip="What the picture shows."),
                io.String.Input(
                    "prompt_2",
                    multiline=True,
                    dynamic_prompts=True,
                    default="",
                    tooltip="A different text for the sequence encoder (T5). Empty = same as prompt.",
                    optional=True,
                    advanced=True,
                ),
                io.Int.Input(
                    "max_tokens",
                    default=0,
                    min=0,
                    max=longest_text(),
                    tooltip="Token length that the sequence encoder pads or truncates to. 0 = the model's default.",
                    optional=True,
                    advanced=True,
                ),
                io.Boolean.Input(
                    "one_prompt_per_line",
                    default=False,
                    tooltip="Treats each line as a separate prompt and draws a batch.",
                    optional=True,
                ),
            ],
            outputs=[io.Conditioning.Output(tooltip="The encoded prompt.")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls, clip, prompt: str, prompt_2: str = "", max_tokens: int = 0, one_prompt_per_line: bool = False
    ) -> io.NodeOutput:
        from ..host import progress, prompt_encoding
        from ..studio.sampling import encode

        pairs = encode.pair_prompts(prompt, prompt_2, one_prompt_per_line)
        conditioning, notes = prompt_encoding.encode_prompts(clip, pairs, max_tokens)
        progress.fell_back(notes, cls.hidden.unique_id)
        return io.NodeOutput(conditioning)


class StorefrontCanvas(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StorefrontCanvas",
            display_name="Ad Canvas (Storefront)",
            category=CATEGORY,
            description="An empty latent in an advertisement format.",
            search_aliases=["empty latent", "resolution", "aspect ratio", "banner", "story", "해상도", "배너"],
            inputs=[
                io.Combo.Input(
                    "format",
                    options=[canvas.CUSTOM, *canvas.FORMATS],
                    default="1:1 feed",
                    optional=True,
                    tooltip="Where the advertisement appears. It sets the size; custom uses width and height.",
                ),
                io.Int.Input(
                    "width",
                    default=1024,
                    min=canvas.SMALLEST,
                    max=canvas.LARGEST,
                    tooltip="Pixels, for the custom format; rounded to the nearest multiple of 16.",
                    optional=True,
                ),
                io.Int.Input(
                    "height",
                    default=1024,
                    min=canvas.SMALLEST,
                    max=canvas.LARGEST,
                    tooltip="Pixels, for the custom format; rounded to the nearest multiple of 16.",
                    optional=True,
                ),
                io.Int.Input(
                    "batch_size",
                    default=1,
                    min=1,
                    max=64,
                    optional=True,
                    advanced=True,
                    tooltip="How many pictures.",
                ),
                io.Int.Input(
                    "draw_side",
                    default=0,
                    min=0,
                    max=canvas.LARGEST,
                    step=16,
                    optional=True,
                    advanced=True,
                    tooltip="Draw at about this many pixels squared, in the format's shape: 64 for flux-micro. "
                    "0 = the format's size. Scene to Format enlarges the picture.",
                ),
            ],
            outputs=[
                io.Latent.Output(tooltip="An empty canvas, for FLUX Sampler."),
                io.Int.Output("WIDTH", tooltip="Pixels of the format, independent of draw_side."),
                io.Int.Output("HEIGHT", tooltip="Pixels of the format, independent of draw_side."),
            ],
        )

    @classmethod
    def execute(
        cls, format: str = "1:1 feed", width: int = 1024, height: int = 1024, batch_size: int = 1, draw_side: int = 0
    ) -> io.NodeOutput:
        from ..studio.sampling.noise import empty_latent

        size = canvas.canvas_size(format, width, height)
        drawn = canvas.drawn_size(size, draw_side)
        return io.NodeOutput(
            # The ratio lets samplers make the canvas of another family of it: FLUX.2's cells are twice as large.
            {"samples": empty_latent(drawn, batch_size), "downscale_ratio_spacial": 8},
            size.width,
            size.height,
        )


class StorefrontSample(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..studio.sampling.schedule import MAX_STEPS

        return io.Schema(
            node_id="StorefrontSample",
            display_name="FLUX Sampler (Storefront)",
            category=CATEGORY,
            description="Samples with diffusers' noise levels on ComfyUI's sampler. The same seed gives the picture that diffusers gives.",
            search_aliases=["ksampler", "denoise", "inpaint", "img2img"],
            inputs=[
                io.Model.Input("model", tooltip="The model that draws, from Load FLUX Model or a stock loader."),
                io.Conditioning.Input("positive", tooltip="What to draw, from Encode Prompt."),
                io.Conditioning.Input("negative", optional=True, tooltip="What to avoid. Used when cfg is above 1."),
                io.Latent.Input("latent", tooltip="An Ad Canvas or an encoded picture. Its noise mask is applied."),
                common.seed("The same number draws the same picture again."),
                io.Int.Input(
                    "steps",
                    default=0,
                    min=0,
                    max=MAX_STEPS,
                    tooltip="0 = the model's default (FLUX.1 dev 28, schnell 4).",
                    optional=True,
                ),
                io.Float.Input(
                    "guidance",
                    default=-1,
                    min=-1,
                    max=100,
                    step=0.1,
                    tooltip="Embedded guidance. -1 = the model's default. A FluxGuidance node overrides it.",
                    optional=True,
                ),
                io.Float.Input(
                    "cfg",
                    default=0,
                    min=0,
                    max=100,
                    step=0.1,
                    tooltip="Guidance by a negative prompt. 0 = the model's default, 1 = off; above 1 takes twice as long.",
                    optional=True,
                    advanced=True,
                ),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=0,
                    max=1,
                    step=0.01,
                    tooltip="How much of the input picture is repainted. 1 = start from noise (diffusers' meaning).",
                    optional=True,
                ),
                io.Float.Input(
                    "time_limit",
                    default=0,
                    min=0,
                    max=86_400,
                    step=1,
                    tooltip="Seconds, including loading; 0 = no limit. At the limit, returns the current prediction.",
                    optional=True,
                    advanced=True,
                ),
                io.Boolean.Input(
                    "resume",
                    default=False,
                    tooltip="Continues a picture that a time limit, Cancel or a crash ended, from its last step. "
                    "While it draws, the state is kept in a file. Queue the same prompt again to continue.",
                    optional=True,
                    advanced=True,
                ),
            ],
            outputs=[io.Latent.Output(tooltip="The drawn latents, for Decode Picture.")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def fingerprint_inputs(cls, resume=False, **_) -> str:
        """The same prompt again goes on with what a time limit cut off, rather than being answered from the cache."""
        from ..host import fingerprints

        return fingerprints.of([], cls.hidden.unique_id) if resume else ""

    @classmethod
    def execute(
        cls,
        model,
        positive,
        latent,
        seed: int = 0,
        steps: int = 0,
        guidance: float = -1,
        cfg: float = 0,
        strength: float = 1.0,
        time_limit: float = 0,
        negative=None,
        resume: bool = False,
    ) -> io.NodeOutput:
        from ..host import fingerprints, progress, resuming, sampling

        out, notes = sampling.sample(
            model,
            positive,
            negative,
            latent,
            sampling.SamplerSettings(seed, steps, guidance, cfg, strength, time_limit, resume),
        )
        progress.fell_back(notes, cls.hidden.unique_id)
        if resume and resuming.STATE in out:
            fingerprints.substituted(cls.hidden.unique_id)
        return io.NodeOutput(out)


class StorefrontDecode(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StorefrontDecode",
            display_name="Decode Picture (Storefront)",
            category=CATEGORY,
            description="Decodes latents to a picture. Uses tiles when memory is short; the line under the node reports it.",
            search_aliases=["vae decode"],
            inputs=[
                io.Vae.Input("vae", tooltip="The VAE of the model that drew."),
                io.Latent.Input("latent", tooltip="From FLUX Sampler or a stock sampler."),
                io.Combo.Input(
                    "tiling",
                    options=["auto", "on", "off"],
                    default="auto",
                    optional=True,
                    tooltip="Decodes in tiles, which needs less memory. auto: only when memory runs out.",
                    advanced=True,
                ),
            ],
            outputs=[io.Image.Output(tooltip="The decoded picture.")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, vae, latent, tiling: str = "auto") -> io.NodeOutput:
        from ..host import progress, vae_socket

        image, note = vae_socket.decode(vae, latent["samples"], tiling)
        if note:
            progress.fell_back([note], cls.hidden.unique_id)
        return io.NodeOutput(image)
