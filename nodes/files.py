"""Models from single files: transformer, text encoders and VAE chosen apart."""

from __future__ import annotations

from comfy_api.latest import io

CATEGORY = "Storefront/FLUX"


class StorefrontLoadComponents(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..host import memory, model_files

        beside = [model_files.AUTO, model_files.NONE]
        known = model_files.choices()
        texts = [*beside, *known["text_encoder"]]
        return io.Schema(
            node_id="StorefrontLoadComponents",
            display_name="Load FLUX Components (Storefront)",
            category=CATEGORY,
            description="Loads the transformer, text encoders and VAE from separate files or folders.",
            search_aliases=[
                "unet loader",
                "diffusion model",
                "gguf",
                "nvfp4",
                "nf4",
                "bitsandbytes",
                "fp8",
                "clip loader",
                "vae loader",
                "safetensors",
            ],
            inputs=[
                io.Combo.Input(
                    "transformer",
                    options=list(known["transformer"]),
                    tooltip="bf16, fp16, fp8, nvfp4, bitsandbytes or GGUF. The model type is detected from the weights, not the file name.",
                ),
                io.Combo.Input(
                    "text_encoder",
                    options=texts,
                    default=model_files.AUTO,
                    tooltip="CLIP or T5 for FLUX.1, Mistral for FLUX.2 dev, Qwen3 for klein and Z-Image. "
                    "auto: from the transformer's file or folder. none: no CLIP output.",
                    optional=True,
                ),
                io.Combo.Input(
                    "text_encoder_2",
                    options=texts,
                    default=model_files.AUTO,
                    tooltip="FLUX.1's second text encoder, in any order. Other models have one encoder: leave this at auto.",
                    optional=True,
                ),
                io.Combo.Input(
                    "vae",
                    options=[*beside, *known["vae"]],
                    default=model_files.AUTO,
                    tooltip="auto: from the transformer's file or folder. none: no VAE output.",
                    optional=True,
                ),
                io.Combo.Input(
                    "weight_dtype",
                    options=memory.WEIGHT_DTYPES,
                    default="auto",
                    tooltip="auto: quantised weights stay quantised in memory; the rest is bf16 where the device supports it, "
                    "else fp32. bf16, fp16, fp32: all weights are converted.",
                    optional=True,
                    advanced=True,
                ),
                io.Combo.Input(
                    "edition",
                    options=model_files.EDITIONS,
                    default=model_files.AUTO,
                    optional=True,
                    tooltip="For models whose weights look alike. auto: FLUX.1 dev, distilled FLUX.2 klein, Z-Image Turbo.",
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
    def execute(
        cls,
        transformer: str,
        text_encoder: str = "auto",
        text_encoder_2: str = "auto",
        vae: str = "auto",
        weight_dtype: str = "auto",
        edition: str = "auto",
    ) -> io.NodeOutput:
        from ..host import opening, progress

        opened = opening.load(transformer, text_encoder, text_encoder_2, vae, weight_dtype, edition)
        progress.say_all(opened.notes, cls.hidden.unique_id)
        return io.NodeOutput(opened.model, opened.clip, opened.vae)
