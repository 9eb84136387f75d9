"""Models in the Python API from single files and from parts chosen apart: the same pictures as from their folder."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from storefront import InputError, ModelParts, load_model, text_to_image
from storefront.studio.errors import ModelFilesError

_spec = importlib.util.spec_from_file_location("writers", Path(__file__).parents[1] / "opening" / "writers.py")
writers = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(writers)
WORDS = {"prompt": "a red mug", "width": 64, "height": 64, "seed": 3, "steps": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return writers.build("FLUX.1", tmp_path_factory.mktemp("parts") / "FLUX.1")


@pytest.fixture(scope="module")
def files(folder):
    """The folder's parts as single files, under the names that their makers publish."""
    out = folder.parent
    (clip,) = (load_file(path) for path in (folder / "text_encoder").glob("*.safetensors"))
    clip = {f"text_model.{name.removeprefix('text_model.')}": tensor for name, tensor in clip.items()}
    t5 = writers.weights_of(folder, "text_encoder_2")
    transformer = writers.original("FLUX.1", writers.weights_of(folder, "transformer"))
    vae = writers.original_vae(writers.weights_of(folder, "vae"))
    everything = (
        writers.prefixed(transformer, "model.diffusion_model.")
        | writers.prefixed(clip, "text_encoders.clip_l.transformer.")
        | writers.prefixed(t5, "text_encoders.t5xxl.transformer.")
        | writers.prefixed(vae, "vae.")
    )
    named = {"flux1-dev": transformer, "clip_l": clip, "t5xxl": t5, "ae": vae, "everything": everything}
    return {name: writers.write(out / f"{name}.safetensors", weights) for name, weights in named.items()}


@pytest.fixture(scope="module")
def expected(folder):
    return text_to_image(model=load_model(folder, device="cpu"), **WORDS).image


def test_parts_chosen_apart_draw_what_their_folder_draws(folder, files, expected):
    parts = ModelParts(
        files["flux1-dev"], [files["t5xxl"], files["clip_l"]], files["ae"], tokenizers=folder
    )  # text encoders in any order
    assert torch.equal(text_to_image(model=load_model(parts, device="cpu"), **WORDS).image, expected)
    mixed = ModelParts(files["flux1-dev"], [folder], files["everything"])
    assert torch.equal(text_to_image(model=mixed, **WORDS).image, expected)


def test_one_file_that_holds_everything(folder, files, expected):
    whole = ModelParts(files["everything"], tokenizers=folder)
    assert torch.equal(text_to_image(model=whole, **WORDS).image, expected)
    with pytest.raises(ModelFilesError, match=r"everything\.safetensors.*ModelParts\(tokenizers"):
        load_model(files["everything"])


def test_a_gguf_beside_its_encoders(folder, files, expected):
    pytest.importorskip("gguf")
    weights = load_file(files["flux1-dev"])
    path = writers.gguf(folder.parent / "flux1-dev-F32.gguf", weights, "F32")
    parts = ModelParts(str(path), [str(folder)], str(files["ae"]))
    assert torch.equal(text_to_image(model=parts, **WORDS).image, expected)
    small = writers.gguf(folder.parent / "flux1-dev-Q8_0.gguf", weights, "Q8_0")
    parts = ModelParts(small, [folder], files["ae"])
    assert 0 < (text_to_image(model=parts, **WORDS).image - expected).abs().mean() < 0.05


def test_small_weights_stay_small_in_memory(folder, files):
    pytest.importorskip("gguf")
    path = writers.gguf(folder.parent / "flux1-dev-Q4.gguf", load_file(files["flux1-dev"]), "Q8_0")
    parts = ModelParts(path, [folder], files["ae"])
    small, expanded = load_model(parts, device="cpu"), load_model(parts, device="cpu", dtype="fp32")

    def size(model) -> int:
        return sum(weight.nbytes for weight in model.studio.velocity.parameters())

    assert size(small) < 1.1 * path.stat().st_size
    assert size(small) < 0.4 * size(expanded)
    assert torch.equal(text_to_image(model=small, **WORDS).image, text_to_image(model=expanded, **WORDS).image)


def test_what_is_missing_is_named_with_what_to_give(folder, files):
    with pytest.raises(ModelFilesError, match=r"^`text_encoder` is 'flux1-dev\.safetensors'\. Expected: CLIP and T5"):
        load_model(files["flux1-dev"])
    with pytest.raises(ModelFilesError, match=r"a VAE; choose one in `vae`; the file holds a FLUX\.1 transformer"):
        load_model(ModelParts(files["flux1-dev"], [folder]))
    with pytest.raises(InputError, match=r"^`text_encoders` is .*a list"):
        ModelParts(files["flux1-dev"], str(folder))
    with pytest.raises(InputError, match=r"^`edition` is 'FLUX\.9'"):
        load_model(ModelParts(files["flux1-dev"], [folder], files["ae"], edition="FLUX.9"))
    with pytest.raises(ModelFilesError, match="a file that exists"):
        load_model(folder.parent / "gone.safetensors")
