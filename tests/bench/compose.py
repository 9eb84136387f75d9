"""How well products and words are placed on real pictures, against a rule of one line: `python tests/bench/compose.py`.

Every pair of scene and product of a cases file is made twice, with the same cut-out and the same letters: by the planner,
and as *hero* (55 % high, its base at 88 %, in the middle, words above). The table counts what can be measured by hand-drawn
polygons: whether a product's base is on a support, flat cuts of its photo in sight, its height, the height of letters,
how often a fifth of the scene's subject is covered, faces. The pictures come from the template packages that ComfyUI's
requirements install, from scikit-image and from the pack. `--sheet` makes a blind contact sheet and its key.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
WORK = ROOT / ".build" / "compose"
SUPPORTED, COVERED, LEAST_LETTER = 0.6, 0.2, 0.05  # of a base's width; of a subject; of the shorter side
WAYS = ("planner", "hero")


class Cases(NamedTuple):
    scenes: dict[str, Any]  # name -> file, support, protect and faces, polygons in 0..1 of the picture
    products: dict[str, str]  # name -> file
    pairs: list[dict[str, str]]  # scene, product, headline, format, id


def read_cases(path: Path) -> Cases:
    data = json.loads(path.read_text("utf-8"))
    return Cases(data["scenes"], data.get("products", {}), data["pairs"])


def picture_file(name: str) -> Path:
    """A file by the way it is named in a cases file: skimage:NAME, pack:NAME, a path, or a template's picture."""
    if name.startswith("skimage:"):
        import skimage

        return Path(skimage.__file__).parent / "data" / name.removeprefix("skimage:")
    if name.startswith("pack:"):
        return ROOT / "workflows" / "assets" / name.removeprefix("pack:")
    if Path(name).is_file():
        return Path(name)
    packages = Path(sysconfig.get_path("purelib")).glob("comfyui_workflow_templates_media_*")
    return next(file for package in packages for file in package.rglob(name))


class Stage(NamedTuple):
    """A scene cut to a format at its middle."""

    picture: Any  # Image
    polygons: Callable[[str], np.ndarray]  # [H, W] of a scene's polygons by their name


def stage(cases: Cases, scene: str, format: str) -> Stage:
    from PIL import Image, ImageDraw
    from storefront.studio.canvas import FORMATS

    whole = Image.open(picture_file(cases.scenes[scene]["file"])).convert("RGB")
    size = FORMATS[format]
    scale = max(size.width / whole.width, size.height / whole.height)
    left, top = (whole.width - size.width / scale) / 2, (whole.height - size.height / scale) / 2
    box = (left, top, left + size.width / scale, top + size.height / scale)

    def polygons(kind: str) -> np.ndarray:
        mask = Image.new("L", size)
        for polygon in cases.scenes[scene].get(kind, []):
            points = [((x * whole.width - left) * scale, (y * whole.height - top) * scale) for x, y in polygon]
            ImageDraw.Draw(mask).polygon(points, fill=255)
        return np.asarray(mask) > 0

    return Stage(whole.resize(size, Image.Resampling.LANCZOS, box=box), polygons)


def product(cases: Cases, name: str, folder: Path) -> Any:
    """RGBA over the whole photo: NAME.png of the folder, else cut out by the bundled network and kept there."""
    from PIL import Image
    from storefront.studio.api.load import load_cutter
    from storefront.studio.images import read_picture
    from storefront.studio.product import cutout

    kept = folder / f"{name}.png"
    if not kept.is_file():
        photo = Image.open(picture_file(cases.products[name])).convert("RGB")
        photo = photo.resize((1024, round(1024 * photo.height / photo.width)), Image.Resampling.LANCZOS)
        cut = cutout.cut_out(read_picture("photo", photo)[0], load_cutter().find, cutout.Edges(), lambda: None)
        levels = [np.rint(part[0].numpy() * 255).astype(np.uint8) for part in (cut.foreground, cut.alpha)]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.dstack(levels)).save(kept)
    return Image.open(kept)


