"""Stand-ins for diffusers' and transformers' modules whose forward is a call of a stage: same arguments, same results.

The seam is the module. Tokenizers, schedule, sampling and everything else of the pack run as they do on modules in memory.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from types import SimpleNamespace
from typing import Any, TypeAlias

import torch

from ..studio.errors import Bare, InputError
from ..studio.kinds import flux1, table
from ..studio.kinds.velocity import Velocity
from ..studio.opening.lora import Slice, names_of_layers
from ..studio.opening.models import Description
from ..studio.sampling.encode import ChatTokenizer, PairEncoders, PairTokenizer, Text, Tokens, make_tokenizer
from ..studio.sampling.pipeline import FluxStudio
from . import stages
from .about import About

# (stage, its inputs by name, each [B, ...]) -> its output [B, ...], on the CPU. Raises StageError.
Call: TypeAlias = Callable[[str, Mapping[str, torch.Tensor]], torch.Tensor]

_TRANSFORMER = "FluxTransformer2DModel"
_BLOCKS = {"transformer_blocks": 19, "single_transformer_blocks": 38}  # of the published FLUX.1
_ANY_ROWS = 6


class StageError(RuntimeError):
    """A stage that did not answer, or with an error. Its text begins with a code and the stage's name."""

    def __init__(self, code: str, stage: str, message: str):
        super().__init__(f"{code}: stage {stage}: {message}")
        self.code = code


class StageOutOfMemory(StageError, MemoryError):
    """The memory of a stage's device did not suffice for one row."""


class _Remote(torch.nn.Module):
    """What ComfyUI and the pack ask of a module beside its forward: where it is, and in which numbers it computes."""

    def __init__(self, call: Call, **config: Any):
        super().__init__()
        self.call = call
        self.config = SimpleNamespace(**config)
        self.register_buffer("_place", torch.zeros(1))

    @property
    def dtype(self) -> torch.dtype:
        return torch.float32  # of what travels

    @property
    def device(self) -> torch.device:
        return self._place.device  # type: ignore[return-value]


def _require_shape(stage: str, given: torch.Tensor, *shape: int | None) -> torch.Tensor:
    """`given` where it has the shape; None is any size. Raises StageError: another server, or one with another model."""
    fits = given.ndim == len(shape) and all(size in (None, own) for own, size in zip(given.shape, shape))
    if not fits:
        raise StageError("INTERNAL", stage, f"its answer has the shape {list(given.shape)}")
    return given


def _rows(shared: torch.Tensor, count: int) -> torch.Tensor:
    """[...] -> [count, ...]: what diffusers' class is given once for a batch goes with each row."""
    return shared[None].expand(count, *shared.shape)


class RemoteTransformer(_Remote):
    """diffusers' FluxTransformer2DModel."""

    def forward(
        self,
        hidden_states: torch.Tensor,
        timestep: torch.Tensor,
        guidance: torch.Tensor | None,
        pooled_projections: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        txt_ids: torch.Tensor,
        img_ids: torch.Tensor,
        **_: Any,  # of diffusers; a ControlNet's are refused before sampling
    ) -> tuple[torch.Tensor]:
        count = len(hidden_states)
        guided = torch.zeros(count) if guidance is None else guidance
        flow = self.call(
            stages.TRANSFORMER,
            {
                "latents": hidden_states,
                "latent_image_ids": _rows(img_ids, count),
                "timestep": timestep.reshape(-1, 1).expand(count, 1),
                "guidance": guided.reshape(-1, 1).expand(count, 1),
                "clip_embeds": pooled_projections,
                "t5_embeds": encoder_hidden_states,
                "text_ids": _rows(txt_ids, count),
            },
        )
        return (_require_shape(stages.TRANSFORMER, flow, *hidden_states.shape).to(hidden_states),)

    def get_submodule(self, target: str) -> torch.nn.Module:
        """Raises InputError for a layer: those that ask would change what it computes."""
        if target:
            local = "Take it away, or use a model of this machine."
            raise InputError("model", Bare(f"a model of a server: a LoRA cannot reach {target}"), cure=local)
        return self

    @property
    def time_text_embed(self) -> Any:
        """What a call without guidance would have to reach into."""
        cure = "Take FluxDisableGuidance away, or use a model of this machine."
        raise InputError("positive", Bare("conditioning without guidance"), cure=cure)


class RemoteClip(_Remote):
    """transformers' CLIPTextModel."""

    def forward(self, ids: torch.Tensor, **_: Any) -> Any:
        pooled = self.call(stages.CLIP, {"input_ids": ids})
        return SimpleNamespace(pooler_output=_require_shape(stages.CLIP, pooled, len(ids), None).to(ids.device))


class RemoteT5(_Remote):
    """transformers' T5EncoderModel."""

    def forward(self, ids: torch.Tensor, **_: Any) -> tuple[torch.Tensor]:
        sequence = self.call(stages.T5, {"input_ids": ids})
        return (_require_shape(stages.T5, sequence, *ids.shape, None).to(ids.device),)


