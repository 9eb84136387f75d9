"""The makers' names of weights, from diffusers' names and back."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from storefront.studio.kinds import original_names, table

_spec = importlib.util.spec_from_file_location("writers", Path(__file__).parents[1] / "opening" / "writers.py")
writers = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(writers)

CLASSES = {
    "FLUX.1": "FluxTransformer2DModel",
    "FLUX.2 klein": "Flux2Transformer2DModel",
    "Z-Image Turbo": "ZImageTransformer2DModel",
}


@pytest.mark.parametrize("name", CLASSES)
def test_weights_get_the_names_and_shapes_that_their_makers_publish(name, tmp_path):
    folder = writers.build(name, tmp_path / "model")
    weights = writers.weights_of(folder, "transformer")
    kind = table.of_class(CLASSES[name], table.TRANSFORMERS)
    made = original_names.collected(kind.originals(set(weights), "scale"), weights)
    expected = writers.original(name, weights)
    assert made.keys() == expected.keys()
    assert all(torch.equal(made[key], expected[key]) for key in expected)
    assert {key.partition(".")[0] for key in made} <= kind.original_roots
    for joined in kind.originals(set(weights), "scale").values():  # and taken apart again
        parts = [weights[part] for part in joined.parts]
        rows = [len(part) for part in parts]
        whole = joined.join(parts)
        assert all(torch.equal(joined.part(whole, rows, index), part) for index, part in enumerate(parts))
    autoencoder = writers.weights_of(folder, "vae")
    vae = table.of_class("AutoencoderKLFlux2" if "FLUX.2" in name else "AutoencoderKL", table.VAES)
    made = original_names.collected(vae.originals(set(autoencoder)), autoencoder)
    expected = writers.original_vae(autoencoder)
    assert made.keys() == expected.keys()
    assert all(torch.equal(made[key], expected[key]) for key in expected)
