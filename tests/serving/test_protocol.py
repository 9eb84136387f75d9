"""What strangers send to tritonserver itself: a clear answer to each, and every stage works afterwards."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import urllib.error
import urllib.request

import numpy as np
import pytest
import torch
from documents import execute, python_blocks
from storefront.serving import ServingError, SyncClient, stages, wire
from storefront.serving import client as client_module
from storefront.serving.client import UnreachableError
from storefront.serving.probe import EVERY_STAGE
from storefront.serving.triton.commands import main
from storefront.serving.triton.serve import REGIONS
from storefront.studio.errors import InputError
from storefront.studio.opening.models import ModelFiles, describe
from triton_server import MICRO, free_ports


@pytest.fixture(scope="module")
def client(server):
    with SyncClient(server.url) as opened:
        yield opened


@pytest.fixture(scope="module")
def facts():
    return {one.name: one for one in stages.stages_of(describe(ModelFiles.whole(MICRO)))}


def rows(one: stages.StageFacts, count: int = 1) -> dict[str, wire.Value]:
    """What the smallest inference of a stage takes."""
    free = {"latents": 16, "latent_image_ids": 16, "t5_embeds": 8, "text_ids": 8, "input_ids": 8}
    shapes = {}
    for tensor in one.inputs:
        length = 32 if tensor.name == "images" else 4 if len(tensor.dims) == 3 else free.get(tensor.name, 0)
        shapes[tensor.name] = (count, *(length if size == stages.ANY_LENGTH else size for size in tensor.dims))
    return {tensor.name: wire.Value.zeros(tensor.dtype, shapes[tensor.name]) for tensor in one.inputs}


def ask(client: SyncClient, one: stages.StageFacts, values: dict[str, wire.Value]) -> wire.Value:
    return client.infer(one.name, values, [one.outputs[0].name])[one.outputs[0].name]


def post(url: str, path: str, body: bytes, **headers: str) -> tuple[int, str]:
    request = urllib.request.Request(url + path, body, headers)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
            return answer.status, answer.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode("utf-8", "replace")


def test_the_configuration_has_the_real_dimensions(client, facts):
    for name, one in facts.items():
        config = client.get(f"models/{name}/config")
        told = {tensor["name"]: tuple(map(int, tensor["dims"])) for tensor in config["input"]}
        assert told == {tensor.name: tensor.dims for tensor in (*one.inputs, *one.instead)}
        assert config["max_batch_size"] == 8
        queue = config["dynamic_batching"]
        assert queue["default_queue_policy"]["max_queue_size"] == 256
    transformer = {tensor.name: tensor.dims for tensor in facts["dit_transformer"].inputs}
    real = json.loads((MICRO / "transformer" / "config.json").read_text())
    assert transformer["latents"] == (stages.ANY_LENGTH, real["in_channels"])
    assert transformer["t5_embeds"] == (stages.ANY_LENGTH, real["joint_attention_dim"])
    assert transformer["clip_embeds"] == (real["pooled_projection_dim"],)


@pytest.mark.parametrize("name", EVERY_STAGE)
@pytest.mark.parametrize("count", [1, 8])
def test_a_stage_gives_a_row_for_each_row(client, facts, name, count):
    value = ask(client, facts[name], rows(facts[name], count))
    assert value.shape[0] == count
    assert len(value.shape) == 1 + len(facts[name].outputs[0].dims)
    assert np.isfinite(np.frombuffer(value.data, "<f4")).all()


def test_the_encoders_give_what_transformers_gives(client, micro_pipeline):
    ids = micro_pipeline.tokenizer(["a mug"], padding="max_length", max_length=77, return_tensors="pt").input_ids
    with torch.no_grad():
        expected = micro_pipeline.text_encoder(ids).pooler_output
    given = client.stage("clip_encoder", {"input_ids": ids}, "clip_embeds")
    assert float((given - expected).abs().max()) <= 1e-5
    again = client.stage("clip_encoder", {"input_ids": ids}, "clip_embeds")
    assert torch.equal(given, again)  # from the response cache


WRONG_ROWS = {
    "a dimension too few": ("latents", wire.Value.zeros("FP32", (1, 16)), "latents"),
    "another width": ("latents", wire.Value.zeros("FP32", (1, 16, 5)), "latents"),
    "another dtype": ("latents", wire.Value("INT32", (1, 16, 16), b"\0" * 1024), "latents"),
    "rows of another count": ("guidance", wire.Value.zeros("FP32", (2, 1)), "guidance"),
    "nine rows": ("latents", wire.Value.zeros("FP32", (9, 16, 16)), "batch"),
    "not finite": ("timestep", wire.Value("FP32", (1, 1), np.float32("nan").tobytes()), "timestep"),
    "fewer bytes than told": ("timestep", wire.Value("FP32", (1, 1), b"\0\0"), "timestep"),
    "more bytes than told": ("timestep", wire.Value("FP32", (1, 1), b"\0" * 64), "timestep"),
    "an unknown input": ("sigma", wire.Value.zeros("FP32", (1, 1)), "sigma"),
}


@pytest.mark.parametrize("case", WRONG_ROWS)
def test_a_wrong_tensor_is_refused_by_name(client, facts, case):
    name, value, named = WRONG_ROWS[case]
    one = facts["dit_transformer"]
    with pytest.raises(ServingError, match=named) as refused:
        ask(client, one, {**rows(one), name: value})
    print(f"\n{refused.value}")
    assert refused.value.code == "INVALID_ARGUMENT"
    assert "Traceback" not in str(refused.value)
    assert ask(client, one, rows(one)).shape[0] == 1


def test_a_missing_input_is_named(client, facts):
    one = facts["dit_transformer"]
    values = rows(one)
    del values["clip_embeds"]
    with pytest.raises(ServingError, match="clip_embeds") as refused:
        ask(client, one, values)
    assert refused.value.code == "INVALID_ARGUMENT"


@pytest.mark.parametrize(("stage", "length"), [("clip_encoder", 77), ("t5_encoder", 8)])
@pytest.mark.parametrize("token", [-1, 2**31, 2**62])
def test_tokens_of_no_vocabulary_are_refused(client, facts, stage, length, token):
    values = {"input_ids": wire.Value("INT64", (1, length), np.full((1, length), token, "<i8").tobytes())}
    with pytest.raises(ServingError, match=r"`input_ids` is .* tokens from 0 to") as refused:
        ask(client, facts[stage], values)
    assert refused.value.code == "INVALID_ARGUMENT"


def test_requests_that_do_not_fit_are_no_error_of_others(server, client, facts):
    """Rows of two sizes and one that is wrong, at the same time: each has its own answer."""
    from concurrent.futures import ThreadPoolExecutor

    one = facts["dit_transformer"]
    large = {**rows(one), "latents": wire.Value.zeros("FP32", (1, 64, one.inputs[0].dims[1]))}
    large["latent_image_ids"] = wire.Value.zeros("FP32", (1, 64, 3))
    wrong = {**rows(one), "guidance": wire.Value("FP32", (1, 1), np.float32("inf").tobytes())}
    with ThreadPoolExecutor(24) as pool:
        asked = [pool.submit(ask, client, one, [rows(one), large, wrong][number % 3]) for number in range(24)]
        answers = [future.exception() or future.result().shape[1] for future in asked]
    assert answers[0::3] == [16] * 8
    assert answers[1::3] == [64] * 8
    assert all("`guidance` is not finite" in str(error) for error in answers[2::3])


BODIES = {
    "no JSON": b"\xff\xfe{",
    "empty": b"",
    "a list": b"[]",
    "nothing asked": b"{}",
    "a number for words": b'{"prompt": 5}',
    "words for a number": b'{"prompt": "a mug", "steps": "many"}',
    "a fraction for a number": b'{"prompt": "a mug", "steps": 1.5}',
    "a number too large": b'{"prompt": "a mug", "steps": 99999999999999999999}',
    "a negative seed": b'{"prompt": "a mug", "seed": -1}',
    "an object": b'{"prompt": {"a": 1}}',
    "two numbers": b'{"prompt": "a mug", "steps": [1, 2]}',
    "no base64": b'{"prompt": "a mug", "image": "%%%"}',
    "no picture": json.dumps({"prompt": "a mug", "image": base64.b64encode(b"<svg/>").decode()}).encode(),
    "an output that is not": b'{"prompt": "a mug", "output": "exe"}',
    "half a surrogate pair": b'{"prompt": "a \\ud800 mug"}',
    "deep": b'{"prompt": ' + b"[" * 5000 + b"]" * 5000 + b"}",
}


def npy(header: str, data: bytes = b"") -> str:
    """A .npy file with a header of one's own."""
    padded = header.encode().ljust(118)[:-1] + b"\n"
    return base64.b64encode(b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded + data).decode()


