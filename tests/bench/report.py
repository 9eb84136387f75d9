"""What recording costs a step: `python tests/bench/report.py COMFYUI_FOLDER`.

Two figures: the message of a step timed alone, many times over, against the step it belongs to; and whole sampling runs
with and without recording, in pairs in one run, whose ratio on a shared machine swings by more than the cost.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("comfyui", type=Path)
    parser.add_argument("--side", type=int, default=512, help="pixels")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--pairs", type=int, default=9)
    args = parser.parse_args()
    sys.path.insert(0, str(args.comfyui))
    sys.argv = ["bench", "--cpu", "--base-directory", tempfile.mkdtemp()]
    import comfy.options

    comfy.options.enable_args_parsing()
    import comfy.utils
    import server  # noqa: F401
    import torch
    from comfy_execution.graph import DynamicPrompt
    from comfy_execution.progress import get_progress_state, reset_progress_state
    from pack import import_pack

    import_pack()
    from storefront.host import opening, prompt_encoding, report, sampling
    from storefront.studio.canvas import Size
    from storefront.studio.output.report import READING_INTERVAL
    from storefront.studio.sampling.noise import empty_latent

    def hook(value: float, total: float, preview: object, prompt_id: object = None, node_id: object = None) -> None:
        get_progress_state().update_progress("1", value, total)  # as ComfyUI's main.py does

    comfy.utils.set_progress_bar_global_hook(hook)
    loaded = opening.load_model("flux-micro", "fp32")
    conditioning, _ = prompt_encoding.encode_prompts(loaded.clip, [("a red mug", "a red mug")], 0)
    settings = {"seed": 1, "steps": args.steps, "guidance": 3.5, "cfg": 1.0, "strength": 1.0, "time_limit": 0}

    def run(recorded: bool) -> float:
        reset_progress_state("bench", DynamicPrompt({"1": {"class_type": "StorefrontSample", "inputs": {}}}))
        if recorded:
            report.begin()
        registry = get_progress_state()
        latent = {"samples": empty_latent(Size(args.side, args.side), 1)}
        start = time.perf_counter()
        registry.start_progress("1")
        sampling.sample(loaded.model, conditioning, None, latent, sampling.SamplerSettings(**settings))
        registry.finish_progress("1")
        return time.perf_counter() - start

    with torch.no_grad():
        run(True)
        pairs = [(run(True), run(False)) for _ in range(args.pairs)]
    step = statistics.median(without for _, without in pairs) / args.steps
    ratios = sorted(recorded / without for recorded, without in pairs)
    middle = ratios[len(ratios) // 4], statistics.median(ratios), ratios[-len(ratios) // 4]
    print(f"{args.side} px: {1000 * step:.1f} ms a step; recorded / not, quartiles of {args.pairs} pairs: "
          + ", ".join(f"{ratio:.4f}" for ratio in middle))  # fmt: skip

    reset_progress_state("bench", DynamicPrompt({"1": {"class_type": "StorefrontSample", "inputs": {}}}))
    report.begin()
    registry, count = get_progress_state(), 2000
    registry.start_progress("1")
    recorder = report._current.recorder
    start = time.perf_counter()
    for value in range(count):
        registry.update_progress("1", value, count)
    message = (time.perf_counter() - start) / count
    start = time.perf_counter()
    for _ in range(count):
        recorder._take_reading(recorder._node("1", ""))
    look = (time.perf_counter() - start) / count
    share = message / step + look / READING_INTERVAL
    print(f"a step's message: {1e6 * message:.1f} us; a look at the machine, {1 / READING_INTERVAL:.0f} a second at most: "
          f"{1e6 * look:.1f} us; both together are at most {100 * share:.3f} % of the time")  # fmt: skip


main()
