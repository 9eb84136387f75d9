"""The check that stands before every node: what passes, and how each refusal reads."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from storefront.studio.errors import InputError
from storefront.studio.inputs import LONGEST_INPUT, Wanted, require

STEPS = Wanted("steps", "INT", low=0, high=100)
SCALE = Wanted("scale", "FLOAT", low=0, high=2)
FORMAT = Wanted("format", "COMBO", options=("PNG", "JPEG"))
CONDITIONING = [[torch.zeros(1, 8, 4), {"pooled_output": None}]]
PASSES = [
    (STEPS, 0, 0),
    (STEPS, 100, 100),
    (STEPS, 7.0, 7),
    (STEPS, np.int64(7), 7),
    (Wanted("seed", "INT", low=0, high=2**64 - 1), 2**64 - 1, 2**64 - 1),
    (SCALE, 1, 1.0),
    (SCALE, np.float32(0.5), 0.5),
    (Wanted("any", "FLOAT"), -(10.0**300), -(10.0**300)),
    (Wanted("text", "STRING"), "머그컵", "머그컵"),
    (Wanted("flip", "BOOLEAN"), True, True),
    (FORMAT, "JPEG", "JPEG"),
    (Wanted("style", "COMBO"), "a name that the node knows", "a name that the node knows"),
    (Wanted("layout", "STOREFRONT_LAYOUT"), "{}", "{}"),
    (Wanted("value", "*"), None, None),
    (Wanted("noise", "NOISE"), 5, 5),
    (Wanted("mask", "MASK", optional=True), None, None),
]


@pytest.mark.parametrize(("wanted", "value", "taken"), PASSES, ids=range(len(PASSES)))
def test_what_a_node_takes(wanted, value, taken):
    assert require(wanted, value) == taken
    assert type(require(wanted, value)) is type(taken)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pictures_masks_latents_and_conditionings_pass_as_they_are(channels):
    for kind, value in (
        ("IMAGE", torch.zeros(2, 8, 8, channels)),
        ("MASK", torch.zeros(8, 8)),
        ("MASK", torch.zeros(2, 8, 8)),
        ("LATENT", {"samples": torch.zeros(1, 16, 8, 8)}),
        ("LATENT", {"samples": torch.zeros(1, 16, 8, 8), "noise_mask": torch.zeros(1, 8, 8), "batch_index": [0]}),
        ("CONDITIONING", CONDITIONING),
    ):
        assert require(Wanted("x", kind), value) is value


REFUSED = [
    (STEPS, -1, "`steps` is -1. Use a whole number from 0 to 100."),
    (STEPS, 2**63, "`steps` is 9223372036854775808. Use a whole number from 0 to 100."),
    (STEPS, 10**5000, "`steps` is a whole number of 16610 bits. Use a whole number"),
    (SCALE, 10**400, "`scale` is a whole number of 1329 bits. Use a number from 0 to 2."),
    (STEPS, 0.5, "`steps` is 0.5. Use a whole number from 0 to 100."),
    (STEPS, True, "`steps` is True. Use a whole number"),
    (STEPS, math.nan, "`steps` is nan. Use a whole number"),
    (STEPS, math.inf, "`steps` is inf. Use a whole number"),
    (STEPS, "7", "`steps` is '7'. Use a whole number"),
    (STEPS, None, "`steps` is missing. Use a whole number"),
    (STEPS, [7], "`steps` is a list of 1. Use a whole number"),
    (Wanted("n", "INT", low=1), 0, "`n` is 0. Use a whole number of 1 or more."),
    (Wanted("n", "INT", high=1), 2, "`n` is 2. Use a whole number of 1 or less."),
    (SCALE, math.nan, "`scale` is nan. Use a number from 0 to 2."),
    (SCALE, 2.1, "`scale` is 2.1. Use a number from 0 to 2."),
    (Wanted("any", "FLOAT"), math.inf, "`any` is inf. Use a number."),
    (Wanted("text", "STRING"), math.nan, "`text` is nan. Use text"),
    (Wanted("text", "STRING"), b"a", "`text` is a bytes. Use text"),
    (Wanted("text", "STRING"), "x" * (LONGEST_INPUT + 1), "`text` is '1000001 characters'. Use at most 1000000"),
    (Wanted("text", "STRING"), "\ud83d", "surrogate"),
    (Wanted("flip", "BOOLEAN"), 1, "`flip` is 1. Use true or false."),
    (FORMAT, "TIFF", "`format` is 'TIFF'. Use one of: PNG, JPEG."),
    (FORMAT, 3, "`format` is 3. Use one of: PNG, JPEG."),
    (FORMAT, ["PNG"], "`format` is a list of 1. Use one of: PNG, JPEG."),
    (Wanted("model", "COMBO", options=tuple("abcdefghijklmnop")), "z", "and 4 more."),
    (Wanted("style", "COMBO"), 3, "`style` is 3. Use a name from its list."),
    (Wanted("vae", "VAE"), 0, "`vae` is 0. Connect the VAE of a loader"),
    (Wanted("clip", "CLIP"), None, "`clip` is missing. Connect the CLIP of a loader"),
    (Wanted("model", "MODEL"), torch.zeros(1), "`model` is a Tensor of shape [1]. Connect the MODEL of a loader."),
    (Wanted("image", "IMAGE"), torch.zeros(8, 8, 3), "`image` is a Tensor of shape [8, 8, 3]. Connect an IMAGE"),
    (Wanted("image", "IMAGE"), torch.zeros(1, 8, 8, 2), "Connect an IMAGE"),
    (Wanted("image", "IMAGE"), torch.zeros(1, 0, 8, 3), "at least one pixel"),
    (Wanted("mask", "MASK"), torch.zeros(1, 1, 8, 8), "Connect a MASK"),
    (Wanted("latent", "LATENT"), {"samples": 5}, "`latent` is a dict of 1. Connect a LATENT"),
    (Wanted("latent", "LATENT"), torch.zeros(1), "Connect a LATENT"),
    (Wanted("latent", "LATENT"), {"samples": torch.zeros(1, 16, 0, 0)}, "Connect a LATENT of at least one picture"),
    *[
        (Wanted("latent", "LATENT"), {"samples": torch.zeros(1, 16, 8, 8), **more}, "Connect a LATENT")
        for more in ({"noise_mask": "x"}, {"noise_mask": torch.zeros(8)}, {"batch_index": ["a"]}, {"batch_index": "0"})
    ],
    (Wanted("positive", "CONDITIONING"), [], "`positive` is a list of 0. Connect a CONDITIONING"),
    (Wanted("positive", "CONDITIONING"), [[None, {}]], "Connect a CONDITIONING"),
    (Wanted("positive", "CONDITIONING"), [[torch.zeros(()), {}]], "Connect a CONDITIONING"),
    *[
        (Wanted("positive", "CONDITIONING"), [[torch.zeros(1, 8, 4), {part: "x"}]], "Connect a CONDITIONING")
        for part in ("pooled_output", "attention_mask", "guidance", "reference_latents")
    ],
    (Wanted("layout", "STOREFRONT_LAYOUT"), 1, "`layout` is 1. Connect Plan Layout or Edit Layout."),
]


@pytest.mark.parametrize(("wanted", "value", "told"), REFUSED, ids=range(len(REFUSED)))
def test_what_a_node_does_not_take_is_named_with_its_value_and_the_cure(wanted, value, told):
    with pytest.raises(InputError) as refused:
        require(wanted, value)
    assert told in str(refused.value)
    assert len(str(refused.value)) < 500
