"""What a run did, node by node: seconds, memory, weights moved, what was reused and what had to be done otherwise.

A recorder is told when things happen and looks at the machine at those moments, so that a step costs it microseconds.
Everything is bounded, whatever a run does.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import require_one_of

if TYPE_CHECKING:
    from .score import Score

JSON, PROMETHEUS = "JSON", "Prometheus"
TEXTS = (JSON, PROMETHEUS)
# Nodes; a node's notes, stages and counts; characters
MOST_NODES, MOST_NOTES, MOST_NAMES, LONGEST_LINE = (1000, 32, 64, 500)
MOST_SCORES = 1000  # pictures; the mean is of all
READING_INTERVAL = 0.1  # seconds between two looks at the machine while a node is at work
WAITING, RUNNING, DONE, CACHED, STOPPED = "waiting", "running", "done", "cached", "stopped"


class Reading(NamedTuple):
    """The machine at one moment. Bytes."""

    ram: int  # resident memory of this process
    ram_peak: int  # the most it ever was
    vram_peak: int | None  # the most that torch had allocated since the last `new_peak`; None without a GPU
    models: Mapping[Hashable, int]  # weights on their devices, by model


class Machine(NamedTuple):
    """How to look at the machine."""

    read: Callable[[], Reading]
    new_peak: Callable[[], None]  # from here on `vram_peak` counts anew


@dataclass
class NodeRecord:
    """What one node of a run did. Bytes and seconds."""

    id: str
    type: str
    status: str = WAITING
    seconds: float = 0.0
    steps: int = 0  # progress as the node told it
    first_step: float | None = None  # seconds until the first step was done, loading included
    step_seconds: float | None = None  # each, after the first
    ram_peak: int = 0
    vram_peak: int | None = None
    loaded: int = 0  # bytes of weights brought to a device
    freed: int = 0
    stages: dict[str, float] = field(default_factory=dict)  # seconds
    counts: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    fallbacks: list[str] = field(default_factory=list)
    score: Score | None = None


class Recorder:
    """Collects the records of one run, told by its host when nodes start, step and finish."""

    def __init__(self, run: str, machine: Machine, clock: Callable[[], float] = time.perf_counter):
        self.run = run
        self.left_out = 0  # nodes beyond MOST_NODES
        self._machine, self._clock = machine, clock
        self._began = self._last_news_at = clock()
        self._stopped = False
        self._nodes: dict[str, NodeRecord] = {}
        self._started: dict[str, float] = {}
        self._first: dict[str, tuple[float, float]] = {}  # the first step: when, and how far
        self._last: Reading | None = None
        self._last_reading_at = -1.0

    def start(self, node: str, type: str) -> None:
        """A node goes to work; once more, where it had to wait for an input that it asked for late."""
        record = self._node(node, type)
        if node not in self._nodes:
            self.left_out += 1
            return
        record.status = RUNNING
        self._machine.new_peak()
        self._last = self._machine.read()
        self._last_news_at = self._last_reading_at = self._started[node] = self._clock()

    def step(self, node: str, done: float, total: float) -> None:
        """A node at work tells how far it has come."""
        began = self._started.get(node)
        if began is None:
            return
        self._last_news_at = now = self._clock()
        record = self._nodes[node]
        record.steps = int(total)
        if done > 0:
            if node not in self._first:
                self._first[node] = (now, done)
                record.first_step = now - began
            elif done > (first := self._first[node])[1]:
                record.step_seconds = (now - first[0]) / (done - first[1])
        if now - self._last_reading_at >= READING_INTERVAL:
            self._take_reading(record)
            self._last_reading_at = now

    def finish(self, node: str, type: str) -> None:
        """A node is done; one that was never started came out of the cache."""
        record = self._node(node, type)
        began = self._started.pop(node, None)
        if began is None:
            record.status = CACHED if record.status == WAITING else record.status
            return
        self._last_news_at = self._clock()
        record.seconds += self._last_news_at - began
        record.status = DONE
        self._take_reading(record)

    def cached(self, node: str, type: str) -> None:
        """A node whose result was needed and which did not run."""
        record = self._node(node, type)
        record.status = CACHED if record.status == WAITING else record.status

    def stop(self) -> None:
        """The run is over; what was still at work failed or was cancelled. It ended when it was last heard of."""
        for node, began in list(self._started.items()):
            self._nodes[node].seconds += self._last_news_at - began
            self._nodes[node].status = STOPPED
        self._started.clear()
        self._stopped = True

    def note(self, node: str, text: str, *, fallback: bool = False) -> None:
        """Something the node said; `fallback`: it did otherwise than asked."""
        record = self._node(node, "")
        texts = record.fallbacks if fallback else record.notes
        if len(texts) < MOST_NOTES:
            texts.append(text[:LONGEST_LINE])

    def count(self, node: str, what: str, amount: int = 1) -> None:
        """Add to one of the node's counts, such as prompts that were remembered."""
        counts = self._node(node, "").counts
        if what in counts or len(counts) < MOST_NAMES:
            counts[what] = counts.get(what, 0) + amount

    def judge(self, node: str, score: Score) -> None:
        """How well the node's pictures show what they should."""
        self._node(node, "").score = score

    @contextlib.contextmanager
    def stage(self, node: str, name: str) -> Iterator[None]:
        """The time of a part of the node's work."""
        stages, began = self._node(node, "").stages, self._clock()
        try:
            yield
        finally:
            if name in stages or len(stages) < MOST_NAMES:
                stages[name] = stages.get(name, 0.0) + self._clock() - began

    def summary(self) -> dict[str, Any]:
        """Everything so far, as JSON takes it; a node that is at work counts up to now."""
        now = self._last_news_at if self._stopped else self._clock()
        records = list(self._nodes.values())
        nodes = []
        for record in records:
            seconds, began = record.seconds, self._started.get(record.id)  # once: the node may finish meanwhile
            nodes.append(_described(record, seconds if began is None else seconds + now - began))
        vram = [record.vram_peak for record in records if record.vram_peak is not None]
        counts: dict[str, int] = {}
        for record in records:
            for what, amount in dict(record.counts).items():  # another thread may be asking
                counts[what] = counts.get(what, 0) + amount
        totals = {
            "seconds": round(now - self._began, 6),
            "nodes": len(records) + self.left_out,
            "nodes_left_out": self.left_out,
            "cached_nodes": sum(record.status == CACHED for record in records),
            "ram_peak_bytes": max((record.ram_peak for record in records), default=0),
            "vram_peak_bytes": max(vram, default=None),
            "loaded_bytes": sum(record.loaded for record in records),
            "freed_bytes": sum(record.freed for record in records),
            "fallbacks": sum(len(record.fallbacks) for record in records),
            "counts": counts,
        }
        return {"run": self.run, "nodes": nodes, "totals": totals}

    def _node(self, node: str, type: str) -> NodeRecord:
        record = self._nodes.get(node)
        if record is None:
            record = NodeRecord(node[:LONGEST_LINE], type[:LONGEST_LINE])
            if len(self._nodes) < MOST_NODES:  # beyond, it is written to and forgotten
                self._nodes[node] = record
        record.type = record.type or type[:LONGEST_LINE]
        return record

    def _take_reading(self, record: NodeRecord) -> None:
        """What has changed since the last look is this node's doing."""
        before, now = self._last, self._machine.read()
        self._last = now
        # The process's own peak is exact, where it rose; else the node stayed below it, and what was seen must do.
        rose = before is not None and now.ram_peak > before.ram_peak
        record.ram_peak = max(record.ram_peak, now.ram, now.ram_peak if rose else 0)
        if now.vram_peak is not None:
            record.vram_peak = max(record.vram_peak or 0, now.vram_peak)
        earlier = before.models if before is not None else {}
        if now.models != earlier:
            for model in {*now.models, *earlier}:
                change = now.models.get(model, 0) - earlier.get(model, 0)
                record.loaded += max(0, change)
                record.freed += max(0, -change)


