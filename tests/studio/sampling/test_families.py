"""Every family's loop against its diffusers pipelines, at tiny size: text, guidance, strength, masks, references."""

from __future__ import annotations

import copy
import dataclasses
import importlib.util
from pathlib import Path

import diffusers
import pytest
import torch
from storefront.studio.kinds.table import editions
from storefront.studio.opening.models import ModelFiles, describe
from storefront.studio.sampling import noise
from storefront.studio.sampling.pipeline import FluxStudio

_spec = importlib.util.spec_from_file_location("tiny", Path(__file__).parents[1] / "tiny.py")
tiny = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tiny)

PROMPTS = ["a red mug", "서울의 밤, a blue lamp at the beach"]
SEED = 7
WIDTH, HEIGHT = 96, 64
ODD = (80, 112)  # of a reference: its sides in tokens are odd


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    made = {}

    def folder(name: str) -> Path:
        if name not in made:
            made[name] = tmp_path_factory.mktemp("family") / name
            tiny.BUILDERS[name](made[name])
        return made[name]

    return folder


@pytest.fixture(scope="session")
def studios(folders):
    made = {}
    return lambda name: made.setdefault(name, FluxStudio.load(folders(name)))


def reference(folder: Path, cls: str, **options):
    """The latents that diffusers ends with, [B, C, H, W] as we have them. Its VAE takes the mean, as ours does."""
    pipeline = getattr(diffusers, cls).from_pretrained(folder, local_files_only=True, torch_dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    draw = type(pipeline.vae).encode

    def encode(vae, x, *args, **kwargs):
        out = draw(vae, x, *args, **kwargs)
        out.latent_dist.sample = lambda generator=None: out.latent_dist.mode()
        return out

    pipeline.vae.encode = encode.__get__(pipeline.vae)
    seen = {}
    options = {
        "height": HEIGHT,
        "width": WIDTH,
        "generator": noise.picture_generators(SEED, range(len(options["prompt"]))),
        "output_type": "pt",
        "callback_on_step_end": lambda p, i, t, values: seen.update(values) or values,
    } | options
    if options.get("guidance_scale", 0) is None:  # this pipeline has no such thing
        del options["guidance_scale"]
    picture = pipeline(**options).images.movedim(1, -1)
    return seen["latents"], picture


def as_latents(tokens: torch.Tensor, name: str) -> torch.Tensor:
    """Packed tokens -> [B, C, H, W]."""
    if tokens.ndim == 4:
        return tokens
    if name.startswith("FLUX.2"):
        return tokens.transpose(1, 2).reshape(len(tokens), 128, HEIGHT // 16, WIDTH // 16)
    from storefront.studio.kinds.flux1 import unpack

    return unpack(tokens, HEIGHT // 8, WIDTH // 8)


def canvas(studio: FluxStudio, count: int) -> torch.Tensor:
    cell = studio.family.pixels_per_cell
    return torch.zeros(count, studio.family.latent_channels, HEIGHT // cell, WIDTH // cell)


def picture(seed: int, width: int = WIDTH, height: int = HEIGHT) -> torch.Tensor:
    """IMAGE [1, H, W, 3] of whole 8-bit levels, so that it survives being a PIL picture."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (1, height, width, 3), generator=generator) / 255


def pil(image: torch.Tensor):
    from storefront.studio import images

    return images.to_pil(image)[0]


CASES = [  # name, pipeline, guidance as diffusers has it, our settings
    ("FLUX.2 dev", "Flux2Pipeline", 4.0, {"guidance": 4.0}),
    ("FLUX.2 klein", "Flux2KleinPipeline", 1.0, {}),
    ("FLUX.2 klein KV", "Flux2KleinKVPipeline", None, {}),
    ("FLUX.2 klein base", "Flux2KleinPipeline", 4.0, {"cfg": 4.0}),
    ("Z-Image Turbo", "ZImagePipeline", 0.0, {}),
    ("Z-Image", "ZImagePipeline", 4.0, {"cfg": 5.0}),
]


@pytest.mark.parametrize(("name", "cls", "scale", "settings"), CASES)
@pytest.mark.parametrize("count", [1, 2])
def test_text_to_image_equals_diffusers(folders, studios, name, cls, scale, settings, count):
    studio = studios(name)
    theirs, image = reference(folders(name), cls, prompt=PROMPTS[:count], num_inference_steps=3, guidance_scale=scale)
    negative = studio.encode([""] * count) if settings.get("cfg", 1) > 1 else None
    ours = studio.sample(
        studio.encode(PROMPTS[:count]), canvas(studio, count), seed=SEED, steps=3, negative=negative, **settings
    )
    # Z-Image's pipeline runs both texts of a guided step in one padded batch, which rounds differently.
    assert (ours - as_latents(theirs, name)).abs().max() <= (1e-5 if name.startswith("Z") else 0)
    assert (studio.decode(ours) - image).abs().max() <= 1e-5


@pytest.mark.parametrize(
    ("name", "cls", "scale", "masked"),
    [
        ("Z-Image Turbo", "ZImageImg2ImgPipeline", 0.0, False),
        ("Z-Image Turbo", "ZImageInpaintPipeline", 0.0, True),
        ("FLUX.2 klein", "Flux2KleinInpaintPipeline", 1.0, True),
        ("FLUX.1 Kontext", "FluxKontextInpaintPipeline", 3.5, True),
    ],
)
@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_strength_and_masks_equal_diffusers(folders, studios, name, cls, scale, masked, strength):
    studio = studios(name)
    start = picture(1)
    options = {
        "prompt": PROMPTS[:1],
        "num_inference_steps": 4,
        "guidance_scale": scale,
        "image": start.movedim(-1, 1),
        "strength": strength,
    }
    latents = studio.encode_image(start)
    mask = None
    if masked:
        pixels = torch.zeros(1, 1, HEIGHT, WIDTH)
        pixels[..., 16:48, 32:64] = 1
        options["mask_image"] = pixels
        mask = noise.latent_mask(pixels, *latents.shape[-2:], studio.family)
    if name == "FLUX.1 Kontext":
        options |= {"_auto_resize": False, "max_area": HEIGHT * WIDTH, "max_sequence_length": 48}
    theirs, _ = reference(folders(name), cls, **options)
    # These two show the model the whole picture beside the noise.
    references = [latents] if name in ("FLUX.2 klein", "FLUX.1 Kontext") else []
    ours = studio.sample(
        studio.encode(PROMPTS[:1]),
        latents,
        seed=SEED,
        steps=4,
        strength=strength,
        guidance=scale,
        mask=mask,
        references=references,
    )
    # Z-Image rounds differently with the number of threads.
    assert (ours - as_latents(theirs, name)).abs().max() <= (1e-5 if name.startswith("Z") else 1e-6)


@pytest.mark.parametrize(
    ("name", "cls", "scale", "count"),
    [
        ("FLUX.2 dev", "Flux2Pipeline", 4.0, 2),
        ("FLUX.2 klein", "Flux2KleinPipeline", 1.0, 2),
        ("FLUX.2 klein KV", "Flux2KleinKVPipeline", None, 1),
        ("FLUX.2 klein KV", "Flux2KleinKVPipeline", None, 2),
        ("FLUX.1 Kontext", "FluxKontextPipeline", 3.5, 1),
    ],
)
def test_references_equal_diffusers(folders, studios, name, cls, scale, count):
    studio = studios(name)
    seen = [picture(1), picture(2, *ODD)][:count]
    options = {"image": [pil(image) for image in seen]}
    if name == "FLUX.1 Kontext":
        options = {"image": pil(seen[0]), "_auto_resize": False, "max_area": HEIGHT * WIDTH, "max_sequence_length": 48}
    theirs, _ = reference(
        folders(name), cls, prompt=PROMPTS[:1], num_inference_steps=3, guidance_scale=scale, **options
    )
    ours = studio.sample(
        studio.encode(PROMPTS[:1]),
        canvas(studio, 1),
        seed=SEED,
        steps=3,
        guidance=scale or 0.0,
        references=[studio.encode_image(image) for image in seen],
    )
    assert (ours - as_latents(theirs, name)).abs().max() <= 1e-6


@pytest.mark.parametrize("name", ["FLUX.2 klein", "FLUX.2 klein KV", "FLUX.1 Kontext"])
def test_a_mask_over_everything_beside_a_reference_changes_nothing(studios, name):
    studio = studios(name)
    seen = studio.encode_image(picture(1))
    settings = {"seed": SEED, "steps": 3, "references": [seen]}
    text = studio.encode(PROMPTS[:1])
    whole = studio.sample(text, seen, **settings)
    masked = studio.sample(text, seen, mask=torch.ones(1, 1, *seen.shape[-2:]), **settings)
    assert torch.equal(whole, masked)


def test_what_stands_beside_the_noise_equals_fill_and_control(folders, studios):
    from einops import rearrange

    shown = picture(1)
    pixels = torch.zeros(1, 1, HEIGHT, WIDTH)
    pixels[..., 16:48, 32:64] = 1

    studio = studios("FLUX.1 Fill")
    masked = (shown.movedim(-1, 1) * 2 - 1) * (1 - pixels)  # the reference masks in -1..1: the hole is grey
    hole = studio.encode_image((masked / 2 + 0.5).movedim(1, -1))
    cells = rearrange(pixels, "b 1 (h p) (w q) -> b (p q) h w", p=8, q=8)
    theirs, _ = reference(
        folders("FLUX.1 Fill"),
        "FluxFillPipeline",
        prompt=PROMPTS[:1],
        image=shown.movedim(-1, 1),
        mask_image=pixels,
        num_inference_steps=3,
        guidance_scale=30.0,
        strength=1.0,
        max_sequence_length=48,
    )
    ours = studio.sample(
        studio.encode(PROMPTS[:1]),
        canvas(studio, 1),
        seed=SEED,
        steps=3,
        guidance=30.0,
        beside=torch.cat([hole, cells], dim=1),
    )
    assert (ours - as_latents(theirs, "FLUX.1")).abs().max() <= 1e-6

    studio = studios("FLUX.1 Control")
    theirs, _ = reference(
        folders("FLUX.1 Control"),
        "FluxControlPipeline",
        prompt=PROMPTS[:1],
        control_image=pil(shown),  # a tensor would be taken as it is, in 0..1
        num_inference_steps=3,
        guidance_scale=10.0,
        max_sequence_length=48,
    )
    ours = studio.sample(
        studio.encode(PROMPTS[:1]),
        canvas(studio, 1),
        seed=SEED,
        steps=3,
        guidance=10.0,
        beside=studio.encode_image(shown),
    )
    assert (ours - as_latents(theirs, "FLUX.1")).abs().max() <= 1e-6


@pytest.mark.parametrize(
    ("name", "steps", "cfg"),
    [
        ("FLUX.1", 28, 1.0),
        ("FLUX.1 Fill", 50, 1.0),
        ("FLUX.2 dev", 50, 1.0),
        ("FLUX.2 klein", 4, 1.0),
        ("FLUX.2 klein KV", 4, 1.0),
        ("FLUX.2 klein base", 50, 4.0),
        ("Z-Image Turbo", 8, 1.0),
        ("Z-Image", 50, 5.0),
        ("Z-Image Omni", 50, 6.0),
    ],
)
def test_a_folder_says_what_its_model_wants(folders, name, steps, cfg):
    checkpoint = describe(ModelFiles.whole(folders(name)))
    assert (checkpoint.defaults.steps, checkpoint.defaults.cfg) == (steps, cfg)
    assert checkpoint.edition in editions().values()


def test_the_empty_text_and_the_longest_are_read(studios):
    """A negative is often empty; a text beyond the model's length is cut and counted."""
    for name in ("FLUX.2 klein", "FLUX.2 dev", "Z-Image"):
        studio = studios(name)
        tokens = next(iter(studio.tokenizer.tokenize(["", "word " * 400]).values()))
        assert tokens.ids.shape == (2, 512)
        assert tokens.counts[1] > 512
        assert tokens.cut[0] == ""
        assert "word" in tokens.cut[1]
        assert studio.encode(["", "a lamp"]).sequence.isfinite().all()


@pytest.mark.parametrize(
    ("name", "cls", "scale", "size"),
    [
        ("FLUX.2 klein", "Flux2KleinPipeline", 1.0, (1300, 900)),
        ("FLUX.1 Kontext", "FluxKontextPipeline", 3.5, (200, 90)),
    ],
)
def test_a_picture_of_any_size_is_shown_as_diffusers_shows_it(folders, studios, name, cls, scale, size):
    from storefront.studio.sampling.references import OWN_SIZE, fit

    studio = studios(name)
    shown = picture(5, *size)
    options = {"max_area": HEIGHT * WIDTH, "max_sequence_length": 48} if name == "FLUX.1 Kontext" else {}
    theirs, _ = reference(
        folders(name), cls, prompt=PROMPTS[:1], num_inference_steps=1, guidance_scale=scale, image=pil(shown), **options
    )
    fitted = fit(shown, name.startswith("FLUX.2"), OWN_SIZE)
    ours = studio.sample(
        studio.encode(PROMPTS[:1]),
        canvas(studio, 1),
        seed=SEED,
        steps=1,
        guidance=scale,
        references=[studio.encode_image(fitted)],
    )
    assert (ours - as_latents(theirs, name)).abs().max() <= 1e-5


@pytest.mark.parametrize(("size", "named"), [("huge", "size"), ("as it is", "image")])
def test_references_that_cannot_be_shown_are_refused(size, named):
    from storefront.studio.errors import InputError
    from storefront.studio.sampling.references import fit

    with pytest.raises(InputError, match=named):
        fit(picture(1, 64, 15), True, size)


@pytest.mark.parametrize("scale", [0.0, 4.0])
@pytest.mark.parametrize("count", [0, 1, 2])
def test_zimage_omni_equals_its_pipeline(folders, studios, scale, count):
    """Over words alone, one reference and two; the second is no multiple of a token: SigLIP sees it whole, the VAE its middle."""
    from storefront.studio.sampling import references

    # A copy, and as its makers run it: the pipeline shows its VAE pictures in bfloat16, whatever the VAE's weights are in.
    studio = copy.copy(studios("Z-Image Omni"))
    studio.vae = copy.deepcopy(studio.vae).to(torch.bfloat16)
    seen = [picture(1), picture(2, 100, 125)][:count]
    pipeline = diffusers.ZImageOmniPipeline.from_pretrained(folders("Z-Image Omni"), torch_dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.vae = studio.vae
    options = {"image": [pil(image) for image in seen]} if count else {}
    theirs = pipeline(
        prompt=PROMPTS[:1],
        num_inference_steps=3,
        guidance_scale=scale,
        height=HEIGHT,
        width=WIDTH,
        generator=noise.picture_generators(SEED, [0]),
        output_type="latent",
        **options,
    ).images
    shown = [studio.encode_image(references.fit(image, True, references.OWN_SIZE)).float() for image in seen]
    settings = {"cfg": scale + 1, "negative": studio.encode_with_pictures([""], seen)} if scale else {}
    positive = studio.encode_with_pictures(PROMPTS[:1], seen)
    ours = studio.sample(positive, canvas(studio, 1), seed=SEED, steps=3, references=shown, **settings)
    # The pipeline counts its time from the other end, and guided runs both texts in one padded batch: both round.
    assert (ours - theirs).abs().max() <= 1e-5
    if count:
        blind = dataclasses.replace(positive, seen=())
        unseen = studio.sample(blind, canvas(studio, 1), seed=SEED, steps=3, references=shown, **settings)
        assert (unseen - ours).abs().max() > 1e-3


@pytest.mark.parametrize(("name", "scale", "cfg"), [("FLUX.3", 3.5, 3.5), ("FLUX.3 distilled", None, 1.0)])
@pytest.mark.parametrize("count", [0, 1, 2])
def test_flux3_equals_its_modular_pipeline(folders, studios, name, scale, cfg, count):
    """Over words alone, one reference and two, of sizes that the pipeline leaves as they are."""
    studio = studios(name)
    seen = [picture(1), picture(2, *ODD)][:count]
    pipeline = diffusers.ModularPipeline.from_pretrained(folders(name), local_files_only=True)
    pipeline._blocks.sub_blocks.pop("prompt_upsampler")
    pipeline.update_components(**{part: getattr(studio, part) for part in ("vae",)})
    pipeline.update_components(
        transformer=studio.velocity.transformer,
        text_encoder=studio.encoders.language_model,
        tokenizer=studio.tokenizer._template,
    )
    options = {"image": [pil(image) for image in seen]} if count else {}
    state = pipeline(
        prompt=PROMPTS[0],
        height=HEIGHT,
        width=WIDTH,
        num_inference_steps=3,
        generator=noise.picture_generators(SEED, [0])[0],
        output_type="pt",
        **options,
    )
    settings = {"cfg": cfg, "negative": studio.encode([""])} if cfg > 1 else {}
    ours = studio.sample(
        studio.encode(PROMPTS[:1]),
        canvas(studio, 1),
        seed=SEED,
        steps=3,
        references=[studio.encode_image(image) for image in seen],
        **settings,
    )
    assert (ours - as_latents(state.get("latents"), "FLUX.2")).abs().max() <= 1e-5
    assert (studio.decode(ours) - state.get("images").movedim(1, -1)).abs().max() <= 1e-5
