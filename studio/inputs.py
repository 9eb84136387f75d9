"""What an input of a node may be, by the type that its schema gives it: for constants and for what comes over a link.

ComfyUI checks ranges and options of constants alone, and lets any JSON value stand where a link belongs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, NamedTuple

from .errors import Bare, InputError, listed, require_unicode

LONGEST_INPUT = 1_000_000  # characters; each node has narrower limits of its own
MOST_BITS = 256  # of a whole number that is shown
MOST_SHOWN = 12  # options in a message


class Wanted(NamedTuple):
    """One input of a schema."""

    name: str
    type: str  # ComfyUI's name of it, such as IMAGE
    optional: bool = False
    low: float | None = None
    high: float | None = None
    options: tuple[str, ...] | None = None  # None: any text, and the node says which


def require(wanted: Wanted, value: Any) -> Any:
    """`value` as the node takes it. Raises InputError that names the input, the value and the cure.

    A type that is not in the table passes: sockets of other packs.
    """
    socket = SOCKETS.get(wanted.type)
    if socket is not None:
        if value is None and wanted.optional:
            return None
        if not socket.fits(value):
            raise InputError(wanted.name, described(value), cure=socket.cure)
        return value
    check = WIDGETS.get(wanted.type)
    return value if check is None else check(wanted, value)


def described(value: Any) -> Any:
    """What a message shows of a value: itself where JSON can hold it, else its type, since tensors print for pages."""
    if isinstance(value, int) and value.bit_length() > MOST_BITS:  # Python refuses to print thousands of digits
        return Bare(f"a whole number of {value.bit_length()} bits")
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    shape = getattr(value, "shape", None)
    if shape is not None:
        return Bare(f"{_article(type(value).__name__)} of shape {list(shape)}")
    if isinstance(value, (list, tuple, Mapping)):
        return Bare(f"{_article(type(value).__name__)} of {len(value)}")
    return Bare(_article(type(value).__name__))


def _article(noun: str) -> str:
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


# --- widgets ----------------------------------------------------------------------------------------------------------


def _whole(wanted: Wanted, value: Any) -> int:
    whole = isinstance(value, Integral) or (isinstance(value, Real) and float(value).is_integer())
    if isinstance(value, bool) or not whole:
        raise InputError(wanted.name, described(value), cure=f"Use a whole number{_range(wanted)}.")
    return int(_in_range(wanted, value, "a whole number"))


def _number(wanted: Wanted, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not _is_finite(value):
        raise InputError(wanted.name, described(value), cure=f"Use a number{_range(wanted)}.")
    return float(_in_range(wanted, value, "a number"))


def _is_finite(value: Real) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond every float
        return False


def _in_range(wanted: Wanted, value: Any, kind: str) -> Any:
    low = -math.inf if wanted.low is None else wanted.low
    high = math.inf if wanted.high is None else wanted.high
    if not low <= value <= high:
        raise InputError(wanted.name, described(value), cure=f"Use {kind}{_range(wanted)}.")
    return value


def _range(wanted: Wanted) -> str:
    if wanted.low is None and wanted.high is None:
        return ""
    if wanted.high is None:
        return f" of {wanted.low} or more"
    return f" from {wanted.low} to {wanted.high}" if wanted.low is not None else f" of {wanted.high} or less"


def _text(wanted: Wanted, value: Any) -> str:
    if not isinstance(value, str):
        raise InputError(wanted.name, described(value), cure="Use text: connect a STRING, or type it.")
    if len(value) > LONGEST_INPUT:
        raise InputError(wanted.name, f"{len(value)} characters", cure=f"Use at most {LONGEST_INPUT} characters.")
    require_unicode(wanted.name, value)
    return value


def _switch(wanted: Wanted, value: Any) -> bool:
    if not isinstance(value, bool):
        raise InputError(wanted.name, described(value), cure="Use true or false.")
    return value


def _choice(wanted: Wanted, value: Any) -> str:
    options = wanted.options
    if isinstance(value, str) and (options is None or value in options):
        return value
    choices = "a name from its list" if options is None else "one of: " + listed(options[:MOST_SHOWN])
    more = f" and {len(options) - MOST_SHOWN} more" if options and len(options) > MOST_SHOWN else ""
    raise InputError(wanted.name, described(value), cure=f"Use {choices}{more}.")


WIDGETS: dict[str, Callable[[Wanted, Any], Any]] = {
    "INT": _whole,
    "FLOAT": _number,
    "STRING": _text,
    "BOOLEAN": _switch,
    "COMBO": _choice,
}


# --- sockets ----------------------------------------------------------------------------------------------------------


class Socket(NamedTuple):
    """What a socket accepts: whether a value fits, and what to connect where it does not."""

    fits: Callable[[Any], bool]
    cure: str


def _is_tensor(value: Any, *dimensions: int) -> bool:
    import torch

    return isinstance(value, torch.Tensor) and value.ndim in dimensions and 0 not in value.shape


def _is_latent(value: Any) -> bool:
    import torch

    return (
        isinstance(value, Mapping)
        and isinstance(value.get("samples"), torch.Tensor)
        and 0 not in value["samples"].shape  # a decoder's convolutions fail on it, in torch's words
        and (value.get("noise_mask") is None or _is_tensor(value["noise_mask"], 2, 3, 4, 5))
        and _is_index(value.get("batch_index"))
    )


def _is_index(value: Any) -> bool:
    """The numbers of a LATENT's pictures, where it has any."""
    return value is None or (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and all(isinstance(entry, int) and entry >= 0 for entry in value)
    )


