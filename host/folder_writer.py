"""A folder of a causal language model, asked to write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ..studio.errors import ModelFilesError
from ..studio.prompt.writers import MOST_NEW_TOKENS, WriterError
from .language_models import REPETITION, TEMPERATURE, TOP_K, TOP_P, OpenedFolder, memory_may_run_out, open_folder


class FolderWriter:
    """A causal language model of transformers, opened at its first use and gone with this object."""

    def __init__(self, name: str, folder: Path):
        self._name, self._folder = name, folder
        self._opened: OpenedFolder | None = None

    @memory_may_run_out()
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
