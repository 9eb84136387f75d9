"""What is kept of a picture that is not finished: it comes back as it was, and is known again."""

from __future__ import annotations

import pytest
import torch
from storefront.studio.errors import InputError
from storefront.studio.sampling.unfinished import Unfinished, trace

LEVELS = torch.linspace(1, 0, 9)
WORDS = torch.randn(1, 512, 128, generator=torch.Generator().manual_seed(0))


def unfinished(**changes) -> Unfinished:
    x = torch.randn(2, 16, 8, 8, generator=torch.Generator().manual_seed(1))
    parts = {"x": x, "step": 3, "levels": LEVELS, "start": torch.zeros_like(x), "traces": known()}
    return Unfinished(**{**parts, **changes})


def known(**changes) -> dict:
    values = {"model": ["double_blocks", 12], "positive": WORDS, "seed": 2**64 - 1, "noise_mask": None}
    return {name: trace(value) for name, value in {**values, **changes}.items()}


def test_a_file_gives_back_what_was_kept():
    kept = unfinished()
    read = Unfinished.from_bytes(kept.to_bytes())
    assert torch.equal(read.x, kept.x)
    assert torch.equal(read.start, kept.start)
    assert read.step == 3
    read.require_same(LEVELS, known())


@pytest.mark.parametrize("data", [b"", b"\xff" * 200, b"\x02\0\0\0\0\0\0\0{}", b"\x08\0\0\0\0\0\0\0[[[[[[[["])
def test_what_is_no_such_file_is_refused(data):
    with pytest.raises(InputError, match="unfinished picture"):
        Unfinished.from_bytes(data)


@pytest.mark.parametrize(
    "changes",
    [
        {"step": 8},
        {"step": -1},
        {"x": torch.full((2, 16, 8, 8), torch.nan)},
        {"start": torch.zeros(1, 16, 8, 8)},
        {"levels": torch.zeros(0)},
    ],
)
def test_what_cannot_be_gone_on_with_is_refused(changes):
    with pytest.raises(InputError, match="whole"):
        Unfinished.from_bytes(unfinished(**changes).to_bytes())


def test_a_file_cut_short_is_refused():
    with pytest.raises(InputError):
        Unfinished.from_bytes(unfinished().to_bytes()[:-100])


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"model": ["double_blocks", 13]}, "another model"),
        ({"positive": WORDS.roll(1, 1)}, "another prompt"),
        ({"seed": 2**64 - 2}, "another seed"),
        ({"noise_mask": torch.ones(1)}, "another noise_mask"),
    ],
)
def test_what_has_changed_is_named(changes, named):
    with pytest.raises(InputError, match=named):
        unfinished().require_same(LEVELS, known(**changes))


def test_another_schedule_is_named():
    with pytest.raises(InputError, match="schedule"):
        unfinished().require_same(LEVELS**2, known())


def test_the_last_bits_of_the_same_words_do_not_count():
    unfinished().require_same(LEVELS, known(positive=WORDS + 1e-5))


def test_objects_are_known_by_their_class_not_by_their_address():
    assert trace({object(): [lambda: 0]}).like(trace({object(): [lambda: 1]}))
