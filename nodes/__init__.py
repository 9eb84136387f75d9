"""Every node of the pack."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from .acceleration import StorefrontAccelerate, StorefrontWarmUp
from .blend import StorefrontBlendIntoScene
from .brand import StorefrontBadge, StorefrontBrand, StorefrontCallToAction, StorefrontLogo
from .campaign import StorefrontCatalogue, StorefrontFormats
from .checked import check_inputs
from .cutout import StorefrontRemoveBackground
from .files import StorefrontLoadComponents
from .flux import StorefrontCanvas, StorefrontDecode, StorefrontEncode, StorefrontLoadModel, StorefrontSample
from .flux3 import StorefrontFlux3Prompt
from .gather import StorefrontGatherProducts, StorefrontPhotos
from .layers import StorefrontLayers
from .layout import StorefrontEditLayout, StorefrontPlanLayout
from .lora import StorefrontLoadLora, StorefrontStyleLora
from .missing import log_missing_packages, name_missing_packages
from .output import StorefrontReport, StorefrontSaveImage
from .packshot import StorefrontProductOnWhite
from .photo import StorefrontExamplePhoto
from .product import StorefrontPlaceProduct
from .prompt import StorefrontAdPrompt
from .reference import StorefrontReference
from .scene import StorefrontScene
from .scene_size import StorefrontSceneToFormat
from .server import StorefrontConnectServer, StorefrontDrawOnServer
from .text import StorefrontTextOverlay

NODES: list[type[io.ComfyNode]] = [
    StorefrontLoadModel,
    StorefrontLoadLora,
    StorefrontStyleLora,
    StorefrontLoadComponents,
    StorefrontAccelerate,
    StorefrontWarmUp,
    StorefrontEncode,
    StorefrontReference,
    StorefrontCanvas,
    StorefrontSample,
    StorefrontDecode,
    StorefrontExamplePhoto,
    StorefrontRemoveBackground,
    StorefrontSceneToFormat,
    StorefrontPlanLayout,
    StorefrontEditLayout,
    StorefrontPlaceProduct,
    StorefrontBlendIntoScene,
    StorefrontTextOverlay,
    StorefrontSaveImage,
    StorefrontReport,
    StorefrontLayers,
    StorefrontAdPrompt,
    StorefrontFlux3Prompt,
    StorefrontScene,
    StorefrontFormats,
    StorefrontCatalogue,
    StorefrontBrand,
    StorefrontLogo,
    StorefrontBadge,
    StorefrontCallToAction,
    StorefrontProductOnWhite,
    StorefrontPhotos,
    StorefrontGatherProducts,
    StorefrontConnectServer,
    StorefrontDrawOnServer,
]

for _node in NODES:
    check_inputs(_node)
    name_missing_packages(_node)


class StorefrontExtension(ComfyExtension):
    async def on_load(self) -> None:
        from ..host import connections, languages, letters, photos, report, sizes, start_up, tables

        log_missing_packages()
        photos.put_examples()
        tables.put_example()
        report.add_route()
        connections.add_routes()
        languages.add_route()
        letters.add_route()
        sizes.watch()
        start_up.queue_when_started()

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return NODES
