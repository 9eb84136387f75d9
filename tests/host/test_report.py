"""The report of real prompts: every node with its figures, what was reused, and nothing of another prompt."""

from __future__ import annotations

import json
import time
import urllib.error
import uuid

import pytest
from comfyui import node, text_to_image


def with_report(format: str = "JSON", added: dict | None = None, **changes) -> dict:
    """The bundled workflow, saved by Save Image and reported on from there."""
    nodes = {
        "20": node("StorefrontSaveImage", image=["5", 0], kind="final", filename="report"),
        "21": node("StorefrontReport", value=["20", 1], format=format),
        **(added or {}),
    }
    workflow = text_to_image(nodes, **changes)
    del workflow["6"]
    return workflow


def reported(result) -> dict:
    assert result.ok, result.error
    return json.loads(result.history["outputs"]["21"]["text"][0])


def nodes_of(summary: dict) -> dict[str, dict]:
    return {entry["id"]: entry for entry in summary["nodes"]}


@pytest.mark.usefixtures("no_traceback")
class TestWorks:
    def test_every_node_has_its_figures(self, comfyui):
        prompt = f"a red mug {time.time()}"
        before = time.monotonic()
        result = comfyui.run(with_report(Sample={"steps": 6, "seed": 31}, Encode={"prompt": prompt}))
        took = time.monotonic() - before
        summary = reported(result)
        nodes = nodes_of(summary)
        assert set(nodes) == {"1", "2", "3", "4", "5", "20", "21"}
        assert nodes["20"]["counts"] == {}
        assert nodes["4"]["type"] == "StorefrontSample"
        assert nodes["4"]["steps"] == 6
        assert 0 < nodes["4"]["seconds_per_step"] < nodes["4"]["seconds"] < took
        assert nodes["2"]["counts"] == {"prompts encoded": 1}
        assert nodes["21"]["status"] == "running"
        assert {nodes[id]["status"] for id in ("2", "4", "5", "20")} == {"done"}
        assert nodes["4"]["ram_peak_bytes"] > 50_000_000
        assert summary["totals"]["seconds"] <= took
        assert sum(entry["seconds"] for entry in nodes.values()) <= summary["totals"]["seconds"] + 0.01

    def test_weights_and_parts_of_loading(self, comfyui):
        """A dtype that no other test of this file loads: it is opened, and its weights go to the device."""
        summary = reported(comfyui.run(with_report(LoadModel={"weight_dtype": "bf16"}, Sample={"seed": 77})))
        nodes = nodes_of(summary)
        opened = nodes["1"]["counts"].get("models opened", 0) + nodes["1"]["counts"].get("models shared", 0)
        assert opened == 1
        if "models opened" in nodes["1"]["counts"]:
            assert set(nodes["1"]["stages"]) == {
                f"read {p}" for p in ("text_encoder", "text_encoder_2", "transformer", "vae")
            }
            assert sum(nodes["1"]["stages"].values()) <= nodes["1"]["seconds"]
            assert nodes["4"]["loaded_bytes"] > 1_000_000  # the transformer: 2 bytes a weight
        assert "licence" in " ".join(nodes["1"]["notes"])

    def test_the_second_run_comes_from_the_cache_and_is_reported_anew(self, comfyui):
        workflow = with_report(Sample={"seed": 32})
        first, second = reported(comfyui.run(workflow)), reported(comfyui.run(workflow))
        assert first["run"] != second["run"]
        cached = [id for id, entry in nodes_of(second).items() if entry["status"] == "cached"]
        assert sorted(cached) == ["1", "2", "20", "3", "4", "5"]
        assert second["totals"]["cached_nodes"] == 6
        again = with_report(Sample={"seed": 33})
        again["2"]["inputs"]["one_prompt_per_line"] = True
        assert nodes_of(reported(comfyui.run(again)))["2"]["counts"] == {"prompts remembered": 1}

    def test_what_was_done_otherwise_stands_among_the_fallbacks(self, comfyui):
        summary = reported(comfyui.run(with_report(Encode={"prompt": "word " * 300}, Decode={"tiling": "on"})))
        nodes = nodes_of(summary)
        assert any("cut off" in text for text in nodes["2"]["fallbacks"])
        assert "tiles" in nodes["5"]["fallbacks"][0]
        assert summary["totals"]["fallbacks"] == sum(len(entry["fallbacks"]) for entry in nodes.values()) >= 2

    def test_nothing_leaks_from_one_prompt_to_the_next(self, comfyui):
        comfyui.run(with_report(Encode={"prompt": "word " * 301}))
        without = text_to_image(
            {"30": node("EmptyImage", width=8, height=8, batch_size=1, color=1)}, Sample={"seed": 34}
        )
        assert comfyui.run(without).ok
        flat = {"1": node("EmptyImage", width=8, height=8, batch_size=1, color=int(time.time()) % 2**24)}
        summary = reported(comfyui.run({**flat, "21": node("StorefrontReport", value=["1", 0])}))
        assert set(nodes_of(summary)) == {"1", "21"}
        assert summary["totals"]["fallbacks"] == 0

    def test_prometheus(self, comfyui):
        result = comfyui.run(with_report("Prometheus", Sample={"seed": 35}))
        assert result.ok, result.error
        text = result.history["outputs"]["21"]["text"][0]
        assert 'type="StorefrontSample"} 8\n' in text  # storefront_node_steps
        assert "# TYPE storefront_run_seconds gauge" in text

    def test_a_list_is_one_value(self, comfyui):
        flat = {"1": node("EmptyImage", width=8, height=8, batch_size=3, color=5)}
        flat["2"] = node("RebatchImages", images=["1", 0], batch_size=1)
        result = comfyui.run({**flat, "21": node("StorefrontReport", value=["2", 0])})
        assert len(result.history["outputs"]["21"]["text"]) == 1
        assert set(nodes_of(reported(result))) == {"1", "2", "21"}

    def test_a_prompt_with_a_fingerprint_of_its_own(self, comfyui):
        """As those embedded in pictures: ComfyUI writes the fingerprint into the prompt."""
        workflow = with_report(Sample={"seed": 36})
        workflow["21"]["is_changed"] = ["x"]
        assert reported(comfyui.run(workflow))["nodes"] == []


