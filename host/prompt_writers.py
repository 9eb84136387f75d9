"""What may write a prompt inside ComfyUI: a CLIP that is a language model, a model folder, a connection, else the presets."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Hashable
from typing import Any

from ..studio.errors import InputError
from ..studio.prompt import advert, presets
from ..studio.prompt.writers import CONNECTION, IN_LINE, LOCAL_MODEL, OFF, OWN_ENCODER, WriterChoice
from . import connections, fingerprints, preset_library, user_files
from .clip_writer import EncoderWriter, reads_korean
from .connections import NONE
from .folder_writer import FolderWriter
from .language_models import find_folder, folder_identity


def compose(brief: advert.AdBrief, clip: Any, local_model: str, connection: str, node_id: str) -> advert.Advert:
    """`advert.compose` with what stands in this ComfyUI."""
    made = advert.compose(
        brief, preset_library.library(), choices(brief.translate, clip, local_model, connection), reads_korean(clip)
    )
    if brief.translate != OFF and made.report["written_by"] == OFF:
        fingerprints.substituted(node_id)
    return made


def fingerprint(translate: Any, local_model: Any, connection: Any, node_id: str) -> str:
    """Another text where the same inputs may give another prompt: a preset file, the model's folder or the connection
    was changed, or presets had to write in place of a model, which may be back."""
    seen: list[Hashable] = [presets.stamps(*user_files.preset_folders())]
    if translate in IN_LINE:
        # What is wrong, or comes over a link and is not known yet, `execute` names.
        with contextlib.suppress(InputError):
            seen.append(folder_identity(find_folder(local_model)))
        with contextlib.suppress(InputError):
            seen.append(connections.writer(connection)[0])
    return fingerprints.of(seen, node_id)


def choices(translate: str, clip: Any, local_model: str, connection: str) -> list[WriterChoice]:
    """The writers that are at hand, in line from the one asked for.

    Raises InputError where the one asked for is not wired or not named; nothing is opened yet.
    """
    wired = {OWN_ENCODER: clip is not None, LOCAL_MODEL: local_model != NONE, CONNECTION: connection != NONE}
    if translate not in IN_LINE:
        return []
    if not wired[translate]:
        name, wanted = {
            OWN_ENCODER: ("clip", "a CLIP whose encoder is a language model, wired to clip"),
            LOCAL_MODEL: ("local_model", "a folder of models/LLM with .safetensors"),
            CONNECTION: ("connection", "a connection, set up in ComfyUI's settings under Storefront"),
        }[translate]
        raise InputError(name, NONE, f"{wanted}, since translate is {translate!r}")
    line: list[WriterChoice] = []
    for name in IN_LINE[IN_LINE.index(translate) :]:
        if not wired[name]:
            continue
        if name == OWN_ENCODER:
            line.append(WriterChoice(name, _identity(clip), EncoderWriter(clip)))
        elif name == LOCAL_MODEL:
            folder = find_folder(local_model)
            line.append(WriterChoice(name, folder_identity(folder), FolderWriter(local_model, folder)))
        else:
            line.append(WriterChoice(name, *connections.writer(connection)))
    return line


def _identity(clip: Any) -> tuple[Any, ...]:
    return (weakref.ref(clip.cond_stage_model), clip.patcher.patches_uuid)
