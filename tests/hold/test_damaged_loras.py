"""Damaged LoRAs through Load LoRA: a picture, or an error that names the file; the next picture without one is exact."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import damage
import exact
import pytest
import stored_victims
import torch
import victims
from comfyui import node, text_to_image
from storefront.studio.opening import models

FILE = "damaged.safetensors"


@pytest.fixture(scope="module")
def loras(tmp_path_factory) -> list[Path]:
    module = models.describe(models.ModelFiles.whole(victims.ROOT / "models" / "flux-micro")).transformer.load(
        torch.float32, False
    )
    return [*stored_victims.written_loras(tmp_path_factory.mktemp("loras"), module)]


def drawing(strength: float) -> dict:
    """Two steps with the damaged file on the model and its CLIP."""
    lora = node("StorefrontLoadLora", model=["1", 0], clip=["1", 1], lora_1=FILE, strength_1=strength)
    return text_to_image(
        {"lora": lora}, Sample={"seed": 3, "steps": 2, "model": ["lora", 0]}, Encode={"clip": ["lora", 1]}
    )


def test_damaged_loras_are_refused_by_name_or_drawn(server, loras, size):
    before = exact.drawn(server, 0)
    file = server.base / "models" / "loras" / FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    for lora in loras:  # whole, each of them changes the picture
        file.write_bytes(lora.read_bytes())
        changed = server.run(drawing(1.0))
        assert changed.ok, f"{lora.stem}: {changed.error}"
        assert not (changed.pixels() == before).all(), lora.stem
    chance, answers, wrong = random.Random(20261130), Counter(), []
    for number in range(size(32, 1000)):
        lora = loras[number % len(loras)]
        file.unlink()  # what is still mapped stays readable
        file.write_bytes(damage.safetensors_changed(lora.read_bytes(), chance))
        result = server.run(drawing(1.0 + number / 1e6))  # another value: nothing comes from ComfyUI's cache
        answers["drawn" if result.ok else "refused"] += 1
        if not result.ok and not refused_by_name(result):
            wrong.append(f"attack {number}, {lora.stem}: {result.error[:500]}\n{traceback_of(result)}")
    print(f"\ndamaged LoRAs through Load LoRA: {sum(answers.values())} of {len(loras)} kinds, {dict(answers)}")
    assert not wrong, "\n\n".join(wrong[:12])
    assert (exact.drawn(server, 1) == before).all()


def failure_of(result) -> dict:
    messages = [] if result.history is None else result.history["status"]["messages"]
    return next((body for kind, body in messages if kind == "execution_error"), {})


def traceback_of(result) -> str:
    return "".join(failure_of(result).get("traceback", []))[-1500:] or json.dumps(result.refused)


def refused_by_name(result) -> bool:
    kind = failure_of(result).get("exception_type", "").rpartition(".")[2]
    return kind in ("InputError", "NothingFits", "ModelFilesError") and FILE in result.error
