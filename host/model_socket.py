"""ComfyUI's MODEL around a diffusers transformer: KSampler, guiders, LoRA loaders, masks and previews work on it."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any

import comfy.conds
import comfy.latent_formats
import comfy.model_base
import comfy.supported_models
import comfy.supported_models_base
import comfy.utils
import torch
from comfy import patcher_extension

from ..studio.errors import InputError
from ..studio.kinds import blocks, places, table
from ..studio.kinds.facts import Family, ModelFacts, Traits
from ..studio.kinds.velocity import Velocity
from ..studio.opening.lora import file_names
from . import bypassed, clip_socket, clip_vision, kept_references, out_of_memory, progress
from .lora_patches import FusedLayerNames


@functools.cache
def _wrappable(base: type[Velocity]) -> type[Velocity]:
    """A velocity whose call goes through ComfyUI's wrappers of the diffusion model (EasyCache), as that of its own FLUX does."""

    class Wrappable(base):  # type: ignore[misc,valid-type]
        def forward(self, x, timestep, context, *more, transformer_options=None, **conds):
            options = transformer_options or {}
            wrappers = patcher_extension.get_all_wrappers(patcher_extension.WrappersMP.DIFFUSION_MODEL, options)
            if more or not wrappers:  # ComfyUI's calls name all but three
                return super().forward(x, timestep, context, *more, transformer_options=options, **conds)
            named = {name: conds.pop(name, None) for name in ("y", "guidance", "ref_latents", "control")}
            run = patcher_extension.WrapperExecutor.new_class_executor(self._stock_call, self, wrappers)
            return run.execute(x, timestep, context, *named.values(), options, **conds)

        def __getattr__(self, name: str) -> Any:
            try:
                return super().__getattr__(name)
            except AttributeError:
                layer = self._file_layer(name)
                if layer is None:
                    raise
                return layer

        def _file_layer(self, name: str) -> Any:
            """For ComfyUI's bypass mode of LoRAs, which looks for layers by the names that files have for them."""
            transformer = self.__dict__.get("_modules", {}).get("transformer")
            if transformer is None or name.startswith("_"):
                return None
            layers = self.__dict__.setdefault("_file_layers", None) or file_names(transformer)
            self.__dict__["_file_layers"] = layers
            return bypassed.find(transformer, layers, self.dtype, name)

        def _stock_call(self, x, timestep, context, y, guidance, ref_latents, control, transformer_options, **conds):
            """In the order of the arguments of ComfyUI's own FLUX, which wrappers count on."""
            named = {"y": y, "guidance": guidance, "ref_latents": ref_latents, "control": control}
            given = {name: value for name, value in named.items() if value is not None}
            return super().forward(x, timestep, context, transformer_options=transformer_options, **given, **conds)

    Wrappable.__name__ = base.__name__
    return Wrappable


