"""What the nodes can do and the Python API too: several pictures, other texts, limits, going on, references, LoRAs, little memory."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from storefront import InputError, OutOfMemory, Unfinished, image_to_image, load_model, text_to_image, text_to_images

STUDIO, HOST = Path(__file__).parents[1], Path(__file__).parents[2] / "host"
RED, BLUE = "a red mug on a wooden table", "a blue vase in a studio"


def loaded(name: str, path: Path):
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def model():
    return load_model(device="cpu")


@pytest.fixture(scope="module")
def kontext(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kontext")
    loaded("tiny", STUDIO / "tiny.py").build(folder, edition="FLUX.1 Kontext")
    return load_model(folder, device="cpu")


def apart(a, b) -> float:
    return float((a.image - b.image).abs().max())


@pytest.fixture
def little_memory(model):
    """A model that runs out of memory with more than so many rows, and one whose VAE does with larger latents."""
    hooks = []

    def limit(module, most, size, error=None):
        def look(_, inputs, options=None):
            if size(inputs[0]) > most:
                raise error or torch.OutOfMemoryError("CUDA out of memory")

        hooks.append(module.register_forward_pre_hook(look))

    yield limit
    for hook in hooks:
        hook.remove()


def test_several_pictures_of_a_prompt_are_those_drawn_alone(model):
    drawn = list(text_to_images([RED, BLUE], images_per_prompt=3, seed=5, steps=2, model=model))
    assert [one.report.seed for one in drawn] == [5, 6, 7, 6, 7, 8]  # seed + p + i
    assert apart(drawn[2], text_to_image(RED, seed=7, steps=2, model=model)) < 1e-4
    assert apart(drawn[3], text_to_image(BLUE, seed=6, steps=2, model=model)) < 1e-4
    one_prompt = list(text_to_images(RED, images_per_prompt=2, seed=5, steps=2, model=model))
    assert apart(one_prompt[1], drawn[1]) < 1e-4


@pytest.mark.parametrize("pictures", [0, 65, 1.5, True])
def test_a_number_of_pictures_that_is_none_is_named(model, pictures):
    with pytest.raises(InputError, match="`images_per_prompt` is"):
        text_to_images(RED, images_per_prompt=pictures, model=model)


ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"),
    MemoryError(),
]


@pytest.mark.parametrize("error", ERRORS, ids=["CUDA", "CPU", "Python"])
def test_where_memory_runs_out_the_batch_is_halved(model, little_memory, error):
    whole = list(text_to_images(RED, images_per_prompt=3, seed=5, steps=2, model=model))
    little_memory(model.studio.velocity, 1, len, error)
    drawn = list(text_to_images(RED, images_per_prompt=3, seed=5, steps=2, model=model))
    assert max(apart(a, b) for a, b in zip(drawn, whole, strict=True)) < 1e-5
    assert "out of memory, drawn 1 of 3 at a time" in drawn[0].report.notes


def test_one_picture_that_does_not_fit_is_an_error_with_a_cure(model, little_memory):
    before = text_to_image(RED, seed=5, steps=2, model=model)
    little_memory(model.studio.velocity, 0, len)
    with pytest.raises(OutOfMemory, match=r"`size` is .*do not fit into memory.*smaller format"):
        text_to_image(RED, steps=2, model=model)
    model.studio.velocity._forward_pre_hooks.clear()
    assert apart(text_to_image(RED, seed=5, steps=2, model=model), before) == 0


def test_a_picture_too_large_to_decode_is_decoded_in_tiles(model, little_memory):
    words = {"seed": 5, "steps": 2, "width": 128, "height": 64, "model": model}
    whole = text_to_image(RED, **words)
    little_memory(model.studio.vae.decoder, 8, lambda latents: latents.shape[-1])
    tiled = text_to_image(RED, **words)
    assert "decoded in tiles, since memory ran out" in tiled.report.notes
    assert (tiled.image - whole.image).abs().mean() < 0.05
    assert not model.studio.vae.use_tiling


def test_an_encoder_that_does_not_fit_is_tried_again_then_named(model, little_memory):
    calls = []

    def once(_, inputs):
        calls.append(1)
        if len(calls) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")

    expected = text_to_image(RED, steps=2, model=model)
    hook = model.studio.encoders.t5xxl.register_forward_pre_hook(once)
    assert apart(text_to_image(RED, steps=2, model=model), expected) == 0
    hook.remove()
    assert len(calls) == 2


@pytest.mark.parametrize("changes", [{}, {"cfg": 2.0, "negative": "blurry"}])
def test_a_time_limit_gives_the_picture_so_far_and_resume_the_whole_one(model, tmp_path, changes):
    words = {"seed": 5, "steps": 6, "model": model, **changes}
    whole = text_to_image(RED, **words)
    cut = text_to_image(RED, time_limit=1e-6, **words)
    assert cut.image.shape == whole.image.shape
    assert any("after 1 of 6 steps" in note for note in cut.report.notes)
    assert whole.unfinished is None
    kept = cut.unfinished.save(tmp_path / "mug.safetensors")
    again = text_to_image(RED, resume=cut.unfinished, **words)
    assert apart(again, whole) < 1e-6
    assert "went on after 1 of 6 steps" in again.report.notes
    steps = []
    from_file = text_to_image(RED, resume=kept, progress=steps.append, **words)
    assert apart(from_file, whole) < 1e-6
    assert [step.done for step in steps if step.stage == "sample" and step.total == 6] == [2, 3, 4, 5, 6]


def test_a_repainted_photo_is_gone_on_with_too(model):
    photo = text_to_image(BLUE, seed=1, steps=2, model=model).image
    mask = torch.zeros(64, 64)
    mask[:, 32:] = 1
    words = {"strength": 0.8, "mask": mask, "seed": 5, "steps": 6, "model": model}
    whole = image_to_image(photo, RED, **words)
    cut = image_to_image(photo, RED, time_limit=1e-6, **words)
    assert apart(image_to_image(photo, RED, resume=cut.unfinished, **words), whole) < 1e-6


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"seed": 6}, "another seed"),
        ({"steps": 7}, "another schedule"),
        ({"width": 80, "height": 64}, "another size"),
        ({"prompt": BLUE}, "another prompt"),
    ],
)
def test_another_picture_is_not_gone_on_with(model, changes, named):
    words = {"prompt": RED, "seed": 5, "steps": 6, "model": model}
    cut = text_to_image(time_limit=1e-6, **words)
    with pytest.raises(InputError, match=named):
        text_to_image(resume=cut.unfinished, **{**words, **changes})


def test_what_cannot_be_gone_on_with_is_named(model, tmp_path):
    (tmp_path / "no.safetensors").write_bytes(b"no")
    for given in (tmp_path / "no.safetensors", tmp_path / "missing", 3):
        with pytest.raises(InputError):
            text_to_image(RED, resume=given, model=model)
    with pytest.raises(InputError, match="folder that exists"):
        text_to_image(RED, steps=4, time_limit=1e-6, model=model).unfinished.save(tmp_path / "none" / "a.safetensors")
    assert isinstance(text_to_image(RED, steps=4, time_limit=1e-6, model=model).unfinished, Unfinished)


def test_max_tokens_and_a_second_text_count(model):
    plain = text_to_image(RED, seed=5, steps=2, model=model)
    assert apart(text_to_image(RED, max_tokens=128, seed=5, steps=2, model=model), plain) > 0
    assert apart(text_to_image(RED, prompt_2=BLUE, seed=5, steps=2, model=model), plain) > 0
    short = text_to_image("word " * 90, max_tokens=16, seed=5, steps=2, model=model)
    assert any(note.startswith("cut off") for note in short.report.notes)
    for wrong in (-1, 1.5, 10**6):
        with pytest.raises(InputError, match="`max_tokens` is"):
            text_to_image(RED, max_tokens=wrong, model=model)


def test_references_are_looked_at_or_refused_by_name(model, kontext):
    photo = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(0))
    words = {"width": 64, "height": 64, "seed": 5, "steps": 2}
    seen = text_to_image(RED, references=[photo], reference_size="as it is", model=kontext, **words)
    assert apart(seen, text_to_image(RED, model=kontext, **words)) > 0
    with pytest.raises(InputError, match="`references` is"):
        text_to_image(RED, references=[photo], model=model, **words)
    with pytest.raises(InputError, match="`references` is"):
        text_to_image(RED, references=photo, model=kontext, **words)
    with pytest.raises(InputError, match="at most 10"):
        text_to_image(RED, references=[photo] * 11, model=kontext, **words)


@pytest.fixture(scope="module")
def monkeypatch_module():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def lora(model, tmp_path_factory, monkeypatch_module):
    """PEFT's, kohya's and LyCORIS' files of one change, and the change by layer."""
    monkeypatch_module.syspath_prepend(str(HOST))  # lora_files imports what is beside it
    lora_files = loaded("lora_files", HOST / "lora_files.py")
    shapes = lora_files.linear_shapes(model.studio.velocity.transformer)
    whole = lora_files.random_lora({name: shape for name, shape in shapes.items() if ".0." in name}, size=0.1)
    folder = tmp_path_factory.mktemp("loras")
    for name, weights in (("peft", lora_files.peft(whole)), ("kohya", lora_files.kohya(whole))):
        save_file({key: tensor.contiguous() for key, tensor in weights.items()}, folder / f"{name}.safetensors")
    return folder, {name: whole.up[name] @ whole.down[name] for name in whole.up}


