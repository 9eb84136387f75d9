"""Every node of the pack."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from .blend import StorefrontBlendIntoScene
from .cutout import StorefrontRemoveBackground
from .files import StorefrontLoadComponents
from .flux import StorefrontCanvas, StorefrontDecode, StorefrontEncode, StorefrontLoadModel, StorefrontSample
from .layout import StorefrontEditLayout, StorefrontPlanLayout
from .photo import StorefrontExamplePhoto
from .product import StorefrontPlaceProduct
from .text import StorefrontTextOverlay

NODES: list[type[io.ComfyNode]] = [
    StorefrontLoadModel,
    StorefrontLoadComponents,
    StorefrontEncode,
    StorefrontCanvas,
    StorefrontSample,
    StorefrontDecode,
    StorefrontExamplePhoto,
    StorefrontRemoveBackground,
    StorefrontPlanLayout,
    StorefrontEditLayout,
    StorefrontPlaceProduct,
    StorefrontBlendIntoScene,
    StorefrontTextOverlay,
]


class StorefrontExtension(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return NODES
