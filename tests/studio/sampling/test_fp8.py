"""Products in 8 bits: their error against bf16, what they are made of, and where they are refused. torch has them on CPUs too."""

from __future__ import annotations

import types

import pytest
import torch
from storefront.studio.errors import InputError
from storefront.studio.sampling import acceleration, fp8
from storefront.studio.weights.stored import ScaledFp8

CPU = torch.device("cpu")


def tokens(outliers: bool = False, dtype: torch.dtype = torch.bfloat16) -> torch.Tensor:
    """Activations [2, 40, 256]; with outliers, four channels are a hundred times as large, as language models have them."""
    x = torch.randn(2, 40, 256, generator=torch.Generator().manual_seed(0))
    if outliers:
        x[..., ::64] *= 100
    return x.to(dtype)


def weights(rows: int = 128) -> torch.Tensor:
    return torch.randn(rows, 256, generator=torch.Generator().manual_seed(1)) * 0.05


def far(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a.float() - b.float()).norm() / b.float().norm())


@pytest.mark.parametrize("outliers", [False, True])
@pytest.mark.parametrize("scaled", ["", "one", "rows"])
def test_close_to_the_product_in_bf16_of_the_weights_as_they_were(scaled, outliers):
    """Both factors rounded to three bits of mantissa: each is off by up to 1/16, by 2.6 % on average."""
    x, weight, bias = tokens(outliers), weights(), torch.randn(128).bfloat16()
    largest = weight.abs().amax(1, keepdim=True) if scaled == "rows" else weight.abs().amax()
    scale = largest / fp8.FP8_MAX if scaled else None
    small = (weight if scale is None else weight / scale).to(fp8.FP8_DTYPE)
    expected = torch.nn.functional.linear(x, weight.bfloat16(), bias)
    assert 0.005 < far(fp8.linear(x, small, scale, bias), expected) < 0.05


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_nothing_but_the_inputs_is_rounded(dtype):
    """Inputs that are e4m3 numbers already: the product is that of the stored weights."""
    x = (tokens().float().clamp(-3, 3) / 3 * fp8.FP8_MAX).to(fp8.FP8_DTYPE).to(dtype)
    x[0, 0, 0] = fp8.FP8_MAX  # so that they are not scaled
    small = weights().to(fp8.FP8_DTYPE)
    expected = torch.nn.functional.linear(x.double(), small.double())
    assert far(fp8.linear(x, small, None, None), expected) < {torch.bfloat16: 3e-3, torch.float16: 5e-4}.get(
        dtype, 1e-5
    )


@pytest.mark.parametrize(
    ("size", "dtype"),
    [
        (1e-6, torch.bfloat16),
        (1.0, torch.bfloat16),
        (1e4, torch.bfloat16),
        (1e-4, torch.float16),
        (1e-3, torch.float16),
    ],
)
def test_inputs_of_any_size(size, dtype):
    x, small = (tokens() * size).to(dtype), weights().to(fp8.FP8_DTYPE)
    out = fp8.linear(x, small, None, None)
    assert out.shape == (2, 40, 128)
    assert far(out, torch.nn.functional.linear(x.float(), small.float())) < 0.05


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_zeros_stay_zeros(dtype):
    assert not fp8.linear(torch.zeros(1, 16, 256, dtype=dtype), weights().to(fp8.FP8_DTYPE), None, None).any()


def model(layer: torch.nn.Module, dtype: torch.dtype = torch.bfloat16) -> types.SimpleNamespace:
    """What is asked of a velocity here: a transformer of one layer, and the dtype that it computes in."""
    return types.SimpleNamespace(transformer=torch.nn.Sequential(layer), dtype=dtype)


def stored(
    rows: int = 32, columns: int = 32, kind: torch.dtype = fp8.FP8_DTYPE, scaled: bool = False
) -> torch.nn.Linear:
    layer = torch.nn.Linear(columns, rows).requires_grad_(False)
    layer.weight.data = layer.weight.data.to(kind)
    if scaled:
        layer.weight.data = layer.weight.data.view(torch.int8)
        layer.stored = ScaledFp8(kind, torch.ones(()))
    return layer


def test_layers_of_8_bits_and_fitting_size_are_multiplied():
    assert fp8.layers(model(stored()))
    assert fp8.layers(model(stored(scaled=True)))
    for other in (
        stored(rows=24),
        stored(columns=40),
        stored(kind=torch.float8_e5m2),
        stored(kind=torch.float8_e5m2, scaled=True),
        torch.nn.Linear(32, 32),
    ):
        assert not fp8.layers(model(other))


def test_models_without_such_layers_are_refused_by_name():
    fp8.require_layers(model(stored()))
    with pytest.raises(InputError, match=r"^`matmul` is 'fp8'\. Expected: a model whose weights"):
        fp8.require_layers(model(torch.nn.Linear(32, 32)))
    with pytest.raises(InputError, match=r"^`matmul` is 'fp8'\. Expected: auto: .*bf16 or fp16"):
        fp8.require_layers(model(stored(), torch.float32))


def test_it_is_not_offered_on_a_cpu_and_refused_there_by_name():
    assert acceleration.matmuls(CPU) == [acceleration.AUTO]
    with pytest.raises(InputError, match=r"^`matmul` is 'fp8'\. Expected: one of auto, which this machine has"):
        acceleration.check(acceleration.AccelerationSettings(matmul="fp8"), model(stored()), CPU)
    assert not acceleration.AccelerationSettings(matmul="fp8").does_nothing
