"""What writes prompts inside ComfyUI: its user's presets, a CLIP that is a language model, a model folder, a connection."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import comfy.model_management as mm
import folder_paths
import torch

from ..studio.errors import InputError, ModelFilesError
from ..studio.prompt import presets
from ..studio.prompt.writers import (
    CONNECTION,
    IN_LINE,
    LOCAL_MODEL,
    MOST_NEW_TOKENS,
    OWN_ENCODER,
    Choice,
    WriterError,
)
from . import connections, memory
from .progress import check_cancel

NONE = "none"
# Close to what Qwen advises for answers without thinking; enough freedom for a seed to matter.
TEMPERATURE, TOP_K, TOP_P, REPETITION = 0.7, 20, 0.8, 1.05


def library() -> presets.Library:
    """The pack's presets and those in ComfyUI's user folder, default/storefront/presets."""
    return presets.read_library(Path(folder_paths.get_user_directory()) / "default" / "storefront" / "presets")


def choices(translate: str, clip: Any, local_model: str, connection: str) -> list[Choice]:
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
    line: list[Choice] = []
    for name in IN_LINE[IN_LINE.index(translate) :]:
        if not wired[name]:
            continue
        if name == OWN_ENCODER:
            line.append(Choice(name, _identity(clip), EncoderWriter(clip)))
        elif name == LOCAL_MODEL:
            folder = find_folder(local_model)
            newest = max(file.stat().st_mtime_ns for file in folder.iterdir())
            line.append(Choice(name, (str(folder), newest), FolderWriter(local_model, folder)))
        else:
            line.append(Choice(name, *connections.writer(connection)))
    return line


def _identity(clip: Any) -> tuple[Any, ...]:
    return (weakref.ref(clip.cond_stage_model), clip.patcher.patches_uuid)


def reads_korean(clip: Any) -> bool | None:
    """Whether the encoder of a CLIP tells Korean words apart; None without a CLIP.

    A vocabulary without Hangul makes the same tokens of any two words of one length. CLIP's own has its bytes, but
    has learnt nothing of them: where a pair stands beside it, that one is asked.
    """
    if clip is None:
        return None
    parts = [_ids(clip.tokenize(word)) for word in ("딸기", "겨울")]
    readers = [name for name in parts[0] if name not in ("l", "g")]
    return any(parts[0][name] != parts[1][name] for name in readers)


def _ids(tokens: Any) -> dict[str, list[Any]]:
    """Encoder's name -> ids, of ComfyUI's (id, weight) pairs and of our own tensors."""
    return {
        name: part.ids.tolist() if hasattr(part, "ids") else [[token[0] for token in chunk] for chunk in part]
        for name, part in tokens.items()
    }


class EncoderWriter:
    """The text encoder of a CLIP, resident anyway, asked as a language model through ComfyUI's own `generate`."""

    def __init__(self, clip: Any):
        self._clip = clip

    def write(self, instructions: str, request: str, seed: int) -> str:
        if not _can_generate(self._clip.cond_stage_model):
            raise WriterError("this CLIP's encoder is not a language model")
        try:
            tokens = self._clip.tokenize(
                f"{instructions}\n\n{request}", skip_template=False, min_length=1, thinking=False
            )
            ids = self._clip.generate(
                tokens,
                do_sample=True,
                max_length=MOST_NEW_TOKENS,
                temperature=TEMPERATURE,
                top_k=TOP_K,
                top_p=TOP_P,
                min_p=0.0,
                repetition_penalty=REPETITION,
                seed=seed,
            )
            return self._clip.decode(ids)
        except (InputError, AttributeError, NotImplementedError):
            raise WriterError("this CLIP's encoder is not a language model") from None
        except torch.cuda.OutOfMemoryError:
            raise WriterError("there was not enough memory for it to write") from None


def _can_generate(model: Any) -> bool:
    """ComfyUI's classes offer `generate` for every encoder; what stands inside has it only if it is a language model."""
    inner = getattr(model, getattr(model, "clip", None) or "", None)
    return hasattr(model, "generate") and (inner is None or hasattr(getattr(inner, "transformer", None), "generate"))