@pytest.mark.parametrize("trainer", ["peft", "kohya"])
def test_a_lora_is_added_to_the_weights(model, lora, trainer):
    folder, changes = lora
    merged = load_model(device="cpu", loras={folder / f"{trainer}.safetensors": 0.5})
    for name, change in changes.items():
        plain = model.studio.velocity.transformer.get_submodule(name).weight
        now = merged.studio.velocity.transformer.get_submodule(name).weight
        assert torch.allclose(now - plain, 0.5 * change, atol=1e-5), name
    words = {"seed": 5, "steps": 2}
    assert apart(text_to_image(RED, model=merged, **words), text_to_image(RED, model=model, **words)) > 0.01


def test_a_lora_of_another_model_or_kind_is_refused_by_name(lora, tmp_path):
    folder, _ = lora
    save_file({"lora_unet_other_block.lora_up.weight": torch.ones(4, 2)}, tmp_path / "other.safetensors")
    dora = {"transformer.transformer_blocks.0.attn.to_q.dora_scale": torch.ones(128, 1)}
    dora |= {f"transformer.transformer_blocks.0.attn.to_q.lora_{one}.weight": torch.ones(128, 128) for one in "AB"}
    save_file(dora, tmp_path / "dora.safetensors")
    for file, named in (("other", "a LoRA for this model"), ("dora", "dora_scale"), ("missing", "exists")):
        with pytest.raises(InputError, match=named):
            load_model(device="cpu", loras={tmp_path / f"{file}.safetensors": 1.0})
    with pytest.raises(InputError, match="`strength` is"):
        load_model(device="cpu", loras={folder / "peft.safetensors": float("nan")})
    with pytest.raises(InputError, match="`loras` is"):
        load_model(device="cpu", loras=[folder / "peft.safetensors"])
