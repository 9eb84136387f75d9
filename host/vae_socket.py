"""ComfyUI's VAE around a diffusers AutoencoderKL, and decoding that gets by with less memory where it must."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from typing import Any

import comfy.model_management as mm
import comfy.sd
import torch

from ..studio.errors import InputError
from ..studio.kinds import original_names, table
from ..studio.out_of_memory import in_parts
from ..studio.sampling import latents as codec
from . import memory, out_of_memory, progress

TILE_SIZES = (512, 256, 128)  # pixels; each a try after the one before ran out of memory


class DiffusersVae(torch.nn.Module):
    def __init__(self, vae: torch.nn.Module, device: torch.device):
        super().__init__()
        self.vae, self.device = vae, device

    def state_dict(self, *args: Any, **options: Any) -> dict[str, torch.Tensor]:
        """For save nodes, which ask without arguments: under the names of the original autoencoder."""
        weights = super().state_dict(*args, **options)
        if args or options:
            return weights
        ours = {name.removeprefix("vae."): weight for name, weight in weights.items()}
        kind = table.of_class(type(self.vae).__name__, table.VAES)
        return original_names.collected(kind.originals(set(ours)) if kind else {}, ours)

    @torch.no_grad()
    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """Pixels [B, 3, H, W] in -1..1 -> the family's LATENT [B, C, h, w], the mean. Raises OutOfMemory, as decode."""
        return _in_parts(pixels, lambda some: codec.encode(self.vae, some), "pixels", "encoded")

    @torch.no_grad()
    def decode(self, latents: torch.Tensor, **_: Any) -> torch.Tensor:
        """LATENT [B, C, h, w] -> pixels [B, 3, H, W] in about -1..1; where memory runs out, some rows at a time."""
        return _in_parts(latents, lambda some: codec.decode(self.vae, some), "samples", "decoded")


def _in_parts(rows: torch.Tensor, call: Callable[[torch.Tensor], torch.Tensor], name: str, done: str) -> torch.Tensor:
    """Where not one row fits, the error is torch's own on the CPU too: at that one ComfyUI goes on in tiles."""
    return in_parts(
        len(rows),
        lambda some: call(rows[some]),
        progress.say_here,
        # No name here for it: see in_parts.
        out_of_memory.OutOfMemory(name, "a picture that does not fit into memory", "less else in memory"),
        done,
    )


class StudioVae(comfy.sd.VAE):
    """ComfyUI's, which says under the node that it went on in tiles: only then are no sizes given."""

    def encode_tiled_(self, pixel_samples: torch.Tensor, **sizes: int) -> torch.Tensor:
        if not sizes:
            progress.say_here("out of memory, encoded in tiles")
        return super().encode_tiled_(pixel_samples, **sizes)

    def decode_tiled_(self, samples: torch.Tensor, **sizes: int) -> torch.Tensor:
        if not sizes:
            progress.say_here("out of memory, decoded in tiles")
        return super().decode_tiled_(samples, **sizes)


def make_vae(module: torch.nn.Module, dtype: torch.dtype, on: torch.device | None = None) -> comfy.sd.VAE:
    """A VAE of ComfyUI around a module of diffusers. `on`: where it stays; None: where ComfyUI has its own."""
    device, offload = on or mm.vae_device(), on or mm.vae_offload_device()
    vae = _empty_vae()
    vae.first_stage_model = DiffusersVae(memory.adopt(module), offload)
    vae.latent_channels = codec.channels(module)
    if codec.is_packed(module):
        vae.upscale_ratio = vae.downscale_ratio = 16
        of_cells = vae.memory_used_decode  # of 8 pixels a side, as ComfyUI counts them
        vae.memory_used_decode = lambda shape, dtype: 4 * of_cells(shape, dtype)
    vae.device, vae.vae_dtype, vae.output_device = device, dtype, mm.intermediate_device()
    vae.patcher = memory.patcher(vae.first_stage_model, device, offload)
    return vae


