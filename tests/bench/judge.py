"""The planner, the light, the shadow, the cut-out and the colour, measured on fresh rendered scenes whose truth is known.

    nice -n 19 python tools/render_truth.py --out .build/truth --count 300      # with bpy: see tools/render_scenes.py
    .venv/bin/python tests/bench/judge.py .build/truth

A benchmark, not a test: it prints one table. Pictures of an odd number are the half to hold out when something is tuned.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
HEADLINE = "갓 내린 한 잔의 여유"
NEAR = 30.0  # degrees within which a light's direction is right
LEVEL = 3  # twentieths of a unit by which one base may rise: 1.5 cm
AMOUNTS = (0.0, 0.4, 1.0)  # of the colour match: none, the default, all


def read(path: Path) -> np.ndarray:
    """[H, W, C] in 0..1."""
    with Image.open(path) as picture:
        return np.asarray(picture, np.float32) / 255


@dataclass
class Case:
    """One picture and its truth."""

    folder: Path
    truth: dict
    empty: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.empty = self.read("empty")[..., :3]

    def read(self, part: str) -> np.ndarray:
        return read(self.folder / f"{self.truth['index']:06d}-{part}.png")

    def read_ground(self) -> np.ndarray:
        """[h, w] what tools/render_truth.py says of ground.png."""
        with Image.open(self.folder / f"{self.truth['index']:06d}-ground.png") as picture:
            return np.asarray(picture, int)

    @property
    def held_out(self) -> bool:
        return self.truth["index"] % 2 == 1

    def true_box(self, alpha: np.ndarray):
        """Where the traced product stands in the scene, in its pixels."""
        from storefront.studio.canvas import LEAST_ALPHA, Box

        rows, columns = np.flatnonzero((alpha > LEAST_ALPHA).any(1)), np.flatnonzero((alpha > LEAST_ALPHA).any(0))
        size, photo = self.empty.shape[1::-1], alpha.shape[::-1]
        ends = zip((columns, rows), self.truth["stand"], self.truth["photo_stand"], self.truth["scale"], size, photo)
        x, y = (
            [(stand + (place / side - own) * scale) * pixels for place in (line[0], line[-1] + 1)]
            for line, stand, own, scale, pixels, side in ends
        )
        return Box(round(x[0]), round(y[0]), max(1, round(x[1] - x[0])), max(1, round(y[1] - y[0])))


def supported(ground: np.ndarray, truth: dict, foot: tuple[float, float], base: float) -> tuple[bool, bool]:
    """Whether a base lies on one level surface, and whether that is the podium's where there is one. `foot`: from, to in
    shares of the width; `base` a share of the height."""
    rows, columns = ground.shape
    inner = np.linspace(foot[0] + 0.06 * (foot[1] - foot[0]), foot[1] - 0.06 * (foot[1] - foot[0]), 5)
    row = min(rows - 1, int(base * rows))
    heights = [int(ground[row, min(columns - 1, max(0, int(x * columns)))]) for x in inner]
    level = all(heights) and max(heights) - min(heights) <= LEVEL
    return level, level and abs(int(np.median(heights)) - truth["top"]) <= LEVEL


def apart(first: float, second: float) -> float:
    return abs((first - second + 180) % 360 - 180)


class Judge:
    """Collects what is measured, by the half that a picture is of."""

    def __init__(self) -> None:
        import torch
        from pack import import_pack

        torch.set_num_threads(1)
        import_pack()
        from storefront.studio.layout.subject import SaliencyCache
        from storefront.studio.product import networks

        session = networks.open_session("u2netp", ROOT / "models" / "rembg" / "u2netp.onnx", ["CPUExecutionProvider"])
        self.find = partial(networks.saliency, session)
        self.subject = SaliencyCache(self.find)
        self.values: dict[str, dict[bool, list[float]]] = defaultdict(lambda: {False: [], True: []})
        self.failures: list[str] = []

    def add(self, name: str, case: Case, value: float) -> None:
        self.values[name][case.held_out].append(float(value))

    def look(self, case: Case) -> None:
        product = case.read("product")
        self.plan(case, product[..., 3])
        self.shadow(case, product)
        self.cut_out(case, product[..., 3])
        self.color(case, product)

    def plan(self, case: Case, alpha: np.ndarray) -> None:
        from storefront.studio.layout.options import LayoutOptions
        from storefront.studio.layout.plan import plan
        from storefront.studio.layout.products import shape_of

        layout = plan(case.empty, [alpha], HEADLINE, LayoutOptions(), None, self.subject)
        (box,) = layout.products
        foot = shape_of(alpha, 0).foot
        across = [(box.x + share * box.width) / layout.width for share in foot]
        on, podium = supported(
            case.read_ground(), case.truth, (across[0], across[1]), (box.bottom - 0.5) / layout.height
        )
        self.add("base on level ground", case, on)
        if case.truth["podium"]:
            self.add("of scenes with a podium: base on it", case, podium)
        light = case.truth["light"]
        off = apart(layout.light.azimuth, light["azimuth"])
        self.add(f"light within {NEAR:.0f} degrees", case, off <= NEAR)
        self.add("light within 90 degrees", case, off <= 90)
        if not on:
            self.failures.append(f"base {case.truth['index']} {case.truth['setting']} {case.truth['format']}")
        if off > NEAR:
            self.failures.append(
                f"light {case.truth['index']} {case.truth['setting']} {case.truth['format']} true {light['azimuth']:.0f} found {layout.light.azimuth:.0f}"
            )

    def placed(self, case: Case, product: np.ndarray, light, **options):
        """The product placed where the traced one stands."""
        import torch
        from storefront.studio.layout.layout import Layout
        from storefront.studio.product.place import place
        from storefront.studio.product.placement import Placement

        height, width = case.empty.shape[:2]
        box = case.true_box(product[..., 3])
        layout = Layout(width, height, (box,), box.bottom, box, "#000000", "center", None, light)
        background, own = (
            torch.from_numpy(np.ascontiguousarray(part))[None] for part in (case.empty, product[..., :3])
        )
        return place(background, own, torch.from_numpy(product[..., 3].copy())[None], Placement(**options), layout), box

    def shadow(self, case: Case, product: np.ndarray) -> None:
        from storefront.studio.layout.layout import Light
        from storefront.studio.layout.light import estimate_light
        from storefront.studio.product.color import to_linear

        if case.truth["sort"] == "glass":
            return  # traced without caustics, its shadow is none
        weights = np.array([0.2126, 0.7152, 0.0722])
        before, after = (to_linear(part) @ weights for part in (case.empty, case.read("shadow")[..., :3]))
        true = np.clip(1 - (after + 0.004) / (before + 0.004), 0, 1)
        known = Light(**case.truth["light"])
        for name, light in (("known", known), ("found", estimate_light(case.empty))):
            placed, box = self.placed(case, product, light, color_match=0.0)
            height, width = true.shape
            rows = slice(max(0, box.y), min(height, round(box.bottom + 0.4 * box.height)))
            columns = slice(max(0, box.x - box.height), min(width, box.right + box.height))
            seen = placed.mask[0].numpy()[rows, columns] < 0.05
            ours, traced = placed.shadow[0].numpy()[rows, columns][seen], true[rows, columns][seen]
            self.add(f"shadow, mean error, light {name}", case, np.abs(ours - traced).mean())
            if name == "known":
                self.add("shadow, mean error of none at all", case, traced.mean())

    def cut_out(self, case: Case, alpha: np.ndarray) -> None:
        import torch
        from storefront.studio.errors import InputError
        from storefront.studio.product import cutout

        photo = torch.from_numpy(case.read("photo")[..., :3].copy())[None]
        try:
            found = cutout.cut_out(photo, self.find, cutout.Edges(), lambda: None).alpha[0].numpy()
        except InputError:
            found = np.zeros_like(alpha)
        whole = np.minimum(found, alpha).sum() / max(1e-6, np.maximum(found, alpha).sum())
        self.add(f"cut-out, {case.truth['sort']}: overlap", case, whole)

    def color(self, case: Case, product: np.ndarray) -> None:
        from storefront.studio.layout.layout import Light
        from storefront.studio.product.color import delta_e_2000, to_lab

        solid = product[..., 3] > 0.95
        if case.truth["sort"] in ("glass", "metal") or solid.sum() < 50:
            return  # they show their surroundings
        traced = to_lab(case.read("photo")[..., :3][solid]).mean(0)
        for amount in AMOUNTS:
            placed, _ = self.placed(case, product, Light(**case.truth["light"]), color_match=amount, shadow="none")
            inside = placed.mask[0].numpy() > 0.95
            if inside.sum() < 20:
                return
            ours = to_lab(placed.image[0].numpy()[inside]).mean(0)
            self.add(f"colour, CIEDE2000 at color_match {amount}", case, delta_e_2000(ours, traced))

    def table(self) -> str:
        lines = ["| measured | all | even | odd | pictures |", "|---|---|---|---|---|"]
        for name, halves in sorted(self.values.items()):
            both = halves[False] + halves[True]
            shown = (
                "{:.1%}" if set(both) <= {0.0, 1.0} or "overlap" in name else "{:.4f}" if "shadow" in name else "{:.1f}"
            )
            cells = [shown.format(np.mean(part)) if part else "" for part in (both, halves[False], halves[True])]
            lines.append(f"| {name} | {' | '.join(cells)} | {len(both)} |")
        return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--failures", action="store_true", help="name each picture whose base or light is wrong")
    args = parser.parse_args()
    judge = Judge()
    for path in sorted(args.folder.glob("*.json")):
        judge.look(Case(args.folder, json.loads(path.read_text())))
    print(judge.table())
    if args.failures:
        print("\n".join(judge.failures))


if __name__ == "__main__":
    main()
