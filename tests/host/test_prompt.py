"""Ad Prompt on a real ComfyUI: presets, a local model, a connection, a real OpenAI-compatible server; and broken ones."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
import reciter
from comfyui import ROOT, node

sys.path.insert(0, str(ROOT / "tests" / "studio" / "prompt"))

from chat_server import chat_server
from sentences import SENTENCES

LATTE = "카페 신메뉴 딸기라떼, 따뜻하고 아늑한 분위기"
OUTPUTS = ("prompt", "negative", "headline", "report")


def put(comfyui, name: str, **body):
    request = urllib.request.Request(
        f"{comfyui.url}/storefront/connections/{name}",
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "Origin": comfyui.url},
        method="PUT",
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def ad(text: str = LATTE, **inputs) -> dict:
    defaults = {"text": text, "trade": "auto", "style": "realistic", "translate": "off", "seed": 0}
    return node("StorefrontAdPrompt", **defaults | inputs)


def shown(*ads: dict) -> dict:
    """A workflow that shows every output of each Ad Prompt."""
    workflow = {}
    for index, one in enumerate(ads):
        workflow[f"a{index}"] = one
        for output, name in enumerate(OUTPUTS):
            workflow[f"{name}{index}"] = node("PreviewAny", source=[f"a{index}", output])
    return workflow


def run(comfyui, *ads: dict) -> list[dict]:
    result = comfyui.run(shown(*ads))
    assert result.ok, result.error
    outputs = result.history["outputs"]
    made = [{name: outputs[f"{name}{index}"]["text"][0] for name in OUTPUTS} for index in range(len(ads))]
    return [one | {"report": json.loads(one["report"])} for one in made]


@pytest.fixture(scope="module")
def models(comfyui):
    folder = comfyui.base / "models" / "LLM"
    reciter.make_folder(folder / "reciter")
    reciter.make_folder(folder / "undecided", reciter.OTHER_WORDS)
    for kind in ("code", "truncated"):
        reciter.make_broken(folder / kind, kind)
    return folder


@pytest.mark.usefixtures("no_traceback")
def test_twenty_sentences_through_the_presets(comfyui):
    ads = [ad(said.text, glossary=said.glossary, seed=number) for number, said in enumerate(SENTENCES)]
    for said, made in zip(SENTENCES, run(comfyui, *ads), strict=True):
        assert all(kept in made["prompt"] for kept in said.kept)
        assert made["headline"] == said.headline
        assert made["report"]["trade"]["key"] == said.trade


@pytest.mark.usefixtures("no_traceback")
def test_twenty_sentences_through_a_connection(comfyui):
    with chat_server() as server:
        put(comfyui, "capable", base_url=server.url, model="good", allow_private=True)
        ads = [
            ad(said.text, glossary=said.glossary, translate="connection", connection="capable") for said in SENTENCES
        ]
        for said, made in zip(SENTENCES, run(comfyui, *ads), strict=True):
            assert made["report"]["written_by"] == "connection", made["report"]["attempts"]
            assert all(kept in made["prompt"] for kept in said.kept)
            assert made["headline"] == said.headline
        assert len(server.requests) == len(SENTENCES)


@pytest.mark.usefixtures("no_traceback", "models")
def test_a_local_model_writes(comfyui):
    (made,) = run(comfyui, ad(translate="local model", local_model="reciter", seed=1))
    assert made["report"]["written_by"] == "local model"
    assert made["prompt"].startswith(reciter.RECITED)
    assert "unlettered" in made["prompt"]
    assert made["headline"] == "카페 신메뉴 딸기라떼"


@pytest.mark.usefixtures("no_traceback")
def test_a_local_model_repeats_itself_for_a_seed(comfyui, models):
    ads = [ad(translate="local model", local_model="undecided", seed=seed) for seed in (1, 2, 3)]
    first = run(comfyui, *ads)
    os.utime(models / "undecided" / "config.json")  # so that its answers are no longer remembered
    again = run(comfyui, *ads)
    assert {made["report"]["written_by"] for made in (*first, *again)} == {"local model"}
    assert [made["prompt"] for made in again] == [made["prompt"] for made in first]
    assert len({made["prompt"] for made in first}) > 1


@pytest.mark.usefixtures("no_traceback", "models")
def test_twenty_sentences_through_a_local_model_that_knows_one_answer(comfyui):
    """Its answer keeps no price: the check sees that each time, and the next in line keeps all of them."""
    with chat_server() as server:
        put(comfyui, "capable", base_url=server.url, model="good", allow_private=True)
        ads = [
            ad(said.text, glossary=said.glossary, translate="local model", local_model="reciter", connection="capable")
            for said in SENTENCES
        ]
        for said, made in zip(SENTENCES, run(comfyui, *ads), strict=True):
            assert made["report"]["written_by"] == "connection"
            assert [one["by"] for one in made["report"]["attempts"]] == ["local model", "local model", "connection"]
            assert "does not keep" in made["report"]["attempts"][0]["refused"]
            assert all(kept in made["prompt"] for kept in said.kept)


@pytest.mark.parametrize(
    ("kind", "reason"), [("code", "code of its own"), ("truncated", "`local_model` is 'truncated'")]
)
def test_a_model_folder_that_cannot_be_loaded_is_named_and_runs_no_code(comfyui, models, kind, reason):
    (made,) = run(comfyui, ad(translate="local model", local_model=kind))
    assert made["report"]["written_by"] == "off"
    assert reason in made["report"]["attempts"][0]["refused"]
    assert str(comfyui.base) not in made["report"]["attempts"][0]["refused"]
    assert not (models / kind / "ran").exists()


@pytest.fixture(scope="module")
def real_server(models):
    """`transformers serve` over the reciter: the protocol as a server of others speaks it."""
    missing = [name for name in ("fastapi", "uvicorn", "openai", "rich") if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(
            f"!!! WITHOUT {missing} NO OPENAI-COMPATIBLE SERVER COULD BE STARTED: NOTHING WAS TESTED ON ONE !!!"
        )
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "transformers.cli.transformers",
        "serve",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONUTF8": "1"}
    log = models.parent / "serve.log"
    with log.open("w") as stream:
        server = subprocess.Popen(
            [*command, str(models / "reciter")], env=environment, stdout=stream, stderr=subprocess.STDOUT
        )
        try:
            deadline = time.monotonic() + 300
            while True:
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                    break
                assert server.poll() is None, log.read_text()[-2000:]
                assert time.monotonic() < deadline, log.read_text()[-2000:]
                time.sleep(0.5)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.terminate()
            server.wait(120)


@pytest.mark.usefixtures("no_traceback")
def test_a_real_server_writes(comfyui, models, real_server):
    put(comfyui, "real", base_url=real_server, model=str(models / "reciter"), allow_private=True)
    made, told = run(
        comfyui,
        ad(translate="connection", connection="real"),
        ad("다온커피 딸기라떼 4,500원", translate="connection", connection="real"),
    )
    assert made["report"]["written_by"] == "connection", made["report"]["attempts"]
    assert made["prompt"].startswith(reciter.RECITED)
    assert told["report"]["written_by"] == "off"
    assert "4,500원" in told["report"]["attempts"][0]["refused"]
    assert "4,500원" in told["prompt"]


@pytest.mark.usefixtures("no_traceback")
def test_words_become_a_picture(comfyui):
    """flux-micro reads Korean, so the owner's own words reach it."""
    workflow = json.loads((ROOT / "workflows" / "api" / "text_to_image.json").read_text("utf-8"))
    (encode,) = [key for key, value in workflow.items() if value["class_type"] == "StorefrontEncode"]
    clip = workflow[encode]["inputs"]["clip"]
    workflow["ad"] = ad("빨간 머그컵, 바닷가", clip=clip)
    workflow["report"] = node("PreviewAny", source=["ad", 3])
    workflow[encode]["inputs"]["prompt"] = ["ad", 0]
    result = comfyui.run(workflow)
    assert result.ok, result.error
    report = json.loads(result.history["outputs"]["report"]["text"][0])
    assert not any("reads no Korean" in note for note in report["notes"])
    assert result.pixels().std() > 10


