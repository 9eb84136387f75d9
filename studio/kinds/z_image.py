"""Z-Image: Turbo, base, and Omni, which also looks at pictures."""

from __future__ import annotations

import re
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import torch

from .facts import (
    APACHE,
    ChatText,
    ComfyFacts,
    Defaults,
    Edition,
    Family,
    KnownModel,
    ModelFacts,
    Traits,
    Widths,
)
from .kind import Config, TransformerKind, whole_number
from .names import LoraNames, Naming, Rows, Shapes, Share, renamed, same
from .original_names import Joined, Names
from .part import Part, axes_of
from .velocity import Conditions, Velocity, even, for_all

# --- facts ------------------------------------------------------------------------------------------------------------

SCHEDULER = MappingProxyType({"num_train_timesteps": 1000, "shift": 3.0, "use_dynamic_shifting": False})
BASE_SCHEDULER = MappingProxyType({**SCHEDULER, "shift": 6.0})
Z_IMAGE = Family(
    name="Z-Image",
    since="0.36",
    latent_channels=16,
    pixels_per_cell=8,
    cells_per_token=2,
    scaling_factor=0.3611,
    shift_factor=0.1159,
    parts=MappingProxyType({"text_encoder": "qwen3", "transformer": "z_image", "vae": "vae"}),
    max_tokens=512,
    text=ChatText("qwen3_4b", (-2,), 512, thinking=True, keeps_padding=False),
    timeshift="linear",
    mask_resize="nearest",
    cfg_around="positive",
    vae="FLUX.1 (ae.safetensors)",
    vae_channels=16,
    comfyui=ComfyFacts(
        "Flux",
        "FLOW",
        "ModelSamplingDiscreteFlow",
        "ModelSamplingAuraFlow",
        lambda scheduler: float(scheduler.get("shift", 3.0)),
        lambda velocity: 2.8,
        patch_is_mu=False,
        stock_reads_mask=False,
    ),
)
Z_IMAGE_OMNI = replace(
    Z_IMAGE, name="Z-Image Omni", since="0.37", parts=MappingProxyType({**Z_IMAGE.parts, "siglip": "siglip"})
)
_BASE = Edition(Z_IMAGE, Defaults(50, 0.0, 5.0), quick=Defaults(8, 0.0, 1.0))
_OMNI = Edition(Z_IMAGE_OMNI, Defaults(50, 0.0, 6.0), takes_references=True)
_VISION = "siglip_embedder.0.weight"  # Omni's: it looks at references by a SigLIP that is in no such file

# --- names of weights -------------------------------------------------------------------------------------------------

_ORIGINALS = (
    (re.compile(r"^final_layer\."), "all_final_layer.2-1."),
    (re.compile(r"^x_embedder\."), "all_x_embedder.2-1."),
    (re.compile(r"\.attention\.out\."), ".attention.to_out.0."),
    (re.compile(r"\.attention\.q_norm\."), ".attention.norm_q."),
    (re.compile(r"\.attention\.k_norm\."), ".attention.norm_k."),
)


def _rename(shapes: Shapes) -> dict[str, Rows]:
    out = {}
    for name, shape in shapes.items():
        if name.endswith(".attention.qkv.weight") and shape:
            width = shape[0] // 3
            for row, target in enumerate(("to_q", "to_k", "to_v")):
                out[name.replace("attention.qkv", f"attention.{target}")] = Rows(name, row * width, (row + 1) * width)
            continue
        out[renamed(name, _ORIGINALS)] = Rows(name)
    return out


_OURS = (
    (re.compile(r"^all_final_layer\.2-1\."), "final_layer."),
    (re.compile(r"^all_x_embedder\.2-1\."), "x_embedder."),
    (re.compile(r"\.attention\.to_out\.0\."), ".attention.out."),
    (re.compile(r"\.attention\.norm_q\."), ".attention.q_norm."),
    (re.compile(r"\.attention\.norm_k\."), ".attention.k_norm."),
)