class DiffusersModel(FusedLayerNames, comfy.model_base.QwenImage):
    """A BaseModel whose `diffusion_model` is a Velocity.

    It derives from QwenImage for one thing only: `comfy.lora.model_lora_keys_unet` asks for the class, and QwenImage's
    answer (a LoRA's keys are the diffusers names of the layers) is the right one here. Nothing else is inherited.
    """

    def __init__(
        self,
        velocity: Velocity,
        facts: ModelFacts,
        preview: Mapping[str, Any] | None,
        manual_cast: torch.dtype | None,
        device: torch.device,
    ):
        family, stock = facts.family, facts.family.comfyui
        config = comfy.supported_models_base.BASE({"disable_unet_model_creation": True})
        config.unet_config["disable_unet_model_creation"] = True
        config.text_encoder_key_prefix, config.vae_key_prefix = ["text_encoders."], ["vae."]  # of saved checkpoints
        config.latent_format = _latent_format(family, preview)
        # The shift is that of samplers which know no size; the activations are those of ComfyUI's own models.
        config.sampling_settings = {"shift": stock.shift(facts.scheduler_config), "multiplier": 1.0}
        config.manual_cast_dtype = manual_cast
        config.memory_usage_factor = stock.memory(velocity)
        kind = comfy.model_base.ModelType[stock.model_type]
        comfy.model_base.BaseModel.__init__(self, config, model_type=kind, device=device)
        if isinstance(velocity, Velocity):
            velocity.__class__ = _wrappable(type(velocity))
            velocity.in_channels = velocity.channels * family.cells_per_token**2  # RenormCFG asks, as of ComfyUI's own
        self.diffusion_model = velocity
        self.parts = out_of_memory.Chunks()
        self.facts = facts
        self.memory_usage_factor_conds = ("ref_latents",)

    def apply_model(
        self, x, t, c_concat=None, c_crossattn=None, control=None, transformer_options=None, **kwargs: Any
    ) -> Any:
        """As ComfyUI's; where memory runs out, some rows at a time."""
        options, count = transformer_options or {}, x.shape[0]
        inputs = {"c_concat": c_concat, "c_crossattn": c_crossattn, "control": control, **kwargs}

        def call(rows: slice) -> torch.Tensor:
            if rows.stop >= count and rows.start == 0:
                return super(DiffusersModel, self).apply_model(x, t, transformer_options=options, **inputs)
            some = {name: out_of_memory.rows_of(value, count, rows) for name, value in inputs.items()}
            return super(DiffusersModel, self).apply_model(x[rows], t[rows], transformer_options=options, **some)

        return self.parts.run(count, call, self.current_patcher, out_of_memory.divisible(options))

    def _apply_model(
        self, x, t, c_concat=None, c_crossattn=None, control=None, transformer_options=None, **kwargs: Any
    ) -> Any:
        options = transformer_options or {}
        if control is not None and not self.diffusion_model.takes_control:
            name = self.facts.family.name
            raise InputError("positive", "conditioning with a ControlNet", f"one without: {name} takes none here")
        self.require_known_patches(options)
        kwargs.pop("crossattn_controlnet", None)  # ComfyUI's, for ControlNets
        kept = kept_references.of_this_run(options, self)
        return super()._apply_model(x, t, c_concat, c_crossattn, control, options, kept=kept, **kwargs)

    def require_known_patches(self, options: Mapping[str, Any]) -> None:
        """Raise InputError for what a node has put into `transformer_options` and this model would not do."""
        flux = self.diffusion_model.takes_patches
        known = {"patches": blocks.PATCHES if flux else (), "patches_replace": blocks.REPLACED if flux else ()}
        unknown = sorted(name for kind, names in known.items() for name in options.get(kind, {}) if name not in names)
        if unknown:
            why = "; FLUX.2 klein KV keeps its references without FluxKVCache" if "attn1_patch" in unknown else ""
            raise InputError(
                "model",
                f"patched in its attention or blocks by a node ({', '.join(unknown)})",
                f"a {self.facts.family.name} model without that node, or with it on a model from a stock loader{why}",
            )
        if options.get("rope_options") and not flux:
            raise InputError(
                "model",
                "patched by ScaleROPE",
                f"a {self.facts.family.name} model without it: its positions are counted inside the transformer",
            )

    def get_dtype(self) -> torch.dtype:
        return self.diffusion_model.dtype

    def encode_adm(self, **kwargs: Any) -> Any:
        return kwargs.get("pooled_output")

    def concat_cond(self, **kwargs: Any) -> torch.Tensor | None:
        """What Fill and Control editions see beside the noise: the picture's latents, and the mask by pixels."""
        family = self.facts.family
        beside = self.diffusion_model.channels - family.latent_channels
        if beside <= 0:
            return None
        noise, picture, mask = kwargs["noise"], kwargs.get("concat_latent_image"), kwargs.get("concat_mask")
        if picture is None:
            what = (
                "a picture and a mask (InpaintModelConditioning)" if beside > 16 else "a picture (InstructPixToPix...)"
            )
            raise InputError("positive", "conditioning without a picture", f"conditioning that carries {what}")
        if picture.ndim != 4 or picture.shape[1] != family.latent_channels:
            raise InputError(
                "positive",
                f"a picture of latents of shape {list(picture.shape)}",
                f"[batch, {family.latent_channels}, height, width], from the VAE of {family.name}",
            )
        rows, columns = noise.shape[-2:]
        if picture.shape[-2:] != noise.shape[-2:]:  # a second pass at another size; ComfyUI's own model does the same
            have = f"{picture.shape[-1]} x {picture.shape[-2]}"
            progress.say_here(f"the picture to repaint was brought from {have} to {columns} x {rows} latent cells")
            picture = comfy.utils.common_upscale(picture, columns, rows, "bilinear", "center")
        shown = comfy.utils.resize_to_batch_size(self.process_latent_in(picture.to(noise)), len(noise))
        if beside == family.latent_channels:
            return shown
        cell = family.pixels_per_cell
        if mask is None:
            mask = kwargs.get("denoise_mask")
        mask = torch.ones_like(noise[:, :1]) if mask is None else mask.to(noise).mean(dim=1, keepdim=True)
        pixels = torch.nn.functional.interpolate(mask, size=(rows * cell, columns * cell))
        cells = pixels.reshape(len(mask), rows, cell, columns, cell).permute(0, 2, 4, 1, 3).flatten(1, 2)
        return torch.cat([shown, comfy.utils.resize_to_batch_size(cells, len(noise))], dim=1)

    def extra_conds_shapes(self, **kwargs: Any) -> dict[str, Any]:
        references = kwargs.get("reference_latents")
        if not references:
            return {}
        cells = sum(math.prod(latent.shape[2:]) for latent in references)
        # ComfyUI counts what a token weighs while a layer works on it; what is kept of it comes to that.
        cells += round(cells * self.diffusion_model.kept_numbers / (0.01 * self.memory_usage_factor * 2**20))
        return {"ref_latents": [1, 16, cells]}

    def extra_conds(self, **kwargs: Any) -> dict[str, Any]:
        sequence: Any = kwargs.get("cross_attn")
        mask = kwargs.get("attention_mask")
        self._require_width("sequence", sequence, self.diffusion_model.text_width)
        if not kwargs.get(clip_socket.OWN_LENGTH):  # as ComfyUI's own model does with the texts of its encoders
            lacking = max(self.facts.family.comfyui.stock_length - sequence.shape[1], 0)
            sequence = torch.nn.functional.pad(sequence, (0, 0, lacking, 0))
        out = comfy.model_base.BaseModel.extra_conds(self, **kwargs)
        out["c_crossattn"] = comfy.conds.CONDRegular(sequence)
        if self.diffusion_model.pooled_width:
            pooled = kwargs.get("pooled_output")
            self._require_width("pooled_output", pooled, self.diffusion_model.pooled_width)
            out["y"] = comfy.conds.CONDRegular(pooled)
            if kwargs.get("attention_mask_img_shape") is not None:
                raise InputError(
                    "conditioning", "an attention bias (attn_bias of StyleModelApply)", "strength_type multiply"
                )
        if self.diffusion_model.takes_mask and mask is not None and mask.shape == sequence.shape[:2]:
            out["attention_mask"] = comfy.conds.CONDRegular(mask)
        guidance = kwargs.get("guidance", 3.5)
        if self.diffusion_model.embeds_guidance and guidance is not None:  # None: stock FluxDisableGuidance
            out["guidance"] = comfy.conds.CONDRegular(torch.FloatTensor([guidance]))
        if references := kwargs.get("reference_latents"):
            out["ref_latents"] = comfy.conds.CONDList([self._reference(latent) for latent in references])
            if (method := kwargs.get("reference_latents_method")) and self.diffusion_model.takes_patches:
                out["ref_latents_method"] = comfy.conds.CONDConstant(_known_method(method))
        if self.diffusion_model.reads_around_references:
            texts, features = kwargs.get("reference_latents_text_embeds"), kwargs.get("clip_vision_outputs")
            out |= self._around_references(len(references or ()), texts or [], features or [])
        return out

    def _around_references(self, pictures: int, texts: list[torch.Tensor], outputs: list) -> dict[str, Any]:
        """What Z-Image Omni reads and sees of its references, under the keys of stock TextEncodeZImageOmni."""
        wanted = (
            "references from StorefrontReference with the clip of the model's whole folder, or all of"
            " TextEncodeZImageOmni's inputs"
        )
        if len(texts) != (pictures + 1 if pictures else 0):
            raise InputError("conditioning", f"{pictures} reference latents and {len(texts)} texts around them", wanted)
        if len(outputs) not in (0, pictures):
            raise InputError("conditioning", f"{pictures} reference latents, {len(outputs)} of them seen", wanted)
        for text in texts:
            self._require_width("reference_latents_text_embeds", text, self.diffusion_model.text_width)
        features = [clip_vision.features_of(output) for output in outputs]
        for feature in features:
            self._require_width("clip_vision_outputs", feature, self.diffusion_model.config.siglip_feat_dim)
        out = {}
        if texts:
            out["ref_contexts"] = comfy.conds.CONDList(texts)
        if features:
            out["siglip_feats"] = comfy.conds.CONDList(features)
        return out

    def _reference(self, latent: torch.Tensor) -> torch.Tensor:
        name, wanted = self.facts.family.name, self.facts.family.latent_channels
        if not self.facts.edition.takes_references:
            raise InputError(
                "conditioning",
                "reference latents",
                f"none: this {name} model cannot see them. Load {table.names_that_take_references()}",
            )
        if latent.ndim != 4 or latent.shape[1] != wanted:
            raise InputError(
                "conditioning",
                f"reference latents of shape {list(latent.shape)}",
                f"[batch, {wanted}, height, width], from the VAE of {name}",
            )
        return self.process_latent_in(latent)

    def blank_prompt(self, tokens: int, latent: torch.Tensor) -> list:
        """CONDITIONING of zeros of the shapes that a prompt has, and what the edition sees beside `latent`."""
        options: dict[str, Any] = {clip_socket.OWN_LENGTH: True}
        if self.diffusion_model.pooled_width:
            options["pooled_output"] = torch.zeros(1, self.diffusion_model.pooled_width)
        if self.diffusion_model.channels > self.facts.family.latent_channels:
            options["concat_latent_image"] = torch.zeros_like(latent)
        return [[torch.zeros(1, tokens, self.diffusion_model.text_width), options]]

    def _require_width(self, name: str, tensor: Any, width: int) -> None:
        have = None if tensor is None else tensor.shape[-1]
        if have != width:
            raise InputError(
                "conditioning",
                f"{name} of width {have}",
                f"width {width}: encode the prompt with the CLIP of this model",
            )


