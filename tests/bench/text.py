"""How long words take, and the same job by ComfyUI's own node: `python tests/bench/text.py [COMFYUI_FOLDER]`.

Medians of runs taken in turns, on two threads, since the machine's speed drifts. With `--picture FILE.png` both results
are saved side by side. A benchmark, not a test: it judges nothing.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
SIDE = 1024  # pixels
RUNS = 15
HEADLINE = "매일 아침 직접 볶은 원두, 오늘만 30% 할인"


def core_overlay(comfyui: Path) -> Callable:
    """ComfyUI's TextOverlay with its defaults at a headline's size."""
    sys.path.insert(0, str(comfyui))
    sys.argv = ["bench", "--cpu", "--base-directory", tempfile.mkdtemp()]
    import comfy.options

    comfy.options.enable_args_parsing()
    import server  # noqa: F401, as in a running ComfyUI
    from comfy_extras.nodes_text_overlay import TextOverlay

    return lambda image, text: TextOverlay.execute(image, text, 9.0, "#ffffff", "top", "center", True).args[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("comfyui", type=Path, nargs="?", help="a folder with ComfyUI's main.py, 0.33 or newer")
    parser.add_argument("--picture", type=Path)
    args = parser.parse_args()
    core = core_overlay(args.comfyui) if args.comfyui else None
    import torch
    from pack import import_pack
    from PIL import Image

    torch.set_num_threads(2)
    import_pack()
    from storefront.studio import examples
    from storefront.studio.images import to_pil
    from storefront.studio.text import draw, fonts
    from storefront.studio.text.design import Design

    coffee = examples.photo("coffee")[:, :, 100:500].movedim(-1, 1)
    photo = torch.nn.functional.interpolate(coffee, (SIDE, SIDE), mode="bicubic").movedim(1, -1).clamp(0, 1)
    start = time.perf_counter()
    typeface = fonts.Typeface(fonts.all_families(), fonts.BUNDLED)
    draw.overlay(photo, [HEADLINE], Design(), typeface)
    print(f"first call, fonts looked for and read: {time.perf_counter() - start:.2f} s")

    jobs: dict[str, Callable] = {
        "headline, outline and shadow": lambda: draw.overlay(
            photo, [HEADLINE], Design(outline=0.06, shadow=0.4), typeface
        ),
        "headline, all automatic (scrim)": lambda: draw.overlay(photo, [HEADLINE], Design(), typeface),
        "price in a box": lambda: draw.overlay(
            photo, ["단돈 9,900원"], Design(preset="price", box_opacity=0.9, height=15, width=40), typeface
        ),
        "caption": lambda: draw.overlay(photo, [HEADLINE * 2], Design(preset="caption"), typeface),
        "vertical": lambda: draw.overlay(photo, ["신메뉴 출시"], Design(vertical=True, height=80, width=20), typeface),
        "turned by 12 degrees": lambda: draw.overlay(photo, [HEADLINE], Design(rotation=12), typeface),
    }
    if core is not None:
        jobs["ComfyUI's TextOverlay, outline"] = lambda: core(photo, HEADLINE)
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(RUNS):
        for name, job in jobs.items():
            start = time.perf_counter()
            job()
            seconds[name].append(time.perf_counter() - start)
    print(f"\n{'one picture of ' + str(SIDE) + ' px a side':34} median  fastest, ms")
    for name, each in seconds.items():
        print(f"{name:34} {statistics.median(each) * 1000:6.0f}  {min(each) * 1000:6.0f}")

    if args.picture:
        pictures = [draw.overlay(photo, [HEADLINE], Design(), typeface).image]
        pictures += [core(photo, HEADLINE)] if core is not None else []
        sheet = Image.new("RGB", (SIDE * len(pictures), SIDE))
        for index, picture in enumerate(pictures):
            sheet.paste(to_pil(picture)[0], (index * SIDE, 0))
        sheet.save(args.picture)


if __name__ == "__main__":
    main()
