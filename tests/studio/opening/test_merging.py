"""LoRA files whose matrices do not go together: refused by name before any weight changes, in little memory."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from storefront.studio.errors import InputError
from storefront.studio.opening import merging, models
from storefront.studio.opening.lora import Slice

MICRO = Path(__file__).parents[3] / "models" / "flux-micro"
LAYER = "transformer_blocks.0.attn.to_q"  # of 128 rows and columns


@pytest.fixture(scope="module")
def transformer():
    return models.describe(models.ModelFiles.whole(MICRO)).transformer.load(torch.float32, False)


def merge(tmp_path, transformer, **tensors):
    file = tmp_path / "mine.safetensors"
    save_file({f"transformer.{LAYER}.{name.replace('__', '.')}": tensor for name, tensor in tensors.items()}, file)
    return merging.merge(file, 1.0, merging.names_of(transformer, {}))


def ones(*shape):
    return torch.ones(shape)


BROKEN = {
    "turned": {"lora_B__weight": ones(128, 2), "lora_A__weight": ones(128, 2)},
    "vectors": {"lora_B__weight": ones(128), "lora_A__weight": ones(128)},
    "one number": {"lora_B__weight": ones(), "lora_A__weight": ones(2, 128)},
    "no rank": {"lora_B__weight": ones(128, 0), "lora_A__weight": ones(0, 128), "alpha": torch.tensor(1.0)},
    "another rank": {"lora_up__weight": ones(128, 2), "lora_down__weight": ones(3, 128)},
    "LoHa of two shapes": {
        **{f"hada_w1_{half}": ones(*shape) for half, shape in (("a", (128, 2)), ("b", (2, 128)))},
        **{f"hada_w2_{half}": ones(*shape) for half, shape in (("a", (64, 2)), ("b", (2, 128)))},
    },
    "LoHa turned": {f"hada_w{one}_{half}": ones(128, 2) for one in (1, 2) for half in "ab"},
    "LoKr turned": {"lokr_w1": ones(8, 8), "lokr_w2_a": ones(16, 2), "lokr_w2_b": ones(16, 2)},
    "LoKr of a number": {"lokr_w1": ones(), "lokr_w2": ones(16, 16)},
    # Megabytes as a file, terabytes when they are multiplied.
    "huge": {"lora_B__weight": ones(2**20, 1), "lora_A__weight": ones(1, 2**20)},
    "huge LoKr": {"lokr_w1": ones(2**10, 2**10), "lokr_w2": ones(2**10, 2**10)},
}


@pytest.mark.parametrize("broken", BROKEN)
def test_matrices_that_do_not_go_together_are_refused(tmp_path, transformer, broken):
    weight = transformer.get_submodule(LAYER).weight
    before, start = weight.clone(), time.process_time()
    with pytest.raises(InputError, match=r"mine\.safetensors"):
        merge(tmp_path, transformer, **BROKEN[broken])
    assert time.process_time() - start < 5
    assert torch.equal(weight, before)


@pytest.mark.parametrize(
    ("tensors", "change"),
    [
        ({"lora_B__weight": ones(128, 2), "lora_A__weight": ones(2, 128), "alpha": torch.tensor(1.0)}, 1.0),
        ({"lora_up__weight": ones(128, 2, 1, 1), "lora_down__weight": ones(2, 128, 1, 1)}, 2.0),
        ({f"hada_w{one}_{half}": ones(*shape) for one in (1, 2) for half, shape in (("a", (128, 2)), ("b", (2, 128)))}, 4.0),
        ({"lokr_w1": ones(8, 8), "lokr_w2_a": ones(16, 2), "lokr_w2_b": ones(2, 16), "alpha": torch.tensor(2.0)}, 2.0),
        ({"diff": ones(1, 128, 128)}, 1.0),
    ],
    ids=["LoRA", "convolution", "LoHa", "LoKr", "difference"],
)  # fmt: skip
def test_matrices_that_go_together_are_added(tmp_path, transformer, tensors, change):
    weight = transformer.get_submodule(LAYER).weight
    before = weight.detach().clone()
    merge(tmp_path, transformer, **tensors)
    assert torch.allclose(weight.detach() - before, torch.full_like(before, change), atol=1e-4)


def highest() -> float:
    """MiB that the process has had at most since the mark was set back."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how much memory was taken at most")
def test_a_lora_of_every_layer_takes_the_memory_of_one_matrix(tmp_path):
    """Multiplied, that of FLUX.1 is 48 GB."""
    side, count = 1024, 64
    layers = torch.nn.ModuleList(torch.nn.Linear(side, side, False, dtype=torch.bfloat16) for _ in range(count))
    names = {f"transformer.layer_{n}": (layers, (Slice(str(n), 0, side, 0),)) for n in range(count)}
    file = tmp_path / "all.safetensors"
    shapes = {"lora_A.weight": (1, side), "lora_B.weight": (side, 1)}
    save_file(
        {f"transformer.layer_{n}.{key}": ones(*shape) for n in range(count) for key, shape in shapes.items()}, file
    )
    before = layers[-1].weight.detach().clone()
    Path("/proc/self/clear_refs").write_text("5")
    had = highest()
    assert merging.merge(file, 1.0, names) == (count, [])
    assert highest() - had < count * side * side * 4 / 2**20 / 2  # half of all in MiB, for torch's own buffers
    assert torch.allclose(layers[-1].weight.float(), before.float() + 1, atol=0.01)
