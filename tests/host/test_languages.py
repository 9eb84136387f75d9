"""Notes and errors in the language of the editor that queued the prompt."""

import json
import urllib.error

import pytest
from comfyui import node, text_to_image

SCENE = {"s": node("StorefrontScene", words="비누", scene="bath-1"), "o": node("PreviewImage", images=["s", 0])}


WITH_NOTES = ("ko", "ja", "zh")


def spoken(comfyui, client: str, language: object) -> str:
    return comfyui.get("/storefront/language", {"client_id": client, "language": language})["language"]


def note_of(comfyui, language: str | None) -> str:
    """What the editor shows under Scene."""
    with comfyui.listening() as (socket, client):
        socket.send(json.dumps({"type": "feature_flags", "data": {"supports_preview_metadata": True}}))
        if language is not None:
            assert spoken(comfyui, client, language) == (language if language in WITH_NOTES else "")
        comfyui.wait(
            comfyui.queue(
                {**SCENE, "s": node("StorefrontScene", scene="bath-1", seed=hash(language) % 2**32)}, client_id=client
            )
        )
        while True:
            message = socket.recv()
            if isinstance(message, str) and (body := json.loads(message))["type"] == "storefront.note":
                return body["data"]["text"]


def test_a_note_is_in_the_editors_language(comfyui):
    assert note_of(comfyui, "ko") == "bath-1: 욕실 선반, 민트, 빛은 오른쪽 앞에서"
    assert note_of(comfyui, "ja") == "bath-1: 洗面台の棚、ミント、光は右前から"
    assert note_of(comfyui, "zh") == "bath-1：浴室置物架，薄荷绿，光来自右前方"
    english = "bath-1: bathroom shelf, mint, light from the right front"
    assert note_of(comfyui, "fr") == english
    assert note_of(comfyui, None) == english


@pytest.mark.parametrize(
    ("language", "says"),
    [
        ("ko", "`negative` 값: 연결되지 않음. "),
        ("ja", "`negative` の値: つながっていません。"),
        ("zh", "`negative` 的值：未连接。"),
        ("en", "negative"),
    ],
)
def test_an_error_is_in_the_editors_language(comfyui, language, says):
    spoken(comfyui, f"editor-{language}", language)
    prompt = text_to_image(Sample={"cfg": 3.0, "seed": 8})
    result = comfyui.wait(comfyui.queue(prompt, client_id=f"editor-{language}"))
    assert not result.ok
    assert says in result.error


@pytest.mark.parametrize(
    "body", [{}, [], {"client_id": 5, "language": "ko"}, {"client_id": "x" * 500, "language": "ko"}]
)
def test_a_wrong_request_is_refused(comfyui, body):
    with pytest.raises(urllib.error.HTTPError) as refused:
        comfyui.get("/storefront/language", body)
    assert refused.value.code == 400


def test_a_language_is_no_path(comfyui):
    assert spoken(comfyui, "wanderer", "../../ko") == ""


@pytest.mark.parametrize(("language", "kept"), [("ko", "ko"), ("ja", "ja"), ("zh", "zh"), ("en", "en"), ("fr", "en")])
def test_the_reason_of_a_layout_is_in_the_editors_language(comfyui, language, kept):
    plan = {
        "s": node("StorefrontScene", scene="bath-1", seed=70 + len(kept) + ord(language[0])),
        "p": node("StorefrontPlanLayout", background=["s", 0], headline="오늘만"),
        "j": node("PreviewAny", source=["p", 2]),
    }
    with comfyui.listening() as (socket, client):
        socket.send(json.dumps({"type": "feature_flags", "data": {"supports_preview_metadata": True}}))
        spoken(comfyui, client, language)
        result = comfyui.wait(comfyui.queue(plan, client_id=client))
        reasons = json.loads(result.history["outputs"]["j"]["text"][0])["reasons"]
        while True:
            message = socket.recv()
            body = json.loads(message) if isinstance(message, str) else {"type": "a picture"}
            if body["type"] == "storefront.note" and body["data"]["node"] == "p":
                break
    assert body["data"]["text"].endswith(reasons[kept])
    assert len(set(reasons.values())) == 4