# --- folders of models/LLM --------------------------------------------------------------------------------------------


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
    if name not in known:
        raise InputError("local_model", name, "one of: " + ", ".join([NONE, *known]))
    return known[name]


class FolderWriter:
    """A causal language model of transformers, opened at its first use and gone with this object."""

    def __init__(self, name: str, folder: Path):
        self._name, self._folder = name, folder
        self._model: Any = None
        self._tokenizer: Any = None
        self._patcher: Any = None

    def _open(self) -> None:
        """Weights from safetensors alone, code from transformers alone."""
        from safetensors import SafetensorError
        from transformers import AutoModelForCausalLM, AutoTokenizer

        wanted = "a whole causal language model in transformers' layout"
        if '"auto_map"' in (self._folder / "config.json").read_text("utf-8", "replace"):
            raise ModelFilesError("local_model", self._name, f"{wanted}, without code of its own (auto_map)")
        device = mm.text_encoder_device()
        dtype = memory.compute_dtype("auto", device)
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(
                self._folder, local_files_only=True, trust_remote_code=False
            )
            model = AutoModelForCausalLM.from_pretrained(
                self._folder, local_files_only=True, trust_remote_code=False, use_safetensors=True, dtype=dtype
            )
        except (OSError, ValueError, LookupError, TypeError, RuntimeError, AttributeError, SafetensorError) as error:
            reason = " ".join(str(error).split()).replace(str(self._folder), self._name)[:200]
            raise ModelFilesError("local_model", self._name, f"{wanted} ({reason})") from None
        self._model = memory.adopt(model)  # from_pretrained leaves it in evaluation mode
        box = torch.nn.Module()  # ComfyUI writes `device`, which transformers' models forbid
        box.model = self._model
        self._patcher = memory.patcher(box, device, mm.text_encoder_offload_device())

    def write(self, instructions: str, request: str, seed: int) -> str:
        try:
            if self._model is None:
                self._open()
            return self._generate(instructions, request, seed)
        except ModelFilesError as error:
            raise WriterError(str(error)) from None
        except torch.cuda.OutOfMemoryError:
            raise WriterError("there was not enough memory for it to write") from None

    @torch.no_grad()
    def _generate(self, instructions: str, request: str, seed: int) -> str:
        from transformers import StoppingCriteria, StoppingCriteriaList

        class Cancel(StoppingCriteria):
            def __call__(self, input_ids: Any, scores: Any, **_: Any) -> torch.Tensor:
                check_cancel()
                return torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)

        mm.load_models_gpu([self._patcher])
        # Not the model's own: in part loaded, its parameters may stand elsewhere.
        device = self._patcher.load_device
        tokens = self._tokens(instructions, request)
        ids = tokens["input_ids"].to(device)
        if ids.shape[1] + MOST_NEW_TOKENS > getattr(self._model.config, "max_position_embeddings", 2**31):
            raise WriterError(f"the request has {ids.shape[1]} tokens, more than this model reads")
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            written = self._model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=MOST_NEW_TOKENS,
                do_sample=True,
                temperature=TEMPERATURE,
                top_k=TOP_K,
                top_p=TOP_P,
                repetition_penalty=REPETITION,
                pad_token_id=self._tokenizer.pad_token_id or self._tokenizer.eos_token_id,
                stopping_criteria=StoppingCriteriaList([Cancel()]),
            )
        return self._tokenizer.decode(written[0, ids.shape[1] :], skip_special_tokens=True)

    def _tokens(self, instructions: str, request: str) -> Any:
        """The two parts in the model's own chat template; one after the other where it has none, or none for a system."""
        if self._tokenizer.chat_template is None:
            return self._tokenizer(f"{instructions}\n\n{request}\n\n", return_tensors="pt")
        from jinja2 import TemplateError

        def templated(messages: list[dict[str, str]]) -> Any:
            return self._tokenizer.apply_chat_template(
                messages, add_generation_prompt=True, return_tensors="pt", return_dict=True, enable_thinking=False
            )

        try:
            return templated([{"role": "system", "content": instructions}, {"role": "user", "content": request}])
        except TemplateError:
            return templated([{"role": "user", "content": f"{instructions}\n\n{request}"}])