class _ChannelsLast:
    """A VAE's module, computed with the channels last in memory."""

    def __init__(self, module: torch.nn.Module):
        self._module = module

    def __getattr__(self, name: str) -> Any:
        if name == "_module":  # a copy that is not filled yet
            raise AttributeError(name)
        return getattr(self._module, name)

    def encode(self, *inputs: Any, **options: Any) -> Any:
        with codec.channels_last(self._module):
            return self._module.encode(*inputs, **options)

    def decode(self, *inputs: Any, **options: Any) -> Any:
        with codec.channels_last(self._module):
            return self._module.decode(*inputs, **options)


def with_channels_last(vae: Any) -> Any:
    """A VAE beside the one that came in, with the same weights, computed with the channels last in memory.

    Raises InputError for one that has no 2-D convolutions.
    """
    module = vae.first_stage_model
    if isinstance(module, _ChannelsLast):
        return vae
    if not codec.has_convolutions(module):
        raise InputError("channels", "last", f"auto: {type(module).__name__} has no 2-D convolutions")
    copied = copy.copy(vae)
    copied.first_stage_model = _ChannelsLast(module)
    return copied


def _empty_vae() -> comfy.sd.VAE:
    """A VAE with every default set and no module. ComfyUI warns of the missing weights, which here is no news."""
    quiet = logging.getLogger()
    silence = _Without("No VAE weights detected")
    quiet.addFilter(silence)
    try:
        return StudioVae(sd={})
    finally:
        quiet.removeFilter(silence)


class _Without(logging.Filter):
    def __init__(self, text: str):
        super().__init__()
        self._text = text

    def filter(self, record: logging.LogRecord) -> bool:
        return self._text not in record.getMessage()


def require_vae(vae: Any) -> None:
    """Raise InputError for the empty output of a loader."""
    if vae is None:
        raise InputError("vae", None, "a VAE: choose one in the loader")


def require_channels(vae: Any, samples: torch.Tensor) -> None:
    if samples.ndim != 4 or samples.shape[1] != vae.latent_channels:
        raise InputError(
            "latent",
            f"samples of shape {list(samples.shape)}",
            f"[batch, {vae.latent_channels}, height, width] for this VAE",
        )


def decode(vae: Any, samples: torch.Tensor, tiling: str) -> tuple[torch.Tensor, str]:
    """IMAGE [B, H, W, 3] in 0..1 and a note on what had to be done ("" if nothing)."""
    require_vae(vae)
    require_channels(vae, samples)
    if tiling == "on":
        return _decode_tiled(vae, samples, TILE_SIZES)
    try:
        return _decode_whole(vae, samples), ""
    except Exception as error:
        if tiling == "off" or not out_of_memory.ran_out(error):
            raise
    mm.soft_empty_cache()  # outside of the handler: the exception holds the tensors that filled the memory
    picture, note = _decode_tiled(vae, samples, TILE_SIZES)
    return picture, f"out of memory, decoded {note}"


def _decode_whole(vae: Any, samples: torch.Tensor) -> torch.Tensor:
    """`comfy.sd.VAE.decode` without its own fallback, so that the report can say what happened."""
    rows = []
    for row in samples.split(1):
        needed = vae.memory_used_decode(row.shape, vae.vae_dtype)
        mm.load_models_gpu([vae.patcher], memory_required=needed)
        pixels = vae.first_stage_model.decode(row.to(vae.device, vae.vae_dtype))
        rows.append(vae.process_output(pixels.to(vae.output_device, torch.float32, copy=True)))
    return torch.cat(rows).movedim(1, -1)


def _decode_tiled(vae: Any, samples: torch.Tensor, sizes: tuple[int, ...]) -> tuple[torch.Tensor, str]:
    for tile in sizes:
        size = tile // vae.spacial_compression_decode()
        try:
            # One by one: ComfyUI holds three whole copies of what it is given.
            rows = [vae.decode_tiled(row, tile_x=size, tile_y=size, overlap=size // 4) for row in samples.split(1)]
            return torch.cat(rows), f"in tiles of {tile} px"
        except Exception as error:
            if not out_of_memory.ran_out(error):
                raise
        mm.soft_empty_cache()
    raise out_of_memory.OutOfMemory(
        "latent", f"a picture that does not fit into memory in tiles of {sizes[-1]} px", "less else in memory"
    )