ARRAYS = {
    "of objects": npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", b"cos\nsystem\n."),
    "of a terabyte": npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 600000, 600000, 3), }"),
    "negative": npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 1, 1, 3), }"),
    "code": npy("__import__('os').system('true')"),
}
BODIES |= {f"an array {name}": json.dumps({"prompt": "a mug", "image": text}).encode() for name, text in ARRAYS.items()}


NO_PICTURES = {"no base64", "no picture", *(f"an array {name}" for name in ARRAYS)}


@pytest.mark.parametrize("case", BODIES)
def test_a_body_of_a_stranger_has_an_error_for_an_answer(server, client, case):
    status, text = post(server.url, "/v2/models/bls/generate_stream", BODIES[case])
    print(f"\n{status} {text[:300]}")
    assert status in (200, 400, 500)  # 500: Triton's own, for a body that it cannot read
    assert '"error"' in text
    if case in NO_PICTURES:
        assert "INVALID_ARGUMENT: `image` is" in text
    assert "Traceback" not in text
    assert "/" + str(MICRO).strip("/") not in text, "a path of the server"
    assert client.draw("a mug", steps=1).status == "finished"


def test_a_body_that_ends_early_is_refused(server, facts):
    body, headers = wire.request(rows(facts["dit_transformer"]), ["noise_pred"])
    status, text = post(server.url, "/v2/models/dit_transformer/infer", body[:-40], **headers)
    assert status == 400, text
    status, text = post(server.url, "/v2/models/dit_transformer/infer", body, **{wire.HEADER_LENGTH: "99999999"})
    assert status == 400, text


