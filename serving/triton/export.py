"""A model repository of Triton for one model: a config.pbtxt and a model.py for each stage."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import NamedTuple

from ...studio.atomic import write
from ...studio.errors import InputError, require_number, require_one_of
from ...studio.opening.folders import read_json
from ...studio.opening.models import Description, ModelFiles, describe
from .. import stages
from ..about import About

PACK = Path(__file__).resolve().parents[2]
FAMILIES = ("FLUX.1",)
# Microseconds that the first request waits for others.
DELAYS = {stages.TRANSFORMER: 2000}
OTHER_DELAY = 1000
QUEUE = 256  # requests that wait for a stage; more are refused at once, as UNAVAILABLE
LONGEST_WAIT = 120_000_000  # microseconds in a queue
ENCODERS = (stages.CLIP, stages.T5)

MODEL_PY = r'''"""{name}: a stage of {model} on NVIDIA Triton. `python {name}/1/model.py` runs it without Triton."""

import importlib.util
import json
import re
import sys
from pathlib import Path


def parameters():
    """Those of config.pbtxt, which lies one folder up."""
    text = (Path(__file__).resolve().parents[1] / "config.pbtxt").read_text("utf-8")
    found = re.findall(r'parameters {{ key: "(\w+)" value {{ string_value: ("(?:[^"\\]|\\.)*") }} }}', text)
    return {{name: json.loads(value) for name, value in found}}


def load_pack(root):
    """The project's folder as the package `storefront`, whatever it is called."""
    if "storefront" not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            "storefront", Path(root) / "__init__.py", submodule_search_locations=[root]
        )
        module = sys.modules["storefront"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)


load_pack(parameters()["pack"])

if __name__ == "__main__":
    from storefront.serving.triton.alone import run

    sys.exit(run("{name}", parameters()))

