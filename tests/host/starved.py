"""Stages that run out of memory, once or for good, beside the same with enough of it; used by inside.py."""

from __future__ import annotations

import contextlib

import torch
from storefront.host import prompt_encoding, rembg_models, vae_socket
from storefront.studio import examples
from storefront.studio.product.cutout import Edges
from storefront.studio.product.networks import _Watched

ERRORS = {
    "CUDA": torch.OutOfMemoryError("CUDA out of memory"),
    "CPU": RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"),
    "Python": MemoryError(),
}


@contextlib.contextmanager
def failing(owner, name: str, error: BaseException, times: int):
    """`owner.name` raises `error` at its first calls."""
    inner, left = getattr(owner, name), [times]

    def guarded(*arguments, **options):
        if left[0]:
            left[0] -= 1
            raise error
        return inner(*arguments, **options)

    setattr(owner, name, guarded)
    try:
        yield
    finally:
        # An instance forgets its own; a class gets back what it had.
        delattr(owner, name) if not isinstance(owner, type) else setattr(owner, name, inner)


def message(call) -> str:
    try:
        call()
    except torch.OutOfMemoryError as error:
        return str(error)
    return "no error"


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max())


def starved(loaded) -> dict:
    return {name: stages(loaded, error) for name, error in ERRORS.items()}


def stages(loaded, error: BaseException) -> dict:
    """Of encoding, decoding and cutting out: how far a second try ends from the first, and what is said where none helps."""
    encoder = loaded.clip.cond_stage_model.studio
    decoder = loaded.vae.first_stage_model
    latents = torch.randn(1, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    photo = examples.photo("coffee")[:, ::4, ::4]
    text = f"a mug {type(error).__name__}"

    def encoded() -> torch.Tensor:
        prompt_encoding.CACHE._entries.clear()
        return prompt_encoding.encode_prompts(loaded.clip, [(text, text)], 0)[0][0][0]

    def cut() -> torch.Tensor:
        return rembg_models.cut_out(photo, rembg_models.BUNDLED, Edges(), False, rembg_models.BUILT_IN).alpha

    def decoded() -> torch.Tensor:
        return vae_socket.decode(loaded.vae, latents, "auto")[0]

    places = {"encode": (encoder, "embed", encoded), "cut out": (_Watched, "run", cut)}
    out: dict = {}
    for name, (owner, method, call) in places.items():
        expected = call()
        with failing(owner, method, error, 1):
            out[name] = difference(call(), expected)
        with failing(owner, method, error, -1):
            out[f"{name}, never"] = message(call)
        out[f"{name}, next"] = difference(call(), expected)
    expected = decoded()
    with failing(decoder, "decode", error, 1):
        picture, out["decode, note"] = vae_socket.decode(loaded.vae, latents, "auto")
        out["decode"] = difference(picture, expected)
    with failing(decoder, "decode", error, -1):
        out["decode, never"] = message(decoded)
    out["decode, next"] = difference(decoded(), expected)
    return out
