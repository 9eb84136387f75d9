"""How long a plan takes, and how good it is, scene by scene: `python tests/bench/layout.py [--pictures FOLDER]`.

Medians (and the best) on two threads at 1024 x 1024. With `--pictures` the previews are saved. A benchmark, not a test:
it judges nothing.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
SIDE, RUNS = 1024, 15
HEADLINE = "갓 내린 한 잔의 여유"


def scenes() -> dict[str, tuple[np.ndarray, bool]]:
    """Name -> picture [SIDE, SIDE, 3] in 0..1, and whether a product is to be placed in it."""
    from PIL import Image
    from skimage import data

    y, x = np.mgrid[0 : 1 : SIDE * 1j, 0 : 1 : SIDE * 1j][..., None]
    random = np.random.default_rng(0)
    wood = np.array([0.5, 0.33, 0.2]) * (0.8 + 0.4 * random.random((SIDE // 2, 8, 1))).repeat(2, 0).repeat(SIDE // 8, 1)
    wall = np.array([0.9, 0.87, 0.8]) * (1.1 - 0.3 * x)
    table = np.where(y < 0.6, wall, wood)
    podium = np.where(((x - 0.5) / 0.22) ** 2 + ((y - 0.74) / 0.06) ** 2 < 1, 0.97, 0.72) * np.array([1.0, 0.8, 0.83])
    out = {"table": (table, True), "podium": (podium, True), "plain": (np.full((SIDE, SIDE, 3), 0.6), True)}
    for name in ("coffee", "astronaut", "rocket", "chelsea", "brick"):
        picture = Image.fromarray(getattr(data, name)()).convert("RGB")
        short = min(picture.size)
        left = (picture.width - short) // 2
        square = picture.crop((left, 0, left + short, short)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        out[name] = (np.asarray(square) / 255, name == "brick")
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path)
    args = parser.parse_args()
    import torch
    from pack import import_pack

    torch.set_num_threads(2)
    import_pack()
    from storefront.studio import contrast
    from storefront.studio.images import to_pil
    from storefront.studio.layout.options import LayoutOptions
    from storefront.studio.layout.plan import plan_pictures
    from storefront.studio.layout.preview import preview

    bottle = torch.zeros(1, 420, 180)
    bottle[:, 10:-10, 10:-10] = 1
    first = True
    print(f"{'scene':10} {'plan':>7} {'best':>7} {'preview':>8} {'contrast':>9} {'veil':>5}  words over")
    for name, (picture, with_product) in scenes().items():
        image = torch.from_numpy(np.ascontiguousarray(picture)).float().clamp(0, 1)[None]
        mask = bottle if with_product else None
        start = time.perf_counter()
        layout = plan_pictures(image, mask, HEADLINE, LayoutOptions())
        if first:
            print(f"first call, with what it imports: {1000 * (time.perf_counter() - start):.0f} ms")
            first = False
        times: dict[str, list[float]] = {"plan": [], "preview": []}
        for _ in range(RUNS):
            start = time.perf_counter()
            plan_pictures(image, mask, HEADLINE, LayoutOptions())
            times["plan"].append(time.perf_counter() - start)
            start = time.perf_counter()
            shown = preview(image, layout)
            times["preview"].append(time.perf_counter() - start)
        box = layout.text
        under = image[0, box.y : box.bottom, box.x : box.right].reshape(-1, 3).numpy()
        if layout.scrim is not None:
            under = under + (contrast.rgb_of(layout.scrim.color) - under) * layout.scrim.opacity
        ratio = contrast.worst_contrast(layout.text_color, under)
        plan_ms, preview_ms = (1000 * statistics.median(times[part]) for part in times)
        veil = "" if layout.scrim is None else f"{layout.scrim.opacity:.0%}"
        print(
            f"{name:10} {plan_ms:4.0f} ms {1000 * min(times['plan']):4.0f} ms {preview_ms:5.0f} ms {ratio:7.1f}:1 {veil:>5}  {tuple(box)}"
        )
        if args.pictures:
            args.pictures.mkdir(parents=True, exist_ok=True)
            to_pil(shown)[0].save(args.pictures / f"{name}.png")


if __name__ == "__main__":
    main()