def test_after_a_failed_prompt_the_next_report_is_clean(comfyui):
    failed = comfyui.run(with_report(Sample={"seed": 37, "cfg": 3.0}))
    assert not failed.ok
    summary = reported(comfyui.run(with_report(Sample={"seed": 38})))
    assert {entry["status"] for entry in summary["nodes"]} <= {"done", "cached", "running"}
    assert summary["run"] not in json.dumps(failed.history["status"])


def test_an_unknown_format_is_refused_by_name(comfyui):
    flat = {"1": node("EmptyImage", width=8, height=8, batch_size=1, color=5)}
    assert "format" in comfyui.run({**flat, "21": node("StorefrontReport", value=["1", 0], format="XML")}).error


def test_the_route_tells_of_a_whole_run_and_of_how_it_ended(comfyui):
    """What runs after the report node too; and what failed, where."""
    late = {"40": node("ImageInvert", image=["20", 1]), "41": node("PreviewImage", images=["40", 0])}
    prompt_id = comfyui.queue(with_report(added=late, Sample={"seed": 39}))
    assert comfyui.wait(prompt_id).ok
    summary = comfyui.get(f"/storefront/report/{prompt_id}")
    assert {"40", "41"} <= set(nodes_of(summary))
    assert {entry["status"] for entry in summary["nodes"]} <= {"done", "cached"}
    assert "error" not in summary
    assert comfyui.get(f"/storefront/report/{prompt_id}")["totals"] == summary["totals"]

    prompt_id = comfyui.queue(with_report(Sample={"seed": 40, "cfg": 3.0}))
    assert not comfyui.wait(prompt_id).ok
    summary = comfyui.get(f"/storefront/report/{prompt_id}")
    assert summary["error"]["node"] == "4"
    assert "negative" in summary["error"]["message"]
    assert nodes_of(summary)["4"]["status"] == "stopped"


def test_an_id_used_again_tells_of_the_run_under_way(comfyui):
    """A client may name its prompts; what the history holds of the first one is not how the second one ends."""
    id = str(uuid.uuid4())
    comfyui.queue(with_report(Sample={"seed": 50, "cfg": 3.0}), prompt_id=id)
    assert not comfyui.wait(id).ok
    assert comfyui.get(f"/storefront/report/{id}")["error"]["node"] == "4"
    comfyui.queue(with_report(Sample={"seed": 51, "steps": 400}), prompt_id=id)
    live = []
    while any(comfyui.get("/queue").values()):
        summary = comfyui.get(f"/storefront/report/{id}")
        if nodes_of(summary).get("4", {}).get("status") == "running":
            live.append(summary)
        time.sleep(0.02)
    assert live
    assert not any("error" in summary for summary in live)
    summary = comfyui.get(f"/storefront/report/{id}")
    assert "error" not in summary
    assert nodes_of(summary)["4"]["status"] == "done"


def test_a_node_named_by_half_a_surrogate_is_told_of(comfyui):
    name = "n\ud83d"
    flat = {name: node("EmptyImage", width=8, height=8, batch_size=1, color=int(time.time()) % 2**24)}
    prompt_id = comfyui.queue({**flat, "21": node("StorefrontReport", value=[name, 0])})
    assert comfyui.wait(prompt_id).ok
    assert name in nodes_of(comfyui.get(f"/storefront/report/{prompt_id}"))


@pytest.mark.parametrize(("path", "status"), [("nobody", 404), ("..%2F..%2Fetc", 404), ("{id}?format=XML", 400)])
def test_the_route_refuses_what_it_does_not_have(comfyui, path, status):
    prompt_id = comfyui.queue(with_report(Sample={"seed": 41}))
    comfyui.wait(prompt_id)
    with pytest.raises(urllib.error.HTTPError) as refused:
        comfyui.get("/storefront/report/" + path.replace("{id}", prompt_id))
    assert refused.value.code == status