def _known_method(method: Any) -> str:
    if method not in places.METHODS:
        raise InputError(
            "conditioning",
            f"the reference method {method}",
            f"one of {', '.join(places.METHODS)} on a model of this pack",
        )
    return str(method)


def _latent_format(family: Family, preview: Mapping[str, Any] | None) -> comfy.latent_formats.LatentFormat:
    latent_format = getattr(comfy.latent_formats, family.comfyui.latent_format)()
    if preview and not family.packed:
        latent_format.latent_rgb_factors = preview["latent_rgb_factors"]
        latent_format.latent_rgb_factors_bias = preview["latent_rgb_factors_bias"]
        latent_format.taesd_decoder_name = None  # TAEF1 knows FLUX.1's own latents, not these
    return latent_format


def facts_of(model: Any) -> ModelFacts:
    """What a sampler has to know of a MODEL, ours or a stock loader's. Raises InputError where no kind has it."""
    inner = model.model
    if isinstance(inner, DiffusersModel):
        return inner.facts
    classes = {f"{type(part).__module__}.{type(part).__name__}" for part in (inner, inner.model_config)}
    for kind in table.TRANSFORMERS:
        if classes & set(kind.stock):
            config = inner.model_config.unet_config
            # ComfyUI counts channels of the latent, the weights those of a token's four cells.
            channels = 4 * int(config.get("in_channels", table.DEFAULT_FAMILY.latent_channels))
            return kind.describe(Traits(bool(config.get("guidance_embed", True)), channels), type(inner).__name__)
    wanted = f"a model of {table.family_names()}, from StorefrontLoadModel or a stock loader"
    raise InputError("model", type(inner).__name__, wanted)
