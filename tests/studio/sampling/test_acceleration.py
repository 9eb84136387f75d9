"""Acceleration of a transformer without ComfyUI: what a run puts on it, and that all of it goes again."""

from __future__ import annotations

import contextlib
import sys
import types
from pathlib import Path

import diffusers
import pytest
import torch
from storefront.studio.errors import InputError
from storefront.studio.kinds.flux1 import FluxVelocity
from storefront.studio.sampling import acceleration
from storefront.studio.sampling.acceleration import AccelerationSettings

MICRO = Path(__file__).resolve().parents[3] / "models" / "flux-micro"
CPU = torch.device("cpu")
SIGMAS = [1.0, 0.75, 0.5, 0.25, 0.0]


@pytest.fixture(scope="module")
def velocity():
    transformer = diffusers.FluxTransformer2DModel.from_pretrained(MICRO / "transformer", local_files_only=True)
    return FluxVelocity(transformer.eval().requires_grad_(False), torch.float32)


@pytest.fixture(scope="module")
def inputs():
    random = torch.Generator().manual_seed(0)
    return {
        "x": torch.randn(1, 16, 8, 8, generator=random),
        "context": torch.randn(1, 8, 128, generator=random),
        "y": torch.randn(1, 128, generator=random),
        "guidance": torch.tensor([3.5]),
    }


def flow(velocity, inputs, sigma: float) -> torch.Tensor:
    return velocity(timestep=torch.tensor([sigma]), **inputs)


def own_attributes(velocity) -> set[tuple[str, str]]:
    return {(name, key) for name, module in velocity.named_modules() for key in module.__dict__}


@pytest.mark.parametrize(
    "settings",
    [
        AccelerationSettings(),
        AccelerationSettings("first block"),
        AccelerationSettings("taylorseer", interval=2),
        AccelerationSettings("magcache"),
        AccelerationSettings("first block", attention="SDPA", compile="regional"),
    ],
    ids=["nothing", "first block", "taylorseer", "magcache", "everything"],
)
@pytest.mark.parametrize("cancelled", [False, True], ids=["whole", "cancelled"])
def test_a_run_leaves_the_transformer_as_it_was(velocity, inputs, settings, cancelled):
    before, plain = own_attributes(velocity), flow(velocity, inputs, 1.0)
    with contextlib.suppress(KeyboardInterrupt), acceleration.running(velocity, settings, SIGMAS):
        assert settings.does_nothing or own_attributes(velocity) != before
        if cancelled:
            raise KeyboardInterrupt
    assert own_attributes(velocity) == before
    assert torch.equal(flow(velocity, inputs, 1.0), plain)


def test_contexts_share_nothing(velocity, inputs):
    """The same input again is skipped in the context that has seen it, and computed in another."""
    other = {**inputs, "context": inputs["context"] + 1}
    expected = flow(velocity, other, 0.75)
    with acceleration.running(velocity, AccelerationSettings("first block", threshold=0.5), SIGMAS) as run:
        with run.call("cond", 1.0):
            first = flow(velocity, inputs, 1.0)
        with run.call("cond", 1.0):
            again = flow(velocity, inputs, 1.0)
        assert (run.calls, run.computed) == (2, 1)
        with run.call("uncond", 0.75):
            assert torch.equal(flow(velocity, other, 0.75), expected)
        assert (run.calls, run.computed) == (3, 2)
    torch.testing.assert_close(again, first, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["taylorseer", "magcache"])
@pytest.mark.parametrize("levels", [[1.0, 1.0], [1.0, 0.9], [0.75, 1.0]], ids=["twice", "between", "backwards"])
def test_caches_that_count_steps_refuse_samplers_that_do_not(velocity, inputs, name, levels):
    with acceleration.running(velocity, AccelerationSettings(name), SIGMAS) as run:
        with run.call("cond", levels[0]):
            flow(velocity, inputs, levels[0])
        with pytest.raises(InputError, match="once a step"), run.call("cond", levels[1]):
            pass


@pytest.mark.parametrize(
    ("settings", "skips", "nothing"),
    [
        (AccelerationSettings(), False, True),
        (AccelerationSettings("first block"), True, False),
        (AccelerationSettings("first block", threshold=0), False, True),
        (AccelerationSettings("taylorseer"), True, False),
        (AccelerationSettings("taylorseer", interval=1), False, True),
        (AccelerationSettings(attention="SDPA"), False, False),
        (AccelerationSettings(compile="regional"), False, False),
    ],
)
def test_settings_know_whether_they_do_anything(settings, skips, nothing):
    assert (settings.caches, settings.does_nothing) == (skips, nothing)


def test_only_what_is_installed_is_listed_and_nothing_that_would_be_downloaded():
    assert acceleration.installed_kernels(CPU) == ["SDPA"]
    assert "cuDNN" in acceleration.installed_kernels(torch.device("cuda"))
    backends = {name for kernel in acceleration.KERNELS.values() for name in (kernel.backend, kernel.masked)}
    known = {backend.value for backend in diffusers.models.attention_dispatch.AttentionBackendName}
    assert backends <= known
    assert not any(name.endswith("hub") for name in backends)


def test_a_module_that_another_pack_made_up_is_no_kernel(monkeypatch):
    monkeypatch.setitem(sys.modules, "flash_attn", types.ModuleType("flash_attn"))
    assert "flash" not in acceleration.installed_kernels(torch.device("cuda"))


def test_the_blocks_come_in_the_order_of_the_computation(velocity):
    transformer = velocity.transformer
    assert acceleration.blocks_of(transformer) == [
        *transformer.transformer_blocks,
        *transformer.single_transformer_blocks,
    ]
