"""Language models in ComfyUI's `LLM` paths: listed by name, opened with transformers under ComfyUI's memory management."""

from __future__ import annotations

import contextlib
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

import comfy.model_management as mm
import folder_paths
import torch

from ..studio.errors import InputError, ModelFilesError
from ..studio.prompt.writers import WriterError
from . import memory
from .connections import NONE
from .progress import check_cancel

# Close to what Qwen advises for answers without thinking; enough freedom for a seed to matter.
TEMPERATURE, TOP_K, TOP_P, REPETITION = 0.7, 20, 0.8, 1.05


def folders() -> dict[str, Path]:
    """Name -> folder of every language model in transformers' layout in ComfyUI's `LLM` paths."""
    folder_paths.add_model_folder_path("LLM", str(Path(folder_paths.models_dir) / "LLM"))
    found: dict[str, Path] = {}
    for root in folder_paths.get_folder_paths("LLM"):
        for depth in ("*", "*/*"):
            for config in sorted(Path(root).glob(f"{depth}/config.json")):
                name = config.parent.relative_to(root).as_posix()
                if name.isprintable() and any(config.parent.glob("*.safetensors")):
                    found.setdefault(name, config.parent)
    return found


def find_folder(name: str) -> Path:
    """The folder of a listed model. Only names of the list are opened, so no path can be smuggled in."""
    known = folders()
    if not isinstance(name, str) or name not in known:
        raise InputError("local_model", name, "one of: " + ", ".join([NONE, *known]))
    return known[name]


def require_folder(local_model: str) -> None:
    if local_model != NONE:
        find_folder(local_model)


def folder_identity(folder: Path) -> Hashable:
    files = sorted(file for file in folder.iterdir() if file.exists())  # a link may lead nowhere
    return str(folder), tuple((file.name, file.stat().st_mtime_ns) for file in files)


class OpenedFolder:
    """A language model of transformers under ComfyUI's memory management, and its tokenizer or processor."""

    def __init__(self, model: torch.nn.Module, reader: Any):
        self.model: Any = model  # from_pretrained leaves it in evaluation mode
        self.reader = reader
        devices = mm.text_encoder_device(), mm.text_encoder_offload_device()
        self.patcher = memory.patcher_of_transformers(model, *devices)

    @property
    def device(self) -> torch.device:
        """To compute on; in part loaded, the model's own parameters may stand elsewhere."""
        return self.patcher.load_device

    @torch.no_grad()
    def generate(self, **options: Any) -> torch.Tensor:
        """transformers' `generate`, which hears Cancel before each token."""
        from transformers import StoppingCriteria, StoppingCriteriaList

        class Cancel(StoppingCriteria):
            def __call__(self, input_ids: Any, scores: Any, **_: Any) -> torch.Tensor:
                check_cancel()
                return torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)

        mm.load_models_gpu([self.patcher])
        memory.bring_the_rest(self.model, self.device)
        return self.model.generate(**options, stopping_criteria=StoppingCriteriaList([Cancel()]))


def open_folder(input_name: str, name: str, folder: Path, model_class: Any, reader_class: Any) -> OpenedFolder:
    """Weights from safetensors alone, code from transformers alone. Raises ModelFilesError that names the input."""
    from safetensors import SafetensorError

    wanted = "a whole language model in transformers' layout"
    if '"auto_map"' in (folder / "config.json").read_text("utf-8", "replace"):
        raise ModelFilesError(input_name, name, f"{wanted}, without code of its own (auto_map)")
    dtype = memory.compute_dtype("auto", mm.text_encoder_device())
    try:
        reader = reader_class.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        model = model_class.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, use_safetensors=True, dtype=dtype
        )
    except (OSError, ValueError, LookupError, TypeError, RuntimeError, AttributeError, SafetensorError) as error:
        reason = " ".join(str(error).split()).replace(str(folder), name)[:200]
        raise ModelFilesError(input_name, name, f"{wanted} ({reason})") from None
    return OpenedFolder(model, reader)


@contextlib.contextmanager
def memory_may_run_out() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if not mm.is_oom(error):
            raise
        raise WriterError("there was not enough memory for it to write") from None