def test_an_encoder_that_is_no_language_model_hands_over(comfyui):
    loader = node("StorefrontLoadModel", model="flux-micro", weight_dtype="fp32")
    workflow = shown(ad(translate="model's own encoder", clip=["m", 1])) | {"m": loader}
    result = comfyui.run(workflow)
    assert result.ok, result.error
    report = json.loads(result.history["outputs"]["report0"]["text"][0])
    assert report["written_by"] == "off"
    assert report["attempts"][0] == {
        "by": "model's own encoder",
        "refused": "this CLIP's encoder is not a language model",
    }


def test_a_users_presets_are_read_and_a_broken_one_is_named(comfyui):
    folder = comfyui.base / "user" / "default" / "storefront" / "presets" / "trades"
    folder.mkdir(parents=True, exist_ok=True)
    cafe = (ROOT / "studio" / "prompt" / "presets" / "trades" / "cafe.yaml").read_text("utf-8")
    mine = cafe.replace("ko: 카페}", "ko: 보드게임카페}").replace("keywords: [카페,", "keywords: [보드게임,")
    mine = mine.replace("theme:\n", "theme:\n  - on a table covered with wooden game pieces\n")
    (folder / "board_games.yaml").write_text(mine, "utf-8")
    (folder / "broken.yaml").write_text("name: [", "utf-8")
    try:
        options = json.dumps(comfyui.get("/object_info/StorefrontAdPrompt"), ensure_ascii=False)
        assert '"board_games"' in options
        assert "broken" not in options
        made, named = run(comfyui, ad("보드게임 모임", trade="board_games"), ad("보드게임 오늘만 무료, 아메리카노"))
        assert made["report"]["trade"]["key"] == named["report"]["trade"]["key"] == "board_games"
        assert any(note.startswith("trades/broken.yaml: `file` is") for note in made["report"]["notes"])
        assert "trades/broken.yaml" in comfyui.log()
    finally:
        (folder / "board_games.yaml").unlink()
        (folder / "broken.yaml").unlink()


