"""Where a product photo comes from."""

from __future__ import annotations

from comfy_api.latest import io

from ..studio import examples


class StorefrontExamplePhoto(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..host import photos

        return io.Schema(
            node_id="StorefrontExamplePhoto",
            display_name="Product Photo (Storefront)",
            category="Storefront",
            description="The photo of your product: drop a file on the node or choose one. Starts with an example photo.",
            search_aliases=[
                "sample image",
                "test image",
                "load image",
                "upload",
                "상품 사진",
                "제품 사진",
                "사진 올리기",
            ],
            inputs=[
                io.Combo.Input(
                    "photo",
                    options=examples.photo_names(),
                    default=examples.DEFAULT_PHOTO,
                    optional=True,
                    tooltip="Older name of image.",
                    extra_dict={"hidden": True},
                ),
                io.Combo.Input(
                    "image",
                    options=photos.listed(),
                    default=photos.EXAMPLE,
                    optional=True,
                    upload=io.UploadType.image,
                    tooltip="A picture in ComfyUI's input folder. A file that you drop or choose is copied there.",
                ),
            ],
            outputs=[io.Image.Output(tooltip="The photo, rotated upright. Transparent parts of the file are white.")],
        )

    @classmethod
    def validate_inputs(cls, image: str | None = None) -> bool | str:
        """In place of ComfyUI's "not in list": files come after the list was made. Says which file is missing."""
        from ..host import photos
        from ..studio.errors import InputError

        try:
            if image is not None:
                photos.find(image)
        except InputError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, image: str | None = None, **_) -> str:
        from ..host import photos

        return photos.fingerprint(photos.EXAMPLE if image is None else image)

    @classmethod
    def execute(cls, photo: str = examples.DEFAULT_PHOTO, image: str | None = None) -> io.NodeOutput:
        from ..host import photos

        if image in (None, photos.EXAMPLE):
            return io.NodeOutput(examples.photo(photo))
        return io.NodeOutput(photos.load(image))
