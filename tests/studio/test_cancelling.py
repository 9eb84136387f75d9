"""Cancel is heard within long work, in every stage after the drawing, and nothing is left of what was cancelled."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

import pytest
import torch
from storefront.studio import cancelling, examples
from storefront.studio.cancelling import apart, cancelled_by, check_cancel
from storefront.studio.layout import options, plan, written
from storefront.studio.output import encode, saving
from storefront.studio.product import gather, packshot, place
from storefront.studio.product.placement import Placement
from storefront.studio.text import fonts
from storefront.studio.text.design import Design


class Cancelled(BaseException):
    """As ComfyUI's own, no Exception."""


def cancels_at(number: int) -> Callable[[], None]:
    """A listener that raises when it is asked for the `number`th time; never for 0. It counts in `asked`."""

    def ask() -> None:
        ask.asked += 1
        if ask.asked == number:
            raise Cancelled

    ask.asked = 0
    return ask


PHOTO = examples.photo("coffee")[:, :384, :384]
MASK = torch.zeros(1, 384, 384)
MASK[:, 60:330, 100:280] = 1


def words() -> torch.Tensor:
    typeface = fonts.Typeface(fonts.families_in([fonts.BUNDLED_FOLDER]), fonts.BUNDLED)
    return written.write(PHOTO, ["Cup of the day"], Design(glow=0.5, outline=0.05), typeface)[0].image


def saved(folder) -> torch.Tensor:
    options_ = saving.SaveOptions(also_formats=("1:1 feed",), encoding=encode.Encoding(format="WebP"))
    files, _ = saving.save(PHOTO, folder, options_, {})
    return torch.tensor([len((folder / one.path).read_bytes()) for one in files])


STAGES = {
    "plan": lambda folder: torch.tensor(
        [[box.x, box.y] for box in plan.plan_pictures(PHOTO, MASK, "Cup", options.LayoutOptions()).products]
    ),
    "place": lambda folder: place.place(PHOTO, PHOTO, MASK, Placement(reflection=0.3, rotation=10)).image,
    "on white": lambda folder: packshot.packshots(
        PHOTO, MASK, packshot.PackshotWish(("Kakao Talk Store",), shadow="contact")
    ).images[0],
    "gather": lambda folder: gather.gather([PHOTO, PHOTO], [MASK, MASK], heights="2\n1").product,
    "letters": lambda folder: words(),
    "save": saved,
}


@pytest.mark.parametrize("stage", STAGES)
def test_cancel_is_heard_in_every_stage(stage, tmp_path):
    work = STAGES[stage]
    expected = work(tmp_path / "before")
    counting = cancels_at(0)
    with cancelled_by(counting):
        assert torch.equal(work(tmp_path / "listened to"), expected)
    assert counting.asked >= 3
    for number in sorted({1, counting.asked // 2, counting.asked}):
        with pytest.raises(Cancelled), cancelled_by(cancels_at(number)):
            work(tmp_path / str(number))
    assert torch.equal(work(tmp_path / "after"), expected)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".webp"]  # no half a file


def test_an_encoder_that_cannot_be_divided_is_left_to_itself():
    """The user waits a moment, not for the seconds that it takes; the next one waits until it has ended."""
    begun, may_end, ended = threading.Event(), threading.Event(), []

    def slow() -> str:
        begun.set()
        may_end.wait(120)
        ended.append(True)
        return "slow"

    def ask() -> None:
        if begun.is_set():
            raise Cancelled

    with pytest.raises(Cancelled), cancelled_by(ask):
        apart(slow)
    assert not ended
    threading.Timer(0.3, may_end.set).start()
    with cancelled_by(lambda: None):
        assert apart(lambda: len(ended)) == 1
        with pytest.raises(ValueError, match="as it was"):
            apart(lambda: int("as it was"))
    assert apart(threading.current_thread) is threading.current_thread()  # nobody listens: no thread is made


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux takes a stack larger than its memory for a wish")
def test_where_no_thread_can_be_started_the_work_is_done_here_and_the_next_one_too():
    before, deadline = threading.stack_size(2**46), time.monotonic() + 60  # bytes, which no machine has
    try:
        with cancelled_by(lambda: None):
            assert apart(threading.current_thread) is threading.current_thread()
    finally:
        threading.stack_size(before)

    def in_time() -> None:
        assert time.monotonic() < deadline, "the next one waits for ever"

    with cancelled_by(in_time):
        assert apart(threading.current_thread) is not threading.current_thread()


def test_a_listener_hears_its_own_thread_alone():
    heard = []
    with cancelled_by(lambda: heard.append(threading.get_ident())):
        other = threading.Thread(target=check_cancel)
        other.start()
        other.join()
        assert heard == []
        check_cancel()
    check_cancel()
    assert heard == [threading.get_ident()]


@pytest.mark.parametrize("shape", [(5, 7, 3), (1,), (0, 3), (3, 100_000)])
def test_strips_are_the_whole_once(shape):
    values = torch.zeros(shape).numpy()
    for part in cancelling.strips(values):
        values[part] += 1
    assert (values == 1).all()
