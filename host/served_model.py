"""MODEL, CLIP and VAE whose modules are on a server: ComfyUI samples, masks, previews and cancels; the server computes."""

from __future__ import annotations

import functools
from typing import Any, NoReturn

import comfy.hooks
import comfy.model_patcher
import comfy.sd
import torch

from ..serving import remote
from ..serving.about import About
from ..studio.errors import Bare, InputError
from ..studio.kinds.facts import Licence
from ..studio.opening.lora import Slice
from ..studio.sampling.encode import PairEncoders
from . import loaded, lora_patches, served
from .clip_socket import TextEncoders, Tokenizer, make_clip
from .model_socket import DiffusersModel
from .vae_socket import StudioVae, make_vae

_HERE = torch.device("cpu")  # what travels to a server and comes from it is here
_ELSEWHERE = "a model of a server (Connect to Server)"


def refuse(name: str, what: str, cure: str = "") -> NoReturn:
    """Raise InputError for what only a model in this machine's memory could do."""
    local = cure or "Take that node away, or use Load FLUX Model in place of Connect to Server."
    raise InputError(name, Bare(f"{_ELSEWHERE}: {what}"), cure=local)


@functools.lru_cache(maxsize=8)
def _refusing(base: type[Any], name: str) -> type[Any]:
    """A patcher of weights that are elsewhere. `name`: of the input, for errors."""

    class ServedPatcher(base):  # type: ignore[misc]
        def require_local(self) -> NoReturn:
            """Asked by nodes of this pack that change how a model computes."""
            refuse(name, "this node cannot change it there")

        def add_patches(self, *_: Any, **__: Any) -> NoReturn:
            refuse(name, "a LoRA or another change of its weights cannot be sent there")

        def add_hook_patches(self, *_: Any, **__: Any) -> NoReturn:
            refuse(name, "a hook that changes its weights cannot be sent there")

        def register_all_hook_patches(self, hooks: Any, *rest: Any, **options: Any) -> Any:
            if hooks is not None and hooks.get_type(comfy.hooks.EnumHookType.Weight):
                refuse(name, "a hook that changes its weights cannot be sent there")
            return super().register_all_hook_patches(hooks, *rest, **options)

        def set_injections(self, *_: Any, **__: Any) -> NoReturn:
            refuse(name, "a LoRA beside its layers cannot be sent there")

        def partially_load(self, device_to: Any, extra_memory: Any = 0, force_patch_weights: bool = False) -> Any:
            if force_patch_weights:  # for saving alone
                refuse(name, "its weights are not here to be saved")
            return super().partially_load(device_to, extra_memory, force_patch_weights)

        def model_state_dict_for_saving(self, *_: Any, **__: Any) -> NoReturn:
            refuse(name, "its weights are not here to be saved")

        def state_dict_for_saving(self, *_: Any, **__: Any) -> NoReturn:
            refuse(name, "its weights are not here to be saved")

        def get_key_patches(self, filter_prefix: str | None = None) -> Any:
            if filter_prefix is not None:  # of merges; hooks ask without
                refuse(name, "its weights are not here to be merged")
            return super().get_key_patches(filter_prefix)

    return ServedPatcher


class ServedModel(DiffusersModel):
    """A MODEL whose transformer is a stage of a server."""

    @functools.cached_property
    def fused_layers(self) -> dict[str, tuple[Slice, ...]]:
        """So that every LoRA finds its layers, and is refused rather than passed over."""
        return {f"diffusion_model.{name}.weight": slices for name, slices in remote.layer_names().items()}

    def _apply_model(self, x, t, c_concat=None, c_crossattn=None, control=None, transformer_options=None, **more: Any):
        if control is not None:
            refuse(
                "positive", "a ControlNet cannot reach its blocks", "Take the ControlNet away, or use Load FLUX Model."
            )
        return super()._apply_model(x, t, c_concat, c_crossattn, None, transformer_options, **more)

    def require_known_patches(self, options: Any) -> None:
        """Raise InputError for what a node has put into the transformer's blocks."""
        patched = sorted(name for kind in ("patches", "patches_replace") for name in options.get(kind, {}))
        if patched:
            refuse("model", f"a node's patches ({', '.join(patched)}) cannot reach its blocks")
        super().require_known_patches(options)

    def memory_required(self, *_: Any, **__: Any) -> float:
        """Of this machine."""
        return 0.0


class ServedVae(StudioVae):
    """A VAE whose module is two stages of a server."""

    def get_sd(self) -> NoReturn:
        refuse("vae", "its weights are not here to be saved")


def connected(name: str) -> tuple[Any, Any, Any, list[str]]:
    """(MODEL, CLIP, VAE, notes) of the server of a connection. Raises InputError where it does not answer."""
    server = served.server_of(name)
    about = server.about()
    sockets = (_model(server, about), _clip(server, about), _vae(server, about))
    loaded.remember_served(about.name, Licence(*about.licence), sockets)
    return *sockets, about.notes


def _model(server: served.ConnectedServer, about: About) -> Any:
    facts = about.facts
    velocity = remote.velocity_at(about, server.stage)
    model = ServedModel(velocity, facts, about.preview, None, _HERE)
    velocity.__dict__["_file_layers"] = (
        remote.layer_names()
    )  # for bypass mode, which looks for modules: remote.py refuses them
    patcher = lora_patches.patcher(model, _HERE, _HERE)
    patcher.__class__ = _refusing(type(patcher), "model")  # type: ignore[arg-type]
    return patcher


def _clip(server: served.ConnectedServer, about: About) -> Any:
    call = remote.limited(server.stage)
    studio: PairEncoders = remote.RemoteEncoders(remote.RemoteClip(call), remote.RemoteT5(call))
    tokenizer = Tokenizer(remote.RemoteTokenizer(server.tokens, about.facts.family.max_tokens))
    clip = make_clip(TextEncoders(studio, torch.float32, _HERE), tokenizer, _HERE, _HERE)
    clip.patcher.__class__ = _refusing(type(clip.patcher), "clip")  # type: ignore[arg-type]
    return clip


def _vae(server: served.ConnectedServer, about: About) -> Any:
    call = remote.limited(server.stage)
    module = remote.RemoteVae(call, latent_channels=about.facts.family.vae_channels, sample_size=about.side)
    vae = make_vae(module, torch.float32, _HERE)
    vae.__class__ = ServedVae
    # A byte, since ComfyUI divides by it: nothing else has to go for what is computed elsewhere.
    vae.memory_used_encode = vae.memory_used_decode = lambda shape, dtype: 1
    return vae
