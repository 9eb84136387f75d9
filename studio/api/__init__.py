"""The Python API: what the bundled workflows do, as functions. No ComfyUI is needed; docs/python.md shows how."""

from __future__ import annotations

from ..brand.brand import Brand
from ..brand.designs import Badge, CallToAction
from ..errors import InputError
from ..examples import photo as example_photo
from ..layout.layout import Layout
from ..out_of_memory import OutOfMemory
from ..product.cutout import Edges
from ..product.placement import Placement
from ..sampling.unfinished import Unfinished
from ..text.design import Design
from .advertise import catalogue, poster_from_photo, product_composite
from .branding import load_brand
from .draw import image_to_image, image_to_images, text_to_image, text_to_images
from .listing import product_on_white
from .load import Cutter, Model, ModelParts, load_cutter, load_model
from .result import Report, Result, Stage, Step
from .scenes import ad_from_photo, find_scene

__all__ = [
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
