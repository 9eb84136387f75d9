"""ComfyUI-Storefront: a sentence and a product photo become an advertisement, inside ComfyUI and from Python.

Importing it loads nothing: ComfyUI starts as fast with the pack as without, and the names of the Python API
(docs/python.md) are looked up when they are first used.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .studio.api import (
        Badge,
        Brand,
        CallToAction,
        Cutter,
        Design,
        Edges,
        InputError,
        Layout,
        Model,
        ModelParts,
        OutOfMemory,
        Placement,
        Report,
        Result,
        Stage,
        Step,
        Unfinished,
        ad_from_photo,
        catalogue,
        example_photo,
        find_scene,
        image_to_image,
        image_to_images,
        load_brand,
        load_cutter,
        load_model,
        poster_from_photo,
        product_composite,
        product_on_white,
        text_to_image,
        text_to_images,
    )

WEB_DIRECTORY = "./js"

__all__ = [
    "WEB_DIRECTORY",
    "Badge",
    "Brand",
    "CallToAction",
    "Cutter",
    "Design",
    "Edges",
    "InputError",
    "Layout",
    "Model",
    "ModelParts",
    "OutOfMemory",
    "Placement",
    "Report",
    "Result",
    "Stage",
    "Step",
    "Unfinished",
    "ad_from_photo",
    "catalogue",
    "comfy_entrypoint",
    "example_photo",
    "find_scene",
    "image_to_image",
    "image_to_images",
    "load_brand",
    "load_cutter",
    "load_model",
    "poster_from_photo",
    "product_composite",
    "product_on_white",
    "text_to_image",
    "text_to_images",
]


async def comfy_entrypoint():
    from .nodes import StorefrontExtension

    return StorefrontExtension()


def __getattr__(name: str):
    if name in __all__:
        from .studio import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
