"""The drawn pictures and captions that flux-micro learns from."""

import random
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
import micro_pictures as mp


def test_a_picture_is_a_function_of_triple_and_seed():
    triple = mp.Triple("red", "mug", "marble")
    first = mp.draw(triple, 3)
    assert first.shape == (mp.SIZE, mp.SIZE, 3) and first.dtype == np.uint8
    assert np.array_equal(first, mp.draw(triple, 3))
    assert not np.array_equal(first, mp.draw(triple, 4))


@pytest.mark.parametrize(
    ("field", "values"), [("colour", mp.COLOURS), ("product", mp.PRODUCTS), ("setting", mp.SETTINGS)]
)
def test_every_value_of_a_field_looks_different(field, values):
    """The mean picture of a value, over seeds and the other fields, is far from that of every other value."""
    means = []
    for value in values:
        triples = [t for t in mp.TRIPLES if getattr(t, field) == value][::2]
        means.append(np.mean([mp.draw(t, i).astype(float) for i, t in enumerate(triples)], axis=0))
    distances = [np.abs(a - b).max() for i, a in enumerate(means) for b in means[:i]]
    assert min(distances) > 30


@pytest.mark.parametrize("colour", ["white", "black"])
@pytest.mark.parametrize("setting", mp.SETTINGS)
@pytest.mark.parametrize("product", mp.PRODUCTS)
def test_white_and_black_stand_out_from_every_setting(colour, product, setting):
    other = {"white": "black", "black": "white"}[colour]
    a, b = (mp.draw(mp.Triple(c, product, setting), 1).astype(float) for c in (colour, other))
    assert np.abs(a - b).max() > 100


def test_held_out_triples_are_a_hundred_and_never_trained():
    assert len(mp.HELD_OUT) == 100 and len(mp.TRAINED) == 188
    assert not set(mp.HELD_OUT) & set(mp.TRAINED)
    for field, values in enumerate((mp.COLOURS, mp.PRODUCTS, mp.SETTINGS)):
        assert {t[field] for t in mp.TRAINED} == set(values)


def test_captions_are_repeatable_and_plain_prompts_distinct():
    assert [mp.caption(t, random.Random(5)) for t in mp.TRIPLES] == [
        mp.caption(t, random.Random(5)) for t in mp.TRIPLES
    ]
    for korean in (False, True):
        assert len({mp.plain_prompt(t, korean) for t in mp.TRIPLES}) == len(mp.TRIPLES)
    assert mp.plain_prompt(mp.Triple("red", "mug", "wooden table")) == "a red mug on a wooden table"
    assert mp.plain_prompt(mp.Triple("red", "mug", "wooden table"), korean=True) == "나무 탁자 위의 빨간 머그컵"


def test_no_phrase_names_two_values():
    for words in (mp.ENGLISH, mp.KOREAN):
        phrases = [phrase for phrases in words.values() for phrase in phrases]
        assert len(phrases) == len(set(phrases))