def hero(background: np.ndarray, alpha: np.ndarray, format: str) -> Any:
    """The rule of one line as a Layout: 55 % high or 60 % wide, base at 88 %, or at the edge where its photo cuts it."""
    from storefront.studio.canvas import Box, cut_sides
    from storefront.studio.layout.layout import Layout
    from storefront.studio.layout.lettering import lettering
    from storefront.studio.layout.light import estimate_light
    from storefront.studio.layout.options import LayoutOptions, frame_of

    height, width = background.shape[:2]
    rows, columns = np.flatnonzero((alpha > 0.02).any(1)), np.flatnonzero((alpha > 0.02).any(0))
    tall, wide = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    scale = min(0.55 * height / tall, 0.6 * width / wide)
    w, h, cut = round(wide * scale), round(tall * scale), cut_sides(alpha)
    x = width - w if "right" in cut else 0 if "left" in cut else round((width - w) / 2)
    y = height - h if "bottom" in cut else round(0.88 * height) - h
    safe = frame_of(LayoutOptions(format=format), width, height).safe
    top = max(0.06, safe.top)
    text = Box(
        round(0.06 * width),
        round(top * height),
        round(0.88 * width),
        round(((0.3 if top < 0.1 else 0.33) - top) * height),
    )
    color, _, scrim = lettering(background, text)
    light = estimate_light(background)
    return Layout(
        width, height, (Box(x, y, w, h),), y + h, text, color, "center", scrim, light, "hero", "hero", safe, cuts=(cut,)
    )


