"""A shop owner's words become the prompt of an advertisement."""

from __future__ import annotations

from comfy_api.latest import io

from ..studio.prompt import presets, writers
from . import common
from .checked import refusal

EXAMPLE_TEXT = "카페 신메뉴 딸기라떼, 따뜻하고 아늑한 분위기"


class StorefrontAdPrompt(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..host import connections, language_models, preset_library

        headings = preset_library.headings()
        return io.Schema(
            node_id="StorefrontAdPrompt",
            display_name="Ad Prompt (Storefront)",
            category="Storefront/Prompt",
            description="Writes an art director's English prompt and a headline from a shop owner's Korean or English words.",
            search_aliases=[
                "translate",
                "prompt generator",
                "LLM",
                "enhance",
                "style",
                "프롬프트",
                "번역",
                "광고 문구",
            ],
            inputs=[
                io.String.Input(
                    "text",
                    multiline=True,
                    default=EXAMPLE_TEXT,
                    tooltip="What you advertise, in your own words. Words in quotation marks become the headline.",
                    optional=True,
                ),
                common.trade("auto: chosen from the words of the text."),
                io.Combo.Input(
                    "style",
                    options=list(headings.styles),
                    default="realistic",
                    optional=True,
                    tooltip="How the picture looks, such as a photograph, an illustration or anime.",
                ),
                io.Combo.Input(
                    "translate",
                    options=list(writers.CHOICES),
                    default=writers.OFF,
                    tooltip="off: presets and their dictionary, no language model. If a model fails, the next one is used.",
                    optional=True,
                ),
                common.seed("Another seed gives another setting, light and angle."),
                io.Clip.Input(
                    "clip",
                    optional=True,
                    tooltip="For `model's own encoder`. Also used to check whether the encoder reads Korean.",
                ),
                io.Combo.Input(
                    "local_model",
                    options=[connections.NONE, *language_models.folders()],
                    default=connections.NONE,
                    optional=True,
                    tooltip="A language model in transformers' layout: a folder in models/LLM with .safetensors.",
                    advanced=True,
                ),
                io.Combo.Input(
                    "connection",
                    options=[connections.NONE, *connections.names()],
                    default=connections.NONE,
                    optional=True,
                    tooltip="A server set up in ComfyUI's settings under Storefront. The text is sent to it.",
                    advanced=True,
                ),
                io.String.Input(
                    "glossary",
                    multiline=True,
                    default="",
                    optional=True,
                    tooltip="Brand names that must not be translated, one per line.",
                    advanced=True,
                ),
            ],
            outputs=[
                io.String.Output("prompt", display_name="PROMPT", tooltip="The picture in words, product and scene."),
                io.String.Output("negative", display_name="NEGATIVE", tooltip="What to avoid, for models with cfg."),
                io.String.Output("headline", display_name="HEADLINE", tooltip="In your language, for Text Overlay."),
                io.String.Output(
                    "report", display_name="REPORT", tooltip="JSON: which writer was used and what it understood."
                ),
                io.String.Output(
                    "scene", display_name="SCENE", tooltip="The setting without the product, for Encode Prompt."
                ),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(
        cls, trade=presets.AUTO, style="realistic", translate=writers.OFF, local_model="none", connection="none"
    ) -> bool | str:
        """In place of ComfyUI's "not in list": presets, models and connections come and go."""
        from ..host import connections, language_models, preset_library

        asked = translate in writers.IN_LINE  # a name that nobody asks may be a stranger's
        return refusal(
            (preset_library.require_trade, trade),
            (preset_library.require_style, style),
            (writers.require_choice, translate),
            (language_models.require_folder, local_model if asked else None),
            (connections.require_name, connection if asked else None),
        )

    @classmethod
    def fingerprint_inputs(cls, translate=writers.OFF, local_model="none", connection="none", **_) -> str:
        from ..host import prompt_writers

        return prompt_writers.fingerprint(translate, local_model, connection, cls.hidden.unique_id)

    @classmethod
    def execute(
        cls,
        text: str = EXAMPLE_TEXT,
        trade: str = presets.AUTO,
        style: str = "realistic",
        translate: str = writers.OFF,
        seed: int = 0,
        clip=None,
        local_model: str = "none",
        connection: str = "none",
        glossary: str = "",
    ) -> io.NodeOutput:
        from ..host import progress, prompt_writers
        from ..studio.prompt import advert

        brief = advert.AdBrief(text, trade, style, translate, seed, glossary)
        made = prompt_writers.compose(brief, clip, local_model, connection, cls.hidden.unique_id)
        progress.say_all([made.headline, *made.notes], cls.hidden.unique_id, made.fallbacks)
        return io.NodeOutput(made.prompt, made.negative, made.headline, made.report_json(), made.scene)
