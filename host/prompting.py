"""What writes prompts inside ComfyUI: its user's presets, a CLIP that is a language model, a model folder, a connection."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

import comfy.model_management as mm
import folder_paths
import torch

from ..studio.errors import InputError, ModelFilesError, require_number
from ..studio.opening.folders import read_json
from ..studio.prompt import advert, flux3, presets
from ..studio.prompt.writers import (
    CONNECTION,
    IN_LINE,
    LOCAL_MODEL,
    MOST_NEW_TOKENS,
    OFF,
    OWN_ENCODER,
    Choice,
    WriterError,
)
from . import connections, fingerprints, memory, user_files
from .connections import NONE
from .progress import check_cancel

UPSAMPLER = "Qwen3_5ForConditionalGeneration"  # as diffusers' Flux3AutoPromptUpsampleStep expects it
MOST_CAPTION_TOKENS = 8192  # as many as FLUX.3 reads
# Close to what Qwen advises for answers without thinking; enough freedom for a seed to matter.
TEMPERATURE, TOP_K, TOP_P, REPETITION = 0.7, 20, 0.8, 1.05


def library() -> presets.Library:
    """The pack's presets and the user's (host/user_files.py)."""
    return presets.read_library(*user_files.preset_folders())


def headings() -> presets.Headings:
    """What widgets show of `library`."""
    return presets.read_headings(*user_files.preset_folders())


def compose(order: advert.Order, clip: Any, local_model: str, connection: str, node_id: str) -> advert.Advert:
    """`advert.compose` with what stands in this ComfyUI."""
    made = advert.compose(order, library(), choices(order.translate, clip, local_model, connection), reads_korean(clip))
    if order.translate != OFF and made.report["written_by"] == OFF:
        fingerprints.substituted(node_id)
    return made


def fingerprint(translate: Any, local_model: Any, connection: Any, node_id: str) -> str:
    """Another text where the same inputs may give another prompt: a preset file, the model's folder or the connection
    was changed, or presets had to write in place of a model, which may be back."""
    seen: list[Hashable] = [presets.stamps(*user_files.preset_folders())]
    if translate in IN_LINE:
        # What is wrong, or comes over a link and is not known yet, `execute` names.
        with contextlib.suppress(InputError):
            seen.append(_folder_identity(find_folder(local_model)))
        with contextlib.suppress(InputError):
            seen.append(connections.writer(connection)[0])
    return fingerprints.of(seen, node_id)


def require_trade(trade: str) -> None:
    if trade != advert.AUTO:
        presets.find("trade", trade, library().trades)


def require_style(style: str) -> None:
    presets.find("style", style, library().styles)


def require_folder(local_model: str) -> None:
    if local_model != NONE:
        find_folder(local_model)


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
            line.append(Choice(name, _folder_identity(folder), FolderWriter(local_model, folder)))
        else:
            line.append(Choice(name, *connections.writer(connection)))
    return line


def _folder_identity(folder: Path) -> Hashable:
    files = sorted(file for file in folder.iterdir() if file.exists())  # a link may lead nowhere
    return str(folder), tuple((file.name, file.stat().st_mtime_ns) for file in files)


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


@contextlib.contextmanager
def _memory_may_run_out() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if not mm.is_oom(error):
            raise
        raise WriterError("there was not enough memory for it to write") from None


class EncoderWriter:
    """The text encoder of a CLIP, resident anyway, asked as a language model through ComfyUI's own `generate`."""

    def __init__(self, clip: Any):
        self._clip = clip

    @_memory_may_run_out()
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
    if not isinstance(name, str) or name not in known:
        raise InputError("local_model", name, "one of: " + ", ".join([NONE, *known]))
    return known[name]


# --- FLUX.3's prompt upsampler ------------------------------------------------------------------------------------------


def upsamplers() -> dict[str, Path]:
    """Name -> folder of every model in the `LLM` paths that is of the class of FLUX.3's prompt upsampler."""
    found = {}
    for name, folder in folders().items():
        try:
            config = read_json(folder / "config.json")
        except ModelFilesError:
            continue  # broken: the list of what can be opened is not the place to say so
        if UPSAMPLER in (config.get("architectures") or ()):
            found[name] = folder
    return found


def find_upsampler(name: str) -> Path:
    """The folder of a listed one."""
    known = upsamplers()
    if not isinstance(name, str) or name not in known:
        raise InputError("upsampler", name, "one of: " + ", ".join([NONE, *known]))
    return known[name]


def require_upsampler(name: str) -> None:
    if name != NONE:
        find_upsampler(name)


def flux3_caption(order: flux3.Order, upsampler: str, most_tokens: int) -> str:
    """The caption that FLUX.3 is given, written by its prompt upsampler; "none": the table of boxes alone behind the prompt."""
    require_number("max_tokens", most_tokens, 1, MOST_CAPTION_TOKENS)
    if upsampler == NONE:
        return flux3.caption(order)
    folder = find_upsampler(upsampler)
    import transformers

    opened = open_folder("upsampler", upsampler, folder, getattr(transformers, UPSAMPLER), transformers.AutoProcessor)
    return flux3.upsample(order, opened, opened.reader, most_tokens)


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


class FolderWriter:
    """A causal language model of transformers, opened at its first use and gone with this object."""

    def __init__(self, name: str, folder: Path):
        self._name, self._folder = name, folder
        self._opened: OpenedFolder | None = None

    @_memory_may_run_out()
    def write(self, instructions: str, request: str, seed: int) -> str:
        try:
            if self._opened is None:
                from transformers import AutoModelForCausalLM, AutoTokenizer

                self._opened = open_folder("local_model", self._name, self._folder, AutoModelForCausalLM, AutoTokenizer)
            return self._generate(self._opened, instructions, request, seed)
        except ModelFilesError as error:
            raise WriterError(str(error)) from None

    @torch.no_grad()
    def _generate(self, opened: OpenedFolder, instructions: str, request: str, seed: int) -> str:
        device, reader = opened.device, opened.reader
        ids = self._tokens(reader, instructions, request)["input_ids"].to(device)
        if ids.shape[1] + MOST_NEW_TOKENS > getattr(opened.model.config, "max_position_embeddings", 2**31):
            raise WriterError(f"the request has {ids.shape[1]} tokens, more than this model reads")
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            written = opened.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=MOST_NEW_TOKENS,
                do_sample=True,
                temperature=TEMPERATURE,
                top_k=TOP_K,
                top_p=TOP_P,
                repetition_penalty=REPETITION,
                pad_token_id=reader.pad_token_id or reader.eos_token_id,
            )
        return reader.decode(written[0, ids.shape[1] :], skip_special_tokens=True)

    @staticmethod
    def _tokens(reader: Any, instructions: str, request: str) -> Any:
        """The two parts in the model's own chat template; one after the other where it has none, or none for a system."""
        if reader.chat_template is None:
            return reader(f"{instructions}\n\n{request}\n\n", return_tensors="pt")
        from jinja2 import TemplateError

        def templated(messages: list[dict[str, str]]) -> Any:
            return reader.apply_chat_template(
                messages, add_generation_prompt=True, return_tensors="pt", return_dict=True, enable_thinking=False
            )

        try:
            return templated([{"role": "system", "content": instructions}, {"role": "user", "content": request}])
        except TemplateError:
            return templated([{"role": "user", "content": f"{instructions}\n\n{request}"}])
