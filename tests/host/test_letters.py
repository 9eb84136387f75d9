"""POST /storefront/letters: words set anew for the layout editor, also for strangers who send anything."""

from __future__ import annotations

import base64
import concurrent.futures
import hashlib
import io
import json
import urllib.error
import urllib.request
from typing import Any

import numpy as np
import pytest
from comfyui import node
from PIL import Image

ASKED = {
    "width": 1024,
    "height": 512,
    "text": "갓 내린 커피",
    "font": "Pretendard",
    "design": {"preset": "headline", "weight": 700, "color": "#aa1122", "scrim": "off"},
    "box": [0.1, 0.2, 0.5, 0.4],
    "down": 0.5,
    "color": "#aa1122",
    "align": "left",
    "background": None,
    "standing": [],
}


def post(comfyui, body: bytes | dict) -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(
        f"{comfyui.url}/storefront/letters", data, {"Content-Type": "application/json"}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


@pytest.mark.usefixtures("no_traceback")
def test_an_error_is_in_the_language_that_was_asked_for(comfyui):
    wrong = {**ASKED, "box": [0, 0, 1]}
    status, answer = post(comfyui, {**wrong, "language": "ko"})
    assert status == 400
    assert answer["error"].startswith("`box`")
    assert any("가" <= letter <= "힣" for letter in answer["error"])
    for language in ("en", "xx", 5, None, ["ko"]):
        assert "Expected: four shares" in post(comfyui, {**wrong, "language": language})[1]["error"], language


@pytest.mark.usefixtures("no_traceback")
def test_words_come_back_in_their_box_and_color(comfyui):
    status, answer = post(comfyui, ASKED)
    assert status == 200
    assert answer["box"] == pytest.approx(ASKED["box"], abs=0.002)
    left, top, wide, high = answer["layer_region"]
    assert 0.09 < left < left + wide < 0.61
    assert 0.19 < top < top + high < 0.61
    picture = Image.open(io.BytesIO(base64.b64decode(answer["layer"].removeprefix("data:image/webp;base64,"))))
    pixels = np.asarray(picture.convert("RGBA")).astype(int)
    assert np.abs(pixels[pixels[..., 3] > 250][:, :3].mean(0) - [0xAA, 0x11, 0x22]).max() < 6
    assert (round(wide * 1024), round(high * 512)) == picture.size
    lower = post(comfyui, {**ASKED, "down": 1.0})[1]["layer_region"]
    assert lower[1] + lower[3] > top + high


NAN = float("nan")
NOTHINGS = (None, [], {}, "x", "", NAN, 1e308, -1, True, 10**400, ["x"] * 1000)
HOSTILE: dict[str, bytes | dict] = {
    "no JSON": b"{",
    "empty": b"",
    "no text at all": b"\xff\xfe\x00",
    "a list": b"[]",
    "deep": b"[" * 60_000,
    "long": b" " * 100_000,
    "an unknown field of the design": {**ASKED, "design": {"__class__": "x"}},
    "a text without end": {**ASKED, "text": "가" * 4001},
    "half of a surrogate pair": {**ASKED, "text": "\ud800"},
    "a picture of a billion pixels": {**ASKED, "width": 10**9},
    "a box far away": {**ASKED, "box": [99, 0, 1, 1]},
    "a thousand products": {**ASKED, "standing": [{}] * 1000},
    "a product that is a number": {**ASKED, "standing": [7]},
    "a product without a box": {**ASKED, "standing": [{"file": None}]},
    "a product far away": {**ASKED, "standing": [{"box": [0, 0, 1e9, 1]}]},
    "a product turned without end": {**ASKED, "standing": [{"box": [0, 0, 1, 1], "rotation": NAN}]},
}


@pytest.mark.usefixtures("no_traceback")
@pytest.mark.parametrize("what", HOSTILE)
def test_a_strangers_request_is_refused(comfyui, what):
    status, answer = post(comfyui, HOSTILE[what])
    assert status == 400
    assert set(answer) == {"error"}
    assert len(answer["error"]) < 1000


@pytest.mark.usefixtures("no_traceback")
@pytest.mark.parametrize(
    "field", [*ASKED, "design.weight", "design.size", "design.palette", "design.color", "design.box_color"]
)
def test_whatever_a_field_is_the_answer_is_letters_or_a_sentence(comfyui, field):
    refused = 0
    for value in NOTHINGS:
        asked = json.loads(json.dumps(ASKED))
        outer, _, inner = field.partition(".")
        (asked[outer] if inner else asked)[inner or outer] = value
        status, answer = post(comfyui, asked)
        assert status in (200, 400), (field, value)
        assert ("error" in answer) == (status == 400)
        assert answer.get("error") != "Expected: JSON.", (field, value)
        refused += status == 400
    assert refused or field == "background"  # a picture that is gone is no error: letters are set on grey


@pytest.mark.usefixtures("no_traceback")
def test_the_color_is_one_that_reads_on_what_stands_behind_the_words(comfyui):
    """A black product under half of the words, as a file that a run left, whatever its pose and the colour of the plan."""
    black = node("EmptyImage", width=300, height=300, batch_size=1, color=0)
    whole = node("SolidMask", value=0.0, width=300, height=300)
    square = node("SolidMask", value=1.0, width=200, height=200)
    masked = node("MaskComposite", destination=["2", 0], source=["3", 0], x=50, y=50, operation="add")
    wall = node("EmptyImage", width=512, height=512, batch_size=1, color=0xE8E0D0)
    place = {"product": ["1", 0], "product_mask": ["4", 0], "shadow": "none", "color_match": 0.0}
    placed = node("StorefrontPlaceProduct", background=["5", 0], **place)
    save = node("SaveImage", images=["6", 0], filename_prefix="standing")
    prompt = {"1": black, "2": whole, "3": square, "4": masked, "5": wall, "6": placed, "7": save}
    with comfyui.listening() as (socket, client):
        socket.send(json.dumps({"type": "feature_flags", "data": {"supports_preview_metadata": True}}))  # as the editor
        result = comfyui.wait(comfyui.queue(prompt, client_id=client))
    (shown,) = result.history["outputs"]["6"]["storefront_products"]
    file = json.loads(shown)["products"][0]["picture"]
    asked = {**ASKED, "color": "#111111", "design": {"preset": "headline", "color": "auto"}}
    assert post(comfyui, asked)[1]["color"] == "#111111"
    for pose in ({}, {"rotation": 45}, {"rotation": -90, "flip": True}):
        status, answer = post(comfyui, {**asked, "standing": [{"file": file, "box": [-0.1, -0.1, 1.2, 1.2], **pose}]})
        assert (status, answer["color"]) == (200, "#ffffff"), pose
    beside = [{"file": file, "box": box} for box in ([0.8, 0.7, 0.2, 0.2], [-1.9, 0, 1, 1], [1.9, 2.9, 1, 1])]
    assert post(comfyui, {**asked, "standing": beside})[1]["color"] == "#111111"
    assert post(comfyui, {**asked, "standing": beside * 40})[0] == 200


@pytest.mark.usefixtures("no_traceback")
@pytest.mark.parametrize(
    "name", ["../../user/x.webp", "/etc/passwd", "a" * 32 + ".png", "a" * 32 + ".webp", "٣" * 32 + ".webp"]
)
def test_no_other_file_is_read_as_a_background(comfyui, name):
    alone = post(comfyui, ASKED)
    assert post(comfyui, {**ASKED, "background": {"filename": name, "subfolder": "..", "type": "output"}}) == alone


def webp(side: int) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (side, 16), "black").save(content, "WEBP")
    return content.getvalue()