def from_cache(result) -> bool:
    """Whether the Ad Prompt of a workflow of `shown` did not run again."""
    assert result.ok, result.error
    return any(
        "a0" in body["nodes"] for kind, body in result.history["status"]["messages"] if kind == "execution_cached"
    )


def test_an_edited_preset_is_seen_at_once(comfyui):
    folder = comfyui.base / "user" / "__storefront" / "presets" / "styles"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "mine.yaml"
    style = (ROOT / "studio" / "prompt" / "presets" / "styles" / "realistic.yaml").read_text("utf-8")
    try:
        file.write_text(style.replace("photograph of", "daguerreotype of"), "utf-8")
        workflow = shown(ad(style="mine"))
        first, again = comfyui.run(workflow), comfyui.run(workflow)
        assert not from_cache(first)
        assert from_cache(again)
        assert "daguerreotype" in first.history["outputs"]["prompt0"]["text"][0]
        file.write_text(style.replace("photograph of", "cyanotype of"), "utf-8")
        (made,) = run(comfyui, ad(style="mine"))
        assert "cyanotype" in made["prompt"]
    finally:
        file.unlink()


def test_a_changed_connection_or_folder_is_asked_anew(comfyui, models):
    with chat_server() as server:
        workflow = shown(ad("카페 라떼 한 잔", translate="connection", connection="edited"))
        put(comfyui, "edited", base_url=server.url, model="good", allow_private=True)
        assert [from_cache(comfyui.run(workflow)) for _ in range(2)] == [False, True]
        put(comfyui, "edited", base_url=server.url, model="thinking", allow_private=True)
        assert [from_cache(comfyui.run(workflow)) for _ in range(2)] == [False, True]
    workflow = shown(ad(translate="local model", local_model="reciter", seed=77))
    assert [from_cache(comfyui.run(workflow)) for _ in range(2)] == [False, True]
    os.utime(models / "reciter" / "generation_config.json")
    assert [from_cache(comfyui.run(workflow)) for _ in range(2)] == [False, True]


