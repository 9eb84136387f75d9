"""What FLUX.2 klein KV keeps of its references: computed once, never given to others, and the same as computed anew."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from storefront.studio.kinds.reference_cache import MOST_KEPT, ReferenceCache
from storefront.studio.sampling.pipeline import FluxStudio

_spec = importlib.util.spec_from_file_location("tiny", Path(__file__).parents[1] / "tiny.py")
tiny = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tiny)

SIZE, OTHER_SIZE = (4, 6), (5, 7)


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kv") / "model"
    tiny.BUILDERS["FLUX.2 klein KV"](folder)
    return FluxStudio.load(folder)


@pytest.fixture(scope="module")
def text(studio):
    return studio.encode(["a red mug"])


@pytest.fixture
def seen(studio):
    """How many tokens, references and picture, each call of the transformer was given."""
    counts = []
    hook = studio.velocity.transformer.x_embedder.register_forward_hook(lambda m, i, out: counts.append(out.shape[1]))
    yield counts
    hook.remove()


def latents(seed: int, size: tuple[int, int] = SIZE, count: int = 1) -> torch.Tensor:
    return torch.randn(count, 128, *size, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def velocity(studio, text, references, kept=None, level=0.7, count=1, seed=9, size=SIZE):
    return studio.velocity(
        latents(seed, size, count),
        torch.full([count], level),
        context=text.sequence.expand(count, -1, -1),
        ref_latents=references,
        kept=kept,
    )


def test_references_go_through_the_model_once_in_a_run(studio, text, seen):
    references = [latents(1), latents(2, OTHER_SIZE)]
    for seed in (0, 1):
        studio.sample(text, torch.zeros(1, 128, *SIZE), seed=seed, steps=3, references=references)
    assert seen == [24 + 35 + 24, 24, 24] * 2
    seen.clear()
    studio.sample(text, torch.zeros(1, 128, *SIZE), seed=0, steps=2, references=references, cfg=2.0, negative=text)
    assert seen == [24 + 35 + 24, 24, 24, 24]  # the negative looks at the same


def test_what_is_kept_is_what_would_be_computed(studio, text, seen):
    """At another level, of another picture, of another size, for more pictures: only the references count."""
    references, kept = [latents(1), latents(2, OTHER_SIZE)], ReferenceCache()
    velocity(studio, text, references, kept)
    seen.clear()
    for change in ({"level": 0.2}, {"seed": 3}, {"size": OTHER_SIZE}, {"count": 3}, {}):
        difference = velocity(studio, text, references, kept, **change) - velocity(studio, text, references, **change)
        assert difference.abs().max() <= 1e-6
    assert seen == [24, 83, 24, 83, 35, 94, 24, 83, 24, 83]


@pytest.mark.parametrize(
    "others",
    [[3, 2], [2, 1], [1], [1, 2, 2], []],
    ids=["another picture", "another order", "one less", "one more", "none"],
)
def test_other_references_never_get_what_is_kept(studio, text, others):
    kept = ReferenceCache()
    velocity(studio, text, [latents(1), latents(2)], kept)
    references = [latents(seed) for seed in others]
    assert torch.equal(velocity(studio, text, references, kept), velocity(studio, text, references))


def test_pictures_that_look_at_references_of_their_own(studio, text, seen):
    """As ComfyUI has it where it draws a positive and a negative in one call."""
    one, other = latents(1), latents(2)
    both, kept = [torch.cat([one, other])], ReferenceCache()
    together = velocity(studio, text, both, kept, count=2)
    assert seen == [48]
    assert torch.equal(velocity(studio, text, both, kept, count=2, level=0.2)[:1].isfinite().all(), torch.tensor(True))
    assert seen == [48, 24]
    for index, reference in enumerate([one, other]):
        with torch.no_grad():
            alone = studio.velocity(
                latents(9, SIZE, 2)[index : index + 1],
                torch.tensor([0.7]),
                context=text.sequence,
                ref_latents=[reference],
                kept=kept,
            )
        assert (together[index : index + 1] - alone).abs().max() <= 1e-6
    assert seen == [48, 24, 48, 48]
    repeated = [one.repeat(2, 1, 1, 1)]
    velocity(studio, text, repeated, kept, count=2)
    assert seen[-1] == 24  # the same picture for both: known from when it was looked at alone


def test_only_so_many_are_kept(studio, text, seen):
    kept = ReferenceCache()
    for seed in range(MOST_KEPT + 1):
        velocity(studio, text, [latents(seed)], kept)
    seen.clear()
    velocity(studio, text, [latents(MOST_KEPT)], kept)
    velocity(studio, text, [latents(1)], kept)
    velocity(studio, text, [latents(0)], kept)
    assert seen == [24, 24, 48]
