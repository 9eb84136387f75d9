"""LoRAs: up to four rows of files, or a style by its name."""

from __future__ import annotations

from comfy_api.latest import io

from .checked import refusal
from .flux import CATEGORY

ROWS = (1, 2, 3, 4)


def _row(number: int, files: list[str]) -> list[io.Input]:
    from ..host import lora

    return [
        io.Combo.Input(
            f"lora_{number}",
            options=[lora.NONE, *files],
            default=lora.NONE,
            optional=True,
            tooltip="A .safetensors file in models/loras, in any trainer's format.",
        ),
        io.Float.Input(
            f"strength_{number}",
            default=1.0,
            min=-lora.STRONGEST,
            max=lora.STRONGEST,
            step=0.05,
            optional=True,
            tooltip="Strength on the model. 0 = no effect; negative values reverse the effect.",
        ),
        io.Float.Input(
            f"clip_strength_{number}",
            default=1.0,
            min=-lora.STRONGEST,
            max=lora.STRONGEST,
            step=0.05,
            optional=True,
            advanced=True,
            tooltip="Strength on the text encoders, if the file has weights for them.",
        ),
    ]


class StorefrontLoadLora(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..host import lora

        files = list(lora.files())
        return io.Schema(
            node_id="StorefrontLoadLora",
            display_name="Load LoRA (Storefront)",
            category=CATEGORY,
            description="Applies up to four LoRAs to a model, in any trainer's format, and lists every key that did not match.",
            search_aliases=["lora", "lora stack", "style", "lokr", "loha", "lycoris", "로라"],
            inputs=[
                io.Model.Input("model", tooltip="The model that the LoRA changes."),
                io.Clip.Input(
                    "clip", optional=True, tooltip="Needed only for LoRAs that also change the text encoders."
                ),
                *(entry for number in ROWS for entry in _row(number, files)),
            ],
            outputs=[
                io.Model.Output(tooltip="The model with the LoRA."),
                io.Clip.Output(tooltip="Empty if no CLIP is connected."),
                io.String.Output("report", display_name="REPORT", tooltip="What matched, and every key that did not."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def fingerprint_inputs(cls, **inputs) -> object:
        from ..host import lora

        return lora.fingerprint(value for name, value in inputs.items() if name.startswith("lora_"))

    @classmethod
    def execute(cls, model, clip=None, **rows) -> io.NodeOutput:
        from ..host import lora, progress

        chosen = [
            lora.Row(
                f"lora_{n}",
                rows.get(f"lora_{n}", lora.NONE),
                rows.get(f"strength_{n}", 1.0),
                rows.get(f"clip_strength_{n}", 1.0),
            )
            for n in ROWS
        ]
        model, clip, outcome = lora.apply_rows(model, clip, chosen)
        report = lora.report(outcome)
        progress.say_all(report.splitlines(), cls.hidden.unique_id)
        return io.NodeOutput(model, clip, report)


class StorefrontStyleLora(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..host import lora

        return io.Schema(
            node_id="StorefrontStyleLora",
            display_name="Style LoRA (Storefront)",
            category=CATEGORY,
            description="Applies the LoRA of a style by the style's name. If none is installed, the model is passed on unchanged.",
            search_aliases=["style", "realistic", "anime", "illustration", "lora switch", "로라"],
            inputs=[
                io.Model.Input("model", tooltip="The model that the LoRA changes."),
                io.Clip.Input(
                    "clip", optional=True, tooltip="Needed only for LoRAs that also change the text encoders."
                ),
                io.Combo.Input(
                    "style",
                    options=[lora.NONE, *lora.style_names()],
                    default=lora.NONE,
                    tooltip="The styles of Ad Prompt and your own (see the help). A style without a LoRA does not change the model.",
                    optional=True,
                ),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=0,
                    max=2,
                    step=0.05,
                    optional=True,
                    tooltip="Multiplies the style's own strength.",
                ),
            ],
            outputs=[
                io.Model.Output(tooltip="The model with the LoRA."),
                io.Clip.Output(tooltip="Empty if no CLIP is connected."),
                io.String.Output("report", display_name="REPORT", tooltip="Which file was used, or why none was."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def fingerprint_inputs(cls, **inputs) -> object:
        from ..host import lora

        return lora.style_fingerprint()

    @classmethod
    def validate_inputs(cls, style="none") -> bool | str:
        """In place of ComfyUI's "not in list": styles come and go, and older workflows name them by their keys alone."""
        from ..host import lora

        return refusal((lora.require_style, style))

    @classmethod
    def execute(cls, model, style: str = "none", clip=None, strength: float = 1.0) -> io.NodeOutput:
        from ..host import lora, progress

        model, clip, report = lora.apply_style(model, clip, style, strength)
        progress.say_all(report, cls.hidden.unique_id)
        return io.NodeOutput(model, clip, "\n".join(report))
