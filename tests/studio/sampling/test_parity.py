"""The Python API's loop against diffusers' pipelines: no difference at all, over a table of cases."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from diffusers import FluxImg2ImgPipeline, FluxInpaintPipeline, FluxPipeline
from storefront.studio.kinds.flux1 import unpack
from storefront.studio.sampling import noise
from storefront.studio.sampling.encode import Text
from storefront.studio.sampling.pipeline import FluxStudio

_spec = importlib.util.spec_from_file_location("tiny", Path(__file__).parents[1] / "tiny.py")
tiny = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tiny)

PROMPTS = ["a red mug on a wooden table", "a blue lamp at the beach", "서울의 밤 a white shoe"]
SEED = 7


class Pair:
    """The same folder opened by diffusers and by us."""

    def __init__(self, folder: Path, length: int):
        self.pipeline = FluxPipeline.from_pretrained(folder, local_files_only=True, torch_dtype=torch.float32)
        self.pipeline.set_progress_bar_config(disable=True)
        self.studio = FluxStudio.load(folder)
        self.length = length


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    made = {"micro": Pair(Path(__file__).parents[3] / "models" / "flux-micro", 64)}
    for name, options in {
        "tiny": {},
        "tiny, no guidance": {"guidance": False},
        "tiny, static shift": {"dynamic_shift": False},
    }.items():
        folder = tmp_path_factory.mktemp("model") / "tiny"
        tiny.build(folder, **options)
        made[name] = Pair(folder, 48)
    return made


MODELS = ["micro", "tiny", "tiny, no guidance", "tiny, static shift"]
SIZES = [(64, 64), (96, 64), (48, 112)]  # width, height


def generators(count: int) -> list[torch.Generator]:
    return noise.picture_generators(SEED, range(count))


def settings(pair: Pair, steps: int, size: tuple[int, int], count: int, cfg: float) -> dict:
    options = {
        "prompt": PROMPTS[:count],
        "width": size[0],
        "height": size[1],
        "num_inference_steps": steps,
        "guidance_scale": 3.5,
        "max_sequence_length": pair.length,
        "generator": generators(count),
        "output_type": "latent",
    }
    return options | ({"negative_prompt": ["blurry"] * count, "true_cfg_scale": cfg} if cfg > 1 else {})


def ours(pair: Pair, steps, size, count, cfg, latents=None, **options) -> torch.Tensor:
    if latents is None:
        latents = torch.zeros(count, 16, size[1] // 8, size[0] // 8)
    negative = pair.studio.encode(["blurry"] * count, max_tokens=pair.length) if cfg > 1 else None
    positive = pair.studio.encode(PROMPTS[:count], max_tokens=pair.length)
    return pair.studio.sample(positive, latents, seed=SEED, steps=steps, cfg=cfg, negative=negative, **options)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("steps", [1, 4, 20])
@pytest.mark.parametrize(
    ("size", "count", "cfg"), [(SIZES[0], 1, 1.0), (SIZES[1], 3, 1.0), (SIZES[2], 1, 4.0), (SIZES[0], 3, 4.0)]
)
def test_text_to_image_equals_flux_pipeline(pairs, model, steps, size, count, cfg):
    pair = pairs[model]
    reference = unpack(pair.pipeline(**settings(pair, steps, size, count, cfg)).images, size[1] // 8, size[0] // 8)
    assert torch.equal(ours(pair, steps, size, count, cfg), reference)


def from_image(pair: Pair, cls, image_latents: torch.Tensor):
    """The reference, with the given image latents in place of a random draw from the VAE's posterior."""
    pipeline = cls(
        **{k: v for k, v in pair.pipeline.components.items() if k not in ("image_encoder", "feature_extractor")}
    )
    pipeline.set_progress_bar_config(disable=True)
    pipeline._encode_vae_image = lambda image, generator: image_latents
    return pipeline


@pytest.mark.parametrize("model", ["micro", "tiny"])
@pytest.mark.parametrize("strength", [0.3, 0.6, 0.9, 1.0])
@pytest.mark.parametrize(("steps", "size"), [(4, SIZES[0]), (20, SIZES[1])])
@pytest.mark.parametrize("masked", [False, True])
def test_image_to_image_and_inpaint_equal_their_pipelines(pairs, model, strength, steps, size, masked):
    pair = pairs[model]
    width, height = size
    start = torch.randn(1, 16, height // 8, width // 8, generator=torch.Generator().manual_seed(1))
    options = settings(pair, steps, size, 1, 1.0) | {"image": torch.rand(1, 3, height, width), "strength": strength}
    mask = None
    if masked:
        pixels = torch.zeros(1, 1, height, width)
        pixels[..., 16:40, 8:50] = 1
        options["mask_image"] = pixels
        mask = noise.latent_mask(pixels, height // 8, width // 8)
    pipeline = from_image(pair, FluxInpaintPipeline if masked else FluxImg2ImgPipeline, start)
    reference = unpack(pipeline(**options).images, height // 8, width // 8)
    result = ours(pair, steps, size, 1, 1.0, latents=start, strength=strength, mask=mask)
    assert torch.equal(result, reference)


def test_prompt_2_goes_to_t5_only(pairs):
    pair = pairs["tiny"]
    with torch.no_grad():  # gradients take another path through the attention, and another rounding
        sequence, pooled, _ = pair.pipeline.encode_prompt(PROMPTS[0], prompt_2=PROMPTS[1], max_sequence_length=48)
    text = pair.studio.encode([PROMPTS[0]], [PROMPTS[1]], 48)
    assert torch.equal(text.sequence, sequence)
    assert torch.equal(text.pooled, pooled)


def test_each_picture_of_a_batch_equals_the_one_made_alone(pairs):
    pair = pairs["micro"]
    batch = ours(pair, 4, SIZES[0], 3, 1.0)
    for index, prompt in enumerate(PROMPTS):
        text = pair.studio.encode([prompt], max_tokens=64)
        alone = pair.studio.sample(text, torch.zeros(1, 16, 8, 8), seed=SEED + index, steps=4)
        assert torch.allclose(batch[index : index + 1], alone, atol=1e-5)


def test_decoded_pictures_equal_the_pipelines(pairs):
    pair = pairs["micro"]
    options = settings(pair, 4, SIZES[0], 1, 1.0) | {"output_type": "pt"}
    reference = pair.pipeline(**options).images.movedim(1, -1)
    image = pair.studio.decode(ours(pair, 4, SIZES[0], 1, 1.0))
    assert torch.equal(image, reference)


def test_text_longer_than_the_encoder_is_reported_not_silently_cut(pairs):
    tokens = pairs["tiny"].studio.tokenizer.tokenize(["word " * 40, "short"], max_tokens=48)["t5xxl"]
    assert tokens.ids.shape == (2, 48)
    assert tokens.counts[0] > 48
    assert tokens.cut[0].replace(" ", "").startswith(("word", "ord", "rd", "d"))
    assert tokens.cut[1] == ""


def test_text_values_are_a_pair(pairs):
    assert isinstance(pairs["tiny"].studio.encode(["x"]), Text)