def _originals(known: set[str]) -> Names:
    out: Names = {}
    for name in sorted(known):
        stem, middle, kind = name.partition(".attention.to_q.")
        if middle:
            out[f"{stem}.attention.qkv.{kind}"] = Joined(tuple(f"{stem}.attention.to_{part}.{kind}" for part in "qkv"))
        elif ".attention.to_k." not in name and ".attention.to_v." not in name:
            out[renamed(name, _OURS)] = Joined((name,))
    return out


_LORA: dict[str, tuple[str | Share, ...]] = {
    "x_embedder": ("all_x_embedder.2-1",),
    "final_layer.linear": ("all_final_layer.2-1.linear",),
    "final_layer.adaLN_modulation.1": ("all_final_layer.2-1.adaLN_modulation.1",),
}
for _block in ("layers", "noise_refiner", "context_refiner"):
    _attention = f"{_block}.{{}}.attention."
    _LORA[_attention + "qkv"] = tuple(_attention + part for part in ("to_q", "to_k", "to_v"))
    _LORA[_attention + "out"] = (_attention + "to_out.0",)
    _LORA[_attention + "q_norm"] = (_attention + "norm_q",)
    _LORA[_attention + "k_norm"] = (_attention + "norm_k",)


class ZImage(TransformerKind):
    """Z-Image's transformer: Turbo, base and Omni."""

    role = "z_image"
    label = "a Z-Image transformer"
    library = "diffusers"
    classes = MappingProxyType({"ZImageTransformer2DModel": "ZImageTransformer2DModel"})
    namings = (
        Naming("layers.0.attention.qkv.weight", _rename, also=("cap_embedder.1.weight",)),
        Naming("layers.0.attention.to_q.weight", same, also=("cap_embedder.1.weight",)),
    )
    original_roots = frozenset(
        [
            "layers",
            "noise_refiner",
            "context_refiner",
            "x_embedder",
            "t_embedder",
            "cap_embedder",
            "final_layer",
            "x_pad_token",
            "cap_pad_token",
            "siglip_embedder",
            "siglip_refiner",
            "norm_final",
        ]
    )
    editions = MappingProxyType(
        {
            **dict.fromkeys(("ZImagePipeline", "ZImageImg2ImgPipeline", "ZImageInpaintPipeline"), _BASE),
            "ZImageOmniPipeline": _OMNI,
        }
    )
    named_editions = MappingProxyType({"Z-Image base": ModelFacts(_BASE, _BASE.defaults, BASE_SCHEDULER)})
    models = (
        KnownModel("Z-Image-Turbo", "Tongyi-MAI/Z-Image-Turbo", APACHE, ("z_image_turbo_bf16", "z_image_turbo_nvfp4")),
        KnownModel("Z-Image", "Tongyi-MAI/Z-Image", APACHE, ("z_image_bf16",)),
    )
    lora = LoraNames("ZImageLoraLoaderMixin", _LORA)
    stock = ("comfy.supported_models.ZImage",)  # Lumina and the pixel-space Z-Image share its model's class

    def config(self, part: Part) -> dict[str, Any]:
        head = part.length("layers.0.attention.norm_q.weight", 0)
        width, channels = part.shape("all_x_embedder.2-1.weight")
        return {
            "in_channels": channels // 4,
            "dim": width,
            "n_layers": part.count("layers"),
            "n_refiner_layers": part.count("noise_refiner"),
            "n_heads": part.length("layers.0.attention.to_q.weight", 0) // head,
            "n_kv_heads": part.length("layers.0.attention.to_k.weight", 0) // head,
            "cap_feat_dim": part.length("cap_embedder.1.weight", 1),
            "axes_dims": list(axes_of(head, (32, 48, 48))),
            "axes_lens": [1536, 512, 512],
            "siglip_feat_dim": part.length(_VISION, 0) if part.has(_VISION) else None,
        }

    def widths(self, part: Part) -> Widths:
        return Widths(part.length("cap_embedder.1.weight", 1))

    def widths_in(self, config: Config, name: str) -> Widths:
        return Widths(whole_number(config, "cap_feat_dim", name))

    def traits(self, part: Part) -> Traits:
        return Traits(False, 0, part.has(_VISION))

    def traits_in(self, config: Config, name: str) -> Traits:
        channels = whole_number({"in_channels": 16, **config}, "in_channels", name)
        return Traits(False, channels, bool(config.get("siglip_feat_dim")))

    def describe(self, traits: Traits, name: str) -> ModelFacts:
        if traits.marked:
            note = "references through TextEncodeZImageOmni, or open its whole diffusers folder; a shift of 6, as the base has"
            return ModelFacts(_OMNI, _OMNI.defaults, BASE_SCHEDULER, note)
        note = "taken for Z-Image Turbo (8 steps); the base model needs 50 steps, cfg 5 and a shift of 6"
        return ModelFacts(_BASE, _BASE.quick or _BASE.defaults, SCHEDULER, note)

    def is_distilled(self, index: Config, transformer: Config, scheduler: Config) -> bool:
        return float(scheduler.get("shift", 3.0)) <= 3.0  # Turbo; the base model's is 6

    def originals(self, names: set[str], norms: str) -> Names:
        return _originals(names)

    def velocity(self, transformer: torch.nn.Module, dtype: torch.dtype, edition: Edition) -> Velocity:
        has_vision = getattr(transformer.config, "siglip_feat_dim", None) is not None
        return (ZImageOmniVelocity if has_vision else ZImageVelocity)(transformer, dtype)


