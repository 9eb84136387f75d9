"""The names that a model's makers gave its weights, from those that diffusers gives them: the other way than the kinds' own names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from ..kinds import flux1, flux2, flux_names
from ..kinds.names import renamed

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch


class Joined(NamedTuple):
    """A weight under its original name: ours on top of each other."""

    parts: tuple[str, ...]
    swap: bool = False  # the two halves change places
    convolution: bool = False  # [out, in] is written as [out, in, 1, 1]

    def join(self, weights: list[torch.Tensor]) -> torch.Tensor:
        """The original of the parts' weights."""
        import torch

        whole = weights[0] if len(weights) == 1 else torch.cat(weights)
        if self.swap:
            whole = torch.cat(tuple(reversed(whole.chunk(2))))
        return whole[..., None, None] if self.convolution and whole.ndim == 2 else whole

    def part(self, whole: torch.Tensor, rows: list[int], index: int) -> torch.Tensor:
        """Part `index` of an original weight, the parts having so many rows each."""
        import torch

        if self.swap:
            whole = torch.cat(tuple(reversed(whole.chunk(2))))
        return whole[sum(rows[:index]) : sum(rows[: index + 1])]


Names = dict[str, Joined]


def of_transformer(class_name: str, names: Iterable[str], norms: str = "scale") -> Names:
    """Original name -> ours, of the weights of a diffusers transformer; empty where diffusers' names are all there are.

    norms: what the norms of queries and keys end with: "scale" in the makers' files, "weight" in ComfyUI's own models.
    """
    known = set(names)
    if class_name == "FluxTransformer2DModel":
        return _flux(known, flux1.ORIGINALS, norms)
    if class_name == "Flux2Transformer2DModel":
        return _flux(known, flux2.ORIGINALS, norms)
    return _z_image(known) if class_name == "ZImageTransformer2DModel" else {}


def roots(class_name: str) -> frozenset[str]:
    """The first words of all original names of a kind of transformer, those of weights that not every edition has too."""
    table = {"FluxTransformer2DModel": flux1.ORIGINALS, "Flux2Transformer2DModel": flux2.ORIGINALS}.get(class_name)
    if table is None:
        words = ("layers", "x_embedder", "t_embedder", "cap_embedder", "final_layer", "x_pad_token", "cap_pad_token")
        return frozenset(
            (*words, "noise_refiner", "context_refiner", "siglip_embedder", "siglip_refiner", "norm_final")
        )
    return frozenset({"double_blocks", "single_blocks", *(name.partition(".")[0] for name in table.outer)})


def _flux(known: set[str], table: flux_names.Originals, norms: str) -> Names:
    out: Names = {}
    for original, layer in table.outer.items():
        for kind in ("weight", "bias"):
            if f"{layer}.{kind}" in known:
                out[f"{original}.{kind}"] = Joined((f"{layer}.{kind}",), swap=original == flux_names.SHIFT_FIRST)
    for stream, ours, layers in (
        ("double_blocks", "transformer_blocks", table.double),
        ("single_blocks", "single_transformer_blocks", table.single),
    ):
        for number in sorted({int(found[1]) for name in known if (found := re.match(rf"{ours}\.(\d+)\.", name))}):
            out |= _block(known, f"{stream}.{number}", f"{ours}.{number}", layers, norms)
    return out


def _block(known: set[str], theirs: str, ours: str, layers: Mapping[str, tuple[str, ...]], norms: str) -> Names:
    out = {}
    for original, targets in layers.items():
        for kind in ("weight", "bias"):
            parts = tuple(f"{ours}.{target}.{kind}" for target in targets)
            if known.issuperset(parts):
                ending = norms if original.endswith("_norm") else kind
                out[f"{theirs}.{original}.{ending}"] = Joined(parts)
    return out


_Z_IMAGE = (
    (re.compile(r"^all_final_layer\.2-1\."), "final_layer."),
    (re.compile(r"^all_x_embedder\.2-1\."), "x_embedder."),
    (re.compile(r"\.attention\.to_out\.0\."), ".attention.out."),
    (re.compile(r"\.attention\.norm_q\."), ".attention.q_norm."),
    (re.compile(r"\.attention\.norm_k\."), ".attention.k_norm."),
)


def _z_image(known: set[str]) -> Names:
    out: Names = {}
    for name in sorted(known):
        stem, middle, kind = name.partition(".attention.to_q.")
        if middle:
            out[f"{stem}.attention.qkv.{kind}"] = Joined(tuple(f"{stem}.attention.to_{part}.{kind}" for part in "qkv"))
        elif ".attention.to_k." not in name and ".attention.to_v." not in name:
            out[renamed(name, _Z_IMAGE)] = Joined((name,))
    return out


_VAE = (
    (re.compile(r"^quant_conv\."), "encoder.quant_conv."),
    (re.compile(r"^post_quant_conv\."), "decoder.post_quant_conv."),
    (re.compile(r"\.down_blocks\.(\d+)\.resnets\.(\d+)\."), r".down.\1.block.\2."),
    (re.compile(r"\.down_blocks\.(\d+)\.downsamplers\.0\."), r".down.\1.downsample."),
    (re.compile(r"\.up_blocks\.(\d+)\.resnets\.(\d+)\."), r".up.\1.block.\2."),
    (re.compile(r"\.up_blocks\.(\d+)\.upsamplers\.0\."), r".up.\1.upsample."),
    (re.compile(r"\.conv_shortcut\."), ".nin_shortcut."),
    (re.compile(r"\.mid_block\.attentions\.0\.group_norm\."), ".mid.attn_1.norm."),
    (re.compile(r"\.mid_block\.attentions\.0\.to_([qkv])\."), r".mid.attn_1.\1."),
    (re.compile(r"\.mid_block\.attentions\.0\.to_out\.0\."), ".mid.attn_1.proj_out."),
    (re.compile(r"\.mid_block\.resnets\.0\."), ".mid.block_1."),
    (re.compile(r"\.mid_block\.resnets\.1\."), ".mid.block_2."),
    (re.compile(r"\.conv_norm_out\."), ".norm_out."),
)
_UP = re.compile(r"\.up\.(\d+)\.")


def of_vae(names: Iterable[str]) -> Names:
    """Original name -> ours, of the weights of an AutoencoderKL of FLUX.1 or FLUX.2."""
    turned = {renamed(name, _VAE): name for name in names}
    # The original counts the decoder's blocks from the picture, diffusers from the latents.
    last = max((int(found[1]) for name in turned if (found := _UP.search(name))), default=0)
    out = {}
    for name, ours in turned.items():
        original = _UP.sub(lambda found: f".up.{last - int(found[1])}.", name)
        out[original] = Joined((ours,), convolution=".attn_1." in name and name.endswith(".weight"))
    return out


def collected(names: Names, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights under their original names; those without one keep theirs."""
    used = {part for joined in names.values() for part in joined.parts}
    out = {name: joined.join([weights[part] for part in joined.parts]) for name, joined in names.items()}
    return {**out, **{name: weight for name, weight in weights.items() if name not in used}}