def _described(record: NodeRecord, seconds: float) -> dict[str, Any]:
    described = {
        "id": record.id,
        "type": record.type,
        "status": record.status,
        "seconds": round(seconds, 6),
    }
    if record.steps:
        described["steps"] = record.steps
    if record.first_step is not None:
        described["seconds_to_first_step"] = round(record.first_step, 6)
    if record.step_seconds is not None:
        described["seconds_per_step"] = round(record.step_seconds, 6)
    if record.ram_peak:
        described["ram_peak_bytes"] = record.ram_peak
    if record.vram_peak is not None:
        described["vram_peak_bytes"] = record.vram_peak
    described |= {"loaded_bytes": record.loaded, "freed_bytes": record.freed}
    described["stages"] = {name: round(seconds, 6) for name, seconds in dict(record.stages).items()}
    return {
        **described,
        "counts": dict(record.counts),
        "notes": list(record.notes),
        "fallbacks": list(record.fallbacks),
        **({"clip_score": _judged(record.score)} if record.score is not None else {}),
    }


def _judged(score: Score) -> dict[str, Any]:
    values = score.pictures
    return {
        "model": score.model[:LONGEST_LINE],
        "mean": round(sum(values) / len(values), 4),
        "pictures": [round(value, 4) for value in values[:MOST_SCORES]],
        "pictures_left_out": max(0, len(values) - MOST_SCORES),
    }


