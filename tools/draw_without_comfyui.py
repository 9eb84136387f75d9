"""Draw what an API workflow of the text-to-image kind, or ad_from_photo, says, through the Python API alone.

python tools/draw_without_comfyui.py workflows/api/text_to_image.json picture.png
"""

from __future__ import annotations

import json
import sys
from pathlib import Path, PurePosixPath

from pack import ROOT, import_pack
from tqdm import tqdm


def draw(workflow: dict):
    """IMAGE [1, H, W, 3] of a workflow with one Storefront node of each kind and a bundled model."""
    import_pack()
    from storefront.studio.canvas import canvas_size
    from storefront.studio.sampling.pipeline import FluxStudio

    inputs = {node["class_type"]: node["inputs"] for node in workflow.values()}
    canvas, sampler = inputs["StorefrontCanvas"], inputs["StorefrontSample"]
    size = canvas_size(canvas["format"], canvas["width"], canvas["height"])
    studio = FluxStudio.load(ROOT / "models" / inputs["StorefrontLoadModel"]["model"])
    with tqdm(total=sampler["steps"]) as bar:
        return studio.text_to_image(
            inputs["StorefrontEncode"]["prompt"],
            width=size.width,
            height=size.height,
            seed=sampler["seed"],
            steps=sampler["steps"],
            guidance=sampler["guidance"],
            progress=lambda _step, _total: bar.update(),
        )


def advertise(workflow: dict):
    """IMAGE [1, H, W, 3] of the workflow ad_from_photo with its example photo."""
    import_pack()
    from storefront import ad_from_photo, example_photo

    inputs = {node["class_type"]: node["inputs"] for node in workflow.values()}
    scene = inputs["StorefrontScene"]
    return ad_from_photo(
        example_photo(PurePosixPath(inputs["StorefrontExamplePhoto"]["image"]).stem),
        inputs["PrimitiveStringMultiline"]["value"],
        format=scene["format"],
        view=scene["view"],
        seed=scene["seed"],
    ).image


def main() -> None:
    workflow = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    kinds = {node["class_type"] for node in workflow.values()}
    image = advertise(workflow) if "StorefrontScene" in kinds else draw(workflow)
    from storefront.studio.images import to_pil

    to_pil(image)[0].save(sys.argv[2])


if __name__ == "__main__":
    main()
