"""ComfyUI's output folder, what it embeds in pictures, and what of a prompt may stand in a file's name."""

from __future__ import annotations

import io as io_of_bytes
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import folder_paths
from comfy.cli_args import args
from comfy_api.latest import io, ui

from ..studio.output import files, names, saving
from ..studio.output.encode import on_white
from . import progress, report

SEED_INPUTS = ("seed", "noise_seed")


def save(
    image: Any, options: saving.SaveOptions, hidden: Any, *, embed_workflow: bool, layout: Any, mask: Any
) -> tuple[list[saving.Saved], list[str]]:
    """`saving.save` into ComfyUI's output folder. `hidden` brings prompt, extra_pnginfo and unique_id of the node."""
    prompt = hidden.prompt if isinstance(hidden.prompt, Mapping) else {}
    seed = seed_above(prompt, str(hidden.unique_id))
    saved, notes = saving.save(
        image,
        Path(folder_paths.get_output_directory()),
        options,
        embedded(hidden) if embed_workflow else {},
        widget=lambda node, name: widget_of(prompt, node, name),
        values={} if seed is None else {"seed": seed},
        keep=saving.Keep(layout, mask),
    )
    known = sum(not one.new for one in saved)
    if known:
        report.count("files already there", known)
        progress.say(f"{known} of {len(saved)} files stood there already and were not written again", hidden.unique_id)
    return saved, notes


def embedded(hidden: Any) -> dict[str, Any]:
    """What ComfyUI's own nodes embed: "prompt", and the entries of extra_pnginfo ("workflow"); nothing if it is told to."""
    if args.disable_metadata:
        return {}
    prompt = {} if hidden.prompt is None else {"prompt": hidden.prompt}
    extra = hidden.extra_pnginfo if isinstance(hidden.extra_pnginfo, Mapping) else {}
    return {**prompt, **extra}


def widget_of(prompt: Mapping[str, Any], node: str, name: str) -> str | None:
    """The value of input `name` of the first node with this title or type; None where there is no such value.

    The editor fills these tokens itself (js/file_names.js); this is for prompts that come from elsewhere.
    """
    for entry in prompt.values():
        if node in (_mapping(entry, "_meta").get("title"), entry.get("class_type")):
            value = _mapping(entry, "inputs").get(name)
            return None if isinstance(value, (list, dict)) or value is None else str(value)
    return None


def seed_above(prompt: Mapping[str, Any], node_id: str) -> str | None:
    """The seed nearest to a node, going up along its links; None where there is none."""
    level, seen = [node_id], {node_id}
    while level:
        above = []
        for entry in (prompt[node] for node in level if node in prompt):
            inputs = _mapping(entry, "inputs")
            for name in SEED_INPUTS:
                if isinstance(inputs.get(name), int):
                    return str(inputs[name])
            links = [link[0] for link in inputs.values() if isinstance(link, list) and len(link) == 2]
            above += [link for link in links if isinstance(link, str) and link not in seen]
            seen.update(above)
        level = above
    return None


def _mapping(entry: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """A part of a prompt's node; empty where a stranger has put something else there."""
    value = entry.get(key)
    return value if isinstance(value, Mapping) else {}


def shown(saved: list[saving.Saved]) -> dict[str, list[ui.SavedResult]]:
    """For ComfyUI's history and the picture under the node. A PDF is listed as "files", and its page as a picture."""
    pictures, others = [], []
    for one in saved:
        result = ui.SavedResult(one.name, one.folder, io.FolderType.output)
        if one.name.endswith(".pdf"):
            others.append(result)
            result = _page(one)
        pictures.append(result)
    return {"images": pictures, **({"files": others} if others else {})}


def _page(pdf: saving.Saved) -> ui.SavedResult:
    """The page of a PDF as a picture beside it: most clients look for pictures alone among what a prompt saved."""

    def data() -> bytes:
        content = io_of_bytes.BytesIO()
        on_white(pdf.picture.convert("RGBA")).save(content, "PNG")  # as the PDF has it
        return content.getvalue()

    name = f"{pdf.name}.png"
    if len(name.encode()) > names.LONGEST_NAME:
        name = f"{pdf.name.removesuffix('.pdf')}.png"
    files.write_once(Path(folder_paths.get_output_directory()) / pdf.folder, name, data)
    return ui.SavedResult(name, pdf.folder, io.FolderType.output)