class RemoteVae(_Remote):
    """diffusers' AutoencoderKL: pixels -1..1, raw latents."""

    bn = None

    def encode(self, pixels: torch.Tensor) -> Any:
        """The mean of its distribution, as `encode(pixels).latent_dist.mode()` has it."""
        encoded = self.call(stages.VAE_ENCODER, {"images": pixels})
        latents = _require_shape(stages.VAE_ENCODER, encoded, len(pixels), None, None, None).to(pixels)
        return SimpleNamespace(latent_dist=SimpleNamespace(mode=lambda: latents))

    def decode(self, latents: torch.Tensor, return_dict: bool = False) -> tuple[torch.Tensor]:
        """Pixels [B, 3, H, W]."""
        pixels = self.call(stages.VAE_DECODER, {"latents": latents})
        return (_require_shape(stages.VAE_DECODER, pixels, len(latents), 3, None, None).to(latents),)


class RemoteEncoders(PairEncoders):
    """CLIP and T5 of a server, asked at the same time."""

    def embed(self, tokens: Mapping[str, Tokens], device: torch.device) -> Text:
        with ThreadPoolExecutor(1) as other:
            pooled = other.submit(self.clip_l, tokens["l"].ids)
            (sequence,) = self.t5xxl(tokens["t5xxl"].ids)
            return Text(sequence.to(device), pooled.result().pooler_output.to(device))


class RemoteTokenizer(PairTokenizer):
    """A server's tokenizers. `ask`: texts, other texts for T5 or none, T5's tokens -> what `Client.tokens` gives."""

    def __init__(self, ask: Callable[[list[str], list[str], int], Mapping[str, Any]], length: int):
        self._ask, self.length = ask, length

    def tokenize(self, texts: list[str], texts_2: list[str] | None = None, max_tokens: int = 0) -> dict[str, Tokens]:
        """As in memory. Raises StageError for an answer that is none."""
        read = {}
        for name, part in self._ask(texts, texts_2 or [], max_tokens).items():
            try:
                ids = torch.tensor(part["ids"], dtype=torch.int64).reshape(len(texts), -1)
                read[name] = Tokens(ids, tuple(map(int, part["counts"])), tuple(map(str, part["cut"])))
            except (KeyError, ValueError, TypeError, RuntimeError, OverflowError) as error:
                raise StageError("INTERNAL", stages.ORCHESTRATOR, "its answer holds no tokens") from error
        return read


class SharedTokenizer(PairTokenizer):
    """A tokenizer for several threads, one at a time: transformers' own keep the padding of a call in themselves."""

    def __init__(self, own: PairTokenizer | ChatTokenizer):
        self._own, self._lock, self.length = own, Lock(), own.length

    def tokenize(self, texts: list[str], texts_2: list[str] | None = None, max_tokens: int = 0) -> dict[str, Tokens]:
        """As its own."""
        with self._lock:
            return self._own.tokenize(texts, texts_2, max_tokens)


def limited(call: Call) -> Call:
    """`call` with no more than ROWS_TOGETHER rows at a time."""

    def parts(stage: str, tensors: Mapping[str, torch.Tensor]) -> torch.Tensor:
        count = len(next(iter(tensors.values())))
        starts = range(0, count, stages.ROWS_TOGETHER)
        out = [call(stage, {n: t[i : i + stages.ROWS_TOGETHER] for n, t in tensors.items()}) for i in starts]
        return out[0] if len(out) == 1 else torch.cat(out)

    return parts


def transformer_of(described: Description, call: Call) -> RemoteTransformer:
    """The stand-in of a description's transformer."""
    widths = described.transformer.widths()
    return RemoteTransformer(
        call,
        in_channels=described.edition.in_channels,
        guidance_embeds=True,  # one that embeds none ignores the number
        joint_attention_dim=widths.sequence,
        pooled_projection_dim=widths.pooled,
    )


def velocity_at(about: About, call: Call) -> Velocity:
    """The stand-in of a server's transformer, as samplers call it."""
    transformer = RemoteTransformer(
        limited(call),
        in_channels=about.channels,
        guidance_embeds=about.guided,
        joint_attention_dim=about.sequence,
        pooled_projection_dim=about.pooled,
    )
    return flux1.KIND.velocity(transformer, torch.float32, about.facts.edition)


@functools.cache
def layer_names() -> dict[str, tuple[Slice, ...]]:
    """Every name that a LoRA file may have for a layer of a FLUX.1, of whatever size."""
    rows: dict[str, int] = {}
    for targets in table.lora_names(_TRANSFORMER).originals.values():
        for layer in (target if isinstance(target, str) else target.layer for target in targets):
            blocks = _BLOCKS.get(layer.partition(".")[0], 1)
            rows |= {layer.format(number): _ANY_ROWS for number in range(blocks)}
    return names_of_layers(rows, _TRANSFORMER)


def studio_of(described: Description, call: Call, side: int) -> FluxStudio:
    """The model of a description with modules on the other side of `call`. `side`: pixels its VAE was trained with."""
    family, call = described.family, limited(call)
    readers = [encoder.read(None) for encoder in described.encoders]
    transformer = transformer_of(described, call)
    return FluxStudio(
        family,
        SharedTokenizer(make_tokenizer(family, readers)),
        RemoteEncoders(RemoteClip(call), RemoteT5(call)),
        described.transformer.kind.velocity(transformer, torch.float32, described.edition),
        RemoteVae(call, latent_channels=family.vae_channels, sample_size=side),
        dict(described.scheduler_config),
        described.defaults,
        torch.device("cpu"),
        described.edition,
    )
