"""The stored formats: weights that are no plain numbers in a file, and the bytes that are kept of each.

A quantiser writes a layer as several tensors: codes, scales of blocks, a description. Each becomes rows of bytes that
hold all there is to know of the row, beside a description of how they expand (stored.py), so that a row can be cut out,
moved to a device and streamed by itself. Only layouts that their makers publish; no package of theirs is needed.
A new format is a module with a Format, and a row here.
"""

from __future__ import annotations

from . import autoround, bfl_nvfp4, bitsandbytes, comfyui, floats, gguf_blocks, quanto, sdnq, svdquant, torchao
from .format import Format, Header
from .layers import Layer

# Asked in this order; the first that recognises a tensor reads it.
STORED_FORMATS: tuple[Format, ...] = (
    bitsandbytes.FOUR_BIT,
    sdnq.FORMAT,
    bitsandbytes.EIGHT_BIT,
    comfyui.FORMAT,
    bfl_nvfp4.FORMAT,
    floats.FORMAT,
    quanto.EIGHT_BIT,
    quanto.FEW_BITS,
    torchao.FORMAT,
    svdquant.FORMAT,
    autoround.FORMAT,
)
OF_GGUF = (gguf_blocks.FORMAT,)


def names() -> list[str]:
    """What a person calls the formats, for messages."""
    return [form.name for form in (*STORED_FORMATS, *OF_GGUF)]


def of_folders() -> dict[str, str]:
    """quant_method of a diffusers folder -> the format's name, of those that can be opened."""
    return {form.method: form.name for form in STORED_FORMATS if form.method}


def is_description(name: str) -> bool:
    """Whether a tensor of a file is a text that says how a layer is written."""
    return name.endswith(comfyui.DESCRIPTION_SUFFIX) or bitsandbytes.DESCRIPTION_SUFFIX in name


def layers_of(header: Header, is_gguf: bool) -> dict[str, Layer]:
    """Name -> layer of every weight that is not written as numbers.

    A layer in a format that this pack cannot read is listed with `pack` None.
    """
    found: dict[str, Layer] = {}
    for name in header.entries:
        form = next((form for form in (OF_GGUF if is_gguf else STORED_FORMATS) if form.recognises(name, header)), None)
        if form is not None:
            found |= form.reads(name, header)
    return found
