"""Headers that claim too much: refused by the file's name, in moments, before anything is made of them."""

from __future__ import annotations

import contextlib
import json
import shutil
import struct
import time
from pathlib import Path

import pytest
import torch
from storefront.studio.errors import ModelFilesError
from storefront.studio.kinds import flux1, text_encoders
from storefront.studio.opening import folders, gguf_header, sources, weight_files

ENTRY = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}


def safetensors(path: Path, header: bytes) -> Path:
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    return path


def blocks(count: int) -> bytes:
    """The tensors of a FLUX transformer of so many blocks, all empty."""
    names = [f"model.diffusion_model.double_blocks.{number}.img_attn.qkv.weight" for number in range(count)]
    return json.dumps({name: ENTRY for name in ["model.diffusion_model.img_in.weight", *names]}).encode()


HEADERS = {
    "a long header": json.dumps({"__metadata__": {"a": "x" * 85_000_000}}).encode(),
    "100,000 tensors": blocks(100_000),
    "deep": b'{"a":' + b"[" * 1_000_000,
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_bomb_is_refused_at_once_by_the_files_name(tmp_path, name):
    path = safetensors(tmp_path / "bomb.safetensors", HEADERS[name])
    start = time.process_time()
    with pytest.raises(ModelFilesError, match=r"bomb\.safetensors"):
        sources.open_source(path)
    assert time.process_time() - start < 3


def test_as_many_tensors_as_are_allowed_take_moments(tmp_path):
    path = safetensors(tmp_path / "many.safetensors", blocks(weight_files.MOST_TENSORS - 1))
    start = time.process_time()
    with contextlib.suppress(ModelFilesError):
        sources.open_source(path)
    assert time.process_time() - start < 5


def text(words: str) -> bytes:
    return struct.pack("<Q", len(words)) + words.encode()


GGUFS = {
    "a long list": struct.pack("<4sIQQ", b"GGUF", 3, 0, 1)
    + text("a")
    + struct.pack("<IIQ", 9, 0, 99_000_000)
    + b"\0" * 99_000_000,
    "many tensors": struct.pack("<4sIQQ", b"GGUF", 3, 2**40, 0) + b"\0" * 1000,
    "many fields": struct.pack("<4sIQQ", b"GGUF", 3, 0, 2**40) + (text("a") + struct.pack("<IB", 0, 0)) * 100_000,
}


@pytest.mark.parametrize("name", GGUFS)
def test_a_gguf_bomb_is_refused_at_once(tmp_path, name):
    path = tmp_path / "bomb.gguf"
    path.write_bytes(GGUFS[name])
    start = time.process_time()
    with pytest.raises(ValueError, match="at most"):
        gguf_header.read(path)
    with pytest.raises(ModelFilesError, match=r"bomb\.gguf"):
        sources.open_source(path)
    assert time.process_time() - start < 1


@pytest.mark.parametrize("count", [2**31, 1e300, float("inf")])
def test_a_config_of_more_layers_than_any_model_has_is_refused_at_once(tmp_path, count):
    """Each layer is built before a weight is looked for: 2 billion of them ended nowhere."""
    folder = tmp_path / "x" / "transformer"
    shutil.copytree(Path(__file__).parents[1] / "weights" / "torchao", folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_layers": count}))
    start = time.process_time()
    with pytest.raises(ModelFilesError, match=r"x/transformer.*num_layers"):
        folders.load_module(folder, flux1.KIND, "FluxTransformer2DModel", torch.bfloat16, keep=True)
    assert time.process_time() - start < 3


@pytest.mark.parametrize("count", [10**6, 2**31, 2**63, 1e308])
def test_a_tokenizer_of_billions_of_marks_is_refused_before_they_are_made(tmp_path, count):
    """Each of T5's `extra_ids` becomes a text: 2**31 of them took more than half a minute under a limit of memory."""
    folder = tmp_path / "x" / "tokenizer_2"
    shutil.copytree(Path(__file__).parents[3] / "models" / "flux-micro" / "tokenizer_2", folder)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, "extra_ids": 100}))
    assert folders.load_reader(folder, text_encoders.T5())("cup").input_ids  # imports transformers, which takes seconds
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, "extra_ids": count}))
    start = time.process_time()
    with pytest.raises(ModelFilesError, match=r"x/tokenizer_2.*extra_ids"):
        folders.load_reader(folder, text_encoders.T5())
    assert time.process_time() - start < 3
