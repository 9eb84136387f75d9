"""Cut-outs measured on products of known alpha, and timed: `python tests/bench/cutout.py`.

Errors of the raw network, of rembg's own alpha matting and of this pack, over the same masks of the bundled u2netp;
the last columns are shares of the raw network's (colour: of the photo's own colours). A benchmark, not a test.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
sys.path.insert(0, str(ROOT / "tests" / "studio" / "product"))
MODEL = ROOT / "models" / "rembg" / "u2netp.onnx"
FIRST_CALL = """
import sys, time
start = time.perf_counter()
sys.path.insert(0, "tools")
from pack import import_pack
import_pack()
from functools import partial
from pathlib import Path
from storefront.studio import examples
from storefront.studio.product import cutout, networks
session = networks.open_session("u2netp", Path("models/rembg/u2netp.onnx"), ["CPUExecutionProvider"])
find = partial(networks.saliency, session)
cutout.cut_out(examples.photo("coffee"), find, cutout.Edges(), lambda: None)
loaded = [name for name in ("numba", "rembg", "pymatting") if name in sys.modules]
print(f"first call in a new process, imports and session included: {time.perf_counter() - start:.1f} s; "
      f"of numba, rembg, pymatting imported: {', '.join(loaded) or 'none'}")
"""


def gradients(alpha: np.ndarray) -> np.ndarray:
    """Gradient magnitude at sigma 1.4, as Rhemann et al. (2009) compare mattes."""
    from scipy.ndimage import gaussian_filter

    return np.hypot(gaussian_filter(alpha, 1.4, order=(0, 1)), gaussian_filter(alpha, 1.4, order=(1, 0)))


def alpha_errors(found: np.ndarray, scene) -> tuple[float, float, float]:
    """MAE, SAD / 1000 and gradient error / 1000."""
    difference = np.abs(found - scene.alpha)
    gradient = ((gradients(found) - gradients(scene.alpha)) ** 2).sum() / 1000
    return float(difference.mean()), float(difference.sum() / 1000), float(gradient)


def color_error(found: np.ndarray, scene) -> float:
    """Mean distance to the product's own colour where product and background mix, levels of 255."""
    mixed = (scene.alpha > 0.05) & (scene.alpha < 0.95)
    return float(np.abs(found - scene.color)[mixed].mean() * 255)


def accuracy(side: int, count: int) -> None:
    import rembg
    import torch
    from PIL import Image
    from products import scenes
    from storefront.studio.product import cutout, networks

    session = networks.open_session("u2netp", MODEL, ["CPUExecutionProvider"])
    find = partial(networks.saliency, session)
    rows = []
    print(f"{'':8} {'MAE x 1000':^26} {'gradient':^20} {'colour, levels':^26}")
    print(
        f"{'':8} {'raw':>8} {'rembg':>8} {'ours':>8} {'raw':>6} {'rembg':>6} {'ours':>6} {'photo':>8} {'rembg':>8} {'ours':>8}"
    )
    for scene in scenes(side, count):
        photo = Image.fromarray((scene.photo * 255).round().astype(np.uint8))
        picture = torch.from_numpy(np.asarray(photo, np.float32) / 255)[None]
        raw = np.asarray(session.predict(photo)[0], np.float32) / 255
        matted = np.asarray(rembg.remove(photo, session=session, alpha_matting=True), np.float32) / 255
        ours = cutout.cut_out(picture, find, cutout.Edges(), lambda: None)
        alphas = [alpha_errors(a, scene) for a in (raw, matted[..., 3], ours.alpha[0].numpy())]
        colors = [color_error(c, scene) for c in (picture[0].numpy(), matted[..., :3], ours.foreground[0].numpy())]
        rows.append([*zip(*alphas), colors])
        mae, _, gradient = rows[-1][:3]
        print(
            f"{scene.name:8} {mae[0] * 1e3:8.2f} {mae[1] * 1e3:8.2f} {mae[2] * 1e3:8.2f} "
            f"{gradient[0]:6.3f} {gradient[1]:6.3f} {gradient[2]:6.3f} {colors[0]:8.1f} {colors[1]:8.1f} {colors[2]:8.1f}",
            flush=True,
        )
    table = np.array(rows)  # scene, measure, method
    mean, median = table.mean(0), np.median(table / table[:, :, :1], 0)
    print(f"\n{count} scenes of {side} x {side}: mean error, share of the raw one; median share over the scenes")
    for name, m, s in zip(("MAE", "SAD / 1000", "gradient / 1000", "fringe colour"), mean, median):
        methods = zip(("raw", "rembg alpha_matting", "ours"), m, s)
        print(f"{name:16}" + "".join(f" | {who} {e:.4f} {e / m[0]:4.0%} {x:4.0%}" for who, e, x in methods))


