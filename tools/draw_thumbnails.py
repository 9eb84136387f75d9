"""Draw workflows/NAME.jpg, what ComfyUI's template browser shows, by running the workflows themselves.

    python dev.py run                                          in another terminal: a ComfyUI with this pack
    python tools/draw_thumbnails.py http://127.0.0.1:8188      or some of them: ... URL ad_from_photo catalogue

A workflow whose model is not bundled shows pictures that it could begin with, since it cannot be run here.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from pack import import_pack
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
WORKFLOWS, SCENES = ROOT / "workflows", ROOT / "models" / "scenes"
COFFEE = WORKFLOWS / "assets" / "coffee.jpg"
BEGINS_WITH = {  # workflow of a model that is not bundled -> pictures
    "kontext_edit": [COFFEE],
    "flux2_two_references": [COFFEE, SCENES / "wood-1" / "1x1.webp"],
    "zimage_turbo": [SCENES / "kitchen-1" / "4x5.webp"],
}
WITHOUT_A_SERVER = {"text_to_image_server": "text_to_image"}  # what draws the same picture here
BESIDE_THE_PHOTO = ("image_to_image",)  # the photo, and what became of it
SIDE, GAP, LARGEST = 512, 8, 900


def beside(pictures: list[Image.Image]) -> Image.Image:
    """Side by side on white, or one above the other where they are wide; all of one height."""
    height = SIDE
    scaled = [picture.resize((round(picture.width * height / picture.height), height)) for picture in pictures]
    width = max(picture.width for picture in scaled)
    if len(scaled) > 1 and width > 1.5 * height:
        whole = Image.new("RGB", (width, (height + GAP) * len(scaled) - GAP), "white")
        for index, picture in enumerate(scaled):
            whole.paste(picture, (0, (height + GAP) * index))
        return whole
    whole = Image.new("RGB", (sum(picture.width + GAP for picture in scaled) - GAP, height), "white")
    left = 0
    for picture in scaled:
        whole.paste(picture, (left, 0))
        left += picture.width + GAP
    return whole


def drawn(comfy, name: str) -> list[Image.Image]:
    if name in BEGINS_WITH:
        return [Image.open(path).convert("RGB") for path in BEGINS_WITH[name]]
    made = [
        Image.open(io.BytesIO(picture.content)).convert("RGB")
        for picture in comfy.run(WITHOUT_A_SERVER.get(name, name)).pictures
    ]
    return [Image.open(COFFEE).convert("RGB"), *made] if name in BESIDE_THE_PHOTO else made


def main(url: str, names: list[str]) -> None:
    import_pack()
    from storefront.client import SyncClient, workflow_names

    with SyncClient(url) as comfy:
        for name in names or workflow_names():
            picture = beside(drawn(comfy, name))
            picture.thumbnail((LARGEST, LARGEST))
            picture.save(WORKFLOWS / f"{name}.jpg", quality=86, optimize=True)
            print(name, picture.size)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
