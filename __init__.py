"""ComfyUI-Storefront: a sentence and a product photo become an advertisement, inside ComfyUI."""

WEB_DIRECTORY = "./js"

__all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]


async def comfy_entrypoint():
    from .nodes import StorefrontExtension

    return StorefrontExtension()
