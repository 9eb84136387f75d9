"""A new family is one module (made_up.py) and one row of the table: then it opens, fits, draws and says its name."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest
import torch
from diffusers import SD3Transformer2DModel
from safetensors.torch import save_file
from storefront.studio.errors import ModelFilesError
from storefront.studio.kinds import table
from storefront.studio.kinds.velocity import Conditions
from storefront.studio.opening import lora, models
from storefront.studio.sampling.pipeline import FluxStudio


def _module(name: str, path: Path):
    spec = importlib.util.spec_from_file_location(name, path)
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tiny = _module("tiny", Path(__file__).parents[1] / "tiny.py")
made_up = _module("made_up", Path(__file__).with_name("made_up.py"))


def test_messages_list_what_the_table_lists(monkeypatch):
    assert table.family_names() == "FLUX.1, FLUX.2 dev, FLUX.2 klein, FLUX.3, Z-Image or Z-Image Omni"
    seeing = table.names_that_take_references()
    assert seeing == "FLUX.1 Kontext, FLUX.2 dev, FLUX.2 klein, FLUX.3 or Z-Image Omni"
    monkeypatch.setattr(table, "TRANSFORMERS", (*table.TRANSFORMERS, made_up.MadeUp()))
    assert table.family_names().endswith("or Made Up")
    assert table.names_that_take_references() == seeing


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made-up")
    tiny.build(folder)
    config = json.loads((folder / "transformer" / "config.json").read_text("utf-8"))
    torch.manual_seed(0)
    transformer = SD3Transformer2DModel(
        sample_size=16,
        pos_embed_max_size=16,
        patch_size=2,
        in_channels=16,
        out_channels=16,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=config["joint_attention_dim"],
        caption_projection_dim=16,
        pooled_projection_dim=config["pooled_projection_dim"],
    )
    for old in (folder / "transformer").iterdir():
        old.unlink()
    transformer.save_pretrained(folder / "transformer")
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "MadeUpPipeline"}), "utf-8")
    return folder


@pytest.fixture
def _listed(monkeypatch):
    monkeypatch.setattr(table, "TRANSFORMERS", (*table.TRANSFORMERS, made_up.KIND))


@pytest.mark.usefixtures("_listed")
def test_it_draws_from_a_folder(folder):
    described = models.describe(models.ModelFiles.whole(folder))
    assert (described.family.name, described.defaults.steps) == ("Made Up", 3)
    studio = FluxStudio.load(folder)
    picture = studio.text_to_image("a mug", width=64, height=64, seed=1, steps=2)
    assert picture.shape == (1, 64, 64, 3)
    assert picture.isfinite().all()
    assert picture.std() > 0


@pytest.mark.usefixtures("_listed")
def test_it_draws_the_same_from_a_single_file_beside_its_folder(folder, tmp_path):
    (weights,) = (folder / "transformer").glob("*.safetensors")
    from safetensors.torch import load_file

    path = tmp_path / "made-up.safetensors"
    save_file({f"model.diffusion_model.{name}": tensor for name, tensor in load_file(weights).items()}, path)
    described = models.describe(models.ModelFiles(path, (folder,), folder))
    assert described.family.name == "Made Up"
    ours, whole = FluxStudio.open(described, torch.float32, "cpu"), FluxStudio.load(folder)
    ours.scheduler_config = whole.scheduler_config  # a file has none
    size = {"width": 64, "height": 64, "seed": 1, "steps": 2}
    assert torch.equal(ours.text_to_image("a mug", **size), whole.text_to_image("a mug", **size))


@pytest.mark.usefixtures("_listed")
def test_its_lora_names_are_its_layers_own(folder):
    transformer = models.describe(models.ModelFiles.whole(folder)).transformer.load(torch.float32, False)
    assert "transformer_blocks.0.attn.to_q" in lora.file_names(transformer)


def test_without_the_row_it_is_refused_by_name(folder):
    with pytest.raises(ModelFilesError, match="MadeUpPipeline"):
        models.describe(models.ModelFiles.whole(folder))


def test_a_condition_that_no_kind_knows_is_an_error(micro_studio):
    with pytest.raises(TypeError, match="guidence"):
        micro_studio.velocity(torch.zeros(1, 16, 8, 8), torch.ones(1), torch.zeros(1, 4, 32), guidence=None)
    assert Conditions(torch.zeros(1, 1, 1)).guidance is None
