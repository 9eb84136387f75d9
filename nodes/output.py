"""Words in, files out: where the finished advertisement goes."""

from __future__ import annotations

from comfy_api.latest import io, ui

from ..studio import canvas
from ..studio.output import encode, names, report, saving
from .checked import refusal
from .layout import LAYOUT

CATEGORY = "Storefront/Output"


class StorefrontSaveImage(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StorefrontSaveImage",
            display_name="Save Image (Storefront)",
            category=CATEGORY,
            description="Saves to ComfyUI's output folder in several formats. Writes whole files only and never overwrites one.",
            search_aliases=[
                "save",
                "export",
                "jpeg",
                "webp",
                "avif",
                "pdf",
                "print",
                "crop",
                "저장",
                "내보내기",
                "인쇄",
            ],
            inputs=[
                io.Image.Input("image", tooltip="The picture to save. A batch is saved picture by picture."),
                io.Combo.Input(
                    "kind",
                    options=list(saving.SAVE_KINDS),
                    default=saving.FINAL,
                    tooltip="origin: saves the untouched scene in the folder origin.",
                    optional=True,
                    advanced=True,
                ),
                io.String.Input(
                    "filename",
                    default=saving.DEFAULT_NAME,
                    tooltip="May have folders and tokens: ads/%date:yyyy-MM-dd%/cup_%counter%. Also %width%, %height%, "
                    "%batch_num%, %format%, %seed%, %Node title.widget%. Without %counter% a number is added.",
                    optional=True,
                ),
                io.Combo.Input(
                    "naming",
                    options=list(saving.NAMING_SCHEMES),
                    default=saving.TEMPLATE,
                    optional=True,
                    tooltip="content: named by the SHA-256 of its pixels, in the folder of filename; duplicates are stored once.",
                    advanced=True,
                ),
                io.Combo.Input(
                    "format",
                    options=encode.available(),
                    default="PNG",
                    optional=True,
                    tooltip="PNG keeps every pixel. JPEG and WebP are small. PDF is for print.",
                ),
                io.Int.Input(
                    "quality",
                    default=92,
                    min=encode.RANGES["quality"][0],
                    max=encode.RANGES["quality"][1],
                    optional=True,
                    tooltip="For JPEG, WebP, AVIF and PDF. 100 = lossless in WebP and PDF.",
                ),
                io.Int.Input(
                    "dpi",
                    default=300,
                    min=encode.RANGES["dpi"][0],
                    max=encode.RANGES["dpi"][1],
                    optional=True,
                    tooltip="Pixels per inch in print. Does not change the pixels.",
                    advanced=True,
                ),
                io.Float.Input(
                    "bleed_mm",
                    default=0,
                    min=encode.RANGES["bleed_mm"][0],
                    max=encode.RANGES["bleed_mm"][1],
                    step=0.5,
                    optional=True,
                    tooltip="Millimetres added at every edge as a mirror image, to be trimmed in print. 3 is usual.",
                    advanced=True,
                ),
                io.Boolean.Input(
                    "embed_workflow",
                    default=True,
                    optional=True,
                    tooltip="Off for delivery: the file contains nothing about the workflow. PNG, WebP and AVIF can hold it.",
                    advanced=True,
                ),
                io.String.Input(
                    "also_formats",
                    multiline=True,
                    default="",
                    optional=True,
                    tooltip="Also crop the picture to these formats, one per line: " + ", ".join(canvas.PROPORTIONS),
                ),
                LAYOUT.Input("layout", optional=True, tooltip="Its products and words are kept in every crop."),
                io.Mask.Input("mask", optional=True, tooltip="1 = must be kept in every crop."),
            ],
            outputs=[
                io.String.Output(
                    "paths", display_name="PATHS", tooltip="One path per line, relative to the output folder."
                ),
                io.Image.Output("images", display_name="IMAGE", tooltip="The input picture, unchanged."),
            ],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo, io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(cls, filename="cup", also_formats="") -> bool | str:
        """A name that cannot be used is refused before a picture is drawn for it."""
        return refusal((names.require_template, filename), (saving.formats_of, also_formats))

    @classmethod
    def execute(
        cls,
        image,
        kind: str = saving.FINAL,
        filename: str = saving.DEFAULT_NAME,
        naming: str = saving.TEMPLATE,
        format: str = "PNG",
        quality: int = 92,
        dpi: int = 300,
        bleed_mm: float = 0,
        embed_workflow: bool = True,
        also_formats: str = "",
        layout=None,
        mask=None,
    ) -> io.NodeOutput:
        from ..host import progress
        from ..host import saving as host

        encoding = encode.Encoding(format, quality, dpi, bleed_mm)
        options = saving.SaveOptions(kind, filename, naming, encoding, saving.formats_of(also_formats))
        saved, notes = host.save(image, options, cls.hidden, embed_workflow=embed_workflow, layout=layout, mask=mask)
        progress.fell_back(notes, cls.hidden.unique_id)
        return io.NodeOutput("\n".join(one.path for one in saved), image, ui=host.shown(saved))


class StorefrontReport(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StorefrontReport",
            display_name="Report (Storefront)",
            category=CATEGORY,
            description="Reports the run so far, node by node: seconds, memory, weights moved, results reused.",
            search_aliases=["benchmark", "profile", "timing", "vram", "prometheus", "보고서"],
            inputs=[
                io.AnyType.Input(
                    "value", tooltip="Connect the last output of the workflow. Nodes that run later are not reported."
                ),
                io.Combo.Input(
                    "format",
                    options=list(report.TEXTS),
                    default=report.JSON,
                    optional=True,
                    tooltip="Prometheus: its text format, for a node exporter's textfile folder.",
                ),
                io.Image.Input(
                    "image",
                    optional=True,
                    tooltip="With `prompt`: for the CLIP score, how well the picture matches the words.",
                ),
                io.String.Input(
                    "prompt",
                    default="",
                    multiline=True,
                    optional=True,
                    tooltip="What the picture should show, in English. CLIP reads about 75 words or parts of words.",
                ),
            ],
            outputs=[io.String.Output("report", display_name="REPORT", tooltip="The report as text.")],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
            is_input_list=True,  # a list is one value here, not a report for each of its entries
        )

    @classmethod
    def fingerprint_inputs(cls, **_) -> str:
        """Asked for before any node of a prompt runs: there the recording begins."""
        from ..host import report as host

        return host.begin()

    @classmethod
    def execute(
        cls, value: list, format: list[str] | None = None, image: list | None = None, prompt: list | None = None
    ) -> io.NodeOutput:
        from ..host import clip_score, progress
        from ..host import report as host

        judged = clip_score.judge(image, prompt, cls.hidden.unique_id)
        summary = host.so_far(cls.hidden.unique_id, judged.score)
        text = report.text_of(summary, format[0] if format else report.JSON)
        progress.say("; ".join([report.headline(summary), *judged.notes]), cls.hidden.unique_id)
        return io.NodeOutput(text, ui=ui.PreviewText(text))
