"""One product in several formats, and many products from a table: ComfyUI lists, behind which everything runs once for each."""

from __future__ import annotations

from comfy_api.latest import io

from ..studio import canvas, table
from .checked import refusal

CATEGORY = "Storefront"
AUTO = "auto"
FIRST = ("1:1 feed", "4:5 feed portrait", "9:16 story, reel", "16:9 video, slide", "3:1 banner")
DEFAULT_FORMATS = {f"format_{number}": format for number, format in enumerate([*FIRST, canvas.NO_FORMAT], start=1)}
MOST_ROWS_A_RUN = 64  # of one run: each step holds the pictures of all of them


class StorefrontFormats(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        options = [canvas.NO_FORMAT, *canvas.FORMATS]
        return io.Schema(
            node_id="StorefrontFormats",
            display_name="Formats (Storefront)",
            category=CATEGORY,
            description="The formats of a campaign, chosen in one place: what is behind runs once for each and is planned anew.",
            search_aliases=["campaign", "sizes", "aspect ratio", "batch formats", "규격", "캠페인", "사이즈"],
            inputs=[
                io.Combo.Input(
                    name,
                    options=options,
                    default=default,
                    optional=True,
                    tooltip="An ad format, or none. One that is chosen twice counts once.",
                )
                for name, default in DEFAULT_FORMATS.items()
            ],
            outputs=[
                io.Combo.Output(
                    "format", tooltip="To the format of Scene, Ad Canvas or Scene to Format.", is_output_list=True
                ),
            ],
        )

    @classmethod
    def execute(cls, **formats: str) -> io.NodeOutput:
        return io.NodeOutput(canvas.chosen_formats(list((DEFAULT_FORMATS | formats).values())))


class StorefrontCatalogue(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..host import tables

        return io.Schema(
            node_id="StorefrontCatalogue",
            display_name="Catalogue from Table (Storefront)",
            category=CATEGORY,
            description="Reads an Excel or CSV file: a row a product, with photo, headline and price. One run makes some rows, a queue all of them.",
            search_aliases=["csv", "excel", "spreadsheet", "batch", "products", "엑셀", "표", "상품 목록", "카탈로그"],
            inputs=[
                io.Combo.Input(
                    "table",
                    options=tables.listed(),
                    default=tables.EXAMPLE_TABLE,
                    optional=True,
                    tooltip="An Excel (.xlsx) or CSV file in ComfyUI's input folder. Headings: photo (사진), headline (문구), price (가격), words (설명), trade (업종).",
                ),
                io.Int.Input(
                    "row",
                    default=1,
                    min=1,
                    max=table.MOST_ROWS,
                    optional=True,
                    control_after_generate=io.ControlAfterGenerate.increment,
                    tooltip="The first row of this run. It counts on by itself: queue as many runs as there are rows. To continue, enter where it stopped.",
                ),
                io.Int.Input(
                    "rows",
                    default=1,
                    min=1,
                    max=MOST_ROWS_A_RUN,
                    optional=True,
                    advanced=True,
                    tooltip="Rows of one run. Each step keeps the pictures of all of them in memory; 1 suits most machines.",
                ),
                io.Combo.Input(
                    "broken_row",
                    options=[table.STOP, table.SKIP],
                    default=table.STOP,
                    optional=True,
                    tooltip="A row without a photo, or with too many cells: stop with its line, or leave it out and say so.",
                ),
            ],
            outputs=[
                io.Image.Output("photo", tooltip="The product's photo.", is_output_list=True),
                io.String.Output(
                    "text",
                    tooltip="Headline and price, a line each: for Plan Layout and Text Overlay.",
                    is_output_list=True,
                ),
                io.String.Output("headline", tooltip="The description where there is none.", is_output_list=True),
                io.String.Output("price", tooltip="As the table has it.", is_output_list=True),
                io.String.Output("words", tooltip="All of the row, for Scene or Ad Prompt.", is_output_list=True),
                io.Combo.Output("trade", tooltip="auto where the cell is empty.", is_output_list=True),
                io.String.Output(
                    "name", tooltip="The photo's name without ending, for file names.", is_output_list=True
                ),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, table: str | None = None) -> bool | str:
        """In place of ComfyUI's "not in list": files come after the list was made. Says which file is missing."""
        from ..host import tables

        return refusal((tables.find, table))

    @classmethod
    def fingerprint_inputs(cls, table: str | None = None, row: int | None = 1, rows: int | None = 1, **_) -> str:
        from ..host import tables

        return tables.fingerprint(tables.EXAMPLE_TABLE if table is None else table, row or 1, rows or 1)

    @classmethod
    def execute(
        cls, table: str | None = None, row: int = 1, rows: int = 1, broken_row: str = table.STOP
    ) -> io.NodeOutput:
        from ..host import photos, progress, tables

        taken = tables.rows(tables.EXAMPLE_TABLE if table is None else table, row, rows, broken_row)
        progress.say_all([taken.progress, *taken.skipped], cls.hidden.unique_id)
        if not taken.rows:
            return io.NodeOutput(*([tables.nothing()] for _ in cls.define_schema().outputs))
        return io.NodeOutput(
            [photos.load(each.photo) for each in taken.rows],
            [each.text for each in taken.rows],
            [each.headline or each.words for each in taken.rows],
            [each.price for each in taken.rows],
            [each.sentence for each in taken.rows],
            [each.trade or AUTO for each in taken.rows],
            [each.name for each in taken.rows],
        )