def measured(ad: Any, bare: Any, on: Stage, alpha: np.ndarray) -> dict[str, Any]:
    """What can be measured of an advertisement, and of the same without words."""
    from scipy import ndimage
    from storefront.studio import contrast
    from storefront.studio.canvas import cut_sides

    solid, image = ad.mask[0].numpy() > 0.5, ad.image[0].numpy()
    height, width = solid.shape
    rows, columns = np.flatnonzero(solid.any(1)), np.flatnonzero(solid.any(0))
    ends = {"left": columns[0] <= 0.01 * width, "right": columns[-1] >= 0.99 * width - 1}
    ends |= {"top": rows[0] <= 0.01 * height, "bottom": rows[-1] >= 0.99 * height - 1}
    feet = np.flatnonzero(solid[max(0, rows[-1] - np.ptp(rows) // 20) : rows[-1] + 1].any(0))
    points = np.linspace(feet[0], feet[-1], 9).round().astype(int)
    on_support = on.polygons("support")[min(rows[-1], height - 1), points].mean() >= SUPPORTED
    cut = cut_sides(alpha)
    color = contrast.rgb_of(ad.layout.text_color)
    core = (np.abs(image - color).max(-1) < 0.08) & (np.abs(image - bare.image[0].numpy()).max(-1) > 0.12)
    letters = [part[0].stop - part[0].start for part in ndimage.find_objects(ndimage.label(core)[0])]
    found: dict[str, Any] = {
        "height": np.ptp(rows) / height,
        "supported": bool(on_support or ("bottom" in cut and ends["bottom"])),
        "cut": bool(cut),
        "cut in sight": any(not ends[side] for side in cut),
        "letter": float(np.percentile(letters, 80)) / min(width, height) if letters else 0.0,
        "words on product": bool(letters) and float((core & solid).sum() / core.sum()) > 0.01,
    }
    for kind in ("protect", "faces"):
        if (area := on.polygons(kind)).any():
            found[kind] = float((solid & area).sum() / area.sum())
            found[f"words on {kind}"] = float((core & area).sum() / max(1, core.sum()))
    return found


def table(results: dict[str, list[dict[str, Any]]]) -> str:
    def count(rows: list[dict[str, Any]], key: str, test: Callable[[Any], bool] = bool) -> str:
        values = [row[key] for row in rows if key in row]
        return f"{sum(map(test, values))}/{len(values)}"

    lines = [f"{'':34}" + "".join(f"{way:>12}" for way in results)]
    for title, cell in (
        ("base on a support", lambda rows: count(rows, "supported")),
        ("flat cut of the photo in sight", lambda rows: count([row for row in rows if row["cut"]], "cut in sight")),
        ("median product height", lambda rows: f"{statistics.median(row['height'] for row in rows):.2f}"),
        ("letters under 5 %", lambda rows: count(rows, "letter", lambda share: share < LEAST_LETTER)),
        ("a fifth of the subject covered", lambda rows: count(rows, "protect", lambda share: share > COVERED)),
        ("faces touched by the product", lambda rows: count(rows, "faces", lambda share: share > 0.01)),
        ("faces touched by words", lambda rows: count(rows, "words on faces", lambda share: share > 0)),
        ("words on the product", lambda rows: count(rows, "words on product")),
    ):
        lines.append(f"{title:34}" + "".join(f"{cell(rows):>12}" for rows in results.values()))
    return "\n".join(lines)


def sheet(folder: Path, ids: list[str], columns: int, side: int, seed: int) -> None:
    """SHEET.png with each pair's two ways in an order by chance, and KEY.json, not to be read before judging."""
    from PIL import Image, ImageDraw

    dice, key = random.Random(seed), {}
    pictures = []
    for number in ids:
        key[number] = dice.sample(WAYS, len(WAYS))
        both = [Image.open(folder / f"{number}_{way}.png") for way in key[number]]
        high = round(side * min(1.0, both[0].height / both[0].width))
        row = Image.new("RGB", (2 * side + 6, high + 14), "white")
        for place, one in enumerate(both):
            row.paste(one.resize((round(high * one.width / one.height), high)), (place * (side + 4), 14))
        ImageDraw.Draw(row).text((2, 1), number, fill="black")
        pictures.append(row)
    rows = [pictures[start : start + columns] for start in range(0, len(pictures), columns)]
    whole = Image.new("RGB", (columns * (2 * side + 6), sum(max(one.height for one in row) for row in rows)), "white")
    y = 0
    for row in rows:
        for place, one in enumerate(row):
            whole.paste(one, (place * one.width, y))
        y += max(one.height for one in row)
    whole.save(folder / "SHEET.png")
    (folder / "KEY.json").write_text(json.dumps(key, indent=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=Path, default=Path(__file__).with_name("compose.json"))
    parser.add_argument("--cut-outs", type=Path, default=WORK / "cut")
    parser.add_argument("--out", type=Path, default=WORK / "ads", help="folder for the advertisements")
    parser.add_argument("--only", nargs="*", help="ids of pairs")
    parser.add_argument("--sheet", type=int, metavar="SEED")
    args = parser.parse_args()
    import torch
    from pack import import_pack

    torch.set_num_threads(1)
    import_pack()
    from storefront import product_composite
    from storefront.studio.api.load import load_cutter

    cases, cutter = read_cases(args.cases), load_cutter()
    pairs = [pair for pair in cases.pairs if not args.only or pair["id"] in args.only]
    args.out.mkdir(parents=True, exist_ok=True)
    results: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    for pair in pairs:
        on, cut = stage(cases, pair["scene"], pair["format"]), product(cases, pair["product"], args.cut_outs)
        alpha = np.asarray(cut)[..., 3] / 255
        background = np.asarray(on.picture, np.float32) / 255
        line = f"{pair['id']:>4} {pair['scene']:12} {pair['product']:8} {pair['format'][:6]:7}"
        for way in WAYS:
            layout = None if way == "planner" else hero(background, alpha, pair["format"])
            start = time.process_time()
            ad = product_composite(
                cut, on.picture, pair["headline"], format=pair["format"], layout=layout, cutter=cutter
            )
            bare = product_composite(cut, on.picture, "", format=pair["format"], layout=ad.layout, cutter=cutter)
            one = measured(ad, bare, on, alpha)
            results[way].append(one)
            ad.to_pil().save(args.out / f"{pair['id']}_{way}.png")
            (args.out / f"{pair['id']}_{way}.json").write_text(ad.layout.to_json())
            marks = ("" if one["supported"] else " floats") + (" CUT" if one["cut in sight"] else "")
            marks += f" covers {one['protect']:.2f}" if one.get("protect", 0) > 0.05 else ""
            marks += "" if one["letter"] >= LEAST_LETTER else f" small {one['letter']:.3f}"
            line += f"  | {way} {one['height']:.2f}{marks} ({time.process_time() - start:.1f} s)"
        print(line, flush=True)
    print(table(results))
    if args.sheet is not None:
        sheet(args.out, [pair["id"] for pair in pairs], 2, 380, args.sheet)


if __name__ == "__main__":
    main()