# --- the call ---------------------------------------------------------------------------------------------------------


class ZImageVelocity(Velocity):
    """A `ZImageTransformer2DModel`, whose time runs the other way and which returns picture - noise."""

    takes_mask = True

    @property
    def text_width(self) -> int:
        return int(self.config.cap_feat_dim)

    def predict(self, x: torch.Tensor, timestep: torch.Tensor, given: Conditions) -> torch.Tensor:
        """Velocity [B, 16, H, W], float32, of normalised latents [B, 16, H, W]; an odd side is padded by one cell."""
        height, width = x.shape[-2:]
        texts = self._own_tokens(given.context, given.attention_mask)
        pictures = self._transformer(list(even(x).unsqueeze(2)), 1 - timestep, texts)
        return -torch.stack([picture.float() for picture in pictures]).squeeze(2)[..., :height, :width]

    @staticmethod
    def _own_tokens(context: torch.Tensor, mask: torch.Tensor | None) -> list[torch.Tensor]:
        return list(context) if mask is None else [row[own.bool()] for row, own in zip(context, mask)]

    def _transformer(self, x: list, time: torch.Tensor, texts: list, **options: Any) -> list[torch.Tensor]:
        # Its padding tokens belong to no layer, so that partial loading may have left them elsewhere.
        own = {name: token.to(time.device) for name, token in self.transformer.named_parameters(recurse=False)}
        options["return_dict"] = False
        return torch.func.functional_call(self.transformer, own, (x, time, texts), options)[0]


class ZImageOmniVelocity(ZImageVelocity):
    """Z-Image Omni: the same transformer, which also looks at pictures: text, latents and SigLIP's features of each."""

    reads_around_references = True

    def predict(self, x: torch.Tensor, timestep: torch.Tensor, given: Conditions) -> torch.Tensor:
        """Velocity [B, 16, H, W], float32, looking at the n pictures of `given`."""
        height, width = x.shape[-2:]
        count, pictures = len(x), len(given.ref_latents)
        shown = [for_all(even(latent), count).to(x) for latent in given.ref_latents]
        around = [text.expand(count, -1, -1) for text in given.ref_contexts]
        features = [feature.expand(count, -1, -1, -1) for feature in given.siglip_feats]
        targets, texts = even(x), self._own_tokens(given.context, given.attention_mask)
        out = self._transformer(
            [[*(latent[row].unsqueeze(1) for latent in shown), targets[row].unsqueeze(1)] for row in range(count)],
            1 - timestep,
            [
                [*(text[row] for text in around[:pictures]), texts[row], *(text[row] for text in around[pictures:])]
                for row in range(count)
            ],
            siglip_feats=[[*(f[row] for f in features), None] if features else None for row in range(count)],
            image_noise_mask=[[0] * pictures + [1]] * count,
        )
        return -torch.stack([picture.float() for picture in out]).squeeze(2)[..., :height, :width]


KIND = ZImage()