def text_of(summary: Mapping[str, Any], format: str) -> str:
    """A summary as JSON or as Prometheus text. Raises InputError for another format.

    Halves of surrogate pairs, which a prompt can bring as names of nodes, become JSON's escapes, or question marks.
    """
    require_one_of("format", format, TEXTS)
    if format == JSON:
        return json.dumps(summary, indent=2, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()
    return prometheus(summary).encode("utf-8", "replace").decode()


def headline(summary: Mapping[str, Any]) -> str:
    """The totals in a line."""
    totals = summary["totals"]
    vram = totals["vram_peak_bytes"]
    scores = [node["clip_score"] for node in summary["nodes"] if "clip_score" in node]
    return (
        f"{totals['seconds']:.2f} s, {totals['nodes']} nodes ({totals['cached_nodes']} cached), "
        + f"{totals['ram_peak_bytes'] / 2**30:.2f} GiB of memory at most, "
        + (f"{vram / 2**30:.2f} GiB of the GPU's, " if vram is not None else "")
        + f"{totals['loaded_bytes'] / 2**20:.1f} MiB of weights loaded, {totals['freed_bytes'] / 2**20:.1f} freed, "
        + f"{totals['fallbacks']} fallbacks"
        + "".join(f", CLIP score {score['mean']:.2f} ({score['model']})" for score in scores)
    )


METRICS = {
    "seconds": "Time at work.",
    "seconds_to_first_step": "Time until the first step was done, loading included.",
    "seconds_per_step": "Time of a step after the first.",
    "steps": "Steps.",
    "ram_peak_bytes": "Most memory of the process that was seen.",
    "vram_peak_bytes": "Most GPU memory allocated by torch.",
    "loaded_bytes": "Weights brought to a device.",
    "freed_bytes": "Weights taken off a device.",
}


def prometheus(summary: Mapping[str, Any]) -> str:
    """Gauges in Prometheus' text format (version 0.0.4), a sample for each node that has the figure."""
    run, lines = summary["run"], []

    def family(name: str, help: str, samples: list[tuple[dict[str, str], float]]) -> None:
        if samples:
            lines.extend([f"# HELP {name} {help}", f"# TYPE {name} gauge"])
            lines.extend(f"{name}{{{_labels({'run': run, **labels})}}} {value}" for labels, value in samples)

    nodes = [({"node": node["id"], "type": node["type"]}, node) for node in summary["nodes"]]
    for key, help in METRICS.items():
        family(f"storefront_node_{key}", help, [(labels, node[key]) for labels, node in nodes if key in node])
    family(
        "storefront_node_status",
        "1 for the status that a node has.",
        [({**n, "status": v["status"]}, 1) for n, v in nodes],
    )
    family(
        "storefront_node_fallbacks", "Times it did otherwise than asked.", [(n, len(v["fallbacks"])) for n, v in nodes]
    )
    for key, label in (("stages", "stage"), ("counts", "what")):
        name = {"stages": "storefront_stage_seconds", "counts": "storefront_node_count"}[key]
        family(name, f"By {label}.", [({**n, label: part}, x) for n, v in nodes for part, x in v[key].items()])
    scores = [
        ({**labels, "model": node["clip_score"]["model"], "picture": str(number)}, value)
        for labels, node in nodes
        if "clip_score" in node
        for number, value in enumerate(node["clip_score"]["pictures"])
    ]
    family("storefront_clip_score", "100 times the cosine between picture and prompt, by CLIP.", scores)
    for key, value in summary["totals"].items():
        if isinstance(value, int | float):
            family(f"storefront_run_{key}", "Of the whole run.", [({}, value)])
    return "\n".join(lines) + "\n"


def _labels(labels: Mapping[str, str]) -> str:
    def quoted(value: str) -> str:
        return '"' + value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n") + '"'

    return ",".join(f"{name}={quoted(value)}" for name, value in labels.items())