def _is_conditioning(value: Any) -> bool:
    """A list of (text, options); `guidance` None is what stock FluxDisableGuidance writes."""
    import torch

    return (
        isinstance(value, list)
        and len(value) > 0
        and all(isinstance(entry, (list, tuple)) and len(entry) == 2 for entry in value)
        and all(
            isinstance(text, torch.Tensor) and text.ndim >= 2 and isinstance(options, dict) for text, options in value
        )
        and all(_are_tensors(options, "pooled_output", "attention_mask") for _, options in value)
        and all(isinstance(options.get("guidance"), (int, float, type(None))) for _, options in value)
        and all(_are_references(options.get("reference_latents")) for _, options in value)
    )


def _are_tensors(options: Mapping[str, Any], *names: str) -> bool:
    import torch

    return all(options.get(name) is None or isinstance(options[name], torch.Tensor) for name in names)


def _are_references(value: Any) -> bool:
    return value is None or (isinstance(value, (list, tuple)) and all(_is_tensor(one, 4, 5) for one in value))


def _has(*names: str) -> Callable[[Any], bool]:
    """ComfyUI's own class, another pack's in its place, and nothing that JSON can hold."""
    return lambda value: all(hasattr(value, name) for name in names)


SOCKETS: dict[str, Socket] = {
    "IMAGE": Socket(
        lambda value: _is_tensor(value, 4) and value.shape[-1] in (1, 3, 4),
        "Connect an IMAGE, such as Load Image's: [batch, height, width, 3 channels], at least one pixel.",
    ),
    "MASK": Socket(
        lambda value: _is_tensor(value, 2, 3),
        "Connect a MASK, such as Remove Background's: [batch, height, width], at least one pixel.",
    ),
    "LATENT": Socket(_is_latent, "Connect a LATENT of at least one picture: Ad Canvas, VAE Encode or a sampler."),
    "CONDITIONING": Socket(_is_conditioning, "Connect a CONDITIONING, such as Encode Prompt's."),
    "MODEL": Socket(_has("model", "model_options", "get_model_object"), "Connect the MODEL of a loader."),
    "CLIP": Socket(
        _has("cond_stage_model", "tokenize", "patcher"), "Connect the CLIP of a loader, and choose one there."
    ),
    "VAE": Socket(_has("first_stage_model", "decode", "patcher"), "Connect the VAE of a loader, and choose one there."),
    "STOREFRONT_LAYOUT": Socket(
        lambda value: isinstance(value, (str, Mapping)) or hasattr(value, "to_json"),
        "Connect Plan Layout or Edit Layout.",
    ),
}