{offer}
'''
_OFFER = {
    True: "from storefront.serving.triton.orchestrator import OrchestratorModel as TritonPythonModel  # noqa: E402, F401",
    False: 'from storefront.serving.triton.stage import model_for  # noqa: E402\n\nTritonPythonModel = model_for("{name}")',
}


class Deployment(NamedTuple):
    """Where the stages run."""

    device: str = "cpu"  # "cpu" or "gpu"
    instances: int = 1  # of the transformer; on cards one after the other
    threads: int = 1  # of a stage on the CPU
    delay: int | None = None  # microseconds, in place of DELAYS
    largest: int = 2048  # pixels of a picture's width, and of its height

    def check(self) -> None:
        """Raise InputError for what cannot be."""
        require_one_of("device", self.device, ("cpu", "gpu"))
        require_number("instances", self.instances, 1, 64)
        require_number("threads", self.threads, 1, 1024)
        require_number("largest", self.largest, 16, 16384)
        if self.delay is not None:
            require_number("delay", self.delay, 0, 1_000_000)


def export(model: Path, target: Path, deployment: Deployment = Deployment()) -> list[str]:  # noqa: B008, a frozen value
    """Write the repository of `model` into `target`; the names of its stages. Reads headers and configs, no weights.

    Raises ModelFilesError for a model that is not whole, InputError for one that cannot be split, and for a folder that
    holds something else.
    """
    deployment.check()
    described = describe(ModelFiles.whole(model.resolve()))
    if described.family.name not in FAMILIES:
        wanted = f"a model of {', '.join(FAMILIES)}; this is a {described.family.name}"
        raise InputError("model", described.name, wanted)
    if described.edition.beside_noise:
        raise InputError(
            "model", described.name, "one that draws from words: a Fill or Control edition wants pictures beside"
        )
    facts = (*stages.stages_of(described), stages.ORDERS)
    _require_ours(target, {stage.name for stage in facts})
    parameters = {
        "pack": str(PACK),
        "model": str(model.resolve()),
        "dtype": "bf16" if deployment.device == "gpu" else "fp32",
        "side": str(_side(described)),
        "largest": str(deployment.largest),
        "threads": str(deployment.threads),
    }
    for stage in facts:
        told = {stages.DESCRIBED: About.of(described, _side(described)).to_text()} if stage is stages.ORDERS else {}
        _write_stage(target / stage.name, stage, parameters | told, deployment, described.name)
    return [stage.name for stage in facts]


def _side(described: Description) -> int:
    """Pixels of the square that the model draws best."""
    config = described.paths[0] / "vae" / "config.json"
    found = read_json(config).get("sample_size") if config.is_file() else None
    return found if isinstance(found, int) and found >= 16 else 1024


def _require_ours(target: Path, names: set[str]) -> None:
    """Raise InputError where the folder has something else in it: Triton reads every folder there as a model."""
    if target.exists() and not target.is_dir():
        raise InputError("dest", str(target), "a folder")
    others = sorted(path.name for path in target.iterdir() if path.name not in names) if target.is_dir() else []
    if others:
        raise InputError("dest", str(target), f"an empty or new folder; this one holds {', '.join(others[:3])}")


def _write_stage(
    folder: Path, facts: stages.StageFacts, parameters: dict[str, str], deployment: Deployment, model: str
) -> None:
    (folder / "1").mkdir(parents=True, exist_ok=True)
    offer = _OFFER[facts.name == stages.ORCHESTRATOR].format(name=facts.name)
    code = MODEL_PY.format(name=facts.name, model=model.replace('"', "'").replace("\\", "/"), offer=offer)
    write(folder / "1" / "model.py", code.encode(), 0o644)
    cache = folder / "1" / "__pycache__"
    if cache.is_dir():
        shutil.rmtree(cache)
    write(cache, b"", 0o644)  # a file, so that Python puts nothing here: Triton loads a stage anew whose folder changes
    write(folder / "config.pbtxt", config(facts, parameters, deployment).encode(), 0o644)


def config(facts: stages.StageFacts, parameters: dict[str, str], deployment: Deployment) -> str:
    """The text of a stage's config.pbtxt."""
    bls = facts.name == stages.ORCHESTRATOR
    lines = [f'name: "{facts.name}"', 'backend: "python"', f"max_batch_size: {0 if bls else stages.ROWS_TOGETHER}"]
    lines += [_tensor("input", wire._replace(optional=True) if facts.instead else wire) for wire in facts.inputs]
    lines += [_tensor("input", wire._replace(optional=True)) for wire in facts.instead]
    lines += [_tensor("output", wire) for wire in facts.outputs]
    lines.append(_instances(facts.name, deployment))
    if bls:
        lines.append("model_transaction_policy { decoupled: true }")
    else:
        delay = DELAYS.get(facts.name, OTHER_DELAY) if deployment.delay is None else deployment.delay
        policy = f"max_queue_size: {QUEUE} default_timeout_microseconds: {LONGEST_WAIT} timeout_action: REJECT"
        policy += " allow_timeout_override: true"
        batching = f"max_queue_delay_microseconds: {delay} default_queue_policy {{ {policy} }}"
        lines.append(f"dynamic_batching {{ {batching} }}")
    if facts.name in ENCODERS:
        lines.append("response_cache { enable: true }")
    lines += [
        f'parameters {{ key: "{name}" value {{ string_value: {json.dumps(value, ensure_ascii=False)} }} }}'
        for name, value in parameters.items()
    ]
    return "\n".join(lines) + "\n"


def _tensor(kind: str, wire: stages.Wire) -> str:
    optional = " optional: true" if wire.optional else ""
    return f'{kind} {{ name: "{wire.name}" data_type: TYPE_{wire.dtype} dims: {list(wire.dims)}{optional} }}'


def _instances(name: str, deployment: Deployment) -> str:
    if name == stages.ORCHESTRATOR or deployment.device == "cpu":
        count = deployment.instances if name == stages.TRANSFORMER else 1
        return f"instance_group [ {{ kind: KIND_CPU count: {count} }} ]"
    count = deployment.instances if name == stages.TRANSFORMER else 1
    return f"instance_group [ {{ kind: KIND_GPU count: {count} }} ]"
