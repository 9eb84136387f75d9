"""Several photos of one advertisement: read from a folder, and brought together."""

from __future__ import annotations

from comfy_api.latest import io

from ..studio.product import gather
from .checked import refusal


class StorefrontPhotos(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..host import photo_folders, photos

        return io.Schema(
            node_id="StorefrontPhotos",
            display_name="Product Photos (Storefront)",
            category="Storefront",
            description="All photos of a folder, as a list: what is behind runs once for each, in its own size.",
            search_aliases=["folder", "batch", "load images", "list of images", "사진 여러 장", "폴더"],
            inputs=[
                io.Combo.Input(
                    "folder",
                    options=photo_folders.listed(),
                    default=photo_folders.EXAMPLE_FOLDER,
                    optional=True,
                    tooltip="A folder in ComfyUI's input folder. Put your photos there and press R.",
                ),
                io.Int.Input(
                    "first",
                    default=1,
                    min=1,
                    max=photos.MOST_LOOKED_AT,
                    optional=True,
                    advanced=True,
                    tooltip="The first photo, in the order of the names.",
                ),
                io.Int.Input(
                    "most",
                    default=16,
                    min=1,
                    max=gather.MOST_PRODUCTS,
                    optional=True,
                    advanced=True,
                    tooltip="Photos of one run. Each step keeps the pictures of all of them in memory.",
                ),
            ],
            outputs=[
                io.Image.Output("photo", tooltip="The photos, each in its own size.", is_output_list=True),
                io.String.Output("name", tooltip="Their names without ending.", is_output_list=True),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, folder: str | None = None) -> bool | str:
        """In place of ComfyUI's "not in list": folders come after the list was made. Says which is missing."""
        from ..host import photo_folders

        return refusal((photo_folders.find, folder))

    @classmethod
    def fingerprint_inputs(cls, folder: str | None = None, **_) -> str:
        from ..host import photo_folders

        return photo_folders.fingerprint(photo_folders.EXAMPLE_FOLDER if folder is None else folder)

    @classmethod
    def execute(cls, folder: str | None = None, first: int = 1, most: int = 16) -> io.NodeOutput:
        from ..host import photo_folders, progress

        taken = photo_folders.read(photo_folders.EXAMPLE_FOLDER if folder is None else folder, first, most)
        progress.say_all(list(taken.notes), cls.hidden.unique_id)
        return io.NodeOutput(taken.photos, taken.names)


class StorefrontGatherProducts(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StorefrontGatherProducts",
            display_name="Gather Products (Storefront)",
            category="Storefront/Product",
            description="Products from several photos as one batch, none of them cropped, in proportion to each other: for one advertisement with all of them.",
            search_aliases=["batch images", "combine", "group", "side by side", "상품 모으기", "여러 상품"],
            is_input_list=True,
            inputs=[
                io.Image.Input("product", tooltip="A list, as Remove Background makes it of a list of photos."),
                io.Mask.Input("product_mask", tooltip="1 = product. One for each picture."),
                io.Combo.Input(
                    "sizes",
                    options=list(gather.PROPORTIONS_OF_PRODUCTS),
                    default=gather.SAME_HEIGHT,
                    optional=True,
                    tooltip="How large they are beside each other. Photos from the same distance: as in the photos.",
                ),
                io.String.Input(
                    "heights",
                    default="",
                    multiline=True,
                    optional=True,
                    tooltip="The real heights, one a line in any unit: 22, 9, 14.5. Empty: sizes decides.",
                ),
            ],
            outputs=[
                io.Image.Output(tooltip="A batch: to Place Product with batch: all in one picture."),
                io.Mask.Output(tooltip="1 = product. To Plan Layout and Place Product."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, product, product_mask, sizes=(gather.SAME_HEIGHT,), heights=("",)) -> io.NodeOutput:
        from ..host import progress

        gathered = gather.gather(product, product_mask, next(iter(sizes), gather.SAME_HEIGHT), "\n".join(heights))
        progress.say_all(list(gathered.notes), cls.hidden.unique_id)
        return io.NodeOutput(gathered.product, gathered.mask)
