"""The stages that a model is split into, and the tensors between them. Triton's configuration, its stages and their
stand-ins on the other side are all made from this table."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch

    from ..studio.opening.models import Description

ROWS_TOGETHER = 8  # at most, of one execution of a stage
CLIP, T5, TRANSFORMER = "clip_encoder", "t5_encoder", "dit_transformer"
VAE_ENCODER, VAE_DECODER = "vae_encoder", "vae_decoder"
ORCHESTRATOR = "bls"
DESCRIBED = "about"  # a parameter of the orchestrator's configuration: about.py
CLIP_TOKENS = 77
# What each stage's module gives.
OUTPUT_OF = {
    CLIP: "clip_embeds",
    T5: "t5_embeds",
    TRANSFORMER: "noise_pred",
    VAE_ENCODER: "latents",
    VAE_DECODER: "images",
}
# In place of the transformer's tensors, for clients of this project: a region of memory on the same machine (region.py), and
# the SHA-256 of T5's embeddings that it was given before, a text a row.
REGION, T5_HASH = "region", "t5_hash"
EMBEDS_AGAIN = "t5_embeds once more"  # ends the error for a hash that a server has not, or no longer
IN_REGION = "in_region"  # the answer of a call with a region: bytes that lie in it, per row
ANY_LENGTH = -1  # a length that differs from request to request


def t5_hash(row: torch.Tensor) -> str:
    """What T5's embeddings float32 [S, D] of one text are known by."""
    return hashlib.sha256(memoryview(row.contiguous().numpy()).cast("B")).hexdigest()


class Wire(NamedTuple):
    """A tensor of a stage. A batch dimension goes before `dims`, except at the orchestrator."""

    name: str
    dtype: str  # as Triton has it: "FP32"
    dims: tuple[int, ...]
    optional: bool = False


def row_dims(name: str, dims: Sequence[int], cells: int, tokens: int) -> list[int]:
    """The dimensions of one row of a stage's input, for `cells` x `cells` of a VAE's latents and a text of `tokens`."""
    if len(dims) == 3:
        free = cells * 8 if name == "images" else cells
    else:
        free = cells**2 // 4 if name.startswith("latent") else tokens  # the transformer takes 2 x 2 cells as one
    return [free if size == ANY_LENGTH else size for size in dims]


class StageFacts(NamedTuple):
    """What a stage takes and gives."""

    name: str
    component: str  # of the model, by its name in a diffusers folder; "": none
    inputs: tuple[Wire, ...]
    outputs: tuple[Wire, ...]
    instead: tuple[Wire, ...] = ()  # inputs in whose place others may be left out

    @property
    def answer(self) -> Wire:
        """What a module gives."""
        return self.outputs[0]


def stages_of(described: Description) -> tuple[StageFacts, ...]:
    """The five stages of a FLUX.1 model, with its real dimensions."""
    family, widths = described.family, described.transformer.widths()
    drawn = family.latent_channels * family.cells_per_token**2
    cells = (family.vae_channels, ANY_LENGTH, ANY_LENGTH)
    return (
        StageFacts(
            CLIP,
            "text_encoder",
            (Wire("input_ids", "INT64", (CLIP_TOKENS,)),),
            (Wire(OUTPUT_OF[CLIP], "FP32", (widths.pooled,)),),
        ),
        StageFacts(
            T5,
            "text_encoder_2",
            (Wire("input_ids", "INT64", (ANY_LENGTH,)),),
            (Wire(OUTPUT_OF[T5], "FP32", (ANY_LENGTH, widths.sequence)),),
        ),
        StageFacts(
            TRANSFORMER,
            "transformer",
            (
                Wire("latents", "FP32", (ANY_LENGTH, described.edition.in_channels)),
                Wire("latent_image_ids", "FP32", (ANY_LENGTH, 3)),
                Wire("timestep", "FP32", (1,)),
                Wire("guidance", "FP32", (1,)),
                Wire("clip_embeds", "FP32", (widths.pooled,)),
                Wire("t5_embeds", "FP32", (ANY_LENGTH, widths.sequence)),
                Wire("text_ids", "FP32", (ANY_LENGTH, 3)),
            ),
            (Wire(OUTPUT_OF[TRANSFORMER], "FP32", (ANY_LENGTH, drawn)), Wire(IN_REGION, "INT64", (1,))),
            (Wire(REGION, "STRING", (1,)), Wire(T5_HASH, "STRING", (1,))),
        ),
        StageFacts(
            VAE_ENCODER,
            "vae",
            (Wire("images", "FP32", (3, ANY_LENGTH, ANY_LENGTH)),),
            (Wire(OUTPUT_OF[VAE_ENCODER], "FP32", cells),),
        ),
        StageFacts(
            VAE_DECODER,
            "vae",
            (Wire("latents", "FP32", cells),),
            (Wire(OUTPUT_OF[VAE_DECODER], "FP32", (3, ANY_LENGTH, ANY_LENGTH)),),
        ),
    )


PICTURES, TOKENS = ("tensor", "npy", "png"), "tokens"
# The orchestrator's. Pictures travel as text too, since Triton's streaming over HTTP is JSON: base64 of a PNG, JPEG or
# WebP file, or of a .npy file of float32 [B, H, W, 3] in 0..1, which loses nothing.
ORDERS = StageFacts(
    ORCHESTRATOR,
    "",
    (
        Wire("prompt", "STRING", (ANY_LENGTH,)),
        Wire("prompt_2", "STRING", (1,), True),
        Wire("num_images_per_prompt", "INT32", (1,), True),
        Wire("width", "INT32", (1,), True),
        Wire("height", "INT32", (1,), True),
        Wire("steps", "INT32", (1,), True),
        Wire("guidance", "FP32", (1,), True),
        Wire("seed", "UINT64", (1,), True),
        Wire("max_sequence_length", "INT32", (1,), True),
        Wire("time_limit", "FP32", (1,), True),
        Wire("image", "STRING", (1,), True),
        Wire("strength", "FP32", (1,), True),
        Wire("mask", "STRING", (1,), True),
        Wire("resume", "STRING", (1,), True),
        Wire("progress", "BOOL", (1,), True),
        Wire("output", "STRING", (1,), True),
    ),
    (
        Wire("images", "FP32", (ANY_LENGTH, 3, ANY_LENGTH, ANY_LENGTH)),
        Wire("files", "STRING", (ANY_LENGTH,)),
        Wire("status", "STRING", (1,)),
        Wire("steps_done", "INT32", (1,)),
        Wire("steps", "INT32", (1,)),
        Wire("unfinished", "STRING", (1,)),
        Wire("notes", "STRING", (ANY_LENGTH,)),
        Wire("tokens", "STRING", (1,)),
    ),
)
# "tokens": nothing is drawn. The prompts as the model's tokenizers read them, for clients with samplers of their own.
OUTPUTS = (*PICTURES, TOKENS)
FINISHED, TIME_LIMIT, DRAWING = "finished", "time limit", "drawing"