WHOLE = webp(64)
JUNK = {"no picture": b"RIFF????WEBP", "empty": b"", "cut off": WHOLE[:-8], "too large": webp(1281)}


def put(comfyui, what: str, data: bytes) -> dict[str, str]:
    """ComfyUI's upload takes any bytes, under any name and into the temp folder."""
    name = hashlib.md5(what.encode()).hexdigest() + ".webp"
    fields = {"type": "temp", "subfolder": "storefront"}
    form = b"".join(
        f'--x\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'.encode()
        for field, value in fields.items()
    )
    file = f'--x\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n\r\n'.encode()
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    body = form + file + data + b"\r\n--x--\r\n"
    with urllib.request.urlopen(urllib.request.Request(f"{comfyui.url}/upload/image", body, kind)) as answer:
        assert json.load(answer) == {"name": name, **fields}
    return {"filename": name}


@pytest.mark.usefixtures("no_traceback")
@pytest.mark.parametrize("what", JUNK)
def test_a_file_that_a_stranger_put_there_is_taken_for_none(comfyui, what):
    """All are black, on which letters are white: the color tells whether a file was taken."""
    asked = {**ASKED, "color": "#111111", "design": {"preset": "headline", "color": "auto"}}
    for data, color in ((JUNK[what], "#111111"), (WHOLE, "#ffffff")):
        picture = put(comfyui, f"{what} {color}", data)
        status, answer = post(comfyui, {**asked, "background": picture})
        assert (status, answer["color"]) == (200, color)
        status, answer = post(comfyui, {**asked, "standing": [{"file": picture, "box": [0, 0, 1, 1]}]})
        assert (status, answer["color"]) == (200, color)


def test_a_crowd_is_turned_away_and_the_server_goes_on(comfyui):
    with concurrent.futures.ThreadPoolExecutor(48) as many:
        answers = list(many.map(lambda _: post(comfyui, ASKED)[0], range(48)))
    assert set(answers) <= {200, 503}
    assert answers.count(200) >= 16
    assert post(comfyui, ASKED)[0] == 200