def speed(pairs: int) -> None:
    import rembg
    import torch
    from PIL import Image
    from products import scenes
    from storefront.studio.product import cutout, networks

    session = networks.open_session("u2netp", MODEL, ["CPUExecutionProvider"])
    picture = torch.from_numpy(scenes(1024, 1)[0].photo)[None]
    photo = Image.fromarray((picture[0].numpy() * 255).astype(np.uint8))

    def ours() -> cutout.Cutout:
        return cutout.cut_out(picture, partial(networks.saliency, session), cutout.Edges(), lambda: None)

    calls = {
        "rembg's session.predict": lambda: session.predict(photo),
        "ours, warm": ours,
        "ours, with the preview": lambda: cutout.on_checkerboard(ours()),
        "ours, session opened each time": lambda: (
            networks.open_session("u2netp", MODEL, ["CPUExecutionProvider"]),
            ours(),
        ),
        "rembg, no matting": lambda: rembg.remove(photo, session=session),
        "rembg, alpha matting": lambda: rembg.remove(photo, session=session, alpha_matting=True),
    }
    times: dict[str, list[float]] = {name: [] for name in calls}
    computed: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(pairs + 1):
        for name, call in calls.items():
            start, used = time.perf_counter(), time.process_time()
            call()
            times[name].append(time.perf_counter() - start)
            computed[name].append(time.process_time() - used)
    print(
        "\n1024 x 1024, medians, and medians of the ratios taken round by round; of the processor's time on all cores too:"
    )
    for name in calls:
        columns = []
        for measured in (times, computed):
            base = measured["rembg's session.predict"][1:]
            ratio = statistics.median(a / b for a, b in zip(measured[name][1:], base))
            columns.append(f"{statistics.median(measured[name][1:]) * 1000:7.0f} ms {ratio:6.2f} x")
        print(f"{name:32} {columns[0]}   processor {columns[1]}")


def large(side: int) -> None:
    import torch
    from products import photographs, scene
    from storefront.studio.product import cutout, networks

    small = torch.from_numpy(scene("toy", photographs()[0], 1000, 3).photo).movedim(-1, 0)[None]
    picture = torch.nn.functional.interpolate(small, size=(side, side), mode="bicubic").clamp(0, 1).movedim(1, -1)
    find = partial(networks.saliency, networks.open_session("u2netp", MODEL, ["CPUExecutionProvider"]))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    cut = cutout.cut_out(picture, find, cutout.Edges(), lambda: None)
    cutout.on_checkerboard(cut)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"\n{side} x {side}: {time.perf_counter() - start:.1f} s, peak {after / 2**20:.1f} GiB ({before / 2**20:.1f} before)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--scenes", type=int, default=12)
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--speed", action="store_true", help="only the times")
    parser.add_argument("--large", type=int, help="only this: one picture of so many pixels a side, time and memory")
    args = parser.parse_args()
    from pack import import_pack

    import_pack()
    if args.large:
        large(args.large)
        return
    if args.speed:
        speed(args.pairs)
        return
    subprocess.run([sys.executable, "-c", FIRST_CALL], cwd=ROOT, check=True)
    accuracy(args.side, args.scenes)
    speed(args.pairs)


if __name__ == "__main__":
    main()
