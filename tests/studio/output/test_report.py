"""The recorder against a clock and a machine that the test turns by hand: every figure is known beforehand."""

from __future__ import annotations

import json
import re

import pytest
from storefront.studio.errors import InputError
from storefront.studio.output import report
from storefront.studio.output.report import Machine, Reading, Recorder
from storefront.studio.output.score import Score


class Bench:
    """A machine whose state the test sets."""

    def __init__(self, vram: int | None = 0):
        self.now, self.ram, self.ram_peak, self.vram_peak, self.looks = 0.0, 100, 100, vram, 0
        self.models: dict[str, int] = {}
        self.recorder = Recorder("run", Machine(self.read, self.new_peak), lambda: self.now)

    def read(self) -> Reading:
        self.looks += 1
        return Reading(self.ram, self.ram_peak, self.vram_peak, dict(self.models))

    def new_peak(self) -> None:
        if self.vram_peak is not None:
            self.vram_peak = 0

    def node(self, id: str) -> dict:
        return next(node for node in self.recorder.summary()["nodes"] if node["id"] == id)


def test_seconds_steps_memory_and_weights():
    bench = Bench()
    recorder = bench.recorder
    recorder.start("1", "Load")
    bench.now, bench.models, bench.ram, bench.ram_peak = 2.0, {"a": 50, "b": 10}, 300, 900
    recorder.finish("1", "Load")
    recorder.start("2", "Sample")
    bench.now, bench.vram_peak = 5.0, 7000
    recorder.step("2", 1, 4)
    for done in (2, 3, 4):
        bench.now += 0.5
        recorder.step("2", done, 4)
    bench.models = {"b": 4, "c": 30}
    bench.now = 7.0
    recorder.finish("2", "Sample")
    load, sample = bench.node("1"), bench.node("2")
    assert (load["seconds"], load["loaded_bytes"], load["freed_bytes"]) == (2.0, 60, 0)
    assert load["ram_peak_bytes"] == 900  # the process's peak rose during this node
    assert sample["ram_peak_bytes"] == 300  # and not during this one
    assert sample["vram_peak_bytes"] == 7000
    assert (sample["seconds"], sample["steps"]) == (5.0, 4)
    assert (sample["seconds_to_first_step"], sample["seconds_per_step"]) == (3.0, 0.5)
    assert (sample["loaded_bytes"], sample["freed_bytes"]) == (30, 56)
    totals = recorder.summary()["totals"]
    assert (totals["seconds"], totals["loaded_bytes"], totals["freed_bytes"]) == (7.0, 90, 56)
    assert (totals["ram_peak_bytes"], totals["vram_peak_bytes"]) == (900, 7000)


def test_what_happens_between_nodes_is_no_node_s():
    bench = Bench(vram=None)
    bench.recorder.start("1", "A")
    bench.recorder.finish("1", "A")
    bench.models = {"a": 50}
    bench.recorder.start("2", "B")
    bench.recorder.finish("2", "B")
    assert bench.recorder.summary()["totals"]["loaded_bytes"] == 0
    assert "vram_peak_bytes" not in bench.node("2")


def test_statuses():
    bench = Bench()
    recorder = bench.recorder
    recorder.finish("1", "Cached")
    recorder.cached("2", "Above it")
    for id in ("3", "4", "5"):
        recorder.start(id, "Runs")
    recorder.finish("3", "Runs")
    recorder.cached("3", "Runs")
    bench.now = 4.0
    assert [bench.node(id)["status"] for id in "12345"] == ["cached", "cached", "done", "running", "running"]
    assert bench.node("4")["seconds"] == 4.0
    recorder.step("5", 1, 2)
    bench.now = 60.0  # nothing more is heard of it
    recorder.stop()
    bench.now = 90.0
    assert [bench.node(id)["status"] for id in "45"] == ["stopped", "stopped"]
    assert bench.node("4")["seconds"] == 4.0
    assert recorder.summary()["totals"]["seconds"] == 4.0
    assert recorder.summary()["totals"]["cached_nodes"] == 2


def test_stages_counts_notes_and_fallbacks_add_up():
    bench = Bench()
    recorder = bench.recorder
    for seconds in (1.0, 2.5):
        with recorder.stage("1", "read"):
            bench.now += seconds
    for node in "12":
        recorder.count(node, "remembered", 2)
    recorder.note("1", "licence")
    recorder.note("1", "in tiles", fallback=True)
    node = bench.node("1")
    assert (node["stages"], node["counts"]) == ({"read": 3.5}, {"remembered": 2})
    assert (node["notes"], node["fallbacks"]) == (["licence"], ["in tiles"])
    assert recorder.summary()["totals"]["counts"] == {"remembered": 4}
    assert recorder.summary()["totals"]["fallbacks"] == 1


