"""The VAE of FLUX.1 and Z-Image, and that of FLUX.2 and FLUX.3."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Any

from .kind import Config, VaeKind
from .names import Naming, Rows, Shapes, renamed, same
from .original_names import Joined, Names
from .part import Part

# Parts of names: the original autoencoder's and diffusers', in the order they are replaced. "#" is a number.
_PARTS = (
    (".down.#.block.#.", ".down_blocks.#.resnets.#."),
    (".down.#.downsample.", ".down_blocks.#.downsamplers.0."),
    (".up.#.block.#.", ".up_blocks.#.resnets.#."),
    (".up.#.upsample.", ".up_blocks.#.upsamplers.0."),
    (".nin_shortcut.", ".conv_shortcut."),
    (".mid.attn_1.norm.", ".mid_block.attentions.0.group_norm."),
    *((f".mid.attn_1.{letter}.", f".mid_block.attentions.0.to_{letter}.") for letter in "qkv"),
    (".mid.attn_1.proj_out.", ".mid_block.attentions.0.to_out.0."),
    (".mid.block_1.", ".mid_block.resnets.0."),
    (".mid.block_2.", ".mid_block.resnets.1."),
    (".norm_out.", ".conv_norm_out."),
)


def _rule(before: str, after: str) -> tuple[re.Pattern[str], str]:
    """The rule of `renamed` that makes `after` of `before`, their numbers in the same order."""
    first, *others = after.split("#")
    numbered = "".join(f"\\{index}{part}" for index, part in enumerate(others, 1))
    return re.compile(re.escape(before).replace(r"\#", r"(\d+)")), first + numbered


_TO_DIFFUSERS = (
    (re.compile(r"^(encoder|decoder)\.((?:post_)?quant_conv)\."), r"\2."),
    *(_rule(original, ours) for original, ours in _PARTS),
)
_TO_ORIGINAL = (
    (re.compile(r"^quant_conv\."), "encoder.quant_conv."),
    (re.compile(r"^post_quant_conv\."), "decoder.post_quant_conv."),
    *(_rule(ours, original) for original, ours in _PARTS),
)
_UP = re.compile(r"\.up_blocks\.(\d+)\.")


def _rename(shapes: Shapes) -> dict[str, Rows]:
    out = {}
    for name in shapes:
        out[renamed(name, _TO_DIFFUSERS)] = Rows(name)
    # The original counts the decoder's blocks from the picture, diffusers from the latents.
    last = max((int(found.group(1)) for name in out if (found := _UP.search(name))), default=0)
    return {
        _UP.sub(lambda found: f".up_blocks.{last - int(found.group(1))}.", name): rows for name, rows in out.items()
    }


_UP_OF_ORIGINALS = re.compile(r"\.up\.(\d+)\.")


def _originals(names: set[str]) -> Names:
    by_our_name = {renamed(name, _TO_ORIGINAL): name for name in names}
    # The original counts the decoder's blocks from the picture, diffusers from the latents.
    last = max((int(found[1]) for name in by_our_name if (found := _UP_OF_ORIGINALS.search(name))), default=0)
    out = {}
    for name, ours in by_our_name.items():
        original = _UP_OF_ORIGINALS.sub(lambda found: f".up.{last - int(found[1])}.", name)
        out[original] = Joined((ours,), convolution=".attn_1." in name and name.endswith(".weight"))
    return out


_OWN = Naming("decoder.conv_in.weight", same, also=("decoder.mid_block.resnets.0.conv1.weight",))
_ORIGINAL = Naming("decoder.conv_in.weight", _rename, also=("decoder.mid.block_1.conv1.weight",))
_NORM = "bn.running_mean"  # FLUX.2's alone normalises its latents


def _widths(part: Part, blocks: str) -> list[int]:
    levels = part.count("encoder.down_blocks")
    return [part.length(f"{blocks}.{level}.resnets.0.conv1.weight", 0) for level in range(levels)]


def _config(part: Part) -> dict[str, Any]:
    levels = part.count("encoder.down_blocks")
    return {
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
        "block_out_channels": tuple(_widths(part, "encoder.down_blocks")),
        "layers_per_block": part.count("encoder.down_blocks.0.resnets"),
        "latent_channels": part.length("decoder.conv_in.weight", 1),
        "use_quant_conv": part.has("quant_conv.weight"),
        "use_post_quant_conv": part.has("post_quant_conv.weight"),
        "mid_block_add_attention": part.has("decoder.mid_block.attentions.0.to_q.weight"),
    }


class AutoencoderKl(VaeKind):
    """The VAE of FLUX.1 and Z-Image: 16 channels, 8 pixels a latent cell."""

    role = "vae"
    label = "a VAE"
    library = "diffusers"
    classes = MappingProxyType({"AutoencoderKL": "AutoencoderKL"})
    namings = (_OWN._replace(unless=_NORM), _ORIGINAL._replace(unless=_NORM))

    def originals(self, names: set[str]) -> Names:
        return _originals(names)

    def config(self, part: Part) -> dict[str, Any]:
        return _config(part) | {"scaling_factor": 0.3611, "shift_factor": 0.1159, "force_upcast": True}

    def required_config(self) -> Config:
        return {"scaling_factor": 0.3611, "shift_factor": 0.1159, "use_quant_conv": False, "use_post_quant_conv": False}


class Flux2Vae(VaeKind):
    """Its latents are packed 2 x 2 and normalised by its batch norm: studio/sampling/latents.py."""

    role = "flux2_vae"
    label = "a VAE"
    library = "diffusers"
    classes = MappingProxyType({"AutoencoderKLFlux2": "AutoencoderKLFlux2"})
    namings = (_OWN._replace(also=(*_OWN.also, _NORM)), _ORIGINAL._replace(also=(*_ORIGINAL.also, _NORM)))

    def originals(self, names: set[str]) -> Names:
        return _originals(names)

    def config(self, part: Part) -> dict[str, Any]:
        encoder, decoder = _widths(part, "encoder.down_blocks"), _widths(part, "decoder.up_blocks")[::-1]
        return _config(part) | ({"decoder_block_out_channels": tuple(decoder)} if decoder != encoder else {})


KINDS = (AutoencoderKl(), Flux2Vae())
