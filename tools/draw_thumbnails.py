"""Draw workflows/NAME.jpg, what ComfyUI's template browser shows, by running the workflows themselves.

    python dev.py run                                          in another terminal: a ComfyUI with this pack
    python tools/draw_thumbnails.py http://127.0.0.1:8188      or some of them: ... URL ad_from_photo catalogue

A workflow whose model is not bundled shows the photos that it begins with.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from pack import import_pack
from PIL import Image

WORKFLOWS = Path(__file__).resolve().parent.parent / "workflows"
COFFEE = WORKFLOWS / "assets" / "coffee.jpg"
BEGINS_WITH = {"kontext_edit": [COFFEE]}  # workflow of a model that is not bundled -> photos
BESIDE_THE_PHOTO = ("image_to_image",)  # the photo, and what became of it
NOT_DRAWN = ("zimage_turbo", "flux2_two_references")  # begin with words, and with photos of one's own
SIDE, GAP = 512, 8


def beside(pictures: list[Image.Image]) -> Image.Image:
    """Side by side at one height, on white."""
    height = min(SIDE, min(picture.height for picture in pictures) if len(pictures) == 1 else SIDE // 2 + SIDE // 4)
    scaled = [picture.resize((round(picture.width * height / picture.height), height)) for picture in pictures]
    width = sum(picture.width for picture in scaled) + GAP * (len(scaled) - 1)
    whole = Image.new("RGB", (width, height), "white")
    x = 0
    for picture in scaled:
        whole.paste(picture, (x, 0))
        x += picture.width + GAP
    return whole


def drawn(comfy, name: str) -> list[Image.Image]:
    if name in BEGINS_WITH:
        return [Image.open(path).convert("RGB") for path in BEGINS_WITH[name]]
    made = [Image.open(io.BytesIO(picture.content)).convert("RGB") for picture in comfy.run(name).pictures]
    return [Image.open(COFFEE).convert("RGB"), *made] if name in BESIDE_THE_PHOTO else made


def main(url: str, names: list[str]) -> None:
    import_pack()
    from storefront.client import SyncClient, workflow_names

    with SyncClient(url) as comfy:
        for name in names or [name for name in workflow_names() if name not in NOT_DRAWN]:
            picture = beside(drawn(comfy, name))
            picture.thumbnail((2 * SIDE, SIDE))
            picture.save(WORKFLOWS / f"{name}.jpg", quality=86, optimize=True)
            print(name, picture.size)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