def test_it_stays_small_whatever_a_run_does():
    bench = Bench()
    recorder = bench.recorder
    for number in range(3000):
        node = str(number)
        recorder.start(node, "T" * 10_000)
        recorder.step(node, 1, 2)
        recorder.note(node, "n" * 10_000)
        recorder.finish(node, "T")
    for number in range(10_000):
        recorder.note("0", f"{number}", fallback=True)
        recorder.count("0", f"{number}")
        with recorder.stage("0", f"{number}"):
            pass
        recorder.step("0", number, 10_000)
    summary = recorder.summary()
    assert len(summary["nodes"]) == report.MOST_NODES
    assert summary["totals"]["nodes"] == 3000
    assert summary["totals"]["nodes_left_out"] == 2000
    assert len(json.dumps(summary)) < 2_000_000
    assert not recorder._started


def test_a_step_looks_at_the_machine_ten_times_a_second_at_most():
    bench = Bench()
    bench.recorder.start("1", "A")
    before = bench.looks
    for step in range(1000):
        bench.now += 0.001
        bench.recorder.step("1", step, 1000)
    assert 8 <= bench.looks - before <= 10


def test_json_and_prometheus_say_the_same():
    bench = Bench()
    bench.recorder.start('a"\\\nb', "T")
    bench.now = 1.5
    bench.recorder.count('a"\\\nb', "prompts")
    bench.recorder.note('a"\\\nb', "tiles", fallback=True)
    bench.recorder.finish('a"\\\nb', "T")
    summary = bench.recorder.summary()
    assert json.loads(report.text_of(summary, "JSON")) == summary
    lines = report.text_of(summary, "Prometheus").splitlines()
    sample = re.compile(r'[a-z_]+\{(?:[a-z_]+="(?:[^"\\\n]|\\[\\n"])*",?)*\} -?[0-9.e+-]+')
    assert all(line.startswith(("# HELP ", "# TYPE ")) or sample.fullmatch(line) for line in lines)
    assert 'storefront_node_seconds{run="run",node="a\\"\\\\\\nb",type="T"} 1.5' in lines
    assert 'storefront_node_fallbacks{run="run",node="a\\"\\\\\\nb",type="T"} 1' in lines
    assert 'storefront_run_seconds{run="run"} 1.5' in lines
    assert [line.split()[2] for line in lines if line.startswith("# TYPE")] == sorted(
        {line.split("{")[0] for line in lines if not line.startswith("#")},
        key=[line.split("{")[0] for line in lines].index,
    )


def test_a_score_stands_with_its_node():
    bench = Bench()
    bench.recorder.start("1", "StorefrontReport")
    bench.recorder.judge("1", Score("my clip", (20.0, 25.00004)))
    summary = bench.recorder.summary()
    assert bench.node("1")["clip_score"] == {
        "model": "my clip",
        "mean": 22.5,
        "pictures": [20.0, 25.0],
        "pictures_left_out": 0,
    }
    lines = report.text_of(summary, "Prometheus").splitlines()
    assert "# TYPE storefront_clip_score gauge" in lines
    labels = 'run="run",node="1",type="StorefrontReport",model="my clip"'
    assert f'storefront_clip_score{{{labels},picture="1"}} 25.0' in lines
    assert "CLIP score 22.50 (my clip)" in report.headline(summary)
    bench.recorder.judge("1", Score("my clip", (1.0,) * 1500 + (3.0,) * 1500))
    long = bench.node("1")["clip_score"]
    assert (len(long["pictures"]), long["pictures_left_out"], long["mean"]) == (1000, 2000, 2.0)


def test_without_a_score_there_is_none():
    bench = Bench()
    bench.recorder.start("1", "A")
    assert "clip" not in report.text_of(bench.recorder.summary(), "JSON")
    assert "clip" not in report.text_of(bench.recorder.summary(), "Prometheus")
    assert "CLIP" not in report.headline(bench.recorder.summary())


def test_another_format_is_refused_by_name():
    with pytest.raises(InputError, match="format"):
        report.text_of(Bench().recorder.summary(), "XML")


def test_halves_of_surrogate_pairs_can_be_sent():
    bench = Bench()
    bench.recorder.start("n\ud83d", "A")
    bench.recorder.note("n\ud83d", "딸기 \udc00")
    summary = bench.recorder.summary()
    text = report.text_of(summary, report.JSON)
    assert json.loads(text.encode()) == summary
    assert "딸기" in text
    assert 'node="n?"' in report.text_of(summary, report.PROMETHEUS).encode().decode()
