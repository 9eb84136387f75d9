"""Sizes, schedules, prompts and model folders: what is refused, and what is said about it."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest
import torch
from storefront.studio import images
from storefront.studio.canvas import CUSTOM, FORMATS, canvas_size
from storefront.studio.errors import InputError, ModelFilesError
from storefront.studio.kinds.flux1 import DEV_SCHEDULER
from storefront.studio.kinds.table import licence_of
from storefront.studio.opening import models, sources, weight_files
from storefront.studio.sampling import encode, noise, schedule

MICRO = Path(__file__).parents[2] / "models" / "flux-micro"


def test_every_format_is_a_multiple_of_16_of_about_a_megapixel():
    for name, size in FORMATS.items():
        assert size.width % 16 == size.height % 16 == 0, name
        assert 0.85 < size.width * size.height / 2**20 < 1.1, name


def test_what_a_stranger_s_file_calls_things_fills_no_log():
    error = ModelFilesError("model", "x" * 10**6, f"weights in a known format, not {'y' * 10**6}")
    assert str(error).startswith("`model` is 'xxx")
    assert "not yyy" in str(error)
    assert len(str(error)) < 5000


@pytest.mark.parametrize(("asked", "given"), [(16, 16), (17, 16), (23, 16), (24, 32), (1080, 1088), (16384, 16384)])
def test_custom_sizes_are_rounded_to_the_nearest_16(asked, given):
    assert canvas_size(CUSTOM, asked, 64).width == given


@pytest.mark.parametrize("pixels", [0, 15, -64, 100_000])
def test_sizes_out_of_range_are_refused_by_name(pixels):
    with pytest.raises(InputError, match=r"`height` is .*16 to 16384"):
        canvas_size(CUSTOM, 64, pixels)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("steps", {"steps": 0}),
        ("steps", {"steps": 10_001}),
        ("strength", {"strength": math.nan}),
        ("strength", {"strength": math.inf}),
        ("strength", {"strength": 0.0}),
        ("strength", {"strength": 1.5}),
    ],
)
def test_schedules_that_cannot_be_are_refused_by_name(name, options):
    with pytest.raises(InputError, match=f"^`{name}` is "):
        schedule.sigmas(
            DEV_SCHEDULER, **{"steps": 4, "strength": 1.0, "latent_height": 8, "latent_width": 8, **options}
        )


def test_a_schedule_falls_from_one_to_zero_and_strength_takes_its_tail():
    whole = schedule.sigmas(DEV_SCHEDULER, 10, 1.0, 128, 128)
    assert whole[0] == 1
    assert whole[-1] == 0
    assert (whole.diff() < 0).all()
    assert torch.equal(schedule.sigmas(DEV_SCHEDULER, 10, 0.3, 128, 128), whole[-4:])


def test_a_larger_picture_stays_noisy_for_longer():
    small, large = (schedule.sigmas(DEV_SCHEDULER, 10, 1.0, side, side) for side in (32, 256))
    assert (large[1:-1] > small[1:-1]).all()


def test_noise_depends_on_seed_plus_index_alone():
    batch = noise.picture_noise((16, 8, 8), 2**64 - 1, [0, 1, 2])
    assert torch.equal(batch[1:2], noise.picture_noise((16, 8, 8), 0, [0]))
    assert not torch.equal(batch[0], batch[1])


def test_prompts_pair_line_by_line():
    assert encode.pair_prompts("a\n\n b ", "", True) == [("a", "a"), ("b", "b")]
    assert encode.pair_prompts("a\nb", "x", True) == [("a", "x"), ("b", "x")]
    assert encode.pair_prompts("a\nb", "", False) == [("a\nb", "a\nb")]
    with pytest.raises(InputError, match="prompt_2"):
        encode.pair_prompts("a\nb\nc", "x\ny", True)
    with pytest.raises(InputError, match="`prompt` is"):
        encode.pair_prompts(" \n ", "", True)


def test_pictures_survive_the_way_there_and_back():
    levels = torch.arange(256).float().reshape(1, 16, 16, 1).expand(1, 16, 16, 3) / 255
    assert torch.equal(images.from_pil(images.to_pil(levels)[0]), levels)
    assert torch.allclose(images.from_channel_first(images.to_channel_first(levels)), levels, atol=1e-6)


# --- model folders ----------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    return Path(shutil.copytree(MICRO, tmp_path / "acme--my-flux"))


def test_the_bundled_model_is_whole_and_small():
    checkpoint = models.describe(models.ModelFiles.whole(MICRO))
    assert checkpoint.licence.name == "Apache-2.0"
    assert sum(file.stat().st_size for file in MICRO.rglob("*") if file.is_file()) <= 12_000_000
    assert not [file for file in MICRO.rglob("*") if file.suffix in weight_files.PICKLES]


def test_a_missing_index_says_how_to_get_the_model(folder):
    (folder / "model_index.json").unlink()
    with pytest.raises(ModelFilesError, match=r"model_index\.json.*hf download acme/my-flux --local-dir"):
        models.describe(models.ModelFiles.whole(folder))


def test_a_pickle_is_named_and_never_opened(folder):
    weights = next((folder / "transformer").glob("*.safetensors"))
    weights.rename(weights.with_name("pytorch_model.bin"))
    with pytest.raises(ModelFilesError, match=r"pytorch_model\.bin is a pickle"):
        models.describe(models.ModelFiles.whole(folder))


@pytest.mark.parametrize("keep", [0, 4, 100, -1000])
def test_a_truncated_file_is_named(folder, keep):
    weights = next((folder / "vae").glob("*.safetensors"))
    content = weights.read_bytes()
    weights.write_bytes(content[:keep])
    with pytest.raises(ModelFilesError, match=weights.name):
        models.describe(models.ModelFiles.whole(folder))


def test_a_missing_shard_is_named(folder):
    weights = next((folder / "transformer").glob("*.safetensors"))
    index = {"weight_map": {"a": weights.name, "b": "part-2.safetensors"}}
    (folder / "transformer" / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelFilesError, match=r"part-2\.safetensors"):
        models.describe(models.ModelFiles.whole(folder))


def test_a_shard_outside_the_folder_is_refused(folder):
    index = {"weight_map": {"a": "../vae/diffusion_pytorch_model.safetensors"}}
    (folder / "transformer" / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelFilesError, match="no paths"):
        models.describe(models.ModelFiles.whole(folder))


def test_another_pipeline_is_refused(folder):
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline"}))
    with pytest.raises(ModelFilesError, match="StableDiffusionPipeline"):
        models.describe(models.ModelFiles.whole(folder))


def test_weights_that_do_not_fit_the_config_are_refused(folder):
    path = folder / "transformer" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "joint_attention_dim": 7}))
    with pytest.raises(ModelFilesError, match="T5 of width 7 for acme--my-flux/transformer"):
        models.describe(models.ModelFiles.whole(folder))
    with pytest.raises(ModelFilesError, match="weights that fit its config"):
        sources.open_source(folder).transformer.load(torch.float32, False)


def test_gaps_in_a_config_are_filled_in_memory_and_logged(folder, caplog):
    path = folder / "vae" / "config.json"
    config = json.loads(path.read_text())
    config.pop("shift_factor")
    path.write_text(json.dumps(config))
    before = path.read_bytes()
    vae = models.describe(models.ModelFiles.whole(folder)).component("vae").load(torch.float32, False)
    assert vae.config.shift_factor == 0.1159
    assert "shift_factor" in caplog.text
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("FLUX.1-dev", "Non-Commercial"),
        ("FLUX.1-schnell", "Apache"),
        ("x", "not known"),
        ("flux1-dev-fp8", "FLUX.1 [dev] Non-Commercial"),
        ("flux1-schnell", "Apache"),
        ("flux-2-klein-4b", "Apache"),
        ("flux-2-klein-9b-kv", "FLUX [dev] Non-Commercial"),
        ("z_image_turbo_bf16", "Apache"),
        ("flux1-dev-my-merge", "not known"),
    ],
)
def test_licences_of_known_models(name, part):
    assert part in licence_of(name).name


# --- model folders that look whole and are not ------------------------------------------------------------------------


@pytest.fixture
def copy_of_micro(tmp_path):
    import shutil
    from pathlib import Path

    return Path(shutil.copytree(Path(__file__).parents[2] / "models" / "flux-micro", tmp_path / "copy"))


def open_all(folder):
    import torch

    described = models.describe(models.ModelFiles.whole(folder))
    for encoder in described.encoders:
        encoder.read(None)
    for part in described.family.parts:
        described.component(part).load(torch.float32, False)


@pytest.mark.parametrize("part", ["text_encoder", "text_encoder_2", "transformer", "vae"])
def test_a_missing_weight_is_named_not_made_up(copy_of_micro, part):
    from safetensors.torch import load_file, save_file

    (path,) = (copy_of_micro / part).glob("*.safetensors")
    weights = load_file(path)
    gone = sorted(name for name in weights if name.endswith("weight") and "shared" not in name and "embed" not in name)[
        0
    ]
    del weights[gone]
    save_file(weights, path, {"format": "pt"})
    with pytest.raises(ModelFilesError, match="1 are missing"):
        open_all(copy_of_micro)


def edit(path, **values):
    import json

    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **values}), "utf-8")


@pytest.mark.parametrize(
    ("file", "damage", "named"),
    [
        ("tokenizer_2/tokenizer.json", lambda path: path.unlink(), "tokenizer_2/: tokenizer.json"),
        ("tokenizer/tokenizer.json", lambda path: path.write_text("{}"), "copy/tokenizer"),
        ("tokenizer_2/tokenizer.json", lambda path: path.write_text("no json"), "copy/tokenizer_2"),
        ("model_index.json", lambda path: path.write_text("[" * 100_000), "model_index.json"),
        (
            "scheduler/scheduler_config.json",
            lambda path: edit(path, max_shift="much", use_dynamic_shifting=True),
            "max_shift",
        ),
        ("scheduler/scheduler_config.json", lambda path: edit(path, shift=None), "shift"),
        (
            "transformer/config.json",
            lambda path: edit(path, quantization_config={"quant_method": "gptq"}),
            "quant",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_named(copy_of_micro, file, damage, named):
    damage(copy_of_micro / file)
    with pytest.raises(ModelFilesError, match=named):
        open_all(copy_of_micro)


@pytest.mark.parametrize(
    "header", [b'{"a": {"data_offsets": [0, null]}}', b'{"a": {"data_offsets": ["x", "y"]}}', b"[" * 9999]
)
def test_a_safetensors_header_of_nonsense_is_named(copy_of_micro, header):
    import struct

    (path,) = (copy_of_micro / "vae").glob("*.safetensors")
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(ModelFilesError, match="header"):
        open_all(copy_of_micro)


def test_weights_that_come_as_fp16_only_are_loaded(copy_of_micro):
    for part in ("text_encoder", "text_encoder_2", "transformer", "vae"):
        (path,) = (copy_of_micro / part).glob("*.safetensors")
        path.rename(path.with_name(path.name.replace(".safetensors", ".fp16.safetensors")))
    open_all(copy_of_micro)


@pytest.mark.parametrize(
    ("folder", "licence", "repository"),
    [
        ("FLUX.1-schnell", "Apache-2.0", "black-forest-labs/FLUX.1-schnell"),
        ("black-forest-labs--FLUX.1-dev", "FLUX.1 [dev] Non-Commercial License", "black-forest-labs/FLUX.1-dev"),
        ("flux.1-krea-dev", "FLUX.1 [dev] Non-Commercial License", "black-forest-labs/FLUX.1-Krea-dev"),
        ("FLUX.1-schnell-dev-merged", "not known to this pack", "OWNER/FLUX.1-schnell-dev-merged"),
        ("somebody--my-flux", "not known to this pack", "somebody/my-flux"),
    ],
)
def test_a_licence_is_promised_for_whole_names_only(folder, licence, repository):
    from storefront.studio.kinds.table import licence_of, repository_of

    assert licence_of(folder).name == licence
    assert repository_of(folder) == repository


def test_more_prompts_than_memory_are_refused():
    from storefront.studio.sampling.encode import pair_prompts

    assert len(pair_prompts("a\n" * 64, "", True)) == 64
    with pytest.raises(InputError, match="65 lines"):
        pair_prompts("a\n" * 65, "", True)


def test_a_prompt_that_takes_minutes_to_split_is_refused():
    from storefront.studio.sampling.encode import pair_prompts

    assert len(pair_prompts("a" * 200_000, "", False)) == 1
    with pytest.raises(InputError, match="`prompt_2` is '200001 characters'"):
        pair_prompts("a", "a" * 200_001, False)


def test_the_python_api_draws_in_bf16():
    from pathlib import Path

    import torch
    from storefront.studio.sampling.pipeline import FluxStudio

    studio = FluxStudio.load(Path(__file__).parents[2] / "models" / "flux-micro", torch.bfloat16)
    image = studio.text_to_image("a red mug on a wooden table", width=64, height=64, seed=7, steps=4)
    assert image.shape == (1, 64, 64, 3)
    assert image[0, 28:44, 24:40, 0].mean() > image[0, 28:44, 24:40, 2].mean() + 0.1


def test_the_bundled_text_encoder_has_the_published_names():
    """transformers before 5.6 opens no other: later releases drop the prefix when they save."""
    from safetensors import safe_open

    with safe_open(MICRO / "text_encoder" / "model.safetensors", "pt") as file:
        assert all(name.startswith("text_model.") for name in file.keys())  # noqa: SIM118, it is no mapping