@pytest.mark.parametrize(
    "path",
    [
        "systemsharedmemory/region/stolen/register",
        "systemsharedmemory/region/stolen/unregister",
        "cudasharedmemory/region/stolen/register",
        "repository/index",
        "repository/models/bls/unload",
        "logging",
        "trace/setting",
    ],
)
def test_what_strangers_have_no_business_with_is_refused(server, client, path):
    """Shared memory above all: with a region's name they would read and write what others draw."""
    body = json.dumps({"key": f"/{REGIONS}", "offset": 0, "byte_size": 64}).encode()
    status, text = post(server.url, f"/v2/{path}", body)
    assert status == 403, text
    assert "restricted" in text
    assert client.draw("a mug", steps=1).status == "finished"


def test_a_model_that_is_not_there_is_named(client):
    with pytest.raises(ServingError, match="upscaler"):
        client.get("models/upscaler/config")


# --- several servers, and none ----------------------------------------------------------------------------------------


def test_a_server_that_does_not_answer_is_passed_over(server):
    nobody = free_ports().url
    with SyncClient([nobody, server.url]) as opened:
        assert [opened.draw("a mug", steps=1).status for _ in range(3)] == ["finished"] * 3
    with SyncClient(nobody) as opened, pytest.raises(UnreachableError, match=nobody) as refused:
        opened.draw("a mug")
    assert refused.value.code == "UNAVAILABLE"


def test_a_name_that_no_resolver_takes_is_a_server_that_does_not_answer():
    with SyncClient("http://a..b:8000") as opened, pytest.raises(UnreachableError, match="UnicodeError"):
        opened.draw("a mug")


def test_a_server_that_takes_no_connection_is_passed_over(server, monkeypatch):
    """Its queue is full, so that the kernel answers nothing."""
    monkeypatch.setattr(client_module, "CONNECTION_SECONDS", 2)
    with socket.socket() as full, contextlib.ExitStack() as waiting:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(8):
            one = waiting.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        with SyncClient([url, server.url]) as opened:
            assert opened.draw("a mug", steps=1).status == "finished"
        with SyncClient(url) as opened, pytest.raises(UnreachableError, match="ConnectionTimeoutError"):
            opened.draw("a mug")


@pytest.mark.parametrize("url", ["", "127.0.0.1:8000", "file:///etc/passwd", "http://", 5, []])
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(InputError, match="`urls` is "):
        SyncClient(url)


def test_the_code_in_the_document_runs(server, capsys):
    blocks = python_blocks("docs/serving.md")
    assert blocks
    for where, code in blocks.items():
        assert "http://127.0.0.1:8000" in code
        execute(code.replace("http://127.0.0.1:8000", server.url), where)
    assert "finished torch.Size([1, 64, 64, 3])" in capsys.readouterr().out


# --- the commands -----------------------------------------------------------------------------------------------------


def test_probe_asks_every_stage(server, capsys):
    assert main(["probe", server.url]) == 0
    assert "every stage works" in capsys.readouterr().out
    assert main(["probe", free_ports().url, "--seconds", "5"]) == 1
    told = capsys.readouterr().out
    assert all(f"{name}: UNAVAILABLE" in told for name in (*EVERY_STAGE, "bls"))


def test_draw_writes_a_picture(server, tmp_path, capsys):
    from PIL import Image

    out = tmp_path / "drawn.png"
    assert main(["draw", server.url, "a red mug", "--steps", "2", "--out", str(out)]) == 0
    assert "step 2 of 2" in capsys.readouterr().out
    with Image.open(out) as picture:
        assert picture.size == (64, 64)
    assert main(["draw", server.url, "a red mug", "--steps", "0", "--out", str(out)]) == 2
    assert "`steps` is 0" in capsys.readouterr().err


def test_serve_says_what_hinders_it(server, tmp_path, capsys):
    taken = server.url.rpartition(":")[2]
    assert main(["serve", str(server.repository), "--http-port", taken]) == 2
    assert f"`http_port` is {taken}" in capsys.readouterr().err
    assert main(["serve", str(tmp_path)]) == 2
    assert "`repository` is " in capsys.readouterr().err
