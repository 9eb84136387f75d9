"""A real ComfyUI, in the newest and the oldest supported version, with this pack alone."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from comfyui import ROOT, ComfyUI
from devtools import comfyui as dev

NEWEST = str(dev.find_comfyui(fetch=False) or dev.CACHE / "ComfyUI")
OLDEST = str(dev.OLDEST)


@pytest.fixture(scope="session", params=[NEWEST, OLDEST], ids=["newest", "0.20.1"])
def comfyui_folder(request):
    if not (Path(request.param) / "main.py").is_file():
        pytest.skip(f"!!! NO COMFYUI IN {request.param}: NOTHING BELOW WAS TESTED ON IT !!!")
    return Path(request.param)


@pytest.fixture(scope="session")
def newest_folder():
    """For what makes no difference between the versions, and costs too much to be measured twice."""
    if not (Path(NEWEST) / "main.py").is_file():
        pytest.skip(f"!!! NO COMFYUI IN {NEWEST}: NOTHING BELOW WAS TESTED ON IT !!!")
    return Path(NEWEST)


@pytest.fixture(scope="session")
def comfyui(comfyui_folder, tmp_path_factory):
    base = tmp_path_factory.mktemp("base")
    make_models(base / "models")
    with dev.running_comfyui(comfyui_folder, base) as url:
        yield ComfyUI(url, base)


def make_models(folder: Path) -> None:
    """flux-micro in the original FLUX layout, a LoRA for it, and three broken copies of it."""
    import shutil

    import torch
    from original_layout import to_original
    from safetensors.torch import load_file, save_file

    micro = ROOT / "models" / "flux-micro"
    transformer = load_file(next((micro / "transformer").glob("*.safetensors")))
    (folder / "diffusion_models").mkdir(parents=True)
    save_file(to_original(transformer), folder / "diffusion_models" / "micro.safetensors")
    random = torch.Generator().manual_seed(0)
    lora = {}
    for layer, rows, columns in (
        ("transformer_blocks.0.attn.to_q", 128, 128),
        ("single_transformer_blocks.1.proj_out", 128, 640),
    ):
        lora[f"transformer.{layer}.lora_A.weight"] = torch.randn(4, columns, generator=random) * 0.3
        lora[f"transformer.{layer}.lora_B.weight"] = torch.randn(rows, 4, generator=random) * 0.3
    (folder / "loras").mkdir()
    save_file(lora, folder / "loras" / "micro.safetensors")
    for name in ("pickled", "truncated", "headless"):
        shutil.copytree(micro, folder / "diffusers" / name)
    weights = "diffusion_pytorch_model.safetensors"
    pickled = folder / "diffusers" / "pickled" / "transformer"
    (pickled / weights).rename(pickled / "diffusion_pytorch_model.bin")
    truncated = folder / "diffusers" / "truncated" / "vae" / weights
    truncated.write_bytes(truncated.read_bytes()[:-100])
    (folder / "diffusers" / "headless" / "text_encoder" / "config.json").unlink()


@pytest.fixture(scope="session")
def tiny():
    """tests/studio/tiny.py: pipelines of random weights with the layouts of the real ones."""
    spec = importlib.util.spec_from_file_location("tiny", ROOT / "tests" / "studio" / "tiny.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def no_traceback(comfyui):
    """For tests of what must work: ComfyUI's log gains no traceback meanwhile."""
    before = comfyui.log().count("Traceback")
    yield
    assert comfyui.log().count("Traceback") == before, comfyui.log()[-3000:]
