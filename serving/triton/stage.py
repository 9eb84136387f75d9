"""What a stage runs inside Triton: the rows of all requests that were merged, through one module of the model."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ...studio.api.load import DTYPES
from ...studio.errors import InputError
from ...studio.opening.models import Description, ModelFiles, describe
from ...studio.out_of_memory import OutOfMemory, in_parts, ran_out
from ...studio.sampling.encode import pooled_embedding, sequence_embedding
from ...studio.weights.linear import expand_at_use
from .. import stages
from ..region import Opened
from .given import Embeds, Given, alike, read

log = logging.getLogger(__name__)

OUT_OF_MEMORY = "OUT_OF_MEMORY"  # begins the text of an error, since Triton has no code for it


def parameters_of(args: Mapping[str, str]) -> dict[str, str]:
    """The `parameters` of config.pbtxt."""
    found = json.loads(args["model_config"]).get("parameters", {})
    return {name: value["string_value"] for name, value in found.items()}


def opened(parameters: Mapping[str, str]) -> Description:
    """The model that a repository was exported from."""
    return describe(ModelFiles.whole(Path(parameters["model"])))


def device_of(args: Mapping[str, str]) -> torch.device:
    """The one that Triton gave to this instance."""
    if args.get("model_instance_kind", "CPU").upper().endswith("GPU"):
        return torch.device(f"cuda:{args.get('model_instance_device_id', '0')}")
    return torch.device("cpu")


class StageModule:
    """One module of the model, with what its stage takes and gives."""

    def __init__(self, facts: stages.StageFacts, described: Description, dtype: torch.dtype, device: torch.device):
        part = described.component(facts.component)
        self.facts, self.dtype, self.device = facts, dtype, device
        self.module: Any = expand_at_use(part.load(dtype, True)).to(device)

    @torch.no_grad()
    def rows(self, given: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The output [B, ...], float32 on the CPU, of inputs [B, ...] whose given.SHARED_INPUTS are the same in all rows."""
        return WORK[self.facts.name](self, given).float().cpu()

    def of(self, given: Mapping[str, torch.Tensor], name: str) -> torch.Tensor:
        """An input where the module computes: whole numbers as they are, others in its dtype."""
        value = given[name]
        return value.to(self.device) if value.dtype == torch.int64 else value.to(self.device, self.dtype)


def _clip(stage: StageModule, given: Mapping[str, torch.Tensor]) -> torch.Tensor:
    return pooled_embedding(stage.module, stage.of(given, "input_ids"))


def _t5(stage: StageModule, given: Mapping[str, torch.Tensor]) -> torch.Tensor:
    return sequence_embedding(stage.module, stage.of(given, "input_ids"))


def _transformer(stage: StageModule, given: Mapping[str, torch.Tensor]) -> torch.Tensor:
    embeds = stage.module.config.guidance_embeds
    return stage.module(
        hidden_states=stage.of(given, "latents"),
        timestep=stage.of(given, "timestep")[:, 0],
        # float32, as the pipeline has it
        guidance=given["guidance"].to(stage.device)[:, 0] if embeds else None,
        pooled_projections=stage.of(given, "clip_embeds"),
        encoder_hidden_states=stage.of(given, "t5_embeds"),
        txt_ids=given["text_ids"][0].to(stage.device),
        img_ids=given["latent_image_ids"][0].to(stage.device),
        return_dict=False,
    )[0]


def _encode(stage: StageModule, given: Mapping[str, torch.Tensor]) -> torch.Tensor:
    return stage.module.encode(stage.of(given, "images")).latent_dist.mode()


def _decode(stage: StageModule, given: Mapping[str, torch.Tensor]) -> torch.Tensor:
    return stage.module.decode(stage.of(given, "latents"), return_dict=False)[0]


WORK = {
    stages.CLIP: _clip,
    stages.T5: _t5,
    stages.TRANSFORMER: _transformer,
    stages.VAE_ENCODER: _encode,
    stages.VAE_DECODER: _decode,
}