def test_what_presets_wrote_in_place_of_a_model_counts_and_is_not_kept(comfyui):
    with chat_server() as server:
        put(comfyui, "recovering", base_url=server.url, model="recovering", allow_private=True)
        workflow = shown(ad("카페 에스프레소", translate="connection", connection="recovering"))
        workflow["r"] = node("StorefrontReport", value=["a0", 0])
        reports = []
        for _ in range(3):
            result = comfyui.run(workflow)
            assert result.ok, result.error
            reports.append(json.loads(result.history["outputs"]["r"]["text"][0]))
            if len(reports) == 2:
                assert json.loads(result.history["outputs"]["report0"]["text"][0])["written_by"] == "connection"
        assert len(server.requests) == 2
    fallbacks = [next(one for one in report["nodes"] if one["id"] == "a0")["fallbacks"] for report in reports]
    assert fallbacks == [["written by the presets in place of connection"], [], []]
    assert [report["totals"]["fallbacks"] for report in reports] == [1, 0, 0]
    assert from_cache(result)


def test_a_fingerprint_names_no_server(comfyui):
    """ComfyUI saves it in pictures, with the prompt."""
    from PIL import Image

    with chat_server() as server:
        put(comfyui, "quiet", base_url=server.url, model="good", allow_private=True)
        workflow = shown(ad("카페 카푸치노", translate="connection", connection="quiet"))
        workflow["e"] = node("EmptyImage", width=8, height=8, batch_size=1, color=77)
        workflow["s"] = node("SaveImage", images=["e", 0], filename_prefix="fingerprint")
        (picture,) = comfyui.run(workflow).files()
    text = Image.open(picture).info["prompt"]
    assert server.url.split("//")[1] not in text
    (seen,) = json.loads(text)["a0"]["is_changed"]
    assert re.fullmatch("[0-9a-f]{32}", seen)


BAD = [
    ("text", {"text": ""}),
    ("text", {"text": "가" * 5000}),
    ("text", {"text": "half a pair: \ud83d"}),
    ("trade", {"trade": "../../etc/passwd"}),
    ("style", {"style": "C:\\windows"}),
    ("translate", {"translate": "google"}),
    ("seed", {"seed": -1}),
    ("clip", {"translate": "model's own encoder"}),
    ("local_model", {"translate": "local model"}),
    ("local_model", {"translate": "local model", "local_model": "../diffusers/headless"}),
    ("local_model", {"translate": "local model", "local_model": "/etc"}),
    ("local_model", {"translate": "local model", "local_model": "a\u0000b"}),
    ("local_model", {"translate": "local model", "local_model": {"a": 1}}),
    ("local_model", {"translate": "local model", "local_model": ["a", "b", "c"]}),
    ("connection", {"translate": "connection"}),
    ("connection", {"translate": "connection", "connection": "nobody"}),
    ("connection", {"translate": "connection", "connection": "../../connections.json"}),
    ("connection", {"translate": "connection", "connection": "http://169.254.169.254/"}),
    ("glossary", {"glossary": "x" * 30_000}),
]


@pytest.mark.parametrize(("named", "inputs"), BAD, ids=range(len(BAD)))
def test_bad_input_is_refused_by_name(comfyui, named, inputs):
    result = comfyui.run(shown(ad(**inputs)))
    assert not result.ok
    assert named in result.error
