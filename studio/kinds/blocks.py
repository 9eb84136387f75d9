"""ComfyUI's patches of FLUX's blocks and of what their attention gives, on a diffusers transformer during one call."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

# What of `transformer_options` is honoured here, of FLUX.1 and FLUX.2.
PATCHES = frozenset({"attn1_output_patch"})
REPLACED = frozenset({"dit"})


@contextlib.contextmanager
def patched(transformer: torch.nn.Module, text_tokens: int, options: Mapping[str, Any] | None) -> Iterator[None]:
    """Blocks replaced as `patches_replace["dit"]` says, and `patches["attn1_output_patch"]` applied.

    A replacement is called with {"img", "txt", "vec", "pe", ...} [B, tokens, D] of a double block, or "img" alone, text
    first, of a single one, and {"original_block": ...}; a patch of the attention with [B, tokens, D], text first.
    """
    options = options or {}
    blocks = options.get("patches_replace", {}).get("dit", {})
    outputs = options.get("patches", {}).get("attn1_output_patch", ())
    with contextlib.ExitStack() as undo:
        for (kind, index, *_), replacement in blocks.items():
            modules = (
                transformer.transformer_blocks if kind == "double_block" else transformer.single_transformer_blocks
            )
            if index < len(modules):  # type: ignore[arg-type]
                _replace(modules[index], kind, replacement, options, undo)  # type: ignore[index]
        if outputs:
            undo.enter_context(_attention(transformer, text_tokens, outputs, options))
        yield


def _replace(
    block: Any, kind: str, replacement: Callable[..., Any], options: Mapping[str, Any], undo: contextlib.ExitStack
) -> None:
    own, forward = block.__dict__.get("forward"), block.forward
    around = _double if kind == "double_block" else _single

    def call(hidden_states: torch.Tensor, encoder_hidden_states: torch.Tensor | None = None, **rest: Any) -> Any:
        return around(forward, replacement, hidden_states, encoder_hidden_states, rest, options)

    block.forward = call
    undo.callback(_give_back, block, own)


def _give_back(block: torch.nn.Module, own: Any) -> None:
    block.__dict__.pop("forward", None)
    if own is not None:
        block.__dict__["forward"] = own


def _double(forward: Any, replacement: Any, img: Any, txt: Any, rest: dict[str, Any], options: Any) -> Any:
    def original(args: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        text, picture = forward(hidden_states=args["img"], encoder_hidden_states=args["txt"], **_changed(rest, args))
        return {"img": picture, "txt": text}

    out = replacement({"img": img, "txt": txt, **_block_arguments(rest, options)}, {"original_block": original})
    return out["txt"], out["img"]


def _single(forward: Any, replacement: Any, img: Any, txt: Any, rest: dict[str, Any], options: Any) -> Any:
    # FLUX.1's come and go apart, FLUX.2's joined; ComfyUI's are always joined.
    length = 0 if txt is None else txt.shape[1]

    def original(args: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        joined, more = args["img"], _changed(rest, args)
        if txt is None:
            return {"img": forward(hidden_states=joined, encoder_hidden_states=None, **more)}
        parts = forward(hidden_states=joined[:, length:], encoder_hidden_states=joined[:, :length], **more)
        return {"img": torch.cat(parts, dim=1)}

    whole = img if txt is None else torch.cat([txt, img], dim=1)
    out = replacement({"img": whole, **_block_arguments(rest, options)}, {"original_block": original})["img"]
    return out if txt is None else (out[:, :length], out[:, length:])


def _block_arguments(rest: Mapping[str, Any], options: Any) -> dict[str, Any]:
    vec, pe = rest.get("temb"), rest.get("image_rotary_emb")
    return {"vec": vec, "pe": pe, "attn_mask": None, "transformer_options": options}


def _changed(rest: Mapping[str, Any], args: Mapping[str, Any]) -> dict[str, Any]:
    """A block's other arguments, with what the replacement made of them."""
    names = {"temb": "vec", "image_rotary_emb": "pe"}
    return {**rest, **{ours: args[theirs] for ours, theirs in names.items() if ours in rest and theirs in args}}


@contextlib.contextmanager
def _attention(
    transformer: torch.nn.Module, text_tokens: int, patches: Any, options: Mapping[str, Any]
) -> Iterator[None]:
    """The patches on what every attention gives, before its projection.

    diffusers' processors leave no other place for them than the function that they call.
    """
    module: Any = sys.modules[type(transformer).__module__]
    dispatch, calls = module.dispatch_attention_fn, iter(range(sys.maxsize))
    doubles = len(transformer.transformer_blocks)  # type: ignore[arg-type]

    def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *args: Any, **more: Any) -> torch.Tensor:
        out, call = dispatch(query, key, value, *args, **more), next(calls)
        kind, index = ("double", call) if call < doubles else ("single", call - doubles)
        block_options = {"img_slice": [text_tokens, query.shape[1]], "block_type": kind, "block_index": index}
        flat = out.flatten(2)
        for patch in patches:
            flat = patch(flat, {**options, **block_options})
        return flat.unflatten(2, out.shape[2:])

    module.dispatch_attention_fn = attend
    try:
        yield
    finally:
        module.dispatch_attention_fn = dispatch