# --- inside Triton ----------------------------------------------------------------------------------------------------


class StageModel:
    """What Triton's Python backend calls. `model_for` gives it the name of its stage."""

    name = ""

    def initialize(self, args: Mapping[str, str]) -> None:
        import triton_python_backend_utils as utils

        self.utils = utils
        parameters = parameters_of(args)
        torch.set_num_threads(int(parameters["threads"]))
        device = device_of(args)
        described = opened(parameters)
        facts = next(facts for facts in stages.stages_of(described) if facts.name == self.name)
        self.embeds = Embeds()
        self.stage = StageModule(facts, described, DTYPES[parameters["dtype"]], device)

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """A response for each request, in order. What is wrong with one of them is no other's error."""
        responses: list[Any] = [None] * len(requests)
        groups: dict[Any, list[tuple[int, Given]]] = {}
        for index, request in enumerate(requests):
            try:
                given = self._read(request)
                groups.setdefault(alike(given.tensors), []).append((index, given))
            except Exception as error:
                responses[index] = self._failed(error)
        for members in groups.values():
            for index, response in zip([index for index, _ in members], self._together(members)):
                responses[index] = response
        return responses

    def _read(self, request: Any) -> Given:
        facts, tensors, texts = self.stage.facts, {}, {}
        for wire in facts.inputs:
            tensor = self.utils.get_input_tensor_by_name(request, wire.name)
            if tensor is not None:
                tensors[wire.name] = torch.from_dlpack(tensor.to_dlpack())
        for wire in facts.instead:
            tensor = self.utils.get_input_tensor_by_name(request, wire.name)
            if tensor is not None:
                texts[wire.name] = [str(text, "utf-8", "replace") for text in tensor.as_numpy().reshape(-1)]
        return read(facts, tensors, texts, self.embeds, getattr(self.stage.module.config, "vocab_size", 0))

    def _together(self, members: list[tuple[int, Given]]) -> list[Any]:
        tensors = [given.tensors for _, given in members]
        rows = {name: torch.cat([each[name] for each in tensors]) for name in tensors[0]}
        counts = [len(next(iter(each.values()))) for each in tensors]
        failed = OutOfMemory("rows", 1, f"a smaller picture or text for {self.name}, or less else in memory")

        def part(some: slice) -> torch.Tensor:
            return self.stage.rows({name: value[some] for name, value in rows.items()})

        try:
            out = in_parts(sum(counts), part, self._say, failed, "rows")
        except Exception as error:
            log.exception("Storefront: %s", self.name)
            return [self._failed(error) for _ in members]
        return [self._answered(given, one.contiguous()) for (_, given), one in zip(members, out.split(counts))]

    def _answered(self, given: Given, out: torch.Tensor) -> Any:
        if given.region is None:
            tensor = self.utils.Tensor.from_dlpack(self.stage.facts.answer.name, out)
            return self.utils.InferenceResponse([tensor])
        try:
            with Opened(given.region) as region:
                region.write(memoryview(out.numpy()).cast("B"))
        except Exception as error:
            return self._failed(error)
        each = torch.full((len(out), 1), out[0].numel() * out.element_size(), dtype=torch.int64)
        return self.utils.InferenceResponse([self.utils.Tensor.from_dlpack(stages.IN_REGION, each)])

    def _say(self, note: str) -> None:
        log.warning("Storefront: %s: %s", self.name, note)

    def _failed(self, error: Exception) -> Any:
        codes = self.utils.TritonError
        if ran_out(error):
            return self.utils.InferenceResponse(error=codes(f"{OUT_OF_MEMORY}: {error}", codes.UNAVAILABLE))
        if isinstance(error, InputError):
            return self.utils.InferenceResponse(error=codes(str(error), codes.INVALID_ARG))
        return self.utils.InferenceResponse(error=codes(f"{type(error).__name__}: {error}", codes.INTERNAL))


def model_for(name: str) -> type:
    """The class that a stage's model.py offers to Triton."""
    return type("TritonPythonModel", (StageModel,), {"name": name})
