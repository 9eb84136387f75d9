"""Seconds to plan, place and letter, measured in one run: `python tests/bench/place.py`. A benchmark: it judges nothing."""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    import torch
    from pack import import_pack

    import_pack()
    from storefront.studio import examples
    from storefront.studio.layout.options import LayoutOptions
    from storefront.studio.layout.plan import plan_pictures
    from storefront.studio.product.place import place
    from storefront.studio.product.placement import Placement
    from storefront.studio.text import design, draw, fonts

    torch.set_num_threads(2)
    photo = examples.photo("coffee").movedim(-1, 1)
    scene = torch.nn.functional.interpolate(photo, (args.side, args.side), mode="bilinear").movedim(1, -1).clamp(0, 1)
    product, mask = torch.rand(1, 600, 400, 3), torch.zeros(1, 600, 400)
    mask[:, 50:550, 50:350] = 1
    typeface = fonts.Typeface(fonts.all_families(), fonts.BUNDLED)
    layout = plan_pictures(scene, mask, "갓 내린 한 잔의 여유", LayoutOptions())
    lettered = design.Design(outline=0.06, shadow=0.4)
    calls = {
        "plan": lambda: plan_pictures(scene, mask, "갓 내린 한 잔의 여유", LayoutOptions()),
        "place, contact + cast shadow": lambda: place(scene, product, mask, Placement(), layout),
        "letter, outline and shadow": lambda: draw.overlay(scene, ["갓 내린 한 잔의 여유"], lettered, typeface, layout),
    }
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(args.rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    print(f"{args.side} x {args.side}, {args.rounds} rounds, ms")
    for name, row in times.items():
        print(f"{name:32} median {statistics.median(row) * 1000:6.0f}   best {min(row) * 1000:6.0f}")


if __name__ == "__main__":
    main()
