"""Frames of a drag in Arrange on a picture of 2048 x 2048: `python tests/bench/arrange.py COMFYUI_FOLDER`. Needs Chromium.

An advertisement with product, headline, logo, badge, button and further words. A product is dragged by real mouse events,
about 120 a second; `requestAnimationFrame` gives the time between two frames, the browser's own counters what the page
computed for each: script, style, layout, painting, in processor time of its main thread. Without a graphics card
Chromium draws with the processor, which other programs disturb. A benchmark, not a test: it judges nothing.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / part) for part in ("tests/host", "tests", "tools")]

SIDE_OF_BACKGROUND = 2048
MOVES = 480
RECORD = """
    window.frames_ = []
    const each = (now) => { window.frames_.push(now); window.recording = requestAnimationFrame(each) }
    window.recording = requestAnimationFrame(each)
    """
STOP = "cancelAnimationFrame(window.recording); return window.frames_"
MIDDLE = "const r = document.querySelector('.item.product .grip').getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]"


def counters(browser) -> float:
    """Seconds that the page's main thread has computed."""
    found = browser.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    return next(one["value"] for one in found if one["name"] == "TaskDuration")


def drag(browser) -> tuple[list[float], float]:
    """Milliseconds between frames, and of the main thread for each of them, while the product goes to and fro."""
    x, y = browser.execute_script(MIDDLE)

    def mouse(kind: str, dx: float, dy: float) -> None:
        at = {"type": kind, "x": x + dx, "y": y + dy, "button": "left", "buttons": 1, "clickCount": 1}
        browser.execute_cdp_cmd("Input.dispatchMouseEvent", at)

    mouse("mousePressed", 0, 0)
    mouse("mouseMoved", 5, 5)
    browser.execute_script(RECORD)
    before, start = counters(browser), time.perf_counter()
    for step in range(MOVES):
        way = step % 120 if step % 240 < 120 else 120 - step % 120
        mouse("mouseMoved", way - 60, (way - 60) / 2)
        time.sleep(max(0.0, start + (step + 1) / 120 - time.perf_counter()))
    used, times = counters(browser) - before, browser.execute_script(STOP)
    mouse("mouseReleased", 0, 0)
    gaps = [after - one for one, after in pairwise(times)]
    return gaps, 1000 * used / max(1, len(gaps))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("comfyui", type=Path)
    folder = parser.parse_args().comfyui
    import test_arrange
    import test_editor
    from comfyui import ComfyUI
    from devtools.comfyui import running_comfyui

    prompt = test_arrange.branded("한 번에 옮기기")
    prompt["1"]["inputs"] |= {"width": SIDE_OF_BACKGROUND, "height": SIDE_OF_BACKGROUND}
    with tempfile.TemporaryDirectory() as base, running_comfyui(folder, Path(base)) as url:
        server = ComfyUI(url, Path(base))
        opened = test_editor.browser.__wrapped__()
        browser = next(opened)
        browser.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
        test_arrange.load(browser, server, prompt)
        test_arrange.queue(browser, server)
        test_arrange.open_editor(browser)
        gaps, computed = drag(browser)
        if not browser.execute_script(test_arrange.ARRANGEMENT):
            sys.exit("The drag moved nothing.")
        next(opened, None)
    late = statistics.quantiles(gaps, n=20)[-1]
    rate = 1000 / statistics.mean(gaps)
    print(
        f"{len(gaps)} frames, {rate:.0f} a second; {statistics.median(gaps):.1f} ms from one to the next, 95 % of them within"
    )
    print(f"{late:.1f} ms; {computed:.2f} ms of the main thread for each")


if __name__ == "__main__":
    main()
